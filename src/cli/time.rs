//! Times and spans as one types them.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp, civil, tz::TimeZone};

use super::view;
use crate::{clock::Clock, config::Span, spelling::Nearest};

/// The formats, for help texts.
pub(super) const HELP: &str = "\
Times: 2024-05-06T07:08:09Z, 2024-05-06 07:08+02:00, 2024-05-06 07:08 Europe/Berlin,
2024-05-06 07:08, 2024-05-06 (UTC unless they name another zone, or --time-zone or
--local does), seconds since 1970, now, or back from now: 2h, -2h. Both ends are
included; an --end without seconds is the whole minute, one without a time the whole
day.
Spans: 90s, 30m, 2h, 7d, 1w, and together: 1d12h.";

/// The longest span that is taken: ten years, far beyond any history kept.
const MAX_SPAN: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A point in time, not yet put on the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum When {
    /// This long before now.
    Ago(Duration),
    /// From the first to the last second that the text names, both since the
    /// Unix epoch.
    At { first: i64, last: i64 },
    /// The same by a calendar and a clock, in the zone that times are read in.
    Civil {
        first: civil::DateTime,
        last: civil::DateTime,
    },
}

impl When {
    /// The first second meant, for a start.
    pub(super) fn first(self, clock: &Clock) -> i64 {
        self.seconds(clock).0
    }

    /// The last second meant, for an end that is included.
    pub(super) fn last(self, clock: &Clock) -> i64 {
        self.seconds(clock).1
    }

    fn seconds(self, clock: &Clock) -> (i64, i64) {
        match self {
            Self::Ago(span) => {
                let span = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
                let second = clock.now_secs().saturating_sub(span);
                (second, second)
            }
            Self::At { first, last } => (first, last),
            Self::Civil { first, last } => within(first, last, &view::zone())
                .or_else(|| within(first, last, &TimeZone::UTC))
                .unwrap_or_default(),
        }
    }
}

/// Both on the clock of a zone; an hour that it skips is the one after.
fn within(first: civil::DateTime, last: civil::DateTime, zone: &TimeZone) -> Option<(i64, i64)> {
    let second = |at| zone.to_timestamp(at).ok().map(Timestamp::as_second);
    Some((second(first)?, second(last)?))
}

/// Reads a time zone: a name such as Europe/Berlin, UTC, or local.
pub(super) fn zone(name: &str) -> Result<TimeZone, String> {
    if name.eq_ignore_ascii_case("local") {
        return Ok(TimeZone::system());
    }
    if name.eq_ignore_ascii_case("utc") {
        return Ok(TimeZone::UTC);
    }
    TimeZone::get(name).map_err(|_| {
        let mut nearest = Nearest::to(name);
        for known in jiff::tz::db().available() {
            nearest.consider(known.as_str());
        }
        match nearest.found() {
            Some(known) => format!("{name:?} is no time zone; did you mean {known}?"),
            None => format!("{name:?} is no time zone; write one like Europe/Berlin, UTC or local"),
        }
    })
}

/// Reads a time.
pub(super) fn when(text: &str) -> Result<When, String> {
    let text = text.trim();
    if text == "now" {
        return Ok(When::Ago(Duration::ZERO));
    }
    let back = text.strip_prefix("now-").or_else(|| text.strip_prefix('-'));
    if let Some(back) = back {
        return span(back).map(When::Ago);
    }
    // a unit tells a span from a number
    if text.ends_with(|c: char| c.is_ascii_alphabetic())
        && let Ok(span) = span(text)
    {
        return Ok(When::Ago(span));
    }
    // eight digits are a day without its dashes; a second has nine or ten
    if matches!(text.len(), 9 | 10) && text.bytes().all(|b| b.is_ascii_digit()) {
        let second = text.parse().map_err(|_| unreadable(text))?;
        return Ok(When::At {
            first: second,
            last: second,
        });
    }
    if let Ok(at) = text.parse::<Timestamp>() {
        let first = at.as_second();
        let seconds = precision(text).ok_or_else(|| unreadable(text))?;
        return Ok(When::At {
            first,
            last: first.saturating_add(seconds - 1),
        });
    }
    let named = text.rsplit_once(' ');
    let named = named.filter(|(_, zone)| zone.starts_with(|c: char| c.is_ascii_alphabetic()));
    let Some((text, name)) = named else {
        let (first, last) = civil(text)?;
        return Ok(When::Civil { first, last });
    };
    let (first, last) = civil(text.trim_end())?;
    let (first, last) = within(first, last, &zone(name)?).ok_or_else(|| unreadable(text))?;
    Ok(When::At { first, last })
}

/// Reads a day, or a time of one, without a zone: its first and its last second.
fn civil(text: &str) -> Result<(civil::DateTime, civil::DateTime), String> {
    let first = text.parse::<civil::DateTime>();
    let first = first.map_err(|_| unreadable(text))?;
    // as far as UTC has it
    within(first, first, &TimeZone::UTC).ok_or_else(|| unreadable(text))?;
    let seconds = precision(text).ok_or_else(|| unreadable(text))?;
    let last = first.checked_add(SignedDuration::from_secs(seconds - 1));
    Ok((first, last.map_err(|_| unreadable(text))?))
}

