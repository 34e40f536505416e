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
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
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
    waiting: AtomicUsize,
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
                not_before: None,
            }),
            turn: tokio::sync::Mutex::default(),
            ended: Notify::new(),
            waiting: AtomicUsize::new(0),
            bought: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
            waited_millis: AtomicU64::new(0),
        }
    }

    /// Waits for its turn and for quota, and buys one request.
    ///
    /// Hold the permit while the request is under way. Dropping the future
    /// leaves the queue.
    ///
    /// # Errors
    /// [`Error::TooLate`], at once, if its turn is not expected by `deadline`.
    pub async fn buy(&self, deadline: Option<Instant>) -> Result<Permit<'_>, Error> {
        if let Some(deadline) = deadline {
            let wait = self.estimated_wait();
            if Instant::now() + wait > deadline {
                return Err(Error::TooLate { wait });
            }
        }
        let start = Instant::now();
        let waiting = Waiting::new(&self.waiting);
        let turn = self.turn.lock().await;
        let id = loop {
            let ended = self.ended.notified();
            match self.take(Instant::now()) {
                Ok(id) => break id,
                // an early end of a request under way moves the moment
                Err(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = ended => {}
                },
            }
        };
        drop((turn, waiting));
        self.bought.fetch_add(1, Relaxed);
        let waited = u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX);
        self.waited_millis.fetch_add(waited, Relaxed);
        Ok(Permit { budget: self, id })
    }

    /// How long a request that is asked for now would wait, if those under way
    /// take as long as they may.
    #[must_use]
    pub fn estimated_wait(&self) -> Duration {
        let now = Instant::now();
        let mut state = self.lock();
        let pause = state
            .not_before
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let Some(rate) = self.rate else { return pause };
        state.settle(now, rate, self.depth);
        // a queue longer than a float can tell apart does not come up
        let ahead = u32::try_from(self.waiting.load(Relaxed)).map_or(f64::MAX, f64::from);
        let short = ahead + 1.0 - state.free();
        pause.max(Duration::try_from_secs_f64((short / rate).max(0.0)).unwrap_or(Duration::MAX))
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
            let until = now + after;
            state.not_before = Some(state.not_before.map_or(until, |at| at.max(until)));
        }
    }

    /// What it has done.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            bought: self.bought.load(Relaxed),
            throttled: self.throttled.load(Relaxed),
            waiting: self.waiting.load(Relaxed),
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

    fn end(&self, id: u64) {
        let Some(rate) = self.rate else { return };
        let now = Instant::now();
        let mut state = self.lock();
        state.settle(now, rate, self.depth);
        if let Some(index) = state
            .under_way
            .iter()
            .position(|(under_way, _)| *under_way == id)
        {
            state.under_way.remove(index);
            state.level -= 1.0;
        }
        drop(state);
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
        let refilled = now + Duration::from_secs_f64(short / rate) + Duration::from_millis(1);
        match self.under_way.front() {
            Some((_, sent)) if self.level + short > depth => *sent + ARRIVAL,
            _ => refilled,
        }
    }
}

/// A request that was bought, while it is under way.
#[derive(Debug)]
pub struct Permit<'a> {
    budget: &'a Budget,
    id: u64,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        self.budget.end(self.id);
    }
}

struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
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
