//! The filter against its oracle: on random records and filters, and on the
//! shared records, where they are at hand.

use std::{collections::BTreeMap, io::Read, path::PathBuf};

use proptest::prelude::*;
use serde_json::Value;

use super::{
    oracle,
    tests::{one, question, record},
    *,
};
use crate::event::{LookupEvent, Resource, Scope};

fn json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        prop::sample::select(vec![
            "null",
            "true",
            "false",
            "0",
            "-0",
            "1.0",
            "1e3",
            "1E+3",
            "\"10.1.2.3\"",
            "\"::ffff:10.1.2.3\"",
            "\"2001:db8::5\"",
            "\"\"",
            "\"A\\nb\"",
            "\"a.b\"",
        ])
        .prop_map(str::to_owned),
        "[abAÀİσΣ*?.]{0,4}".prop_map(|text| Value::from(text).to_string()),
    ];
    leaf.prop_recursive(4, 24, 4, |inner| {
        let key = prop::sample::select(vec!["a", "b", "c.d", "e\\\\f"]);
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4)
                .prop_map(|items| format!("[{}]", items.join(", "))),
            // a key may come twice: the last counts
            prop::collection::vec((key, inner), 0..4).prop_map(|members| {
                let members = members.iter().map(|(k, v)| format!("\"{k}\": {v}"));
                format!("{{{}}}", members.collect::<Vec<_>>().join(","))
            }),
        ]
    })
}

prop_compose! {
    fn event()(
        name in prop::option::of(prop::sample::select(vec!["A", "a", "b.c"])),
        id in prop::option::of(prop::sample::select(vec!["1", "2"])),
        read_only in prop::option::of(prop::sample::select(vec!["true", "false", "\"true\""])),
        parts in (json(), json(), json()),
        user in prop::option::of("[ab]{1,2}"),
        resources in prop::collection::vec((prop::option::of("[ab]"), prop::option::of("[ab]")), 0..3),
        from_api in any::<bool>(),
        cut in prop::bool::weighted(0.1),
        silent in prop::bool::weighted(0.1),
    ) -> Event {
        let mut members = vec![
            format!("\"requestParameters\": {}", parts.0),
            format!("\"errorCode\": {}", parts.1),
            format!("\"userIdentity\": {}", parts.2),
        ];
        if !silent {
            members.extend(name.map(|name| format!("\"eventName\":\"{name}\"")));
            members.extend(id.map(|id| format!("\"eventID\":{id}")));
        }
        members.extend(read_only.map(|flag| format!("\"readOnly\":{flag}")));
        let mut json = format!("{{{}}}", members.join(", "));
        if cut {
            json.pop();
        }
        if !from_api {
            return record(&json);
        }
        let api = LookupEvent {
            event_name: name.map(str::to_owned),
            event_id: id.map(str::to_owned),
            read_only: read_only.map(|flag| flag.trim_matches('"').to_owned()),
            username: user,
            resources: resources.into_iter().map(|(kind, name)| Resource { kind, name }).collect(),
            record: Some(json),
            ..LookupEvent::default()
        };
        Event::from_lookup(&Scope::new("1", "r"), api, 0)
    }
}

fn a_match() -> impl Strategy<Value = Match> {
    let field = prop::sample::select(vec![
        "EventName",
        "EventId",
        "ReadOnly",
        "Username",
        "ResourceName",
        "ResourceType",
        "eventName",
        "record.eventName",
        "eventID",
        "readOnly",
        "errorCode",
        "errorCode.a",
        "requestParameters",
        "requestParameters.a",
        "requestParameters.a.b",
        r"requestParameters.c\.d",
        r"requestParameters.e\\f.a",
        "userIdentity.b",
        "record.nobody",
        "userIdentity.accessKeyId",
    ]);
    let text = || {
        prop_oneof![
            prop::sample::select(vec![
                "A", "a", "1", "true", "false", "-0", "1.0", "1e3", "1E+3"
            ])
            .prop_map(str::to_owned),
            "[abAàÀİiσΣς.*?]{0,3}",
        ]
    };
    let values = |one: BoxedStrategy<String>| prop::collection::vec(one, 1..4).boxed();
    let glob = prop::collection::vec(
        prop::sample::select(vec!["*", "?", "\\*", "\\a", "a", "À", "."]),
        0..4,
    )
    .prop_map(|tokens| tokens.concat());
    let regex = prop::sample::select(vec!["a", "^A?", "[aà]+$", ".", "^$", r"\d", "À|b"]);
    let cidr = prop::sample::select(vec![
        "10.0.0.0/8",
        "10.1.2.3",
        "0.0.0.0/0",
        "::/0",
        "2001:db8::/32",
        "::ffff:10.1.0.0/112",
        "::ffff:0:0/96",
    ]);
    let compared = prop_oneof![
        4 => values(text().boxed()).prop_map(|v| (Operator::Equals, v)),
        1 => values(text().boxed()).prop_map(|v| (Operator::Prefix, v)),
        1 => values(text().boxed()).prop_map(|v| (Operator::Suffix, v)),
        1 => values(text().boxed()).prop_map(|v| (Operator::Contains, v)),
        1 => values(glob.boxed()).prop_map(|v| (Operator::Glob, v)),
        1 => values(regex.prop_map(str::to_owned).boxed()).prop_map(|v| (Operator::Regex, v)),
        1 => values(cidr.prop_map(str::to_owned).boxed()).prop_map(|v| (Operator::Cidr, v)),
        1 => Just((Operator::Exists, vec![])),
    ];
    (
        field,
        compared,
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.2),
    )
        .prop_map(|(field, (operator, values), negate, ignore_case)| Match {
            field: field.to_owned(),
            operator,
            values,
            negate,
            ignore_case,
        })
}

