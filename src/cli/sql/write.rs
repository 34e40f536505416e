//! Answers as they are written: for people, for programs, and for other engines.

mod cells;
mod lines;

use std::io::{self, Write};

use clap::ValueEnum;
use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, Field, FieldRef, Schema, SchemaRef},
        ipc::writer::StreamWriter,
        json::{ArrayWriter, WriterBuilder, writer::JsonArray},
    },
    parquet::{
        arrow::ArrowWriter,
        basic::{Compression, ZstdLevel},
        file::properties::WriterProperties,
    },
};

use self::{
    cells::Text,
    lines::{height, lines},
};
use crate::{
    cli::{
        output::{for_stdout, terminal_width},
        table::{GAP, Head, grid},
        view::bold,
    },
    sheet::Cells,
};

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Shape {
    /// For people; a row is some lines where the terminal is too narrow for the columns
    Table,
    /// Comma-separated values with a header, for spreadsheets
    Csv,
    /// One JSON array
    Json,
    /// A stream in Arrow's format (IPC)
    Arrow,
    /// A Parquet file
    Parquet,
}

impl Shape {
    /// Whether it is not for a terminal.
    pub(super) fn is_binary(self) -> bool {
        matches!(self, Self::Arrow | Self::Parquet)
    }
}

/// The rows of a table that are looked at together, for the width of its columns: some
/// screens.
const BLOCK: usize = 500;

/// The lines of rows that are kept for a block, at most: rows of a batch, where a cell
/// has lines of its own.
const LINES: usize = 8192;

/// The rows of a Parquet file's row group, at most; the other bound is [`GROUP_BYTES`].
const GROUP_ROWS: usize = 100_000;

/// What a row group holds before it is written, in bytes: it is in memory until then.
const GROUP_BYTES: usize = 64 << 20;

/// The width of a text, in characters, below which it says too little: where the terminal
/// has not so much for each, a row is some lines.
const NARROW: usize = 12;

/// Writes an answer to standard output, batch by batch.
pub(super) struct Writer {
    shape: Shape,
    cells: Cells,
    color: bool,
    width: Option<usize>,
    rows: u64,
    to: To,
}

enum To {
    Nothing,
    Table {
        schema: SchemaRef,
        block: Vec<Vec<String>>,
        /// Whether a row is some lines; `None`: there was none.
        is_tall: Option<bool>,
    },
    Csv,
    Json(Box<ArrayWriter<Vec<u8>>>),
    Arrow(Box<StreamWriter<io::Stdout>>),
    Parquet(Box<ArrowWriter<io::Stdout>>),
}

fn other(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::other(error)
}

impl Writer {
    pub(super) fn new(shape: Shape, csv_raw: bool, color: bool) -> Self {
        let width = terminal_width();
        Self {
            shape,
            cells: Cells {
                raw: csv_raw,
                printable: width.is_some(),
            },
            color,
            width,
            rows: 0,
            to: To::Nothing,
        }
    }

    /// The rows that were written.
    pub(super) fn rows(&self) -> u64 {
        self.rows
    }

    /// Begins an answer of these columns.
    pub(super) fn begin(&mut self, schema: &SchemaRef) -> io::Result<()> {
        self.to = match self.shape {
            Shape::Table => To::Table {
                schema: SchemaRef::clone(schema),
                block: Vec::new(),
                is_tall: None,
            },
            Shape::Csv => {
                let names = schema.fields().iter().map(|field| field.name().clone());
                let header = self.cells.lines([names.collect()])?;
                io::stdout().lock().write_all(&header)?;
                To::Csv
            }
            Shape::Json => {
                let writer = WriterBuilder::new().with_explicit_nulls(true);
                To::Json(Box::new(writer.build::<_, JsonArray>(Vec::new())))
            }
            Shape::Arrow => {
                let writer = StreamWriter::try_new(io::stdout(), schema);
                To::Arrow(Box::new(writer.map_err(other)?))
            }
            Shape::Parquet => {
                let properties = WriterProperties::builder()
                    .set_compression(Compression::ZSTD(ZstdLevel::default()))
                    .set_max_row_group_row_count(Some(GROUP_ROWS))
                    .build();
                let writer =
                    ArrowWriter::try_new(io::stdout(), SchemaRef::clone(schema), Some(properties));
                To::Parquet(Box::new(writer.map_err(other)?))
            }
        };
        Ok(())
    }

    /// Writes a batch.
    pub(super) fn write(&mut self, batch: &RecordBatch) -> io::Result<()> {
        self.rows += u64::try_from(batch.num_rows()).unwrap_or(u64::MAX);
        match &mut self.to {
            To::Nothing => {}
            To::Table { .. } => {
                let text = Text::of(batch, true)?;
                let mut kept = 0;
                for row in 0..batch.num_rows() {
                    let row = text.row(row)?;
                    kept += height(&row);
                    if let To::Table { block, .. } = &mut self.to {
                        block.push(row);
                    }
                    if kept > LINES {
                        self.blocks(1)?;
                        kept = 0;
                    }
                }
                self.blocks(BLOCK)?;
            }
            To::Csv => {
                let text = Text::of(batch, false)?;
                let rows = (0..batch.num_rows()).map(|row| text.row(row));
                let lines = self.cells.lines(rows.collect::<io::Result<Vec<_>>>()?)?;
                let mut to = io::stdout().lock();
                to.write_all(&lines)?;
                to.flush()?;
            }
            To::Json(writer) => {
                writer.write(batch).map_err(other)?;
                let text = std::mem::take(writer.get_mut());
                write_json(text)?;
            }
            To::Arrow(writer) => writer.write(batch).map_err(other)?,
            To::Parquet(writer) => {
                writer.write(batch).map_err(other)?;
                if writer.in_progress_size() > GROUP_BYTES {
                    writer.flush().map_err(other)?;
                }
            }
        }
        Ok(())
    }

