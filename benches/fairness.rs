//! How long a light caller waits beside a heavy one, in turns of the quota; and
//! how long if both were one caller, first come first served. On paused time.

#![allow(clippy::print_stdout, clippy::expect_used, reason = "a benchmark")]

mod support;

use std::{sync::Arc, time::Duration};

use tokio::time::{Instant, sleep};
use trailgate::{
    budget::Caller,
    filter::{EventFilter, Filter, Match},
    lookup::Question,
};

use support::world::World;

/// Questions of the heavy caller, all at once.
const HEAVY: usize = 1_000;
/// Questions of the light one, one a second.
const LIGHT: usize = 60;
/// A turn of the quota of two a second.
const TURN: Duration = Duration::from_millis(500);

/// A question that no other answers, and that takes one request.
fn question(world: &World, caller: &str, value: String) -> Question {
    let matches = vec![Match {
        field: "Username".to_owned(),
        values: vec![value],
        ..Match::default()
    }];
    let filter = Filter::compile(&[EventFilter { matches }], &()).expect("a filter");
    Question {
        caller: Caller::named(caller),
        filter: Arc::new(filter),
        page_events: 50,
        ..world.days(30, 1)
    }
}

/// The light caller's waits, ascending.
async fn waits(light: &str, heavy: usize) -> Vec<Duration> {
    let world = World::new(1_000);
    let heavy = (0..heavy).map(|number| {
        let question = question(&world, "heavy", format!("heavy-{number}"));
        let lookup = Arc::clone(&world.lookup);
        tokio::spawn(async move { lookup.ask(&question).await.expect("answers") })
    });
    let heavy = Vec::from_iter(heavy);
    let lights = (0..LIGHT).map(|number| {
        let question = question(&world, light, format!("light-{number}"));
        let lookup = Arc::clone(&world.lookup);
        tokio::spawn(async move {
            sleep(Duration::from_secs(u64::try_from(number).expect("few") + 1)).await;
            let start = Instant::now();
            lookup.ask(&question).await.expect("answers");
            start.elapsed()
        })
    });
    let mut waits = Vec::new();
    for light in Vec::from_iter(lights) {
        waits.push(light.await.expect("no panic"));
    }
    for task in heavy {
        task.abort();
    }
    waits.sort();
    waits
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tokio::time::pause();
    let heavy = if support::is_smoke() { 100 } else { HEAVY };
    println!(
        "one caller with {heavy} questions beside one with one a second; waits in turns of {TURN:?}"
    );
    println!(
        "{:<42} {:>8} {:>8} {:>8}",
        "the light one's wait", "median", "p95", "most"
    );
    let mut most = Vec::new();
    for (name, light) in [
        ("in turns, callers told apart", "light"),
        ("first come first served (one caller)", "heavy"),
    ] {
        let waits = waits(light, heavy).await;
        let at = |share: usize| {
            let wait = waits.get((waits.len() - 1) * share / 100);
            wait.expect("waits").as_secs_f64() / TURN.as_secs_f64()
        };
        println!(
            "{name:<42} {:>8.1} {:>8.1} {:>8.1}",
            at(50),
            at(95),
            at(100)
        );
        most.push(at(100));
    }
    if let [fair, unfair] = most.as_slice() {
        println!("ratio of the longest waits: {:.4}", fair / unfair);
        // turns are counted on paused time: the same on any machine
        assert!(*fair <= 3.0, "more than a few turns");
    }
}
