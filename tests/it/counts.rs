//! Summaries, the list of scopes and Insights events over real sockets.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt;
use trailgate::{
    client::Client,
    event::{LookupEvent, Scope},
    proto::v1::{
        self, EventCategory, ExportEventsRequest, GetEventRequest, ListScopesRequest,
        LookupEventsRequest, ScopeState, SummarizeEventsRequest,
    },
    simulator::{Fault, Faults},
};

use super::server::{ACCOUNT, REGION, World, filter, quiet, world};

const SOON: Duration = Duration::from_secs(30);

fn span(seconds: i64) -> Option<prost_types::Duration> {
    Some(prost_types::Duration { seconds, nanos: 0 })
}

impl World {
    fn api(&self) -> Client {
        Client::from_channel(self.channel.clone())
    }
}

#[tokio::test]
async fn a_summary_counts_by_time_and_by_value() {
    let world = world(quiet()).await;
    for i in 0..100 {
        world.happens(i, 60 + i as i64);
    }
    let request = SummarizeEventsRequest {
        bucket: span(60),
        top_fields: vec!["EventName".into(), "errorCode".into()],
        top_values: 2,
        ..SummarizeEventsRequest::default()
    };
    // ninety days of minutes
    let refused = world
        .api()
        .summarize(request.clone(), SOON)
        .await
        .unwrap_err();
    assert_eq!(
        refused.get_details_error_info().unwrap().reason,
        "INVALID_BUCKET"
    );
    let request = SummarizeEventsRequest {
        start_time: Some(prost_types::Timestamp {
            seconds: world.now - 3_600,
            nanos: 0,
        }),
        ..request
    };
    let answer = world.api().summarize(request, SOON).await.unwrap();
    assert_eq!(answer.event_count, 100);
    assert_eq!(answer.bucket, span(60));
    let mut expected = std::collections::BTreeMap::new();
    for i in 0..100 {
        *expected
            .entry((world.now - 60 - i).div_euclid(60) * 60)
            .or_insert(0) += 1;
    }
    let buckets = answer.buckets.iter();
    let buckets = buckets.map(|bucket| (bucket.start_time.unwrap().seconds, bucket.count));
    assert!(buckets.clone().count() >= 60);
    let full = buckets.filter(|(_, count)| *count > 0);
    assert!(full.eq(expected.into_iter()));
    let [names, errors] = &answer.top[..] else {
        panic!("two fields")
    };
    let values: Vec<_> = names
        .values
        .iter()
        .map(|v| (v.value.as_str(), v.count))
        .collect();
    assert_eq!(values, [("Name0", 34), ("Name1", 33)]);
    assert_eq!(
        (names.field.as_str(), names.distinct_values),
        ("EventName", 3)
    );
    assert_eq!((errors.events_without, errors.distinct_values), (100, 0));
    assert!(!names.is_truncated && names.uncounted == 0);
}

#[tokio::test]
async fn what_cannot_be_counted_is_refused_with_the_field() {
    let world = world(quiet()).await;
    let whole = SummarizeEventsRequest::default;
    let fields = |names: &[&str]| SummarizeEventsRequest {
        top_fields: names.iter().map(|&name| name.to_owned()).collect(),
        ..whole()
    };
    let odd = prost_types::Duration {
        seconds: 60,
        nanos: 1,
    };
    for (request, field) in [
        (fields(&["EventName", "errorcode"]), "top_fields[1]"),
        (fields(&["EventName"; 11]), "top_fields"),
        (
            SummarizeEventsRequest {
                top_values: -1,
                ..whole()
            },
            "top_values",
        ),
        (
            SummarizeEventsRequest {
                top_values: 1001,
                ..whole()
            },
            "top_values",
        ),
        (
            SummarizeEventsRequest {
                bucket: span(0),
                ..whole()
            },
            "bucket",
        ),
        (
            SummarizeEventsRequest {
                bucket: Some(odd),
                ..whole()
            },
            "bucket",
        ),
        (
            SummarizeEventsRequest {
                max_upstream_calls: -1,
                ..whole()
            },
            "max_upstream_calls",
        ),
        (
            SummarizeEventsRequest {
                regions: vec!["eu-west-9".into()],
                ..whole()
            },
            "regions[0]",
        ),
    ] {
        let error: Status = world.api().summarize(request, SOON).await.unwrap_err();
        assert_eq!(error.code(), Code::InvalidArgument, "{field}");
        let violations = error.get_details_bad_request().unwrap().field_violations;
        assert_eq!(violations[0].field, field);
    }
}

