//! On paused time, in process, against the simulator.

use std::collections::BTreeSet;

use proptest::prelude::*;
use tokio::time::{advance, sleep};

use super::*;
use crate::{
    budget::Budgets,
    coverage,
    event::LookupEvent,
    filter::{EventFilter, Match},
    simulator::{self, Faults, Rate, Simulator},
    upstream::Retry,
};

const DAY: i64 = 86_400;

fn scope() -> Scope {
    Scope::new("111122223333", "us-east-1")
}

fn other() -> Scope {
    Scope::new("111122223333", "eu-west-1")
}

struct World {
    clock: Clock,
    simulator: Arc<Simulator>,
    lookup: Arc<Lookup>,
    now: i64,
}

struct Setup {
    rate: f64,
    simulator: simulator::Options,
    cache: u64,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            rate: 2.0,
            simulator: simulator::Options {
                accounts: vec!["111122223333".into()],
                ..simulator::Options::default()
            },
            cache: 100_000_000,
        }
    }
}

impl Setup {
    fn unmetered() -> Self {
        let mut setup = Self {
            rate: 0.0,
            ..Self::default()
        };
        setup.simulator.rate = Rate::default();
        setup
    }

    fn build(self) -> World {
        let clock = Clock::at("2026-01-02T03:04:05.25Z".parse().unwrap());
        let simulator = Arc::new(Simulator::new(self.simulator, clock, Vec::new()));
        let cloudtrail: Arc<Simulator> = Arc::clone(&simulator);
        let upstream = Upstream::new(
            cloudtrail,
            Arc::new(Budgets::new(self.rate)),
            Retry::default(),
        );
        let options = coverage::Options {
            max_bytes: self.cache,
            ..coverage::Options::default()
        };
        let coverage = Arc::new(Coverage::new(options));
        let history = Some(Duration::from_secs(90 * 86_400));
        let lookup = Arc::new(Lookup::new(clock, coverage, Arc::new(upstream), history));
        World {
            clock,
            simulator,
            lookup,
            now: clock.now_secs(),
        }
    }
}

impl World {
    fn new() -> Self {
        Setup::default().build()
    }

    /// An event so many seconds ago; `kind` is its name.
    fn happens(&self, scope: &Scope, number: usize, ago: i64, kind: &str) {
        let time = self.now - ago;
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let record = format!(
            "{{\"eventID\":\"{id}\",\"eventTime\":\"{}\",\"eventName\":\"{kind}\",\"awsRegion\":\"{}\",\"number\":{number}}}",
            Timestamp::from_second(time).unwrap(),
            scope.region,
        );
        let event = LookupEvent {
            event_id: Some(id),
            event_name: Some(kind.to_owned()),
            event_time: Some(time),
            record: Some(record),
            ..LookupEvent::default()
        };
        assert_ne!(self.simulator.insert(scope, event, None), 0);
    }

    fn question(&self) -> Question {
        let now = self.clock.now();
        Question {
            filter: Arc::new(Filter::everything()),
            scopes: vec![scope()],
            category: Category::Management,
            window: TimeRange::new(self.now - 90 * DAY, now.as_second() + 1),
            asked_at: now,
            order: Order::NewestFirst,
            after: None,
            failed: Vec::new(),
            page_events: 50,
            page_bytes: 3 << 20,
            size: Event::weight,
            max_staleness: Duration::from_secs(30),
            max_upstream_calls: 1000,
            deadline: Clock::deadline(Duration::from_secs(3600)),
        }
    }

    /// Requests that the simulator got, refused ones included.
    fn asked(&self) -> u64 {
        self.simulator.stats().requests
    }

    /// All pages of a question, and what they took together.
    async fn all(&self, mut question: Question) -> (Vec<Arc<Event>>, Stats) {
        let mut events = Vec::new();
        let mut stats = Stats::default();
        for _ in 0..10_000 {
            let answer = self.lookup.ask(&question).await.unwrap();
            events.extend(answer.events);
            stats.add(&answer.stats);
            let Some(next) = answer.next else {
                return (events, stats);
            };
            question.after = Some(next);
            question.window = answer.window;
        }
        panic!("pages without end");
    }
}

