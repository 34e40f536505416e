//! Lookups of all events.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use tokio::{
    io::{AsyncBufReadExt, BufReader},
    net::{TcpListener, TcpStream},
    process::Command,
    sync::Notify,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};
use trailgate::proto::v1::{
    EventView, ExportEventsResponse, Order, ScopeStatus, SearchState, Stats,
};

use super::gateway::{Answer, Gateway, Sent, ended, ids, page, scope, trailgate};

/// Events a minute apart, the first of them at 01:00, going back.
fn batch(ids: std::ops::Range<u32>, token: &str) -> ExportEventsResponse {
    let mut events = page(ids, "").events;
    for event in &mut events {
        let id: i64 = event.event_id.parse().unwrap();
        event.event_time = at(3600 - id * 60);
    }
    ExportEventsResponse {
        events,
        next_page_token: token.to_owned(),
        stats: Some(Stats {
            upstream_calls: 1,
            ..Stats::default()
        }),
        ..ExportEventsResponse::default()
    }
}

fn at(seconds: i64) -> Option<prost_types::Timestamp> {
    Some(prost_types::Timestamp { seconds, nanos: 0 })
}

/// News of a scope that is searched back to this second.
fn reached(state: SearchState, reason: &str, from: i64, token: &str) -> ExportEventsResponse {
    let mut news = batch(0..0, token);
    news.scopes = vec![ScopeStatus {
        searched_from: at(from),
        searched_to: at(3600),
        ..scope("eu-west-1", state, reason)
    }];
    news
}

async fn gateway(streams: impl IntoIterator<Item = Vec<Sent>>) -> (Gateway, SocketAddr) {
    let (gateway, address) = Gateway::start([]).await;
    gateway.script().exports = Some(streams.into_iter().collect());
    (gateway, address)
}

#[tokio::test]
async fn all_events_come_in_one_stream() {
    let stream = || {
        vec![
            Sent::Batch(batch(0..2, "a")),
            Sent::Batch(reached(SearchState::Partial, "", 3000, "a")),
            Sent::Batch(batch(2..5, "b")),
            Sent::Batch(reached(SearchState::Complete, "", 0, "")),
        ]
    };
    let (gateway, address) = gateway([stream(), stream()]).await;
    let args = [
        "lookup",
        "--all",
        "-o",
        "jsonl",
        "--order",
        "oldest",
        "--user",
        "alice",
        "--end",
        "1970-01-01T01:00:00Z",
        "--max-staleness",
        "1500ms",
    ];
    let (code, out, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(ids(&out), [0, 1, 2, 3, 4]);
    let request = gateway.script().exported.remove(0);
    assert_eq!(request.order(), Order::OldestFirst);
    assert_eq!(request.view(), EventView::Full);
    assert_eq!(request.end_time, at(3600));
    assert_eq!(request.max_staleness.unwrap().nanos, 500_000_000);
    assert_eq!(request.filters[0].matches[0].values, ["alice"]);
    let args = ["lookup", "--all", "-o", "csv", "--columns", "id"];
    let (code, out, _) = ended(&mut trailgate(address, &args)).await;
    assert_eq!((code, out.as_str()), (Some(0), "id\n0\n1\n2\n3\n4\n"));
    assert!(gateway.lookups().is_empty());
}

#[tokio::test]
async fn a_gateway_without_exports_is_paged_through() {
    let pages = [page(0..2, "a"), page(2..3, "")].map(Answer::Page);
    let (gateway, address) = Gateway::start(pages).await;
    let (code, out, err) =
        ended(&mut trailgate(address, &["lookup", "--all", "-o", "jsonl"])).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(ids(&out), [0, 1, 2]);
    assert_eq!(gateway.lookups().len(), 2);
}

#[tokio::test]
async fn a_limit_on_requests_is_the_streams_to_keep() {
    let mut first = batch(0..2, "a");
    first.stats.as_mut().unwrap().upstream_calls = 3;
    let last = || {
        Sent::Batch(reached(
            SearchState::Partial,
            "UPSTREAM_CALL_LIMIT",
            60,
            "b",
        ))
    };
    let (gateway, address) = gateway([
        vec![Sent::Batch(first), Sent::Refuse(shutting_down())],
        vec![Sent::Batch(batch(2..4, "b")), last()],
    ])
    .await;
    let args = [
        "lookup",
        "--all",
        "--max-upstream-calls",
        "5",
        "-o",
        "jsonl",
    ];
    let (code, out, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!((code, ids(&out)), (Some(2), vec![0, 1, 2, 3]));
    assert!(
        err.contains("(--max-upstream-calls); go on with --end"),
        "{err}"
    );
    let script = gateway.script();
    let limits: Vec<_> = script
        .exported
        .iter()
        .map(|r| r.max_upstream_calls)
        .collect();
    assert_eq!(limits, [5, 2], "what was bought before it broke off counts");
}

fn shutting_down() -> Status {
    let details = ErrorDetails::with_error_info("SHUTTING_DOWN", "trailgate", []);
    Status::with_error_details(Code::Unavailable, "the server shuts down", details)
}

/// Passes one connection after the other on to `to`, and cuts each when told.
async fn cut(to: SocketAddr) -> (SocketAddr, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let knife = Arc::new(Notify::new());
    let falls = knife.clone();
    tokio::spawn(async move {
        while let Ok((mut from, _)) = listener.accept().await {
            let mut to = TcpStream::connect(to).await.unwrap();
            tokio::select! {
                _ = tokio::io::copy_bidirectional(&mut from, &mut to) => {}
                () = falls.notified() => {}
            }
        }
    });
    (address, knife)
}

#[tokio::test]
async fn what_breaks_off_is_taken_up_behind_the_last_token() {
    let (gateway, address) = gateway([
        vec![Sent::Batch(batch(0..2, "a")), Sent::Hang],
        vec![Sent::Batch(batch(2..4, "b")), Sent::Hang],
        vec![Sent::Batch(batch(4..5, ""))],
    ])
    .await;
    let (address, knife) = cut(address).await;
    let args = ["lookup", "--all", "-o", "jsonl"];
    let mut child = trailgate(address, &args).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut found = Vec::new();
    while let Some(line) = lines.next_line().await.unwrap() {
        found.extend(ids(&line));
        // what was written was received
        if matches!(found.len(), 2 | 4) {
            knife.notify_one();
        }
    }
    assert_eq!(found, [0, 1, 2, 3, 4]);
    let output = child.wait_with_output().await.unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
    let script = gateway.script();
    let tokens: Vec<_> = script.exported.iter().map(|r| &*r.page_token).collect();
    assert_eq!(tokens, ["", "a", "b"]);
}

#[tokio::test]
async fn a_refusal_with_a_wait_is_taken_up_and_not_for_ever() {
    let busy = || {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(1)));
        let status = Status::with_error_details(Code::ResourceExhausted, "drained", details);
        Sent::Refuse(status)
    };
    let (gateway, address) = gateway(
        [vec![Sent::Batch(batch(0..2, "a")), busy()], vec![busy()]]
            .into_iter()
            .chain([vec![Sent::Batch(batch(2..3, "b")), busy()]])
            .chain((0..9).map(|_| vec![busy()])),
    )
    .await;
    let (code, out, err) = ended(&mut trailgate(address, &["lookup", "--all", "-o", "json"])).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("drained [RESOURCE_EXHAUSTED]"), "{err}");
    let events: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(events.len(), 3, "what came is whole");
    // the streams that got somewhere do not count
    assert_eq!(gateway.script().exported.len(), 3 + 5);
}

