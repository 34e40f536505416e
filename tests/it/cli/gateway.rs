//! A gateway that answers by script, and the program that asks it.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    process::{Output, Stdio},
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::{
    StreamExt,
    stream::{self, BoxStream, Pending},
};
use tokio::{net::TcpListener, process::Command, sync::Notify};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, transport::Server};
use trailgate::proto::v1::{
    Event, ExportEventsRequest, ExportEventsResponse, GetEventRequest, GetEventResponse,
    IngestEventsRequest, IngestEventsResponse, ListScopesRequest, ListScopesResponse,
    LookupEventsRequest, LookupEventsResponse, Scope, ScopeStatus, SearchState, Stats,
    SubscribeEventsRequest, SubscribeEventsResponse, SummarizeEventsRequest,
    SummarizeEventsResponse,
    event_service_server::{EventService, EventServiceServer},
    scope_service_server::{ScopeService, ScopeServiceServer},
};

/// What the gateway does with a lookup.
pub(super) enum Answer {
    Page(LookupEventsResponse),
    Refuse(Status),
    /// Ten events and a token, again and again.
    Endless,
    /// Nothing, ever.
    Hang,
}

/// What an export's stream does next; behind the last it ends.
#[derive(Clone)]
pub(super) enum Sent {
    Batch(ExportEventsResponse),
    Refuse(Status),
    /// The same again and again.
    Endless(ExportEventsResponse),
    /// Nothing, ever.
    Hang,
}

#[derive(Default)]
pub(super) struct Script {
    pub(super) answers: VecDeque<Answer>,
    pub(super) lookups: Vec<LookupEventsRequest>,
    /// The deadlines that lookups came with.
    pub(super) timeouts: Vec<String>,
    pub(super) event: Option<Event>,
    pub(super) summaries: VecDeque<Result<SummarizeEventsResponse, Status>>,
    pub(super) summarized: Vec<SummarizeEventsRequest>,
    pub(super) scopes: Vec<Scope>,
    /// What the streams of exports have, one after the other; without it, this
    /// is a gateway that knows no exports.
    pub(super) exports: Option<VecDeque<Vec<Sent>>>,
    pub(super) exported: Vec<ExportEventsRequest>,
}

#[derive(Clone, Default)]
pub(super) struct Gateway {
    script: Arc<Mutex<Script>>,
    pub(super) asked: Arc<Notify>,
    /// Ends the gateway and all its connections.
    pub(super) stop: CancellationToken,
}

impl Gateway {
    pub(super) async fn start(answers: impl IntoIterator<Item = Answer>) -> (Self, SocketAddr) {
        let gateway = Self::default();
        gateway.script().answers.extend(answers);
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let address = listener.local_addr().unwrap();
        let server = Server::builder()
            .add_service(EventServiceServer::new(gateway.clone()))
            .add_service(ScopeServiceServer::new(gateway.clone()));
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

    pub(super) fn script(&self) -> std::sync::MutexGuard<'_, Script> {
        self.script.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn lookups(&self) -> Vec<LookupEventsRequest> {
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

    type ExportEventsStream = BoxStream<'static, Result<ExportEventsResponse, Status>>;

    async fn export_events(
        &self,
        request: Request<ExportEventsRequest>,
    ) -> Result<Response<Self::ExportEventsStream>, Status> {
        let mut script = self.script();
        let Some(exports) = &mut script.exports else {
            return Err(Status::unimplemented("not in this test"));
        };
        let sent = exports.pop_front();
        script.exported.push(request.into_inner());
        drop(script);
        let sent = sent.ok_or_else(|| Status::internal("asked more often than the script goes"))?;
        let asked = self.asked.clone();
        let stream = stream::iter(sent).flat_map(move |sent| match sent {
            Sent::Batch(batch) => stream::iter([Ok(batch)]).boxed(),
            Sent::Refuse(status) => stream::iter([Err(status)]).boxed(),
            Sent::Endless(batch) => stream::repeat(Ok(batch)).boxed(),
            Sent::Hang => {
                asked.notify_one();
                stream::pending().boxed()
            }
        });
        Ok(Response::new(stream.boxed()))
    }

    async fn summarize_events(
        &self,
        request: Request<SummarizeEventsRequest>,
    ) -> Result<Response<SummarizeEventsResponse>, Status> {
        let mut script = self.script();
        script.summarized.push(request.into_inner());
        let answer = script.summaries.pop_front();
        answer
            .unwrap_or_else(|| Err(Status::internal("asked more often than the script goes")))
            .map(Response::new)
    }

    type SubscribeEventsStream = Pending<Result<SubscribeEventsResponse, Status>>;

    async fn subscribe_events(
        &self,
        _: Request<SubscribeEventsRequest>,
    ) -> Result<Response<Self::SubscribeEventsStream>, Status> {
        Err(Status::unimplemented("not in this test"))
    }

    type IngestEventsStream = Pending<Result<IngestEventsResponse, Status>>;

    async fn ingest_events(
        &self,
        _: Request<tonic::Streaming<IngestEventsRequest>>,
    ) -> Result<Response<Self::IngestEventsStream>, Status> {
        Err(Status::unimplemented("not in this test"))
    }
}

#[tonic::async_trait]
impl ScopeService for Gateway {
    async fn list_scopes(
        &self,
        request: Request<ListScopesRequest>,
    ) -> Result<Response<ListScopesResponse>, Status> {
        let request = request.into_inner();
        let is_asked = |list: &[String], name: &String| list.is_empty() || list.contains(name);
        let scopes = self.script().scopes.clone().into_iter().filter(|scope| {
            is_asked(&request.account_ids, &scope.account_id)
                && is_asked(&request.regions, &scope.region)
        });
        Ok(Response::new(ListScopesResponse {
            scopes: scopes.collect(),
        }))
    }
}

pub(super) fn page(ids: std::ops::Range<u32>, token: &str) -> LookupEventsResponse {
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

pub(super) fn scope(region: &str, state: SearchState, reason: &str) -> ScopeStatus {
    ScopeStatus {
        account_id: "111122223333".to_owned(),
        region: region.to_owned(),
        state: state.into(),
        reason: reason.to_owned(),
        ..ScopeStatus::default()
    }
}

pub(super) fn trailgate(address: SocketAddr, args: &[&str]) -> Command {
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
pub(super) async fn ended(command: &mut Command) -> (Option<i32>, String, String) {
    let output = tokio::time::timeout(Duration::from_secs(60), command.output());
    let Output {
        status,
        stdout,
        stderr,
    } = output.await.expect("it ends").unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (status.code(), text(stdout), text(stderr))
}

pub(super) fn ids(jsonl: &str) -> Vec<u32> {
    jsonl
        .lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["event_id"].as_str().unwrap().parse().unwrap()
        })
        .collect()
}

/// A page without events that says how far its one scope was searched.
pub(super) fn searched(
    state: SearchState,
    reason: &str,
    from: i64,
    to: i64,
) -> LookupEventsResponse {
    let at = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let mut page = page(0..0, "");
    page.scopes = vec![ScopeStatus {
        searched_from: at(from),
        searched_to: at(to),
        ..scope("eu-west-1", state, reason)
    }];
    page
}
