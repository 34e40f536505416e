//! Whatever happens, subscribes, falls behind, comes back and dies: nothing is
//! lost, and nothing comes twice that does not say so.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;
use crate::simulator::{Fault, FaultKind};

/// What goes wrong now and then.
const FAULTS: [Fault; 6] = [
    Fault::Chance(FaultKind::ShortPage, 0.2),
    Fault::Chance(FaultKind::Duplicate, 0.1),
    Fault::Chance(FaultKind::ExpiredToken, 0.1),
    Fault::Chance(FaultKind::ServerError, 0.05),
    Fault::Chance(FaultKind::Disconnect, 0.05),
    Fault::Chance(FaultKind::Throttle, 0.1),
];

/// How late AWS may tell of an event, in seconds, and the horizon.
const HORIZON: i64 = 60;
const KINDS: [&str; 3] = ["A", "B", "C"];
const REGIONS: [&str; 2] = ["us-east-1", "eu-west-1"];
/// How long things happen, in seconds.
const LONG: i64 = 600;

#[derive(Clone, Debug)]
struct Happening {
    at: i64,
    late: i64,
    kind: usize,
    place: usize,
    corrected_after: Option<i64>,
}

#[derive(Clone, Debug)]
enum Action {
    Subscribe {
        kinds: BTreeSet<usize>,
        place: Option<usize>,
        ago: Option<i64>,
    },
    /// Reads so many items, waiting for each so many seconds.
    Read(usize, usize, u64),
    /// Comes back with one of its last tokens.
    Resume(usize, usize),
    /// Hangs up.
    Drop(usize),
    Wait(u64),
    Restart,
    /// Dies, and again once some have come back and each has read so many items; the
    /// second since which its events are known is one in which much happened.
    Flap(i64, usize),
}

#[derive(Clone, Debug)]
struct Conditions {
    seed: u64,
    is_metered: bool,
    is_faulty: bool,
    log: u64,
    cache: u64,
    linger: u64,
}

fn happenings() -> impl Strategy<Value = Vec<Happening>> {
    let at = prop_oneof![-300_i64..LONG, -70_i64..70, 100_i64..102, 100_i64..102];
    let late = prop_oneof![Just(0), 0_i64..10, 0..HORIZON - 1];
    let corrected = prop::option::weighted(0.05, 0..HORIZON / 2);
    let one = (at, late, 0_usize..3, 0_usize..2, corrected);
    let one = one.prop_map(|(at, late, kind, place, corrected_after)| Happening {
        at,
        late,
        kind,
        place,
        corrected_after,
    });
    prop::collection::vec(one, 0..250)
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    let who = || 0_usize..4;
    let subscribe = (
        prop::collection::btree_set(0_usize..3, 0..3),
        prop::option::weighted(0.3, 0_usize..2),
        prop::option::weighted(0.6, 0_i64..400),
    );
    let subscribe =
        subscribe.prop_map(|(kinds, place, ago)| Action::Subscribe { kinds, place, ago });
    let action = prop_oneof![
        3 => subscribe,
        6 => (who(), 1_usize..20, 1_u64..30).prop_map(|(who, items, wait)| Action::Read(who, items, wait)),
        2 => (who(), 0_usize..4).prop_map(|(who, back)| Action::Resume(who, back)),
        1 => who().prop_map(Action::Drop),
        3 => (0_u64..90).prop_map(Action::Wait),
        1 => Just(Action::Restart),
        1 => (98_i64..103, 1_usize..8).prop_map(|(second, items)| Action::Flap(second, items)),
    ];
    prop::collection::vec(action, 1..25)
}

fn conditions() -> impl Strategy<Value = Conditions> {
    let bools = (any::<bool>(), any::<bool>());
    let log = prop_oneof![Just(64_000_000_u64), Just(20_000), Just(1)];
    let cache = prop_oneof![Just(100_000_000_u64), Just(1)];
    let linger = prop_oneof![Just(600_u64), Just(5)];
    (any::<u64>(), bools, log, cache, linger).prop_map(
        |(seed, (is_metered, is_faulty), log, cache, linger)| Conditions {
            seed,
            is_metered,
            is_faulty,
            log,
            cache,
            linger,
        },
    )
}

