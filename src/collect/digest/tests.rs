use super::*;

fn scope() -> Scope {
    Scope::new("111122223333", "eu-west-1")
}

/// 2024-05-06T00:00:00Z
const DAY: i64 = 1_714_953_600;

fn key_of(hour: i64, trail: &str) -> String {
    format!(
        "AWSLogs/111122223333/CloudTrail-Digest/eu-west-1/2024/05/06/111122223333_CloudTrail-Digest_eu-west-1_{trail}_us-east-1_20240506T{hour:02}0130Z.json.gz"
    )
}

fn file(name: &str) -> ObjectRef {
    ObjectRef {
        bucket: "here".into(),
        key: name.into(),
        ..ObjectRef::default()
    }
}

/// The digest of the hour that ends at `hour`:01:30.
fn json_of(hour: i64, files: &[&str]) -> String {
    let files: Vec<String> = files
        .iter()
        .map(|key| {
            format!(
                "{{\"s3Bucket\":\"there\",\"s3Object\":\"{key}\",\"hashValue\":\"{}\",\"hashAlgorithm\":\"SHA-256\",\"newestEventTime\":\"2024-05-06T01:00:00Z\",\"oldestEventTime\":\"2024-05-06T00:50:00Z\"}}",
                "0fA0".repeat(16)
            )
        })
        .collect();
    let before = hour - 1;
    format!(
        "{{\"awsAccountId\":\"111122223333\",\"digestStartTime\":\"2024-05-06T{before:02}:01:30Z\",\"digestEndTime\":\"2024-05-06T{hour:02}:01:30Z\",\"digestS3Bucket\":\"there\",\"digestS3Object\":\"{}\",\"newestEventTime\":null,\"previousDigestS3Bucket\":\"there\",\"previousDigestS3Object\":\"{}\",\"previousDigestHashValue\":\"x\",\"logFiles\":[{}]}}",
        key_of(hour, "t"),
        key_of(before, "t"),
        files.join(",")
    )
}

fn digest(hour: i64, files: &[&str]) -> Digest {
    Digest::read(&file(&key_of(hour, "t")), json_of(hour, files).as_bytes()).unwrap()
}

fn hours(from: i64, to: i64) -> TimeRange {
    TimeRange::new(DAY + from * 3600 + 90, DAY + to * 3600 + 90)
}

fn note(tracker: &mut Tracker, digest: Digest) -> Vec<ObjectRef> {
    let noted = tracker.digest(digest, |_| true);
    assert_eq!(noted.gaps, []);
    noted.missing
}

#[test]
fn a_digest_is_read_and_its_files_are_where_it_was_found() {
    let digest = digest(2, &["a", "b"]);
    assert_eq!((digest.scope, digest.range), (scope(), hours(1, 2)));
    assert_eq!(digest.trail, "t_us-east-1");
    assert_eq!(digest.object, file(&key_of(2, "t")));
    assert_eq!(digest.previous, Some(file(&key_of(1, "t"))));
    let [a, b] = &digest.files[..] else {
        panic!("two files");
    };
    assert_eq!((&a.object, &b.object), (&file("a"), &file("b")));
    assert_eq!(a.hash.unwrap()[..3], [0x0f, 0xa0, 0x0f]);
    assert_eq!((a.oldest, a.newest), (Some(DAY + 3000), Some(DAY + 3600)));
    let good = json_of(2, &["a"]);
    let found = file("k");
    for (from, to, member) in [
        ("\"logFiles\":[{", "\"logFiles\":[1,{", "logFiles"),
        ("\"s3Object\"", "\"s3object\"", "logFiles"),
        ("T02:01:30Z", "T01:01:30Z", "digestEndTime"),
        ("T02:01:30Z", "T02:01", "digestEndTime"),
        ("-06T02:01:30Z", "-09T02:01:30Z", "digestEndTime"),
        ("Id\":\"1111", "Id\":\"2222", "awsAccountId"),
        ("digestS3Object", "d", "digestS3Object"),
        ("digestS3Bucket", "d", "digestS3Bucket"),
    ] {
        let odd = good.replacen(from, to, 1);
        assert_ne!(odd, good);
        assert_eq!(
            Digest::read(&found, odd.as_bytes()),
            Err(Error::Member { member })
        );
    }
    let moved = good.replace("/CloudTrail-Digest/", "/Elsewhere/");
    let error = Digest::read(&found, moved.as_bytes()).unwrap_err();
    assert!(matches!(error, Error::Key { .. }), "{error}");
    for odd in [&b"[1]"[..], b"", b"\xff"] {
        let error = Digest::read(&found, odd).unwrap_err();
        assert!(matches!(error, Error::NotJson { .. }), "{error}");
    }
    let other = good.replace("SHA-256", "MD5");
    let digest = Digest::read(&found, other.as_bytes()).unwrap();
    assert_eq!(digest.files[0].hash, None);
    let first = good.replace(&format!("\"{}\"", key_of(1, "t")), "null");
    assert_eq!(
        Digest::read(&found, first.as_bytes()).unwrap().previous,
        None
    );
}

