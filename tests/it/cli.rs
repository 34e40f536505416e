//! `trailgate lookup` and `trailgate get` as processes, against a gateway that
//! answers by script.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    process::{Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::stream::Pending;
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::TcpListener,
    process::Command,
    sync::Notify,
};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Response, Status, transport::Server};
use tonic_types::{ErrorDetails, StatusExt};
use trailgate::proto::v1::{
    Event, EventView, ExportEventsRequest, ExportEventsResponse, GetEventRequest, GetEventResponse,
    LookupEventsRequest, LookupEventsResponse, Match, Operator, ScopeStatus, SearchState, Stats,
    SubscribeEventsRequest, SubscribeEventsResponse, SummarizeEventsRequest,
    SummarizeEventsResponse,
    event_service_server::{EventService, EventServiceServer},
};

/// What the gateway does with a lookup.
enum Answer {
    Page(LookupEventsResponse),
    Refuse(Status),
    /// Ten events and a token, again and again.
    Endless,
    /// Nothing, ever.
    Hang,
}

#[derive(Default)]
struct Script {
    answers: VecDeque<Answer>,
    lookups: Vec<LookupEventsRequest>,
    /// The deadlines that lookups came with.
    timeouts: Vec<String>,
    event: Option<Event>,
}

#[derive(Clone, Default)]
struct Gateway {
    script: Arc<Mutex<Script>>,
    asked: Arc<Notify>,
    /// Ends the gateway and all its connections.
    stop: CancellationToken,
}

impl Gateway {
    async fn start(answers: impl IntoIterator<Item = Answer>) -> (Self, SocketAddr) {
        let gateway = Self::default();
        gateway.script().answers.extend(answers);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().add_service(EventServiceServer::new(gateway.clone()));
        let stop = gateway.stop.clone();
        // a runtime of its own takes its connections with it
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build();
            let serve = async {
                let listener = TcpListener::from_std(listener).unwrap();
                let incoming = TcpListenerStream::new(listener);
                stop.run_until_cancelled(server.serve_with_incoming(incoming))
                    .await
            };
            runtime.unwrap().block_on(serve)
        });
        (gateway, address)
    }

    fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn lookups(&self) -> Vec<LookupEventsRequest> {
        self.script().lookups.clone()
    }
}

#[tonic::async_trait]
impl EventService for Gateway {
    async fn lookup_events(
        &self,
        request: Request<LookupEventsRequest>,
    ) -> Result<Response<LookupEventsResponse>, Status> {
        let answer = {
            let mut script = self.script();
            let timeout = request.metadata().get("grpc-timeout").unwrap();
            script.timeouts.push(timeout.to_str().unwrap().to_owned());
            script.lookups.push(request.into_inner());
            match script.answers.pop_front() {
                Some(Answer::Endless) => {
                    script.answers.push_front(Answer::Endless);
                    Some(Answer::Page(page(0..10, "again")))
                }
                answer => answer,
            }
        };
        self.asked.notify_one();
        match answer {
            Some(Answer::Page(page)) => Ok(Response::new(page)),
            Some(Answer::Refuse(status)) => Err(status),
            Some(Answer::Hang | Answer::Endless) => std::future::pending().await,
            None => Err(Status::internal("asked more often than the script goes")),
        }
    }

    async fn get_event(
        &self,
        request: Request<GetEventRequest>,
    ) -> Result<Response<GetEventResponse>, Status> {
        let event = self.script().event.clone();
        match event.filter(|event| event.event_id == request.get_ref().event_id) {
            Some(event) => Ok(Response::new(GetEventResponse {
                event: Some(event),
                ..GetEventResponse::default()
            })),
            None => Err(Status::not_found("every scope was searched")),
        }
    }

    type ExportEventsStream = Pending<Result<ExportEventsResponse, Status>>;

