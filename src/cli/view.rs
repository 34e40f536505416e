//! How answers are shown to people: in which time zone, and in colour or not.

use std::{
    env,
    io::{self, IsTerminal},
    sync::OnceLock,
};

use clap::{Args, ValueEnum};
use jiff::{Timestamp, tz::TimeZone};

use super::time::{self, rfc3339};

/// The zone that whoever asked reads times in. The process has one, as it has one
/// locale: whatever writes a time for people needs it.
static ZONE: OnceLock<TimeZone> = OnceLock::new();

/// How answers are shown.
#[derive(Debug, Args)]
pub(super) struct View {
    /// Read times without an offset, and show them in tables and messages, in this
    /// zone, such as Europe/Berlin, or local for this machine's [default: UTC]; json,
    /// jsonl and csv have UTC
    #[arg(
        long,
        env = "TRAILGATE_TIME_ZONE",
        value_name = "ZONE",
        value_parser = time::zone,
        help_heading = "View"
    )]
    time_zone: Option<TimeZone>,
    /// This machine's time zone, whatever --time-zone says
    #[arg(long, conflicts_with = "utc", help_heading = "View")]
    local: bool,
    /// UTC, whatever --time-zone says
    #[arg(long, help_heading = "View")]
    utc: bool,
    /// Colour tables: failed calls red. auto: on a terminal, unless NO_COLOR is set
    #[arg(
        long,
        value_enum,
        value_name = "WHEN",
        default_value = "auto",
        help_heading = "View"
    )]
    color: Color,
}

/// When tables are in colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Color {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

impl View {
    /// Has times read and shown so from now on.
    pub(super) fn apply(&self) {
        let zone = match (&self.time_zone, self.local, self.utc) {
            (_, true, _) => TimeZone::system(),
            (Some(zone), ..) if !self.utc => zone.clone(),
            _ => TimeZone::UTC,
        };
        // a command is run once
        let _ = ZONE.set(zone);
    }

    /// Whether what goes to stdout is in colour.
    pub(super) fn color(&self) -> bool {
        let set = |name: &str| env::var_os(name).is_some_and(|value| !value.is_empty());
        match self.color {
            Color::Always => true,
            Color::Never => false,
            Color::Auto => {
                let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
                io::stdout().is_terminal() && !set("NO_COLOR") && !is_dumb
            }
        }
    }
}

/// The zone that times are read and shown in.
pub(super) fn zone() -> TimeZone {
    ZONE.get().cloned().unwrap_or(TimeZone::UTC)
}

/// A second since the Unix epoch for people: RFC 3339 in the zone that they read.
pub(super) fn shown(second: i64) -> String {
    in_zone(second, &zone())
}

fn in_zone(second: i64, zone: &TimeZone) -> String {
    if *zone == TimeZone::UTC {
        return rfc3339(second);
    }
    Timestamp::from_second(second).map_or_else(
        |_| rfc3339(second),
        |at| {
            let at = at.to_zoned(zone.clone());
            at.strftime("%Y-%m-%dT%H:%M:%S%:z").to_string()
        },
    )
}

/// How many characters a time has that is shown.
pub(super) fn time_width() -> usize {
    shown(0).chars().count()
}

/// A line in bold.
pub(super) fn bold(line: &str) -> String {
    format!("\u{1b}[1m{line}\u{1b}[0m")
}

/// A line in red.
pub(super) fn red(line: &str) -> String {
    format!("\u{1b}[31m{line}\u{1b}[0m")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown_with_the_offset_of_their_season() {
        let berlin = time::zone("Europe/Berlin").unwrap();
        assert_eq!(in_zone(1_714_979_289, &berlin), "2024-05-06T09:08:09+02:00");
        assert_eq!(in_zone(1_704_067_200, &berlin), "2024-01-01T01:00:00+01:00");
        assert_eq!(in_zone(0, &TimeZone::UTC), "1970-01-01T00:00:00Z");
        assert_eq!(in_zone(i64::MAX, &berlin), i64::MAX.to_string());
    }
}
