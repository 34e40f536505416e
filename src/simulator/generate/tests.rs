//! Made-up events, looked at from outside.

use std::collections::{HashMap, HashSet};

use super::*;
use crate::simulator::Record;

const TO: i64 = 1_780_000_000;
const FROM: i64 = TO - 90 * 86_400;

fn generator(seed: u64, accounts: &[&str], regions: &[&str]) -> Generator {
    let own = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
    Generator::new(seed, &own(accounts), &own(regions))
}

fn events(generator: &Generator, n: u64) -> Vec<(Scope, LookupEvent)> {
    (0..n)
        .map(|number| {
            let time = generator.time(number, FROM, TO);
            assert!((FROM..=TO).contains(&time));
            let (scope, event) = generator.event(number, time, true).unwrap();
            (scope.clone(), event)
        })
        .collect()
}

#[test]
fn the_same_seed_makes_the_same_events() {
    let of_seed = |seed| {
        let generator = generator(seed, &["111122223333", "444455556666"], &DEFAULT_REGIONS);
        events(&generator, 600)
    };
    assert_eq!(of_seed(5), of_seed(5));
    assert_ne!(of_seed(5), of_seed(6));
}

#[test]
fn without_its_record_an_event_is_otherwise_the_same() {
    let generator = generator(1, &["111122223333"], &["eu-west-1"]);
    for number in 0..300 {
        let (_, full) = generator.event(number, TO, true).unwrap();
        let (_, bare) = generator.event(number, TO, false).unwrap();
        assert_eq!(
            bare,
            LookupEvent {
                record: None,
                ..full
            }
        );
    }
}

#[test]
fn an_event_says_what_its_record_says() {
    let generator = generator(2, &["111122223333", "444455556666"], &DEFAULT_REGIONS);
    for (scope, event) in events(&generator, 3000) {
        let text = event.record.clone().unwrap();
        let read = Record::from_text(&text, None).expect(&text);
        assert_eq!(read.scope, scope);
        // those that AWS derives are not in every record
        let resources = match read.event.resources.as_slice() {
            [] => event.resources.clone(),
            named => named.to_vec(),
        };
        assert_eq!(
            LookupEvent {
                resources,
                ..read.event
            },
            event
        );
        serde_json::from_str::<serde_json::Value>(&text).expect(&text);
        assert!(!text.contains('$'), "{text}");
    }
}

#[test]
fn histories_are_believable() {
    let generator = generator(3, &["111122223333"], &DEFAULT_REGIONS);
    let events = events(&generator, 20_000);
    let ids: HashSet<_> = events.iter().map(|(_, e)| e.event_id.clone()).collect();
    assert_eq!(ids.len(), events.len());
    let records: Vec<&str> = events
        .iter()
        .map(|(_, e)| e.record.as_deref().unwrap())
        .collect();
    let share = |what: &str| {
        let n = records
            .iter()
            .filter(|record| record.contains(what))
            .count();
        n * 1000 / records.len()
    };
    for (what, least, most) in [
        ("\"type\":\"AssumedRole\"", 550, 700),
        ("\"type\":\"AWSService\"", 130, 260),
        ("\"type\":\"IAMUser\"", 120, 250),
        ("\"type\":\"Root\"", 1, 20),
        ("\"errorMessage\"", 80, 150),
        ("\"readOnly\":false", 90, 300),
        ("\"awsRegion\":\"us-east-1\"", 400, 650),
        ("ec2.amazonaws.com", 150, 400),
    ] {
        let share = share(what);
        assert!(
            (least..=most).contains(&share),
            "{what}: {share} in a thousand"
        );
    }
    let mut seconds: HashMap<i64, u32> = HashMap::new();
    for (_, event) in &events {
        *seconds.entry(event.event_time.unwrap()).or_default() += 1;
    }
    assert!(seconds.values().max().unwrap() > &20, "bursts");
    for (scope, event) in &events {
        let global = matches!(event.event_source.as_deref(), Some("iam.amazonaws.com"));
        assert!(!global || &*scope.region == GLOBAL_REGION);
    }
}

#[test]
fn addresses_are_nobodys() {
    let generator = generator(4, &["111122223333"], &DEFAULT_REGIONS);
    for (_, event) in events(&generator, 2000) {
        let record: serde_json::Value = serde_json::from_str(&event.record.unwrap()).unwrap();
        let address = record["sourceIPAddress"].as_str().unwrap();
        assert!(
            ["192.0.2.", "198.51.100.", "203.0.113.", "10."]
                .iter()
                .any(|net| address.starts_with(net))
                || address.ends_with(".amazonaws.com"),
            "{address}"
        );
    }
}

#[test]
fn without_us_east_1_there_are_no_global_events() {
    let generator = generator(5, &["111122223333"], &["eu-west-1"]);
    for (scope, event) in events(&generator, 2000) {
        assert_eq!(&*scope.region, "eu-west-1");
        let root = event.username.as_deref() == Some("root");
        assert!(root || event.event_source.as_deref() != Some("iam.amazonaws.com"));
    }
}
