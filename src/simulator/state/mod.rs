//! What changes while a simulator runs: histories, quotas, counters.

mod make;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::Arc,
};

use jiff::Timestamp;

use super::{
    DEFAULT_ACCOUNT, FaultKind, Options, Record, Refusal, ScopeStats, Stats,
    chance::{hash, unit},
    generate::Generator,
    history::{Body, Entry, Filed, History, attribute_hashes},
    quota::Bucket,
    stats::OperationStats,
};
use crate::{
    awsjson::Code,
    clock::Clock,
    event::{Category, Scope},
};

/// The most scopes that are kept apart: more than a server searches. AWS has a
/// few dozen Regions; requests can name any number of others.
const MAX_SCOPES: usize = 8192;

/// One scope's part.
#[derive(Debug)]
pub(super) struct ScopeState {
    management: History,
    insight: History,
    pub(super) bucket: Bucket,
    /// How many `LookupEvents` requests there were: what faults are drawn by.
    pub(super) lookups: u64,
    operations: BTreeMap<&'static str, OperationStats>,
}

impl ScopeState {
    fn new(options: &Options) -> Self {
        Self {
            management: History::new(options.seed),
            insight: History::new(options.seed),
            bucket: Bucket::new(options.rate),
            lookups: 0,
            operations: BTreeMap::new(),
        }
    }

    pub(super) fn history(&self, category: Category) -> &History {
        match category {
            Category::Management => &self.management,
            Category::Insight => &self.insight,
        }
    }

    fn history_mut(&mut self, category: Category) -> &mut History {
        match category {
            Category::Management => &mut self.management,
            Category::Insight => &mut self.insight,
        }
    }
}

/// Live generation: where it stands.
#[derive(Debug)]
struct Live {
    since: Timestamp,
    /// The number of the next event.
    next: u64,
}

/// Events on their way into the histories.
type Batches = HashMap<(Scope, Category), Vec<Filed>>;

#[derive(Debug)]
pub(super) struct State {
    accounts: BTreeSet<String>,
    suspended: BTreeSet<String>,
    scopes: HashMap<Scope, ScopeState>,
    /// Requests that belong to no scope that is served.
    strays: BTreeMap<&'static str, OperationStats>,
    /// How many events were added: what their delays are drawn by.
    added: u64,
    /// How many events were turned away for their scope.
    pub(super) left_out: u64,
    generator: Arc<Generator>,
    live: Live,
    /// How many tokens were given out.
    pub(super) tokens: u64,
    /// How many request ids were given out.
    pub(super) answers: u64,
}

impl State {
    pub(super) fn new(
        options: &Options,
        clock: &Clock,
        records: Vec<Record>,
        generator: Arc<Generator>,
    ) -> Self {
        let mut state = Self {
            accounts: options.accounts.iter().cloned().collect(),
            suspended: options.suspended.iter().cloned().collect(),
            scopes: HashMap::new(),
            strays: BTreeMap::new(),
            added: 0,
            left_out: 0,
            live: Live {
                since: clock.now(),
                next: options.synthetic,
            },
            generator,
            tokens: 0,
            answers: 0,
        };
        let makes_up = options.synthetic > 0 || !options.live.is_zero();
        let mut batches = Batches::new();
        for record in records {
            let Record {
                scope, category, ..
            } = &record;
            if !state.admit(options, scope) {
                continue;
            }
            let key = (scope.clone(), *category);
            let filed = state.file(options, record, None);
            batches.entry(key).or_default().extend(filed);
        }
        state.put(options, batches);
        if state.accounts.is_empty() || (options.accounts.is_empty() && makes_up) {
            state.accounts.insert(DEFAULT_ACCOUNT.to_owned());
        }
        state.make_up(options, clock.now_secs());
        if makes_up {
            // known from the start, with events or without
            for scope in state.generator.clone().scopes() {
                state.scope(options, scope);
            }
        }
        state
    }

    fn put(&mut self, options: &Options, batches: Batches) {
        for ((scope, category), batch) in batches {
            if let Some(scope) = self.scope(options, &scope) {
                scope.history_mut(category).extend(batch);
            }
        }
    }

    /// Whether events of the scope are kept; the account is served from now on
    /// if no accounts were named.
    fn admit(&mut self, options: &Options, scope: &Scope) -> bool {
        let admitted = self.serves(options, scope);
        self.left_out += u64::from(!admitted);
        admitted
    }

    fn serves(&mut self, options: &Options, scope: &Scope) -> bool {
        if !options.allow(scope) {
            return false;
        }
        if options.accounts.is_empty() && !self.accounts.contains(&*scope.account) {
            self.accounts.insert(scope.account.to_string());
        }
        self.accounts.contains(&*scope.account)
    }

    /// Adds one event, and says in how many places.
    pub(super) fn insert(
        &mut self,
        options: &Options,
        record: Record,
        visible_ms: Option<i64>,
    ) -> usize {
        if !self.admit(options, &record.scope) {
            return 0;
        }
        let (scope, category) = (record.scope.clone(), record.category);
        let filed = self.file(options, record, visible_ms);
        let Some(state) = self.scope(options, &scope) else {
            return 0;
        };
        let history = state.history_mut(category);
        let places = filed.len();
        for filed in filed {
            history.insert(filed);
        }
        places
    }

    fn file(&mut self, options: &Options, record: Record, visible_ms: Option<i64>) -> Vec<Filed> {
        let Some(time) = record.event.event_time else {
            return Vec::new();
        };
        let found_by = attribute_hashes(&record.event);
        self.places(
            options,
            time,
            visible_ms,
            Body::Held(record.event.into()),
            found_by,
        )
    }

