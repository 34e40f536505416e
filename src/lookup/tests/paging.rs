//! Pages: complete, in order, for no more requests than they need.

use super::*;

#[tokio::test(start_paused = true)]
async fn a_page_walks_no_further_than_it_needs() {
    let world = World::new();
    for i in 0..500 {
        world.happens(&scope(), i, 3_600 + 60 * i as i64, "A");
    }
    let first = world
        .lookup
        .ask(&Question {
            page_events: 10,
            ..world.question()
        })
        .await
        .unwrap();
    assert_eq!((first.stats.upstream_calls, first.events.len()), (1, 10));
    // 49 of the 50 stand in seconds that are walked to their end
    let more = Question {
        page_events: 39,
        after: first.next,
        ..world.question()
    };
    let second = world.lookup.ask(&more).await.unwrap();
    assert_eq!((second.stats.upstream_calls, second.events.len()), (0, 39));
    let third = Question {
        page_events: 10,
        after: second.next,
        ..world.question()
    };
    let third = world.lookup.ask(&third).await.unwrap();
    assert_eq!((third.stats.upstream_calls, third.events.len()), (1, 10));
    assert_eq!(
        numbers(&third.events)[0],
        49,
        "the walk went on with its token"
    );
    assert_eq!(world.asked(), 2);
}

#[tokio::test(start_paused = true)]
async fn an_unfinished_second_counts_when_deciding_whether_to_buy() {
    let world = World::new();
    world.happens(&scope(), 0, 3_600, "A");
    for i in 1..130 {
        world.happens(&scope(), i, 7_200, "A");
    }
    let ask = Question {
        page_events: 20,
        ..world.question()
    };
    let first = world.lookup.ask(&ask).await.unwrap();
    assert_eq!(
        numbers(&first.events),
        [0],
        "a short page: the second below is not finished"
    );
    assert_eq!(first.stats.upstream_calls, 1);
    let again = world.lookup.ask(&ask).await.unwrap();
    assert_eq!((again.events.len(), again.stats.upstream_calls), (1, 0));
    // unless the page would be empty
    let next = Question {
        after: first.next,
        ..ask
    };
    let second = world.lookup.ask(&next).await.unwrap();
    assert_eq!((second.events.len(), second.stats.upstream_calls), (20, 2));
    assert_eq!(second.events[0].time, world.now - 7_200);
    let (rest, stats) = world
        .all(Question {
            after: second.next,
            ..world.question()
        })
        .await;
    assert_eq!((rest.len(), stats.upstream_calls), (109, 0));
}

#[tokio::test(start_paused = true)]
async fn an_expired_token_costs_its_second_again_and_loses_nothing() {
    let mut setup = Setup::default();
    setup.simulator.token_ttl = Some(Duration::from_secs(60));
    let world = setup.build();
    for i in 0..300 {
        world.happens(&scope(), i, 3_600 + 10 * (i as i64 / 40), "A");
    }
    let mut question = Question {
        page_events: 30,
        ..world.question()
    };
    let mut seen = BTreeSet::new();
    loop {
        let answer = world.lookup.ask(&question).await.unwrap();
        for number in numbers(&answer.events) {
            assert!(seen.insert(number), "{number} came twice");
        }
        let Some(next) = answer.next else { break };
        question.after = Some(next);
        question.deadline = Clock::deadline(Duration::from_secs(3600));
        advance(Duration::from_secs(100)).await;
    }
    assert_eq!(seen.len(), 300);
    assert!(
        world.simulator.stats().scopes[0].operations["LookupEvents"]
            .errors
            .contains_key("InvalidNextTokenException")
    );
}

