//! One test a rule.

use std::{collections::BTreeSet, slice};

use super::{oracle, *};
use crate::event::{LookupEvent, Origin, Resource, Scope};

pub(super) fn one(field: &str, operator: Operator, values: &[&str]) -> Match {
    Match {
        field: field.into(),
        operator,
        values: values.iter().map(|&v| v.into()).collect(),
        ..Match::default()
    }
}

pub(super) fn question(matches: &[Match]) -> Vec<EventFilter> {
    vec![EventFilter {
        matches: matches.to_vec(),
    }]
}

pub(super) fn compile(matches: &[Match]) -> Filter {
    Filter::compile(&question(matches), &()).unwrap()
}

fn refused(one: Match) -> Error {
    Filter::compile(&question(&[one]), &()).unwrap_err()
}

pub(super) fn record(record: &str) -> Event {
    let scope = Scope::new("111122223333", "eu-west-1");
    Event::from_record(&scope, record.as_bytes(), Origin::LogFile, 0)
}

#[track_caller]
fn check(json: &str, one: &Match, expected: bool) {
    for negate in [false, true] {
        let one = Match {
            negate,
            ..one.clone()
        };
        let event = record(json);
        assert_eq!(
            compile(slice::from_ref(&one)).matches(&event),
            expected != negate,
            "{one:?} of {json}"
        );
        assert_eq!(
            oracle::passes(&question(&[one]), &event),
            expected != negate
        );
    }
}

