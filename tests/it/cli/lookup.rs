//! Searches that go well, and what they write.

use std::time::Duration;

use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    process::Command,
};
use trailgate::proto::v1::{
    Estimate, EventView, LookupEventsRequest, LookupEventsResponse, Match, Operator, SearchState,
};

use super::gateway::{Answer, Gateway, ended, ids, page, scope, trailgate};

#[tokio::test]
async fn a_lookup_pages_to_its_end_past_empty_pages() {
    let (gateway, address) = Gateway::start([
        Answer::Page(page(0..2, "a")),
        Answer::Page(page(0..0, "b")),
        Answer::Page(page(2..3, "")),
    ])
    .await;
    let args = [
        "lookup",
        "-o",
        "jsonl",
        "--user",
        "alice",
        "--user",
        "bob",
        "--read-only=false",
        "--where",
        "userIdentity.type != AWSService",
        "--or",
        r"requestParameters.a\.b exists",
        "--start",
        "2024-05-06",
        "--end",
        "2024-05-06",
        "--account",
        "111122223333",
        "--max-staleness",
        "0",
    ];
    let (code, out, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(ids(&out), [0, 1, 2]);
    assert!(
        out.starts_with(r#"{"event_id":"0","record":{"n": 0}}"#),
        "{out}"
    );

    let asked = gateway.lookups();
    let tokens: Vec<_> = asked.iter().map(|request| &*request.page_token).collect();
    assert_eq!(tokens, ["", "a", "b"]);
    let request = &asked[0];
    assert_eq!(request.start_time.unwrap().seconds, 1_714_953_600);
    assert_eq!(request.end_time.unwrap().seconds, 1_715_039_999);
    assert_eq!(request.account_ids, ["111122223333"]);
    assert_eq!(request.max_staleness.unwrap().seconds, 0);
    assert_eq!(request.view(), EventView::Full);
    assert_eq!(request.page_size, 100);
    let one = |field: &str, operator: Operator, values: &[&str], negate| Match {
        field: field.to_owned(),
        operator: operator.into(),
        values: values.iter().map(|&value| value.to_owned()).collect(),
        negate,
        ignore_case: false,
    };
    let user = one("Username", Operator::Equals, &["alice", "bob"], false);
    let read_only = one("ReadOnly", Operator::Equals, &["false"], false);
    let filters: Vec<_> = request.filters.iter().map(|f| f.matches.clone()).collect();
    assert_eq!(
        filters,
        [
            vec![
                user.clone(),
                read_only.clone(),
                one("userIdentity.type", Operator::Equals, &["AWSService"], true),
            ],
            vec![
                user,
                read_only,
                one(r"requestParameters.a\.b", Operator::Exists, &[], false),
            ],
        ]
    );
}

#[tokio::test]
async fn a_lookup_stops_at_its_limit_and_says_so() {
    let mut last = page(2..5, "more");
    last.scopes = vec![scope("eu-west-1", SearchState::Partial, "DEADLINE")];
    let (gateway, address) =
        Gateway::start([Answer::Page(page(0..2, "a")), Answer::Page(last)]).await;
    let args = ["lookup", "--limit", "3", "-o", "json", "--page-size", "2"];
    let (code, out, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(err.contains("stopped at --limit"), "{err}");
    assert!(
        !err.contains("eu-west-1"),
        "partial is no news at a limit: {err}"
    );
    let events: Vec<serde_json::Value> = serde_json::from_str(&out).unwrap();
    assert_eq!(events.len(), 3);
    let sizes: Vec<_> = gateway.lookups().iter().map(|r| r.page_size).collect();
    assert_eq!(sizes, [2, 1]);
}

#[tokio::test]
async fn the_limit_on_requests_holds_over_all_pages() {
    let (gateway, address) = Gateway::start([Answer::Endless]).await;
    let args = ["lookup", "--limit", "all", "--max-upstream-calls", "3"];
    let (code, out, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!(code, Some(2), "{err}");
    assert!(err.contains("--max-upstream-calls"), "{err}");
    assert_eq!(out.lines().count(), 31, "a header and ten events a page");
    let calls: Vec<_> = gateway
        .lookups()
        .iter()
        .map(|r| r.max_upstream_calls)
        .collect();
    assert_eq!(calls, [3, 2, 1]);
}

#[tokio::test]
async fn a_reader_that_has_enough_is_no_failure() {
    let (_, address) = Gateway::start([Answer::Endless]).await;
    let args = ["lookup", "-o", "jsonl", "--limit", "all"];
    let mut child = trailgate(address, &args).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    assert!(lines.next_line().await.unwrap().is_some());
    drop(lines);
    let status = tokio::time::timeout(Duration::from_secs(60), child.wait());
    assert_eq!(status.await.expect("it ends").unwrap().code(), Some(0));
    let mut err = String::new();
    let mut stderr = child.stderr.take().unwrap();
    stderr.read_to_string(&mut err).await.unwrap();
    assert_eq!(err, "");
}

#[tokio::test]
async fn an_interrupted_search_gives_what_it_found() {
    let (gateway, address) = Gateway::start([Answer::Page(page(0..1, "a")), Answer::Hang]).await;
    let child = trailgate(address, &["lookup", "-o", "json"])
        .spawn()
        .unwrap();
    while gateway.lookups().len() < 2 {
        gateway.asked.notified().await;
    }
    let kill = format!("kill -INT {}", child.id().unwrap());
    assert!(
        Command::new("sh")
            .args(["-c", &kill])
            .status()
            .await
            .unwrap()
            .success()
    );
    let output = tokio::time::timeout(Duration::from_secs(60), child.wait_with_output());
    let output = output.await.expect("it ends").unwrap();
    assert_eq!(output.status.code(), Some(130));
    let events: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(events.len(), 1);
}

#[tokio::test]
async fn a_table_has_the_columns_that_were_chosen() {
    let mut found = page(7..8, "");
    found.events[0].error_message = "Failed authentication".to_owned();
    let (_, address) = Gateway::start([Answer::Page(found)]).await;
    let args = ["lookup", "--columns", "id,error"];
    let (code, out, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    let rows: Vec<Vec<_>> = out
        .lines()
        .map(|line| line.split_whitespace().collect())
        .collect();
    assert_eq!(
        rows,
        [vec!["ID", "ERROR"], vec!["7", "Failed", "authentication"]]
    );
}

#[tokio::test]
async fn csv_has_a_header_and_runs_nothing() {
    let found = || {
        let mut found = page(7..8, "");
        found.events[0].error_message = "a \"b\",\nc".to_owned();
        found.events[0].user_agent = "=cmd|' /C calc'!A0".to_owned();
        Answer::Page(found)
    };
    let (gateway, address) = Gateway::start([found(), found(), Answer::Page(page(0..0, ""))]).await;
    let args = ["lookup", "-o", "csv", "--columns", "id,message,agent"];
    let (code, out, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "id,message,agent\n7,\"a \"\"b\"\",\nc\",'=cmd|' /C calc'!A0\n"
    );
    let args = [
        "lookup",
        "-o",
        "csv",
        "--csv-raw",
        "--columns",
        "agent,record",
    ];
    let (code, out, _) = ended(&mut trailgate(address, &args)).await;
    assert_eq!(code, Some(0));
    assert_eq!(out, "agent,record\n=cmd|' /C calc'!A0,\"{\"\"n\"\": 7}\"\n");
    let views: Vec<_> = gateway
        .lookups()
        .iter()
        .map(LookupEventsRequest::view)
        .collect();
    assert_eq!(views, [EventView::Basic, EventView::Full]);

    let (code, out, _) = ended(&mut trailgate(address, &["lookup", "-o", "csv"])).await;
    assert_eq!(code, Some(0));
    assert_eq!(
        out,
        "time,event,source,who,account,region,address,error,message,read-only,resource,id,key,agent,arn\n"
    );
}

#[tokio::test]
async fn an_estimate_is_no_search() {
    let estimated = || {
        Answer::Page(LookupEventsResponse {
            estimate: Some(Estimate {
                upstream_calls: 4,
                duration: Some(prost_types::Duration {
                    seconds: 2,
                    nanos: 0,
                }),
                window_upstream_calls: 40,
                window_duration: Some(prost_types::Duration {
                    seconds: 20,
                    nanos: 0,
                }),
            }),
            ..LookupEventsResponse::default()
        })
    };
    let (gateway, address) = Gateway::start([estimated(), estimated()]).await;
    let args = ["lookup", "--estimate", "--since", "1d", "--limit", "20"];
    let (code, out, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(
        out,
        "the first page: about 4 requests to AWS, 2 s\nall pages: about 40 requests to AWS, 20 s\n"
    );
    let args = ["lookup", "--estimate", "-o", "json"];
    let (code, out, _) = ended(&mut trailgate(address, &args)).await;
    assert_eq!(code, Some(0));
    assert_eq!(
        out,
        "{\"upstream_calls\":4,\"duration_seconds\":2.0,\"window_upstream_calls\":40,\"window_duration_seconds\":20.0}\n"
    );
    let asked = gateway.lookups();
    assert!(asked.iter().all(|request| request.estimate_only));
    assert_eq!(asked[0].page_size, 20);
}
