//! What the server does, seen: logs and metrics.

mod metrics;

use std::{io, sync::Arc};

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

/// The log lines of this process.
pub struct Logs {
    replace: Box<dyn Fn(EnvFilter) + Send + Sync>,
}

impl std::fmt::Debug for Logs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Logs").finish_non_exhaustive()
    }
}

impl Logs {
    /// Those of tests, which write none.
    #[cfg(test)]
    pub(crate) fn none() -> Self {
        Self {
            replace: Box::new(drop),
        }
    }

    /// Makes another level ready, which is in force once the function is called.
    ///
    /// # Errors
    /// If `level` is no list of `tracing` directives.
    pub fn level(self: &Arc<Self>, level: &str) -> Result<impl FnOnce() + use<>, BadLevel> {
        let filter = filter(level)?;
        let logs = Arc::clone(self);
        Ok(move || (logs.replace)(filter))
    }
}

/// Writes log lines to standard error from now on. Called once a process; a second
/// call changes nothing, and its result neither.
///
/// # Errors
/// If `level` is no list of `tracing` directives.
pub fn init_logs(format: LogFormat, level: &str) -> Result<Logs, BadLevel> {
    let filter = filter(level)?;
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::IsTerminal::is_terminal(&io::stderr()));
    // a subscriber that is set already stays: tests run servers side by side. One
    // that is gone has no filter to replace
    let replace: Box<dyn Fn(EnvFilter) + Send + Sync> = match format {
        LogFormat::Text => {
            let lines = lines.with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.try_init();
            Box::new(move |filter| drop(handle.reload(filter)))
        }
        LogFormat::Json => {
            let lines = lines.json().flatten_event(true).with_filter_reloading();
            let handle = lines.reload_handle();
            let _ = lines.try_init();
            Box::new(move |filter| drop(handle.reload(filter)))
        }
    };
    Ok(Logs { replace })
}

/// Whether log lines can be chosen by it.
///
/// # Errors
/// If `level` is no list of `tracing` directives.
pub fn check_level(level: &str) -> Result<(), BadLevel> {
    filter(level).map(drop)
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
