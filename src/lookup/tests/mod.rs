//! On paused time, in process, against the simulator.

mod bad_days;
mod export;
mod failing;
mod freshness;
mod history;
mod kept;
mod paging;
mod planning;
mod sharing;
mod summary;
mod turns;

use std::collections::BTreeSet;

use jiff::SignedDuration;

use tokio::time::{Instant, advance, sleep};

use super::*;
use crate::{
    budget::{Budgets, Caller, Class},
    coverage,
    event::{LookupEvent, Position, TimeRange},
    filter::{EventFilter, Filter, Match},
    simulator::{self, Faults, Rate, Simulator},
    upstream::{self, CloudTrail as _, Retry},
};

const DAY: i64 = 86_400;

fn scope() -> Scope {
    Scope::new("111122223333", "us-east-1")
}

fn tester() -> Caller {
    Caller::named("tester")
}

fn other() -> Scope {
    Scope::new("111122223333", "eu-west-1")
}

struct World {
    clock: Clock,
    simulator: Arc<Simulator>,
    lookup: Arc<Lookup>,
    now: i64,
}

struct Setup {
    rate: f64,
    simulator: simulator::Options,
    cache: u64,
    /// By how many seconds the gateway's clock is fast, where it has one of its
    /// own.
    fast_by: i64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            rate: 2.0,
            simulator: simulator::Options {
                accounts: vec!["111122223333".into()],
                ..simulator::Options::default()
            },
            cache: 100_000_000,
            fast_by: 0,
        }
    }
}

impl Setup {
    fn unmetered() -> Self {
        let mut setup = Self {
            rate: 0.0,
            ..Self::default()
        };
        setup.simulator.rate = Rate::default();
        setup
    }

    fn build(self) -> World {
        let clock = Clock::at("2026-01-02T03:04:05.25Z".parse().unwrap());
        let now = clock.now_secs();
        let simulator = Arc::new(Simulator::new(self.simulator, clock.clone(), Vec::new()));
        let clock = match self.fast_by {
            0 => clock,
            fast_by => Clock::at(clock.now() + SignedDuration::from_secs(fast_by)),
        };
        let cloudtrail: Arc<Simulator> = Arc::clone(&simulator);
        let upstream = Upstream::new(
            cloudtrail,
            Arc::new(Budgets::new(self.rate)),
            Retry::default(),
        );
        let options = coverage::Options {
            max_bytes: self.cache,
            ..coverage::Options::default()
        };
        let coverage = Arc::new(Coverage::new(options));
        let history = Some(Duration::from_secs(90 * 86_400));
        let lookup = Arc::new(Lookup::new(
            clock.clone(),
            coverage,
            Arc::new(upstream),
            history,
        ));
        World {
            clock,
            simulator,
            lookup,
            now,
        }
    }
}

impl World {
    fn new() -> Self {
        Setup::default().build()
    }

    /// An event so many seconds ago; `kind` is its name.
    fn happens(&self, scope: &Scope, number: usize, ago: i64, kind: &str) {
        let time = self.now - ago;
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let record = format!(
            "{{\"eventID\":\"{id}\",\"eventTime\":\"{}\",\"eventName\":\"{kind}\",\"awsRegion\":\"{}\",\"number\":{number}}}",
            Timestamp::from_second(time).unwrap(),
            scope.region,
        );
        let event = LookupEvent {
            event_id: Some(id),
            event_name: Some(kind.to_owned()),
            event_time: Some(time),
            record: Some(record),
            ..LookupEvent::default()
        };
        assert_ne!(self.simulator.insert(scope, event, None), 0);
    }

    fn question(&self) -> Question {
        let now = self.clock.now();
        let window = TimeRange::new(self.now - 90 * DAY, now.as_second() + 1);
        Question {
            page_events: 50,
            page_bytes: 3 << 20,
            max_staleness: Duration::from_secs(30),
            max_upstream_calls: 1000,
            deadline: Clock::deadline(Duration::from_secs(3600)),
            ..Question::new(tester(), Class::Interactive, [scope()].into(), window, now)
        }
    }

    /// Requests that the simulator got, refused ones included.
    fn asked(&self) -> u64 {
        self.simulator.stats().requests
    }

    /// All pages of a question, and what they took together.
    async fn all(&self, mut question: Question) -> (Vec<Arc<Event>>, Stats) {
        let mut events = Vec::new();
        let mut stats = Stats::default();
        for _ in 0..10_000 {
            question.now = self.clock.now();
            let answer = self.lookup.ask(&question).await.unwrap();
            events.extend(answer.events);
            stats.add(&answer.stats);
            let Some(next) = answer.next else {
                return (events, stats);
            };
            question.after = Some(next);
            question.so_far = answer.so_far;
        }
        panic!("pages without end");
    }
}

fn named(names: &[&str]) -> Arc<Filter> {
    having("eventName", names)
}

/// Events whose field has one of these values.
fn having(field: &str, values: &[&str]) -> Arc<Filter> {
    let matches = vec![Match {
        field: field.into(),
        values: values.iter().map(|&value| value.to_owned()).collect(),
        ..Match::default()
    }];
    Arc::new(Filter::compile(&[EventFilter { matches }], &()).unwrap())
}

fn numbers(events: &[Arc<Event>]) -> Vec<usize> {
    events
        .iter()
        .map(|event| event.id().rsplit_once('-').unwrap().1.parse().unwrap())
        .collect()
}
