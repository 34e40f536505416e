//! A call with one request and one answer, for where it must cost little.
//!
//! tonic's own way is for calls of any kind: it decodes a stream of one message
//! and encodes another, which takes longer than a short page out of the cache.
//! Here a request is read whole, and an answer is one piece of its own size.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use http::{HeaderMap, HeaderValue, header};
use http_body::Frame;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use prost::{
    Message,
    bytes::{Buf, BufMut, Bytes, BytesMut},
};
use tonic::{Status, body::Body, metadata::MetadataMap};

use super::{
    MAX_REQUEST,
    status::{malformed, no_answer, too_large},
};

/// What stands before a message: whether it is compressed, and its length
/// (gRPC over HTTP/2, "Length-Prefixed-Message").
const HEAD: usize = 5;

/// The header that names a request's compression.
const ENCODING: &str = "grpc-encoding";

/// Whether a request is as nearly all are: not compressed.
pub(super) fn is_plain<B>(request: &http::Request<B>) -> bool {
    let encoding = request.headers().get(ENCODING);
    encoding.is_none_or(|encoding| encoding == "identity")
}

/// The message of a plain request, and its metadata.
///
/// # Errors
/// As tonic has them, but for one that is too large.
pub(super) async fn receive<B, T>(request: http::Request<B>) -> Result<(MetadataMap, T), Status>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    T: Message + Default,
{
    let (parts, body) = request.into_parts();
    let body = Limited::new(body, HEAD + MAX_REQUEST).collect().await;
    let mut body = match body {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(too_large()),
        Err(error) => return Err(Status::from_error(error)),
    };
    if body.len() < HEAD {
        return Err(malformed("it has no message"));
    }
    let (is_compressed, len) = (body.get_u8() != 0, body.get_u32());
    if is_compressed {
        return Err(malformed(
            "its message is compressed, and no grpc-encoding says how",
        ));
    }
    let len = usize::try_from(len).unwrap_or(usize::MAX);
    if len > MAX_REQUEST {
        return Err(too_large());
    }
    if body.len() < len {
        return Err(malformed("its message is cut short"));
    }
    body.truncate(len);
    let message = T::decode(body).map_err(|error| malformed(&error.to_string()))?;
    Ok((MetadataMap::from_headers(parts.headers), message))
}

/// The answer with a message, or with why there is none. It is written when there is
/// room for it.
pub(super) fn respond(
    answer: Result<impl Message + Unpin + 'static, Status>,
) -> http::Response<Body> {
    let framed = answer.and_then(|message| {
        let len = u32::try_from(message.encoded_len());
        let len = len.map_err(|_| no_answer("it is longer than a message may be"))?;
        Ok(Framed {
            message: Some((message, len)),
            has_ended: false,
        })
    });
    match framed {
        Ok(framed) => {
            let mut response = http::Response::new(Body::new(framed));
            let kind = HeaderValue::from_static("application/grpc");
            response.headers_mut().insert(header::CONTENT_TYPE, kind);
            response
        }
        Err(status) => status.into_http(),
    }
}

/// A message with its length, then the trailers of success.
struct Framed<T> {
    message: Option<(T, u32)>,
    has_ended: bool,
}

impl<T: Message + Unpin> http_body::Body for Framed<T> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some((message, len)) = self.message.take() {
            let room = usize::try_from(len).unwrap_or_default();
            let mut framed = BytesMut::with_capacity(HEAD + room);
            framed.put_u8(0);
            framed.put_u32(len);
            let encoded = message.encode(&mut framed);
            let encoded = encoded.map_err(|error| no_answer(&error.to_string()));
            return Poll::Ready(Some(encoded.map(|()| Frame::data(framed.freeze()))));
        }
        if std::mem::replace(&mut self.has_ended, true) {
            return Poll::Ready(None);
        }
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(Status::GRPC_STATUS, HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::Full;
    use tonic::Code;

    use super::*;
    use crate::proto::v1::GetEventRequest;

    fn asked(id: &str) -> GetEventRequest {
        GetEventRequest {
            event_id: id.to_owned(),
            ..GetEventRequest::default()
        }
    }

    fn framed(head: &[u8], message: &[u8]) -> http::Request<Full<Bytes>> {
        http::Request::new(Full::new([head, message].concat().into()))
    }

    async fn received(head: &[u8], message: &[u8]) -> Result<GetEventRequest, Code> {
        let received = receive(framed(head, message)).await;
        received
            .map(|(_, message)| message)
            .map_err(|status| status.code())
    }

    #[tokio::test]
    async fn a_request_is_read_or_refused() {
        let message = asked("a").encode_to_vec();
        let len = u8::try_from(message.len()).unwrap();
        let head = [0, 0, 0, 0, len];
        assert_eq!(received(&head, &message).await, Ok(asked("a")));
        // what stands behind it is nobody's
        let longer = [&message[..], b"more"].concat();
        assert_eq!(received(&head, &longer).await, Ok(asked("a")));
        let internal = Err(Code::Internal);
        assert_eq!(received(&[], &[]).await, internal);
        assert_eq!(received(&[0, 0], &[]).await, internal);
        assert_eq!(received(&[1, 0, 0, 0, len], &message).await, internal);
        assert_eq!(received(&head, &message[1..]).await, internal);
        assert_eq!(received(&[0, 0, 0, 0, 2], &[255; 2]).await, internal);
        let refused = Err(Code::InvalidArgument);
        assert_eq!(received(&[0, 255, 0, 0, 0], &[]).await, refused);
        let large = vec![0; MAX_REQUEST + 1];
        assert_eq!(received(&head, &large).await, refused);
    }

    #[tokio::test]
    async fn an_answer_is_a_frame_and_trailers() {
        let collected = respond(Ok(asked("a"))).into_body().collect().await.unwrap();
        let trailers = collected.trailers().unwrap();
        assert_eq!(trailers["grpc-status"], "0");
        let body = collected.to_bytes();
        let (head, message) = body.split_at(HEAD);
        let len = u8::try_from(message.len()).unwrap();
        assert_eq!(head, [0, 0, 0, 0, len]);
        assert_eq!(GetEventRequest::decode(message), Ok(asked("a")));
        let refused = respond(Err::<(), _>(Status::not_found("no")));
        assert_eq!(refused.headers()["grpc-status"], "5");
    }

    #[test]
    fn what_is_compressed_is_not_plain() {
        let with = |name: &str| {
            http::Request::builder()
                .header(ENCODING, name)
                .body(())
                .unwrap()
        };
        assert!(is_plain(&http::Request::new(())) && is_plain(&with("identity")));
        assert!(!is_plain(&with("gzip")));
    }
}
