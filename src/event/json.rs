//! Reading JSON without taking it apart.
//!
//! Members stay slices of the record, so that a number keeps the text it
//! stands in. `serde_json::Value` is never used on a record: it rewrites
//! numbers, and keys that its own features use inside would make a record
//! unreadable that anybody can write.

use std::{borrow::Cow, fmt};

use serde::{
    Deserialize, Deserializer,
    de::{MapAccess, Visitor},
};
use serde_json::value::RawValue;

/// What a key says that has escapes, given with its quotes. `None`: an escape
/// that is none.
pub(super) fn key(text: &str) -> Option<String> {
    serde_json::from_str::<Key>(text).ok().map(|key| key.0)
}

/// A key. One that is no text (half of a surrogate pair) has replacement
/// characters: whoever can choose a key must not make a record unreadable.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key(pub(super) String);

impl<'de> Deserialize<'de> for Key {
    fn deserialize<D: Deserializer<'de>>(key: D) -> Result<Self, D::Error> {
        key.deserialize_bytes(KeyVisitor)
    }
}

struct KeyVisitor;

impl Visitor<'_> for KeyVisitor {
    type Value = Key;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_bytes<E>(self, key: &[u8]) -> Result<Key, E> {
        Ok(Key(String::from_utf8_lossy(key).into_owned()))
    }
}

/// The members of an object, in their order; a key may come twice. `None`: not an object.
#[must_use]
pub fn members(text: &str) -> Option<Vec<(String, &RawValue)>> {
    struct Members;

    impl<'de> Visitor<'de> for Members {
        type Value = Vec<(String, &'de RawValue)>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
            let mut members = Vec::new();
            while let Some(Key(key)) = map.next_key()? {
                members.push((key, map.next_value()?));
            }
            Ok(members)
        }
    }

    let mut json = serde_json::Deserializer::from_str(text);
    let members = json.deserialize_map(Members).ok()?;
    json.end().ok().map(|()| members)
}

/// The elements of an array. `None`: not an array.
#[must_use]
pub fn array(text: &str) -> Option<Vec<&RawValue>> {
    serde_json::from_str(text).ok()
}

/// What a scalar says: a string's content, the text of a number or a boolean.
/// `None`: null, an array or an object.
#[must_use]
pub fn scalar(text: &str) -> Option<Cow<'_, str>> {
    match text.as_bytes().first()? {
        b'"' => Some(content(text)),
        b'n' | b'[' | b'{' => None,
        _ => Some(text.into()),
    }
}

/// What a JSON string says. One that is no text (half of a surrogate pair)
/// reads as it is written.
fn content(text: &str) -> Cow<'_, str> {
    let inner = text
        .strip_prefix('"')
        .and_then(|text| text.strip_suffix('"'))
        .unwrap_or(text);
    if !inner.contains('\\') {
        return inner.into();
    }
    serde_json::from_str::<String>(text).map_or(inner.into(), Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scalars_say_what_they_are_and_numbers_keep_their_text() {
        for (text, says) in [
            ("\"a\\u00fc\\n\"", Some("aü\n")),
            ("\"plain\"", Some("plain")),
            ("\"\\ud800\"", Some("\\ud800")),
            ("1e3", Some("1e3")),
            ("-0.10", Some("-0.10")),
            ("true", Some("true")),
            ("null", None),
            ("{}", None),
            ("[1]", None),
        ] {
            assert_eq!(scalar(text).as_deref(), says, "{text}");
        }
        let read = members(r#"{"a":1.10,"b":{"c":[]},"a":"x"}"#).unwrap();
        let read: Vec<_> = read
            .iter()
            .map(|(key, value)| (&**key, value.get()))
            .collect();
        assert_eq!(read, [("a", "1.10"), ("b", r#"{"c":[]}"#), ("a", "\"x\"")]);
        for text in ["[]", "1", "", "{", "{} {}"] {
            assert!(members(text).is_none(), "{text}");
        }
        assert_eq!(key("\"\\u00fc\"").as_deref(), Some("ü"));
        assert_eq!(
            key("\"\\ud800\"").as_deref(),
            Some("\u{fffd}\u{fffd}\u{fffd}")
        );
        assert_eq!(key("\"\\x\""), None);
    }
}
