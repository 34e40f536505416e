//! Redaction as it is defined: every object as a list of its members, one path after
//! the other. Slow, and the oracle of what is fast.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "it is a test")]

use std::{cmp::Reverse, fmt, ops::Range};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{Event, MARK, MAX_DEPTH, Parts, RESOURCES, Redaction};
use crate::event::json::{Key, array};

/// The members of an object in its order, each as often as it is there.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(object: D) -> Result<Self, D::Error> {
        struct Each;
        impl<'de> Visitor<'de> for Each {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(key) = map.next_key::<Key>()? {
                    members.push((key.0, map.next_value()?));
                }
                Ok(Members(members))
            }
        }
        object.deserialize_map(Each)
    }
}

fn members(text: &str) -> Option<Vec<(String, &RawValue)>> {
    let members: Members<'_> = serde_json::from_str(text).ok()?;
    Some(members.0)
}

/// What is taken out of a record.
pub(crate) struct Taken {
    /// Where it stands, in the record's order.
    places: Vec<Range<usize>>,
    /// Some of it lies too deep to look into: more may be with it.
    pub(crate) is_deep: bool,
}

impl Taken {
    /// At these paths; `None`: the record is no JSON object.
    pub(crate) fn of(paths: &[Vec<String>], record: &str) -> Option<Self> {
        members(record)?;
        let (mut found, mut is_deep) = (Vec::new(), false);
        for path in paths {
            find(record, path, 0, &mut found, &mut is_deep);
        }
        let place = |text: &str| {
            let start = text.as_ptr().addr() - record.as_ptr().addr();
            start..start + text.len()
        };
        let mut places: Vec<_> = found.into_iter().map(place).collect();
        places.sort_by_key(|place| (place.start, Reverse(place.end)));
        // within another that is taken out
        let mut end = 0;
        places.retain(|place| {
            let is_outermost = place.start >= end;
            end = end.max(place.end);
            is_outermost
        });
        Some(Self { places, is_deep })
    }

    /// The record with another value in each of these places.
    pub(crate) fn replaced(&self, record: &str, with: &str) -> String {
        let mut out = record.to_owned();
        for place in self.places.iter().rev() {
            out.replace_range(place.clone(), with);
        }
        out
    }
}

fn find<'a>(
    value: &'a str,
    path: &[String],
    depth: usize,
    found: &mut Vec<&'a str>,
    is_deep: &mut bool,
) {
    let Some((key, rest)) = path.split_first() else {
        found.push(value);
        return;
    };
    if depth == MAX_DEPTH {
        *is_deep = true;
        found.push(value);
        return;
    }
    let trimmed = value.trim_start();
    if trimmed.starts_with('[') {
        for element in array(value).unwrap() {
            find(element.get(), path, depth + 1, found, is_deep);
        }
    } else if trimmed.starts_with('{') {
        for (name, value) in members(value).unwrap() {
            if name == *key {
                find(value.get(), rest, depth + 1, found, is_deep);
            }
        }
    }
}

/// What stands in the index, each with the top-level members that it is from.
fn index(parts: &Parts) -> Vec<(String, &'static [&'static str])> {
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    let resources = parts.resources.iter().map(|one| format!("{one:?}"));
    let read_only = parts.read_only.map(|flag| flag.to_string());
    let who = parts.principal.clone().unwrap_or_default();
    let of_user = [
        &parts.username,
        &parts.access_key_id,
        &who.kind,
        &who.principal_id,
        &who.arn,
        &who.account_id,
        &who.user_name,
        &who.role_name,
        &who.session_name,
        &who.invoked_by,
    ];
    let mut index: Vec<(String, &[&str])> = vec![
        (parts.name.clone(), &["eventName"]),
        (read_only.unwrap_or_default(), &["readOnly"]),
        (text(&parts.category), &["eventCategory"]),
        (text(&parts.event_type), &["eventType"]),
        (text(&parts.error_code), &["errorCode"]),
        (text(&parts.error_message), &["errorMessage"]),
        (text(&parts.source_ip_address), &["sourceIPAddress"]),
        (text(&parts.user_agent), &["userAgent"]),
        (text(&parts.shared_event_id), &["sharedEventID"]),
        (
            resources.collect(),
            &[
                "requestParameters",
                "resources",
                "responseElements",
                "userIdentity",
            ],
        ),
    ];
    index.extend(of_user.map(|it| (text(it), &["userIdentity"] as &[_])));
    index
}

/// Parts without what [`index`] tells.
fn beside(parts: &Parts) -> Parts {
    Parts {
        name: String::new(),
        read_only: None,
        category: None,
        event_type: None,
        error_code: None,
        error_message: None,
        source_ip_address: None,
        user_agent: None,
        shared_event_id: None,
        resources: Vec::new(),
        username: None,
        access_key_id: None,
        principal: None,
        record: String::new(),
        hash: [0; 16],
        ..parts.clone()
    }
}

/// An event without what stands at paths is what it is defined to be; returns it.
pub(crate) fn check(paths: &[Vec<String>], event: &Event) -> Event {
    let redaction = Redaction::new(paths.to_vec());
    let before = event.parts();
    let record = &before.record;
    let taken = Taken::of(paths, record);
    let applied = redaction.apply(event);
    let told = applied.clone().unwrap_or_else(|| event.clone());
    let after = told.parts();

    // the record, byte for byte
    let expected = match &taken {
        _ if paths.is_empty() => record.clone(),
        Some(taken) => taken.replaced(record, MARK),
        None => String::new(),
    };
    assert_eq!(after.record, expected, "{record}");
    let is_json = |text: &str| serde_json::from_str::<IgnoredAny>(text).is_ok();
    assert!(!is_json(record) || after.record.is_empty() || is_json(&after.record));
    if let Some(left) = Taken::of(paths, &after.record) {
        let mut places = left.places.into_iter();
        assert!(
            places.all(|place| after.record.get(place) == Some(MARK)),
            "{record}"
        );
    }

    // the index: as it was, or nothing, and that for a reason
    let is_within = |key: &&str| paths.iter().any(|path| path[0] == **key);
    let (all, left) = (index(&before), index(&after));
    for ((was, from), (is, _)) in all.iter().zip(&left) {
        assert!(
            is == was || is.is_empty() && from.iter().any(is_within),
            "{was} {is}"
        );
    }
    assert_eq!(beside(&after), beside(&before), "{record}");
    // also what only the API tells
    let covers = |at: &[&str]| paths.iter().any(|path| at.starts_with(&lent(path)));
    assert!(!covers(&["eventName"]) || after.name.is_empty());
    assert!(!covers(&["readOnly"]) || after.read_only.is_none());
    let key = ["userIdentity", "accessKeyId"];
    assert!(!covers(&key) || after.access_key_id.is_none());
    assert!(!is_within(&"userIdentity") || after.username.is_none());
    let is_of_resources = RESOURCES.iter().any(|path| is_within(&path[0]));
    assert!(!is_of_resources || after.resources.is_empty());

    // the mark
    let is_taken = match &taken {
        Some(taken) => !taken.places.is_empty(),
        None => !paths.is_empty() && !record.is_empty(),
    };
    assert_eq!(applied.is_some(), is_taken || all != left, "{record}");
    // once more
    if let Some(again) = redaction.apply(&told) {
        assert_eq!(again, told, "{record}");
    }
    told
}

fn lent(path: &[String]) -> Vec<&str> {
    path.iter().map(String::as_str).collect()
}
