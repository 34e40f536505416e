//! Wall time on tokio's clock: the one source of "now".
//!
//! The clock reads the wall when it is made, and counts elapsed time on tokio's
//! clock from there. Tests pause and advance that clock, and wall time follows.
//! Where the system's wall clock steps, or stood still less than tokio's did
//! while the machine slept, [`Clock::watch`] sees it and whoever keeps the time
//! sets it; time kept in step by NTP is in step here too.

use std::{
    sync::{
        Arc,
        atomic::{AtomicI64, Ordering::Relaxed},
    },
    time::{Duration, SystemTime},
};

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

/// How often the system's wall clock is looked at: a step of it is rare, and a
/// second of a wrong window is soon over.
const LOOK: Duration = Duration::from_secs(1);
/// A smaller difference is left alone: it is what reading two clocks one after
/// the other may make on a busy machine.
const SMALL: SignedDuration = SignedDuration::from_millis(500);

/// Wall time that follows tokio's clock. Cheap to clone; all clones agree.
#[derive(Clone, Debug)]
pub struct Clock {
    /// The wall time at `since`, in microseconds since the Unix epoch.
    wall: Arc<AtomicI64>,
    since: Instant,
}

impl Clock {
    /// A clock set by the system's wall clock.
    ///
    /// A system time outside the years that [`Timestamp`] can hold reads as
    /// the Unix epoch.
    #[must_use]
    pub fn system() -> Self {
        Self::at(system_time())
    }

    /// A clock that reads `wall` now, to the microsecond.
    #[must_use]
    pub fn at(wall: Timestamp) -> Self {
        Self {
            wall: Arc::new(AtomicI64::new(wall.as_microsecond())),
            since: Instant::now(),
        }
    }

    /// The wall time now.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.anchor()
            .saturating_add(self.since.elapsed())
            .unwrap_or(Timestamp::MAX)
    }

    /// Sets this clock, and all its clones.
    pub fn set(&self, wall: Timestamp) {
        let elapsed = self.since.elapsed();
        let anchor = wall.saturating_sub(elapsed).unwrap_or(Timestamp::MIN);
        self.wall.store(anchor.as_microsecond(), Relaxed);
    }

    /// Waits until the system's wall clock is not what this one says any more;
    /// what it says.
    pub async fn watch(&self) -> Timestamp {
        loop {
            tokio::time::sleep(LOOK).await;
            let wall = system_time();
            if wall.duration_since(self.now()).abs() > SMALL {
                return wall;
            }
        }
    }

    fn anchor(&self) -> Timestamp {
        // it was a timestamp
        Timestamp::from_microsecond(self.wall.load(Relaxed)).unwrap_or(Timestamp::UNIX_EPOCH)
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
            Some(after) => self
                .anchor()
                .saturating_add(after)
                .unwrap_or(Timestamp::MAX),
            None => self
                .anchor()
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

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that reads the wall clock"
)]
fn system_time() -> Timestamp {
    Timestamp::try_from(SystemTime::now()).unwrap_or(Timestamp::UNIX_EPOCH)
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
    #[tokio::test(start_paused = true)]
    async fn a_clock_that_is_set_goes_on_from_there_in_all_its_clones() {
        let clock = Clock::at("2026-01-02T03:04:05Z".parse().unwrap());
        let clone = clock.clone();
        tokio::time::advance(Duration::from_secs(10)).await;
        let then = Instant::now();
        clock.set("2026-01-02T02:00:00Z".parse().unwrap());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(clone.now(), "2026-01-02T02:00:01Z".parse().unwrap());
        assert_eq!(clone.wall_at(then), "2026-01-02T02:00:00Z".parse().unwrap());
    }

    #[tokio::test(start_paused = true)]
    async fn a_step_of_the_system_is_seen() {
        let clock = Clock::at("2001-01-01T00:00:00Z".parse().unwrap());
        let wall = clock.watch().await;
        assert!(wall.duration_since(clock.now()) > SignedDuration::from_hours(24));
        clock.set(wall);
        assert!(wall.duration_since(clock.now()) < SMALL);
    }
}
