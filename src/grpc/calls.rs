//! What every call passes on its way out: it is counted and logged, and what
//! tonic refuses by itself gets a reason, as any other error has.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use http::{HeaderMap, HeaderValue, header};
use http_body::Frame;
use prost::{Message, bytes::Bytes};
use prost_types::FileDescriptorSet;
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::{Code, Status, body::Body};
use tracing::{Instrument, Span};

use super::{
    listen::Leaving,
    peer::{Asker, Peer},
    routes::{Request, Responding, Response, Routes},
    status::{connection_aged, overdue, rights_changed, too_often, with_reason},
};
use crate::{
    audit::{self, Trail},
    budget::Caller,
    policy::{Access, Method as Right, Rights, Who},
    proto::{DESCRIPTORS, code_name},
    rates::Rates,
    seldom::Seldom,
    trace,
};

/// What the names of trailgate's own methods begin with.
const OWN: &str = "trailgate.";
/// What the names of methods begin with that SQL is asked by.
const FLIGHT: &str = "arrow.flight.protocol.FlightService/";
/// What anyone may ask: whether the server is healthy.
const HEALTH: &str = "grpc.health.v1.Health/";

/// Told of every call.
pub trait CallObserver {
    /// Is told of the calls of one method.
    type Method: MethodObserver;

    /// Who is told of the calls of `method`: `package.Service/Method`, or
    /// `other` for calls of no method that there is. Asked once for each.
    fn method(&self, method: &str) -> Self::Method;
}

/// Told of every call of one method.
pub trait MethodObserver: Send + Sync + 'static {
    /// A call ended with `code`, by its name, after `latency`: with its answer, of
    /// a stream with its last message. `CANCELLED`: its caller went away before.
    fn ended(&self, code: &'static str, latency: Duration);
}

/// Every call of the port, on its way in and out. Cheap to clone.
pub(super) struct Calls<M> {
    routes: Arc<Routes>,
    methods: Arc<Methods<M>>,
    /// The longest that an answer may be waited for: of a stream, its head.
    limit: Duration,
    gate: Arc<Gate>,
}

/// What calls pass on their way in.
#[derive(Debug)]
pub(super) struct Gate {
    pub(super) access: Arc<Access>,
    pub(super) rates: Arc<Rates<Caller>>,
    /// Where calls are written; `None`: nowhere.
    pub(super) audit: Option<audit::Log>,
    /// Calls that were turned away.
    pub(super) refused: Seldom,
}

/// Methods by `package.Service/Method`, so that a call makes no name of its
/// own.
#[derive(Debug)]
struct Methods<M> {
    known: HashMap<String, Arc<Method<M>>>,
    other: Arc<Method<M>>,
}

#[derive(Debug)]
struct Method<M> {
    name: String,
    /// Its answers are streams.
    is_stream: bool,
    observer: M,
}

impl<M: MethodObserver> Calls<M> {
    pub(super) fn new(
        routes: Routes,
        observer: &impl CallObserver<Method = M>,
        limit: Duration,
        gate: Gate,
    ) -> Self {
        let method = |name: String, is_stream| {
            let observer = observer.method(&name);
            Arc::new(Method {
                name,
                is_stream,
                observer,
            })
        };
        let known = methods().into_iter();
        let known = known.map(|(name, is_stream)| (name.clone(), method(name, is_stream)));
        let methods = Methods {
            known: known.collect(),
            other: method("other".to_owned(), false),
        };
        Self {
            routes: Arc::new(routes),
            methods: Arc::new(methods),
            limit,
            gate: Arc::new(gate),
        }
    }

    /// Whether reports are run.
    pub(super) fn has_reports(&self) -> bool {
        self.routes.has_reports()
    }

