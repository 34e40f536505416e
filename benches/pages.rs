//! Pages out of the cache, by gRPC: what a request costs the server in
//! processor time, beside a bare tonic server that has the page ready and the
//! floor, an HTTP/2 server that sends the page's bytes as they are.
//!
//! Each server is a process of its own and has as many worker threads as the
//! machine has cores; h2load drives them in turns. With the smallest page it is
//! measured twice more with traces on, of which all and none are exported.
//! Clocks on the wall swing on shared machines: the figure is the processor
//! time of the server's process, from its accounting.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

mod support;

use std::{
    convert::Infallible,
    env, fs,
    io::{BufRead, BufReader},
    net::SocketAddr,
    path::Path,
    process::{Command, Stdio},
    sync::Arc,
};

use bytes::{BufMut, Bytes, BytesMut};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::{TokioExecutor, TokioIo};
use prost::Message;
use support::Server;
use tokio::net::TcpListener;
use tonic::{Request, Response, Status, transport::server::TcpIncoming};
use trailgate::{
    clock::Clock,
    event::Scope,
    proto::v1::{
        self,
        event_service_client::EventServiceClient,
        event_service_server::{EventService, EventServiceServer},
    },
    simulator::{self, Record, Simulator},
};

const METHOD: &str = "/trailgate.v1.EventService/LookupEvents";
/// Connections, and streams on each.
const CONNECTIONS: usize = 8;
const STREAMS: usize = 16;
/// Events of a page, and the most CPU that it may take beside a bare server.
const WANTED: [(usize, f64); 2] = [(1, 1.10), (50, 0.75)];
/// Events on a page, and requests to send for a run of a second or so.
const SIZES: [(usize, usize); 3] = [(1, 30_000), (10, 20_000), (50, 10_000)];
/// Rounds that count. A neighbour's work on the machine falls on single runs: with
/// many short ones, each compared with those beside it, the middle is what it costs.
const ROUNDS: usize = 25;

fn main() {
    let args: Vec<String> = env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    match args.iter().position(|arg| arg == "--role") {
        Some(at) => runtime.block_on(serve(&args[at + 1], Path::new(&args[at + 2]))),
        None => compare(&runtime),
    }
}

/// A server that was measured.
struct Measured {
    name: &'static str,
    address: SocketAddr,
    server: Server,
}

/// What one run of h2load saw.
#[derive(Clone, Copy, Default)]
struct Run {
    cpu_micros: f64,
    per_second: f64,
    p99_millis: f64,
}

/// Of the figures of many runs, the middle one and those at the quarters.
struct Figures {
    quarter: f64,
    middle: f64,
    three_quarters: f64,
}

impl Figures {
    fn of(figures: impl Iterator<Item = f64>) -> Self {
        let mut figures: Vec<_> = figures.collect();
        figures.sort_by(f64::total_cmp);
        let at = |part: usize| figures[figures.len() * part / 4];
        Self {
            quarter: at(1),
            middle: at(2),
            three_quarters: at(3),
        }
    }
}

