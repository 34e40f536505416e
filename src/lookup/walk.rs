//! Walks: paginated passes over a stretch of time, newest first, that
//! questions join.
//!
//! A walk goes on only while someone waits for its next page; then it is
//! parked, with its `NextToken` and with what it has read of the second that
//! it stands in, which is no coverage yet.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use jiff::Timestamp;
use tokio::{sync::watch, time::Instant};
use tracing::{Instrument, Span};

use super::{
    density::Densities,
    open::{Open, Pending, Used},
};
use crate::{
    budget::{self, Claim, Place, Ticket},
    clock::Clock,
    coverage::{Coverage, Freshness, Key, settled_before, unique},
    event::{Event, TimeRange},
    trace,
    upstream::{Allowance, ErrorKind, FetchError, Page, PageRequest, Payers, Upstream},
};

/// A walk that begins no more than so many seconds above what a question needs
/// brings that too: two questions that come together differ in their "now" by a
/// second.
const NEAR: i64 = 5;

/// What a question wants that is not held.
#[derive(Clone, Copy)]
pub(super) struct Wanting<'a> {
    /// What to walk by.
    pub(super) key: &'a Key,
    /// Whose coverage can answer.
    pub(super) keys: &'a [Key],
    /// The second before this one.
    pub(super) at: i64,
    pub(super) need: Freshness,
    /// When a walk that begins for it began.
    pub(super) began: Timestamp,
    /// Nothing later was found: an answer that counts up to now will do.
    pub(super) is_top: bool,
}

/// How to get what a question wants.
pub(super) enum Way {
    /// By this walk's next page, from where it stands.
    Walk { walk: Arc<Walk>, floor: i64 },
    /// What ends here counts up to now.
    Present(i64),
    /// It is held by now.
    Held,
}

/// What one page added to coverage.
#[derive(Debug)]
pub(super) struct Commit {
    /// The seconds that are now walked to their end; may be empty.
    pub(super) range: TimeRange,
    /// When the walk began.
    pub(super) began: Timestamp,
    /// Their events, ascending.
    pub(super) events: Arc<[Arc<Event>]>,
}

/// Why no page came.
#[derive(Debug)]
pub(super) enum NoPage {
    /// Its turn would come after the deadline.
    TooLate,
    /// It was not fetched.
    Fetch(FetchError),
}

type Outcome = Result<Arc<Commit>, FetchError>;

/// One walk. Its state changes under its lock alone, and every page's outcome
/// is told to all who wait.
#[derive(Debug)]
pub(super) struct Walk {
    key: Key,
    range: TimeRange,
    state: Mutex<State>,
    /// Who waits for the next page: any of them pays for it.
    waiting: watch::Sender<Payers>,
    /// The outcome of the last page.
    outcome: watch::Sender<Option<Outcome>>,
    used: Used,
}

#[derive(Debug)]
struct State {
    began: Timestamp,
    phase: Phase,
    /// Everything from here up to the end of the range is coverage.
    floor: i64,
    /// What was read of the second below `floor` so far.
    pending: Pending,
    /// Where AWS goes on.
    token: Option<String>,
    /// The place in the queue of the page that is being fetched.
    place: Option<Place>,
    /// Its span, for who joins it to link to.
    span: Span,
}

impl State {
    /// A page that adds nothing where it stands.
    fn nothing(&self) -> Arc<Commit> {
        Arc::new(Commit {
            range: TimeRange::new(self.floor, self.floor),
            began: self.began,
            events: Arc::default(),
        })
    }

    /// Whether no page was read yet.
    fn is_unread(&self, range: TimeRange) -> bool {
        self.floor == range.to && self.pending.events().is_empty() && self.token.is_none()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Parked,
    Fetching,
    Ended,
}

impl Walk {
    /// A walk that nothing was asked for yet; what it reads of an open second goes
    /// to `pending`.
    pub(super) fn new(key: Key, range: TimeRange, began: Timestamp, pending: Pending) -> Self {
        let state = State {
            began,
            phase: Phase::Parked,
            floor: range.to,
            pending,
            token: None,
            place: None,
            span: Span::none(),
        };
        Self {
            key,
            range,
            state: Mutex::new(state),
            waiting: watch::Sender::default(),
            outcome: watch::Sender::new(None),
            used: Used::default(),
        }
    }

    /// What it asks for.
    pub(super) fn key(&self) -> &Key {
        &self.key
    }

    /// When it was used last.
    pub(super) fn used(&self) -> &Used {
        &self.used
    }

    /// The bytes that it holds of the second that it stands in.
    pub(super) fn pending_weight(&self) -> u64 {
        self.state().pending.weight()
    }

    /// Whether someone waits for its next page.
    pub(super) fn is_waited_for(&self) -> bool {
        !self.waiting.borrow().is_empty()
    }