    /// A call from `peer`.
    pub(super) fn call(&self, peer: &Peer, request: Request) -> Call<M> {
        // callers choose paths: only those of the contract are names
        let start = Instant::now();
        let path = request.uri().path().trim_start_matches('/');
        let mut trail = self.gate.trail(peer, path);
        let admitted = self
            .gate
            .admit(peer, path, request.headers(), trail.as_mut());
        match admitted {
            Ok((asker, lease)) => self.begin(start, request, trail, lease, |request| {
                self.routes.call(peer, asker, request)
            }),
            Err(status) => self.turn_away(start, peer, request, trail, &status),
        }
    }

    /// A call from `peer` that there is no room for.
    pub(super) fn refuse<B>(
        &self,
        peer: &Peer,
        request: http::Request<B>,
        status: &Status,
    ) -> Call<M> {
        let path = request.uri().path().trim_start_matches('/');
        let trail = self.gate.trail(peer, path);
        self.turn_away(Instant::now(), peer, request, trail, status)
    }

    fn turn_away<B>(
        &self,
        start: Instant,
        peer: &Peer,
        request: http::Request<B>,
        mut trail: Option<Trail>,
        status: &Status,
    ) -> Call<M> {
        // what is said of a token has nothing of it
        let reason = status.message();
        if let Some(trail) = &mut trail {
            trail.refused = Some(reason.to_owned());
        }
        let path = request.uri().path().trim_start_matches('/');
        let method = self.methods.known.get(path).unwrap_or(&self.methods.other);
        let (method, peer, code) = (&method.name, peer.address, code_name(status.code()));
        match self.gate.refused.count() {
            Some(refused) => {
                tracing::info!(%peer, method, code, reason, refused, "a call was not let in");
            }
            None => tracing::debug!(%peer, method, code, reason, "a call was not let in"),
        }
        let answer = status.clone().into_http();
        self.begin(start, request, trail, None, |_| {
            Box::pin(std::future::ready(Ok(answer)))
        })
    }

    fn begin<B>(
        &self,
        start: Instant,
        request: http::Request<B>,
        trail: Option<Trail>,
        lease: Option<Lease>,
        answer: impl FnOnce(http::Request<B>) -> Responding,
    ) -> Call<M> {
        let path = request.uri().path().trim_start_matches('/');
        let method = self.methods.known.get(path);
        let span = span(method, request.headers());
        // our own streams end by themselves, with a token, and answers of SQL as well
        let ends = |name: &str| name.starts_with(OWN) || name.starts_with(FLIGHT);
        let ends_itself = method.is_some_and(|method| ends(&method.name));
        let leaving = match ends_itself {
            true => None,
            false => Leaving::within(request.extensions()),
        };
        let inner = answer(request);
        Call {
            lease,
            ending: Some(Ending {
                method: Arc::clone(method.unwrap_or(&self.methods.other)),
                start,
                trail,
                is_told: false,
                span: span.clone(),
                leaving,
            }),
            end: start + self.limit,
            guard: None,
            inner: match span.is_disabled() {
                true => inner,
                false => Box::pin(inner.instrument(span)),
            },
        }
    }
}

/// The span of a call of trailgate's own methods; probes have none.
fn span<M>(method: Option<&Arc<Method<M>>>, headers: &HeaderMap) -> Span {
    match method {
        Some(method) if method.name.starts_with(OWN) => trace::call(&method.name, headers),
        _ => Span::none(),
    }
}

impl Gate {
    /// What is written of a call; of health, nothing.
    fn trail(&self, peer: &Peer, path: &str) -> Option<Trail> {
        let log = self.audit.as_ref()?;
        (!path.starts_with(HEALTH)).then(|| Trail::new(log.clone(), peer.address, path))
    }

