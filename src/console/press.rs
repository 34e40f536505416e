//! Pages in few bytes: each cell of a table repeats what is asked.

use std::io::Write;

use axum::{
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use flate2::{Compression, write::GzEncoder};

/// What is made whole before it is sent, and is text; files and live events are not.
const KINDS: [&str; 3] = ["text/html", "text/css", "text/javascript"];

/// Gzips pages for browsers, which all read that.
pub(super) async fn press(request: Request, next: Next) -> Response {
    let reads = said(request.headers(), &header::ACCEPT_ENCODING)
        .is_some_and(|said| said.split(',').any(takes_gzip));
    let response = next.run(request).await;
    let is_page = said(response.headers(), &header::CONTENT_TYPE)
        .is_some_and(|kind| KINDS.iter().any(|one| kind.starts_with(one)));
    if !reads || !is_page {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    // it is in memory already
    let Ok(bytes) = to_bytes(body, usize::MAX).await else {
        return StatusCode::INTERNAL_SERVER_ERROR.into_response();
    };
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    let pressed = gzip.write_all(&bytes).and_then(|()| gzip.finish());
    let Ok(pressed) = pressed else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts
        .headers
        .insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    parts
        .headers
        .append(header::VARY, HeaderValue::from_static("accept-encoding"));
    Response::from_parts(parts, Body::from(pressed))
}

/// Whether a part of `Accept-Encoding` is gzip, with a weight above nothing.
fn takes_gzip(part: &str) -> bool {
    let (name, weight) = part.split_once(';').unwrap_or((part, ""));
    let is_none = |weight: &str| weight.trim_matches(['0', '.']).is_empty();
    let weight = weight.trim().strip_prefix("q=");
    name.trim().eq_ignore_ascii_case("gzip") && !weight.is_some_and(is_none)
}

/// A header's text.
fn said<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}
