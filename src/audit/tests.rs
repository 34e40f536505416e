use std::fs;

use jiff::Timestamp;
use serde_json::{Value, json};

use super::*;

fn lines(path: &Path) -> Vec<Value> {
    let text = fs::read_to_string(path).unwrap();
    let lines = text.lines().map(serde_json::from_str);
    lines.collect::<Result<_, _>>().unwrap()
}

fn peer() -> SocketAddr {
    "192.0.2.1:7".parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn refused_calls_without_end_have_some_lines_and_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let log = Log::open(path.clone(), Clock::system()).unwrap();
    let call = |peer: &str, is_refused: bool| {
        let mut trail = Trail::new(log.clone(), peer.parse().unwrap(), "a.B/C");
        trail.refused = is_refused.then(|| "the token's signature is wrong".to_owned());
        trail.ends("UNAUTHENTICATED", Duration::ZERO);
    };
    for port in 1..=1000 {
        call(&format!("192.0.2.1:{port}"), true);
    }
    // others have lines of their own, and whoever is let in has each
    call("192.0.2.2:1", true);
    for _ in 0..100 {
        call("192.0.2.1:1", false);
    }
    log.flush().await;
    let lines = lines(&path);
    let refused = usize::try_from(REFUSED).unwrap();
    assert_eq!(lines.len(), refused + 1 + 100);
    let before: Vec<_> = lines
        .iter()
        .map(|line| line.get("refused_before"))
        .collect();
    assert_eq!(lines[0]["reason"], "the token's signature is wrong");
    assert_eq!(lines[refused + 1].get("reason"), None);
    let untold = json!(1000 - refused);
    assert_eq!(before[refused], Some(&untold));
    assert_eq!(before.iter().flatten().count(), 1);
}

#[test]
fn what_a_file_did_not_take_is_in_the_next() {
    struct Full;
    impl Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::StorageFull.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let mut out = Out {
        buffer: io::BufWriter::new(Box::new(Full)),
        has_complained: false,
    };
    out.write(b"one\n").unwrap();
    out.flush(&path);
    assert!(out.has_complained);
    out.reopen(&path);
    out.flush(&path);
    assert!(!out.has_complained);
    assert_eq!(fs::read_to_string(&path).unwrap(), "one\n");
}

#[tokio::test]
async fn a_call_is_a_line_and_a_stream_is_two() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let log = Log::open(path.clone(), Clock::system()).unwrap();
    let mut trail = Trail::new(
        log.clone(),
        peer(),
        "trailgate.v1.EventService/ExportEvents",
    );
    trail.who = Some(Who::Certificate("spiffe://example.org/one".into()));
    trail
        .notes
        .asked(r#"{"accountIds": ["111122223333"]}"#.to_owned());
    trail.begins();
    trail.notes.told(3);
    trail.notes.told(4);
    trail.notes.requests().fetch_add(2, Relaxed);
    trail.ends("OK", Duration::from_millis(1500));
    Trail::new(log.clone(), peer(), &"é".repeat(1000)).ends("UNAUTHENTICATED", Duration::ZERO);
    log.flush().await;
    let mut lines = lines(&path);
    for line in &mut lines {
        let time = line.as_object_mut().unwrap().remove("time").unwrap();
        let time = time.as_str().unwrap();
        assert!(
            time.parse::<Timestamp>().is_ok() && time.ends_with('Z'),
            "{time}"
        );
    }
    let call = json!({
        "caller": "spiffe://example.org/one", "identity": "certificate", "peer": "192.0.2.1:7",
        "method": "trailgate.v1.EventService/ExportEvents",
        "asked": {"accountIds": ["111122223333"]},
    });
    let with = |more: Value| {
        let mut line = call.clone();
        line.as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        line
    };
    assert_eq!(
        lines[0],
        with(json!({"phase": "begin", "events": 0, "requests": 0}))
    );
    let end = json!({"phase": "end", "code": "OK", "events": 7, "requests": 2, "seconds": 1.5});
    assert_eq!(lines[1], with(end));
    let unknown = json!({
        "phase": "end", "peer": "192.0.2.1:7", "method": "é".repeat(MAX_METHOD),
        "code": "UNAUTHENTICATED", "events": 0, "requests": 0, "seconds": 0.0,
    });
    assert_eq!(lines[2], unknown);
    assert_eq!(lines.len(), 3);
    assert_eq!(log.lost(), 0);
}

#[tokio::test]
async fn a_long_question_is_cut_short() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let log = Log::open(path.clone(), Clock::system()).unwrap();
    let trail = Trail::new(log.clone(), peer(), "M");
    let asked = json!({"a": "é".repeat(MAX_ASKED)}).to_string();
    trail.notes.asked(asked.clone());
    trail.ends("OK", Duration::ZERO);
    log.flush().await;
    let line = &lines(&path)[0];
    assert!(line.get("asked").is_none());
    let beginning = line["asked_beginning"].as_str().unwrap();
    assert!(asked.starts_with(beginning) && beginning.len() > MAX_ASKED - 4);
    assert!(beginning.len() <= MAX_ASKED);
}

#[tokio::test]
async fn a_file_that_was_moved_away_is_begun_anew_when_told_so() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("audit.jsonl");
    let moved = dir.path().join("moved.jsonl");
    fs::write(&path, "{\"before\": true}\n").unwrap();
    let log = Log::open(path.clone(), Clock::system()).unwrap();
    let call = |name: &str| Trail::new(log.clone(), peer(), name).ends("OK", Duration::ZERO);
    call("one");
    log.flush().await;
    fs::rename(&path, &moved).unwrap();
    call("two");
    log.reopen();
    call("three");
    log.flush().await;
    let methods = |path| -> Vec<Value> {
        let lines = lines(path);
        lines.iter().map(|line| line["method"].clone()).collect()
    };
    assert_eq!(methods(&moved), [Value::Null, json!("one"), json!("two")]);
    assert_eq!(methods(&path), [json!("three")]);
    // one that cannot be opened again leaves the one that is open
    fs::rename(&path, &moved).unwrap();
    fs::create_dir(&path).unwrap();
    log.reopen();
    call("four");
    log.flush().await;
    assert_eq!(methods(&moved), [json!("three"), json!("four")]);
    assert_eq!(log.lost(), 0);
}

#[test]
fn a_file_that_cannot_be_opened_is_named() {
    let error = Log::open("/".into(), Clock::system())
        .unwrap_err()
        .to_string();
    assert!(error.starts_with("--audit-log /: "), "{error}");
}

#[tokio::test]
async fn what_finds_the_queue_full_is_counted() {
    let (queue, lines) = sync_channel(1);
    let log = Log {
        queue,
        lost: Arc::default(),
        refused: Arc::default(),
        clock: Clock::system(),
    };
    for _ in 0..3 {
        Trail::new(log.clone(), peer(), "M").ends("OK", Duration::ZERO);
    }
    assert_eq!(log.lost(), 2);
    assert!(matches!(lines.try_recv(), Ok(Message::Line(_))));
}
