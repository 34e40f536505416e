use super::*;

/// 2024-05-06T07:08:00Z
const TIME: i64 = 1_714_979_280;

fn scope() -> Scope {
    Scope::new("111122223333", "eu-west-1")
}

fn log_file(root: &str) -> String {
    format!(
        "{root}111122223333/CloudTrail/eu-west-1/2024/05/06/111122223333_CloudTrail_eu-west-1_20240506T0708Z_Ab3dEfGh1jKlMn0p.json.gz"
    )
}

#[test]
fn four_layouts_and_prefixes_that_look_like_one() {
    for (root, organisation) in [
        ("AWSLogs/", None),
        ("some/prefix/AWSLogs/", None),
        ("AWSLogs/o-exampleorg1/", Some("o-exampleorg1")),
        ("some/prefix/AWSLogs/o-exampleorg1/", Some("o-exampleorg1")),
        // copied elsewhere
        ("", None),
        // a prefix that somebody chose
        ("CloudTrail/AWSLogs/", None),
        (
            "999900001111/CloudTrail/us-east-1/2020/01/01/AWSLogs/",
            None,
        ),
        ("//AWSLogs/", None),
    ] {
        let key = ObjectKey::parse(&log_file(root));
        assert_eq!(key.kind, Kind::LogFile, "{root}");
        let place = key.place.unwrap();
        assert_eq!(place.scope, scope());
        assert_eq!(place.organisation.as_deref(), organisation);
        assert_eq!((place.time, place.is_backfill), (TIME, false));
        assert_eq!(place.root.as_str(), root);
    }
}

#[test]
fn kinds_by_their_segment() {
    for (segment, kind) in [
        ("CloudTrail", Kind::LogFile),
        ("CloudTrail-Insight", Kind::Insight),
        ("CloudTrail-NetworkActivity", Kind::NetworkActivity),
        ("CloudTrail-Aggregated", Kind::Aggregated),
        ("CloudTrail-Tomorrow", Kind::Other),
    ] {
        let key = log_file("AWSLogs/")
            .replace("/CloudTrail/", &format!("/{segment}/"))
            .replace("_CloudTrail_", &format!("_{segment}_"));
        assert_eq!(ObjectKey::parse(&key).kind, kind);
    }
    assert_eq!(Kind::Insight.category(), Some(Category::Insight));
    assert_eq!(Kind::NetworkActivity.category(), None);
    assert!(Kind::Aggregated.has_records() && !Kind::Digest.has_records());
}

#[test]
fn digests_have_a_trail_and_seconds() {
    let of = |tail: &str| {
        let key = format!(
            "p/AWSLogs/o-exampleorg1/111122223333/CloudTrail-Digest/eu-west-1/2024/05/06/111122223333_CloudTrail-Digest_eu-west-1_my_odd-trail_us-east-1_{tail}.json.gz"
        );
        ObjectKey::parse(&key)
    };
    let key = of("20240506T070809Z");
    assert_eq!((key.kind, key.scope()), (Kind::Digest, Some(&scope())));
    let place = key.place.unwrap();
    assert_eq!((place.time, place.is_backfill), (TIME + 9, false));
    assert_eq!(place.trail.as_deref(), Some("my_odd-trail_us-east-1"));
    let place = of("20240506T070809Z_backfill").place.unwrap();
    assert_eq!((place.time, place.is_backfill), (TIME + 9, true));
    assert_eq!(of("20240506T070809Z_other").kind, Kind::Other);
}

#[test]
fn keys_that_look_alike_are_other() {
    let good = log_file("AWSLogs/");
    for (from, to) in [
        ("/CloudTrail/", "/CloudTrailish/"),
        ("/CloudTrail/", "/cloudtrail/"),
        ("/CloudTrail/", "/Config/"),
        ("/CloudTrail/", "/CloudTrail/extra/"),
        ("AWSLogs/111122223333/", "AWSLogs/"),
        ("AWSLogs/111122223333/", "AWSLogs/11112222333/"),
        ("AWSLogs/111122223333/", "AWSLogs/1111222233xx/"),
        ("AWSLogs/111122223333/", "AWSLogs/444455556666/"),
        ("/eu-west-1/", "/us-east-1/"),
        ("/eu-west-1/", "/EU-west-1/"),
        ("/eu-west-1/", "//"),
        ("2024/05/06", "2024/05/07"),
        ("2024/05/06", "2024/5/6"),
        ("T0708Z", "T2508Z"),
        ("T0708Z", "T070Z"),
        ("T0708Z", "T+708Z"),
        ("T0708Z", "T0708"),
        ("20240506T", "20241306T"),
        (".json.gz", ".json"),
        (".json.gz", ".json.gz/"),
        (".json.gz", ".json.gz.tmp"),
        ("_CloudTrail_", "_CloudTrail-Digest_"),
    ] {
        let key = good.replacen(from, to, 1);
        assert_ne!(key, good);
        let parsed = ObjectKey::parse(&key);
        assert_eq!((parsed.kind, parsed.place), (Kind::Other, None), "{key}");
    }
    for key in [
        "",
        "/",
        "//////",
        "CloudTrail",
        "AWSLogs/111122223333/CloudTrail/",
        "AWSLogs/111122223333/CloudTrail/eu-west-1/2024/05/06/",
        "AWSLogs/111122223333/vpcflowlogs/eu-west-1/2024/05/06/111122223333_vpcflowlogs_eu-west-1_fl-1_20240506T0708Z_a.log.gz",
        "AWSLogs/111122223333/CloudTrail/eu-west-1/2024/05/06/ü.json.gz",
    ] {
        assert_eq!(ObjectKey::parse(key).kind, Kind::Other, "{key}");
    }
}

#[test]
fn keys_of_a_time_lie_where_they_are_looked_for() {
    let key = log_file("p/AWSLogs/o-exampleorg1/");
    let place = ObjectKey::parse(&key).place.unwrap();
    let root = place.root;
    assert_eq!(root, Root::new("/p/", Some("o-exampleorg1")));
    assert_eq!(Root::new("", None).as_str(), "AWSLogs/");
    let kind = Kind::LogFile;
    let day = root.day(kind, &scope(), TIME).unwrap();
    assert!(key.starts_with(&day) && day.starts_with(&root.scope(kind, &scope())));
    let after = |second| root.start_after(kind, &scope(), second).unwrap();
    assert!(after(TIME) < key && after(TIME + 59) < key);
    assert!(key < after(TIME + 60) && after(TIME - 60) < after(TIME));
    let with_seconds = key.replace("T0708Z", "T070800Z");
    assert_eq!(ObjectKey::parse(&with_seconds).kind, kind);
    assert!(after(TIME) < with_seconds && with_seconds < after(TIME + 60));
    assert!(after(TIME - 8 * 3600) < day, "the day before");
    let digests = root.start_after(Kind::Digest, &scope(), TIME).unwrap();
    assert!(digests.ends_with("/CloudTrail-Digest/eu-west-1/2024/05/06/"));
    assert_eq!(root.day(kind, &scope(), i64::MAX), None);
}
