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
    io::{AsyncBufReadExt, AsyncReadExt, BufReader},
    net::TcpListener,
    process::Command,
    sync::Notify,
};
use tokio_stream::wrappers::TcpListenerStream;
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
    event: Option<Event>,
}

#[derive(Clone, Default)]
struct Gateway {
    script: Arc<Mutex<Script>>,
    asked: Arc<Notify>,
}

impl Gateway {
    async fn start(answers: impl IntoIterator<Item = Answer>) -> (Self, SocketAddr) {
        let gateway = Self::default();
        gateway.script().answers.extend(answers);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder().add_service(EventServiceServer::new(gateway.clone()));
        tokio::spawn(server.serve_with_incoming(TcpListenerStream::new(listener)));
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
    assert_eq!(code, Some(1));
    assert_eq!(
        err,
        "trailgate: what a field [INVALID_ARGUMENT, INVALID_FILTER]\n"
    );
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

    let (gateway, address) = Gateway::start((0..9).map(|_| busy())).await;
    let (code, out, err) = ended(&mut trailgate(address, &["lookup"])).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("no quota [RESOURCE_EXHAUSTED]"), "{err}");
    assert!(err.contains("try again in 1 s"), "{err}");
    assert_eq!(gateway.lookups().len(), 6, "one attempt and five more");
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
