//! What may happen without end, and is said once a minute.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// How often it is said at most.
const EVERY: Duration = Duration::from_secs(60);

/// How often it happened, and when that was said.
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<Counts>);

#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    total: u64,
    said: u64,
    said_at: Option<Instant>,
}

impl Seldom {
    /// It happened once more. If it is to be said now, how often it happened since it
    /// was said last.
    pub(crate) fn count(&self) -> Option<u64> {
        // every change is made whole
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        counts.total += 1;
        if counts.said_at.is_some_and(|at| at.elapsed() < EVERY) {
            return None;
        }
        let since = counts.total - counts.said;
        counts.said = counts.total;
        counts.said_at = Some(Instant::now());
        Some(since)
    }

    /// How often it happened.
    pub(crate) fn total(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).total
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_first_is_said_and_then_how_many_there_were() {
        let seldom = Seldom::default();
        assert_eq!(seldom.count(), Some(1));
        for _ in 0..10 {
            assert_eq!(seldom.count(), None);
        }
        advance(EVERY).await;
        assert_eq!(seldom.count(), Some(11));
        assert_eq!(seldom.count(), None);
        assert_eq!(seldom.total(), 13);
    }
}
