use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::event::{LookupEvent, Origin, Resource, Scope};

fn redaction(paths: &[&str]) -> Redaction {
    let split = |path: &&str| path.split('.').map(str::to_owned).collect();
    Redaction::new(paths.iter().map(split))
}

fn of_record(record: &str) -> Event {
    let scope = Scope::new("111122223333", "us-east-1");
    Event::from_record(&scope, record.as_bytes(), Origin::LogFile, 0)
}

fn redacted(paths: &[&str], record: &str) -> Option<String> {
    let event = redaction(paths).apply(&of_record(record))?;
    Some(event.record().to_owned())
}

#[test]
fn values_at_paths_are_marked_and_the_rest_is_as_it_was() {
    for (paths, record, expected) in [
        (
            &["a"][..],
            r#" {"a" : 1.50, "b": 1.50} "#,
            Some(r#" {"a" : "REDACTED", "b": 1.50} "#),
        ),
        (&["a"], r#"{"b": {"a": 1}}"#, None),
        (
            &["a.b"],
            r#"{"a": [{"b": 1}, [{"b": {"c": []}}], 7, {"c": 2}]}"#,
            Some(r#"{"a": [{"b": "REDACTED"}, [{"b": "REDACTED"}], 7, {"c": 2}]}"#),
        ),
        (
            &["a.b", "a"],
            r#"{"a": {"b": 1}}"#,
            Some(r#"{"a": "REDACTED"}"#),
        ),
        (&["a.b"], r#"{"a": 1}"#, None),
        // nobody is told that there was nothing
        (
            &["a"],
            r#"{"a": null, "a": []}"#,
            Some(r#"{"a": "REDACTED", "a": "REDACTED"}"#),
        ),
        // however it is written
        (
            &["a"],
            r#"{"\u0061": 1}"#,
            Some(r#"{"\u0061": "REDACTED"}"#),
        ),
        // no path is found in what is no object
        (&["a"], r#"{"a": 1"#, Some("")),
        (&["a"], "[1]", Some("")),
        (&[], r#"{"a": 1"#, None),
    ] {
        assert_eq!(redacted(paths, record).as_deref(), expected, "{record}");
    }
}

#[test]
fn what_lies_too_deep_to_look_into_is_taken_out() {
    let nested = |depth: usize| {
        let (open, close) = ("[".repeat(depth), "]".repeat(depth));
        format!("{{\"a\": {open}{{\"b\": \"secret\"}}{close}}}")
    };
    let shallow = redacted(&["a.b"], &nested(100)).unwrap();
    assert_eq!(shallow, nested(100).replace("\"secret\"", MARK));
    for depth in [130, 100_000] {
        let deep = redacted(&["a.b"], &nested(depth)).unwrap();
        assert!(!deep.contains("secret") && deep.contains(MARK), "{depth}");
    }
}

/// The fields of the index that stand in no record.
#[test]
fn the_index_tells_no_more_than_the_record() {
    let record = json!({
        "eventID": "1", "eventName": "N", "eventSource": "s", "readOnly": true,
        "eventTime": "2026-01-02T03:04:05Z", "awsRegion": "us-east-1",
        "recipientAccountId": "111122223333", "eventCategory": "Management",
        "eventType": "AwsApiCall", "errorCode": "E", "errorMessage": "M",
        "sourceIPAddress": "192.0.2.1", "userAgent": "a user agent that is long",
        "sharedEventID": "2",
        "userIdentity": {
            "type": "AssumedRole", "principalId": "P:session", "accountId": "111122223333",
            "arn": "arn:aws:sts::111122223333:assumed-role/R/session", "accessKeyId": "K",
            "sessionContext": {"sessionIssuer": {"type": "Role", "userName": "R"}},
        },
        "requestParameters": {"bucketName": "b", "key": "k"},
    });
    let scope = Scope::new("111122223333", "us-east-1");
    let api = LookupEvent {
        username: Some("session".into()),
        access_key_id: Some("K".into()),
        resources: vec![Resource {
            kind: Some("AWS::S3::Bucket".into()),
            name: Some("b".into()),
        }],
        record: Some(record.to_string()),
        ..LookupEvent::default()
    };
    let event = Event::from_lookup(&scope, api, 0);
    let parts = |paths: &[&str]| redaction(paths).apply(&event).unwrap().parts();
    let all = event.parts();
    for (path, hide) in [
        (
            "userIdentity.accessKeyId",
            (|parts: &mut Parts| {
                (parts.access_key_id, parts.username) = (None, None);
                parts.resources.clear();
            }) as fn(&mut Parts),
        ),
        ("requestParameters.key", |parts| parts.resources.clear()),
        ("eventName", |parts| parts.name.clear()),
        ("readOnly", |parts| parts.read_only = None),
        ("eventCategory", |parts| parts.category = None),
        ("eventType", |parts| parts.event_type = None),
        ("errorCode", |parts| parts.error_code = None),
        ("errorMessage", |parts| parts.error_message = None),
        ("sourceIPAddress", |parts| parts.source_ip_address = None),
        ("userAgent", |parts| parts.user_agent = None),
        ("sharedEventID", |parts| parts.shared_event_id = None),
        ("userIdentity.type", |parts| {
            (parts.username, parts.resources) = (None, Vec::new());
            let principal = parts.principal.as_mut().unwrap();
            (principal.kind, principal.session_name) = (None, None);
        }),
        ("userIdentity.accountId", |parts| {
            (parts.username, parts.resources) = (None, Vec::new());
            parts.principal.as_mut().unwrap().account_id = None;
        }),
        ("userIdentity.principalId", |parts| {
            (parts.username, parts.resources) = (None, Vec::new());
            let principal = parts.principal.as_mut().unwrap();
            (principal.principal_id, principal.session_name) = (None, None);
        }),
        ("userIdentity.arn", |parts| {
            (parts.username, parts.resources) = (None, Vec::new());
            let principal = parts.principal.as_mut().unwrap();
            (principal.arn, principal.session_name) = (None, None);
        }),
        ("userIdentity.sessionContext", |parts| {
            (parts.username, parts.resources) = (None, Vec::new());
            parts.principal.as_mut().unwrap().role_name = None;
        }),
        ("userIdentity", |parts| {
            (parts.username, parts.resources) = (None, Vec::new());
            (parts.access_key_id, parts.principal) = (None, None);
        }),
    ] {
        let mut expected = all.clone();
        hide(&mut expected);
        let seen = parts(&[path]);
        expected.record.clone_from(&seen.record);
        expected.hash = seen.hash;
        assert_eq!(seen, expected, "{path}");
        assert_ne!(seen.record, all.record, "{path}");
    }
}

/// AWS's event may have no record, of which nothing is taken out.
#[test]
fn an_event_without_a_record_has_no_mark_for_that() {
    let scope = Scope::new("111122223333", "us-east-1");
    let api = LookupEvent {
        username: Some("user".into()),
        ..LookupEvent::default()
    };
    let event = Event::from_lookup(&scope, api, 0);
    assert_eq!(redaction(&["errorCode"]).apply(&event), None);
    let redacted = redaction(&["userIdentity.arn"]).apply(&event).unwrap();
    assert_eq!(redacted.username(), None);
}

#[test]
fn above_and_below_concern_it_and_beside_does_not() {
    let redaction = redaction(&["a.b"]);
    for (path, concerns) in [
        (&["a"][..], true),
        (&["a", "b"], true),
        (&["a", "b", "c"], true),
        (&["a", "c"], false),
        (&["b"], false),
    ] {
        assert_eq!(redaction.concerns(path), concerns, "{path:?}");
    }
    assert!(!redaction.concerns_username() && !redaction.concerns_resources());
}

fn values() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a-c\"\\\\\n]{0,3}".prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 40, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
            members(inner).prop_map(Value::from),
        ]
    })
}

fn members(
    inner: impl Strategy<Value = Value>,
) -> impl Strategy<Value = serde_json::Map<String, Value>> {
    prop::collection::btree_map("[ab\"]{1,2}", inner, 0..4).prop_map(|it| it.into_iter().collect())
}

proptest! {
    #[test]
    fn what_is_left_is_what_a_second_way_leaves(
        record in members(values()),
        paths in prop::collection::vec(prop::collection::vec("[ab\"]{1,2}", 1..4), 1..4),
        is_pretty in any::<bool>(),
    ) {
        let text = match is_pretty {
            true => serde_json::to_string_pretty(&record).unwrap(),
            false => Value::from(record).to_string(),
        };
        oracle::check(&paths, &of_record(&text));
    }
}
