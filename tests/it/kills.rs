//! The server is killed in mid-stream, again and again, and its subscribers come
//! back: nothing is lost, nothing comes twice within a stream, and nothing twice
//! to the handler of the client.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    process::Stdio,
    sync::{Arc, Mutex},
    time::Duration,
};

use jiff::{SignedDuration, Timestamp};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;
use tonic::transport::Channel;
use trailgate::{
    client::{Client, Subscriber},
    clock::Clock,
    event::{LookupEvent, Scope},
    proto::v1::{
        Event, EventFilter, Match, SubscribeEventsRequest,
        event_service_client::EventServiceClient, subscribe_events_request::Start,
        subscribe_events_response::Payload,
    },
    simulator::{self, Fault, FaultKind, Options, Rate, Simulator},
};

pub(super) const ACCOUNT: &str = "111122223333";
pub(super) const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
/// How late AWS may tell of an event, less than the horizon.
const LATE: i64 = 4;
const HORIZON: &str = "6s";
const PATIENCE: Duration = Duration::from_secs(240);

/// How often the server is killed.
pub(super) fn kills() -> u32 {
    let set = std::env::var("TRAILGATE_TEST_KILLS").ok();
    set.and_then(|kills| kills.parse().ok()).unwrap_or(10)
}

/// A CloudTrail in which things happen, and its record of what did.
pub(super) struct Trail {
    pub(super) url: String,
    pub(super) happened: Arc<Mutex<BTreeSet<String>>>,
    pub(super) task: JoinHandle<()>,
    stop: CancellationToken,
}

impl Drop for Trail {
    fn drop(&mut self) {
        self.task.abort();
        self.stop.cancel();
    }
}

impl Trail {
    /// So many events a second happen, each told up to [`LATE`] seconds after.
    pub(super) async fn start(rate: u32, a_second: u32) -> Self {
        let faults = [Fault::Chance(FaultKind::Duplicate, 0.1)];
        let options = Options {
            accounts: vec![ACCOUNT.into()],
            regions: REGIONS.map(str::to_owned).to_vec(),
            rate: Rate::per_second(rate),
            faults: faults.into_iter().collect(),
            ..Options::default()
        };
        let clock = Clock::system();
        let simulator = Arc::new(Simulator::new(options, clock.clone(), Vec::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let stop = CancellationToken::new();
        let stopped = stop.clone().cancelled_owned();
        tokio::spawn(simulator::serve(listener, Arc::clone(&simulator), stopped));
        let happened = Arc::new(Mutex::new(BTreeSet::new()));
        let record = Arc::clone(&happened);
        let task = tokio::spawn(async move {
            let mut random = StdRng::seed_from_u64(7);
            let mut number = 0_u64;
            loop {
                let late = random.random_range(0..LATE * 1000);
                let visible = clock.now() + SignedDuration::from_millis(late);
                let region = REGIONS[usize::try_from(number % 2).unwrap()];
                let id = happens(&simulator, &clock, region, number, visible);
                record.lock().unwrap().insert(id);
                number += 1;
                sleep(Duration::from_secs(1) / a_second).await;
            }
        });
        Self {
            url,
            happened,
            task,
            stop,
        }
    }
}

fn happens(
    simulator: &Simulator,
    clock: &Clock,
    region: &str,
    number: u64,
    visible: Timestamp,
) -> String {
    let id = format!("00000000-0000-4000-8000-{number:012}");
    let kind = number % 3;
    let record =
        format!("{{\"eventID\":\"{id}\",\"eventName\":\"Name{kind}\",\"number\":{number}}}");
    let event = LookupEvent {
        event_id: Some(id.clone()),
        event_name: Some(format!("Name{kind}")),
        event_time: Some(clock.now_secs()),
        record: Some(record),
        ..LookupEvent::default()
    };
    simulator.insert(&Scope::new(ACCOUNT, region), event, Some(visible));
    id
}

/// `trailgate serve`, always on the same port.
pub(super) struct Server {
    pub(super) listen: SocketAddr,
    url: String,
    rate: u32,
    /// Further arguments.
    more: Vec<String>,
    child: Child,
}

impl Server {
    async fn start(url: &str, rate: u32) -> Self {
        Self::start_with(url, rate, Vec::new()).await
    }

    pub(super) async fn start_with(url: &str, rate: u32, more: Vec<String>) -> Self {
        let free = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let listen = free.local_addr().unwrap();
        drop(free);
        let child = Self::spawn(listen, url, rate, &more);
        Self {
            listen,
            url: url.to_owned(),
            rate,
            more,
            child,
        }
    }

    fn spawn(listen: SocketAddr, url: &str, rate: u32, more: &[String]) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_trailgate"));
        command
            .args(["serve", "--http-listen", "127.0.0.1:0", "--listen"])
            .arg(listen.to_string())
            .args(["--aws-endpoint-url", url, "--account", ACCOUNT])
            .args(REGIONS.map(|region| format!("--region={region}")))
            .args(["--rate", &rate.to_string(), "--settle-horizon", HORIZON])
            .args(["--poll-interval", "500ms", "--feed-size", "100KB"])
            .args(more)
            .env_clear()
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true);
        command.spawn().unwrap()
    }

    pub(super) async fn kill(&mut self) {
        // SIGKILL: nothing is saved, nothing is said
        self.child.kill().await.unwrap();
        self.child = Self::spawn(self.listen, &self.url, self.rate, &self.more);
    }
}

