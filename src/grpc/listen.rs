//! Connections: so many at once, each held to its limits, and all of them
//! finished in the end.

use std::{
    convert::Infallible,
    io::{self, Cursor},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use http_body_util::Either;
use hyper::{body::Incoming, rt::Executor, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, join, split},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::Request;

use super::{
    body::{Answered, Asked, Coming},
    calls::{Calls, MethodObserver},
    held::{Holder, Rooms, What},
    peer::Peer,
    routes::Response,
    status::{too_many, too_many_calls},
};
use crate::{
    accept::{Place, Places, Tasks},
    tls::{Port, Tls},
};

/// The most connections at once; further ones wait to be accepted. Each takes
/// some 30 KB while it idles, and a service has a handful.
const MAX_CONNECTIONS: usize = 4096;
/// Of these, connections that have not shown a certificate, or not yet, where one is
/// asked for: probes, callers by token, and handshakes.
const MAX_UNKNOWN: usize = MAX_CONNECTIONS / 4;
/// Calls under way on one connection. HTTP/2 implementations offer 100 or more.
const MAX_STREAMS: u32 = 200;
/// The most bytes of a request's headers. Tokens and deadlines take a few
/// hundred.
const MAX_HEADERS: u32 = 16 * 1024;
/// Streams that a client may open and reset at once before its connection is
/// closed (rapid reset, CVE-2023-44487); hyper's own default.
const MAX_PENDING_RESETS: usize = 20;
/// Streams that a client may do wrong before its connection is closed: each that it
/// may have once. A client that keeps to the protocol does none wrong.
const MAX_WRONG: usize = MAX_STREAMS as usize;
/// Of these, watches of health: whoever connects may have them, for ever, and a client
/// has one.
const MAX_WATCHES: usize = 2;
/// Bytes of a request that are sent before they are read; most are of a few hundred.
/// An ingest, of 512 KiB a message, gets 5 MB a second through it at 50 ms there and
/// back.
const STREAM_WINDOW: u32 = 256 * 1024;
/// The same of all requests of a connection: what it may have us hold that no call
/// has read, 1 GB with [`MAX_CONNECTIONS`]. Calls read at once; an ingest that
/// waits for subscribers does not.
const CONNECTION_WINDOW: u32 = 256 * 1024;
/// The largest frame, in bytes: HTTP/2's own least (RFC 9113, 6.5.2), since each is
/// read whole.
const MAX_FRAME: u32 = 16 * 1024;
/// Bytes of an answer that are written ahead of the network; h2's own default. An
/// answer is in one piece and counts as that, see `held.rs`.
const SEND_BUFFER: usize = 400 * 1024;
/// A connection that says nothing for so long is asked whether it lives, and
/// closed when it does not answer within [`KEEPALIVE_TIMEOUT`].
const KEEPALIVE: Duration = Duration::from_secs(60);
/// See [`KEEPALIVE`].
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);
/// What every client says first (RFC 9113, 3.4).
const PREFACE: [u8; 24] = *b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How long a new connection may take to say that: it comes with the first
/// packet.
const SILENCE: Duration = Duration::from_secs(20);
/// How long a connection that nobody called on has to end in the end.
const GOODBYE: Duration = Duration::from_secs(1);

/// How long a connection may be called on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Age {
    /// At most so long.
    pub(super) most: Duration,
    /// Then subscriptions go on for so long.
    pub(super) grace: Duration,
}

/// Tells calls without an end that their connection has come of age.
#[derive(Clone, Debug)]
pub(super) struct Leaving(CancellationToken);

impl Leaving {
    /// What a call is told by; it never comes where connections have no end.
    pub(super) fn of<T>(request: &Request<T>) -> CancellationToken {
        Self::within(request.extensions()).unwrap_or_default()
    }

    /// As [`Leaving::of`]; `None`: the connection has no end.
    pub(super) fn within(extensions: &http::Extensions) -> Option<CancellationToken> {
        extensions.get::<Self>().map(|leaving| leaving.0.clone())
    }
}

