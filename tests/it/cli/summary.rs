//! How many events there were.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use trailgate::proto::v1::{
    ScopeStatus, SearchState, Stats, SummarizeEventsResponse, TimeBucket, TopValues, ValueCount,
};

use super::gateway::{Gateway, ended, scope, trailgate};

const START: i64 = 1_714_953_600;

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

/// Hours with so many events each, and who caused them.
fn answer(hours: &[i64], state: SearchState, reason: &str, from: i64) -> SummarizeEventsResponse {
    let buckets = hours.iter().enumerate().map(|(hour, count)| TimeBucket {
        start_time: at(START + 3600 * i64::try_from(hour).unwrap()),
        count: *count,
        is_partial: reason == "QUOTA_EXHAUSTED",
    });
    let total: i64 = hours.iter().sum();
    let values = [("alice", total - 1), ("=HYPERLINK(1)", 1)].map(|(value, count)| ValueCount {
        value: value.to_owned(),
        count,
        is_cut: false,
    });
    SummarizeEventsResponse {
        buckets: buckets.collect(),
        top: vec![TopValues {
            field: "Username".to_owned(),
            values: values.to_vec(),
            distinct_values: 5,
            events_without: 4,
            ..TopValues::default()
        }],
        scopes: vec![ScopeStatus {
            searched_from: at(from),
            searched_to: at(START + 86_399),
            ..scope("eu-west-1", state, reason)
        }],
        stats: Some(Stats {
            upstream_calls: 2,
            ..Stats::default()
        }),
        event_count: total,
        bucket: Some(prost_types::Duration {
            seconds: 3600,
            nanos: 0,
        }),
    }
}

fn whole() -> SummarizeEventsResponse {
    answer(&[30, 0, 0, 0, 0, 10], SearchState::Complete, "", START)
}

