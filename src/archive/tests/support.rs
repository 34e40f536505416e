//! What tests make archives and events of.

use std::{collections::BTreeMap, sync::Arc};

use futures_util::TryStreamExt as _;
use object_store::{ObjectStore, memory::InMemory, path::Path};

use super::super::{
    Archive, Options, Partition,
    columns::id_of,
    rows::Rows,
    source::{SMALL, Source},
};
use crate::{
    clock::Clock,
    event::{Event, Origin, Scope, TimeRange},
};

/// All of time.
pub(super) const EVER: TimeRange = TimeRange::new(i64::MIN, i64::MAX);
/// Where archives of tests are.
pub(super) const ROOT: &str = "some/where";

pub(super) fn clock() -> Clock {
    Clock::at("2026-01-02T03:04:05Z".parse().unwrap())
}

pub(super) fn memory() -> Arc<dyn ObjectStore> {
    Arc::new(InMemory::new())
}

pub(super) async fn open(store: &Arc<dyn ObjectStore>) -> Archive {
    open_with(store, &clock(), Options::default()).await
}

pub(super) async fn open_with(
    store: &Arc<dyn ObjectStore>,
    clock: &Clock,
    options: Options,
) -> Archive {
    let opened = Archive::open(store.clone(), Path::from(ROOT), clock.clone(), options);
    opened.await.unwrap()
}

/// An event of a log file, whose number is its id; `more` are further members.
pub(super) fn event(account: &str, number: u32, time: &str, more: &str) -> Arc<Event> {
    let record = format!(
        "{{\"eventID\":\"00000000-0000-4000-8000-{number:012x}\",\"eventTime\":\"{time}\",\
         \"awsRegion\":\"eu-central-1\",\"recipientAccountId\":\"{account}\",\
         \"eventName\":\"Name{number}\"{more}}}"
    );
    let scope = Scope::new("1", "r");
    let event = Event::from_record(&scope, record.as_bytes(), Origin::LogFile, 0);
    Arc::new(event)
}

/// All events of the newest version that is known, read past all that the archive does to
/// read them. No partition may have one twice.
pub(super) async fn all(archive: &Archive) -> Vec<Event> {
    let mut events = Vec::new();
    let snapshot = archive.snapshot();
    let mut seen = BTreeMap::new();
    for file in snapshot.all() {
        let source = Source::open(&archive.0.store, file, SMALL).await.unwrap();
        let stream = source.stream(&source.mask(None), 100).unwrap();
        let batches: Vec<_> = stream.try_collect().await.unwrap();
        let mut rows = 0;
        for batch in &batches {
            let read = Rows::of(batch, &file.partition.scope).unwrap();
            for row in 0..batch.num_rows() {
                let event = read.event(row).unwrap();
                assert_eq!(Partition::of(&event), file.partition);
                assert!(file.times.unwrap().contains(event.time));
                let key = (file.partition.clone(), id_of(&event.identity()));
                if let Some(first) = seen.insert(key, file.path.clone()) {
                    panic!("twice: {event:?}, in {first} and {}", file.path);
                }
                events.push(event);
                rows += 1;
            }
        }
        assert_eq!(file.rows, Some(rows));
    }
    assert_eq!(snapshot.rows(), events.len() as u64);
    sort(&mut events);
    events
}

/// All that reading tells of the scopes of the version that is known, in their order.
pub(super) async fn read(archive: &Archive, range: TimeRange, newest_first: bool) -> Vec<Event> {
    let mut events = Vec::new();
    let snapshot = archive.snapshot();
    for scope in snapshot.scopes() {
        let read = archive.read(scope, range, newest_first);
        let mut read: Vec<Event> = read
            .try_collect::<Vec<_>>()
            .await
            .unwrap()
            .into_iter()
            .flatten()
            .collect();
        if newest_first {
            read.reverse();
        }
        assert!(read.iter().all(|event| event.scope() == *scope));
        events.extend(read);
    }
    events
}

/// By scope, then in the order of events.
pub(super) fn sort(events: &mut [Event]) {
    events.sort_by(|one, other| {
        let by_scope = one.scope().cmp(&other.scope());
        by_scope.then_with(|| one.cmp_position(other))
    });
}

/// Events as they are after they were committed: in order.
pub(super) fn sorted(events: &[Arc<Event>]) -> Vec<Event> {
    let mut events: Vec<_> = events.iter().map(|event| (**event).clone()).collect();
    sort(&mut events);
    events
}
