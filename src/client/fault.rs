//! What stood between a client and the gateway's answer.

use std::{error::Error, io};

use tonic::{Code, Status};
use tonic_types::StatusExt;

/// Why a call has no answer of a gateway's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing takes the connection.
    Unreachable,
    /// What answers speaks no gRPC, or has no such method.
    NoGateway,
    /// The connection broke while the call was under way.
    WentAway,
}

impl Fault {
    /// What `status` says of the way to the gateway; `None` if a gateway said
    /// it, or time ran out.
    #[must_use]
    pub fn of(status: &Status) -> Option<Self> {
        // every error of a gateway carries its reason
        if status.get_details_error_info().is_some() {
            return None;
        }
        if status.code() == Code::Unavailable {
            return Some(Self::Unreachable);
        }
        // another service's gRPC, or tonic's words for HTTP without gRPC
        let is_http = status.message().starts_with("grpc-status header missing");
        if is_http || status.code() == Code::Unimplemented {
            return Some(Self::NoGateway);
        }
        let first = status.source()?;
        match status.code() {
            // frames that are no HTTP/2, and no connection that broke
            Code::Internal if !is_io(first) => Some(Self::NoGateway),
            Code::Internal | Code::Unknown | Code::Cancelled => Some(Self::WentAway),
            _ => None,
        }
    }
}

type Cause<'a> = &'a (dyn Error + 'static);

/// An error, then what it comes from.
pub(super) fn causes(error: Cause<'_>) -> impl Iterator<Item = Cause<'_>> {
    fn next<'a>(cause: &Cause<'a>) -> Option<Cause<'a>> {
        (*cause).source()
    }
    std::iter::successors(Some(error), next)
}

fn is_io(error: Cause<'_>) -> bool {
    causes(error).any(<dyn Error>::is::<io::Error>)
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt, AsyncWriteExt},
        net::TcpListener,
    };
    use tonic_types::ErrorDetails;

    use super::*;
    use crate::{client::Client, proto::v1::GetEventRequest};

    /// What a client makes of a port that answers its first bytes so.
    async fn met(answer: &'static [u8]) -> Option<Fault> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let mut read = [0; 24];
                socket.read_exact(&mut read).await.unwrap();
                socket.write_all(answer).await.unwrap();
                socket.shutdown().await.unwrap();
                // closed with something unread, it would take the answer back
                drop(socket.read_to_end(&mut Vec::new()).await);
            }
        });
        let client = Client::new(&format!("http://{address}")).unwrap();
        let timeout = std::time::Duration::from_secs(60);
        let answer = client.get(GetEventRequest::default(), timeout).await;
        Fault::of(&answer.unwrap_err())
    }

    #[tokio::test]
    async fn what_stood_in_the_way_is_told_apart() {
        let other = b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n";
        assert_eq!(met(other).await, Some(Fault::NoGateway));
        assert_eq!(
            met(b"SSH-2.0-OpenSSH_9.6\r\n").await,
            Some(Fault::NoGateway)
        );
        // empty SETTINGS, then nothing more
        assert_eq!(met(b"\0\0\0\x04\0\0\0\0\0").await, Some(Fault::WentAway));

        assert_eq!(
            Fault::of(&Status::unavailable("")),
            Some(Fault::Unreachable)
        );
        let mapped = "grpc-status header missing, mapped from HTTP status code 404";
        let mapped = Status::unimplemented(mapped);
        assert_eq!(Fault::of(&mapped), Some(Fault::NoGateway));
        let details = ErrorDetails::with_error_info("UPSTREAM_UNAVAILABLE", "trailgate", []);
        let said = Status::with_error_details(Code::Unavailable, "AWS is gone", details);
        assert_eq!(Fault::of(&said), None);
        assert_eq!(Fault::of(&Status::deadline_exceeded("slow")), None);
        assert_eq!(Fault::of(&Status::internal("asked too often")), None);
    }
}