/// Serves connections until `shutdown` resolves; then takes no more of them, and
/// lets the calls that are under way finish, or ends them when `cut` is cancelled.
pub(super) async fn serve<M: MethodObserver>(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    calls: Calls<M>,
    rooms: Arc<Rooms>,
    age: Option<Age>,
    shutdown: impl Future<Output = ()>,
    cut: CancellationToken,
) {
    let asks_who = tls.as_ref().is_some_and(|tls| tls.asks_who());
    let places = Places::new(MAX_CONNECTIONS, asks_who.then_some(MAX_UNKNOWN));
    let stopping = CancellationToken::new();
    let tasks = Tasks::until(cut);
    let open = |stream, address: SocketAddr, place| {
        let connection = Connection {
            address,
            place,
            holder: rooms.holder(address.ip()),
            calls: calls.clone(),
            age,
            stopping: stopping.clone(),
            tasks: tasks.clone(),
        };
        connection.open(stream, tls.clone())
    };
    places
        .serve(listener, shutdown, stopping.clone(), tasks.clone(), open)
        .await;
}

/// Reads a client's first words, which no time limit of HTTP/2's waits for.
async fn preface(from: &mut (impl AsyncRead + Unpin)) -> io::Result<[u8; PREFACE.len()]> {
    let mut read = [0; PREFACE.len()];
    let mut at = 0;
    while at < read.len() {
        let count = from.read(read.get_mut(at..).unwrap_or_default()).await?;
        at += count;
        if count == 0 || !PREFACE.starts_with(read.get(..at).unwrap_or_default()) {
            return Err(io::ErrorKind::InvalidData.into());
        }
    }
    Ok(read)
}

/// Waits until a connection that begins now has come of age, if it ever does, and
/// says how long its subscriptions go on.
async fn comes_of(age: Option<Age>) -> Option<Duration> {
    let Age { most, grace } = age?;
    // those that began together do not end together
    sleep(most.mul_f64(rand::random_range(0.9..=1.0))).await;
    Some(grace)
}

/// What the calls of a connection run in.
#[derive(Clone)]
struct Spawn(Tasks);

impl<F: Future<Output = ()> + Send + 'static> Executor<F> for Spawn {
    fn execute(&self, task: F) {
        let Self(tasks) = self;
        tasks.spawn(task);
    }
}

/// A connection, and what it is served with.
struct Connection<M> {
    address: SocketAddr,
    place: Place,
    holder: Arc<Holder>,
    calls: Calls<M>,
    age: Option<Age>,
    stopping: CancellationToken,
    /// What its calls run in.
    tasks: Tasks,
}

impl<M: MethodObserver> Connection<M> {
    async fn open(mut self, stream: TcpStream, tls: Option<Arc<Tls>>) {
        let address = self.address;
        let Some(tls) = tls else {
            let (read, write) = stream.into_split();
            return self.speak(read, write, Peer::new(address, None)).await;
        };
        let stopping = self.stopping.clone();
        let accepted = tls.accept(Port::Grpc, stream);
        match stopping.run_until_cancelled(accepted).await {
            Some(Ok((stream, identity))) => {
                if identity.is_some() {
                    self.place.is_known();
                }
                let (read, write) = split(stream);
                self.speak(read, write, Peer::new(address, identity)).await;
            }
            Some(Err(error)) => tracing::debug!(peer = %address, %error, "no TLS handshake"),
            None => {}
        }
    }

