//! Event history: the filter, the events, and what was not searched.

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use maud::{Markup, html};

use super::super::{
    Console,
    columns::Column,
    layout::{Html, refusal, searched, status, unread},
    view::{ATTRIBUTES, Condition, MAX_PAGE, PAGE, View, count},
    who::Calls,
};
use crate::{
    grpc::{Refusal, Visitor},
    proto::v1::{Event, EventView, LookupEventsResponse},
};

/// Ends of windows that are a click away.
const SPANS: [(&str, &str); 5] = [
    ("-1h", "1 hour"),
    ("-24h", "24 hours"),
    ("-7d", "7 days"),
    ("-30d", "30 days"),
    ("-90d", "90 days"),
];

pub(in super::super) async fn page(
    State(console): State<Console>,
    calls: Calls,
    RawQuery(query): RawQuery,
) -> Response {
    let mut view = View::parse(&query.unwrap_or_default(), console.clock.now());
    let mut asked = lookup(calls.visitor.clone(), &view).await;
    // an address of another version may ask by what this one does not know
    while let Err(refusal) = &asked
        && view.drop_filter(
            refusal.field.as_deref().unwrap_or_default(),
            &refusal.message,
        )
    {
        asked = lookup(calls.visitor.clone(), &view).await;
    }
    if matches!(&asked, Err(refusal) if refusal.reason == "INVALID_PAGE_TOKEN") {
        let why =
            "page: it belongs to another question, or to scopes of long ago; the first is shown";
        view.unread.push(why.to_owned());
        view.page.clear();
        asked = lookup(calls.visitor, &view).await;
    }
    let (status, answer) = match asked {
        Ok(answer) => (axum::http::StatusCode::OK, found(&view, &answer)),
        Err(refused) => (status(refused.code), refusal(&refused)),
    };
    let content = html! {
        // before them are the form, and a link for each bar and each top value
        a class="skip" href="#events" { "Skip to the events" }
        h1 { "Event history" }
        (form(&view))
        (unread(&view.unread))
        (chips(&view))
        section id="counts" aria-label="Counts" data-src=(view.link("/counts", |_| ())) {
            noscript { a href=(view.link("/counts", |_| ())) { "Show counts" } }
        }
        (answer)
    };
    let page: Html = console.page("Event history", "/events", &content);
    (status, page).into_response()
}

/// A page of events, with records though they are not shown: what is downloaded of it
/// has them, and a page goes on with one of its own kind alone.
async fn lookup(visitor: Visitor, view: &View) -> Result<LookupEventsResponse, Refusal> {
    match visitor.clone().lookup(view.lookup(EventView::Full)).await {
        Err(refusal) if refusal.is_for_record() => {
            visitor.lookup(view.lookup(EventView::Basic)).await
        }
        answer => answer,
    }
}

/// A field of the form.
fn field(name: &str, label: &str, value: &str, hint: &str) -> Markup {
    html! {
        label { span { (label) } input name=(name) value=(value) placeholder=(hint) autocomplete="off" spellcheck="false"; }
    }
}

