//! Times and spans as one types them.

use std::{fmt, str::FromStr, time::Duration};

use jiff::{
    SignedDuration, Span as JiffSpan, SpanRelativeTo, Timestamp, civil,
    tz::{AmbiguousOffset, TimeZone},
};

use crate::spelling::Nearest;

/// The longest span that is taken: ten years, far beyond any history kept.
const MAX_SPAN: Duration = Duration::from_secs(10 * 365 * 86_400);

/// A point in time, not yet put on the clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum When {
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
    /// The first second meant, for a start. `now` is the second since the Unix epoch that
    /// it is, `zone` the one that times without a zone are of.
    pub(crate) fn first(self, now: i64, zone: &TimeZone) -> i64 {
        self.seconds(now, zone).0
    }

    /// The last second meant, for an end that is included.
    pub(crate) fn last(self, now: i64, zone: &TimeZone) -> i64 {
        self.seconds(now, zone).1
    }

    fn seconds(self, now: i64, zone: &TimeZone) -> (i64, i64) {
        match self {
            Self::Ago(span) => {
                let span = i64::try_from(span.as_secs()).unwrap_or(i64::MAX);
                let second = now.saturating_sub(span);
                (second, second)
            }
            Self::At { first, last } => (first, last),
            Self::Civil { first, last } => within(first, last, zone)
                .or_else(|| within(first, last, &TimeZone::UTC))
                .unwrap_or_default(),
        }
    }
}

/// Both on the clock of a zone. An hour that it skips is the one after; of one that comes
/// twice the first is meant by a start, and the second by an end.
fn within(first: civil::DateTime, last: civil::DateTime, zone: &TimeZone) -> Option<(i64, i64)> {
    let second = |at: Option<Timestamp>| at.map(Timestamp::as_second);
    // compatible: the earlier of two, and of a gap what comes after it
    let start = zone.to_ambiguous_timestamp(first).compatible().ok();
    let end = zone.to_ambiguous_timestamp(last);
    let end = match end.offset() {
        AmbiguousOffset::Fold { .. } => end.later().ok(),
        _ => end.compatible().ok(),
    };
    Some((second(start)?, second(end)?))
}

/// Reads a time zone: a name such as Europe/Berlin, UTC, or local.
pub(crate) fn zone(name: &str) -> Result<TimeZone, String> {
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
pub(crate) fn when(text: &str) -> Result<When, String> {
    let text = text.trim();
    if text == "now" {
        return Ok(When::Ago(Duration::ZERO));
    }
    let back = text.strip_prefix("now-").or_else(|| text.strip_prefix('-'));
    if let Some(back) = back {
        return span(back).map(When::Ago);
    }
    // a unit tells a span from a number
    if text.ends_with(|c: char| c.is_ascii_alphabetic()) && text.parse::<Span>().is_ok() {
        return span(text).map(When::Ago);
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

/// A span of time: `90s`, `15m`, `1h30m`, `90d`, `2w`, `250ms`, or `0`. Days have
/// 24 hours; months and years, which differ in length, are no span.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span(Duration);

impl Span {
    /// The span.
    #[must_use]
    pub const fn get(self) -> Duration {
        self.0
    }

    /// The same, with a bare number taken as seconds: for options that have
    /// always taken one.
    ///
    /// # Errors
    ///
    /// As of [`Span::from_str`].
    pub fn or_seconds(text: &str) -> Result<Self, String> {
        match text.parse::<u32>() {
            Ok(seconds) => Ok(Self(Duration::from_secs(seconds.into()))),
            Err(_) => text.parse(),
        }
    }
}

impl FromStr for Span {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        // nothing is nothing in any unit
        if text == "0" {
            return Ok(Self(Duration::ZERO));
        }
        let days = SpanRelativeTo::days_are_24_hours();
        text.parse::<JiffSpan>()
            .ok()
            .and_then(|span| span.to_duration(days).ok())
            .and_then(|span| Duration::try_from(span).ok())
            .map(Self)
            .ok_or_else(|| {
                format!("{text:?} is no span of time; write it as 90s, 15m, 1h30m or 90d")
            })
    }
}

impl From<Duration> for Span {
    fn from(span: Duration) -> Self {
        Self(span)
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_zero() {
            return f.write_str("0s");
        }
        let (seconds, nanos) = (self.0.as_secs(), u64::from(self.0.subsec_nanos()));
        for (count, unit) in [
            (seconds / 86_400, "d"),
            (seconds / 3600 % 24, "h"),
            (seconds / 60 % 60, "m"),
            (seconds % 60, "s"),
            (nanos / 1_000_000, "ms"),
            (nanos / 1000 % 1000, "us"),
            (nanos % 1000, "ns"),
        ] {
            if count > 0 {
                write!(f, "{count}{unit}")?;
            }
        }
        Ok(())
    }
}

/// Reads a span.
pub(crate) fn span(text: &str) -> Result<Duration, String> {
    let span = text.trim().parse::<Span>()?.get();
    if span > MAX_SPAN {
        return Err(format!(
            "{text:?} is longer than ten years; give a shorter span, or a day"
        ));
    }
    Ok(span)
}

/// Reads a span that is not zero.
pub(crate) fn some_span(text: &str) -> Result<Duration, String> {
    match span(text)? {
        Duration::ZERO => Err("must be longer than nothing".to_owned()),
        span => Ok(span),
    }
}

/// A second since the Unix epoch as RFC 3339 in UTC; as a number where it is
/// beyond the years that have one.
pub(crate) fn rfc3339(second: i64) -> String {
    Timestamp::from_second(second).map_or_else(|_| second.to_string(), |at| at.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_the_usual_formats() {
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
            // an hour that comes twice, from the first to the second
            (
                "2024-11-03 01:30 America/New_York",
                1_730_611_800,
                1_730_615_459,
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
                (
                    when.first(now, &TimeZone::UTC),
                    when.last(now, &TimeZone::UTC)
                ),
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
