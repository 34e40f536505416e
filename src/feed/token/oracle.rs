//! What must be true of every resume token, whoever made it.

#![allow(clippy::unwrap_used, reason = "it is a test")]

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{MAX_LEN, ResumeToken, VERSION, Wire};
use crate::{
    feed::Feed,
    sealed::{forge, seal},
};

/// A token of a subscription to `feed`, or one that was to another process's if its
/// log has an odd number, with all else chosen by somebody.
pub(crate) fn forged(digest: &[u8; 16], feed: &Feed, body: &[u8]) -> String {
    let rest = body.get(digest.len()..).unwrap_or_default();
    let body = [digest, rest].concat();
    let bytes = match postcard::from_bytes::<Wire>(&body) {
        Ok(wire) if wire.log % 2 == 0 => {
            let log = feed.id;
            seal(VERSION, &Wire { log, ..wire })
        }
        _ => forge(VERSION, &body),
    };
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Checks that a token that is read, written and read once more, is of the same
/// scopes, and nowhere ahead of what it was.
pub(crate) fn check(text: &str, digest: &[u8; 16]) {
    let Ok(token) = ResumeToken::decode(text, digest) else {
        return;
    };
    assert!(text.len() <= MAX_LEN && token.digest == *digest);
    check_written(&token);
}

/// The same of a token that a stream gives out.
pub(crate) fn check_written(token: &ResumeToken) {
    let text = token.encode();
    assert!(text.len() <= MAX_LEN, "{}", text.len());
    let again = ResumeToken::decode(&text, &token.digest).unwrap();
    assert_eq!(again.settled, token.settled);
    let are_named = !again.marks.is_empty();
    assert!(are_named || token.marks.is_empty() || token.unit().is_none());
    for (before, after) in token.marks.iter().zip(&again.marks) {
        assert_eq!((&after.scope, after.way), (&before.scope, before.way));
        assert_eq!(after.is_missed, before.is_missed);
        assert!(after.settled <= before.settled, "{before:?} {after:?}");
    }
    if are_named {
        assert_eq!(again.marks.len(), token.marks.len());
    }
    let rest = ResumeToken {
        marks: token.marks.clone(),
        reading: token.reading.clone(),
        ..again
    };
    assert_eq!(rest, *token);
}
