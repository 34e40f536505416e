//! One event: what it says, its record, and what happened beside it.

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, PreEscaped, html};

use super::super::{
    Console, columns::Column, json::marked, layout::searched, view::View, who::Calls,
};
use crate::{
    grpc::{self, Refusal},
    proto::v1::{Event, EventCategory, EventView, GetEventRequest, GetEventResponse},
};

/// How long before and after it its neighbours happened.
const BESIDE: SignedDuration = SignedDuration::from_hours(1);

/// Which event a query says.
pub(super) fn which(query: &str) -> GetEventRequest {
    let mut request = GetEventRequest {
        view: EventView::Full.into(),
        ..GetEventRequest::default()
    };
    for (name, value) in form_urlencoded::parse(query.as_bytes()) {
        match &*name {
            "id" => request.event_id = value.into_owned(),
            "account" if !value.is_empty() => request.account_ids.push(value.into_owned()),
            "region" if !value.is_empty() => request.regions.push(value.into_owned()),
            "category" if value == "insight" => {
                request.event_category = EventCategory::Insight.into();
            }
            _ => {}
        }
    }
    request
}

/// The event that a query says, with its record if that may be seen.
pub(super) async fn get(visitor: grpc::Visitor, query: &str) -> Result<GetEventResponse, Refusal> {
    let mut request = which(query);
    match visitor.clone().get(request.clone()).await {
        Err(refusal) if refusal.is_for_record() => {
            request.view = EventView::Basic.into();
            visitor.get(request).await
        }
        answer => answer,
    }
}

pub(in super::super) async fn page(
    State(console): State<Console>,
    calls: Calls,
    RawQuery(query): RawQuery,
) -> Response {
    let answer = match get(calls.visitor, &query.unwrap_or_default()).await {
        Ok(answer) => answer,
        Err(refusal) => return console.refused(&refusal),
    };
    let event = answer.event.unwrap_or_default();
    let content = html! {
        h1 { bdi { (event.event_name) } }
        (searched(&answer.scopes, None))
        (neighbours(&event, console.clock.now()))
        (fields(&event))
        (record(&event))
    };
    console
        .page(&event.event_name, "/events", &content)
        .into_response()
}

fn fields(event: &Event) -> Markup {
    let identity = event.identity.clone().unwrap_or_default();
    let identity = [
        ("Identity type", identity.r#type),
        ("Principal", identity.principal_id),
        ("Role", identity.role_name),
        ("Session", identity.session_name),
        ("Invoked by", identity.invoked_by),
    ];
    html! {
        dl class="event" {
            @for column in Column::ALL {
                @let text = column.text(event);
                @if !text.is_empty() && column != Column::Resources { dt { (column.title()) } dd { bdi { (text) } } }
            }
            @for (name, text) in identity {
                @if !text.is_empty() { dt { (name) } dd { bdi { (text) } } }
            }
            @for resource in &event.resources {
                dt { "Resource" } dd { @if !resource.r#type.is_empty() { span class="faint" { (resource.r#type) } " " } bdi { (resource.name) } }
            }
        }
    }
}

fn record(event: &Event) -> Markup {
    html! {
        h2 { "Record" }
        @if event.record_redacted { p class="notice" { "Parts of it are taken out: you may not see them." } }
        @if event.record_malformed { p class="notice" { "It is not JSON as it should be, and is shown as it came." } }
        @if event.record.is_empty() {
            p class="faint" { "None, or you may not see it." }
        } @else {
            p { button type="button" data-copy="record" { "Copy" } " " span class="faint" { "Copies it as AWS wrote it." } }
            pre class="record" id="record" tabindex="0" data-text=(exactly(&event.record)) { code { (marked(&event.record)) } }
        }
    }
}

/// A text as an attribute has it: a browser takes carriage returns for line feeds.
fn exactly(text: &str) -> Markup {
    PreEscaped(html! { (text) }.into_string().replace('\r', "&#13;"))
}

/// Ways to what happened around it.
fn neighbours(event: &Event, now: Timestamp) -> Markup {
    let seconds = event.event_time.as_ref().map_or(0, |time| time.seconds);
    let at = Timestamp::from_second(seconds).unwrap_or(now);
    let around = |field: &str, value: &str| {
        let (from, to) = (at.checked_sub(BESIDE), at.checked_add(BESIDE));
        View::default().link("/events", |view| {
            view.zoom(from.unwrap_or(at), to.unwrap_or(at));
            view.narrow(field, value);
            // a name is one of its account, and each other scope is paid for
            if matches!(field, "Username" | "ResourceName") {
                view.accounts.push(event.account_id.clone());
            }
        })
    };
    let identity = event.identity.clone().unwrap_or_default();
    let is_session = event.access_key_id.starts_with("ASIA");
    let ways = [
        (!event.username.is_empty()).then(|| ("Same user", around("Username", &event.username))),
        (!event.access_key_id.is_empty()).then(|| {
            let name = if is_session {
                "Same session"
            } else {
                "Same access key"
            };
            (name, around("AccessKeyId", &event.access_key_id))
        }),
        (!identity.arn.is_empty()).then(|| ("Same ARN", around("userIdentity.arn", &identity.arn))),
        (!event.source_ip_address.is_empty()).then(|| {
            (
                "Same address",
                around("sourceIPAddress", &event.source_ip_address),
            )
        }),
        (!event.shared_event_id.is_empty()).then(|| {
            (
                "Same call in other accounts",
                around("sharedEventID", &event.shared_event_id),
            )
        }),
    ];
    let named = event
        .resources
        .iter()
        .filter(|resource| !resource.name.is_empty());
    html! {
        nav class="neighbours" aria-label="Within an hour of it" {
            span class="faint" { "Within an hour of it: " }
            @for (name, link) in ways.into_iter().flatten() { a href=(link) { (name) } " " }
            // a call may name hundreds
            @for resource in named.take(3) {
                a href=(around("ResourceName", &resource.name)) { "Same resource " bdi { (resource.name) } } " "
            }
        }
    }
}
