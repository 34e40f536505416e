//! The keeper on paused time, in process, against the simulator and an archive in
//! memory.

use std::collections::BTreeMap;

use futures_util::TryStreamExt;
use jiff::Timestamp;
use object_store::{memory::InMemory, path::Path};
use tokio_util::sync::DropGuard;

use super::*;
use crate::{
    archive,
    budget::{Budgets, Class},
    clock::Clock,
    collect,
    coverage::{self, Coverage},
    event::{LookupEvent, Origin, Scope, TimeRange},
    feed,
    filter::{EventFilter, Match},
    lookup::{Order, Past, Question},
    simulator::{self, Rate, Simulator},
    upstream::{CloudTrail, Retry, Upstream},
};

const ACCOUNT: &str = "111122223333";
const HORIZON: Duration = Duration::from_secs(60);

fn scope() -> Scope {
    Scope::new(ACCOUNT, "us-east-1")
}

/// A CloudTrail and an archive, which outlive processes.
struct World {
    clock: Clock,
    simulator: Arc<Simulator>,
    store: Arc<InMemory>,
    start: i64,
    feed_bytes: u64,
    history: u64,
    polling: collect::Polling,
    /// What processes serve.
    served: Vec<Scope>,
}

/// What a process has.
struct Process {
    feed: Arc<Feed>,
    lookup: Arc<Lookup>,
    keeper: Arc<Keeper>,
    _stop: DropGuard,
}

impl World {
    fn new() -> Self {
        let clock = Clock::at("2026-01-02T03:04:05.25Z".parse().unwrap());
        let options = simulator::Options {
            accounts: vec![ACCOUNT.into()],
            rate: Rate::per_second(2),
            ..simulator::Options::default()
        };
        Self {
            simulator: Arc::new(Simulator::new(options, clock.clone(), Vec::new())),
            start: clock.now_secs(),
            clock,
            store: Arc::default(),
            feed_bytes: 64_000_000,
            history: 90 * 86_400,
            polling: collect::Polling::Full,
            served: vec![scope()],
        }
    }

    async fn archive(&self) -> Archive {
        let store: Arc<dyn object_store::ObjectStore> = Arc::clone(&self.store) as _;
        let options = archive::Options::default();
        let archive = Archive::open(store, Path::from("a"), self.clock.clone(), options);
        archive.await.unwrap()
    }

    async fn begin(&self) -> Process {
        let cloudtrail: Arc<dyn CloudTrail> = Arc::clone(&self.simulator) as _;
        let budgets = Arc::new(Budgets::new(2.0));
        let upstream = Upstream::new(cloudtrail, budgets, Retry::default());
        let coverage = Coverage::new(coverage::Options {
            max_bytes: 100_000_000,
            horizon: HORIZON,
        });
        let history = Some(Duration::from_secs(self.history));
        let lookup = Lookup::new(
            self.clock.clone(),
            Arc::new(coverage),
            Arc::new(upstream),
            history,
        );
        let lookup = Arc::new(lookup);
        let options = feed::Options {
            max_bytes: self.feed_bytes,
            horizon: HORIZON,
        };
        let feed = Arc::new(Feed::new(self.clock.clone(), options));
        let scopes = Scopes::from(self.served.clone());
        let options = collect::Options {
            polling: self.polling,
            ..collect::Options::default()
        };
        let poller = Poller::new(
            Arc::clone(&feed),
            Arc::clone(&lookup),
            scopes.clone(),
            options,
        );
        let parts = Parts {
            archive: self.archive().await,
            feed: Arc::clone(&feed),
            lookup: Arc::clone(&lookup),
            poller,
            scopes,
        };
        let keeper = Keeper::new(parts, Options::default()).unwrap();
        keeper.start();
        assert!(lookup.keep_past(Arc::clone(&keeper) as Arc<dyn Past>));
        Process {
            feed,
            lookup,
            _stop: keeper.stop.clone().drop_guard(),
            keeper,
        }
    }

    /// Has an event happen so many seconds after the start; AWS tells it five
    /// seconds after that.
    fn happens(&self, number: usize, at: i64) {
        let second = |second| Timestamp::from_second(self.start + second).unwrap();
        let event = LookupEvent {
            event_id: Some(id(number)),
            event_name: Some("Call".into()),
            event_time: Some(self.start + at),
            username: Some("somebody".into()),
            record: Some(record(number, second(at))),
            ..LookupEvent::default()
        };
        let told = Some(second(at + 5));
        assert_ne!(self.simulator.insert(&scope(), event, told), 0);
    }

    /// An event as a queue brings it.
    fn brought(&self, number: usize) -> Arc<Event> {
        let record = record(number, self.clock.now());
        let origin = Origin::LogFile;
        Arc::new(Event::from_record(&scope(), record.as_bytes(), origin, 0))
    }

