//! What came of it, in words and as JSON.

use std::{
    io::{self, Write},
    time::Duration,
};

use serde::Serialize;

use super::find::Found;
use crate::{
    backfill::{Chosen, Estimate, Report, Why},
    cli::{refusal, table::printable},
};

/// What came of it.
#[derive(Debug, Serialize)]
pub(super) struct Told<'a> {
    #[serde(flatten)]
    found: &'a Found,
    files: u64,
    files_failed: u64,
    bytes: u64,
    records: u64,
    new_events: u64,
    known_events: u64,
    malformed: u64,
    unplaced: u64,
    left_out: u64,
    faults: Vec<Fault<'a>>,
    broken: Vec<Broken<'a>>,
    seconds: f64,
    stopped: bool,
}

#[derive(Debug, Serialize)]
struct Fault<'a> {
    file: &'a str,
    fault: &'static str,
    message: &'a str,
}

#[derive(Debug, Serialize)]
struct Broken<'a> {
    place: &'a str,
    message: &'a str,
}

fn broken(broken: &[(String, String)]) -> Vec<Broken<'_>> {
    let broken = broken.iter();
    broken
        .map(|(place, message)| Broken { place, message })
        .collect()
}

/// Why no file was read.
pub(super) fn nothing(chosen: &Chosen) -> String {
    if chosen.some {
        return "no log files there that the archive lacks".to_owned();
    }
    let options: Vec<_> = chosen.left_out.iter().copied().map(option).collect();
    match options.split_last() {
        None => "no log files there".to_owned(),
        Some((one, [])) => format!("no log file there was chosen: {one} leaves out what there is"),
        Some((last, others)) => format!(
            "no log file there was chosen: {} and {last} leave out what there is",
            others.join(", ")
        ),
    }
}

/// The option that leaves files out.
const fn option(why: Why) -> &'static str {
    match why {
        Why::Account => "--account",
        Why::WithoutAccount => "--exclude-account",
        Why::Region => "--region",
        Why::WithoutRegion => "--exclude-region",
        Why::Since => "--since",
        Why::Until => "--until",
    }
}

impl<'a> Told<'a> {
    pub(super) fn new(report: &'a Report, found: &'a Found, took: Duration) -> Self {
        let faults = report.faults.iter().map(|failed| Fault {
            file: &failed.file,
            fault: failed.fault,
            message: &failed.message,
        });
        Self {
            found,
            files: report.files,
            files_failed: report.failed,
            bytes: report.bytes,
            records: report.counts.records,
            new_events: report.new,
            known_events: report.known(),
            malformed: report.counts.malformed,
            unplaced: report.counts.unplaced,
            left_out: report.counts.left_out,
            faults: faults.collect(),
            broken: broken(&report.broken),
            seconds: took.as_secs_f64(),
            stopped: report.is_stopped,
        }
    }

    /// Writes it.
    pub(super) fn write(&self, as_json: bool) -> io::Result<()> {
        let mut to = io::stdout().lock();
        if as_json {
            writeln!(to, "{}", serde_json::to_string(self)?)?;
            return to.flush();
        }
        let lines = [
            ("files", self.files),
            ("failed", self.files_failed),
            ("bytes", self.bytes),
            ("records", self.records),
            ("new", self.new_events),
            ("known", self.known_events),
            ("malformed", self.malformed),
            ("unplaced", self.unplaced),
            ("left out", self.left_out),
        ];
        for (name, number) in lines {
            writeln!(to, "{name:<10}{number:>14}")?;
        }
        for fault in &self.faults {
            let line = format!("{:<20}{}", fault.fault, fault.file);
            writeln!(to, "{}", printable(&line))?;
        }
        to.flush()
    }
}

/// What would be loaded.
#[derive(Debug, Serialize)]
struct Would<'a> {
    #[serde(flatten)]
    found: &'a Found,
    files: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    events: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    seconds: Option<f64>,
    sampled_files: u64,
    parts: Vec<Part<'a>>,
    broken: Vec<Broken<'a>>,
}

#[derive(Debug, Serialize)]
struct Part<'a> {
    place: &'a str,
    files: u64,
    bytes: u64,
}

/// Writes what would be loaded.
pub(super) fn write_estimate(estimate: &Estimate, found: &Found, as_json: bool) -> io::Result<()> {
    let mut to = io::stdout().lock();
    if as_json {
        let parts = estimate.parts.iter().map(|(place, files, bytes)| Part {
            place,
            files: *files,
            bytes: *bytes,
        });
        let would = Would {
            found,
            files: estimate.files,
            bytes: estimate.bytes,
            events: estimate.events,
            seconds: estimate.time.map(|time| time.as_secs_f64()),
            sampled_files: estimate.sampled,
            parts: parts.collect(),
            broken: broken(&estimate.broken),
        };
        writeln!(to, "{}", serde_json::to_string(&would)?)?;
        return to.flush();
    }
    for (name, files, bytes) in &estimate.parts {
        let line = format!("{files:>12} files {bytes:>16} bytes  {name}");
        writeln!(to, "{}", printable(&line))?;
    }
    writeln!(
        to,
        "{:>12} files {:>16} bytes  in all",
        estimate.files, estimate.bytes
    )?;
    if let (Some(events), Some(time)) = (estimate.events, estimate.time) {
        writeln!(
            to,
            "about {events} events, {} on this machine, by {} files that were read; the \
             archive's store comes on top",
            refusal::duration(time),
            estimate.sampled
        )?;
    }
    to.flush()
}
