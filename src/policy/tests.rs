use super::*;

#[test]
fn rules_for_nobody_who_can_be_known_are_told() {
    let text = "rules:\n\
                - {callers: [a], methods: ['*']}\n\
                - {subjects: [a], methods: ['*']}\n\
                - {claims: {groups: [a]}, methods: ['*']}\n\
                - {callers: [a], subjects: [a], methods: ['*']}\n\
                - {callers: [a], anonymous: true, methods: ['*']}\n";
    let policy = Policy::parse(text).unwrap();
    for (certificates, tokens, places) in [
        (true, true, &[][..]),
        (true, false, &[1, 2]),
        (false, true, &[0]),
        (false, false, &[0, 1, 2, 3]),
    ] {
        let doubts = policy.doubts(Known {
            by_certificate: certificates,
            by_token: tokens,
            ..Known::default()
        });
        assert_eq!(doubts.len(), places.len(), "{doubts:?}");
        for (doubt, place) in doubts.iter().zip(places) {
            assert!(
                doubt.starts_with(&format!("rules[{place}] is for")),
                "{doubt}"
            );
        }
    }
    let doubts = policy.doubts(Known::default());
    assert!(doubts[0].contains("--tls-client-ca") && doubts[1].contains("--jwt-issuer"));
    let policy = "rules: [{keys: [a], methods: ['*']}, {users: [a], methods: ['*']}]";
    let policy = Policy::parse(policy).unwrap();
    let doubts = policy.doubts(Known::default());
    assert!(doubts[0].contains("--aws-keys") && doubts[1].contains("--console-proxy"));
    let known = Known {
        by_key: true,
        by_proxy: true,
        ..Known::default()
    };
    assert_eq!(policy.doubts(known), Vec::<String>::new());
}
use crate::{
    event::Scope,
    filter::{EventFilter, Match},
};

const TEXT: &str = "
rules:
  - callers: ['spiffe://example.org/ns/security/*', root.example.org]
    methods: ['*']
  - callers: [reports.example.org]
    methods: [LookupEvents, SummarizeEvents]
    accounts: ['111122223333']
    regions: [eu-central-1, eu-west-1]
    event_sources: [iam.amazonaws.com, sts.amazonaws.com]
    record: false
  - callers: ['*']
    anonymous: true
    methods: [Reflection]
";

fn who(certificate: Option<&str>) -> Who {
    certificate.map_or(Who::Anonymous, |name| Who::Certificate(name.into()))
}

fn policy() -> Policy {
    Policy::parse(TEXT).unwrap()
}

#[test]
fn the_first_rule_that_names_a_caller_decides() {
    let policy = policy();
    let methods = |caller| {
        policy
            .rights(&who(caller))
            .map(|rights| rights.methods.len())
    };
    let security = "spiffe://example.org/ns/security/sa/alerts";
    assert_eq!(methods(Some(security)), Some(Method::ALL.len()));
    assert_eq!(methods(Some("root.example.org")), Some(Method::ALL.len()));
    assert_eq!(methods(Some("reports.example.org")), Some(2));
    assert_eq!(methods(Some("root.example.org.evil.org")), Some(1));
    assert_eq!(methods(None), Some(1));
    let nobody = Policy::parse("rules: []").unwrap();
    assert_eq!(nobody.rights(&who(Some(security))), None);
    assert_eq!(nobody.rights(&Who::Anonymous), None);
    // a star is for names, not for who has none
    let named = Policy::parse("rules: [{callers: ['*'], methods: ['*']}]").unwrap();
    assert!(named.rights(&who(Some("a"))).is_some() && named.rights(&who(None)).is_none());
}

#[test]
fn tokens_are_named_by_subject_and_claims_and_certificates_by_neither() {
    let text = "
rules:
  - {subjects: ['system:serviceaccount:security:*'], methods: [LookupEvents]}
  - {subjects: [bob], claims: {team: [blue, red]}, methods: [GetEvent]}
  - {claims: {groups: [ops], team: [blue]}, methods: [ListScopes]}
  - {callers: [bob], methods: [Metrics]}
";
    let policy = Policy::parse(text).unwrap();
    let methods = |who: &Who| policy.rights(who).map(|rights| rights.methods.clone());
    let token = |subject, claims: &[(&str, &[&str])]| Who::Token(Bearer::new(subject, claims));
    let alerts = token("system:serviceaccount:security:alerts", &[]);
    assert_eq!(methods(&alerts), Some([Method::LookupEvents].into()));
    let (red, ops) = (("team", &["red"][..]), ("groups", &["dev", "ops"][..]));
    assert_eq!(
        methods(&token("bob", &[red])),
        Some([Method::GetEvent].into())
    );
    assert_eq!(
        methods(&token("bob", &[])),
        None,
        "nor what a certificate's bob may"
    );
    assert_eq!(methods(&token("eve", &[red, ops])), None);
    let blue = ("team", &["blue"][..]);
    assert_eq!(
        methods(&token("eve", &[blue, ops])),
        Some([Method::ListScopes].into())
    );
    assert_eq!(methods(&who(Some("bob"))), Some([Method::Metrics].into()));
    let sa = who(Some("system:serviceaccount:security:alerts"));
    assert_eq!(methods(&sa), None);
}

