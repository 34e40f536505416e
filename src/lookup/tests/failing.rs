//! Deadlines, limits and refusals.

use super::*;
use crate::upstream::{PageFuture, PageRequest};

#[tokio::test(start_paused = true)]
async fn the_call_limit_and_the_deadline_give_a_partial_page_with_a_way_on() {
    let world = World::new();
    for i in 0..400 {
        world.happens(
            &scope(),
            i,
            3_600 + 60 * i as i64,
            if i == 399 { "Rare" } else { "A" },
        );
    }
    let rare = Match {
        field: "number".into(),
        values: vec!["399".into()],
        ..Match::default()
    };
    let known: BTreeSet<String> = ["number".to_owned()].into();
    let filter = Filter::compile(
        &[EventFilter {
            matches: vec![rare],
        }],
        &known,
    )
    .unwrap();
    let ask = Question {
        filter: Arc::new(filter),
        max_upstream_calls: 3,
        ..world.question()
    };
    let first = world.lookup.ask(&ask).await.unwrap();
    assert!(first.events.is_empty());
    assert_eq!(first.stats.upstream_calls, 3);
    assert_eq!(
        first.scopes[0].state,
        ScopeState::Partial(Reason::UpstreamCallLimit)
    );
    let searched_from = first.scopes[0].searched.from;
    assert!(searched_from > world.now - 3_600 - 60 * 151 && searched_from < world.now - 3_600);
    let soon = Question {
        after: first.next.clone(),
        max_upstream_calls: 1000,
        deadline: Clock::deadline(Duration::from_millis(700)),
        ..ask.clone()
    };
    let second = world.lookup.ask(&soon).await.unwrap();
    assert_eq!(
        second.scopes[0].state,
        ScopeState::Partial(Reason::Deadline)
    );
    assert!(second.scopes[0].searched.from < searched_from);
    let rest = Question {
        after: second.next,
        ..world.question()
    };
    let rest = Question {
        filter: ask.filter,
        ..rest
    };
    assert_eq!(numbers(&world.all(rest).await.0), [399]);
    assert_eq!(world.asked(), 8, "nothing was paid twice");
}

#[tokio::test(start_paused = true)]
async fn who_is_held_back_by_the_call_limit_of_a_neighbour_is_not_called_full() {
    for calls in 2..=5 {
        let world = World::new();
        for i in 0..400 {
            // one of them is read further back by as many requests
            world.happens(&scope(), 2 * i, 3_600 + 60 * i as i64, "A");
            world.happens(&other(), 2 * i + 1, 3_600 + 90 * i as i64, "A");
        }
        let ask = Question {
            scopes: [scope(), other()].into(),
            filter: named_by_number(799),
            max_upstream_calls: calls,
            ..world.question()
        };
        let answer = world.lookup.ask(&ask).await.unwrap();
        assert!(answer.events.is_empty());
        let mut reasons = Vec::new();
        for one in &answer.scopes {
            let ScopeState::Partial(reason) = &one.state else {
                panic!("{:?}", one.state)
            };
            reasons.push(reason.clone());
        }
        assert!(reasons.contains(&Reason::UpstreamCallLimit), "{reasons:?}");
        assert!(!reasons.contains(&Reason::PageFull), "{reasons:?}");
    }
}

