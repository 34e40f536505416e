//! What queries are held to.

use std::{path::PathBuf, time::Duration};

/// See the module.
#[derive(Clone, Debug)]
pub struct Options {
    /// Memory for what queries hold, all together, in bytes. Each has an equal share;
    /// what it is about to decode and to send comes on top: some batches of
    /// [`BATCH_ROWS`] rows a thread, or half as many.
    pub memory: u64,
    /// Disk for what does not fit into that, all together, in bytes; 0: none.
    pub disk: u64,
    /// Where on disk; `None`: where the system has its temporary files.
    pub spill: Option<PathBuf>,
    /// Queries at once; more wait.
    pub queries: usize,
    /// How long they wait.
    pub wait: Duration,
    /// How long a query may take, until its answer is read.
    pub timeout: Duration,
    /// The threads that they run on. Everything else has its own.
    pub threads: usize,
    /// The database of places that `country` and `city` ask.
    pub places: Option<PathBuf>,
    /// Who asks is told which files cannot be read, and why: whoever may read them all.
    pub tells_reasons: bool,
}

/// The most rows of a batch: with records of some 2 KB some 2 MB. A sort holds a batch of
/// each file that it merges, with its keys, so that larger ones would have to be refused
/// where these go to disk. Where a query's share is less than 128 MB, half as many.
pub const BATCH_ROWS: usize = 1024;

impl Default for Options {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        Self {
            memory: 512 << 20,
            disk: 10 << 30,
            spill: None,
            queries: 4,
            wait: Duration::from_secs(30),
            timeout: Duration::from_secs(300),
            // a server has others to answer
            threads: (cores / 2).max(1),
            places: None,
            tells_reasons: false,
        }
    }
}

impl Options {
    /// Rows of a batch: operators take some time for each, which more rows share. Twice as
    /// many are no faster, by more than runs differ.
    pub(super) fn batch_rows(&self) -> usize {
        match self.share() < 128_000_000 {
            true => BATCH_ROWS / 2,
            false => BATCH_ROWS,
        }
    }

    /// The memory of one query, in bytes.
    pub(super) fn share(&self) -> u64 {
        self.memory / u64::try_from(self.queries.max(1)).unwrap_or(1)
    }
}
