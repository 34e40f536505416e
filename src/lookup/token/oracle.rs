//! What must be true of every page token, whoever made it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{MAX_SCOPES, PageToken, VERSION};
use crate::sealed::forge;

/// A token of a request, with all but its digest chosen by somebody.
pub(crate) fn forged(digest: &[u8; 16], body: &[u8]) -> String {
    let rest = body.get(digest.len()..).unwrap_or_default();
    URL_SAFE_NO_PAD.encode(forge(VERSION, &[digest, rest].concat()))
}

/// Checks that a token that is read says the same written and read once more.
pub(crate) fn check(text: &str, digest: &[u8; 16]) {
    let Ok(token) = PageToken::decode(text, digest) else {
        return;
    };
    assert_eq!(token.digest, *digest);
    assert!(token.so_far.len() <= MAX_SCOPES && token.failed.len() <= MAX_SCOPES);
    // many times what scopes that differ take, as their reasons are told once
    let held: usize = token.failed.iter().map(|(_, why)| why.len()).sum();
    assert!(held <= 16 * 1024 * 1024, "{held}");
    let again = PageToken::decode(&token.encode(), digest);
    assert_eq!(again, Ok(token));
}
