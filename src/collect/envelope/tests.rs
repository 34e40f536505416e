use proptest::prelude::*;

use super::*;

const KEY: &str = "AWSLogs/111122223333/CloudTrail/eu-west-1/2024/05/06/a b.json.gz";

fn object(bucket: &str, key: &str) -> ObjectRef {
    ObjectRef {
        bucket: bucket.into(),
        key: key.into(),
        ..ObjectRef::default()
    }
}

fn quote(text: &str) -> String {
    serde_json::to_string(text).unwrap()
}

fn sns(message: &str) -> String {
    let message = quote(message);
    format!(
        "{{\"Type\":\"Notification\",\"MessageId\":\"m\",\"TopicArn\":\"arn:aws:sns:eu-west-1:111122223333:t\",\"Message\":{message},\"Signature\":\"s\"}}"
    )
}

fn s3(name: &str, key: &str) -> String {
    format!(
        "{{\"eventVersion\":\"2.1\",\"eventSource\":\"aws:s3\",\"awsRegion\":\"eu-west-1\",\"eventName\":\"{name}\",\"s3\":{{\"bucket\":{{\"name\":\"b\"}},\"object\":{{\"key\":\"{key}\",\"size\":12,\"eTag\":\"e1\",\"versionId\":\"v\"}}}}}}"
    )
}

#[test]
fn cloudtrails_own_form_wrapped_bare_and_with_a_plain_key() {
    let of = |keys: &str| format!("{{\"s3Bucket\":\"b\",\"s3ObjectKey\":{keys}}}");
    let two = of("[\"k%20+1\",\"k2\"]");
    // its keys are as they are
    let want = Content::Objects(vec![object("b", "k%20+1"), object("b", "k2")]);
    assert_eq!(open(&two).unwrap(), want);
    assert_eq!(open(&sns(&two)).unwrap(), want);
    assert_eq!(open(&sns(&sns(&two))).unwrap(), want);
    assert_eq!(open(&quote(&sns(&two))).unwrap(), want);
    let one = sns(&of("\"k\""));
    assert_eq!(
        open(&one).unwrap(),
        Content::Objects(vec![object("b", "k")])
    );
    for odd in ["[]", "\"\"", "null", "[1,null]", "{}", "[[\"k\"]]"] {
        let error = open(&of(odd)).unwrap_err();
        assert!(matches!(error, Error::Incomplete { .. }), "{odd}: {error}");
    }
}

#[test]
fn s3s_own_form_is_decoded_and_only_what_was_created_counts() {
    let encoded = "p%C3%BC/a+b%2Bc.json.gz";
    let body = format!(
        "{{\"Records\":[{},{},{}]}}",
        s3("ObjectCreated:Put", encoded),
        s3("ObjectRemoved:Delete", "gone"),
        s3("s3:ObjectCreated:CompleteMultipartUpload", "%ff"),
    );
    for body in [body.clone(), sns(&body)] {
        let Content::Objects(objects) = open(&body).unwrap() else {
            panic!("objects");
        };
        let keys: Vec<&str> = objects.iter().map(|object| object.key.as_str()).collect();
        assert_eq!(keys, ["pü/a b+c.json.gz", "%ff"]);
        let first = &objects[0];
        assert_eq!((first.size, first.bucket.as_str()), (Some(12), "b"));
        assert_eq!(first.region.as_deref(), Some("eu-west-1"));
        assert_eq!(first.etag.as_deref(), Some("e1"));
        assert_eq!(first.version.as_deref(), Some("v"));
    }
    let removed = format!("{{\"Records\":[{}]}}", s3("ObjectRemoved:Delete", "k"));
    let nothing = Content::Nothing(Nothing::NotCreated);
    assert_eq!(open(&removed).unwrap(), nothing);
    let trigger = |body: &str| format!("{{\"Records\":[{{\"body\":{}}}]}}", quote(body));
    assert_eq!(open(&trigger(&removed)).unwrap(), nothing);
    let lambda = format!(
        "{{\"Records\":[{{\"Sns\":{{\"Message\":{}}}}}]}}",
        quote("{\"s3Bucket\":\"b\",\"s3ObjectKey\":[\"k\"]}")
    );
    let want = Content::Objects(vec![object("b", "k")]);
    assert_eq!(open(&lambda).unwrap(), want);
}

#[test]
fn s3_by_event_bridge_is_not_decoded() {
    let body = format!(
        "{{\"version\":\"0\",\"detail-type\":\"Object Created\",\"source\":\"aws.s3\",\"region\":\"eu-west-1\",\"detail\":{{\"bucket\":{{\"name\":\"b\"}},\"object\":{{\"key\":\"a+b%20{KEY}\",\"size\":7,\"etag\":\"e\",\"version-id\":\"v\"}}}}}}"
    );
    let want = ObjectRef {
        region: Some("eu-west-1".into()),
        size: Some(7),
        etag: Some("e".into()),
        version: Some("v".into()),
        ..object("b", &format!("a+b%20{KEY}"))
    };
    assert_eq!(open(&body).unwrap(), Content::Objects(vec![want.clone()]));
    assert_eq!(open(&sns(&body)).unwrap(), Content::Objects(vec![want]));
    let deleted = body.replace("Object Created", "Object Deleted");
    let nothing = Content::Nothing(Nothing::NotCreated);
    assert_eq!(open(&deleted).unwrap(), nothing);
}

