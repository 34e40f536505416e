//! Page tokens: one position for all scopes, bound to the request.

use std::{borrow::Cow, collections::BTreeMap};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Error, SoFar};
use crate::{
    event::{Position, TimeRange},
    sealed::{open, seal},
};

/// The version of the form below. Another one is refused: pages are short-lived.
const VERSION: u8 = 2;
/// The longest token that is looked at. Ours have some two hundred bytes, and
/// where scopes differ some ten more for each, of at most some thousands.
const MAX_LEN: usize = 256 * 1024;
/// The most scopes that a token speaks of: far more than a server has.
const MAX_SCOPES: usize = 1 << 16;
/// The longest reason for which a scope failed: ours have at most some thirty
/// characters. Each scope that a token names gets a copy.
const MAX_REASON: usize = 64;

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
    /// By scope: see [`super::Question::so_far`].
    pub so_far: Vec<SoFar>,
    /// Scopes that have failed, by their place in the request, and why: they
    /// stay so.
    pub failed: Vec<(usize, String)>,
}

/// The form in a token, small and quickly made: one travels with every page.
#[derive(Serialize, Deserialize)]
struct Wire<'a> {
    digest: [u8; 16],
    window: (i64, i64),
    asked_at_micros: i64,
    time: i64,
    account: &'a str,
    region: &'a str,
    id: &'a str,
    hash: [u8; 16],
    /// Scopes in a row that are alike, and how many they are.
    so_far: Vec<(usize, i64, i64, Option<i64>)>,
    /// Why scopes failed, and which: each by how far it is behind the one
    /// before.
    failed: Vec<(Cow<'a, str>, Vec<usize>)>,
}

impl PageToken {
    /// The token as an opaque string.
    #[must_use]
    pub fn encode(&self) -> String {
        let wire = Wire {
            digest: self.digest,
            window: (self.window.from, self.window.to),
            asked_at_micros: self.asked_at.as_microsecond(),
            time: self.after.time,
            account: &self.after.account_id,
            region: &self.after.region,
            id: &self.after.id,
            hash: self.after.hash,
            so_far: runs(&self.so_far),
            failed: by_reason(&self.failed),
        };
        URL_SAFE_NO_PAD.encode(seal(VERSION, &wire))
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
        let wire: Wire<'_> = open(VERSION, &bytes).ok_or(GARBAGE)?;
        if wire.digest != *digest {
            return Err(Error::Token(
                "this page token belongs to another request, or to scopes of long ago; only \
                 page_size, max_staleness and max_upstream_calls may change between pages",
            ));
        }
        let asked_at = Timestamp::from_microsecond(wire.asked_at_micros).map_err(|_| GARBAGE)?;
        Ok(Self {
            digest: wire.digest,
            window: TimeRange::new(wire.window.0, wire.window.1),
            asked_at,
            after: Position {
                time: wire.time,
                account_id: wire.account.into(),
                region: wire.region.into(),
                id: wire.id.into(),
                hash: wire.hash,
            },
            so_far: apart(&wire.so_far).ok_or(GARBAGE)?,
            failed: by_place(&wire.failed).ok_or(GARBAGE)?,
        })
    }
}

/// Scopes in a row that are alike, together.
fn runs(so_far: &[SoFar]) -> Vec<(usize, i64, i64, Option<i64>)> {
    let alike = so_far.chunk_by(|a, b| a == b);
    let run = |alike: &[SoFar]| {
        let first = alike.first().copied().unwrap_or_default();
        let SoFar {
            short_by,
            older_by,
            unsettled_by,
        } = first;
        (alike.len(), short_by, older_by, unsettled_by)
    };
    alike.map(run).collect()
}

/// What [`runs`] put together; `None` if that was more than may be.
fn apart(runs: &[(usize, i64, i64, Option<i64>)]) -> Option<Vec<SoFar>> {
    let mut all = Vec::new();
    for (count, short_by, older_by, unsettled_by) in runs {
        let len = all.len().checked_add(*count)?;
        if len > MAX_SCOPES {
            return None;
        }
        let one = SoFar {
            short_by: *short_by,
            older_by: *older_by,
            unsettled_by: *unsettled_by,
        };
        all.resize(len, one);
    }
    Some(all)
}

/// Places of failed scopes by the reason. `failed` ascends.
fn by_reason(failed: &[(usize, String)]) -> Vec<(Cow<'_, str>, Vec<usize>)> {
    let mut reasons: BTreeMap<&str, (usize, Vec<usize>)> = BTreeMap::new();
    for (place, why) in failed {
        let (last, steps) = reasons.entry(why).or_default();
        steps.push(place.saturating_sub(*last));
        *last = *place;
    }
    let reasons = reasons.into_iter();
    reasons
        .map(|(why, (_, steps))| (why.into(), steps))
        .collect()
}

/// What [`by_reason`] put together; `None` if that was more than may be.
fn by_place(reasons: &[(Cow<'_, str>, Vec<usize>)]) -> Option<Vec<(usize, String)>> {
    let mut failed = Vec::new();
    for (why, steps) in reasons {
        if why.len() > MAX_REASON {
            return None;
        }
        let mut place = 0_usize;
        for step in steps {
            place = place.checked_add(*step)?;
            if failed.len() >= MAX_SCOPES {
                return None;
            }
            failed.push((place, why.to_string()));
        }
    }
    failed.sort_unstable();
    Some(failed)
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod oracle;

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
            so_far: vec![
                SoFar::default(),
                SoFar {
                    short_by: 21,
                    older_by: 900,
                    unsettled_by: Some(30),
                },
            ],
            failed: vec![
                (3, "UPSTREAM_ACCESS_DENIED".into()),
                (4, "UPSTREAM_UNAVAILABLE".into()),
                (900, "UPSTREAM_ACCESS_DENIED".into()),
            ],
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

    #[test]
    fn scopes_that_are_alike_take_no_room() {
        let mut many = token();
        many.so_far = vec![SoFar::default(); 5_000];
        many.failed = (0..5_000)
            .map(|place| (place, "UPSTREAM_ACCESS_DENIED".into()))
            .collect();
        let text = many.encode();
        assert!(text.len() < 8_000, "{}", text.len());
        assert_eq!(PageToken::decode(&text, &[7; 16]), Ok(many));
    }

    #[test]
    fn more_scopes_than_may_be_are_refused() {
        assert_eq!(apart(&[(1 << 40, 0, 0, None)]), None);
        assert_eq!(apart(&[(usize::MAX, 0, 0, None), (1, 0, 0, None)]), None);
        assert_eq!(by_place(&[("x".into(), vec![1; MAX_SCOPES + 1])]), None);
        assert_eq!(by_place(&[("x".into(), vec![usize::MAX, 1])]), None);
        // a copy for each scope would be many times the token
        assert_eq!(by_place(&[("x".repeat(65).into(), vec![1])]), None);
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
