//! Calls from within this process, for whoever shows what they answer: they pass what
//! calls from outside pass, and may what their caller may.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{Stream, StreamExt};
use http::{HeaderValue, header};
use http_body_util::Either;
use tonic::{Request, Status, body::Body, codegen::Service};
use tonic_types::StatusExt;

use super::{
    body::Answered,
    calls::{Calls, MethodObserver},
    held::Rooms,
    listen::answer,
    peer::Peer,
    status::RECORD_NOT_ALLOWED,
};
use crate::{
    proto::{
        code_name,
        v1::{
            self, event_service_client::EventServiceClient,
            report_service_client::ReportServiceClient, scope_service_client::ScopeServiceClient,
        },
    },
    tls::Identity,
};

/// The largest answer, in bytes: pages and batches have 3 MiB, and a summary no more.
const MAX_ANSWER: usize = 8 << 20;
/// The largest message of a report, in bytes: rows are not cut.
const MAX_ROWS: usize = 64 << 20;

/// How long a page may take: what could not be searched by then is said on it, and is
/// held by the next. The HTTP port leaves an answer under way ten seconds more than a
/// connection gets old in.
const PATIENCE: Duration = Duration::from_secs(20);

type Asked = http::Request<Body>;
type Answering = Pin<Box<dyn Future<Output = Result<http::Response<Answered>, Infallible>> + Send>>;

type Enter = dyn Fn(&Visit, Asked) -> Answering + Send + Sync;

/// Where calls from within come in. Cheap to clone.
#[derive(Clone)]
pub struct Door {
    enter: Arc<Enter>,
    has_reports: bool,
}

impl fmt::Debug for Door {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Door").finish_non_exhaustive()
    }
}

/// Who comes in.
#[derive(Clone, Debug)]
pub struct Visit {
    /// Where from.
    pub address: SocketAddr,
    /// Whom its certificate is for.
    pub identity: Option<Identity>,
    /// Whom a trusted proxy says that it is; then nothing else counts.
    pub user: Option<Arc<str>>,
    /// The header by which a call shows a token.
    pub authorization: Option<HeaderValue>,
}

impl Door {
    pub(super) fn new<M: MethodObserver>(calls: Calls<M>, rooms: Arc<Rooms>) -> Self {
        let has_reports = calls.has_reports();
        let enter = move |visit: &Visit, request: Asked| -> Answering {
            let mut peer = Peer::new(visit.address, visit.identity.clone());
            peer.user.clone_from(&visit.user);
            let holder = rooms.holder(visit.address.ip());
            let mut request = request.map(Either::Right);
            if let Some(shown) = &visit.authorization {
                let headers = request.headers_mut();
                headers.insert(header::AUTHORIZATION, shown.clone());
            }
            Box::pin(answer(&calls, &peer, &holder, None, request))
        };
        Self {
            enter: Arc::new(enter),
            has_reports,
        }
    }

    /// Whether reports are run here.
    #[must_use]
    pub fn has_reports(&self) -> bool {
        self.has_reports
    }

    /// Calls of someone who is known as this.
    #[must_use]
    pub fn visitor(&self, visit: Visit) -> Visitor {
        let way = Way {
            door: self.clone(),
            visit,
        };
        Visitor {
            events: EventServiceClient::new(way.clone()).max_decoding_message_size(MAX_ANSWER),
            reports: ReportServiceClient::new(way.clone()).max_decoding_message_size(MAX_ROWS),
            scopes: ScopeServiceClient::new(way),
        }
    }
}

/// One visitor's way in, as clients take it.
#[derive(Clone)]
struct Way {
    door: Door,
    visit: Visit,
}

impl Service<Asked> for Way {
    type Response = http::Response<Answered>;
    type Error = Infallible;
    type Future = Answering;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Asked) -> Answering {
        (self.door.enter)(&self.visit, request)
    }
}

/// Why a call was refused, or failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Refusal {
    /// The gRPC code, by its name.
    pub code: &'static str,
    /// The stable reason.
    pub reason: String,
    /// What was wrong, and what to do.
    pub message: String,
    /// The field of the request that was wrong, where one was.
    pub field: Option<String>,
    /// All fields that were wrong, and what was wrong with each.
    pub violations: Vec<(String, String)>,
}

impl Refusal {
    /// Whether the same would be answered without records.
    #[must_use]
    pub fn is_for_record(&self) -> bool {
        self.reason == RECORD_NOT_ALLOWED
    }
}

