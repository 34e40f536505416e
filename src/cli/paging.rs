//! A lookup under way: takes page after page until the end, and tells how it
//! ended.

use std::{
    future,
    io::{self, ErrorKind, IsTerminal},
    pin::pin,
};

use super::{
    EXIT_FAILED, EXIT_INCOMPLETE, EXIT_INTERRUPTED,
    output::{Format, Output},
    report::{self, Progress, Searched},
    time,
};
use crate::{
    client::{Notice, Pages},
    proto::v1::{LookupEventsResponse, Stats},
};

/// Why no more pages were asked for.
enum End {
    /// There are none.
    Searched,
    /// `--limit` is reached, and there may be more events.
    Limit,
    /// `--max-upstream-calls` is reached, and there may be more events.
    UpstreamCalls,
    Interrupted,
    Refused(tonic::Status),
    Unwritable(io::Error),
}

/// A lookup under way.
pub(super) struct Paging {
    output: Output<io::StdoutLock<'static>>,
    progress: Progress,
    searched: Searched,
    stats: Stats,
    /// Events still wanted; `None` is all.
    limit: Option<u64>,
    page_size: u64,
    /// Requests that may still be bought; `None` is the server's to decide.
    upstream_calls: Option<i32>,
}

impl Paging {
    /// Nothing found yet, to be written to stdout.
    pub(super) fn new(
        format: Format,
        limit: Option<u64>,
        page_size: u64,
        upstream_calls: Option<i32>,
    ) -> Self {
        Self {
            output: Output::stdout(format, &[]),
            progress: Progress::start(),
            searched: Searched::default(),
            stats: Stats::default(),
            limit,
            page_size,
            upstream_calls,
        }
    }

    /// Writes all that `pages` bring, and says how it went. `start` is the
    /// time asked for, in seconds since the Unix epoch.
    pub(super) async fn run(mut self, pages: Pages, start: Option<i64>, endpoint: &str) -> u8 {
        let end = self.pages(pages).await;
        self.finish(end, start, endpoint)
    }

    async fn pages(&mut self, pages: Pages) -> End {
        let progress = self.progress.clone();
        let mut pages = pages.on_wait(move |notice| match notice {
            Notice::Retry(status, wait) => {
                let wait = report::seconds(wait);
                progress.say(format_args!("{}; asking again in {wait}", status.message()));
            }
            Notice::Stalled(_) => progress.say("waiting for quota"),
        });
        let mut stop = pin!(async {
            if tokio::signal::ctrl_c().await.is_err() {
                future::pending::<()>().await;
            }
        });
        loop {
            let size = self
                .limit
                .map_or(self.page_size, |left| left.min(self.page_size));
            pages.set_page_size(i32::try_from(size).unwrap_or(i32::MAX));
            pages.set_max_upstream_calls(self.upstream_calls.unwrap_or_default());
            let page = tokio::select! {
                biased;
                () = &mut stop => return End::Interrupted,
                page = pages.next() => page,
            };
            let ended = match page {
                None => Some(End::Searched),
                Some(Err(status)) => Some(End::Refused(status)),
                Some(Ok(page)) => self.take(page),
            };
            if let Some(end) = ended {
                return end;
            }
        }
    }

    /// Writes what a page brought; says why it was the last, if it was.
    fn take(&mut self, page: LookupEventsResponse) -> Option<End> {
        let mut events = page.events;
        let mut more = !page.next_page_token.is_empty();
        if let Some(left) = &mut self.limit {
            let wanted = usize::try_from(*left).unwrap_or(usize::MAX);
            more |= events.len() > wanted;
            events.truncate(wanted);
            *left = left.saturating_sub(events.len() as u64);
        }
        self.searched.update(page.scopes);
        let stats = page.stats.unwrap_or_default();
        self.stats.upstream_calls += stats.upstream_calls;
        self.stats.events_scanned += stats.events_scanned;
        if let Some(left) = &mut self.upstream_calls {
            let bought = i32::try_from(stats.upstream_calls).unwrap_or(i32::MAX);
            *left = left.saturating_sub(bought).max(0);
        }
        let output = &mut self.output;
        if let Err(error) = self.progress.aside(|| output.write(&events)) {
            return Some(End::Unwritable(error));
        }
        let back_to = self.searched.back_to().map(time::rfc3339);
        let back_to = back_to.map_or_else(String::new, |time| format!(", searched back to {time}"));
        self.progress
            .say(format_args!("{}{back_to}", self.counts()));
        if !more {
            return Some(End::Searched);
        }
        if self.limit == Some(0) {
            return Some(End::Limit);
        }
        (self.upstream_calls == Some(0)).then_some(End::UpstreamCalls)
    }

    fn counts(&self) -> String {
        format!(
            "{} events of {} looked at, {} requests to AWS",
            self.output.written(),
            self.stats.events_scanned,
            self.stats.upstream_calls
        )
    }

    /// Ends the output and says on stderr what was not searched.
    fn finish(mut self, end: End, start: Option<i64>, endpoint: &str) -> u8 {
        self.progress.end();
        let end = match (end, self.output.finish()) {
            (End::Unwritable(error), _) | (_, Err(error)) => End::Unwritable(error),
            (end, Ok(())) => end,
        };
        // whoever reads has enough, as `head` has: that is no failure
        if matches!(&end, End::Unwritable(error) if error.kind() == ErrorKind::BrokenPipe) {
            return 0;
        }
        let more_to_come = !matches!(end, End::Searched | End::UpstreamCalls);
        for line in self.searched.lines(more_to_come, start) {
            report::note(line);
        }
        if io::stderr().is_terminal() {
            report::note(self.counts());
        }
        match end {
            End::Refused(status) => {
                report::refused(&status, endpoint);
                EXIT_FAILED
            }
            End::Unwritable(error) => {
                report::note(format_args!("cannot write: {error}"));
                EXIT_FAILED
            }
            End::Interrupted => {
                report::note("interrupted; there may be more events");
                EXIT_INTERRUPTED
            }
            End::UpstreamCalls => {
                report::note("stopped at --max-upstream-calls; there may be more events");
                EXIT_INCOMPLETE
            }
            End::Limit => {
                report::note("stopped at --limit; there may be more events (--limit all for all)");
                self.code(more_to_come)
            }
            End::Searched => self.code(more_to_come),
        }
    }

    fn code(&self, more_to_come: bool) -> u8 {
        if self.searched.is_incomplete(more_to_come) {
            EXIT_INCOMPLETE
        } else {
            0
        }
    }
}
