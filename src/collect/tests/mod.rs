//! Feed, subscriptions and poller on paused time, in process, against the
//! simulator.

mod bucket;
mod history;
mod polling;
mod restart;

use std::time::Duration;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};
use tokio::time::{Instant, timeout};

use super::{source_filter::SourceFilter, *};
use crate::{
    budget::{Budgets, Caller},
    clock::Clock,
    coverage::{self, Coverage},
    event::{Event, LookupEvent, Origin},
    feed::{self, Item, ResumeToken, Settings, Start, Subscription},
    filter::{EventFilter, Filter, Match},
    simulator::{self, Rate, Simulator},
    upstream::{self, CloudTrail, Retry, Upstream},
};

const ACCOUNT: &str = "111122223333";

fn scope(region: &str) -> Scope {
    Scope::new(ACCOUNT, region)
}

/// What a world is made to be like.
#[derive(Clone, Debug)]
struct Setup {
    /// On both sides; 0: no meter.
    rate: u32,
    /// Requests a second that the gateway has of it.
    share: Option<f64>,
    horizon: u64,
    log: u64,
    cache: u64,
    regions: Vec<&'static str>,
    options: Options,
    /// What a trail delivers, and a queue announces.
    bucket: Option<Arc<bucket::Bucket>>,
    faults: simulator::Faults,
    seed: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            rate: 2,
            share: None,
            horizon: 60,
            log: 64_000_000,
            cache: 100_000_000,
            regions: vec!["us-east-1"],
            options: Options::default(),
            bucket: None,
            faults: simulator::Faults::default(),
            seed: 0,
        }
    }
}

/// A CloudTrail that can go away.
struct Line {
    simulator: Arc<Simulator>,
    /// What it answers instead.
    error: Mutex<Option<upstream::ErrorKind>>,
}

impl CloudTrail for Line {
    fn lookup_events<'a>(
        &'a self,
        scope: &'a Scope,
        request: &'a upstream::PageRequest,
    ) -> upstream::PageFuture<'a> {
        let error = *self.error.lock().unwrap();
        match error {
            Some(kind) => {
                let error = upstream::Error::new(kind, "Away", "away");
                Box::pin(std::future::ready(Err(error)))
            }
            None => self.simulator.lookup_events(scope, request),
        }
    }
}

/// A CloudTrail, and a gateway in front of it.
struct World {
    line: Arc<Line>,
    setup: Setup,
    clock: Clock,
    simulator: Arc<Simulator>,
    gateway: Gateway,
    /// When it began, in seconds.
    start: i64,
}

/// What a process has.
struct Gateway {
    lookup: Arc<Lookup>,
    feed: Arc<Feed>,
    poller: Arc<Poller>,
    scopes: Scopes,
    sink: Option<sink::FeedSink>,
    _stop: DropGuard,
}

impl Setup {
    fn build(self) -> World {
        let clock = Clock::at("2026-01-02T03:04:05.25Z".parse().unwrap());
        let options = simulator::Options {
            accounts: vec![ACCOUNT.into()],
            rate: Rate::per_second(self.rate),
            faults: self.faults.clone(),
            seed: self.seed,
            ..simulator::Options::default()
        };
        let simulator = Arc::new(Simulator::new(options, clock.clone(), Vec::new()));
        let line = Arc::new(Line {
            simulator: Arc::clone(&simulator),
            error: Mutex::default(),
        });
        World {
            gateway: self.gateway(&clock, &line),
            line,
            start: clock.now_secs(),
            setup: self,
            clock,
            simulator,
        }
    }

    fn gateway(&self, clock: &Clock, line: &Arc<Line>) -> Gateway {
        let cloudtrail: Arc<dyn CloudTrail> = Arc::clone(line) as _;
        let budgets = Arc::new(Budgets::new(self.share.unwrap_or(f64::from(self.rate))));
        let upstream = Upstream::new(cloudtrail, budgets, Retry::default());
        let horizon = Duration::from_secs(self.horizon);
        let coverage = Coverage::new(coverage::Options {
            max_bytes: self.cache,
            horizon,
        });
        let history = Some(Duration::from_secs(90 * 86_400));
        let (coverage, upstream) = (Arc::new(coverage), Arc::new(upstream));
        let lookup = Arc::new(Lookup::new(clock.clone(), coverage, upstream, history));
        let options = feed::Options {
            max_bytes: self.log,
            horizon,
        };
        let feed = Feed::new(clock.clone(), options);
        let trails = self
            .bucket
            .as_ref()
            .map(|bucket| bucket.trails(clock, horizon));
        let feed = match &trails {
            Some(trails) => feed.with_log_files(Arc::new(trails.clone())),
            None => feed,
        };
        let feed = Arc::new(feed);
        let stop = CancellationToken::new();
        let sink = trails.map(|trails| {
            let catch_up = trails.clone().start(Arc::clone(&feed));
            tokio::spawn(stop.clone().run_until_cancelled_owned(catch_up));
            sink::FeedSink::new(Arc::clone(&feed), None, SourceFilter::default())
        });
        let scopes: Vec<_> = self.regions.iter().map(|region| scope(region)).collect();
        let scopes = Scopes::from(scopes);
        let poller = Poller::new(
            Arc::clone(&feed),
            Arc::clone(&lookup),
            scopes.clone(),
            self.options,
        );
        Gateway {
            lookup,
            feed,
            poller,
            scopes,
            sink,
            _stop: stop.drop_guard(),
        }
    }
}

