//! What a line of the table's log says, by the Delta protocol.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::super::{
    partition::{self, Partition},
    snapshot::File,
};
use crate::event::TimeRange;

/// A line: one of these. Lines of other kinds say nothing to us; those that would matter
/// need a protocol that is refused.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Line {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) protocol: Option<Protocol>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) meta_data: Option<MetaData>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) add: Option<Add>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) remove: Option<Remove>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) txn: Option<Txn>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(in super::super) commit_info: Option<CommitInfo>,
}

/// What a reader and a writer must know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Protocol {
    pub(in super::super) min_reader_version: i32,
    pub(in super::super) min_writer_version: i32,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) reader_features: Option<Vec<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) writer_features: Option<Vec<String>>,
}

/// What the table is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct MetaData {
    pub(in super::super) id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) description: Option<String>,
    pub(in super::super) format: Format,
    pub(in super::super) schema_string: String,
    pub(in super::super) partition_columns: Vec<String>,
    #[serde(default)]
    pub(in super::super) configuration: BTreeMap<String, Option<String>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) created_time: Option<i64>,
}

/// What data files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in super::super) struct Format {
    pub(in super::super) provider: String,
    #[serde(default)]
    pub(in super::super) options: BTreeMap<String, Option<String>>,
}

/// A file is part of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Add {
    pub(in super::super) path: String,
    pub(in super::super) partition_values: BTreeMap<String, Option<String>>,
    pub(in super::super) size: i64,
    pub(in super::super) modification_time: i64,
    pub(in super::super) data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) stats: Option<String>,
}

/// A file is no longer part of the table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Remove {
    pub(in super::super) path: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) deletion_timestamp: Option<i64>,
    #[serde(default = "yes")]
    pub(in super::super) data_change: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) extended_file_metadata: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) partition_values: Option<BTreeMap<String, Option<String>>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) size: Option<i64>,
}

fn yes() -> bool {
    true
}

/// How far an application has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(in super::super) struct Txn {
    pub(in super::super) app_id: String,
    pub(in super::super) version: i64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(in super::super) last_updated: Option<i64>,
}

/// Who committed what. Others may write into it what they like: it is read for our own
/// mark alone.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(in super::super) struct CommitInfo {
    #[serde(deserialize_with = "lenient")]
    pub(in super::super) timestamp: Option<i64>,
    #[serde(deserialize_with = "lenient")]
    pub(in super::super) operation: Option<String>,
    #[serde(deserialize_with = "lenient")]
    pub(in super::super) operation_parameters: Option<BTreeMap<String, String>>,
    #[serde(deserialize_with = "lenient")]
    pub(in super::super) engine_info: Option<String>,
    /// By which a writer knows its own commit.
    #[serde(deserialize_with = "lenient")]
    pub(in super::super) txn_id: Option<String>,
}

impl CommitInfo {
    /// That of an operation of ours, at a time in milliseconds, with its own mark.
    pub(in super::super) fn of(operation: &str, at: i64, mark: String) -> Self {
        Self {
            timestamp: Some(at),
            operation: Some(operation.to_owned()),
            operation_parameters: Some(BTreeMap::new()),
            engine_info: Some(concat!("trailgate/", env!("CARGO_PKG_VERSION")).to_owned()),
            txn_id: Some(mark),
        }
    }
}

/// What is of another type is not there.
fn lenient<'de, T, D>(json: D) -> Result<Option<T>, D::Error>
where
    T: serde::de::DeserializeOwned,
    D: serde::Deserializer<'de>,
{
    let value = serde_json::Value::deserialize(json)?;
    Ok(serde_json::from_value(value).ok())
}

/// What the log tells of a file's rows.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Stats {
    num_records: Option<u64>,
    min_values: Option<Times>,
    max_values: Option<Times>,
    null_count: Option<NullCount>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Times {
    event_time: Option<String>,
}

#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NullCount {
    event_time: Option<u64>,
}

impl Add {
    /// What makes a file part of the table; `is_new`: its events were not there.
    pub(in super::super) fn of(file: &File, is_new: bool) -> Self {
        Self {
            path: partition::to_uri(&file.path),
            partition_values: values(&file.partition),
            size: i64::try_from(file.bytes).unwrap_or(i64::MAX),
            modification_time: file.modified,
            data_change: is_new,
            stats: stats(file),
        }
    }

    /// The file. `Err`: what is wrong with it.
    pub(in super::super) fn file(&self) -> Result<File, String> {
        let path = partition::of_uri(&self.path)
            .ok_or_else(|| format!("`{}` is not below the table", self.path))?;
        let value = |name: &str| self.partition_values.get(name)?.as_deref();
        let partition = Partition::of_values(partition::COLUMNS.map(value));
        let partition =
            partition.ok_or_else(|| format!("`{}` has no date in its partition", self.path))?;
        let stats = self.stats.as_deref();
        // those that cannot be read say nothing
        let stats = stats.and_then(|stats| serde_json::from_str::<Stats>(stats).ok());
        let stats = stats.unwrap_or_default();
        let time = |times: Option<Times>| times?.event_time?.parse::<Timestamp>().ok();
        let times = match (time(stats.min_values), time(stats.max_values)) {
            (Some(min), Some(max)) => {
                let after = max.as_second().saturating_add(1);
                Some(TimeRange::new(min.as_second(), after))
            }
            _ => None,
        };
        let bytes = u64::try_from(self.size);
        let bytes = bytes.map_err(|_| format!("`{}` has {} bytes", self.path, self.size))?;
        Ok(File {
            path: path.into(),
            partition,
            bytes,
            rows: stats.num_records,
            times,
            modified: self.modification_time,
        })
    }
}

impl Remove {
    /// What takes a file out of the table, at a time in milliseconds; `is_lost`: its events
    /// are not there any more.
    pub(in super::super) fn of(file: &File, at: i64, is_lost: bool) -> Self {
        Self {
            path: partition::to_uri(&file.path),
            deletion_timestamp: Some(at),
            data_change: is_lost,
            extended_file_metadata: Some(true),
            partition_values: Some(values(&file.partition)),
            size: i64::try_from(file.bytes).ok(),
        }
    }
}

fn values(partition: &Partition) -> BTreeMap<String, Option<String>> {
    let names = partition::COLUMNS.map(str::to_owned);
    names.into_iter().zip(partition.values()).collect()
}

/// The first second of year 1.
const FIRST_YEAR: i64 = -62_135_596_800;

fn stats(file: &File) -> Option<String> {
    // to the millisecond: as the protocol has it, which knows no year before the first
    let time = |second| {
        let second = Some(second).filter(|second| *second >= FIRST_YEAR)?;
        Timestamp::from_second(second)
            .ok()
            .map(|time| format!("{time:.3}"))
    };
    let times = |second: Option<i64>| Times {
        event_time: second.and_then(time),
    };
    let stats = Stats {
        num_records: Some(file.rows?),
        min_values: Some(times(file.times.map(|times| times.from))),
        max_values: Some(times(file.times.map(|times| times.to.saturating_sub(1)))),
        null_count: Some(NullCount {
            event_time: Some(0),
        }),
    };
    serde_json::to_string(&stats).ok()
}
