//! The meter on a scope's quota: every request, retries included, buys from it
//! before it is sent.
//!
//! AWS allows two `LookupEvents` requests a second per account and Region, and
//! refuses the rest. The meter here must never be ahead of the one there, and
//! a request is counted there at a moment that cannot be seen from here:
//! somewhere between sending it and its answer. So a request under way holds
//! its place, and is counted as late as it may have been there: when its answer
//! came, or [`ARRIVAL`] after it was sent, whichever is first.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{sync::Notify, time::Instant};

use crate::event::Scope;

/// The longest that a request is assumed to travel before AWS counts it, so
/// that slow answers do not hold the meter up. At two a second, with two at
/// once, no longer one lets the full rate through.
const ARRIVAL: Duration = Duration::from_millis(500);

/// Why a request cannot be bought.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Its turn would come after the caller's deadline.
    #[error("the quota would be free in {wait:?}, after the deadline")]
    TooLate {
        /// How long it would wait.
        wait: Duration,
    },
}

/// What a budget has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests bought.
    pub bought: u64,
    /// Requests that AWS throttled all the same: other tools share the quota.
    pub throttled: u64,
    /// Callers that wait now.
    pub waiting: usize,
    /// How long all callers together have waited.
    pub waited: Duration,
}

/// The meter of one scope.
#[derive(Debug)]
pub struct Budget {
    /// Requests a second; `None`: unmetered.
    rate: Option<f64>,
    /// How many may be sent at once after a rest.
    depth: f64,
    state: Mutex<State>,
    /// First come, first served: whoever holds it is next.
    turn: tokio::sync::Mutex<()>,
    /// Tells the next in line that a request has ended.
    ended: Notify,
    bought: AtomicU64,
    throttled: AtomicU64,
    waited_millis: AtomicU64,
}

#[derive(Debug)]
struct State {
    /// What the meter there holds at least, were all under way counted.
    level: f64,
    /// When `level` was right.
    at: Instant,
    /// When each request under way was sent, oldest first. At most `depth`.
    under_way: VecDeque<(u64, Instant)>,
    next_id: u64,
    /// How many are in the queue.
    waiting: usize,
    /// Nothing is bought before this, as AWS asked.
    not_before: Option<Instant>,
}

impl Budget {
    /// A meter of `rate` requests a second, with as many at once after a rest
    /// (at least one). 0 or less, or not a number: unmetered.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        let rate = (rate > 0.0 && rate.is_finite()).then_some(rate);
        let depth = rate.unwrap_or(1.0).max(1.0);
        Self {
            rate,
            depth,
            state: Mutex::new(State {
                level: depth,
                at: Instant::now(),
                under_way: VecDeque::new(),
                next_id: 0,
                waiting: 0,
                not_before: None,
            }),
            turn: tokio::sync::Mutex::default(),
            ended: Notify::new(),
            bought: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            waited_millis: AtomicU64::new(0),
        }
    }

    /// Waits for its turn and for quota, and buys one request: a place in the
    /// queue, and what it leads to.
    ///
    /// # Errors
    /// As [`Budget::queue`].
    pub async fn buy(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Permit, Error> {
        Ok(self.queue(deadline)?.ready().await)
    }

    /// Takes a place in the queue.
    ///
    /// # Errors
    /// [`Error::TooLate`], at once, if its turn is not expected by `deadline`.
    pub fn queue(self: &Arc<Self>, deadline: Option<Instant>) -> Result<Ticket, Error> {
        let now = Instant::now();
        let mut state = self.lock();
        let wait = self.wait(&mut state, now);
        let due = later(now, wait);
        if deadline.is_some_and(|deadline| due > deadline) {
            return Err(Error::TooLate { wait });
        }
        state.waiting += 1;
        Ok(Ticket {
            budget: Arc::clone(self),
            since: now,
            due,
        })
    }

    /// How long a request that is asked for now would wait, if those under way
    /// take as long as they may.
    #[must_use]
    pub fn estimated_wait(&self) -> Duration {
        self.wait(&mut self.lock(), Instant::now())
    }

    fn wait(&self, state: &mut State, now: Instant) -> Duration {
        let pause = state
            .not_before
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let Some(rate) = self.rate else { return pause };
        state.settle(now, rate, self.depth);
        // a queue longer than a float can tell apart does not come up
        let ahead = u32::try_from(state.waiting).map_or(f64::MAX, f64::from);
        // what comes back meanwhile is no more than fits
        let free = (state.free() + pause.as_secs_f64() * rate).min(self.depth);
        let short = (ahead + 1.0 - free).max(0.0);
        // each turn waits a millisecond more than it must, see `look_again`
        let rounding = Duration::from_millis(1).saturating_mul(ahead_of(short));
        pause
            .saturating_add(seconds(short / rate))
            .saturating_add(rounding)
    }

    /// AWS throttled a request although it was bought: the quota is used up by
    /// others. Nothing is bought until some of it is back, or for as long as
    /// AWS asked.
    pub fn throttled(&self, retry_after: Option<Duration>) {
        self.throttled.fetch_add(1, Relaxed);
        let now = Instant::now();
        let mut state = self.lock();
        if let Some(rate) = self.rate {
            state.settle(now, rate, self.depth);
            state.level = state.level.min(0.0);
        }
        if let Some(after) = retry_after {
            let until = later(now, after);
            state.not_before = Some(state.not_before.map_or(until, |at| at.max(until)));
        }
    }

    /// What it has done.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            bought: self.bought.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            waiting: self.lock().waiting,
            waited: Duration::from_millis(self.waited_millis.load(Relaxed)),
        }
    }

    /// Takes a place now, or says when to look again.
    fn take(&self, now: Instant) -> Result<u64, Instant> {
        let mut state = self.lock();
        if let Some(until) = state.not_before.filter(|until| *until > now) {
            return Err(until);
        }
        state.not_before = None;
        if let Some(rate) = self.rate {
            state.settle(now, rate, self.depth);
            let short = 1.0 - state.free();
            if short > 0.0 {
                return Err(state.look_again(now, short, rate, self.depth));
            }
        }
        let id = state.next_id;
        state.next_id += 1;
        if self.rate.is_some() {
            state.under_way.push_back((id, now));
        }
        Ok(id)
    }

    /// A request ended, or was not sent after all.
    fn end(&self, id: u64, was_sent: bool) {
        if let Some(rate) = self.rate {
            let mut state = self.lock();
            state.settle(Instant::now(), rate, self.depth);
            if let Some(index) = state.under_way.iter().position(|(it, _)| *it == id) {
                state.under_way.remove(index);
                state.level -= f64::from(u8::from(was_sent));
            }
        }
        self.ended.notify_one();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // the state is plain numbers: still right after a panic elsewhere
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Counts what AWS has surely counted by now, and refills.
    fn settle(&mut self, now: Instant, rate: f64, depth: f64) {
        while let Some((_, sent)) = self.under_way.front() {
            let counted = *sent + ARRIVAL;
            if counted > now {
                break;
            }
            self.refill(counted, rate, depth);
            self.level -= 1.0;
            self.under_way.pop_front();
        }
        self.refill(now, rate, depth);
    }

    fn refill(&mut self, now: Instant, rate: f64, depth: f64) {
        let passed = now.saturating_duration_since(self.at);
        self.level = (self.level + passed.as_secs_f64() * rate).min(depth);
        self.at = self.at.max(now);
    }

    /// What may be bought now.
    fn free(&self) -> f64 {
        // at most `depth` are under way
        self.level - f64::from(u32::try_from(self.under_way.len()).unwrap_or(u32::MAX))
    }

    /// When `short` more may be free: the meter has refilled, or the oldest
    /// request under way counts.
    fn look_again(&self, now: Instant, short: f64, rate: f64, depth: f64) -> Instant {
        // a millisecond more than exact arithmetic would say, for rounding
        let refilled = later(now, seconds(short / rate) + Duration::from_millis(1));
        match self.under_way.front() {
            Some((_, sent)) if self.level + short > depth => *sent + ARRIVAL,
            _ => refilled,
        }
    }
}

