//! What is settled, what is recent enough, and what AWS has forgotten.

use super::*;

#[tokio::test(start_paused = true)]
async fn what_was_read_too_early_is_read_once_more() {
    let mut setup = Setup::default();
    setup.simulator.delay = Duration::from_secs(300);
    let world = setup.build();
    for i in 0..20 {
        world.happens(&scope(), i, 30 * i as i64, "A");
    }
    let early = world.all(world.question()).await;
    assert!(early.0.len() < 20);
    advance(Duration::from_secs(20)).await;
    assert_eq!(
        world.all(world.question()).await.1.upstream_calls,
        0,
        "recent enough"
    );
    advance(Duration::from_secs(600)).await;
    let late = world.all(world.question()).await;
    assert_eq!((late.0.len(), late.1.upstream_calls), (20, 1));
    advance(Duration::from_secs(3_600)).await;
    let settled = Question {
        window: TimeRange::new(world.now - DAY, world.now),
        ..world.question()
    };
    assert_eq!(
        world.all(settled.clone()).await.1.upstream_calls,
        1,
        "age settles nothing"
    );
    advance(Duration::from_secs(3_600)).await;
    assert_eq!(
        world.all(settled).await.1.upstream_calls,
        0,
        "settled for good"
    );
}

#[tokio::test(start_paused = true)]
async fn max_staleness_decides_what_a_recent_answer_is_worth() {
    let world = World::new();
    let ask = |staleness| Question {
        max_staleness: Duration::from_secs(staleness),
        ..world.question()
    };
    let first = world.lookup.ask(&ask(30)).await.unwrap();
    let searched_to = first.scopes[0].searched.to;
    advance(Duration::from_secs(10)).await;
    let recent = world.lookup.ask(&ask(30)).await.unwrap();
    assert_eq!(recent.stats.upstream_calls, 0);
    assert_eq!(recent.scopes[0].searched.to, searched_to, "says the truth");
    assert_eq!(recent.scopes[0].state, ScopeState::Complete);
    assert_eq!(recent.scopes[0].as_of, first.scopes[0].as_of);
    let fresh = world.lookup.ask(&ask(0)).await.unwrap();
    assert_eq!(fresh.stats.upstream_calls, 1);
    assert_eq!(fresh.scopes[0].searched.to, searched_to + 10);
    assert_eq!(
        world
            .lookup
            .ask(&ask(5))
            .await
            .unwrap()
            .stats
            .upstream_calls,
        0
    );
}

#[tokio::test(start_paused = true)]
async fn what_aws_has_forgotten_is_answered_if_it_is_held() {
    let world = World::new();
    world.happens(&scope(), 0, 89 * DAY, "A");
    world.all(world.question()).await;
    advance(Duration::from_secs(2 * 86_400)).await;
    let far = TimeRange::new(world.now - 120 * DAY, world.now + 2 * DAY);
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let ask = Question {
            window: far,
            order,
            ..world.question()
        };
        let answer = world.lookup.ask(&ask).await.unwrap();
        assert_eq!(numbers(&answer.events), [0], "{order:?}");
        assert_eq!(
            answer.scopes[0].searched.from,
            world.now - 90 * DAY,
            "{order:?}"
        );
        assert_eq!(answer.scopes[0].state, ScopeState::Complete);
        assert!(answer.scopes[0].starts_before_history);
        let never = TimeRange::new(world.now - 200 * DAY, world.now - 100 * DAY);
        let answer = world
            .lookup
            .ask(&Question {
                window: never,
                order,
                ..world.question()
            })
            .await;
        let status = &answer.unwrap().scopes[0];
        assert!(
            status.searched.is_empty() && status.starts_before_history,
            "{order:?}"
        );
    }
    let usual = world.lookup.ask(&world.question()).await.unwrap();
    assert!(!usual.scopes[0].starts_before_history);
}

#[tokio::test(start_paused = true)]
async fn a_history_that_ends_meanwhile_is_said() {
    let world = World::new();
    for i in 0..200 {
        world.happens(&scope(), i, 90 * DAY - 5 - 60 * i as i64, "A");
    }
    let order = Order::OldestFirst;
    let ask = Question {
        order,
        max_upstream_calls: 1,
        ..world.question()
    };
    let first = world.lookup.ask(&ask).await.unwrap();
    assert!(first.events.is_empty());
    advance(Duration::from_secs(3_600)).await;
    let mut question = Question {
        max_upstream_calls: 1000,
        ..ask.clone()
    };
    (question.after, question.so_far) = (first.next, first.so_far);
    let mut seen = 0;
    let mut from = ask.window.from;
    while question.after.is_some() {
        question.deadline = Clock::deadline(Duration::from_secs(3_600));
        question.now = world.clock.now();
        let answer = world.lookup.ask(&question).await.unwrap();
        seen += answer.events.len();
        from = from.max(answer.scopes[0].searched.from);
        (question.after, question.so_far) = (answer.next, answer.so_far);
    }
    assert!(seen < 200, "AWS has forgotten some");
    assert_eq!(from, world.now - 90 * DAY + 3_600);
}

