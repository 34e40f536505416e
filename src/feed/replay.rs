//! History that a subscription reads, oldest first: before it goes live, and
//! where it has fallen behind the log.
//!
//! Each scope is read from where it stands. A sweep takes all that stand within
//! an hour of the oldest, up to where the next one stands or one of them ends.
//! A scope that fails is left out and tried again; the others go on.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque, btree_map::Entry},
    future::Future,
    pin::Pin,
    sync::Arc,
    time::Duration,
};

use tokio::{sync::Semaphore, time::Instant};

use super::log;
use crate::{
    budget::{Caller, Class},
    clock::Clock,
    event::{Event, Position, Scope, TimeRange},
    filter::Filter,
    lookup::{Answer, Error, Lookup, Order, Question, Reason, ScopeState},
};

/// Scopes that stand so near to the oldest are read together with it.
const TOGETHER: i64 = 3600;
/// How old a reading may be that others made, in seconds: what comes later arrives
/// in the log. See [`super::SLACK`].
const STALENESS: i64 = 30;
/// The longest that a page takes; it keeps its place in the queue for so long.
const PAGE_TIME: Duration = Duration::from_secs(600);
/// Seconds: what happened before is read when nothing else is.
const LONG_AGO: i64 = 3600;
/// How often no quota may be left for any scope before others are told what is
/// live.
const MAX_EXHAUSTED: u32 = 3;
/// How often a sweep may buy something and not move: a crowded second takes some
/// pages.
const MAX_STUCK: u32 = 20;
/// Requests that a page may buy for each scope.
const CALLS_A_PAGE: u64 = 10;
/// The wait before what failed is tried again; it doubles up to [`MAX_WAIT`].
const WAIT: Duration = Duration::from_secs(1);
/// See [`WAIT`]: by then a Region that was away is back within a minute.
const MAX_WAIT: Duration = Duration::from_secs(60);

/// What is to be read of one scope.
#[derive(Clone, Debug)]
pub(super) struct Todo {
    /// What is to be read comes after this.
    pub(super) after: Position,
    /// The stretches to read, ascending and apart.
    pub(super) stretches: VecDeque<TimeRange>,
    /// Of what was in the log, that of these positions is told, from the first to the
    /// second, exclusive; the rest was read from the log, or will be.
    pub(super) positions: Vec<(log::Position, log::Position)>,
    /// What was dropped from the log is told, and nothing else.
    pub(super) is_behind: bool,
    /// When it is tried again, and after how many failures.
    failed: Option<(Instant, u32)>,
}

impl Todo {
    /// All from a second on up to another, as history has it.
    pub(super) fn history(
        after: Position,
        until: i64,
        from: log::Position,
        to: log::Position,
    ) -> Self {
        Self {
            stretches: [TimeRange::new(after.time, until)].into(),
            after,
            positions: vec![(from, to)],
            is_behind: false,
            failed: None,
        }
    }

    /// What was dropped from the log, of these positions.
    pub(super) fn behind(
        stretches: VecDeque<TimeRange>,
        from: log::Position,
        to: log::Position,
    ) -> Option<Self> {
        let first = stretches.front()?;
        Some(Self {
            after: Position::start_of(first.from),
            stretches,
            positions: vec![(from, to)],
            is_behind: true,
            failed: None,
        })
    }

    /// Has what was dropped from the log meanwhile read as well. Neither was begun.
    fn add(&mut self, behind: Self) {
        self.positions.extend(behind.positions);
        let mut all: Vec<_> = self.stretches.drain(..).chain(behind.stretches).collect();
        all.sort_by_key(|stretch| stretch.from);
        for stretch in all {
            match self.stretches.back_mut() {
                Some(last) if stretch.from <= last.to => last.to = last.to.max(stretch.to),
                _ => self.stretches.push_back(stretch),
            }
        }
        self.after = behind.after.min(self.after.clone());
    }

    /// Whether what stood at this position is told.
    pub(super) fn tells(&self, position: log::Position) -> bool {
        let has = |(from, to): &(log::Position, log::Position)| (*from..*to).contains(&position);
        self.positions.iter().any(has)
    }

    /// Is not read before so long.
    pub(super) fn wait(&mut self, wait: Duration) {
        self.failed = Some((Instant::now() + wait, 0));
    }

