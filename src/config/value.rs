//! Values of settings as people write them.

use std::{fmt, str::FromStr, time::Duration};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _};

use crate::when::Span;

/// How far back something goes: a span, or `unlimited`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct History(Option<Duration>);

impl History {
    /// The span; `None`: without end.
    #[must_use]
    pub const fn get(self) -> Option<Duration> {
        self.0
    }
}

impl Default for History {
    /// 90 days (user guide, "Working with CloudTrail Event history").
    fn default() -> Self {
        Self(Some(Duration::from_secs(90 * 86_400)))
    }
}

impl FromStr for History {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "unlimited" {
            return Ok(Self(None));
        }
        let span: Span = text
            .parse()
            .map_err(|error| format!("{error}, or unlimited"))?;
        if span.get() < Duration::from_secs(1) {
            return Err(format!("{text:?} leaves no history; give 1s or more"));
        }
        Ok(Self(Some(span.get())))
    }
}

impl From<Option<Duration>> for History {
    fn from(span: Option<Duration>) -> Self {
        Self(span)
    }
}

impl fmt::Display for History {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(span) => Span::from(span).fmt(f),
            None => f.write_str("unlimited"),
        }
    }
}

/// A number of bytes: `256MB`, `1GiB`, or a bare number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Size(u64);

impl Size {
    /// The number of bytes.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }
}

impl FromStr for Size {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let at = text
            .find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len());
        let (digits, unit) = text.split_at(at);
        let unit = match unit.trim() {
            "" | "B" => Some(1),
            "kB" | "KB" => Some(1_000),
            "MB" => Some(1_000_000),
            "GB" => Some(1_000_000_000),
            "KiB" | "Ki" => Some(1 << 10),
            "MiB" | "Mi" => Some(1 << 20),
            "GiB" | "Gi" => Some(1 << 30),
            _ => None,
        };
        unit.and_then(|unit: u64| digits.parse::<u64>().ok()?.checked_mul(unit))
            .map(Self)
            .ok_or_else(|| format!("{text:?} is no size; write it as 256MB or 1GiB"))
    }
}

impl From<u64> for Size {
    fn from(bytes: u64) -> Self {
        Self(bytes)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // in the largest unit that it is a number of
        let mut units = [
            (1 << 30, "GiB"),
            (1_000_000_000, "GB"),
            (1 << 20, "MiB"),
            (1_000_000, "MB"),
            (1 << 10, "KiB"),
            (1000, "kB"),
        ]
        .into_iter();
        match units.find(|(unit, _)| self.0 > 0 && self.0.is_multiple_of(*unit)) {
            Some((unit, name)) => write!(f, "{}{name}", self.0 / unit),
            None => self.0.fmt(f),
        }
    }
}

/// In YAML a value is what it is on the command line; a bare number is its text.
fn from_yaml<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: FromStr<Err = String>,
{
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Written {
        Number(u64),
        Text(String),
    }
    let text = match Written::deserialize(deserializer)? {
        Written::Number(number) => number.to_string(),
        Written::Text(text) => text,
    };
    text.parse().map_err(D::Error::custom)
}

macro_rules! as_written {
    ($($value:ty),*) => {$(
        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_yaml(deserializer)
            }
        }

        impl Serialize for $value {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}

as_written!(Span, History, Size);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_histories_and_sizes_read_as_people_write_them() {
        let secs = |text: &str| text.parse::<Span>().map(|span| span.get().as_secs());
        assert_eq!(secs("90s"), Ok(90));
        assert_eq!(secs("1h30m"), Ok(5400));
        assert_eq!(secs("90d"), Ok(90 * 86_400));
        assert_eq!(
            "250ms".parse::<Span>().map(Span::get),
            Ok(Duration::from_millis(250))
        );
        assert_eq!(secs("2w"), Ok(14 * 86_400));
        assert_eq!(secs("1d12h"), Ok(129_600));
        assert_eq!(secs("0"), Ok(0));
        for bad in ["", "soon", "-5m", "5", "1 parsec", "1mo", "2y", "5m ago"] {
            assert!(secs(bad).is_err(), "{bad}");
        }
        let bare = |text| Span::or_seconds(text).map(|span| span.get().as_secs());
        assert_eq!((bare("90"), bare("1d")), (Ok(90), Ok(86_400)));
        assert!(bare("-90").is_err() && bare("1.5").is_err());
        assert_eq!("unlimited".parse::<History>().map(History::get), Ok(None));
        assert!("0s".parse::<History>().is_err());
        assert_eq!("256MB".parse::<Size>().map(Size::get), Ok(256_000_000));
        assert_eq!("1 GiB".parse::<Size>().map(Size::get), Ok(1 << 30));
        assert_eq!("512".parse::<Size>().map(Size::get), Ok(512));
        for bad in ["", "MB", "-1MB", "1.5GB", "1 furlong", "99999999999GB"] {
            assert!(bad.parse::<Size>().is_err(), "{bad}");
        }
    }
    #[test]
    fn what_is_written_reads_as_the_same() {
        for (given, written) in [
            ("0", "0s"),
            ("90s", "1m30s"),
            ("1d12h", "1d12h"),
            ("2w", "14d"),
            ("1500ms", "1s500ms"),
            ("1us", "1us"),
            ("3601s 5ns", "1h1s5ns"),
        ] {
            let span: Span = given.parse().unwrap();
            assert_eq!(span.to_string(), written);
            assert_eq!(written.parse(), Ok(span), "{written}");
            let history = given.parse::<History>();
            assert!(history.is_err() || history.unwrap().to_string() == written);
        }
        assert_eq!(
            "unlimited".parse::<History>().unwrap().to_string(),
            "unlimited"
        );
        for (given, written) in [
            ("0", "0"),
            ("256MB", "256MB"),
            ("1024", "1KiB"),
            ("1 Gi", "1GiB"),
            ("1001", "1001"),
            ("1500kB", "1500kB"),
        ] {
            let size: Size = given.parse().unwrap();
            assert_eq!(size.to_string(), written);
            assert_eq!(written.parse(), Ok(size), "{written}");
        }
    }
}