    /// How often each event is in the archive.
    async fn kept(&self) -> BTreeMap<usize, usize> {
        let archive = self.archive().await;
        let all = TimeRange::new(0, self.start + 1_000_000_000);
        let events: Vec<_> = archive
            .read(&scope(), all, true)
            .try_collect()
            .await
            .unwrap();
        let mut kept = BTreeMap::new();
        for event in events.iter().flatten() {
            *kept.entry(number(event)).or_default() += 1;
        }
        kept
    }
}

fn id(number: usize) -> String {
    format!("00000000-0000-4000-8000-{number:012}")
}

fn number(event: &Event) -> usize {
    event.id().rsplit_once('-').unwrap().1.parse().unwrap()
}

fn record(number: usize, at: Timestamp) -> String {
    let (id, at) = (id(number), at.strftime("%Y-%m-%dT%H:%M:%SZ"));
    format!(
        "{{\"eventID\":\"{id}\",\"eventTime\":\"{at}\",\"eventName\":\"Call\",\"awsRegion\":\"us-east-1\",\
         \"recipientAccountId\":\"{ACCOUNT}\"}}"
    )
}

fn once(numbers: impl IntoIterator<Item = usize>) -> BTreeMap<usize, usize> {
    numbers.into_iter().map(|number| (number, 1)).collect()
}

async fn pass(seconds: u64) {
    tokio::time::sleep(Duration::from_secs(seconds)).await;
}

impl Process {
    /// Puts events into the archive, as a backfill does.
    async fn load(&self, events: &[Arc<Event>]) {
        let archive = self.keeper.archive();
        archive.commit(events, None).await.unwrap();
    }

    /// Asks for all from so many seconds after the start.
    async fn ask(&self, world: &World, order: Order, field: Option<&str>) -> crate::lookup::Answer {
        let window = TimeRange::new(world.start, world.clock.now_secs());
        self.ask_of(world, window, order, field).await
    }

    async fn ask_of(
        &self,
        world: &World,
        window: TimeRange,
        order: Order,
        field: Option<&str>,
    ) -> crate::lookup::Answer {
        let matches = field.map(|field| Match {
            field: field.into(),
            values: vec!["somebody".into()],
            ..Match::default()
        });
        let filters = matches.map(|one| EventFilter { matches: vec![one] });
        let filters: Vec<_> = filters.into_iter().collect();
        let filter = Filter::compile(&filters, &()).unwrap();
        let now = world.clock.now();
        let question = Question {
            filter: Arc::new(filter),
            page_events: 1_000,
            page_bytes: usize::MAX,
            max_upstream_calls: 100,
            deadline: Clock::deadline(Duration::from_secs(3_000)),
            order,
            ..Question::new(
                Caller::named("tester"),
                Class::Interactive,
                [scope()].into(),
                window,
                now,
            )
        };
        self.lookup.ask(&question).await.unwrap()
    }
}

#[tokio::test(start_paused = true)]
async fn everything_is_kept_once_whatever_dies() {
    let world = World::new();
    let process = world.begin().await;
    for number in 0..30 {
        world.happens(number, 10 + 10 * number as i64);
    }
    pass(125).await;
    let stats = process.keeper.stats();
    assert!(stats.commits >= 1 && stats.events >= 5, "{stats:?}");
    // it dies with what it had not committed, and nobody is there for a while
    drop(process);
    pass(100).await;
    let process = world.begin().await;
    pass(1_000).await;
    assert_eq!(world.kept().await, once(0..30));
    process.keeper.stop().await;
    // what is complete has no hole where nobody was there
    let spans: Vec<TimeRange> = {
        let spans = process.keeper.spans();
        let (_, spans) = spans.all().next().unwrap();
        spans.collect()
    };
    assert_eq!(spans.len(), 1, "{spans:?}");
    let begun = spans[0].from - world.start;
    assert!((1..=10).contains(&begun), "{begun}");
    assert!(spans[0].to >= world.start + 1_000, "{spans:?}");
}

