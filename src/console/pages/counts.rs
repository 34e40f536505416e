//! How many events there are: over time, and by what they have.

use axum::{
    extract::{RawQuery, State},
    response::{IntoResponse, Response},
};
use jiff::{SignedDuration, Timestamp};
use maud::{Markup, html};

use super::super::{
    Console,
    columns::time,
    layout::{Html, refusal, searched, status},
    view::{COUNTED, View, count, number},
    who::Calls,
};
use crate::proto::v1::{SearchState, SummarizeEventsResponse, TimeBucket, TopValues, ValueCount};

/// The size of the picture, in its own units.
const WIDTH: usize = 960;
const HEIGHT: usize = 96;

pub(in super::super) async fn fragment(
    State(console): State<Console>,
    calls: Calls,
    RawQuery(query): RawQuery,
) -> Response {
    let view = View::parse(&query.unwrap_or_default(), console.clock.now());
    let asked = calls.visitor.summarize(view.summary()).await;
    match asked {
        Ok(answer) => Html(counts(&view, &answer)).into_response(),
        Err(refused) => (status(refused.code), Html(refusal(&refused))).into_response(),
    }
}

fn counts(view: &View, answer: &SummarizeEventsResponse) -> Markup {
    let is_short = answer
        .scopes
        .iter()
        .any(|scope| scope.state() != SearchState::Complete);
    html! {
        @if is_short {
            (searched(&answer.scopes, view.start_second()))
            @if !view.counts_all {
                p { a href=(view.link("/events", |view| view.counts_all = true)) { "Count all of it" } " (each request to AWS takes from the account's quota)" }
            }
        }
        (histogram(view, answer))
        div class="tops" {
            @for top in &answer.top { (values(view, top)) }
        }
    }
}

fn seconds(bucket: &TimeBucket) -> i64 {
    bucket.start_time.as_ref().map_or(0, |time| time.seconds)
}

/// A bar for each bucket; each is a way into its time.
fn histogram(view: &View, answer: &SummarizeEventsResponse) -> Markup {
    let length = answer.bucket.as_ref().map_or(0, |bucket| bucket.seconds);
    let most = answer
        .buckets
        .iter()
        .map(|bucket| bucket.count)
        .max()
        .unwrap_or(0)
        .max(1);
    let bars = answer.buckets.len().max(1);
    let bars = answer.buckets.iter().enumerate().map(|(place, bucket)| {
        let x = place * WIDTH / bars;
        let width = ((place + 1) * WIDTH / bars - x).max(2) - 1;
        let full = i64::try_from(HEIGHT).unwrap_or(i64::MAX);
        // what is there is seen, however little it is
        let height =
            (bucket.count.saturating_mul(full) / most).max(i64::from(bucket.count > 0) * 2);
        (x, width, height, full - height, bucket)
    });
    let (first, last) = (answer.buckets.first(), answer.buckets.last());
    html! {
        figure class="histogram" {
            svg viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) preserveAspectRatio="none" role="group" aria-label="Events over time" {
                @for (x, width, height, y, bucket) in bars {
                    a href=(into(view, bucket, length)) {
                        title { (time(&bucket.start_time.unwrap_or_default())) ": " (number(bucket.count)) @if bucket.is_partial { " or more" } }
                        rect class="ground" x=(x) y="0" width=(width) height=(HEIGHT) {}
                        rect class=(if bucket.is_partial { "bar partial" } else { "bar" }) x=(x) y=(y) width=(width) height=(height) {}
                    }
                }
            }
            figcaption {
                @if let (Some(first), Some(last)) = (first, last) {
                    span { (time(&first.start_time.unwrap_or_default())) }
                    span { (count(answer.event_count, "event", "events")) }
                    span { (Timestamp::from_second(seconds(last) + length).map_or_else(|_| String::new(), |at| at.strftime("%Y-%m-%d %H:%M:%S").to_string())) }
                } @else { span { "No events" } }
            }
        }
    }
}

/// The view of one bucket's time.
fn into(view: &View, bucket: &TimeBucket, length: i64) -> String {
    let from = Timestamp::from_second(seconds(bucket)).unwrap_or(Timestamp::UNIX_EPOCH);
    // both ends of a window are searched
    let to = from
        .checked_add(SignedDuration::from_secs((length - 1).max(0)))
        .unwrap_or(from);
    view.link("/events", |view| view.zoom(from, to))
}

fn values(view: &View, top: &TopValues) -> Markup {
    let title = COUNTED.iter().find(|(field, _)| *field == top.field);
    html! {
        section {
            h2 { (title.map_or(top.field.as_str(), |(_, title)| title)) }
            ol {
                @for value in &top.values {
                    li {
                        a href=(view.link("/events", |view| narrow(view, &top.field, value))) { bdi { (value.value) } @if value.is_cut { "…" } }
                        span class="count" { (number(value.count)) }
                    }
                }
            }
            @if top.values.is_empty() { p class="faint" { "none" } }
            @if top.is_truncated { p class="faint" { "and others" } }
        }
    }
}

/// Shows only events with this value; of one that was cut, those that begin so.
fn narrow(view: &mut View, field: &str, value: &ValueCount) {
    match value.is_cut {
        true => view.narrow_to_cut(field, &value.value),
        false => view.narrow(field, &value.value),
    }
}
