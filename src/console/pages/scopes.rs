//! Scopes: how each does, what of it is held, and what it has left of its quota.

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use maud::{Markup, html};
use prost_types::Timestamp;

use super::super::{
    Console,
    columns::time,
    view::{count, number},
    who::Calls,
};
use crate::proto::v1::{
    CollectorState, HeldSpan, ListScopesRequest, Scope, ScopeCoverage, ScopeState,
};

/// The days of history that AWS keeps.
const DAYS: i64 = 90;
/// The width of the picture of coverage, in its own units: a day is ten.
const WIDTH: i64 = DAYS * 10;

pub(in super::super) async fn page(State(console): State<Console>, calls: Calls) -> Response {
    let answer = match calls.visitor.scopes(ListScopesRequest::default()).await {
        Ok(answer) => answer,
        Err(refusal) => return console.refused(&refusal),
    };
    let now = console.clock.now().as_second();
    let content = html! {
        h1 { "Scopes" }
        p class="faint" { "An account and a Region each. The picture is of the last " (DAYS) " days, the newest to the right: what of them is held, and answered without asking AWS." }
        div class="wide-table" tabindex="0" role="region" aria-label="Scopes" {
            table {
                thead { tr {
                    @for head in ["Account", "Region", "State", "Quota", "Requests", "Collector", "Held", "Coverage"] { th scope="col" { (head) } }
                } }
                tbody { @for scope in &answer.scopes { (row(scope, now)) } }
            }
        }
    };
    console.page("Scopes", "/scopes", &content).into_response()
}

fn row(scope: &Scope, now: i64) -> Markup {
    let is_bad = matches!(
        scope.state(),
        ScopeState::Denied | ScopeState::Failing | ScopeState::Throttled
    );
    let coverage = scope.coverage.clone().unwrap_or_default();
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
            td { (count(coverage.events, "event", "events")) br; span class="faint" { (number(coverage.bytes / 1024)) " KiB in " (count(coverage.stretches, "stretch", "stretches")) } }
            td { @if !coverage.spans.is_empty() { (picture(&coverage, now)) } }
        }
    }
}

/// What is held of the time that AWS keeps; the fuller a bar, the more of its time.
fn picture(coverage: &ScopeCoverage, now: i64) -> Markup {
    let start = now - DAYS * 86_400;
    let place = |second: i64| ((second - start).clamp(0, DAYS * 86_400)) * WIDTH / (DAYS * 86_400);
    let at = |time: Option<Timestamp>| time.unwrap_or_default().seconds;
    let bar = |span: &HeldSpan| {
        let (from, to) = (at(span.start_time), at(span.end_time));
        let share = span.seconds.saturating_mul(10) / (to - from).max(1);
        let (x, end) = (place(from), place(to));
        // a minute is seen, too, and where it is
        let width = (end - x).max(2);
        (x.min(WIDTH - width), width, share.clamp(1, 10))
    };
    let said = |at: &Option<Timestamp>| at.as_ref().map(time).unwrap_or_default();
    let held = format!(
        "{} of {DAYS} days held, in {}, between {} and {}",
        days(coverage.seconds),
        count(coverage.stretches, "stretch", "stretches"),
        said(&coverage.oldest_time),
        said(&coverage.newest_time),
    );
    html! {
        svg class="coverage" viewBox=(format!("0 0 {WIDTH} 10")) preserveAspectRatio="none" role="img" aria-label=(held) {
            title { (held) }
            rect class="ground" x="0" y="0" width=(WIDTH) height="10" {}
            @for (x, width, height) in coverage.spans.iter().map(bar) {
                rect class="bar" x=(x) y=(10 - height) width=(width) height=(height) {}
            }
        }
    }
}

/// Seconds as days, to a hundredth.
fn days(seconds: i64) -> String {
    let hundredths = seconds.saturating_mul(100) / 86_400;
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
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
