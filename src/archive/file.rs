//! Data files: how they are written and named.

use std::sync::Arc;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use parquet::{
    arrow::{ArrowWriter, arrow_writer::ArrowWriterOptions},
    basic::{Compression, ZstdLevel},
    errors::Result,
    file::{
        metadata::SortingColumn,
        properties::{EnabledStatistics, WriterProperties},
    },
    schema::types::ColumnPath,
};
use rand::RngExt as _;

use super::{columns::MICROS, partition::Partition, rows, snapshot::File};
use crate::{clock::Clock, event::TimeRange};

/// Rows of a row group: what an engine reads at least of a column. Some 200 MB of records
/// with their columns, some 20 compressed.
const GROUP_ROWS: usize = 64 * 1024;
/// Bytes of a row group, compressed, at most: records may have 256 KB.
const GROUP_BYTES: usize = 32 * 1024 * 1024;
/// Rows that are written between two looks at how large a page has become: records have
/// some 2 KB, a page a megabyte.
const LOOK: usize = 128;
/// How hard zstd tries. Its default, 3, makes a commit take a quarter longer, from gzip to
/// files, with tables of some 800 KB a column in place of 64, and files no smaller: 231
/// bytes a record, and 228 (benches/archive.rs).
const LEVEL: i32 = 1;
/// The end of a data file's name.
const SUFFIX: &str = ".zstd.parquet";
/// Columns in which hardly any value comes twice.
const UNIQUE: [&str; 4] = ["eventID", "requestID", "identity", "record"];
/// Columns that nobody looks for by what is smallest in them.
const LONG: [&str; 7] = [
    "record",
    "requestParameters",
    "responseElements",
    "additionalEventData",
    "serviceEventDetails",
    "errorMessage",
    "identity",
];

/// How files are written, of which a row group may take `memory` bytes.
pub(super) fn properties(memory: usize) -> Result<WriterProperties> {
    let column = |name: &str| ColumnPath::from(name);
    let mut properties = WriterProperties::builder()
        .set_created_by(concat!("trailgate version ", env!("CARGO_PKG_VERSION")).to_owned())
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(LEVEL)?))
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_max_row_group_bytes(Some(GROUP_BYTES.min(memory)))
        .set_write_batch_size(LOOK)
        .set_statistics_enabled(EnabledStatistics::Chunk)
        // files are in the order of times: a reader of an hour finds its pages
        .set_column_statistics_enabled(column("eventTime"), EnabledStatistics::Page)
        .set_sorting_columns(Some(vec![SortingColumn {
            column_idx: 0,
            descending: false,
            nulls_first: false,
        }]));
    for name in UNIQUE {
        properties = properties.set_column_dictionary_enabled(column(name), false);
    }
    for name in LONG {
        properties =
            properties.set_column_statistics_enabled(column(name), EnabledStatistics::None);
    }
    // half of it is at random
    properties = properties.set_column_compression(column("identity"), Compression::UNCOMPRESSED);
    Ok(properties.build())
}

/// A data file that is being written. Rows come in their order.
pub(super) struct Writer {
    writer: ArrowWriter<Vec<u8>>,
    rows: u64,
    times: Option<TimeRange>,
}

impl Writer {
    /// None yet; a row group, which is held until it is full, may take `memory` bytes.
    pub(super) fn new(schema: SchemaRef, memory: usize) -> Result<Self> {
        // readers of every kind take Parquet's own types
        let options = ArrowWriterOptions::new()
            .with_properties(properties(memory)?)
            .with_skip_arrow_metadata(true);
        Ok(Self {
            writer: ArrowWriter::try_new_with_options(Vec::new(), schema, options)?,
            rows: 0,
            times: None,
        })
    }

    /// Writes rows.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        let times = rows::times(batch).map_err(parquet::errors::ParquetError::General)?;
        if let Some(last) = times.len().checked_sub(1) {
            let (first, last) = (times.value(0), times.value(last));
            let second = |micros: i64| micros.div_euclid(MICROS);
            let new = TimeRange::new(second(first), second(last).saturating_add(1));
            let all = self.times.get_or_insert(new);
            *all = TimeRange::new(all.from.min(new.from), all.to.max(new.to));
        }
        self.rows += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        self.writer.write(batch)
    }

    /// Rows that were written.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Bytes that it has so far, about.
    pub(super) fn bytes(&self) -> usize {
        self.writer.bytes_written() + self.writer.in_progress_size()
    }

    /// Takes what was finished of it, which is then not held any more.
    pub(super) fn take(&mut self) -> Result<Vec<u8>> {
        self.writer.sync()?;
        Ok(std::mem::take(self.writer.inner_mut()))
    }

    /// The rest of it, how many bytes it has in all, its rows and their times.
    pub(super) fn finish(mut self) -> Result<Written> {
        self.writer.finish()?;
        let bytes = self.writer.bytes_written();
        Ok(Written {
            rest: self.take()?,
            bytes: u64::try_from(bytes).unwrap_or(u64::MAX),
            rows: self.rows,
            times: self.times,
        })
    }
}

/// A data file that was written.
pub(super) struct Written {
    /// What was not taken yet.
    pub(super) rest: Vec<u8>,
    /// All its bytes.
    pub(super) bytes: u64,
    pub(super) rows: u64,
    pub(super) times: Option<TimeRange>,
}

impl Written {
    /// The file, at its place.
    pub(super) fn at(&self, path: Arc<str>, partition: &Partition, modified: i64) -> File {
        File {
            path,
            partition: partition.clone(),
            bytes: self.bytes,
            rows: Some(self.rows),
            times: self.times,
            modified,
        }
    }
}

/// A path for a new file of a partition.
pub(super) fn new_path(partition: &Partition, clock: &Clock) -> Arc<str> {
    format!("{}/part-{}{SUFFIX}", partition.folder(), uuid(clock)).into()
}

/// When the file at a path was begun, in seconds since the Unix epoch. `None`: its name is
/// none of ours.
pub(super) fn begun(path: &str) -> Option<i64> {
    let (folder, name) = path.rsplit_once('/')?;
    let is_ours = folder.starts_with("account_id=") && folder.contains("/date=");
    let uuid = name.strip_prefix("part-")?.strip_suffix(SUFFIX)?;
    if !is_ours || !crate::event::is_uuid(uuid) {
        return None;
    }
    let (high, low) = (uuid.get(..8)?, uuid.get(9..13)?);
    let millis = i64::from_str_radix(&format!("{high}{low}"), 16).ok()?;
    Some(millis / 1000)
}

/// A UUID of version 7: the time to the millisecond, and 74 bits at random.
pub(super) fn uuid(clock: &Clock) -> String {
    let random: u128 = rand::rng().random();
    let millis = u128::from(u64::try_from(clock.now().as_millisecond()).unwrap_or(0));
    let bits = millis << 80 | 0x7 << 76 | (random >> 52 & 0xfff) << 64;
    let bits = bits | 0b10 << 62 | random & ((1 << 62) - 1);
    let hex = format!("{bits:032x}");
    let mut uuid = String::with_capacity(36);
    for (at, digit) in hex.chars().enumerate() {
        if matches!(at, 8 | 12 | 16 | 20) {
            uuid.push('-');
        }
        uuid.push(digit);
    }
    uuid
}
