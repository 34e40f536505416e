//! Wall time on tokio's clock: the one source of "now".
//!
//! The clock reads the wall once, when it is made, and counts elapsed time on
//! tokio's clock from there. Tests pause and advance that clock, and wall time
//! follows. A step of the system's wall clock while the process runs is not
//! seen; time kept in step by NTP is.

use std::time::{Duration, SystemTime};

use jiff::Timestamp;
use tokio::time::Instant;

/// Wall time that follows tokio's clock. Cheap to copy; all copies agree.
#[derive(Clone, Copy, Debug)]
pub struct Clock {
    wall: Timestamp,
    since: Instant,
}

impl Clock {
    /// A clock set by the system's wall clock.
    ///
    /// A system time outside the years that [`Timestamp`] can hold reads as
    /// the Unix epoch.
    #[must_use]
    #[expect(
        clippy::disallowed_methods,
        reason = "the one place that reads the wall clock"
    )]
    pub fn system() -> Self {
        Self::at(Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH))
    }

    /// A clock that reads `wall` now, for tests.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        Self {
            wall,
            since: Instant::now(),
        }
    }

    /// The wall time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.wall
            .saturating_add(self.since.elapsed())
            .unwrap_or(Timestamp::MAX)
    }

    /// The wall time now in whole seconds since the Unix epoch, rounded down:
    /// the second that `CloudTrail` would stamp on an event now.
    #[must_use]
    pub fn now_secs(&self) -> i64 {
        self.now().as_second()
    }

    /// The wall time at `instant`, which may lie before or after now.
    #[must_use]
    pub fn wall_at(&self, instant: Instant) -> Timestamp {
        match instant.checked_duration_since(self.since) {
            Some(after) => self.wall.saturating_add(after).unwrap_or(Timestamp::MAX),
            None => self
                .wall
                .saturating_sub(self.since.saturating_duration_since(instant))
                .unwrap_or(Timestamp::MIN),
        }
    }

    /// The instant that is `after` from now.
    #[must_use]
    pub fn deadline(after: Duration) -> Instant {
        // far enough for any wait, near enough not to overflow
        const FAR: Duration = Duration::from_secs(86_400 * 365);
        Instant::now() + after.min(FAR)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn wall_time_follows_tokios_clock() {
        let clock = Clock::at("2026-01-02T03:04:05.6Z".parse().unwrap());
        assert_eq!(clock.now_secs(), clock.now().as_second());
        tokio::time::advance(Duration::from_millis(400)).await;
        assert_eq!(clock.now(), "2026-01-02T03:04:06Z".parse().unwrap());
        let then = Instant::now();
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(clock.wall_at(then), "2026-01-02T03:04:06Z".parse().unwrap());
        assert_eq!(clock.now_secs() - clock.wall_at(then).as_second(), 60);
    }
}
