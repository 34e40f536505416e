//! How often callers call.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::budget::Caller;

/// The most callers that are told apart: some megabyte of them. Whoever comes while
/// as many call shares what one may.
const MAX_CALLERS: usize = 10_000;

/// What a caller who was silent may begin at once: as much as in a second.
const BURST: Duration = Duration::from_secs(1);

/// How often each caller may call: a bucket for each, kept as the time when it is
/// full again (the generic cell rate algorithm, ITU-T I.371).
#[derive(Debug)]
pub(super) struct Rates {
    /// Calls a second where a caller's share does not say; 0: any number.
    each: u32,
    callers: Mutex<Callers>,
}

#[derive(Debug)]
struct Callers {
    /// When each is as if it had never called.
    full: HashMap<Caller, Instant>,
    /// Of all who are not told apart.
    others: Instant,
    /// When those who are gone were looked for.
    swept: Instant,
}

impl Rates {
    pub(super) fn new(each: u32) -> Self {
        let now = Instant::now();
        Self {
            each,
            callers: Mutex::new(Callers {
                full: HashMap::new(),
                others: now,
                swept: now,
            }),
        }
    }

    /// Takes a call of a caller's, who may begin `share` a second.
    ///
    /// # Errors
    /// If it called too often: how often it may, and after what time the next one is
    /// taken.
    pub(super) fn take(&self, caller: &Caller, share: Option<u32>) -> Result<(), TooOften> {
        let per_second = share.unwrap_or(self.each);
        if per_second == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let mut callers = self.callers.lock().unwrap_or_else(PoisonError::into_inner);
        let full = callers.of(caller, now);
        let next = (*full).max(now) + BURST / per_second;
        let ahead = next.saturating_duration_since(now);
        match ahead.checked_sub(BURST) {
            Some(wait) if !wait.is_zero() => Err(TooOften { per_second, wait }),
            _ => {
                *full = next;
                Ok(())
            }
        }
    }
}

impl Callers {
    fn of(&mut self, caller: &Caller, now: Instant) -> &mut Instant {
        let is_new = !self.full.contains_key(caller);
        if is_new && self.full.len() >= MAX_CALLERS && now >= self.swept + BURST {
            self.swept = now;
            self.full.retain(|_, full| *full > now);
        }
        if is_new && self.full.len() >= MAX_CALLERS {
            return &mut self.others;
        }
        self.full.entry(caller.clone()).or_insert(now)
    }
}

/// A caller called too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooOften {
    /// The calls that it may begin in a second.
    pub(super) per_second: u32,
    /// After what time the next one is taken.
    pub(super) wait: Duration,
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn taken(rates: &Rates, caller: &Caller, share: Option<u32>) -> usize {
        let calls = std::iter::repeat_with(|| rates.take(caller, share));
        calls.take_while(Result::is_ok).take(100).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_seconds_worth_at_once_and_then_at_the_rate() {
        let rates = Rates::new(3);
        let [a, b] = ["a", "b"].map(Caller::named);
        assert_eq!(taken(&rates, &a, None), 3);
        let refused = rates.take(&a, None).unwrap_err();
        assert_eq!(refused.per_second, 3);
        // each has one's own
        assert_eq!(taken(&rates, &b, None), 3);
        // what is refused costs nothing
        advance(refused.wait).await;
        assert_eq!(taken(&rates, &a, None), 1);
        advance(Duration::from_secs(60)).await;
        assert_eq!(taken(&rates, &a, None), 3);
        // a share comes before what everybody has
        assert_eq!(taken(&rates, &Caller::named("c"), Some(1)), 1);
        assert_eq!(taken(&rates, &Caller::named("d"), Some(0)), 100);
        assert_eq!(taken(&Rates::new(0), &a, None), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn new_names_bring_nothing() {
        let rates = Rates::new(1);
        let many = |from: usize| {
            let names = (from..from + MAX_CALLERS).map(|name| Caller::named(&name.to_string()));
            names.filter(|name| rates.take(name, None).is_ok()).count()
        };
        assert_eq!(many(0), MAX_CALLERS);
        assert_eq!(many(MAX_CALLERS), 1, "all share one");
        advance(BURST * 2).await;
        // those who are gone are forgotten
        assert_eq!(many(2 * MAX_CALLERS), MAX_CALLERS);
        let callers = rates.callers.lock().unwrap();
        assert!(callers.full.len() <= MAX_CALLERS);
    }
}
