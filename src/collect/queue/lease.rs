//! For how long a message stays with us.

use std::{
    sync::atomic::{AtomicBool, Ordering::Relaxed},
    time::Duration,
};

use tokio::time::{Instant, sleep_until};

use super::{MessagesError, Worker, state::count};

/// The shortest stay that is asked for: SQS counts whole seconds.
const SHORTEST: Duration = Duration::from_secs(1);

/// A message's stay.
#[derive(Debug)]
pub(super) struct Lease<'a> {
    receipt: &'a str,
    began: Instant,
    /// The receipt is not valid any more.
    is_gone: AtomicBool,
}

impl<'a> Lease<'a> {
    pub(super) fn new(receipt: &'a str, began: Instant) -> Self {
        Self {
            receipt,
            began,
            is_gone: AtomicBool::new(false),
        }
    }

    pub(super) fn receipt(&self) -> &'a str {
        self.receipt
    }

    /// Whether the queue said that it is over: the message comes again, and its
    /// receipt is good for nothing.
    pub(super) fn is_gone(&self) -> bool {
        self.is_gone.load(Relaxed)
    }
}

impl Worker {
    /// Has a message stay, asking at half of its time. Returns when it may stay
    /// no longer.
    ///
    /// Where the queue says that it has left already, this goes on waiting: what
    /// was begun is worth finishing, since it is remembered.
    pub(super) async fn keep(&self, lease: &Lease<'_>) {
        let visibility = self.options.visibility.max(SHORTEST);
        let end = lease.began + self.options.longest;
        let mut until = lease.began + visibility;
        let mut ask_at = lease.began + visibility / 2;
        loop {
            sleep_until(ask_at.min(end)).await;
            let now = Instant::now();
            let stay = visibility.min(end.saturating_duration_since(now));
            if stay < SHORTEST {
                return;
            }
            let asked = self.ports.messages.extend(lease.receipt, stay);
            // an answer that is later than this is none
            let answer = tokio::time::timeout(visibility / 4, asked).await;
            match answer {
                Ok(Ok(())) => {
                    count(&self.board.counters.extended);
                    until = now + stay;
                    ask_at = now + stay / 2;
                    if until >= end {
                        sleep_until(end).await;
                        return;
                    }
                }
                Ok(Err(MessagesError::ReceiptGone)) => {
                    tracing::warn!("a message was worked on for too long, it comes again");
                    lease.is_gone.store(true, Relaxed);
                    return std::future::pending().await;
                }
                other => {
                    let is_over = Instant::now() >= until;
                    tracing::warn!(?other, is_over, "a message's stay could not be extended");
                    ask_at = Instant::now() + visibility / 10;
                }
            }
        }
    }

    /// Gives a message back to the queue, to be seen again in `after`.
    pub(super) async fn leave(&self, lease: &Lease<'_>, after: Duration) {
        if lease.is_gone() {
            return;
        }
        if let Err(error) = self.ports.messages.extend(lease.receipt, after).await {
            // then it comes again when its time is over
            tracing::debug!(%error, "a message could not be given back");
        }
    }
}
