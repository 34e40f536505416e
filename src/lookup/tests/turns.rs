//! The quota is shared: with other tools, and among callers.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};

use super::*;
use crate::upstream::PageRequest;

const A_MINUTE: Duration = Duration::from_secs(60);

/// A question that takes one request, and no other answers.
fn heavy(world: &World, number: usize, caller: &str, class: Class) -> Question {
    Question {
        caller: Caller::named(caller),
        class,
        filter: named(&[&format!("{caller}{number}")]),
        deadline: Clock::deadline(3_600 * A_MINUTE),
        ..world.question()
    }
}

/// Another tool of the account: when it sends, and what came of it.
#[derive(Default)]
struct Foreign {
    is_over: AtomicBool,
    answered: AtomicU64,
    refused: AtomicU64,
}

impl Foreign {
    /// Sends a request after each of `pauses`, until it is over.
    async fn run(&self, world: &World, mut pause: impl FnMut() -> Duration) {
        let request = PageRequest {
            category: Category::Management,
            attribute: None,
            range: TimeRange::new(world.now - 60, world.now),
            token: None,
        };
        while !self.is_over.load(Relaxed) {
            sleep(pause()).await;
            let answer = world.simulator.lookup_events(&scope(), &request).await;
            let count = if answer.is_ok() {
                &self.answered
            } else {
                &self.refused
            };
            count.fetch_add(1, Relaxed);
        }
    }
}

/// Several callers ask without end; the future never resolves.
async fn ask_without_end(world: &World) {
    let askers = (0..4).map(|asker| async move {
        for number in 0.. {
            let question = heavy(
                world,
                number,
                &format!("caller{asker}-"),
                Class::Interactive,
            );
            // a page that others' use of the quota cut short is asked again
            let _ = world.lookup.ask(&question).await;
        }
    });
    join_all(askers).await;
}

/// A minute alone, ten beside others, and then until the full rate is back.
async fn beside_others(name: &str, pause: impl FnMut() -> Duration) {
    let world = World::new();
    let budget = world.lookup.upstream.budget(&scope());
    let foreign = Foreign::default();
    let run = async {
        sleep(A_MINUTE).await;
        let alone = budget.stats();
        assert_eq!(alone.throttled, 0, "{name}: nobody else uses the quota");
        assert!(alone.bought >= 119, "{name}: {alone:?}");
        let beside = async {
            sleep(10 * A_MINUTE).await;
            foreign.is_over.store(true, Relaxed);
        };
        tokio::join!(beside, foreign.run(&world, pause));
        let shared = budget.stats();
        let (bought, throttled) = (shared.bought - alone.bought, shared.throttled);
        assert!(throttled * 20 <= bought, "{name}: {throttled} of {bought}");
        assert!(bought >= 300, "{name}: half of what is left: {bought}");
        let [answered, refused] = [&foreign.answered, &foreign.refused].map(|n| n.load(Relaxed));
        assert!(refused * 10 <= answered, "{name}: {refused}, {answered}");
        assert!(answered >= 500, "{name}: {answered}");
        let left = Instant::now();
        while budget.stats().rate < budget.stats().ceiling {
            sleep(Duration::from_secs(1)).await;
        }
        let back = left.elapsed();
        assert!(back <= 4 * A_MINUTE, "{name}: back after {back:?}");
        let full = budget.stats();
        sleep(A_MINUTE).await;
        let again = budget.stats();
        assert!(again.bought - full.bought >= 119, "{name}: {again:?}");
        assert_eq!(again.throttled, full.throttled, "{name}");
    };
    tokio::select! {
        () = run => {}
        () = ask_without_end(&world) => {}
    }
}

#[tokio::test(start_paused = true)]
async fn half_of_the_quota_is_left_to_others_who_use_it() {
    beside_others("one a second", || Duration::from_secs(1)).await;
    let around_a_second = || Duration::from_millis(rand::random_range(500..1_500));
    beside_others("about one a second", around_a_second).await;
}

/// Others who use all of it cannot be stopped; but they are not besieged, and
/// now and then there is a try.
#[tokio::test(start_paused = true)]
async fn where_nothing_is_left_it_is_tried_seldom() {
    let world = World::new();
    let budget = world.lookup.upstream.budget(&scope());
    let foreign = Foreign::default();
    let run = async {
        sleep(5 * A_MINUTE).await;
        let before = budget.stats();
        sleep(5 * A_MINUTE).await;
        let after = budget.stats();
        assert!((20..=60).contains(&(after.bought - before.bought)));
        assert!(after.rate < Some(0.3), "{after:?}");
    };
    tokio::select! {
        () = run => {}
        () = foreign.run(&world, || Duration::from_millis(100)) => {}
        () = ask_without_end(&world) => {}
    }
}

