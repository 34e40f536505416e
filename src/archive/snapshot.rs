//! What a version of the table holds.

use std::{collections::BTreeMap, sync::Arc};

use jiff::civil::Date;

use super::partition::{Partition, days_of};
use crate::event::{Scope, TimeRange};

/// A data file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Below the archive's root.
    pub path: Arc<str>,
    /// Whose events of which day it has.
    pub partition: Partition,
    /// Its size in bytes.
    pub bytes: u64,
    /// How many events it has; `None`: another program wrote it, and did not say.
    pub rows: Option<u64>,
    /// From its first event to its last, both in it; `None`: as of `rows`.
    pub times: Option<TimeRange>,
    /// When it was written, in milliseconds since the Unix epoch.
    pub modified: i64,
}

impl File {
    /// Whether it may have events of a stretch of time.
    #[must_use]
    pub fn overlaps(&self, range: TimeRange) -> bool {
        match self.times {
            Some(times) => !times.intersect(&range).is_empty(),
            None => {
                let (first, last) = days_of(range);
                !range.is_empty() && (first..=last).contains(&self.partition.date)
            }
        }
    }
}

/// The files of a scope, by day; no day is empty.
pub(super) type Days = BTreeMap<Date, Arc<[Arc<File>]>>;

/// A version of the table: the files that it consists of. Those of older versions stay
/// in the store until they are vacuumed.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub(super) version: u64,
    /// No scope is without days. Shared between versions: one changes a few of them.
    pub(super) scopes: BTreeMap<Scope, Arc<Days>>,
    pub(super) files: usize,
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) kept_from: Option<Date>,
}

impl Snapshot {
    pub(super) fn new() -> Self {
        Self {
            version: 0,
            scopes: BTreeMap::new(),
            files: 0,
            bytes: 0,
            rows: 0,
            kept_from: None,
        }
    }

    /// The day before which events may have been dropped, as too old; `None`: none were.
    #[must_use]
    pub fn kept_from(&self) -> Option<Date> {
        self.kept_from
    }

    /// The version of the table.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version
    }

    /// How many files it has.
    #[must_use]
    pub fn files(&self) -> usize {
        self.files
    }

    /// The bytes of all its files.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// How many events it has, as far as its files say.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// The scopes that it has events of, in order.
    pub fn scopes(&self) -> impl Iterator<Item = &Scope> {
        self.scopes.keys()
    }

    /// The days that it has events of a scope of, in order, with their files.
    pub fn days(&self, scope: &Scope) -> impl DoubleEndedIterator<Item = (Date, &[Arc<File>])> {
        let days = self.scopes.get(scope).into_iter();
        days.flat_map(|days| days.iter().map(|(date, files)| (*date, &**files)))
    }

    /// The files of a scope that may have events of a stretch of time, by day.
    pub fn find(
        &self,
        scope: &Scope,
        range: TimeRange,
    ) -> impl DoubleEndedIterator<Item = (Date, Vec<Arc<File>>)> {
        let (first, last) = days_of(range);
        let days = self.scopes.get(scope).filter(|_| !range.is_empty());
        days.into_iter()
            .flat_map(move |days| days.range(first..=last))
            .filter_map(move |(date, files)| {
                let files = files.iter().filter(|file| file.overlaps(range));
                let files: Vec<_> = files.cloned().collect();
                (!files.is_empty()).then_some((*date, files))
            })
    }

    /// The files of a partition.
    #[must_use]
    pub fn of(&self, partition: &Partition) -> &[Arc<File>] {
        let days = self.scopes.get(&partition.scope);
        let files = days.and_then(|days| days.get(&partition.date));
        files.map(|files| &**files).unwrap_or_default()
    }

    /// All files, by scope and day.
    pub fn all(&self) -> impl Iterator<Item = &Arc<File>> {
        let days = self.scopes.values().flat_map(|days| days.values());
        days.flat_map(|files| files.iter())
    }

    pub(super) fn add(&mut self, file: Arc<File>) {
        self.files += 1;
        self.bytes = self.bytes.saturating_add(file.bytes);
        self.rows = self.rows.saturating_add(file.rows.unwrap_or(0));
        let Partition { scope, date } = file.partition.clone();
        let days = Arc::make_mut(self.scopes.entry(scope).or_default());
        let files = days.entry(date).or_default();
        *files = files.iter().cloned().chain([file]).collect();
    }

    pub(super) fn remove(&mut self, partition: &Partition, path: &str) {
        let Some(days) = self.scopes.get_mut(&partition.scope) else {
            return;
        };
        let days = Arc::make_mut(days);
        let Some(files) = days.get_mut(&partition.date) else {
            return;
        };
        let Some(gone) = files.iter().find(|file| *file.path == *path).cloned() else {
            return;
        };
        self.files -= 1;
        self.bytes = self.bytes.saturating_sub(gone.bytes);
        self.rows = self.rows.saturating_sub(gone.rows.unwrap_or(0));
        *files = files
            .iter()
            .filter(|file| *file.path != *path)
            .cloned()
            .collect();
        if files.is_empty() {
            days.remove(&partition.date);
        }
        if days.is_empty() {
            self.scopes.remove(&partition.scope);
        }
    }
}
