//! `SubscribeEvents` over a socket.

use std::{collections::BTreeSet, time::Duration};

use prost_types::Timestamp;
use tokio::time::timeout;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;
use trailgate::proto::v1::{
    EventFilter, EventView, ListScopesRequest, Match, SubscribeEventsRequest,
    SubscribeEventsResponse, scope_service_client::ScopeServiceClient,
    subscribe_events_request::Start, subscribe_events_response::Payload,
};

use super::server::{REGION, World, quiet, world};

/// Longer than anything here takes, for a machine under load.
const PATIENCE: Duration = Duration::from_secs(60);

type Stream = Streaming<SubscribeEventsResponse>;

fn from(seconds: i64) -> Option<Start> {
    Some(Start::StartTime(Timestamp { seconds, nanos: 0 }))
}

fn named(name: &str) -> Vec<EventFilter> {
    let matches = vec![Match {
        field: "EventName".to_owned(),
        values: vec![name.to_owned()],
        ..Match::default()
    }];
    vec![EventFilter { matches }]
}

impl World {
    async fn subscribe(&mut self, request: SubscribeEventsRequest) -> Result<Stream, Status> {
        let stream = self.client.subscribe_events(request).await?;
        Ok(stream.into_inner())
    }
}

async fn next(stream: &mut Stream) -> SubscribeEventsResponse {
    let next = timeout(PATIENCE, stream.message()).await.unwrap();
    next.unwrap().unwrap()
}

/// So many events, each told once, and the token behind them.
async fn events(stream: &mut Stream, count: usize) -> (BTreeSet<String>, String) {
    let mut found = BTreeSet::new();
    loop {
        let response = next(stream).await;
        match response.payload.unwrap() {
            Payload::Batch(batch) => {
                assert!(!response.may_repeat);
                for event in batch.events {
                    assert!(found.insert(event.record), "{}", event.event_id);
                }
            }
            Payload::Progress(_) => {}
            Payload::Gap(gap) => panic!("{gap:?}"),
        }
        if found.len() >= count {
            assert_eq!(found.len(), count);
            return (found, response.resume_token);
        }
    }
}

#[tokio::test]
async fn it_begins_with_how_to_resume_it_and_tells_what_arrives() {
    let mut world = world(quiet()).await;
    let before = world.happens(0, 30);
    let mut stream = world
        .subscribe(SubscribeEventsRequest::default())
        .await
        .unwrap();
    let first = next(&mut stream).await;
    assert!(!first.resume_token.is_empty() && first.resume_token.len() <= 16 * 1024);
    let Some(Payload::Progress(progress)) = first.payload else {
        panic!("{first:?}");
    };
    let [mark] = &progress.watermarks[..] else {
        panic!("{progress:?}");
    };
    assert_eq!(mark.region, REGION);
    let watermark = mark.watermark.as_ref().unwrap().seconds;
    assert!((world.now - 1000..world.now - 800).contains(&watermark));

    // what was there is known first
    loop {
        let scopes = ScopeServiceClient::new(world.channel.clone())
            .list_scopes(ListScopesRequest::default())
            .await
            .unwrap()
            .into_inner();
        let scope = &scopes.scopes[0];
        if scope.collector_state().as_str_name() == "COLLECTOR_STATE_COLLECTING" {
            assert!(scope.watermark.is_some());
            assert!(scope.lag.as_ref().unwrap().seconds >= 899);
            break;
        }
        tokio::task::yield_now().await;
    }
    let records: BTreeSet<_> = (1..=100).map(|number| world.happens(number, -1)).collect();
    let (found, _) = events(&mut stream, 100).await;
    assert_eq!(found, records);
    assert!(!found.contains(&before));
}

#[tokio::test]
async fn history_is_replayed_and_goes_over_into_what_is_live() {
    let mut world = world(quiet()).await;
    let mut wanted: BTreeSet<_> = (0..150)
        .map(|number| world.happens(number, 9_000 - i64::try_from(number).unwrap() * 60))
        .collect();
    let request = SubscribeEventsRequest {
        start: from(world.now - 9_000),
        max_batch_events: 40,
        ..SubscribeEventsRequest::default()
    };
    let mut stream = world.subscribe(request.clone()).await.unwrap();
    let (first, token) = events(&mut stream, 40).await;
    // another stream has the rest, and what comes meanwhile
    drop(stream);
    wanted.extend((200..300).map(|number| world.happens(number, -1)));
    let resumed = SubscribeEventsRequest {
        start: Some(Start::ResumeToken(token)),
        ..request
    };
    let mut stream = world.subscribe(resumed).await.unwrap();
    let (second, _) = events(&mut stream, wanted.len() - 40).await;
    assert!(first.is_disjoint(&second));
    assert_eq!(&first | &second, wanted);
}

