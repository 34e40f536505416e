//! What three gateways spend of one quota, beside one that is asked the same: real
//! processes, on one simulator with AWS's quota, in real time.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

mod support;

use std::{
    io::{BufRead, BufReader},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{net::TcpListener, task::JoinSet, time::Instant};
use tokio_util::sync::CancellationToken;
use trailgate::{
    client::{Client, LookupOptions},
    clock::Clock,
    proto::v1::{EventFilter, LookupEventsRequest, Match},
    simulator::{self, Options, Rate, Simulator},
};

const ACCOUNT: &str = "111122223333";
const REGIONS: [&str; 2] = ["us-east-1", "eu-central-1"];
const DAY: i64 = 86_400;
/// Callers that ask at once, each the next question that nobody has asked.
const CALLERS: usize = 6;
/// What is asked for in one question of three: AWS can be asked by it.
const NAMES: [&str; 4] = ["AssumeRole", "ConsoleLogin", "CreateUser", "PutObject"];

/// A simulator that has AWS's quota and 90 days of made-up events.
struct World {
    simulator: Arc<Simulator>,
    url: String,
    _stop: tokio_util::sync::DropGuard,
}

impl World {
    async fn start() -> Self {
        let options = Options {
            accounts: vec![ACCOUNT.to_owned()],
            regions: REGIONS.map(str::to_owned).to_vec(),
            synthetic: 100_000,
            rate: Rate::per_second(2),
            ..Options::default()
        };
        let simulator = Arc::new(Simulator::new(options, Clock::system(), Vec::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(simulator::serve(listener, Arc::clone(&simulator), stopped));
        Self {
            simulator,
            url,
            _stop: stop.drop_guard(),
        }
    }

    /// A gateway of so many, as a process.
    fn gateway(&self, replicas: usize) -> Gateway {
        let mut child = Command::new(env!("CARGO_BIN_EXE_trailgate"))
            .args(["serve", "--listen", "127.0.0.1:0"])
            .args(["--http-listen", "127.0.0.1:0", "--log-level", "error"])
            .args(["--aws-endpoint-url", &self.url, "--account", ACCOUNT])
            .args(REGIONS.map(|region| format!("--region={region}")))
            .args(["--replicas", &replicas.to_string()])
            .env_clear()
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the command runs");
        let mut line = String::new();
        let out = child.stdout.take().expect("it is piped");
        BufReader::new(out).read_line(&mut line).expect("it says");
        let (_, rest) = line.split_once("grpc://").expect("where it listens");
        let (address, _) = rest.split_once(' ').expect("and where else");
        Gateway {
            client: Client::new(address).expect("an address"),
            _process: support::Server(child),
        }
    }
}

struct Gateway {
    client: Client,
    _process: support::Server,
}

/// Questions as people and services have them: some days of the last week, by one
/// name or by none.
fn questions(count: usize, now: i64) -> Vec<LookupEventsRequest> {
    let mut random = StdRng::seed_from_u64(7);
    let time = |seconds| Some(prost_types::Timestamp { seconds, nanos: 0 });
    let question = |number: usize| {
        let start = now - random.random_range(1..7 * 24) * 3600;
        let hours = if support::is_smoke() { 1..4 } else { 6..48 };
        let end = (start + random.random_range(hours) * 3600).min(now - 3600);
        let name = NAMES.get(number / 3 % NAMES.len()).expect("a name");
        let matches = vec![Match {
            field: "EventName".to_owned(),
            values: vec![(*name).to_owned()],
            ..Match::default()
        }];
        LookupEventsRequest {
            start_time: time(start.min(end - 3600)),
            end_time: time(end),
            page_size: 1000,
            filters: match number % 3 {
                0 => vec![EventFilter { matches }],
                _ => Vec::new(),
            },
            ..LookupEventsRequest::default()
        }
    };
    (0..count).map(question).collect()
}

/// What was spent.
struct Spent {
    requests: u64,
    throttled: u64,
    events: usize,
    took: Duration,
}

/// Asks every question to its end: the first gateway the first one, and so on.
async fn ask(world: &World, gateways: &[Gateway], questions: &[LookupEventsRequest]) -> Spent {
    let before = world.simulator.stats();
    let start = Instant::now();
    let next = Arc::new(AtomicUsize::new(0));
    let clients: Arc<[Client]> = gateways.iter().map(|it| it.client.clone()).collect();
    let questions: Arc<[LookupEventsRequest]> = questions.into();
    let mut callers = JoinSet::new();
    for _ in 0..CALLERS {
        let (next, clients, questions) = (next.clone(), clients.clone(), questions.clone());
        callers.spawn(async move {
            let mut events = 0;
            loop {
                let number = next.fetch_add(1, Relaxed);
                let Some(question) = questions.get(number) else {
                    return events;
                };
                let client = clients.get(number % clients.len()).expect("one");
                let mut pages = client.lookup(question.clone(), LookupOptions::default());
                while let Some(page) = pages.next().await {
                    events += page.expect("it answers").events.len();
                }
            }
        });
    }
    let events = callers.join_all().await.iter().sum();
    let after = world.simulator.stats();
    Spent {
        requests: after.requests - before.requests,
        throttled: after.throttled - before.throttled,
        events,
        took: start.elapsed(),
    }
}

fn told(what: &str, spent: &Spent, one: &Spent) {
    println!(
        "{what:38} {:8} {:9} {:13.3} {:8.2} {:8.1}",
        spent.requests,
        spent.throttled,
        spent.throttled as f64 / spent.requests.max(1) as f64,
        (spent.requests - spent.throttled) as f64 / (one.requests - one.throttled) as f64,
        spent.took.as_secs_f64(),
    );
}

#[tokio::main]
async fn main() {
    let count = if support::is_smoke() { 6 } else { 60 };
    // on the hour, so that questions meet at their ends as those of people do
    let now = Clock::system().now_secs() / 3600 * 3600;
    let questions = questions(count, now.min(now / DAY * DAY + DAY));
    println!(
        "{count} questions by {CALLERS} callers, in turns of the gateways; 2 requests a second and Region"
    );
    println!(
        "what                                   requests throttled refused share beside 1  seconds"
    );
    let world = World::start().await;
    let one = [world.gateway(1)];
    let alone = ask(&world, &one, &questions).await;
    told("one gateway", &alone, &alone);
    drop(one);
    let mut three = [3; 3].map(|replicas| world.gateway(replicas));
    let shared = ask(&world, &three, &questions).await;
    told("three gateways, --replicas 3", &shared, &alone);
    assert_eq!(shared.events, alone.events, "they answer alike");
    let again = ask(&world, &three, &questions).await;
    told("the same questions again", &again, &alone);
    for gateway in &mut three {
        *gateway = world.gateway(3);
    }
    let rolled = ask(&world, &three, &questions).await;
    told("again, after a rolling update", &rolled, &alone);
    assert_eq!(rolled.events, alone.events, "they answer alike");
    drop(three);
    let three = [1; 3].map(|replicas| world.gateway(replicas));
    let unshared = ask(&world, &three, &questions).await;
    told("three new ones that do not share", &unshared, &alone);
}
