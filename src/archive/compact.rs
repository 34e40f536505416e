//! Compaction: many small files of a partition become few, in the order of events.

use std::{collections::HashMap, sync::Arc, time::Duration};

use arrow_array::RecordBatch;
use arrow_select::interleave::interleave_record_batch;
use rand::RngExt as _;
use tokio::time::Instant;

use super::{
    Archive, Inner,
    commit::{MAX_AGE, Plan},
    error::Error,
    file::{self, Writer},
    log::action::{Add, Remove},
    merge::{How, Merge, Row},
    partition::Partition,
    snapshot::{File, Snapshot},
    upload::Upload,
};
use crate::event::TimeRange;

/// So many small files of a day that goes on are merged: as many as a reader opens in the
/// time of a request.
const ENOUGH: usize = 8;
/// The most files that are merged at once: more take another turn.
const MOST: usize = 256;
/// How often the result is committed while others come first.
const TRIES: u32 = 20;
/// The first wait after another came first; it grows with each, and is at random.
const PAUSE: Duration = Duration::from_millis(20);
/// Rows that are put together at once, and bytes of them.
const ROWS: usize = 1024;
const BYTES: usize = 4 * 1024 * 1024;

/// What a compaction did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Merges that were committed.
    pub merges: usize,
    /// Merges that were given up, since another writer had changed what they were of.
    pub given_up: usize,
    /// Files that were merged.
    pub from: usize,
    /// Files that they became.
    pub into: usize,
    /// The bytes of these.
    pub bytes: u64,
}

impl Archive {
    /// Merges small files. Readers and writers go on meanwhile; the files that were merged
    /// stay until they are vacuumed.
    ///
    /// # Errors
    /// If the store does not do what it is asked; if a file cannot be read: then the others'
    /// partitions are merged all the same. What was merged is committed.
    pub async fn compact(&self) -> Result<Compacted, Error> {
        let archive = &*self.0;
        if !archive.may_write {
            return Err(Error::ReadOnly);
        }
        let mut done = Compacted::default();
        let snapshot = self.refresh().await?;
        let mut outcome = Ok(());
        for (partition, files) in archive.candidates(&snapshot) {
            match archive.merge(&partition, files, &mut done).await {
                // a file that is broken is in nobody else's way
                Err(error) if !error.may_pass() => outcome = outcome.and(Err(error)),
                done => done?,
            }
        }
        outcome.map(|()| done)
    }
}

impl Inner {
    /// What is worth to be merged.
    fn candidates(&self, snapshot: &Snapshot) -> Vec<(Partition, Vec<Arc<File>>)> {
        let today = super::date_of(self.clock.now_secs());
        // events come for a day that is over for an hour or so, by CloudTrail's habit
        let is_over = |partition: &Partition| partition.date < today.yesterday().unwrap_or(today);
        let mut found = Vec::new();
        for (scope, days) in &snapshot.scopes {
            for (date, files) in &**days {
                let partition = Partition {
                    scope: scope.clone(),
                    date: *date,
                };
                let target = self.options.target_file;
                let mut small: Vec<_> = files
                    .iter()
                    .filter(|file| file.bytes < target / 2)
                    .cloned()
                    .collect();
                small.sort_by_key(|file| file.bytes);
                if !is_over(&partition) {
                    small.truncate(worth(&small));
                }
                let least = if is_over(&partition) { 2 } else { ENOUGH };
                while small.len() >= least {
                    let rest = small.split_off(small.len().min(MOST));
                    found.push((partition.clone(), small));
                    small = rest;
                }
            }
        }
        found
    }

    async fn merge(
        &self,
        partition: &Partition,
        files: Vec<Arc<File>>,
        done: &mut Compacted,
    ) -> Result<(), Error> {
        let begun = Instant::now();
        let mut made = Vec::new();
        let merged = self.write_merged(partition, &files, &mut made).await;
        let committed = match merged {
            Ok(()) => self.replace(&files, &made, begun).await,
            Err(error) => Err((error, false)),
        };
        match committed {
            Ok(true) => {
                done.merges += 1;
                done.from += files.len();
                done.into += made.len();
                done.bytes += made.iter().map(|file| file.bytes).sum::<u64>();
                Ok(())
            }
            Ok(false) => {
                done.given_up += 1;
                self.delete_all(&made).await;
                Ok(())
            }
            Err((error, may_be_there)) => {
                if !may_be_there {
                    self.delete_all(&made).await;
                }
                Err(error)
            }
        }
    }

    /// Deletes files that no version has; vacuuming finds what is left.
    async fn delete_all(&self, files: &[Arc<File>]) {
        for file in files {
            let _ = self.store.delete(&file.path).await;
        }
    }

