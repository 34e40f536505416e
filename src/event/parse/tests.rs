use proptest::prelude::*;

use super::{super::json, oracle::check, *};
use crate::event::{MAX_UNUSUAL_FIELD_LEN, MAX_UNUSUAL_FIELDS};

fn scope() -> Scope {
    Scope::new("111122223333", "eu-west-1")
}

const RECORD: &str = r#"{"eventVersion":"1.08","userIdentity":{"type":"AssumedRole","principalId":"AROAEXAMPLE:build-42","arn":"arn:aws:sts::444455556666:assumed-role/Deploy/build-42","accountId":"444455556666","accessKeyId":"ASIAEXAMPLE","sessionContext":{"sessionIssuer":{"type":"Role","userName":"Deploy"}},"invokedBy":"cloudformation.amazonaws.com"},"eventTime":"2024-05-06T07:08:09Z","eventSource":"s3.amazonaws.com","eventName":"PutBucketPolicy","awsRegion":"eu-west-1","sourceIPAddress":"192.0.2.7","userAgent":"aws-cli/2","errorCode":"AccessDenied","errorMessage":"no","eventID":"0a1b2c3d-0000-4000-8000-00000000000f","readOnly":false,"resources":[{"type":"AWS::S3::Bucket","ARN":"arn:aws:s3:::b"},{"type":null},null],"eventType":"AwsApiCall","recipientAccountId":"111122223333","sharedEventID":"s","eventCategory":"Management"}"#;

#[test]
fn a_record_and_its_lookup_event_give_the_same_event() {
    let bare = Parts::from_record(&scope(), RECORD.as_bytes(), Origin::LogFile, 0);
    let api = LookupEvent {
        event_id: Some("0a1b2c3d-0000-4000-8000-00000000000f".into()),
        event_name: Some("PutBucketPolicy".into()),
        event_source: Some("s3.amazonaws.com".into()),
        event_time: Some(1_714_979_289),
        read_only: Some("false".into()),
        access_key_id: Some("ASIAEXAMPLE".into()),
        username: Some("build-42".into()),
        resources: vec![Resource {
            kind: None,
            name: Some("b".into()),
        }],
        record: Some(RECORD.into()),
    };
    let looked_up = Parts::from_lookup(&scope(), api, 0);
    assert_eq!(looked_up.username.as_deref(), Some("build-42"));
    assert_eq!(bare.username, None, "only the API derives it");
    assert_eq!(bare.resources.len(), 1);
    assert_eq!(&*bare.record, RECORD);
    let same = Parts {
        username: None,
        resources: bare.resources.clone(),
        origin: Origin::LogFile,
        ..looked_up
    };
    assert_eq!(bare, same);
    let who = bare.principal.unwrap();
    assert_eq!(who.role_name.as_deref(), Some("Deploy"));
    assert_eq!(who.session_name.as_deref(), Some("build-42"));
    assert_eq!(who.user_name, None);
}

#[test]
fn a_record_that_does_not_parse_is_an_event_all_the_same() {
    for (record, lossy) in [
        (&b"{\"eventID\":"[..], false),
        (b"", false),
        (b"[1]", false),
        (b"{\"a\":\"\xff\"}", true),
    ] {
        let event = Parts::from_record(&scope(), record, Origin::LogFile, 77);
        assert_eq!(event.malformed, !lossy);
        assert_eq!(event.lossy, lossy);
        assert_eq!((event.time, event.time_inferred), (77, true));
        assert_eq!(event.scope, scope());
    }
    let api = LookupEvent {
        event_id: Some("x".into()),
        event_time: Some(5),
        record: Some("not json".into()),
        ..LookupEvent::default()
    };
    let event = Parts::from_lookup(&scope(), api, 77);
    assert!(event.malformed);
    assert_eq!(
        (event.id.as_str(), event.time, event.time_inferred),
        ("x", 5, false)
    );
}