fn compare(runtime: &tokio::runtime::Runtime) {
    let dir = env::temp_dir().join(format!("trailgate-pages-{}", std::process::id()));
    fs::create_dir_all(&dir).expect("a directory");
    let (_simulator, aws) = start_role("simulator", &dir);
    let (scope, _) = runtime.block_on(support::events());
    let (trailgate, metrics) = start_trailgate("trailgate", &scope, aws, &[]);
    let held = runtime.block_on(warm(trailgate.address));
    let (_collector, collector) = start_collector(&dir);
    let collector = format!("http://{collector}");
    let to = ["--otlp-endpoint", &collector, "--trace-sample"];
    let [traced, unsampled] = [("traced", "1"), ("unsampled", "0")].map(|(name, part)| {
        let (server, _) = start_trailgate(name, &scope, aws, &[to.as_slice(), &[part]].concat());
        runtime.block_on(warm(server.address));
        server
    });
    println!(
        "pages of a cache of {held} events; CPU: of the server's process, user and system, a request"
    );
    for (events, most) in WANTED {
        println!("wanted: trailgate / bare <= {most:.2} for pages of {events}");
    }
    let bought = upstream_requests(metrics, runtime);
    for (events, requests) in SIZES {
        let requests = if support::is_smoke() { 1_000 } else { requests };
        let (request, page) = runtime.block_on(page(trailgate.address, events));
        fs::write(dir.join("request"), framed(&request)).expect("written");
        fs::write(dir.join("page"), page.encode_to_vec()).expect("written");
        let (bare, floor) = (start("bare", &dir), start("floor", &dir));
        let mut servers = vec![&trailgate, &bare, &floor];
        // what a span costs is seen best beside the smallest page
        if events == 1 {
            servers.extend([&traced, &unsampled]);
        }
        for other in [&bare, &floor] {
            let told = runtime.block_on(page_of(other.address, request.clone()));
            assert_eq!(told, page, "{}: another page", other.name);
        }
        let body = framed(&page).len();
        println!("\n{events} events, {body} bytes, {requests} requests a run");
        let mut runs = [[Run::default(); ROUNDS]; 5];
        // the first round warms up and does not count
        for round in 0..=ROUNDS {
            for (i, one) in servers.iter().enumerate() {
                let run = drive(one, &dir, requests, body);
                if let Some(round) = round.checked_sub(1) {
                    runs[i][round] = run;
                }
            }
        }
        println!("server     CPU µs/request (half of the runs)   requests/s   p99 ms   CPU/bare");
        let figures = |runs: &[Run], of: fn(&Run) -> f64| Figures::of(runs.iter().map(of));
        for (one, own) in servers.iter().zip(&runs) {
            let cpu = figures(own, |run| run.cpu_micros);
            let beside = own.iter().zip(&runs[1]);
            let ratio = Figures::of(beside.map(|(own, bare)| own.cpu_micros / bare.cpu_micros));
            println!(
                "{:9} {:8.1}  ({:5.1} - {:5.1})            {:10.0} {:8.1} {:10.2}  ({:.2} - {:.2})",
                one.name,
                cpu.middle,
                cpu.quarter,
                cpu.three_quarters,
                figures(own, |run| run.per_second).middle,
                figures(own, |run| run.p99_millis).middle,
                ratio.middle,
                ratio.quarter,
                ratio.three_quarters,
            );
        }
        for (one, own) in servers.iter().zip(&runs).skip(3) {
            let beside = own.iter().zip(&runs[0]);
            let ratio = Figures::of(beside.map(|(own, off)| own.cpu_micros / off.cpu_micros));
            println!("{} / trailgate: CPU {:.2}", one.name, ratio.middle);
        }
    }
    assert_eq!(upstream_requests(metrics, runtime), bought, "AWS was asked");
    let _ = fs::remove_dir_all(dir);
}

/// One run of h2load.
fn drive(measured: &Measured, dir: &Path, requests: usize, body: usize) -> Run {
    let (address, pid) = (measured.address, measured.server.0.id());
    let log = dir.join("log");
    let _ = fs::remove_file(&log);
    let before = support::cpu_seconds(pid);
    let out = Command::new("h2load")
        .args(["-t", "1", "-n", &requests.to_string()])
        .args(["-c", &CONNECTIONS.to_string(), "-m", &STREAMS.to_string()])
        .args(["-H", "content-type: application/grpc", "-H", "te: trailers"])
        .arg("-d")
        .arg(dir.join("request"))
        .arg(format!("--log-file={}", log.display()))
        .arg(format!("http://{address}{METHOD}"))
        .output()
        .expect("h2load, of Debian's nghttp2-client");
    let cpu = support::cpu_seconds(pid) - before;
    let text = String::from_utf8_lossy(&out.stdout);
    assert!(text.contains(&format!("{requests} succeeded")), "{text}");
    // (bytes) data
    let data = text
        .split(['(', ')'])
        .zip(text.split(['(', ')']).skip(1))
        .find_map(|(bytes, what)| {
            what.starts_with(" data")
                .then(|| bytes.parse::<usize>().ok())?
        })
        .expect("h2load tells the bytes of data");
    // scopes say when they were asked: a nanosecond has one to five bytes
    let slack = requests * 16;
    assert!(
        data.abs_diff(requests * body) <= slack,
        "{data} bytes, not {requests} times {body}"
    );
    let per_second = text
        .split(", ")
        .find_map(|part| part.strip_suffix(" req/s")?.parse().ok())
        .expect("h2load tells the rate");
    let mut micros: Vec<u64> = fs::read_to_string(&log)
        .expect("the log")
        .lines()
        .filter_map(|line| line.split('\t').nth(2)?.parse().ok())
        .collect();
    micros.sort_unstable();
    let p99 = micros[micros.len() * 99 / 100];
    Run {
        cpu_micros: cpu * 1e6 / requests as f64,
        per_second,
        p99_millis: p99 as f64 / 1e3,
    }
}

