//! Columns say what records say, and a row is the event that it was made of.

use arrow_array::{Array as _, RecordBatch, cast::AsArray as _};
use arrow_schema::{DataType, Fields};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::{
    arrow_schema,
    columns::{Builder, id_of},
    rows::Rows,
    schema::{SCHEMA_JSON, file_schema},
};
use crate::event::{Event, LookupEvent, Origin, RECORD_FIELDS, Resource, Scope};

fn batch(events: &[Event]) -> RecordBatch {
    let mut builder = Builder::new(file_schema(&arrow_schema().unwrap()));
    for event in events {
        builder.push(event, &id_of(&event.identity()));
    }
    assert_eq!(builder.rows(), events.len());
    builder.finish().unwrap()
}

/// The type as the schema's text has it.
fn told(kind: &DataType) -> Value {
    match kind {
        DataType::Utf8 => json!("string"),
        DataType::Boolean => json!("boolean"),
        DataType::Binary => json!("binary"),
        DataType::Date32 => json!("date"),
        DataType::Timestamp(..) => json!("timestamp"),
        DataType::Struct(fields) => json!({"type": "struct", "fields": all_told(fields)}),
        DataType::List(element) => json!({
            "type": "array",
            "elementType": told(element.data_type()),
            "containsNull": element.is_nullable(),
        }),
        other => panic!("{other}"),
    }
}

fn all_told(fields: &Fields) -> Vec<Value> {
    let each = fields.iter().map(|field| {
        json!({
            "name": field.name(),
            "type": told(field.data_type()),
            "nullable": field.is_nullable(),
            "metadata": {},
        })
    });
    each.collect()
}

#[test]
fn the_schema_is_the_one_that_is_written_down() {
    let schema: Value = serde_json::from_str(SCHEMA_JSON).unwrap();
    let arrow = arrow_schema().unwrap();
    let told = json!({"type": "struct", "fields": all_told(arrow.fields())});
    assert_eq!(told, schema);
    assert_eq!(file_schema(&arrow).fields().len() + 3, arrow.fields().len());
}

/// A value as a record may have it: mostly a text.
fn value() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "[a-zA-Z:/.0-9]{0,20}".prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        Just(json!("true")),
        Just(json!("2026-01-01T00:00:00Z")),
        Just(json!("{\"a\":1}")),
    ];
    let leaf = prop_oneof![
        6 => text,
        1 => Just(Value::Null),
        1 => any::<bool>().prop_map(Value::from),
        1 => any::<i32>().prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a-z]{1,4}", inner, 0..3)
                .prop_map(|members| Value::Object(members.into_iter().collect())),
        ]
    })
}

/// Some members of these names.
fn members(names: &'static [&'static str]) -> impl Strategy<Value = Value> {
    prop::collection::btree_map(prop::sample::select(names), value(), 0..names.len()).prop_map(
        |members| {
            members
                .into_iter()
                .map(|(name, value)| (name.to_owned(), value))
                .collect()
        },
    )
}

const USER: &[&str] = &[
    "type",
    "principalId",
    "arn",
    "accountId",
    "accessKeyId",
    "userName",
    "invokedBy",
    "identityProvider",
    "onBehalfOf",
    "odd",
];
const SESSION: &[&str] = &["sourceIdentity", "webIdFederationData", "odd"];
const ISSUER: &[&str] = &["type", "principalId", "arn", "accountId", "userName"];
const ATTRIBUTES: &[&str] = &["creationDate", "mfaAuthenticated"];

fn record() -> impl Strategy<Value = Value> {
    let nested = (
        members(USER),
        members(SESSION),
        members(ISSUER),
        members(ATTRIBUTES),
    );
    let has = (0..10_u8, 0..10_u8, 0..10_u8, 0..10_u8);
    (members(&RECORD_FIELDS), nested, has, value()).prop_map(|(mut record, nested, has, odd)| {
        let (mut user, mut session, issuer, attributes) = nested;
        let put = |into: &mut Value, name: &str, value: &Value, has: u8| match has {
            0 => {}
            1 => into[name] = odd.clone(),
            _ => into[name] = value.clone(),
        };
        put(&mut session, "sessionIssuer", &issuer, has.0);
        put(&mut session, "attributes", &attributes, has.1);
        put(&mut user, "sessionContext", &session, has.2);
        put(&mut record, "userIdentity", &user, has.3);
        record
    })
}

fn api(record: &Value) -> impl Strategy<Value = LookupEvent> + use<> {
    let text = || prop::option::of("[a-z\\[{]{0,3}");
    // what is odd in the record as the API's word for it
    let same = |name: &str| {
        let odd = record[name].to_string();
        prop_oneof![2 => text(), 1 => Just(Some(odd))]
    };
    let resource = (text(), text()).prop_map(|(kind, name)| Resource { kind, name });
    let texts = (
        same("eventID"),
        same("eventName"),
        same("eventSource"),
        text(),
        text(),
        text(),
    );
    let rest = (
        prop::option::of(-9_999_999_999..99_999_999_999_i64),
        prop::collection::vec(resource, 0..3),
    );
    let record = record.to_string();
    (texts, rest).prop_map(move |(texts, (event_time, resources))| LookupEvent {
        event_id: texts.0,
        event_name: texts.1,
        event_source: texts.2,
        read_only: texts.3.map(|text| {
            if text.len() > 1 {
                "true".to_owned()
            } else {
                text
            }
        }),
        access_key_id: texts.4,
        username: texts.5,
        event_time,
        resources,
        record: Some(record.clone()),
    })
}

