//! The one place where errors become `Status`.
//!
//! Every error carries `ErrorInfo` with a stable reason. Nothing in here shows
//! credentials, tokens or what the SDK says of itself.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::MAX_REQUEST;
#[cfg(feature = "sql")]
use crate::sql;
use crate::{bearer::Refused, event::Scope, filter, lookup, policy::Denied, rates::TooOften};

/// Scopes that a message names: it is a header.
const SCOPES_TOLD: usize = 10;

/// The domain of every reason.
pub(super) const DOMAIN: &str = "trailgate";

/// Why a caller who may not see records is refused one.
pub(super) const RECORD_NOT_ALLOWED: &str = "RECORD_NOT_ALLOWED";

/// A field of a request that cannot be used: what is wrong with which value,
/// and what would be right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    pub(super) reason: &'static str,
    pub(super) field: String,
    pub(super) message: String,
}

impl Invalid {
    pub(super) fn new(
        reason: &'static str,
        field: impl Into<String>,
        message: impl Into<String>,
    ) -> Self {
        Self {
            reason,
            field: field.into(),
            message: message.into(),
        }
    }
}

impl Invalid {
    /// As a value that was right once, and is too old.
    pub(super) fn out_of_range(self) -> Status {
        self.with_code(Code::OutOfRange)
    }

    /// As what is not for this caller.
    pub(super) fn denied(self) -> Status {
        self.with_code(Code::PermissionDenied)
    }

    fn with_code(self, code: Code) -> Status {
        let status = Status::from(self);
        Status::with_error_details(code, status.message(), status.get_error_details())
    }
}

impl From<filter::Error> for Invalid {
    fn from(error: filter::Error) -> Self {
        Self::new("INVALID_FILTER", error.path, error.message)
    }
}

impl From<Invalid> for Status {
    fn from(invalid: Invalid) -> Self {
        let mut details = info(invalid.reason);
        details.add_bad_request_violation(&invalid.field, &invalid.message);
        let message = format!("{}: {}", invalid.field, invalid.message);
        Self::with_error_details(Code::InvalidArgument, message, details)
    }
}

impl From<lookup::Error> for Status {
    fn from(error: lookup::Error) -> Self {
        use lookup::Error;
        let mut details = match error.scope() {
            Some(scope) => info_of(error.reason(), scope),
            None => info(error.reason()),
        };
        let code = match &error {
            Error::Token(why) => {
                return Invalid::new(error.reason(), "page_token", *why).into();
            }
            Error::Exhausted { wait, .. } => {
                details.set_retry_info(Some(*wait));
                add_quota(&mut details);
                Code::ResourceExhausted
            }
            Error::DailyAllowance { wait } => {
                details.set_retry_info(Some(*wait));
                details.add_quota_failure_violation(
                    "trailgate:caller",
                    "the requests to AWS that a caller may buy in a UTC day",
                );
                Code::ResourceExhausted
            }
            Error::Denied { .. } | Error::Credentials { .. } => Code::FailedPrecondition,
            Error::Rejected { .. } => Code::Internal,
            Error::Unavailable { .. } | Error::Archive { .. } => {
                // what is gone is seldom back sooner
                details.set_retry_info(Some(Duration::from_secs(1)));
                Code::Unavailable
            }
        };
        Self::with_error_details(code, error.to_string(), details)
    }
}

#[cfg(feature = "sql")]
impl From<sql::Error> for Status {
    fn from(error: sql::Error) -> Self {
        use sql::Error;
        let code = match &error {
            Error::Wrong(_) | Error::Refused(_) => {
                return Invalid::new(error.reason(), "query", error.to_string()).into();
            }
            Error::Memory { .. } | Error::Disk { .. } | Error::Busy { .. } | Error::Left => {
                Code::ResourceExhausted
            }
            Error::Time { .. } => Code::DeadlineExceeded,
            Error::Archive(_) | Error::Spill(_) => Code::Unavailable,
            Error::Internal(_) => Code::Internal,
        };
        let mut details = info(error.reason());
        if matches!(
            error,
            Error::Busy { .. } | Error::Left | Error::Archive(_) | Error::Spill(_)
        ) {
            details.set_retry_info(Some(Duration::from_secs(5)));
        }
        Self::with_error_details(code, error.to_string(), details)
    }
}

