//! A lookup under way: takes page after page until the end, and tells how it
//! ended.

use std::{
    future,
    io::{self, ErrorKind, IsTerminal},
    pin::pin,
};

use super::{
    EXIT_FAILED, EXIT_INCOMPLETE, EXIT_INTERRUPTED,
    asked::Asked,
    output::{Format, Output},
    progress::Progress,
    refusal::{self, Call},
    report::{self, Searched, count},
    table::{Column, printable},
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

/// After how many requests a search is told to be a broad one: what AWS can be
/// asked by seldom needs more for a first page.
const MANY_CALLS: i64 = 3;

/// A lookup under way.
pub(super) struct Paging {
    asked: Asked,
    format: Format,
    output: Output<io::StdoutLock<'static>>,
    progress: Progress,
    searched: Searched,
    stats: Stats,
    has_answered: bool,
    /// What to say of a broad search, until it was said.
    breadth: Option<String>,
    /// Events still wanted; `None` is all.
    limit: Option<u64>,
    page_size: u64,
    /// Requests that may still be bought; `None` is the server's to decide.
    upstream_calls: Option<i32>,
}

impl Paging {
    /// Nothing found yet, to be written to stdout.
    pub(super) fn new(
        asked: Asked,
        (format, columns): (Format, &[Column]),
        limit: Option<u64>,
        page_size: u64,
        upstream_calls: Option<i32>,
    ) -> Self {
        Self {
            format,
            output: Output::stdout(format, columns),
            progress: Progress::start(),
            searched: Searched::new(asked.order),
            stats: Stats::default(),
            has_answered: false,
            breadth: asked.breadth(),
            asked,
            limit,
            page_size,
            upstream_calls,
        }
    }

    /// Writes all that `pages` bring, and says how it went.
    pub(super) async fn run(mut self, pages: Pages, endpoint: &str) -> u8 {
        let end = self.pages(pages).await;
        self.finish(end, endpoint)
    }

    async fn pages(&mut self, pages: Pages) -> End {
        let bar = self.progress.bar();
        let mut pages = pages.on_wait(move |notice| match notice {
            Notice::Retry(status, wait) => {
                let wait = refusal::seconds(wait);
                let waiting = format!("{}; asking again in {wait}", status.message());
                bar.set_message(printable(&waiting));
            }
            Notice::Stalled(_) => bar.set_message("waiting for quota"),
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
            let mut next = pin!(pages.next());
            let page = loop {
                tokio::select! {
                    biased;
                    () = &mut stop => return End::Interrupted,
                    page = &mut next => break page,
                    () = self.progress.line() => {}
                }
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
        self.has_answered = true;
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
        self.progress.say(self.so_far());
        if !more {
            return Some(End::Searched);
        }
        if self.limit == Some(0) {
            return Some(End::Limit);
        }
        if self.stats.upstream_calls > MANY_CALLS
            && let Some(breadth) = self.breadth.take()
        {
            self.progress.note(breadth);
        }
        (self.upstream_calls == Some(0)).then_some(End::UpstreamCalls)
    }

    /// Where the search stands: the time reached, what was found, what it cost.
    fn so_far(&self) -> String {
        let written = i64::try_from(self.output.written()).unwrap_or(i64::MAX);
        let parts = [
            self.searched.so_far(),
            format!("{} found", count(written, "event")),
            format!("{} bought", count(self.stats.upstream_calls, "request")),
        ];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(", ")
    }

    /// Says what may be wrong where no event was found.
    fn nothing_found(&self) {
        let is_table = self.format == Format::Table;
        let found = is_table.then(|| self.searched.no_events()).flatten();
        let unchecked = is_table.then(|| self.asked.unchecked()).flatten();
        let doubts = self.asked.doubts();
        for line in found.into_iter().chain(doubts).chain(unchecked) {
            report::note(line);
        }
    }

    /// Ends the output and says on stderr what was not searched.
    fn finish(mut self, end: End, endpoint: &str) -> u8 {
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
        if self.output.written() == 0 && matches!(end, End::Searched | End::UpstreamCalls) {
            self.nothing_found();
        }
        for line in self.searched.lines(more_to_come, self.start()) {
            report::note(line);
        }
        if io::stderr().is_terminal() {
            report::note(self.so_far());
        }
        match end {
            End::Refused(status) => {
                let call = Call {
                    endpoint,
                    has_answered: self.has_answered,
                    asked: &self.asked,
                };
                call.refused(&status)
            }
            End::Unwritable(error) => {
                report::note(format_args!("cannot write: {error}"));
                EXIT_FAILED
            }
            End::Interrupted => {
                let go_on = self.searched.reached().map(|at| self.searched.go_on(at));
                let go_on = go_on.map_or_else(String::new, |go_on| format!("; {go_on}"));
                report::note(format_args!("interrupted; there may be more events{go_on}"));
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

    fn start(&self) -> Option<i64> {
        self.asked.start.map(|(_, start)| start)
    }

    fn code(&self, more_to_come: bool) -> u8 {
        if self.searched.is_incomplete(more_to_come, self.start()) {
            EXIT_INCOMPLETE
        } else {
            0
        }
    }
}
