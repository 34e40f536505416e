//! Connections to the HTTP port, in plain text or TLS: so many at once, each held
//! to its limits, and none for long.

use std::{
    convert::Infallible,
    future::Future,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{Router, extract::ConnectInfo};
use hyper::{
    body::Incoming,
    header::{CONNECTION, HeaderValue},
    server::conn::http1,
    service::{Service, service_fn},
};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use crate::{
    accept::{Place, Places, Tasks},
    tls::{self, Identity, Tls},
};

/// Connections at once, and of one address a quarter. More than probes and scrapes
/// need; each takes a task, a buffer of up to [`MAX_HEAD`] and what TLS buffers.
const MAX_CONNECTIONS: usize = 1024;
/// How long a request's head may take, and how long a connection may stay without
/// one: probes and scrapes come in one packet.
const HEAD_TIME: Duration = Duration::from_secs(5);
/// The most bytes of a head, and so of what is read ahead. Tokens take up to 8 KiB.
const MAX_HEAD: usize = 16 * 1024;
/// The most headers of a head; hyper's own default, and a browser sends a score.
const MAX_HEADERS: usize = 100;
/// How old a connection grows: the answer after it says that it is the last, for a
/// close that is not announced can cross the next request. A scrape reads its answer
/// within Prometheus's scrape time-out, ten seconds unless set, and comes again.
const AGE: Duration = Duration::from_secs(30);
/// Then how long the answer under way may take to be read.
const GOODBYE: Duration = Duration::from_secs(10);
/// The same of a file, which may have all of an account's history: some millions of
/// events at what AWS tells from a cache.
const FILE: Duration = Duration::from_secs(3600);

/// Who is at the other end of a connection.
#[derive(Clone, Debug)]
pub struct Visitor {
    /// Where it comes from.
    pub address: SocketAddr,
    /// Whom its certificate is for, if it showed one.
    pub identity: Option<Identity>,
    /// What it is answered takes its time.
    is_long: Arc<AtomicBool>,
}

impl Visitor {
    fn new(address: SocketAddr, identity: Option<Identity>) -> Self {
        Self {
            address,
            identity,
            is_long: Arc::default(),
        }
    }

    /// Lets the answer under way take as long as a file does.
    pub fn takes_time(&self) {
        self.is_long.store(true, Relaxed);
    }

    /// Its name, if it is known.
    #[must_use]
    pub fn name(&self) -> Option<&Arc<str>> {
        self.identity.as_ref().map(Identity::name)
    }
}

/// Serves `app`, whose answers take so long at most before they begin, until
/// `shutdown` resolves; then answers what was asked.
pub(super) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    app: Router,
    longest: Duration,
    shutdown: impl Future<Output = ()>,
) {
    let places = Places::new(MAX_CONNECTIONS, None);
    let stopping = CancellationToken::new();
    let open = |stream, peer, place| {
        let (app, tls, stopping) = (app.clone(), tls.clone(), stopping.clone());
        async move {
            if let Err(error) = open(stream, peer, tls, (app, longest), stopping, place).await {
                tracing::debug!(%peer, %error, "a connection ended badly");
            }
        }
    };
    places
        .serve(listener, shutdown, stopping.clone(), Tasks::default(), open)
        .await;
}

async fn open(
    stream: TcpStream,
    address: SocketAddr,
    tls: Option<Arc<Tls>>,
    app: (Router, Duration),
    stopping: CancellationToken,
    _place: Place,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Some(tls) = tls else {
        let visitor = Visitor::new(address, None);
        return Ok(speak(stream, visitor, app, stopping).await?);
    };
    let accepted = tls.accept(tls::Port::Http, stream);
    let Some(accepted) = stopping.run_until_cancelled(accepted).await else {
        return Ok(());
    };
    let (stream, identity) = accepted?;
    Ok(speak(stream, Visitor::new(address, identity), app, stopping).await?)
}

