//! CloudTrail's wire form, AWS JSON 1.1: requests, answers, errors.
//!
//! Source: the API reference of `LookupEvents` and AWS's API model. Nothing
//! here knows HTTP beyond status codes, headers and the form of an answer.

mod answer;
mod authorization;
mod error;
mod reply;
mod request;

pub use answer::{EventError, answer, answer_of, event_from_json};
pub use authorization::{ALGORITHM, Authorization, TERMINATOR};
pub use error::{Code, Error};
pub use reply::{error_reply, reply};
pub use request::{LookupRequest, Several};

/// The content type of requests and answers.
pub const CONTENT_TYPE: &str = "application/x-amz-json-1.1";

/// The header that names the error of an answer, beside its body.
pub const ERROR_TYPE_HEADER: &str = "x-amzn-errortype";

/// The header that carries the id of a request in its answer.
pub const REQUEST_ID_HEADER: &str = "x-amzn-requestid";

/// The largest request body. A `LookupEvents` request has a few kilobytes at
/// most: one value of 2000 characters and a token.
pub const MAX_BODY: usize = 64 * 1024;

/// The operation that there is.
pub const LOOKUP_EVENTS: &str = "LookupEvents";

/// The service that requests are signed for.
pub const SERVICE: &str = "cloudtrail";

/// The header that names the operation of a request.
pub const TARGET_HEADER: &str = "x-amz-target";

/// The operation that an `X-Amz-Target` names, if it is one of CloudTrail's:
/// older SDKs and the AWS CLI send the long form of the service's name,
/// Smithy-built SDKs the short one.
#[must_use]
pub fn operation(target: &str) -> Option<&str> {
    let (service, operation) = target.rsplit_once('.')?;
    matches!(
        service,
        "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101" | "CloudTrail_20131101"
    )
    .then_some(operation)
    .filter(|name| !name.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_of_the_target_name_the_operation() {
        for target in [
            "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents",
            "CloudTrail_20131101.LookupEvents",
        ] {
            assert_eq!(operation(target), Some("LookupEvents"));
        }
        for target in [
            "",
            "LookupEvents",
            "DynamoDB_20120810.Query",
            "CloudTrail_20131101.",
        ] {
            assert_eq!(operation(target), None, "{target}");
        }
    }
}