    fn began(&self) -> Timestamp {
        self.state().began
    }

    /// Where it stands, unless it has ended.
    fn stands(&self) -> Option<i64> {
        let state = self.state();
        (state.phase != Phase::Ended).then_some(state.floor)
    }

    /// Whether no page was read of it yet.
    fn is_unread(&self) -> bool {
        self.state().is_unread(self.range)
    }

    /// Whether the second `at - 1` was read to its end.
    pub(super) fn has_passed(&self, at: i64) -> bool {
        self.state().floor < at
    }

    /// Whether it has just begun, from its present down, recently enough that
    /// it counts up to now.
    fn is_present(&self, need: Freshness) -> bool {
        let began = self.began();
        began >= need.0 && self.range.to > began.as_second() && self.stands() == Some(self.range.to)
    }

    /// Whether a page is being fetched: joining it costs nothing.
    pub(super) fn is_fetching(&self) -> bool {
        self.state().phase == Phase::Fetching
    }

    /// Waits for the page that goes on from `floor`, and has it fetched unless it
    /// is under way already.
    ///
    /// Dropping the future gives up waiting: the page is not bought if nobody
    /// else waits, and kept if it is bought already.
    pub(super) async fn advance(
        self: &Arc<Self>,
        walks: &Arc<Walks>,
        floor: i64,
        allowance: &Arc<Allowance>,
        deadline: Instant,
    ) -> Result<Arc<Commit>, NoPage> {
        let scope = &self.key.scope;
        let (class, caller) = (allowance.class(), allowance.caller());
        let (mut outcome, _waiting, span) = {
            let mut state = self.state();
            let (ticket, claim) = match state.phase {
                // it moved on since it was found: the page is there
                _ if state.floor != floor => return Ok(state.nothing()),
                Phase::Ended => return Ok(state.nothing()),
                Phase::Fetching => {
                    let place = state.place.as_ref();
                    match place.map(|place| place.claim(class, caller, Some(deadline))) {
                        Some(Ok(claim)) => (None, Some(claim)),
                        None => (None, None),
                        // asked too late is not waited for
                        Some(Err(budget::Error::TooLate { .. })) => return Err(NoPage::TooLate),
                    }
                }
                Phase::Parked if allowance.is_spent() => {
                    allowance.note_refusal();
                    self.leave(state, walks);
                    return Err(NoPage::Fetch(FetchError::AllowanceSpent));
                }
                Phase::Parked => {
                    if let Some(error) = walks.upstream.remembered(scope, self.key.category) {
                        self.leave(state, walks);
                        return Err(NoPage::Fetch(error.into()));
                    }
                    let budget = walks.upstream.budget(scope);
                    match budget.queue(class, caller, Some(deadline)) {
                        Ok((ticket, claim)) => (Some(ticket), Some(claim)),
                        Err(budget::Error::TooLate { .. }) => {
                            self.leave(state, walks);
                            return Err(NoPage::TooLate);
                        }
                    }
                }
            };
            let waiting = Waiting::new(&self.waiting, allowance, claim);
            // under the lock: the next outcome is the one of this page
            let outcome = self.outcome.subscribe();
            let span = match ticket {
                Some(ticket) => {
                    state.place = Some(ticket.place());
                    state.phase = Phase::Fetching;
                    state.span = trace::page(&scope.account, &scope.region, class.as_str());
                    // its own task: a page that was bought is kept, whoever hangs up
                    let fetch = Arc::clone(walks).fetch(Fetching::new(walks, self), ticket);
                    tokio::spawn(fetch.instrument(state.span.clone()));
                    Span::none()
                }
                None => trace::joined(&state.span),
            };
            (outcome, waiting, span)
        };
        // the sender lives as long as `self`, and tells outcomes alone
        let told = outcome
            .changed()
            .instrument(span)
            .await
            .ok()
            .and_then(|()| outcome.borrow().clone());
        told.unwrap_or(Err(FetchError::Abandoned)).map_err(|error| {
            if error == FetchError::AllowanceSpent {
                allowance.note_refusal();
            }
            NoPage::Fetch(error)
        })
    }

    /// Turns away who cannot have a page. A walk that nothing was asked for is not
    /// left behind: it would look like an answer on its way.
    fn leave(self: &Arc<Self>, mut state: MutexGuard<'_, State>, walks: &Walks) {
        if state.is_unread(self.range) {
            state.phase = Phase::Ended;
            drop(state);
            walks.forget(self);
        }
    }

    /// Tells a page's outcome, and goes to the phase that follows.
    fn end_page(&self, phase: Phase, outcome: Outcome) {
        // both under the lock: whoever finds it parked waits for the next outcome
        let mut state = self.state();
        state.phase = phase;
        state.place = None;
        state.span = Span::none();
        self.outcome.send_replace(Some(outcome));
    }