    async fn export_events(
        &self,
        _: Request<ExportEventsRequest>,
    ) -> Result<Response<Self::ExportEventsStream>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    async fn summarize_events(
        &self,
        _: Request<SummarizeEventsRequest>,
    ) -> Result<Response<SummarizeEventsResponse>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    type SubscribeEventsStream = Pending<Result<SubscribeEventsResponse, Status>>;

    async fn subscribe_events(
        &self,
        _: Request<SubscribeEventsRequest>,
    ) -> Result<Response<Self::SubscribeEventsStream>, Status> {
        Err(Status::unimplemented("not in this test"))
    }
}

fn page(ids: std::ops::Range<u32>, token: &str) -> LookupEventsResponse {
    LookupEventsResponse {
        events: ids
            .map(|id| Event {
                event_id: id.to_string(),
                record: format!("{{\"n\": {id}}}"),
                ..Event::default()
            })
            .collect(),
        next_page_token: token.to_owned(),
        stats: Some(Stats {
            upstream_calls: 1,
            ..Stats::default()
        }),
        ..LookupEventsResponse::default()
    }
}

fn scope(region: &str, state: SearchState, reason: &str) -> ScopeStatus {
    ScopeStatus {
        account_id: "111122223333".to_owned(),
        region: region.to_owned(),
        state: state.into(),
        reason: reason.to_owned(),
        ..ScopeStatus::default()
    }
}

fn trailgate(address: SocketAddr, args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailgate"));
    command
        .args(args)
        .env("TRAILGATE_ENDPOINT", format!("http://{address}"))
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Runs to the end; the limit is for a test that has gone wrong.
async fn ended(command: &mut Command) -> (Option<i32>, String, String) {
    let output = tokio::time::timeout(Duration::from_secs(60), command.output());
    let Output {
        status,
        stdout,
        stderr,
    } = output.await.expect("it ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

fn ids(jsonl: &str) -> Vec<u32> {
    jsonl
        .lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["event_id"].as_str().unwrap().parse().unwrap()
        })
        .collect()
}

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
        &["get"],
    ] {
        let (code, out, err) = ended(&mut trailgate(address, args)).await;
        assert_eq!((code, out.as_str()), (Some(64), ""), "{args:?}: {err}");
        assert!(!err.is_empty());
    }
}

#[tokio::test]
async fn one_event_is_got_in_each_format() {
    let (gateway, address) = Gateway::start([]).await;
    gateway.script().event = Some(page(7..8, "").events.remove(0));
    for (format, expected) in [
        ("json", "{\"event_id\":\"7\",\"record\":{\"n\": 7}}\n"),
        ("record", "{\"n\": 7}\n"),
        ("table", "id          7\n"),
    ] {
        let (code, out, err) = ended(&mut trailgate(address, &["get", "-o", format, "7"])).await;
        assert_eq!((code, err.as_str()), (Some(0), ""));
        assert!(out.starts_with(expected), "{out}");
    }
    let (code, out, err) = ended(&mut trailgate(address, &["get", "8"])).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert_eq!(
        err,
        "trailgate: no event has the id \"8\" in the scopes searched\n"
    );
}

/// A page without events that says how far its one scope was searched.
fn searched(state: SearchState, reason: &str, from: i64, to: i64) -> LookupEventsResponse {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let mut page = page(0..0, "");
    page.scopes = vec![ScopeStatus {
        searched_from: at(from),
        searched_to: at(to),
        ..scope("eu-west-1", state, reason)
    }];
    page
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
        err.ends_with("; go on with --end 1970-01-01T00:01:00Z\n"),
        "{err}"
    );
    let args = ["lookup", "-o", "jsonl", "--order", "oldest"];
    let (code, _, err) = ended(&mut trailgate(address, &args)).await;
    assert_eq!(code, Some(2));
    assert!(
        err.ends_with("; go on with --start 1970-01-01T01:00:00Z\n"),
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
        "trailgate: AWS cannot be asked by these conditions: all history is read, two requests a second and scope; narrow it with --since"
    );
    assert_eq!(
        next().await,
        "trailgate: searched back to 1970-01-01T00:01:00Z, 0 events found, 9 requests bought"
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
