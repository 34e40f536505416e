//! Commits: events and the consumer's state become part of the table, or neither does.

mod checkpoint;
mod groups;
mod put;
mod write;

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use rand::RngExt as _;
use tokio::time::Instant;

use self::groups::Group;
pub(super) use self::put::Plan;
use super::{
    Archive, Inner,
    error::{CommitError, Error},
    log::{
        action::{Add, Remove},
        table::Table,
    },
    snapshot::Snapshot,
    state,
};
use crate::event::Event;

/// How often a commit is tried while others come first.
const TRIES: u32 = 20;
/// The first wait after another came first; it grows with each, and is at random.
const PAUSE: Duration = Duration::from_millis(20);
/// How old files may be when they become part of the table: vacuuming leaves those alone
/// that are younger than an hour.
pub(super) const MAX_AGE: Duration = Duration::from_secs(30 * 60);

/// Partitions that are written at once: an organisation has hundreds, and a store takes tens
/// of milliseconds for each.
const AT_ONCE: usize = 16;

/// What a commit did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// The version of the table that has it all.
    pub version: u64,
    /// Events that are new.
    pub added: usize,
    /// Events that were there already, or twice in what was given.
    pub repeated: usize,
    /// Of those that are new: corrections of events that were there.
    pub corrections: usize,
    /// Files that were written.
    pub files: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// The state that a version is to have, by that of the version before it; or why there can
/// be none. Asked again where another writer came first.
pub type Next<'a> = &'a (dyn Fn(Option<&Bytes>) -> Result<Bytes, String> + Sync);

impl Archive {
    /// As [`Archive::commit_with`], with a state whatever the one before it says.
    ///
    /// # Errors
    /// As of [`Archive::commit_with`].
    pub async fn commit(
        &self,
        events: &[Arc<Event>],
        state: Option<Bytes>,
    ) -> Result<Committed, CommitError> {
        match state {
            Some(state) => {
                let next = |_: Option<&Bytes>| Ok(state.clone());
                self.commit_with(events, Some(&next)).await
            }
            None => self.commit_with(events, None).await,
        }
    }

    /// Makes events part of the table, those aside that it has, and a state the
    /// consumers': all or nothing, and for good once this returns. Without a state the one
    /// that is there stays. May be called again after any error, with the same events.
    ///
    /// # Errors
    /// If the store does not do what it is asked; if other writers always come first; if
    /// there can be no such state. Then nothing was committed, or, where an answer was
    /// lost, all of it: to call again with the same events makes sure.
    pub async fn commit_with(
        &self,
        events: &[Arc<Event>],
        state: Option<Next<'_>>,
    ) -> Result<Committed, CommitError> {
        let archive = &*self.0;
        if !archive.may_write {
            return Err(Error::ReadOnly);
        }
        let mut groups = groups::of(events);
        let mut may_be_there = false;
        let done = archive.commit(&mut groups, state, &mut may_be_there).await;
        match done {
            Ok(version) => {
                let done = summary(version, &groups, events.len());
                archive.keep_identities(&mut groups);
                Ok(done)
            }
            Err(error) => {
                if !may_be_there {
                    archive.take_back(&mut groups).await;
                }
                Err(error)
            }
        }
    }
}

