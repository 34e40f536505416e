//! What a caller is told of events of which some is not for it does not depend on what
//! that is.

#![allow(clippy::unwrap_used, reason = "it is a test")]

use std::sync::Arc;

use prost::Message as _;

use super::scope;
use crate::{
    event::{
        AttributeKey, Event, LookupEvent, Origin, Redaction, Resource,
        redaction_oracle::{self, Taken},
    },
    filter::{EventFilter, Fields, Filter, KnownFields, Match, Operator, Sight},
    policy::{FIELDS, Policy, Rights, Who},
    proto::v1,
};

/// What may stand where something is taken out, as well as what stands there.
const OTHERS: [&str; 4] = [
    "null",
    "\"AssumedRole/a:b\"",
    r#"{"type":"Role","userName":"n","arn":"a/b","sessionIssuer":{"userName":"n"}}"#,
    r#"[{"type":"T","ARN":"n","password":"p"},true]"#,
];

/// The most fields that are asked by besides those that every caller knows.
const MAX_ASKED: usize = 8;

/// Some record has every field.
struct Any;

impl KnownFields for Any {
    fn knows(&self, _: &str) -> bool {
        true
    }

    fn for_each(&self, _: &mut dyn FnMut(&str)) {}
}

/// Of a caller from whom a policy keeps these; `None`: no policy may say so.
fn rights(taken: &[String]) -> Option<Arc<Rights>> {
    // in quotes YAML reads any character by its number
    let quoted = |field: &String| {
        let numbers = field.chars().map(|c| format!("\\U{:08x}", u32::from(c)));
        format!("\"{}\"", numbers.collect::<String>())
    };
    let redact: Vec<_> = taken.iter().map(quoted).collect();
    let redact = redact.join(",");
    let text = format!("rules: [{{callers: [a], methods: ['*'], redact: [{redact}]}}]");
    let policy = Policy::parse(&text).ok()?;
    policy.rights(&Who::Certificate("a".into()))
}

fn bare(record: &str) -> Event {
    Event::from_record(&scope(), record.as_bytes(), Origin::LogFile, 77)
}

/// With all that AWS derives.
fn looked_up(record: &str) -> Event {
    let api = LookupEvent {
        event_name: Some("name".into()),
        read_only: Some("true".into()),
        access_key_id: Some("key".into()),
        username: Some("user".into()),
        resources: vec![Resource {
            kind: Some("kind".into()),
            name: None,
        }],
        record: Some(record.to_owned()),
        ..LookupEvent::default()
    };
    Event::from_lookup(&scope(), api, 77)
}

/// As a client reads it, but for the account: it places the event, wherever it is from.
fn message(event: &Event) -> v1::Event {
    let message = v1::Event::decode(event.encoding(true).concat().as_slice());
    v1::Event {
        account_id: String::new(),
        ..message.unwrap()
    }
}

/// The filters that say whether there is such a field.
fn existence(field: &str) -> Filter {
    let exists = Match {
        field: field.to_owned(),
        operator: Operator::Exists,
        ..Match::default()
    };
    let matches = vec![exists];
    Filter::compile(&[EventFilter { matches }], &Any).unwrap()
}

pub(super) fn check(taken: &[String], mut asked: Vec<String>, record: &str) {
    let Some(rights) = rights(taken) else {
        return;
    };
    let sight = |field: &String| Sight::of(field).ok();
    let paths = taken.iter().filter_map(|field| match sight(field) {
        Some(Sight::Path(path)) => Some(path),
        _ => None,
    });
    let paths: Vec<_> = paths.collect();
    assert_eq!(*rights.redaction(), Redaction::new(paths.clone()));

    asked.truncate(MAX_ASKED);
    let may_ask = |field: &String| rights.sees_field(field) && sight(field).is_some();
    asked.retain(may_ask);
    let filters: Vec<_> = asked.iter().map(|field| existence(field)).collect();
    let attributes = AttributeKey::ALL.iter().map(|key| key.as_str());
    let known = attributes.chain(FIELDS).map(str::to_owned);
    asked.extend(known.filter(may_ask));
    let fields = Fields::parse(&asked, "", &Any).unwrap();
    let answers = |event: &Event| {
        let passed: Vec<_> = filters.iter().map(|filter| filter.matches(event)).collect();
        (passed, fields.values(event))
    };

    let found = Taken::of(&paths, record);
    for of in [bare, looked_up] {
        let event = of(record);
        let told = redaction_oracle::check(&paths, &event);
        let is_redacted = rights.redaction().apply(&event).is_some();
        assert_eq!(message(&told).record_redacted, is_redacted);
        let (said, told) = (answers(&event), message(&told));
        for other in OTHERS {
            let other = match &found {
                Some(found) => found.replaced(record, other),
                // another that is no JSON object
                None if !record.is_empty() && !taken.is_empty() => format!("[{other}"),
                None => continue,
            };
            let event = of(&other);
            let redacted = rights.redaction().apply(&event);
            let other_told = message(redacted.as_ref().unwrap_or(&event));
            assert_eq!(other_told, told, "{record} {other}");
            // what lies too deep is taken out with what may be asked for
            if found.as_ref().is_none_or(|found| !found.is_deep) {
                assert_eq!(answers(&event), said, "{asked:?} {record} {other}");
            }
        }
    }
}

#[cfg(test)]
mod tests;
