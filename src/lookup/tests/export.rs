//! Exports: everything in order, at the reader's pace.

use proptest::prelude::*;

use super::*;
use crate::simulator::{Fault, FaultKind};

const DIGEST: [u8; 16] = [7; 16];

impl World {
    fn export(&self, question: Question) -> Export {
        Export::start(Arc::clone(&self.lookup), question, DIGEST, ())
    }

    /// Goes on behind a step.
    fn resumed(&self, step: &Step, question: &Question) -> Question {
        let token = step.next.as_ref().unwrap().encode();
        let token = PageToken::decode(&token, &DIGEST).unwrap();
        let mut question = question.clone();
        question.resume(token, self.clock.now());
        question
    }
}

/// All steps; each but the last must be followed by another.
async fn steps(mut export: Export) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    while let Some(step) = export.next().await {
        assert!(steps.last().is_none_or(|last| !last.is_last));
        steps.push(step.unwrap());
    }
    assert!(steps.last().unwrap().is_last);
    steps
}

fn events(steps: &[Step]) -> Vec<Arc<Event>> {
    steps.iter().flat_map(|step| step.events.clone()).collect()
}

/// What no event is here, and AWS has no attribute to be asked by.
fn refused() -> Arc<Filter> {
    having("errorCode", &["AccessDenied"])
}

fn last_reasons(steps: &[Step]) -> Vec<ScopeState> {
    let scopes = steps.last().unwrap().scopes.iter();
    scopes.map(|scope| scope.state.clone()).collect()
}

#[tokio::test(start_paused = true)]
async fn it_can_be_resumed_behind_every_step() {
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let world = Setup::unmetered().build();
        for i in 0..400 {
            let place = if i % 3 == 0 { other() } else { scope() };
            world.happens(&place, i, 5 + (i as i64 / 7) * 1_000, "A");
        }
        let question = Question {
            scopes: [other(), scope()].into(),
            order,
            page_events: 33,
            max_upstream_calls: u64::MAX,
            ..world.question()
        };
        let (expected, _) = world.all(question.clone()).await;
        assert_eq!(expected.len(), 400);
        let steps = steps(world.export(question.clone())).await;
        assert!(steps[0].events.is_empty());
        assert_eq!(numbers(&events(&steps)), numbers(&expected));
        assert!(steps.last().unwrap().next.is_none());
        assert_eq!(
            last_reasons(&steps),
            [ScopeState::Complete, ScopeState::Complete]
        );
        let mut so_far = 0;
        for step in &steps[..steps.len() - 1] {
            so_far += step.events.len();
            advance(Duration::from_secs(7)).await;
            let question = world.resumed(step, &question);
            let rest = self::steps(world.export(question)).await;
            assert_eq!(numbers(&events(&rest)), numbers(&expected[so_far..]));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_bought_for_who_does_not_read_or_is_gone() {
    let world = World::new();
    for i in 0..2_000 {
        world.happens(&scope(), i, 60 + 60 * i as i64, "A");
    }
    let mut export = world.export(Question {
        deadline: Clock::deadline(Duration::MAX),
        ..world.question()
    });
    sleep(Duration::from_secs(590)).await;
    assert_eq!(world.asked(), 0);
    let mut read = 0;
    for _ in 0..4 {
        read += export.next().await.unwrap().unwrap().events.len();
        sleep(Duration::from_secs(590)).await;
        // the next page, and one more for the second that it ends in
        let needed = (read as u64 / 50) + 2;
        assert!(
            world.asked() <= needed,
            "{} for {read} events",
            world.asked()
        );
    }
    assert!(read >= 100, "{read}");
    drop(export);
    sleep(Duration::from_secs(1)).await;
    let asked = world.asked();
    sleep(Duration::from_secs(590)).await;
    assert_eq!(world.asked(), asked);
}

#[tokio::test(start_paused = true)]
async fn what_nobody_reads_gives_its_place_back_and_can_be_taken_up() {
    let world = World::new();
    for i in 0..200 {
        world.happens(&scope(), i, 60 + 60 * i as i64, "A");
    }
    let question = Question {
        deadline: Clock::deadline(Duration::MAX),
        ..world.question()
    };
    let place = Arc::new(());
    let lookup = Arc::clone(&world.lookup);
    let mut export = Export::start(lookup, question.clone(), DIGEST, Arc::clone(&place));
    let first = export.next().await.unwrap().unwrap();
    assert!(first.events.is_empty());
    sleep(UNREAD - Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&place), 2);
    let second = export.next().await.unwrap().unwrap();
    assert!(!second.events.is_empty() && !second.is_last);
    sleep(UNREAD + Duration::from_secs(1)).await;
    assert_eq!(Arc::strong_count(&place), 1, "it waits for nobody");
    // what was made ready is still told, and then that there is no more
    let third = export.next().await.unwrap().unwrap();
    assert!(!third.is_last && export.next().await.is_none());
    assert!(export.is_unread());
    let rest = steps(world.export(world.resumed(&third, &question))).await;
    let told = [second, third]
        .iter()
        .map(|step| step.events.len())
        .sum::<usize>();
    assert_eq!(told + events(&rest).len(), 200);
    // the last one is held as well, until it is taken
    let lookup = Arc::clone(&world.lookup);
    let mut export = Export::start(lookup, question, DIGEST, Arc::clone(&place));
    while !export.next().await.unwrap().unwrap().is_last {}
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&place), 2);
    assert!(export.next().await.is_none() && !export.is_unread());
    drop(export);
    tokio::task::yield_now().await;
    assert_eq!(Arc::strong_count(&place), 1);
}

