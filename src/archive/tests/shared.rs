//! The records that stand beside the repository: each comes back as it went.

use std::{
    fs::File,
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    sync::Arc,
};

use flate2::read::MultiGzDecoder;
use serde_json::value::RawValue;

use super::support::{all, memory, open, sorted};
use crate::event::{Event, LookupEvent, Origin, Places, Resource, Scope, json};

fn shared() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data");
    let found = Some(beside).filter(|path| path.join("AWSLogs").is_dir());
    if found.is_none() {
        eprintln!("SKIPPED: ../shared/data is not there");
    }
    found
}

fn read(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    MultiGzDecoder::new(File::open(path).unwrap())
        .read_to_end(&mut bytes)
        .unwrap();
    bytes
}

fn log_files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            log_files(&path, into);
        } else {
            into.push(path);
        }
    }
}

/// The events of a log file's text.
fn records(text: &str) -> Vec<Arc<Event>> {
    let members = json::members(text).unwrap();
    let (_, records) = members
        .into_iter()
        .find(|(key, _)| key == "Records")
        .unwrap();
    let scope = Scope::new("111111111111", "us-east-1");
    let event = |record: &RawValue| {
        Arc::new(Event::from_record(
            &scope,
            record.get().as_bytes(),
            Origin::LogFile,
            1,
        ))
    };
    json::array(records.get())
        .unwrap()
        .into_iter()
        .map(event)
        .collect()
}

/// Commits events, and checks that all come back, in all their parts.
async fn check(events: &[Arc<Event>]) {
    let store = memory();
    let archive = open(&store).await;
    let done = archive.commit(events, None).await.unwrap();
    let mut once: Vec<Arc<Event>> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for event in events {
        let day = event.time.div_euclid(86_400);
        if seen.insert((event.scope(), day, event.identity())) {
            once.push(event.clone());
        }
    }
    assert_eq!(
        (done.added, done.added + done.repeated),
        (once.len(), events.len())
    );
    let there = all(&archive).await;
    let expected = sorted(&once);
    assert_eq!(there.len(), expected.len());
    for (there, expected) in there.iter().zip(&expected) {
        assert_eq!(there.parts(), expected.parts());
        assert_eq!(there, expected);
    }
}

#[tokio::test]
async fn log_files_come_back() {
    let Some(shared) = shared() else { return };
    let mut paths = Vec::new();
    log_files(&shared.join("AWSLogs"), &mut paths);
    paths.sort();
    let mut events = Vec::new();
    for path in paths {
        events.extend(records(str::from_utf8(&read(&path)).unwrap()));
    }
    assert!(events.len() > 1000);
    check(&events).await;
}

#[tokio::test]
async fn records_of_every_odd_shape_come_back() {
    let Some(shared) = shared() else { return };
    let text = read(&shared.join("altered_records.json.gz"));
    let events = records(str::from_utf8(&text).unwrap());
    assert!(events.len() > 100);
    check(&events).await;
}

#[tokio::test]
async fn what_the_api_answered_comes_back() {
    let Some(shared) = shared() else { return };
    let lines = BufReader::new(MultiGzDecoder::new(
        File::open(shared.join("lookup_events.jsonl.gz")).unwrap(),
    ));
    let mut events = Vec::new();
    for line in lines.lines() {
        let line: serde_json::Value = serde_json::from_str(&line.unwrap()).unwrap();
        let text = |name: &str| line[name].as_str().map(str::to_owned);
        let record = text("CloudTrailEvent").unwrap();
        let places = Places::of(&record);
        let resources = line["Resources"].as_array().into_iter().flatten();
        let api = LookupEvent {
            event_id: text("EventId"),
            event_name: text("EventName"),
            event_source: text("EventSource"),
            event_time: line["EventTime"].as_i64(),
            read_only: text("ReadOnly"),
            access_key_id: text("AccessKeyId"),
            username: text("Username"),
            resources: resources
                .map(|resource| Resource {
                    kind: resource["ResourceType"].as_str().map(str::to_owned),
                    name: resource["ResourceName"].as_str().map(str::to_owned),
                })
                .collect(),
            record: Some(record),
        };
        let region = places.region.unwrap_or_default();
        // and of another scope than the record says
        for scope in [
            Scope::new(&places.account_id.unwrap_or_default(), &region),
            Scope::new("9", "x"),
        ] {
            events.push(Arc::new(Event::from_lookup(&scope, api.clone(), 1)));
        }
    }
    assert!(events.len() > 100);
    check(&events).await;
}
