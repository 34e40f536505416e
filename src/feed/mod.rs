//! The feed: the append-only log of arriving events that subscriptions read by
//! position.
//!
//! Events enter once, whoever brings them: one shared index says by identity
//! what is new. There is no queue for each subscriber; a subscriber is a
//! position. Whoever falls behind what the log holds reads history instead, and
//! the index says which of it was in the log and where.

mod batches;
mod gaps;
mod group;
mod index;
mod log;
mod missed;
mod pace;
mod replay;
mod scopes;
mod selection;
mod subscription;
mod token;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use rand::RngExt;
use tokio::sync::{Semaphore, watch};

use self::{
    batches::Batches,
    gaps::{GapCounts, Gaps},
    group::Groups,
    index::{Index, Verdict},
    log::{Arrived, Entry, Log},
    pace::Readers,
    scopes::Scopes,
};
pub use self::{
    gaps::{Gap, GapReason},
    log::Position,
    missed::{FilePage, FilePlace, FindScopes, LogFiles},
    selection::Selection,
    subscription::{Batch, Item, Settings, Standing, Start, StartError, Subscription},
    token::{ResumeToken, TokenError},
};
use crate::{
    clock::Clock,
    event::{Event, Scope, TimeRange},
};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use token::oracle;

/// Settings of the feed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most bytes of events that the log holds.
    pub max_bytes: u64,
    /// How long an event may take to be told.
    pub horizon: Duration,
}

impl Default for Options {
    /// 64 MB, some 35,000 events: at twenty a second half an hour. 15 minutes, as
    /// coverage has it.
    fn default() -> Self {
        Self {
            max_bytes: 64_000_000,
            horizon: Duration::from_secs(900),
        }
    }
}

/// What the feed holds and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes that the log holds.
    pub bytes: u64,
    /// Positions that the log holds.
    pub entries: u64,
    /// Events that entered.
    pub events: u64,
    /// Events that were brought again.
    pub repeated: u64,
    /// Events that the index knows.
    pub known: u64,
    /// Filters that someone subscribes by.
    pub filters: u64,
    /// Verdicts of filters on events.
    pub evaluations: u64,
    /// Subscriptions.
    pub subscriptions: u64,
    /// Subscriptions that read history.
    pub replays: u64,
    /// Positions that the subscription that is furthest behind has before it.
    pub lag: u64,
    /// Gaps that collectors reported, as [`GapReason::ALL`] has reasons.
    pub gaps: [u64; GapReason::ALL.len()],
    /// Gaps that subscriptions were told of.
    pub gaps_told: [u64; GapReason::ALL.len()],
}

/// What became of events that were brought.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Taken {
    /// Those that were new.
    pub new: u64,
    /// Those that were known, or had been there before their scope was collected.
    pub known: u64,
}

/// What brings events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// History is read: what is found may have been there for a while.
    Reading,
    /// A queue announced them: they arrive now.
    Queue,
    /// Files were listed that were there before this process was.
    Listing,
    /// Somebody brings log files: they arrive now, and nobody collects their scopes
    /// for that.
    Ingest,
}

/// Events that are taken in before someone else has a turn.
const AT_ONCE: usize = 256;

#[derive(Debug)]
struct State {
    log: Log,
    index: Index,
    scopes: Scopes,
    gaps: Gaps,
}

/// A little more than a horizon is read before a scope is collected, since a
/// reading that others made is good for half a minute.
const SLACK: i64 = 60;

/// See the module.
#[derive(Debug)]
pub struct Feed {
    /// Tells this log from that of another process.
    id: u64,
    clock: Clock,
    horizon: i64,
    state: Mutex<State>,
    groups: Groups,
    /// What subscriptions have read that others will.
    batches: Batches,
    /// What subscriptions of another process read again of log files.
    files: Option<Arc<dyn LogFiles>>,
    /// The head, told to those who wait.
    head: watch::Sender<Position>,
    events: AtomicU64,
    repeated: AtomicU64,
    subscriptions: Arc<AtomicU64>,
    replays: Arc<AtomicU64>,
    gaps: GapCounts,
    gaps_told: GapCounts,
    /// Where each subscription stands.
    readers: Readers,
    /// Pages of history that are being read at once.
    pages: Arc<Semaphore>,
}

/// Pages of history that subscriptions read at once: each holds up to a batch, and
/// what it looks through. Others wait for their turn.
const MAX_PAGES: usize = 64;