/// How long the light caller's questions took at worst, one each second, beside
/// the heavy one's, which all are asked first.
async fn worst_wait(light: Class, heavy_class: Class) -> Duration {
    let world = World::new();
    let heavy_ones = (0..1_000).map(|number| {
        let question = heavy(&world, number, "heavy", heavy_class);
        let lookup = Arc::clone(&world.lookup);
        tokio::spawn(async move { lookup.ask(&question).await.unwrap() })
    });
    let heavy_ones = Vec::from_iter(heavy_ones);
    let mut worst = Duration::ZERO;
    for number in 0..60 {
        sleep(Duration::from_secs(1)).await;
        let start = Instant::now();
        let question = heavy(&world, number, "light", light);
        let answer = world.lookup.ask(&question).await.unwrap();
        assert_eq!(answer.stats.upstream_calls, 1);
        worst = worst.max(start.elapsed());
    }
    let budget = world.lookup.upstream.budget(&scope());
    let still = "the heavy ones still wait";
    assert!(budget.stats().all_waiting() > 100, "{still}");
    assert_eq!(budget.stats().throttled, 0);
    for task in &heavy_ones {
        task.abort();
    }
    for task in heavy_ones {
        let _ = task.await;
    }
    sleep(A_MINUTE).await;
    assert_eq!(budget.stats().all_waiting(), 0, "who hangs up leaves");
    worst
}

#[tokio::test(start_paused = true)]
async fn a_light_caller_waits_a_few_turns_beside_a_heavy_one() {
    let turn = Duration::from_millis(510);
    let worst = worst_wait(Class::Interactive, Class::Interactive).await;
    assert!(worst <= 3 * turn, "{worst:?}");
    let worst = worst_wait(Class::Interactive, Class::Backfill).await;
    assert!(worst <= 3 * turn, "{worst:?}");
    // not starved: one in twelve turns at least
    let worst = worst_wait(Class::Backfill, Class::Interactive).await;
    assert!(worst <= 13 * turn, "{worst:?}");
}

/// The page that a light caller wants is the last in a heavy one's line: it is
/// bought at the light one's turn, and once.
#[tokio::test(start_paused = true)]
async fn who_joins_a_walk_brings_it_a_turn() {
    for class in [Class::Interactive, Class::Backfill] {
        let world = World::new();
        let heavy_ones = (0..100).map(|number| {
            let question = heavy(&world, number, "heavy", class);
            let lookup = Arc::clone(&world.lookup);
            tokio::spawn(async move { lookup.ask(&question).await.unwrap() })
        });
        let heavy_ones = Vec::from_iter(heavy_ones);
        sleep(Duration::from_secs(2)).await;
        let start = Instant::now();
        let joined = Question {
            caller: tester(),
            ..heavy(&world, 99, "heavy", class)
        };
        let joined = Question {
            class: Class::Interactive,
            ..joined
        };
        world.lookup.ask(&joined).await.unwrap();
        assert!(start.elapsed() <= Duration::from_millis(1_600), "{class:?}");
        let mut calls = 0;
        for task in heavy_ones {
            calls += task.await.unwrap().stats.upstream_calls;
        }
        assert!(calls >= 99, "one page was the joiner's or theirs: {calls}");
        assert_eq!(world.asked(), 100);
    }
}

/// Without the light caller the page goes back to where it stood.
#[tokio::test(start_paused = true)]
async fn who_leaves_takes_the_turn_along() {
    let world = World::new();
    let heavy_ones = (0..20).map(|number| {
        let question = heavy(&world, number, "heavy", Class::Backfill);
        let lookup = Arc::clone(&world.lookup);
        tokio::spawn(async move {
            lookup.ask(&question).await.unwrap();
            Instant::now()
        })
    });
    let heavy_ones = Vec::from_iter(heavy_ones);
    sleep(Duration::from_millis(1_100)).await;
    let joined = Question {
        caller: tester(),
        class: Class::Interactive,
        ..heavy(&world, 19, "heavy", Class::Backfill)
    };
    let soon = Duration::from_millis(100);
    assert!(
        tokio::time::timeout(soon, world.lookup.ask(&joined))
            .await
            .is_err()
    );
    let mut done = Vec::new();
    for task in heavy_ones {
        done.push(task.await.unwrap());
    }
    assert!(done.is_sorted(), "in the order in which they were asked");
    assert_eq!(world.asked(), 20);
}