#[test]
fn what_may_be_seen_is_what_the_rule_says() {
    let policy = policy();
    let reports = policy.rights(&who(Some("reports.example.org"))).unwrap();
    assert!(reports.has(Method::LookupEvents) && !reports.has(Method::SubscribeEvents));
    assert!(reports.sees(&Scope::new("111122223333", "eu-west-1")));
    assert!(!reports.sees(&Scope::new("111122223333", "us-east-1")));
    assert!(!reports.sees(&Scope::new("444455556666", "eu-west-1")));
    assert!(!reports.sees_all_scopes() && !reports.sees_record());
    for field in [
        "EventName",
        "eventName",
        "record.eventName",
        "Username",
        "userIdentity.arn",
    ] {
        assert!(reports.sees_field(field), "{field}");
    }
    for field in [
        "requestParameters.bucketName",
        "record.requestParameters",
        "userIdentity",
        "userIdentity.sessionContext",
        "additionalEventData",
        "record.EventName",
        "",
    ] {
        assert!(!reports.sees_field(field), "{field}");
    }
    let all = Rights::all();
    assert!(all.sees_field("requestParameters") && all.sees_all_scopes());
}

#[test]
fn every_filter_is_narrowed_to_what_may_be_seen() {
    let reports = policy().rights(&who(Some("reports.example.org"))).unwrap();
    let by = |name: &str| EventFilter {
        matches: vec![Match {
            field: "eventName".into(),
            values: vec![name.into()],
            ..Match::default()
        }],
    };
    let mut filters = vec![by("A"), by("B")];
    reports.restrict(&mut filters);
    assert!(filters.iter().all(|filter| filter.matches.len() == 2));
    let mut none = Vec::new();
    reports.restrict(&mut none);
    assert_eq!(none.len(), 1);
    assert_eq!(none[0].matches[0].values.len(), 2);
    let mut all = vec![by("A")];
    Rights::all().restrict(&mut all);
    assert_eq!(all, vec![by("A")]);
}

#[test]
fn a_policy_that_cannot_be_meant_gets_one_line_with_the_place() {
    for (text, parts) in [
        ("", &[][..]),
        ("rules: {}", &[]),
        ("rule: []", &["rule"]),
        (
            "rules: [{callers: [a], methods: ['*'], acounts: []}]",
            &["acounts"],
        ),
        ("rules: [{callers: [a]}]", &["methods"]),
        (
            "rules: [{methods: ['*']}]",
            &["rules[0].callers", "anonymous"],
        ),
        (
            "rules: [{callers: [a], methods: [LookupEvent]}]",
            &["rules[0].methods[0]", "LookupEvents"],
        ),
        (
            "rules: [{callers: ['a*b'], methods: ['*']}]",
            &["callers[0]", "a*b"],
        ),
        (
            "rules: [{callers: ['a**'], methods: ['*']}]",
            &["callers[0]"],
        ),
        ("rules: [{callers: [''], methods: ['*']}]", &["callers[0]"]),
        (
            "rules: [{callers: [a], methods: ['*'], accounts: ['12']}]",
            &["rules[0].accounts[0]", "12 digits"],
        ),
        (
            "rules: [{callers: [a], methods: ['*'], regions: []}]",
            &["rules[0].regions", "leave it out"],
        ),
        (
            "rules: [{callers: [a], methods: ['*'], regions: ['*']}]",
            &["rules[0].regions", "leave it out"],
        ),
    ] {
        let message = Policy::parse(text).unwrap_err().to_string();
        assert!(!message.is_empty() && !message.contains('\n'), "{message}");
        for part in parts {
            assert!(message.contains(part), "{text}: {message}");
        }
    }
}

#[test]
fn methods_are_known_by_their_path() {
    for method in Method::ALL {
        if let Some(service) = method.service() {
            assert_eq!(
                Method::of(&format!("{service}/{}", method.name())),
                Some(method)
            );
        }
    }
    let list = Method::of("trailgate.v1.ReportService/ListReports");
    assert_eq!(list, Some(Method::RunReport));
    for path in [
        "",
        "/",
        "trailgate.v1.EventService/Metrics",
        "trailgate.v1.ReportService/Sql",
        "a.B/LookupEvents",
    ] {
        assert_eq!(Method::of(path), None, "{path}");
    }
}

#[test]
fn who_may_ask_sql_may_run_reports_and_not_the_other_way_round() {
    let text = "
rules:
  - {callers: [a], methods: [Sql]}
  - {callers: [b], methods: [RunReport]}
  - {callers: [c], methods: [LookupEvents]}
";
    let policy = Policy::parse(text).unwrap();
    let has = |name: &str, method| {
        let who = Who::Certificate(name.into());
        policy.rights(&who).unwrap().has(method)
    };
    assert!(has("a", Method::Sql) && has("a", Method::RunReport));
    assert!(has("b", Method::RunReport) && !has("b", Method::Sql));
    assert!(!has("c", Method::RunReport) && !has("a", Method::LookupEvents));
}

