//! The files that say who may call: certificates, keys of tokens, key pairs and the
//! policy.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use tokio_util::sync::CancellationToken;

use crate::{
    bearer::Tokens,
    clock::Clock,
    config::Config,
    kept::{self, Looks, Named},
    policy::{Access, Known, Policy},
    sigv4::Keys,
    tls::Tls,
};

/// What was read of them.
pub(super) struct Files {
    pub(super) tls: Option<Arc<Tls>>,
    pub(super) access: Arc<Access>,
    /// Those of AWS's clients.
    pub(super) keys: Option<Arc<Keys>>,
    tokens: Option<Arc<Tokens>>,
    policy: Option<PolicyFile>,
    /// What can be used, and is hardly meant.
    pub(super) doubts: Vec<String>,
}

impl Files {
    /// Reads those that are named.
    ///
    /// # Errors
    /// If one cannot be used.
    pub(super) fn load(config: &Config, clock: Clock) -> Result<Self, kept::Error> {
        let tls = config.tls.clone().map(Tls::load).transpose()?.map(Arc::new);
        let asks_who = tls.as_ref().is_some_and(|tls| tls.asks_who());
        let console = config.console.as_ref();
        let known = Known {
            by_certificate: asks_who,
            by_token: config.jwt.is_some(),
            by_key: config.aws_keys.is_some(),
            by_proxy: console.is_some_and(|console| console.proxy.is_some()),
        };
        let policy = config.policy.clone();
        let policy = policy
            .map(|path| PolicyFile::open(path, known))
            .transpose()?;
        let mut doubts = Vec::from_iter(tls.as_ref().and_then(|tls| tls.doubt()));
        if let Some((file, policy)) = &policy {
            doubts.extend(file.doubts(policy));
        }
        let (file, policy) = policy.unzip();
        let tokens = config.jwt.clone();
        let tokens = tokens.map(|options| Tokens::load(options, clock));
        let tokens = tokens.transpose()?.map(Arc::new);
        let keys = config.aws_keys.clone().map(Keys::load).transpose()?;
        Ok(Self {
            keys: keys.map(Arc::new),
            access: Arc::new(Access::new(asks_who, tokens.clone(), policy)),
            tls,
            tokens,
            policy: file,
            doubts,
        })
    }

    /// Fetches what is not in a file. What cannot be fetched now is later.
    pub(super) async fn fetch(&self) {
        if let Some(tokens) = &self.tokens
            && let Err(error) = tokens.fetch(false).await
        {
            tracing::error!(%error, "no token is taken until there are keys");
        }
    }

    /// Keeps up with them until `stop`.
    pub(super) fn keep(self, looks: &Looks, stop: &CancellationToken) {
        if let Some(tls) = self.tls {
            let looks = looks.clone();
            let keep = async move { tls.keep(looks).await };
            tokio::spawn(stop.clone().run_until_cancelled_owned(keep));
        }
        if let Some(tokens) = self.tokens {
            let looks = looks.clone();
            let keep = async move { tokens.keep(looks).await };
            tokio::spawn(stop.clone().run_until_cancelled_owned(keep));
        }
        if let Some(keys) = self.keys {
            let looks = looks.clone();
            let keep = async move { keys.keep(looks).await };
            tokio::spawn(stop.clone().run_until_cancelled_owned(keep));
        }
        if let Some(file) = self.policy {
            let keep = file.keep(looks.clone(), self.access);
            tokio::spawn(stop.clone().run_until_cancelled_owned(keep));
        }
    }
}

/// Rules for nobody that are told of one policy: more say nothing new.
const DOUBTS_TOLD: usize = 10;

/// A policy's file, and the last text of it that was a policy.
struct PolicyFile {
    path: PathBuf,
    known: Known,
    last: String,
}

impl PolicyFile {
    fn open(path: PathBuf, known: Known) -> Result<(Self, Policy), kept::Error> {
        let last = named(&path).text()?;
        let policy = parse(&path, &last)?;
        Ok((Self { path, known, last }, policy))
    }

    /// What of the policy can hardly be meant.
    fn doubts(&self, policy: &Policy) -> Vec<String> {
        let doubts = policy.doubts(self.known).into_iter();
        let told = doubts.take(DOUBTS_TOLD);
        told.map(|what| named(&self.path).error(what).to_string())
            .collect()
    }

    async fn keep(mut self, looks: Looks, access: Arc<Access>) {
        let (is_new, is_old) = ("a new policy is in force", "the policy stays as it was");
        kept::keep(looks, "policy", is_new, is_old, || self.reload(&access)).await;
    }

    fn reload(&mut self, access: &Access) -> Result<bool, kept::Error> {
        let text = named(&self.path).text()?;
        if text == self.last {
            return Ok(false);
        }
        let policy = parse(&self.path, &text)?;
        warn(&self.doubts(&policy));
        access.replace(policy);
        self.last = text;
        Ok(true)
    }
}

/// Says aloud what can be used, and is hardly meant.
pub(super) fn warn(doubts: &[String]) {
    for doubt in doubts {
        tracing::warn!("{doubt}");
    }
}

fn named(path: &Path) -> Named<'_> {
    Named {
        setting: "--policy",
        path,
    }
}

fn parse(path: &Path, text: &str) -> Result<Policy, kept::Error> {
    Policy::parse(text).map_err(|error| named(path).error(error.to_string()))
}
