//! What questions cost in CloudTrail requests, beside the fewest that could
//! answer them. On paused time: the figures are counts, the same on any machine.

#![allow(clippy::print_stdout, clippy::expect_used, reason = "a benchmark")]

mod support;

use std::sync::Arc;

use futures_util::future::join_all;
use trailgate::{
    event::{Category, TimeRange},
    filter::{EventFilter, Filter, Match},
    lookup::Question,
    upstream::{CloudTrail, PageRequest},
};

use support::{
    scope,
    world::{DAY, World},
};

/// Events of the scope, over 30 days.
const EVENTS: u64 = 200_000;
/// Events of a page of AWS's.
const PAGE: u64 = 50;

/// A line of the table.
struct Line {
    question: &'static str,
    events: u64,
    asked: u64,
    fewest: u64,
}

impl Line {
    fn print(&self) {
        // nothing of nothing is as good as can be
        let ratio = match (self.asked, self.fewest) {
            (0, 0) => 1.0,
            (asked, fewest) => float(asked) / float(fewest),
        };
        println!(
            "{:<56} {:>8} {:>8} {:>8} {ratio:>6.2}",
            self.question, self.events, self.asked, self.fewest
        );
        // counts are the same on any machine: this is a test, too
        assert_eq!(self.asked, self.fewest, "{}", self.question);
    }
}

fn float(count: u64) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

/// The fewest requests for so many events.
fn pages(events: u64) -> u64 {
    events.div_ceil(PAGE).max(1)
}

/// Events of a stretch, counted by walking the simulator past its meter.
async fn count(events: u64, range: TimeRange, is_so: impl Fn(&str) -> bool) -> u64 {
    // the same seed makes the same events
    let world = World::new(events);
    let mut request = PageRequest {
        category: Category::Management,
        attribute: None,
        range,
        token: None,
    };
    let mut found = 0;
    loop {
        tokio::time::advance(std::time::Duration::from_secs(1)).await;
        let page = world.simulator.lookup_events(&scope(), &request).await;
        let page = page.expect("no faults");
        let names = page.events.iter();
        let names = names.filter(|event| is_so(event.event_name.as_deref().unwrap_or_default()));
        found += u64::try_from(names.count()).expect("a page");
        request.token = page.next_token;
        if request.token.is_none() {
            return found;
        }
    }
}

fn named(names: &[&str]) -> Arc<Filter> {
    let matches = vec![Match {
        field: "eventName".to_owned(),
        values: names.iter().map(|name| (*name).to_owned()).collect(),
        ..Match::default()
    }];
    Arc::new(Filter::compile(&[EventFilter { matches }], &()).expect("a filter"))
}

/// Asks for all pages, and prints what it took.
async fn line(world: &World, question: &'static str, asked: Question, fewest: u64) {
    let before = world.asked();
    let events = world.all(asked).await;
    Line {
        question,
        events,
        asked: world.asked() - before,
        fewest,
    }
    .print();
}

#[tokio::main(flavor = "current_thread")]
async fn main() {
    tokio::time::pause();
    let events = match support::is_smoke() {
        true => EVENTS / 100,
        false => EVENTS,
    };
    let from = 29;
    println!("{events} events over 30 days; wanted: ratio 1.00 everywhere");
    println!(
        "{:<56} {:>8} {:>8} {:>8} {:>6}",
        "question", "events", "requests", "fewest", "ratio"
    );
    let world = World::new(events);
    let all = |_: &str| true;
    let range = |question: &Question| question.window;

    let whole = world.days(from, 1);
    let there = count(events, range(&whole), all).await;
    line(
        &world,
        "cold: 28 days, every page",
        whole.clone(),
        pages(there),
    )
    .await;
    line(&world, "asked again", whole.clone(), 0).await;
    line(&world, "narrower: 10 days of them", world.days(20, 10), 0).await;
    let filtered = Question {
        filter: named(&["ConsoleLogin", "CreateBucket"]),
        ..whole.clone()
    };
    line(&world, "another filter inside of it", filtered, 0).await;
    let shifted = world.days(from - 1, 0);
    let fresh = count(events, TimeRange::new(world.now - DAY, world.now), all).await;
    line(&world, "shifted by a day", shifted, pages(fresh)).await;

    let together = World::new(events);
    let week = count(events, range(&together.days(9, 2)), all).await;
    let askers = (0..50).map(|_| together.all(together.days(9, 2)));
    let found = join_all(askers).await;
    assert!(found.iter().all(|found| *found == week), "all get all");
    Line {
        question: "50 callers at once, cold: 7 days, every page",
        events: week,
        asked: together.asked(),
        fewest: pages(week),
    }
    .print();

    let first = World::new(events);
    let now = first.clock.now();
    let newest = Question {
        window: TimeRange::new(first.now - 90 * DAY, now.as_second() + 1),
        page_events: 50,
        ..first.days(90, 0)
    };
    let answer = first.lookup.ask(&newest).await.expect("answers");
    Line {
        question: "first page of 90 days",
        events: u64::try_from(answer.events.len()).expect("a page"),
        asked: first.asked(),
        fewest: 1,
    }
    .print();

    let rare = World::new(events);
    let question = Question {
        filter: named(&["CreateBucket", "PutBucketPolicy"]),
        ..rare.days(from, 1)
    };
    let mut fewest = 0;
    for name in ["CreateBucket", "PutBucketPolicy"] {
        fewest += pages(count(events, range(&question), |it| it == name).await);
    }
    line(
        &rare,
        "cold: two rare event names, a walk each",
        question,
        fewest,
    )
    .await;
}