/// No report has this name.
#[cfg(feature = "sql")]
pub(super) fn unknown_report(name: &str, nearest: Option<&str>) -> Status {
    let name = filter::shown(name);
    let hint = match nearest {
        Some(nearest) => format!("did you mean {nearest}?"),
        None => "ListReports has those that there are".to_owned(),
    };
    let mut details = info("REPORT_UNKNOWN");
    details.set_resource_info("report", name.as_str(), "", "no report of this name");
    let message = format!("there is no report {name:?}; {hint}");
    Status::with_error_details(Code::NotFound, message, details)
}

/// Values that a report's parameters cannot have; the first says what is wrong.
#[cfg(feature = "sql")]
pub(super) fn wrong_values(wrong: &[sql::Wrong]) -> Status {
    /// A request may be wrong ten thousand times, and this is a header: of the oddest
    /// texts five take 12 KB of the 16 that clients take.
    const TOLD: usize = 5;
    let reason = wrong
        .first()
        .map_or("REPORT_PARAMETER_INVALID", |it| it.why.reason());
    let mut details = info(reason);
    let mut told = Vec::new();
    for sql::Wrong {
        parameter, message, ..
    } in wrong.iter().take(TOLD)
    {
        let field = format!("parameters[{}]", filter::shown(parameter));
        details.add_bad_request_violation(&field, message);
        told.push(format!("{field}: {message}"));
    }
    if wrong.len() > TOLD {
        told.push(format!("and {} more", wrong.len() - TOLD));
    }
    Status::with_error_details(Code::InvalidArgument, told.join("; "), details)
}

/// A report needs functions that have nothing to answer from here.
#[cfg(feature = "sql")]
pub(super) fn lacking(report: &str, functions: &[&str]) -> Status {
    let message = format!(
        "{report} needs {}, which this server has no database of places for; it takes one with \
         --sql-places",
        functions.join(" and ")
    );
    let details = info("REPORT_FUNCTION_MISSING");
    Status::with_error_details(Code::FailedPrecondition, message, details)
}

/// Reports are asked of a server that has none.
pub(super) fn no_reports() -> Status {
    let message = "this server runs no reports: it has no archive (--archive), or was built \
                   without the feature sql";
    Status::with_error_details(Code::Unimplemented, message, info("NO_REPORTS"))
}

impl From<Denied> for Status {
    fn from(denied: Denied) -> Self {
        let (code, reason) = match denied {
            Denied::Unknown => (Code::Unauthenticated, "UNAUTHENTICATED"),
            Denied::NotAllowed => (Code::PermissionDenied, "NOT_ALLOWED"),
        };
        Self::with_error_details(code, denied.to_string(), info(reason))
    }
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let details = info("INVALID_TOKEN");
        Self::with_error_details(Code::Unauthenticated, refused.to_string(), details)
    }
}

/// What a caller may see is all elsewhere.
pub(super) fn no_scopes() -> Status {
    Status::with_error_details(
        Code::PermissionDenied,
        "none of the accounts and Regions that this caller may see is searched here; ask whoever \
         keeps the policy of this server",
        info("NO_SCOPES"),
    )
}

/// What a caller may see is not what it was when its stream began.
pub(super) fn rights_changed() -> Status {
    let mut details = info("RIGHTS_CHANGED");
    details.set_retry_info(Some(Duration::ZERO));
    Status::with_error_details(
        Code::Unavailable,
        "what this caller may see has changed; go on from the last token",
        details,
    )
}

/// No event has this id.
pub(super) fn not_found(id: &str) -> Status {
    let mut details = info("EVENT_NOT_FOUND");
    let id = filter::shown(id);
    details.set_resource_info("event", id.as_str(), "", "no event with this id");
    let message = format!("no event with id {id:?} in any scope that was searched");
    Status::with_error_details(Code::NotFound, message, details)
}

