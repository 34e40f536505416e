//! What came of the files, all together.

use std::io::{self, Write};

use serde::Serialize;

use super::files::Sent;
use crate::{
    cli::{
        report::{LISTED, note},
        table::printable,
    },
    proto::v1::{IngestCounts, IngestProgress, IngestedFile},
};

/// Faults that are kept for the result; further ones are counted. A damaged bucket
/// must not fill memory.
const MAX_FAULTS: usize = 1000;

/// See the module.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    files: i64,
    files_failed: i64,
    digests_passed_over: i64,
    bytes: i64,
    records: i64,
    new_events: i64,
    known_events: i64,
    malformed: i64,
    unplaced: i64,
    faults: Vec<Fault>,
}

#[derive(Debug, Serialize)]
struct Fault {
    file: String,
    fault: String,
    message: String,
}

impl Tally {
    /// Takes in what came of a file; what to say of it at once.
    pub(super) fn add(&mut self, file: IngestedFile) -> Option<String> {
        let counts = file.counts.unwrap_or_default();
        self.files += 1;
        self.bytes += file.bytes;
        self.records += counts.records;
        self.new_events += counts.new_events;
        self.known_events += counts.known_events;
        self.malformed += counts.malformed;
        self.unplaced += counts.unplaced;
        if file.fault.is_empty() {
            return None;
        }
        self.fail(file.name, file.fault, file.message)
    }

    fn fail(&mut self, file: String, fault: String, message: String) -> Option<String> {
        self.files_failed += 1;
        let listed = usize::try_from(self.files_failed).unwrap_or(usize::MAX);
        let line = (listed <= LISTED).then(|| format!("{file}: {message} [{fault}]"));
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault {
                file,
                fault,
                message,
            });
        }
        line
    }

    /// All was sent: says what was not.
    pub(super) fn end(&mut self, sent: &Sent) {
        self.digests_passed_over = sent.digests;
        for (file, message) in &sent.unread {
            self.files += 1;
            let said = self.fail(file.clone(), "UNREADABLE".to_owned(), message.clone());
            if let Some(line) = said {
                note(line);
            }
        }
        self.files += sent.more_unread;
        self.files_failed += sent.more_unread;
        let listed = i64::try_from(LISTED).unwrap_or(i64::MAX);
        if self.files_failed > listed {
            let more = self.files_failed - listed;
            note(format_args!(
                "{more} more files could not be read to their end"
            ));
        }
        if self.unplaced > 0 {
            note(format_args!(
                "{} records belong to no account and Region and were not taken; keep the names \
                 that CloudTrail gave their files",
                self.unplaced
            ));
        }
        if sent.digests > 0 {
            note(format_args!(
                "{} digest files were passed over: they hold no records",
                sent.digests
            ));
        }
    }

    /// Files that were not read to their end.
    pub(super) fn failed(&self) -> i64 {
        self.files_failed
    }

    /// Whether there was nothing to read.
    pub(super) fn is_empty(&self) -> bool {
        self.files == 0 && self.digests_passed_over == 0
    }

    /// How far it is, within a file.
    pub(super) fn so_far(&self, file: &IngestProgress) -> String {
        let IngestCounts {
            records,
            new_events,
            known_events,
            ..
        } = file.counts.unwrap_or_default();
        format!(
            "{} files, {} MB, {} records: {} new, {} known",
            self.files,
            (self.bytes + file.bytes) / 1_000_000,
            self.records + records,
            self.new_events + new_events,
            self.known_events + known_events,
        )
    }

    /// Writes the result.
    pub(super) fn write(&self, as_json: bool) -> io::Result<()> {
        let mut to = io::stdout().lock();
        if as_json {
            writeln!(to, "{}", serde_json::to_string(self)?)?;
            return to.flush();
        }
        let lines = [
            ("files", self.files),
            ("failed", self.files_failed),
            ("digests", self.digests_passed_over),
            ("bytes", self.bytes),
            ("records", self.records),
            ("new", self.new_events),
            ("known", self.known_events),
            ("malformed", self.malformed),
            ("unplaced", self.unplaced),
        ];
        for (name, number) in lines {
            writeln!(to, "{name:<10}{number:>12}")?;
        }
        for fault in &self.faults {
            let line = format!("{:<20}{}", fault.fault, fault.file);
            writeln!(to, "{}", printable(&line))?;
        }
        to.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_added_up_and_faults_told() {
        let file = |name: &str, fault: &str| IngestedFile {
            name: name.to_owned(),
            counts: Some(IngestCounts {
                records: 3,
                new_events: 2,
                known_events: 1,
                ..IngestCounts::default()
            }),
            bytes: 1_000_000,
            fault: fault.to_owned(),
            message: "why".to_owned(),
        };
        let mut tally = Tally::default();
        assert!(tally.is_empty());
        assert_eq!(tally.add(file("a", "")), None);
        let said = tally.add(file("b", "DAMAGED"));
        assert_eq!(said.as_deref(), Some("b: why [DAMAGED]"));
        assert_eq!(
            tally.so_far(&IngestProgress::default()),
            "2 files, 2 MB, 6 records: 4 new, 2 known"
        );
        tally.end(&Sent {
            unread: vec![("c".to_owned(), "gone".to_owned())],
            ..Sent::default()
        });
        assert_eq!((tally.files, tally.failed()), (3, 2));
        for _ in 0..2 * MAX_FAULTS {
            tally.add(file("d", "DAMAGED"));
        }
        assert_eq!(tally.faults.len(), MAX_FAULTS);
    }
}
