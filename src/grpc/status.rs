//! The one place where errors become `Status`.
//!
//! Every error carries `ErrorInfo` with a stable reason. Nothing in here shows
//! credentials, tokens or what the SDK says of itself.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use super::MAX_REQUEST;
use crate::{filter, lookup};

/// The domain of every reason.
pub(super) const DOMAIN: &str = "trailgate";

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
        let mut details = info(error.reason());
        let code = match &error {
            Error::Token(why) => {
                return Invalid::new(error.reason(), "page_token", *why).into();
            }
            Error::Exhausted { wait } => {
                details.set_retry_info(Some(*wait));
                details.add_quota_failure_violation(
                    "cloudtrail:LookupEvents",
                    "two requests a second per account and Region, shared by all tools",
                );
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
            Error::Unavailable { .. } => {
                // what is gone is seldom back sooner
                details.set_retry_info(Some(Duration::from_secs(1)));
                Code::Unavailable
            }
        };
        Self::with_error_details(code, error.to_string(), details)
    }
}

/// No event has this id.
pub(super) fn not_found(id: &str) -> Status {
    let mut details = info("EVENT_NOT_FOUND");
    details.set_resource_info("event", id, "", "no event with this id");
    let message = format!("no event with id {id:?} in any scope that was searched");
    Status::with_error_details(Code::NotFound, message, details)
}

/// A search ended before the question was answered.
pub(super) fn unfinished(reason: lookup::Reason) -> Status {
    let code = match reason {
        lookup::Reason::Upstream(error) => return error.into(),
        lookup::Reason::DailyAllowance { wait } => {
            return lookup::Error::DailyAllowance { wait }.into();
        }
        lookup::Reason::Deadline => Code::DeadlineExceeded,
        lookup::Reason::PageFull
        | lookup::Reason::OtherScopes
        | lookup::Reason::Quota
        | lookup::Reason::UpstreamCallLimit => Code::ResourceExhausted,
    };
    let mut details = info(reason.as_str());
    // what was searched is kept: trying again goes on from there
    details.set_retry_info(Some(Duration::from_secs(1)));
    Status::with_error_details(
        code,
        "not every scope could be searched; try again",
        details,
    )
}

/// As many calls of a kind are under way as may be.
pub(super) fn too_many(reason: &str, message: &str) -> Status {
    let mut details = info(reason);
    details.set_retry_info(Some(Duration::from_secs(5)));
    Status::with_error_details(Code::ResourceExhausted, message, details)
}

/// A request is larger than may be.
pub(super) fn too_large() -> Status {
    let message = format!(
        "more than {MAX_REQUEST} bytes; ask with fewer or shorter values, or in several requests"
    );
    Invalid::new("REQUEST_TOO_LARGE", "filters", message).into()
}

/// An answer that should have come with what there was did not come at all.
pub(super) fn overdue() -> Status {
    let message = "the call took longer than the server allows; try again";
    Status::with_error_details(Code::DeadlineExceeded, message, info("OVERDUE"))
}

/// The server shuts down.
pub(super) fn shutting_down() -> Status {
    let mut details = info("SHUTTING_DOWN");
    // one that is started anew is back by then
    details.set_retry_info(Some(Duration::from_secs(1)));
    let message = "the server shuts down; the last next_page_token goes on elsewhere";
    Status::with_error_details(Code::Unavailable, message, details)
}

/// A method or a field that is part of the contract and is not there yet.
pub(super) fn not_implemented(what: &str) -> Status {
    let message = format!("{what} is not implemented in this version");
    Status::with_error_details(Code::Unimplemented, message, info("NOT_IMPLEMENTED"))
}

fn info(reason: &str) -> ErrorDetails {
    ErrorDetails::with_error_info(reason, DOMAIN, [])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spent_day_is_told_with_its_end() {
        let wait = Duration::from_secs(4_321);
        let spent = lookup::Error::DailyAllowance { wait };
        let reason = lookup::Reason::DailyAllowance { wait };
        for status in [Status::from(spent), unfinished(reason)] {
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
}
