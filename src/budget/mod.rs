//! The meter on a scope's quota: every request, retries included, buys from it
//! before it is sent.
//!
//! AWS allows two `LookupEvents` requests a second per account and Region, and
//! refuses the rest. The meter here must never be ahead of the one there, and
//! a request is counted there at a moment that cannot be seen from here:
//! somewhere between sending it and its answer. So a request under way holds
//! its place, and is counted as late as it may have been there.
//!
//! Other tools share the quota, unseen. A refusal says that they do: then the
//! rate falls, and comes back slowly. Whoever waits takes turns: by class, and
//! within a class by caller.

mod caller;
mod counts;
mod ledger;
mod meter;
mod pace;
mod queue;
mod ticket;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::Instant;

pub use self::{
    caller::{Caller, Class, Terms},
    counts::ClassStats,
    ledger::Ledger,
    ticket::{Claim, Permit, Place, Ticket},
};
use self::{counts::Counts, meter::Meter, pace::Pace, queue::Queue, ticket::Take};
use crate::{clock::Clock, event::Scope};

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

/// What a budget does, and has done since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Stats {
    /// Requests a second that may be bought now; `None`: unmetered.
    pub rate: Option<f64>,
    /// Requests a second that may be bought where nobody else uses the quota.
    pub ceiling: Option<f64>,
    /// Requests bought.
    pub bought: u64,
    /// Requests that AWS throttled all the same: other tools share the quota.
    pub throttled: u64,
    /// Requests that wait now, by class as [`Class::ALL`] has them; one that
    /// several wait for counts in the most urgent.
    pub waiting: [usize; 3],
    /// What was done for each class, as [`Class::ALL`] has them.
    pub by_class: [ClassStats; 3],
}

impl Stats {
    /// Requests that wait now, of all classes.
    #[must_use]
    pub fn all_waiting(&self) -> usize {
        self.waiting.iter().sum()
    }
}

/// The meter of one scope.
#[derive(Debug)]
pub struct Budget {
    /// Requests a second at most; `None`: unmetered.
    ceiling: Option<f64>,
    state: Mutex<State>,
    counts: Counts,
    throttled: AtomicU64,
}

#[derive(Debug)]
struct State {
    queue: Queue,
    metered: Option<Metered>,
    next_permit: u64,
    /// Nothing is bought before this, as AWS asked.
    not_before: Option<Instant>,
}

/// Two meters, and a request needs both: AWS's as if nobody else used it, and
/// our own pace.
#[derive(Debug)]
struct Metered {
    meter: Meter,
    pace: Pace,
}

impl Budget {
    /// A meter of `rate` requests a second at most, with as many at once after a
    /// rest (at least one). 0 or less, or not a number: unmetered.
    #[must_use]
    pub fn new(rate: f64) -> Self {
        let now = Instant::now();
        let ceiling = (rate > 0.0 && rate.is_finite()).then_some(rate);
        let metered = ceiling.map(|rate| Metered {
            meter: Meter::new(rate, now),
            pace: Pace::new(rate, now),
        });
        Self {
            ceiling,
            state: Mutex::new(State {
                queue: Queue::default(),
                metered,
                next_permit: 0,
                not_before: None,
            }),
            counts: Counts::default(),
            throttled: AtomicU64::new(0),
        }
    }

    /// Waits for a turn and for quota, and buys one request: a place in the
    /// queue, and what it leads to.
    ///
    /// # Errors
    /// As [`Budget::queue`].
    pub async fn buy(
        self: &Arc<Self>,
        class: Class,
        caller: &Caller,
        deadline: Option<Instant>,
    ) -> Result<Permit, Error> {
        let (mut ticket, _claim) = self.queue(class, caller, deadline)?;
        Ok(ticket.ready().await)
    }

    /// Takes a place in the queue, with a first claim on it.
    ///
    /// # Errors
    /// [`Error::TooLate`], at once, if its turn is not expected by `deadline`, or
    /// if as many wait as may.
    pub fn queue(
        self: &Arc<Self>,
        class: Class,
        caller: &Caller,
        deadline: Option<Instant>,
    ) -> Result<(Ticket, Claim), Error> {
        Ticket::issue(self, class, caller, deadline)
    }

    /// How long a request that is asked for now would wait, at the rate as it is
    /// and if nobody else comes; those under way take as long as they may.
    #[must_use]
    pub fn estimated_wait(&self, class: Class, caller: &Caller) -> Duration {
        let now = Instant::now();
        let mut state = self.lock();
        let (ticket, _) = state.queue.issue(now);
        state.queue.claim(ticket, class, caller);
        let wait = state.wait_of(ticket, now);
        state.queue.withdraw(ticket);
        wait
    }

