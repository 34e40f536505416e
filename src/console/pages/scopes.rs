//! Scopes: how each does, what of it is held, and what it has left of its quota.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};

use super::super::{
    Console, columns::time, layout::page as laid_out, refused, view::number, who::Calls,
};
use crate::proto::v1::{CollectorState, ListScopesRequest, Scope, ScopeState};

/// The days of history that AWS keeps.
const DAYS: i64 = 90;
/// The width of the picture of coverage, in its own units: a day is ten.
const WIDTH: i64 = DAYS * 10;

pub(in super::super) async fn page(State(console): State<Console>, calls: Calls) -> Response {
    let answer = match calls.visitor.scopes(ListScopesRequest::default()).await {
        Ok(answer) => answer,
        Err(refusal) => return refused(&refusal),
    };
    let now = console.clock.now().as_second();
    let content = html! {
        h1 { "Scopes" }
        p class="faint" { "An account and a Region each. The picture is of the last " (DAYS) " days: what lies between the oldest and the newest second held." }
        div class="wide-table" tabindex="0" role="region" aria-label="Scopes" {
            table {
                thead { tr {
                    @for head in ["Account", "Region", "State", "Quota", "Requests", "Collector", "Held", "Coverage"] { th scope="col" { (head) } }
                } }
                tbody { @for scope in &answer.scopes { (row(scope, now)) } }
            }
        }
    };
    laid_out("Scopes", "/scopes", &content).into_response()
}

fn row(scope: &Scope, now: i64) -> Markup {
    let is_bad = matches!(
        scope.state(),
        ScopeState::Denied | ScopeState::Failing | ScopeState::Throttled
    );
    let coverage = scope.coverage.unwrap_or_default();
    html! {
        tr class=[is_bad.then_some("failed")] {
            td { (scope.account_id) }
            td { (scope.region) }
            td {
                (state(scope.state()))
                @if !scope.last_error.is_empty() {
                    br; span class="faint" { (scope.last_error) @if let Some(at) = &scope.last_error_time { " at " (time(at)) } }
                }
            }
            td {
                @if scope.max_requests_per_second > 0.0 {
                    (format!("{:.2}", scope.requests_per_second)) " of " (format!("{:.2}", scope.max_requests_per_second)) " a second"
                } @else { "no meter" }
                @if scope.waiting_calls > 0 { br; span class="faint" { (number(scope.waiting_calls)) " waiting" } }
            }
            td { (number(scope.requests_bought)) @if scope.requests_throttled > 0 { br; span class="faint" { (number(scope.requests_throttled)) " throttled" } } }
            td {
                (collector(scope.collector_state()))
                @if let Some(at) = &scope.watermark { br; span class="faint" { "all told up to " (time(at)) } }
            }
            td { (number(coverage.events)) " events" br; span class="faint" { (number(coverage.bytes / 1024)) " KiB in " (number(coverage.stretches)) " stretches" } }
            td { @if let (Some(oldest), Some(newest)) = (&coverage.oldest_time, &coverage.newest_time) { (picture(oldest.seconds, newest.seconds, coverage.seconds, now)) } }
        }
    }
}

/// From the oldest to the newest second held, as far as AWS keeps history; the fuller
/// the bar, the more of that is held.
fn picture(oldest: i64, newest: i64, held: i64, now: i64) -> Markup {
    let start = now - DAYS * 86_400;
    let place = |second: i64| ((second - start).clamp(0, DAYS * 86_400)) * WIDTH / (DAYS * 86_400);
    let (x, end) = (place(oldest), place(newest));
    let span = (newest - oldest + 1).max(1);
    let share = (held.saturating_mul(10) / span).clamp(1, 10);
    let at = |seconds| time(&prost_types::Timestamp { seconds, nanos: 0 });
    let said = format!(
        "{held} seconds held between {} and {}",
        at(oldest),
        at(newest)
    );
    html! {
        svg class="coverage" viewBox=(format!("0 0 {WIDTH} 10")) preserveAspectRatio="none" role="img" aria-label=(said) {
            rect class="ground" x="0" y="0" width=(WIDTH) height="10" {}
            rect class="bar" x=(x) y=(10 - share) width=((end - x).max(4)) height=(share) {}
        }
    }
}

fn state(state: ScopeState) -> &'static str {
    match state {
        ScopeState::Unspecified => "",
        ScopeState::Ok => "answers",
        ScopeState::NotAsked => "not asked yet",
        ScopeState::Denied => "access denied",
        ScopeState::Failing => "failing",
        ScopeState::Throttled => "throttled",
    }
}

fn collector(state: CollectorState) -> &'static str {
    match state {
        CollectorState::Unspecified | CollectorState::None => "nobody subscribes",
        CollectorState::Starting => "starting",
        CollectorState::Collecting => "collecting",
        CollectorState::Overrun => "overrun: too busy for LookupEvents",
        CollectorState::Failing => "failing",
        CollectorState::Unverified => "unverified",
    }
}
