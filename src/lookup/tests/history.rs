//! Whatever happened, was asked before, and goes wrong: no answer has events
//! missing that it does not admit.

use proptest::prelude::*;

use std::collections::HashSet;

use super::{
    kept::{Kept, as_found},
    *,
};
use crate::simulator::{
    Fault::{Chance, Denied},
    FaultKind,
};

/// The horizon in seconds: AWS tells of an event no later, as a rule.
const HORIZON: i64 = 900;
const KINDS: [&str; 3] = ["A", "B", "C"];
const REGIONS: [&str; 3] = ["us-east-1", "eu-west-1", "ap-south-1"];

/// An event: how long before the start (or after), how much later AWS tells of it,
/// of what kind, where, and whether a corrected record follows.
#[derive(Clone, Debug)]
struct Happening {
    ago: i64,
    late: i64,
    kind: usize,
    place: usize,
    corrected_after: Option<i64>,
}

/// What goes wrong, and what the gateway is like.
#[derive(Clone, Debug)]
struct Conditions {
    seed: u64,
    is_faulty: bool,
    is_denied: bool,
    /// With the quota's meter, on both sides.
    is_metered: bool,
    token_ttl: Option<u64>,
    cache: u64,
    kept: Option<Keeping>,
}

/// What is kept for good: stretches so long ago, by log files or not.
#[derive(Clone, Debug)]
struct Keeping {
    edges: BTreeSet<i64>,
    is_found: bool,
    page: usize,
    fails: u64,
}

/// All that AWS ever tells of it, it has told so many seconds later.
const KEPT_AFTER: i64 = 12_000;

fn keepings() -> impl Strategy<Value = Option<Keeping>> {
    let edges = prop::collection::btree_set(KEPT_AFTER..25 * DAY, 1..7);
    let one = (edges, any::<bool>(), 1_usize..40, 0_u64..4);
    let one = one.prop_map(|(edges, is_found, page, fails)| Keeping {
        edges,
        is_found,
        page,
        fails,
    });
    prop::option::of(one)
}

/// A question, and how it is asked.
#[derive(Clone, Debug)]
struct Ask {
    from: i64,
    to: i64,
    kinds: BTreeSet<usize>,
    /// By a field that AWS has no attribute for.
    is_by_path: bool,
    is_oldest_first: bool,
    page: usize,
    places: BTreeSet<usize>,
    staleness: u64,
    calls: u64,
    /// The time for a page, in milliseconds.
    patience: u64,
    /// Seconds between pages.
    pause: u64,
    /// Hangs up after so many milliseconds.
    hangs_up: Option<u64>,
    reads_all: bool,
}

impl Ask {
    /// A slice from the old end is read whole, and of several scopes each is read.
    /// Where nothing of it is kept, a page that may not buy so much gets nowhere.
    fn may_be_stuck(&self) -> bool {
        let is_held_to_less = self.calls < 1_000 || self.patience < 3_600_000;
        is_held_to_less && (self.is_oldest_first || self.places.len() > 1)
    }
}

fn happenings(is_later_than_habit: bool) -> impl Strategy<Value = Vec<Happening>> {
    let ago = prop_oneof![
        -2_000_i64..20,
        600_i64..1_500,
        // a crowded second or two
        5_000_i64..5_002,
        5_000_i64..5_002,
        0_i64..20 * DAY,
    ];
    let late = match is_later_than_habit {
        false => prop_oneof![Just(0), 0..HORIZON].boxed(),
        true => prop_oneof![Just(0), 0..HORIZON, HORIZON..8_000].boxed(),
    };
    let corrected = prop::option::weighted(0.05, 0_i64..2_000);
    let one = (ago, late, 0_usize..3, 0_usize..3, corrected);
    let one = one.prop_map(|(ago, late, kind, place, corrected_after)| Happening {
        ago,
        late,
        kind,
        place,
        corrected_after,
    });
    prop::collection::vec(one, 0..300)
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let bools = (any::<bool>(), prop::bool::weighted(0.2), any::<bool>());
    let ttl = prop::option::weighted(0.3, 1_u64..60);
    let cache = prop_oneof![Just(100_000_000_u64), Just(60_000), Just(1)];
    (any::<u64>(), bools, ttl, cache, keepings()).prop_map(
        |(seed, (is_faulty, is_denied, is_metered), token_ttl, cache, kept)| Conditions {
            kept,
            seed,
            is_faulty,
            is_denied,
            is_metered,
            token_ttl,
            cache,
        },
    )
}

