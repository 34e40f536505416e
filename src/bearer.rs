//! Callers who are known by a bearer token: JSON Web Tokens (RFC 7519) of one
//! issuer, as `OpenID Connect` providers and Kubernetes sign them.

mod keys;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod oracle;
mod ring;
mod url;

use std::{
    collections::BTreeMap,
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use jsonwebtoken::{Validation, decode, decode_header, errors::ErrorKind};
use serde::Deserialize;
use serde_json::Value;

use self::{
    keys::{Found, Keys},
    url::Fetcher,
};
use crate::{
    clock::Clock,
    kept::{self, Error, Looks},
};

/// Seconds by which an issuer's clock and ours may differ.
const SKEW: f64 = 60.0;
/// The longest token, in bytes: half of what headers may have. Kubernetes' take one
/// kilobyte.
const MAX_TOKEN: usize = 8 * 1024;
/// The longest subject, in bytes: `OpenID Connect` allows 255 (Core, 2); SPIFFE ids
/// have more.
const MAX_SUBJECT: usize = 2048;

/// Whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Options {
    /// The issuer, as `iss` has it.
    pub issuer: String,
    /// The audiences of which `aud` must have one.
    pub audiences: Vec<String>,
    /// The issuer's keys: a JSON Web Key Set.
    pub keys: KeysAt,
}

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeysAt {
    /// In a file.
    File(PathBuf),
    /// Behind a URL.
    Url {
        /// By https, or on this machine.
        url: String,
        /// The file of the authorities of its certificate; `None`: those that this
        /// machine trusts.
        ca: Option<PathBuf>,
    },
}

/// Why a token is not taken, and what would be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// It is longer than 8 KiB.
    #[error("the token has {0} bytes; at most {MAX_TOKEN} are read")]
    TooLong(usize),
    /// It is no token.
    #[error("the bearer token is no JSON Web Token; send one as \"authorization: Bearer TOKEN\"")]
    Garbage,
    /// It is not signed, or in a way that is not taken.
    #[error(
        "the token is not signed by RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA"
    )]
    Algorithm,
    /// The issuer has no such key.
    #[error(
        "the token is signed by a key that this server does not have of its issuer; get another"
    )]
    UnknownKey,
    /// The signature is wrong.
    #[error("the token's signature is wrong; get another")]
    Signature,
    /// It is another issuer's.
    #[error("the token is of another issuer than {0:?}")]
    Issuer(String),
    /// It is for someone else.
    #[error("the token is not for this server; its audience must have {0}")]
    Audience(String),
    /// A claim is missing, or is not what it should be.
    #[error("the token's claim {0:?} is missing or cannot be used")]
    Claim(String),
    /// It is over.
    #[error("the token expired {0} s ago; get another")]
    Expired(u64),
    /// It does not hold yet.
    #[error("the token does not hold before {0} s from now; the issuer's clock may be fast")]
    NotYet(u64),
}

/// Who has a token. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bearer {
    subject: Arc<str>,
    /// Its other claims, whose values are texts or lists of them.
    claims: Arc<BTreeMap<String, Vec<String>>>,
}

impl Bearer {
    /// `sub`: whom the token is about.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// The values of a claim.
    #[must_use]
    pub fn claim(&self, name: &str) -> &[String] {
        self.claims.get(name).map_or(&[], Vec::as_slice)
    }

    #[cfg(any(test, feature = "fuzzing"))]
    pub(crate) fn new(subject: &str, claims: &[(&str, &[&str])]) -> Self {
        let claims = claims.iter().map(|(name, values)| {
            let values = values.iter().map(|&value| value.to_owned());
            ((*name).to_owned(), values.collect())
        });
        Self {
            subject: subject.into(),
            claims: Arc::new(claims.collect()),
        }
    }
}

/// Of any type, so that one that is not what it should be can be named.
#[derive(Deserialize)]
struct Claims {
    sub: Option<Value>,
    exp: Option<Value>,
    nbf: Option<Value>,
    #[serde(flatten)]
    others: BTreeMap<String, Value>,
}

/// Takes tokens. See the module.
#[derive(Debug)]
pub struct Tokens {
    options: Options,
    clock: Clock,
    keys: Mutex<Arc<Keys>>,
    /// Where they are not in a file.
    fetcher: Option<Fetcher>,
}

impl Tokens {
    /// Reads the keys; those behind a URL are [fetched](Tokens::fetch) later, and until
    /// then no token is taken.
    ///
    /// # Errors
    /// If they cannot be read, or none can be used.
    pub fn load(options: Options, clock: Clock) -> Result<Self, Error> {
        ring::install();
        let (keys, fetcher) = match &options.keys {
            KeysAt::File(path) => (Keys::read(path)?, None),
            KeysAt::Url { url, ca } => (Keys::none(), Some(Fetcher::new(url, ca.as_deref())?)),
        };
        Ok(Self {
            options,
            clock,
            keys: Mutex::new(Arc::new(keys)),
            fetcher,
        })
    }