fn framed(message: &impl Message) -> Bytes {
    let mut out = BytesMut::new();
    out.put_u8(0);
    out.put_u32(u32::try_from(message.encoded_len()).expect("small"));
    message.encode(&mut out).expect("has room");
    out.freeze()
}

/// Reads everything into the cache.
async fn warm(address: SocketAddr) -> usize {
    let mut client = connect(address).await;
    let mut request = v1::LookupEventsRequest {
        page_size: 1_000,
        ..request(0)
    };
    let mut events = 0;
    loop {
        let page = client
            .lookup_events(request.clone())
            .await
            .expect("a page")
            .into_inner();
        events += page.events.len();
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return events;
        }
    }
}

async fn connect(address: SocketAddr) -> EventServiceClient<tonic::transport::Channel> {
    let endpoint = tonic::transport::Endpoint::from_shared(format!("http://{address}"));
    let channel = endpoint.expect("an address").connect().await;
    EventServiceClient::new(channel.expect("connects"))
}

fn request(events: usize) -> v1::LookupEventsRequest {
    v1::LookupEventsRequest {
        page_size: i32::try_from(events).expect("small"),
        // what was read once will do for as long as this takes
        max_staleness: Some(prost_types::Duration {
            seconds: 86_400,
            nanos: 0,
        }),
        ..Default::default()
    }
}

async fn page(
    address: SocketAddr,
    events: usize,
) -> (v1::LookupEventsRequest, v1::LookupEventsResponse) {
    let request = request(events);
    let page = page_of(address, request.clone()).await;
    assert_eq!(page.events.len(), events);
    assert_eq!(page.stats.expect("stats").upstream_calls, 0);
    (request, page)
}

async fn page_of(
    address: SocketAddr,
    request: v1::LookupEventsRequest,
) -> v1::LookupEventsResponse {
    let mut client = connect(address).await;
    client
        .lookup_events(request)
        .await
        .expect("a page")
        .into_inner()
}

/// What trailgate has bought so far, as its metrics tell.
fn upstream_requests(metrics: SocketAddr, runtime: &tokio::runtime::Runtime) -> String {
    runtime.block_on(async {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let mut stream = tokio::net::TcpStream::connect(metrics)
            .await
            .expect("connects");
        let get = b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
        stream.write_all(get).await.expect("sent");
        let mut text = String::new();
        stream.read_to_string(&mut text).await.expect("read");
        let bought: Vec<&str> = text
            .lines()
            .filter(|line| line.starts_with("trailgate_upstream_requests_total"))
            .collect();
        assert!(!bought.is_empty(), "{text}");
        bought.join("\n")
    })
}

fn start(name: &'static str, dir: &Path) -> Measured {
    let (server, address) = start_role(name, dir);
    Measured {
        name,
        address,
        server,
    }
}

fn start_role(role: &str, dir: &Path) -> (Server, SocketAddr) {
    let mut command = Command::new(env::current_exe().expect("a path"));
    command.args(["--role", role]).arg(dir);
    let (server, line) = spawn(command);
    (server, line.parse().expect("an address"))
}

/// What takes every export: a floor that sends no more than that it did.
fn start_collector(dir: &Path) -> (Server, SocketAddr) {
    let dir = dir.join("collector");
    fs::create_dir_all(&dir).expect("a directory");
    fs::write(dir.join("page"), []).expect("written");
    start_role("floor", &dir)
}

/// The program itself, in front of the simulator.
fn start_trailgate(
    name: &'static str,
    scope: &Scope,
    aws: SocketAddr,
    more: &[&str],
) -> (Measured, SocketAddr) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_trailgate"));
    command
        .args(["serve", "--aws-endpoint-url", &format!("http://{aws}")])
        .args(["--account", &scope.account, "--region", &scope.region])
        .args(["--rate", "0", "--history", "unlimited"])
        .args(["--listen", "127.0.0.1:0", "--http-listen", "127.0.0.1:0"])
        .args(more)
        .env("AWS_ACCESS_KEY_ID", &*scope.account)
        .env("AWS_SECRET_ACCESS_KEY", "none");
    let (server, line) = spawn(command);
    let mut addresses = line
        .split("://")
        .skip(1)
        .filter_map(|part| part.split(' ').next()?.parse().ok());
    let address = addresses.next().expect("where gRPC listens");
    let metrics = addresses.next().expect("where HTTP listens");
    (
        Measured {
            name,
            address,
            server,
        },
        metrics,
    )
}

