//! What the server does, seen: logs, metrics and traces.

mod line;
mod metrics;
mod out;
mod parts;
mod process;
mod text;
mod traces;

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata};
use tracing_subscriber::{
    EnvFilter, Layer, Registry,
    filter::{FilterExt, LevelFilter, filter_fn},
    fmt,
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

pub use metrics::Metrics;
pub use parts::Parts;
pub use traces::{BadEndpoint, Options as TraceOptions};

use self::{line::WithTrace, traces::Traces};
use crate::{config::LogFormat, trace::TARGET};

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

    /// Has another level in force.
    ///
    /// # Errors
    /// If `level` is no list of `tracing` directives: the one before stays.
    pub fn set_level(&self, level: &str) -> Result<(), BadLevel> {
        (self.replace)(filter(level)?);
        Ok(())
    }
}

/// Traces cannot be exported, or log lines not be chosen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// See [`BadLevel`].
    #[error("--log-level {0}")]
    Level(#[from] BadLevel),
    /// See [`BadEndpoint`].
    #[error("--otlp-endpoint {0}")]
    Endpoint(#[from] BadEndpoint),
}

/// The end of this process's traces.
#[derive(Debug)]
#[must_use = "what is left is exported as it is flushed"]
pub struct Flush(Option<Traces>);

impl Flush {
    /// Exports what is left, within some seconds.
    pub async fn flush(self) {
        if let Some(traces) = self.0 {
            traces.stop().await;
        }
    }
}

/// Writes log lines to standard error from now on, and exports traces if `traces` says
/// where to; that needs a Tokio runtime around. Called once a process; a second call
/// changes nothing, and its result neither.
///
/// # Errors
/// If `level` is no list of `tracing` directives, or traces cannot be exported so.
pub fn init(
    format: LogFormat,
    level: &str,
    traces: Option<&TraceOptions>,
) -> Result<(Logs, Flush), Error> {
    let (level, handle) = reload::Layer::new(filter(level)?);
    let traces = traces.map(Traces::start).transpose()?;
    let filter = filter_fn(is_for_lines)
        .with_max_level_hint(LevelFilter::TRACE)
        .and(level);
    let is_terminal = io::stderr().is_terminal();
    let lines = fmt::layer().with_writer(io::stderr).with_ansi(is_terminal);
    let lines: Box<dyn Layer<_> + Send + Sync> = match format {
        LogFormat::Text => lines
            .map_event_format(|lines| WithTrace::text(lines.with_ansi(is_terminal)))
            .with_filter(filter)
            .boxed(),
        LogFormat::Json => lines
            .json()
            .flatten_event(true)
            .map_event_format(WithTrace::json)
            .with_filter(filter)
            .boxed(),
    };
    let spans: Option<Box<dyn Layer<Registry> + Send + Sync>> =
        traces.as_ref().map(|traces| traces.layer().boxed());
    // a subscriber that is set already stays: tests run servers side by side. One
    // that is gone has no filter to replace
    let _ = tracing_subscriber::registry()
        .with(spans)
        .with(lines)
        .try_init();
    let replace = Box::new(move |filter| drop(handle.reload(filter)));
    Ok((Logs { replace }, Flush(traces)))
}

/// What may be a log line, whatever the level: no span of traces, and nothing that
/// tells what nobody is to read.
fn is_for_lines(metadata: &Metadata<'_>) -> bool {
    // the AWS SDK writes whole answers there, events and messages with them
    let is_body = metadata.target().starts_with("aws_") && *metadata.level() == Level::TRACE;
    metadata.target() != TARGET && !is_body
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
