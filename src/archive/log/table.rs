//! What the log says, line by line: the table as of a version.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use jiff::civil::Date;

use super::{
    super::{
        error::Error,
        partition::{self, Partition},
        schema,
        snapshot::{File, Snapshot},
    },
    action::{Line, MetaData, Protocol, Remove, Txn},
};
use crate::event::{day_number, numbered_day};

/// The name under which the table's log says how far its consumer has come.
pub(in super::super) const APP: &str = "trailgate";
/// And that under which it says which days were dropped: as its version, the first day
/// that was kept, in days since 1970-01-01.
pub(in super::super) const RETENTION: &str = "trailgate-retention";
/// The newest protocol that this program reads and writes.
pub(in super::super) const READER: i32 = 1;
/// As [`READER`], for who writes.
pub(in super::super) const WRITER: i32 = 2;

/// A version of the table, with what only writers need.
#[derive(Clone, Debug)]
pub(in super::super) struct Table {
    pub(in super::super) snapshot: Arc<Snapshot>,
    pub(in super::super) protocol: Option<Protocol>,
    pub(in super::super) metadata: Option<MetaData>,
    /// How far applications have come, ours among them.
    pub(in super::super) txns: BTreeMap<String, Txn>,
    /// Where each file of the table stands.
    places: HashMap<Arc<str>, Partition>,
    /// Files that were taken out, by their paths, until nobody may read them.
    pub(in super::super) removed: BTreeMap<Arc<str>, Remove>,
    /// The version of the newest checkpoint that is known of.
    pub(in super::super) checkpoint: Option<u64>,
    /// The version of which none could be written last.
    pub(in super::super) checkpoint_failed: Option<u64>,
}

impl Table {
    /// Before the first version.
    pub(in super::super) fn new() -> Self {
        Self {
            snapshot: Arc::new(Snapshot::new()),
            protocol: None,
            metadata: None,
            txns: BTreeMap::new(),
            places: HashMap::new(),
            removed: BTreeMap::new(),
            checkpoint: None,
            checkpoint_failed: None,
        }
    }

    /// The version that is to have the next checkpoint, where one is due so many versions
    /// after the last, or a fifth of that after one that failed.
    pub(in super::super) fn checkpoint_due(&self, every: u64) -> u64 {
        let due = self.checkpoint.unwrap_or(0).saturating_add(every);
        let failed = self.checkpoint_failed;
        failed.map_or(due, |failed| {
            due.max(failed.saturating_add(every.div_ceil(5)))
        })
    }

    /// Forgets files that were removed before a time, in milliseconds since the Unix epoch.
    pub(in super::super) fn forget_removed(&mut self, before: i64) {
        self.removed
            .retain(|_, remove| remove.deletion_timestamp.unwrap_or(0) >= before);
    }

    /// What a checkpoint has of it.
    pub(in super::super) fn frozen(&self) -> Self {
        Self {
            snapshot: self.snapshot.clone(),
            protocol: self.protocol.clone(),
            metadata: self.metadata.clone(),
            txns: self.txns.clone(),
            places: HashMap::new(),
            removed: self.removed.clone(),
            checkpoint: self.checkpoint,
            checkpoint_failed: None,
        }
    }

    /// How far the consumer has come, if a commit said so.
    pub(in super::super) fn txn(&self) -> Option<&Txn> {
        self.txns.get(APP)
    }

