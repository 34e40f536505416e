//! The filter's meaning said a second time, as plainly as it can be, to check
//! the real one against.

#![allow(clippy::indexing_slicing, clippy::unwrap_used, reason = "it is a test")]

use std::sync::LazyLock;

use regex::{Captures, Regex, RegexBuilder};
use serde_json::Value;

use super::{Error, EventFilter, Fields, Filter, Match, Operator};
use crate::event::{Attribute, AttributeKey, Category, Event};

/// Asks the real filter about an event, and checks all that it says.
///
/// # Errors
/// If the question is refused.
pub(crate) fn check(filters: &[EventFilter], event: &Event) -> Result<(), Error> {
    let filter = Filter::compile(filters, &())?;
    let passes = filter.matches(event);
    assert_eq!(passes, self::passes(filters, event), "{filters:?}");
    if passes {
        for attribute in filter.pushdowns(Category::Management) {
            assert!(has(event, &attribute), "{attribute} of {filters:?}");
        }
        let sets = filter.pushdown_sets(Category::Management);
        let is_found = |set: &Vec<Attribute>| set.iter().any(|attribute| has(event, attribute));
        assert!(
            sets.is_empty() || sets.iter().any(|choices| choices.iter().all(is_found)),
            "{sets:?} of {filters:?}"
        );
    }
    let mut turned = filters.to_vec();
    for one in turned.iter_mut().flat_map(|filter| &mut filter.matches) {
        one.values.reverse();
    }
    let turned = Filter::compile(&turned, &()).unwrap();
    assert_eq!(turned.canonical(), filter.canonical(), "{filters:?}");
    let names: Vec<String> = filters
        .iter()
        .flat_map(|filter| filter.matches.iter().map(|one| one.field.clone()))
        .collect();
    let values = Fields::parse(&names, "top_fields", &())
        .unwrap()
        .values(event);
    for (name, values) in names.iter().zip(values) {
        let mut expected: Vec<_> = leaves(name, event).into_iter().filter_map(text).collect();
        expected.sort_unstable();
        expected.dedup();
        assert_eq!(values, expected, "{name}");
    }
    Ok(())
}

/// Whether this oracle can tell. It reads a record by `serde_json::Value`, which
/// cannot read all that is JSON, and fields by signs that stand for others.
pub(crate) fn can_tell(filters: &[EventFilter], event: &Event) -> bool {
    let mut matches = filters.iter().flat_map(|filter| &filter.matches);
    let is_odd = |one: &Match| one.field.contains(['\u{1}', '\u{2}']);
    let reads = serde_json::from_str::<serde_json::Map<String, Value>>(&quoted(event)).is_ok();
    let is_special = event.record().contains("$serde_json");
    !matches.any(is_odd) && !is_special && reads != event.is_malformed()
}