#[tokio::test]
async fn what_ends_for_good_says_where_the_output_ends() {
    let news = reached(SearchState::Partial, "", 0, "a");
    let (gateway, address) = gateway([vec![
        Sent::Batch(news),
        Sent::Batch(batch(0..2, "b")),
        Sent::Refuse(Status::internal("gone")),
    ]])
    .await;
    let (code, out, err) =
        ended(&mut trailgate(address, &["lookup", "--all", "-o", "jsonl"])).await;
    assert_eq!((code, ids(&out)), (Some(1), vec![0, 1]));
    assert_eq!(gateway.script().exported.len(), 1);
    assert!(
        err.ends_with("there may be more events; go on with --end 1970-01-01T00:59:00Z (events of that second may come again)\n"),
        "not from where the search was, which had not been sent: {err}"
    );
}

#[tokio::test]
async fn what_breaks_behind_the_last_response_is_no_loss() {
    let (gateway, address) = gateway([vec![
        Sent::Batch(batch(0..2, "")),
        Sent::Refuse(shutting_down()),
    ]])
    .await;
    let (code, out, err) =
        ended(&mut trailgate(address, &["lookup", "--all", "-o", "jsonl"])).await;
    assert_eq!((code, ids(&out), err.as_str()), (Some(0), vec![0, 1], ""));
    assert_eq!(gateway.script().exported.len(), 1);
}

#[tokio::test]
async fn what_an_export_did_not_search_is_said() {
    let (_, address) = gateway([vec![
        Sent::Batch(batch(0..1, "a")),
        Sent::Batch(reached(SearchState::Partial, "QUOTA_EXHAUSTED", 60, "")),
    ]])
    .await;
    let (code, out, err) =
        ended(&mut trailgate(address, &["lookup", "--all", "-o", "jsonl"])).await;
    assert_eq!((code, ids(&out)), (Some(2), vec![0]));
    assert!(
        err.contains("eu-west-1 was only searched back to 1970-01-01T00:01:00Z"),
        "{err}"
    );
}

#[tokio::test]
async fn an_interrupted_export_says_how_to_go_on() {
    let (gateway, address) = gateway([vec![
        Sent::Batch(batch(0..3, "a")),
        Sent::Batch(reached(SearchState::Partial, "", 1800, "a")),
        Sent::Hang,
    ]])
    .await;
    let mut child = trailgate(address, &["lookup", "--all", "-o", "jsonl"])
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..3 {
        assert!(lines.next_line().await.unwrap().is_some());
    }
    gateway.asked.notified().await;
    let kill = format!("kill -INT {}", child.id().unwrap());
    let killed = Command::new("sh")
        .args(["-c", &kill])
        .status()
        .await
        .unwrap();
    assert!(killed.success());
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output());
    let output = output.await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(130));
    let err = String::from_utf8(output.stderr).unwrap();
    assert!(
        err.contains("interrupted; there may be more events"),
        "{err}"
    );
}

#[tokio::test]
async fn a_reader_that_has_enough_of_an_export_is_no_failure() {
    let (_, address) = gateway([vec![Sent::Endless(batch(0..10, "a"))]]).await;
    let args = ["lookup", "--all", "-o", "csv"];
    let mut child = trailgate(address, &args).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(
        lines
            .next_line()
            .await
            .unwrap()
            .unwrap()
            .starts_with("time,event,")
    );
    drop(lines);
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output());
    let output = output.await.expect("it ends").unwrap();
    assert_eq!((output.status.code(), output.stderr), (Some(0), Vec::new()));
}