    /// Writes the rows of files to new ones, which it tells as they are there.
    async fn write_merged(
        &self,
        partition: &Partition,
        files: &[Arc<File>],
        made: &mut Vec<Arc<File>>,
    ) -> Result<(), Error> {
        let how = How {
            columns: None,
            range: TimeRange::new(i64::MIN, i64::MAX),
            newest_first: false,
            memory: self.options.memory(2),
        };
        let mut merge = Merge::new(&self.store, files.to_vec(), how);
        let mut rows = 0_u64;
        let mut is_over = false;
        while !is_over {
            let path = file::new_path(partition, &self.clock);
            let columns = |error: &dyn ToString| Error::columns(&path, &error.to_string());
            let memory = self.options.memory(8);
            let writer = Writer::new(self.schema.clone(), memory);
            let mut writer = writer.map_err(|error| columns(&error))?;
            let mut upload = Upload::new(&self.store, path.clone());
            while writer.bytes() < self.target() {
                let Some(batch) = self.gather(&mut merge).await? else {
                    is_over = true;
                    break;
                };
                // compressing takes long
                let write = move || (writer.write(&batch), writer);
                let written = tokio::task::spawn_blocking(write).await;
                let (written, back) = written.map_err(|_| Error::Stopping)?;
                written.map_err(|error| columns(&error))?;
                writer = back;
                upload.take(&mut writer).await?;
            }
            if writer.rows() == 0 {
                upload.abort().await;
                break;
            }
            let written = writer.finish().map_err(|error| columns(&error))?;
            rows += written.rows;
            let modified = self.clock.now().as_millisecond();
            let file = written.at(path.clone(), partition, modified);
            upload.finish(written.rest).await?;
            made.push(Arc::new(file));
        }
        // more than a wrong file could do: not one event may get lost
        let expected = files.iter().try_fold(0, |sum, file| Some(sum + file.rows?));
        if expected.is_some_and(|expected| expected != rows) {
            let path = files.first().map_or("", |file| &*file.path);
            let what = format!("its partition has {rows} rows; its log says {expected:?}");
            return Err(Error::damaged(path, what));
        }
        Ok(())
    }

    /// The next rows, put together.
    async fn gather(&self, merge: &mut Merge) -> Result<Option<RecordBatch>, Error> {
        let mut rows: Vec<Row> = Vec::new();
        let mut bytes = 0;
        while rows.len() < ROWS && bytes < BYTES {
            let Some(row) = merge.next().await? else {
                break;
            };
            bytes += row.bytes();
            rows.push(row);
        }
        let Some(first) = rows.first() else {
            return Ok(None);
        };
        let path = first.slice.file.path.clone();
        let mut batches = Vec::new();
        let mut places = HashMap::new();
        let mut picks = Vec::with_capacity(rows.len());
        for row in &rows {
            let place = *places.entry(Arc::as_ptr(&row.slice)).or_insert_with(|| {
                batches.push(&row.slice.batch);
                batches.len() - 1
            });
            picks.push((place, row.at));
        }
        let batch = interleave_record_batch(&batches, &picks);
        let batch = batch.and_then(|batch| batch.with_schema(self.schema.clone()));
        batch
            .map(Some)
            .map_err(|error| Error::columns(&path, &error))
    }

    /// Commits that some files take the place of others. False: one of these is gone. An
    /// error tells whether the commit may be there all the same.
    async fn replace(
        &self,
        old: &[Arc<File>],
        new: &[Arc<File>],
        begun: Instant,
    ) -> Result<bool, (Error, bool)> {
        let mut pause = PAUSE;
        for _ in 0..TRIES {
            {
                let mut table = self.table.lock().await;
                self.follow(&mut table)
                    .await
                    .map_err(|error| (error, false))?;
                if begun.elapsed() > MAX_AGE {
                    return Err((Error::TooSlow, false));
                }
                if old.iter().any(|file| !table.has(&file.path)) {
                    return Ok(false);
                }
                let now = self.clock.now().as_millisecond();
                let mut plan = Plan::new("OPTIMIZE");
                plan.remove = old
                    .iter()
                    .map(|file| Remove::of(file, now, false))
                    .collect();
                plan.add = new.iter().map(|file| Add::of(file, false)).collect();
                let appended = self.append(&mut table, plan, now).await;
                if appended.map_err(|error| (error, true))? {
                    let state = self.known().state.clone();
                    self.tell(&table, state);
                    for file in old {
                        self.identities.forget(&file.path);
                    }
                    self.checkpoint(&mut table).await;
                    return Ok(true);
                }
            }
            let wait = pause.mul_f64(rand::rng().random_range(0.5..1.5));
            tokio::time::sleep(wait).await;
            pause = (pause * 2).min(Duration::from_secs(2));
        }
        Err((Error::Busy { tries: TRIES }, false))
    }
}

/// How many of a day's files are worth to be merged while more come, smallest first: the
/// largest of them has at most twice what the others have together, so that large ones are
/// not written anew for a few events.
fn worth(files: &[Arc<File>]) -> usize {
    let mut sum = 0_u64;
    let mut worth = 0;
    for (at, file) in files.iter().enumerate() {
        if file.bytes <= sum.saturating_mul(2) {
            worth = at + 1;
        }
        sum = sum.saturating_add(file.bytes);
    }
    worth
}
