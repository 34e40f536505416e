//! Scopes, stretches of time, and the attributes AWS can be asked by.

use std::{fmt, str::FromStr, sync::Arc};

/// One account in one Region: the unit in which AWS keeps Event history and
/// meters the quota. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scope {
    /// The account, usually 12 digits.
    pub account: Arc<str>,
    /// The Region, such as `eu-central-1`.
    pub region: Arc<str>,
}

impl Scope {
    /// The scope of an account in a Region.
    #[must_use]
    pub fn new(account: &str, region: &str) -> Self {
        Self {
            account: account.into(),
            region: region.into(),
        }
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.account, self.region)
    }
}

/// The kind of events that is looked up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Category {
    /// Management events.
    #[default]
    Management,
    /// Insights events.
    Insight,
}

/// A half-open stretch of whole seconds since the Unix epoch: `from` is in it,
/// `to` is not. Empty if `to <= from`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TimeRange {
    /// The first second.
    pub from: i64,
    /// The second after the last.
    pub to: i64,
}

impl TimeRange {
    /// The stretch from `from`, inclusive, to `to`, exclusive.
    #[must_use]
    pub const fn new(from: i64, to: i64) -> Self {
        Self { from, to }
    }

    /// Whether no second is in it.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.to <= self.from
    }

    /// Whether `second` is in it.
    #[must_use]
    pub const fn contains(&self, second: i64) -> bool {
        self.from <= second && second < self.to
    }

    /// The seconds that are in both.
    #[must_use]
    pub fn intersect(&self, other: &Self) -> Self {
        Self {
            from: self.from.max(other.from),
            to: self.to.min(other.to),
        }
    }

    /// How many seconds are in it.
    #[must_use]
    pub fn seconds(&self) -> i64 {
        self.to.saturating_sub(self.from).max(0)
    }
}

impl fmt::Display for TimeRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "[{}, {})", self.from, self.to)
    }
}

/// The attributes by which `LookupEvents` can be asked, in AWS's spelling.
///
/// Source: the API reference's `LookupAttribute`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum AttributeKey {
    /// The access key that signed the call.
    AccessKeyId,
    /// The event's id.
    EventId,
    /// The API action.
    EventName,
    /// The service that answered.
    EventSource,
    /// Whether the call only read, as `true` or `false`.
    ReadOnly,
    /// The name of a resource, which AWS derives.
    ResourceName,
    /// The type of a resource, which AWS derives.
    ResourceType,
    /// The user's name, which AWS derives.
    Username,
}

impl AttributeKey {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::AccessKeyId,
        Self::EventId,
        Self::EventName,
        Self::EventSource,
        Self::ReadOnly,
        Self::ResourceName,
        Self::ResourceType,
        Self::Username,
    ];

    /// The key in AWS's spelling.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AccessKeyId => "AccessKeyId",
            Self::EventId => "EventId",
            Self::EventName => "EventName",
            Self::EventSource => "EventSource",
            Self::ReadOnly => "ReadOnly",
            Self::ResourceName => "ResourceName",
            Self::ResourceType => "ResourceType",
            Self::Username => "Username",
        }
    }

    /// Whether Insights events can be asked by it (API reference: only these
    /// three).
    #[must_use]
    pub const fn fits(self, category: Category) -> bool {
        match category {
            Category::Management => true,
            Category::Insight => {
                matches!(self, Self::EventId | Self::EventName | Self::EventSource)
            }
        }
    }
}

impl fmt::Display for AttributeKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A string is no attribute key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoAttributeKey;

impl FromStr for AttributeKey {
    type Err = NoAttributeKey;

    /// Case-sensitive, as AWS is.
    fn from_str(s: &str) -> Result<Self, NoAttributeKey> {
        Self::ALL
            .into_iter()
            .find(|key| key.as_str() == s)
            .ok_or(NoAttributeKey)
    }
}

/// One attribute with its value: all that `LookupEvents` can be asked by at
/// once.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Attribute {
    /// Which attribute.
    pub key: AttributeKey,
    /// Its value, matched exactly and case-sensitively.
    pub value: Arc<str>,
}

impl Attribute {
    /// An attribute with its value.
    #[must_use]
    pub fn new(key: AttributeKey, value: &str) -> Self {
        Self {
            key,
            value: value.into(),
        }
    }

    /// The length of a value as AWS counts it: `_`, space, comma and newline
    /// count double (API reference, `LookupAttribute`). 1 to
    /// [`Self::MAX_VALUE_LEN`] is accepted.
    #[must_use]
    pub fn value_len(value: &str) -> usize {
        value
            .chars()
            .map(|c| {
                if matches!(c, '_' | ' ' | ',' | '\n') {
                    2
                } else {
                    1
                }
            })
            .sum()
    }

    /// The longest value that AWS accepts, by [`Self::value_len`].
    pub const MAX_VALUE_LEN: usize = 2000;
}

impl fmt::Display for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.key, self.value)
    }
}

/// Whether a text has the form of an account's id: twelve digits.
#[must_use]
pub fn is_account(id: &str) -> bool {
    id.len() == 12 && id.bytes().all(|byte| byte.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_keys_parse_as_they_print_and_in_no_other_case() {
        for key in AttributeKey::ALL {
            assert_eq!(key.as_str().parse(), Ok(key));
            assert_eq!(
                key.as_str().to_lowercase().parse::<AttributeKey>(),
                Err(NoAttributeKey)
            );
        }
    }

    #[test]
    fn some_characters_count_double() {
        assert_eq!(Attribute::value_len("a_b c,d\ne"), 13);
    }

    #[test]
    fn ranges_are_half_open() {
        let range = TimeRange::new(10, 20);
        assert!(range.contains(10) && range.contains(19) && !range.contains(20));
        assert_eq!(range.seconds(), 10);
        assert!(range.intersect(&TimeRange::new(20, 30)).is_empty());
        assert_eq!(
            range.intersect(&TimeRange::new(5, 12)),
            TimeRange::new(10, 12)
        );
        assert_eq!(TimeRange::new(3, 1).seconds(), 0);
    }
}