    /// Takes in the lines of a version, which `source` has. All or none: after an error the
    /// table is what it was.
    pub(in super::super) fn apply(
        &mut self,
        version: u64,
        lines: Vec<Line>,
        source: &str,
        root: &str,
    ) -> Result<(), Error> {
        let damaged = |what: String| Error::damaged(source, what);
        // whatever refuses comes before anything is changed
        let mut added = Vec::new();
        for line in &lines {
            if let Some(protocol) = &line.protocol {
                check_protocol(protocol, root)?;
            }
            if let Some(metadata) = &line.meta_data {
                check_metadata(metadata, root)?;
            }
            if let Some(add) = &line.add {
                added.push(add.file().map_err(damaged)?);
            }
        }
        let mut snapshot = Snapshot::clone(&self.snapshot);
        snapshot.version = version;
        let mut removed = Vec::new();
        for line in lines {
            if let Some(protocol) = line.protocol {
                self.protocol = Some(protocol);
            }
            if let Some(metadata) = line.meta_data {
                self.metadata = Some(metadata);
            }
            if let Some(txn) = line.txn {
                if txn.app_id == RETENTION {
                    // what was dropped does not come back
                    snapshot.kept_from = snapshot.kept_from.max(numbered_day(txn.version));
                }
                self.txns.insert(txn.app_id.clone(), txn);
            }
            removed.extend(line.remove);
        }
        for remove in removed {
            let path: Arc<str> = match partition::of_uri(&remove.path) {
                Some(path) => path.into(),
                // no file of the table: one that was is refused when it is added
                None => continue,
            };
            if let Some(partition) = self.places.remove(&path) {
                snapshot.remove(&partition, &path);
            }
            self.removed.insert(path, remove);
        }
        for file in added {
            let file = Arc::new(file);
            self.removed.remove(&file.path);
            // added again, as a checkpoint or a new statement does: the last counts
            if let Some(partition) = self.places.remove(&file.path) {
                snapshot.remove(&partition, &file.path);
            }
            self.places
                .insert(file.path.clone(), file.partition.clone());
            snapshot.add(file);
        }
        self.snapshot = Arc::new(snapshot);
        Ok(())
    }

    /// Whether a file is part of the table.
    pub(in super::super) fn has(&self, path: &str) -> bool {
        self.places.contains_key(path)
    }

    /// Checks that a table began as one does: with its protocol and what it is.
    pub(in super::super) fn check(&self, source: &str) -> Result<(), Error> {
        if self.protocol.is_none() || self.metadata.is_none() {
            let what = "it does not say what the table is: `protocol` or `metaData` is missing";
            return Err(Error::damaged(source, what));
        }
        Ok(())
    }

    /// Files of the table.
    pub(in super::super) fn files(&self) -> impl Iterator<Item = &Arc<File>> {
        self.snapshot.all()
    }
}

/// That days before one are dropped.
pub(in super::super) fn retained(from: Date, now: i64) -> Txn {
    Txn {
        app_id: RETENTION.to_owned(),
        version: day_number(from).into(),
        last_updated: Some(now),
    }
}

fn check_protocol(protocol: &Protocol, root: &str) -> Result<(), Error> {
    if protocol.min_reader_version <= READER && protocol.min_writer_version <= WRITER {
        return Ok(());
    }
    let features = |features: &Option<Vec<String>>| match features {
        Some(names) if !names.is_empty() => format!(" ({})", names.join(", ")),
        _ => String::new(),
    };
    Err(Error::Newer {
        root: root.to_owned(),
        what: format!(
            "it asks for reader version {}{} and writer version {}{}; this program has {READER} \
             and {WRITER}",
            protocol.min_reader_version,
            features(&protocol.reader_features),
            protocol.min_writer_version,
            features(&protocol.writer_features),
        ),
    })
}

fn check_metadata(metadata: &MetaData, root: &str) -> Result<(), Error> {
    let foreign = |what: String| {
        Err(Error::Foreign {
            root: root.to_owned(),
            what,
        })
    };
    if metadata.format.provider != "parquet" {
        return foreign(format!("its files are {}", metadata.format.provider));
    }
    if metadata.partition_columns != partition::COLUMNS {
        let columns = metadata.partition_columns.join(", ");
        return foreign(format!("it is partitioned by `{columns}`"));
    }
    if !schema::is_ours(&metadata.schema_string) {
        return foreign("its columns are others".to_owned());
    }
    let is_set = |name: &str| {
        let value = metadata.configuration.get(name);
        value.is_some_and(|value| value.as_deref() == Some("true"))
    };
    // corrections and retention could not be kept
    if is_set("delta.appendOnly") {
        return foreign("it may only be appended to (`delta.appendOnly`)".to_owned());
    }
    Ok(())
}
