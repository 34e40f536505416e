//! What each caller bought today.

use std::{
    collections::HashMap,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use super::Caller;
use crate::clock::Clock;

/// The most callers that are told apart in a day: some megabyte of them. Whoever
/// comes later shares one allowance, so that new addresses bring nothing.
const MAX_CALLERS: usize = 10_000;

const DAY: i64 = 86_400;

/// An allowance of requests for each caller and UTC day.
#[derive(Debug)]
pub struct Ledger {
    clock: Clock,
    daily: u64,
    /// Servers that share what a caller's terms say.
    replicas: u64,
    today: Mutex<Today>,
    refused: AtomicU64,
}

#[derive(Debug, Default)]
struct Today {
    /// Days since the Unix epoch.
    day: i64,
    bought: HashMap<Caller, u64>,
    /// By those who are not told apart.
    others: u64,
}

impl Today {
    fn bought(&mut self, caller: &Caller) -> &mut u64 {
        let is_full = self.bought.len() >= MAX_CALLERS;
        if is_full && !self.bought.contains_key(caller) {
            return &mut self.others;
        }
        self.bought.entry(caller.clone()).or_default()
    }
}

impl Ledger {
    /// An allowance of `daily` requests where a caller's terms do not say; 0: any
    /// number.
    #[must_use]
    pub fn new(clock: Clock, daily: u64) -> Self {
        Self {
            clock,
            daily,
            replicas: 1,
            today: Mutex::default(),
            refused: AtomicU64::new(0),
        }
    }

    /// Has so many servers share what a caller's terms say: each allows its part, up
    /// to a whole request.
    #[must_use]
    pub fn shared_by(self, replicas: u64) -> Self {
        Self { replicas, ..self }
    }

    /// How many a caller may buy a day; `None`: any number, and they are not
    /// counted.
    fn allowance(&self, caller: &Caller) -> Option<u64> {
        let own = caller.terms().daily;
        let own = own.map(|daily| daily.div_ceil(self.replicas.max(1)));
        let daily = own.unwrap_or(self.daily);
        (daily > 0).then_some(daily)
    }

    /// Takes one request from a caller's allowance, if there is one.
    pub fn take(&self, caller: &Caller) -> bool {
        let is_left = self.allowance(caller).is_none_or(|daily| {
            self.on_today(|today| {
                let bought = today.bought(caller);
                let is_left = *bought < daily;
                *bought += u64::from(is_left);
                is_left
            })
        });
        if is_left {
            caller.bought();
        }
        is_left
    }

    /// What was taken was not sent after all.
    pub fn put_back(&self, caller: &Caller) {
        caller.gave_back();
        if self.allowance(caller).is_none() {
            return;
        }
        self.on_today(|today| {
            let bought = today.bought(caller);
            *bought = bought.saturating_sub(1);
        });
    }

    /// Whether nothing is left of a caller's allowance.
    #[must_use]
    pub fn is_spent(&self, caller: &Caller) -> bool {
        let Some(daily) = self.allowance(caller) else {
            return false;
        };
        self.on_today(|today| {
            let is_full = today.bought.len() >= MAX_CALLERS;
            let bought = today.bought.get(caller).copied();
            let others = if is_full { today.others } else { 0 };
            bought.unwrap_or(others) >= daily
        })
    }

    /// How long until the next day begins, in UTC.
    #[must_use]
    pub fn until_tomorrow(&self) -> Duration {
        let left = DAY - self.clock.now_secs().rem_euclid(DAY);
        Duration::from_secs(left.unsigned_abs())
    }

    /// Notes that a page was not bought for want of allowance.
    pub fn note_refusal(&self) {
        self.refused.fetch_add(1, Relaxed);
    }

    /// Pages that were not bought for want of allowance, on all days.
    #[must_use]
    pub fn refused(&self) -> u64 {
        self.refused.load(Relaxed)
    }

    fn on_today<T>(&self, act: impl FnOnce(&mut Today) -> T) -> T {
        let day = self.clock.now_secs().div_euclid(DAY);
        // plain numbers: still right after a panic elsewhere
        let mut today = self.today.lock().unwrap_or_else(PoisonError::into_inner);
        if today.day != day {
            *today = Today {
                day,
                ..Today::default()
            };
        }
        act(&mut today)
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::{super::Terms, *};

    #[tokio::test(start_paused = true)]
    async fn each_has_their_own_until_midnight() {
        let clock = Clock::at("2026-01-02T23:59:58.5Z".parse().unwrap());
        let ledger = Ledger::new(clock, 2);
        let [a, b] = ["a", "b"].map(Caller::named);
        assert!(ledger.take(&a) && ledger.take(&a) && !ledger.take(&a));
        assert!(ledger.is_spent(&a) && !ledger.is_spent(&b));
        ledger.put_back(&a);
        assert!(!ledger.is_spent(&a) && ledger.take(&a));
        assert_eq!(ledger.until_tomorrow(), Duration::from_secs(2));
        advance(ledger.until_tomorrow()).await;
        assert!(!ledger.is_spent(&a) && ledger.take(&a));
    }

    #[tokio::test(start_paused = true)]
    async fn terms_come_before_what_everybody_has() {
        let ledger = Ledger::new(Clock::system(), 1);
        let on = |daily| {
            Caller::named("a").on(Terms {
                daily,
                ..Terms::default()
            })
        };
        assert!(ledger.take(&on(Some(2))) && !ledger.take(&on(None)));
        // the same caller, whatever its terms become
        assert!(ledger.take(&on(Some(2))) && !ledger.take(&on(Some(2))));
        for _ in 0..9 {
            assert!(ledger.take(&on(Some(0))));
            ledger.put_back(&on(Some(0)));
        }
        assert!(!ledger.is_spent(&on(Some(0))) && ledger.is_spent(&on(Some(2))));
        let ledger = Ledger::new(Clock::system(), 1).shared_by(3);
        assert!(ledger.take(&on(Some(4))) && ledger.take(&on(Some(4))));
        assert!(
            !ledger.take(&on(Some(4))),
            "a third of them, and a whole one"
        );
        let ledger = Ledger::new(Clock::system(), 0);
        assert!(ledger.take(&on(None)) && ledger.take(&on(None)));
        assert!(ledger.take(&on(Some(1))) && !ledger.take(&on(Some(1))));
    }

    #[tokio::test(start_paused = true)]
    async fn new_names_bring_nothing() {
        let ledger = Ledger::new(Clock::system(), 2);
        for number in 0..MAX_CALLERS {
            assert!(ledger.take(&Caller::named(&number.to_string())));
        }
        let [x, y] = ["x", "y"].map(Caller::named);
        assert!(ledger.take(&x) && ledger.take(&y) && !ledger.take(&x));
        assert!(ledger.is_spent(&y));
        let known = Caller::named("7");
        assert!(ledger.take(&known) && !ledger.take(&known));
        assert_eq!(ledger.on_today(|today| today.bought.len()), MAX_CALLERS);
    }
}
