//! Writes events to stdout as they come, in the format asked for.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use clap::ValueEnum;

use super::{
    json,
    sheet::Cells,
    table::{Chosen, Fields, Rows},
};
use crate::{proto::v1::Event, sheet::printable_json};

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns for people
    Table,
    /// One JSON array
    Json,
    /// One JSON object a line
    Jsonl,
    /// Comma-separated values with a header, for spreadsheets
    Csv,
}

/// What is written of events, and how.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    pub(super) format: Format,
    /// What a table or CSV has; empty: what is usual.
    pub(super) columns: Vec<Chosen>,
    /// CSV without marks in front of what a spreadsheet would run.
    pub(super) csv_raw: bool,
    /// A table in colour.
    pub(super) color: bool,
}

impl Layout {
    /// Whether the record is written.
    pub(super) fn has_record(&self) -> bool {
        match self.format {
            Format::Table | Format::Csv => self.columns.iter().any(Chosen::needs_record),
            Format::Json | Format::Jsonl => true,
        }
    }
}

/// JSON as stdout is to have it: on a terminal it draws nothing.
pub(super) fn for_stdout(json: String) -> String {
    drawing_nothing(json, terminal_width().is_some())
}

fn drawing_nothing(json: String, is_terminal: bool) -> String {
    match is_terminal {
        true => printable_json(&json).into_owned(),
        false => json,
    }
}

/// Writes batches of events; holds none of them.
#[derive(Debug)]
pub(super) struct Output<W: Write> {
    to: W,
    format: Format,
    rows: Rows,
    fields: Fields,
    cells: Cells,
    /// Whether CSV has its header.
    has_header: bool,
    /// Events written.
    written: u64,
}

/// The width, in characters, of a terminal that does not tell its own: what most
/// have at least.
pub(super) const USUAL_WIDTH: usize = 80;

/// The width of stdout in characters, if that is a terminal.
pub(super) fn terminal_width() -> Option<usize> {
    io::stdout().is_terminal().then(|| {
        let told = terminal_size::terminal_size_of(io::stdout());
        let set = || env::var("COLUMNS").ok()?.parse().ok();
        told.map(|(width, _)| usize::from(width.0))
            .or_else(set)
            .unwrap_or(USUAL_WIDTH)
    })
}

impl Output<io::StdoutLock<'static>> {
    /// Output on stdout; a table fits the terminal if that is one.
    pub(super) fn stdout(layout: &Layout) -> Self {
        Self::new(io::stdout().lock(), layout, terminal_width())
    }
}

impl<W: Write> Output<W> {
    /// `width`: of the terminal that `to` is, if it is one.
    fn new(to: W, layout: &Layout, width: Option<usize>) -> Self {
        Self {
            to,
            format: layout.format,
            rows: Rows::new(&layout.columns, width).colored(layout.color),
            fields: Fields::new(&layout.columns),
            cells: Cells {
                raw: layout.csv_raw,
                printable: width.is_some(),
            },
            has_header: false,
            written: 0,
        }
    }

    /// Events written so far.
    pub(super) const fn written(&self) -> u64 {
        self.written
    }

    /// Writes a batch and flushes it.
    ///
    /// # Errors
    ///
    /// Writing failed; a reader that has gone is `BrokenPipe`.
    pub(super) fn write(&mut self, events: &[Event]) -> io::Result<()> {
        match self.format {
            Format::Table => {
                for line in self.rows.lines(events) {
                    writeln!(self.to, "{line}")?;
                }
                self.written += events.len() as u64;
            }
            Format::Csv => {
                let header = self.header();
                let rows = events.iter().map(|event| self.fields.row(event));
                let lines = self.cells.lines(header.into_iter().chain(rows))?;
                self.to.write_all(&lines)?;
                self.written += events.len() as u64;
            }
            Format::Json | Format::Jsonl => {
                for event in events {
                    let before = match (self.format, self.written) {
                        (Format::Json, 0) => "[",
                        (Format::Json, _) => ",\n",
                        _ => "",
                    };
                    let line = drawing_nothing(json::line(event)?, self.cells.printable);
                    write!(self.to, "{before}{line}")?;
                    if self.format == Format::Jsonl {
                        writeln!(self.to)?;
                    }
                    self.written += 1;
                }
            }
        }
        self.to.flush()
    }

    /// The header of CSV, once.
    fn header(&mut self) -> Option<Vec<String>> {
        let is_due = !std::mem::replace(&mut self.has_header, true);
        is_due.then(|| self.fields.header())
    }

    /// Ends the output, so that what was written is whole, however the search
    /// went.
    ///
    /// # Errors
    ///
    /// As of [`Output::write`].
    pub(super) fn finish(&mut self) -> io::Result<()> {
        match (self.format, self.written) {
            (Format::Json, 0) => writeln!(self.to, "[]")?,
            (Format::Json, _) => writeln!(self.to, "]")?,
            (Format::Csv, _) => {
                let header = self.header();
                self.to.write_all(&self.cells.lines(header)?)?;
            }
            _ => {}
        }
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::table::Column;

    fn written(format: Format, batches: &[&[&str]]) -> String {
        let mut to = Vec::new();
        let layout = Layout {
            format,
            columns: match format {
                Format::Csv => [Column::Id, Column::Error].map(Chosen::from).to_vec(),
                _ => Vec::new(),
            },
            csv_raw: false,
            color: false,
        };
        let mut output = Output::new(&mut to, &layout, None);
        for batch in batches {
            let events: Vec<_> = batch
                .iter()
                .map(|id| Event {
                    event_id: (*id).to_owned(),
                    ..Event::default()
                })
                .collect();
            output.write(&events).unwrap();
        }
        output.finish().unwrap();
        String::from_utf8(to).unwrap()
    }

    #[test]
    fn an_array_is_whole_and_lines_are_lines() {
        assert_eq!(written(Format::Json, &[]), "[]\n");
        assert_eq!(
            written(Format::Json, &[&["a"], &[], &["b", "c"]]),
            "[{\"event_id\":\"a\"},\n{\"event_id\":\"b\"},\n{\"event_id\":\"c\"}]\n"
        );
        assert_eq!(
            written(Format::Jsonl, &[&["a"], &["b"]]),
            "{\"event_id\":\"a\"}\n{\"event_id\":\"b\"}\n"
        );
        assert_eq!(written(Format::Jsonl, &[]), "");
        assert_eq!(
            written(Format::Csv, &[&["a"], &[], &["=b"]]),
            "id,error\na,\n'=b,\n"
        );
        assert_eq!(written(Format::Csv, &[]), "id,error\n");
        assert_eq!(written(Format::Table, &[&[]]), "");
        assert_eq!(written(Format::Table, &[&["a"], &["b"]]).lines().count(), 3);
    }
}
