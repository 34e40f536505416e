//! What the benchmarks share: events of real size, and processes to measure.

#![allow(
    dead_code,
    unreachable_pub,
    clippy::expect_used,
    reason = "a benchmark, of which each uses a part"
)]

pub mod world;

use std::{fs, path::PathBuf, process::Child};

use trailgate::{
    clock::Clock,
    event::{LookupEvent, Scope},
    simulator::{self, Simulator, load},
    upstream::{CloudTrail, PageRequest},
};

/// The scope of made-up events.
pub fn scope() -> Scope {
    Scope::new("111122223333", "us-east-1")
}

/// The scope that has most of the real events.
fn real_scope() -> Scope {
    Scope::new("123837392027", "us-east-1")
}

/// Real events of one scope, if they are at hand, as `LookupEvents` gives them.
pub fn real_events() -> Option<(Scope, Vec<LookupEvent>)> {
    let path =
        PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../shared/data/lookup_events.jsonl.gz");
    if !path.exists() {
        return None;
    }
    let scope = real_scope();
    let loaded = load(&[path], Some(&scope));
    let records = loaded.records.into_iter();
    let events = records
        .filter(|one| one.scope == scope)
        .map(|one| one.event);
    let events = events.collect();
    Some((scope, events))
}

/// Events that the simulator makes up.
pub async fn made_up_events(count: u64) -> Vec<LookupEvent> {
    let scope = scope();
    let options = simulator::Options {
        accounts: vec![scope.account.to_string()],
        regions: vec![scope.region.to_string()],
        rate: simulator::Rate::default(),
        synthetic: count,
        ..simulator::Options::default()
    };
    let clock = Clock::system();
    let simulator = Simulator::new(options, clock.clone(), Vec::new());
    let now = clock.now_secs();
    let mut request = PageRequest {
        category: trailgate::event::Category::Management,
        attribute: None,
        range: trailgate::event::TimeRange::new(now - simulator::HISTORY_SECS + 60, now + 1),
        token: None,
    };
    let mut events = Vec::new();
    loop {
        let page = simulator.lookup_events(&scope, &request).await;
        let page = page.expect("the simulator has no faults");
        events.extend(page.events);
        request.token = page.next_token;
        if request.token.is_none() {
            return events;
        }
    }
}

/// Real events or, where there are none, made-up ones; and their scope.
pub async fn events() -> (Scope, Vec<LookupEvent>) {
    match real_events() {
        Some(events) => events,
        None => (scope(), made_up_events(4_000).await),
    }
}

/// The bytes of memory that are resident in this process.
pub fn resident() -> usize {
    resident_of("self")
}

/// The bytes of memory that are resident in a process, by its id.
pub fn resident_of(process: &str) -> usize {
    let text = fs::read_to_string(format!("/proc/{process}/statm")).expect("it lives, on Linux");
    let pages: usize = text
        .split(' ')
        .nth(1)
        .and_then(|pages| pages.parse().ok())
        .expect("statm has the resident pages second");
    // the page size of every machine that this was run on
    pages * 4096
}

/// The processor time that a process has taken, in seconds.
pub fn cpu_seconds(pid: u32) -> f64 {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).expect("the process lives");
    let (_, fields) = text.rsplit_once(") ").expect("the name is in brackets");
    let ticks: u32 = fields
        .split(' ')
        .skip(11)
        .take(2)
        .map(|ticks| ticks.parse::<u32>().expect("ticks"))
        .sum();
    // USER_HZ is 100 on every Linux
    f64::from(ticks) / 100.0
}

/// A process that is ended with its parent's interest in it.
pub struct Server(pub Child);

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Whether this is a run of seconds, to see that the benchmark works.
pub fn is_smoke() -> bool {
    std::env::args().any(|arg| arg == "--smoke")
}