#[test]
fn an_hour_is_proven_by_all_its_files_in_any_order() {
    let mut tracker = Tracker::new(Limits::default());
    tracker.ingested(&file("a"));
    assert_eq!(tracker.proven(&scope()), None);
    assert_eq!(note(&mut tracker, digest(1, &["a", "b"])), [file("b")]);
    assert_eq!(tracker.proven(&scope()), None);
    // an hour without files is an hour all the same
    assert_eq!(note(&mut tracker, digest(2, &[])), []);
    assert_eq!(tracker.missing(), [file("b")]);
    tracker.ingested(&file("c"));
    tracker.ingested(&file("b"));
    assert_eq!(tracker.proven(&scope()), Some(hours(0, 2)));
    assert_eq!(tracker.watermark(&scope()), Some(hours(0, 2).to - 900));
    assert_eq!(note(&mut tracker, digest(3, &["c"])), []);
    assert_eq!(tracker.proven(&scope()), Some(hours(0, 3)));
    // told again, it changes nothing
    note(&mut tracker, digest(1, &["a", "b"]));
    note(&mut tracker, digest(3, &["c"]));
    assert_eq!(tracker.proven(&scope()), Some(hours(0, 3)));
    assert_eq!((tracker.missing(), tracker.sizes().open), (vec![], 0));
    let elsewhere = Scope::new("111122223333", "eu-west-2");
    assert_eq!(tracker.proven(&elsewhere), None);
}

#[test]
fn a_hole_in_the_chain_stops_it_until_the_digest_comes() {
    let mut tracker = Tracker::new(Limits::default());
    note(&mut tracker, digest(1, &[]));
    note(&mut tracker, digest(3, &[]));
    note(&mut tracker, digest(4, &["x"]));
    assert_eq!(tracker.proven(&scope()), Some(hours(0, 1)));
    assert_eq!(tracker.missing(), [file(&key_of(2, "t")), file("x")]);
    note(&mut tracker, digest(2, &["y"]));
    tracker.ingested(&file("x"));
    assert_eq!(tracker.proven(&scope()), Some(hours(0, 1)));
    tracker.ingested(&file("y"));
    assert_eq!(tracker.proven(&scope()), Some(hours(0, 4)));
    // in time, but it follows another one
    let mut odd = digest(5, &[]);
    odd.previous = Some(file("forged"));
    note(&mut tracker, odd);
    assert_eq!(tracker.proven(&scope()), Some(hours(0, 4)));
    assert_eq!(tracker.missing(), [file("forged")]);
    let gap = tracker.lost(&file("forged"));
    assert_eq!((gap.len(), gap[0].range.seconds()), (1, 0));
    assert_eq!(tracker.proven(&scope()), Some(hours(4, 5)));
}