    /// Who asks, and by what they are let in; of health, by nothing.
    fn admit(
        &self,
        peer: &Peer,
        path: &str,
        headers: &HeaderMap,
        mut trail: Option<&mut Trail>,
    ) -> Result<(Asker, Option<Lease>), Status> {
        if path.starts_with(HEALTH) {
            return Ok((peer.asker(&Who::Anonymous, self.access.all(), None), None));
        }
        let header = headers.get(header::AUTHORIZATION);
        let who = match &peer.user {
            Some(user) => Who::User(Arc::clone(user)),
            None => self
                .access
                .who(peer.name(), header.map(HeaderValue::as_bytes))?,
        };
        if let Some(trail) = &mut trail {
            trail.who = Some(who.clone());
        }
        let right = Right::of(path);
        let version = self.access.version();
        let rights = self.access.rights(&who, right)?;
        let notes = trail.map(|trail| &trail.notes);
        let asker = peer.asker(&who, Arc::clone(&rights), notes);
        let share = rights.share().calls_per_second;
        self.rates.take(&asker.caller, share).map_err(too_often)?;
        let lease = Lease {
            access: Arc::clone(&self.access),
            version,
            who,
            right,
            rights,
        };
        Ok((asker, Some(lease)))
    }
}

/// What a call was let in by.
struct Lease {
    access: Arc<Access>,
    /// The policy that it was looked up in last.
    version: u64,
    who: Who,
    /// `None`: the method is none of the contract.
    right: Option<Right>,
    rights: Arc<Rights>,
}

impl Lease {
    /// Why a stream may not go on.
    fn is_over(&mut self) -> Option<Status> {
        let version = self.access.version();
        if version == self.version {
            return None;
        }
        self.version = version;
        match self.access.holds(&self.who, self.right, &self.rights) {
            Ok(true) => None,
            Ok(false) => Some(rights_changed()),
            Err(denied) => Some(denied.into()),
        }
    }
}

impl<M> Clone for Calls<M> {
    fn clone(&self) -> Self {
        Self {
            routes: Arc::clone(&self.routes),
            methods: Arc::clone(&self.methods),
            limit: self.limit,
            gate: Arc::clone(&self.gate),
        }
    }
}

/// A call under way.
pub(super) struct Call<M: MethodObserver> {
    inner: Responding,
    /// What its stream may go on by.
    lease: Option<Lease>,
    /// Until it is answered.
    ending: Option<Ending<M>>,
    /// When it must be answered.
    end: Instant,
    /// Set once it has to wait: most answers are there at once.
    guard: Option<Pin<Box<Sleep>>>,
}

impl<M: MethodObserver> Future for Call<M> {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let answer = match self.inner.as_mut().poll(context)? {
            Poll::Ready(answer) => answer,
            Poll::Pending => {
                let end = self.end;
                let guard = self.guard.get_or_insert_with(|| Box::pin(sleep_until(end)));
                ready!(guard.as_mut().poll(context));
                overdue().into_http()
            }
        };
        let lease = self.lease.take();
        Poll::Ready(Ok(match self.ending.take() {
            Some(ending) => ending.with(answer, lease),
            None => answer,
        }))
    }
}

/// What is told of a call when it ends, however it does.
struct Ending<M: MethodObserver> {
    method: Arc<Method<M>>,
    start: Instant,
    trail: Option<Trail>,
    is_told: bool,
    span: Span,
    /// What ends its stream.
    leaving: Option<CancellationToken>,
}

impl<M: MethodObserver> Ending<M> {
    /// The answer as it goes out, told of now or when it has gone.
    fn with(mut self, answer: Response, lease: Option<Lease>) -> Response {
        // trailers-only answers carry their status in the headers; any other has
        // begun well
        let Some(status) = Status::from_header_map(answer.headers()) else {
            if self.method.is_stream {
                if let Some(trail) = &self.trail {
                    self.span.in_scope(|| trail.begins());
                }
                let leaving = self.leaving.take();
                let leaving = leaving.map(|it| Box::pin(it.cancelled_owned()));
                return answer.map(|body| {
                    Body::new(Watched {
                        body,
                        ending: self,
                        lease,
                        leaving,
                        is_over: false,
                    })
                });
            }
            self.tell(Code::Ok);
            return answer;
        };
        self.tell(status.code());
        // health and reflection speak for themselves
        if !self.method.name.contains("grpc.") && status.details().is_empty() {
            return with_reason(status).into_http();
        }
        answer
    }

