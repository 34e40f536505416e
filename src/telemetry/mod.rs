//! What the server does, seen: logs and metrics.

mod metrics;

use std::io;

use tracing_subscriber::{EnvFilter, filter::LevelFilter};

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
    let filter = filter(level)?;
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

/// A bare level is ours alone: libraries say what went wrong, and aws-config
/// nothing, since it warns of every place where credentials are not.
fn filter(level: &str) -> Result<EnvFilter, BadLevel> {
    let bad = |why: &str| BadLevel {
        level: level.to_owned(),
        why: why.to_owned(),
    };
    let directives = match level.parse::<LevelFilter>() {
        Ok(parsed) if !level.is_empty() => format!("warn,aws_config=error,trailgate={parsed}"),
        _ if level.contains('=') => level.to_owned(),
        // the filter would take the word for a module's name, and be silent
        _ => return Err(bad("no such level")),
    };
    EnvFilter::try_new(&directives).map_err(|error| bad(&error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_is_no_level_is_refused_and_not_taken_for_a_module() {
        for level in [
            "error",
            "warn",
            "info",
            "debug",
            "trace",
            "off",
            "INFO",
            "info,hyper=debug",
        ] {
            assert!(filter(level).is_ok(), "{level}");
        }
        for level in ["loud", "", "trailgate", "a=b=c"] {
            assert!(filter(level).is_err(), "{level}");
        }
        assert_eq!(
            filter("debug")
                .unwrap()
                .to_string()
                .matches("trailgate=debug")
                .count(),
            1
        );
    }
}
