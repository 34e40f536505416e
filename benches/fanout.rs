//! Subscriptions: what it costs the server in processor time to tell each event to
//! many, beside a bare tonic stream whose messages are ready bytes; and what a
//! thousand subscribers on fifty filters cost.
//!
//! Each server is a process of its own, and is given the next batch when all
//! subscribers have the last one. The figure is the processor time of the
//! server's process, from the scheduler. trailgate's has the work of taking each
//! event into the feed, once, which no bare stream has; it is told apart as well.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    reason = "a benchmark"
)]

mod support;

use std::{
    env, fs,
    io::{BufRead, BufReader, Write},
    net::SocketAddr,
    pin::Pin,
    process::{ChildStdin, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{Stream, stream};
use support::{Server, is_smoke, resident_of};
use tokio::{
    io::AsyncBufReadExt,
    net::TcpListener,
    sync::{Notify, watch},
};
use tonic::{Request, Response, Status, transport::server::TcpIncoming};
use trailgate::{
    budget::Budgets,
    clock::Clock,
    collect::{self, Poller, Polling},
    coverage::Coverage,
    event::{Event, Origin},
    feed::{self, Feed},
    grpc::{self, CallObserver, Limits, MethodObserver},
    lookup::Lookup,
    policy::Access,
    proto::{
        Encoded, Ready,
        server::{
            self,
            event_service_server::{EventService, EventServiceServer},
        },
        v1::{self, event_service_client::EventServiceClient},
    },
    simulator::{self, Simulator},
    upstream::{CloudTrail, Retry, Scopes, Upstream},
};

/// Events of a batch.
const BATCH: usize = 64;
/// Subscribers, and batches for a run of a second or so.
const RUNS: [(usize, usize); 4] = [(1, 2000), (8, 1000), (64, 200), (512, 30)];
/// Batches that are made ahead, so that making them is not measured: those of the
/// longest run, and some.
const AHEAD: usize = 2100;
/// Rounds that count; the middle one is told.
const ROUNDS: usize = 7;
/// Connections that subscribers share.
const CONNECTIONS: usize = 8;
/// The least that is wanted: events told in a second of processor time, beside the
/// bare stream.
const WANTED: f64 = 0.9;

fn main() {
    let args: Vec<String> = env::args().collect();
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    match args.iter().position(|arg| arg == "--role") {
        Some(at) => runtime.block_on(serve(&args[at + 1])),
        None => runtime.block_on(compare()),
    }
}

async fn compare() {
    let (rounds, shrink) = if is_smoke() { (1, 20) } else { (ROUNDS, 1) };
    println!(
        "subscribers  bare µs/event  trailgate µs/event  taking in  ratio (quartiles)  without taking in"
    );
    let mut least = f64::MAX;
    for (subscribers, batches) in RUNS {
        let batches = (batches / shrink).max(3);
        let mut costs = Vec::new();
        for _ in 0..rounds {
            let bare = run("bare", subscribers, 0, batches).await;
            let ours = run("trailgate", subscribers, 0, batches).await;
            costs.push((bare, ours));
        }
        let middle = |of: fn(&(Run, Run)) -> f64| quantile(&costs, of, 0.5);
        let ratio = |(bare, ours): &(Run, Run)| bare.cost / ours.cost;
        let ratios = [0.25, 0.5, 0.75].map(|part| quantile(&costs, ratio, part));
        println!(
            "{subscribers:>11}  {:>13.2}  {:>18.2}  {:>9.2}  {:>4.2} ({:.2} to {:.2})  {:>18.2}",
            middle(|(bare, _)| bare.cost),
            middle(|(_, ours)| ours.cost),
            middle(|(bare, ours)| ours.main - bare.main),
            ratios[1],
            ratios[0],
            ratios[2],
            middle(|(bare, ours)| bare.cost / (ours.cost - (ours.main - bare.main))),
        );
        least = least.min(ratios[1]);
    }
    println!("least {least:.2}, wanted {WANTED} or more");
    let many = run("trailgate", 1000, 50, 20 / shrink.min(5)).await;
    println!(
        "1000 subscribers on 50 filters: {:.2} µs of processor time for each event told, {:.1} µs \
         for each that arrived, {} KB of memory for each subscriber",
        many.cost,
        many.cost * many.told as f64 / many.arrived as f64,
        many.memory / 1000 / 1024
    );
}

fn quantile<T>(all: &[T], of: impl Fn(&T) -> f64, part: f64) -> f64 {
    let mut all: Vec<f64> = all.iter().map(of).collect();
    all.sort_by(f64::total_cmp);
    let at = (all.len() - 1) as f64 * part;
    all[rounded(at)]
}

#[allow(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "small"
)]
fn rounded(at: f64) -> usize {
    at.round() as usize
}

