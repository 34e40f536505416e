//! What a key says about its object, and where the keys of a time lie.
//!
//! A trail's keys have four layouts, with a prefix and with an organisation's id
//! or without: what counts is found from the `CloudTrail` segment, never by
//! counting from the left. Source: "Getting and viewing your CloudTrail log
//! files" and "CloudTrail digest file structure", CloudTrail user guide.

#[cfg(test)]
mod tests;

use jiff::{Timestamp, civil, tz::Offset};

use crate::event::{Category, Scope, is_account};

/// What an object holds, by its key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Records of management and data events.
    LogFile,
    /// Records of Insights events.
    Insight,
    /// Records of network activity events.
    NetworkActivity,
    /// Summaries of data events, five minutes each.
    Aggregated,
    /// The names and hashes of an hour's files. Holds no records.
    Digest,
    /// Something else.
    Other,
}

impl Kind {
    const ALL: [Self; 5] = [
        Self::LogFile,
        Self::Insight,
        Self::NetworkActivity,
        Self::Aggregated,
        Self::Digest,
    ];

    /// The segment that such keys have.
    const fn segment(self) -> &'static str {
        match self {
            Self::LogFile => "CloudTrail",
            Self::Insight => "CloudTrail-Insight",
            Self::NetworkActivity => "CloudTrail-NetworkActivity",
            Self::Aggregated => "CloudTrail-Aggregated",
            Self::Digest => "CloudTrail-Digest",
            Self::Other => "",
        }
    }

    /// The kind whose keys have this segment.
    #[must_use]
    pub fn of_segment(segment: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.segment() == segment)
    }

    /// Whether such an object holds records.
    #[must_use]
    pub const fn has_records(self) -> bool {
        !matches!(self, Self::Digest | Self::Other)
    }

    /// The kind of events that `LookupEvents` could be asked for: those of a log
    /// file (its data events aside) or Insights. `None`: it knows none of them.
    #[must_use]
    pub const fn category(self) -> Option<Category> {
        match self {
            Self::LogFile => Some(Category::Management),
            Self::Insight => Some(Category::Insight),
            _ => None,
        }
    }
}

/// A key, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectKey {
    /// What its object holds.
    pub kind: Kind,
    /// What it says of the trail's files; `None` for [`Kind::Other`].
    pub place: Option<Place>,
}

/// Where a trail's file stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// Whose records.
    pub scope: Scope,
    /// The organisation's id, where the trail is an organisation's.
    pub organisation: Option<String>,
    /// When the file was delivered (a digest's: when its hour ended), in whole
    /// seconds since the Unix epoch. Its records are older.
    pub time: i64,
    /// Where the keys of all its trail's files begin.
    pub root: Root,
    /// A digest's trail and that trail's home Region, as the name joins them.
    pub trail: Option<String>,
    /// A digest that names what an earlier one left out.
    pub is_backfill: bool,
}

impl ObjectKey {
    /// Takes a key apart. One that is not a trail's is [`Kind::Other`].
    #[must_use]
    pub fn parse(key: &str) -> Self {
        let segments: Vec<&str> = key.split('/').collect();
        // the file, its day, its Region: what is before is the kind
        let place = segments
            .len()
            .checked_sub(6)
            .and_then(|at| of_segments(&segments, at));
        match place {
            Some((kind, place)) => Self {
                kind,
                place: Some(place),
            },
            None => Self {
                kind: Kind::Other,
                place: None,
            },
        }
    }

    /// Whose records, if it is a trail's.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        self.place.as_ref().map(|place| &place.scope)
    }
}

