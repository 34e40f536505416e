//! An issuer's public keys.

use std::path::Path;

use jsonwebtoken::{
    Algorithm::{self, ES256, ES384, EdDSA, PS256, PS384, PS512, RS256, RS384, RS512},
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};

use crate::kept::{Error, Named};

/// What names them.
pub(super) const SETTING: &str = "--jwt-keys";

/// The most keys: issuers have a handful, while they change them.
const MAX_KEYS: usize = 100;

/// A key, and the algorithms that it is for.
#[derive(Debug)]
struct Key {
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    key: DecodingKey,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Keys {
    text: String,
    keys: Vec<Key>,
}

/// What was found for a token.
pub(super) enum Found<'a> {
    Key(&'a DecodingKey),
    /// No key is there.
    None,
    /// The algorithm is not one that is taken.
    NotTaken,
}

impl Keys {
    /// Reads a JSON Web Key Set (RFC 7517, 5). Keys of other kinds, for other uses
    /// and of algorithms that are not taken are left out.
    ///
    /// # Errors
    /// If it is none, or no key is left.
    pub(super) fn read(path: &Path) -> Result<Self, Error> {
        let file = Named {
            setting: SETTING,
            path,
        };
        Self::parse(file.text()?, file)
    }

    /// As [`Keys::read`], of a text that stands in `file`.
    pub(super) fn parse(text: String, file: Named<'_>) -> Result<Self, Error> {
        let set: JwkSet = serde_json::from_str(&text)
            .map_err(|e| file.error(format!("no JSON Web Key Set: {e}")))?;
        let count = set.keys.len();
        if count > MAX_KEYS {
            return Err(file.error(format!("{count} keys; at most {MAX_KEYS}")));
        }
        let keys: Vec<_> = set.keys.iter().filter_map(key).collect();
        if keys.is_empty() {
            let what = format!(
                "none of its {count} keys can be used; give public RSA, P-256, P-384 or Ed25519 \
                 keys for signatures"
            );
            return Err(file.error(what));
        }
        Ok(Self { text, keys })
    }

    /// None yet.
    pub(super) fn none() -> Self {
        Self {
            text: String::new(),
            keys: Vec::new(),
        }
    }

    /// Whether both were read from the same text.
    pub(super) fn is_as(&self, other: &Self) -> bool {
        self.text == other.text
    }

    /// The key with this id; where a token has none, the only one for its algorithm.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Found<'_> {
        if !TAKEN.contains(&algorithm) {
            return Found::NotTaken;
        }
        let mut fit = self.keys.iter().filter(|key| {
            let is_it = id.is_none() || key.id.as_deref() == id;
            is_it && key.algorithms.contains(&algorithm)
        });
        match (fit.next(), fit.next()) {
            (Some(key), None) => Found::Key(&key.key),
            // two with one id are no better than none
            _ => Found::None,
        }
    }
}

/// Algorithms with a public key: a shared secret would let this server sign.
const TAKEN: [Algorithm; 9] = [
    RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA,
];

fn key(jwk: &Jwk) -> Option<Key> {
    let of_kind: &[Algorithm] = match &jwk.algorithm {
        AlgorithmParameters::RSA(_) => &[RS256, RS384, RS512, PS256, PS384, PS512],
        AlgorithmParameters::EllipticCurve(curve) => match curve.curve {
            EllipticCurve::P256 => &[ES256],
            EllipticCurve::P384 => &[ES384],
            _ => &[],
        },
        AlgorithmParameters::OctetKeyPair(pair) if pair.curve == EllipticCurve::Ed25519 => &[EdDSA],
        _ => &[],
    };
    let is_for_signatures = match &jwk.common.public_key_use {
        None | Some(PublicKeyUse::Signature) => true,
        Some(_) => false,
    };
    let named = jwk.common.key_algorithm.map(|name| name.to_string());
    let algorithms: Vec<_> = of_kind
        .iter()
        .filter(|of| named.as_ref().is_none_or(|name| *name == format!("{of:?}")))
        .copied()
        .collect();
    if algorithms.is_empty() || !is_for_signatures {
        return None;
    }
    Some(Key {
        id: jwk.common.key_id.clone(),
        algorithms,
        key: DecodingKey::from_jwk(jwk).ok()?,
    })
}
