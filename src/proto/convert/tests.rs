use std::sync::Arc;

use prost::Message;
use serde_json::{Value, json};

use super::{super::v1, Encoded, oracle::check};
use crate::{
    event::{Event, LookupEvent, Origin, Parts, Principal, Resource, Scope},
    policy::FIELDS,
};

fn scope() -> Scope {
    Scope::new("111122223333", "eu-west-1")
}

#[test]
fn clients_read_every_field_and_every_record_whole() {
    let long = "x".repeat(300);
    for record in [
        String::new(),
        "{}".to_owned(),
        format!(
            "{{\"eventID\":\"{long}\",\"eventTime\":\"2024-01-01T00:00:00Z\",\"userIdentity\":{{\"type\":\"AssumedRole\",\"arn\":\"{long}/s\",\"principalId\":\"{long}\",\"accountId\":\"{long}\",\"userName\":\"{long}\",\"invokedBy\":\"i\",\"accessKeyId\":\"k\",\"sessionContext\":{{\"sessionIssuer\":{{\"type\":\"Role\",\"userName\":\"r\"}}}}}},\"readOnly\":true,\"errorCode\":\"{long}\",\"errorMessage\":\"m\",\"sourceIPAddress\":\"{long}\",\"recipientAccountId\":\"{long}\",\"awsRegion\":\"{long}\",\"sharedEventID\":\"s\",\"eventName\":\"n\",\"eventSource\":\"o\",\"eventType\":\"t\",\"eventCategory\":\"c\",\"addendum\":{{}},\"odd\":1}}"
        ),
        "not json".to_owned(),
        // the agent is part of the record, or stands in it in another form
        "{\"userAgent\":\"aws-cli/2.15.0 Python/3.11\"}".to_owned(),
        "{\"userAgent\":\"aws-cli/2.15.0 \\\"Python\\\"/3.11 \\u00fc\"}".to_owned(),
        "{\"userAgent\":\"\"}".to_owned(),
        format!("{{\"userAgent\":\"{long}ü\",\"userIdentity\":{{}}}}"),
    ] {
        for time in [0, 1, i64::MAX, i64::MIN, -1] {
            for (origin, scope) in [
                (Origin::LogFile, scope()),
                (Origin::EventBridge, Scope::new("", "")),
            ] {
                check(&Parts::from_record(&scope, record.as_bytes(), origin, time));
            }
        }
    }
    check(&Parts::from_record(
        &scope(),
        b"{\"a\":\"\xff\"}",
        Origin::LogFile,
        0,
    ));
}

#[test]
fn what_is_there_and_empty_is_told_from_what_is_not_there() {
    let empty = || Some(String::new());
    let resource = |kind, name| Resource { kind, name };
    let mut parts = Parts::from_lookup(
        &scope(),
        LookupEvent {
            username: empty(),
            access_key_id: empty(),
            resources: vec![
                resource(None, None),
                resource(empty(), None),
                resource(None, empty()),
                resource(Some("t".into()), Some("n".into())),
            ],
            record: Some("{\"recipientAccountId\":\"444455556666\"}".into()),
            ..LookupEvent::default()
        },
        7,
    );
    check(&parts);
    assert_eq!(Event::new(&parts).username(), Some(""));
    parts.read_only = Some(false);
    parts.error_code = empty();
    parts.user_agent = empty();
    parts.principal = Some(Principal {
        arn: empty(),
        ..Principal::default()
    });
    check(&parts);
    parts.username = None;
    check(&parts);
    assert_eq!(Event::new(&parts).username(), None);
}

#[test]
fn what_is_asked_without_seeing_records_is_told_without_them() {
    for field in FIELDS {
        let value = match field {
            "eventTime" => json!("2026-01-02T03:04:05Z"),
            "readOnly" => json!(false),
            "userIdentity.arn" => json!("arn:aws:iam::111122223333:user/told"),
            _ => json!("told"),
        };
        let names = field.rsplit('.');
        let record: Value = names.fold(value, |value, name| json!({ name: value }));
        let record = record.to_string();
        // files have readOnly, and the API an attribute of the same
        let event = Event::from_record(&scope(), record.as_bytes(), Origin::LogFile, 1);
        let bytes = Encoded::new(Arc::new(event), false).encode_to_vec();
        let message = v1::Event::decode(&*bytes).unwrap();
        let is_told = match field {
            "eventTime" => message.event_time.unwrap().seconds == 1_767_323_045,
            "readOnly" => message.read_only == Some(false),
            _ => format!("{message:?}").contains("told"),
        };
        assert!(is_told, "{field} of {record}: {message:?}");
    }
}