/// Rounds of questions that are asked at once, and the pauses before them.
fn rounds() -> impl Strategy<Value = Vec<(u64, Vec<Ask>)>> {
    let edge = || {
        prop_oneof![
            -2_100_i64..30,
            500_i64..1_600,
            4_990_i64..5_010,
            0_i64..30 * DAY
        ]
    };
    let what = (
        (edge(), edge()),
        prop::collection::btree_set(0_usize..3, 0..4),
        any::<bool>(),
        any::<bool>(),
        prop::collection::btree_set(0_usize..3, 1..4),
    );
    let how = (
        1_usize..120,
        prop_oneof![Just(0_u64), Just(30), Just(3_600)],
        prop_oneof![Just(1_000_u64), 1_u64..6],
        prop_oneof![Just(3_600_000_u64), 500_u64..9_000],
        prop_oneof![Just(0_u64), 0_u64..100],
        prop::option::weighted(0.1, 0_u64..4_000),
        any::<bool>(),
    );
    let ask = (what, how).prop_map(|(what, how)| {
        let ((a, b), kinds, is_by_path, is_oldest_first, places) = what;
        let (page, staleness, calls, patience, pause, hangs_up, reads_all) = how;
        Ask {
            from: a.max(b),
            to: a.min(b),
            kinds,
            is_by_path,
            is_oldest_first,
            page,
            places,
            staleness,
            calls,
            patience,
            pause,
            hangs_up,
            reads_all,
        }
    });
    prop::collection::vec((0_u64..2_000, prop::collection::vec(ask, 1..4)), 1..5)
}

/// An event as it happened, and since when AWS tells of it.
struct Happened {
    event: Event,
    kind: usize,
    place: usize,
    visible: Timestamp,
}

