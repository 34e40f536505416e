//! An export from batch to batch, resumed where the connection broke.

use std::{fmt, time::Duration};

use tonic::{Status, Streaming};
use tonic_types::StatusExt;

use super::{
    Client, Fault, MAX_RETRIES,
    pages::Listener,
    retry::{Notice, wait_for},
};
use crate::proto::v1::{ExportEventsRequest, ExportEventsResponse};

/// The wait before a broken export is taken up again; it doubles up to
/// [`MAX_WAIT`].
const WAIT: Duration = Duration::from_millis(250);
/// See [`MAX_BREAKS`].
const MAX_WAIT: Duration = Duration::from_secs(8);
/// How often an export is taken up again without getting anywhere: for a minute in
/// all, by when a gateway that is started anew elsewhere is back.
pub const MAX_BREAKS: u32 = 12;

/// The batches of an export. See [`Client::export`].
pub struct Export {
    client: Client,
    /// Asks for what has not come yet.
    request: ExportEventsRequest,
    stream: Option<Streaming<ExportEventsResponse>>,
    has_ended: bool,
    has_answered: bool,
    /// Requests that this stream has bought.
    bought: i64,
    /// Failures since it last got somewhere.
    failures: u32,
    wait: Duration,
    listener: Listener,
}

impl fmt::Debug for Export {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Export")
            .field("request", &self.request)
            .field("has_ended", &self.has_ended)
            .field("failures", &self.failures)
            .finish_non_exhaustive()
    }
}

impl Export {
    pub(super) fn new(client: Client, request: ExportEventsRequest) -> Self {
        Self {
            client,
            request,
            stream: None,
            has_ended: false,
            has_answered: false,
            bought: 0,
            failures: 0,
            wait: WAIT,
            listener: Box::new(|_| {}),
        }
    }

    /// Calls `listener` before each wait.
    #[must_use]
    pub fn on_wait(mut self, listener: impl FnMut(Notice<'_>) + Send + 'static) -> Self {
        self.listener = Box::new(listener);
        self
    }

    /// The next batch, or news of progress; `None` after the last, and after
    /// an error.
    ///
    /// Where the connection breaks, or the server names a wait, the export is
    /// taken up behind the last token, up to [`MAX_BREAKS`] or [`MAX_RETRIES`]
    /// times without getting anywhere. Dropping the future loses nothing.
    ///
    /// # Errors
    ///
    /// The server's status, where asking again did not help or would not.
    pub async fn next(&mut self) -> Option<Result<ExportEventsResponse, Status>> {
        while !self.has_ended {
            let status = match self.receive().await {
                Ok(Some(batch)) => {
                    self.note(&batch);
                    return Some(Ok(batch));
                }
                Ok(None) => {
                    self.has_ended = true;
                    return None;
                }
                Err(status) => status,
            };
            self.stream = None;
            let Some(wait) = self.wait_after(&status) else {
                self.has_ended = true;
                return Some(Err(status));
            };
            self.spend();
            self.failures += 1;
            self.wait = (self.wait * 2).min(MAX_WAIT);
            (self.listener)(Notice::Retry(&status, wait));
            tokio::time::sleep(wait).await;
        }
        None
    }

    async fn receive(&mut self) -> Result<Option<ExportEventsResponse>, Status> {
        let stream = match &mut self.stream {
            Some(stream) => stream,
            None => {
                let mut events = self.client.events.clone();
                let stream = events.export_events(self.request.clone()).await?;
                self.stream.insert(stream.into_inner())
            }
        };
        stream.message().await
    }

    fn note(&mut self, batch: &ExportEventsResponse) {
        self.has_answered = true;
        if let Some(stats) = &batch.stats {
            self.bought = stats.upstream_calls;
        }
        // nothing is left to search: what breaks now is no loss
        self.has_ended = batch.next_page_token.is_empty();
        if batch.next_page_token != self.request.page_token {
            self.request.page_token.clone_from(&batch.next_page_token);
            self.failures = 0;
            self.wait = WAIT;
        }
    }

    /// Takes what a broken stream has bought off the limit.
    fn spend(&mut self) {
        let bought = i32::try_from(std::mem::take(&mut self.bought)).unwrap_or(i32::MAX);
        let limit = &mut self.request.max_upstream_calls;
        if *limit > 0 {
            // none at all would be no limit
            *limit = limit.saturating_sub(bought).max(1);
        }
    }

    /// How long to wait before it is taken up again, if that may help.
    fn wait_after(&self, status: &Status) -> Option<Duration> {
        if let Some(wait) = wait_for(status) {
            return (self.failures < MAX_RETRIES).then_some(wait);
        }
        if self.failures >= MAX_BREAKS {
            return None;
        }
        match Fault::of(status) {
            Some(Fault::WentAway) => Some(self.wait),
            // at first nobody may ever have been there
            Some(Fault::Unreachable) => self.has_answered.then_some(self.wait),
            // another one, or the same started anew, goes on
            None if is_shutdown(status) => Some(self.wait),
            Some(Fault::NoGateway) | None => None,
        }
    }
}

fn is_shutdown(status: &Status) -> bool {
    let info = status.get_details_error_info();
    info.is_some_and(|info| info.reason == "SHUTTING_DOWN")
}