impl Inner {
    /// Commits groups; the version that has them. `may_be_there`: if it fails, whether one
    /// may have them all the same.
    async fn commit(
        &self,
        groups: &mut [Group],
        state: Option<Next<'_>>,
        may_be_there: &mut bool,
    ) -> Result<u64, Error> {
        let begun = Instant::now();
        let mut pause = PAUSE;
        // most of the work is done without the turn, by what is known now
        let known = self.known().snapshot.clone();
        if let Err(error) = self.prepare(groups, &known, begun).await {
            // what could not be read another may have taken out: the next try goes by that
            let mut table = self.table.lock().await;
            if let Err(error) = self.follow(&mut table).await {
                tracing::debug!(%error, "the archive's log could not be followed");
            }
            return Err(error);
        }
        for _ in 0..TRIES {
            {
                let mut table = self.table.lock().await;
                self.follow(&mut table).await?;
                let snapshot = table.snapshot.clone();
                self.prepare(groups, &snapshot, begun).await?;
                let put = self.put(&mut table, groups, state, may_be_there);
                if let Some(version) = put.await? {
                    return Ok(version);
                }
                // another writer's is: ours can never be
                *may_be_there = false;
            }
            let wait = pause.mul_f64(rand::rng().random_range(0.5..1.5));
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
        Err(Error::Busy { tries: TRIES })
    }
}

fn summary(version: u64, groups: &[Group], given: usize) -> Committed {
    let mut done = Committed {
        version,
        ..Committed::default()
    };
    for group in groups {
        done.added += group.fresh();
        done.corrections += group.corrections();
        done.files += group.files.len();
        done.bytes += group.files.iter().map(|file| file.file.bytes).sum::<u64>();
    }
    done.repeated = given - done.added;
    done
}

impl Inner {
    /// Has all groups be what `snapshot` lacks, and their files written.
    async fn prepare(
        &self,
        groups: &mut [Group],
        snapshot: &Snapshot,
        begun: Instant,
    ) -> Result<(), Error> {
        let has_failed = AtomicBool::new(false);
        let has_failed = &has_failed;
        // no closure: whoever boxes a commit could not be sure that it is Send
        let mut each = Vec::with_capacity(groups.len());
        for group in groups {
            each.push(async move {
                // what was begun is waited for, so that it is known and can be taken back
                if has_failed.load(Relaxed) {
                    return Ok(());
                }
                let prepared = self.prepare_one(group, snapshot, begun).await;
                has_failed.fetch_or(prepared.is_err(), Relaxed);
                prepared
            });
        }
        let mut each = stream::iter(each).buffer_unordered(AT_ONCE);
        let mut outcome = Ok(());
        while let Some(prepared) = each.next().await {
            outcome = outcome.and(prepared);
        }
        outcome
    }

    async fn prepare_one(
        &self,
        group: &mut Group,
        snapshot: &Snapshot,
        begun: Instant,
    ) -> Result<(), Error> {
        self.look(group, snapshot).await?;
        self.write(group).await?;
        match begun.elapsed() > MAX_AGE {
            true => Err(Error::TooSlow),
            false => Ok(()),
        }
    }

    /// Commits what was prepared as the next version, if no other writer has come first.
    async fn put(
        &self,
        table: &mut Table,
        groups: &[Group],
        state: Option<Next<'_>>,
        may_be_there: &mut bool,
    ) -> Result<Option<u64>, Error> {
        let now = self.clock.now().as_millisecond();
        let mut plan = Plan::new("WRITE");
        for group in groups {
            for file in &group.files {
                plan.add.push(Add::of(&file.file, true));
            }
            for rewritten in group.rewritten.values() {
                plan.remove.push(Remove::of(&rewritten.old, now, true));
                plan.add
                    .extend(rewritten.new.iter().map(|new| Add::of(new, true)));
            }
        }
        let known = self.known().state.clone();
        let state = state.map(|next| next(known.as_ref())).transpose();
        let state = state.map_err(|what| Error::State { what })?;
        let state = state.filter(|state| known.as_ref() != Some(state));
        if plan.is_empty() && state.is_none() {
            return Ok(Some(table.snapshot.version));
        }
        let next = table.snapshot.version + 1;
        if let Some(state) = &state {
            plan.txn = Some(state::write(&self.store, &self.clock, next, state).await?);
        }
        *may_be_there = true;
        if !self.append(table, plan, now).await? {
            return Ok(None);
        }
        self.tell(table, state.or(known));
        self.checkpoint(table).await;
        Ok(Some(next))
    }
}
