//! Every request that the archive makes, failed in every way: each act is done or not done,
//! ends in time, leaves an archive that can be opened, and is done when it is tried again.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    super::{Archive, Error, Options},
    stage::{Fault, Plan, Stage},
    support::{ROOT, all, clock, event, open_with, sorted},
};
use crate::{clock::Clock, event::Event};

const DAY: &str = "2026-01-01T10:00:00Z";
const LAST: &str = "2025-12-31T10:00:00Z";

/// What fails in which way, and how often.
const FAULTS: [(Fault, usize); 5] = [
    (Fault::AnswerLost, usize::MAX),
    (Fault::StallsDone, 1),
    (Fault::Stalls, usize::MAX),
    (Fault::AnswerLost, 1),
    (Fault::Fails, usize::MAX),
];

/// How many of these each request has: two, and all of them in the long run.
fn faults() -> usize {
    match proptest::test_runner::Config::default().cases > 1000 {
        true => FAULTS.len(),
        false => 2,
    }
}

#[derive(Clone, Copy, Debug)]
enum Act {
    Open,
    Commit,
    Compact,
    Retain,
    Vacuum,
}

fn options() -> Options {
    Options {
        // each commit has one, and cleans up the log
        checkpoint_every: 1,
        limit: Duration::from_secs(10),
        ..Options::default()
    }
}

fn corrected() -> Arc<Event> {
    event("1", 1, DAY, ",\"addendum\":{\"reason\":\"UPDATED_DATA\"}")
}

fn given() -> Vec<Arc<Event>> {
    vec![
        corrected(),
        event("1", 2, DAY, ""),
        event("2", 20, LAST, ""),
        event("3", 21, DAY, ""),
    ]
}

async fn act(stage: &Stage, clock: &Clock, archive: &Archive, act: Act) -> Result<(), Error> {
    match act {
        Act::Open => {
            let opened = Archive::open(stage.store(), ROOT.into(), clock.clone(), options());
            opened.await.map(|_| ())
        }
        Act::Commit => archive
            .commit(&given(), Some("after".into()))
            .await
            .map(|_| ()),
        Act::Compact => archive.compact().await.map(|_| ()),
        Act::Retain => archive
            .retain("2026-01-01".parse().unwrap())
            .await
            .map(|_| ()),
        Act::Vacuum => archive.vacuum().await.map(|_| ()),
    }
}

/// What is there before, and what an act makes of it.
fn after(before: &[Arc<Event>], act: Act) -> Vec<Arc<Event>> {
    let mut events = before.to_vec();
    match act {
        Act::Open | Act::Compact | Act::Vacuum => {}
        Act::Commit => {
            events[1] = corrected();
            events.extend(given().into_iter().skip(2));
        }
        Act::Retain => events.retain(|event| event.time >= 1_767_225_600),
    }
    events
}

/// An archive with something to do for each act.
async fn filled(stage: &Stage, clock: &Clock) -> Vec<Arc<Event>> {
    let archive = open_with(&stage.store(), clock, options()).await;
    let mut events = Vec::new();
    for number in 0..9 {
        let time = if number < 6 { DAY } else { LAST };
        events.push(event("1", number, time, ""));
        let state = format!("before {number}").into();
        archive
            .commit(&events[events.len() - 1..], Some(state))
            .await
            .unwrap();
    }
    archive.compact().await.unwrap();
    for number in 9..17 {
        events.push(event("1", number, DAY, ""));
        archive
            .commit(&events[events.len() - 1..], None)
            .await
            .unwrap();
    }
    tokio::time::advance(Duration::from_secs(25 * 3600)).await;
    events
}

#[tokio::test(start_paused = true)]
async fn whatever_fails_each_act_is_done_or_not() {
    let clock = clock();
    let origin = Stage::new(&clock);
    let before = filled(&origin, &clock).await;
    for what in [
        Act::Open,
        Act::Commit,
        Act::Compact,
        Act::Retain,
        Act::Vacuum,
    ] {
        let after = after(&before, what);
        let (before, after) = (sorted(&before), sorted(&after));
        // how many requests it takes
        let stage = origin.fork();
        let archive = open_with(&stage.store(), &clock, options()).await;
        stage.plan(None);
        act(&stage, &clock, &archive, what).await.unwrap();
        let requests = stage.requests();
        assert!(requests > 4, "{what:?} {requests}");
        for at in 0..requests {
            for (fault, count) in FAULTS.iter().cycle().skip(at % FAULTS.len()).take(faults()) {
                let (fault, count) = (*fault, *count);
                let case = format!("{what:?}, {fault:?} of {count} at {at}");
                let stage = origin.fork();
                let archive = open_with(&stage.store(), &clock, options()).await;
                stage.plan(Some(Plan { at, count, fault }));
                let begun = Instant::now();
                let done = act(&stage, &clock, &archive, what).await;
                // ten seconds an answer, a few times
                assert!(begun.elapsed() < Duration::from_secs(300), "{case}");
                stage.plan(None);
                let fresh = open_with(&stage.store(), &clock, options()).await;
                let there = all(&fresh).await;
                let is_done = there == after;
                assert!(is_done || there == before, "{case}: {there:#?}");
                match &done {
                    Ok(()) => assert!(is_done, "{case}"),
                    Err(error) => assert!(error.may_pass(), "{case}: {error}"),
                }
                let state = fresh.state();
                let is_new = matches!(what, Act::Commit) && is_done;
                let expected = if is_new { "after" } else { "before 8" };
                assert_eq!(state.as_deref(), Some(expected.as_bytes()), "{case}");
                // who was there goes on
                act(&stage, &clock, &archive, what)
                    .await
                    .unwrap_or_else(|error| panic!("{case}: {error}"));
                assert_eq!(all(&archive).await, after, "{case}");
                // nothing stays that nobody needs
                tokio::time::advance(Duration::from_secs(25 * 3600)).await;
                archive.vacuum().await.unwrap();
                assert_eq!(all(&archive).await, after, "{case}");
                let paths = stage.paths().await;
                let count = |part: &str| paths.iter().filter(|path| path.contains(part)).count();
                assert_eq!(count("/part-"), archive.snapshot().files(), "{case}");
                assert_eq!((count("/state-"), count("/probe-")), (1, 0), "{case}");
            }
        }
    }
}
