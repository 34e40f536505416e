//! What must be true of every token, whoever signed it.

#![allow(
    clippy::cast_precision_loss,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "it is a test"
)]

use std::{
    path::Path,
    sync::{Arc, LazyLock, Mutex},
};

use ::ring::signature::{Ed25519KeyPair, KeyPair as _};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

use super::{Bearer, Keys, KeysAt, MAX_SUBJECT, Options, Refused, SKEW, Tokens, ring};
use crate::{clock::Clock, kept::Named};

const NOW: i64 = 1_767_323_045;
const ISSUER: &str = "https://issuer.example.org";
const AUDIENCE: &str = "trailgate";
/// The longest that a refusal may be: it is told in a header.
const MAX_MESSAGE: usize = 1024;

/// The issuer. Its key is always the same, so that what fails once does again.
static SIGNER: LazyLock<Ed25519KeyPair> =
    LazyLock::new(|| Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap());

fn file() -> Named<'static> {
    Named {
        setting: "--jwt-keys",
        path: Path::new("keys.json"),
    }
}

static TOKENS: LazyLock<Tokens> = LazyLock::new(|| {
    ring::install();
    let x = URL_SAFE_NO_PAD.encode(SIGNER.public_key());
    let keys = json!({"keys": [{"kty": "OKP", "crv": "Ed25519", "kid": "1", "x": x}]});
    Tokens {
        options: Options {
            issuer: ISSUER.to_owned(),
            audiences: vec![AUDIENCE.to_owned()],
            keys: KeysAt::File(file().path.to_owned()),
        },
        clock: Clock::at(jiff::Timestamp::from_second(NOW).unwrap()),
        keys: Mutex::new(Arc::new(Keys::parse(keys.to_string(), file()).unwrap())),
        fetcher: None,
    }
});

/// Who has a token, and checks what is said where it is not taken.
fn bearer(token: &str) -> Result<Bearer, Refused> {
    let bearer = TOKENS.bearer(token);
    if let Err(error) = &bearer {
        let text = error.to_string();
        assert!(text.len() <= MAX_MESSAGE, "{text}");
        assert!(!text.contains(char::is_control), "{text}");
    }
    bearer
}

/// Checks that what the issuer did not sign is not taken.
pub(crate) fn check_unsigned(token: &str) {
    assert!(bearer(token).is_err(), "{token}");
}

/// Checks that what the issuer signed is taken only if its claims hold.
pub(crate) fn check_signed(header: &[u8], claims: &[u8]) {
    let encode = |part| URL_SAFE_NO_PAD.encode(part);
    let text = format!("{}.{}", encode(header), encode(claims));
    let signature = SIGNER.sign(text.as_bytes());
    let Ok(bearer) = bearer(&format!("{text}.{}", encode(signature.as_ref()))) else {
        return;
    };
    let header: Value = serde_json::from_slice(header).unwrap();
    assert_eq!(header["alg"], "EdDSA");
    let id = &header["kid"];
    assert!(id.is_null() || id == "1", "{id}");
    let claims: Value = serde_json::from_slice(claims).unwrap();
    let has = |name: &str, value: &str| match &claims[name] {
        Value::Array(values) => values.iter().any(|each| each == value),
        one => one == value,
    };
    assert!(has("iss", ISSUER) && has("aud", AUDIENCE), "{claims}");
    let near = |name: &str| claims[name].as_f64().map(|time| time - NOW as f64);
    // the clock goes on
    assert!(
        near("exp").is_some_and(|left| left > -SKEW - 600.0),
        "{claims}"
    );
    assert!(
        near("nbf").is_none_or(|wait| wait < SKEW + 3600.0),
        "{claims}"
    );
    assert_eq!(claims["sub"], bearer.subject());
    assert!((1..=MAX_SUBJECT).contains(&bearer.subject().len()));
}

/// Checks that keys are read, or refused in one line.
pub(crate) fn check_keys(text: &str) {
    if let Err(error) = Keys::parse(text.to_owned(), file()) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}