fn form(view: &View) -> Markup {
    let value = |name: &str| {
        let mut values = view.attributes.iter().filter(|(known, _)| *known == name);
        values.next().map_or("", |(_, value)| value.as_str())
    };
    // of a field with several values, those behind the first
    let others = |name: &'static str| {
        let values = view
            .attributes
            .iter()
            .filter(move |(known, _)| *known == name);
        values.skip(1).map(|(_, value)| value)
    };
    // what could not be read stays where it was typed
    let conditions = view.conditions.iter().map(Condition::line);
    let conditions: Vec<_> = conditions.chain(view.untold.iter().cloned()).collect();
    let size = view.page_size.unwrap_or(PAGE);
    let mut sizes = vec![PAGE, 100, MAX_PAGE];
    if !sizes.contains(&size) {
        // an address may say any
        sizes.push(size);
    }
    html! {
        form class="filter" method="get" action="/events" role="search" {
            div class="fields" {
                @for (name, label) in ATTRIBUTES {
                    @if name == "ReadOnly" {
                        label { span { (label) }
                            select name=(name) {
                                @for (value, text) in [("", "any"), ("true", "yes"), ("false", "no")] {
                                    option value=(value) selected[value == self::first(view, name)] { (text) }
                                }
                            }
                        }
                    } @else {
                        (field(name, label, value(name), ""))
                        @for other in others(name) { input type="hidden" name=(name) value=(other); }
                    }
                }
                (field("from", "From (UTC)", &view.from, "-24h or 2024-05-06 07:08"))
                (field("to", "To (UTC)", &view.to, "now"))
            }
            details open[!conditions.is_empty() || !view.accounts.is_empty() || !view.regions.is_empty() || view.is_insight || !view.columns.is_empty()] {
                summary { "More: any field, accounts, Regions, columns" }
                div class="fields" {
                    label class="wide" { span { "Any field, one condition a line; all must hold, and a line that begins with \"or\" begins an alternative" }
                        textarea name="where" rows="3" spellcheck="false" placeholder="errorCode = AccessDenied\nrequestParameters.bucketName ^= logs-\nsourceIPAddress cidr 10.0.0.0/8" { (conditions.join("\n")) }
                    }
                    (field("account", "Accounts", &view.accounts.join(" "), "all"))
                    (field("region", "Regions", &view.regions.join(" "), "all"))
                    label { span { "Events" }
                        select name="category" {
                            option value="" selected[!view.is_insight] { "management" }
                            option value="insight" selected[view.is_insight] { "Insights" }
                        }
                    }
                    label { span { "Order" }
                        select name="order" {
                            option value="" selected[!view.is_oldest_first] { "newest first" }
                            option value="oldest" selected[view.is_oldest_first] { "oldest first" }
                        }
                    }
                    label { span { "A page" }
                        select name="size" {
                            @for one in sizes {
                                option value=(if one == PAGE { String::new() } else { one.to_string() })
                                    selected[one == size] { (one) " events" }
                            }
                        }
                    }
                    fieldset class="wide" {
                        legend { "Columns" }
                        @for column in Column::ALL {
                            label class="box" {
                                input type="checkbox" name="column" value=(column.name()) checked[view.shown().contains(&column)];
                                (column.title())
                            }
                        }
                    }
                }
            }
            p class="buttons" {
                button type="submit" { "Search" }
                a href="/events" { "Clear" }
                span class="spans" {
                    @for (from, text) in SPANS {
                        a href=(view.link("/events", |view| { from.clone_into(&mut view.from); view.to.clear(); }))
                            aria-current=[(view.from == from && view.to.is_empty()).then_some("true")] { (text) }
                    }
                }
            }
        }
    }
}

fn first<'a>(view: &'a View, name: &str) -> &'a str {
    let mut values = view.attributes.iter().filter(|(known, _)| *known == name);
    values.next().map_or("", |(_, value)| value.as_str())
}

/// What is asked, each part with a way to be without it.
fn chips(view: &View) -> Markup {
    if view.attributes.is_empty() && view.conditions.is_empty() {
        return html! {};
    }
    html! {
        ul class="chips" aria-label="Filters" {
            @for (place, (name, value)) in view.attributes.iter().enumerate() {
                li { a href=(view.link("/events", |view| { view.attributes.remove(place); })) aria-label=(format!("without {name} {value}")) {
                    code { (name) " = " bdi { (value) } } " ×"
                } }
            }
            @for (place, one) in view.conditions.iter().enumerate() {
                li {
                    @if one.is_or { "or " }
                    a href=(view.link("/events", |view| { view.remove_condition(place); })) aria-label=(format!("without {}", one.text)) {
                        code { bdi { (one.text) } } " ×"
                    }
                }
            }
        }
    }
}

