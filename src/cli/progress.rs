//! How far a search is, while it goes on.

use std::{
    fmt::Display,
    io::{self, IsTerminal},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use super::{report::note, table::printable};

/// When the first line comes where stderr is no terminal: a search that is
/// shorter needs none.
const FIRST: Duration = Duration::from_secs(5);
/// When the next ones come: few enough for a log.
const NEXT: Duration = Duration::from_secs(30);

/// A line on the terminal that says how far the search is, or now and then one
/// on a stderr that is none.
#[derive(Debug)]
pub(super) struct Progress {
    bar: ProgressBar,
    message: String,
    /// When to write a line; `None` on a terminal.
    due: Option<Instant>,
}

impl Progress {
    /// Starts it.
    pub(super) fn start() -> Self {
        let message = "searching".to_owned();
        if !io::stderr().is_terminal() {
            return Self {
                bar: ProgressBar::hidden(),
                message,
                due: Some(Instant::now() + FIRST),
            };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_message(message.clone());
        // often enough to look alive
        bar.enable_steady_tick(Duration::from_millis(120));
        Self {
            bar,
            message,
            due: None,
        }
    }

    /// The line on the terminal, to say there what is waited for.
    pub(super) fn bar(&self) -> ProgressBar {
        self.bar.clone()
    }

    /// Says where things stand.
    pub(super) fn say(&mut self, message: String) {
        self.bar.set_message(printable(&message));
        self.message = message;
    }

    /// Waits until a line is due and writes it; for ever on a terminal.
    pub(super) async fn line(&mut self) {
        match self.due {
            Some(due) => tokio::time::sleep_until(due).await,
            None => std::future::pending().await,
        }
        note(&self.message);
        self.due = Some(Instant::now() + NEXT);
    }

    /// Writes a line that stays.
    pub(super) fn note(&self, line: impl Display) {
        self.aside(|| note(line));
    }

    /// Writes with the line out of the way.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.bar.suspend(write)
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lines_come_seldom() {
        let start = Instant::now();
        let mut progress = Progress {
            bar: ProgressBar::hidden(),
            message: String::new(),
            due: Some(start + FIRST),
        };
        progress.say("searched".to_owned());
        progress.line().await;
        assert_eq!(start.elapsed(), FIRST);
        progress.line().await;
        assert_eq!(start.elapsed(), FIRST + NEXT);
    }
}
