//! Calls that fail, and command lines that cannot be used.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
};
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::gateway::{Answer, Gateway, ended, ids, page, trailgate};

#[tokio::test]
async fn a_refusal_is_told_in_a_line_and_ends_the_array() {
    let details = ErrorDetails::with_error_info("INVALID_FILTER", "trailgate", []);
    let refusal = Status::with_error_details(Code::InvalidArgument, "what a field", details);
    let (_, address) =
        Gateway::start([Answer::Page(page(0..1, "a")), Answer::Refuse(refusal)]).await;
    let (code, out, err) = ended(&mut trailgate(address, &["lookup", "-o", "json"])).await;
    assert_eq!(code, Some(64));
    assert_eq!(err, "trailgate: what a field\n");
    assert_eq!(out, "[{\"event_id\":\"0\",\"record\":{\"n\": 0}}]\n");
}

#[tokio::test]
async fn a_bearable_wait_is_waited_for_and_not_for_ever() {
    let busy = || {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(1)));
        Answer::Refuse(Status::with_error_details(
            Code::ResourceExhausted,
            "no quota",
            details,
        ))
    };
    let (gateway, address) = Gateway::start([busy(), busy(), Answer::Page(page(0..1, ""))]).await;
    let (code, out, err) = ended(&mut trailgate(address, &["lookup", "-o", "jsonl"])).await;
    assert_eq!((code, err.as_str()), (Some(0), ""));
    assert_eq!(ids(&out), [0]);
    assert_eq!(gateway.lookups().len(), 3);

    let (gateway, address) = Gateway::start((0..10).map(|_| busy())).await;
    let (code, out, err) = ended(&mut trailgate(address, &["lookup"])).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("no quota [RESOURCE_EXHAUSTED]"), "{err}");
    assert!(err.contains("try again in 1 s"), "{err}");
    // short deadlines are no attempts of their own: then one, and five more
    let timeouts: Vec<_> = gateway.script().timeouts.clone();
    let seconds: Vec<_> = timeouts
        .iter()
        .map(|text| text.trim_end_matches("000000u"))
        .collect();
    assert_eq!(
        seconds,
        ["5", "10", "20", "30", "30", "30", "30", "30", "30"]
    );
}

#[tokio::test]
async fn what_cannot_be_asked_is_usage_and_where_nobody_answers_is_told() {
    let address = {
        // a port that was free a moment ago
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        listener.local_addr().unwrap()
    };
    let (code, _, err) = ended(&mut trailgate(address, &["lookup"])).await;
    assert_eq!(code, Some(1));
    assert!(
        err.contains(&format!("no gateway answers at http://{address}")),
        "{err}"
    );
    for args in [
        &["lookup", "--where", "eventName"][..],
        &["lookup", "--start", "yesterday"],
        &["lookup", "--start", "now", "--end", "-1h"],
        &["lookup", "--since", "1h", "--start", "-1h"],
        &["lookup", "--page-size", "1001"],
        &["lookup", "--endpoint", "localhost"],
        &["lookup", "--where", "eventName = A or eventName = B"],
        &["lookup", "--or", "errorCode == A"],
        &["lookup", "--columns", "time,nothing"],
        &["lookup", "--columns", "time", "-o", "json"],
        &["lookup", "--csv-raw"],
        &["lookup", "--all", "--limit", "5"],
        &["summary", "--bucket", "0s"],
        &["summary", "--top-values", "0"],
        &["summary", "--csv-raw"],
        &["summary", "--start", "now", "--end", "-1h"],
        &["scopes", "--csv-raw"],
        &["get"],
    ] {
        let (code, out, err) = ended(&mut trailgate(address, args)).await;
        assert_eq!((code, out.as_str()), (Some(64), ""), "{args:?}: {err}");
        assert!(!err.is_empty());
    }
}

#[tokio::test]
async fn a_condition_that_the_gateway_refuses_is_named_as_it_was_typed() {
    let refusal = |field: &str, why: &str| {
        let mut details = ErrorDetails::with_error_info("ANY", "trailgate", []);
        details.add_bad_request_violation(field, why);
        let message = format!("{field}: {why}");
        let status = Status::with_error_details(Code::InvalidArgument, message, details);
        Answer::Refuse(status)
    };
    let (_, address) = Gateway::start([
        refusal("filters[1].matches[1].field", "unknown field \"eventNmae\""),
        refusal("regions[0]", "\"mars\" is not configured here"),
    ])
    .await;
    let args = ["lookup", "--user", "u", "-w", "a=b", "--or", "eventNmae=X"];
    let (code, out, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!((code, out.as_str()), (Some(64), ""));
    assert_eq!(
        err,
        "trailgate: --or 'eventNmae=X': unknown field \"eventNmae\"\n"
    );
    let args = ["lookup", "--region", "mars"];
    let (code, _, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!(code, Some(64));
    assert_eq!(
        err,
        "trailgate: --region mars: \"mars\" is not configured here\n"
    );
}

#[tokio::test]
async fn what_is_no_gateway_and_what_is_gone_are_told_apart() {
    let (gateway, address) = Gateway::start([Answer::Page(page(0..1, "a")), Answer::Hang]).await;
    let endpoint = format!("grpc://{address}");
    let args = ["lookup", "-o", "jsonl", "--endpoint", &endpoint];
    let mut command = trailgate(address, &args);
    let answer = ended(&mut command);
    let gone = async {
        while gateway.lookups().len() < 2 {
            gateway.asked.notified().await;
        }
        gateway.stop.cancel();
    };
    let ((code, out, err), ()) = tokio::join!(answer, gone);
    assert_eq!(code, Some(1));
    assert_eq!(ids(&out), [0]);
    assert_eq!(
        err,
        format!("trailgate: the gateway at {endpoint} went away\n")
    );

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut read = [0; 24];
            socket.read_exact(&mut read).await.unwrap();
            let answer = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
            socket.write_all(answer).await.unwrap();
            // closed with something unread, it would take the answer back
            drop(socket.read_to_end(&mut Vec::new()).await);
        }
    });
    let endpoint = address.to_string();
    let args = ["get", "--endpoint", &endpoint, "x"];
    let (code, _, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!(code, Some(1));
    assert!(
        err.contains(&format!(
            "what answers at {endpoint} is no trailgate gateway"
        )),
        "{err}"
    );
}

#[tokio::test]
async fn the_variable_of_a_value_that_cannot_be_used_is_named() {
    let (_, address) = Gateway::start([]).await;
    let mut command = trailgate(address, &["lookup"]);
    let (code, _, err) = ended(command.env("TRAILGATE_ENDPOINT", "nowhere")).await;
    assert_eq!(code, Some(64));
    assert!(err.contains("(from TRAILGATE_ENDPOINT)"), "{err}");
    let args = ["lookup", "--endpoint", "nowhere"];
    let (code, _, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!(code, Some(64));
    assert!(!err.contains("TRAILGATE_ENDPOINT"), "{err}");
}
