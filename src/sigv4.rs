//! Callers who are known by AWS's signature: whose key pair signed, and whether it
//! did.
//!
//! Source: "Signature Version 4 signing process", AWS IAM user guide. What is wrong
//! has the names and words that services of AWS JSON have for it.

mod canonical;
mod keys;

use http::HeaderMap;
use jiff::{Timestamp, civil::DateTime, tz::TimeZone};

pub use keys::{Key, Keys};

use crate::awsjson::{ALGORITHM, Authorization, Code, Error, SERVICE, TERMINATOR};

/// How far a request's clock may be off: as far as AWS lets it.
pub const MAX_SKEW_SECS: i64 = 15 * 60;

/// The header that says when a request was signed.
const DATE_HEADER: &str = "x-amz-date";

/// Headers that must have been signed: without them a signature could be moved to
/// another server, another time or another operation.
const MUST_BE_SIGNED: [&str; 3] = ["host", DATE_HEADER, crate::awsjson::TARGET_HEADER];

/// A request as it came.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// Its method.
    pub method: &'a str,
    /// Its path, as it was written.
    pub path: &'a str,
    /// What stands behind the question mark.
    pub query: &'a str,
    /// Its headers.
    pub headers: &'a HeaderMap,
    /// Its body, whole.
    pub body: &'a [u8],
}

/// Whether the holder of `secret` signed this request, for CloudTrail, at about
/// `now`.
///
/// # Errors
/// `IncompleteSignatureException`: some of the signature is missing;
/// `InvalidSignatureException`: it is another's, for something else, or too old.
pub fn verify(
    given: &Authorization<'_>,
    request: &Request<'_>,
    secret: &[u8],
    now: Timestamp,
) -> Result<(), Error> {
    let (Some(signed_headers), Some(signature)) = (given.signed_headers, given.signature) else {
        return Err(incomplete(
            "Authorization header requires 'Credential', 'SignedHeaders' and 'Signature' parameters.",
        ));
    };
    let signed: Vec<&str> = signed_headers.split(';').collect();
    let date = request.headers.get(DATE_HEADER);
    let Some(date) = date.and_then(|date| date.to_str().ok()) else {
        return Err(incomplete(
            "Authorization header requires existence of an 'X-Amz-Date' header.",
        ));
    };
    if let Some(name) = MUST_BE_SIGNED.iter().find(|name| !signed.contains(name)) {
        return Err(invalid(format!(
            "'{name}' must be a 'SignedHeader' in the AWS Authorization."
        )));
    }
    if given.service != SERVICE {
        return Err(invalid(format!(
            "Credential should be scoped to correct service: '{SERVICE}'."
        )));
    }
    check_time(given.date, date, now)?;
    let canonical = canonical::request(request, &signed, signed_headers)
        .ok_or_else(|| invalid("A signed header is missing, or is no text.".to_owned()))?;
    let to_sign = canonical::to_sign(given, date, &canonical);
    if canonical::is_signed_by(secret, given, &to_sign, signature) {
        return Ok(());
    }
    Err(invalid(
        "The request signature we calculated does not match the signature you provided. Check your \
         AWS Secret Access Key and signing method."
            .to_owned(),
    ))
}

/// Whether a request of `date` is of the day in its credential scope, and of now.
fn check_time(day: &str, date: &str, now: Timestamp) -> Result<(), Error> {
    let read = DateTime::strptime("%Y%m%dT%H%M%SZ", date).ok();
    let read = read.and_then(|date| date.to_zoned(TimeZone::UTC).ok());
    let Some(signed_at) = read.map(|date| date.timestamp()) else {
        return Err(incomplete(
            "Date must be in ISO-8601 'basic format', such as 20260102T030405Z.",
        ));
    };
    if date.get(..8) != Some(day) {
        return Err(invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from \
             HTTP."
                .to_owned(),
        ));
    }
    let age = now.as_second().saturating_sub(signed_at.as_second());
    let minutes = MAX_SKEW_SECS / 60;
    if age > MAX_SKEW_SECS {
        return Err(invalid(format!(
            "Signature expired: {date} is now earlier than {} - {minutes} min.",
            now.strftime("%Y%m%dT%H%M%SZ")
        )));
    }
    if age < -MAX_SKEW_SECS {
        return Err(invalid(format!(
            "Signature not yet current: {date} is still later than {} + {minutes} min.",
            now.strftime("%Y%m%dT%H%M%SZ")
        )));
    }
    Ok(())
}

fn incomplete(message: &str) -> Error {
    Error::new(Code::IncompleteSignature, message)
}

fn invalid(message: String) -> Error {
    Error::new(Code::InvalidSignature, message)
}

#[cfg(test)]
mod tests;
