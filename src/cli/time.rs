//! Times and spans as one types them, in the zone that they are read in.

use super::view;
use crate::clock::Clock;
pub(super) use crate::when::{When, rfc3339, some_span, span, when, zone};

/// The formats, for help texts.
pub(super) const HELP: &str = "\
Times: 2024-05-06T07:08:09Z, 2024-05-06 07:08+02:00, 2024-05-06 07:08 Europe/Berlin,
2024-05-06 07:08, 2024-05-06 (UTC unless they name another zone, or --time-zone or
--local does), seconds since 1970, now, or back from now: 2h, -2h. Both ends are
included; an --end without seconds is the whole minute, one without a time the whole
day.
Spans: 90s, 30m, 2h, 7d, 1w, and together: 1d12h.";

/// The first second that is meant, for a start.
pub(super) fn first(when: When, clock: &Clock) -> i64 {
    when.first(clock.now_secs(), &view::zone())
}

/// The last second that is meant, for an end that is included.
pub(super) fn last(when: When, clock: &Clock) -> i64 {
    when.last(clock.now_secs(), &view::zone())
}
