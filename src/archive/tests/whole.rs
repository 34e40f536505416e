//! Commits and what comes of them.

use std::time::Duration;

use bytes::Bytes;
use object_store::{ObjectStoreExt as _, path::Path};

use super::{
    super::{Archive, Error, Options},
    stage::{Fault, Plan, Stage},
    support::{all, clock, event, memory, open, open_with, sorted},
};

const DAY: &str = "2026-01-01T10:00:00Z";
const NEXT: &str = "2026-01-02T00:00:00Z";

#[tokio::test(start_paused = true)]
async fn what_was_committed_is_there_once_and_with_its_state() {
    let store = memory();
    let archive = open(&store).await;
    assert_eq!(archive.snapshot().version(), 0);
    assert_eq!(archive.state(), None);
    let events = [
        event("1", 1, DAY, ""),
        event("1", 2, NEXT, ""),
        event("2", 1, DAY, ""),
    ];
    let state = Some(Bytes::from_static(b"one"));
    let given = [&events[..], &events[..1]].concat();
    let done = archive.commit(&given, state.clone()).await.unwrap();
    assert_eq!((done.version, done.added, done.repeated), (1, 3, 1));
    assert_eq!(done.files, 3);
    assert_eq!(all(&archive).await, sorted(&events));
    // again, by another writer, that knows nothing
    let other = open(&store).await;
    assert_eq!(other.state(), state);
    let more = [events[0].clone(), event("1", 3, DAY, "")];
    let done = other
        .commit(&more, Some(Bytes::from_static(b"two")))
        .await
        .unwrap();
    assert_eq!((done.version, done.added, done.repeated), (2, 1, 1));
    // and by the first, that knows nothing of that
    let done = archive.commit(&more, None).await.unwrap();
    assert_eq!((done.version, done.added, done.repeated), (2, 0, 2));
    assert_eq!(archive.state().as_deref(), Some(&b"two"[..]));
    assert_eq!(all(&archive).await.len(), 4);
    // nothing, and a state alone
    let done = archive.commit(&[], None).await.unwrap();
    assert_eq!(done.version, 2);
    let done = archive
        .commit(&[], Some(Bytes::from_static(b"3")))
        .await
        .unwrap();
    assert_eq!(done.version, 3);
    assert_eq!(open(&store).await.state().as_deref(), Some(&b"3"[..]));
}

#[tokio::test(start_paused = true)]
async fn a_correction_replaces_and_any_other_reuse_of_an_id_does_not() {
    let store = memory();
    let archive = open(&store).await;
    let [first, second] = [event("1", 1, DAY, ""), event("1", 2, DAY, "")];
    archive
        .commit(&[first.clone(), second.clone()], None)
        .await
        .unwrap();
    let reused = event("1", 1, DAY, ",\"a\":1");
    let done = archive
        .commit(std::slice::from_ref(&reused), None)
        .await
        .unwrap();
    assert_eq!((done.version, done.added), (1, 0));
    let corrected = event("1", 1, DAY, ",\"addendum\":{\"reason\":\"UPDATED_DATA\"}");
    let given = [reused.clone(), corrected.clone(), first.clone()];
    let done = archive.commit(&given, None).await.unwrap();
    assert_eq!((done.added, done.corrections, done.repeated), (1, 1, 2));
    assert_eq!(all(&archive).await, sorted(&[corrected.clone(), second]));
    // again, and what it corrected
    let done = open(&store)
        .await
        .commit(&[corrected, first], None)
        .await
        .unwrap();
    assert_eq!((done.version, done.added), (2, 0));
    // all that a file had is replaced
    let alone = event("2", 1, DAY, "");
    archive.commit(&[alone], None).await.unwrap();
    let corrected = event("2", 1, DAY, ",\"addendum\":{}");
    let done = archive.commit(&[corrected], None).await.unwrap();
    assert_eq!((done.files, done.corrections), (1, 1));
    assert_eq!(all(&archive).await.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn checkpoints_sum_up() {
    let store = memory();
    let options = Options {
        checkpoint_every: 3,
        ..Options::default()
    };
    let archive = open_with(&store, &clock(), options.clone()).await;
    let mut events = Vec::new();
    for number in 0..10 {
        events.push(event("1", number, DAY, ""));
        let last = events.last().unwrap().clone();
        let state = format!("state {number}");
        archive.commit(&[last], Some(state.into())).await.unwrap();
    }
    let corrected = event("1", 1, DAY, ",\"addendum\":{}");
    archive
        .commit(std::slice::from_ref(&corrected), None)
        .await
        .unwrap();
    let log = Path::from("some/where/_delta_log");
    let last = log.clone().join("_last_checkpoint");
    let last = store.get(&last).await.unwrap().bytes().await.unwrap();
    let last: serde_json::Value = serde_json::from_slice(&last).unwrap();
    assert_eq!(last["version"], 9);
    // the commits before it are not read
    for version in 0..9 {
        let path = log.clone().join(format!("{version:020}.json"));
        store.delete(&path).await.unwrap();
    }
    let again = open_with(&store, &clock(), options.clone()).await;
    assert_eq!(again.snapshot().version(), 11);
    assert_eq!(again.state().as_deref(), Some(&b"state 9"[..]));
    events[1] = corrected;
    assert_eq!(all(&again).await, sorted(&events));
    let files = |archive: &Archive| archive.snapshot().all().cloned().collect::<Vec<_>>();
    let (mut one, mut other) = (files(&archive), files(&again));
    one.sort_by(|a, b| a.path.cmp(&b.path));
    other.sort_by(|a, b| a.path.cmp(&b.path));
    assert_eq!(one, other);
}

#[tokio::test(start_paused = true)]
async fn what_is_read_only_is_not_written() {
    let store = memory();
    let root = Path::from("some/where");
    let open_to_read =
        || Archive::open_to_read(store.clone(), root.clone(), clock(), Options::default());
    let missing = open_to_read().await.unwrap_err();
    assert!(matches!(missing, Error::Missing { .. }), "{missing}");
    open(&store).await;
    let archive = open_to_read().await.unwrap();
    let refused = archive.commit(&[], Some(Bytes::new())).await.unwrap_err();
    assert!(matches!(refused, Error::ReadOnly), "{refused}");
}

#[tokio::test(start_paused = true)]
async fn who_is_dropped_on_the_way_leaves_nothing_half_known() {
    let clock = clock();
    let stage = Stage::new(&clock);
    let [one, other] = [
        open_with(&stage.store(), &clock, Options::default()).await,
        open_with(&stage.store(), &clock, Options::default()).await,
    ];
    for round in 0..12_u8 {
        let event = event("1", round.into(), DAY, "");
        let state = Bytes::from(vec![round]);
        other.commit(&[event], Some(state.clone())).await.unwrap();
        // it waits for ever, and is dropped
        stage.plan(Some(Plan {
            at: usize::from(round) / 2,
            count: usize::MAX,
            fault: Fault::Stalls,
        }));
        let dropped = tokio::time::timeout(Duration::from_secs(1), one.refresh()).await;
        stage.plan(None);
        let known = one.refresh().await.unwrap();
        assert_eq!(known.version(), u64::from(round) + 1, "{dropped:?}");
        assert_eq!(
            (one.state(), one.snapshot().version()),
            (Some(state), known.version())
        );
    }
}
