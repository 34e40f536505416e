//! The members of a record that a filter looks into, read when first needed.
//!
//! They stay slices of the record: nothing is copied, and a number keeps the
//! text it stands in, which `serde_json::Value` would not give (`1e3`).

use std::{borrow::Cow, cell::OnceCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, IgnoredAny, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::event::{Event, json};

/// The wanted top-level members of one event's record.
pub(super) struct Members<'a> {
    wanted: &'a [String],
    event: &'a Event,
    /// One value for each name of `wanted`.
    values: OnceCell<Vec<Option<&'a RawValue>>>,
}

impl<'a> Members<'a> {
    pub(super) fn new(wanted: &'a [String], event: &'a Event) -> Self {
        Self {
            wanted,
            event,
            values: OnceCell::new(),
        }
    }

    /// The member whose name is `wanted[index]`; a malformed record has none.
    pub(super) fn get(&self, index: usize) -> Option<&'a RawValue> {
        let values = self.values.get_or_init(|| {
            if self.event.is_malformed() {
                Vec::new()
            } else {
                pick(self.wanted, self.event.record())
            }
        });
        values.get(index).copied().flatten()
    }
}

/// What stands at the end of a path.
pub(super) enum Leaf<'a> {
    /// A string's content, or the text of a number or a boolean.
    Text(Cow<'a, str>),
    Object,
}

/// How deep arrays and objects are looked into. AWS's records have some ten
/// levels; a record that was made to exhaust the stack has many.
const MAX_DEPTH: usize = 128;

/// Whether `holds` for any value at the end of `path` from `value`. Arrays are
/// looked into wherever they stand; null is nothing.
pub(super) fn any_leaf(
    value: &RawValue,
    path: &[String],
    holds: &dyn Fn(Leaf<'_>) -> bool,
) -> bool {
    any_leaf_within(value, path, holds, MAX_DEPTH)
}

fn any_leaf_within(
    value: &RawValue,
    path: &[String],
    holds: &dyn Fn(Leaf<'_>) -> bool,
    depth: usize,
) -> bool {
    let text = value.get();
    let Some(depth) = depth.checked_sub(1) else {
        return false;
    };
    match (text.as_bytes().first(), path.split_first()) {
        (Some(b'['), _) => json::array(text).is_some_and(|items| {
            items
                .iter()
                .any(|item| any_leaf_within(item, path, holds, depth))
        }),
        (Some(b'{'), None) => holds(Leaf::Object),
        (Some(b'{'), Some((key, path))) => pick(std::slice::from_ref(key), text)
            .into_iter()
            .flatten()
            .any(|value| any_leaf_within(value, path, holds, depth)),
        (_, Some(_)) => false,
        (_, None) => json::scalar(text).is_some_and(|text| holds(Leaf::Text(text))),
    }
}

/// The members of `object` with these names, one entry a name.
fn pick<'a>(names: &[String], object: &'a str) -> Vec<Option<&'a RawValue>> {
    let mut json = serde_json::Deserializer::from_str(object);
    // only what was parsed whole when it was indexed gets here
    Wanted(names).deserialize(&mut json).unwrap_or_default()
}

/// Keeps the members with these names and skips all others unread.
struct Wanted<'n>(&'n [String]);

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn deserialize<D: Deserializer<'de>>(self, object: D) -> Result<Self::Value, D::Error> {
        object.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = Vec<Option<&'de RawValue>>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut values = vec![None; self.0.len()];
        while let Some(index) = map.next_key_seed(Name(self.0))? {
            // of members with one name the last counts, as in any JSON object
            match index.and_then(|index| values.get_mut(index)) {
                Some(value) => *value = Some(map.next_value()?),
                None => drop(map.next_value::<IgnoredAny>()?),
            }
        }
        Ok(values)
    }
}

/// Finds a key among the wanted names.
struct Name<'a>(&'a [String]);

impl<'de> DeserializeSeed<'de> for Name<'_> {
    type Value = Option<usize>;

    fn deserialize<D: Deserializer<'de>>(self, key: D) -> Result<Self::Value, D::Error> {
        key.deserialize_bytes(self)
    }
}

impl Visitor<'_> for Name<'_> {
    type Value = Option<usize>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    // a key may be no text (half of a surrogate pair); then it is nobody's name
    fn visit_bytes<E>(self, key: &[u8]) -> Result<Self::Value, E> {
        Ok(self.0.iter().position(|name| name.as_bytes() == key))
    }
}
