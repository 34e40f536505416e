//! What the server does, seen: logs and metrics.

mod metrics;

use std::io;

use tracing_subscriber::EnvFilter;

pub use metrics::Metrics;

use crate::config::LogFormat;

/// Directives that are no log filter.
#[derive(Debug, thiserror::Error)]
#[error("{level:?} is no log level: {why}; give error, warn, info, debug, trace or directives")]
pub struct BadLevel {
    level: String,
    why: String,
}

/// Writes log lines to standard error from now on. Called once a process;
/// a second call changes nothing.
///
/// # Errors
/// If `level` is no list of `tracing` directives.
pub fn init_logs(format: LogFormat, level: &str) -> Result<(), BadLevel> {
    let filter = EnvFilter::try_new(level).map_err(|error| BadLevel {
        level: level.to_owned(),
        why: error.to_string(),
    })?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    // a subscriber that is set already stays: tests run servers side by side
    let _ = match format {
        LogFormat::Text => lines.try_init(),
        LogFormat::Json => lines.json().flatten_event(true).try_init(),
    };
    Ok(())
}
