//! The table's log: a commit a version, written once, and checkpoints that sum up what was
//! before. What is true is found by asking for the next version until there is none; what
//! the store lists only hints.

pub(super) mod action;
pub(super) mod checkpoint;
mod clean;
mod json;
pub(super) mod table;

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream};
use serde::{Deserialize, Serialize};

pub(super) use self::clean::clean;
use self::{
    action::{CommitInfo, Format, Line, MetaData, Protocol},
    table::Table,
};
use super::{Options, error::Error, file::uuid, partition, schema, state, store::Store};
use crate::clock::Clock;

/// The folder of the log, below the root.
pub(super) const FOLDER: &str = "_delta_log";
/// What says which checkpoint is the newest, if it could be written.
const LAST_CHECKPOINT: &str = "_delta_log/_last_checkpoint";
/// The largest commit that is read, in bytes: an added file takes some 700, so this has
/// 100,000 of them; ours have one a partition.
const MAX_COMMIT: u64 = 64 * 1024 * 1024;
/// How many commits are asked for at once: stores take tens of milliseconds for each.
const AHEAD: usize = 8;

/// Commits that the store lists beyond the last that was found, of which one is looked at
/// each: more than a list makes up.
const LISTED: usize = 32;

/// The path of a version's commit.
pub(super) fn commit_path(version: u64) -> String {
    format!("{FOLDER}/{version:020}.json")
}

/// What the last checkpoint is.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastCheckpoint {
    version: u64,
    size: u64,
    /// In how many files it is, if it is not one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parts: Option<u32>,
}

/// The lines of a commit.
fn parse(bytes: &Bytes, path: &str) -> Result<Vec<Line>, Error> {
    let text = str::from_utf8(bytes);
    let text = text.map_err(|error| Error::damaged(path, error.to_string()))?;
    let mut lines = Vec::new();
    for (number, line) in text.lines().enumerate() {
        if line.trim().is_empty() {
            continue;
        }
        let parsed = serde_json::from_str(line);
        let parsed = parsed
            .map_err(|error| Error::damaged(path, format!("line {}: {error}", number + 1)))?;
        lines.push(parsed);
    }
    if lines.is_empty() {
        return Err(Error::damaged(path, "it is empty"));
    }
    Ok(lines)
}

/// The bytes of a commit of these lines. `None`: they cannot be written down.
pub(super) fn bytes_of(lines: &[Line]) -> Option<Bytes> {
    let mut bytes = Vec::new();
    for line in lines {
        serde_json::to_writer(&mut bytes, line).ok()?;
        bytes.push(b'\n');
    }
    Some(bytes.into())
}

/// Reads a version's commit; `None`: there is none.
pub(super) async fn read_commit(store: &Store, version: u64) -> Result<Option<Vec<Line>>, Error> {
    let path = commit_path(version);
    let Some(bytes) = store.get(&path, MAX_COMMIT).await? else {
        return Ok(None);
    };
    parse(&bytes, &path).map(Some)
}

/// The table as of its newest version; `None`: there is none, and nothing that looks like
/// one.
pub(super) async fn open(store: &Store) -> Result<Option<Table>, Error> {
    let mut table = Table::new();
    let last = last_checkpoint(store).await?;
    let next = match &last {
        Some(last) => {
            checkpoint::read(store, last.version, last.parts, &mut table).await?;
            last.version + 1
        }
        None => 0,
    };
    let newest = follow(store, &mut table, next).await?;
    if newest.is_none() && last.is_none() {
        return match nothing_there(store).await {
            Ok(()) => Ok(None),
            // another writer may have begun it just now
            Err(_) if read_commit(store, 0).await?.is_some() => Box::pin(open(store)).await,
            Err(error) => Err(error),
        };
    }
    table.check(&commit_path(next))?;
    check_whole(store, &mut table).await?;
    Ok(Some(table))
}

async fn last_checkpoint(store: &Store) -> Result<Option<LastCheckpoint>, Error> {
    // a few numbers, and what others may add
    let Some(bytes) = store.get(LAST_CHECKPOINT, 1024 * 1024).await? else {
        return Ok(None);
    };
    let last = serde_json::from_slice(&bytes);
    let last = last.map_err(|error| Error::damaged(LAST_CHECKPOINT, error.to_string()))?;
    Ok(Some(last))
}

