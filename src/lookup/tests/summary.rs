//! Summaries against counting by hand.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::{
    filter::Fields,
    simulator::{Fault, FaultKind},
};

fn of(width: i64, fields: &[&str], top_values: usize) -> SummaryOf {
    let names: Vec<String> = fields.iter().map(|&field| field.to_owned()).collect();
    let known: BTreeSet<String> = ["number".to_owned()].into();
    SummaryOf {
        width,
        fields: Fields::parse(&names, "top_fields", &known).unwrap(),
        top_values,
    }
}

#[tokio::test(start_paused = true)]
async fn a_summary_counts_what_there_is() {
    let world = World::new();
    for i in 0..230 {
        world.happens(&scope(), i, 10 * i as i64, ["A", "B", "B"][i % 3]);
    }
    let question = Question {
        window: TimeRange::new(world.now - 2_999, world.now + 1),
        ..world.question()
    };
    let of = of(600, &["EventName", "errorCode", "awsRegion"], 1);
    let summary = world.lookup.summarize(question.clone(), &of).await.unwrap();
    assert_eq!(summary.events, 230);
    assert_eq!(summary.stats.upstream_calls, 5);
    // the first bucket starts before the window, the last ends behind it
    assert!(
        summary
            .buckets
            .iter()
            .all(|bucket| bucket.start % 600 == 0 && !bucket.is_partial)
    );
    assert!(summary.buckets[0].start <= world.now - 2_999);
    assert!(summary.buckets.last().unwrap().start + 600 > world.now);
    assert_eq!(
        summary
            .buckets
            .iter()
            .map(|bucket| bucket.count)
            .sum::<u64>(),
        230
    );
    // empty ones stand too
    assert_eq!(summary.buckets[0].count, 0);
    let [names, errors, regions] = &summary.top[..] else {
        panic!("three fields")
    };
    assert_eq!(names.values, [("B".into(), 153)]);
    assert_eq!((names.distinct, names.without, names.uncounted), (2, 0, 0));
    assert_eq!((errors.values.len(), errors.without), (0, 230));
    assert_eq!(regions.values, [("us-east-1".into(), 230)]);
    // asked again it costs nothing
    let again = world.lookup.summarize(question, &of).await.unwrap();
    assert_eq!(again.stats.upstream_calls, 0);
    assert_eq!(again.buckets, summary.buckets);
}

#[tokio::test(start_paused = true)]
async fn nothing_searched_is_an_error_and_a_failing_scope_makes_all_partial() {
    let mut setup = Setup::default();
    setup.simulator.faults = Faults::from_iter([Fault::Denied(other().region.to_string())]);
    let world = setup.build();
    world.happens(&scope(), 1, 100, "A");
    let question = Question {
        window: TimeRange::new(world.now - 1_000, world.now + 1),
        scopes: [other()].into(),
        ..world.question()
    };
    let of = of(100, &[], 10);
    let error = world
        .lookup
        .summarize(question.clone(), &of)
        .await
        .unwrap_err();
    assert_eq!(error.reason(), "UPSTREAM_ACCESS_DENIED");
    let question = Question {
        scopes: [other(), scope()].into(),
        ..question
    };
    let summary = world.lookup.summarize(question, &of).await.unwrap();
    assert_eq!(summary.events, 1);
    assert!(summary.buckets.iter().all(|bucket| bucket.is_partial));
    assert!(matches!(summary.scopes[0].state, ScopeState::Failed(_)));
}

/// What a history has, by hand: of each event its scope, time and kind.
type Happened = Vec<(bool, i64, usize)>;

