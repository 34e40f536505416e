//! `NextToken`: a place in a walk, sealed together with the request that it
//! belongs to.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};

use super::history::Place;
use crate::{awsjson::LookupRequest, event::Scope};

/// What a token says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// The last event that was answered with.
    pub(super) after: Place,
    /// The first second of the walk, as its first page found it.
    pub(super) from: i64,
    /// When it was given out, in milliseconds since the Unix epoch.
    pub(super) issued_ms: i64,
    /// Which one it is: no two are alike.
    pub(super) serial: u64,
}

/// Seals tokens, and opens them again.
#[derive(Debug)]
pub(super) struct Sealer {
    secret: [u8; 32],
}

const PAYLOAD: usize = 40;
const SEAL: usize = 16;

impl Sealer {
    /// A sealer with a secret made from `seed`.
    pub(super) fn new(seed: u64) -> Self {
        let mut hasher = Sha256::new();
        hasher.update(b"trailgate simulator token\0");
        hasher.update(seed.to_be_bytes());
        Self {
            secret: hasher.finalize().into(),
        }
    }

    /// The token's text, good for this request in this scope alone.
    pub(super) fn seal(&self, token: &Token, scope: &Scope, request: &LookupRequest) -> String {
        let mut bytes = Vec::with_capacity(PAYLOAD + SEAL);
        bytes.extend(token.after.time.to_be_bytes());
        bytes.extend(token.after.tie.to_be_bytes());
        bytes.extend(token.from.to_be_bytes());
        bytes.extend(token.issued_ms.to_be_bytes());
        bytes.extend(token.serial.to_be_bytes());
        let seal = self.mark(&bytes, scope, request);
        bytes.extend(seal);
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// What a token says; `None` if it was not sealed here for this request.
    pub(super) fn open(&self, text: &str, scope: &Scope, request: &LookupRequest) -> Option<Token> {
        let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
        if bytes.len() != PAYLOAD + SEAL {
            return None;
        }
        let (payload, seal) = bytes.split_at_checked(PAYLOAD)?;
        if *seal != self.mark(payload, scope, request) {
            return None;
        }
        let mut words = payload
            .chunks_exact(8)
            .map(|word| word.try_into().map(u64::from_be_bytes));
        let mut next = || words.next()?.ok();
        Some(Token {
            after: Place {
                time: next()?.cast_signed(),
                tie: next()?,
            },
            from: next()?.cast_signed(),
            issued_ms: next()?.cast_signed(),
            serial: next()?,
        })
    }

    fn mark(&self, payload: &[u8], scope: &Scope, request: &LookupRequest) -> [u8; SEAL] {
        let LookupRequest {
            category,
            attribute,
            start_ms,
            end_ms,
            max_results,
            token: _,
        } = request;
        // Debug quotes strings, so that no two requests read the same
        let request =
            format!("{scope:?}{category:?}{attribute:?}{start_ms:?}{end_ms:?}{max_results}");
        let mut hasher = Sha256::new();
        hasher.update(self.secret);
        hasher.update(payload);
        hasher.update(request);
        let mut mark = [0; SEAL];
        for (to, from) in mark.iter_mut().zip(hasher.finalize()) {
            *to = from;
        }
        mark
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        awsjson::Several,
        event::{Attribute, AttributeKey, Category},
    };

    #[test]
    fn a_token_opens_only_what_it_was_sealed_for() {
        let sealer = Sealer::new(1);
        let scope = Scope::new("111122223333", "eu-west-1");
        let request =
            LookupRequest::parse(b"{\"StartTime\":5,\"EndTime\":9}", Several::Refuse).unwrap();
        let token = Token {
            after: Place {
                time: -7,
                tie: u64::MAX,
            },
            from: 5,
            issued_ms: 77,
            serial: 3,
        };
        let text = sealer.seal(&token, &scope, &request);
        let with_token = LookupRequest {
            token: Some(text.clone()),
            ..request.clone()
        };
        assert_eq!(sealer.open(&text, &scope, &with_token), Some(token));

        for changed in [
            LookupRequest {
                start_ms: None,
                ..request.clone()
            },
            LookupRequest {
                end_ms: Some(9001),
                ..request.clone()
            },
            LookupRequest {
                max_results: 49,
                ..request.clone()
            },
            LookupRequest {
                category: Category::Insight,
                ..request.clone()
            },
            LookupRequest {
                attribute: Some(Attribute::new(AttributeKey::EventName, "a")),
                ..request.clone()
            },
        ] {
            assert_eq!(sealer.open(&text, &scope, &changed), None);
        }
        let elsewhere = Scope::new("111122223333", "eu-west-2");
        assert_eq!(sealer.open(&text, &elsewhere, &request), None);
        assert_eq!(Sealer::new(2).open(&text, &scope, &request), None);
        for garbage in [
            "",
            "x",
            "%%%",
            text.strip_prefix(|_: char| true).unwrap(),
            &format!("{text}AAAA"),
        ] {
            assert_eq!(sealer.open(garbage, &scope, &request), None);
        }
    }
}
