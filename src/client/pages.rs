//! A lookup from page to page.

use std::{fmt, time::Duration};

use futures_util::{Stream, stream};
use tonic::{Code, Status};

use super::{
    Client,
    retry::{Notice, retrying},
};
use crate::proto::v1::{LookupEventsRequest, LookupEventsResponse};

/// The first wait after an answer that got nowhere; it doubles up to
/// [`MAX_STALL`].
const STALL: Duration = Duration::from_millis(250);
/// Two requests a second is what a scope has, so a wait of some seconds finds
/// quota again.
const MAX_STALL: Duration = Duration::from_secs(4);

/// How a lookup is paged.
#[derive(Clone, Copy, Debug)]
pub struct LookupOptions {
    /// The longest deadline of a page.
    pub page_timeout: Duration,
    /// The first deadline of a page, if that is less: the server then gives
    /// what it has so far, so that progress shows. It grows where a page got
    /// nowhere within it. `None`: every page has the longest.
    pub first_page_timeout: Option<Duration>,
}

impl Default for LookupOptions {
    /// Pages of 30 seconds.
    fn default() -> Self {
        Self {
            page_timeout: Duration::from_secs(30),
            first_page_timeout: None,
        }
    }
}

pub(super) type Listener = Box<dyn FnMut(Notice<'_>) + Send>;

/// The pages of a lookup, asked for one after the other. See [`Client::lookup`].
pub struct Pages {
    client: Client,
    options: LookupOptions,
    /// The next page's request; `None` after the last.
    next: Option<LookupEventsRequest>,
    /// The next page's deadline.
    timeout: Duration,
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
            timeout: options
                .first_page_timeout
                .map_or(options.page_timeout, |first| {
                    first.min(options.page_timeout)
                }),
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
    /// Where the server names a wait, the page is asked for again, as of
    /// [`MAX_RETRIES`](super::MAX_RETRIES). Dropping the future loses nothing
    /// but the answer to it.
    ///
    /// # Errors
    ///
    /// The server's status, where asking again did not help or would not.
    pub async fn next(&mut self) -> Option<Result<LookupEventsResponse, Status>> {
        let request = self.next.clone()?;
        let page = loop {
            let (client, timeout) = (&self.client, self.timeout);
            let is_short = timeout < self.options.page_timeout;
            let ask = async || match client.lookup_page(request.clone(), timeout).await {
                Err(status) if is_short && is_for_time(&status) => Ok(None),
                answer => answer.map(Some),
            };
            match retrying(ask, &mut self.listener).await {
                Ok(Some(page)) => break page,
                Ok(None) => self.grow(),
                Err(status) => {
                    self.next = None;
                    return Some(Err(status));
                }
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
            self.grow();
        } else {
            self.stall = STALL;
        }
        self.next = Some(LookupEventsRequest {
            page_token: token,
            ..request
        });
        Some(Ok(page))
    }

    fn grow(&mut self) {
        self.timeout = (self.timeout * 2).min(self.options.page_timeout);
    }

    /// The pages as a stream, which ends after an error.
    pub fn into_stream(self) -> impl Stream<Item = Result<LookupEventsResponse, Status>> {
        stream::unfold(self, |mut pages| async {
            pages.next().await.map(|page| (page, pages))
        })
    }
}

/// Whether a longer deadline may mend it: the wait for quota counts as one.
fn is_for_time(status: &Status) -> bool {
    matches!(
        status.code(),
        Code::DeadlineExceeded | Code::ResourceExhausted
    )
}
