//! What is asked of callers before they are answered.

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{
        AtomicU64,
        Ordering::{Acquire, Release},
    },
};

use super::{Method, Policy, Rights, Who};
use crate::bearer::{Refused, Tokens};

/// Why a caller is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// It is not known who it is.
    #[error(
        "who calls is not known; show a client certificate, or send a bearer token, that this \
         server trusts"
    )]
    Unknown,
    /// It has no right to this.
    #[error("this caller has no right to this method; ask whoever keeps the policy of this server")]
    NotAllowed,
}

/// Who is answered at all, and the policy that is in force.
#[derive(Debug)]
pub struct Access {
    asks_who: bool,
    /// Takes tokens; `None`: none is looked at.
    tokens: Option<Arc<Tokens>>,
    /// `None`: there is none, and whoever is answered may ask everything.
    policy: Option<Mutex<Arc<Policy>>>,
    /// How often it was replaced.
    version: AtomicU64,
    all: Arc<Rights>,
}

impl Access {
    /// Without a policy everyone may ask everything, or if it is asked who calls,
    /// everyone who is known. With one everyone may ask what it says.
    #[must_use]
    pub fn new(asks_who: bool, tokens: Option<Arc<Tokens>>, policy: Option<Policy>) -> Self {
        Self {
            asks_who: asks_who || tokens.is_some(),
            tokens,
            policy: policy.map(|policy| Mutex::new(Arc::new(policy))),
            version: AtomicU64::new(0),
            all: Arc::new(Rights::all()),
        }
    }

    /// Every right.
    #[must_use]
    pub fn all(&self) -> Arc<Rights> {
        Arc::clone(&self.all)
    }

    /// Whether a caller may still call this with the same rights.
    ///
    /// # Errors
    /// If it may not call it any more.
    pub fn holds(
        &self,
        who: &Who,
        method: Option<Method>,
        rights: &Arc<Rights>,
    ) -> Result<bool, Denied> {
        let now = self.rights(who, method)?;
        Ok(Arc::ptr_eq(&now, rights) || now.is_as(rights))
    }

    /// Has another policy in force for the calls that come.
    pub fn replace(&self, policy: Policy) {
        if let Some(current) = &self.policy {
            *current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
            self.version.fetch_add(1, Release);
        }
    }

    /// Another number once another policy is in force: rights that were looked up
    /// after it was asked for hold for as long as it stays the same.
    #[must_use]
    pub fn version(&self) -> u64 {
        self.version.load(Acquire)
    }

    /// Who calls with this `authorization` header, over a connection whose
    /// certificate is for this name. A token comes first: it is the call's own.
    ///
    /// # Errors
    /// If there is a token that is not taken.
    pub fn who(
        &self,
        certificate: Option<&Arc<str>>,
        authorization: Option<&[u8]>,
    ) -> Result<Who, Refused> {
        if let (Some(tokens), Some(header)) = (&self.tokens, authorization) {
            let header = std::str::from_utf8(header).map_err(|_| Refused::Garbage)?;
            let token = match header.split_once(' ') {
                Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
                _ => return Err(Refused::Garbage),
            };
            return Ok(Who::Token(tokens.bearer(token)?));
        }
        Ok(match certificate {
            Some(name) => Who::Certificate(Arc::clone(name)),
            None => Who::Anonymous,
        })
    }

    /// What a caller may who calls this. A method that is none is allowed where
    /// there is no policy.
    ///
    /// # Errors
    /// If it may not.
    pub fn rights(&self, who: &Who, method: Option<Method>) -> Result<Arc<Rights>, Denied> {
        let denied = match who {
            Who::Anonymous => Denied::Unknown,
            Who::Certificate(_) | Who::Token(_) | Who::Key(_) | Who::User(_) => Denied::NotAllowed,
        };
        let Some(policy) = &self.policy else {
            return match self.asks_who && *who == Who::Anonymous {
                true => Err(denied),
                false => Ok(self.all()),
            };
        };
        let policy = Arc::clone(&policy.lock().unwrap_or_else(PoisonError::into_inner));
        let rights = policy.rights(who).ok_or(denied)?;
        match method.is_some_and(|method| rights.has(method)) {
            true => Ok(rights),
            false => Err(denied),
        }
    }
}
