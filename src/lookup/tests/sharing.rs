//! A request is paid once for everybody.

use super::*;

#[tokio::test(start_paused = true)]
async fn the_second_identical_question_asks_nothing() {
    let world = World::new();
    for i in 0..130 {
        world.happens(&scope(), i, 3_600 + 60 * i as i64, "A");
    }
    let first = world.all(world.question()).await;
    assert_eq!(numbers(&first.0), Vec::from_iter(0..130));
    assert_eq!(first.1.upstream_calls, world.asked());
    assert_eq!(world.asked(), 3);
    advance(Duration::from_secs(20)).await;
    let second = world.all(world.question()).await;
    assert_eq!(numbers(&second.0), Vec::from_iter(0..130));
    assert_eq!((second.1.upstream_calls, world.asked()), (0, 3));
    assert_eq!(second.1.events_from_cache, 130);
    // an unfiltered stretch answers every filter
    let filtered = Question {
        filter: named(&["A"]),
        ..world.question()
    };
    assert_eq!(world.all(filtered).await.1.upstream_calls, 0);
}

#[tokio::test(start_paused = true)]
async fn twenty_identical_cold_questions_cost_as_much_as_one() {
    let alone = World::new();
    let together = World::new();
    for world in [&alone, &together] {
        for i in 0..400 {
            world.happens(&scope(), i, 60 * i as i64, "A");
        }
    }
    let question = |world: &World| Question {
        page_events: 220,
        ..world.question()
    };
    let expected = alone.lookup.ask(&question(&alone)).await.unwrap();
    let asked = (0..20).map(|_| async {
        // they arrive within a second, each with its own "now"
        sleep(Duration::from_millis(rand::random_range(0..1500))).await;
        together.lookup.ask(&question(&together)).await.unwrap()
    });
    let answers = join_all(asked).await;
    for answer in &answers {
        assert_eq!(numbers(&answer.events), numbers(&expected.events));
    }
    let calls: u64 = answers
        .iter()
        .map(|answer| answer.stats.upstream_calls)
        .sum();
    assert_eq!(calls, expected.stats.upstream_calls);
    assert_eq!(together.asked(), alone.asked());
}

/// In real time, on several threads, with answers at once: whatever interleaves.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_questions_cost_as_much_as_one() {
    for round in 0..40 {
        let world = Arc::new(Setup::unmetered().build());
        for i in 0..300 {
            world.happens(&scope(), i, 3_600 + 60 * i as i64, "A");
        }
        let asked = (0..20).map(|_| {
            let world = Arc::clone(&world);
            let question = Question {
                page_events: 300,
                ..world.question()
            };
            tokio::spawn(async move { world.lookup.ask(&question).await.unwrap() })
        });
        let answers = join_all(asked).await;
        let answers: Vec<Answer> = answers.into_iter().map(Result::unwrap).collect();
        assert!(answers.iter().all(|answer| answer.events.len() == 300));
        let calls: u64 = answers
            .iter()
            .map(|answer| answer.stats.upstream_calls)
            .sum();
        assert_eq!((calls, world.asked()), (6, 6), "round {round}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_hangs_up_buys_nothing_more_and_what_was_bought_is_kept() {
    let mut setup = Setup::default();
    setup.simulator.faults =
        Faults::from_iter([simulator::Fault::Chance(simulator::FaultKind::Slow, 1.0)]);
    setup.simulator.slow_by = Duration::from_secs(2);
    let world = setup.build();
    for i in 0..400 {
        world.happens(&scope(), i, 3_600 + 60 * i as i64, "A");
    }
    let ask = Question {
        page_events: 400,
        ..world.question()
    };
    let hung_up = tokio::time::timeout(Duration::from_secs(1), world.lookup.ask(&ask)).await;
    assert!(hung_up.is_err());
    assert_eq!(world.asked(), 1);
    sleep(Duration::from_secs(60)).await;
    assert_eq!(world.asked(), 1, "no further page for nobody");
    let answer = world
        .lookup
        .ask(&Question {
            page_events: 49,
            ..world.question()
        })
        .await
        .unwrap();
    assert_eq!(
        (answer.events.len(), answer.stats.upstream_calls),
        (49, 1),
        "only the new tail"
    );
}

/// In real time, on several threads: a page too many is one that nobody asked
/// for, so the history goes on below what is wanted.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn racing_questions_buy_no_page_too_many() {
    for round in 0..100 {
        let world = Arc::new(Setup::unmetered().build());
        for i in 0..400 {
            world.happens(&scope(), i, 3_600 + 60 * i as i64, "A");
        }
        let question = Question {
            page_events: 220,
            ..world.question()
        };
        let start = Arc::new(tokio::sync::Barrier::new(20));
        let asked = (0..20).map(|_| {
            let (world, question, start) =
                (Arc::clone(&world), question.clone(), Arc::clone(&start));
            tokio::spawn(async move {
                start.wait().await;
                world
                    .lookup
                    .ask(&question)
                    .await
                    .unwrap()
                    .stats
                    .upstream_calls
            })
        });
        let calls = join_all(asked)
            .await
            .into_iter()
            .map(Result::unwrap)
            .sum::<u64>();
        assert_eq!((calls, world.asked()), (5, 5), "round {round}");
    }
}