#[test]
fn numbers_and_booleans_compare_by_their_json_text() {
    for text in [
        "1.0",
        "1e3",
        "1E+3",
        "-0",
        "10",
        "0.10",
        "123456789012345678901234567890",
    ] {
        let json = format!(r#"{{"requestParameters":{{"n":{text}}},"apiVersion":true}}"#);
        check(
            &json,
            &one("requestParameters.n", Operator::Equals, &[text]),
            true,
        );
        check(
            &json,
            &one("requestParameters.n", Operator::Equals, &["1"]),
            false,
        );
        check(&json, &one("apiVersion", Operator::Equals, &["true"]), true);
    }
}

#[test]
fn absent_is_matched_by_nothing_and_its_negation_holds() {
    for json in [
        "{}",
        r#"{"errorCode":null}"#,
        r#"{"errorCode":[]}"#,
        r#"{"errorCode":[null,[null,[]]]}"#,
        "not json",
    ] {
        check(json, &one("errorCode", Operator::Exists, &[]), false);
        check(json, &one("errorCode", Operator::Contains, &[""]), false);
        check(json, &one("errorCode.a", Operator::Exists, &[]), false);
    }
    check(
        r#"{"errorCode":""}"#,
        &one("errorCode", Operator::Exists, &[]),
        true,
    );
    check(
        r#"{"errorCode":{}}"#,
        &one("errorCode", Operator::Exists, &[]),
        true,
    );
    check(
        r#"{"errorCode":{}}"#,
        &one("errorCode", Operator::Contains, &[""]),
        false,
    );
}

#[test]
fn arrays_are_looked_into_at_every_level() {
    let json = r#"{"requestParameters":[[{"a":[{"b":"x"},{"b":["y",["z"]]}]}],{"a":{"b":7}}],"errorCode":["p",["q"]]}"#;
    for value in ["x", "y", "z", "7"] {
        check(
            json,
            &one("requestParameters.a.b", Operator::Equals, &[value]),
            true,
        );
    }
    check(
        json,
        &one("requestParameters.0.a", Operator::Exists, &[]),
        false,
    );
    check(
        json,
        &one("errorCode", Operator::Equals, &["nobody", "q"]),
        true,
    );
    // "no element is x", not "some element is not x"
    let not_x = Match {
        negate: true,
        ..one("requestParameters.a.b", Operator::Equals, &["x"])
    };
    assert!(!compile(&[not_x]).matches(&record(json)));
}

#[test]
fn dots_and_backslashes_in_keys_are_escaped() {
    let json = r#"{"requestParameters":{"a.b":{"c\\d":"x"}},"record":"r"}"#;
    check(
        json,
        &one(r"requestParameters.a\.b.c\\d", Operator::Equals, &["x"]),
        true,
    );
    check(
        json,
        &one(r"record.requestParameters.a\.b", Operator::Exists, &[]),
        true,
    );
    check(
        json,
        &one("requestParameters.a.b", Operator::Exists, &[]),
        false,
    );
    check(json, &one("record.record", Operator::Equals, &["r"]), true);
}

#[test]
fn each_operator_compares_as_told() {
    use Operator::*;
    let json = r#"{"errorCode":"Client.Denied\nx*","sourceIPAddress":"10.1.2.3","userAgent":"ÀÉ"}"#;
    for (field, operator, value, expected) in [
        ("errorCode", Equals, "Client.Denied\nx*", true),
        ("errorCode", Equals, "client.denied\nx*", false),
        ("errorCode", Prefix, "Client.", true),
        ("errorCode", Prefix, "lient", false),
        ("errorCode", Suffix, "x*", true),
        ("errorCode", Contains, "Denied", true),
        ("errorCode", Glob, "Client.*", true),
        ("errorCode", Glob, "Client", false),
        ("errorCode", Glob, r"*?x\*", true),
        ("errorCode", Glob, r"*\?x\*", false),
        ("errorCode", Glob, "Client?Denied*", true),
        ("errorCode", Glob, "ClientXDenied*", false),
        ("userAgent", Glob, "??", true),
        ("errorCode", Regex, "enie", true),
        ("errorCode", Regex, "^enie", false),
        ("errorCode", Regex, r"^Client\.\w+$", false),
        ("errorCode", Regex, r"(?m)^Client\.\w+$", true),
        ("sourceIPAddress", Cidr, "10.0.0.0/8", true),
        ("sourceIPAddress", Cidr, "10.9.9.9/8", true),
        ("sourceIPAddress", Cidr, "10.1.2.3", true),
        ("sourceIPAddress", Cidr, "::ffff:10.1.0.0/112", true),
        ("sourceIPAddress", Cidr, "10.2.0.0/16", false),
        ("sourceIPAddress", Cidr, "::/0", false),
        ("errorCode", Cidr, "0.0.0.0/0", false),
    ] {
        check(json, &one(field, operator, &[value]), expected);
    }
    let mapped = r#"{"sourceIPAddress":["::ffff:10.1.2.3","2001:db8::1"]}"#;
    check(
        mapped,
        &one("sourceIPAddress", Cidr, &["10.1.2.0/24"]),
        true,
    );
    check(
        mapped,
        &one("sourceIPAddress", Cidr, &["2001:db8::/32"]),
        true,
    );
    check(mapped, &one("sourceIPAddress", Cidr, &["192.0.2.1"]), false);
}

#[test]
fn letters_match_in_either_case_where_that_is_asked() {
    use Operator::*;
    let json = r#"{"errorCode":"AccessDÉNIED"}"#;
    for (operator, value) in [
        (Equals, "ACCESSdénied"),
        (Prefix, "aCC"),
        (Suffix, "éNIED"),
        (Contains, "SSd"),
        (Glob, "?CCESS*é*"),
        (Regex, "^access[d-e]É"),
    ] {
        check(json, &one("errorCode", operator, &[value]), false);
        let either = Match {
            ignore_case: true,
            ..one("errorCode", operator, &[value])
        };
        check(json, &either, true);
    }
}

#[test]
fn attributes_compare_what_the_event_holds() {
    let api = LookupEvent {
        event_name: Some("PutObject".into()),
        username: Some("alice".into()),
        read_only: Some("false".into()),
        resources: vec![
            Resource::default(),
            Resource {
                kind: Some("AWS::S3::Bucket".into()),
                name: Some("b".into()),
            },
        ],
        record: Some("cut off {".into()),
        ..LookupEvent::default()
    };
    let event = Event::from_lookup(&Scope::new("1", "r"), api, 0);
    for (field, value) in [
        ("EventName", "PutObject"),
        ("Username", "alice"),
        ("ReadOnly", "false"),
        ("ResourceName", "b"),
        ("ResourceType", "AWS::S3::Bucket"),
        // the record cannot be read: the index stands in
        ("eventName", "PutObject"),
        ("record.eventName", "PutObject"),
        ("readOnly", "false"),
    ] {
        assert!(
            compile(&[one(field, Operator::Equals, &[value])]).matches(&event),
            "{field}"
        );
    }
    for field in [
        "EventId",
        "eventID",
        "AccessKeyId",
        "eventTime",
        "eventName.a",
    ] {
        assert!(
            !compile(&[one(field, Operator::Exists, &[])]).matches(&event),
            "{field}"
        );
    }
}

#[test]
fn a_typing_error_is_told_with_the_nearest_spelling() {
    let known = BTreeSet::from(["hostname".to_owned()]);
    for (field, hint) in [
        ("eventname", Some("eventName")),
        ("username", Some("Username")),
        ("useridentity.type", Some("userIdentity")),
        ("sourceIpAdress", Some("sourceIPAddress")),
        ("hostnam", Some("hostname")),
        ("bucketName", None),
    ] {
        let source = question(&[one(field, Operator::Exists, &[])]);
        let error = Filter::compile(&source, &known).unwrap_err();
        assert_eq!(error.path, "filters[0].matches[0].field");
        match hint {
            Some(hint) => assert!(error.message.contains(&format!("{hint:?}?")), "{error}"),
            None => assert!(!error.message.contains("did you mean"), "{error}"),
        }
        assert!(
            error.message.contains(&format!("record.{field}")),
            "{error}"
        );
    }
    for field in ["hostname", "hostname.a", "record.eventname", "tlsDetails.x"] {
        let source = question(&[one(field, Operator::Exists, &[])]);
        assert!(Filter::compile(&source, &known).is_ok(), "{field}");
    }
}

#[test]
fn what_cannot_be_asked_is_refused_with_its_place() {
    use Operator::*;
    let long = "x".repeat(MAX_VALUE_CHARS + 1);
    let deep = ["errorCode"; 33].join(".");
    let wide = format!("errorCode.{}", "x".repeat(1024));
    for (one, place, word) in [
        (one("", Equals, &["a"]), "field", "empty"),
        (one("record.", Equals, &["a"]), "field", "empty segment"),
        (one(".a", Equals, &["a"]), "field", "empty segment"),
        (
            one("errorCode..a", Equals, &["a"]),
            "field",
            "empty segment",
        ),
        (one("errorCode.", Equals, &["a"]), "field", "empty segment"),
        (one(r"errorCode.\a", Equals, &["a"]), "field", "backslash"),
        (one(r"errorCode.a\", Equals, &["a"]), "field", "backslash"),
        (one(&deep, Equals, &["a"]), "field", "32 segments"),
        (one(&wide, Equals, &["a"]), "field", "at most 1024"),
        (one("record", Equals, &["a"]), "field", "unknown field"),
        (one(r"record\.a", Equals, &["a"]), "field", "unknown field"),
        (one("EventName", Equals, &[]), "values", "at least one"),
        (one("EventName", Exists, &["a"]), "values", "takes none"),
        (
            one("EventName", Equals, &["a"; 1001]),
            "values",
            "at most 1000",
        ),
        (
            one("EventName", Prefix, &["a", &long]),
            "values[1]",
            "2001 characters",
        ),
        (
            one("EventName", Glob, &["a", r"b\"]),
            "values[1]",
            r"ends in a backslash",
        ),
        (
            one("EventName", Regex, &["a", "(b"]),
            "values[1]",
            "unclosed group",
        ),
        (
            one("EventName", Regex, &[r"\w{1000}{1000}"]),
            "values[0]",
            "bytes",
        ),
        (
            one("EventName", Regex, &[r"\w{100}"; 100]),
            "values",
            "together",
        ),
        (
            one("EventName", Cidr, &["10.0.0.0/33"]),
            "values[0]",
            "no network",
        ),
    ] {
        let error = refused(one);
        assert_eq!(
            error.path,
            format!("filters[0].matches[0].{place}"),
            "{error}"
        );
        assert!(error.message.contains(word), "{error}");
        assert!(error.message.len() < 1500, "{error}");
    }
    let exists = one("EventName", Exists, &[]);
    let error = Filter::compile(&question(&vec![exists.clone(); 33]), &()).unwrap_err();
    assert_eq!(error.path, "filters[0].matches");
    let many = vec![question(&[exists]).remove(0); 33];
    assert_eq!(Filter::compile(&many, &()).unwrap_err().path, "filters");
    let globs = vec![question(&vec![one("EventName", Glob, &["a"]); 20]).remove(0); 2];
    let error = Filter::compile(&globs, &()).unwrap_err();
    assert_eq!(error.path, "filters[1].matches[12].operator");
}

#[test]
fn a_key_that_is_no_text_hides_nothing() {
    let record =
        r#"{"eventName":"CreateTags","\ud800":1,"requestParameters":{"\ud800":"x","team":"red"}}"#;
    let scope = crate::event::Scope::new("111122223333", "us-east-1");
    let origin = crate::event::Origin::LogFile;
    let event = Event::from_record(&scope, record.as_bytes(), origin, 0);
    assert!(!event.is_malformed());
    assert_eq!(event.name(), "CreateTags");
    let team = Match {
        field: "requestParameters.team".into(),
        values: vec!["red".into()],
        ..Match::default()
    };
    let filter = Filter::compile(
        &[EventFilter {
            matches: vec![team],
        }],
        &(),
    )
    .unwrap();
    assert!(filter.matches(&event));
}
