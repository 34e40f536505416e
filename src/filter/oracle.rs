//! The filter's meaning said a second time, as plainly as it can be, to check
//! the real one against.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::Value;

use super::{EventFilter, Match, Operator};
use crate::event::Event;

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
    let event = event.parts();
    let some = |text: &Option<String>| text.clone().map(Value::from).into_iter().collect();
    let given = |text: &str| {
        (!text.is_empty())
            .then(|| Value::from(text))
            .into_iter()
            .collect()
    };
    let read_only = || event.read_only.map(Value::from).into_iter().collect();
    let bare = field.strip_prefix("record.").unwrap_or(field);
    match field {
        "EventName" => return given(&event.name),
        "EventSource" => return given(&event.source),
        "EventId" => return given(&event.id),
        "AccessKeyId" => return some(&event.access_key_id),
        "Username" => return some(&event.username),
        "ReadOnly" => return read_only(),
        "ResourceName" => {
            let names = event.resources.iter().filter_map(|r| r.name.clone());
            return names.map(Value::from).collect();
        }
        "ResourceType" => {
            let kinds = event.resources.iter().filter_map(|r| r.kind.clone());
            return kinds.map(Value::from).collect();
        }
        _ => {}
    }
    let quoted = SCALARS.replace_all(&event.record, |token: &Captures<'_>| {
        token
            .get(2)
            .map_or(token[0].to_owned(), |n| format!("{:?}", n.as_str()))
    });
    let Ok(record @ Value::Object(_)) = serde_json::from_str::<Value>(&quoted) else {
        return match bare {
            "eventName" => given(&event.name),
            "eventSource" => given(&event.source),
            "eventID" => given(&event.id),
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
            let pattern = if one.ignore_case {
                format!("(?i){value}")
            } else {
                value.clone()
            };
            Regex::new(&pattern).unwrap().is_match(text)
        }),
        Operator::Cidr => one.values.iter().any(|value| in_network(value, text)),
        Operator::Exists => true,
    }
}

fn glob_fits(glob: &[char], text: &[char]) -> bool {
    match (glob, text) {
        ([], []) => true,
        (['*', rest @ ..], _) => {
            glob_fits(rest, text) || (!text.is_empty() && glob_fits(glob, &text[1..]))
        }
        (['?', rest @ ..], [_, text @ ..]) => glob_fits(rest, text),
        (['\\', c, rest @ ..], [t, text @ ..]) | ([c, rest @ ..], [t, text @ ..]) => {
            c == t && glob_fits(rest, text)
        }
        _ => false,
    }
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
