//! Trying again what may pass.

use std::time::Duration;

use rand::RngExt;
use tokio::time::sleep;

/// How often something is tried: with the pauses below some two minutes, in which a
/// bucket that was asked too much is let be.
const TRIES: u32 = 8;
/// The first pause. It doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// The longest.
const LONGEST: Duration = Duration::from_secs(30);

/// Tries that are left.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Patience {
    failed: u32,
}

impl Patience {
    /// It went well: all tries are left.
    pub(super) fn renew(&mut self) {
        self.failed = 0;
    }

    /// Waits before the next try; false, at once: there is none left.
    pub(super) async fn wait(&mut self) -> bool {
        self.failed += 1;
        if self.failed >= TRIES {
            return false;
        }
        let pause = PAUSE * (1 << (self.failed - 1).min(16));
        // those that failed together do not come back together
        let part = rand::rng().random_range(0.5..1.0);
        sleep(pause.min(LONGEST).mul_f64(part)).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_end() {
        let start = Instant::now();
        let mut patience = Patience::default();
        let mut tries = 1;
        while patience.wait().await {
            tries += 1;
        }
        assert_eq!(tries, TRIES);
        let most = Duration::from_millis(500 + 1000 + 2000 + 4000 + 8000 + 16_000 + 30_000);
        assert!(start.elapsed() <= most + Duration::from_millis(20) && start.elapsed() >= most / 2);
        patience.renew();
        assert!(patience.wait().await);
    }
}