/// Speaks HTTP/1.1 with whoever is at the other end.
async fn speak(
    stream: impl AsyncRead + AsyncWrite + Unpin + 'static,
    visitor: Visitor,
    (app, longest): (Router, Duration),
    stopping: CancellationToken,
) -> hyper::Result<()> {
    let app = TowerToHyperService::new(app);
    let is_long = Arc::clone(&visitor.is_long);
    let old = Instant::now() + AGE;
    let service = service_fn(move |mut request: hyper::Request<Incoming>| {
        request
            .extensions_mut()
            .insert(ConnectInfo(visitor.clone()));
        let answer = app.call(request);
        async move {
            let mut answer = answer.await?;
            if Instant::now() >= old {
                let headers = answer.headers_mut();
                headers.insert(CONNECTION, HeaderValue::from_static("close"));
            }
            Ok::<_, Infallible>(answer)
        }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_HEAD)
        .serve_connection(TokioIo::new(stream), service);
    tokio::pin!(connection);
    tokio::select! {
        ended = connection.as_mut() => return ended,
        () = stopping.cancelled() => {}
        // who asks nothing more has been left by then
        () = sleep(AGE + HEAD_TIME) => {}
    }
    connection.as_mut().graceful_shutdown();
    // who reads no answer by now is not waited for
    let goodbye = match is_long.load(Relaxed) {
        true => FILE,
        false => longest + GOODBYE,
    };
    timeout(goodbye, connection).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};

    use super::*;

    /// A connection whose other end takes so many bytes at once.
    fn connect(room: usize) -> (DuplexStream, impl Future<Output = hyper::Result<()>>) {
        let (client, server) = duplex(room);
        let long = || async { "x".repeat(1 << 20) };
        let app = Router::new()
            .route("/", get(|| async { "ok" }))
            .route("/long", get(long));
        let visitor = Visitor::new(SocketAddr::from(([192, 0, 2, 1], 1)), None);
        let app = (app, Duration::ZERO);
        let served = speak(server, visitor, app, CancellationToken::new());
        (client, served)
    }

    /// What is answered until the connection ends, with what it takes on paused time.
    async fn answered(mut client: DuplexStream) -> (String, Duration) {
        let start = Instant::now();
        let mut answer = Vec::new();
        let _ = client.read_to_end(&mut answer).await;
        (String::from_utf8(answer).unwrap(), start.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn who_says_a_head_byte_by_byte_or_nothing_at_all_is_not_waited_for() {
        for said in [
            "",
            "GET / HTTP/1.1\r\n",
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        ] {
            let (mut client, served) = connect(1024);
            client.write_all(said.as_bytes()).await.unwrap();
            let (ended, (answer, took)) = tokio::join!(served, answered(client));
            assert_eq!(
                answer.starts_with("HTTP/1.1 200"),
                said.len() > 20,
                "{answer}"
            );
            assert!(took >= HEAD_TIME && took < HEAD_TIME * 2, "{took:?}");
            drop(ended);
        }
        let (mut client, served) = connect(1024);
        let drip = async move {
            client
                .write_all(b"GET / HTTP/1.1\r\nhost: a\r\nx: ")
                .await
                .unwrap();
            let mut said = 0;
            while client.write_all(b"x").await.is_ok() {
                sleep(HEAD_TIME / 10).await;
                said += 1;
            }
            said
        };
        let (said, ended) = tokio::join!(drip, served);
        assert!(ended.is_err() && said <= 11, "{said} bytes");
    }

    #[tokio::test(start_paused = true)]
    async fn heads_have_a_size_and_so_many_headers() {
        let long = format!("x: {}\r\n", "x".repeat(MAX_HEAD));
        let many = "x: x\r\n".repeat(MAX_HEADERS);
        for header in [long, many] {
            let (mut client, served) = connect(1 << 20);
            let head = format!("GET / HTTP/1.1\r\nhost: a\r\n{header}\r\n");
            client.write_all(head.as_bytes()).await.unwrap();
            let (_, (answer, _)) = tokio::join!(served, answered(client));
            assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_whether_its_answer_is_read_or_not() {
        let (mut client, served) = connect(1024);
        let head = b"GET /long HTTP/1.1\r\nhost: a\r\n\r\n";
        client.write_all(head).await.unwrap();
        let start = Instant::now();
        served.await.unwrap();
        assert_eq!(start.elapsed(), AGE + HEAD_TIME + GOODBYE);
        drop(client);
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_for_ever_is_told_which_answer_is_the_last() {
        let (mut client, served) = connect(1 << 10);
        let ask = async move {
            let mut buffer = [0; 1024];
            loop {
                let head = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
                client.write_all(head).await.unwrap();
                let length = client.read(&mut buffer).await.unwrap();
                let answer = String::from_utf8_lossy(&buffer[..length]);
                assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
                if answer.contains("connection: close") {
                    return client.read(&mut buffer).await.unwrap();
                }
                sleep(HEAD_TIME / 5).await;
            }
        };
        let start = Instant::now();
        let (ended, more) = tokio::join!(served, ask);
        ended.unwrap();
        assert_eq!(more, 0, "nothing comes after it");
        assert!(start.elapsed() >= AGE, "{:?}", start.elapsed());
        assert!(start.elapsed() < AGE + HEAD_TIME, "{:?}", start.elapsed());
    }
}
