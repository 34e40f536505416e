//! What AWS is asked by, and what a question would cost.

use super::*;

const MINUTE: i64 = 60;

/// 2,000 events over some 28 days, a hundredth of them rare.
fn history(world: &World) {
    for i in 0..2_000 {
        let kind = match i % 200 {
            7 => "Rare",
            107 => "Seldom",
            _ if i % 3 == 0 => "Often",
            _ => "Always",
        };
        world.happens(&scope(), i, 3_600 + 20 * MINUTE * i as i64, kind);
    }
}

fn month(world: &World, names: &[&str]) -> Question {
    Question {
        filter: named(names),
        window: TimeRange::new(world.now - 30 * DAY, world.now - 1_800),
        ..world.question()
    }
}

fn expected(wanted: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..2_000).filter(|i| wanted(*i)).collect()
}

#[tokio::test(start_paused = true)]
async fn a_list_of_rare_values_is_a_walk_each() {
    let world = World::new();
    history(&world);
    let ask = || month(&world, &["Rare", "Seldom"]);
    let rare = expected(|i| matches!(i % 200, 7 | 107));
    let (events, stats) = world.all(ask()).await;
    assert_eq!(numbers(&events), rare);
    assert_eq!((stats.upstream_calls, world.asked()), (2, 2));
    // both together are coverage of the question
    let (events, stats) = world.all(ask()).await;
    assert_eq!((numbers(&events), stats.upstream_calls), (rare, 0));
    assert_eq!(stats.events_from_cache, 20);
    let up = Question {
        order: Order::OldestFirst,
        ..ask()
    };
    let (events, stats) = world.all(up).await;
    assert_eq!((events.len(), stats.upstream_calls), (20, 0));
    // and each alone of its own
    let (events, stats) = world.all(month(&world, &["Rare"])).await;
    assert_eq!((events.len(), stats.upstream_calls), (10, 0));
}

#[tokio::test(start_paused = true)]
async fn only_the_values_that_are_missing_are_asked_for() {
    let world = World::new();
    history(&world);
    world.all(month(&world, &["Rare"])).await;
    assert_eq!(world.asked(), 1);
    let (events, stats) = world.all(month(&world, &["Rare", "Seldom", "Never"])).await;
    assert_eq!((events.len(), stats.upstream_calls), (20, 2));
}

#[tokio::test(start_paused = true)]
async fn values_that_most_events_have_are_asked_for_all_at_once() {
    let world = World::new();
    history(&world);
    // what events are like is learnt from the newest page
    let newest = Question {
        filter: Arc::default(),
        ..month(&world, &["Always"])
    };
    world.lookup.ask(&newest).await.unwrap();
    let before = world.asked();
    let names = ["Always", "Often", "A", "B", "C", "D"];
    let answer = world
        .lookup
        .ask(&Question {
            page_events: 140,
            ..month(&world, &names)
        })
        .await
        .unwrap();
    assert_eq!(answer.events.len(), 140);
    assert!(
        world.asked() - before <= 3,
        "{} requests",
        world.asked() - before
    );
}

#[tokio::test(start_paused = true)]
async fn a_question_waits_for_a_page_that_another_has_under_way() {
    let world = World::new();
    history(&world);
    let older = Question {
        window: TimeRange::new(world.now - 20 * DAY, world.now - 3 * DAY),
        page_events: 200,
        ..world.question()
    };
    world.lookup.ask(&older).await.unwrap();
    let before = world.asked();
    let recent = |filter| Question {
        filter,
        window: TimeRange::new(world.now - 12 * 3_600, world.now - 1_800),
        ..world.question()
    };
    let (all, some) = tokio::join!(
        world.all(recent(Arc::default())),
        world.all(recent(named(&["Always"])))
    );
    assert!(all.0.len() > some.0.len() && !some.0.is_empty());
    assert_eq!(world.asked() - before, 1);
}

#[tokio::test(start_paused = true)]
async fn estimates_buy_nothing_and_follow_what_was_seen() {
    let world = World::new();
    history(&world);
    let ask = || Question {
        window: TimeRange::new(world.now - 30 * DAY, world.now - 1_800),
        ..world.question()
    };
    let cold = world.lookup.estimate(&ask()).await;
    assert!(
        cold.calls >= 1 && cold.window_calls >= cold.calls,
        "{cold:?}"
    );
    assert_eq!(world.asked(), 0);
    // a quarter of it
    let part = Question {
        window: TimeRange::new(world.now - 7 * DAY, world.now - 1_800),
        page_events: 1_000,
        ..world.question()
    };
    world.lookup.ask(&part).await.unwrap();
    let bought = world.asked();
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let page = world.lookup.estimate(&Question { order, ..ask() }).await;
        assert_eq!(world.asked(), bought);
        // 40 pages in all
        let left = 40 - bought;
        assert!(
            (left / 2..=left * 2).contains(&page.window_calls),
            "{page:?} of {left}"
        );
        assert!(page.window_duration >= Duration::from_secs(page.window_calls / 2 - 1));
        let is_held = order == Order::NewestFirst;
        assert_eq!(page.calls == 0, is_held, "{page:?}");
    }
    let (events, stats) = world.all(ask()).await;
    assert_eq!(events.len(), 2_000);
    // the first part ended within a page
    assert!((40 - bought..=41 - bought).contains(&stats.upstream_calls));
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let held = world.lookup.estimate(&Question { order, ..ask() }).await;
        assert_eq!(held, Estimate::default());
    }
    // what was asked a moment ago counts up to now
    let up_to_now = world.question();
    world.all(up_to_now.clone()).await;
    advance(Duration::from_secs(20)).await;
    let later = Question {
        window: TimeRange::new(up_to_now.window.from, up_to_now.window.to + 20),
        asked_at: world.clock.now(),
        now: world.clock.now(),
        ..up_to_now
    };
    assert_eq!(world.lookup.estimate(&later).await, Estimate::default());
}

