//! The archive: every event kept, in a table that anyone may read.
//!
//! The table is one of Delta Lake's (reader version 1, writer version 2), partitioned by
//! account, Region and day; docs/archive.md has its layout. A commit is one object that the
//! store writes only if there is none: whoever loses that race looks at what the other
//! wrote, takes out what is there by now, and tries again. So no event is in any version
//! twice, and an event that was acknowledged is in all that follow.

mod columns;
mod commit;
mod compact;
mod error;
mod file;
mod identities;
mod log;
mod merge;
mod notes;
mod partition;
mod read;
mod rows;
mod schema;
mod snapshot;
mod source;
mod state;
mod store;
mod upload;
mod vacuum;

#[cfg(test)]
mod tests;

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arrow_schema::SchemaRef;
use bytes::Bytes;
use object_store::{ObjectStore, path::Path};
use tokio::sync::Semaphore;

pub use self::{
    commit::{Committed, Next},
    compact::Compacted,
    error::{CommitError, Error, Kind, OpenError},
    partition::{Partition, date_of},
    schema::{SCHEMA_JSON, arrow_schema},
    snapshot::{File, Snapshot},
    vacuum::Vacuumed,
};
use self::{
    identities::Identities,
    log::{action::Txn, table::Table},
    store::Store,
};
use crate::clock::Clock;

/// How the archive uses the machine and the store.
#[derive(Clone, Debug)]
pub struct Options {
    /// The most memory that is used while writing, compacting and reading, in bytes, the
    /// events of the caller aside: half of it for what is being written, a quarter for
    /// identities that are kept. At least 32 MiB.
    pub max_memory: u64,
    /// How large files become by compaction, in bytes.
    pub target_file: u64,
    /// How long the store may take for one answer. Several answers may be waited for.
    pub limit: Duration,
    /// How many commits there are between two checkpoints.
    pub checkpoint_every: u64,
    /// How long files that are no longer part of the table, or never became, stay for who
    /// reads an older version. At least an hour.
    pub keep_removed: Duration,
    /// How long commits are kept that a checkpoint has summed up. At least a day.
    pub keep_log: Duration,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            max_memory: 256 * 1024 * 1024,
            // what engines read with few requests, and one of their tasks at once
            target_file: 128 * 1024 * 1024,
            limit: Duration::from_secs(60),
            // as many as are read in a second or two
            checkpoint_every: 50,
            keep_removed: Duration::from_secs(86_400),
            keep_log: Duration::from_secs(7 * 86_400),
        }
    }
}

impl Options {
    /// As they are used: none below what it may be.
    fn checked(mut self) -> Self {
        self.max_memory = self.max_memory.max(32 * 1024 * 1024);
        self.target_file = self.target_file.max(1024 * 1024);
        self.checkpoint_every = self.checkpoint_every.max(1);
        self.keep_removed = self.keep_removed.max(Duration::from_secs(3600));
        self.keep_log = self.keep_log.max(Duration::from_secs(86_400));
        self
    }

    /// A part of the memory.
    fn memory(&self, divisor: u64) -> usize {
        usize::try_from(self.max_memory / divisor).unwrap_or(usize::MAX)
    }

    /// The half of the memory that is written with, in kilobytes.
    fn kilobytes(&self) -> u32 {
        u32::try_from(self.max_memory / 2 / 1024).unwrap_or(u32::MAX / 8)
    }
}

/// An archive. Cheap to clone; all clones are one.
#[derive(Clone, Debug)]
pub struct Archive(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    store: Store,
    clock: Clock,
    options: Options,
    /// The columns of data files.
    schema: SchemaRef,
    identities: Identities,
    /// Memory to write with, in kilobytes.
    room: Semaphore,
    /// Turns to make files of events, which takes processors: one for each.
    writers: Semaphore,
    /// The newest version that is known, and the turn to write the next one.
    table: tokio::sync::Mutex<Table>,
    known: Mutex<Known>,
    may_write: bool,
}

/// What is told without waiting.
#[derive(Clone, Debug)]
struct Known {
    snapshot: Arc<Snapshot>,
    /// What names the state.
    txn: Option<Txn>,
    state: Option<Bytes>,
}

