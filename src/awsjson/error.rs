//! AWS's errors, by code and in wire form.

use serde::Serialize;

/// The codes that CloudTrail, and the front end before it, refuse with.
///
/// Source: the API reference of `LookupEvents` for those in its model, its
/// "Common Errors" for the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Code {
    /// An attribute is unknown, too long, or one of several.
    InvalidLookupAttributes,
    /// The start lies after the end.
    InvalidTimeRange,
    /// `MaxResults` is not within 1 to 50.
    InvalidMaxResults,
    /// The token is expired, or belongs to another request.
    InvalidNextToken,
    /// The category is not one that can be looked up.
    InvalidEventCategory,
    /// The operation is not supported here.
    UnsupportedOperation,
    /// The operation is not permitted here.
    OperationNotPermitted,
    /// A policy denies it.
    AccessDenied,
    /// The access key is not known in this Region.
    UnrecognizedClient,
    /// The temporary credentials have expired.
    ExpiredToken,
    /// The signature does not match.
    InvalidSignature,
    /// The signature cannot be read.
    IncompleteSignature,
    /// The request is not signed.
    MissingAuthenticationToken,
    /// The quota is used up.
    Throttling,
    /// A parameter cannot be used: Organizations' word for it.
    InvalidInput,
    /// The body cannot be read.
    Serialization,
    /// The body is larger than any request.
    TooLarge,
    /// A header of ours cannot be used.
    Validation,
    /// There is no such operation.
    UnknownOperation,
    /// Something failed at AWS.
    InternalFailure,
    /// AWS cannot answer at the moment.
    ServiceUnavailable,
}

impl Code {
    /// The code as AWS spells it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::InvalidLookupAttributes => "InvalidLookupAttributesException",
            Self::InvalidTimeRange => "InvalidTimeRangeException",
            Self::InvalidMaxResults => "InvalidMaxResultsException",
            Self::InvalidNextToken => "InvalidNextTokenException",
            Self::InvalidEventCategory => "InvalidEventCategoryException",
            Self::UnsupportedOperation => "UnsupportedOperationException",
            Self::OperationNotPermitted => "OperationNotPermittedException",
            Self::AccessDenied => "AccessDeniedException",
            Self::UnrecognizedClient => "UnrecognizedClientException",
            Self::ExpiredToken => "ExpiredTokenException",
            Self::InvalidSignature => "InvalidSignatureException",
            Self::IncompleteSignature => "IncompleteSignatureException",
            Self::MissingAuthenticationToken => "MissingAuthenticationTokenException",
            Self::Throttling => "ThrottlingException",
            Self::InvalidInput => "InvalidInputException",
            Self::Serialization => "SerializationException",
            Self::TooLarge => "RequestEntityTooLargeException",
            Self::Validation => "ValidationException",
            Self::UnknownOperation => "UnknownOperationException",
            Self::InternalFailure => "InternalFailure",
            Self::ServiceUnavailable => "ServiceUnavailableException",
        }
    }

    /// The HTTP status. CloudTrail says 400 for everything that is not a
    /// fault of its own, throttling included.
    #[must_use]
    pub const fn status(self) -> u16 {
        match self {
            Self::InternalFailure => 500,
            Self::ServiceUnavailable => 503,
            Self::TooLarge => 413,
            _ => 400,
        }
    }
}

/// An error as AWS words it: a code and a message for people.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", code.as_str())]
pub struct Error {
    /// Which error.
    pub code: Code,
    /// Its message, in AWS's manner: a sentence.
    pub message: String,
}

#[derive(Serialize)]
struct Wire<'a> {
    #[serde(rename = "__type")]
    code: &'static str,
    message: &'a str,
}

impl Error {
    /// An error with its message.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    /// The body of the answer.
    #[must_use]
    pub fn body(&self) -> Vec<u8> {
        let wire = Wire {
            code: self.code.as_str(),
            message: &self.message,
        };
        // two strings always serialise
        serde_json::to_vec(&wire).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttling_is_a_400_with_its_code_in_the_body() {
        let error = Error::new(Code::Throttling, "Rate \"exceeded\"");
        assert_eq!(error.code.status(), 400);
        assert_eq!(
            String::from_utf8(error.body()).unwrap(),
            r#"{"__type":"ThrottlingException","message":"Rate \"exceeded\""}"#
        );
        assert_eq!(Code::InternalFailure.status(), 500);
    }
}