    /// The one or two places of an event.
    fn places(
        &mut self,
        options: &Options,
        time: i64,
        visible_ms: Option<i64>,
        body: Body,
        found_by: Vec<u64>,
    ) -> Vec<Filed> {
        self.added += 1;
        let nth = self.added;
        let twice = options
            .faults
            .strike(options.seed, FaultKind::Duplicate, nth);
        let file = |copy: u8, body, found_by| Filed {
            entry: Entry {
                time,
                visible_ms: visible_ms.unwrap_or_else(|| appears_ms(options, time, (nth, copy))),
                body,
            },
            found_by,
        };
        let second = twice.then(|| file(1, body.clone(), found_by.clone()));
        let mut places = vec![file(0, body, found_by)];
        places.extend(second);
        places
    }

    /// A scope's part, made when it is first needed; `None` if it is not
    /// served.
    pub(super) fn scope(&mut self, options: &Options, scope: &Scope) -> Option<&mut ScopeState> {
        let is_served = self.accounts.contains(&*scope.account)
            && options.allow_region(&scope.region)
            && options.is_enabled(scope);
        if !is_served {
            return None;
        }
        if self.scopes.len() >= MAX_SCOPES && !self.scopes.contains_key(scope) {
            return None;
        }
        let new = || ScopeState::new(options);
        Some(self.scopes.entry(scope.clone()).or_insert_with(new))
    }

    /// Counts a request when it comes.
    pub(super) fn count_request(&mut self, options: &Options, scope: &Scope, name: &'static str) {
        self.operation(options, scope, name).requests += 1;
    }

    /// Counts how it went: so many events, or a refusal.
    pub(super) fn count_outcome(
        &mut self,
        options: &Options,
        scope: &Scope,
        name: &'static str,
        outcome: Result<u64, &Refusal>,
    ) {
        let operation = self.operation(options, scope, name);
        match outcome {
            Ok(events) => operation.events += events,
            Err(refusal) => {
                operation.refused += 1;
                let code = match refusal {
                    Refusal::Disconnect => "Disconnect",
                    Refusal::Error(error) => {
                        operation.throttled += u64::from(error.code == Code::Throttling);
                        error.code.as_str()
                    }
                };
                *operation.errors.entry(code).or_default() += 1;
            }
        }
    }

    fn operation(
        &mut self,
        options: &Options,
        scope: &Scope,
        name: &'static str,
    ) -> &mut OperationStats {
        // asked twice, since a borrow that is returned from one branch lasts
        // through the other
        if self.scope(options, scope).is_none() {
            return self.strays.entry(name).or_default();
        }
        let new = || ScopeState::new(options);
        let scope = self.scopes.entry(scope.clone()).or_insert_with(new);
        scope.operations.entry(name).or_default()
    }

    pub(super) fn stats(&self) -> Stats {
        let mut scopes: Vec<_> = self.scopes.iter().collect();
        scopes.sort_by_key(|(scope, _)| *scope);
        let mut stats = Stats::default();
        for (scope, state) in scopes {
            let records = state.management.len() + state.insight.len();
            stats.add(ScopeStats {
                account: scope.account.to_string(),
                region: scope.region.to_string(),
                records: u64::try_from(records).unwrap_or(u64::MAX),
                operations: state.operations.clone(),
            });
        }
        if !self.strays.is_empty() {
            stats.add(ScopeStats {
                operations: self.strays.clone(),
                ..ScopeStats::default()
            });
        }
        stats
    }

    pub(super) fn accounts(&self) -> Vec<String> {
        self.accounts.iter().cloned().collect()
    }

    /// The account of an access key: the one of its 12 digits, else the only
    /// one.
    pub(super) fn account_of(&self, access_key: &str) -> Option<String> {
        if self.suspended.contains(access_key) {
            return None;
        }
        if self.accounts.contains(access_key) {
            return Some(access_key.to_owned());
        }
        let mut accounts = self.accounts.iter();
        accounts
            .next()
            .filter(|_| accounts.next().is_none())
            .cloned()
    }

    /// The organisation's accounts in order, and whether each is active.
    pub(super) fn organization(&self) -> Vec<(String, bool)> {
        self.accounts
            .union(&self.suspended)
            .map(|account| (account.clone(), !self.suspended.contains(account)))
            .collect()
    }

    /// Suspends an account, or ends that: it is served from then on.
    pub(super) fn suspend(&mut self, account: &str, suspended: bool) {
        if suspended {
            self.suspended.insert(account.to_owned());
        } else {
            self.suspended.remove(account);
            self.accounts.insert(account.to_owned());
        }
    }

    pub(super) fn regions(&self, options: &Options) -> Vec<String> {
        let with_events = self
            .scopes
            .iter()
            .filter(|(_, state)| state.management.len() + state.insight.len() > 0)
            .map(|(scope, _)| scope.region.to_string());
        let regions: BTreeSet<String> = if options.regions.is_empty() {
            with_events.collect()
        } else {
            options.regions.iter().cloned().collect()
        };
        regions.into_iter().collect()
    }
}

/// When an event appears, in milliseconds since the Unix epoch.
fn appears_ms(options: &Options, time: i64, key: (u64, u8)) -> i64 {
    const MINUTE_MS: f64 = 60_000.0;
    let Options {
        seed,
        faults,
        delay,
        ..
    } = options;
    let draw = |what: &str| unit(hash((seed, what, key)));
    let mut after_ms = delay.as_secs_f64() * 1000.0 * (0.75 + 0.5 * draw("delay"));
    if faults.strike(*seed, FaultKind::Late, key) {
        after_ms = after_ms.max(MINUTE_MS * (20.0 + 40.0 * draw("late")));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "saturates far beyond any time"
    )]
    time.saturating_mul(1000).saturating_add(after_ms as i64)
}
