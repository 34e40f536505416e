//! The quota of a scope: a token bucket in exact integers.

use std::{fmt, str::FromStr, time::Duration};

use tokio::time::Instant;

/// Requests (or events) a second, to a thousandth. Zero is a rate too; what it
/// means is said where it is used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rate {
    milli: u64,
}

impl Rate {
    /// The most that can be said: a million a second.
    pub const MAX: Self = Self {
        milli: 1_000_000_000,
    };

    /// `n` a second, at most [`Self::MAX`].
    #[must_use]
    pub fn per_second(n: u32) -> Self {
        let milli = u64::from(n) * 1000;
        Self { milli }.min(Self::MAX)
    }

    /// Whether it is zero.
    #[must_use]
    pub const fn is_zero(self) -> bool {
        self.milli == 0
    }

    /// In thousandths a second.
    pub(super) const fn milli(self) -> u64 {
        self.milli
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, thousandths) = (self.milli / 1000, self.milli % 1000);
        if thousandths == 0 {
            return write!(f, "{whole}");
        }
        let digits = format!("{thousandths:03}");
        write!(f, "{whole}.{}", digits.trim_end_matches('0'))
    }
}

/// A string is no rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a rate: give a number from 0 to 1000000 with at most three decimals")]
pub struct NoRate;

impl FromStr for Rate {
    type Err = NoRate;

    fn from_str(s: &str) -> Result<Self, NoRate> {
        let (whole, decimals) = s.split_once('.').unwrap_or((s, ""));
        let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || decimals.len() > 3 || !digits(whole) || !digits(decimals) {
            return Err(NoRate);
        }
        let whole: u64 = whole.parse().map_err(|_| NoRate)?;
        let thousandths: u64 = format!("{decimals:0<3}").parse().map_err(|_| NoRate)?;
        let milli = whole
            .checked_mul(1000)
            .and_then(|n| n.checked_add(thousandths));
        milli
            .map(|milli| Self { milli })
            .filter(|rate| *rate <= Self::MAX)
            .ok_or(NoRate)
    }
}

/// A token bucket of depth `max(rate, 1)`, full at first, refilled
/// continuously. A refused request takes nothing.
#[derive(Debug)]
pub(super) struct Bucket {
    rate: Rate,
    /// What is in it, in units of 10^-12 request: a nanosecond at a rate of a
    /// thousandth a second brings exactly one.
    level: u128,
    since: Instant,
}

impl Bucket {
    const REQUEST: u128 = 1_000_000_000_000;

    /// A full bucket.
    pub(super) fn new(rate: Rate) -> Self {
        Self {
            rate,
            level: Self::depth(rate),
            since: Instant::now(),
        }
    }

    fn depth(rate: Rate) -> u128 {
        (u128::from(rate.milli) * 1_000_000_000).max(Self::REQUEST)
    }

    /// Takes one request from it, if there is one. Rate 0 is no limit.
    pub(super) fn take(&mut self) -> bool {
        if self.rate.is_zero() {
            return true;
        }
        let now = Instant::now();
        let elapsed: Duration = now.saturating_duration_since(self.since);
        self.since = now;
        let refill = elapsed
            .as_nanos()
            .saturating_mul(u128::from(self.rate.milli));
        self.level = self
            .level
            .saturating_add(refill)
            .min(Self::depth(self.rate));
        match self.level.checked_sub(Self::REQUEST) {
            Some(rest) => {
                self.level = rest;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::advance;

    use super::*;

    #[test]
    fn rates_read_as_they_print() {
        for (given, shown) in [("2", "2"), ("0", "0"), ("0.5", "0.5"), ("1.250", "1.25")] {
            assert_eq!(given.parse::<Rate>().unwrap().to_string(), shown);
        }
        for bad in [
            "",
            ".5",
            "-1",
            "1e3",
            "0.0001",
            "1000001",
            "99999999999999999999",
            "NaN",
        ] {
            assert_eq!(bad.parse::<Rate>(), Err(NoRate), "{bad}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_refills_to_the_nanosecond() {
        let mut bucket = Bucket::new(Rate::per_second(2));
        assert!(bucket.take() && bucket.take() && !bucket.take());
        advance(Duration::from_nanos(499_999_999)).await;
        assert!(!bucket.take());
        advance(Duration::from_nanos(1)).await;
        assert!(bucket.take() && !bucket.take());
        // refused calls took nothing, and nothing is saved beyond the depth
        advance(Duration::from_secs(3600)).await;
        assert!(bucket.take() && bucket.take() && !bucket.take());
    }

    #[tokio::test(start_paused = true)]
    async fn many_small_steps_add_up_exactly() {
        let mut bucket = Bucket::new("1.25".parse().unwrap());
        assert!(bucket.take(), "a quarter is left");
        let mut granted = 0;
        // 10.199 s in steps of 7 ms; the thirteenth is whole after 10.2 s
        for _ in 0..1457 {
            advance(Duration::from_millis(7)).await;
            granted += u32::from(bucket.take());
        }
        assert_eq!(granted, 12);
        advance(Duration::from_nanos(999_999)).await;
        assert!(!bucket.take());
        advance(Duration::from_nanos(1)).await;
        assert!(bucket.take());
    }

    #[tokio::test(start_paused = true)]
    async fn rate_zero_is_no_limit() {
        let mut bucket = Bucket::new(Rate::per_second(0));
        assert!((0..1000).all(|_| bucket.take()));
    }
}
