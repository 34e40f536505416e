//! How far a backfill is, and what came of it.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{
        AtomicBool, AtomicU64,
        Ordering::{Acquire, Relaxed, Release},
    },
};

use super::{chosen::Chosen, read::Counts};

/// Faults that are kept by name; further ones are counted. A damaged bucket must not
/// fill memory.
const MAX_FAULTS: usize = 1000;
/// Lines for people that nobody has taken yet; further ones are dropped, what they
/// tell being in the report.
const MAX_LINES: usize = 100;

/// How far it is. Whoever shows it looks from time to time.
#[derive(Debug, Default)]
pub struct Seen {
    /// Files that were read to their end, or given up. They may wait to be committed.
    files: AtomicU64,
    /// Their bytes, as they lie there.
    bytes: AtomicU64,
    /// Records that are in the archive, or were.
    records: AtomicU64,
    /// Events that are new there.
    new: AtomicU64,
    /// Files to read, as far as they were counted.
    all_files: AtomicU64,
    /// Their bytes.
    all_bytes: AtomicU64,
    /// All were counted.
    is_counted: AtomicBool,
    /// What is to be said at once.
    lines: Mutex<Vec<String>>,
}

/// How far it is at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoFar {
    /// Files that were read.
    pub files: u64,
    /// Their bytes, as they lie there.
    pub bytes: u64,
    /// Records that were committed.
    pub records: u64,
    /// Events that are new in the archive.
    pub new: u64,
    /// Files that are to be read all together, as far as they were counted.
    pub all_files: u64,
    /// Their bytes.
    pub all_bytes: u64,
    /// Whether all were counted.
    pub is_counted: bool,
}

impl Seen {
    /// How far it is.
    #[must_use]
    pub fn so_far(&self) -> SoFar {
        SoFar {
            is_counted: self.is_counted.load(Acquire),
            files: self.files.load(Relaxed),
            bytes: self.bytes.load(Relaxed),
            records: self.records.load(Relaxed),
            new: self.new.load(Relaxed),
            all_files: self.all_files.load(Relaxed),
            all_bytes: self.all_bytes.load(Relaxed),
        }
    }

    /// What is to be said since the last time.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        std::mem::take(&mut self.lock())
    }

    pub(super) fn say(&self, line: String) {
        let mut lines = self.lock();
        if lines.len() < MAX_LINES {
            lines.push(line);
        }
    }

    pub(super) fn file(&self, bytes: u64) {
        self.files.fetch_add(1, Relaxed);
        self.bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn committed(&self, records: u64, new: u64) {
        self.records.fetch_add(records, Relaxed);
        self.new.fetch_add(new, Relaxed);
    }

    pub(super) fn count(&self, bytes: u64) {
        self.all_files.fetch_add(1, Relaxed);
        self.all_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn all_counted(&self) {
        self.is_counted.store(true, Release);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<String>> {
        // a list alone: right after a panic elsewhere
        self.lines.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A file that was not read to its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its name.
    pub file: String,
    /// A stable word for why.
    pub fault: &'static str,
    /// Why.
    pub message: String,
}

/// What came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// Files that were looked at.
    pub files: u64,
    /// Of them those that were not read to their end.
    pub failed: u64,
    /// Bytes that came of them.
    pub bytes: u64,
    /// What was in them.
    pub counts: Counts,
    /// Events that are new in the archive.
    pub new: u64,
    /// What was chosen of the files that were listed.
    pub chosen: Chosen,
    /// The first files that were not read to their end.
    pub faults: Vec<Failed>,
    /// What was not gone through to its end, and why.
    pub broken: Vec<(String, String)>,
    /// It was told to stop.
    pub is_stopped: bool,
}

impl Report {
    /// Records that are events in the archive, and were there before.
    #[must_use]
    pub fn known(&self) -> u64 {
        self.counts.taken().saturating_sub(self.new)
    }

    pub(super) fn fail(&mut self, failed: Failed) {
        self.failed += 1;
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(failed);
        }
    }
}
