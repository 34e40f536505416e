//! Being told to stop, or to look at the settings again.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGTERM and SIGINT, from now on.
pub(super) struct Signals {
    term: Signal,
    interrupt: Signal,
}

impl Signals {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            term: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one.
    pub(super) async fn next(&mut self) {
        self.next_status().await;
    }

    /// Waits for the next one, and says by which exit status a shell tells that it
    /// ended a process: 128 and its number.
    pub(super) async fn next_status(&mut self) -> u8 {
        tokio::select! {
            _ = self.term.recv() => 128 + 15,
            _ = self.interrupt.recv() => 128 + 2,
        }
    }
}

/// SIGHUP, from now on.
pub(super) fn hang_ups() -> io::Result<Signal> {
    signal(SignalKind::hangup())
}
