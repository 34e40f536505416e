//! Asking again where the server says that it may help.

use std::{future::Future, time::Duration};

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// How often a call is made again before its error is returned, where the
/// server names a wait (`RetryInfo`).
pub const MAX_RETRIES: u32 = 5;
/// The longest wait the server may ask for: beyond it the error is returned,
/// since whoever asks would rather know.
pub const MAX_RETRY_WAIT: Duration = Duration::from_secs(60);

/// Something that a call is waiting for.
#[derive(Debug)]
pub enum Notice<'a> {
    /// The server refused for now, and is asked again after this wait.
    Retry(&'a Status, Duration),
    /// The server searched nothing within the deadline, and is asked again
    /// after this wait.
    Stalled(Duration),
}

/// Makes a call, again where that may help; `listener` hears of each wait.
pub(super) async fn retrying<T, F>(
    call: impl Fn() -> F,
    listener: &mut (dyn FnMut(Notice<'_>) + Send),
) -> Result<T, Status>
where
    F: Future<Output = Result<T, Status>>,
{
    let mut tries = 0;
    loop {
        let status = match call().await {
            Ok(answer) => return Ok(answer),
            Err(status) => status,
        };
        let Some(wait) = wait_for(&status).filter(|_| tries < MAX_RETRIES) else {
            return Err(status);
        };
        tries += 1;
        listener(Notice::Retry(&status, wait));
        tokio::time::sleep(wait).await;
    }
}

/// How long to wait before asking again, if that may help.
pub(super) fn wait_for(status: &Status) -> Option<Duration> {
    let passing = matches!(
        status.code(),
        // with a wait named, a deadline is the gateway's word for "so far"
        Code::Unavailable | Code::ResourceExhausted | Code::DeadlineExceeded
    );
    status
        .get_details_retry_info()
        .filter(|_| passing)?
        .retry_delay
        .filter(|wait| *wait <= MAX_RETRY_WAIT)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use tonic_types::ErrorDetails;

    use super::*;

    fn refused(code: Code, secs: u64) -> Status {
        let details = ErrorDetails::with_retry_info(Some(Duration::from_secs(secs)));
        Status::with_error_details(code, "no", details)
    }

    #[test]
    fn only_a_refusal_with_a_bearable_wait_is_asked_again() {
        let wait = Some(Duration::from_secs(2));
        assert_eq!(wait_for(&refused(Code::Unavailable, 2)), wait);
        assert_eq!(wait_for(&refused(Code::ResourceExhausted, 2)), wait);
        assert_eq!(wait_for(&refused(Code::DeadlineExceeded, 2)), wait);
        assert_eq!(wait_for(&refused(Code::ResourceExhausted, 61)), None);
        assert_eq!(wait_for(&refused(Code::InvalidArgument, 2)), None);
        assert_eq!(wait_for(&Status::unavailable("nothing listens")), None);
    }

    #[tokio::test(start_paused = true)]
    async fn the_wait_is_kept_and_the_tries_are_counted() {
        let start = tokio::time::Instant::now();
        let calls = Cell::new(0_u32);
        let mut told = 0;
        let call = async || {
            calls.set(calls.get() + 1);
            Err::<(), _>(refused(Code::Unavailable, 3))
        };
        let mut listener = |_: Notice<'_>| told += 1;
        let ended = retrying(call, &mut listener).await;
        assert_eq!(ended.unwrap_err().code(), Code::Unavailable);
        assert_eq!((calls.get(), told), (MAX_RETRIES + 1, MAX_RETRIES));
        assert_eq!(
            start.elapsed(),
            Duration::from_secs(3 * u64::from(MAX_RETRIES))
        );
    }
}