/// `after` from `now`, or as far as an instant goes.
fn later(now: Instant, after: Duration) -> Instant {
    // thirty years are no wait that anybody waits for
    const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
    now + after.min(FAR)
}

/// The turns that `short` tokens take.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates"
)]
fn ahead_of(short: f64) -> u32 {
    short.ceil() as u32
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 2)
}

/// A place in the queue. Dropping it leaves the queue.
#[derive(Debug)]
pub struct Ticket {
    budget: Arc<Budget>,
    since: Instant,
    due: Instant,
}

impl Ticket {
    /// When its turn is expected.
    #[must_use]
    pub fn due(&self) -> Instant {
        self.due
    }

    /// Waits for its turn and for quota. Hold the permit while the request is
    /// under way.
    pub async fn ready(self) -> Permit {
        let budget = Arc::clone(&self.budget);
        let turn = budget.turn.lock().await;
        let id = loop {
            let ended = budget.ended.notified();
            match budget.take(Instant::now()) {
                Ok(id) => break id,
                // an early end of a request under way moves the moment
                Err(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = ended => {}
                },
            }
        };
        drop(turn);
        budget.bought.fetch_add(1, Relaxed);
        let waited = u64::try_from(self.since.elapsed().as_millis()).unwrap_or(u64::MAX);
        budget.waited_millis.fetch_add(waited, Relaxed);
        Permit {
            budget,
            id,
            was_sent: true,
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.budget.lock().waiting -= 1;
    }
}

/// A request that was bought, while it is under way.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    id: u64,
    was_sent: bool,
}

impl Permit {
    /// Gives it back: the request was not sent.
    pub fn give_back(mut self) {
        self.was_sent = false;
        self.budget.bought.fetch_sub(1, Relaxed);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.end(self.id, self.was_sent);
    }
}

/// The budgets of all scopes. Made on first use; as many as there are
/// configured scopes.
#[derive(Debug)]
pub struct Budgets {
    rate: f64,
    scopes: Mutex<HashMap<Scope, Arc<Budget>>>,
}

impl Budgets {
    /// Budgets of `rate` requests a second each; see [`Budget::new`].
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            scopes: Mutex::default(),
        }
    }

    /// The budget of a scope.
    #[must_use]
    pub fn of(&self, scope: &Scope) -> Arc<Budget> {
        let mut scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        match scopes.get(scope) {
            Some(budget) => Arc::clone(budget),
            None => {
                let budget = Arc::new(Budget::new(self.rate));
                scopes.insert(scope.clone(), Arc::clone(&budget));
                budget
            }
        }
    }

    /// What every budget has done, by scope.
    #[must_use]
    pub fn stats(&self) -> Vec<(Scope, Stats)> {
        let scopes = self.scopes.lock().unwrap_or_else(PoisonError::into_inner);
        let mut stats: Vec<_> = scopes.iter().map(|(s, b)| (s.clone(), b.stats())).collect();
        stats.sort_by(|(a, _), (b, _)| a.cmp(b));
        stats
    }
}

#[cfg(test)]
mod tests;
