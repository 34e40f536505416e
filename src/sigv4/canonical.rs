//! What is signed, and by what.

use std::fmt::Write;

use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use sha2::{Digest, Sha256};

use super::{ALGORITHM, Authorization, Request, TERMINATOR};

/// What is escaped in a query: all but RFC 3986's unreserved characters.
const ESCAPED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The canonical request; `None`: a header that was signed is not there.
pub(super) fn request(
    request: &Request<'_>,
    signed: &[&str],
    signed_headers: &str,
) -> Option<String> {
    let query = query(request.query);
    let mut text = format!("{}\n{}\n{query}\n", request.method, request.path);
    for name in signed {
        let _ = writeln!(text, "{name}:{}", value(request.headers, name)?);
    }
    let _ = write!(text, "\n{signed_headers}\n{}", hash(request.body));
    Some(text)
}

/// What the signature is of.
pub(super) fn to_sign(given: &Authorization<'_>, date: &str, canonical: &str) -> String {
    let Authorization {
        date: day,
        region,
        service,
        ..
    } = given;
    let hash = hash(canonical.as_bytes());
    format!("{ALGORITHM}\n{date}\n{day}/{region}/{service}/{TERMINATOR}\n{hash}")
}

/// Whether `signature` is this text's by the key that `secret` is for this scope.
/// Takes as long whatever is wrong in it.
pub(super) fn is_signed_by(
    secret: &[u8],
    given: &Authorization<'_>,
    text: &str,
    signature: &str,
) -> bool {
    let Some(signature) = unhex(signature) else {
        return false;
    };
    let start = [b"AWS4", secret].concat();
    let scope = [given.date, given.region, given.service, TERMINATOR];
    let key = scope.iter().try_fold(start, |key, part| {
        Some(sign(&key, part)?.finalize().into_bytes().to_vec())
    });
    key.and_then(|key| sign(&key, text))
        .is_some_and(|mac| mac.verify_slice(&signature).is_ok())
}

/// `None`: HMAC takes a key of any length, so never.
fn sign(key: &[u8], text: &str) -> Option<Hmac<Sha256>> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).ok()?;
    mac.update(text.as_bytes());
    Some(mac)
}

/// A header's values, each without the spaces that do not count.
fn value(headers: &HeaderMap, name: &str) -> Option<String> {
    let mut values = Vec::new();
    for value in headers.get_all(name) {
        let text = str::from_utf8(value.as_bytes()).ok()?;
        let words: Vec<_> = text.split_ascii_whitespace().collect();
        values.push(words.join(" "));
    }
    (!values.is_empty()).then(|| values.join(","))
}

/// A query's parameters in order, each escaped in the one way.
fn query(query: &str) -> String {
    let escape = |part: &str| {
        let bytes: Vec<u8> = percent_decode_str(part).collect();
        // what is no text was not signed as one either
        utf8_percent_encode(&String::from_utf8_lossy(&bytes), ESCAPED).to_string()
    };
    let parts = query.split('&').filter(|part| !part.is_empty());
    let mut parts: Vec<_> = parts
        .map(|part| part.split_once('=').unwrap_or((part, "")))
        .map(|(name, value)| (escape(name), escape(value)))
        .collect();
    parts.sort();
    let parts: Vec<_> = parts
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    parts.join("&")
}

/// A SHA-256 in hexadecimal.
fn hash(bytes: &[u8]) -> String {
    let hash = Sha256::digest(bytes);
    hash.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pairs = text.as_bytes().chunks(2).map(|pair| match pair {
        [high, low] => u8::try_from(digit(*high)? << 4 | digit(*low)?).ok(),
        _ => None,
    });
    pairs.collect()
}
