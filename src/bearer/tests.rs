use ::ring::{
    rand::SystemRandom,
    signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _},
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::json;

use super::*;

const NOW: i64 = 1_767_323_045;

/// Someone who signs.
enum Signer {
    P256(EcdsaKeyPair),
    Ed25519(Ed25519KeyPair),
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Signer {
    fn p256() -> Self {
        let random = SystemRandom::new();
        let of = &ECDSA_P256_SHA256_FIXED_SIGNING;
        let pkcs8 = EcdsaKeyPair::generate_pkcs8(of, &random).unwrap();
        Self::P256(EcdsaKeyPair::from_pkcs8(of, pkcs8.as_ref(), &random).unwrap())
    }

    fn ed25519() -> Self {
        let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
        Self::Ed25519(Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap())
    }

    fn jwk(&self, id: &str) -> Value {
        match self {
            Self::P256(pair) => {
                let (x, y) = pair.public_key().as_ref()[1..].split_at(32);
                json!({"kty": "EC", "crv": "P-256", "kid": id, "x": b64(x), "y": b64(y)})
            }
            Self::Ed25519(pair) => {
                let x = b64(pair.public_key());
                json!({"kty": "OKP", "crv": "Ed25519", "kid": id, "use": "sig", "x": x})
            }
        }
    }

    fn sign(&self, header: &Value, claims: &Value) -> String {
        let text = format!("{}.{}", b64(header.to_string()), b64(claims.to_string()));
        let signature = match self {
            Self::P256(pair) => {
                let signed = pair.sign(&SystemRandom::new(), text.as_bytes());
                b64(signed.unwrap())
            }
            Self::Ed25519(pair) => b64(pair.sign(text.as_bytes())),
        };
        format!("{text}.{signature}")
    }
}

fn clock() -> Clock {
    Clock::at(jiff::Timestamp::from_second(NOW).unwrap())
}

fn write(path: &std::path::Path, keys: &[Value]) {
    std::fs::write(path, json!({"keys": keys}).to_string()).unwrap();
}

fn options(path: &std::path::Path) -> Options {
    Options {
        issuer: "https://issuer.example.org".into(),
        audiences: vec!["trailgate".into(), "other".into()],
        keys: KeysAt::File(path.to_owned()),
    }
}

fn claims() -> Value {
    json!({
        "iss": "https://issuer.example.org", "aud": ["x", "trailgate"], "sub": "alerts",
        "exp": NOW + 300, "nbf": NOW - 10, "groups": ["security", "ops", 7], "team": "blue",
        "email_verified": true,
    })
}

fn with(name: &str, value: Value) -> Value {
    let mut claims = claims();
    match value {
        Value::Null => claims.as_object_mut().unwrap().remove(name),
        value => claims.as_object_mut().unwrap().insert(name.into(), value),
    };
    claims
}

#[tokio::test]
async fn who_has_a_token_is_whom_its_issuer_says() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let (one, two) = (Signer::p256(), Signer::ed25519());
    write(
        &path,
        &[
            one.jwk("1"),
            two.jwk("2"),
            json!({"kty": "new", "kid": "3"}),
        ],
    );
    let tokens = Tokens::load(options(&path), clock()).unwrap();
    for (signer, header) in [
        (&one, json!({"alg": "ES256", "kid": "1"})),
        (&two, json!({"alg": "EdDSA", "kid": "2", "typ": "JWT"})),
        // the only key for its algorithm
        (&two, json!({"alg": "EdDSA"})),
    ] {
        let bearer = tokens.bearer(&signer.sign(&header, &claims())).unwrap();
        let expected = Bearer::new(
            "alerts",
            &[("groups", &["security", "ops"]), ("team", &["blue"])],
        );
        assert_eq!(bearer.subject(), "alerts");
        assert_eq!(bearer.claim("groups"), expected.claim("groups"));
        assert_eq!(bearer.claim("team"), expected.claim("team"));
        assert!(bearer.claim("email_verified").is_empty());
    }
    let header = json!({"alg": "ES256", "kid": "1"});
    // clocks may differ by a minute
    for claims in [
        with("exp", (NOW - 59).into()),
        with("nbf", (NOW + 59).into()),
        with("nbf", Value::Null),
    ] {
        assert!(tokens.bearer(&one.sign(&header, &claims)).is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_not_taken_is_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let (one, two, other) = (Signer::p256(), Signer::p256(), Signer::p256());
    let mut for_encryption = other.jwk("3");
    for_encryption["use"] = "enc".into();
    let secret = json!({"kty": "oct", "kid": "4", "k": b64("secret"), "alg": "HS256"});
    write(&path, &[one.jwk("1"), two.jwk("2"), for_encryption, secret]);
    let tokens = Tokens::load(options(&path), clock()).unwrap();
    let header = json!({"alg": "ES256", "kid": "1"});
    let refused = |token: &str| tokens.bearer(token).unwrap_err();
    let claim = |name: &str, value: Value| refused(&one.sign(&header, &with(name, value)));
    assert_eq!(claim("exp", (NOW - 100).into()), Refused::Expired(100));
    assert_eq!(claim("nbf", (NOW + 100).into()), Refused::NotYet(100));
    assert_eq!(
        claim("iss", "https://other".into()),
        Refused::Issuer("https://issuer.example.org".into())
    );
    assert!(matches!(claim("aud", "x".into()), Refused::Audience(_)));
    for name in ["iss", "aud", "exp", "sub"] {
        assert_eq!(claim(name, Value::Null), Refused::Claim(name.into()));
    }
    for (name, value) in [
        ("exp", json!("2026-01-02")),
        ("exp", json!(NOW.to_string())),
        ("nbf", json!("now")),
        ("sub", json!(7)),
        ("sub", json!("")),
    ] {
        assert_eq!(claim(name, value), Refused::Claim(name.into()));
    }
    let by = |signer: &Signer, header: Value| refused(&signer.sign(&header, &claims()));
    // another's key under a known name, and keys that are none of these
    assert_eq!(by(&two, header.clone()), Refused::Signature);
    assert_eq!(
        by(&other, json!({"alg": "ES256", "kid": "3"})),
        Refused::UnknownKey
    );
    assert_eq!(
        by(&one, json!({"alg": "ES256", "kid": "9"})),
        Refused::UnknownKey
    );
    assert_eq!(
        by(&one, json!({"alg": "ES256"})),
        Refused::UnknownKey,
        "one of two"
    );
    assert_eq!(
        by(&one, json!({"alg": "RS256", "kid": "1"})),
        Refused::UnknownKey
    );
    // no signature, and one by a secret
    for alg in ["none", "None", "HS256", "HS512"] {
        assert_eq!(
            by(&one, json!({"alg": alg, "kid": "4"})),
            Refused::Algorithm,
            "{alg}"
        );
    }
    let unsigned = format!(
        "{}.{}.",
        b64(r#"{"alg":"none"}"#),
        b64(claims().to_string())
    );
    assert_eq!(refused(&unsigned), Refused::Algorithm);
    let token = one.sign(&header, &claims());
    let (text, _) = token.rsplit_once('.').unwrap();
    assert_eq!(refused(&format!("{text}.")), Refused::Signature);
    let (head, rest) = token.split_once('.').unwrap();
    let (_, signature) = rest.rsplit_once('.').unwrap();
    let forged = b64(with("sub", "root".into()).to_string());
    assert_eq!(
        refused(&format!("{head}.{forged}.{signature}")),
        Refused::Signature
    );
    for garbage in ["", ".", "..", "a.b", "a.b.c", "a.b.c.d", "\u{1F600}.x.y"] {
        let error = refused(garbage);
        assert!(
            matches!(error, Refused::Garbage | Refused::Algorithm),
            "{garbage}: {error}"
        );
    }
    assert_eq!(
        refused(&"a".repeat(MAX_TOKEN + 1)),
        Refused::TooLong(MAX_TOKEN + 1)
    );
    // nothing of a token is in what is said of it
    for error in [refused(&unsigned), by(&two, header.clone())] {
        assert!(!error.to_string().contains("alerts"));
    }
}

#[tokio::test(start_paused = true)]
async fn new_keys_are_in_force_once_they_can_be_used() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let (one, two) = (Signer::p256(), Signer::p256());
    write(&path, &[one.jwk("1")]);
    let tokens = Arc::new(Tokens::load(options(&path), clock()).unwrap());
    let keep = Arc::clone(&tokens);
    let task = tokio::spawn(async move { keep.keep(Looks::default()).await });
    let by = |signer: &Signer, id: &str| {
        let header = json!({"alg": "ES256", "kid": id});
        tokens.bearer(&signer.sign(&header, &claims())).map(|_| ())
    };
    assert_eq!(by(&one, "1"), Ok(()));
    std::fs::write(&path, "none").unwrap();
    tokio::time::sleep(kept::LOOK * 2).await;
    assert_eq!(by(&one, "1"), Ok(()));
    write(&path, &[one.jwk("1"), two.jwk("2")]);
    tokio::time::sleep(kept::LOOK * 2).await;
    assert_eq!((by(&one, "1"), by(&two, "2")), (Ok(()), Ok(())));
    write(&path, &[two.jwk("2")]);
    tokio::time::sleep(kept::LOOK * 2).await;
    assert_eq!(by(&one, "1"), Err(Refused::UnknownKey));
    task.abort();
}

#[test]
fn files_without_keys_are_refused_with_what_would_do() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("keys.json");
    let refused = || {
        Tokens::load(options(&path), clock())
            .unwrap_err()
            .to_string()
    };
    assert!(refused().contains("--jwt-keys"));
    for (text, part) in [
        ("", "JSON Web Key Set"),
        ("{}", "keys"),
        (r#"{"keys": []}"#, "none of its 0 keys"),
        (
            r#"{"keys": [{"kty": "oct", "k": "AAAA"}]}"#,
            "none of its 1 keys",
        ),
    ] {
        std::fs::write(&path, text).unwrap();
        let message = refused();
        assert!(
            message.contains(part) && message.contains("keys.json"),
            "{text}: {message}"
        );
    }
}
