//! Whatever was asked before: every matching event once, in order.

use proptest::prelude::*;

use super::*;

/// A history: how long ago, of what kind, in which scope.
type History = Vec<(i64, usize, bool)>;

fn histories() -> impl Strategy<Value = History> {
    let ago = prop_oneof![0_i64..20, 600_i64..1_500, 5_000_i64..5_004, 0_i64..20 * DAY,];
    prop::collection::vec((ago, 0_usize..3, any::<bool>()), 0..400)
}

/// A question: window, kinds wanted, order, page size, staleness, pause before.
#[derive(Clone, Debug)]
struct Ask {
    from: i64,
    to: i64,
    kinds: BTreeSet<usize>,
    oldest_first: bool,
    page: usize,
    both: bool,
    staleness: u64,
    pause: u64,
    /// How many events happen just before.
    arrivals: usize,
}

fn asks() -> impl Strategy<Value = Vec<Ask>> {
    let edge = || {
        prop_oneof![
            -5_i64..30,
            500_i64..1_600,
            4_990_i64..5_010,
            0_i64..30 * DAY
        ]
    };
    let ask = (
        (edge(), edge()),
        prop::collection::btree_set(0_usize..3, 0..4),
        any::<bool>(),
        1_usize..120,
        any::<bool>(),
        prop_oneof![Just(0_u64), Just(30), Just(3_600)],
        0_u64..2_000,
        0_usize..8,
    )
        .prop_map(
            |((a, b), kinds, oldest_first, page, both, staleness, pause, arrivals)| Ask {
                from: a.max(b),
                to: a.min(b),
                kinds,
                oldest_first,
                page,
                both,
                staleness,
                pause,
                arrivals,
            },
        );
    prop::collection::vec(ask, 1..6)
}

const KINDS: [&str; 3] = ["A", "B", "C"];

proptest! {


    /// Whatever was asked before, through short pages, duplicates, expired
    /// tokens, throttling and faults: every matching event once, in order.
    #[test]
    fn every_matching_event_once_and_in_order(
        history in histories(),
        asks in asks(),
        seed in any::<u64>(),
        ttl in prop::option::of(1_u64..5),
        faulty in any::<bool>(),
        cache in prop_oneof![Just(100_000_000_u64), Just(60_000)],
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut setup = Setup { cache, ..Setup::unmetered() };
            setup.simulator.seed = seed;
            setup.simulator.token_ttl = ttl.map(Duration::from_secs);
            if faulty {
                use simulator::{Fault::Chance, FaultKind};
                setup.simulator.faults = Faults::from_iter([
                    Chance(FaultKind::ShortPage, 0.2),
                    Chance(FaultKind::Duplicate, 0.1),
                    Chance(FaultKind::Throttle, 0.05),
                    Chance(FaultKind::ExpiredToken, 0.05),
                ]);
            }
            let world = setup.build();
            // what happened: when, when it was there, of what kind, where
            let mut happened: Vec<(i64, i64, usize, bool)> = Vec::new();
            for (ago, kind, here) in history {
                happened.push((world.now - ago, i64::MIN, kind, here));
                let place = if here { scope() } else { other() };
                world.happens(&place, happened.len() - 1, ago, KINDS[kind]);
            }
            for ask in asks {
                advance(Duration::from_secs(ask.pause)).await;
                let now = world.clock.now_secs();
                for i in 0..ask.arrivals {
                    let (time, kind, here) = (now - i as i64, i % 3, i % 2 == 0);
                    happened.push((time, now, kind, here));
                    let place = if here { scope() } else { other() };
                    world.happens(&place, happened.len() - 1, world.now - time, KINDS[kind]);
                }
                let names: Vec<&str> = ask.kinds.iter().map(|kind| KINDS[*kind]).collect();
                let window = TimeRange::new(world.now - ask.from, world.now - ask.to + 1);
                let question = Question {
                    filter: if names.is_empty() { Arc::default() } else { named(&names) },
                    scopes: if ask.both { [scope(), other()].into() } else { [scope()].into() },
                    window: TimeRange::new(window.from, window.to.min(now + 1)),
                    order: if ask.oldest_first { Order::OldestFirst } else { Order::NewestFirst },
                    page_events: ask.page,
                    max_staleness: Duration::from_secs(ask.staleness),
                    ..world.question()
                };
                let before = world.asked();
                let (events, stats) = world.all(question.clone()).await;
                assert_eq!(stats.upstream_calls, world.asked() - before);
                // what was there before an answer may be as old as was allowed must be told
                let stale = now - i64::try_from(ask.staleness).unwrap();
                let mut expected: Vec<(i64, bool, usize, bool)> = happened.iter().enumerate()
                    .filter(|(_, (time, _, kind, here))| {
                        question.window.contains(*time)
                            && (ask.both || *here)
                            && (ask.kinds.is_empty() || ask.kinds.contains(kind))
                    })
                    // eu-west-1 sorts before us-east-1
                    .map(|(number, (time, there, _, here))| (*time, *here, number, *there <= stale))
                    .collect();
                expected.sort_unstable();
                if !ask.oldest_first {
                    expected.reverse();
                }
                let found = numbers(&events);
                let is_found: BTreeSet<usize> = found.iter().copied().collect();
                let expected: Vec<usize> = expected
                    .into_iter()
                    .filter(|(_, _, number, must)| *must || is_found.contains(number))
                    .map(|(_, _, number, _)| number)
                    .collect();
                assert_eq!(found, expected, "{ask:?}");
            }
        });
    }
}