    /// Goes to a place further on; whether anything is left.
    pub(super) fn advance(&mut self, after: Position) -> bool {
        if after > self.after {
            self.after = after;
        }
        while self
            .stretches
            .pop_front_if(|stretch| stretch.to <= self.after.time)
            .is_some()
        {}
        let Some(first) = self.stretches.front() else {
            return false;
        };
        if first.from > self.after.time {
            self.after = Position::start_of(first.from);
        }
        true
    }

    fn is_ready(&self, now: Instant) -> bool {
        self.failed.is_none_or(|(again, _)| again <= now)
    }

    fn fail(&mut self) {
        self.failed = Some(again(self.failed));
    }
}

/// When what failed is tried again, and after how many failures; so it was before.
pub(super) fn again(failed: Option<(Instant, u32)>) -> (Instant, u32) {
    let failures = failed.map_or(0, |(_, failures)| failures);
    let wait = WAIT.saturating_mul(1 << failures.min(6)).min(MAX_WAIT);
    (Instant::now() + wait, failures + 1)
}

/// What history is asked by.
#[derive(Clone, Debug)]
pub(super) struct Asking {
    pub(super) lookup: Arc<Lookup>,
    pub(super) filter: Arc<Filter>,
    pub(super) caller: Caller,
    pub(super) pages: Arc<Semaphore>,
    pub(super) page_events: usize,
    pub(super) page_bytes: usize,
    pub(super) size: fn(&Event) -> usize,
}

type Fetching = Pin<Box<dyn Future<Output = (Question, Result<Answer, Error>)> + Send>>;

/// A pass over a stretch, of several scopes.
struct Sweep {
    /// Where it stands: what it told comes before.
    after: Position,
    /// Its end, exclusive.
    to: i64,
    page: Fetching,
}

/// History that is being read.
#[derive(Default)]
pub(super) struct Replay {
    todo: BTreeMap<Scope, Todo>,
    /// What is to be read of a scope after that: it fell behind the log as it was
    /// failing.
    later: BTreeMap<Scope, Todo>,
    sweep: Option<Sweep>,
    /// Scopes of the sweep.
    swept: BTreeSet<Scope>,
    /// How often in a row no quota was left for any of them.
    exhausted: u32,
    /// How often in a row it bought something and did not move.
    stuck: u32,
}

impl std::fmt::Debug for Replay {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Replay")
            .field("todo", &self.todo)
            .field("swept", &self.swept)
            .finish_non_exhaustive()
    }
}

/// Events of a page.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// Those of scopes that did not fail, behind where each stood.
    pub(super) events: Vec<Arc<Event>>,
    /// How each scope of theirs was to be read.
    pub(super) todo: BTreeMap<Scope, Todo>,
}

impl Replay {
    /// Adds what is to be read of a scope.
    pub(super) fn add(&mut self, scope: Scope, todo: Todo) {
        self.todo.insert(scope, todo);
    }

    /// Adds what was dropped from the log of a scope.
    pub(super) fn add_behind(&mut self, scope: Scope, todo: Todo) {
        match (self.todo.entry(scope.clone()), self.later.get_mut(&scope)) {
            (Entry::Vacant(place), _) => {
                place.insert(todo);
            }
            (Entry::Occupied(_), Some(later)) => later.add(todo),
            (Entry::Occupied(_), None) => {
                self.later.insert(scope, todo);
            }
        }
    }

    /// Whether more is to be read than a token can say.
    pub(super) fn is_tangled(&self) -> bool {
        !self.later.is_empty()
    }

    /// Behind which place a scope is to be read.
    pub(super) fn after(&self, scope: &Scope) -> Option<&Position> {
        let (now, later) = (self.todo.get(scope)?, self.later.get(scope));
        let later = later.map(|todo| &todo.after);
        Some(later.map_or(&now.after, |later| later.min(&now.after)))
    }

    /// What is to be read after what is being read.
    pub(super) fn later(&self) -> impl Iterator<Item = &Todo> {
        self.later.values()
    }

    /// All that is to be read.
    pub(super) fn all(&self) -> impl Iterator<Item = (&Scope, &Todo)> {
        self.todo.iter()
    }

    /// Nothing is left to read.
    pub(super) fn is_over(&self) -> bool {
        self.todo.is_empty()
    }

