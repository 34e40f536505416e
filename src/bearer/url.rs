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
/// How soon they are fetched again where a token is signed by a key that is not there,
/// or the issuer failed: whoever sends such tokens has it asked no oftener.
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
    last: Mutex<Option<Last>>,
}

/// The last time that the issuer was asked.
#[derive(Clone, Debug)]
struct Last {
    at: Instant,
    /// Why there was no answer that could be used.
    failed: Option<Error>,
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
            last: Mutex::default(),
        })
    }

    /// Notes that a token was signed by a key that is not there.
    pub(super) fn want(&self) {
        self.is_wanted.store(true, Relaxed);
    }

    /// Whether they are to be fetched, or fetched again.
    fn is_due(&self, last: &Last) -> bool {
        let is_soon = last.failed.is_some() || self.is_wanted.load(Relaxed);
        last.at.elapsed() >= if is_soon { AGAIN } else { EVERY }
    }

    /// Fetches them, if they are due or it `must` be; `None`: they are not.
    ///
    /// # Errors
    /// If the issuer did not answer with keys that can be used when it was asked last.
    pub(super) async fn fetch(&self, must: bool) -> Result<Option<Keys>, Error> {
        let last = self.last().clone();
        if let Some(last) = last
            && !must
            && !self.is_due(&last)
        {
            return last.failed.map_or(Ok(None), Err);
        }
        // what comes meanwhile may want one that is not in the answer
        self.is_wanted.store(false, Relaxed);
        let keys = self.ask().await;
        *self.last() = Some(Last {
            at: Instant::now(),
            failed: keys.as_ref().err().cloned(),
        });
        keys.map(Some)
    }

    async fn ask(&self) -> Result<Keys, Error> {
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
        Keys::parse(text, file)
    }

    fn last(&self) -> MutexGuard<'_, Option<Last>> {
        // it is set whole, and right after a panic elsewhere
        self.last.lock().unwrap_or_else(PoisonError::into_inner)
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
        let mut last = Last {
            at: Instant::now(),
            failed: None,
        };
        fetcher.want();
        tokio::time::advance(AGAIN - Duration::from_secs(1)).await;
        assert!(!fetcher.is_due(&last));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(fetcher.is_due(&last));
        fetcher.is_wanted.store(false, Relaxed);
        assert!(!fetcher.is_due(&last));
        last.failed = Some(named("file").error("no answer"));
        assert!(fetcher.is_due(&last));
        last.failed = None;
        tokio::time::advance(EVERY).await;
        assert!(fetcher.is_due(&last));
    }

    #[tokio::test(start_paused = true)]
    async fn an_issuer_that_failed_is_left_alone_and_stays_said() {
        let fetcher = Fetcher::new("http://127.0.0.1:1/keys", None).unwrap();
        let said = named("file").error("no answer");
        *fetcher.last() = Some(Last {
            at: Instant::now(),
            failed: Some(said.clone()),
        });
        fetcher.want();
        assert_eq!(fetcher.fetch(false).await.err(), Some(said.clone()));
        // asked now, it says something else
        assert_ne!(fetcher.fetch(true).await.err(), Some(said));
    }
}