/// What AWS cannot be asked by.
fn named_by_number(number: usize) -> Arc<Filter> {
    let matches = vec![Match {
        field: "number".into(),
        values: vec![number.to_string()],
        ..Match::default()
    }];
    let known: BTreeSet<String> = ["number".to_owned()].into();
    Arc::new(Filter::compile(&[EventFilter { matches }], &known).unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_question_that_cannot_begin_in_time_is_refused_at_once_with_the_wait() {
    let world = World::new();
    let budget = world.lookup.upstream.budget(&scope());
    for _ in 0..2 {
        drop(budget.buy(Class::Interactive, &tester(), None).await);
    }
    let start = Instant::now();
    let soon = Clock::deadline(Duration::from_millis(300));
    let answer = world
        .lookup
        .ask(&Question {
            deadline: soon,
            ..world.question()
        })
        .await;
    let Err(Error::Exhausted { wait, .. }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (wait, start.elapsed()),
        (Duration::from_millis(501), Duration::ZERO)
    );
    assert_eq!(world.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn pages_are_as_deep_as_every_scope_and_a_failed_one_stays_failed() {
    let mut setup = Setup::default();
    setup.simulator.faults = Faults::from_iter([simulator::Fault::Denied("ap-south-1".into())]);
    let world = setup.build();
    for i in 0..120 {
        world.happens(&scope(), 2 * i, 3_600 + 60 * i as i64, "A");
        world.happens(&other(), 2 * i + 1, 3_600 + 60 * i as i64, "A");
    }
    let denied = Scope::new("111122223333", "ap-south-1");
    let mut question = Question {
        scopes: [denied.clone(), scope(), other()].into(),
        ..world.question()
    };
    let first = world.lookup.ask(&question).await.unwrap();
    let state = |answer: &Answer, scope: &Scope| {
        answer
            .scopes
            .iter()
            .find(|s| s.scope == *scope)
            .unwrap()
            .state
            .clone()
    };
    assert!(matches!(
        state(&first, &denied),
        ScopeState::Failed(Error::Denied { .. })
    ));
    assert!(matches!(state(&first, &scope()), ScopeState::Partial(_)));
    let refused = world.simulator.stats().refused;
    question.failed = vec![(0, "UPSTREAM_ACCESS_DENIED".into())];
    let (events, _) = world.all(question.clone()).await;
    assert_eq!(events.len(), 240);
    assert!(
        events
            .windows(2)
            .all(|pair| pair[0].cmp_position(&pair[1]).is_gt())
    );
    assert_eq!(world.simulator.stats().refused, refused, "not asked again");
    let answer = world.lookup.ask(&question).await.unwrap();
    assert_eq!(
        state(&answer, &denied),
        ScopeState::FailedBefore("UPSTREAM_ACCESS_DENIED".into())
    );
    let alone = Question {
        scopes: [denied].into(),
        ..world.question()
    };
    assert!(matches!(
        world.lookup.ask(&alone).await,
        Err(Error::Denied { .. })
    ));
}

/// CloudTrail as a closure has it.
struct Scripted<F>(F);

impl<F> upstream::CloudTrail for Scripted<F>
where
    F: Fn(Scope, PageRequest) -> PageFuture<'static> + Send + Sync + 'static,
{
    fn lookup_events<'a>(&'a self, scope: &'a Scope, request: &'a PageRequest) -> PageFuture<'a> {
        (self.0)(scope.clone(), request.clone())
    }
}

fn lookup_over(world: &World, cloudtrail: impl upstream::CloudTrail) -> Lookup {
    let budgets = Arc::new(Budgets::new(2.0));
    let upstream = Upstream::new(Arc::new(cloudtrail), budgets, Retry::default());
    let coverage = Arc::new(Coverage::new(coverage::Options::default()));
    Lookup::new(world.clock.clone(), coverage, Arc::new(upstream), None)
}

#[tokio::test(start_paused = true)]
async fn what_was_found_before_a_refusal_is_told_and_nothing_more_is_claimed() {
    let world = World::new();
    for i in 0..120 {
        world.happens(&scope(), 2 * i, 3_600 + 60 * i as i64, "A");
        world.happens(&other(), 2 * i + 1, 3_600 + 60 * i as i64, "A");
    }
    let simulator = Arc::clone(&world.simulator);
    let lookup = lookup_over(
        &world,
        Scripted(
            move |scope: Scope, request: PageRequest| -> PageFuture<'static> {
                if request.token.is_some() && &*scope.region == "us-east-1" {
                    let denied = upstream::ErrorKind::Denied;
                    return Box::pin(async move {
                        Err(upstream::Error::new(denied, "AccessDenied", "no"))
                    });
                }
                let simulator = Arc::clone(&simulator);
                Box::pin(async move { simulator.lookup_events(&scope, &request).await })
            },
        ),
    );
    let scopes = [scope(), other()].into();
    let mut question = Question {
        scopes,
        page_events: 30,
        ..world.question()
    };
    let (mut seen, mut claimed) = (BTreeSet::new(), TimeRange::new(world.now, world.now));
    loop {
        let answer = lookup.ask(&question).await.unwrap();
        seen.extend(numbers(&answer.events));
        for (place, status) in answer.scopes.iter().rev().enumerate() {
            if status.scope == scope() {
                if !matches!(status.state, ScopeState::FailedBefore(_)) {
                    claimed = status.searched;
                }
                if matches!(status.state, ScopeState::Failed(_)) {
                    question.failed = vec![(place, "UPSTREAM_ACCESS_DENIED".into())];
                }
            }
        }
        let Some(next) = answer.next else { break };
        (question.after, question.so_far) = (Some(next), answer.so_far);
    }
    assert_eq!(question.failed.len(), 1);
    assert_eq!(seen.iter().filter(|number| *number % 2 == 1).count(), 120);
    let of_failed: Vec<_> = (0..120).filter(|i| seen.contains(&(2 * i))).collect();
    assert_eq!(of_failed.len(), 49, "all that was read to its second's end");
    for i in 0..120 {
        let time = world.now - 3_600 - 60 * i as i64;
        assert!(
            !claimed.contains(time) || seen.contains(&(2 * i)),
            "{i} is claimed, and never came"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn who_joined_a_dead_upstream_fails_as_who_began_it() {
    let world = World::new();
    let lookup = lookup_over(
        &world,
        Scripted(|_, _| -> PageFuture<'static> {
            Box::pin(async {
                sleep(Duration::from_secs(1)).await;
                let gone = upstream::ErrorKind::Gone;
                Err(upstream::Error::new(gone, "ConnectionRefused", "no"))
            })
        }),
    );
    let (first, second) = tokio::join!(async { lookup.ask(&world.question()).await }, async {
        sleep(Duration::from_secs(2)).await;
        lookup.ask(&world.question()).await
    });
    assert!(matches!(first, Err(Error::Unavailable { .. })), "{first:?}");
    assert!(
        matches!(second, Err(Error::Unavailable { .. })),
        "{second:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_walk_whose_task_was_cut_off_is_not_in_the_way() {
    let world = World::new();
    let simulator = Arc::clone(&world.simulator);
    let has_panicked = std::sync::atomic::AtomicBool::new(false);
    let lookup = lookup_over(
        &world,
        Scripted(
            move |scope: Scope, request: PageRequest| -> PageFuture<'static> {
                assert!(
                    has_panicked.swap(true, std::sync::atomic::Ordering::Relaxed),
                    "once"
                );
                let simulator = Arc::clone(&simulator);
                Box::pin(async move { simulator.lookup_events(&scope, &request).await })
            },
        ),
    );
    let answer = lookup.ask(&world.question()).await.unwrap();
    assert_eq!(answer.scopes[0].state, ScopeState::Complete);
    assert_eq!(lookup.walks(), (0, 0));
}

/// AWS's code for a token that it does not take any more is only documented.
#[tokio::test(start_paused = true)]
async fn a_token_that_is_refused_by_another_code_is_not_kept() {
    for kind in [upstream::ErrorKind::Invalid, upstream::ErrorKind::Transient] {
        let world = World::new();
        for i in 0..130 {
            world.happens(&scope(), i, 36_000 + 60 * i as i64, "A");
        }
        let simulator = Arc::clone(&world.simulator);
        let bad = std::sync::OnceLock::new();
        let lookup = lookup_over(
            &world,
            Scripted(
                move |scope: Scope, request: PageRequest| -> PageFuture<'static> {
                    let is_bad = request
                        .token
                        .as_ref()
                        .is_some_and(|token| bad.get_or_init(|| token.clone()) == token);
                    let simulator = Arc::clone(&simulator);
                    Box::pin(async move {
                        if is_bad {
                            return Err(upstream::Error::new(kind, "ValidationException", "no"));
                        }
                        simulator.lookup_events(&scope, &request).await
                    })
                },
            ),
        );
        let mut question = Question {
            page_events: 1_000,
            ..world.question()
        };
        let mut seen = 0;
        for _ in 0..5 {
            question.deadline = Clock::deadline(Duration::from_secs(3_600));
            let Ok(answer) = lookup.ask(&question).await else {
                continue;
            };
            seen += answer.events.len();
            let Some(next) = answer.next else { break };
            question.after = Some(next);
        }
        assert_eq!(seen, 130, "{kind:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_is_throttled_throughout_refuses_all_alike() {
    let mut setup = Setup::default();
    setup.simulator.faults = Faults::from_iter([simulator::Fault::Chance(
        simulator::FaultKind::Throttle,
        1.0,
    )]);
    let world = setup.build();
    let (first, second) =
        tokio::join!(async { world.lookup.ask(&world.question()).await }, async {
            sleep(Duration::from_millis(100)).await;
            world.lookup.ask(&world.question()).await
        });
    assert!(matches!(first, Err(Error::Exhausted { .. })), "{first:?}");
    assert!(matches!(second, Err(Error::Exhausted { .. })), "{second:?}");
}

#[tokio::test(start_paused = true)]
async fn a_burst_beyond_the_quota_is_refused_at_once_and_counted_right() {
    let world = World::new();
    let names: Vec<String> = (0..40).map(|i| format!("N{i}")).collect();
    let start = Instant::now();
    let asks = names.iter().map(|name| {
        let question = Question {
            filter: named(&[name]),
            deadline: Clock::deadline(Duration::from_secs(2)),
            ..world.question()
        };
        let lookup = Arc::clone(&world.lookup);
        tokio::spawn(async move { (lookup.ask(&question).await, start.elapsed()) })
    });
    let answers: Vec<_> = join_all(asks)
        .await
        .into_iter()
        .map(Result::unwrap)
        .collect();
    let answered = answers
        .iter()
        .filter_map(|(answer, _)| answer.as_ref().ok());
    let calls: Vec<u64> = answered.map(|answer| answer.stats.upstream_calls).collect();
    assert_eq!((calls.iter().sum::<u64>(), world.asked()), (5, 5));
    assert_eq!(calls.len(), 5, "who bought nothing was refused");
    for (answer, after) in &answers {
        assert!(answer.is_ok() || after.is_zero(), "{after:?}: {answer:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_was_never_sent_is_not_counted() {
    let world = World::new();
    let budget = world.lookup.upstream.budget(&scope());
    for _ in 0..2 {
        drop(budget.buy(Class::Interactive, &tester(), None).await);
    }
    let question = Question {
        deadline: Clock::deadline(Duration::from_millis(600)),
        ..world.question()
    };
    let (answer, ()) = tokio::join!(world.lookup.ask(&question), async {
        sleep(Duration::from_millis(100)).await;
        budget.throttled(Instant::now(), Some(Duration::from_secs(5)));
    });
    assert!(matches!(answer, Err(Error::Exhausted { .. })), "{answer:?}");
    assert_eq!(world.asked(), 0);
}

#[tokio::test(start_paused = true)]
async fn one_event_is_found_however_the_other_scopes_do() {
    let world = World::new();
    world.happens(&other(), 1, 3_600, "A");
    let budget = world.lookup.upstream.budget(&scope());
    for _ in 0..2 {
        drop(budget.buy(Class::Interactive, &tester(), None).await);
    }
    let question = || Question {
        scopes: [scope(), other()].into(),
        page_events: 1,
        filter: named(&["A"]),
        deadline: Clock::deadline(Duration::from_millis(300)),
        ..world.question()
    };
    let answer = world.lookup.find(&question(), false).await.unwrap();
    assert_eq!(numbers(&answer.events), [1]);
    let nothing = Question {
        filter: named(&["B"]),
        ..question()
    };
    let answer = world.lookup.find(&nothing, false).await.unwrap();
    assert!(answer.events.is_empty());
    let state = |answer: &Answer, at: &Scope| {
        answer
            .scopes
            .iter()
            .find(|status| status.scope == *at)
            .unwrap()
            .state
            .clone()
    };
    assert_eq!(
        state(&answer, &scope()),
        ScopeState::Partial(Reason::Deadline)
    );
    assert_eq!(state(&answer, &other()), ScopeState::Complete);
}

/// Made by hand, at every end of the numbers: an answer or an error, and soon.
#[tokio::test(start_paused = true)]
async fn no_position_or_window_is_too_far_out() {
    let world = World::new();
    for i in 0..100 {
        world.happens(&scope(), i, 60 * i as i64, "A");
    }
    let ends = [i64::MIN, i64::MIN + 1, 0, world.now, i64::MAX - 1, i64::MAX];
    for order in [Order::NewestFirst, Order::OldestFirst] {
        for (from, to) in ends.into_iter().flat_map(|from| ends.map(|to| (from, to))) {
            for after in ends {
                let question = Question {
                    window: TimeRange::new(from, to),
                    after: Some(Position {
                        id: "x".into(),
                        ..Position::start_of(after)
                    }),
                    order,
                    asked_at: Timestamp::MAX,
                    max_upstream_calls: 20,
                    so_far: vec![SoFar {
                        short_by: i64::MIN,
                        older_by: i64::MIN,
                        unsettled_by: Some(i64::MAX),
                    }],
                    ..world.question()
                };
                let answer = Setup::unmetered().build().lookup.ask(&question).await;
                let calls = answer.map_or(0, |answer| answer.stats.upstream_calls);
                assert!(calls <= 20);
            }
        }
    }
}