#[test]
fn what_is_taken_out_is_not_asked_by_and_a_share_is_as_written() {
    let text = "
rules:
  - callers: [a]
    methods: ['*']
    redact: [requestParameters.password, 'record.tags.a\\.b', record.odd]
    weight: 3
    daily_requests: 0
    subscriptions: 2
    exports: 1
    calls_per_second: 5
  - callers: [b]
    methods: ['*']
  - callers: [c]
    methods: ['*']
    redact: [userIdentity.principalId, readOnly]
";
    let policy = Policy::parse(text).unwrap();
    let rights = |name| policy.rights(&who(Some(name))).unwrap();
    let sees = |name, field| rights(name).sees_field(field);
    for (field, is_seen) in [
        ("requestParameters.password", false),
        ("record.requestParameters.password", false),
        ("requestParameters", false),
        ("requestParameters.password.a", false),
        ("requestParameters.user", true),
        (r"tags.a\.b", false),
        ("tags.a.b", true),
        ("odd", false),
        ("record.odd.x", false),
        // AWS derives them from what may be in there
        ("ResourceName", false),
        ("ResourceType", false),
        ("Username", true),
        ("AccessKeyId", true),
    ] {
        assert_eq!(sees("a", field), is_seen, "{field}");
        assert!(sees("b", field), "{field}");
    }
    for (field, is_seen) in [
        ("Username", false),
        ("ReadOnly", false),
        ("readOnly", false),
        ("EventName", true),
        ("AccessKeyId", true),
        ("ResourceName", false),
    ] {
        assert_eq!(sees("c", field), is_seen, "{field}");
    }
    let share = Share {
        weight: 3,
        daily_requests: Some(0),
        subscriptions: Some(2),
        exports: Some(1),
        calls_per_second: Some(5),
    };
    assert_eq!(rights("a").share(), &share);
    assert_eq!(rights("b").share(), &Share::default());
    // how much may begin does not end what has begun; on what terms it buys does
    for (from, to, is_as) in [
        ("subscriptions: 2", "subscriptions: 3", true),
        ("calls_per_second: 5", "calls_per_second: 6", true),
        ("weight: 3", "weight: 4", false),
        ("daily_requests: 0", "daily_requests: 9", false),
    ] {
        let other = Policy::parse(&text.replace(from, to)).unwrap();
        let other = other.rights(&who(Some("a"))).unwrap();
        assert_eq!(other.is_as(&rights("a")), is_as, "{to}");
        assert_ne!(*other, *rights("a"), "{to}");
    }
    assert!(!rights("b").is_as(&rights("a")));
}

#[test]
fn paths_and_shares_that_cannot_be_meant_are_refused() {
    for (part, says) in [
        (
            "redact: [eventTime]",
            "rules[0].redact[0]: \"eventTime\" places the event",
        ),
        ("redact: [errorCode, record.eventID]", "rules[0].redact[1]"),
        (
            "redact: [sourceIpAddress]",
            "did you mean \"sourceIPAddress\"? (\"record.sourceIpAddress\"",
        ),
        (
            "redact: [zzz.x]",
            "no record is known to have \"zzz\" at its top",
        ),
        ("redact: [EventName]", "is an attribute"),
        ("redact: ['']", "redact[0]: empty"),
        ("redact: [a..b]", "empty segment"),
        ("weight: 0", "rules[0].weight: 0 turns; give 1 to 64"),
        ("weight: 65", "1 to 64"),
        ("subscriptions: 0", "rules[0].subscriptions: 0"),
        ("exports: 0", "rules[0].exports: 0"),
        ("daily_requests: -1", "invalid u64"),
    ] {
        let text = format!("rules: [{{callers: [a], methods: ['*'], {part}}}]");
        let error = Policy::parse(&text).unwrap_err().to_string();
        assert!(error.contains(says), "{part}: {error}");
    }
    let paths: Vec<_> = (0..101).map(|i| format!("p{i}")).collect();
    let text = format!("rules: [{{callers: [a], methods: ['*'], redact: {paths:?}}}]");
    let error = Policy::parse(&text).unwrap_err().to_string();
    assert!(error.contains("101 paths; at most 100"), "{error}");
}

#[test]
fn key_pairs_have_names_of_their_own() {
    let rules =
        "rules:\n- {keys: ['re*'], methods: [LookupEvents]}\n- {callers: [x], methods: [Metrics]}";
    let policy = Policy::parse(rules).unwrap();
    let has = |who: Who| policy.rights(&who).is_some();
    assert!(has(Who::Key("reports".into())) && !has(Who::Key("x".into())));
    // whose certificate has a key's name is another
    assert!(!has(Who::Certificate("reports".into())));
}