/// One subscriber, over its streams.
struct Lineage {
    kinds: BTreeSet<usize>,
    place: Option<usize>,
    /// Nothing before is asked for.
    since: Option<i64>,
    /// When it subscribed.
    begun: i64,
    /// Something may be on its way to it: it came back, or its scopes were being
    /// collected when it came.
    is_late: bool,
    told: Vec<Told>,
    /// How far it was told that all is settled: a client forgets what is before.
    settled: BTreeMap<Scope, i64>,
    tokens: Vec<(Start, usize, BTreeMap<Scope, i64>)>,
    stream: Option<Stream>,
    filter: Arc<Filter>,
}

/// An event, and whether it is a correction.
type Told = (usize, bool);

impl Lineage {
    fn regions(&self) -> Vec<String> {
        let place = self.place.and_then(|place| REGIONS.get(place));
        place.iter().map(|&&region| region.to_owned()).collect()
    }

    /// Reads one item; whether one came in time, and whether more is to be expected.
    async fn read(&mut self, seconds: u64) -> Result<Option<bool>, TestCaseError> {
        let Some(stream) = &mut self.stream else {
            return Ok(None);
        };
        let item = timeout(Duration::from_secs(seconds), stream.subscription.next()).await;
        // as a shutdown ends it, which may be at any moment
        let (item, is_last) = match item {
            Ok(item) => (item, false),
            Err(_) => (stream.subscription.last(), true),
        };
        // history that is being read may wait for long between two batches
        let is_busy = match &item {
            Item::Progress(standing) => standing.iter().any(|standing| standing.is_replayed),
            Item::Batch(_) | Item::Gap(_) => true,
        };
        match item {
            Item::Gap(gap) => prop_assert!(false, "{gap:?}"),
            Item::Progress(standing) => {
                for standing in standing {
                    let settled = self.settled.entry(standing.scope).or_insert(i64::MIN);
                    *settled = standing.settled.max(*settled);
                }
            }
            Item::Batch(batch) => {
                for event in &*batch.events {
                    let told = (number(event), event.is_addendum());
                    let is_repeat = self.told.contains(&told);
                    prop_assert!(
                        !is_repeat || batch.may_repeat,
                        "{told:?} comes again, at {}",
                        event.time
                    );
                    let settled = self.settled.get(&event.scope());
                    prop_assert!(
                        !is_repeat || settled.is_none_or(|settled| event.time >= *settled),
                        "{told:?} comes again, at {} before {settled:?}",
                        event.time
                    );
                    if !is_repeat {
                        self.told.push(told);
                    }
                }
            }
        }
        let token = stream.token();
        self.tokens
            .push((token, self.told.len(), self.settled.clone()));
        Ok((!is_last).then_some(is_busy))
    }

    fn resume(&mut self, world: &World, back: usize) {
        let place = self.tokens.len().checked_sub(1 + back);
        let Some((token, told, settled)) = place.and_then(|place| self.tokens.get(place)).cloned()
        else {
            return;
        };
        self.stream = None;
        self.told.truncate(told);
        self.settled = settled;
        self.tokens.truncate(place.unwrap_or_default() + 1);
        self.is_late = true;
        self.stream = Some(world.subscribe(&self.filter, &self.regions(), token));
    }

    fn wants(&self, happening: &Happening) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&happening.kind))
            && self.place.is_none_or(|place| place == happening.place)
    }

    /// What must have come, and what may have.
    fn check(&self, happenings: &[Happening]) -> Result<(), TestCaseError> {
        let mut told: BTreeMap<usize, BTreeSet<bool>> = BTreeMap::new();
        for (number, is_corrected) in &self.told {
            told.entry(*number).or_default().insert(*is_corrected);
        }
        for (number, happening) in happenings.iter().enumerate() {
            let told = told.remove(&number).unwrap_or_default();
            let Happening {
                at,
                late,
                corrected_after,
                ..
            } = *happening;
            let is_corrected = corrected_after.is_some();
            let visible = at + late;
            let (must, may) = match self.since {
                Some(since) => (at >= since, at >= since),
                // what was there already is not asked for, what comes later is
                None => (
                    at >= self.begun + i64::from(self.is_late) || visible > self.begun + 60,
                    at >= self.begun || visible >= self.begun || is_corrected || self.is_late,
                ),
            };
            let (must, may) = (must && self.wants(happening), may && self.wants(happening));
            prop_assert!(
                !must || told.contains(&is_corrected),
                "{number} ({happening:?}) is lost; begun at {}, since {:?}: {told:?}",
                self.begun,
                self.since
            );
            prop_assert!(
                may || told.is_empty(),
                "{number} ({happening:?}) was not asked for; begun at {}, since {:?}",
                self.begun,
                self.since
            );
        }
        prop_assert!(told.is_empty(), "{told:?}");
        Ok(())
    }
}

