//! Files, whole and damaged.

use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

use flate2::{Compression, write::GzEncoder};
use tempfile::TempDir;

use super::*;

fn record(id: &str) -> String {
    // spacing and escapes that a rewrite would lose
    format!(
        r#"{{ "eventID":"{id}","eventTime":"2024-05-06T07:08:09Z","awsRegion":"eu-west-1","recipientAccountId":"111122223333","x":1.0,"e":"\u00e9" }}"#
    )
}

fn log_file(ids: &[&str]) -> String {
    let records: Vec<String> = ids.iter().map(|id| record(id)).collect();
    format!("{{\"Records\":[{}]}}", records.join(","))
}

fn event_line(id: &str) -> String {
    let record = serde_json::to_string(&record(id)).unwrap();
    format!(
        r#"{{"EventId":"{id}","EventTime":1714979289,"Username":"ann","CloudTrailEvent":{record}}}"#
    )
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// Loads one file of this name and content: ids and problems.
fn load_one(name: &str, content: &[u8]) -> (Vec<String>, Vec<String>) {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join(name);
    fs::write(&path, content).unwrap();
    let loaded = load(std::slice::from_ref(&path), None);
    assert_eq!(loaded.files, 1);
    let ids = loaded
        .records
        .into_iter()
        .filter_map(|r| r.event.event_id)
        .collect();
    let problems = loaded.problems.into_iter().map(|problem| {
        assert_eq!(problem.path, path);
        problem.what
    });
    (ids, problems.collect())
}

#[test]
fn content_decides_what_a_file_is() {
    let lines = format!("{}\n\n{}\n", event_line("a"), event_line("b"));
    let events = format!("{{\"Events\":[{},{}]}}", event_line("a"), event_line("b"));
    let bare = format!("{}\n{}", record("a"), record("b"));
    let pretty: serde_json::Value = serde_json::from_str(&log_file(&["a", "b"])).unwrap();
    let pretty = serde_json::to_string_pretty(&pretty).unwrap();
    for content in [log_file(&["a", "b"]), lines, events, bare, pretty] {
        for name in ["x.json", "x.jsonl", "x"] {
            let plain = load_one(name, content.as_bytes());
            assert_eq!(
                plain,
                (vec!["a".into(), "b".into()], vec![]),
                "{name}: {content}"
            );
            assert_eq!(
                load_one(&format!("{name}.gz"), &gzip(content.as_bytes())),
                plain
            );
            // packed under a plain name
            assert_eq!(load_one(name, &gzip(content.as_bytes())), plain);
        }
    }
}

#[test]
fn records_keep_every_character() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("x.json.gz");
    fs::write(&path, gzip(log_file(&["a"]).as_bytes())).unwrap();
    let loaded = load(&[path], None);
    assert_eq!(loaded.records[0].event.record, Some(record("a")));
    assert_eq!(
        loaded.records[0].scope,
        Scope::new("111122223333", "eu-west-1")
    );
}

#[test]
fn gzip_may_have_several_members() {
    let whole = log_file(&["a", "b"]);
    let (first, second) = whole.split_at(40);
    let mut packed = gzip(first.as_bytes());
    packed.extend(gzip(second.as_bytes()));
    assert_eq!(load_one("x.gz", &packed).0, ["a", "b"]);
}

#[test]
fn truncated_gzip_gives_what_came_before() {
    // incompressible ids keep the damage inside the last records
    let ids: Vec<String> = (0..400).map(|n| format!("{:016x}", chance(n))).collect();
    let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    let packed = gzip(log_file(&ids).as_bytes());
    let (found, problems) = load_one("x.json.gz", &packed[..packed.len() / 2]);
    assert!(found.len() > 50 && found.len() < 390, "{}", found.len());
    assert_eq!(found, ids[..found.len()]);
    assert_eq!(problems.len(), 2, "{problems:?}");
    assert!(
        problems[0].starts_with("gzip ends too early, after "),
        "{problems:?}"
    );
    let says = format!("the {} records before are used", found.len());
    assert!(problems[1].contains(&says), "{problems:?}");
}

fn chance(n: u64) -> u64 {
    crate::simulator::chance::mix(n)
}

#[test]
fn what_follows_gzip_is_said() {
    let mut packed = gzip(log_file(&["a"]).as_bytes());
    packed.extend(b"longer than the head of a member");
    let (found, problems) = load_one("x.json.gz", &packed);
    assert_eq!(found, ["a"]);
    assert!(problems[0].starts_with("gzip is damaged"), "{problems:?}");
}

#[test]
fn damaged_json_gives_what_came_before_and_says_where() {
    let whole = log_file(&["a", "b", "c"]);
    let cut = whole.rfind("eventTime").unwrap();
    let (found, problems) = load_one("x.json", &whole.as_bytes()[..cut]);
    assert_eq!(found, ["a", "b"]);
    let at = whole.rfind("{ \"eventID").unwrap();
    let says = format!("damaged at byte {at}; the 2 records before are used");
    assert!(
        problems[0].starts_with("JSON ends too early"),
        "{problems:?}"
    );
    assert!(problems[0].contains(&says), "{problems:?}");

    let broken = whole.replacen("\"eventID\":\"b\"", "\"eventID\":b", 1);
    let (found, problems) = load_one("x.json", broken.as_bytes());
    assert_eq!(found, ["a"]);
    assert!(
        problems[0].contains("the 1 records before are used"),
        "{problems:?}"
    );
}

