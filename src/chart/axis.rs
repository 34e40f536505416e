//! Scales, and the lines that tell them.

use jiff::Timestamp;
use maud::{Markup, html};

use super::text::{places, short, width};

/// Seconds between lines, from one to where years are days of a line: of each as many as
/// people count time by.
const STEPS: [i64; 22] = [
    1,
    5,
    15,
    60,
    5 * 60,
    15 * 60,
    30 * 60,
    3_600,
    3 * 3_600,
    6 * 3_600,
    12 * 3_600,
    DAY,
    2 * DAY,
    5 * DAY,
    10 * DAY,
    20 * DAY,
    50 * DAY,
    100 * DAY,
    200 * DAY,
    500 * DAY,
    1_000 * DAY,
    5_000 * DAY,
];

/// A day, in seconds.
pub(super) const DAY: i64 = 86_400;

/// The most lines: their texts stand beside each other.
const LINES: i64 = 5;

/// `amount` of `most`, of so many units: 0 of 0.
pub(super) fn share(amount: u64, most: u64, units: u64) -> u64 {
    let share = u128::from(amount.min(most)) * u128::from(units);
    let share = share.checked_div(u128::from(most)).unwrap_or(0);
    u64::try_from(share).unwrap_or(units)
}

/// Round numbers from 0 to the most, some four of them.
pub(super) fn rounds(most: u64) -> Vec<u64> {
    let mut step = 1_u64;
    while most / step > 5 {
        // 1, 2, 5, 10, ...
        step = match step.to_string().starts_with('2') {
            true => step / 2 * 5,
            false => step.saturating_mul(2),
        };
    }
    let mut all = vec![0_u64];
    while let Some(next) = all.last().and_then(|last| last.checked_add(step))
        && next <= most
    {
        all.push(next);
    }
    all
}

/// A stretch of time, in seconds since the Unix epoch, laid out over units.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Time {
    from: i64,
    to: i64,
}

impl Time {
    /// From one second to another, which is behind it: an instant becomes a minute.
    pub(super) fn new(from: i64, to: i64) -> Self {
        let to = match to > from {
            true => to,
            false => from.saturating_add(60),
        };
        Self { from, to }
    }

    pub(super) fn from(self) -> i64 {
        self.from
    }

    pub(super) fn to(self) -> i64 {
        self.to
    }

    /// Its length, in seconds.
    fn length(self) -> u64 {
        self.to.abs_diff(self.from).max(1)
    }

    /// Where a second is, of so many units.
    pub(super) fn at(self, second: i64, units: u64) -> u64 {
        let since = second.clamp(self.from, self.to).abs_diff(self.from);
        share(since, self.length(), units)
    }

    /// Seconds to draw lines at, and what they are called.
    fn lines(self) -> Vec<(i64, String)> {
        let length = i64::try_from(self.length()).unwrap_or(i64::MAX);
        let fits = |step: &i64| length / step <= LINES;
        let step = STEPS.into_iter().find(fits).unwrap_or(length / LINES + 1);
        let form = match step {
            ..60 => "%Y-%m-%d %H:%M:%S",
            60..DAY => "%Y-%m-%d %H:%M",
            _ => "%Y-%m-%d",
        };
        let mut all = Vec::new();
        let first = self.from.div_euclid(step).saturating_mul(step);
        let mut second = match first < self.from {
            true => first.saturating_add(step),
            false => first,
        };
        // one more than there may be would be one that never ends
        while second <= self.to && all.len() <= 6 {
            all.push((second, told(second, form)));
            second = second.saturating_add(step);
        }
        all
    }

    /// Lines down to `bottom`, from `top` on, with their times below, over so many units
    /// from `x` on. `right`: where the picture ends.
    pub(super) fn drawn(
        self,
        (x, units): (u64, u64),
        (top, bottom): (u64, u64),
        right: u64,
    ) -> Markup {
        html! {
            @for (second, text) in self.lines() {
                @let at = x + self.at(second, units);
                @let half = width(places(&text)).div_ceil(2);
                line class="grid" x1=(at) y1=(top) x2=(at) y2=(bottom) {}
                text class="tick" x=(at.clamp(half, right.saturating_sub(half))) y=(bottom + 14) text-anchor="middle" { (text) }
            }
        }
    }
}

/// A second in UTC.
pub(super) fn told(second: i64, form: &str) -> String {
    let time = Timestamp::from_second(second);
    time.map_or_else(
        |_| second.to_string(),
        |time| time.strftime(form).to_string(),
    )
}

/// Lines for round numbers down to `bottom`, from `top` on, with the numbers above, over
/// so many units from `x` on.
pub(super) fn upright(most: u64, (x, units): (u64, u64), (top, bottom): (u64, u64)) -> Markup {
    html! {
        @for round in rounds(most) {
            @let at = x + share(round, most, units);
            line class="grid" x1=(at) y1=(top) x2=(at) y2=(bottom) {}
            text class="tick" x=(at) y=(top.saturating_sub(4)) text-anchor="middle" { (short(round)) }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn round_numbers_are_few_and_round() {
        assert_eq!(rounds(0), [0]);
        assert_eq!(rounds(1), [0, 1]);
        assert_eq!(rounds(4), [0, 1, 2, 3, 4]);
        assert_eq!(rounds(7), [0, 2, 4, 6]);
        assert_eq!(rounds(99), [0, 20, 40, 60, 80]);
        assert_eq!(rounds(1_000), [0, 200, 400, 600, 800, 1000]);
        for most in (0..64).map(|n| u64::MAX >> n) {
            assert!(rounds(most).len() <= 6, "{most}");
        }
    }

    #[test]
    fn lines_of_time_are_few_and_begin_something() {
        let of = |from, to| Time::new(from, to).lines();
        let names =
            |from, to| -> Vec<String> { of(from, to).into_iter().map(|(_, name)| name).collect() };
        assert_eq!(
            names(0, 0),
            [
                "1970-01-01 00:00:00",
                "1970-01-01 00:00:15",
                "1970-01-01 00:00:30",
                "1970-01-01 00:00:45",
                "1970-01-01 00:01:00",
            ]
        );
        assert_eq!(
            names(3_500, 4 * DAY),
            ["1970-01-02", "1970-01-03", "1970-01-04", "1970-01-05"]
        );
        for length in (0..62).map(|n| 1_i64 << n) {
            for from in [i64::MIN, -1, 0, 1_700_000_000, i64::MAX - 5] {
                let lines = of(from, from.saturating_add(length));
                assert!(lines.len() <= 7, "{from} {length}");
            }
        }
    }

    #[test]
    fn a_share_is_within_the_whole() {
        assert_eq!(share(1, 2, 100), 50);
        assert_eq!(share(5, 0, 100), 0);
        assert_eq!(share(9, 3, 100), 100);
        assert_eq!(share(u64::MAX, u64::MAX, u64::MAX), u64::MAX);
    }
}