fn setup_with_allowance(daily: u64) -> World {
    let world = World::new();
    let cloudtrail: Arc<Simulator> = Arc::clone(&world.simulator);
    let budgets = Budgets::new(2.0).with_daily_allowance(world.clock.clone(), daily);
    let upstream = Upstream::new(cloudtrail, Arc::new(budgets), Retry::default());
    let coverage = Arc::new(Coverage::new(coverage::Options::default()));
    let lookup = Lookup::new(world.clock.clone(), coverage, Arc::new(upstream), None);
    World {
        lookup: Arc::new(lookup),
        ..world
    }
}

#[tokio::test(start_paused = true)]
async fn a_days_allowance_ends_a_page_and_comes_back_at_midnight() {
    let world = setup_with_allowance(3);
    for i in 0..400 {
        world.happens(&scope(), i, 3_600 + 60 * i as i64, "A");
    }
    let ask = Question {
        page_events: 300,
        ..world.question()
    };
    let first = world.lookup.ask(&ask).await.unwrap();
    let ScopeState::Partial(Reason::DailyAllowance { wait }) = first.scopes[0].state else {
        panic!("{:?}", first.scopes[0].state)
    };
    assert_eq!(first.stats.upstream_calls, 3);
    assert!(
        (140..150).contains(&first.events.len()),
        "what was read is told"
    );
    let midnight: Timestamp = "2026-01-03T00:00:00Z".parse().unwrap();
    let off = world.clock.now().saturating_add(wait).unwrap() - midnight;
    assert!(off.total(jiff::Unit::Second).unwrap() < 1.0);
    // what is held is still answered; nothing else is
    let held = Question {
        page_events: 100,
        ..world.question()
    };
    let answer = world.lookup.ask(&held).await.unwrap();
    assert_eq!((answer.events.len(), answer.stats.upstream_calls), (100, 0));
    let other = Question {
        scopes: [other()].into(),
        ..world.question()
    };
    let refused = world.lookup.ask(&other).await;
    assert!(
        matches!(refused, Err(Error::DailyAllowance { .. })),
        "{refused:?}"
    );
    assert_eq!(world.lookup.walks().1, 0);
    let ledger = world.lookup.upstream.ledger().unwrap();
    assert!(ledger.refused() >= 2);
    // others have their own, and theirs pays for who waits with them
    let theirs = Question {
        caller: Caller::named("another"),
        ..other.clone()
    };
    let (joined, paid) = tokio::join!(world.lookup.ask(&theirs), world.lookup.ask(&other));
    assert_eq!(joined.unwrap().stats.upstream_calls, 1);
    assert_eq!(paid.unwrap().stats.upstream_calls, 0);
    assert_eq!(world.asked(), 4);
    advance(wait + Duration::from_secs(1)).await;
    let tomorrow = Question {
        deadline: Clock::deadline(A_MINUTE),
        now: world.clock.now(),
        ..ask
    };
    let answer = world.lookup.ask(&tomorrow).await.unwrap();
    assert_eq!(answer.stats.upstream_calls, 3);
}

#[tokio::test(start_paused = true)]
async fn a_denied_scope_is_asked_seldom_and_what_is_held_is_answered() {
    let mut setup = Setup::default();
    setup.simulator.faults = Faults::from_iter([simulator::Fault::Denied("us-east-1".into())]);
    let world = setup.build();
    let mut asked = Vec::new();
    for second in 0..3 * 3_600 {
        let question = heavy(&world, second, "tester", Class::Interactive);
        let start = Instant::now();
        let before = world.asked();
        let refused = world.lookup.ask(&question).await;
        assert!(matches!(refused, Err(Error::Denied { .. })), "{refused:?}");
        if world.asked() > before {
            asked.push(second);
        } else {
            assert_eq!(start.elapsed(), Duration::ZERO, "at once");
        }
        sleep(Duration::from_secs(1)).await;
    }
    // after one minute, two, four … up to an hour
    assert_eq!(asked, [0, 60, 180, 420, 900, 1_860, 3_780, 7_380]);
    let health = world.lookup.upstream.health(&scope());
    assert!(health.is_barred(Instant::now()));
    assert_eq!(health.last_success, None);
    let last = health.last_error.unwrap();
    assert_eq!(last.kind, upstream::ErrorKind::Denied);
    assert_eq!(world.lookup.walks(), (0, 0));
}
