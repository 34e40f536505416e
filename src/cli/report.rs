//! What goes to stderr: errors, what was not searched, progress.

use std::{
    collections::BTreeMap,
    fmt::Display,
    io::{self, IsTerminal, Write},
    time::Duration,
};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tonic::{Code, Status};
use tonic_types::StatusExt;

use super::{table::printable, time::rfc3339};
use crate::proto::v1::{ScopeStatus, SearchState};

/// The most field violations and scopes that are listed one by one: a
/// screenful.
const LISTED: usize = 20;

/// Writes one line to stderr, control characters aside.
pub(super) fn note(line: impl Display) {
    let line = printable(&line.to_string());
    // with stderr gone there is nobody to tell
    let _ = writeln!(io::stderr().lock(), "trailgate: {line}");
}

/// Says what the server refused, and what to do about it.
pub(super) fn refused(status: &Status, endpoint: &str) {
    for line in status_lines(status, endpoint) {
        note(line);
    }
}

fn status_lines(status: &Status, endpoint: &str) -> Vec<String> {
    let details = status.get_error_details();
    if status.code() == Code::Unavailable && details.error_info().is_none() {
        // no gateway wrote this
        let message = status.message();
        return vec![format!(
            "no gateway answers at {endpoint} ({message}); start one with \"trailgate serve\", or name another with --endpoint"
        )];
    }
    let reason = details
        .error_info()
        .map(|info| format!(", {}", info.reason))
        .unwrap_or_default();
    let mut lines = vec![format!(
        "{} [{}{reason}]",
        status.message(),
        code_name(status.code())
    )];
    let violations = details.bad_request().map(|bad| &bad.field_violations);
    for violation in violations.into_iter().flatten().take(LISTED) {
        // the message usually says the first of them already
        if !status.message().contains(&violation.description) {
            lines.push(format!("  {}: {}", violation.field, violation.description));
        }
    }
    let wait = details.retry_info().and_then(|info| info.retry_delay);
    match (wait, status.code()) {
        (Some(wait), _) => lines.push(format!("  try again in {}", seconds(wait))),
        (None, Code::DeadlineExceeded) => {
            lines.push("  give it more time with --timeout".to_owned());
        }
        (None, _) => {}
    }
    lines
}

/// A span in whole seconds, rounded up: no wait is said to be nothing.
pub(super) fn seconds(span: Duration) -> String {
    let up = u64::from(span.subsec_nanos() > 0);
    format!("{} s", span.as_secs().saturating_add(up))
}

/// The code's name as gRPC writes it.
const fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

/// How the search of each scope stands, over all pages.
#[derive(Debug, Default)]
pub(super) struct Searched {
    /// One entry a scope that the server named, so as many as it is set up
    /// with.
    scopes: BTreeMap<(String, String), ScopeStatus>,
}

impl Searched {
    /// Takes in what a page says. A scope that failed stays failed.
    pub(super) fn update(&mut self, scopes: Vec<ScopeStatus>) {
        for scope in scopes {
            let key = (scope.account_id.clone(), scope.region.clone());
            let failed = |scope: &ScopeStatus| scope.state() == SearchState::Failed;
            match self.scopes.get(&key) {
                Some(before) if failed(before) && !failed(&scope) => {}
                _ => drop(self.scopes.insert(key, scope)),
            }
        }
    }

    /// Whether some scope was not searched as far as was asked for. While
    /// there are pages to come, that one is partial is no news.
    pub(super) fn is_incomplete(&self, more_to_come: bool) -> bool {
        self.missing(more_to_come).next().is_some()
    }

    fn missing(&self, more_to_come: bool) -> impl Iterator<Item = &ScopeStatus> {
        self.scopes
            .values()
            .filter(move |scope| match scope.state() {
                SearchState::Failed => true,
                SearchState::Partial => !more_to_come,
                SearchState::Complete | SearchState::Unspecified => false,
            })
    }

    /// The earliest time back to which every scope was searched, if that is
    /// known.
    pub(super) fn back_to(&self) -> Option<i64> {
        self.scopes
            .values()
            .filter(|scope| scope.state() != SearchState::Failed)
            .filter_map(|scope| scope.searched_from.as_ref())
            .map(|time| time.seconds)
            .max()
    }

    /// One line for each scope that was not searched as far as was asked for,
    /// and for each whose history does not reach back to `start`.
    pub(super) fn lines(&self, more_to_come: bool, start: Option<i64>) -> Vec<String> {
        let mut lines: Vec<String> = self.missing(more_to_come).map(missing_line).collect();
        let short = self.scopes.values().filter_map(|scope| {
            let from = scope.searched_from.as_ref()?.seconds;
            let short = scope.state() == SearchState::Complete && from > start?;
            short.then(|| {
                let ScopeStatus {
                    account_id, region, ..
                } = scope;
                format!(
                    "{account_id}/{region} has no history before {}",
                    rfc3339(from)
                )
            })
        });
        lines.extend(short);
        if let Some(more) = lines.len().checked_sub(LISTED).filter(|more| *more > 0) {
            lines.truncate(LISTED);
            lines.push(format!("and {more} more like these"));
        }
        lines
    }
}

