//! Answers as HTTP has them.

use http::{HeaderValue, Response, StatusCode, header};

use super::{CONTENT_TYPE, ERROR_TYPE_HEADER, Error};

/// An answer with this body.
#[must_use]
pub fn reply(status: u16, content_type: &'static str, body: Vec<u8>) -> Response<Vec<u8>> {
    let mut reply = Response::new(body);
    *reply.status_mut() = StatusCode::from_u16(status).unwrap_or_default();
    let content_type = HeaderValue::from_static(content_type);
    reply
        .headers_mut()
        .insert(header::CONTENT_TYPE, content_type);
    reply
}

/// The answer that an error is: its code stands in a header too.
#[must_use]
pub fn error_reply(error: &Error) -> Response<Vec<u8>> {
    let mut reply = reply(error.code.status(), CONTENT_TYPE, error.body());
    let code = HeaderValue::from_static(error.code.as_str());
    reply.headers_mut().insert(ERROR_TYPE_HEADER, code);
    reply
}