fn filters() -> impl Strategy<Value = Vec<EventFilter>> {
    let filter = prop::collection::vec(a_match(), 0..4).prop_map(|matches| EventFilter { matches });
    prop::collection::vec(filter, 0..3)
}

proptest! {
    #[test]
    fn the_filter_agrees_with_the_oracle(filters in filters(), event in event()) {
        prop_assert!(oracle::check(&filters, &event).is_ok());
    }

    #[test]
    fn no_question_panics(field in "\\PC{0,20}|record\\.\\PC{0,9}", value in "\\PC{0,20}", pick in 0_usize..8) {
        use Operator::*;
        let operator = [Equals, Prefix, Suffix, Contains, Glob, Regex, Cidr, Exists][pick];
        if let Ok(filter) = Filter::compile(&question(&[one(&field, operator, &[&value])]), &()) {
            let _either = filter.matches(&record(r#"{"eventName":"a"}"#));
        }
    }
}

fn shared(name: &str) -> Option<String> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    let Ok(file) = std::fs::File::open(&path) else {
        println!("skipped: {} does not exist", path.display());
        return None;
    };
    let mut text = String::new();
    flate2::read::MultiGzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    Some(text)
}

/// Adds every path of `value` with the text of its first leaf.
fn paths(value: &Value, path: &str, found: &mut BTreeMap<String, String>) {
    match value {
        Value::Object(members) => {
            for (key, value) in members.iter().filter(|(key, _)| !key.is_empty()) {
                let key = key.replace('\\', "\\\\").replace('.', "\\.");
                paths(value, &format!("{path}.{key}"), found);
            }
        }
        Value::Array(items) => items.iter().for_each(|item| paths(item, path, found)),
        leaf => {
            let text = leaf
                .as_str()
                .map_or_else(|| leaf.to_string(), str::to_owned);
            found.entry(path.to_owned()).or_insert(text);
        }
    }
}

#[test]
fn real_records_agree_with_the_oracle() {
    let mut records = Vec::new();
    for line in shared("lookup_events.jsonl.gz")
        .iter()
        .flat_map(|text| text.lines())
    {
        let event: Value = serde_json::from_str(line).unwrap();
        records.extend(event["CloudTrailEvent"].as_str().map(str::to_owned));
    }
    if let Some(text) = shared("altered_records.json.gz") {
        let file: Value = serde_json::from_str(&text).unwrap();
        let altered = file["Records"].as_array().unwrap();
        records.extend(altered.iter().map(Value::to_string));
    }
    let mut found = BTreeMap::new();
    for record in &records {
        paths(&serde_json::from_str(record).unwrap(), "record", &mut found);
    }
    let events: Vec<Event> = records.iter().map(|json| record(json)).collect();
    // every path on its own stride through the records, so that all are visited
    for (i, (path, text)) in found.iter().enumerate() {
        let text: String = text.chars().take(MAX_VALUE_CHARS).collect();
        for one in [
            one(path, Operator::Exists, &[]),
            one(path, Operator::Equals, &[&text]),
            Match {
                ignore_case: true,
                ..one(path, Operator::Suffix, &[&text.to_uppercase()])
            },
        ] {
            let source = question(&[one]);
            let filter = Filter::compile(&source, &()).unwrap();
            for event in events.iter().skip(i % 499).step_by(499) {
                assert_eq!(
                    filter.matches(event),
                    oracle::passes(&source, event),
                    "{source:?} of {}",
                    event.record()
                );
            }
        }
    }
}