#[tokio::test]
async fn a_summary_is_drawn_and_counted() {
    let (gateway, address) = Gateway::start([]).await;
    gateway.script().summaries.push_back(Ok(whole()));
    let args = [
        "summary",
        "--start",
        "2024-05-06",
        "--end",
        "2024-05-06",
        "--bucket",
        "1h",
        "--user",
        "alice",
        "--top",
        "Username",
        "--top-values",
        "2",
        "--ascii",
        "--region",
        "eu-west-1",
    ];
    let (code, out, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let bar = |length| "#".repeat(length);
    assert_eq!(
        out.lines().collect::<Vec<_>>(),
        [
            "40 events",
            "",
            &format!("2024-05-06 00:00  30  {}", bar(58)),
            "(4 empty)",
            &format!("2024-05-06 05:00  10  {}", bar(19)),
            "",
            "Username         EVENTS     %",
            "alice                39  97.5",
            "=HYPERLINK(1)         1   2.5",
            "(3 more values)",
            "(no value)            4  10.0",
        ]
    );
    let asked = gateway.script().summarized.remove(0);
    assert_eq!(
        (asked.start_time, asked.end_time),
        (at(START), at(START + 86_399))
    );
    assert_eq!(asked.bucket.unwrap().seconds, 3600);
    assert_eq!(
        (asked.top_fields, asked.top_values),
        (vec!["Username".to_owned()], 2)
    );
    assert_eq!(asked.regions, ["eu-west-1"]);
    assert_eq!(asked.filters[0].matches[0].values, ["alice"]);
}

#[tokio::test]
async fn a_summary_for_programs_has_all_of_it() {
    let (gateway, address) = Gateway::start([]).await;
    gateway
        .script()
        .summaries
        .extend([Ok(whole()), Ok(whole())]);
    let args = ["summary", "-o", "csv"];
    let (code, out, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let lines: Vec<_> = out.lines().collect();
    assert_eq!(
        lines[..2],
        [
            "kind,field,value,count,share,note",
            "bucket,,2024-05-06T00:00:00Z,30,75.0,"
        ]
    );
    assert_eq!(lines[8], "top,Username,'=HYPERLINK(1),1,2.5,");
    assert_eq!(lines[9..], ["without,Username,,4,10.0,"]);
    let (code, out, _) = ended(&mut trailgate(address, &["summary", "-o", "json"])).await;
    assert_eq!(code, Some(0));
    let read: serde_json::Value = serde_json::from_str(&out).unwrap();
    assert_eq!(read["event_count"], 40);
    assert_eq!(read["buckets"][5]["start_time"], "2024-05-06T05:00:00Z");
    assert_eq!(read["top"][0]["values"][1]["value"], "=HYPERLINK(1)");
    assert_eq!(read["scopes"][0]["state"], "SEARCH_STATE_COMPLETE");
    let asked = gateway.script().summarized.remove(0);
    assert_eq!(
        asked.top_fields,
        ["EventName", "Username", "errorCode", "sourceIPAddress"]
    );
}

#[tokio::test]
async fn a_summary_is_asked_for_until_all_is_searched() {
    let (gateway, address) = Gateway::start([]).await;
    let part = |from| Ok(answer(&[1], SearchState::Partial, "DEADLINE", from));
    gateway
        .script()
        .summaries
        .extend([part(START + 60), part(START + 30), Ok(whole())]);
    let (code, out, err) = ended(&mut trailgate(address, &["summary"])).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert!(out.starts_with("40 events\n"), "{out}");
    let ends: Vec<_> = gateway
        .script()
        .summarized
        .iter()
        .map(|r| r.end_time)
        .collect();
    assert_eq!(
        ends,
        [None, at(START + 86_399), at(START + 86_399)],
        "one window"
    );
}

#[tokio::test]
async fn each_answer_is_one_by_itself() {
    let (gateway, address) = Gateway::start([]).await;
    let mut first = answer(&[1], SearchState::Partial, "DEADLINE", START + 60);
    first.scopes.push(scope(
        "eu-west-2",
        SearchState::Failed,
        "UPSTREAM_UNAVAILABLE",
    ));
    let mut last = whole();
    last.scopes
        .push(scope("eu-west-2", SearchState::Complete, ""));
    gateway.script().summaries.extend([Ok(first), Ok(last)]);
    let (code, _, err) = ended(&mut trailgate(address, &["summary"])).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn what_the_cache_has_no_room_for_is_not_bought_for_ever() {
    let (gateway, address) = Gateway::start([]).await;
    let part = |from| Ok(answer(&[1], SearchState::Partial, "DEADLINE", from));
    let far = [60, 30, 50, 30, 40, 35].map(|from| part(START + from));
    gateway.script().summaries.extend(far);
    let (code, out, err) = ended(&mut trailgate(address, &["summary"])).await;
    assert_eq!(code, Some(2));
    assert!(out.starts_with("1 event"), "{out}");
    assert!(
        err.contains("--cache-size") && err.contains("was only searched back to"),
        "{err}"
    );
    assert_eq!(gateway.script().summarized.len(), 2 + 3);
}

#[tokio::test]
async fn what_was_not_counted_is_said() {
    let (gateway, address) = Gateway::start([]).await;
    let mut failed = whole();
    failed.scopes.push(scope(
        "eu-west-2",
        SearchState::Failed,
        "UPSTREAM_ACCESS_DENIED",
    ));
    let stuck = || {
        Ok(answer(
            &[1],
            SearchState::Partial,
            "QUOTA_EXHAUSTED",
            START + 60,
        ))
    };
    let details = ErrorDetails::with_bad_request_violation("top_fields[0]", "unknown field");
    let refused = Status::with_error_details(Code::InvalidArgument, "no", details);
    gateway.script().summaries.push_back(Ok(failed));
    let (code, out, err) = ended(&mut trailgate(address, &["summary"])).await;
    assert_eq!(code, Some(2));
    assert!(out.starts_with("40 events"), "{out}");
    assert_eq!(
        err,
        "trailgate: 111122223333/eu-west-2 was not searched: UPSTREAM_ACCESS_DENIED\n"
    );
    // asked again as often as may help, not for ever
    gateway.script().summaries.extend((0..9).map(|_| stuck()));
    let (code, _, err) = ended(&mut trailgate(address, &["summary"])).await;
    assert_eq!(code, Some(2));
    assert!(
        err.contains("eu-west-1 was only searched back to 2024-05-06T00:01:00Z"),
        "{err}"
    );
    assert_eq!(gateway.script().summarized.len(), 1 + 4);
    gateway.script().summaries = [Err(refused)].into();
    let (code, out, err) = ended(&mut trailgate(address, &["summary", "--top", "usrname"])).await;
    assert_eq!((code, out.as_str()), (Some(64), ""));
    assert_eq!(err, "trailgate: --top usrname: unknown field\n");
}
