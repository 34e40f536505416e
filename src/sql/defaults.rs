//! What parameters are where nothing is said, as headers of reports write it:
//!
//! ```text
//! DEFAULT = MOMENT | MOMENT - interval 'DAYS' day
//!         | TIMESTAMP 'YYYY-MM-DD HH:MM:SS' | 'TEXT' | NUMBER
//! MOMENT  = now() | :NAME
//! ```
//!
//! A `:NAME` is the value of a parameter before it, given or by default. Days have 24
//! hours, times are of UTC. `spark/trailgate_spark/sql.py` reads the same: no engine is
//! asked, so that all answer alike, and values are held against each other before one is.

use jiff::{civil::DateTime, tz::TimeZone};

use super::parameters::Value;

/// Microseconds of a second.
pub(super) const MICROS: i64 = 1_000_000;
/// Microseconds of a day.
const DAY: i64 = 86_400 * MICROS;

/// The value that a default is, `now` being in seconds since the Unix epoch, where
/// these values are known; `None`: it is none of the above, or counts back from a
/// moment that is not known.
pub(super) fn value(text: &str, now: i64, known: &[(String, Value)]) -> Option<Value> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Value::Integer);
    }
    if let Some(time) = text.strip_prefix("TIMESTAMP ") {
        let time: DateTime = quoted(time)?.parse().ok()?;
        let time = TimeZone::UTC.to_timestamp(time).ok()?;
        return Some(Value::Time(time.as_microsecond()));
    }
    if let Some(text) = quoted(text) {
        return Some(Value::Text(text.to_owned()));
    }
    let (moment, days) = match text.split_once(" - interval ") {
        Some((moment, days)) => (moment, quoted(days.strip_suffix(" day")?)?),
        None => (text, "0"),
    };
    let moment = match moment.strip_prefix(':') {
        Some(name) => time(known, name)?,
        None => (moment == "now()").then(|| now.saturating_mul(MICROS))?,
    };
    let days: u32 = days.parse().ok()?;
    Some(Value::Time(
        moment.saturating_sub(i64::from(days).saturating_mul(DAY)),
    ))
}

/// The moment of this name, in microseconds since the Unix epoch.
pub(super) fn time(values: &[(String, Value)], name: &str) -> Option<i64> {
    values.iter().find_map(|(known, value)| match value {
        Value::Time(micros) if known == name => Some(*micros),
        _ => None,
    })
}

/// What stands in quotes.
pub(super) fn quoted(text: &str) -> Option<&str> {
    let text = text.strip_prefix('\'')?.strip_suffix('\'')?;
    (!text.contains('\'')).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_read() {
        let known = [
            ("since".to_owned(), Value::Time(5 * DAY + 1)),
            ("who".to_owned(), Value::Text("ann".to_owned())),
        ];
        for (text, wanted) in [
            ("now()", Value::Time(9 * DAY)),
            ("now() - interval '7' day", Value::Time(2 * DAY)),
            (":since", Value::Time(5 * DAY + 1)),
            (":since - interval '90' day", Value::Time(1 - 85 * DAY)),
            (
                "TIMESTAMP '1970-01-03 00:00:01'",
                Value::Time(2 * DAY + MICROS),
            ),
            ("'all'", Value::Text("all".to_owned())),
            ("''", Value::Text(String::new())),
            ("10000", Value::Integer(10_000)),
        ] {
            assert_eq!(value(text, 9 * 86_400, &known), Some(wanted), "{text}");
        }
        for text in [
            "",
            "now",
            "now() - interval '-7' day",
            "now() - interval '7' hour",
            "now() - interval '7' day - interval '7' day",
            ":until",
            ":who - interval '7' day",
            "since - interval '7' day",
            "TIMESTAMP 'soon'",
            "'it''s'",
            "-1",
            "99999999999999999999",
        ] {
            assert_eq!(value(text, 9 * 86_400, &known), None, "{text}");
        }
    }

    #[test]
    fn no_moment_is_too_early_to_count_back_from() {
        let known = [("since".to_owned(), Value::Time(i64::MIN))];
        let text = ":since - interval '4294967295' day";
        assert_eq!(value(text, 0, &known), Some(Value::Time(i64::MIN)));
    }
}