#[tokio::test(start_paused = true)]
async fn hanging_up_in_mid_page_buys_nothing_more() {
    let world = World::new();
    for i in 0..5_000 {
        world.happens(&scope(), i, 60 + 60 * i as i64, "A");
    }
    let mut export = world.export(Question {
        filter: refused(),
        ..world.question()
    });
    export.next().await.unwrap().unwrap();
    // in the middle of the first page of ten requests
    sleep(Duration::from_secs(3)).await;
    let asked = world.asked();
    assert!((2..=9).contains(&asked), "{asked}");
    drop(export);
    sleep(Duration::from_secs(3_600)).await;
    assert!(
        world.asked() <= asked + 1,
        "{} after {asked}",
        world.asked()
    );
}

#[tokio::test(start_paused = true)]
async fn there_is_news_while_nothing_matches() {
    let world = World::new();
    for i in 0..3_000 {
        world.happens(&scope(), i, 60 + 60 * i as i64, "A");
    }
    let mut export = world.export(Question {
        filter: refused(),
        ..world.question()
    });
    let mut told = Instant::now();
    let mut seen = (0, i64::MAX);
    let mut places = BTreeSet::new();
    while let Some(step) = export.next().await {
        let step = step.unwrap();
        assert!(step.events.is_empty());
        assert!(
            told.elapsed() <= Duration::from_secs(4),
            "{:?}",
            told.elapsed()
        );
        told = Instant::now();
        let now = (step.stats.upstream_calls, step.scopes[0].searched.from);
        assert!(now.0 >= seen.0 && now.1 <= seen.1, "{now:?} after {seen:?}");
        seen = now;
        places.insert(now.1);
    }
    assert_eq!(seen.0, 60);
    assert!(places.len() >= 6, "{places:?}");
}

#[tokio::test(start_paused = true)]
async fn a_limit_or_a_deadline_ends_it_in_order() {
    let world = World::new();
    for i in 0..1_000 {
        world.happens(&scope(), i, 60 + 60 * i as i64, "A");
    }
    let all = world.question();
    let limited = Question {
        max_upstream_calls: 13,
        ..all.clone()
    };
    let first = steps(world.export(limited)).await;
    assert_eq!(world.asked(), 13);
    assert_eq!(first.last().unwrap().stats.upstream_calls, 13);
    assert_eq!(
        last_reasons(&first),
        [ScopeState::Partial(Reason::UpstreamCallLimit)]
    );
    let deadline = Clock::deadline(Duration::from_secs(2));
    let soon = Question {
        deadline,
        ..world.resumed(first.last().unwrap(), &all)
    };
    let second = steps(world.export(soon)).await;
    assert!(Instant::now() <= deadline);
    assert!(!events(&second).is_empty());
    assert_eq!(
        last_reasons(&second),
        [ScopeState::Partial(Reason::Deadline)]
    );
    let rest = world.resumed(second.last().unwrap(), &all);
    let rest = steps(world.export(rest)).await;
    let found = [events(&first), events(&second), events(&rest)].concat();
    assert_eq!(numbers(&found), Vec::from_iter(0..1_000));
    // over twenty pages of AWS, each second once
    assert!(world.asked() <= 21, "{}", world.asked());
}

