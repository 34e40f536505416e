//! Checkpoints: a version of the table in one Parquet file, so that nobody has to read the
//! log from its beginning.

use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch, RecordBatchReader as _};
use arrow_schema::{DataType, Field, Fields, Schema};
use bytes::Bytes;
use parquet::{
    arrow::{
        ArrowWriter, ProjectionMask,
        arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder},
    },
    basic::{Compression, ZstdLevel},
    file::properties::WriterProperties,
};
use serde_json::Value;

use super::{
    super::{
        error::Error,
        store::{Put, Store},
    },
    FOLDER, LAST_CHECKPOINT, LastCheckpoint,
    action::{Add, Line},
    json,
    table::Table,
};

/// The largest checkpoint that is read, in bytes: a file of the table takes some 100, so
/// this has ten millions of them, a thousand scopes' days of 27 years.
const MAX: u64 = 1024 * 1024 * 1024;
/// How many lines are held in both forms at once: some 4 MB.
const ROWS: usize = 4096;

fn path_of(version: u64) -> String {
    format!("{FOLDER}/{version:020}.checkpoint.parquet")
}

fn part_of(version: u64, part: u32, parts: u32) -> String {
    format!("{FOLDER}/{version:020}.checkpoint.{part:010}.{parts:010}.parquet")
}

fn text(name: &str) -> Field {
    Field::new(name, DataType::Utf8, true)
}

fn number(name: &str) -> Field {
    Field::new(name, DataType::Int64, true)
}

fn flag(name: &str) -> Field {
    Field::new(name, DataType::Boolean, true)
}

fn map(name: &str) -> Field {
    let pair = vec![Field::new("key", DataType::Utf8, false), text("value")];
    let pairs = Field::new("key_value", DataType::Struct(pair.into()), false);
    Field::new(name, DataType::Map(Arc::new(pairs), false), true)
}

fn object(name: &str, fields: Vec<Field>) -> Field {
    Field::new(name, DataType::Struct(fields.into()), true)
}

/// The columns of a checkpoint: the lines' members.
fn schema() -> Schema {
    let element = Arc::new(text("element"));
    let int = |name: &str| Field::new(name, DataType::Int32, true);
    Schema::new(vec![
        object(
            "txn",
            vec![text("appId"), number("version"), number("lastUpdated")],
        ),
        object(
            "add",
            vec![
                text("path"),
                map("partitionValues"),
                number("size"),
                number("modificationTime"),
                flag("dataChange"),
                text("stats"),
                map("tags"),
            ],
        ),
        object(
            "remove",
            vec![
                text("path"),
                number("deletionTimestamp"),
                flag("dataChange"),
                flag("extendedFileMetadata"),
                map("partitionValues"),
                number("size"),
            ],
        ),
        object(
            "metaData",
            vec![
                text("id"),
                text("name"),
                text("description"),
                object("format", vec![text("provider"), map("options")]),
                text("schemaString"),
                Field::new("partitionColumns", DataType::List(element), true),
                map("configuration"),
                number("createdTime"),
            ],
        ),
        object(
            "protocol",
            vec![int("minReaderVersion"), int("minWriterVersion")],
        ),
    ])
}

/// A checkpoint, and how many lines it has.
pub(in super::super) struct Encoded {
    bytes: Bytes,
    size: u64,
}

/// Writes a checkpoint of a version, and says that it is the newest.
pub(in super::super) async fn write(
    store: &Store,
    version: u64,
    encoded: Encoded,
) -> Result<(), Error> {
    // who is there before us wrote the same table: replacing it would tear it for readers
    match store.put_new(&path_of(version), encoded.bytes).await? {
        Put::Created | Put::Exists => {}
    }
    let last = LastCheckpoint {
        version,
        size: encoded.size,
        parts: None,
    };
    let last = serde_json::to_vec(&last).unwrap_or_default();
    store.put(LAST_CHECKPOINT, last.into()).await
}

/// The checkpoint of a table.
pub(in super::super) fn encode(table: &Table) -> Result<Encoded, Error> {
    let path = path_of(table.snapshot.version);
    encoded(table).map_err(|error| Error::columns(&path, &error))
}

fn encoded(table: &Table) -> parquet::errors::Result<Encoded> {
    let schema = Arc::new(schema());
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::try_new(3)?))
        .build();
    let mut writer = ArrowWriter::try_new(Vec::new(), schema.clone(), Some(properties))?;
    let mut waiting = Vec::with_capacity(ROWS);
    let mut rows = 0;
    for line in lines(table) {
        waiting.push(serde_json::to_value(line).unwrap_or_default());
        rows += 1;
        if waiting.len() == ROWS {
            writer.write(&batch(&schema, &waiting)?)?;
            waiting.clear();
        }
    }
    if !waiting.is_empty() {
        writer.write(&batch(&schema, &waiting)?)?;
    }
    Ok(Encoded {
        bytes: writer.into_inner()?.into(),
        size: rows,
    })
}

