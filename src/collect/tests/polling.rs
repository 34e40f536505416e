//! How scopes are polled.

use super::*;
use crate::event::TimeRange;

#[tokio::test(start_paused = true)]
async fn an_event_comes_within_an_interval_of_its_being_told() {
    let mut setup = Setup::default();
    setup.options.max_interval = setup.options.interval;
    let world = setup.build();
    let scope = scope("us-east-1");
    let mut stream = world.subscribe(&of_kinds(&[]), &[], Start::Now);
    assert!(stream.within(1).await.is_empty());
    for number in 0..60 {
        let at = i64::try_from(number * 2).unwrap() + 10;
        world.happens(&scope, number, at, 0, "A");
    }
    let mut told = 0;
    while world.now() < 140 {
        for event in stream.within(1).await {
            let waited = world.clock.now_secs() - event.time;
            // the interval, and what is lost of a second
            assert!(waited <= 6, "{waited}");
            told += 1;
        }
    }
    assert_eq!(told, 60);
}

/// Numbers, ascending; each must be there once.
fn numbers(events: &[Arc<Event>]) -> Vec<usize> {
    let mut numbers: Vec<_> = events.iter().map(|event| number(event)).collect();
    numbers.sort_unstable();
    numbers
}

#[tokio::test(start_paused = true)]
async fn the_gateways_own_requests_are_no_sign_of_activity_and_cost_no_more() {
    let world = Setup::default().build();
    let scope = scope("us-east-1");
    // as if each poll, and those of a second gateway, were recorded
    for number in 0..2_000 {
        let at = i64::try_from(number * 15).unwrap();
        let time = Timestamp::from_second(world.start + at).unwrap();
        let event = LookupEvent {
            event_id: Some(id(number)),
            event_name: Some("LookupEvents".into()),
            event_source: Some("cloudtrail.amazonaws.com".into()),
            event_time: Some(time.as_second()),
            ..LookupEvent::default()
        };
        world.simulator.insert(&scope, event, Some(time));
    }
    let mut stream = world.subscribe(&of_kinds(&[]), &[], Start::Now);
    let told = stream.within(8 * 3600).await;
    assert!(told.len() > 1_900);
    let (_, polls) = world.gateway.poller.polls();
    // two a minute, and no more than a request each, but for a few at first
    assert!((900..=1_000).contains(&polls), "{polls}");
    let requests = world.simulator.stats().requests;
    assert!(requests <= polls + 10, "{requests} for {polls}");
}

#[tokio::test(start_paused = true)]
async fn an_outage_is_said_by_the_watermark_and_caught_up_with() {
    for kind in [upstream::ErrorKind::Gone, upstream::ErrorKind::Throttled] {
        let world = Setup::default().build();
        let scope = scope("us-east-1");
        for number in 0..3_000 {
            let at = i64::try_from(number * 3).unwrap();
            world.happens(&scope, number, at, 2, "A");
        }
        let mut stream = world.subscribe(&of_kinds(&[]), &[], Start::Time(world.start));
        let mut told = stream.within(600).await;
        world.answers(Some(kind));
        told.extend(stream.within(2 * 3600).await);
        let settled = world.gateway.feed.settled(&scope).unwrap() - world.start;
        assert!((500..=600).contains(&settled), "{settled}");
        let health = world.gateway.poller.health(&scope);
        assert!(matches!(health, Some(Health::Failing(_))), "{health:?}");
        world.answers(None);
        let until = Instant::now() + Duration::from_secs(3600);
        while let Ok(item) = tokio::time::timeout_at(until, stream.subscription.next()).await {
            match item {
                Item::Batch(batch) => told.extend(batch.events.iter().cloned()),
                Item::Gap(gap) => panic!("{gap:?}"),
                Item::Progress(_) => {}
            }
        }
        assert_eq!(numbers(&told), Vec::from_iter(0..3_000));
        let lag = world.clock.now_secs() - world.gateway.feed.settled(&scope).unwrap();
        assert!(lag < 60 + 130, "{lag}");
        let health = world.gateway.poller.health(&scope);
        assert_eq!(health, Some(Health::Collecting));
    }
}