fn of_segments(segments: &[&str], at: usize) -> Option<(Kind, Place)> {
    let (before, from) = segments.split_at_checked(at)?;
    let [segment, region, year, month, day, name] = from else {
        return None;
    };
    let kind = Kind::of_segment(segment)?;
    let (account, root) = before.split_last()?;
    let mut allowed = region
        .bytes()
        .map(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-'));
    if !is_account(account) || region.is_empty() || !allowed.all(|is| is) {
        return None;
    }
    let name = name.strip_suffix(".json.gz")?;
    let stem = name
        .strip_prefix(account)?
        .strip_prefix('_')?
        .strip_prefix(segment)?
        .strip_prefix('_')?
        .strip_prefix(region)?
        .strip_prefix('_')?;
    let backfill = (kind == Kind::Digest)
        .then(|| stem.strip_suffix("_backfill"))
        .flatten();
    let stem = backfill.unwrap_or(stem);
    let (trail, time) = if kind == Kind::Digest {
        stem.rsplit_once('_')
            .map(|(trail, time)| (Some(trail), time))?
    } else {
        // sixteen characters follow
        (None, stem.split_once('_').map(|(time, _)| time)?)
    };
    let time = parse_time(time)?;
    if format!("{year}/{month}/{day}") != date_of(time)? {
        return None;
    }
    let organisation = root
        .last()
        .filter(|id| id.starts_with("o-"))
        .map(|id| (*id).to_owned());
    let place = Place {
        scope: Scope::new(account, region),
        organisation,
        time,
        root: Root(root.iter().flat_map(|segment| [*segment, "/"]).collect()),
        trail: trail.map(str::to_owned),
        is_backfill: backfill.is_some(),
    };
    Some((kind, place))
}

/// `20240506T0708Z`, or with seconds, as digests have it.
fn parse_time(text: &str) -> Option<i64> {
    let (date, time) = text.strip_suffix('Z')?.split_once('T')?;
    if date.len() != 8 || !matches!(time.len(), 4 | 6) {
        return None;
    }
    let number = |text: &str, at: usize, len: usize| -> Option<i16> {
        let digits = text.get(at..at + len)?;
        let is_number = digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse().ok().filter(|_| is_number)
    };
    let part = |text, at| number(text, at, 2).and_then(|part| i8::try_from(part).ok());
    let date = civil::Date::new(number(date, 0, 4)?, part(date, 4)?, part(date, 6)?).ok()?;
    let second = if time.len() == 6 { part(time, 4)? } else { 0 };
    let time = civil::Time::new(part(time, 0)?, part(time, 2)?, second, 0).ok()?;
    let time = Offset::UTC.to_timestamp(date.to_datetime(time)).ok()?;
    Some(time.as_second())
}

fn civil_of(second: i64) -> Option<civil::DateTime> {
    let time = Timestamp::from_second(second).ok()?;
    Some(Offset::UTC.to_datetime(time))
}

/// `2024/05/06`.
fn date_of(second: i64) -> Option<String> {
    let at = civil_of(second)?;
    Some(format!(
        "{:04}/{:02}/{:02}",
        at.year(),
        at.month(),
        at.day()
    ))
}

/// Where the keys of a trail's files begin: what stands before the account, with
/// its `/`, such as `prefix/AWSLogs/o-example/`. May be empty.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Root(String);

impl Root {
    /// The root of a trail with this prefix, of this organisation.
    #[must_use]
    pub fn new(prefix: &str, organisation: Option<&str>) -> Self {
        let prefix = prefix.trim_matches('/');
        let slash = if prefix.is_empty() { "" } else { "/" };
        let organisation = organisation.map_or(String::new(), |id| format!("{id}/"));
        Self(format!("{prefix}{slash}AWSLogs/{organisation}"))
    }

    /// It, as keys begin with it.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The prefix of all keys of one kind in one scope.
    #[must_use]
    pub fn scope(&self, kind: Kind, scope: &Scope) -> String {
        let Self(root) = self;
        let Scope { account, region } = scope;
        format!("{root}{account}/{}/{region}/", kind.segment())
    }

    /// The prefix of the keys of the day (UTC) that has `second`. `None`: no
    /// calendar has it.
    #[must_use]
    pub fn day(&self, kind: Kind, scope: &Scope, second: i64) -> Option<String> {
        let date = date_of(second)?;
        Some(format!("{}{date}/", self.scope(kind, scope)))
    }

    /// What to list keys after so that all files of the minute that has `second`
    /// are listed, and all that were delivered later: S3 lists by key, and
    /// within [`Root::scope`] that is by time. Digests have their trail before
    /// the time, so theirs are listed from the day's start. `None`: no calendar
    /// has it.
    #[must_use]
    pub fn start_after(&self, kind: Kind, scope: &Scope, second: i64) -> Option<String> {
        let day = self.day(kind, scope, second)?;
        if kind == Kind::Digest {
            return Some(day);
        }
        let at = civil_of(second)?;
        let time = format!(
            "{:04}{:02}{:02}T{:02}{:02}",
            at.year(),
            at.month(),
            at.day(),
            at.hour(),
            at.minute()
        );
        let Scope { account, region } = scope;
        // no key of that minute is this, and all have more: `Z`, or seconds before it
        Some(format!("{day}{account}_{}_{region}_{time}", kind.segment()))
    }
}