#[tokio::test(start_paused = true)]
async fn quota_that_others_use_up_is_waited_for() {
    let mut setup = Setup::default();
    setup.simulator.faults = Faults::from_iter([Fault::Chance(FaultKind::Throttle, 0.9)]);
    let world = setup.build();
    for i in 0..300 {
        world.happens(&scope(), i, 60 + 60 * i as i64, "A");
    }
    let question = Question {
        max_upstream_calls: u64::MAX,
        deadline: Clock::deadline(Duration::MAX),
        ..world.question()
    };
    let steps = steps(world.export(question)).await;
    assert_eq!(numbers(&events(&steps)), Vec::from_iter(0..300));
    assert!(world.asked() > 20, "{}", world.asked());
}

#[tokio::test(start_paused = true)]
async fn a_failing_scope_is_named_and_all_failing_is_an_error() {
    let mut setup = Setup::default();
    setup.simulator.faults = Faults::from_iter([Fault::Denied(other().region.to_string())]);
    let world = setup.build();
    for i in 0..120 {
        world.happens(&scope(), i, 60 + 60 * i as i64, "A");
    }
    let both = Question {
        scopes: [other(), scope()].into(),
        ..world.question()
    };
    let steps = steps(world.export(both.clone())).await;
    assert_eq!(events(&steps).len(), 120);
    let [denied, fine] = &last_reasons(&steps)[..] else {
        panic!("two scopes")
    };
    assert_eq!(
        *denied,
        ScopeState::FailedBefore("UPSTREAM_ACCESS_DENIED".into())
    );
    assert_eq!(*fine, ScopeState::Complete);
    let mut export = world.export(Question {
        scopes: [other()].into(),
        ..both
    });
    assert!(!export.next().await.unwrap().unwrap().is_last);
    let error = export.next().await.unwrap().unwrap_err();
    assert_eq!(error.reason(), "UPSTREAM_ACCESS_DENIED");
    assert!(export.next().await.is_none());
}

proptest! {
    /// Whatever the history, the order and the pages, through faults, a limit
    /// and resumptions: every matching event once, in order.
    #[test]
    fn every_matching_event_once(
        history in prop::collection::vec((0_i64..40_000, 0_usize..3, any::<bool>()), 0..300),
        (page, step, oldest_first, filtered) in (1_usize..80, 1_usize..9, any::<bool>(), any::<bool>()),
        limit in prop::option::of(1_u64..6),
        (seed, faulty) in (any::<u64>(), any::<bool>()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut setup = Setup::unmetered();
            setup.simulator.seed = seed;
            if faulty {
                setup.simulator.faults = Faults::from_iter([
                    Fault::Chance(FaultKind::ShortPage, 0.2),
                    Fault::Chance(FaultKind::Duplicate, 0.1),
                    Fault::Chance(FaultKind::Throttle, 0.1),
                    Fault::Chance(FaultKind::ExpiredToken, 0.1),
                ]);
            }
            let world = setup.build();
            let mut expected = Vec::new();
            for (number, (ago, kind, here)) in history.into_iter().enumerate() {
                // crowded seconds
                let ago = 60 + ago / 100 * 100;
                let place = if here { scope() } else { other() };
                world.happens(&place, number, ago, ["A", "B", "C"][kind]);
                if !filtered || kind < 2 {
                    expected.push((-ago, here, number));
                }
            }
            expected.sort_unstable();
            if !oldest_first {
                expected.reverse();
            }
            let question = Question {
                scopes: [other(), scope()].into(),
                filter: if filtered { named(&["A", "B"]) } else { Arc::default() },
                order: if oldest_first { Order::OldestFirst } else { Order::NewestFirst },
                page_events: page,
                max_upstream_calls: limit.unwrap_or(u64::MAX),
                ..world.question()
            };
            let mut found = Vec::new();
            let mut asking = question.clone();
            // reads a few steps, hangs up, and comes back
            'resumed: loop {
                let mut export = world.export(asking.clone());
                let mut last = None;
                for _ in 0..=step {
                    let Some(told) = export.next().await else { break };
                    let told = told.unwrap();
                    found.extend(numbers(&told.events));
                    let is_whole = told.scopes.iter().all(|s| s.state == ScopeState::Complete);
                    assert_eq!(told.next.is_none(), told.is_last && is_whole);
                    if told.next.is_none() {
                        break 'resumed;
                    }
                    last = Some(told);
                }
                asking = world.resumed(&last.unwrap(), &question);
            }
            let expected: Vec<usize> = expected.into_iter().map(|(_, _, number)| number).collect();
            assert_eq!(found, expected);
        });
    }
}
