//! Connections: so many at once, each held to its limits, and all of them
//! finished in the end.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::{server::conn::http2, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::graceful::{GracefulShutdown, Watcher},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use super::calls::{Calls, MethodObserver};

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
/// How long a new connection may say nothing at all: its client's first words
/// are sent with the first packet.
const SILENCE: Duration = Duration::from_secs(20);
/// How long a connection that nobody called on has to end in the end.
const GOODBYE: Duration = Duration::from_secs(1);
/// The pause after a connection could not be accepted: files have run out, and
/// come back as connections end.
const NO_ACCEPT: Duration = Duration::from_secs(1);

/// Serves connections until `shutdown` resolves; then takes no more of them, and
/// lets the calls that are under way finish.
pub(super) async fn serve<M: MethodObserver>(
    listener: TcpListener,
    calls: Calls<M>,
    shutdown: impl Future<Output = ()>,
) {
    let room = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let connections = GracefulShutdown::new();
    let stopping = CancellationToken::new();
    let accepting = async {
        loop {
            match accept(&listener, &room).await {
                Ok((stream, peer, place)) => {
                    let (calls, watcher) = (calls.clone(), connections.watcher());
                    let connection = connection(stream, peer, calls, watcher, stopping.clone());
                    tokio::spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                Err(error) => {
                    tracing::warn!(%error, "a connection could not be accepted");
                    sleep(NO_ACCEPT).await;
                }
            }
        }
    };
    tokio::select! {
        () = shutdown => {}
        () = accepting => {}
    }
    // whoever connects now is refused rather than left waiting
    drop(listener);
    stopping.cancel();
    connections.shutdown().await;
}

async fn accept(
    listener: &TcpListener,
    room: &Arc<Semaphore>,
) -> io::Result<(TcpStream, SocketAddr, Option<OwnedSemaphorePermit>)> {
    // the semaphore is never closed
    let place = Arc::clone(room).acquire_owned().await.ok();
    let (stream, peer) = listener.accept().await?;
    // answers are small and awaited; without it they wait for acknowledgements
    stream.set_nodelay(true)?;
    Ok((stream, peer, place))
}

async fn connection<M: MethodObserver>(
    stream: TcpStream,
    peer: SocketAddr,
    calls: Calls<M>,
    watcher: Watcher,
    stopping: CancellationToken,
) {
    let first_words = timeout(SILENCE, stream.readable());
    let Some(Ok(Ok(()))) = stopping.run_until_cancelled(first_words).await else {
        tracing::debug!(%peer, "a connection said nothing");
        return;
    };
    let has_called = Arc::new(AtomicBool::new(false));
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
                move |request| {
                    has_called.store(true, Relaxed);
                    calls.call(peer, request)
                }
            }),
        );
    // one that is still shaking hands would wait for their end
    let unused = async {
        stopping.cancelled().await;
        sleep(GOODBYE).await;
        if has_called.load(Relaxed) {
            std::future::pending::<()>().await;
        }
    };
    let ended = tokio::select! {
        ended = watcher.watch(connection) => ended,
        () = unused => Ok(()),
    };
    if let Err(error) = ended {
        tracing::debug!(%peer, %error, "a connection ended badly");
    }
}
