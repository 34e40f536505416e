//! The one filter model, used by lookup, subscription, command line and
//! console alike: what events must look like, decided the same way everywhere.
//!
//! A question is a list of [`EventFilter`]s: an event passes if any of them
//! passes it, and an empty list passes every event. [`Filter::compile`] checks
//! the question once; the [`Filter`] is then asked about each event.

mod compare;
mod condition;
mod field;
mod members;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod oracle;
#[cfg(test)]
mod property;
#[cfg(test)]
mod tests;
mod values;
#[cfg(test)]
mod whole;

use std::{collections::BTreeSet, fmt};

pub use field::{KnownFields, Sight, is_insisted};
pub use values::Fields;

use self::{condition::Condition, members::Members};
use crate::event::{Attribute, AttributeKey, Category, Event};

/// The most filters in a question. Alternatives beyond a few dozen are better
/// said as the values of one match.
pub const MAX_FILTERS: usize = 32;
/// The most matches in a filter: there are eight attributes and some thirty
/// documented fields of a record.
pub const MAX_MATCHES: usize = 32;
/// The most values of a match: a list of names or addresses, not a data set.
pub const MAX_VALUES: usize = 1000;
/// The most characters of a value: as long as AWS lets an attribute's value be
/// (API reference, `LookupAttribute`).
pub const MAX_VALUE_CHARS: usize = 2000;
/// The most matches with `GLOB` or `REGEX` in a question. Each may take 1 MiB
/// compiled (see `compare`), so a question is held to 32 MiB, and its searches
/// to as much cache in each thread.
pub const MAX_PATTERNS: usize = 32;

/// How much of a value an error shows, in characters: it travels in a header,
/// which clients take 8 KiB of.
const SHOWN: usize = 80;

/// What an error shows of a value, however long that is.
#[must_use]
pub fn shown(value: &str) -> String {
    let mut shown: String = value.chars().take(SHOWN).collect();
    if shown.len() < value.len() {
        shown.push('…');
    }
    shown
}

/// The first `most` of some names, and how many more there are.
#[must_use]
pub fn listed(names: impl ExactSizeIterator<Item: fmt::Display>, most: usize) -> String {
    let more = names.len().saturating_sub(most);
    let first: Vec<_> = names.take(most).map(|name| name.to_string()).collect();
    match more {
        0 => first.join(", "),
        more => format!("{} and {more} more", first.join(", ")),
    }
}

/// How a [`Match`] compares.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Operator {
    /// The whole value is the same.
    #[default]
    Equals,
    /// The value starts so.
    Prefix,
    /// The value ends so.
    Suffix,
    /// The value has it somewhere.
    Contains,
    /// The whole value fits a pattern of `*` (any run of characters), `?` (any
    /// one) and `\` (the next character as it is).
    Glob,
    /// A regular expression is found anywhere in the value.
    Regex,
    /// The value is an IP address in a network; a network without a length is
    /// a single address.
    Cidr,
    /// The field is there and is not null. Takes no values.
    Exists,
}

impl Operator {
    /// The operator's name in the contract.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Equals => "EQUALS",
            Self::Prefix => "PREFIX",
            Self::Suffix => "SUFFIX",
            Self::Contains => "CONTAINS",
            Self::Glob => "GLOB",
            Self::Regex => "REGEX",
            Self::Cidr => "CIDR",
            Self::Exists => "EXISTS",
        }
    }

    const fn is_pattern(self) -> bool {
        matches!(self, Self::Glob | Self::Regex)
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One condition on one field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Match {
    /// An attribute key (`EventName`), or a dotted path into the record
    /// (`userIdentity.type`); `\.` is a dot inside a key, `\\` a backslash, and
    /// `record.` in front insists on an unknown first segment.
    pub field: String,
    /// How it is compared.
    pub operator: Operator,
    /// What it is compared with; any of them may match. 1 to [`MAX_VALUES`] of
    /// at most [`MAX_VALUE_CHARS`] each; none for [`Operator::Exists`].
    pub values: Vec<String>,
    /// Whether the condition must not hold. It holds for an absent field.
    pub negate: bool,
    /// Whether letters match in either case: both sides are compared in
    /// Unicode lowercase. Without meaning for `CIDR` and `EXISTS`.
    pub ignore_case: bool,
}

/// Conditions that must all hold; none of them passes every event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// The conditions, at most [`MAX_MATCHES`].
    pub matches: Vec<Match>,
}