impl Feed {
    /// An empty feed.
    #[must_use]
    pub fn new(clock: Clock, options: Options) -> Self {
        let horizon = i64::try_from(options.horizon.as_secs()).unwrap_or(i64::MAX / 4);
        let horizon = horizon.min(i64::MAX / 4);
        let log = Log::new(options.max_bytes);
        let (head, _) = watch::channel(log.head());
        Self {
            id: rand::rng().random(),
            clock,
            horizon,
            state: Mutex::new(State {
                log,
                // a settle walk brings an event again a horizon after it happened, or an hour
                // later where it has to catch up
                index: Index::new(horizon.saturating_mul(2).saturating_add(3600)),
                scopes: Scopes::default(),
                gaps: Gaps::default(),
            }),
            groups: Groups::default(),
            batches: Batches::default(),
            files: None,
            head,
            events: AtomicU64::new(0),
            repeated: AtomicU64::new(0),
            subscriptions: Arc::default(),
            replays: Arc::default(),
            gaps: GapCounts::default(),
            gaps_told: GapCounts::default(),
            readers: Readers::default(),
            pages: Arc::new(Semaphore::new(MAX_PAGES)),
        }
    }

    /// With log files that can be listed: subscriptions of another process read of
    /// them what `LookupEvents` does not tell.
    #[must_use]
    pub fn with_log_files(mut self, files: Arc<dyn LogFiles>) -> Self {
        self.files = Some(files);
        self
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Where the next event gets its position.
    #[must_use]
    pub fn head(&self) -> Position {
        self.lock().log.head()
    }

    /// Who stands before this position has more than half of what the log may hold
    /// to read.
    #[must_use]
    pub fn half(&self) -> Position {
        self.lock().log.half()
    }

    /// How long an event may take to be told, in seconds.
    #[must_use]
    pub fn horizon(&self) -> i64 {
        self.horizon
    }

    /// Begins to collect a scope, from now on; the window before now of which more
    /// may be told still. What is there already of it is not new: [`Feed::begun`]
    /// says when all of that was brought. A scope that is collected already stays
    /// as it is.
    pub fn begin(&self, scope: &Scope) -> TimeRange {
        let now = self.clock.now_secs();
        let floor = self.floor(now);
        let mut state = self.lock();
        let head = state.log.head();
        state.scopes.open(scope, head, floor, Some(now));
        TimeRange::new(floor, now)
    }

    /// Whether it is being found out what was there before a scope was collected.
    #[must_use]
    pub fn is_beginning(&self, scope: &Scope) -> bool {
        let state = self.lock();
        let id = state.scopes.find(scope);
        id.is_some_and(|id| state.scopes.is_beginning(id))
    }

    /// What was there before a scope was collected was brought.
    pub fn begun(&self, scope: &Scope) {
        self.lock().scopes.read(scope);
    }

    /// Collects a scope no longer.
    pub fn end(&self, scope: &Scope) {
        self.lock().scopes.close(scope);
    }

    /// Takes events in: those that are new get a position, in their order.
    pub fn take(&self, events: &[Arc<Event>]) -> Taken {
        self.take_by(By::Reading, events)
    }

    /// Takes events in that a queue brought: as [`Feed::take`], but that they were
    /// there before is no matter, and their scopes are collected from now on.
    pub fn take_from_queue(&self, events: &[Arc<Event>]) -> Taken {
        self.take_by(By::Queue, events)
    }

    /// Takes events in that files have which were delivered before this process
    /// began: they were there before, and their scopes are collected from now on.
    pub fn take_from_listing(&self, events: &[Arc<Event>]) -> Taken {
        self.take_by(By::Listing, events)
    }

    /// Takes events in that somebody brings out of log files: they are told as those
    /// of a queue are, but their scopes are collected no more than they were. Bring
    /// a few at a time, and wait for [`Feed::room`] before.
    pub fn ingest(&self, events: &[Arc<Event>]) -> Taken {
        self.take_by(By::Ingest, events)
    }

    fn take_by(&self, by: By, events: &[Arc<Event>]) -> Taken {
        let now = self.clock.now_secs();
        let floor = self.floor(now);
        let mut taken = Taken::default();
        // not for so long that subscribers wait
        for events in events.chunks(AT_ONCE) {
            let mut some = Taken::default();
            let mut state = self.lock();
            for event in events {
                let id = state.scopes.id_of(event);
                if matches!(by, By::Queue | By::Listing) {
                    let head = state.log.head();
                    state.scopes.open_by_id(id, head, floor, None);
                }
                match state.take(id, event, now, by) {
                    true => some.new += 1,
                    false => some.known += 1,
                }
            }
            self.tell(state, some);
            taken.new += some.new;
            taken.known += some.known;
        }
        taken
    }

    /// Says that the clock was fast by so many seconds: what was settled by it is
    /// so much less settled.
    pub fn set_back(&self, fast_by: i64) {
        self.lock().scopes.set_back(fast_by);
    }

    /// A scope was collected up to this second, exclusive, and is settled.
    pub fn settle(&self, scope: &Scope, to: i64) {
        let mut state = self.lock();
        let head = state.log.head();
        state.scopes.settle(scope, head, to);
    }

    /// Says that events cannot be delivered.
    pub fn miss(&self, gap: Gap) {
        self.gaps.note(gap.reason);
        let mut state = self.lock();
        let position = state.log.push(Entry::Mark);
        state.gaps.push(position, gap);
        self.tell(state, Taken::default());
    }

    /// How far a scope is settled; `None`: it is not collected.
    #[must_use]
    pub fn settled(&self, scope: &Scope) -> Option<i64> {
        let state = self.lock();
        let id = state.scopes.find(scope)?;
        state.scopes.settled(id, state.log.head())
    }

    /// Scopes that are collected.
    #[must_use]
    pub fn scopes(&self) -> Vec<Scope> {
        let state = self.lock();
        state
            .scopes
            .live()
            .map(|(_, scope)| scope.clone())
            .collect()
    }

    /// What it holds and has done.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let count = |n: usize| u64::try_from(n).unwrap_or(u64::MAX);
        let state = self.lock();
        let head = state.log.head();
        Stats {
            bytes: state.log.bytes(),
            entries: state.log.head() - state.log.first(),
            events: self.events.load(Relaxed),
            repeated: self.repeated.load(Relaxed),
            known: count(state.index.len()),
            filters: count(self.groups.len()),
            evaluations: self.groups.evaluations(),
            subscriptions: self.subscriptions.load(Relaxed),
            replays: self.replays.load(Relaxed),
            lag: head.saturating_sub(self.readers.last().unwrap_or(head)),
            gaps: self.gaps.all(),
            gaps_told: self.gaps_told.all(),
        }
    }