/// What a run took.
struct Run {
    /// Microseconds of processor time for each event that a subscriber was told.
    cost: f64,
    /// Of those, the ones of the thread that takes events in; the bare server's says
    /// that there are more, and no more than that.
    main: f64,
    told: usize,
    arrived: usize,
    /// Bytes that subscribers took.
    memory: usize,
}

async fn run(role: &str, subscribers: usize, filters: usize, batches: usize) -> Run {
    let (server, mut orders, address) = start(role);
    let pid = server.0.id();
    let told = Arc::new(AtomicUsize::new(0));
    let ready = Arc::new(AtomicUsize::new(0));
    let news = Arc::new(Notify::new());
    let process = pid.to_string();
    let before = resident_of(&process);
    let mut channels = Vec::new();
    for _ in 0..CONNECTIONS.min(subscribers) {
        let channel = tonic::transport::Channel::from_shared(format!("http://{address}"));
        channels.push(channel.expect("a URL").connect().await.expect("connects"));
    }
    let mut tasks = Vec::new();
    for number in 0..subscribers {
        let channel = channels[number % channels.len()].clone();
        let (told, ready, news) = (Arc::clone(&told), Arc::clone(&ready), Arc::clone(&news));
        let request = request(number.checked_rem(filters));
        tasks.push(tokio::spawn(async move {
            let mut client = EventServiceClient::new(channel).max_decoding_message_size(8 << 20);
            let stream = client.subscribe_events(request).await.expect("a stream");
            let mut stream = stream.into_inner();
            while let Ok(Some(response)) = stream.message().await {
                match response.payload {
                    Some(v1::subscribe_events_response::Payload::Batch(batch)) => {
                        told.fetch_add(batch.events.len(), Relaxed);
                    }
                    _ => {
                        ready.fetch_add(1, Relaxed);
                    }
                }
                news.notify_one();
            }
        }));
    }
    let until = async |count: &AtomicUsize, wanted: usize| {
        while count.load(Relaxed) < wanted {
            news.notified().await;
        }
    };
    until(&ready, subscribers).await;
    // all have gone to wait
    tokio::time::sleep(Duration::from_millis(200)).await;
    let memory = resident_of(&process).saturating_sub(before);
    // the first one warms up
    order(&mut orders);
    until(&told, subscribers * BATCH).await;
    let began = cpu_seconds(pid);
    let began_main = cpu_of_thread(pid, &process);
    for batch in 1..=batches {
        order(&mut orders);
        until(&told, (batch + 1) * subscribers * BATCH).await;
    }
    let took = cpu_seconds(pid) - began;
    let took_main = cpu_of_thread(pid, &process) - began_main;
    tasks.iter().for_each(tokio::task::JoinHandle::abort);
    let count = batches * subscribers * BATCH;
    Run {
        cost: took * 1e6 / count as f64,
        main: took_main * 1e6 / count as f64,
        told: count,
        arrived: batches * BATCH,
        memory,
    }
}

