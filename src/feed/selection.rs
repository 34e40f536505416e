//! Which scopes a subscription follows.

use std::{collections::BTreeSet, sync::Arc};

use crate::event::Scope;

/// The scopes of some accounts and Regions; none named: all, those too that are
/// heard of later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    accounts: BTreeSet<Arc<str>>,
    regions: BTreeSet<Arc<str>>,
}

impl Selection {
    /// The scopes of these accounts and Regions.
    #[must_use]
    pub fn new(accounts: &[String], regions: &[String]) -> Self {
        let set = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
        Self {
            accounts: set(accounts),
            regions: set(regions),
        }
    }

    /// Whether a scope is one of them.
    #[must_use]
    pub fn has(&self, scope: &Scope) -> bool {
        let is_in =
            |names: &BTreeSet<Arc<str>>, name: &Arc<str>| names.is_empty() || names.contains(name);
        is_in(&self.accounts, &scope.account) && is_in(&self.regions, &scope.region)
    }

    /// Whether it is all of them.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        self.accounts.is_empty() && self.regions.is_empty()
    }

    /// What tells one selection from another.
    pub fn canonical(&self) -> impl Iterator<Item = &str> {
        let accounts = self.accounts.iter().map(|name| &**name);
        // no account has an empty name
        accounts
            .chain([""])
            .chain(self.regions.iter().map(|name| &**name))
    }
}