    /// Ends it.
    pub(super) fn end(&mut self) -> io::Result<()> {
        self.blocks(1)?;
        match std::mem::replace(&mut self.to, To::Nothing) {
            To::Nothing | To::Csv => {}
            To::Table {
                schema, is_tall, ..
            } => {
                if is_tall.is_none() {
                    self.lines(&schema, Vec::new(), false)?;
                }
            }
            To::Json(mut writer) => {
                writer.finish().map_err(other)?;
                let mut text = writer.into_inner();
                text.push(b'\n');
                write_json(text)?;
            }
            To::Arrow(mut writer) => writer.finish().map_err(other)?,
            To::Parquet(writer) => drop(writer.close().map_err(other)?),
        }
        io::stdout().lock().flush()
    }

    /// Writes what there is of a table, in blocks of at least so many rows.
    fn blocks(&mut self, least: usize) -> io::Result<()> {
        let width = self.width;
        let To::Table {
            schema,
            block,
            is_tall,
        } = &mut self.to
        else {
            return Ok(());
        };
        if block.len() < least {
            return Ok(());
        }
        // of the first rows: all of an answer are written alike
        let is_tall = *is_tall
            .get_or_insert_with(|| width.is_some_and(|width| needed(schema, block) > width));
        let (schema, rows) = (SchemaRef::clone(schema), std::mem::take(block));
        self.lines(&schema, rows, is_tall)
    }

    fn lines(&self, schema: &SchemaRef, rows: Vec<Vec<String>>, is_tall: bool) -> io::Result<()> {
        let mut to = io::stdout().lock();
        if is_tall {
            for row in rows {
                let pairs = schema.fields().iter().zip(row);
                let pairs = pairs.flat_map(|(field, cell)| lines(&[field.name().clone(), cell]));
                let heads = [Head::Whole(""), Head::Text("")];
                for line in grid(&heads, pairs, self.width).iter().skip(1) {
                    writeln!(to, "{line}")?;
                }
                writeln!(to)?;
            }
            return to.flush();
        }
        let heads: Vec<Head<'_>> = schema.fields().iter().map(|field| head(field)).collect();
        let rows = rows.iter().flat_map(|row| lines(row));
        for (place, line) in grid(&heads, rows, self.width).iter().enumerate() {
            match place == 0 && self.color {
                true => writeln!(to, "{}", bold(line))?,
                false => writeln!(to, "{line}")?,
            }
        }
        to.flush()
    }
}

fn head(field: &Field) -> Head<'_> {
    let data_type = field.data_type();
    if data_type.is_numeric() {
        Head::Number(field.name())
    } else if data_type.is_temporal() || *data_type == DataType::Boolean {
        Head::Whole(field.name())
    } else {
        Head::Text(field.name())
    }
}

/// The characters of a line that has a row: texts may be cut, nothing else.
fn needed(schema: &Schema, rows: &[Vec<String>]) -> usize {
    let column = |(place, field): (usize, &FieldRef)| {
        let cells = rows.iter().filter_map(|row| row.get(place));
        let widths = cells.flat_map(|cell| cell.lines().map(|line| line.chars().count()));
        let widest = widths.chain([field.name().chars().count()]).max();
        let widest = widest.unwrap_or_default();
        GAP + match head(field) {
            Head::Text(_) => widest.min(NARROW),
            Head::Number(_) | Head::Whole(_) => widest,
        }
    };
    let columns: usize = schema.fields().iter().enumerate().map(column).sum();
    columns.saturating_sub(GAP)
}

fn write_json(text: Vec<u8>) -> io::Result<()> {
    let text = String::from_utf8(text).map_err(other)?;
    let mut to = io::stdout().lock();
    to.write_all(for_stdout(text).as_bytes())?;
    to.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_to_hold_what_cannot_be_cut() {
        let time = DataType::Timestamp(datafusion::arrow::datatypes::TimeUnit::Microsecond, None);
        let schema = Schema::new(vec![
            Field::new("eventTime", time, true),
            Field::new("name", DataType::Utf8, true),
            Field::new("arn", DataType::Utf8, true),
            Field::new("n", DataType::Int64, true),
        ]);
        let row = |cells: [&str; 4]| cells.map(str::to_owned).to_vec();
        let arn = "arn:aws:iam::111122223333:user/ann";
        let rows = [
            row(["2024-05-06T07:08:09Z", "Get", arn, "1"]),
            row(["", "Put", "", "1234567"]),
        ];
        // a time, a name, as much of the ARN as says something, and a number
        assert_eq!(needed(&schema, &rows), 20 + 2 + 4 + 2 + 12 + 2 + 7);
        assert_eq!(needed(&schema, &[]), 9 + 2 + 4 + 2 + 3 + 2 + 1);
    }
}
