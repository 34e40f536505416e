//! Retention, and cleaning up what no version needs any more.

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt as _, stream};
use jiff::civil::Date;
use rand::RngExt as _;

use super::{
    Archive, Inner,
    commit::Plan,
    error::Error,
    file,
    log::{action::Remove, table::retained},
    snapshot::File,
    state,
};

/// Files that one commit takes out: some 300 bytes each.
const FILES: usize = 20_000;
/// How often that is tried while others commit first.
const TRIES: u32 = 20;
/// The first wait after another came first; it grows with each, and is at random.
const PAUSE: Duration = Duration::from_millis(20);
/// Objects that are deleted at once.
const AT_ONCE: usize = 16;
/// How long, in seconds, states and probes stay that nothing needs: who has just read
/// their names may be about to read them.
const KEEP_STATES: i64 = 3600;

/// What vacuuming did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Vacuumed {
    /// Data files that were deleted: no version that may be read has them.
    pub files: usize,
    /// Other objects: states of older versions, and what trying the store left.
    pub others: usize,
}

impl Archive {
    /// Takes the days before `before` out of the table, and says so in it
    /// ([`super::Snapshot::kept_from`]); how many files that were. They stay in the store
    /// until they are vacuumed.
    ///
    /// # Errors
    /// If the store does not do what it is asked; if other writers always come first.
    pub async fn retain(&self, before: Date) -> Result<usize, Error> {
        let archive = &*self.0;
        if !archive.may_write {
            return Err(Error::ReadOnly);
        }
        let mut files = 0;
        loop {
            let removed = archive.remove_before(before).await?;
            files += removed;
            if removed < FILES {
                return Ok(files);
            }
        }
    }

    /// Deletes data files that no version has had for [`super::Options::keep_removed`], and
    /// what was left of commits that failed.
    ///
    /// # Errors
    /// If the store does not do what it is asked; what was deleted before stays so.
    pub async fn vacuum(&self) -> Result<Vacuumed, Error> {
        let archive = &*self.0;
        if !archive.may_write {
            return Err(Error::ReadOnly);
        }
        let mut found = Vec::new();
        let mut done = Vacuumed::default();
        // a version that others wrote counts as well
        self.refresh().await?;
        let mut listed = archive.store.list("");
        loop {
            let next = listed.next().await.transpose()?;
            let is_over = next.is_none();
            found.extend(next);
            // a few at a time: an archive has as many files as it has
            if found.len() < 1000 && !is_over {
                continue;
            }
            let unneeded = archive.unneeded(std::mem::take(&mut found)).await;
            let mut deleted = stream::iter(unneeded)
                .map(|(path, is_data)| async move {
                    archive.store.delete(&path).await.map(|()| is_data)
                })
                .buffer_unordered(AT_ONCE);
            while let Some(is_data) = deleted.next().await {
                match is_data? {
                    true => done.files += 1,
                    false => done.others += 1,
                }
            }
            if is_over {
                return Ok(done);
            }
        }
    }
}

impl Inner {
    async fn remove_before(&self, before: Date) -> Result<usize, Error> {
        let mut pause = PAUSE;
        for _ in 0..TRIES {
            {
                let mut table = self.table.lock().await;
                self.follow(&mut table).await?;
                let days = table
                    .snapshot
                    .scopes
                    .values()
                    .flat_map(|days| days.range(..before));
                let files = days.flat_map(|(_, files)| files.iter());
                let files: Vec<Arc<File>> = files.take(FILES).cloned().collect();
                let is_said = table.snapshot.kept_from >= Some(before);
                if files.is_empty() && is_said {
                    return Ok(0);
                }
                let now = self.clock.now().as_millisecond();
                let mut plan = Plan::new("DELETE");
                // before the first file goes: nobody may take a day for empty that was dropped
                plan.txn = (!is_said).then(|| retained(before, now));
                plan.remove = files
                    .iter()
                    .map(|file| Remove::of(file, now, true))
                    .collect();
                if self.append(&mut table, plan, now).await? {
                    let state = self.known().state.clone();
                    self.tell(&table, state);
                    for file in &files {
                        self.identities.forget(&file.path);
                    }
                    self.checkpoint(&mut table).await;
                    return Ok(files.len());
                }
            }
            let wait = pause.mul_f64(rand::rng().random_range(0.5..1.5));
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
        Err(Error::Busy { tries: TRIES })
    }

    /// Those of some objects that nothing needs; whether each is a data file.
    async fn unneeded(&self, listed: Vec<super::store::Listed>) -> Vec<(String, bool)> {
        let table = self.table.lock().await;
        let now = self.clock.now_secs();
        let keep = i64::try_from(self.options.keep_removed.as_secs()).unwrap_or(i64::MAX);
        let state = table.txn().map(state::path_of);
        let each = listed.into_iter().filter_map(|one| {
            if state::is_passing(&one.path) {
                let is_old = one.modified < now - KEEP_STATES;
                let is_read = state.as_ref() == Some(&one.path);
                return (is_old && !is_read).then_some((one.path, false));
            }
            if table.has(&one.path) {
                return None;
            }
            let removed = table.removed.get(one.path.as_str());
            // what the table never had is only ours if its name is
            let begun = file::begun(&one.path);
            if removed.is_none() && begun.is_none() {
                return None;
            }
            let removed = removed.and_then(|remove| remove.deletion_timestamp);
            let last = one
                .modified
                .max(begun.unwrap_or(0))
                .max(removed.unwrap_or(0) / 1000);
            (last < now.saturating_sub(keep)).then_some((one.path, true))
        });
        each.collect()
    }
}