#[tokio::test]
async fn filters_and_views_are_kept_to() {
    let mut world = world(quiet()).await;
    for number in 0..30 {
        world.happens(number, 100);
    }
    let request = SubscribeEventsRequest {
        filters: named("Name1"),
        view: EventView::Basic.into(),
        start: from(world.now - 1000),
        ..SubscribeEventsRequest::default()
    };
    let mut stream = world.subscribe(request).await.unwrap();
    let mut ids = BTreeSet::new();
    while ids.len() < 10 {
        if let Some(Payload::Batch(batch)) = next(&mut stream).await.payload {
            for event in batch.events {
                assert_eq!(
                    (event.event_name.as_str(), event.record.as_str()),
                    ("Name1", "")
                );
                assert!(ids.insert(event.event_id));
            }
        }
    }
}

#[tokio::test]
async fn what_cannot_be_subscribed_to_is_refused_with_the_field() {
    let mut world = world(quiet()).await;
    let mut stream = world
        .subscribe(SubscribeEventsRequest::default())
        .await
        .unwrap();
    let token = next(&mut stream).await.resume_token;
    let span = |seconds, nanos| Some(prost_types::Duration { seconds, nanos });
    let ok = SubscribeEventsRequest::default;
    for (request, field, reason) in [
        (
            SubscribeEventsRequest {
                start: from(world.now + 1000),
                ..ok()
            },
            "start_time",
            "INVALID_START_TIME",
        ),
        (
            SubscribeEventsRequest {
                start: Some(Start::ResumeToken("x".to_owned())),
                ..ok()
            },
            "resume_token",
            "INVALID_RESUME_TOKEN",
        ),
        (
            SubscribeEventsRequest {
                start: Some(Start::ResumeToken(token)),
                filters: named("Name1"),
                ..ok()
            },
            "resume_token",
            "INVALID_RESUME_TOKEN",
        ),
        (
            SubscribeEventsRequest {
                max_batch_events: 1001,
                ..ok()
            },
            "max_batch_events",
            "INVALID_BATCH_SIZE",
        ),
        (
            SubscribeEventsRequest {
                max_batch_events: -1,
                ..ok()
            },
            "max_batch_events",
            "INVALID_BATCH_SIZE",
        ),
        (
            SubscribeEventsRequest {
                max_batch_wait: span(-1, 0),
                ..ok()
            },
            "max_batch_wait",
            "INVALID_DURATION",
        ),
        (
            SubscribeEventsRequest {
                progress_interval: span(0, 1),
                ..ok()
            },
            "progress_interval",
            "INVALID_DURATION",
        ),
        (
            SubscribeEventsRequest {
                account_ids: vec!["999999999999".to_owned()],
                ..ok()
            },
            "account_ids[0]",
            "UNKNOWN_SCOPE",
        ),
        (
            SubscribeEventsRequest {
                filters: vec![EventFilter {
                    matches: vec![Match::default()],
                }],
                ..ok()
            },
            "filters[0].matches[0].field",
            "INVALID_FILTER",
        ),
    ] {
        let status = world.subscribe(request).await.err().unwrap();
        assert_eq!(status.code(), Code::InvalidArgument, "{status:?}");
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.reason, reason);
        let bad = status.get_details_bad_request().unwrap();
        assert_eq!(bad.field_violations[0].field, field, "{status:?}");
    }
}

#[tokio::test]
async fn a_shutdown_ends_the_stream_with_a_way_on() {
    let mut world = world(quiet()).await;
    let mut stream = world
        .subscribe(SubscribeEventsRequest::default())
        .await
        .unwrap();
    assert!(!next(&mut stream).await.resume_token.is_empty());
    world.stop_server.take().unwrap().send(()).unwrap();
    let last = next(&mut stream).await;
    assert!(matches!(last.payload, Some(Payload::Progress(_))));
    assert!(!last.resume_token.is_empty());
    let status = timeout(PATIENCE, stream.message())
        .await
        .unwrap()
        .unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let info = status.get_details_error_info().unwrap();
    assert_eq!(info.reason, "SHUTTING_DOWN");
    assert!(status.message().contains("resume_token"), "{status:?}");
}