#[tokio::test(start_paused = true)]
async fn a_scope_with_too_many_events_is_overrun_and_has_gaps() {
    let setup = Setup {
        share: Some(0.1),
        ..Setup::default()
    };
    let world = setup.build();
    let scope = scope("us-east-1");
    // 8 a second, where 5 can be read
    for number in 0..8 * 4 * 3600 {
        let at = i64::try_from(number / 8).unwrap();
        world.happens(&scope, number, at, 0, "A");
    }
    let mut stream = world.subscribe(&of_kinds(&["B"]), &[], Start::Now);
    let until = Instant::now() + Duration::from_secs(4 * 3600 - 60);
    let mut gaps = Vec::new();
    while let Ok(item) = tokio::time::timeout_at(until, stream.subscription.next()).await {
        if let Item::Gap(gap) = item {
            gaps.push(gap);
        }
    }
    assert_eq!(world.gateway.poller.health(&scope), Some(Health::Overrun));
    assert!(!gaps.is_empty());
    assert!(
        gaps.iter().all(|gap| gap.reason.as_str() == "OVERRUN"),
        "{gaps:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn who_was_away_for_an_hour_is_told_all_and_once() {
    let setup = Setup {
        // some twenty events
        log: 20_000,
        ..Setup::default()
    };
    let world = setup.build();
    let scope = scope("us-east-1");
    for number in 0..5_000 {
        let at = i64::try_from(number).unwrap();
        world.happens(&scope, number, at, 3, ["A", "B"][number % 2]);
    }
    let mut all = world.subscribe(&of_kinds(&[]), &[], Start::Now);
    let mut some = world.subscribe(&of_kinds(&["B"]), &[], Start::Now);
    let mut told = all.within(30).await;
    pass(3600).await;
    assert!(world.gateway.feed.stats().bytes <= 20_000);
    told.extend(all.within(3000).await);
    assert_eq!(numbers(&told), Vec::from_iter(0..5_000));
    let told = some.within(600).await;
    let odd: Vec<_> = (0..5_000).filter(|number| number % 2 == 1).collect();
    assert_eq!(numbers(&told), odd);
}

#[tokio::test(start_paused = true)]
async fn a_thousand_slow_ones_stand_in_nobodys_way() {
    let mut setup = Setup {
        log: 50_000,
        ..Setup::default()
    };
    setup.options.max_interval = setup.options.interval;
    let world = setup.build();
    let scope = scope("us-east-1");
    for number in 0..600 {
        let at = 20 + i64::try_from(number).unwrap();
        world.happens(&scope, number, at, 0, "A");
    }
    let slow: Vec<_> = (0..1000)
        .map(|_| world.subscribe(&of_kinds(&[]), &[], Start::Now))
        .collect();
    let mut fast: Vec<_> = (0..10)
        .map(|_| world.subscribe(&of_kinds(&[]), &[], Start::Now))
        .collect();
    let mut told = vec![Vec::new(); fast.len()];
    while world.now() < 640 {
        for (stream, told) in fast.iter_mut().zip(&mut told) {
            for event in stream.within(1).await {
                // an interval, and a second for each of the ten that is read
                assert!(world.clock.now_secs() - event.time <= 5 + 12);
                told.push(event);
            }
        }
    }
    for told in &told {
        assert_eq!(numbers(told), Vec::from_iter(0..600));
    }
    let stats = world.gateway.feed.stats();
    assert!(stats.bytes <= 50_000, "{stats:?}");
    assert_eq!((stats.subscriptions, stats.replays), (1010, 0));
    drop(slow);
    assert_eq!(world.gateway.feed.stats().subscriptions, 10);
}

#[tokio::test(start_paused = true)]
async fn equal_filters_are_evaluated_once_whoever_shares_them() {
    let world = Setup::default().build();
    let scope = scope("us-east-1");
    for number in 0..100 {
        world.happens(&scope, number, 10, 0, "A");
    }
    let kinds: Vec<_> = (0..50).map(|n| format!("A{n}")).collect();
    let mut streams: Vec<_> = (0..1000)
        .map(|n| {
            let kind: &str = &kinds[n % 50];
            world.subscribe(&of_kinds(&["A", kind]), &[], Start::Now)
        })
        .collect();
    pass(60).await;
    for stream in &mut streams {
        assert_eq!(stream.within(1).await.len(), 100);
    }
    let stats = world.gateway.feed.stats();
    assert_eq!((stats.filters, stats.evaluations), (50, 50 * 100));
}

#[tokio::test(start_paused = true)]
async fn a_scope_that_fails_holds_up_no_other() {
    let mut setup = Setup {
        regions: vec!["us-east-1", "eu-west-1"],
        log: 10_000,
        ..Setup::default()
    };
    setup.faults = [simulator::Fault::Denied("eu-west-1".to_owned())]
        .into_iter()
        .collect();
    let world = setup.build();
    for number in 0..500 {
        let at = i64::try_from(number).unwrap() - 100;
        world.happens(&scope("us-east-1"), number, at, 0, "A");
    }
    let start = Start::Time(world.start - 100);
    let mut stream = world.subscribe(&of_kinds(&[]), &[], start);
    let mut told = stream.within(100).await;
    // behind what the log holds
    pass(200).await;
    told.extend(stream.within(300).await);
    assert_eq!(numbers(&told), Vec::from_iter(0..500));
}

#[tokio::test(start_paused = true)]
async fn who_begins_ahead_of_all_who_share_its_filter_is_told_nothing_before() {
    let world = Setup::default().build();
    let all = of_kinds(&[]);
    let mut first = world.subscribe(&all, &[], Start::Now);
    assert!(first.within(1).await.is_empty());
    world.happens(&scope("us-east-1"), 1, 10, 0, "A");
    // it arrives, and nobody has looked at it yet
    pass(60).await;
    let mut second = world.subscribe(&all, &[], Start::Now);
    assert!(second.within(1).await.is_empty());
    assert_eq!(numbers(&first.within(1).await), [1]);
}

#[tokio::test(start_paused = true)]
async fn a_gap_is_told_to_all_who_read_alike() {
    let world = Setup::default().build();
    let scope = scope("us-east-1");
    let all = of_kinds(&[]);
    let mut streams: Vec<_> = (0..3)
        .map(|_| world.subscribe(&all, &[], Start::Now))
        .collect();
    for stream in &mut streams {
        assert!(stream.within(1).await.is_empty());
    }
    world.happens(&scope, 1, 10, 0, "A");
    pass(30).await;
    let gap = feed::Gap {
        scope: scope.clone(),
        range: TimeRange::new(world.start, world.start + 5),
        count: None,
        reason: feed::GapReason::Unreadable,
    };
    world.gateway.feed.miss(gap.clone());
    world.happens(&scope, 2, 40, 0, "A");
    pass(30).await;
    for stream in &mut streams {
        let mut told = (Vec::new(), Vec::new());
        while let Ok(item) = timeout(Duration::from_secs(1), stream.subscription.next()).await {
            match item {
                Item::Batch(batch) => told.0.extend(batch.events.iter().cloned()),
                Item::Gap(gap) => told.1.push(gap),
                Item::Progress(_) => {}
            }
        }
        assert_eq!((numbers(&told.0), told.1), (vec![1, 2], vec![gap.clone()]));
    }
}