/// As `status` says of one of the `unsearched` scopes, and in those that were searched
/// the event is not.
pub(super) fn not_found_in(status: Status, searched: usize, unsearched: &[&Scope]) -> Status {
    if searched + unsearched.len() < 2 {
        return status;
    }
    let told = filter::listed(unsearched.iter(), SCOPES_TOLD);
    let message = format!(
        "{}; the event is in none of the {searched} scopes that were searched, and not searched \
         were {told}",
        status.message()
    );
    Status::with_error_details(status.code(), message, status.get_error_details())
}

/// A search of this scope ended before the question was answered.
pub(super) fn unfinished(reason: lookup::Reason, scope: &Scope) -> Status {
    let mut details = info_of(reason.as_str(), scope);
    let message = format!(
        "{scope} could not be searched to the end: {}; try again, what was searched is held",
        reason.message()
    );
    let code = match reason {
        lookup::Reason::Upstream(error) => return error.of(scope).into(),
        lookup::Reason::DailyAllowance { wait } => {
            return lookup::Error::DailyAllowance { wait }.into();
        }
        lookup::Reason::Deadline => Code::DeadlineExceeded,
        lookup::Reason::Quota => {
            add_quota(&mut details);
            Code::ResourceExhausted
        }
        lookup::Reason::PageFull
        | lookup::Reason::OtherScopes
        | lookup::Reason::UpstreamCallLimit => Code::ResourceExhausted,
    };
    // what was searched is kept: trying again goes on from there
    details.set_retry_info(Some(Duration::from_secs(1)));
    Status::with_error_details(code, message, details)
}

fn add_quota(details: &mut ErrorDetails) {
    details.add_quota_failure_violation(
        "cloudtrail:LookupEvents",
        "AWS's two requests a second per account and Region, shared by all tools, or fewer where \
         the gateway is held to less",
    );
}