/// AWS answers slower than its quota refills.
#[tokio::test(start_paused = true)]
async fn stretches_are_walked_side_by_side_where_all_will_be_read() {
    let time = async |reads_all: bool| {
        let mut setup = Setup::default();
        setup.simulator.faults =
            Faults::from_iter([simulator::Fault::Chance(simulator::FaultKind::Slow, 1.0)]);
        setup.simulator.slow_by = Duration::from_secs(2);
        let world = setup.build();
        history(&world);
        // days that are held, with gaps between
        for day in [5, 10, 15, 20] {
            let part = Question {
                window: TimeRange::new(world.now - (day + 1) * DAY, world.now - day * DAY),
                page_events: 1_000,
                ..world.question()
            };
            world.all(part).await;
        }
        let start = Instant::now();
        let before = world.asked();
        let question = Question {
            reads_all,
            window: TimeRange::new(world.now - 30 * DAY, world.now - 1_800),
            ..world.question()
        };
        let (events, _) = world.all(question).await;
        assert_eq!(numbers(&events), expected(|_| true));
        (start.elapsed(), world.asked() - before)
    };
    let (alone, asked_alone) = time(false).await;
    let (beside, asked_beside) = time(true).await;
    assert_eq!(asked_alone, asked_beside, "not a request more");
    assert!(beside * 3 < alone * 2, "{beside:?} against {alone:?}");
}

#[tokio::test(start_paused = true)]
async fn a_page_from_the_old_end_of_a_busy_scope_costs_a_few_requests() {
    for is_known in [false, true] {
        for quiet in [0, 5 * DAY] {
            let world = World::new();
            for i in 0..20_000 {
                world.happens(&scope(), i, 30 * DAY + 10 * i as i64, "A");
            }
            if is_known {
                let recent = Question {
                    window: TimeRange::new(world.now - 30 * DAY - 5_000, world.now - 30 * DAY + 1),
                    page_events: 1_000,
                    ..world.question()
                };
                world.all(recent).await;
            }
            let question = Question {
                order: Order::OldestFirst,
                window: TimeRange::new(world.now - 30 * DAY - 200_000 - quiet, world.now + 1),
                ..world.question()
            };
            let estimate = world.lookup.estimate(&question).await;
            let before = world.asked();
            let answer = world.lookup.ask(&question).await.unwrap();
            let asked = world.asked() - before;
            let oldest: Vec<_> = (20_000 - 50..20_000).rev().collect();
            assert_eq!(numbers(&answer.events), oldest);
            let most = if quiet == 0 { 4 } else { 40 };
            assert!(asked <= most, "{is_known} {quiet}: {asked}, {estimate:?}");
            if is_known && quiet == 0 {
                assert!(asked <= estimate.calls + 2, "{asked}, {estimate:?}");
            }
            // those that follow go on where it came to
            let next = Question {
                after: answer.next.clone(),
                page_events: 500,
                ..question
            };
            let before = world.asked();
            assert_eq!(world.lookup.ask(&next).await.unwrap().events.len(), 500);
            let asked = world.asked() - before;
            assert!((9..=30).contains(&asked), "{is_known} {quiet}: {asked}");
        }
    }
}

/// The second one's present is that of the walk under way.
#[tokio::test(start_paused = true)]
async fn two_who_ask_from_the_old_end_share_a_walk() {
    let mut setup = Setup::default();
    setup.simulator.faults =
        simulator::Faults::from_iter([simulator::Fault::Chance(simulator::FaultKind::Slow, 1.0)]);
    setup.simulator.slow_by = Duration::from_secs(5);
    let world = setup.build();
    for i in 0..60 {
        world.happens(&scope(), i, 60 * i as i64, "A");
    }
    let question = |now: Timestamp| Question {
        order: Order::OldestFirst,
        window: TimeRange::new(world.now - DAY / 2, now.as_second() + 1),
        asked_at: now,
        now,
        ..world.question()
    };
    let first = question(world.clock.now());
    let (first, second) = tokio::join!(world.lookup.ask(&first), async {
        sleep(Duration::from_secs(2)).await;
        let second = question(world.clock.now());
        world.lookup.ask(&second).await
    });
    assert_eq!(first.unwrap().events.len(), 50);
    assert_eq!(second.unwrap().events.len(), 50);
    assert_eq!(world.asked(), 2);
}