    /// AWS throttled a request that was sent at `sent` although it was bought:
    /// the quota is used up by others. The rate falls, and nothing is bought
    /// until some quota is back, or for as long as AWS asked.
    pub fn throttled(&self, sent: Instant, retry_after: Option<Duration>) {
        self.throttled.fetch_add(1, Relaxed);
        let now = Instant::now();
        let mut state = self.lock();
        state.settle(now);
        if let Some(Metered { meter, pace }) = &mut state.metered {
            meter.empty();
            pace.refused(sent, now);
        }
        if let Some(after) = retry_after {
            let until = later(now, after);
            state.not_before = Some(state.not_before.map_or(until, |at| at.max(until)));
        }
    }

    /// What it does, and has done.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let mut state = self.lock();
        state.settle(Instant::now());
        let pace = state.metered.as_ref().map(|metered| &metered.pace);
        let by_class = self.counts.stats();
        Stats {
            rate: pace.map(Pace::rate),
            ceiling: self.ceiling,
            bought: by_class.iter().map(|class| class.bought).sum(),
            throttled: self.throttled.load(Relaxed),
            waiting: state.queue.waiting(),
            by_class,
        }
    }

    /// Takes a request for a ticket, if it has the turn and there is quota.
    fn take(&self, ticket: u64, now: Instant) -> Take {
        let mut state = self.lock();
        if state.queue.first() != Some(ticket) {
            return Take::NotNext;
        }
        if let Some(until) = state.not_before.filter(|until| *until > now) {
            return Take::At(until);
        }
        state.not_before = None;
        state.settle(now);
        let permit = state.next_permit;
        if let Some(Metered { meter, pace }) = &mut state.metered {
            if let Some(at) = meter.next(now).max(pace.next(now)) {
                return Take::At(at);
            }
            meter.send(permit, now);
            pace.send();
        }
        state.next_permit += 1;
        // the ticket that is first is there
        let (class, since) = state.queue.serve().unwrap_or((Class::default(), now));
        state.queue.rouse();
        drop(state);
        self.counts.bought(class, now.duration_since(since));
        Take::Taken(permit, class)
    }

    /// A request ended, or was not sent after all.
    fn end(&self, permit: u64, was_sent: bool) {
        let mut state = self.lock();
        state.settle(Instant::now());
        if let Some(Metered { meter, pace }) = &mut state.metered {
            meter.end(permit, was_sent);
            if !was_sent {
                pace.give_back();
            }
        }
        state.queue.rouse();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // every change is made whole: still right after a panic elsewhere
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn settle(&mut self, now: Instant) {
        if let Some(Metered { meter, pace }) = &mut self.metered {
            meter.settle(now);
            pace.settle(now);
        }
    }

    /// How long a ticket is expected to wait.
    fn wait_of(&mut self, ticket: u64, now: Instant) -> Duration {
        let pause = self
            .not_before
            .map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        self.settle(now);
        let Some(Metered { meter, pace }) = &self.metered else {
            return pause;
        };
        // a queue longer than a float can tell apart does not come up
        let turns = u32::try_from(self.queue.turns(ticket)).map_or(f64::MAX, f64::from);
        let wait = meter.wait(turns, pause).max(pace.wait(turns, pause));
        pause.saturating_add(wait)
    }
}

/// `after` from `now`, or as far as an instant goes.
fn later(now: Instant, after: Duration) -> Instant {
    // thirty years are no wait that anybody waits for
    const FAR: Duration = Duration::from_secs(86_400 * 365 * 30);
    now + after.min(FAR)
}

fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX / 2)
}

/// The budgets of all scopes, and what callers may buy from them a day. A budget
/// is made on first use; there are as many as configured scopes.
#[derive(Debug)]
pub struct Budgets {
    rate: f64,
    scopes: Mutex<HashMap<Scope, Arc<Budget>>>,
    ledger: Option<Arc<Ledger>>,
}

impl Budgets {
    /// Budgets of `rate` requests a second each; see [`Budget::new`].
    #[must_use]
    pub fn new(rate: f64) -> Self {
        Self {
            rate,
            scopes: Mutex::default(),
            ledger: None,
        }
    }

    /// Lets each caller buy `daily` requests a UTC day in all scopes together, where
    /// their terms do not say; 0: any number.
    #[must_use]
    pub fn with_daily_allowance(self, clock: Clock, daily: u64) -> Self {
        self.with_ledger(Ledger::new(clock, daily))
    }

    /// Keeps what callers buy there.
    #[must_use]
    pub fn with_ledger(self, ledger: Ledger) -> Self {
        let ledger = Some(Arc::new(ledger));
        Self { ledger, ..self }
    }

    /// What callers bought today, if that is counted.
    #[must_use]
    pub fn ledger(&self) -> Option<&Arc<Ledger>> {
        self.ledger.as_ref()
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

    /// What every budget does and has done, by scope.
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