    /// Whether something is being read that does not fail: what arrives waits
    /// for it.
    pub(super) fn comes_first(&self) -> bool {
        self.todo.values().any(|todo| todo.failed.is_none())
    }

    /// When something that failed is tried again, if that is all there is.
    pub(super) fn again_at(&self) -> Option<Instant> {
        if self.sweep.is_some() {
            return None;
        }
        let failed = self.todo.values().filter_map(|todo| todo.failed);
        failed.map(|(again, _)| again).min()
    }

    /// The place in the middle of a second that a scope stands at, if one does: of
    /// one sweep all do.
    pub(super) fn exact(&self) -> Option<&Position> {
        let places = self.todo.values().map(|todo| &todo.after);
        places
            .filter(|after| **after != Position::start_of(after.time))
            .max()
    }

    /// The place where the sweep stands, or where the first of what is left does.
    pub(super) fn stands(&self) -> Option<&Position> {
        let sweep = self.sweep.as_ref().map(|sweep| &sweep.after);
        sweep.or_else(|| self.todo.values().map(|todo| &todo.after).min())
    }

    /// The next page's events; for ever, if nothing can be read now. Dropping the
    /// future loses nothing.
    /// Readings that began before the second `dropped_at` may lack what was in the
    /// log.
    pub(super) async fn next(&mut self, asking: &Asking, dropped_at: i64) -> Told {
        if self.sweep.is_none() {
            self.begin(asking, dropped_at);
        }
        let Some(sweep) = &mut self.sweep else {
            return std::future::pending().await;
        };
        let (question, answer) = sweep.page.as_mut().await;
        self.take_in(asking, question, answer).unwrap_or_default()
    }

    /// Begins a sweep of the scopes that stand furthest back.
    fn begin(&mut self, asking: &Asking, dropped_at: i64) {
        let now = Instant::now();
        let ready = || self.todo.iter().filter(|(_, todo)| todo.is_ready(now));
        let Some(from) = ready().map(|(_, todo)| todo.after.time).min() else {
            return;
        };
        let is_near = |todo: &Todo| todo.after.time <= from.saturating_add(TOGETHER);
        let far = ready().filter(|(_, todo)| !is_near(todo));
        let far = far.map(|(_, todo)| todo.after.time);
        let ends = ready().filter(|(_, todo)| is_near(todo));
        let ends = ends.filter_map(|(_, todo)| Some(todo.stretches.front()?.to));
        // those that end sooner are read a little beside
        let Some(to) = far.chain(ends.max()).min() else {
            return;
        };
        self.swept = ready()
            .filter(|(_, todo)| is_near(todo) && todo.after.time < to)
            .map(|(scope, _)| scope.clone())
            .collect();
        let wall = asking.lookup.clock().now();
        let dropped_for = wall
            .as_second()
            .saturating_sub(dropped_at.saturating_add(1));
        let staleness = STALENESS.min(dropped_for).max(0).unsigned_abs();
        let class = match from < wall.as_second().saturating_sub(LONG_AGO) {
            // nobody who is told what happens now waits for that
            true => Class::Backfill,
            false => Class::Subscription,
        };
        let scopes = self.swept.iter().cloned().collect();
        let window = TimeRange::new(from, to);
        let question = Question {
            filter: Arc::clone(&asking.filter),
            order: Order::OldestFirst,
            page_events: asking.page_events,
            page_bytes: asking.page_bytes,
            size: asking.size,
            reads_all: true,
            max_staleness: Duration::from_secs(staleness),
            ..Question::new(asking.caller.clone(), class, scopes, window, wall)
        };
        self.sweep = Some(Sweep {
            after: Position::start_of(from),
            to,
            page: fetch(asking, question, Duration::ZERO),
        });
    }

