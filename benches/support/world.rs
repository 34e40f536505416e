//! A gateway's lookup over a simulator, in one process on paused time.

use std::{sync::Arc, time::Duration};

use trailgate::{
    budget::{Budgets, Caller, Class},
    clock::Clock,
    coverage::{Coverage, Options},
    event::TimeRange,
    lookup::{Answer, Lookup, Question},
    simulator::{self, Simulator},
    upstream::{Retry, Upstream},
};

use super::scope;

/// Seconds of a day.
pub const DAY: i64 = 86_400;

/// What is measured.
pub struct World {
    pub clock: Clock,
    pub simulator: Arc<Simulator>,
    pub lookup: Arc<Lookup>,
    /// When it was made.
    pub now: i64,
}

impl World {
    /// A scope of so many made-up events over 30 days, at AWS's pace.
    pub fn new(events: u64) -> Self {
        let clock = Clock::at("2026-01-02T03:04:05.25Z".parse().expect("a time"));
        let scope = scope();
        let options = simulator::Options {
            accounts: vec![scope.account.to_string()],
            regions: vec![scope.region.to_string()],
            synthetic: events,
            days: 30,
            ..simulator::Options::default()
        };
        let simulator = Arc::new(Simulator::new(options, clock.clone(), Vec::new()));
        let cloudtrail: Arc<Simulator> = Arc::clone(&simulator);
        let upstream = Upstream::new(cloudtrail, Arc::new(Budgets::new(2.0)), Retry::default());
        let coverage = Arc::new(Coverage::new(Options {
            max_bytes: 2_000_000_000,
            ..Options::default()
        }));
        let history = Some(Duration::from_secs(90 * 86_400));
        let lookup = Arc::new(Lookup::new(
            clock.clone(),
            coverage,
            Arc::new(upstream),
            history,
        ));
        Self {
            now: clock.now_secs(),
            clock,
            simulator,
            lookup,
        }
    }

    /// Everything of the days from `from` to `to` ago.
    pub fn days(&self, from: i64, to: i64) -> Question {
        let now = self.clock.now();
        let window = TimeRange::new(self.now - from * DAY, self.now - to * DAY);
        let caller = Caller::named("bench");
        Question {
            page_events: 1_000,
            page_bytes: 3 << 20,
            max_staleness: Duration::from_secs(30),
            max_upstream_calls: u64::MAX,
            deadline: Clock::deadline(Duration::from_secs(86_400)),
            ..Question::new(caller, Class::Interactive, [scope()].into(), window, now)
        }
    }

    /// All pages of a question; the number of its events.
    pub async fn all(&self, mut question: Question) -> u64 {
        let mut events = 0;
        loop {
            question.now = self.clock.now();
            let Answer {
                events: page,
                next,
                so_far,
                ..
            } = self.lookup.ask(&question).await.expect("answers");
            events += u64::try_from(page.len()).expect("a page");
            if next.is_none() {
                return events;
            }
            question.after = next;
            question.so_far = so_far;
        }
    }

    /// Requests that CloudTrail got, refused ones included.
    pub fn asked(&self) -> u64 {
        self.simulator.stats().requests
    }
}
