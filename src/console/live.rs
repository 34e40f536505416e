//! Live: a subscription, as it comes.

use std::{convert::Infallible, time::Duration};

use axum::{
    extract::{RawQuery, State},
    http::HeaderMap,
    response::{
        IntoResponse, Response,
        sse::{Event as Message, Sse},
    },
};
use futures_util::{Stream, StreamExt, stream};
use maud::html;
use prost::Message as _;
use serde::Serialize;
use sha2::{Digest, Sha256};

use super::{Console, columns::time, layout::unread, pages::events::row, view::View, who::Calls};
use crate::{
    grpc::{Refusal, Told},
    proto::v1::{Event, SubscribeEventsResponse, subscribe_events_response::Payload},
};

/// How long one answer goes on: the port serves a connection for half a minute. A
/// browser comes again by itself, and says the token that it was told last.
const LENGTH: Duration = Duration::from_secs(25);
/// How soon it comes again.
const AGAIN: Duration = Duration::from_millis(200);
/// The same where there are too many already.
const LATER: Duration = Duration::from_secs(5);
/// The longest token that a browser is told: it comes back in a head of 16 KiB at
/// most. Of a longer one, the one before goes on, and what was shown since comes
/// again.
const MAX_TOKEN: usize = 8 * 1024;

pub(super) async fn page(State(console): State<Console>, RawQuery(query): RawQuery) -> Response {
    let mut view = View::parse(&query.unwrap_or_default(), console.clock.now());
    if view.is_insight {
        view.is_insight = false;
        let why =
            "category=insight: Insights events are not told live; management events are shown";
        view.unread.push(why.to_owned());
    }
    let content = html! {
        h1 { "Live" }
        (unread(&view.unread))
        div id="live" data-src=(view.link("/live/stream", |_| ())) {
            p class="buttons" {
                button type="button" id="pause" aria-pressed="false" { "Pause" }
                a href=(view.link("/events", |_| ())) { "Filter" }
                button type="submit" form="compare" { "Compare those that are ticked" }
                span id="state" role="status" { "connecting" }
                span class="faint" id="watermark" {}
            }
            ul id="gaps" class="notice bad" hidden aria-label="Gaps" {}
            form id="compare" method="get" action="/compare" {
                div class="wide-table" tabindex="0" role="region" aria-label="Events" {
                    table {
                        thead { tr {
                            th scope="col" { span class="hidden" { "Compare" } }
                            @for column in view.shown() { th scope="col" { (column.title()) } }
                        } }
                        tbody id="events" {}
                    }
                }
            }
            noscript { p class="notice" { "Live events need the page's script; Event history does not." } }
        }
    };
    console.page("Live", "/live", &content).into_response()
}

/// What a message has; the script puts it where it belongs.
#[derive(Debug, Default, Serialize)]
struct Said {
    /// Rows, the newest first.
    #[serde(skip_serializing_if = "String::is_empty")]
    rows: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    ids: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    gap: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    watermark: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    refused: String,
}

pub(super) async fn stream(
    State(console): State<Console>,
    calls: Calls,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
) -> Response {
    let query = query.unwrap_or_default();
    let view = View::parse(&query, console.clock.now());
    let token = headers.get("last-event-id");
    let token = token
        .and_then(|token| token.to_str().ok())
        .map(str::to_owned);
    // a page that opens a stream anew has no such header
    let said = form_urlencoded::parse(query.as_bytes());
    let mut said = said.filter(|(name, value)| name == "token" && !value.is_empty());
    let token = token.or_else(|| said.next().map(|(_, token)| token.into_owned()));
    // it may begin late on a connection that pages were fetched by
    calls.by.takes_time();
    let told = calls.visitor.subscribe(view.subscription(token)).await;
    let messages = match told {
        Ok(told) => messages(view, told).left_stream(),
        Err(refusal) => stream::iter([Ok(refused(&refusal))]).right_stream(),
    };
    Sse::new(messages).into_response()
}

fn messages(
    view: View,
    told: Told<SubscribeEventsResponse>,
) -> impl Stream<Item = Result<Message, Infallible>> {
    let begin = Message::default().retry(AGAIN).comment("it begins");
    let messages = told.map(move |told| match told {
        Ok(told) => message(&view, told),
        Err(refusal) => refused(&refusal),
    });
    let messages = messages.take_until(tokio::time::sleep(LENGTH));
    stream::iter([begin]).chain(messages).map(Ok)
}

fn refused(refusal: &Refusal) -> Message {
    // those that pass are come back from: the browser does so when an answer ends
    let passes = matches!(
        refusal.code,
        "UNAVAILABLE" | "DEADLINE_EXCEEDED" | "CANCELLED"
    );
    let said = Said {
        refused: refusal.message.clone(),
        ..Said::default()
    };
    match (passes, refusal.code) {
        (true, _) => Message::default().comment("it goes on"),
        // whoever has its share of them closes another first
        (false, "RESOURCE_EXHAUSTED") => Message::default().retry(LATER).comment(&refusal.message),
        (false, _) => data(&said),
    }
}

/// What an event is the same by that a restart tells again. A correction is another, and
/// whoever writes records chooses their ids.
fn same(event: &Event) -> String {
    let event = Event {
        // another collector may tell it
        origin: 0,
        ..event.clone()
    };
    let digest = Sha256::digest(event.encode_to_vec());
    digest
        .iter()
        .take(12)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

fn message(view: &View, told: SubscribeEventsResponse) -> Message {
    let said = match told.payload {
        Some(Payload::Batch(batch)) => Said {
            ids: batch.events.iter().rev().map(same).collect(),
            rows: html! { @for event in batch.events.iter().rev() { (row(view, event)) } }
                .into_string(),
            ..Said::default()
        },
        Some(Payload::Gap(gap)) => Said {
            gap: format!(
                "{} {}: {} ({})",
                gap.account_id, gap.region, gap.message, gap.reason
            ),
            ..Said::default()
        },
        Some(Payload::Progress(progress)) => {
            let marks = progress
                .watermarks
                .iter()
                .filter_map(|mark| mark.watermark.as_ref());
            let least = marks.min_by_key(|time| time.seconds);
            Said {
                watermark: least
                    .map_or_else(String::new, |at| format!("all told up to {} UTC", time(at))),
                ..Said::default()
            }
        }
        None => Said::default(),
    };
    match told.resume_token.len() <= MAX_TOKEN {
        true => data(&said).id(told.resume_token),
        false => data(&said),
    }
}

fn data(said: &Said) -> Message {
    // JSON has no line breaks of its own, and escapes those of texts
    Message::default().data(serde_json::to_string(said).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_are_the_same_by_all_that_is_told_of_them_but_who_told() {
        let event = |id: &str, name: &str, origin| Event {
            event_id: id.to_owned(),
            event_name: name.to_owned(),
            origin,
            ..Event::default()
        };
        let of = |event: &Event| same(event);
        assert_eq!(of(&event("a", "X", 1)), of(&event("a", "X", 2)));
        // a correction, and those without an id
        assert_ne!(of(&event("a", "X", 1)), of(&event("a", "Y", 1)));
        assert_ne!(of(&event("", "X", 1)), of(&event("", "Y", 1)));
    }
}