/// A subscription, and what keeps its scopes collected.
struct Stream {
    digest: [u8; 16],
    subscription: Subscription,
    _demand: Demand,
}

impl World {
    /// The process dies, and another one begins.
    fn restart(&mut self) {
        self.gateway = self.setup.gateway(&self.clock, &self.line);
    }

    fn subscribe(&self, filter: &Arc<Filter>, regions: &[String], start: Start) -> Stream {
        let Gateway {
            lookup,
            feed,
            poller,
            scopes,
            ..
        } = &self.gateway;
        let selection = Selection::new(&[], regions);
        let hash = Sha256::new()
            .chain_update(filter.canonical())
            .chain_update(regions.join("/"));
        let digest = *hash.finalize().first_chunk().unwrap();
        let demand = poller.want(selection.clone());
        let settings = Settings {
            caller: Caller::named("tester"),
            filter: Arc::clone(filter),
            selection,
            digest,
            told_digest: digest,
            max_events: 7,
            max_bytes: 1 << 20,
            size: Event::weight,
            with_record: true,
            max_wait: Duration::ZERO,
            progress_interval: Duration::from_secs(20),
        };
        let (feed, lookup) = (Arc::clone(feed), Arc::clone(lookup));
        let subscription =
            Subscription::new(feed, lookup, scopes.clone(), settings, start).unwrap();
        Stream {
            digest,
            subscription,
            _demand: demand,
        }
    }

    /// Has an event happen `at` seconds after the start; AWS tells it `late`
    /// seconds after that.
    fn happens(&self, scope: &Scope, number: usize, at: i64, late: i64, kind: &str) {
        self.tells(scope, number, at, at + late, kind, "");
    }

    fn tells(&self, scope: &Scope, number: usize, at: i64, told: i64, kind: &str, rest: &str) {
        let second = |second| Timestamp::from_second(self.start + second).unwrap();
        let id = id(number);
        let record = format!(
            "{{\"eventID\":\"{id}\",\"eventTime\":\"{}\",\"eventName\":\"{kind}\",\"awsRegion\":\"{}\"{rest}}}",
            second(at),
            scope.region,
        );
        let event = LookupEvent {
            event_id: Some(id),
            event_name: Some(kind.to_owned()),
            event_time: Some(self.start + at),
            record: Some(record),
            ..LookupEvent::default()
        };
        assert_ne!(self.simulator.insert(scope, event, Some(second(told))), 0);
    }

    /// AWS answers so from now on; `None`: as it does.
    fn answers(&self, error: Option<upstream::ErrorKind>) {
        *self.line.error.lock().unwrap() = error;
    }

    /// Seconds since the start.
    fn now(&self) -> i64 {
        self.clock.now_secs() - self.start
    }
}

fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn number(event: &Event) -> usize {
    event.id().rsplit_once('-').unwrap().1.parse().unwrap()
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

/// Events of these kinds; none named: all.
fn of_kinds(kinds: &[&str]) -> Arc<Filter> {
    if kinds.is_empty() {
        return Arc::new(Filter::everything());
    }
    let matches = vec![Match {
        field: "eventName".into(),
        values: kinds.iter().map(|&kind| kind.to_owned()).collect(),
        ..Match::default()
    }];
    Arc::new(Filter::compile(&[EventFilter { matches }], &()).unwrap())
}

impl Stream {
    /// Events that come within so many seconds.
    async fn within(&mut self, seconds: u64) -> Vec<Arc<Event>> {
        let until = Instant::now() + Duration::from_secs(seconds);
        let mut all = Vec::new();
        while let Ok(item) = tokio::time::timeout_at(until, self.subscription.next()).await {
            if let Item::Batch(batch) = item {
                all.extend(batch.events.iter().cloned());
            }
        }
        all
    }

    fn token(&self) -> Start {
        // as it travels
        let text = self.subscription.token().encode();
        Start::Token(Box::new(ResumeToken::decode(&text, &self.digest).unwrap()))
    }
}
