//! A lookup under way: takes page after page until the end, and tells how it
//! ended.

use std::{
    future,
    io::{self, ErrorKind, IsTerminal},
    pin::pin,
};

use tokio::time::Instant;

use super::{
    EXIT_FAILED, EXIT_INCOMPLETE, EXIT_INTERRUPTED,
    asked::Asked,
    output::{Format, Layout, Output},
    progress::Progress,
    refusal::Call,
    report::{self, Searched, count},
    source::{Batch, Source},
};
use crate::proto::v1::{Order, Stats};

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
    is_export: bool,
    started: Instant,
    /// When the last event happened that was written.
    last: Option<i64>,
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
        layout: &Layout,
        limit: Option<u64>,
        page_size: u64,
        upstream_calls: Option<i32>,
    ) -> Self {
        Self {
            format: layout.format,
            output: Output::stdout(layout),
            progress: Progress::start(),
            searched: Searched::new(asked.order).since(Instant::now()),
            stats: Stats::default(),
            has_answered: false,
            is_export: false,
            started: Instant::now(),
            last: None,
            breadth: asked.breadth(),
            asked,
            limit,
            page_size,
            upstream_calls,
        }
    }

    /// Writes all that comes, and says how it went.
    pub(super) async fn run(mut self, source: Source, endpoint: &str) -> u8 {
        let end = self.batches(source).await;
        self.finish(end, endpoint)
    }

    async fn batches(&mut self, source: Source) -> End {
        let mut source = source.waits_on(&self.progress.bar());
        let mut stop = pin!(async {
            if tokio::signal::ctrl_c().await.is_err() {
                future::pending::<()>().await;
            }
        });
        loop {
            let size = self
                .limit
                .map_or(self.page_size, |left| left.min(self.page_size));
            source.set(size, self.upstream_calls.unwrap_or_default());
            let mut next = Box::pin(source.next());
            let batch = loop {
                tokio::select! {
                    biased;
                    () = &mut stop => return End::Interrupted,
                    batch = &mut next => break batch,
                    () = self.progress.line() => {}
                }
            };
            drop(next);
            self.is_export = source.is_export();
            let ended = match batch {
                None => Some(End::Searched),
                Some(Err(status)) => Some(End::Refused(status)),
                Some(Ok(batch)) => self.take(batch),
            };
            if let Some(end) = ended {
                return end;
            }
        }
    }

    /// Writes what a batch brought; says why it was the last, if it was.
    fn take(&mut self, batch: Batch) -> Option<End> {
        self.has_answered = true;
        let mut events = batch.events;
        let mut more = batch.has_more;
        if let Some(left) = &mut self.limit {
            let wanted = usize::try_from(*left).unwrap_or(usize::MAX);
            more |= events.len() > wanted;
            events.truncate(wanted);
            *left = left.saturating_sub(events.len() as u64);
        }
        self.searched.update(batch.scopes);
        let stats = batch.stats;
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
        if let Some(time) = events.last().and_then(|event| event.event_time) {
            self.last = Some(time.seconds);
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
        // an export keeps the limit itself, and has more to send than it bought
        (self.upstream_calls == Some(0) && !self.is_export).then_some(End::UpstreamCalls)
    }

    /// Where the search stands: the time reached, what was found, what it cost.
    fn so_far(&self) -> String {
        let written = i64::try_from(self.output.written()).unwrap_or(i64::MAX);
        let parts = [
            self.searched.so_far(),
            format!("{} found", count(written, "event")),
            format!("{} bought", count(self.stats.upstream_calls, "request")),
            self.rate(),
            match self.is_export && self.searched.waits_for_quota() {
                true => "waiting for quota".to_owned(),
                false => String::new(),
            },
        ];
        let parts: Vec<_> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join(", ")
    }

    /// How fast an export is; empty where that is no news.
    fn rate(&self) -> String {
        let seconds = self.started.elapsed().as_secs();
        match self.output.written().checked_div(seconds) {
            Some(rate) if self.is_export && rate > 0 => format!("{rate} events/s"),
            _ => String::new(),
        }
    }

    /// The option that goes on where the output ends, if that is known. An
    /// export may have searched further than it has sent.
    fn go_on(&self) -> Option<String> {
        let reached = match (self.searched.reached()?, self.last, self.asked.order) {
            (_, None, _) if self.is_export => return None,
            (reached, None, _) => reached,
            (reached, Some(last), Order::OldestFirst) => reached.min(last),
            (reached, Some(last), _) => reached.max(last),
        };
        Some(self.searched.go_on(reached, self.start()))
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
                let code = call.refused(&status);
                if let Some(go_on) = self.go_on().filter(|_| code == EXIT_FAILED) {
                    report::note(format_args!("there may be more events; {go_on}"));
                }
                code
            }
            End::Unwritable(error) => report::written(Err(error)),
            End::Interrupted => {
                let go_on = self
                    .go_on()
                    .map_or_else(String::new, |go_on| format!("; {go_on}"));
                report::note(format_args!("interrupted; there may be more events{go_on}"));
                EXIT_INTERRUPTED
            }
            End::UpstreamCalls => {
                report::note("stopped at --max-upstream-calls; there may be more events");
                EXIT_INCOMPLETE
            }
            End::Limit => {
                report::note("stopped at --limit; there may be more events (--all for all)");
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
