//! The simulator in process, on paused time.

mod behaviour;
mod faults;
mod walks;

use jiff::Timestamp;

use super::{Options, Record, Simulator};
use crate::{
    clock::Clock,
    event::{Attribute, AttributeKey, Category, LookupEvent, Resource, Scope, TimeRange},
    upstream::{CloudTrail, ErrorKind, Page, PageRequest},
};

/// When every test begins.
const NOW: i64 = 1_780_000_000;

fn scope() -> Scope {
    Scope::new("111122223333", "eu-west-1")
}

fn event(id: &str, time: i64) -> LookupEvent {
    LookupEvent {
        event_id: Some(id.to_owned()),
        event_name: Some("GetUser".to_owned()),
        event_source: Some("iam.amazonaws.com".to_owned()),
        event_time: Some(time),
        read_only: Some("true".to_owned()),
        username: Some("ann".to_owned()),
        resources: vec![Resource {
            kind: Some("AWS::IAM::User".to_owned()),
            name: Some("ben".to_owned()),
        }],
        record: Some("{}".to_owned()),
        ..LookupEvent::default()
    }
}

fn simulator(options: Options, events: impl IntoIterator<Item = LookupEvent>) -> Simulator {
    let clock = Clock::at(Timestamp::from_second(NOW).unwrap());
    let records = events
        .into_iter()
        .map(|event| Record::new(scope(), event))
        .collect();
    Simulator::new(options, clock, records)
}

fn unmetered() -> Options {
    Options {
        rate: "0".parse().unwrap(),
        ..Options::default()
    }
}

/// Asks for everything in a stretch.
fn request(from: i64, to: i64) -> PageRequest {
    PageRequest {
        category: Category::Management,
        attribute: None,
        range: TimeRange::new(from, to),
        token: None,
    }
}

fn everything() -> PageRequest {
    request(0, NOW + 1_000_000)
}

fn by(key: AttributeKey, value: &str) -> PageRequest {
    PageRequest {
        attribute: Some(Attribute::new(key, value)),
        ..everything()
    }
}

fn ids(page: &Page) -> Vec<&str> {
    page.events
        .iter()
        .filter_map(|e| e.event_id.as_deref())
        .collect()
}

async fn ask(simulator: &Simulator, request: &PageRequest) -> Page {
    simulator.lookup_events(&scope(), request).await.unwrap()
}

async fn refused(simulator: &Simulator, request: &PageRequest) -> (ErrorKind, String) {
    let error = simulator
        .lookup_events(&scope(), request)
        .await
        .unwrap_err();
    (error.kind, error.code)
}
