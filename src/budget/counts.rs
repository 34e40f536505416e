//! What was done for each class.

use std::{
    array,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
    time::Duration,
};

use super::Class;

/// What a budget has done for a class since it was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ClassStats {
    /// Requests bought at its turns.
    pub bought: u64,
    /// Requests that were not waited for, since their turn would have come too late.
    pub refused: u64,
    /// How long requests that were bought at its turns had waited.
    pub waited: Duration,
}

#[derive(Debug, Default)]
struct Count {
    bought: AtomicU64,
    refused: AtomicU64,
    waited_millis: AtomicU64,
}

/// Counts by class.
#[derive(Debug, Default)]
pub(super) struct Counts([Count; 3]);

impl Counts {
    pub(super) fn bought(&self, class: Class, waited: Duration) {
        let count = self.of(class);
        count.bought.fetch_add(1, Relaxed);
        let waited = u64::try_from(waited.as_millis()).unwrap_or(u64::MAX);
        count.waited_millis.fetch_add(waited, Relaxed);
    }

    /// One that was bought was not sent.
    pub(super) fn given_back(&self, class: Class) {
        self.of(class).bought.fetch_sub(1, Relaxed);
    }

    pub(super) fn refused(&self, class: Class) {
        self.of(class).refused.fetch_add(1, Relaxed);
    }

    /// By class as [`Class::ALL`] has them.
    pub(super) fn stats(&self) -> [ClassStats; 3] {
        array::from_fn(|i| {
            let class = Class::ALL.get(i).copied().unwrap_or_default();
            let count = self.of(class);
            ClassStats {
                bought: count.bought.load(Relaxed),
                refused: count.refused.load(Relaxed),
                waited: Duration::from_millis(count.waited_millis.load(Relaxed)),
            }
        })
    }

    fn of(&self, class: Class) -> &Count {
        let [interactive, subscription, backfill] = &self.0;
        match class {
            Class::Interactive => interactive,
            Class::Subscription => subscription,
            Class::Backfill => backfill,
        }
    }
}