    /// Everything before it is settled at `now`.
    fn floor(&self, now: i64) -> i64 {
        now.saturating_sub(self.horizon).saturating_sub(SLACK)
    }

    fn tell(&self, state: MutexGuard<'_, State>, taken: Taken) {
        let head = state.log.head();
        drop(state);
        self.events.fetch_add(taken.new, Relaxed);
        self.repeated.fetch_add(taken.known, Relaxed);
        self.head.send_if_modified(|told| {
            let is_news = *told < head;
            *told = head.max(*told);
            is_news
        });
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

impl State {
    /// Takes an event in; whether it was not there before.
    fn take(&mut self, id: scopes::ScopeId, event: &Arc<Event>, now: i64, by: By) -> bool {
        let key = self.index.key(id, event);
        if let Verdict::Repeated(_) = self.index.judge_by(&key, event) {
            return false;
        }
        let is_known = match by {
            By::Reading => self.scopes.is_known(id, event.time),
            By::Queue | By::Ingest => false,
            By::Listing => true,
        };
        let arrived = Arrived::new(Arc::clone(event), id, now, is_known);
        let position = self.log.push(Entry::Event(arrived));
        let forgotten = self.index.note(key, event, position, is_known, now);
        self.forget(forgotten.as_ref());
        !is_known
    }

    /// Notes that someone was told an event of a log file.
    fn note_outside(&mut self, id: scopes::ScopeId, event: &Event, told_to: u32, now: i64) {
        let head = self.log.head();
        let forgotten = self.index.note_outside(id, event, told_to, head, now);
        self.forget(forgotten.as_ref());
    }

    /// Forgets what the index has forgotten.
    fn forget(&mut self, forgotten: Option<&HashMap<scopes::ScopeId, i64>>) {
        let Some(latest) = forgotten else {
            return;
        };
        self.scopes.forget(latest);
        let from = self.index.from();
        self.log.forget(from);
        self.gaps.forget(from);
    }
}

/// Every change is made whole, so what is guarded is right after a panic
/// elsewhere.
fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}