#[tokio::test]
async fn scopes_tell_what_is_held_and_how_they_stand() {
    let mut world = world(quiet()).await;
    for i in 0..70 {
        world.happens(i, 60 + i as i64);
    }
    let list = || world.api();
    let fresh = list()
        .list_scopes(ListScopesRequest::default(), SOON)
        .await
        .unwrap();
    assert_eq!(fresh.scopes.len(), 1);
    let scope = &fresh.scopes[0];
    assert_eq!(
        (scope.account_id.as_str(), scope.region.as_str()),
        (ACCOUNT, REGION)
    );
    assert_eq!(scope.state(), ScopeState::NotAsked);
    assert_eq!(scope.coverage, Some(v1::ScopeCoverage::default()));
    assert_eq!(world.simulator.stats().requests, 0);
    let request = LookupEventsRequest {
        page_size: 1000,
        ..LookupEventsRequest::default()
    };
    world.client.lookup_events(request).await.unwrap();
    let asked = world
        .api()
        .list_scopes(ListScopesRequest::default(), SOON)
        .await
        .unwrap();
    let scope = &asked.scopes[0];
    assert_eq!(scope.state(), ScopeState::Ok);
    assert_eq!(
        u64::try_from(scope.requests_bought).unwrap(),
        world.simulator.stats().requests
    );
    assert!(scope.last_success_time.unwrap().seconds >= world.now);
    assert_eq!(
        (scope.last_error.as_str(), scope.last_error_time),
        ("", None)
    );
    let coverage = scope.coverage.clone().unwrap();
    assert_eq!((coverage.events, coverage.stretches), (70, 1));
    let held = coverage.newest_time.unwrap().seconds - coverage.oldest_time.unwrap().seconds + 1;
    assert_eq!(coverage.seconds, held);
    let [span] = &coverage.spans[..] else {
        panic!("{:?}", coverage.spans);
    };
    assert_eq!(span.start_time, coverage.oldest_time);
    assert_eq!(
        span.end_time.unwrap().seconds,
        coverage.newest_time.unwrap().seconds + 1
    );
    assert_eq!(span.seconds, held);
    assert!(held >= 90 * 86_400 - 5 && coverage.bytes > 0);
    let other = ListScopesRequest {
        account_ids: vec!["999999999999".into()],
        ..ListScopesRequest::default()
    };
    let refused = world.api().list_scopes(other, SOON).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
}

#[tokio::test]
async fn an_end_before_all_of_history_is_said_to_be_that() {
    let mut world = world(quiet()).await;
    let request = v1::LookupEventsRequest {
        end_time: Some(prost_types::Timestamp {
            seconds: world.now - 100 * 86_400,
            nanos: 0,
        }),
        ..v1::LookupEventsRequest::default()
    };
    let answer = world.client.lookup_events(request).await.unwrap();
    let scope = &answer.into_inner().scopes[0];
    assert_eq!(scope.reason, "BEFORE_HISTORY");
    assert_eq!(scope.searched_from, None);
    assert_eq!(world.simulator.stats().requests, 0);
}

