//! What a cached event takes in memory, over its record's JSON, and what the
//! cache believes that it takes. Each case is a process of its own, so that
//! what others left behind does not count.

#![allow(
    clippy::print_stdout,
    clippy::expect_used,
    clippy::cast_precision_loss,
    reason = "a benchmark"
)]

mod support;

use std::{env, process::Command, sync::Arc, time::Duration};

use jiff::Timestamp;
use trailgate::{
    coverage::{Coverage, Freshness, Key, Options},
    event::{Category, Event, Origin, TimeRange},
};

/// A case: whose events, how many, and the cache's limit in MB.
const CASES: [(&str, usize, u64); 3] = [
    ("real", 100_000, 1_000),
    ("made up", 100_000, 1_000),
    ("real", 300_000, 100),
];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let mut args = env::args().skip_while(|arg| arg != "--case").skip(1);
    if let Some(case) = args.next() {
        let (source, count, limit) = *CASES
            .get(case.parse::<usize>().expect("a number"))
            .expect("a case");
        fill(
            source,
            if support::is_smoke() { 2_000 } else { count },
            limit,
        )
        .await;
        return;
    }
    println!(
        "what a cached event takes; wanted: resident / JSON <= 1.50, weighed / resident within 0.20 of 1"
    );
    println!(
        "events    held  limit MB  JSON bytes/event  resident  weighed  resident/JSON  weighed/resident"
    );
    for case in 0..CASES.len() {
        let mut command = Command::new(env::current_exe().expect("a path"));
        command.args(["--case", &case.to_string()]);
        if support::is_smoke() {
            command.arg("--smoke");
        }
        assert!(command.status().expect("runs").success());
    }
}

/// Fills a cache as walks do, newest first, and tells what it takes.
async fn fill(source: &str, count: usize, limit: u64) {
    let events = match source {
        "real" => support::real_events(),
        _ => Some((support::scope(), support::made_up_events(4_000).await)),
    };
    let Some((scope, events)) = events else {
        println!("{source:8} not at hand");
        return;
    };
    let key = Key {
        scope: scope.clone(),
        category: Category::Management,
        pushdown: None,
        origin: Origin::LookupEvents,
    };
    let options = Options {
        max_bytes: limit * 1_000_000,
        horizon: Duration::from_secs(900),
    };
    let began = Timestamp::from_second(2_000_000_000).expect("a time");
    let before = support::resident();
    let coverage = Coverage::new(options);
    let mut again = events.iter().cycle();
    let mut time = 1_900_000_000;
    for page in 0..count / 50 {
        let to = time;
        let mut found = Vec::with_capacity(50);
        for i in 0..50 {
            let mut event = again.next().expect("events").clone();
            event.event_id = Some(format!("00000000-0000-4000-8000-{:012}", page * 50 + i));
            time -= 7;
            event.event_time = Some(time);
            found.push(Arc::new(Event::from_lookup(&scope, event, 0)));
        }
        coverage.insert(&key, TimeRange::new(time, to), began, &found);
    }
    let stats = coverage.stats();
    let resident = support::resident() - before;
    let (mut held, mut json) = (0, 0);
    let keys = std::slice::from_ref(&key);
    // oldest first: the oldest were read last, and are evicted last
    while let Some(stretch) = coverage.held(keys, time, Freshness(began)) {
        held += stretch.events.len();
        json += stretch
            .events
            .iter()
            .map(|e| e.record().len())
            .sum::<usize>();
        time = stretch.range.to;
    }
    assert!(held == count || stats.evicted > 0, "all are held");
    let per = |bytes: usize| bytes / held.max(1);
    let weighed = usize::try_from(stats.bytes).expect("fits");
    println!(
        "{source:8} {held:6} {limit:9} {:17} {:9} {:8} {:14.2} {:17.2}",
        per(json),
        per(resident),
        per(weighed),
        resident as f64 / json as f64,
        weighed as f64 / resident as f64,
    );
    if !support::is_smoke() {
        assert!(resident as f64 <= 1.5 * json as f64, "too much");
        let idea = weighed as f64 / resident as f64;
        assert!((0.8..=1.2).contains(&idea), "it does not know itself");
    }
}