fn events() -> impl Strategy<Value = (Value, Vec<Event>)> {
    let each = record().prop_flat_map(|record| (Just(record.clone()), api(&record), any::<bool>()));
    each.prop_map(|(record, api, is_own)| {
        let text = record.to_string();
        let scope = if is_own {
            Scope::new("1", "r")
        } else {
            Scope::new("", "x/y")
        };
        let cut = &text.as_bytes()[..text.len() - 1];
        let log_file = |record: &[u8], origin| Event::from_record(&scope, record, origin, -5);
        let events = vec![
            log_file(text.as_bytes(), Origin::LogFile),
            log_file(text.as_bytes(), Origin::EventBridge),
            log_file(cut, Origin::LogFile),
            log_file(b"\xff{}", Origin::LogFile),
            Event::from_lookup(&scope, api.clone(), 7),
            Event::from_lookup(
                &scope,
                LookupEvent {
                    record: None,
                    ..api
                },
                7,
            ),
            Event::from_lookup(
                &scope,
                LookupEvent {
                    record: Some(text),
                    ..LookupEvent::default()
                },
                7,
            ),
        ];
        (record, events)
    })
}

/// What a column of texts is to have.
fn text_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(text) => Some(text.clone()),
        other => Some(other.to_string()),
    }
}

/// The value of a column of texts, by its path.
fn column(batch: &RecordBatch, path: &[&str]) -> Option<String> {
    let (first, rest) = path.split_first().unwrap();
    let mut column = batch.column_by_name(first).unwrap().clone();
    for name in rest {
        if column.is_null(0) {
            return None;
        }
        column = column.as_struct().column_by_name(name).unwrap().clone();
    }
    column
        .is_valid(0)
        .then(|| column.as_string::<i32>().value(0).to_owned())
}

proptest! {
    #[test]
    fn a_row_is_the_event_that_it_was_made_of((record, events) in events()) {
        let batch = batch(&events);
        for (row, event) in events.iter().enumerate() {
            let scope = event.scope();
            let rows = Rows::of(&batch, &scope).unwrap();
            let there = rows.event(row).unwrap();
            prop_assert_eq!(there.parts(), event.parts(), "{}", record);
            prop_assert_eq!(&there, event);
        }
    }

    #[test]
    fn columns_say_what_the_record_says(record in record()) {
        let text = record.to_string();
        let scope = Scope::new("1", "r");
        let event = Event::from_record(&scope, text.as_bytes(), Origin::LogFile, 1);
        let batch = batch(std::slice::from_ref(&event));
        for name in [
            "eventVersion", "eventType", "eventCategory", "awsRegion", "recipientAccountId",
            "sourceIPAddress", "userAgent", "errorCode", "errorMessage", "requestID",
            "sharedEventID", "vpcEndpointId", "apiVersion",
        ] {
            prop_assert_eq!(column(&batch, &[name]), text_of(&record[name]), "{}", name);
        }
        for name in ["eventID", "eventName", "eventSource"] {
            let expected = text_of(&record[name]).filter(|text| !text.is_empty());
            prop_assert_eq!(column(&batch, &[name]), expected, "{}", name);
        }
        for name in [
            "requestParameters", "responseElements", "additionalEventData",
            "serviceEventDetails", "tlsDetails",
        ] {
            let expected = Some(&record[name]).filter(|value| !value.is_null());
            prop_assert_eq!(column(&batch, &[name]), expected.map(Value::to_string), "{}", name);
        }
        let user = &record["userIdentity"];
        let session = &user["sessionContext"];
        let is_object = |value: &Value| value.is_object();
        let under = |path: &[&str], value: &Value, names: &[&str]| {
            for name in names {
                let full: Vec<_> = path.iter().chain([name]).copied().collect();
                let expected = match *name {
                    "onBehalfOf" | "webIdFederationData" => {
                        Some(&value[*name]).filter(|value| !value.is_null()).map(Value::to_string)
                    }
                    name => text_of(&value[name]),
                };
                let expected = expected.filter(|_| is_object(value));
                assert_eq!(column(&batch, &full), expected, "{full:?} of {record}");
            }
        };
        under(&["userIdentity"], user, &USER[..9]);
        let path = ["userIdentity", "sessionContext"];
        under(&path, session, &SESSION[..2]);
        under(&[path[0], path[1], "sessionIssuer"], &session["sessionIssuer"], ISSUER);
        under(&[path[0], path[1], "attributes"], &session["attributes"], ATTRIBUTES);
        prop_assert_eq!(column(&batch, &["record"]), Some(text));
        let flag = |name: &str| {
            let column = batch.column_by_name(name).unwrap().as_boolean();
            column.is_valid(0).then(|| column.value(0))
        };
        for name in ["readOnly", "managementEvent"] {
            let expected = match &record[name] {
                Value::Bool(flag) => Some(*flag),
                Value::String(text) => text.parse().ok(),
                _ => None,
            };
            prop_assert_eq!(flag(name), expected, "{}", name);
        }
        let resources = batch.column_by_name("resources").unwrap();
        prop_assert_eq!(resources.is_valid(0), event.resources().count() > 0);
    }
}
