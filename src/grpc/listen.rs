//! Connections: so many at once, each held to its limits, and all of them
//! finished in the end.

use std::{
    io::{self, Cursor},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, join, split},
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tonic::Request;

use super::{
    calls::{Calls, MethodObserver},
    peer::Peer,
};
use crate::{
    accept::accept,
    tls::{Port, Tls},
};

/// The most connections at once; further ones wait to be accepted. Each takes
/// some 30 KB while it idles, and a service has a handful.
const MAX_CONNECTIONS: usize = 4096;
/// Calls under way on one connection. HTTP/2 implementations offer 100 or more.
const MAX_STREAMS: u32 = 200;
/// The most bytes of a request's headers. Tokens and deadlines take a few
/// hundred.
const MAX_HEADERS: u32 = 16 * 1024;
/// Streams that a client may open and reset at once before its connection is
/// closed (rapid reset, CVE-2023-44487); hyper's own default.
const MAX_PENDING_RESETS: usize = 20;
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
        let known = request.extensions().get::<Self>();
        known.map_or_else(CancellationToken::new, |leaving| leaving.0.clone())
    }
}

/// Serves connections until `shutdown` resolves; then takes no more of them, and
/// lets the calls that are under way finish.
pub(super) async fn serve<M: MethodObserver>(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    calls: Calls<M>,
    age: Option<Age>,
    shutdown: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = TaskTracker::new();
    let stopping = CancellationToken::new();
    let accepting = async {
        loop {
            let (stream, peer, place) = accept(&listener, &room).await;
            let tls = tls.clone();
            let connection = connection(stream, peer, tls, calls.clone(), age, stopping.clone());
            connections.spawn(async move {
                connection.await;
                drop(place);
            });
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = accepting => {}
    }
    // whoever connects now is refused rather than left waiting
    drop(listener);
    stopping.cancel();
    connections.close();
    connections.wait().await;
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

async fn connection<M: MethodObserver>(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    calls: Calls<M>,
    age: Option<Age>,
    stopping: CancellationToken,
) {
    let Some(tls) = tls else {
        let (read, write) = stream.into_split();
        let peer = Peer::new(address, None);
        return speak(read, write, peer, calls, age, stopping).await;
    };
    let accepted = tls.accept(Port::Grpc, stream);
    match stopping.run_until_cancelled(accepted).await {
        Some(Ok((stream, identity))) => {
            let (read, write) = split(stream);
            let peer = Peer::new(address, identity);
            speak(read, write, peer, calls, age, stopping).await;
        }
        Some(Err(error)) => tracing::debug!(peer = %address, %error, "no TLS handshake"),
        None => {}
    }
}

/// Speaks HTTP/2 with whoever is at the other end.
async fn speak<M: MethodObserver>(
    mut read: impl AsyncRead + Send + Unpin + 'static,
    write: impl AsyncWrite + Send + Unpin + 'static,
    peer: Peer,
    calls: Calls<M>,
    age: Option<Age>,
    stopping: CancellationToken,
) {
    let address = peer.address;
    let opened = timeout(SILENCE, preface(&mut read));
    let Some(Ok(Ok(preface))) = stopping.run_until_cancelled(opened).await else {
        tracing::debug!(peer = %address, "a connection did not begin HTTP/2");
        return;
    };
    let stream = join(Cursor::new(preface).chain(read), write);
    let has_called = Arc::new(AtomicBool::new(false));
    let leaving = CancellationToken::new();
    let connection = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(MAX_HEADERS)
        .max_pending_accept_reset_streams(MAX_PENDING_RESETS)
        .keep_alive_interval(KEEPALIVE)
        .keep_alive_timeout(KEEPALIVE_TIMEOUT)
        .serve_connection(
            TokioIo::new(stream),
            service_fn({
                let has_called = Arc::clone(&has_called);
                // a call of a connection without an end pays nothing for it
                let leaving = age.map(|_| Leaving(leaving.clone()));
                move |mut request| {
                    has_called.store(true, Relaxed);
                    if let Some(leaving) = &leaving {
                        request.extensions_mut().insert(leaving.clone());
                    }
                    calls.call(&peer, request)
                }
            }),
        );
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
    };
    if let Err(error) = ended {
        tracing::debug!(peer = %address, %error, "a connection ended badly");
    }
}