/// As many calls of a kind are under way as may be.
pub(super) fn too_many(reason: &str, message: &str) -> Status {
    let mut details = info(reason);
    details.set_retry_info(Some(Duration::from_secs(5)));
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// A caller called more often than it may.
pub(super) fn too_often(too_often: TooOften) -> Status {
    let TooOften { per_second, wait } = too_often;
    let mut details = info("CALL_RATE_EXCEEDED");
    details.set_retry_info(Some(wait));
    let message = format!(
        "this caller may begin {per_second} calls a second, and began more; call less often, or \
         ask for more at once"
    );
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// A message does not follow what came before it, or cannot be used: it is of this
/// field.
pub(super) fn misused(reason: &'static str, field: &str, message: &str) -> Status {
    Invalid::new(reason, field, message).into()
}

/// Nothing came of an ingest for so long.
pub(super) fn idle(time: Duration) -> Status {
    let message = format!(
        "nothing was sent for {} minutes, and the ingest was ended to make room; begin another one",
        time.as_secs() / 60
    );
    Status::with_error_details(Code::DeadlineExceeded, message, info("INGEST_IDLE"))
}

/// A request did not come in time.
pub(super) fn not_sent(time: Duration) -> Status {
    let message = format!(
        "nothing of the request came for {} seconds; send it at once",
        time.as_secs()
    );
    Status::with_error_details(Code::DeadlineExceeded, message, info("REQUEST_NOT_SENT"))
}

/// Too much of other requests is read already.
pub(super) fn asked_too_much() -> Status {
    let message =
        "too many long requests are being read; try again later, or ask with fewer values";
    too_many("TOO_MANY_REQUESTS", message)
}

/// Too many calls are under way already.
pub(super) fn too_many_calls() -> Status {
    let message = "too many calls are under way from this address, or in all; try again later";
    too_many("TOO_MANY_CALLS", message)
}

/// A request is larger than may be.
pub(super) fn too_large() -> Status {
    let message = format!(
        "more than {MAX_REQUEST} bytes; ask with fewer or shorter values, or in several requests"
    );
    Invalid::new("REQUEST_TOO_LARGE", "filters", message).into()
}

/// A request that is no message of the method's.
pub(super) fn malformed(what: &str) -> Status {
    let message = format!("the request cannot be read: {what}; ask by the published contract");
    Status::with_error_details(Code::Internal, message, info("MALFORMED_REQUEST"))
}

/// An answer cannot be written.
pub(super) fn no_answer(why: &str) -> Status {
    let message = format!("the answer cannot be sent: {why}; ask for a smaller page");
    Status::with_error_details(Code::Internal, message, info("NO_ANSWER"))
}

/// No such service or method.
pub(super) fn unknown_method() -> Status {
    let message =
        "no such service or method in this version; reflection lists those that there are";
    Status::with_error_details(Code::Unimplemented, message, info("UNKNOWN_METHOD"))
}

/// What tonic says by itself, with a reason as all errors have.
pub(super) fn with_reason(status: Status) -> Status {
    if !status.details().is_empty() {
        return status;
    }
    match status.code() {
        // a message over the limit; of our own, `OUT_OF_RANGE` is a position that is too old
        Code::OutOfRange
            if status
                .message()
                .starts_with("Error, decoded message length too large") =>
        {
            too_large()
        }
        Code::Unimplemented if status.message().is_empty() => unknown_method(),
        Code::Unimplemented => {
            let message = format!("{}; send requests as they are", status.message());
            let details = info("UNSUPPORTED_COMPRESSION");
            Status::with_error_details(Code::Unimplemented, message, details)
        }
        Code::Internal => malformed(status.message()),
        _ => status,
    }
}

/// An answer that should have come with what there was did not come at all.
pub(super) fn overdue() -> Status {
    let message = "the call took longer than the server allows; try again";
    Status::with_error_details(Code::DeadlineExceeded, message, info("OVERDUE"))
}

/// Nobody took an export's responses for so long.
pub(super) fn unread(time: Duration) -> Status {
    let mut details = info("EXPORT_UNREAD");
    details.set_retry_info(Some(Duration::from_secs(1)));
    let message = format!(
        "nothing was read of the export for {} minutes, and it was ended to make room; the last \
         next_page_token goes on",
        time.as_secs() / 60
    );
    Status::with_error_details(Code::Unavailable, message, details)
}

/// An export ended by itself, which is a fault of ours.
pub(super) fn broken_off() -> Status {
    let message = "the export broke off inside the gateway; the last next_page_token goes on";
    Status::with_error_details(Code::Internal, message, info("EXPORT_BROKEN_OFF"))
}

/// The server shuts down.
pub(super) fn shutting_down(token: &str) -> Status {
    let mut details = info("SHUTTING_DOWN");
    // one that is started anew is back by then
    details.set_retry_info(Some(Duration::from_secs(1)));
    let message = format!("the server shuts down; the last {token} goes on elsewhere");
    Status::with_error_details(Code::Unavailable, message, details)
}

/// The connection was used for as long as one may be.
pub(super) fn connection_aged(token: &str) -> Status {
    let mut details = info("CONNECTION_AGE");
    details.set_retry_info(Some(Duration::ZERO));
    let message = format!(
        "the connection was used for as long as one may be; the last {token} goes on over another"
    );
    Status::with_error_details(Code::Unavailable, message, details)
}

fn info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, [])
}

