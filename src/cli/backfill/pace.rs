//! How far it is, how fast, and how long it still takes.

use std::{collections::VecDeque, time::Duration};

use crate::{backfill::SoFar, cli::refusal};

/// The stretch that the rate is of: long beside a commit.
const STRETCH: Duration = Duration::from_secs(60);

/// What was seen in the last minute.
#[derive(Debug, Default)]
pub(super) struct Pace(VecDeque<(Duration, SoFar)>);

impl Pace {
    /// Takes in how far it is after so long; a line that says so.
    pub(super) fn look(&mut self, now: &SoFar, elapsed: Duration) -> String {
        self.0.push_back((elapsed, *now));
        while self.0.len() > 2
            && let Some((at, _)) = self.0.get(1)
            && elapsed.saturating_sub(*at) >= STRETCH
        {
            self.0.pop_front();
        }
        let (at, then) = self.0.front().copied().unwrap_or((elapsed, *now));
        let took = elapsed.saturating_sub(at);
        let mut line = format!(
            "{}, {} records ({} a second), {} of them new",
            counted(now),
            now.records,
            per_second(now.records - then.records, took),
            now.new,
        );
        if now.is_counted
            && let Some(left) = left(now, per_second(now.bytes - then.bytes, took))
        {
            line.push_str("; ");
            line.push_str(&refusal::duration(left));
            line.push_str(" left");
        }
        line
    }
}

/// Files and bytes, of how many.
pub(super) fn counted(now: &SoFar) -> String {
    let more = if now.is_counted { "" } else { "at least " };
    format!(
        "{} of {more}{} files, {} of {} MB",
        now.files,
        now.all_files,
        now.bytes / 1_000_000,
        now.all_bytes / 1_000_000,
    )
}

fn per_second(many: u64, took: Duration) -> u64 {
    let millis = u64::try_from(took.as_millis()).unwrap_or(u64::MAX);
    many.saturating_mul(1000).checked_div(millis).unwrap_or(0)
}

/// How long it still takes; `None`: nothing tells.
fn left(now: &SoFar, rate: u64) -> Option<Duration> {
    let bytes = now.all_bytes.saturating_sub(now.bytes);
    Some(Duration::from_secs(bytes.checked_div(rate)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_of_the_last_minute_and_says_what_is_left() {
        let mut pace = Pace::default();
        let at = |seconds: u64| SoFar {
            files: seconds,
            bytes: seconds * 1_000_000,
            records: seconds * 100,
            new: seconds,
            all_files: 1000,
            all_bytes: 1_000_000_000,
            is_counted: seconds > 0,
        };
        let first = pace.look(&at(0), Duration::ZERO);
        assert_eq!(
            first,
            "0 of at least 1000 files, 0 of 1000 MB, 0 records (0 a second), 0 of them new"
        );
        for second in 1..100 {
            pace.look(&at(second), Duration::from_secs(second));
        }
        assert!(pace.0.len() <= 62, "{}", pace.0.len());
        let last = pace.look(&at(400), Duration::from_secs(100));
        // of 60 seconds
        assert_eq!(
            last,
            "400 of 1000 files, 400 of 1000 MB, 40000 records (600 a second), 400 of them new; 100 s left"
        );
    }
}