/// Every count must be that of the events in what the scopes say was searched.
fn check(
    summary: &Summary,
    happened: &Happened,
    wanted: &dyn Fn(usize) -> bool,
    of: &SummaryOf,
    window: TimeRange,
) {
    let mut buckets: BTreeMap<i64, u64> = BTreeMap::new();
    let mut values: BTreeMap<String, u64> = BTreeMap::new();
    let mut events = 0;
    let searched = |here: bool| {
        let place = if here { scope() } else { other() };
        let told = summary.scopes.iter().find(|told| told.scope == place);
        told.map(|told| (told.searched, told.state.clone()))
    };
    for (here, time, kind) in happened {
        let Some((searched, _)) = searched(*here) else {
            continue;
        };
        if searched.contains(*time) && wanted(*kind) {
            events += 1;
            *buckets
                .entry(time.div_euclid(of.width) * of.width)
                .or_default() += 1;
            *values.entry(["A", "B", "C"][*kind].to_owned()).or_default() += 1;
        }
    }
    assert_eq!(summary.events, events);
    let found = summary.buckets.iter().filter(|bucket| bucket.count > 0);
    assert_eq!(
        found
            .map(|b| (b.start, b.count))
            .collect::<BTreeMap<_, _>>(),
        buckets
    );
    let mut values: Vec<(Box<str>, u64)> = values.into_iter().map(|(v, n)| (v.into(), n)).collect();
    values.sort_by(|a, b| b.1.cmp(&a.1).then(a.0.cmp(&b.0)));
    assert_eq!(summary.top[0].distinct, values.len());
    values.truncate(of.top_values);
    assert_eq!(summary.top[0].values, values);
    for bucket in &summary.buckets {
        let part = TimeRange::new(bucket.start, bucket.start + of.width).intersect(&window);
        let whole = summary
            .scopes
            .iter()
            .all(|s| s.searched.intersect(&part) == part);
        assert!(whole || bucket.is_partial, "{bucket:?}");
    }
    if summary
        .scopes
        .iter()
        .all(|s| s.state == ScopeState::Complete)
    {
        assert!(summary.buckets.iter().all(|bucket| !bucket.is_partial));
    }
}

proptest! {
    /// Whatever was searched: counts are exact over it.
    #[test]
    fn counts_are_exact_over_what_was_searched(
        history in prop::collection::vec((0_i64..40_000, 0_usize..3, any::<bool>()), 0..300),
        (width, top, page) in (1_i64..20_000, 1_usize..4, 1_usize..80),
        (limit, deadline) in (prop::option::of(1_u64..8), prop::option::of(1_u64..5_000)),
        (filtered, both) in (any::<bool>(), any::<bool>()),
        (seed, faulty, metered) in (any::<u64>(), any::<bool>(), any::<bool>()),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut setup = if metered { Setup::default() } else { Setup::unmetered() };
            setup.simulator.seed = seed;
            if faulty {
                setup.simulator.faults = Faults::from_iter([
                    Fault::Chance(FaultKind::ShortPage, 0.2),
                    Fault::Chance(FaultKind::Throttle, 0.1),
                    Fault::Chance(FaultKind::ServerError, 0.1),
                    Fault::Chance(FaultKind::ExpiredToken, 0.1),
                ]);
            }
            let world = setup.build();
            let mut happened = Vec::new();
            for (number, (ago, kind, here)) in history.into_iter().enumerate() {
                let ago = 60 + ago / 100 * 100;
                let place = if here { scope() } else { other() };
                world.happens(&place, number, ago, ["A", "B", "C"][kind]);
                happened.push((here, world.now - ago, kind));
            }
            let window = TimeRange::new(world.now - 45_000, world.now + 1);
            let of = of(width.max(5), &["eventName"], top);
            let question = Question {
                scopes: if both { [other(), scope()].into() } else { [scope()].into() },
                filter: if filtered { named(&["A", "B"]) } else { Arc::default() },
                window,
                page_events: page,
                max_upstream_calls: limit.unwrap_or(1_000),
                ..world.question()
            };
            let wanted = |kind| !filtered || kind < 2;
            // asked again it goes on from there, to the end
            for _ in 0..400 {
                let after = Duration::from_millis(deadline.unwrap_or(3_600_000));
                let question = Question {
                    deadline: Clock::deadline(after),
                    ..question.clone()
                };
                let Ok(summary) = world.lookup.summarize(question, &of).await else {
                    sleep(Duration::from_secs(2)).await;
                    continue;
                };
                check(&summary, &happened, &wanted, &of, window);
                if summary.scopes.iter().all(|s| s.state == ScopeState::Complete) {
                    return;
                }
                sleep(Duration::from_secs(2)).await;
            }
            panic!("never whole");
        });
    }
}
