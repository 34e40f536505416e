//! How fast the gateway goes, where other tools share the quota.
//!
//! AWS does not say how much of the quota others use; it only refuses. So the
//! rate falls by a factor when it does, and comes back along a cubic: fast
//! where it is far below the rate that was refused, slowly around that rate,
//! and fast again beyond it, where others seem to have gone (after CUBIC,
//! RFC 9438).

use std::time::Duration;

use tokio::time::Instant;

use super::{later, meter, seconds};

/// What is left of the rate after a refusal: CUBIC's factor (RFC 9438, 4.6).
const FALL: f64 = 0.7;
/// The least that is left, of the ceiling: a request in ten seconds at AWS's
/// two a second, so that a caller with a minute's patience still gets pages.
const FLOOR: f64 = 0.05;
/// So long the rate takes back to a refused one of half the ceiling, and half as
/// long again to the ceiling: some three minutes in all. At a request a
/// second one refusal a minute is well under one in twenty.
const BACK: f64 = 75.0;
/// Time in which the rate is not used up counts so much: it tells nothing of
/// what others use, but they may have gone.
const UNUSED: f64 = 0.5;

/// What is left for others at each request, at most; how much is a matter of
/// chance. Without it a gateway that takes each request in the moment in which
/// it comes back leaves others nothing at all, and never learns of them; with it
/// one in four of theirs gets through, and then shares. It costs no rate, since
/// the bucket keeps what is not taken at once.
const RESERVE: f64 = 0.5;
/// Whoever asks now and then leaves others enough: use must last so long.
const LASTING: Duration = Duration::from_secs(5);

/// A token bucket whose rate and depth follow refusals.
#[derive(Debug)]
pub(super) struct Pace {
    ceiling: f64,
    level: f64,
    /// When `level` was right.
    at: Instant,
    /// When it was full last.
    rested: Instant,
    /// What the next request leaves.
    reserve: f64,
    trouble: Option<Trouble>,
}

/// The last refusal that the rate fell for.
#[derive(Clone, Copy, Debug)]
struct Trouble {
    at: Instant,
    /// The rate that was too much.
    rate: f64,
    /// What it fell to.
    low: f64,
    /// Seconds since, as far as they count.
    back: f64,
}

impl Pace {
    pub(super) fn new(ceiling: f64, now: Instant) -> Self {
        Self {
            ceiling,
            level: meter::depth(ceiling),
            at: now,
            rested: now,
            reserve: 0.0,
            trouble: None,
        }
    }

    /// Requests a second that were allowed when it was settled last.
    pub(super) fn rate(&self) -> f64 {
        let Some(trouble) = self.trouble else {
            return self.ceiling;
        };
        let Trouble {
            rate, low, back, ..
        } = trouble;
        let steep = self.ceiling * (1.0 - FALL) / 2.0 / BACK.powi(3);
        let level = ((rate - low) / steep).cbrt();
        (rate + steep * (back - level).powi(3)).clamp(low, self.ceiling)
    }

    pub(super) fn settle(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.at).as_secs_f64();
        let before = self.rate();
        if let Some(trouble) = &mut self.trouble {
            let depth = depth(self.ceiling, before);
            let used = ((depth - self.level).max(0.0) / before).min(passed);
            trouble.back += used + (passed - used) * UNUSED;
        }
        let rate = self.rate();
        if rate >= self.ceiling {
            self.trouble = None;
        }
        let depth = depth(self.ceiling, rate);
        self.level = (self.level + passed * rate).min(depth);
        self.at = self.at.max(now);
        if self.level >= depth {
            self.rested = self.at;
        }
    }

    /// When to look for the next one, where there is none now.
    pub(super) fn next(&self, now: Instant) -> Option<Instant> {
        // so much may be lost in rounding
        const NEARLY: f64 = 1e-9;
        let short = 1.0 + self.reserve - self.level;
        let wait = seconds(short / self.rate()) + Duration::from_millis(1);
        (short > NEARLY).then(|| later(now, wait))
    }

    pub(super) fn send(&mut self) {
        self.level -= 1.0;
        let is_lasting = self.at.saturating_duration_since(self.rested) >= LASTING;
        let most = RESERVE.min(depth(self.ceiling, self.rate()) - 1.0);
        self.reserve = if most > 0.0 && (is_lasting || self.trouble.is_some()) {
            rand::random_range(0.0..=most)
        } else {
            0.0
        };
    }

    /// What was bought was not sent after all.
    pub(super) fn give_back(&mut self) {
        self.level += 1.0;
    }

    /// A request that was sent at `sent` was refused. The rate falls once for all
    /// that were sent before it fell.
    pub(super) fn refused(&mut self, sent: Instant, now: Instant) {
        self.level = self.level.min(0.0);
        if self.trouble.is_some_and(|trouble| sent <= trouble.at) {
            return;
        }
        let rate = self.rate();
        let low = (rate * FALL).max(self.ceiling * FLOOR);
        self.trouble = Some(Trouble {
            at: now,
            rate,
            low,
            back: 0.0,
        });
    }

    /// How long the last of `turns` waits after `pause`, at the rate as it is.
    pub(super) fn wait(&self, turns: f64, pause: Duration) -> Duration {
        let rate = self.rate();
        let free = self.level - self.reserve;
        meter::wait(turns, free, rate, depth(self.ceiling, rate), pause)
    }
}

/// How many may be sent at once after a rest: fewer where others share, but for
/// the reserve.
fn depth(ceiling: f64, rate: f64) -> f64 {
    let full = meter::depth(ceiling);
    (full * rate / ceiling).max(full.min(1.0 + RESERVE))
}