/// A question that cannot be answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {message}")]
pub struct Error {
    /// Where in the question, such as `filters[0].matches[2].field`.
    pub path: String,
    /// What is wrong with which value, and what would be right.
    pub message: String,
}

impl Error {
    fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self {
            path: path.into(),
            message: message.into(),
        }
    }
}

/// A question that was checked, ready to be asked about many events.
#[derive(Clone, Debug)]
pub struct Filter {
    /// Empty: every event passes.
    alternatives: Vec<Vec<Condition>>,
    /// Top-level members of the record that some condition looks into.
    members: Vec<String>,
    canonical: Vec<u8>,
}

impl Filter {
    /// The filter that passes every event.
    #[must_use]
    pub fn everything() -> Self {
        Self {
            alternatives: Vec::new(),
            members: Vec::new(),
            canonical: canonical(&[]),
        }
    }

    /// Checks a question. `known` tells which top-level fields records are
    /// known to have beyond the documented ones.
    ///
    /// # Errors
    ///
    /// The first thing that is wrong with the question, in its order.
    pub fn compile(filters: &[EventFilter], known: &dyn KnownFields) -> Result<Self, Error> {
        Self::compile_with(filters, known, 0)
    }

    /// As [`Filter::compile`], of filters to each of which so many matches were added
    /// beside what was asked.
    ///
    /// # Errors
    ///
    /// As of [`Filter::compile`].
    pub fn compile_with(
        filters: &[EventFilter],
        known: &dyn KnownFields,
        added: usize,
    ) -> Result<Self, Error> {
        if filters.len() > MAX_FILTERS {
            let message = format!(
                "{} filters; at most {MAX_FILTERS} are allowed",
                filters.len()
            );
            return Err(Error::new("filters", message));
        }
        let mut members = Vec::new();
        let mut patterns = 0;
        let mut alternatives = Vec::with_capacity(filters.len());
        for (i, filter) in filters.iter().enumerate() {
            let path = format!("filters[{i}].matches");
            if filter.matches.len() > MAX_MATCHES + added {
                let count = filter.matches.len();
                let message = format!("{count} matches; at most {MAX_MATCHES} are allowed");
                return Err(Error::new(path, message));
            }
            let mut conditions = Vec::with_capacity(filter.matches.len());
            for (j, source) in filter.matches.iter().enumerate() {
                let path = format!("{path}[{j}]");
                patterns += usize::from(source.operator.is_pattern());
                if patterns > MAX_PATTERNS {
                    let message = format!(
                        "more than {MAX_PATTERNS} matches with GLOB or REGEX; give one match several values"
                    );
                    return Err(Error::new(format!("{path}.operator"), message));
                }
                conditions.push(Condition::compile(source, &path, known, &mut members)?);
            }
            alternatives.push(conditions);
        }
        let canonical = canonical(&alternatives);
        if alternatives.iter().any(Vec::is_empty) {
            alternatives.clear();
            members.clear();
        }
        for conditions in &mut alternatives {
            conditions.sort_by_key(Condition::cost);
        }
        Ok(Self {
            alternatives,
            members,
            canonical,
        })
    }