#[tokio::test]
async fn a_denied_scope_says_so_in_a_stable_word() {
    let mut options = quiet();
    options.faults = Faults::from_iter([Fault::Denied(REGION.into())]);
    let mut world = world(options).await;
    let refused = world
        .client
        .lookup_events(LookupEventsRequest::default())
        .await;
    assert_eq!(refused.unwrap_err().code(), Code::FailedPrecondition);
    let list = world
        .api()
        .list_scopes(ListScopesRequest::default(), SOON)
        .await
        .unwrap();
    let scope = &list.scopes[0];
    assert_eq!(scope.state(), ScopeState::Denied);
    assert_eq!(scope.last_error, "UPSTREAM_ACCESS_DENIED");
    let (since, until) = (scope.last_error_time.unwrap(), scope.denied_until.unwrap());
    assert!(since.seconds >= world.now && until.seconds > since.seconds);
    assert_eq!(scope.last_success_time, None);
}

#[tokio::test]
async fn insights_events_are_asked_for_by_category_in_every_call() {
    let mut world = world(quiet()).await;
    world.happens(1, 60);
    let id = "00000000-0000-4000-8000-000000000002";
    let record = format!(
        "{{\"eventID\":\"{id}\",\"eventCategory\":\"Insight\",\"eventType\":\"AwsCloudTrailInsight\",\"insightDetails\":{{\"state\":\"Start\"}}}}"
    );
    let event = LookupEvent {
        event_id: Some(id.into()),
        event_name: Some("RunInstances".into()),
        event_time: Some(world.now - 90),
        record: Some(record.clone()),
        ..LookupEvent::default()
    };
    world
        .simulator
        .insert(&Scope::new(ACCOUNT, REGION), event, None);
    let category = EventCategory::Insight.into();
    // Insights cannot be asked for by Username: it is evaluated here
    let filters = vec![filter("Username", v1::Operator::Exists, &[])];
    for (filters, expected) in [(vec![], 1), (filters, 0)] {
        let request = LookupEventsRequest {
            filters,
            event_category: category,
            ..LookupEventsRequest::default()
        };
        let page = world
            .client
            .lookup_events(request)
            .await
            .unwrap()
            .into_inner();
        assert_eq!(page.events.len(), expected);
        assert!(page.events.iter().all(|event| event.record == record));
    }
    let request = ExportEventsRequest {
        event_category: category,
        ..ExportEventsRequest::default()
    };
    let mut stream = world
        .client
        .export_events(request)
        .await
        .unwrap()
        .into_inner();
    let mut exported = Vec::new();
    while let Some(response) = stream.message().await.unwrap() {
        exported.extend(response.events);
    }
    assert_eq!(exported.len(), 1);
    assert_eq!(exported[0].event_category, "Insight");
    let request = SummarizeEventsRequest {
        event_category: category,
        top_fields: vec!["insightDetails.state".into()],
        ..SummarizeEventsRequest::default()
    };
    let summary = world.api().summarize(request, SOON).await.unwrap();
    assert_eq!(
        (summary.event_count, summary.top[0].values[0].value.as_str()),
        (1, "Start")
    );
    // an id is of one category; without a record in BASIC, else the same
    let request = GetEventRequest {
        event_id: id.into(),
        event_category: category,
        ..GetEventRequest::default()
    };
    let basic = GetEventRequest {
        view: v1::EventView::Basic.into(),
        ..request.clone()
    };
    let whole = world
        .client
        .get_event(request.clone())
        .await
        .unwrap()
        .into_inner();
    let bare = world.client.get_event(basic).await.unwrap().into_inner();
    let (mut whole, bare) = (whole.event.unwrap(), bare.event.unwrap());
    assert_eq!(std::mem::take(&mut whole.record), record);
    assert_eq!(whole, bare);
    let managed = GetEventRequest {
        event_category: EventCategory::Management.into(),
        ..request
    };
    let missing = world.client.get_event(managed).await.unwrap_err();
    assert_eq!(missing.code(), Code::NotFound);
}