    /// Keeps up with the keys, for ever: what cannot be used leaves what was in force.
    pub async fn keep(&self, looks: Looks) {
        let is_new = "new keys of tokens are in force";
        let is_old = "the keys of tokens stay as they were";
        match &self.options.keys {
            KeysAt::File(path) => {
                let reload = || Ok(self.replace(Keys::read(path)?));
                kept::keep(looks, "keys", is_new, is_old, reload).await;
            }
            KeysAt::Url { .. } => {
                let fetch = |is_told| self.fetch(is_told);
                kept::keep_up(looks, "keys", is_new, is_old, fetch).await;
            }
        }
    }

    /// Fetches keys that are behind a URL, if they are due or it `must` be; whether
    /// they are others.
    ///
    /// # Errors
    /// If the issuer did not answer with keys that can be used when it was asked last.
    pub async fn fetch(&self, must: bool) -> Result<bool, Error> {
        let Some(fetcher) = &self.fetcher else {
            return Ok(false);
        };
        let keys = fetcher.fetch(must).await?;
        Ok(keys.is_some_and(|keys| self.replace(keys)))
    }

    /// Has keys in force; whether they are others.
    fn replace(&self, keys: Keys) -> bool {
        let is_new = !keys.is_as(&self.keys());
        if is_new {
            *self.keys.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        }
        is_new
    }

    fn keys(&self) -> Arc<Keys> {
        Arc::clone(&self.keys.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Who has this token: what stands behind `Bearer ` in the header.
    ///
    /// # Errors
    /// If it is not taken.
    pub fn bearer(&self, token: &str) -> Result<Bearer, Refused> {
        if token.len() > MAX_TOKEN {
            return Err(Refused::TooLong(token.len()));
        }
        let header = decode_header(token).map_err(|error| match error.kind() {
            // "none" is no name of one
            ErrorKind::Json(_) if token.matches('.').count() == 2 => Refused::Algorithm,
            _ => Refused::Garbage,
        })?;
        let keys = self.keys();
        let key = match keys.find(header.kid.as_deref(), header.alg) {
            Found::Key(key) => key,
            Found::NotTaken => return Err(Refused::Algorithm),
            Found::None => {
                if let Some(fetcher) = &self.fetcher {
                    fetcher.want();
                }
                return Err(Refused::UnknownKey);
            }
        };
        let mut validation = Validation::new(header.alg);
        validation.set_issuer(&[&self.options.issuer]);
        validation.set_audience(&self.options.audiences);
        validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
        // by our own clock
        validation.validate_exp = false;
        let decoded = decode::<Claims>(token, key, &validation);
        let claims = decoded.map_err(|error| self.refused(error.kind()))?.claims;
        self.check_times(&claims)?;
        let subject = match claims.sub {
            Some(Value::String(subject)) if (1..=MAX_SUBJECT).contains(&subject.len()) => subject,
            _ => return Err(Refused::Claim("sub".to_owned())),
        };
        let others = claims.others.into_iter();
        let texts = others.filter_map(|(name, value)| Some((name, texts(value)?)));
        Ok(Bearer {
            subject: subject.into(),
            claims: Arc::new(texts.collect()),
        })
    }

    fn check_times(&self, claims: &Claims) -> Result<(), Refused> {
        let now = self.clock.now().as_duration().as_secs_f64();
        let whole = |seconds: f64| Duration::try_from_secs_f64(seconds).unwrap_or_default();
        let time = |name: &str, claim: &Option<Value>| {
            let time = claim.as_ref().map(Value::as_f64);
            // a claim that is none of these cannot be used
            time.map(|time| time.ok_or_else(|| Refused::Claim(name.to_owned())))
                .transpose()
        };
        let Some(end) = time("exp", &claims.exp)? else {
            return Err(Refused::Claim("exp".to_owned()));
        };
        let over = now - end;
        // what is no number of seconds is over
        if over.is_nan() || over > SKEW {
            return Err(Refused::Expired(whole(over).as_secs()));
        }
        match time("nbf", &claims.nbf)?.map(|nbf| nbf - now) {
            Some(wait) if wait.is_nan() || wait > SKEW => {
                Err(Refused::NotYet(whole(wait).as_secs()))
            }
            _ => Ok(()),
        }
    }

    fn refused(&self, kind: &ErrorKind) -> Refused {
        match kind {
            ErrorKind::InvalidSignature => Refused::Signature,
            ErrorKind::InvalidIssuer => Refused::Issuer(self.options.issuer.clone()),
            ErrorKind::InvalidAudience => {
                let names = self.options.audiences.iter();
                let mut all: Vec<_> = names.map(|name| format!("{name:?}")).collect();
                all.sort();
                all.dedup();
                Refused::Audience(all.join(" or "))
            }
            ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm => Refused::Algorithm,
            ErrorKind::MissingRequiredClaim(name) | ErrorKind::InvalidClaimFormat(name) => {
                Refused::Claim(name.clone())
            }
            _ => Refused::Garbage,
        }
    }
}

/// The texts of a claim; `None`: it has none.
fn texts(value: Value) -> Option<Vec<String>> {
    match value {
        Value::String(text) => Some(vec![text]),
        Value::Array(values) => {
            let texts = values.into_iter().filter_map(|value| match value {
                Value::String(text) => Some(text),
                _ => None,
            });
            Some(texts.collect())
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests;