#[tokio::test(start_paused = true)]
async fn either_order_keeps_its_deadline_over_the_cache() {
    let world = Setup::unmetered().build();
    for i in 0..5_000 {
        world.happens(&scope(), i, 3_600 + 60 * i as i64, "A");
    }
    let all = Question {
        page_events: 100_000,
        page_bytes: usize::MAX,
        ..world.question()
    };
    assert_eq!(world.lookup.ask(&all).await.unwrap().events.len(), 5_000);
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let late = Question {
            order,
            deadline: Instant::now(),
            ..all.clone()
        };
        let answer = world.lookup.ask(&late).await.unwrap();
        assert_eq!(
            answer.scopes[0].state,
            ScopeState::Partial(Reason::Deadline),
            "{order:?}"
        );
        assert!(answer.events.len() < 5_000);
    }
}

#[tokio::test(start_paused = true)]
async fn what_a_later_page_reads_first_counts_up_to_now_too() {
    let world = World::new();
    let scopes = [scope(), other()].into();
    let ask = Question {
        scopes,
        max_upstream_calls: 1,
        ..world.question()
    };
    let first = world.lookup.ask(&ask).await.unwrap();
    assert_eq!(first.stats.upstream_calls, 1, "one scope of two");
    advance(Duration::from_secs(3)).await;
    let rest = Question {
        after: first.next,
        now: world.clock.now(),
        ..ask.clone()
    };
    let second = world.lookup.ask(&rest).await.unwrap();
    assert_eq!((second.stats.upstream_calls, second.next), (1, None));
    advance(Duration::from_secs(3)).await;
    let again = Question {
        scopes: ask.scopes,
        ..world.question()
    };
    assert_eq!(
        world.lookup.ask(&again).await.unwrap().stats.upstream_calls,
        0
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_never_asked_is_no_answer_on_its_way() {
    let world = World::new();
    let budget = world.lookup.upstream.budget(&scope());
    for _ in 0..2 {
        drop(budget.buy(Class::Interactive, &tester(), None).await);
    }
    let deadline = Clock::deadline(Duration::from_millis(1));
    let refused = Question {
        deadline,
        ..world.question()
    };
    assert!(world.lookup.ask(&refused).await.is_err());
    advance(Duration::from_secs(25)).await;
    world.happens(&scope(), 1, -20, "A");
    let answer = world.lookup.ask(&world.question()).await.unwrap();
    assert_eq!(
        (numbers(&answer.events), answer.stats.upstream_calls),
        (vec![1], 1)
    );
}

#[tokio::test(start_paused = true)]
async fn a_later_page_claims_what_it_searched_and_no_more() {
    // one chain reads a scope on its second page, as of its first; another,
    // asked later, is answered from that
    let world = World::new();
    let third = Scope::new("111122223333", "ap-south-1");
    let one_call = |scopes| Question {
        scopes,
        max_upstream_calls: 1,
        ..world.question()
    };
    let early = one_call([scope(), other()].into());
    let early_first = world.lookup.ask(&early).await.unwrap();
    advance(Duration::from_secs(20)).await;
    world.happens(&other(), 7, -10, "A");
    let late = one_call([third, other()].into());
    let late_first = world.lookup.ask(&late).await.unwrap();
    advance(Duration::from_secs(2)).await;
    for (question, first) in [(early, early_first), (late, late_first)] {
        let rest = Question {
            after: first.next,
            so_far: first.so_far,
            now: world.clock.now(),
            ..question
        };
        let second = world.lookup.ask(&rest).await.unwrap();
        let status = second
            .scopes
            .iter()
            .find(|status| status.scope == other())
            .unwrap();
        assert_eq!(status.state, ScopeState::Complete);
        let is_told = numbers(&second.events).contains(&7);
        assert!(
            is_told || status.searched.to <= world.now + 10,
            "{:?}",
            status.searched
        );
    }
}

#[tokio::test(start_paused = true)]
async fn only_the_top_of_the_window_is_the_present() {
    let world = World::new();
    let by_name = || Question {
        filter: named(&["A"]),
        ..world.question()
    };
    world.lookup.ask(&by_name()).await.unwrap();
    advance(Duration::from_secs(20)).await;
    for number in [5, 12, 13] {
        world.happens(&scope(), number, -(number as i64), "A");
    }
    let window = TimeRange::new(world.now + 10, world.now + 15);
    world
        .lookup
        .ask(&Question {
            window,
            ..world.question()
        })
        .await
        .unwrap();
    for page_events in [1, 50] {
        let order = Order::OldestFirst;
        let answer = world
            .lookup
            .ask(&Question {
                order,
                page_events,
                ..by_name()
            })
            .await
            .unwrap();
        let to = answer.scopes[0].searched.to - world.now;
        assert!(
            numbers(&answer.events).contains(&5) || to <= 5,
            "claims up to {to}"
        );
    }
}

/// Right again, the clock must not have made anybody trust what was read too
/// early.
#[tokio::test(start_paused = true)]
async fn a_clock_that_was_fast_has_settled_nothing() {
    let mut setup = Setup {
        fast_by: 3_600,
        ..Setup::default()
    };
    setup.simulator.delay = Duration::from_secs(300);
    let world = setup.build();
    for i in 0..20 {
        world.happens(&scope(), i, 30 * i as i64, "A");
    }
    let early = world.lookup.ask(&world.question()).await.unwrap();
    assert_eq!(early.events.len(), 9, "those that AWS tells by now");
    advance(Duration::from_secs(400)).await;
    let right = Timestamp::from_second(world.now + 400).unwrap();
    world.lookup.set_clock(right);
    let ask = |staleness| Question {
        max_staleness: Duration::from_secs(staleness),
        ..world.question()
    };
    let answer = world.lookup.ask(&ask(30)).await.unwrap();
    assert_eq!(answer.events.len(), 20);
    assert_eq!(answer.scopes[0].searched.to, world.now + 401);
    // and nobody counts on a present that was none
    world.happens(&scope(), 20, -300, "A");
    advance(Duration::from_secs(300)).await;
    let answer = world.lookup.ask(&ask(30)).await.unwrap();
    assert_eq!(answer.events.len(), 21);
}

/// What was asked for up to a future present is not asked for once more by
/// everybody who comes.
#[tokio::test(start_paused = true)]
async fn a_clock_that_was_fast_costs_no_more_once_it_is_right() {
    let setup = Setup {
        fast_by: 3_600,
        ..Setup::default()
    };
    let world = setup.build();
    world.happens(&scope(), 0, 30, "A");
    world.lookup.ask(&world.question()).await.unwrap();
    world
        .lookup
        .set_clock(Timestamp::from_second(world.now).unwrap());
    // an hour and a half, every five seconds: past where the present seemed to be
    let mut asked = Vec::new();
    for _ in 0..1_080 {
        advance(Duration::from_secs(5)).await;
        let before = world.asked();
        let question = Question {
            now: world.lookup.clock().now(),
            asked_at: world.lookup.clock().now(),
            window: TimeRange::new(world.now - DAY, world.lookup.clock().now_secs() + 1),
            ..world.question()
        };
        world.lookup.ask(&question).await.unwrap();
        asked.push(world.asked() - before);
    }
    let most = asked.iter().max();
    assert!(most.is_some_and(|most| *most <= 1), "{asked:?}");
    // once in each half minute
    assert!(asked.iter().sum::<u64>() <= 1_080 * 5 / 30 + 1, "{asked:?}");
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_slept_asks_for_what_it_missed() {
    let setup = Setup {
        fast_by: -7_200,
        ..Setup::default()
    };
    let world = setup.build();
    world.happens(&scope(), 0, 3_600, "A");
    let answer = world.lookup.ask(&world.question()).await.unwrap();
    assert_eq!(answer.events.len(), 0);
    assert_eq!(answer.scopes[0].searched.to, world.now - 7_199, "says so");
    world
        .lookup
        .set_clock(Timestamp::from_second(world.now).unwrap());
    let answer = world.lookup.ask(&world.question()).await.unwrap();
    assert_eq!(numbers(&answer.events), [0]);
}

/// The clock is set back while a page is on its way, and while a walk is parked.
#[tokio::test(start_paused = true)]
async fn walks_under_way_are_no_later_than_the_clock_says() {
    let mut setup = Setup {
        fast_by: 3_600,
        ..Setup::default()
    };
    setup.simulator.delay = Duration::from_secs(300);
    setup.simulator.faults =
        Faults::from_iter([simulator::Fault::Chance(simulator::FaultKind::Slow, 1.0)]);
    setup.simulator.slow_by = Duration::from_secs(2);
    let world = setup.build();
    for i in 0..200 {
        world.happens(&scope(), i, 2 * i as i64, "A");
    }
    let one = Question {
        page_events: 1,
        ..world.question()
    };
    let (answer, ()) = tokio::join!(world.lookup.ask(&one), async {
        sleep(Duration::from_secs(1)).await;
        let right = Timestamp::from_second(world.now + 1).unwrap();
        world.lookup.set_clock(right);
    });
    assert_eq!(answer.unwrap().events.len(), 1);
    advance(Duration::from_secs(1_000)).await;
    let (events, _) = world.all(world.question()).await;
    assert_eq!(numbers(&events), Vec::from_iter(0..200));
}
