//! Places in the queue, and what they lead to.

use std::{sync::Arc, time::Duration};

use tokio::{sync::Notify, time::Instant};

use super::{Budget, Caller, Class, Error};

/// A place in the queue for a request and its further attempts, at the turn of
/// whoever claims it. Dropping it leaves the queue; one whose claims are all
/// dropped is not served.
#[derive(Debug)]
pub struct Ticket {
    place: Place,
    wake: Arc<Notify>,
}

impl Ticket {
    /// Takes a place, and claims it; says how long it is expected to wait.
    pub(super) fn issue(
        budget: &Arc<Budget>,
        class: Class,
        caller: &Caller,
        deadline: Option<Instant>,
    ) -> Result<(Self, Claim), Error> {
        let (id, wake) = budget.lock().queue.issue(Instant::now());
        let place = Place {
            budget: Arc::clone(budget),
            id,
        };
        // from here on it is withdrawn whatever happens
        let ticket = Self { place, wake };
        let claim = ticket.place.claim(class, caller, deadline)?;
        Ok((ticket, claim))
    }

    /// The place, for others to claim.
    #[must_use]
    pub fn place(&self) -> Place {
        self.place.clone()
    }

    /// Waits for a turn and for quota. Hold the permit while the request is
    /// under way; for a further attempt, wait once more.
    ///
    /// It must be awaited, or dropped: who is next holds up the others.
    pub async fn ready(&mut self) -> Permit {
        let Place { budget, id } = &self.place;
        {
            let mut state = budget.lock();
            state.queue.wait(*id, Instant::now());
            state.queue.rouse();
        }
        loop {
            // a wake is kept until it is waited for
            let woken = self.wake.notified();
            match budget.take(*id, Instant::now()) {
                Take::Taken(permit, class) => {
                    return Permit {
                        budget: Arc::clone(budget),
                        id: permit,
                        class,
                        sent: Instant::now(),
                        was_sent: true,
                    };
                }
                // an early end of a request under way moves the moment
                Take::At(at) => tokio::select! {
                    () = tokio::time::sleep_until(at) => {}
                    () = woken => {}
                },
                Take::NotNext => woken.await,
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        let mut state = self.place.budget.lock();
        state.queue.withdraw(self.place.id);
        state.queue.rouse();
    }
}

/// What came of looking for a turn.
pub(super) enum Take {
    /// A request, at this class's turn.
    Taken(u64, Class),
    /// The turn is this one's; there may be quota then.
    At(Instant),
    /// It is another's turn.
    NotNext,
}

/// A ticket's place in the queue.
#[derive(Clone, Debug)]
pub struct Place {
    budget: Arc<Budget>,
    id: u64,
}

impl Place {
    #[cfg(test)]
    pub(super) fn id(&self) -> u64 {
        self.id
    }

    /// Claims it: its turn comes no later than this caller's would.
    ///
    /// # Errors
    /// [`Error::TooLate`] if its turn is not expected by `deadline`, or if as
    /// many wait as may.
    pub fn claim(
        &self,
        class: Class,
        caller: &Caller,
        deadline: Option<Instant>,
    ) -> Result<Claim, Error> {
        let now = Instant::now();
        let mut state = self.budget.lock();
        let Some(id) = state.queue.claim(self.id, class, caller) else {
            let wait = state.wait_of(self.id, now);
            self.budget.counts.refused(class);
            return Err(Error::TooLate { wait });
        };
        // a request that was sent already is waited for
        if state.queue.is_waiting(self.id)
            && let Some(deadline) = deadline
        {
            let wait = state.wait_of(self.id, now);
            if super::later(now, wait) > deadline {
                state.queue.disclaim(self.id, id);
                self.budget.counts.refused(class);
                return Err(Error::TooLate { wait });
            }
        }
        state.queue.rouse();
        Ok(Claim {
            place: self.clone(),
            id,
        })
    }
}

/// One who waits for a place's turn, and gives up by dropping it.
#[derive(Debug)]
pub struct Claim {
    place: Place,
    id: u64,
}

impl Drop for Claim {
    fn drop(&mut self) {
        let mut state = self.place.budget.lock();
        state.queue.disclaim(self.place.id, self.id);
        state.queue.rouse();
    }
}

/// A request that was bought, while it is under way.
#[derive(Debug)]
pub struct Permit {
    budget: Arc<Budget>,
    id: u64,
    class: Class,
    sent: Instant,
    was_sent: bool,
}

impl Permit {
    /// Gives it back: the request was not sent.
    pub fn give_back(mut self) {
        self.was_sent = false;
        self.budget.counts.given_back(self.class);
    }

    /// AWS throttled the request although it was bought: see
    /// [`Budget::throttled`].
    pub fn throttled(self, retry_after: Option<Duration>) {
        let (budget, sent) = (Arc::clone(&self.budget), self.sent);
        // it is counted as sent; what the refusal says comes on top
        drop(self);
        budget.throttled(sent, retry_after);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.budget.end(self.id, self.was_sent);
    }
}
