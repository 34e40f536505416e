//! Where events stand in the table: by scope and day.

use std::fmt::Write as _;

use jiff::{Timestamp, civil::Date, tz::TimeZone};
use percent_encoding::{AsciiSet, CONTROLS, percent_decode_str, utf8_percent_encode};

use crate::event::{Event, Scope, TimeRange};

/// The columns that the table is partitioned by, in their order.
pub(super) const COLUMNS: [&str; 3] = ["account_id", "region", "date"];

/// What Hive, and Spark after it, have for a value that is empty or null.
const NONE: &str = "__HIVE_DEFAULT_PARTITION__";
/// The longest name of a folder that a value is put into as it is, in bytes: file systems
/// take 255, and escapes have been made by then. Accounts have 12, Regions up to 14.
const LONGEST: usize = 128;

/// A scope's events of one day in UTC: what one folder holds.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition {
    /// The scope in whose history they stand.
    pub scope: Scope,
    /// The day of their times, in UTC.
    pub date: Date,
}

impl Partition {
    /// That of an event.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        Self {
            scope: event.scope(),
            date: date_of(event.time),
        }
    }

    /// Its folder below the root, as Spark names it; a value that is too long for a name
    /// is cut there, and told in full by the log alone.
    pub(super) fn folder(&self) -> String {
        let [account, region, date] = self.values().map(|value| folder(value.as_deref()));
        format!("account_id={account}/region={region}/date={date}")
    }

    /// Its values by the table's log, in the order of [`COLUMNS`]; none: empty.
    pub(super) fn values(&self) -> [Option<String>; 3] {
        let given = |text: &str| (!text.is_empty()).then(|| text.to_owned());
        [
            given(&self.scope.account),
            given(&self.scope.region),
            Some(self.date.to_string()),
        ]
    }

    /// That of values that the log tells, in the order of [`COLUMNS`].
    pub(super) fn of_values(values: [Option<&str>; 3]) -> Option<Self> {
        let [account, region, date] = values;
        Some(Self {
            scope: Scope::new(account.unwrap_or_default(), region.unwrap_or_default()),
            date: date?.parse().ok()?,
        })
    }
}

/// The day that a time stands on. What has no day that all readers know (before year 1)
/// stands on the first.
#[must_use]
pub fn date_of(seconds: i64) -> Date {
    let limits = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
    let seconds = seconds.clamp(limits.0, limits.1);
    let time = Timestamp::from_second(seconds).unwrap_or(Timestamp::UNIX_EPOCH);
    let date = TimeZone::UTC.to_datetime(time).date();
    date.max(Date::constant(1, 1, 1))
}

/// The days that a stretch of time has seconds of, both inclusive.
pub(super) fn days_of(range: TimeRange) -> (Date, Date) {
    (date_of(range.from), date_of(range.to.saturating_sub(1)))
}

/// What Spark escapes in a folder's name, control characters aside; the rest, and what is
/// not ASCII, stands as it is.
const ESCAPED: &str = "\"#%'*/:=?\\[]^{";

/// What cannot stand in the path that the log tells, which is a URI's.
const IN_URI: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'%')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'[')
    .add(b'\\')
    .add(b']')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'|')
    .add(b'}');

fn folder(value: Option<&str>) -> String {
    let Some(value) = value else {
        return NONE.to_owned();
    };
    let mut escaped = String::with_capacity(value.len());
    for character in value.chars() {
        if character.is_ascii_control() || ESCAPED.contains(character) {
            let _ = write!(escaped, "%{:02X}", u32::from(character));
        } else {
            escaped.push(character);
        }
    }
    if escaped.len() <= LONGEST {
        return escaped;
    }
    let mut cut: String = value
        .chars()
        .filter(char::is_ascii_alphanumeric)
        .take(64)
        .collect();
    // told apart by people only: the log has the value
    let _ = write!(cut, "...{}", value.len());
    cut
}

/// A path as the log tells it.
pub(super) fn to_uri(path: &str) -> String {
    utf8_percent_encode(path, IN_URI).to_string()
}

/// The path that the log tells so. `None`: it is not below the root.
pub(super) fn of_uri(uri: &str) -> Option<String> {
    let path = percent_decode_str(uri).decode_utf8().ok()?;
    let is_below = !path.starts_with('/') && !path.contains("://");
    is_below.then(|| path.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_are_named_as_spark_names_them() {
        let partition = |account: &str, region: &str, time| Partition {
            scope: Scope::new(account, region),
            date: date_of(time),
        };
        assert_eq!(
            partition("123456789012", "eu-central-1", 1_700_000_000).folder(),
            "account_id=123456789012/region=eu-central-1/date=2023-11-14"
        );
        let odd = partition("a/b c:%\n", "", -1).folder();
        assert_eq!(
            odd,
            "account_id=a%2Fb c%3A%25%0A/region=__HIVE_DEFAULT_PARTITION__/date=1969-12-31"
        );
        assert_eq!(
            to_uri(&odd),
            "account_id=a%252Fb%20c%253A%2525%250A/region=__HIVE_DEFAULT_PARTITION__/date=1969-12-31"
        );
        assert_eq!(of_uri(&to_uri(&odd)), Some(odd));
        let odd = partition("\u{fc}\u{7f}", "\0", 0).folder();
        assert!(odd.starts_with("account_id=\u{fc}%7F/region=%00/"), "{odd}");
        assert_eq!(of_uri(&to_uri(&odd)), Some(odd));
        let long = partition(&"\u{fc}x".repeat(100), "..", 0).folder();
        assert!(long.len() < 300, "{long}");
        assert_eq!(of_uri("s3://bucket/x.parquet"), None);
        assert_eq!(of_uri("/x.parquet"), None);
    }

    #[test]
    fn values_are_read_as_they_were_told() {
        for (account, region) in [("1", "r"), ("", "__HIVE_DEFAULT_PARTITION__"), ("a=b", "")] {
            for time in [0, -1, 253_402_207_199, -62_135_596_800] {
                let partition = Partition {
                    scope: Scope::new(account, region),
                    date: date_of(time),
                };
                let values = partition.values();
                let values = values.each_ref().map(Option::as_deref);
                assert_eq!(Partition::of_values(values), Some(partition.clone()));
                let start = time.div_euclid(86_400) * 86_400;
                let day = TimeRange::new(start, start + 86_400);
                assert_eq!(days_of(day), (partition.date, partition.date));
            }
        }
        assert_eq!(date_of(i64::MIN), date_of(-62_135_596_800));
        assert_eq!(date_of(i64::MAX).to_string(), "9999-12-30");
    }
}