    /// Takes in a page: seconds that are walked to their end become coverage.
    fn take_in(&self, page: Page, coverage: &Coverage, densities: &Densities) -> Arc<Commit> {
        let mut state = self.state();
        let floor = state.floor;
        let mut events = state.pending.take();
        let mut strays = Vec::new();
        let mut time = events.last().map_or(floor - 1, |event| event.time);
        for event in page.events {
            let event = Arc::new(Event::from_lookup(&self.key.scope, event, time));
            time = event.time;
            if (self.range.from..floor).contains(&time) {
                events.push(event);
            } else {
                strays.push(event);
            }
        }
        // newest first: all but the oldest second seen is walked to its end
        let done_from = match (
            &page.next_token,
            events.iter().map(|event| event.time).min(),
        ) {
            (None, _) => self.range.from,
            (Some(_), Some(oldest)) => oldest + 1,
            (Some(_), None) => floor,
        };
        let (done, pending): (Vec<_>, _) = events
            .into_iter()
            .partition(|event| event.time >= done_from);
        // the same event can come twice, also on two pages
        let done = unique(&done);
        let range = TimeRange::new(done_from, floor);
        coverage.insert(&self.key, range, state.began, &done);
        densities.learn(&self.key, range, done.len());
        coverage.fold_in(&self.key, &strays);
        state.floor = done_from;
        state.pending.set(pending);
        state.token = page.next_token;
        Arc::new(Commit {
            range,
            began: state.began,
            events: done.into(),
        })
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// One who waits, pays, and brings the page a turn.
struct Waiting<'a> {
    all: &'a watch::Sender<Payers>,
    allowance: Arc<Allowance>,
    _claim: Option<Claim>,
}

impl<'a> Waiting<'a> {
    fn new(
        all: &'a watch::Sender<Payers>,
        allowance: &Arc<Allowance>,
        claim: Option<Claim>,
    ) -> Self {
        all.send_modify(|waiting| waiting.push(Arc::clone(allowance)));
        Self {
            all,
            allowance: Arc::clone(allowance),
            _claim: claim,
        }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.all.send_modify(|waiting| {
            if let Some(i) = waiting
                .iter()
                .position(|it| Arc::ptr_eq(it, &self.allowance))
            {
                waiting.remove(i);
            }
        });
    }
}

/// A walk that a page is being fetched for. Whatever happens, whoever waits is
/// told, and the walk is not left so.
struct Fetching {
    walks: Arc<Walks>,
    walk: Arc<Walk>,
    is_over: bool,
}

impl Fetching {
    fn new(walks: &Arc<Walks>, walk: &Arc<Walk>) -> Self {
        Self {
            walks: Arc::clone(walks),
            walk: Arc::clone(walk),
            is_over: false,
        }
    }

    fn end(mut self, phase: Phase, outcome: Outcome) {
        // from here on another page may be under way
        self.is_over = true;
        self.walk.end_page(phase, outcome);
    }
}

impl Drop for Fetching {
    fn drop(&mut self) {
        if !self.is_over {
            // its task was cut off: another walk starts the second again
            self.walks.forget(&self.walk);
            self.walk.end_page(Phase::Ended, Err(FetchError::Abandoned));
        }
    }
}

/// The registry of walks: single-flight over intervals.
#[derive(Debug)]
pub(super) struct Walks {
    clock: Clock,
    upstream: Arc<Upstream>,
    coverage: Arc<Coverage>,
    densities: Densities,
    open: Mutex<Open>,
}

impl Walks {
    pub(super) fn new(clock: Clock, upstream: Arc<Upstream>, coverage: Arc<Coverage>) -> Self {
        Self {
            clock,
            upstream,
            coverage,
            densities: Densities::default(),
            open: Mutex::default(),
        }
    }

    /// What the walks have found so far.
    pub(super) fn densities(&self) -> &Densities {
        &self.densities
    }

    /// Whether a page that goes on from `at` is under way.
    pub(super) fn is_fetching(&self, key: &Key, at: i64) -> bool {
        let open = lock(&self.open);
        open.by(key)
            .iter()
            .any(|walk| walk.is_fetching() && walk.stands() == Some(at))
    }

    /// What walks by `keys` have read of the second that they stand in, where
    /// that is `at - 1`; each event once, by identity.
    pub(super) fn pending(&self, keys: &[&Key], at: i64) -> Vec<Arc<Event>> {
        let open = lock(&self.open);
        let standing = keys.iter().flat_map(|key| open.by(key));
        let pending = standing.flat_map(|walk| {
            let state = walk.state();
            if state.floor == at {
                state.pending.events().to_vec()
            } else {
                Vec::new()
            }
        });
        unique(&pending.collect::<Vec<_>>())
    }

