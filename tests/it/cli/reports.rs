//! What is said on stderr of a search.

use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};
use trailgate::proto::v1::{SearchState, Stats};

use super::gateway::{Answer, Gateway, ended, ids, page, scope, searched, trailgate};

#[tokio::test]
async fn what_was_not_searched_is_said_and_in_the_exit_code() {
    let mut first = page(0..1, "a");
    first.scopes = vec![
        scope("eu-west-1", SearchState::Failed, "UPSTREAM_ACCESS_DENIED"),
        scope("eu-west-2", SearchState::Partial, "DEADLINE"),
    ];
    let mut last = page(1..2, "");
    last.scopes = vec![scope("eu-west-2", SearchState::Complete, "")];
    let (_, address) = Gateway::start([Answer::Page(first), Answer::Page(last)]).await;
    let (code, out, err) = ended(&mut trailgate(address, &["lookup", "-o", "jsonl"])).await;
    assert_eq!(code, Some(2), "{err}");
    assert_eq!(ids(&out), [0, 1], "what was found is given all the same");
    assert_eq!(
        err,
        "trailgate: 111122223333/eu-west-1 was not searched: UPSTREAM_ACCESS_DENIED\n"
    );
}

#[tokio::test]
async fn nothing_found_is_told_with_what_may_be_wrong() {
    let whole = || Answer::Page(searched(SearchState::Complete, "", 0, 3600));
    let (gateway, address) = Gateway::start([whole(), whole()]).await;
    let args = [
        "lookup",
        "--event-source",
        "s3",
        "-i",
        "--where",
        "eventName = Get*",
        "--where",
        "requestParameters.buketName=b",
    ];
    let (code, out, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!((code, out.as_str()), (Some(0), ""), "{err}");
    let lines: Vec<_> = err.lines().collect();
    assert_eq!(
        lines[0],
        "trailgate: no events from 1970-01-01T00:00:00Z to 1970-01-01T01:00:00Z in 1 scope"
    );
    assert!(lines[1].contains("did you mean s3.amazonaws.com?"), "{err}");
    assert!(lines[2].contains("eventName like Get*"), "{err}");
    assert!(
        lines[3].contains("had requestParameters.buketName"),
        "{err}"
    );
    assert_eq!(lines.len(), 4, "{err}");
    let request = gateway.lookups().remove(0);
    assert!(request.filters[0].matches.iter().all(|one| one.ignore_case));

    let (code, out, err) = ended(&mut trailgate(address, &["lookup", "-o", "json"])).await;
    assert_eq!((code, out.as_str(), err.as_str()), (Some(0), "[]\n", ""));
}

#[tokio::test]
async fn where_a_search_ended_is_told_in_options() {
    let partial = |reason| Answer::Page(searched(SearchState::Partial, reason, 60, 3600));
    let before = searched(SearchState::Complete, "BEFORE_HISTORY", 3600, 7200);
    let (_, address) = Gateway::start([
        partial("UPSTREAM_CALL_LIMIT"),
        partial("QUOTA_EXHAUSTED"),
        Answer::Page(before),
    ])
    .await;
    let (code, _, err) = ended(&mut trailgate(address, &["lookup", "-o", "jsonl"])).await;
    assert_eq!(code, Some(2));
    assert!(
        err.contains("only searched back to 1970-01-01T00:01:00Z"),
        "{err}"
    );
    assert!(
        err.ends_with(
            "; go on with --end 1970-01-01T00:01:00Z (events of that second may come again)\n"
        ),
        "{err}"
    );
    let args = ["lookup", "-o", "jsonl", "--order", "oldest"];
    let (code, _, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!(code, Some(2));
    assert!(
        err.ends_with(
            "; go on with --start 1970-01-01T01:00:00Z (events of that second may come again)\n"
        ),
        "{err}"
    );
    let args = ["lookup", "-o", "jsonl", "--start", "1970-01-01"];
    let (code, _, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!(code, Some(2));
    assert_eq!(
        err,
        "trailgate: history starts at 1970-01-01T01:00:00Z; nothing earlier was searched\n"
    );
}

#[tokio::test]
async fn a_long_search_says_how_far_it_is_and_how_broad() {
    let mut first = searched(SearchState::Partial, "DEADLINE", 60, 3600);
    first.next_page_token = "a".to_owned();
    first.stats = Some(Stats {
        upstream_calls: 9,
        ..Stats::default()
    });
    let (_, address) = Gateway::start([Answer::Page(first), Answer::Hang]).await;
    let args = ["lookup", "--where", "errorCode exists"];
    let mut child = trailgate(address, &args).spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines();
    let mut next = async || {
        let line = tokio::time::timeout(Duration::from_secs(60), lines.next_line());
        line.await.expect("a line comes").unwrap().unwrap()
    };
    assert_eq!(
        next().await,
        "trailgate: AWS cannot be asked by these conditions: all history is read, fifty events a request, two requests a second and scope at AWS's pace; narrow it with --since"
    );
    assert_eq!(
        next().await,
        "trailgate: searched back to 1970-01-01T00:01:00Z, 0 events found, 9 requests bought"
    );
}
