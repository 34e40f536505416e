//! Made-up events: the past at the start, the present as it goes on.

use jiff::Timestamp;

use super::{Batches, State};
use crate::{
    event::Category,
    simulator::{
        Options,
        chance::hash,
        history::{Body, attribute_hashes},
    },
};

/// The most events that live generation brings the number of all to: about
/// 5 GB of memory, or 23 days at ten a second. Then it ends.
const MAX_LIVE: u64 = 20_000_000;

/// How many made-up events are put in place at a time: what is yet to be
/// sorted takes more memory than what is.
const BATCH: u64 = 500_000;

/// Made-up events keep clear of the end of the 90 days for so long, in
/// seconds, or some would be gone before anyone asks.
const MARGIN_SECS: i64 = 3600;

impl State {
    /// Makes up the past.
    pub(super) fn make_up(&mut self, options: &Options, now: i64) {
        let generator = self.generator.clone();
        let from = (now - i64::from(options.days) * 86_400 + MARGIN_SECS).min(now);
        let mut next = 0;
        while next < options.synthetic {
            let end = options.synthetic.min(next + BATCH);
            let mut batches = Batches::new();
            for number in next..end {
                let time = generator.time(number, from, now);
                let Some((scope, event)) = generator.event(number, time, false) else {
                    continue;
                };
                let found_by = attribute_hashes(&event);
                let places = self.places(options, time, None, Body::Made(number), found_by);
                let key = (scope.clone(), Category::Management);
                batches.entry(key).or_default().extend(places);
            }
            self.put(options, batches);
            next = end;
        }
    }

    /// Makes up what has happened by `now`.
    pub(in crate::simulator) fn catch_up(&mut self, options: &Options, now: Timestamp) {
        let rate = options.live.milli();
        if rate == 0 {
            return;
        }
        let generator = self.generator.clone();
        let elapsed = now.duration_since(self.live.since).as_nanos();
        while self.live.next < MAX_LIVE.max(options.synthetic) {
            let number = self.live.next;
            let nth = number - options.synthetic;
            // each somewhere within its share of the time
            let share = u128::from(hash((options.seed, "live", number)) % 1000);
            let thousandths = u128::from(nth) * 1000 + share;
            let due_nanos = thousandths * 1_000_000_000 / u128::from(rate);
            let Ok(due_nanos) = i128::try_from(due_nanos) else {
                return;
            };
            if due_nanos > elapsed {
                return;
            }
            self.live.next += 1;
            let seconds = i64::try_from(due_nanos / 1_000_000_000).unwrap_or(i64::MAX);
            let subsec = self.live.since.subsec_nanosecond();
            let carry = due_nanos % 1_000_000_000 + i128::from(subsec) >= 1_000_000_000;
            let time = self.live.since.as_second().saturating_add(seconds) + i64::from(carry);
            let Some((scope, event)) = generator.event(number, time, false) else {
                return;
            };
            let found_by = attribute_hashes(&event);
            let places = self.places(options, time, None, Body::Made(number), found_by);
            if let Some(state) = self.scope(options, scope) {
                for filed in places {
                    state.management.insert(filed);
                }
            }
        }
    }
}