fn restart(world: &mut World, all: &mut [Lineage]) {
    all.iter_mut().for_each(|lineage| lineage.stream = None);
    world.restart();
}

async fn run(
    happenings: Vec<Happening>,
    actions: Vec<Action>,
    conditions: Conditions,
) -> Result<(), TestCaseError> {
    let setup = Setup {
        rate: if conditions.is_metered { 2 } else { 0 },
        share: None,
        horizon: HORIZON.unsigned_abs(),
        log: conditions.log,
        cache: conditions.cache,
        regions: REGIONS.to_vec(),
        options: Options {
            linger: Duration::from_secs(conditions.linger),
            ..Options::default()
        },
        faults: match conditions.is_faulty {
            true => FAULTS.into_iter().collect(),
            false => simulator::Faults::default(),
        },
        seed: conditions.seed,
        bucket: None,
    };
    let mut world = setup.build();
    let places = REGIONS.map(scope);
    for (number, happening) in happenings.iter().enumerate() {
        let Happening {
            at,
            late,
            kind,
            place,
            corrected_after,
        } = *happening;
        world.happens(&places[place], number, at, late, KINDS[kind]);
        if let Some(after) = corrected_after {
            let told = at + (late + after).min(HORIZON - 1);
            let rest = ",\"addendum\":{\"reason\":\"UPDATED_DATA\"}";
            world.tells(&places[place], number, at, told, KINDS[kind], rest);
        }
    }
    let mut all: Vec<Lineage> = Vec::new();
    for action in actions {
        match action {
            Action::Subscribe { .. } if all.len() >= 4 => {}
            Action::Subscribe { kinds, place, ago } => {
                let names: Vec<&str> = kinds.iter().map(|kind| KINDS[*kind]).collect();
                let mut lineage = Lineage {
                    since: ago.map(|ago| world.now() - ago),
                    begun: world.now(),
                    is_late: !world.gateway.feed.scopes().is_empty(),
                    told: Vec::new(),
                    settled: BTreeMap::new(),
                    tokens: Vec::new(),
                    stream: None,
                    filter: of_kinds(&names),
                    kinds,
                    place,
                };
                let start = match lineage.since {
                    Some(since) => Start::Time(world.start + since),
                    None => Start::Now,
                };
                lineage.stream = Some(world.subscribe(&lineage.filter, &lineage.regions(), start));
                // how to come back is told at once
                prop_assert!(lineage.read(1).await?.is_some());
                all.push(lineage);
            }
            Action::Read(who, items, seconds) => {
                if let Some(lineage) = all.get_mut(who) {
                    for _ in 0..items {
                        if lineage.read(seconds).await?.is_none() {
                            break;
                        }
                    }
                }
            }
            Action::Resume(who, back) => {
                if let Some(lineage) = all.get_mut(who) {
                    lineage.resume(&world, back);
                }
            }
            Action::Drop(who) => {
                if let Some(lineage) = all.get_mut(who) {
                    lineage.stream = None;
                }
            }
            Action::Wait(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
            Action::Restart => restart(&mut world, &mut all),
            Action::Flap(second, items) => {
                // a horizon, and a minute for what others have read
                let wait = second + HORIZON + 60 - world.now();
                pass(wait.max(0).unsigned_abs()).await;
                restart(&mut world, &mut all);
                for lineage in &mut all {
                    lineage.resume(&world, 0);
                    for _ in 0..items {
                        lineage.read(1).await?;
                    }
                }
                restart(&mut world, &mut all);
            }
        }
    }
    for lineage in &mut all {
        if lineage.stream.is_none() {
            lineage.resume(&world, 0);
        }
    }
    // all has happened, was told and is settled
    let end = (LONG - world.now()).max(0) + 4 * HORIZON + 120;
    tokio::time::sleep(Duration::from_secs(end.unsigned_abs())).await;
    for lineage in &mut all {
        let mut quiet = 0;
        while quiet < 5 {
            let read = lineage.read(3600).await?;
            prop_assert!(read.is_some());
            quiet = if read == Some(true) { 0 } else { quiet + 1 };
        }
        lineage.check(&happenings)?;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: std::env::var("PROPTEST_CASES").ok().and_then(|n| n.parse().ok()).unwrap_or(150),
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn nothing_is_lost_and_nothing_comes_twice(
        happenings in happenings(),
        actions in actions(),
        conditions in conditions(),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_time()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(run(happenings, actions, conditions))?;
    }
}
