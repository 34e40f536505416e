//! An issuer's keys behind a URL.

use std::{
    path::Path,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use reqwest::{Certificate, Client, Url, redirect::Policy};
use tokio::time::Instant;

use super::keys::{Keys, SETTING};
use crate::kept::{Error, MAX, Named};

/// How often keys are fetched: issuers publish a key some time before they sign by it.
const EVERY: Duration = Duration::from_secs(300);
/// How soon they are fetched again where a token is signed by a key that is not there:
/// whoever sends such tokens has the issuer asked no oftener.
const AGAIN: Duration = Duration::from_secs(30);
/// The longest that an answer may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// See the module.
#[derive(Debug)]
pub(super) struct Fetcher {
    client: Client,
    url: Url,
    /// A token was signed by a key that is not there.
    is_wanted: AtomicBool,
    /// When they were fetched.
    fetched: Mutex<Option<Instant>>,
}

/// Whether keys of an issuer may come from there: nobody between can change them.
pub(super) fn check(url: &str) -> Result<Url, String> {
    let url: Url = url.parse().map_err(|error| format!("no URL: {error}"))?;
    let is_here = matches!(url.host_str(), Some("localhost" | "127.0.0.1" | "[::1]"));
    if !url.username().is_empty() || url.password().is_some() {
        return Err(
            "it has a user or a password, which logs would have; give it without".to_owned(),
        );
    }
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_here => Ok(url),
        _ => Err("anybody between could change the keys; give an https URL, or a file".to_owned()),
    }
}

impl Fetcher {
    /// Asks nobody yet. `ca`: the authorities of the issuer's certificate, where it is
    /// none that this machine trusts.
    pub(super) fn new(url: &str, ca: Option<&Path>) -> Result<Self, Error> {
        // a password is nobody's to read
        let shown = if url.contains('@') {
            "https://...@..."
        } else {
            url
        };
        let url_error = |what: String| named(shown).error(what);
        let mut builder = Client::builder()
            .user_agent(concat!("trailgate/", env!("CARGO_PKG_VERSION")))
            .timeout(PATIENCE)
            // it would be another's to say who is taken
            .redirect(Policy::none());
        let url = check(url).map_err(url_error)?;
        if url.scheme() == "http" {
            // this machine, and not a proxy's
            builder = builder.no_proxy();
        }
        if let Some(path) = ca {
            let file = Named {
                setting: "--jwt-keys-ca",
                path,
            };
            let certificates = Certificate::from_pem_bundle(&file.bytes()?)
                .map_err(|error| file.error(format!("no certificates in PEM: {error}")))?;
            if certificates.is_empty() {
                return Err(file.error("no certificate; give one or more in PEM"));
            }
            builder = builder.tls_built_in_root_certs(false);
            for certificate in certificates {
                builder = builder.add_root_certificate(certificate);
            }
        }
        Ok(Self {
            client: builder
                .build()
                .map_err(|error| named(url.as_str()).error(said(&error)))?,
            url,
            is_wanted: AtomicBool::new(false),
            fetched: Mutex::default(),
        })
    }

    /// Notes that a token was signed by a key that is not there.
    pub(super) fn want(&self) {
        self.is_wanted.store(true, Relaxed);
    }

    /// Whether they are to be fetched, or fetched again.
    pub(super) fn is_due(&self) -> bool {
        self.fetched().is_none_or(|fetched| {
            let age = fetched.elapsed();
            age >= EVERY || (age >= AGAIN && self.is_wanted.load(Relaxed))
        })
    }

    /// Fetches them.
    ///
    /// # Errors
    /// If the issuer does not answer with keys that can be used.
    pub(super) async fn fetch(&self) -> Result<Keys, Error> {
        self.is_wanted.store(false, Relaxed);
        let file = named(self.url.as_str());
        let failed = |error: reqwest::Error| file.error(said(&error));
        let mut answer = self
            .client
            .get(self.url.clone())
            .send()
            .await
            .map_err(failed)?;
        let status = answer.status();
        if !status.is_success() {
            return Err(file.error(format!("answered with status {status}")));
        }
        let mut text = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            text.extend_from_slice(&chunk);
            if u64::try_from(text.len()).is_ok_and(|len| len > MAX) {
                return Err(file.error(format!("more than {MAX} bytes")));
            }
        }
        let text = String::from_utf8(text).map_err(|error| file.error(error.to_string()))?;
        let keys = Keys::parse(text, file)?;
        *self.fetched() = Some(Instant::now());
        Ok(keys)
    }

    fn fetched(&self) -> MutexGuard<'_, Option<Instant>> {
        // an instant is right after a panic elsewhere, too
        self.fetched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn named(url: &str) -> Named<'_> {
    Named {
        setting: SETTING,
        path: Path::new(url),
    }
}

/// What went wrong, down to its cause; the URL is said beside it.
fn said(error: &reqwest::Error) -> String {
    let mut text = match error.is_timeout() {
        true => format!("no answer within {PATIENCE:?}"),
        false => "cannot be fetched".to_owned(),
    };
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_come_from_where_nobody_can_change_them() {
        for good in [
            "https://issuer.example.org/keys",
            "http://127.0.0.1:1/keys",
            "http://localhost/keys",
            "http://[::1]:1/keys",
        ] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in [
            "http://issuer.example.org/keys",
            "http://127.0.0.1.example.org/",
            "ftp://localhost/keys",
            "https://",
            "http://[::2]/",
            "https://user:secret@issuer.example.org/",
        ] {
            assert!(check(bad).is_err(), "{bad}");
        }
        let error = Fetcher::new("http://a.example.org", None).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("--jwt-keys http://a.example.org: anybody")
        );
        let file = tempfile::NamedTempFile::new().unwrap();
        let error = Fetcher::new("https://a.example.org", Some(file.path())).unwrap_err();
        assert!(error.to_string().contains("--jwt-keys-ca") && error.to_string().contains("PEM"));
    }

    #[tokio::test(start_paused = true)]
    async fn they_are_fetched_now_and_then_and_sooner_if_one_is_missing() {
        let fetcher = Fetcher::new("http://127.0.0.1:1/keys", None).unwrap();
        assert!(fetcher.is_due());
        *fetcher.fetched() = Some(Instant::now());
        fetcher.want();
        tokio::time::advance(AGAIN - Duration::from_secs(1)).await;
        assert!(!fetcher.is_due());
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(fetcher.is_due());
        fetcher.is_wanted.store(false, Relaxed);
        assert!(!fetcher.is_due());
        tokio::time::advance(EVERY).await;
        assert!(fetcher.is_due());
    }
}
