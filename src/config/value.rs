//! Values of settings as people write them.

use std::{str::FromStr, time::Duration};

use jiff::{Span as JiffSpan, SpanRelativeTo};
use serde::{Deserialize, Deserializer, de::Error as _};

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

macro_rules! deserialize_as_written {
    ($($value:ty),*) => {$(
        impl<'de> Deserialize<'de> for $value {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                from_yaml(deserializer)
            }
        }
    )*};
}

deserialize_as_written!(Span, History, Size);

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
}