impl From<Status> for Refusal {
    fn from(status: Status) -> Self {
        let details = status.get_error_details();
        let reason = details.error_info().map(|info| info.reason.clone());
        let violations = details.bad_request().map(|bad| &bad.field_violations);
        let violations = violations.into_iter().flatten();
        let violations: Vec<_> = violations
            .map(|violation| (violation.field.clone(), violation.description.clone()))
            .collect();
        let field = violations.first().map(|(field, _)| field.clone());
        Self {
            code: code_name(status.code()),
            reason: reason.unwrap_or_default(),
            message: status.message().to_owned(),
            field,
            violations,
        }
    }
}

/// One visitor's calls. Each is refused as the same call from outside is. Cheap to
/// clone.
#[derive(Clone)]
pub struct Visitor {
    events: EventServiceClient<Way>,
    reports: ReportServiceClient<Way>,
    scopes: ScopeServiceClient<Way>,
}

impl fmt::Debug for Visitor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Visitor").finish_non_exhaustive()
    }
}

/// A call whose answer somebody waits for who sees nothing meanwhile.
fn soon<T>(request: T) -> Request<T> {
    let mut request = Request::new(request);
    request.set_timeout(PATIENCE);
    request
}

/// What a stream tells.
pub type Told<T> = Pin<Box<dyn Stream<Item = Result<T, Refusal>> + Send>>;

impl Visitor {
    /// A page of events.
    ///
    /// # Errors
    /// As `LookupEvents` has them.
    pub async fn lookup(
        mut self,
        request: v1::LookupEventsRequest,
    ) -> Result<v1::LookupEventsResponse, Refusal> {
        Ok(self.events.lookup_events(soon(request)).await?.into_inner())
    }

    /// Counts.
    ///
    /// # Errors
    /// As `SummarizeEvents` has them.
    pub async fn summarize(
        mut self,
        request: v1::SummarizeEventsRequest,
    ) -> Result<v1::SummarizeEventsResponse, Refusal> {
        Ok(self
            .events
            .summarize_events(soon(request))
            .await?
            .into_inner())
    }

    /// An event.
    ///
    /// # Errors
    /// As `GetEvent` has them.
    pub async fn get(
        mut self,
        request: v1::GetEventRequest,
    ) -> Result<v1::GetEventResponse, Refusal> {
        Ok(self.events.get_event(soon(request)).await?.into_inner())
    }

    /// Scopes.
    ///
    /// # Errors
    /// As `ListScopes` has them.
    pub async fn scopes(
        mut self,
        request: v1::ListScopesRequest,
    ) -> Result<v1::ListScopesResponse, Refusal> {
        Ok(self.scopes.list_scopes(request).await?.into_inner())
    }

    /// The reports that there are.
    ///
    /// # Errors
    /// As `ListReports` has them.
    pub async fn reports(mut self) -> Result<v1::ListReportsResponse, Refusal> {
        let request = soon(v1::ListReportsRequest::default());
        Ok(self.reports.list_reports(request).await?.into_inner())
    }

    /// A report's header, and its rows.
    ///
    /// # Errors
    /// As `RunReport` has them.
    pub async fn report(
        mut self,
        request: v1::RunReportRequest,
    ) -> Result<Told<v1::RunReportResponse>, Refusal> {
        let stream = self.reports.run_report(request).await?.into_inner();
        Ok(Box::pin(stream.map(|told| told.map_err(Refusal::from))))
    }

    /// Every event, in batches.
    ///
    /// # Errors
    /// As `ExportEvents` has them.
    pub async fn export(
        mut self,
        request: v1::ExportEventsRequest,
    ) -> Result<Told<v1::ExportEventsResponse>, Refusal> {
        let stream = self.events.export_events(request).await?.into_inner();
        Ok(Box::pin(stream.map(|told| told.map_err(Refusal::from))))
    }

    /// Events as they come.
    ///
    /// # Errors
    /// As `SubscribeEvents` has them.
    pub async fn subscribe(
        mut self,
        request: v1::SubscribeEventsRequest,
    ) -> Result<Told<v1::SubscribeEventsResponse>, Refusal> {
        let stream = self.events.subscribe_events(request).await?.into_inner();
        Ok(Box::pin(stream.map(|told| told.map_err(Refusal::from))))
    }
}