    fn tell(&mut self, code: Code) {
        if std::mem::replace(&mut self.is_told, true) {
            return;
        }
        let span = self.span.clone();
        trace::ended(&span, code as i32);
        let _in = span.enter();
        let (is_ok, code) = (code == Code::Ok, code_name(code));
        let latency = self.start.elapsed();
        let Method { name, observer, .. } = &*self.method;
        observer.ended(code, latency);
        if let Some(trail) = &self.trail {
            trail.ends(code, latency);
        }
        // a line for each answer out of the cache would cost more than the answer
        if name.starts_with(OWN) && !is_ok {
            tracing::info!(method = name, code, ?latency, "call ended");
        } else {
            tracing::debug!(method = name, code, ?latency, "call ended");
        }
    }
}

impl<M: MethodObserver> Drop for Ending<M> {
    fn drop(&mut self) {
        self.tell(Code::Cancelled);
    }
}

/// A stream on its way out.
struct Watched<M: MethodObserver> {
    body: Body,
    ending: Ending<M>,
    lease: Option<Lease>,
    leaving: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
    /// It was ended for lack of rights, or with its connection.
    is_over: bool,
}

impl<M: MethodObserver> Watched<M> {
    /// Its last frame, when its connection has come of age.
    fn poll_leaving(&mut self, context: &mut Context<'_>) -> Poll<Frame<Bytes>> {
        let Some(leaving) = &mut self.leaving else {
            return Poll::Pending;
        };
        ready!(leaving.as_mut().poll(context));
        self.leaving = None;
        Poll::Ready(self.end(connection_aged("answer")))
    }

    fn end(&mut self, status: Status) -> Frame<Bytes> {
        self.is_over = true;
        let (head, ()) = status.into_http::<()>().into_parts();
        Frame::trailers(head.headers)
    }
}

impl<M: MethodObserver> http_body::Body for Watched<M> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if self.is_over {
            return Poll::Ready(None);
        }
        let span = self.ending.span.clone();
        let _in = span.enter();
        let mut frame = match Pin::new(&mut self.body).poll_frame(context) {
            Poll::Ready(frame) => frame,
            Poll::Pending => Some(Ok(ready!(self.poll_leaving(context)))),
        };
        // rights may go while a stream lives
        if let Some(Ok(data)) = &frame
            && data.is_data()
            && let Some(status) = self.lease.as_mut().and_then(Lease::is_over)
        {
            frame = Some(Ok(self.end(status)));
        }
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    let status = Status::from_header_map(trailers);
                    self.ending
                        .tell(status.map_or(Code::Unknown, |it| it.code()));
                }
            }
            Some(Err(status)) => self.ending.tell(status.code()),
            None => self.ending.tell(Code::Unknown),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.is_over || self.body.is_end_stream()
    }
}

/// Every method of the port, as `package.Service/Method`, and whether it answers
/// with a stream.
fn methods() -> HashMap<String, bool> {
    let sets = [
        DESCRIPTORS,
        tonic_health::pb::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1::FILE_DESCRIPTOR_SET,
        tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET,
    ];
    let files = sets
        .into_iter()
        .filter_map(|set| FileDescriptorSet::decode(set).ok());
    let mut methods = HashMap::new();
    for file in files.flat_map(|set| set.file) {
        for service in &file.service {
            for method in &service.method {
                let (package, service) = (file.package(), service.name());
                let name = format!("{package}.{service}/{}", method.name());
                methods.insert(name, method.server_streaming());
            }
        }
    }
    #[cfg(feature = "sql")]
    for (name, is_stream) in super::flight::METHODS {
        methods.insert(format!("{FLIGHT}{name}"), is_stream);
    }
    methods
}

#[cfg(test)]
mod tests;