impl Archive {
    /// Opens the archive at `root` of a store, or begins one where there is nothing.
    ///
    /// # Errors
    /// If the store does not do what it is asked, or would let two writers overwrite each
    /// other; if what is there is damaged, newer, or no archive: then nothing is changed.
    pub async fn open(
        store: Arc<dyn ObjectStore>,
        root: Path,
        clock: Clock,
        options: Options,
    ) -> Result<Self, OpenError> {
        let options = options.checked();
        let store = Store::new(store, root, options.limit);
        let table = match log::open(&store).await? {
            Some(table) => {
                state::check_store(&store, &clock).await?;
                table
            }
            None => {
                state::check_store(&store, &clock).await?;
                log::begin(&store, &clock, &options).await?
            }
        };
        state::mark(&store, &table).await?;
        Self::of(store, clock, options, table, true).await
    }

    /// Opens the archive at `root` of a store to be read: nothing is written there.
    ///
    /// # Errors
    /// As of [`Archive::open`]; if there is none.
    pub async fn open_to_read(
        store: Arc<dyn ObjectStore>,
        root: Path,
        clock: Clock,
        options: Options,
    ) -> Result<Self, OpenError> {
        let options = options.checked();
        let store = Store::new(store, root, options.limit);
        let missing = || Error::Missing {
            root: store.root().to_owned(),
        };
        let table = log::open(&store).await?.ok_or_else(missing)?;
        Self::of(store, clock, options, table, false).await
    }

    async fn of(
        store: Store,
        clock: Clock,
        options: Options,
        table: Table,
        may_write: bool,
    ) -> Result<Self, Error> {
        let whole = arrow_schema().ok_or_else(|| {
            Error::columns(
                "sql/schema.json",
                &"it has a type that the archive does not have",
            )
        })?;
        let state = state::load(&store, table.txn()).await?;
        let known = Known {
            snapshot: table.snapshot.clone(),
            txn: table.txn().cloned(),
            state,
        };
        let identities = Identities::new(options.memory(4));
        let room = Semaphore::new(usize::try_from(options.kilobytes()).unwrap_or(usize::MAX));
        Ok(Self(Arc::new(Inner {
            store,
            clock,
            options,
            schema: schema::file_schema(&whole),
            identities,
            room,
            writers: Semaphore::new(processors()),
            table: tokio::sync::Mutex::new(table),
            known: Mutex::new(known),
            may_write,
        })))
    }

    /// The consumer's state that came with the newest commit known here that had one.
    #[must_use]
    pub fn state(&self) -> Option<Bytes> {
        self.0.known().state.clone()
    }

    /// The newest version known here.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.0.known().snapshot.clone()
    }

    /// Looks for newer versions.
    ///
    /// # Errors
    /// If the store does not do what it is asked; if the newest version is damaged or needs
    /// a newer program.
    pub async fn refresh(&self) -> Result<Arc<Snapshot>, Error> {
        let mut table = self.0.table.lock().await;
        self.0.follow(&mut table).await?;
        Ok(table.snapshot.clone())
    }
}

/// Processors that this process may use.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, usize::from)
}

impl Inner {
    fn known(&self) -> std::sync::MutexGuard<'_, Known> {
        // replaced as a whole: right after a panic elsewhere
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes in newer versions, and their state.
    async fn follow(&self, table: &mut Table) -> Result<(), Error> {
        log::refresh(&self.store, table).await?;
        // not what the table was: who followed it last may have been dropped on the way
        let known = self.known().clone();
        if table.snapshot.version == known.snapshot.version {
            return Ok(());
        }
        let mut state = known.state;
        if table.txn() != known.txn.as_ref() {
            state = match state::load(&self.store, table.txn()).await {
                // an older one goes when there is a newer
                Err(Error::Damaged { .. }) => {
                    log::refresh(&self.store, table).await?;
                    state::load(&self.store, table.txn()).await?
                }
                loaded => loaded?,
            };
        }
        self.tell(table, state);
        Ok(())
    }

    /// Has a version and its state be known.
    fn tell(&self, table: &Table, state: Option<Bytes>) {
        *self.known() = Known {
            snapshot: table.snapshot.clone(),
            txn: table.txn().cloned(),
            state,
        };
    }
}