fn only(kind: &str) -> Vec<EventFilter> {
    let matches = vec![Match {
        field: "eventName".to_owned(),
        values: vec![kind.to_owned()],
        ..Match::default()
    }];
    vec![EventFilter { matches }]
}

/// What a handler was given, and how often.
type Handled = Arc<Mutex<BTreeMap<String, u32>>>;

/// A service as users write it.
fn service(listen: SocketAddr, request: SubscribeEventsRequest) -> (Handled, JoinHandle<()>) {
    let handled: Handled = Arc::default();
    let seen = Arc::clone(&handled);
    let client = Client::new(&format!("http://{listen}")).unwrap();
    let task = tokio::spawn(async move {
        let mut events: Subscriber = client.subscribe(request).on_gap(|gap| panic!("{gap:?}"));
        let ended = events
            .for_each(|event: Event| {
                *seen.lock().unwrap().entry(event.event_id).or_default() += 1;
                std::future::ready(Ok::<(), std::io::Error>(()))
            })
            .await;
        panic!("{:?}", ended.err());
    });
    (handled, task)
}

/// A client of the bare contract: it comes back with its last token, and looks
/// that no stream repeats itself.
fn bare(listen: SocketAddr, mut request: SubscribeEventsRequest) -> (Handled, JoinHandle<()>) {
    let handled: Handled = Arc::default();
    let seen = Arc::clone(&handled);
    let task = tokio::spawn(async move {
        loop {
            let channel = Channel::from_shared(format!("http://{listen}")).unwrap();
            let mut client = EventServiceClient::new(channel.connect_lazy());
            let Ok(stream) = client.subscribe_events(request.clone()).await else {
                sleep(Duration::from_millis(50)).await;
                continue;
            };
            let mut stream = stream.into_inner();
            let mut of_stream = BTreeSet::new();
            while let Ok(Some(response)) = stream.message().await {
                match response.payload.unwrap() {
                    Payload::Batch(batch) => {
                        for event in batch.events {
                            let is_new = of_stream.insert(event.event_id.clone());
                            assert!(is_new, "{} twice in a stream", event.event_id);
                            let mut seen = seen.lock().unwrap();
                            let times = seen.entry(event.event_id).or_default();
                            assert!(*times == 0 || response.may_repeat, "a repeat is not marked");
                            *times += 1;
                        }
                    }
                    Payload::Gap(gap) => panic!("{gap:?}"),
                    Payload::Progress(_) => {}
                }
                request.start = Some(Start::ResumeToken(response.resume_token));
            }
        }
    });
    (handled, task)
}

async fn killed(rate: u32, a_second: u32, kills: u32) {
    let trail = Trail::start(rate, a_second).await;
    let mut server = Server::start(&trail.url, rate).await;
    let start = Clock::system().now_secs();
    let from_start = || SubscribeEventsRequest {
        start: Some(Start::StartTime(prost_types::Timestamp {
            seconds: start - 60,
            nanos: 0,
        })),
        ..SubscribeEventsRequest::default()
    };
    let some = || SubscribeEventsRequest {
        filters: only("Name1"),
        ..from_start()
    };
    let listen = server.listen;
    let subscribers = [
        service(listen, from_start()),
        service(listen, some()),
        bare(listen, from_start()),
        bare(listen, some()),
    ];
    let mut random = StdRng::seed_from_u64(42);
    for _ in 0..kills {
        sleep(Duration::from_millis(random.random_range(200..4000))).await;
        server.kill().await;
    }
    trail.task.abort();
    let happened = trail.happened.lock().unwrap().clone();
    assert!(happened.len() > 20);
    let deadline = Instant::now() + PATIENCE;
    for (i, (handled, task)) in subscribers.into_iter().enumerate() {
        let is_wanted = |id: &&String| {
            let number: u64 = id.rsplit_once('-').unwrap().1.parse().unwrap();
            i % 2 == 0 || number % 3 == 1
        };
        let wanted: BTreeSet<_> = happened.iter().filter(is_wanted).cloned().collect();
        let all_there = async {
            while handled.lock().unwrap().len() < wanted.len() && !task.is_finished() {
                sleep(Duration::from_millis(50)).await;
            }
        };
        let in_time = timeout(
            deadline.saturating_duration_since(Instant::now()),
            all_there,
        )
        .await;
        let handled = handled.lock().unwrap().clone();
        let ids: BTreeSet<_> = handled.keys().cloned().collect();
        let lost: Vec<_> = wanted.difference(&ids).collect();
        assert!(
            in_time.is_ok() && lost.is_empty(),
            "subscriber {i} lost {} of {}, {:?} to {:?}",
            lost.len(),
            wanted.len(),
            lost.first(),
            lost.last()
        );
        assert_eq!(ids, wanted, "subscriber {i}");
        if i < 2 {
            let twice: Vec<_> = handled.iter().filter(|(_, times)| **times > 1).collect();
            assert!(twice.is_empty(), "handled more than once: {twice:?}");
        }
        assert!(
            !task.is_finished(),
            "subscriber {i} ended: {:?}",
            task.await
        );
        task.abort();
    }
}

#[tokio::test]
async fn under_the_quota() {
    killed(2, 20, kills()).await;
}

#[tokio::test]
async fn unmetered_and_busy() {
    killed(0, 200, kills()).await;
}