#[tokio::test(start_paused = true)]
async fn a_cache_too_small_to_hold_anything_still_answers() {
    let world = Setup {
        cache: 1,
        ..Setup::default()
    }
    .build();
    for i in 0..130 {
        world.happens(&scope(), i, 3_600 + 60 * i as i64, "A");
    }
    for order in [Order::NewestFirst, Order::OldestFirst] {
        let ask = Question {
            page_events: 1000,
            order,
            max_upstream_calls: 20,
            ..world.question()
        };
        let answer = world.lookup.ask(&ask).await.unwrap();
        assert_eq!((answer.events.len(), answer.next), (130, None), "{order:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_recent_answer_of_one_scope_does_not_cut_another() {
    let world = World::new();
    // us-east-1 is asked, and recent enough for 30 seconds
    world.lookup.ask(&world.question()).await.unwrap();
    advance(Duration::from_secs(20)).await;
    for i in 0..20 {
        world.happens(&other(), i, -(i as i64), "A");
    }
    let question = Question {
        scopes: [scope(), other()].into(),
        page_events: 5,
        ..world.question()
    };
    let (events, _) = world.all(question.clone()).await;
    assert_eq!(events.len(), 20, "{:?}", numbers(&events));
    // and each says the truth of itself, on every page
    let mut question = question;
    for _ in 0..3 {
        let answer = world.lookup.ask(&question).await.unwrap();
        let to = |scope| {
            answer
                .scopes
                .iter()
                .find(|s| s.scope == scope)
                .unwrap()
                .searched
                .to
        };
        assert_eq!((to(scope()), to(other())), (world.now + 1, world.now + 21));
        question.after = answer.next;
        question.so_far = answer.so_far;
    }
}

#[tokio::test(start_paused = true)]
async fn a_record_that_stands_in_two_scopes_comes_once_whatever_the_page() {
    for page_events in [1, 2] {
        let world = World::new();
        let id = "00000000-0000-4000-8000-000000000001";
        let event = LookupEvent {
            event_id: Some(id.to_owned()),
            event_time: Some(world.now - 3_600),
            record: Some(format!(
                "{{\"eventID\":\"{id}\",\"awsRegion\":\"us-east-1\"}}"
            )),
            ..LookupEvent::default()
        };
        for scope in [scope(), other()] {
            assert_eq!(world.simulator.insert(&scope, event.clone(), None), 1);
        }
        let scopes = [scope(), other()].into();
        let question = Question {
            scopes,
            page_events,
            ..world.question()
        };
        assert_eq!(
            world.all(question).await.0.len(),
            1,
            "pages of {page_events}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn empty_time_from_the_old_end_costs_no_more_over_many_pages_than_on_one() {
    let mut costs = Vec::new();
    for calls in [1000, 1] {
        let world = Setup::unmetered().build();
        world.happens(&scope(), 1, 60, "Last");
        let question = Question {
            order: Order::OldestFirst,
            max_upstream_calls: calls,
            ..world.question()
        };
        let (events, stats) = world.all(question).await;
        assert_eq!(events.len(), 1);
        assert_eq!(stats.upstream_calls, world.asked());
        costs.push(world.asked());
    }
    // slices of 1, 4, 16, 64 days and the rest
    assert_eq!(costs[0], 5);
    assert!(costs[1] <= 5, "{costs:?}");
}

/// Page by page over so many scopes, each has a walk that is taken up again.
#[tokio::test(start_paused = true)]
async fn hundreds_of_scopes_cost_what_each_costs_alone() {
    const SCOPES: usize = 300;
    let regions: Vec<String> = (0..SCOPES).map(|n| format!("xx-test-{n}")).collect();
    let mut setup = Setup::unmetered();
    setup.simulator.regions.clone_from(&regions);
    let world = setup.build();
    let scopes: Vec<Scope> = regions
        .iter()
        .map(|region| Scope::new("111122223333", region))
        .collect();
    for (place, scope) in scopes.iter().enumerate() {
        for i in 0..100 {
            let number = place * 100 + i;
            world.happens(scope, number, 3_600 + 60 * i as i64, "A");
        }
    }
    let question = Question {
        scopes: scopes.into(),
        page_events: 20_000,
        page_bytes: usize::MAX,
        // a request each, then they are parked
        max_upstream_calls: SCOPES as u64,
        ..world.question()
    };
    let (events, stats) = world.all(question).await;
    assert_eq!(events.len(), 100 * SCOPES);
    assert_eq!(stats.upstream_calls, 2 * SCOPES as u64);
    assert_eq!(world.asked(), 2 * SCOPES as u64);
}

/// What one scope has is not read further than the page needs with what the
/// others have.
#[tokio::test(start_paused = true)]
async fn a_page_of_many_scopes_walks_no_further_than_it_needs() {
    const SCOPES: usize = 10;
    let regions: Vec<String> = (0..SCOPES).map(|n| format!("xx-test-{n}")).collect();
    let mut setup = Setup::unmetered();
    setup.simulator.regions.clone_from(&regions);
    let world = setup.build();
    let scopes: Arc<[Scope]> = regions
        .iter()
        .map(|region| Scope::new("111122223333", region))
        .collect();
    // the first is ten times as busy as each of the others
    for (place, scope) in scopes.iter().enumerate() {
        for i in 0..900_usize {
            let every = if place == 0 { 6 } else { 60 };
            world.happens(scope, place * 900 + i, 3_600 + every * i as i64, "A");
        }
    }
    let mut question = Question {
        scopes,
        page_events: 500,
        ..world.question()
    };
    let (mut found, mut expected) = (Vec::new(), 0);
    for _ in 0..3 {
        let answer = world.lookup.ask(&question).await.unwrap();
        assert_eq!(answer.events.len(), 500);
        found.extend(answer.events.iter().cloned());
        expected += 500;
        // fifty events a request, and of each scope one that goes deeper
        let fewest = expected / 50;
        let asked = world.asked();
        assert!(
            asked <= fewest + SCOPES as u64 + 1,
            "{asked} requests, {fewest} at least"
        );
        question.follow(&answer);
    }
    assert!(
        found
            .windows(2)
            .all(|pair| pair[0].cmp_position(&pair[1]).is_gt())
    );
}

#[tokio::test(start_paused = true)]
async fn a_page_that_gets_nowhere_does_not_go_back() {
    let setup = Setup {
        cache: 0,
        ..Setup::default()
    };
    let world = setup.build();
    for i in 0..60 {
        world.happens(&scope(), i, 3_600, "A");
    }
    let ask = Question {
        page_events: 10,
        ..world.question()
    };
    let first = world.lookup.ask(&ask).await.unwrap();
    assert_eq!(first.events.len(), 10);
    // the page before ended inside of a second, which must be read again
    let stuck = Question {
        after: first.next.clone(),
        max_upstream_calls: 0,
        ..ask.clone()
    };
    let stuck = world.lookup.ask(&stuck).await.unwrap();
    assert!(stuck.events.is_empty());
    assert_eq!(stuck.next, first.next);
    let rest = Question {
        after: stuck.next,
        ..ask
    };
    let (rest, _) = world.all(rest).await;
    let mut told = numbers(&first.events);
    told.extend(numbers(&rest));
    told.sort_unstable();
    assert_eq!(told, (0..60).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn nothing_is_bought_below_a_crowded_second_that_ends_the_page() {
    let world = World::new();
    for i in 0..40 {
        world.happens(&scope(), i, 3_600 + 60 * i as i64, "A");
    }
    for i in 40..100 {
        world.happens(&scope(), i, 3_600 + 60 * 41, "A");
    }
    for i in 100..5_000 {
        world.happens(&other(), i, 20_000 + 60 * i as i64, "B");
    }
    let question = Question {
        filter: having("awsRegion", &["us-east-1"]),
        scopes: [other(), scope()].into(),
        ..world.question()
    };
    let answer = world.lookup.ask(&question).await.unwrap();
    // of the second below there is no room for all that was read
    assert_eq!(answer.events.len(), 40);
    assert_eq!(world.asked(), 2);
}