    /// Whether every event passes.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.alternatives.is_empty()
    }

    /// Whether `event` passes. Its record is parsed at most once, and only if
    /// a condition that matters looks into it.
    #[must_use]
    pub fn matches(&self, event: &Event) -> bool {
        if self.is_everything() {
            return true;
        }
        let members = Members::new(&self.members, event);
        self.alternatives
            .iter()
            .any(|conditions| conditions.iter().all(|one| one.holds(event, &members)))
    }

    /// Every single attribute that all events passing this filter have, so
    /// that AWS may be asked by any one of them; the most selective first.
    /// Empty: AWS must be asked for everything.
    #[must_use]
    pub fn pushdowns(&self, category: Category) -> Vec<Attribute> {
        let of = |conditions: &Vec<Condition>| -> BTreeSet<Attribute> {
            conditions
                .iter()
                .filter_map(|condition| <[_; 1]>::try_from(condition.pushdown()).ok())
                .flatten()
                .filter(|attribute| attribute.key.fits(category))
                .collect()
        };
        let mut common = self
            .alternatives
            .iter()
            .map(of)
            .reduce(|common, next| common.intersection(&next).cloned().collect())
            .map(Vec::from_iter)
            .unwrap_or_default();
        common.sort_by_key(|attribute| selectivity(attribute.key));
        common
    }

    /// For each alternative its choices: sets of attributes of which every event
    /// that passes it has one, so that AWS may be asked by each attribute of one
    /// set. Empty if some alternative has no choice: AWS must be asked for
    /// everything.
    #[must_use]
    pub fn pushdown_sets(&self, category: Category) -> Vec<Vec<Vec<Attribute>>> {
        let sets = |conditions: &Vec<Condition>| -> Option<Vec<Vec<Attribute>>> {
            let sets = conditions.iter().map(Condition::pushdown);
            let fits = |set: &Vec<Attribute>| {
                !set.is_empty() && set.iter().all(|attribute| attribute.key.fits(category))
            };
            Some(sets.filter(fits).collect::<Vec<_>>()).filter(|sets| !sets.is_empty())
        };
        let all: Option<Vec<_>> = self.alternatives.iter().map(sets).collect();
        all.unwrap_or_default()
    }

    /// Whether it is about what `LookupEvents` derives and log files lack: their
    /// events cannot answer it.
    #[must_use]
    pub fn needs_derived(&self) -> bool {
        let mut conditions = self.alternatives.iter().flatten();
        conditions.any(Condition::needs_derived)
    }

    /// The filter that passes the events which have an attribute.
    #[must_use]
    pub fn by(attribute: &Attribute) -> Self {
        let matches = vec![Match {
            field: attribute.key.as_str().to_owned(),
            values: vec![attribute.value.to_string()],
            ..Match::default()
        }];
        // an attribute key is a field; a value longer than values may be has no events
        Self::compile(&[EventFilter { matches }], &()).unwrap_or_default()
    }

    /// The question in a form that is the same for the same question and
    /// different for a different one, stable across versions of this program:
    /// to be hashed into tokens.
    ///
    /// The order of filters and of matches counts; order and repetition of a
    /// match's values do not, nor does how a field was spelled.
    #[must_use]
    pub fn canonical(&self) -> &[u8] {
        &self.canonical
    }
}

impl Default for Filter {
    fn default() -> Self {
        Self::everything()
    }
}

fn canonical(alternatives: &[Vec<Condition>]) -> Vec<u8> {
    let mut out = Vec::new();
    write_len(&mut out, alternatives.len());
    for conditions in alternatives {
        write_len(&mut out, conditions.len());
        for condition in conditions {
            condition.write_canonical(&mut out);
        }
    }
    out
}

/// Lengths in front of everything keep two questions from looking alike.
fn write_len(out: &mut Vec<u8>, len: usize) {
    out.extend_from_slice(&u64::try_from(len).unwrap_or(u64::MAX).to_be_bytes());
}

fn write_text(out: &mut Vec<u8>, text: &str) {
    write_len(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Smaller is more selective: how few events an attribute leaves, as a rule.
const fn selectivity(key: AttributeKey) -> u8 {
    match key {
        AttributeKey::EventId => 0,
        AttributeKey::ResourceName => 1,
        AttributeKey::AccessKeyId => 2,
        AttributeKey::Username => 3,
        AttributeKey::EventName => 4,
        AttributeKey::ResourceType => 5,
        AttributeKey::EventSource => 6,
        AttributeKey::ReadOnly => 7,
    }
}