    /// Speaks HTTP/2 with whoever is at the other end.
    async fn speak(
        self,
        mut read: impl AsyncRead + Send + Unpin + 'static,
        write: impl AsyncWrite + Send + Unpin + 'static,
        peer: Peer,
    ) {
        let Self {
            address,
            place: _place,
            holder,
            calls,
            age,
            stopping,
            tasks,
        } = self;
        let opened = timeout(SILENCE, preface(&mut read));
        let Some(Ok(Ok(preface))) = stopping.run_until_cancelled(opened).await else {
            tracing::debug!(peer = %address, "a connection did not begin HTTP/2");
            return;
        };
        let stream = join(Cursor::new(preface).chain(read), write);
        let has_called = Arc::new(AtomicBool::new(false));
        let watches = Arc::new(Semaphore::new(MAX_WATCHES));
        let leaving = CancellationToken::new();
        let stalls = {
            let holder = Arc::clone(&holder);
            async move { holder.stalls().await }
        };
        let service = {
            let has_called = Arc::clone(&has_called);
            // a call of a connection without an end pays nothing for it
            let leaving = age.map(|_| Leaving(leaving.clone()));
            service_fn(move |mut request| {
                has_called.store(true, Relaxed);
                if let Some(leaving) = &leaving {
                    request.extensions_mut().insert(leaving.clone());
                }
                let watch = match request.uri().path() {
                    WATCH => Some(Arc::clone(&watches).try_acquire_owned().ok()),
                    _ => None,
                };
                let request: http::Request<Incoming> = request;
                answer(&calls, &peer, &holder, watch, request.map(Either::Left))
            })
        };
        let connection = http2::Builder::new(Spawn(tasks))
            .timer(TokioTimer::new())
            .max_concurrent_streams(MAX_STREAMS)
            .max_header_list_size(MAX_HEADERS)
            .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
            .max_local_error_reset_streams(MAX_WRONG)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_frame_size(MAX_FRAME)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(KEEPALIVE)
            .keep_alive_timeout(KEEPALIVE_TIMEOUT)
            .serve_connection(TokioIo::new(stream), service);
        // one that says no more than its first words answers no goodbye either
        let unused = async {
            stopping.cancelled().await;
            sleep(GOODBYE).await;
            if has_called.load(Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        let served = async {
            tokio::pin!(connection);
            let grace = tokio::select! {
                ended = connection.as_mut() => return ended,
                // its streams are told by themselves
                () = stopping.cancelled() => None,
                Some(grace) = comes_of(age) => Some(grace),
            };
            // it takes no more calls, and those under way finish
            connection.as_mut().graceful_shutdown();
            let leave = async {
                if let Some(grace) = grace {
                    sleep(grace).await;
                    leaving.cancel();
                }
                std::future::pending::<()>().await;
            };
            tokio::select! {
                ended = connection => ended,
                () = leave => Ok(()),
            }
        };
        let ended = tokio::select! {
            ended = served => ended,
            () = unused => Ok(()),
            () = stalls => {
                tracing::debug!(peer = %address, "a connection took none of its answers");
                Ok(())
            }
        };
        if let Err(error) = ended {
            tracing::debug!(peer = %address, %error, "a connection ended badly");
        }
    }
}

/// The call that has a place even where no other has: what it answers is a byte, and
/// who asks restarts a server that does not answer.
const CHECK: &str = "/grpc.health.v1.Health/Check";

/// The call that anyone may have for ever.
const WATCH: &str = "/grpc.health.v1.Health/Watch";

/// The answer to a call, if there is room for one more. `watch`: it is a watch of
/// health, with its place if there is one.
pub(super) fn answer<M: MethodObserver>(
    calls: &Calls<M>,
    peer: &Peer,
    holder: &Arc<Holder>,
    watch: Option<Option<OwnedSemaphorePermit>>,
    request: http::Request<Coming>,
) -> impl Future<Output = Result<http::Response<Answered>, Infallible>> + use<M> {
    let path = request.uri().path();
    let is_large = path.starts_with("/trailgate.");
    let is_check = path == CHECK;
    let hold = holder.take(What::Calls, 1);
    let call = match &watch {
        Some(None) => {
            let message = format!("{MAX_WATCHES} watches are under way on this connection");
            calls.refuse(peer, request, &too_many("TOO_MANY_WATCHES", &message))
        }
        _ if hold.is_some() || is_check => {
            let (parts, body) = request.into_parts();
            let body = Asked::new(parts.uri.path(), body, holder);
            calls.call(peer, http::Request::from_parts(parts, body))
        }
        _ => calls.refuse(peer, request, &too_many_calls()),
    };
    let holder = Arc::clone(holder);
    async move {
        let response: Response = call.await?;
        let held = (hold, watch.flatten());
        Ok(response.map(|body| Answered::new(body, holder, is_large, held)))
    }
}
