//! What AWS refuses with, sorted by what can be done about it.

use std::time::Duration;

/// What can be done about an upstream error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum ErrorKind {
    /// The scope's quota is used up, by whomever: wait, then try again.
    Throttled,
    /// The gateway's identity may not look up events in this scope.
    Denied,
    /// The gateway's credentials are missing, expired or not accepted.
    Credentials,
    /// The `NextToken` is expired or belongs to another request: start the
    /// walk's open second again.
    InvalidToken,
    /// AWS does not accept the request; sending it again will not help.
    Invalid,
    /// A passing fault: a 5xx answer, a timeout, a broken connection.
    Transient,
    /// Nothing answers at the endpoint.
    Gone,
}

impl ErrorKind {
    /// A word for it, as metrics have it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Throttled => "throttled",
            Self::Denied => "denied",
            Self::Credentials => "credentials",
            Self::InvalidToken => "invalid_token",
            Self::Invalid => "invalid",
            Self::Transient => "transient",
            Self::Gone => "gone",
        }
    }
}

/// What the codes of refusals to assume an account's role begin with.
pub const ASSUME_ROLE: &str = "AssumeRole.";

/// An error that AWS, or the way there, gave.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Error {
    /// What can be done about it.
    pub kind: ErrorKind,
    /// AWS's error code, or a word of ours where AWS gave none.
    pub code: String,
    /// AWS's message. May name principals and ARNs: for logs, not for clients.
    pub message: String,
    /// How long the server asked to wait.
    pub retry_after: Option<Duration>,
}

impl Error {
    /// An error of `kind` with a code and a message.
    #[must_use]
    pub fn new(kind: ErrorKind, code: &str, message: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.to_owned(),
            message: message.into(),
            retry_after: None,
        }
    }

    /// Sorts an error by AWS's code, whatever the HTTP status: CloudTrail
    /// throttles with a 400, and only some codes are in its API model. The
    /// status decides where the code is unknown.
    #[must_use]
    pub fn classify(code: &str, status: u16) -> ErrorKind {
        match code {
            "ThrottlingException"
            | "Throttling"
            | "ThrottledException"
            | "RequestLimitExceeded"
            | "RequestThrottled"
            | "RequestThrottledException"
            | "SlowDown"
            | "TooManyRequestsException" => ErrorKind::Throttled,
            "AccessDenied"
            | "AccessDeniedException"
            | "NotAuthorized"
            | "OperationNotPermittedException"
            | "OptInRequired"
            | "UnauthorizedOperation"
            | "UnsupportedOperationException" => ErrorKind::Denied,
            "ExpiredToken"
            | "ExpiredTokenException"
            | "IncompleteSignature"
            | "IncompleteSignatureException"
            | "InvalidClientTokenId"
            | "InvalidSignatureException"
            | "MissingAuthenticationToken"
            | "MissingAuthenticationTokenException"
            | "RequestExpired"
            | "SignatureDoesNotMatch"
            | "UnrecognizedClientException" => ErrorKind::Credentials,
            "InvalidNextTokenException" => ErrorKind::InvalidToken,
            "InternalFailure"
            | "InternalServerError"
            | "InternalServiceError"
            | "InternalServerException"
            | "RequestTimeout"
            | "RequestTimeoutException"
            | "ServiceUnavailable"
            | "ServiceUnavailableException" => ErrorKind::Transient,
            _ if status == 429 => ErrorKind::Throttled,
            _ if status >= 500 => ErrorKind::Transient,
            _ => ErrorKind::Invalid,
        }
    }

    /// Whether the same request may succeed when it is sent again.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        matches!(
            self.kind,
            ErrorKind::Throttled | ErrorKind::Transient | ErrorKind::Gone
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_decide_and_status_only_where_they_are_unknown() {
        use ErrorKind::*;
        for (code, status, kind) in [
            ("ThrottlingException", 400, Throttled),
            ("RequestLimitExceeded", 503, Throttled),
            ("AccessDeniedException", 400, Denied),
            ("ExpiredTokenException", 400, Credentials),
            ("InvalidNextTokenException", 400, InvalidToken),
            ("InvalidTimeRangeException", 400, Invalid),
            ("", 429, Throttled),
            ("", 502, Transient),
            ("NeverSeen", 400, Invalid),
        ] {
            assert_eq!(Error::classify(code, status), kind, "{code} {status}");
        }
    }
}
