//! What pages have in common.

use axum::{
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use maud::{DOCTYPE, Markup, html};

use super::{
    assets::{ICON_AT, REPORTS_STYLE_AT, SCRIPT_AT, STYLE_AT},
    columns::time,
};
use crate::{
    grpc::Refusal,
    proto::v1::{ScopeStatus, SearchState},
};

/// The pages that the head leads to.
const PAGES: [(&str, &str); 3] = [
    ("/events", "Event history"),
    ("/live", "Live"),
    ("/scopes", "Scopes"),
];
/// One more, where there are reports.
const REPORTS: (&str, &str) = ("/reports", "Reports");

/// HTML, as an answer.
pub(super) struct Html(pub(super) Markup);

impl IntoResponse for Html {
    fn into_response(self) -> Response {
        let Self(markup) = self;
        let kind = [(header::CONTENT_TYPE, "text/html; charset=utf-8")];
        (kind, markup.into_string()).into_response()
    }
}

/// A page; `here` is the one of [`PAGES`] that it belongs to.
pub(super) fn page(has_reports: bool, title: &str, here: &str, content: &Markup) -> Html {
    let pages = PAGES.into_iter().chain(has_reports.then_some(REPORTS));
    Html(html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta name="color-scheme" content="light dark";
                title { (title) " · trailgate" }
                link rel="stylesheet" href=(STYLE_AT);
                @if here == REPORTS.0 { link rel="stylesheet" href=(REPORTS_STYLE_AT); }
                // without it browsers ask for one by another name
                link rel="icon" href=(ICON_AT) type="image/svg+xml";
                script src=(SCRIPT_AT) defer {}
            }
            body {
                a class="skip" href="#content" { "Skip to the content" }
                header {
                    span class="name" { "trailgate" }
                    nav aria-label="Pages" {
                        @for (path, name) in pages {
                            a href=(path) aria-current=[(path == here).then_some("page")] { (name) }
                        }
                    }
                }
                main id="content" { (content) }
            }
        }
    })
}

/// Why a question was not answered.
pub(super) fn refusal(refusal: &Refusal) -> Markup {
    html! {
        div class="notice bad" role="alert" {
            strong { "Not answered: " }
            (refusal.message)
            @if let Some(field) = refusal.field.as_ref().filter(|field| !refusal.message.starts_with(field.as_str())) {
                " (" code { (field) } ")"
            }
            @if !refusal.reason.is_empty() { " " span class="faint" { (refusal.reason) } }
        }
    }
}

/// The status that a browser is told.
pub(super) fn status(code: &str) -> StatusCode {
    match code {
        "INVALID_ARGUMENT" | "OUT_OF_RANGE" | "FAILED_PRECONDITION" => StatusCode::BAD_REQUEST,
        "UNAUTHENTICATED" => StatusCode::UNAUTHORIZED,
        "PERMISSION_DENIED" => StatusCode::FORBIDDEN,
        // there is no such page here
        "NOT_FOUND" | "UNIMPLEMENTED" => StatusCode::NOT_FOUND,
        "RESOURCE_EXHAUSTED" => StatusCode::TOO_MANY_REQUESTS,
        "UNAVAILABLE" => StatusCode::SERVICE_UNAVAILABLE,
        "DEADLINE_EXCEEDED" => StatusCode::GATEWAY_TIMEOUT,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// What of a URL could not be read.
pub(super) fn unread(unread: &[String]) -> Markup {
    html! {
        @if !unread.is_empty() {
            div class="notice bad" role="alert" {
                strong { "Not applied: " }
                "the rest of this address is, but these parts of it could not be read"
                ul { @for part in unread { li { code { (part) } } } }
            }
        }
    }
}

/// Why a scope is searched in part where a page has all that it may have.
const PAGE_FULL: &str = "PAGE_FULL";

/// Why the time before a scope's history is not searched.
const BEFORE_HISTORY: &str = "BEFORE_HISTORY";
/// How much later than was asked for a scope's history may start without a word, in
/// seconds: it goes on while a page is read.
const APART: i64 = 300;

/// Whether a search left something out of what was asked for from this second on. Where a
/// page is full, the next one goes on.
pub(super) fn is_short(scope: &ScopeStatus, from: Option<i64>) -> bool {
    scope.state() != SearchState::Complete && !is_paged(scope) || is_forgotten(scope, from)
}

/// Whether AWS keeps no more of what was asked for from this second on.
fn is_forgotten(scope: &ScopeStatus, from: Option<i64>) -> bool {
    scope.reason == BEFORE_HISTORY
        && match (&scope.searched_from, from) {
            (Some(searched), Some(from)) => searched.seconds > from.saturating_add(APART),
            _ => true,
        }
}

fn is_paged(scope: &ScopeStatus) -> bool {
    scope.state() == SearchState::Partial
        && matches!(scope.reason.as_str(), PAGE_FULL | "OTHER_SCOPES")
}

/// What was not searched of what was asked for, and how fresh the rest is.
pub(super) fn searched(scopes: &[ScopeStatus], asked_from: Option<i64>) -> Markup {
    // of a page that ends early, all that it holds back, but for what the next one has
    let is_incomplete = |scope: &&ScopeStatus| {
        scope.state() != SearchState::Complete && scope.reason != PAGE_FULL
            || is_forgotten(scope, asked_from)
    };
    let short: Vec<_> = match scopes.iter().any(|scope| is_short(scope, asked_from)) {
        true => scopes.iter().filter(is_incomplete).collect(),
        false => Vec::new(),
    };
    // what is recent says how fresh it all is
    let as_of = scopes.iter().filter_map(|scope| {
        let recent = scope.unsettled_as_of.as_ref();
        recent.or(scope.as_of.as_ref())
    });
    let as_of = as_of.min_by_key(|time| time.seconds);
    let unproven = scopes.iter().filter_map(|it| it.unproven_before.as_ref());
    let unproven = unproven.max_by_key(|time| time.seconds);
    html! {
        @if let Some(unproven) = unproven {
            p class="notice" {
                "Events before " (time(unproven)) " are those that were loaded into the archive: "
                "nothing proves that they are all."
            }
        }
        @if !short.is_empty() {
            div class="notice bad" role="alert" {
                strong { "Not all was searched: " }
                (short.len()) " of " (scopes.len()) " scopes are missing or were searched in part"
                ul {
                    @for scope in short {
                        li {
                            code { (scope.account_id) " " (scope.region) } " "
                            @match (&scope.searched_from, &scope.searched_to) {
                                (Some(from), Some(to)) if scope.state() != SearchState::Failed => {
                                    "searched from " (time(from)) " to " (time(to))
                                },
                                _ => "not searched",
                            }
                            ": " (scope.message) " " span class="faint" { (scope.reason) }
                        }
                    }
                }
            }
        } @else if let Some(as_of) = as_of {
            p class="faint" {
                @if scopes.iter().any(is_paged) { "Searched as far as this page goes" } @else { "All of it searched" }
                ", in " (scopes.len()) @if scopes.len() == 1 { " scope" } @else { " scopes" }
                ", as of " (time(as_of)) " UTC"
            }
        }
    }
}