    /// Takes a page in. `None`: there was none.
    fn take_in(
        &mut self,
        asking: &Asking,
        mut question: Question,
        answer: Result<Answer, Error>,
    ) -> Option<Told> {
        let answer = match answer {
            Ok(answer) => answer,
            Err(Error::Exhausted { wait, .. }) if self.exhausted < MAX_EXHAUSTED => {
                self.exhausted += 1;
                let wait = wait.clamp(WAIT, MAX_WAIT);
                if let Some(sweep) = &mut self.sweep {
                    sweep.page = fetch(asking, question, wait);
                }
                return None;
            }
            Err(_) => {
                self.fail_all(|_| true);
                return None;
            }
        };
        self.exhausted = 0;
        for told in &answer.scopes {
            if matches!(told.state, ScopeState::Failed(_)) {
                self.fail(&told.scope);
                self.swept.retain(|scope| *scope != told.scope);
            }
        }
        let told = self.told(&answer.events);
        let (after, is_over) = match (&answer.next, &self.sweep) {
            (Some(next), _) => (next.clone(), false),
            (None, Some(sweep)) => (Position::start_of(sweep.to), true),
            (None, None) => return None,
        };
        let has_moved = question.after.as_ref() != answer.next.as_ref();
        if !has_moved && !is_over {
            let is_buying = answer.stats.upstream_calls > 0 && self.stuck < MAX_STUCK;
            if let Some(sweep) = self.sweep.as_mut().filter(|_| is_buying) {
                // what was bought is held: it is nearer
                self.stuck += 1;
                question.follow(&answer);
                sweep.page = fetch(asking, question, Duration::ZERO);
                return None;
            }
            self.set_aside(&answer);
            return None;
        }
        self.stuck = 0;
        for scope in &self.swept {
            let Some(todo) = self.todo.get_mut(scope) else {
                continue;
            };
            todo.failed = None;
            if !todo.advance(after.clone()) {
                self.todo.remove(scope);
                if let Some(later) = self.later.remove(scope) {
                    self.todo.insert(scope.clone(), later);
                }
            }
        }
        if is_over || self.swept.is_empty() {
            self.sweep = None;
            self.swept.clear();
        } else if let Some(sweep) = &mut self.sweep {
            question.follow(&answer);
            sweep.after = after;
            sweep.page = fetch(asking, question, Duration::ZERO);
        }
        Some(told)
    }

    /// Those events of a page that are to be told, with how their scopes stood.
    fn told(&self, events: &[Arc<Event>]) -> Told {
        let todo: BTreeMap<Scope, Todo> = self
            .swept
            .iter()
            .filter_map(|scope| Some((scope.clone(), self.todo.get(scope)?.clone())))
            .collect();
        let is_told = |event: &&Arc<Event>| {
            let todo = todo.get(&event.scope());
            todo.is_some_and(|todo| {
                let is_wanted = |stretch: &TimeRange| stretch.contains(event.time);
                event.cmp_to(&todo.after).is_gt() && todo.stretches.iter().any(is_wanted)
            })
        };
        Told {
            events: events.iter().filter(is_told).cloned().collect(),
            todo,
        }
    }

    /// Ends a sweep that gets nowhere: those that hold the others up are tried again
    /// later, or all if none does.
    fn set_aside(&mut self, answer: &Answer) {
        let holds_up = |state: &ScopeState| match state {
            ScopeState::Partial(reason) => {
                !matches!(reason, Reason::PageFull | Reason::OtherScopes)
            }
            _ => false,
        };
        let stuck = answer.scopes.iter().filter(|told| holds_up(&told.state));
        let stuck: BTreeSet<Scope> = stuck.map(|told| told.scope.clone()).collect();
        self.fail_all(|scope| stuck.is_empty() || stuck.contains(scope));
    }

    /// Ends the sweep: those that `has_failed` are tried again later.
    fn fail_all(&mut self, has_failed: impl Fn(&Scope) -> bool) {
        let swept = std::mem::take(&mut self.swept);
        for scope in swept.iter().filter(|scope| has_failed(scope)) {
            self.fail(scope);
        }
        self.sweep = None;
    }

    fn fail(&mut self, scope: &Scope) {
        if let Some(todo) = self.todo.get_mut(scope) {
            todo.fail();
        }
    }
}

/// Asks for a page, after a wait.
fn fetch(asking: &Asking, mut question: Question, wait: Duration) -> Fetching {
    let lookup = Arc::clone(&asking.lookup);
    let pages = Arc::clone(&asking.pages);
    let scopes = u64::try_from(question.scopes.len()).unwrap_or(u64::MAX);
    question.max_upstream_calls = CALLS_A_PAGE.saturating_mul(scopes);
    Box::pin(async move {
        tokio::time::sleep(wait).await;
        // never closed
        let _turn = pages.acquire_owned().await;
        question.now = lookup.clock().now();
        question.deadline = Clock::deadline(PAGE_TIME);
        let answer = lookup.ask(&question).await;
        (question, answer)
    })
}