fn missing_line(scope: &ScopeStatus) -> String {
    let ScopeStatus {
        account_id,
        region,
        reason,
        message,
        ..
    } = scope;
    let why = match (reason.as_str(), message.as_str()) {
        ("", "") => String::new(),
        (reason, "") => format!(": {reason}"),
        ("", message) => format!(": {message}"),
        (reason, message) => format!(": {message} [{reason}]"),
    };
    let time = |time: &Option<prost_types::Timestamp>| time.as_ref().map(|at| rfc3339(at.seconds));
    match (
        scope.state(),
        time(&scope.searched_from),
        time(&scope.searched_to),
    ) {
        (SearchState::Failed, ..) => format!("{account_id}/{region} was not searched{why}"),
        (_, Some(from), Some(to)) => {
            format!("{account_id}/{region} was only searched from {from} to {to}{why}")
        }
        _ => format!("{account_id}/{region} was searched only in part{why}"),
    }
}

/// A line on the terminal that says how far the search is; nothing where
/// stderr is none.
#[derive(Clone, Debug)]
pub(super) struct Progress(ProgressBar);

impl Progress {
    /// Starts it, if stderr is a terminal.
    pub(super) fn start() -> Self {
        if !io::stderr().is_terminal() {
            return Self(ProgressBar::hidden());
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed:>4} {wide_msg}") {
            bar.set_style(style);
        }
        bar.set_message("searching");
        // often enough to look alive
        bar.enable_steady_tick(Duration::from_millis(120));
        Self(bar)
    }

    /// Says where things stand.
    pub(super) fn say(&self, message: impl Display) {
        self.0.set_message(printable(&message.to_string()));
    }

    /// Writes with the line out of the way.
    pub(super) fn aside<T>(&self, write: impl FnOnce() -> T) -> T {
        self.0.suspend(write)
    }

    /// Takes the line away.
    pub(super) fn end(&self) {
        self.0.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, FieldViolation};

    use super::*;

    #[test]
    fn a_refusal_is_told_with_its_reason_and_what_to_do() {
        let mut details = ErrorDetails::with_error_info("INVALID_FILTER", "trailgate", []);
        details.set_bad_request(vec![
            FieldViolation::new("filters[0].matches[0].field", "unknown field \"eventname\""),
            FieldViolation::new("page_size", "negative"),
        ]);
        let message = "unknown field \"eventname\"; did you mean \"eventName\"?";
        let status = Status::with_error_details(Code::InvalidArgument, message, details);
        assert_eq!(
            status_lines(&status, "e"),
            [
                "unknown field \"eventname\"; did you mean \"eventName\"? [INVALID_ARGUMENT, INVALID_FILTER]",
                "  page_size: negative",
            ]
        );
        let details = ErrorDetails::with_retry_info(Some(Duration::from_millis(2500)));
        let status = Status::with_error_details(Code::ResourceExhausted, "no quota", details);
        assert_eq!(
            status_lines(&status, "e"),
            ["no quota [RESOURCE_EXHAUSTED]", "  try again in 3 s"]
        );
        let lines = status_lines(&Status::unavailable("tcp connect error"), "http://h:1");
        assert!(
            lines[0].starts_with("no gateway answers at http://h:1 ("),
            "{lines:?}"
        );
        let lines = status_lines(&Status::deadline_exceeded("slow"), "e");
        assert!(lines[1].contains("--timeout"), "{lines:?}");
    }

    fn scope(region: &str, state: SearchState, from: i64) -> ScopeStatus {
        ScopeStatus {
            account_id: "1".to_owned(),
            region: region.to_owned(),
            state: state.into(),
            reason: "DEADLINE".to_owned(),
            searched_from: Some(prost_types::Timestamp {
                seconds: from,
                nanos: 0,
            }),
            searched_to: Some(prost_types::Timestamp {
                seconds: 100,
                nanos: 0,
            }),
            ..ScopeStatus::default()
        }
    }

    #[test]
    fn what_was_not_searched_is_told() {
        use SearchState::*;
        let mut searched = Searched::default();
        searched.update(vec![
            scope("a", Failed, 0),
            scope("b", Partial, 60),
            scope("c", Partial, 50),
        ]);
        assert_eq!(searched.back_to(), Some(60));
        assert!(searched.is_incomplete(true));
        assert_eq!(
            searched.lines(true, None),
            ["1/a was not searched: DEADLINE"]
        );
        // a failure does not heal silently; what is partial may become whole
        searched.update(vec![scope("a", Complete, 0), scope("c", Complete, 10)]);
        assert_eq!(
            searched.lines(false, Some(5)),
            [
                "1/a was not searched: DEADLINE",
                "1/b was only searched from 1970-01-01T00:01:00Z to 1970-01-01T00:01:40Z: DEADLINE",
                "1/c has no history before 1970-01-01T00:00:10Z",
            ]
        );
        let mut many = Searched::default();
        many.update((0..30).map(|i| scope(&i.to_string(), Failed, 0)).collect());
        assert_eq!(many.lines(false, None).len(), LISTED + 1);
        let mut whole = Searched::default();
        whole.update(vec![scope("a", Complete, 5)]);
        assert!(!whole.is_incomplete(false) && whole.lines(false, Some(5)).is_empty());
    }
}