fn places() -> [Scope; 3] {
    REGIONS.map(|region| Scope::new("111122223333", region))
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

impl World {
    fn record(&self, all: &mut Vec<Happened>, happening: &Happening) {
        let Happening {
            ago,
            late,
            kind,
            place,
            corrected_after,
        } = *happening;
        let (time, number, scope) = (self.now - ago, all.len(), &places()[place]);
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let mut tell = |visible: Timestamp, addendum: &str| {
            let event = LookupEvent {
                event_id: Some(id.clone()),
                event_name: Some(KINDS[kind].to_owned()),
                event_time: Some(time),
                record: Some(format!(
                    "{{\"eventID\":\"{id}\",\"eventTime\":\"{}\",\"eventName\":\"{}\",\"awsRegion\":\"{}\",\"requestParameters\":{{\"kind\":\"{}\"}}{addendum}}}",
                    at(time),
                    KINDS[kind],
                    REGIONS[place],
                    KINDS[kind],
                )),
                ..LookupEvent::default()
            };
            let inserted = self.simulator.insert(scope, event.clone(), Some(visible));
            assert_ne!(inserted, 0);
            all.push(Happened {
                event: Event::from_lookup(scope, event, 0),
                kind,
                place,
                visible,
            });
        };
        let visible = at(time + late);
        tell(visible, "");
        if let Some(after) = corrected_after {
            let addendum = ",\"addendum\":{\"reason\":\"UPDATED_DATA\"}";
            let visible = at(time + late + after);
            tell(visible, addendum);
        }
    }

    /// What is kept of it.
    fn kept(&self, keeping: &Keeping, happened: &[Happened]) -> Arc<Kept> {
        let edges: Vec<i64> = keeping
            .edges
            .iter()
            .rev()
            .map(|ago| self.now - ago)
            .collect();
        let (pairs, _) = edges.as_chunks::<2>();
        let mut kept = Kept {
            spans: pairs
                .iter()
                .map(|[from, to]| TimeRange::new(*from, *to))
                .collect(),
            page: keeping.page,
            fails: keeping.fails,
            ..Kept::default()
        };
        for it in happened {
            kept.keep(&places()[it.place], &it.event, keeping.is_found);
        }
        Arc::new(kept)
    }

    fn question_of(&self, ask: &Ask) -> Question {
        let names: Vec<&str> = ask.kinds.iter().map(|kind| KINDS[*kind]).collect();
        let field = match ask.is_by_path {
            true => "requestParameters.kind",
            false => "eventName",
        };
        let now = self.clock.now_secs();
        let window = TimeRange::new(self.now - ask.from, self.now - ask.to + 1);
        Question {
            filter: match names.is_empty() {
                true => Arc::default(),
                false => having(field, &names),
            },
            scopes: ask
                .places
                .iter()
                .map(|place| places()[*place].clone())
                .collect(),
            // nobody asks for the future
            window: TimeRange::new(window.from.min(now), window.to.min(now + 1)),
            order: match ask.is_oldest_first {
                true => Order::OldestFirst,
                false => Order::NewestFirst,
            },
            page_events: ask.page,
            max_staleness: Duration::from_secs(ask.staleness),
            max_upstream_calls: ask.calls,
            reads_all: ask.reads_all,
            ..self.question()
        }
    }

    /// Asks for all pages, and looks at each. What they say that they bought;
    /// `None` where a refusal did not say it.
    async fn follow(&self, happened: &[Happened], ask: &Ask, holds_little: bool) -> Option<u64> {
        let mut question = self.question_of(ask);
        let mut told = Told::default();
        let (mut tries, mut stuck) = (0, 0);
        let mut bought = Some(0);
        loop {
            question.now = self.clock.now();
            question.deadline = Clock::deadline(Duration::from_millis(ask.patience));
            let answer = match self.lookup.ask(&question).await {
                Ok(answer) => answer,
                Err(Error::Exhausted { wait, .. }) if tries < 50 => {
                    (tries, bought) = (tries + 1, None);
                    sleep(wait).await;
                    continue;
                }
                Err(Error::Unavailable { .. } | Error::Credentials { .. }) if tries < 50 => {
                    (tries, bought) = (tries + 1, None);
                    sleep(Duration::from_secs(4)).await;
                    continue;
                }
                // it says so
                Err(_) => return None,
            };
            bought = bought.map(|bought| bought + answer.stats.upstream_calls);
            told.note(question.order, &answer.events);
            check(happened, ask, &question, &answer, &told, self.clock.now());
            let before = question.after.clone();
            question.follow(&answer);
            stuck = if question.after == before {
                stuck + 1
            } else {
                0
            };
            if stuck > 100 && holds_little && ask.may_be_stuck() {
                return bought;
            }
            if answer.next.is_none() {
                check_end(ask, &question, &answer);
                return bought;
            }
            tries += 1;
            assert!(
                tries < 5_000 && stuck < 1_000,
                "pages without end: {stuck} at {:?}, {ask:?}, {:?}",
                question.after,
                answer.scopes
            );
            // who got nowhere waits a moment
            let pause = ask.pause.max(u64::from(stuck > 0));
            sleep(Duration::from_secs(pause)).await;
        }
    }
}

/// What a chain of pages has told.
#[derive(Default)]
struct Told {
    last: Option<Arc<Event>>,
    /// By id, and whether as corrected.
    events: HashSet<(String, bool)>,
}

impl Told {
    /// Each once, and in order.
    fn note(&mut self, order: Order, events: &[Arc<Event>]) {
        for event in events {
            if let Some(last) = &self.last {
                let (last_at, at) = (last.position(), event.position());
                assert!(is_before(order, last, event), "{last_at:?} before {at:?}");
            }
            self.last = Some(Arc::clone(event));
            self.events
                .insert((event.id().to_owned(), event.is_addendum()));
        }
    }

    fn has(&self, event: &Event) -> bool {
        let [plain, corrected] =
            [false, true].map(|is| self.events.contains(&(event.id().to_owned(), is)));
        // a correction stands for what it corrects
        corrected || (plain && !event.is_addendum())
    }
}

/// In the order asked for, `a` before `b`?
fn is_before(order: Order, a: &Event, b: &Event) -> bool {
    match order {
        Order::NewestFirst => a.cmp_position(b).is_gt(),
        Order::OldestFirst => a.cmp_position(b).is_lt(),
    }
}

/// A page: what it tells is right, and nothing is missing that it claims.
fn check(
    happened: &[Happened],
    ask: &Ask,
    question: &Question,
    answer: &Answer,
    told: &Told,
    now: Timestamp,
) {
    assert!(answer.events.len() <= ask.page);
    let is_asked = |it: &Happened| {
        question.window.contains(it.event.time)
            && ask.places.contains(&it.place)
            && (ask.kinds.is_empty() || ask.kinds.contains(&it.kind))
    };
    for event in &answer.events {
        let mut all = happened.iter();
        let it = all.find(|it| it.event.hash() == event.hash());
        let it = it.expect("it happened");
        let found = as_found(&places()[it.place], &it.event);
        assert!(it.event == **event || found == **event);
        assert!(is_asked(it) && it.visible <= now);
    }
    for told_of in &answer.scopes {
        let TimeRange { from, to } = told_of.searched;
        let place = REGIONS
            .iter()
            .position(|region| **region == *told_of.scope.region);
        let stale = question
            .asked_at
            .saturating_sub(question.max_staleness)
            .unwrap();
        if let Some(unsettled) = told_of.unsettled_as_of {
            let slack = SignedDuration::from_secs(1);
            assert!(unsettled + slack >= stale, "older than was allowed");
            assert!(told_of.as_of <= unsettled);
        }
        // who failed before is not searched on this page: what it claimed is said
        // by pages before
        if matches!(
            told_of.state,
            ScopeState::Failed(_) | ScopeState::FailedBefore(_)
        ) {
            continue;
        }
        for it in happened
            .iter()
            .filter(|it| Some(it.place) == place && is_asked(it))
        {
            let is_claimed = (from..to).contains(&it.event.time)
                && it.visible <= told_of.as_of
                && answer
                    .next
                    .as_ref()
                    .is_none_or(|next| match question.order {
                        Order::NewestFirst => it.event.cmp_to(next).is_ge(),
                        Order::OldestFirst => it.event.cmp_to(next).is_le(),
                    });
            if !is_claimed {
                continue;
            }
            let event = &it.event;
            assert!(told.has(event), "{event:?} is claimed, and never came");
        }
    }
}

/// The last page: every scope was searched whole, or says that it failed.
fn check_end(ask: &Ask, question: &Question, answer: &Answer) {
    for scope in &answer.scopes {
        match &scope.state {
            ScopeState::Complete => {}
            ScopeState::Failed(_) | ScopeState::FailedBefore(_) => continue,
            ScopeState::Partial(reason) => panic!("{reason:?} at the end"),
        }
        let window = question.window;
        if window.is_empty() {
            continue;
        }
        assert!(scope.searched.from <= window.from, "{scope:?} of {window}");
        let stale = question.asked_at.as_second() - i64::try_from(ask.staleness).unwrap();
        assert!(
            scope.searched.to >= window.to.min(stale),
            "{scope:?} of {window}"
        );
    }
}

fn run(happenings: &[Happening], conditions: &Conditions, rounds: &[(u64, Vec<Ask>)]) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_time()
        .start_paused(true)
        .build()
        .unwrap();
    runtime.block_on(async {
        let mut setup = match conditions.is_metered {
            true => Setup::default(),
            false => Setup::unmetered(),
        };
        setup.cache = conditions.cache;
        setup.simulator.seed = conditions.seed;
        setup.simulator.token_ttl = conditions.token_ttl.map(Duration::from_secs);
        setup.simulator.slow_by = Duration::from_secs(3);
        let mut faults = Vec::new();
        if conditions.is_faulty {
            faults.extend([
                Chance(FaultKind::ShortPage, 0.2),
                Chance(FaultKind::Duplicate, 0.1),
                Chance(FaultKind::ExpiredToken, 0.1),
                Chance(FaultKind::ServerError, 0.05),
                Chance(FaultKind::Disconnect, 0.05),
                Chance(FaultKind::Slow, 0.1),
                Chance(FaultKind::ExpiredCredentials, 0.02),
            ]);
            // those would count as the meter's
            if !conditions.is_metered {
                faults.push(Chance(FaultKind::Throttle, 0.1));
            }
        }
        if conditions.is_denied {
            faults.push(Denied(REGIONS[2].into()));
        }
        setup.simulator.faults = Faults::from_iter(faults);
        let world = setup.build();
        let holds_little = conditions.cache < 100_000_000;
        let mut happened = Vec::new();
        for happening in happenings {
            world.record(&mut happened, happening);
        }
        if let Some(keeping) = &conditions.kept {
            assert!(world.lookup.keep_past(world.kept(keeping, &happened)));
        }
        let mut said = Some(0);
        for (pause, asks) in rounds {
            sleep(Duration::from_secs(*pause)).await;
            let asked = asks.iter().map(|ask| async {
                let whole = world.follow(&happened, ask, holds_little);
                match ask.hangs_up {
                    Some(after) => {
                        let after = Duration::from_millis(after);
                        tokio::time::timeout(after, whole).await.ok().flatten()
                    }
                    None => whole.await,
                }
            });
            for bought in join_all(asked).await {
                said = said.zip(bought).map(|(said, bought)| said + bought);
            }
        }
        // what was bought for those who hung up comes to its end
        sleep(Duration::from_secs(60)).await;
        let stats = world.simulator.stats();
        if conditions.is_metered {
            assert_eq!(stats.throttled, 0, "nobody else uses the quota");
        }
        assert_eq!(world.lookup.walks().1, 0, "nothing is left under way");
        let mut bought = 0;
        for scope in places() {
            let budget = world.lookup.upstream.budget(&scope).stats();
            assert_eq!(budget.all_waiting(), 0, "nobody waits");
            bought += budget.bought;
        }
        assert_eq!(bought, stats.requests, "every request was bought");
        if let Some(said) = said {
            assert_eq!(said, bought, "and is somebody's");
        }
    });
}

/// A thousand each time; more where the environment says so.
fn cases() -> ProptestConfig {
    let config = ProptestConfig::default();
    ProptestConfig {
        cases: config.cases.max(1_000),
        ..config
    }
}

proptest! {
    #![proptest_config(cases())]

    #[test]
    fn nothing_is_missing_that_is_not_admitted(
        happenings in happenings(false),
        conditions in conditions(),
        rounds in rounds(),
    ) {
        run(&happenings, &conditions, &rounds);
    }

    /// AWS is later than its habit: what is missing is later than the answer.
    #[test]
    fn what_aws_tells_too_late_is_later_than_the_answer(
        happenings in happenings(true),
        conditions in conditions(),
        rounds in rounds(),
    ) {
        run(&happenings, &conditions, &rounds);
    }
}