/// Many at once on several threads, through faults, and some hang up: whoever
/// stays is answered right.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whatever_interleaves_every_answer_is_right() {
    use simulator::{Fault::Chance, FaultKind};
    for round in 0..8_u64 {
        let cache = if round % 2 == 0 { 100_000_000 } else { 60_000 };
        let mut setup = Setup {
            cache,
            ..Setup::unmetered()
        };
        setup.simulator.seed = round;
        setup.simulator.faults = Faults::from_iter([
            Chance(FaultKind::ShortPage, 0.2),
            Chance(FaultKind::Duplicate, 0.1),
            Chance(FaultKind::ExpiredToken, 0.05),
            Chance(FaultKind::Slow, 0.02),
        ]);
        setup.simulator.slow_by = Duration::from_millis(2);
        let world = Arc::new(setup.build());
        let agos = (0..600).map(|i| {
            if i % 3 == 0 {
                5_000 + i % 4
            } else {
                i * 37 % 3_000
            }
        });
        let history: Arc<[i64]> = agos.collect();
        for (i, ago) in history.iter().enumerate() {
            world.happens(&scope(), i, *ago, if i % 5 == 0 { "A" } else { "B" });
        }
        let tasks = (0..40).map(|_| {
            let (world, history) = (Arc::clone(&world), Arc::clone(&history));
            tokio::spawn(async move {
                for _ in 0..6 {
                    ask_at_random(&world, &history).await;
                }
            })
        });
        for task in join_all(tasks).await {
            task.unwrap();
        }
    }
}

async fn ask_at_random(world: &World, history: &[i64]) {
    let ends = [(); 2].map(|()| rand::random_range(0..6_000_i64));
    let [near, far] = [ends[0].min(ends[1]), ends[0].max(ends[1])];
    let window = TimeRange::new(world.now - far, world.now - near + 1);
    let is_filtered = rand::random_bool(0.5);
    let is_upward = rand::random_bool(0.3);
    let question = Question {
        filter: if is_filtered {
            named(&["A"])
        } else {
            Arc::default()
        },
        window,
        order: if is_upward {
            Order::OldestFirst
        } else {
            Order::NewestFirst
        },
        page_events: rand::random_range(1..150),
        ..world.question()
    };
    if rand::random_bool(0.3) {
        let soon = Duration::from_millis(rand::random_range(0..4));
        let _ = tokio::time::timeout(soon, world.all(question)).await;
        return;
    }
    let (events, _) = world.all(question).await;
    let mut expected: Vec<(i64, usize)> = history
        .iter()
        .enumerate()
        .map(|(number, ago)| (world.now - ago, number))
        .filter(|(time, number)| window.contains(*time) && (!is_filtered || number % 5 == 0))
        .collect();
    expected.sort_unstable();
    if !is_upward {
        expected.reverse();
    }
    let expected: Vec<usize> = expected.into_iter().map(|(_, number)| number).collect();
    assert_eq!(
        numbers(&events),
        expected,
        "{window} {is_filtered} {is_upward}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_walk_nearby_that_brings_nothing_is_not_joined() {
    let world = World::new();
    // one page of a dense second, by a walk that ends above what is asked next
    for i in 0..400 {
        world.happens(&scope(), i, 3_602, "A");
    }
    world.happens(&scope(), 999, 3_700, "A");
    let part = |from, to| TimeRange::new(world.now - from, world.now - to);
    let dense = Question {
        window: part(3_604, 3_600),
        max_upstream_calls: 1,
        ..world.question()
    };
    assert!(world.lookup.ask(&dense).await.unwrap().events.is_empty());
    let below = Question {
        window: part(4_000, 3_604),
        ..world.question()
    };
    let answer = world.lookup.ask(&below).await.unwrap();
    assert_eq!(
        (numbers(&answer.events), answer.stats.upstream_calls),
        (vec![999], 1)
    );
    // and one that is parked in dense seconds above
    let world = World::new();
    for i in 0..1_000 {
        world.happens(&scope(), i, 3_600 + i as i64 / 250, "A");
    }
    world.happens(&scope(), 5_000, 3_700, "A");
    let part = |from, to| TimeRange::new(world.now - from, world.now - to);
    let dense = Question {
        window: part(DAY, 3_599),
        max_upstream_calls: 1,
        ..world.question()
    };
    world.lookup.ask(&dense).await.unwrap();
    let below = Question {
        window: part(4_000, 3_603),
        ..world.question()
    };
    let answer = world.lookup.ask(&below).await.unwrap();
    assert_eq!(
        (numbers(&answer.events), answer.stats.upstream_calls),
        (vec![5_000], 1)
    );
}

#[tokio::test(start_paused = true)]
async fn refused_questions_leave_nothing_behind() {
    let world = World::new();
    for i in 0..130 {
        world.happens(&scope(), i, 3_600, "A");
    }
    let ask = Question {
        max_upstream_calls: 2,
        ..world.question()
    };
    let first = world.lookup.ask(&ask).await.unwrap();
    assert!(first.events.is_empty(), "in the middle of a dense second");
    for i in 0..600 {
        let name = format!("N{i}");
        let deadline = Clock::deadline(Duration::from_millis(1));
        let ask = Question {
            filter: named(&[&name]),
            deadline,
            ..world.question()
        };
        // the first may find quota left
        let _ = world.lookup.ask(&ask).await;
    }
    assert_eq!(world.lookup.walks(), (1, 0));
    let next = Question {
        after: first.next,
        ..world.question()
    };
    assert_eq!(
        world.lookup.ask(&next).await.unwrap().stats.upstream_calls,
        1
    );
}