/// All events: by no filter, or by one of many that all of them pass.
fn request(filter: Option<usize>) -> v1::SubscribeEventsRequest {
    let filter = filter.map(|filter| v1::EventFilter {
        matches: vec![v1::Match {
            field: "eventName".to_owned(),
            values: vec![format!("filter-{filter}")],
            negate: true,
            ..v1::Match::default()
        }],
    });
    v1::SubscribeEventsRequest {
        filters: filter.into_iter().collect(),
        max_batch_events: i32::try_from(BATCH).expect("small"),
        // not during a run
        progress_interval: Some(prost_types::Duration {
            seconds: 3600,
            nanos: 0,
        }),
        ..v1::SubscribeEventsRequest::default()
    }
}

/// The processor time that a process has taken, in seconds: as the scheduler counts
/// it, in nanoseconds. Its threads live as long as it does.
fn cpu_seconds(pid: u32) -> f64 {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).expect("the process lives");
    let threads = threads.map(|thread| thread.expect("a thread").file_name());
    let threads = threads.filter_map(|thread| thread.into_string().ok());
    threads.map(|thread| cpu_of_thread(pid, &thread)).sum()
}

fn cpu_of_thread(pid: u32, thread: &str) -> f64 {
    let path = format!("/proc/{pid}/task/{thread}/schedstat");
    // a thread that ended while it was looked at had little to do
    let text = fs::read_to_string(path).unwrap_or_default();
    let nanos = text
        .split(' ')
        .next()
        .and_then(|first| first.parse::<f64>().ok());
    nanos.unwrap_or_default() / 1e9
}

fn order(orders: &mut ChildStdin) {
    orders.write_all(b"batch\n").expect("the server lives");
}

fn start(role: &str) -> (Server, ChildStdin, SocketAddr) {
    let mut child = Command::new(env::current_exe().expect("a program"))
        .args(["--role", role])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("starts");
    let orders = child.stdin.take().expect("piped");
    let out = child.stdout.take().expect("piped");
    let mut line = String::new();
    BufReader::new(out).read_line(&mut line).expect("a line");
    let address = line.trim().parse().expect("an address");
    (Server(child), orders, address)
}

/// Batches of events of real size, each event another one.
async fn batches() -> impl Iterator<Item = Vec<Arc<Event>>> {
    let (scope, real) = support::events().await;
    let records: Vec<String> = real.into_iter().filter_map(|event| event.record).collect();
    let now = Clock::system().now_secs();
    (0_usize..).map(move |batch| {
        let events = (0..BATCH).map(|place| {
            let number = batch * BATCH + place;
            let record = &records[number % records.len()];
            let rest = record.strip_prefix('{').unwrap_or_default();
            // of members with one name the last counts
            let end = rest.strip_suffix('}').unwrap_or(rest);
            let record = format!("{{{end},\"eventID\":\"00000000-0000-4000-8000-{number:012}\"}}");
            Arc::new(Event::from_record(
                &scope,
                record.as_bytes(),
                Origin::LogFile,
                now,
            ))
        });
        events.collect()
    })
}

/// A role of this program's: tells a batch for each line that it reads.
async fn serve(role: &str) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let mut batches = batches().await;
    let orders = tokio::io::BufReader::new(tokio::io::stdin());
    let mut orders = orders.lines();
    let address = listener.local_addr().expect("bound");
    if role == "bare" {
        // each another one, as trailgate's are: what is told twice is near the processor
        let all = batches.by_ref().take(AHEAD);
        let all: Vec<Ready> = all.map(|batch| ready(&batch)).collect();
        let (told, _) = watch::channel(0);
        let service = EventServiceServer::new(Bare {
            batches: all.into(),
            told: told.clone(),
        });
        let served = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming(TcpIncoming::from(listener).with_nodelay(Some(true)));
        tokio::spawn(served);
        println!("{address}");
        while let Ok(Some(_)) = orders.next_line().await {
            told.send_modify(|told| *told += 1);
        }
        return;
    }
    let feed = start_trailgate(listener);
    let mut all: Vec<_> = batches.by_ref().take(AHEAD).collect();
    all.reverse();
    println!("{address}");
    while let Ok(Some(_)) = orders.next_line().await {
        feed.take_from_queue(&all.pop().expect("no more than that"));
    }
}

