//! A lookup from page to page.

use std::{fmt, time::Duration};

use futures_util::{Stream, stream};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::Client;
use crate::proto::v1::{LookupEventsRequest, LookupEventsResponse};

/// How often one page is asked for again before its error is returned.
pub const MAX_RETRIES: u32 = 5;
/// The longest wait the server may ask for: beyond it the error is returned,
/// since whoever asks would rather know.
pub const MAX_RETRY_WAIT: Duration = Duration::from_secs(60);
/// The first wait after an answer that got nowhere; it doubles up to
/// [`MAX_STALL`].
const STALL: Duration = Duration::from_millis(250);
/// Two requests a second is what a scope has, so a wait of some seconds finds
/// quota again.
const MAX_STALL: Duration = Duration::from_secs(4);

/// How a lookup is paged.
#[derive(Clone, Copy, Debug)]
pub struct LookupOptions {
    /// The deadline of each page.
    pub page_timeout: Duration,
}

impl Default for LookupOptions {
    /// Pages of 30 seconds.
    fn default() -> Self {
        Self {
            page_timeout: Duration::from_secs(30),
        }
    }
}

/// Something that a lookup is waiting for.
#[derive(Debug)]
pub enum Notice<'a> {
    /// The server refused for now, and is asked again after this wait.
    Retry(&'a Status, Duration),
    /// The server searched nothing within the deadline, and is asked again
    /// after this wait.
    Stalled(Duration),
}

type Listener = Box<dyn FnMut(Notice<'_>) + Send>;

/// The pages of a lookup, asked for one after the other. See [`Client::lookup`].
pub struct Pages {
    client: Client,
    options: LookupOptions,
    /// The next page's request; `None` after the last.
    next: Option<LookupEventsRequest>,
    stall: Duration,
    listener: Listener,
}

impl fmt::Debug for Pages {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("options", &self.options)
            .field("next", &self.next)
            .finish_non_exhaustive()
    }
}

impl Pages {
    pub(super) fn new(
        client: Client,
        request: LookupEventsRequest,
        options: LookupOptions,
    ) -> Self {
        Self {
            client,
            options,
            next: Some(request),
            stall: STALL,
            listener: Box::new(|_| {}),
        }
    }

    /// Calls `listener` before each wait.
    #[must_use]
    pub fn on_wait(mut self, listener: impl FnMut(Notice<'_>) + Send + 'static) -> Self {
        self.listener = Box::new(listener);
        self
    }

    /// How many events the next page may have, 1 to 1000; 0 is the server's
    /// default.
    pub fn set_page_size(&mut self, size: i32) {
        if let Some(next) = &mut self.next {
            next.page_size = size;
        }
    }

    /// How many requests the next page may buy from AWS; 0 is the server's
    /// default.
    pub fn set_max_upstream_calls(&mut self, calls: i32) {
        if let Some(next) = &mut self.next {
            next.max_upstream_calls = calls;
        }
    }

    /// The next page; `None` after the last, and after an error. A page may be
    /// empty: searched so far.
    ///
    /// Where the server names a wait (`RetryInfo`), the page is asked for
    /// again, [`MAX_RETRIES`] times at most. Dropping the future loses nothing
    /// but the answer to it.
    ///
    /// # Errors
    ///
    /// The server's status, where asking again did not help or would not.
    pub async fn next(&mut self) -> Option<Result<LookupEventsResponse, Status>> {
        let request = self.next.clone()?;
        let page = match self.ask(&request).await {
            Ok(page) => page,
            Err(status) => {
                self.next = None;
                return Some(Err(status));
            }
        };
        let token = page.next_page_token.clone();
        if token.is_empty() {
            self.next = None;
            return Some(Ok(page));
        }
        if page.events.is_empty() && token == request.page_token {
            (self.listener)(Notice::Stalled(self.stall));
            tokio::time::sleep(self.stall).await;
            self.stall = (self.stall * 2).min(MAX_STALL);
        } else {
            self.stall = STALL;
        }
        self.next = Some(LookupEventsRequest {
            page_token: token,
            ..request
        });
        Some(Ok(page))
    }

    /// The pages as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<LookupEventsResponse, Status>> {
        stream::unfold(self, |mut pages| async {
            pages.next().await.map(|page| (page, pages))
        })
    }

    async fn ask(&mut self, request: &LookupEventsRequest) -> Result<LookupEventsResponse, Status> {
        let timeout = self.options.page_timeout;
        let mut tries = 0;
        loop {
            let status = match self.client.lookup_page(request.clone(), timeout).await {
                Ok(page) => return Ok(page),
                Err(status) => status,
            };
            let Some(wait) = wait_for(&status).filter(|_| tries < MAX_RETRIES) else {
                return Err(status);
            };
            tries += 1;
            (self.listener)(Notice::Retry(&status, wait));
            tokio::time::sleep(wait).await;
        }
    }
}

/// How long to wait before asking again, if that may help.
fn wait_for(status: &Status) -> Option<Duration> {
    if !matches!(status.code(), Code::Unavailable | Code::ResourceExhausted) {
        return None;
    }
    status
        .get_details_retry_info()?
        .retry_delay
        .filter(|wait| *wait <= MAX_RETRY_WAIT)
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;

    #[test]
    fn only_a_refusal_with_a_bearable_wait_is_asked_again() {
        let refused = |code, secs| {
            let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(secs)));
            Status::with_error_details(code, "no", details)
        };
        let wait = Some(Duration::from_secs(2));
        assert_eq!(wait_for(&refused(Code::Unavailable, 2)), wait);
        assert_eq!(wait_for(&refused(Code::ResourceExhausted, 2)), wait);
        assert_eq!(wait_for(&refused(Code::ResourceExhausted, 61)), None);
        assert_eq!(wait_for(&refused(Code::InvalidArgument, 2)), None);
        assert_eq!(wait_for(&Status::unavailable("nothing listens")), None);
    }
}