/// Strings and numbers: the numbers are made strings of their own text, which
/// `Value` would not keep.
static SCALARS: LazyLock<Regex> =
    LazyLock::new(|| Regex::new(r#"("(?:[^"\\]|\\.)*")|(-?[0-9][0-9.eE+-]*)"#).unwrap());

/// Whether `event` passes `filters`.
pub(super) fn passes(filters: &[EventFilter], event: &Event) -> bool {
    filters.is_empty()
        || filters
            .iter()
            .any(|filter| filter.matches.iter().all(|one| holds(one, event)))
}

fn holds(one: &Match, event: &Event) -> bool {
    let leaves = leaves(&one.field, event);
    let found = leaves.iter().any(|leaf| match leaf {
        Value::Object(_) => one.operator == Operator::Exists,
        Value::String(text) => text_holds(one, text),
        other => text_holds(one, &other.to_string()),
    });
    found != one.negate
}

/// Everything at the end of a field that is not null.
fn leaves(field: &str, event: &Event) -> Vec<Value> {
    let parts = event.parts();
    let some = |text: &Option<String>| text.clone().map(Value::from).into_iter().collect();
    let given = |text: &str| {
        (!text.is_empty())
            .then(|| Value::from(text))
            .into_iter()
            .collect()
    };
    let read_only = || parts.read_only.map(Value::from).into_iter().collect();
    let bare = field.strip_prefix("record.").unwrap_or(field);
    match field {
        "EventName" => return given(&parts.name),
        "EventSource" => return given(&parts.source),
        "EventId" => return given(&parts.id),
        "AccessKeyId" => return some(&parts.access_key_id),
        "Username" => return some(&parts.username),
        "ReadOnly" => return read_only(),
        "ResourceName" => {
            let names = parts.resources.iter().filter_map(|r| r.name.clone());
            return names.map(Value::from).collect();
        }
        "ResourceType" => {
            let kinds = parts.resources.iter().filter_map(|r| r.kind.clone());
            return kinds.map(Value::from).collect();
        }
        _ => {}
    }
    let Ok(record @ Value::Object(_)) = serde_json::from_str::<Value>(&quoted(event)) else {
        return match bare {
            "eventName" => given(&parts.name),
            "eventSource" => given(&parts.source),
            "eventID" => given(&parts.id),
            "readOnly" => read_only(),
            _ => vec![],
        };
    };
    let keys = bare
        .replace("\\\\", "\u{1}")
        .replace("\\.", "\u{2}")
        .split('.')
        .map(|key| key.replace('\u{1}', "\\").replace('\u{2}', "."))
        .collect::<Vec<_>>();
    let mut found = flat(vec![record]);
    for key in keys {
        let next = found.iter().filter_map(|value| value.get(&key).cloned());
        found = flat(next.collect());
    }
    found
}

/// The record, its numbers made strings of their own text.
fn quoted(event: &Event) -> String {
    let quoted = SCALARS.replace_all(event.record(), |token: &Captures<'_>| {
        token
            .get(2)
            .map_or(token[0].to_owned(), |n| format!("{:?}", n.as_str()))
    });
    quoted.into_owned()
}

/// What a leaf says.
fn text(leaf: Value) -> Option<String> {
    match leaf {
        Value::Object(_) => None,
        Value::String(text) => Some(text),
        other => Some(other.to_string()),
    }
}

fn flat(values: Vec<Value>) -> Vec<Value> {
    values
        .into_iter()
        .flat_map(|value| match value {
            Value::Null => vec![],
            Value::Array(items) => flat(items),
            other => vec![other],
        })
        .collect()
}

fn text_holds(one: &Match, text: &str) -> bool {
    let fold = |text: &str| {
        if one.ignore_case {
            text.to_lowercase()
        } else {
            text.to_owned()
        }
    };
    let any = |compare: &dyn Fn(&str, &str) -> bool| {
        one.values
            .iter()
            .any(|value| compare(&fold(text), &fold(value)))
    };
    match one.operator {
        Operator::Equals => any(&|text, value| text == value),
        Operator::Prefix => any(&|text, value| text.starts_with(value)),
        Operator::Suffix => any(&|text, value| text.ends_with(value)),
        Operator::Contains => any(&|text, value| text.contains(value)),
        Operator::Glob => any(&|text, value| {
            let text: Vec<char> = text.chars().collect();
            let glob: Vec<char> = value.chars().collect();
            glob_fits(&glob, &text)
        }),
        Operator::Regex => one.values.iter().any(|value| {
            let mut pattern = RegexBuilder::new(value);
            pattern.case_insensitive(one.ignore_case);
            pattern.build().unwrap().is_match(text)
        }),
        Operator::Cidr => one.values.iter().any(|value| in_network(value, text)),
        Operator::Exists => true,
    }
}

/// Which beginnings of the text fit the glob so far.
fn glob_fits(glob: &[char], text: &[char]) -> bool {
    let mut fits = vec![false; text.len() + 1];
    fits[0] = true;
    let mut signs = glob.iter();
    while let Some(sign) = signs.next() {
        if *sign == '*' {
            let first = fits.iter().position(|fit| *fit).unwrap_or(fits.len());
            fits[first..].fill(true);
            continue;
        }
        let wanted = match sign {
            '?' => None,
            '\\' => signs.next(),
            sign => Some(sign),
        };
        for len in (1..=text.len()).rev() {
            fits[len] = fits[len - 1] && wanted.is_none_or(|wanted| *wanted == text[len - 1]);
        }
        fits[0] = false;
    }
    fits[text.len()]
}

/// Compares addresses bit by bit; IPv4 is taken as mapped into IPv6.
fn in_network(network: &str, text: &str) -> bool {
    let bits = |text: &str| -> Option<u128> {
        text.parse::<std::net::Ipv4Addr>()
            .map(|v4| v4.to_ipv6_mapped())
            .or_else(|_| text.parse::<std::net::Ipv6Addr>())
            .ok()
            .map(u128::from)
    };
    let (address, len) = network.split_once('/').unwrap_or((network, ""));
    let len: u32 = match (len, address.contains(':')) {
        ("", _) => 128,
        (len, true) => len.parse().unwrap(),
        (len, false) => len.parse::<u32>().unwrap() + 96,
    };
    let v4 = |bits: u128| bits >> 32 == 0xffff;
    let (Some(network), Some(address)) = (bits(address), bits(text)) else {
        return false;
    };
    // an IPv6 network wider than the mapped addresses does not hold IPv4
    if v4(address) && len < 96 {
        return false;
    }
    (network ^ address).checked_shr(128 - len).unwrap_or(0) == 0
}

fn has(event: &Event, attribute: &Attribute) -> bool {
    let event = event.parts();
    let value = Some(attribute.value.to_string());
    match attribute.key {
        AttributeKey::AccessKeyId => event.access_key_id == value,
        AttributeKey::EventId => Some(&event.id) == value.as_ref(),
        AttributeKey::EventName => Some(&event.name) == value.as_ref(),
        AttributeKey::EventSource => Some(&event.source) == value.as_ref(),
        AttributeKey::ReadOnly => event.read_only.map(|flag| flag.to_string()) == value,
        AttributeKey::ResourceName => event.resources.iter().any(|r| r.name == value),
        AttributeKey::ResourceType => event.resources.iter().any(|r| r.kind == value),
        AttributeKey::Username => event.username == value,
    }
}