#[tokio::test(start_paused = true)]
async fn servers_of_different_scopes_share_an_archive_and_each_catches_up() {
    let mut world = World::new();
    let other = Scope::new(ACCOUNT, "eu-west-1");
    let begun_at = world.clock.now_secs();
    let process = world.begin().await;
    world.happens(0, 10);
    pass(1_000).await;
    process.keeper.stop().await;
    drop(process);
    // while it is away, another commits on and on
    world.served = vec![other.clone()];
    let process = world.begin().await;
    let away = world.clock.now_secs() - begun_at;
    for number in 1..20 {
        world.happens(number, away + 10 * number as i64);
    }
    pass(1_000).await;
    process.keeper.stop().await;
    assert!(
        process
            .keeper
            .spans()
            .find(&other, begun_at + away + 100)
            .is_some()
    );
    drop(process);
    assert_eq!(world.kept().await, once([0]));
    world.served = vec![scope()];
    let process = world.begin().await;
    pass(1_000).await;
    assert_eq!(world.kept().await, once(0..20));
    let spans: Vec<TimeRange> = {
        let spans = process.keeper.spans();
        let mut all = spans.all();
        let (_, spans) = all.find(|(of, _)| **of == scope()).unwrap();
        spans.collect()
    };
    // nothing was missed, and that is known
    assert_eq!(spans.len(), 1, "{spans:?}");
    process.keeper.stop().await;
    // nor has the other one's position gone
    drop(process);
    world.served = vec![other.clone()];
    let process = world.begin().await;
    pass(1_500).await;
    let found = process.keeper.spans().find(&other, begun_at + away + 100);
    let now = world.clock.now_secs();
    assert!(
        found.is_some_and(|span| span.to > now - 600),
        "{found:?} {now}"
    );
    process.keeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn whoever_brings_hears_when_it_is_kept() {
    let world = World::new();
    let process = world.begin().await;
    pass(5).await;
    let Process { feed, keeper, .. } = &process;
    feed.take_from_queue(&[world.brought(1)]);
    let kept = keeper.kept(feed.head());
    assert!(!world.kept().await.contains_key(&1));
    let before = Instant::now();
    kept.await;
    // it lingers for others, and does not wait for its interval
    assert!(before.elapsed() <= 2 * LINGER, "{:?}", before.elapsed());
    assert_eq!(world.kept().await, once([1]));
    // what is kept is kept
    keeper.kept(feed.head()).await;
    feed.take_from_queue(&[world.brought(1)]);
    keeper.kept(feed.head()).await;
    assert_eq!(world.kept().await, once([1]));
    keeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn a_stop_commits_what_arrived() {
    let world = World::new();
    let process = world.begin().await;
    pass(5).await;
    process
        .feed
        .take_from_queue(&[world.brought(1), world.brought(2)]);
    process.keeper.stop().await;
    assert_eq!(world.kept().await, once([1, 2]));
}

#[tokio::test(start_paused = true)]
async fn who_brings_more_than_the_log_holds_waits_for_commits() {
    let mut world = World::new();
    world.feed_bytes = 40_000;
    let process = world.begin().await;
    pass(5).await;
    for number in 0..500 {
        process.keeper.room().await;
        process.feed.take_from_queue(&[world.brought(number)]);
    }
    process.keeper.kept(process.feed.head()).await;
    assert_eq!(world.kept().await, once(0..500));
    assert!(process.keeper.stats().commits > 2);
    process.keeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_is_kept_answers_without_a_request_also_what_aws_has_forgotten() {
    let mut world = World::new();
    world.history = 2_000;
    let process = world.begin().await;
    for number in 0..60 {
        world.happens(number, 10 + 10 * number as i64);
    }
    pass(3_000).await;
    process.keeper.stop().await;
    drop(process);
    pass(1_000).await;
    // AWS keeps nothing of it any more, and the cache is another process's
    let process = world.begin().await;
    let before = process.lookup.totals();
    for (order, field) in [
        (Order::OldestFirst, Some("Username")),
        (Order::NewestFirst, None),
        (Order::NewestFirst, Some("Username")),
        (Order::OldestFirst, None),
    ] {
        let answer = process.ask(&world, order, field).await;
        let found = answer.events.iter().map(|event| number(event));
        let mut found: Vec<_> = found.collect();
        if order == Order::NewestFirst {
            found.reverse();
        }
        assert_eq!(found, (0..60).collect::<Vec<_>>(), "{order:?} {field:?}");
    }
    let archived = process.lookup.totals().events_from_archive - before.events_from_archive;
    assert!(archived >= 60, "{archived}");
    let answer = process.ask(&world, Order::NewestFirst, None).await;
    let searched = answer.scopes[0].searched;
    assert!(searched.from <= world.start + 10, "{searched}");
    process.keeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn what_was_loaded_is_found_wherever_the_time_ends_that_is_asked_for() {
    const DAY: i64 = 86_400;
    let mut world = World::new();
    world.history = 2_000;
    let process = world.begin().await;
    // of two days, a month and three weeks ago
    let at = |days: i64| world.start - days * DAY;
    let loaded = |number: usize, second: i64| {
        let record = record(number, Timestamp::from_second(second).unwrap());
        Arc::new(Event::from_record(
            &scope(),
            record.as_bytes(),
            Origin::LogFile,
            0,
        ))
    };
    let events = [loaded(0, at(30)), loaded(1, at(30) + 60), loaded(2, at(21))];
    process.load(&events).await;
    for (from, to, wanted) in [
        (at(30) - 60, at(30) + 120, vec![0, 1]),
        // days without events are at its end, in it, and at its start
        (at(30), at(28), vec![0, 1]),
        (at(30), at(2), vec![0, 1, 2]),
        (at(25), at(20), vec![2]),
        (at(60), at(30) + 1, vec![0]),
        (at(60), world.clock.now_secs(), vec![0, 1, 2]),
        (at(20), at(10), vec![]),
    ] {
        for order in [Order::OldestFirst, Order::NewestFirst] {
            let window = TimeRange::new(from, to);
            let answer = process.ask_of(&world, window, order, None).await;
            let mut found: Vec<_> = answer.events.iter().map(|event| number(event)).collect();
            found.sort_unstable();
            assert_eq!(found, wanted, "{window} {order:?}");
            let [told] = &answer.scopes[..] else { panic!() };
            // nothing proves that it is all
            let unproven = told.unproven_before.unwrap();
            assert!(unproven > told.searched.from, "{window} {told:?}");
            let begins = from.max(at(30) - at(30).rem_euclid(DAY));
            assert_eq!(
                told.searched,
                TimeRange::new(begins, to),
                "{window} {order:?}"
            );
            assert!(!told.is_in_log_files);
        }
    }
    // what is loaded later is found as well, whatever was asked before
    let events = [loaded(3, at(15)), loaded(4, at(30) + 61)];
    process.load(&events).await;
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let window = TimeRange::new(at(60), at(10));
        let answer = process.ask_of(&world, window, order, None).await;
        let mut found: Vec<_> = answer.events.iter().map(|event| number(event)).collect();
        found.sort_unstable();
        assert_eq!(found, [0, 1, 2, 3, 4], "{order:?}");
    }
    // log files do not say who, and that is told
    for order in [Order::OldestFirst, Order::NewestFirst] {
        let window = TimeRange::new(at(30), at(30) + 120);
        let answer = process
            .ask_of(&world, window, order, Some("Username"))
            .await;
        let [told] = &answer.scopes[..] else { panic!() };
        assert!(answer.events.is_empty());
        assert!(
            told.starts_before_history && told.is_in_log_files,
            "{told:?}"
        );
    }
    process.keeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn days_that_were_dropped_are_claimed_no_longer() {
    const DAY: u64 = 86_400;
    let world = World::new();
    let process = world.begin().await;
    for number in 0..30 {
        world.happens(number, 10 + 10 * number as i64);
    }
    // the next day begins 75,355 seconds after the start
    pass(DAY).await;
    process.keeper.stop().await;
    let (early, midnight) = (world.start + 100, world.start + 75_355);
    let keeper = &process.keeper;
    assert!(keeper.complete(&scope(), early).is_some());
    assert!(keeper.below(&scope(), midnight).is_none());
    // another server drops it
    let other = world.archive().await;
    let dropped = other.retain("2026-01-03".parse().unwrap()).await;
    assert!(dropped.unwrap() > 0);
    let is_dropped = |keeper: &Keeper| {
        assert_eq!(keeper.complete(&scope(), early), None);
        assert_eq!(keeper.complete(&scope(), midnight - 1), None);
        assert_eq!(keeper.below(&scope(), midnight), None);
        let kept = keeper.complete(&scope(), midnight).unwrap();
        assert_eq!(kept.from, midnight);
    };
    // who planned by the version before does not take it for empty either
    let range = TimeRange::new(early, early + 100);
    let before = keeper.read(&scope(), range, true).await;
    assert!(before.is_ok_and(|page| !page.events.is_empty()));
    keeper.archive().refresh().await.unwrap();
    let error = keeper.read(&scope(), range, true).await.unwrap_err();
    assert!(error.0.contains("were dropped"), "{error:?}");
    is_dropped(keeper);
    drop(process);
    // AWS has it all the same
    let process = world.begin().await;
    is_dropped(&process.keeper);
    let answer = process.ask(&world, Order::OldestFirst, None).await;
    let found: Vec<_> = answer.events.iter().map(|event| number(event)).collect();
    assert_eq!(found, (0..30).collect::<Vec<_>>());
    process.keeper.stop().await;
}

#[tokio::test(start_paused = true)]
async fn an_archive_of_another_version_is_not_gone_on_with() {
    let world = World::new();
    let process = world.begin().await;
    pass(100).await;
    process.keeper.stop().await;
    let archive = world.archive().await;
    archive
        .commit(&[], Some(r#"{"version":3,"token":"","scopes":[]}"#.into()))
        .await
        .unwrap();
    let state = State::of(
        world.archive().await.state().as_deref(),
        &DIGEST,
        &[scope()],
    );
    let error = state.unwrap_err().to_string();
    assert!(
        error.contains("has version 3, and 2 is the newest"),
        "{error}"
    );
}
