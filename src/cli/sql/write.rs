//! Answers as they are written: for people, for programs, and for other engines.

mod cells;
mod lines;

use std::io::{self, Write};

use clap::ValueEnum;
use datafusion::{
    arrow::{
        array::RecordBatch,
        datatypes::{DataType, SchemaRef},
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
        table::{Head, grid},
        view::bold,
    },
    sheet::Cells,
};

/// How an answer is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(in crate::cli) enum Shape {
    /// For people; a row is some lines where the columns are too many for the terminal
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

/// The least width of a column, in characters, where each row is a line.
const NARROW: usize = 6;

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
        has_rows: bool,
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
                has_rows: false,
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
                schema, has_rows, ..
            } => {
                if !has_rows {
                    self.lines(&schema, Vec::new())?;
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
        let To::Table {
            schema,
            block,
            has_rows,
        } = &mut self.to
        else {
            return Ok(());
        };
        if block.len() < least {
            return Ok(());
        }
        *has_rows = true;
        let (schema, rows) = (SchemaRef::clone(schema), std::mem::take(block));
        self.lines(&schema, rows)
    }

    fn lines(&self, schema: &SchemaRef, rows: Vec<Vec<String>>) -> io::Result<()> {
        let mut to = io::stdout().lock();
        let columns = schema.fields().len();
        if self.width.is_some_and(|width| columns * NARROW > width) {
            for row in rows {
                let pairs = schema.fields().iter().zip(row);
                let pairs = pairs.flat_map(|(field, cell)| lines(&[field.name().clone(), cell]));
                let heads = [Head::Text(""), Head::Text("")];
                for line in grid(&heads, pairs, self.width).iter().skip(1) {
                    writeln!(to, "{line}")?;
                }
                writeln!(to)?;
            }
            return to.flush();
        }
        let heads: Vec<Head<'_>> = schema
            .fields()
            .iter()
            .map(|field| match is_number(field.data_type()) {
                true => Head::Number(field.name()),
                false => Head::Text(field.name()),
            })
            .collect();
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

fn is_number(data_type: &DataType) -> bool {
    data_type.is_numeric()
}

fn write_json(text: Vec<u8>) -> io::Result<()> {
    let text = String::from_utf8(text).map_err(other)?;
    let mut to = io::stdout().lock();
    to.write_all(for_stdout(text).as_bytes())?;
    to.flush()
}