/// How many seconds a written time names: a day without a time, a minute
/// without seconds.
fn precision(text: &str) -> Option<i64> {
    let Some((_, time)) = text.split_once(['T', 't', ' ']) else {
        return Some(86_400);
    };
    // an offset's colon does not count
    let time = time.split(['+', '-', 'Z', 'z']).next().unwrap_or_default();
    match time.matches(':').count() {
        // an hour alone, or digits without colons: nobody means that
        0 => None,
        1 => Some(60),
        _ => Some(1),
    }
}

fn unreadable(text: &str) -> String {
    format!(
        "{text:?} is no time; write 2024-05-06T07:08:09Z, 2024-05-06 07:08 Europe/Berlin, 2024-05-06, 2h, now or seconds since 1970"
    )
}

/// Reads a span.
pub(super) fn span(text: &str) -> Result<Duration, String> {
    let span = text.trim().parse::<Span>()?.get();
    if span > MAX_SPAN {
        return Err(format!("{text:?} is longer than ten years"));
    }
    Ok(span)
}

/// Reads a span that is not zero.
pub(super) fn some_span(text: &str) -> Result<Duration, String> {
    match span(text)? {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        span => Ok(span),
    }
}

/// A second since the Unix epoch as RFC 3339 in UTC; as a number where it is
/// beyond the years that have one.
pub(super) fn rfc3339(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| second.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_usual_formats() {
        let clock = Clock::at("2024-05-06T07:08:09Z".parse().unwrap());
        let now = 1_714_979_289;
        for (text, first, last) in [
            ("now", now, now),
            ("-2h", now - 7200, now - 7200),
            ("now-1d12h", now - 129_600, now - 129_600),
            ("2h", now - 7200, now - 7200),
            ("2024-05-06 09:08 Europe/Berlin", now - 9, now + 50),
            ("2024-05-06 07:08:09 utc", now, now),
            // a day of 23 hours
            ("2024-03-31 Europe/Berlin", 1_711_839_600, 1_711_922_399),
            // an hour that is skipped
            (
                "2024-03-31 02:30:00 Europe/Berlin",
                1_711_848_600,
                1_711_848_600,
            ),
            ("2024-05-06T07:08:09Z", now, now),
            ("2024-05-06t07:08:09.75z", now, now),
            ("2024-05-06 09:08:09+02:00", now, now),
            ("2024-05-06T05:08:09-02:00", now, now),
            ("2024-05-06 07:08:09", now, now),
            ("2024-05-06T07:08", now - 9, now + 50),
            ("2024-05-06 09:08+02:00", now - 9, now + 50),
            ("2024-05-06", 1_714_953_600, 1_715_039_999),
            ("20240506", 1_714_953_600, 1_715_039_999),
            ("1714979289", now, now),
        ] {
            let when = when(text).unwrap();
            assert_eq!(
                (when.first(&clock), when.last(&clock)),
                (first, last),
                "{text}"
            );
        }
        for text in [
            "",
            "yesterday",
            "2024",
            "2024-13-01",
            "1714979289000",
            "-",
            "-2",
            "7:08",
            "2024-05-06T07",
            "2024-05-06 07:08 Europe/Nowhere",
            "07:08 Europe/Berlin",
            "Europe/Berlin",
        ] {
            assert!(when(text).is_err(), "{text}");
        }
        let wrong = when("2024-05-06 Europe/Berlni").unwrap_err();
        assert!(wrong.contains("did you mean Europe/Berlin?"), "{wrong}");
    }

    #[test]
    fn a_day_without_a_zone_is_one_of_the_zone_that_is_read_in() {
        let When::Civil { first, last } = when("2024-05-06").unwrap() else {
            panic!("it has no zone");
        };
        let berlin = zone("Europe/Berlin").unwrap();
        let day = Some((1_714_946_400, 1_715_032_799));
        assert_eq!(within(first, last, &berlin), day);
    }

    #[test]
    fn spans_add_up() {
        for (text, seconds) in [
            ("0", 0),
            ("0s", 0),
            ("90s", 90),
            ("30m", 1800),
            ("2h", 7200),
            ("7d", 604_800),
            ("1w", 604_800),
            ("1d12h", 129_600),
            ("1d 12h", 129_600),
            ("1.5h", 5400),
        ] {
            assert_eq!(span(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in [
            "",
            "2",
            "h",
            "2y",
            "-1h",
            "2hé",
            "99999999999999999999d",
            "9999w",
        ] {
            assert!(span(text).is_err(), "{text}");
        }
        assert!(some_span("0s").is_err());
    }

    #[test]
    fn seconds_are_written_in_utc() {
        assert_eq!(rfc3339(1_714_979_289), "2024-05-06T07:08:09Z");
        assert_eq!(rfc3339(i64::MAX), i64::MAX.to_string());
    }
}
