//! How often each does something: calls, or is refused.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

/// The most that are told apart: some megabyte of them. Whoever comes while there are
/// as many shares what one may.
const MAX_KEYS: usize = 10_000;

/// What who was silent may do at once: as much as in a second.
const BURST: Duration = Duration::from_secs(1);

/// How often each may: a bucket for each, kept as the time when it is full again (the
/// generic cell rate algorithm, ITU-T I.371).
#[derive(Debug)]
pub(crate) struct Rates<K> {
    /// Times a second where nothing else is said; 0: any number.
    each: u32,
    buckets: Mutex<Buckets<K>>,
}

#[derive(Debug)]
struct Buckets<K> {
    /// When each is as if it had never come.
    full: HashMap<K, Instant>,
    /// Of all who are not told apart.
    others: Instant,
    /// When those who are gone were looked for.
    swept: Instant,
}

impl<K: Clone + Eq + Hash> Rates<K> {
    pub(crate) fn new(each: u32) -> Self {
        let now = Instant::now();
        Self {
            each,
            buckets: Mutex::new(Buckets {
                full: HashMap::new(),
                others: now,
                swept: now,
            }),
        }
    }

    /// Takes one of `key`'s, which may have `share` a second.
    ///
    /// # Errors
    /// If it came too often: how often it may, and after what time the next one is
    /// taken.
    pub(crate) fn take(&self, key: &K, share: Option<u32>) -> Result<(), TooOften> {
        let per_second = share.unwrap_or(self.each);
        if per_second == 0 {
            return Ok(());
        }
        let now = Instant::now();
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let full = buckets.of(key, now);
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

impl<K: Clone + Eq + Hash> Buckets<K> {
    fn of(&mut self, key: &K, now: Instant) -> &mut Instant {
        let is_new = !self.full.contains_key(key);
        if is_new && self.full.len() >= MAX_KEYS && now >= self.swept + BURST {
            self.swept = now;
            self.full.retain(|_, full| *full > now);
        }
        if is_new && self.full.len() >= MAX_KEYS {
            return &mut self.others;
        }
        self.full.entry(key.clone()).or_insert(now)
    }
}

/// Someone came too often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooOften {
    /// How often it may in a second.
    pub(crate) per_second: u32,
    /// After what time the next one is taken.
    pub(crate) wait: Duration,
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    fn taken(rates: &Rates<&str>, key: &'static str, share: Option<u32>) -> usize {
        let calls = std::iter::repeat_with(|| rates.take(&key, share));
        calls.take_while(Result::is_ok).take(100).count()
    }

    #[tokio::test(start_paused = true)]
    async fn a_seconds_worth_at_once_and_then_at_the_rate() {
        let rates = Rates::new(3);
        assert_eq!(taken(&rates, "a", None), 3);
        let refused = rates.take(&"a", None).unwrap_err();
        assert_eq!(refused.per_second, 3);
        // each has one's own
        assert_eq!(taken(&rates, "b", None), 3);
        // what is refused costs nothing
        advance(refused.wait).await;
        assert_eq!(taken(&rates, "a", None), 1);
        advance(Duration::from_secs(60)).await;
        assert_eq!(taken(&rates, "a", None), 3);
        // a share comes before what everybody has
        assert_eq!(taken(&rates, "c", Some(1)), 1);
        assert_eq!(taken(&rates, "d", Some(0)), 100);
        assert_eq!(taken(&Rates::new(0), "a", None), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn new_names_bring_nothing() {
        let rates = Rates::new(1);
        let many = |from: usize| {
            let keys = from..from + MAX_KEYS;
            keys.filter(|key| rates.take(key, None).is_ok()).count()
        };
        assert_eq!(many(0), MAX_KEYS);
        assert_eq!(many(MAX_KEYS), 1, "all share one");
        advance(BURST * 2).await;
        // those who are gone are forgotten
        assert_eq!(many(2 * MAX_KEYS), MAX_KEYS);
        let buckets = rates.buckets.lock().unwrap();
        assert!(buckets.full.len() <= MAX_KEYS);
    }
}
