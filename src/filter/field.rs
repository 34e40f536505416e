//! What a match looks at: an attribute, or a path into the record.

use std::collections::{BTreeSet, HashSet};

use super::{Error, shown};
use crate::{
    event::{AttributeKey, RECORD_FIELDS, is_documented_field},
    spelling::Nearest,
};

/// The most bytes of a field. The longest path in the records we have seen is
/// 113; keys that users chose, such as tags, may be longer.
const MAX_FIELD_LEN: usize = 1024;
/// The most segments of a path. The deepest record we have seen has 10.
const MAX_SEGMENTS: usize = 32;

/// The prefix that insists on a path whose first segment nobody knows.
const INSIST: &str = "record";

/// The top-level fields that records held are known to have, beside the
/// documented ones. `()` knows none.
pub trait KnownFields {
    /// Whether some record held has this field.
    fn knows(&self, name: &str) -> bool;

    /// Calls `each` with every name known, for suggestions.
    fn for_each(&self, each: &mut dyn FnMut(&str));
}

impl KnownFields for () {
    fn knows(&self, _: &str) -> bool {
        false
    }

    fn for_each(&self, _: &mut dyn FnMut(&str)) {}
}

impl KnownFields for BTreeSet<String> {
    fn knows(&self, name: &str) -> bool {
        self.contains(name)
    }

    fn for_each(&self, each: &mut dyn FnMut(&str)) {
        self.iter().for_each(|name| each(name));
    }
}

impl KnownFields for HashSet<String> {
    fn knows(&self, name: &str) -> bool {
        self.contains(name)
    }

    fn for_each(&self, each: &mut dyn FnMut(&str)) {
        self.iter().for_each(|name| each(name));
    }
}

/// What a match looks at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Field {
    /// The event's attribute.
    Attribute(AttributeKey),
    /// A path into the record: its first segment, and the rest.
    Path(String, Vec<String>),
}

/// What a field that users write looks at, whether or not records have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Sight {
    /// The event's attribute.
    Attribute(AttributeKey),
    /// A path into the record, as its keys from the top.
    Path(Vec<String>),
}

impl Sight {
    /// Of a field.
    ///
    /// # Errors
    /// If it is no path: what is wrong with it.
    pub fn of(field: &str) -> Result<Self, String> {
        if let Ok(key) = field.parse() {
            return Ok(Self::Attribute(key));
        }
        if field.is_empty() {
            return Err(
                "empty; name an attribute such as EventName or a path such as errorCode".into(),
            );
        }
        if field.len() > MAX_FIELD_LEN {
            let len = field.len();
            return Err(format!(
                "{len} bytes long; at most {MAX_FIELD_LEN} are allowed"
            ));
        }
        let (_, path) = insisted(field);
        let segments = split(path).map_err(|what| format!("{:?} {what}", shown(field)))?;
        Ok(Self::Path(segments))
    }
}

/// Whether a field is searched though no record is known to have it.
#[must_use]
pub fn is_insisted(field: &str) -> bool {
    insisted(field).0
}

/// Whether a field insists on its path, and the path. An escaped dot is part of a
/// key.
fn insisted(field: &str) -> (bool, &str) {
    let path = field
        .strip_prefix(INSIST)
        .and_then(|rest| rest.strip_prefix('.'));
    (path.is_some(), path.unwrap_or(field))
}

impl Field {
    /// Reads a field as users write it; `path` says where it stands.
    pub(super) fn parse(field: &str, path: &str, known: &dyn KnownFields) -> Result<Self, Error> {
        let error = |message: String| Error::new(path, message);
        let mut segments = match Sight::of(field).map_err(error)? {
            Sight::Attribute(key) => return Ok(Self::Attribute(key)),
            Sight::Path(segments) => segments.into_iter(),
        };
        let first = segments.next().unwrap_or_default();
        let rest = segments.collect();
        if !is_insisted(field) && !is_documented_field(&first) && !known.knows(&first) {
            return Err(error(unknown(field, &first, known)));
        }
        Ok(Self::Path(first, rest))
    }
}

fn split(path: &str) -> Result<Vec<String>, String> {
    let mut segments = vec![];
    let mut segment = String::new();
    let mut chars = path.chars();
    loop {
        let next = chars.next();
        match next {
            None | Some('.') => {
                if segment.is_empty() {
                    return Err(
                        "has an empty segment; write one dot between two keys, \\. for a dot inside a key"
                            .into(),
                    );
                }
                segments.push(std::mem::take(&mut segment));
                if segments.len() > MAX_SEGMENTS {
                    return Err(format!(
                        "has more than {MAX_SEGMENTS} segments, deeper than records are"
                    ));
                }
                if next.is_none() {
                    return Ok(segments);
                }
            }
            Some('\\') => match chars.next() {
                Some(escaped @ ('.' | '\\')) => segment.push(escaped),
                _ => {
                    return Err(
                        "has a stray backslash; write \\. for a dot inside a key, \\\\ for a backslash"
                            .into(),
                    );
                }
            },
            Some(other) => segment.push(other),
        }
    }
}

fn unknown(field: &str, first: &str, known: &dyn KnownFields) -> String {
    let hint = nearest(first, known).map_or_else(
        || "nested fields are named from the top, such as requestParameters.bucketName".to_owned(),
        |name| format!("did you mean {name:?}?"),
    );
    let (first, field) = (shown(first), shown(field));
    format!(
        "unknown field {first:?}: no record is known to have it at its top; {hint} (\"{INSIST}.{field}\" searches it anyway)"
    )
}

/// The known name that `name` was meant to be, if any is near enough.
fn nearest(name: &str, known: &dyn KnownFields) -> Option<String> {
    let mut nearest = Nearest::to(name);
    AttributeKey::ALL
        .iter()
        .for_each(|key| nearest.consider(key.as_str()));
    RECORD_FIELDS.iter().for_each(|name| nearest.consider(name));
    known.for_each(&mut |name| nearest.consider(name));
    nearest.found()
}