fn ready(events: &[Arc<Event>]) -> Ready {
    let events = events.iter();
    let batch = server::EventBatch {
        events: events
            .map(|event| Encoded::new(Arc::clone(event), true))
            .collect(),
    };
    // as long as that of one scope
    Ready::batch(&batch, &"t".repeat(160), false)
}

fn start_trailgate(listener: TcpListener) -> Arc<Feed> {
    let clock = Clock::system();
    let scope = support::scope();
    let options = simulator::Options {
        accounts: vec![scope.account.to_string()],
        ..simulator::Options::default()
    };
    let simulator = Simulator::new(options, clock.clone(), Vec::new());
    let cloudtrail: Arc<dyn CloudTrail> = Arc::new(simulator);
    let budgets = Arc::new(Budgets::new(0.0));
    let upstream = Arc::new(Upstream::new(cloudtrail, budgets, Retry::default()));
    let coverage = Arc::new(Coverage::new(trailgate::coverage::Options::default()));
    let lookup = Arc::new(Lookup::new(clock.clone(), coverage, upstream, None));
    let feed = Arc::new(Feed::new(clock, feed::Options::default()));
    let scopes = Scopes::from(vec![scope]);
    let options = collect::Options {
        polling: Polling::Off,
        ..collect::Options::default()
    };
    let poller = Poller::new(
        Arc::clone(&feed),
        Arc::clone(&lookup),
        scopes.clone(),
        options,
    );
    let limits = Limits {
        timeout: Duration::from_secs(60),
        max_upstream_calls: 100,
        calls_per_second: 0,
    };
    let service = grpc::Service::new(lookup, Arc::clone(&feed), poller, scopes, limits);
    tokio::spawn(async move {
        let access = Arc::new(Access::new(false, None, None));
        let open = grpc::open(service, access, None, &Unobserved);
        let open = open.await.expect("opens");
        open.serve(listener, None, std::future::pending()).await;
    });
    feed
}

struct Unobserved;

impl CallObserver for Unobserved {
    type Method = Self;

    fn method(&self, _: &str) -> Self {
        Self
    }
}

impl MethodObserver for Unobserved {
    fn ended(&self, _: &'static str, _: Duration) {}
}

/// A service that has its messages ready.
struct Bare {
    batches: Arc<[Ready]>,
    told: watch::Sender<usize>,
}

type Streamed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

#[tonic::async_trait]
impl EventService for Bare {
    type ExportEventsStream = Streamed<server::ExportEventsResponse>;
    type SubscribeEventsStream = Streamed<Ready>;
    type IngestEventsStream = Streamed<v1::IngestEventsResponse>;

    async fn ingest_events(
        &self,
        _: Request<tonic::Streaming<v1::IngestEventsRequest>>,
    ) -> Result<Response<Self::IngestEventsStream>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn subscribe_events(
        &self,
        _: Request<v1::SubscribeEventsRequest>,
    ) -> Result<Response<Self::SubscribeEventsStream>, Status> {
        let (batches, told) = (Arc::clone(&self.batches), self.told.subscribe());
        let first = Ready::of(&v1::SubscribeEventsResponse::default());
        let begun = *told.borrow();
        let rest = stream::unfold((begun, told), move |(next, mut told)| {
            let batches = Arc::clone(&batches);
            async move {
                told.wait_for(|told| *told > next).await.ok()?;
                let batch = batches[next % batches.len()].clone();
                Some((Ok(batch), (next + 1, told)))
            }
        });
        let all = futures_util::StreamExt::chain(stream::iter([Ok(first)]), rest);
        Ok(Response::new(Box::pin(all)))
    }

    async fn lookup_events(
        &self,
        _: Request<v1::LookupEventsRequest>,
    ) -> Result<Response<server::LookupEventsResponse>, Status> {
        Err(Status::unimplemented(""))
    }

    async fn get_event(
        &self,
        _: Request<v1::GetEventRequest>,
    ) -> Result<Response<server::GetEventResponse>, Status> {
        Err(Status::unimplemented(""))
    }

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
}