fn found(view: &View, answer: &LookupEventsResponse) -> Markup {
    let stats = answer.stats.unwrap_or_default();
    html! {
        (searched(&answer.scopes, view.start_second()))
        form method="get" action="/compare" {
            (table(view, &answer.events))
            div class="below" {
                button type="submit" disabled[answer.events.len() < 2] { "Compare those that are ticked" }
                @if !answer.next_page_token.is_empty() {
                    a class="next" rel="next" href=(view.next(&answer.next_page_token)) { "Next page" }
                }
                span class="faint" {
                    (count(i64::try_from(answer.events.len()).unwrap_or(i64::MAX), "event", "events")) " here, "
                    (count(stats.upstream_calls, "request", "requests")) " to AWS spent"
                }
                span {
                    "Download: "
                    a href=(download(view, "csv", false)) { "CSV" } " · "
                    a href=(download(view, "json", false)) { "JSON" }
                    " of this page; "
                    a href=(download(view, "csv", true)) { "CSV" } " · "
                    a href=(download(view, "json", true)) { "JSON" }
                    " of all"
                }
                // Insights events are told by no subscription
                @if !view.is_insight { a href=(view.link("/live", |_| ())) { "Follow live" } }
            }
        }
    }
}

fn download(view: &View, form: &str, is_all: bool) -> String {
    let link = match is_all {
        true => view.link("/download", |_| ()),
        false => {
            let page = view.same_page();
            let token = page.page.clone();
            page.link("/download", |view| view.page = token)
        }
    };
    let sign = if link.contains('?') { '&' } else { '?' };
    let all = if is_all { "&all=yes" } else { "" };
    format!("{link}{sign}as={form}{all}")
}

/// Where an event's details are.
pub(in super::super) fn details(event: &Event) -> String {
    format!("/event?{}", which(event))
}

/// Which event it is, as a query.
fn which(event: &Event) -> String {
    let mut out = form_urlencoded::Serializer::new(String::new());
    out.append_pair("id", &event.event_id)
        .append_pair("account", &event.account_id)
        .append_pair("region", &event.region);
    if event.event_category == "Insight" {
        out.append_pair("category", "insight");
    }
    out.finish()
}

fn table(view: &View, events: &[Event]) -> Markup {
    html! {
        div class="wide-table" tabindex="0" role="region" aria-label="Events" {
            table {
                thead { tr {
                    th scope="col" { span class="hidden" { "Compare" } }
                    @for column in view.shown() { th scope="col" { (column.title()) } }
                } }
                tbody id="events" { @for event in events { (row(view, event)) } }
            }
        }
        @if events.is_empty() { p class="nothing" { "No events here match." } }
    }
}

/// A row; clicking a value shows only events that have it.
pub(in super::super) fn row(view: &View, event: &Event) -> Markup {
    html! {
        tr class=[(!event.error_code.is_empty()).then_some("failed")] {
            td { @if !event.event_id.is_empty() { input type="checkbox" name="event" value=(which(event)) aria-label=(format!("Compare {}", event.event_name)); } }
            @for (place, column) in view.shown().iter().enumerate() { (cell(view, *column, event, is_way(view, place))) }
        }
    }
}

/// Whether the column at this place leads to an event's details: one of its usual two,
/// or the first.
fn is_way(view: &View, place: usize) -> bool {
    let is_usual = |column: &Column| matches!(column, Column::Time | Column::Id);
    match view.shown().iter().any(is_usual) {
        true => view.shown().get(place).is_some_and(is_usual),
        false => place == 0,
    }
}

/// A cell. Fifty rows of them are most of a page: each sign counts.
fn cell(view: &View, column: Column, event: &Event, is_way: bool) -> Markup {
    let text = column.text(event);
    let only = |field: &str| view.link("", |view| view.narrow(field, &text));
    html! {
        @match (column, column.field(event)) {
            // one without an id cannot be asked for
            (Column::Time | Column::Id, _) if event.event_id.is_empty() => td class="time" { (text) },
            (Column::Time | Column::Id, _) => td class="time" { a href=(details(event)) { (text) } },
            _ if is_way && !event.event_id.is_empty() => td { a href=(details(event)) { @if text.is_empty() { "details" } @else { bdi { (text) } } } },
            (Column::Error, Some(field)) if !text.is_empty() => td class="error" { a href=(only(field)) { bdi { (text) } } },
            (_, Some(field)) if !text.is_empty() => td { a href=(only(field)) { bdi { (text) } } },
            _ if text.is_empty() => td {},
            _ => td { bdi { (text) } },
        }
    }
}
