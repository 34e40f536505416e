//! What a question may spend.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use crate::budget::{Caller, Class, Ledger};

/// What one question may spend, and has spent, on requests, and for whom.
#[derive(Debug)]
pub struct Allowance {
    caller: Caller,
    class: Class,
    limit: u64,
    ledger: Option<Arc<Ledger>>,
    spent: AtomicU64,
    throttled: AtomicU64,
}

impl Allowance {
    /// An allowance of `limit` requests, and of what `ledger` leaves the caller; the
    /// gateway itself has no other limit.
    #[must_use]
    pub fn new(limit: u64, class: Class, caller: Caller, ledger: Option<Arc<Ledger>>) -> Self {
        Self {
            ledger: ledger.filter(|_| !caller.is_gateway()),
            caller,
            class,
            limit,
            spent: AtomicU64::new(0),
            throttled: AtomicU64::new(0),
        }
    }

    /// Who asks.
    #[must_use]
    pub fn caller(&self) -> &Caller {
        &self.caller
    }

    /// How urgent it is.
    #[must_use]
    pub fn class(&self) -> Class {
        self.class
    }

    /// Requests bought on it so far, retries included.
    #[must_use]
    pub fn spent(&self) -> u64 {
        self.spent.load(Relaxed)
    }

    /// Whether it bought nothing, or nothing but refusals to wait longer.
    #[must_use]
    pub fn bought_nothing(&self) -> bool {
        self.spent() == self.throttled.load(Relaxed)
    }

    /// Whether nothing is left of it.
    #[must_use]
    pub fn is_spent(&self) -> bool {
        self.spent() >= self.limit || self.spent_today().is_some()
    }

    /// Where there would be something left but for the caller's daily allowance:
    /// how long until the next day.
    #[must_use]
    pub fn spent_today(&self) -> Option<Duration> {
        let ledger = self.ledger.as_ref()?;
        let is_spent = self.spent() < self.limit && ledger.is_spent(&self.caller);
        is_spent.then(|| ledger.until_tomorrow())
    }

    /// Takes one request.
    pub(super) fn take(&self) -> bool {
        let more = |spent| (spent < self.limit).then(|| spent + 1);
        if self.spent.try_update(Relaxed, Relaxed, more).is_err() {
            return false;
        }
        let ledger = self.ledger.as_ref();
        let is_left = ledger.is_none_or(|ledger| ledger.take(&self.caller));
        if !is_left {
            self.spent.fetch_sub(1, Relaxed);
        }
        is_left
    }

    /// What was taken was not sent after all.
    pub(super) fn put_back(&self) {
        self.spent.fetch_sub(1, Relaxed);
        if let Some(ledger) = &self.ledger {
            ledger.put_back(&self.caller);
        }
    }

    /// AWS throttled a request that was bought on it.
    pub(super) fn note_throttled(&self) {
        self.throttled.fetch_add(1, Relaxed);
    }

    /// It got no page for want of allowance: where that is the daily one, it is
    /// counted.
    pub fn note_refusal(&self) {
        if let Some(ledger) = self
            .ledger
            .as_ref()
            .filter(|_| self.spent_today().is_some())
        {
            ledger.note_refusal();
        }
    }
}
