//! Writes events to stdout as they come, in the format asked for.

use std::{
    env,
    io::{self, IsTerminal, Write},
};

use clap::ValueEnum;

use super::{
    json,
    table::{Column, Rows},
};
use crate::proto::v1::Event;

/// How events are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// Columns for people
    Table,
    /// One JSON array
    Json,
    /// One JSON object a line
    Jsonl,
}

/// Writes batches of events; holds none of them.
#[derive(Debug)]
pub(super) struct Output<W: Write> {
    to: W,
    format: Format,
    rows: Rows,
    /// Events written.
    written: u64,
}

/// The width, in characters, of a terminal that does not tell its own: what most
/// have at least.
const USUAL_WIDTH: usize = 80;

impl Output<io::StdoutLock<'static>> {
    /// Output on stdout; a table of these columns fits the terminal if that is
    /// one.
    pub(super) fn stdout(format: Format, columns: &[Column]) -> Self {
        let to = io::stdout().lock();
        let width = to.is_terminal().then(|| {
            let told = terminal_size::terminal_size_of(io::stdout());
            let set = || env::var("COLUMNS").ok()?.parse().ok();
            told.map(|(width, _)| usize::from(width.0))
                .or_else(set)
                .unwrap_or(USUAL_WIDTH)
        });
        Self::new(to, format, Rows::new(columns, width))
    }
}

impl<W: Write> Output<W> {
    fn new(to: W, format: Format, rows: Rows) -> Self {
        Self {
            to,
            format,
            rows,
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
            Format::Json | Format::Jsonl => {
                for event in events {
                    let before = match (self.format, self.written) {
                        (Format::Json, 0) => "[",
                        (Format::Json, _) => ",\n",
                        _ => "",
                    };
                    write!(self.to, "{before}{}", json::line(event)?)?;
                    if self.format == Format::Jsonl {
                        writeln!(self.to)?;
                    }
                    self.written += 1;
                }
            }
        }
        self.to.flush()
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
            _ => {}
        }
        self.to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(format: Format, batches: &[&[&str]]) -> String {
        let mut to = Vec::new();
        let mut output = Output::new(&mut to, format, Rows::new(&[], None));
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
        assert_eq!(written(Format::Table, &[&[]]), "");
        assert_eq!(written(Format::Table, &[&["a"], &["b"]]).lines().count(), 3);
    }
}