/// Takes in the commits from a version on; the newest of them, if there are any.
pub(super) async fn follow(
    store: &Store,
    table: &mut Table,
    next: u64,
) -> Result<Option<u64>, Error> {
    let mut newest = None;
    // one is asked for first: mostly there is none
    let mut ahead = 1;
    let mut from = next;
    loop {
        let versions = from..from.saturating_add(ahead);
        let mut commits = stream::iter(versions)
            .map(|version| async move { (version, read_commit(store, version).await) })
            .buffered(AHEAD);
        while let Some((version, lines)) = commits.next().await {
            let Some(lines) = lines? else {
                return Ok(newest);
            };
            table.apply(version, lines, &commit_path(version), store.root())?;
            newest = Some(version);
        }
        from = from.saturating_add(ahead);
        ahead = 4 * AHEAD as u64;
    }
}

/// Follows the table from the version that is known. Where a checkpoint is newer than what
/// can be followed to, others have cleaned up meanwhile, and it is read anew.
pub(super) async fn refresh(store: &Store, table: &mut Table) -> Result<(), Error> {
    let known = table.snapshot.version;
    let newest = follow(store, table, known + 1).await?.unwrap_or(known);
    let last = last_checkpoint(store).await?;
    if last.is_some_and(|last| last.version > newest)
        && let Some(anew) = open(store).await?
    {
        *table = anew;
    }
    Ok(())
}

/// Looks whether the store lists a commit that the log cannot be followed to: then one in
/// the midst is missing.
async fn check_whole(store: &Store, table: &mut Table) -> Result<(), Error> {
    let mut beyond = BTreeSet::new();
    {
        let mut listed = store.list(FOLDER);
        while let Some(one) = listed.next().await {
            let version = version_of(&one?.path);
            beyond.extend(version.filter(|version| *version > table.snapshot.version));
            // those that come next tell as much
            if beyond.len() > LISTED {
                beyond.pop_last();
            }
        }
    }
    if beyond.is_empty() {
        return Ok(());
    }
    // they may have been written since
    let next = table.snapshot.version + 1;
    follow(store, table, next).await?;
    for version in beyond {
        // a list may lie: what counts is what can be read
        if version > table.snapshot.version && store.has(&commit_path(version)).await? {
            let missing = commit_path(table.snapshot.version + 1);
            let what = format!("it is missing, but version {version} is there");
            return Err(Error::damaged(&missing, what));
        }
    }
    Ok(())
}

/// Makes sure that there is no table, before one is begun.
async fn nothing_there(store: &Store) -> Result<(), Error> {
    state::check_unmarked(store).await?;
    let mut listed = store.list(FOLDER);
    while let Some(one) = listed.next().await {
        let one = one?;
        let what = "it is there, but neither a first commit nor a last checkpoint is";
        // a list may lie
        if store.has(&one.path).await? {
            return Err(Error::damaged(&one.path, what));
        }
    }
    Ok(())
}

/// Begins a table, where there is none.
pub(super) async fn begin(store: &Store, clock: &Clock, options: &Options) -> Result<Table, Error> {
    let now = clock.now().as_millisecond();
    let hours = |time: Duration| Some(format!("interval {} hours", time.as_secs().div_ceil(3600)));
    let configuration = [
        (
            "delta.deletedFileRetentionDuration",
            hours(options.keep_removed),
        ),
        ("delta.logRetentionDuration", hours(options.keep_log)),
    ];
    let lines = [
        Line {
            commit_info: Some(CommitInfo::of("CREATE TABLE", now, uuid(clock))),
            ..Line::default()
        },
        Line {
            protocol: Some(Protocol {
                min_reader_version: table::READER,
                min_writer_version: table::WRITER,
                reader_features: None,
                writer_features: None,
            }),
            ..Line::default()
        },
        Line {
            meta_data: Some(MetaData {
                id: uuid(clock),
                name: Some("cloudtrail".to_owned()),
                description: None,
                format: Format {
                    provider: "parquet".to_owned(),
                    options: BTreeMap::new(),
                },
                schema_string: schema::schema_string(),
                partition_columns: partition::COLUMNS.map(str::to_owned).into(),
                configuration: configuration
                    .map(|(name, value)| (name.to_owned(), value))
                    .into(),
                created_time: Some(now),
            }),
            ..Line::default()
        },
    ];
    let path = commit_path(0);
    let bytes = bytes_of(&lines).unwrap_or_default();
    // whoever was first began it: what counts is what is there now
    let put = store.put_new(&path, bytes).await;
    match open(store).await? {
        Some(table) => Ok(table),
        None => Err(put.map_or_else(
            |error| error,
            |_| Error::damaged(&path, "it was written, and is not there"),
        )),
    }
}

/// The version of a commit's path.
fn version_of(path: &str) -> Option<u64> {
    let name = path.strip_prefix(FOLDER)?.strip_prefix('/')?;
    let digits = name.strip_suffix(".json")?;
    let is_number = digits.len() == 20 && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().ok()).flatten()
}