    /// How to get the second `at - 1`, which was not held a moment ago: by a
    /// walk that stands just above it and will read it recently enough, or by
    /// one that begins now, down to what `floor` says.
    ///
    /// Whoever asks at the same time joins the same walk: looking, looking
    /// once more at what is held, and beginning are one step.
    pub(super) fn join(&self, wanted: &Wanting<'_>, floor: impl FnOnce() -> i64) -> Way {
        let Wanting {
            key,
            keys,
            at,
            need,
            began,
            is_top,
        } = *wanted;
        let horizon = self.coverage.horizon();
        let mut open = lock(&self.open);
        let standing = open.by(key).iter().find_map(|walk| {
            let walk_began = walk.began();
            let is_recent = walk_began >= need.0 || settled_before(walk_began, horizon) >= at;
            let floor = walk.stands()?;
            // from a little above only its first page is sure to come down here
            let is_near = floor == at
                || (walk.is_unread()
                    && walk.range.from < at
                    && (at..=at.saturating_add(NEAR)).contains(&floor));
            (is_recent && is_near).then(|| (Arc::clone(walk), floor))
        });
        if let Some((walk, floor)) = standing {
            open.touch(&walk);
            return Way::Walk { walk, floor };
        }
        // an answer that is on its way, or came, counts up to now
        if is_top {
            let begun = open.by(key).iter().filter(|walk| walk.is_present(need));
            let begun = begun.map(|walk| walk.range.to).max();
            let present = begun.max(self.coverage.present(keys, need));
            if let Some(present) = present.filter(|present| *present < at) {
                return Way::Present(present);
            }
        }
        // a walk's page becomes coverage before the walk moves on
        if self.coverage.held(keys, at - 1, need).is_some() {
            return Way::Held;
        }
        // the last second at least is asked for
        let range = TimeRange::new(floor().min(at - 1), at);
        // the clock may have been set back since the question came
        let began = began.min(self.clock.now());
        let walk = Arc::new(Walk::new(key.clone(), range, began, open.pending()));
        open.keep(&walk);
        Way::Walk { walk, floor: at }
    }

    /// Says anew when walks began: see [`Coverage::rebegin`].
    pub(super) fn rebegin(&self, anew: impl Fn(Timestamp) -> Timestamp) {
        // each page becomes coverage under its walk's lock
        for walk in lock(&self.open).all() {
            let mut state = walk.state();
            state.began = anew(state.began);
        }
    }

    /// Keeps a walk no longer.
    fn forget(&self, walk: &Arc<Walk>) {
        lock(&self.open).forget(walk);
    }

    /// Walks that are kept, and of those the ones that are being fetched.
    pub(super) fn count(&self) -> (usize, usize) {
        let open = lock(&self.open);
        let fetching = open.all().filter(|walk| walk.is_fetching());
        (open.all().count(), fetching.count())
    }

    /// Fetches one page and tells the outcome.
    async fn fetch(self: Arc<Self>, fetching: Fetching, mut ticket: Ticket) {
        let walk = Arc::clone(&fetching.walk);
        let (token, is_unread) = {
            let state = walk.state();
            (state.token.clone(), state.is_unread(walk.range))
        };
        let request = PageRequest {
            category: walk.key.category,
            attribute: walk.key.pushdown.clone(),
            range: walk.range,
            token,
        };
        let (phase, outcome) = loop {
            let mut payers = walk.waiting.subscribe();
            let fetched = self
                .upstream
                .fetch(&walk.key.scope, &request, &mut ticket, &mut payers)
                .await;
            break match fetched {
                Ok(page) => {
                    let ended = page.next_token.is_none();
                    let commit = walk.take_in(page, &self.coverage, &self.densities);
                    (if ended { Phase::Ended } else { Phase::Parked }, Ok(commit))
                }
                // someone came just as the last one left
                Err(FetchError::Abandoned) if !walk.waiting.borrow().is_empty() => continue,
                // expired: another walk starts the second that it stood in again
                Err(FetchError::Upstream(error))
                    if error.kind == ErrorKind::InvalidToken && request.token.is_some() =>
                {
                    let nothing = walk.state().nothing();
                    (Phase::Ended, Ok(nothing))
                }
                // one that has read nothing is not worth keeping
                Err(error) if is_unread => (Phase::Ended, Err(error)),
                // what AWS refuses may be the token, whatever it calls that: another walk
                // starts the second again
                Err(FetchError::Upstream(error))
                    if matches!(error.kind, ErrorKind::Invalid | ErrorKind::Transient) =>
                {
                    (Phase::Ended, Err(error.into()))
                }
                Err(error) => (Phase::Parked, Err(error)),
            };
        };
        if phase == Phase::Ended {
            self.forget(&walk);
        }
        fetching.end(phase, outcome);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // every change is made whole, so what is guarded is right after a panic elsewhere
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
