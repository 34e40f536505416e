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
}

/// The most rows of a batch: with records of some 2 KB some 16 MB. Where a query's share is
/// less than eight times that, half as many.
pub const BATCH_ROWS: usize = 8192;

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
        }
    }
}

impl Options {
    /// Rows of a batch: operators take some time for each, which more rows share.
    pub(super) fn batch_rows(&self) -> usize {
        match self.share() < 128 << 20 {
            true => BATCH_ROWS / 2,
            false => BATCH_ROWS,
        }
    }

    /// The memory of one query, in bytes.
    pub(super) fn share(&self) -> u64 {
        self.memory / u64::try_from(self.queries.max(1)).unwrap_or(1)
    }
}
