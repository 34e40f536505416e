//! Whatever is committed, merged, removed and vacuumed, by whom, and wherever the process
//! ends or the store fails: what was acknowledged is there, nothing is there twice, and a
//! commit is there as a whole or not at all.
//!
//! The oracle is a list of events by partition and identity, which knows nothing of files.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use bytes::Bytes;
use jiff::civil::Date;
use proptest::prelude::*;
use tokio::runtime::Builder;

use super::{
    super::{
        Archive, Error, Options, Partition,
        columns::{Id, id_of},
    },
    stage::{Fault, Plan, Stage},
    support::{EVER, all, clock, event, open_with, read},
};
use crate::{clock::Clock, event::Event};

/// What a writer does.
#[derive(Clone, Debug)]
enum Act {
    /// Events: account, number, day, and which of its records.
    Commit(Vec<(u8, u8, u8, u8)>, Option<u8>),
    Compact,
    Retain(u8),
    Vacuum,
    Open,
}

#[derive(Clone, Debug)]
struct Step {
    /// What the two writers do at the same time.
    acts: [Option<Act>; 2],
    /// What happens to their requests.
    plan: Option<Plan>,
    /// Hours that pass then.
    hours: u64,
}

/// What the table is to have.
#[derive(Clone, Debug, Default, PartialEq)]
struct Oracle {
    events: BTreeMap<(Partition, Id), Event>,
    state: Option<Bytes>,
}

impl Oracle {
    fn act(&mut self, act: &Act) {
        match act {
            Act::Commit(events, state) => {
                for event in events_of(events) {
                    let key = (Partition::of(&event), id_of(&event.identity()));
                    let there = self.events.get(&key);
                    let corrects =
                        |there: &Event| event.is_addendum() && there.record() != event.record();
                    if there.is_none_or(corrects) {
                        self.events.insert(key, (*event).clone());
                    }
                }
                if let Some(state) = state {
                    self.state = Some(vec![*state].into());
                }
            }
            Act::Retain(day) => {
                self.events
                    .retain(|(partition, _), _| partition.date >= date(*day));
            }
            Act::Compact | Act::Vacuum | Act::Open => {}
        }
    }

    fn sorted(&self) -> Vec<Event> {
        let mut events: Vec<_> = self.events.values().cloned().collect();
        super::support::sort(&mut events);
        events
    }
}

fn date(day: u8) -> Date {
    Date::constant(2026, 1, i8::try_from(day).unwrap())
}

fn events_of(events: &[(u8, u8, u8, u8)]) -> Vec<Arc<Event>> {
    let events = events.iter().map(|(account, number, day, which)| {
        let more = match which {
            0 | 1 => String::new(),
            2 => ",\"errorCode\":\"other\"".to_owned(),
            which => format!(",\"addendum\":{{\"reason\":\"{which}\"}}"),
        };
        // a correction may have another time
        let second = u32::from(*number) / 3 + u32::from(*which > 3);
        let time = format!("2026-01-{day:02}T00:00:{second:02}Z");
        event(&account.to_string(), u32::from(*number), &time, &more)
    });
    events.collect()
}