#[test]
fn an_event_by_event_bridge_is_kept_character_for_character() {
    let record = "{ \"eventVersion\" : \"1.08\",\"eventID\":\"i\", \"n\": 1.50e+3,\"$serde_json::private::Number\":\"x\",\"bad\":\"\\ud800\" }";
    let of = |kind: &str, detail: &str| {
        format!(
            "{{\"detail-type\":\"{kind}\",\"account\":\"111122223333\",\"region\":\"eu-west-1\",\"time\":\"1970-01-01T00:00:09Z\",\"detail\":{detail}}}"
        )
    };
    for kind in [
        "AWS API Call via CloudTrail",
        "AWS Console Sign In via CloudTrail",
        "AWS Service Event via CloudTrail",
        "AWS Insight via CloudTrail",
    ] {
        let body = of(kind, record);
        for body in [body.clone(), sns(&body)] {
            let Content::Event(event) = open(&body).unwrap() else {
                panic!("{kind}");
            };
            assert_eq!(event.record, record);
            assert_eq!(event.account.as_deref(), Some("111122223333"));
            assert_eq!(event.region.as_deref(), Some("eu-west-1"));
            assert_eq!(event.time, Some(9));
        }
        let body = of(kind, record);
        let Content::Event(event) = open(&body).unwrap() else {
            panic!("{kind}");
        };
        assert!(matches!(event.record, Cow::Borrowed(_)));
    }
    let Content::Event(bare) = open(record).unwrap() else {
        panic!("bare");
    };
    assert_eq!((&*bare.record, bare.account), (record, None));
    for (kind, detail) in [
        ("Scheduled Event", record),
        ("Something via CloudTrail", "{\"eventID\":\"i\"}"),
        ("AWS API Call via CloudTrail", "[1]"),
    ] {
        let error = open(&of(kind, detail)).map(drop).unwrap_err();
        assert!(error.to_string().contains(kind), "{error}");
    }
}

#[test]
fn tests_and_confirmations_have_nothing_to_collect() {
    let test = "{\"Service\":\"Amazon S3\",\"Event\":\"s3:TestEvent\",\"Bucket\":\"b\"}";
    for body in [test.to_owned(), sns(test)] {
        let nothing = Content::Nothing(Nothing::TestEvent);
        assert_eq!(open(&body).unwrap(), nothing);
    }
    let plain = "CloudTrail validation message.";
    for body in [plain.to_owned(), sns(plain)] {
        let nothing = Content::Nothing(Nothing::Validation);
        assert_eq!(open(&body).unwrap(), nothing);
    }
    let ask = "{\"Type\":\"SubscriptionConfirmation\",\"TopicArn\":\"t\",\"Token\":\"k\",\"Message\":\"You have chosen\",\"SubscribeURL\":\"u\"}";
    let want = Nothing::Unconfirmed {
        topic: "t".into(),
        url: "u".into(),
    };
    assert_eq!(open(ask).unwrap(), Content::Nothing(want));
    let end = ask.replace("SubscriptionC", "UnsubscribeC");
    let want = Nothing::Unsubscribed { topic: "t".into() };
    assert_eq!(open(&end).unwrap(), Content::Nothing(want));
}

#[test]
fn what_is_not_known_is_named_and_shortened() {
    for (body, named) in [
        ("", "not JSON"),
        ("hello\nthere", "hello there"),
        ("{\"a\":1,\"b\":{\"secret\":2}}", "members a, b"),
        ("[1,2]", "[1,2]"),
        ("null", "null"),
        ("{\"Records\":[]}", "members Records"),
        ("{\"Records\":[1]}", "members Records"),
        (
            "{\"Records\":[{\"eventName\":\"ObjectCreated:Put\",\"s3\":{\"bucket\":{\"name\":\"b\"},\"object\":{}}}]}",
            "no usable key",
        ),
        ("{\"detail\":{}}", "members detail"),
        ("{\"Message\":\"hello\"}", "hello"),
    ] {
        let error = open(body).unwrap_err().to_string();
        assert!(error.contains(named), "{error}");
        assert!(!error.contains("secret") && !error.contains('\n'));
    }
    let long = open(&"x".repeat(10_000)).unwrap_err().to_string();
    assert!(long.len() < 250, "{long}");
    let mut deep = "{\"s3Bucket\":\"b\",\"s3ObjectKey\":[\"k\"]}".to_owned();
    for depth in 0..8 {
        assert_eq!(open(&deep).is_ok(), depth <= MAX_DEPTH, "{depth}");
        deep = sns(&deep);
    }
    assert_eq!(open(&deep), Err(Error::TooDeep));
    assert!(open(&"[".repeat(100_000)).is_err());
}

proptest! {
    #[test]
    fn nothing_that_is_sent_panics(cut in 0_usize..600, byte in any::<char>(), text in ".*") {
        let body = format!("{{\"Records\":[{}]}}", s3("ObjectCreated:Put", "a%20%f"));
        let body = sns(&body);
        let odd: String = body.chars().take(cut).chain([byte]).chain(body.chars().skip(cut + 1)).collect();
        let _ = open(&odd);
        let _ = open(&text);
        let _ = open(&sns(&text));
    }
}