/// Starts a process, and gives the first line that it says.
fn spawn(mut command: Command) -> (Server, String) {
    // what it logs is written, as it is where it serves
    let log = fs::File::create(env::temp_dir().join("trailgate-pages.log")).expect("a file");
    let mut child = command
        .stdout(Stdio::piped())
        .stderr(log)
        .spawn()
        .expect("starts");
    let out = child.stdout.take().expect("piped");
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).expect("a line");
    assert!(!line.is_empty(), "{command:?} said nothing");
    (Server(child), line.trim().to_owned())
}

/// A role of this program's.
async fn serve(role: &str, dir: &Path) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    println!("{}", listener.local_addr().expect("bound"));
    match role {
        "simulator" => simulate(listener).await,
        "bare" => {
            let page = fs::read(dir.join("page")).expect("a page");
            let page = v1::LookupEventsResponse::decode(page.as_slice()).expect("a page");
            let service = EventServiceServer::new(Bare(Arc::new(page)));
            tonic::transport::Server::builder()
                .add_service(service)
                .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)))
                .await
                .expect("serves");
        }
        _ => {
            let page = fs::read(dir.join("page")).expect("a page");
            let page = v1::LookupEventsResponse::decode(page.as_slice()).expect("a page");
            floor(listener, framed(&page)).await;
        }
    }
}

async fn simulate(listener: TcpListener) {
    let (scope, events) = support::events().await;
    let records = events
        .into_iter()
        .map(|event| Record::new(scope.clone(), event))
        .collect();
    let options = simulator::Options {
        accounts: vec![scope.account.to_string()],
        regions: vec![scope.region.to_string()],
        rate: simulator::Rate::default(),
        unlimited_history: true,
        ..simulator::Options::default()
    };
    let simulator = Simulator::new(options, Clock::system(), records);
    simulator::serve(listener, Arc::new(simulator), std::future::pending())
        .await
        .expect("serves");
}

/// Sends the page's bytes as they are.
async fn floor(listener: TcpListener, page: Bytes) {
    loop {
        let (stream, _) = listener.accept().await.expect("a connection");
        stream.set_nodelay(true).expect("a socket");
        let page = page.clone();
        let answer =
            hyper::service::service_fn(move |request: http::Request<hyper::body::Incoming>| {
                let page = page.clone();
                async move {
                    let _ = request.into_body().collect().await;
                    let mut trailers = http::HeaderMap::new();
                    trailers.insert("grpc-status", http::HeaderValue::from_static("0"));
                    let body =
                        Full::new(page)
                            .with_trailers(std::future::ready(Some(Ok::<_, Infallible>(trailers))));
                    let response = http::Response::builder()
                        .header("content-type", "application/grpc")
                        .body(body)
                        .expect("a response");
                    Ok::<_, Infallible>(response)
                }
            });
        tokio::spawn(
            hyper::server::conn::http2::Builder::new(TokioExecutor::new())
                .serve_connection(TokioIo::new(stream), answer),
        );
    }
}

/// Answers with the page that it has.
struct Bare(Arc<v1::LookupEventsResponse>);

type NoStream<T> = tokio_stream::Empty<Result<T, Status>>;

#[tonic::async_trait]
impl EventService for Bare {
    async fn lookup_events(
        &self,
        _: Request<v1::LookupEventsRequest>,
    ) -> Result<Response<v1::LookupEventsResponse>, Status> {
        Ok(Response::new((*self.0).clone()))
    }

    async fn get_event(
        &self,
        _: Request<v1::GetEventRequest>,
    ) -> Result<Response<v1::GetEventResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    type ExportEventsStream = NoStream<v1::ExportEventsResponse>;

    async fn export_events(
        &self,
        _: Request<v1::ExportEventsRequest>,
    ) -> Result<Response<Self::ExportEventsStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn summarize_events(
        &self,
        _: Request<v1::SummarizeEventsRequest>,
    ) -> Result<Response<v1::SummarizeEventsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    type SubscribeEventsStream = NoStream<v1::SubscribeEventsResponse>;

    async fn subscribe_events(
        &self,
        _: Request<v1::SubscribeEventsRequest>,
    ) -> Result<Response<Self::SubscribeEventsStream>, Status> {
        Err(Status::unimplemented(""))
    }

    type IngestEventsStream = NoStream<v1::IngestEventsResponse>;

    async fn ingest_events(
        &self,
        _: Request<tonic::Streaming<v1::IngestEventsRequest>>,
    ) -> Result<Response<Self::IngestEventsStream>, Status> {
        Err(Status::unimplemented(""))
    }
}
