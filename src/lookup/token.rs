//! Page tokens: one position for all scopes, bound to the request.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::Error;
use crate::event::{Position, TimeRange};

/// The version of the form below. Another one is refused: pages are short-lived.
const VERSION: u8 = 1;
/// Bytes of checksum: enough that garbage is told from a token.
const CHECKSUM: usize = 8;
/// The longest token that is looked at. Ours have a few hundred bytes, and some
/// fifty more for each of at most a thousand scopes that has failed.
const MAX_LEN: usize = 64 * 1024;

/// Where a chain of pages stands. It holds positions, never rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageToken {
    /// What the request was: see [`PageToken::decode`].
    pub digest: [u8; 16],
    /// The window, fixed by the first page.
    pub window: TimeRange,
    /// When the first page was asked for.
    pub asked_at: Timestamp,
    /// The next page has what comes after this.
    pub after: Position,
    /// By scope: see [`super::Question::short_by`].
    pub short_by: Vec<i64>,
    /// Scopes that have failed, by their place in the request, and why: they
    /// stay so.
    pub failed: Vec<(usize, String)>,
}

/// The form in a token. Short names: tokens travel with every page.
#[derive(Serialize, Deserialize)]
struct Wire {
    v: u8,
    d: [u8; 16],
    w: (i64, i64),
    n: i64,
    t: i64,
    a: String,
    r: String,
    i: String,
    h: [u8; 16],
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    s: Vec<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    f: Vec<(usize, String)>,
}

impl PageToken {
    /// The token as an opaque string.
    #[must_use]
    pub fn encode(&self) -> String {
        let wire = Wire {
            v: VERSION,
            d: self.digest,
            w: (self.window.from, self.window.to),
            n: self.asked_at.as_microsecond(),
            t: self.after.time,
            a: self.after.account_id.to_string(),
            r: self.after.region.to_string(),
            i: self.after.id.to_string(),
            h: self.after.hash,
            s: self.short_by.clone(),
            f: self.failed.clone(),
        };
        // numbers, strings and lists of them always serialize
        let body = serde_json::to_vec(&wire).unwrap_or_default();
        let mut bytes = checksum(&body).to_vec();
        bytes.extend(body);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Reads a token that must belong to the request with this digest.
    ///
    /// # Errors
    /// [`Error::Token`] if it is not one of ours, or another request's.
    pub fn decode(text: &str, digest: &[u8; 16]) -> Result<Self, Error> {
        const GARBAGE: Error =
            Error::Token("not a page token of this server; ask for the first page with none");
        if text.len() > MAX_LEN {
            return Err(GARBAGE);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| GARBAGE)?;
        let (sum, body) = bytes.split_at_checked(CHECKSUM).ok_or(GARBAGE)?;
        if sum != checksum(body) {
            return Err(GARBAGE);
        }
        let wire: Wire = serde_json::from_slice(body).map_err(|_| GARBAGE)?;
        if wire.v != VERSION {
            return Err(GARBAGE);
        }
        if wire.d != *digest {
            return Err(Error::Token(
                "this page token belongs to another request, or to scopes of long ago; only \
                 page_size, max_staleness and max_upstream_calls may change between pages",
            ));
        }
        let asked_at = Timestamp::from_microsecond(wire.n).map_err(|_| GARBAGE)?;
        Ok(Self {
            digest: wire.d,
            window: TimeRange::new(wire.w.0, wire.w.1),
            asked_at,
            after: Position {
                time: wire.t,
                account_id: wire.a.into(),
                region: wire.r.into(),
                id: wire.i.into(),
                hash: wire.h,
            },
            short_by: wire.s,
            failed: wire.f,
        })
    }
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    // SHA-256 has 32 bytes
    Sha256::digest(body)
        .first_chunk()
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn token() -> PageToken {
        PageToken {
            digest: [7; 16],
            window: TimeRange::new(-5, 1_700_000_000),
            asked_at: Timestamp::from_microsecond(1_700_000_000_123_456).unwrap(),
            after: Position {
                time: 1_699_999_999,
                account_id: "111122223333".into(),
                region: "us-east-1".into(),
                id: "…\"".into(),
                hash: [255; 16],
            },
            short_by: vec![0, 21],
            failed: vec![(3, "UPSTREAM_ACCESS_DENIED".into())],
        }
    }

    #[test]
    fn reads_what_it_wrote_for_the_same_request_alone() {
        let text = token().encode();
        assert_eq!(PageToken::decode(&text, &[7; 16]), Ok(token()));
        let Err(Error::Token(why)) = PageToken::decode(&text, &[8; 16]) else {
            panic!("read")
        };
        assert!(why.contains("another request"), "{why}");
    }

    proptest! {
        #[test]
        fn garbage_and_changed_tokens_are_refused(text in "\\PC{0,200}", at in 0_usize..100, to in "[A-Za-z0-9_-]") {
            prop_assert!(PageToken::decode(&text, &[7; 16]).is_err());
            let whole = token().encode();
            let mut changed = whole.clone();
            changed.replace_range(at..=at, &to);
            prop_assert!(changed == whole || PageToken::decode(&changed, &[7; 16]).is_err());
        }
    }
}