#[test]
fn a_bad_line_is_left_out_and_named() {
    let lines = format!("{}\nnonsense\n{{}}\n{}\n", event_line("a"), event_line("b"));
    let (found, problems) = load_one("x.jsonl", lines.as_bytes());
    assert_eq!(found, ["a", "b"]);
    assert!(problems[0].starts_with("line 2: not JSON"), "{problems:?}");
    assert!(
        problems[1].starts_with("line 3: no readable eventTime"),
        "{problems:?}"
    );
    let (found, problems) = load_one("x.jsonl", "x\n".repeat(100).as_bytes());
    assert_eq!(found, [""; 0]);
    assert_eq!(problems.len(), 6);
    assert_eq!(problems[5], "95 more left out for such reasons");
}

#[test]
fn what_holds_no_records_is_said() {
    for (content, says) in [
        (&b""[..], "empty"),
        (b"  \n", "empty"),
        (
            br#"{"awsAccountId":"1","digestStartTime":"2024-05-06T07:08:09Z"}"#,
            "a digest file",
        ),
        (b"\x00\x01\x02", "line 1: not JSON"),
        (br#"{"Records":{}}"#, "line 1: no readable eventTime"),
    ] {
        let (found, problems) = load_one("x.json", content);
        assert_eq!(found, [""; 0]);
        assert!(problems[0].starts_with(says), "{says}: {problems:?}");
    }
    let (found, problems) = load_one("x.json.gz", log_file(&["a"]).as_bytes());
    assert_eq!(found, ["a"]);
    assert!(
        problems[0].starts_with("not gzip, whatever its name says"),
        "{problems:?}"
    );
    let bytes = log_file(&["a"]).replace("\\u00e9", "#").into_bytes();
    let bytes: Vec<u8> = bytes
        .into_iter()
        .map(|b| if b == b'#' { 0xff } else { b })
        .collect();
    let (found, problems) = load_one("x.json", &bytes);
    assert_eq!(found, ["a"]);
    assert!(
        problems[0].starts_with("not UTF-8 at byte "),
        "{problems:?}"
    );
    let gone = load(&[PathBuf::from("/nonexistent/x.json")], None);
    assert!(gone.problems[0].what.starts_with("cannot be read"));
}

#[test]
fn directories_are_searched_and_places_fill_in() {
    let dir = TempDir::new().unwrap();
    let deep = dir
        .path()
        .join("p/AWSLogs/o-1/444455556666/CloudTrail/eu-north-1/2024/05/06");
    fs::create_dir_all(&deep).unwrap();
    let bare = r#"{"Records":[{"eventID":"d","eventTime":"2024-05-06T07:08:09Z"}]}"#;
    fs::write(deep.join("x.json.gz"), gzip(bare.as_bytes())).unwrap();
    fs::write(dir.path().join("a.jsonl"), event_line("a")).unwrap();
    fs::write(dir.path().join(".hidden"), "nonsense").unwrap();
    let loaded = load(&[dir.path().to_owned()], Some(&Scope::new("9", "r")));
    assert_eq!((loaded.files, loaded.problems), (2, vec![]));
    let scopes: Vec<String> = loaded.records.iter().map(|r| r.scope.to_string()).collect();
    assert_eq!(
        scopes,
        ["111122223333/eu-west-1", "444455556666/eu-north-1"]
    );
}

/// The histories that lie beside the project, where they do.
fn shared(name: &str) -> Option<PathBuf> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../shared/data")
        .join(name);
    if !path.exists() {
        println!("skipped: no {}", path.display());
        return None;
    }
    Some(path)
}

#[test]
fn real_lookup_events_load_whole() {
    let Some(path) = shared("lookup_events.jsonl.gz") else {
        return;
    };
    let loaded = load(&[path], None);
    assert_eq!(loaded.records.len(), 3543);
    assert_eq!(loaded.problems, []);
}

#[test]
fn real_log_files_load_whole() {
    let Some(path) = shared("AWSLogs") else {
        return;
    };
    let loaded = load(&[path], None);
    assert_eq!(loaded.problems, []);
    assert!(
        loaded.files > 200 && loaded.records.len() > 3000,
        "{}",
        loaded.records.len()
    );
}

#[test]
fn altered_records_load_as_far_as_they_have_a_place() {
    let Some(path) = shared("altered_records.json.gz") else {
        return;
    };
    let fallback = Scope::new("111122223333", "us-east-1");
    let loaded = load(&[path], Some(&fallback));
    // some of them have no time
    assert!(loaded.records.len() > 850, "{}", loaded.records.len());
    for Problem { what, .. } in &loaded.problems {
        let known = what.contains("no readable eventTime") || what.contains("more left out");
        assert!(known, "{what}");
    }
}
