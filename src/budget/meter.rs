//! AWS's meter on a scope, as late as it may be there.

use std::{collections::VecDeque, time::Duration};

use tokio::time::Instant;

use super::{later, seconds};

/// The longest that a request is assumed to travel before AWS counts it, so
/// that slow answers do not hold the meter up. At two a second, with two at
/// once, no longer one lets the full rate through.
const ARRIVAL: Duration = Duration::from_millis(500);

/// A token bucket as AWS has it. A request under way holds its place in it, and
/// is counted when its answer came, or [`ARRIVAL`] after it was sent.
#[derive(Debug)]
pub(super) struct Meter {
    /// Requests a second.
    rate: f64,
    /// How many may be sent at once after a rest.
    depth: f64,
    /// What the meter there holds at least, were all under way counted.
    level: f64,
    /// When `level` was right.
    at: Instant,
    /// When each request under way was sent, oldest first. At most `depth`.
    under_way: VecDeque<(u64, Instant)>,
}

impl Meter {
    pub(super) fn new(rate: f64, now: Instant) -> Self {
        let depth = depth(rate);
        Self {
            rate,
            depth,
            level: depth,
            at: now,
            under_way: VecDeque::new(),
        }
    }

    /// Counts what AWS has surely counted by now, and refills.
    pub(super) fn settle(&mut self, now: Instant) {
        while let Some((_, sent)) = self.under_way.front() {
            let counted = *sent + ARRIVAL;
            if counted > now {
                break;
            }
            self.refill(counted);
            self.level -= 1.0;
            self.under_way.pop_front();
        }
        self.refill(now);
    }

    fn refill(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at);
        self.level = (self.level + passed.as_secs_f64() * self.rate).min(self.depth);
        self.at = self.at.max(now);
    }

    /// What may be bought now.
    fn free(&self) -> f64 {
        // at most `depth` are under way
        self.level - f64::from(u32::try_from(self.under_way.len()).unwrap_or(u32::MAX))
    }

    /// When to look for the next one, where there is none now.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        let short = 1.0 - self.free();
        if short <= 0.0 {
            return None;
        }
        // a millisecond more than exact arithmetic would say, for rounding
        let refilled = later(now, seconds(short / self.rate) + Duration::from_millis(1));
        Some(match self.under_way.front() {
            Some((_, sent)) if self.level + short > self.depth => *sent + ARRIVAL,
            _ => refilled,
        })
    }

    pub(super) fn send(&mut self, id: u64, now: Instant) {
        self.under_way.push_back((id, now));
    }

    /// A request ended, or was not sent after all.
    pub(super) fn end(&mut self, id: u64, was_sent: bool) {
        if let Some(index) = self.under_way.iter().position(|(it, _)| *it == id) {
            self.under_way.remove(index);
            self.level -= f64::from(u8::from(was_sent));
        }
    }

    /// AWS says that nothing is left.
    pub(super) fn empty(&mut self) {
        self.level = self.level.min(0.0);
    }

    /// How long the last of `turns` waits after `pause`, if those under way take
    /// as long as they may.
    pub(super) fn wait(&self, turns: f64, pause: Duration) -> Duration {
        wait(turns, self.free(), self.rate, self.depth, pause)
    }
}

/// As many as a second brings, and one at least.
pub(super) fn depth(rate: f64) -> f64 {
    rate.max(1.0)
}

/// How long the last of `turns` waits after `pause` for a bucket.
pub(super) fn wait(turns: f64, free: f64, rate: f64, depth: f64, pause: Duration) -> Duration {
    // what comes back meanwhile is no more than fits
    let free = (free + pause.as_secs_f64() * rate).min(depth);
    let short = (turns - free).max(0.0);
    // each turn waits a millisecond more than it must, see `Meter::next`
    let rounding = Duration::from_millis(1).saturating_mul(whole(short));
    seconds(short / rate).saturating_add(rounding)
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates"
)]
fn whole(short: f64) -> u32 {
    short.ceil() as u32
}