#[test]
fn what_is_gone_for_good_is_a_gap_and_the_chain_starts_anew() {
    let mut tracker = Tracker::new(Limits::default());
    note(&mut tracker, digest(1, &[]));
    note(&mut tracker, digest(2, &["gone"]));
    note(&mut tracker, digest(3, &[]));
    assert_eq!(tracker.lost(&file("other")), []);
    let gap = |range| Gap {
        scope: scope(),
        range,
    };
    assert_eq!(tracker.lost(&file("gone")), [gap(hours(1, 2))]);
    assert_eq!(tracker.proven(&scope()), Some(hours(2, 3)));
    note(&mut tracker, digest(5, &[]));
    let lost = tracker.lost(&file(&key_of(4, "t")));
    assert_eq!(lost, [gap(hours(3, 4))]);
    assert_eq!(tracker.proven(&scope()), Some(hours(4, 5)));
}

#[test]
fn where_a_chain_starts_anew_nothing_is_waited_for() {
    for previous in [None, Some(file(&key_of(2, "t")))] {
        let mut tracker = Tracker::new(Limits::default());
        note(&mut tracker, digest(2, &[]));
        let mut anew = digest(5, &["a"]);
        anew.previous = previous;
        let noted = tracker.digest(anew, |_| true);
        let gap = Gap {
            scope: scope(),
            range: hours(2, 4),
        };
        assert_eq!((noted.missing, noted.gaps), (vec![file("a")], vec![gap]));
        assert_eq!(tracker.proven(&scope()), None);
        tracker.ingested(&file("a"));
        assert_eq!(tracker.proven(&scope()), Some(hours(4, 5)));
    }
}

#[test]
fn several_trails_must_agree_and_what_is_not_collected_is_not_waited_for() {
    let mut tracker = Tracker::new(Limits::default());
    note(&mut tracker, digest(1, &[]));
    note(&mut tracker, digest(2, &[]));
    let other = Digest {
        trail: "u".into(),
        ..digest(1, &["mine", "insight"])
    };
    let noted = tracker.digest(other, |file| file.key != "insight");
    assert_eq!(noted.missing, [file("mine")]);
    assert_eq!(tracker.proven(&scope()), None);
    tracker.ingested(&file("mine"));
    assert_eq!(tracker.proven(&scope()), Some(hours(0, 1)));
    let late = Digest {
        is_backfill: true,
        ..digest(1, &["late"])
    };
    assert_eq!(note(&mut tracker, late), [file("late")]);
    assert_eq!(tracker.missing(), []);
}

#[test]
fn everything_is_bounded() {
    let limits = Limits {
        ingested: 3,
        open: 4,
        waiting: 3,
        chains: 2,
        ..Limits::default()
    };
    let mut tracker = Tracker::new(limits);
    for name in ["a", "b", "c", "d"] {
        tracker.ingested(&file(name));
    }
    assert_eq!(tracker.sizes().ingested, 3);
    let gap = |range| Gap {
        scope: scope(),
        range,
    };
    let noted = tracker.digest(digest(1, &["a"]), |_| true);
    assert_eq!(noted.missing, [file("a")], "forgotten, so fetched again");
    for hour in 2..=3 {
        assert_eq!(tracker.digest(digest(hour, &[]), |_| true).gaps, []);
    }
    let noted = tracker.digest(digest(4, &["e"]), |_| true);
    assert_eq!(noted.gaps, [gap(hours(0, 1))]);
    assert_eq!(tracker.proven(&scope()), Some(hours(1, 3)));
    let noted = tracker.digest(digest(5, &["1", "2", "3", "4", "5"]), |_| true);
    assert_eq!(noted.gaps, [gap(hours(3, 4)), gap(hours(4, 5))]);
    assert_eq!(tracker.sizes().open, 0);
    for trail in ["u", "v", "w"] {
        let other = Digest {
            trail: trail.into(),
            ..digest(6, &["z"])
        };
        tracker.digest(other, |_| true);
        let sizes = tracker.sizes();
        assert!(sizes.chains <= 2 && sizes.open <= 4);
    }
}
