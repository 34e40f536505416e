//! Which scopes a subscription follows.

use std::{collections::BTreeSet, sync::Arc};

use crate::event::Scope;

/// The scopes of some accounts and Regions; none named: all, those too that are
/// heard of later.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    accounts: BTreeSet<Arc<str>>,
    regions: BTreeSet<Arc<str>>,
    /// Of these, none but those of such accounts and Regions.
    within: (Option<Names>, Option<Names>),
}

type Names = BTreeSet<Arc<str>>;

impl Selection {
    /// The scopes of these accounts and Regions.
    #[must_use]
    pub fn new(accounts: &[String], regions: &[String]) -> Self {
        let set = |names: &[String]| names.iter().map(|name| name.as_str().into()).collect();
        Self {
            accounts: set(accounts),
            regions: set(regions),
            within: (None, None),
        }
    }

    /// Of these, none but those of such accounts and Regions; `None`: of all.
    #[must_use]
    pub fn within(mut self, accounts: Option<&Names>, regions: Option<&Names>) -> Self {
        self.within = (accounts.cloned(), regions.cloned());
        self
    }

    /// Whether a scope is one of them.
    #[must_use]
    pub fn has(&self, scope: &Scope) -> bool {
        let is_in =
            |names: &BTreeSet<Arc<str>>, name: &Arc<str>| names.is_empty() || names.contains(name);
        let is_within = |names: &Option<Names>, name: &Arc<str>| {
            names.as_ref().is_none_or(|names| names.contains(name))
        };
        let (accounts, regions) = &self.within;
        is_in(&self.accounts, &scope.account)
            && is_in(&self.regions, &scope.region)
            && is_within(accounts, &scope.account)
            && is_within(regions, &scope.region)
    }

    /// Whether it is all of them.
    #[must_use]
    pub fn is_everything(&self) -> bool {
        let is_whole = self.within.0.is_none() && self.within.1.is_none();
        self.accounts.is_empty() && self.regions.is_empty() && is_whole
    }

    /// What tells one selection from another that is within the same.
    pub fn canonical(&self) -> impl Iterator<Item = &str> {
        let accounts = self.accounts.iter().map(|name| &**name);
        // no account has an empty name
        accounts
            .chain([""])
            .chain(self.regions.iter().map(|name| &**name))
    }

    /// What tells one from another by what they are within.
    pub fn bounds(&self) -> impl Iterator<Item = &str> {
        let (accounts, regions) = &self.within;
        bound(accounts).chain(bound(regions))
    }
}

fn bound(names: &Option<Names>) -> impl Iterator<Item = &str> {
    // no name is empty or a star
    let kind = names.as_ref().map_or("*", |_| "");
    let names = names.iter().flatten().map(|name| &**name);
    std::iter::once(kind).chain(names)
}
