//! What the SDK's errors mean: by AWS's code, or by how the way there failed.

use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_cloudtrail::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::super::{Error, ErrorKind};

/// Sorts by AWS's code where an answer came, by how the way there failed where
/// none did.
pub(super) fn classify<E>(error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    // with its causes, for the log: the error alone says "dispatch failure"
    let said = || {
        let all = std::iter::once(error.to_string()).chain(causes(error).map(ToString::to_string));
        all.collect::<Vec<_>>().join(": ")
    };
    // a role's provider has sorted already
    if let Some(refused) = causes(error).find_map(|cause| cause.downcast_ref::<Error>()) {
        return refused.clone();
    }
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().unwrap_or_default();
            let message = service.err().message().map_or_else(said, ToOwned::to_owned);
            let kind = Error::classify(code, status);
            let code = if code.is_empty() {
                format!("Http{status}")
            } else {
                code.to_owned()
            };
            Error {
                kind,
                code,
                message,
                retry_after: retry_after(service.raw()),
            }
        }
        SdkError::ResponseError(response) => {
            let status = response.raw().status().as_u16();
            let kind = match Error::classify("", status) {
                // an answer that cannot be read was cut short
                ErrorKind::Invalid => ErrorKind::Transient,
                kind => kind,
            };
            Error {
                retry_after: retry_after(response.raw()),
                ..Error::new(kind, &format!("Http{status}"), said())
            }
        }
        SdkError::TimeoutError(_) => Error::new(ErrorKind::Transient, "Timeout", said()),
        _ if caused_by_credentials(error) => {
            Error::new(ErrorKind::Credentials, "NoCredentials", said())
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Error::new(ErrorKind::Transient, "ConnectTimeout", said())
        }
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            Error::new(ErrorKind::Invalid, "Unsendable", said())
        }
        SdkError::DispatchFailure(_) if is_refused(error) => {
            Error::new(ErrorKind::Gone, "ConnectionRefused", said())
        }
        SdkError::DispatchFailure(_) => {
            Error::new(ErrorKind::Transient, "ConnectionBroken", said())
        }
        _ => Error::new(ErrorKind::Invalid, "Unsendable", said()),
    }
}

fn retry_after(response: &HttpResponse) -> Option<Duration> {
    // delay in milliseconds, then the standard header in seconds
    let number = |name| {
        response
            .headers()
            .get(name)
            .and_then(|text| text.trim().parse::<u64>().ok())
    };
    number("x-amz-retry-after")
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
}

fn caused_by_credentials<E: std::error::Error + 'static>(error: &E) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<CredentialsError>().is_some())
}

fn is_refused<E: std::error::Error + 'static>(error: &E) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| {
            matches!(
                error.kind(),
                std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::HostUnreachable
            )
        })
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

fn causes<'a, E: std::error::Error + 'static>(error: &'a E) -> impl Iterator<Item = Cause<'a>> {
    fn next<'a>(cause: &Cause<'a>) -> Option<Cause<'a>> {
        (*cause).source()
    }
    std::iter::successors(error.source(), next)
}