/// All that the table is, as lines.
fn lines(table: &Table) -> impl Iterator<Item = Line> {
    let first = Line {
        protocol: table.protocol.clone(),
        ..Line::default()
    };
    let second = Line {
        meta_data: table.metadata.clone(),
        ..Line::default()
    };
    let txns = table.txns.values().map(|txn| Line {
        txn: Some(txn.clone()),
        ..Line::default()
    });
    let removed = table.removed.values().map(|remove| {
        let mut remove = remove.clone();
        // as the protocol has it in checkpoints
        remove.data_change = false;
        Line {
            remove: Some(remove),
            ..Line::default()
        }
    });
    let added = table.files().map(|file| Line {
        add: Some(Add::of(file, false)),
        ..Line::default()
    });
    [first, second]
        .into_iter()
        .chain(txns)
        .chain(removed)
        .chain(added)
}

fn batch(schema: &Arc<Schema>, lines: &[Value]) -> parquet::errors::Result<RecordBatch> {
    let columns: Vec<ArrayRef> = schema
        .fields()
        .iter()
        .map(|field| {
            let values: Vec<_> = lines.iter().map(|line| line.get(field.name())).collect();
            json::array(field.data_type(), &values)
        })
        .collect::<Result<_, _>>()?;
    Ok(RecordBatch::try_new(schema.clone(), columns)?)
}

/// Takes in a checkpoint.
pub(super) async fn read(
    store: &Store,
    version: u64,
    parts: Option<u32>,
    table: &mut Table,
) -> Result<(), Error> {
    let paths: Vec<_> = match parts {
        None => vec![path_of(version)],
        Some(parts) => (1..=parts)
            .map(|part| part_of(version, part, parts))
            .collect(),
    };
    for path in &paths {
        let bytes = store.get(path, MAX).await?;
        let bytes = bytes.ok_or_else(|| {
            Error::damaged(
                path,
                format!("it is missing, but `{LAST_CHECKPOINT}` names it"),
            )
        })?;
        decode(
            bytes,
            &mut |lines| table.apply(version, lines, path, store.root()),
            path,
        )?;
    }
    let first = paths.first().map_or(LAST_CHECKPOINT, String::as_str);
    table.check(first)?;
    table.checkpoint = Some(version);
    Ok(())
}

fn decode(
    bytes: Bytes,
    each: &mut impl FnMut(Vec<Line>) -> Result<(), Error>,
    path: &str,
) -> Result<(), Error> {
    let damaged = |what: &dyn std::fmt::Display| Error::damaged(path, what.to_string());
    // what others' writers put beside the columns is not asked
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(bytes, options)
        .map_err(|error| damaged(&error))?;
    let wanted = schema();
    let leaves = builder.parquet_schema().columns().iter().enumerate();
    let leaves = leaves.filter(|(_, leaf)| is_wanted(wanted.fields(), leaf.path().parts()));
    let leaves: Vec<usize> = leaves.map(|(at, _)| at).collect();
    let mask = ProjectionMask::leaves(builder.parquet_schema(), leaves);
    let reader = builder.with_projection(mask).with_batch_size(ROWS).build();
    let reader = reader.map_err(|error| damaged(&error))?;
    let names: Vec<String> = reader
        .schema()
        .fields()
        .iter()
        .map(|field| field.name().clone())
        .collect();
    for batch in reader {
        let batch = batch.map_err(|error| damaged(&error))?;
        let mut lines = Vec::with_capacity(batch.num_rows());
        for row in 0..batch.num_rows() {
            let members = names.iter().zip(batch.columns());
            let members = members.map(|(name, column)| (name.clone(), json::value(column, row)));
            let line = serde_json::from_value(Value::Object(members.collect()));
            lines.push(line.map_err(|error| damaged(&error))?);
        }
        each(lines)?;
    }
    Ok(())
}

/// Whether a leaf is of what is read: of our own columns, and what is in their maps and
/// lists, whatever others call that.
fn is_wanted(fields: &Fields, path: &[String]) -> bool {
    let Some((name, rest)) = path.split_first() else {
        return true;
    };
    let Some(field) = fields.iter().find(|field| field.name() == name) else {
        return false;
    };
    match field.data_type() {
        DataType::Struct(fields) => is_wanted(fields, rest),
        _ => true,
    }
}