fn named(names: &[&str]) -> Arc<Filter> {
    let matches = vec![Match {
        field: "eventName".into(),
        values: names.iter().map(|&name| name.to_owned()).collect(),
        ..Match::default()
    }];
    Arc::new(Filter::compile(&[EventFilter { matches }], &()).unwrap())
}

fn numbers(events: &[Arc<Event>]) -> Vec<usize> {
    events
        .iter()
        .map(|event| event.id.rsplit_once('-').unwrap().1.parse().unwrap())
        .collect()
}

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
async fn a_question_that_cannot_begin_in_time_is_refused_at_once_with_the_wait() {
    let world = World::new();
    let budget = world.lookup.upstream.budget(&scope());
    for _ in 0..2 {
        drop(budget.buy(None).await);
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
    let Err(Error::Exhausted { wait }) = answer else {
        panic!("{answer:?}")
    };
    assert_eq!(
        (wait, start.elapsed()),
        (Duration::from_millis(500), Duration::ZERO)
    );
    assert_eq!(world.asked(), 0);
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
        scopes: vec![denied.clone(), scope(), other()],
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
    question.failed = vec![(denied.clone(), "UPSTREAM_ACCESS_DENIED".into())];
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
        scopes: vec![denied],
        ..world.question()
    };
    assert!(matches!(
        world.lookup.ask(&alone).await,
        Err(Error::Denied { .. })
    ));
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
    }
}

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
    )
        .prop_map(
            |((a, b), kinds, oldest_first, page, both, staleness, pause)| Ask {
                from: a.max(b),
                to: a.min(b),
                kinds,
                oldest_first,
                page,
                both,
                staleness,
                pause,
            },
        );
    prop::collection::vec(ask, 1..6)
}

const KINDS: [&str; 3] = ["A", "B", "C"];

proptest! {
    #![proptest_config(crate::tries(150))]

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
            for (number, (ago, kind, here)) in history.iter().enumerate() {
                world.happens(&if *here { scope() } else { other() }, number, *ago, KINDS[*kind]);
            }
            for ask in asks {
                advance(Duration::from_secs(ask.pause)).await;
                let names: Vec<&str> = ask.kinds.iter().map(|kind| KINDS[*kind]).collect();
                let window = TimeRange::new(world.now - ask.from, world.now - ask.to + 1);
                let question = Question {
                    filter: if names.is_empty() { Arc::default() } else { named(&names) },
                    scopes: if ask.both { vec![scope(), other()] } else { vec![scope()] },
                    window: TimeRange::new(window.from, window.to.min(world.clock.now_secs() + 1)),
                    order: if ask.oldest_first { Order::OldestFirst } else { Order::NewestFirst },
                    page_events: ask.page,
                    max_staleness: Duration::from_secs(ask.staleness),
                    ..world.question()
                };
                let before = world.asked();
                let (events, stats) = world.all(question.clone()).await;
                assert_eq!(stats.upstream_calls, world.asked() - before);
                let mut expected: Vec<(i64, bool, usize)> = history.iter().enumerate()
                    .map(|(number, (ago, kind, here))| (world.now - ago, *here, number, *kind))
                    .filter(|(time, here, _, kind)| {
                        question.window.contains(*time)
                            && (ask.both || *here)
                            && (ask.kinds.is_empty() || ask.kinds.contains(kind))
                    })
                    // eu-west-1 sorts before us-east-1
                    .map(|(time, here, number, _)| (time, here, number))
                    .collect();
                expected.sort_unstable();
                if !ask.oldest_first {
                    expected.reverse();
                }
                let expected: Vec<usize> = expected.into_iter().map(|(_, _, number)| number).collect();
                assert_eq!(numbers(&events), expected, "{ask:?}");
            }
        });
    }
}
