//! What is asked of callers before they are answered.

use std::sync::{Arc, Mutex, PoisonError};

use super::{Method, Policy, Rights};

/// Why a caller is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denied {
    /// It is not known who it is.
    Unknown,
    /// It has no right to this.
    NotAllowed,
}

/// Who is answered at all, and the policy that is in force.
#[derive(Debug)]
pub struct Access {
    asks_who: bool,
    /// `None`: there is none, and whoever is answered may ask everything.
    policy: Option<Mutex<Arc<Policy>>>,
    all: Arc<Rights>,
}

impl Access {
    /// Without a policy everyone may ask everything, or if it is asked who calls,
    /// everyone who is known. With one everyone may ask what it says.
    #[must_use]
    pub fn new(asks_who: bool, policy: Option<Policy>) -> Self {
        Self {
            asks_who,
            policy: policy.map(|policy| Mutex::new(Arc::new(policy))),
            all: Arc::new(Rights::all()),
        }
    }

    /// Whether a caller may still call this with the same rights.
    ///
    /// # Errors
    /// If it may not call it any more.
    pub fn holds(
        &self,
        caller: Option<&str>,
        method: Option<Method>,
        rights: &Arc<Rights>,
    ) -> Result<bool, Denied> {
        let now = self.rights(caller, method)?;
        Ok(Arc::ptr_eq(&now, rights) || now == *rights)
    }

    /// Has another policy in force for the calls that come.
    pub fn replace(&self, policy: Policy) {
        if let Some(current) = &self.policy {
            *current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(policy);
        }
    }

    /// What a caller may who calls this; who has no name showed nothing. A method
    /// that is none is allowed where there is no policy.
    ///
    /// # Errors
    /// If it may not.
    pub fn rights(
        &self,
        caller: Option<&str>,
        method: Option<Method>,
    ) -> Result<Arc<Rights>, Denied> {
        let denied = match caller {
            Some(_) => Denied::NotAllowed,
            None => Denied::Unknown,
        };
        let Some(policy) = &self.policy else {
            return match self.asks_who && caller.is_none() {
                true => Err(denied),
                false => Ok(Arc::clone(&self.all)),
            };
        };
        let policy = Arc::clone(&policy.lock().unwrap_or_else(PoisonError::into_inner));
        let rights = policy.rights(caller).ok_or(denied)?;
        match method.is_some_and(|method| rights.has(method)) {
            true => Ok(rights),
            false => Err(denied),
        }
    }
}