#[test]
fn odd_types_are_read_where_they_have_one_meaning_and_left_unset_elsewhere() {
    let record = br#"{"userIdentity":{"accountId":123456789012,"invokedBy":null},"eventTime":null,"readOnly":"true","sourceIPAddress":{"ipaddress":"192.0.2.1"},"resources":null,"eventName":["a"]}"#;
    let event = Parts::from_record(&scope(), record, Origin::LogFile, 1);
    assert_eq!(&*event.account_id, "123456789012");
    assert_eq!(event.read_only, Some(true));
    assert_eq!(event.source_ip_address, None);
    assert_eq!(event.name, "");
    assert!(event.time_inferred && !event.malformed);
    let event = Parts::from_record(&scope(), br#"{"userIdentity":"none"}"#, Origin::LogFile, 1);
    assert_eq!(event.principal, None);
}

#[test]
fn no_key_that_a_caller_can_choose_makes_a_record_unreadable() {
    for key in [
        "$serde_json::private::Number",
        "$serde_json::private::RawValue",
    ] {
        for value in ["\"x\"", "\"{\\\"arn\\\":\\\"arn:good\\\"}\"", "{}"] {
            let odd = format!("{{\"{key}\":{value}}}");
            let record = format!(
                "{{\"eventName\":\"DeleteTrail\",\"userIdentity\":{{\"arn\":\"arn:evil\",\"x\":{odd}}},\"requestParameters\":{{\"labels\":{odd}}},\"tlsDetails\":{odd}}}"
            );
            let event = Parts::from_record(&scope(), record.as_bytes(), Origin::LogFile, 0);
            assert!(!event.malformed, "{record}");
            assert_eq!(event.name, "DeleteTrail");
            assert_eq!(event.principal.unwrap().arn.as_deref(), Some("arn:evil"));
        }
    }
}

#[test]
fn times_round_down() {
    assert_eq!(parse_time("1970-01-01T00:00:01.9Z"), Some(1));
    assert_eq!(parse_time("1969-12-31T23:59:59.5Z"), Some(-1));
    assert_eq!(parse_time("red"), None);
}

/// Keys that mean something, that do not, and that are odd.
fn a_key() -> impl Strategy<Value = String> {
    let known = proptest::sample::select(vec![
        "eventID",
        "eventName",
        "eventSource",
        "eventTime",
        "awsRegion",
        "recipientAccountId",
        "readOnly",
        "resources",
        "eventCategory",
        "eventType",
        "errorCode",
        "errorMessage",
        "sourceIPAddress",
        "userAgent",
        "sharedEventID",
        "addendum",
        "requestParameters",
        "type",
        "principalId",
        "arn",
        "accountId",
        "accessKeyId",
        "userName",
        "invokedBy",
        "ARN",
        "ARNPrefix",
        "odd",
        "\\u0061rn",
        "event\\u0049D",
        "\\ud800",
        "\\udc00\\ud800\\n",
        "\\ud83d\\ude00",
        "\\ud800\\u0041",
        "\\x",
        "\\u12",
        "",
        "a\tb",
        "ü",
    ]);
    let nesting = proptest::sample::select(vec![
        "userIdentity",
        "sessionContext",
        "sessionIssuer",
        "resources",
        "addendum",
    ]);
    prop_oneof![
        6 => known.prop_map(str::to_owned),
        3 => nesting.prop_map(str::to_owned),
        1 => "[a-c]{1,2}",
        1 => (MAX_UNUSUAL_FIELD_LEN - 1..MAX_UNUSUAL_FIELD_LEN + 2).prop_map(|len| "k".repeat(len)),
    ]
}

fn a_scalar() -> impl Strategy<Value = String> {
    let given = proptest::sample::select(vec![
        "null",
        "true",
        "false",
        "0",
        "-0",
        "00",
        "-",
        "1.",
        "1.5",
        "1e",
        "1e+",
        "-1E-07",
        "1e3",
        ".5",
        "+1",
        "123456789012",
        "nul",
        "trues",
        "\"\"",
        "\"Role\"",
        "\"AssumedRole\"",
        "\"FederatedUser\"",
        "\"true\"",
        "\"a/b/c:d\"",
        "\"a\\u002fb\"",
        "\"AROA:s\\u003as\"",
        "\"2024-05-06T07:08:09Z\"",
        "\"2024-05-06T07:08:09.5+01:00\"",
        "\"2024-02-30T00:00:00Z\"",
        "\"111122223333\"",
        "\"eu-west-1\"",
        "\"\\ud800\"",
        "\"\\ud83d\\ude00\"",
        "\"\\q\"",
        "\"\\u00g0\"",
        "\"\u{1}\"",
        "\"a\nb\"",
        "\"ü\\n\"",
        "\"\\\"\"",
        "\"an agent of sixteen\"",
        "\"an \\u0061gent of sixteen\"",
        "\"",
        "",
        "x",
    ]);
    prop_oneof![8 => given.prop_map(str::to_owned), 1 => "\"[ -~]{0,20}\"", 1 => "[ -~]{0,5}"]
}

fn is_json(text: &str) -> bool {
    serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok()
}

/// An object of these members; only of the sound ones if it is to be sound.
fn an_object(mut members: Vec<String>, is_sound: bool, end: &str) -> String {
    if is_sound {
        members.retain(|member| is_json(&format!("{{{member}}}")));
    }
    let end = if is_sound { "}" } else { end };
    format!("{{{}{end}", members.join(","))
}

/// A value, with all that can be wrong with one unless it is to be sound.
fn a_value(is_sound: bool) -> impl Strategy<Value = String> {
    let space = || proptest::sample::select(vec!["", "", "", "", " ", "\n", "\t\r", "\u{c}"]);
    let leaf = a_scalar().prop_map(move |text| match is_sound && !is_json(&text) {
        true => "null".to_owned(),
        false => text,
    });
    leaf.prop_recursive(5, 60, 8, move |inner| {
        let member = (a_key(), space(), inner.clone(), space())
            .prop_map(|(key, a, value, b)| format!("{a}\"{key}\"{b}:{a}{value}{b}"));
        let end =
            || proptest::sample::select(vec!["}", "}", "}", "}", "}", "}", "}", "", "]", ",}"]);
        let members = (proptest::collection::vec(member, 0..8), end())
            .prop_map(move |(members, end)| an_object(members, is_sound, end));
        let elements = proptest::collection::vec(inner, 0..4)
            .prop_map(|elements| format!("[{}]", elements.join(",")));
        prop_oneof![4 => members, 1 => elements]
    })
}

/// A sound record with many members.
fn a_record() -> impl Strategy<Value = String> {
    let member = (a_key(), a_value(true)).prop_map(|(key, value)| format!("\"{key}\":{value}"));
    proptest::collection::vec(member, 0..40).prop_map(|members| an_object(members, true, "}"))
}

proptest! {
    // more where the environment says so
    #![proptest_config(ProptestConfig::with_cases(ProptestConfig::default().cases.max(500)))]

    #[test]
    fn anything_is_read_as_the_oracle_reads_it(text in a_value(false)) {
        check(text.as_bytes());
    }

    #[test]
    fn records_are_read_as_the_oracle_reads_them(text in a_record()) {
        check(text.as_bytes());
    }

    #[test]
    fn a_damaged_record_is_read_as_the_oracle_reads_it(
        at in 0..RECORD.len(),
        byte in prop_oneof![any::<u8>(), proptest::sample::select(b"\"\\{}[],: \n0".to_vec())],
        cut in any::<bool>(),
    ) {
        let mut record = RECORD.as_bytes().to_vec();
        if cut {
            record.truncate(at);
        } else {
            record[at] = byte;
        }
        check(&record);
    }
}

#[test]
fn of_members_with_one_name_the_last_counts() {
    for record in [
        r#"{"eventID":"a","eventID":"b","eventName":"c","eventName":null}"#,
        r#"{"userIdentity":{"arn":"a","arn":"b"},"userIdentity":{"type":"Root"}}"#,
        r#"{"userIdentity":{"arn":"a"},"userIdentity":7}"#,
        r#"{"userIdentity":{"sessionContext":{"sessionIssuer":{"userName":"a"},"sessionIssuer":{}},"sessionContext":{"sessionIssuer":{"userName":"b","type":"User"}}}}"#,
        r#"{"userIdentity":{"sessionContext":{"sessionIssuer":{"userName":"a"}},"sessionContext":null}}"#,
        r#"{"b":1,"a":1,"b":2,"addendum":{},"addendum":1}"#,
    ] {
        check(record.as_bytes());
    }
    let names: Vec<_> = (0..MAX_UNUSUAL_FIELDS * 2)
        .map(|i| format!("\"x{i}\":{i}"))
        .collect();
    check(format!("{{{}}}", names.join(",")).as_bytes());
}

#[test]
fn depth_has_no_end() {
    let deep = format!(
        "{{\"a\":{}1{}}}",
        "[{\"b\":".repeat(50_000),
        "}]".repeat(50_000)
    );
    check(deep.as_bytes());
    check(&deep.as_bytes()[..deep.len() - 1]);
}

#[test]
fn keys_of_an_inner_object_are_strict_and_those_of_the_record_are_not() {
    for record in [
        "{\"a\nb\":1}",
        "{\"x\":{\"a\nb\":1}}",
        "{\"userIdentity\":{\"a\nb\":1}}",
    ] {
        check(record.as_bytes());
    }
    assert!(json::scalar("\"a\"").is_some());
}

#[test]
fn an_event_is_of_the_scope_in_whose_history_it_stands_alone() {
    let scope = Scope::new("111122223333", "us-east-1");
    let others = [
        Scope::new("111122223333", "eu-west-1"),
        Scope::new("444455556666", "us-east-1"),
        Scope::new("", ""),
    ];
    let record = r#"{"eventID":"x","awsRegion":"eu-west-1","errorCode":"us-east-1"}"#;
    let api = LookupEvent {
        record: Some(record.to_owned()),
        ..LookupEvent::default()
    };
    let given = Event::from_lookup(&scope, api, 0);
    let own = Event::from_record(&scope, record.as_bytes(), Origin::LogFile, 0);
    let bare = Event::from_record(&scope, b"{}", Origin::LogFile, 0);
    let empty = Event::from_record(&others[2], b"", Origin::LogFile, 0);
    for event in [given, own, bare, empty] {
        let of = event.scope();
        for scope in others.iter().chain([&scope]) {
            assert_eq!(event.is_of(scope), *scope == of, "{scope}: {event:?}");
        }
    }
}