fn acts() -> impl Strategy<Value = Act> {
    let events = prop::collection::vec((1..3_u8, 0..30_u8, 1..3_u8, 0..6_u8), 0..12);
    prop_oneof![
        8 => (events, prop::option::of(any::<u8>())).prop_map(|(e, s)| Act::Commit(e, s)),
        2 => Just(Act::Compact),
        1 => (1..4_u8).prop_map(Act::Retain),
        1 => Just(Act::Vacuum),
        1 => Just(Act::Open),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let fault = prop_oneof![
        1 => Just(Fault::Fails),
        3 => Just(Fault::AnswerLost),
        1 => Just(Fault::Stalls),
        2 => Just(Fault::StallsDone),
        1 => Just(Fault::Denied),
    ];
    let count = prop_oneof![3 => Just(1_usize), 1 => 2..6_usize, 3 => Just(usize::MAX)];
    let plan = (0..16_usize, count, fault).prop_map(|(at, count, fault)| Plan { at, count, fault });
    let step = (
        acts(),
        prop::option::weighted(0.4, acts()),
        prop::option::of(plan),
        0..30_u64,
    );
    let step = step.prop_map(|(one, other, plan, hours)| Step {
        acts: [Some(one), other],
        plan,
        hours,
    });
    prop::collection::vec(step, 1..14)
}

fn options() -> Options {
    Options {
        checkpoint_every: 3,
        limit: Duration::from_secs(10),
        ..Options::default()
    }
}

/// Does what a writer does; whether it says that it is done.
async fn act(
    archive: &mut Option<Archive>,
    act: &Act,
    stage: &Stage,
    clock: &Clock,
) -> Result<(), Error> {
    let open = || {
        Archive::open(
            stage.store(),
            super::support::ROOT.into(),
            clock.clone(),
            options(),
        )
    };
    if archive.is_none() || matches!(act, Act::Open) {
        *archive = None;
        *archive = Some(open().await?);
    }
    let archive = archive.as_ref().unwrap();
    match act {
        Act::Commit(events, state) => {
            let state = state.map(|state| vec![state].into());
            archive.commit(&events_of(events), state).await.map(|_| ())
        }
        Act::Compact => archive.compact().await.map(|_| ()),
        Act::Retain(day) => archive.retain(date(*day)).await.map(|_| ()),
        Act::Vacuum => archive.vacuum().await.map(|_| ()),
        Act::Open => Ok(()),
    }
}

/// All that the table may be after some acts, each done wholly or, if it failed, maybe not
/// at all, in either order.
fn outcomes(before: &Oracle, acts: &[(Act, bool)]) -> Vec<Oracle> {
    let orders: Vec<Vec<usize>> = match acts.len() {
        1 => vec![vec![0]],
        _ => vec![vec![0, 1], vec![1, 0]],
    };
    let mut found: Vec<Oracle> = Vec::new();
    for order in orders {
        let mut reached = vec![before.clone()];
        for at in order {
            let (act, is_done) = &acts[at];
            let mut next = Vec::new();
            for oracle in reached {
                if !is_done {
                    next.push(oracle.clone());
                }
                let mut after = oracle;
                after.act(act);
                next.push(after);
            }
            reached = next;
        }
        found.extend(reached);
    }
    found
}

async fn run(steps: Vec<Step>) -> Result<(), TestCaseError> {
    let clock = clock();
    let stage = Stage::new(&clock);
    let mut oracle = Oracle::default();
    let mut writers: [Option<Archive>; 2] = [None, None];
    for step in steps {
        stage.plan(step.plan);
        let (one_done, other_done) = {
            let [one, other] = &mut writers;
            let both = (
                async { act(one, step.acts[0].as_ref().unwrap(), &stage, &clock).await },
                async {
                    match &step.acts[1] {
                        Some(what) => act(other, what, &stage, &clock).await,
                        None => Ok(()),
                    }
                },
            );
            tokio::join!(both.0, both.1)
        };
        stage.plan(None);
        let done = [one_done.is_ok(), other_done.is_ok()];
        for failed in [&one_done, &other_done] {
            if let Err(error) = failed {
                // nothing is damaged, whatever fails
                prop_assert!(error.may_pass(), "{error}");
                prop_assert!(step.plan.is_some(), "{error}");
            }
        }
        let acts = step
            .acts
            .iter()
            .flatten()
            .cloned()
            .zip(done)
            .collect::<Vec<_>>();
        // the process ended there
        if step.plan.is_some_and(|plan| plan.count == usize::MAX) {
            writers = [None, None];
        }
        let fresh = open_with(&stage.store(), &clock, options()).await;
        let there = all(&fresh).await;
        let may_be = outcomes(&oracle, &acts);
        let is = may_be
            .into_iter()
            .find(|may| may.sorted() == there && may.state == fresh.state());
        let Some(is) = is else {
            return Err(TestCaseError::fail(format!(
                "after {acts:?}: {:?} {there:#?}",
                fresh.state()
            )));
        };
        oracle = is;
        prop_assert_eq!(&read(&fresh, EVER, false).await, &there);
        prop_assert_eq!(&read(&fresh, EVER, true).await, &there);
        for writer in writers.iter().flatten() {
            // whatever version it knows, it can be read: or the newest, where that is gone
            read(writer, EVER, step.hours % 2 == 0).await;
            writer.refresh().await.unwrap();
            prop_assert_eq!(&all(writer).await, &there);
            prop_assert_eq!(writer.state(), fresh.state());
        }
        tokio::time::advance(Duration::from_secs(step.hours * 3600)).await;
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases / 8,
        ..ProptestConfig::default()
    })]
    #[test]
    fn what_was_acknowledged_is_there_once(steps in steps()) {
        let runtime = Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        runtime.block_on(run(steps))?;
    }
}