fn info_of(reason: &str, scope: &Scope) -> ErrorDetails {
    let place = [("account_id", &scope.account), ("region", &scope.region)];
    let place = place.map(|(name, value)| (name.to_owned(), value.to_string()));
    ErrorDetails::with_error_info(reason, DOMAIN, place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(feature = "sql")]
    #[test]
    fn what_is_wrong_with_a_report_is_told_by_field() {
        use crate::sql::{Why, Wrong};

        let wrong = |parameter: &str, why| Wrong {
            parameter: parameter.to_owned(),
            why,
            message: format!("message of {parameter:.10}"),
        };
        let mut all = vec![wrong("since", Why::Invalid), wrong("who", Why::Missing)];
        let status = wrong_values(&all);
        assert_eq!(status.code(), Code::InvalidArgument);
        let reason = status.get_details_error_info().unwrap().reason;
        assert_eq!(reason, "REPORT_PARAMETER_INVALID");
        let told = status.get_details_bad_request().unwrap().field_violations;
        let told: Vec<_> = told
            .iter()
            .map(|it| (it.field.as_str(), it.description.as_str()))
            .collect();
        let wanted = [
            ("parameters[since]", "message of since"),
            ("parameters[who]", "message of who"),
        ];
        assert_eq!(told, wanted);
        // it is a header: of many the first are enough
        all.extend((0..10_000).map(|n| wrong(&format!("{n}{}", "x".repeat(500)), Why::Unknown)));
        let status = wrong_values(&all);
        assert!(status.message().len() < 4_000 && status.message().ends_with("and 9997 more"));
        assert!(status.details().len() < 8_000, "{}", status.details().len());

        let status = unknown_report(&"x".repeat(100_000), None);
        assert_eq!(status.code(), Code::NotFound);
        assert!(status.message().len() < 500);
        let status = unknown_report("root_use", Some("root_usage"));
        assert!(status.message().ends_with("did you mean root_usage?"));
        assert_eq!(
            status.get_details_error_info().unwrap().reason,
            "REPORT_UNKNOWN"
        );
        assert_eq!(
            status.get_details_resource_info().unwrap().resource_type,
            "report"
        );
    }

    #[test]
    fn a_spent_day_is_told_with_its_end() {
        let wait = Duration::from_secs(4_321);
        let spent = lookup::Error::DailyAllowance { wait };
        let reason = lookup::Reason::DailyAllowance { wait };
        let scope = Scope::new("111122223333", "us-east-1");
        for status in [Status::from(spent), unfinished(reason, &scope)] {
            assert_eq!(status.code(), Code::ResourceExhausted);
            let info = status.get_details_error_info().unwrap();
            assert_eq!(
                (info.domain.as_str(), info.reason.as_str()),
                (DOMAIN, "DAILY_ALLOWANCE_SPENT")
            );
            let retry = status.get_details_retry_info().unwrap();
            assert_eq!(retry.retry_delay, Some(wait));
            let quota = status.get_details_quota_failure().unwrap();
            assert_eq!(quota.violations[0].subject, "trailgate:caller");
        }
    }

    #[test]
    fn what_failed_is_said_with_where() {
        let scope = Scope::new("111122223333", "us-east-1");
        let denied = lookup::Error::Denied {
            code: "AccessDenied".to_owned(),
            scope: None,
        };
        let reasons = [lookup::Reason::Quota, lookup::Reason::Upstream(denied)];
        for reason in reasons {
            let status = unfinished(reason, &scope);
            assert!(
                status.message().contains("111122223333/us-east-1"),
                "{status:?}"
            );
            let info = status.get_details_error_info().unwrap();
            assert_eq!(info.metadata["account_id"], "111122223333");
            assert_eq!(info.metadata["region"], "us-east-1");
        }
    }

    #[test]
    fn what_tonic_says_gets_a_reason() {
        for (status, reason) in [
            (Status::unimplemented(""), "UNKNOWN_METHOD"),
            (
                Status::unimplemented("Content is compressed with `x`"),
                "UNSUPPORTED_COMPRESSION",
            ),
            (
                Status::internal("Missing request message."),
                "MALFORMED_REQUEST",
            ),
            (
                Status::out_of_range("Error, decoded message length too large: found 2 bytes"),
                "REQUEST_TOO_LARGE",
            ),
            (not_found("a"), "EVENT_NOT_FOUND"),
        ] {
            let info = with_reason(status).get_details_error_info().unwrap();
            assert_eq!(
                (info.domain.as_str(), info.reason.as_str()),
                (DOMAIN, reason)
            );
        }
    }

    #[test]
    fn all_that_was_not_searched_is_named() {
        let scopes: Vec<_> = (0..12)
            .map(|n| Scope::new("111122223333", &format!("r-{n}")))
            .collect();
        let unsearched: Vec<_> = scopes.iter().collect();
        let failed = || unfinished(lookup::Reason::Quota, &scopes[0]);
        let status = not_found_in(failed(), 3, &unsearched);
        for part in ["none of the 3 scopes", "111122223333/r-9 and 2 more"] {
            assert!(status.message().contains(part), "{status:?}");
        }
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.metadata["region"], "r-0");
        assert!(status.get_details_quota_failure().is_some());
        // one alone has said it already
        let alone = not_found_in(failed(), 0, &unsearched[..1]);
        assert_eq!(alone.message(), failed().message());
    }
}
