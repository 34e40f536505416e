//! Which of the announced objects are collected.

use std::{
    collections::BTreeSet,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::{
    envelope::ObjectRef,
    object_key::{Kind, ObjectKey},
};
use crate::event::Scope;

/// Which files are collected. Each list that is empty lets everything pass; a
/// file must pass all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SourceFilter {
    /// Buckets, by name.
    pub buckets: BTreeSet<String>,
    /// What keys begin with.
    pub prefixes: BTreeSet<String>,
    /// Accounts, as 12 digits.
    pub accounts: BTreeSet<String>,
    /// Regions.
    pub regions: BTreeSet<String>,
    /// Kinds of files. Digests too are only read where they pass.
    pub kinds: BTreeSet<Kind>,
}

/// Why a file, or an event, is not collected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Skip {
    /// Its key is not that of a trail's file.
    NoTrail,
    /// Its bucket is not among those that are collected.
    Bucket,
    /// Its key begins with none of the prefixes that are collected.
    Prefix,
    /// Its account is not among those that are collected.
    Account,
    /// Its Region is not among those that are collected.
    Region,
    /// Files of its kind are not collected.
    Kind,
}

impl SourceFilter {
    /// Whether a file is collected.
    ///
    /// # Errors
    /// Why it is not.
    pub fn admit(&self, object: &ObjectRef, key: &ObjectKey) -> Result<(), Skip> {
        if !passes(&self.buckets, &object.bucket) {
            return Err(Skip::Bucket);
        }
        let begins = |prefix: &String| object.key.starts_with(prefix);
        if !self.prefixes.is_empty() && !self.prefixes.iter().any(begins) {
            return Err(Skip::Prefix);
        }
        let Some(scope) = key.scope() else {
            return Err(Skip::NoTrail);
        };
        if !self.admits_kind(key.kind) {
            return Err(Skip::Kind);
        }
        self.admit_scope(scope)
    }

    /// Whether files of an account may be collected.
    pub(super) fn admits_account(&self, account: &str) -> bool {
        passes(&self.accounts, account)
    }

    /// Whether files of a kind may be collected.
    pub(super) fn admits_kind(&self, kind: Kind) -> bool {
        self.kinds.is_empty() || self.kinds.contains(&kind)
    }

    /// Whether an event of this scope is collected that came in no file.
    ///
    /// # Errors
    /// Why it is not.
    pub fn admit_scope(&self, scope: &Scope) -> Result<(), Skip> {
        if !self.admits_account(&scope.account) {
            return Err(Skip::Account);
        }
        if !passes(&self.regions, &scope.region) {
            return Err(Skip::Region);
        }
        Ok(())
    }
}

fn passes(allowed: &BTreeSet<String>, given: &str) -> bool {
    allowed.is_empty() || allowed.contains(given)
}

/// How many were not collected, by why.
#[derive(Debug, Default)]
pub struct Skips {
    no_trail: AtomicU64,
    bucket: AtomicU64,
    prefix: AtomicU64,
    account: AtomicU64,
    region: AtomicU64,
    kind: AtomicU64,
}

impl Skips {
    /// All reasons, with the name that a metric's label has.
    pub const REASONS: [(Skip, &str); 6] = [
        (Skip::NoTrail, "no_trail"),
        (Skip::Bucket, "bucket"),
        (Skip::Prefix, "prefix"),
        (Skip::Account, "account"),
        (Skip::Region, "region"),
        (Skip::Kind, "kind"),
    ];

    const fn of(&self, why: Skip) -> &AtomicU64 {
        match why {
            Skip::NoTrail => &self.no_trail,
            Skip::Bucket => &self.bucket,
            Skip::Prefix => &self.prefix,
            Skip::Account => &self.account,
            Skip::Region => &self.region,
            Skip::Kind => &self.kind,
        }
    }

    /// Counts one.
    pub fn note(&self, why: Skip) {
        self.of(why).fetch_add(1, Relaxed);
    }

    /// How many there were.
    #[must_use]
    pub fn count(&self, why: Skip) -> u64 {
        self.of(why).load(Relaxed)
    }

    /// How many there were of all reasons.
    #[must_use]
    pub fn total(&self) -> u64 {
        Self::REASONS.iter().map(|(why, _)| self.count(*why)).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "p/AWSLogs/111122223333/CloudTrail/eu-west-1/2024/05/06/111122223333_CloudTrail_eu-west-1_20240506T0708Z_a.json.gz";

    fn set<T: Ord>(one: impl Into<T>) -> BTreeSet<T> {
        BTreeSet::from([one.into()])
    }

    #[test]
    fn a_file_passes_all_lists_or_says_which_it_does_not() {
        let object = |bucket: &str, key: &str| ObjectRef {
            bucket: bucket.into(),
            key: key.into(),
            ..ObjectRef::default()
        };
        let admit = |filter: &SourceFilter, object: &ObjectRef| {
            filter.admit(object, &ObjectKey::parse(&object.key))
        };
        let good = object("b", KEY);
        let every = SourceFilter::default();
        assert_eq!(admit(&every, &good), Ok(()));
        let other = object("b", "readme.txt");
        assert_eq!(admit(&every, &other), Err(Skip::NoTrail));
        let narrow = SourceFilter {
            buckets: set("b"),
            prefixes: set("p/"),
            accounts: set("111122223333"),
            regions: set("eu-west-1"),
            kinds: set(Kind::LogFile),
        };
        assert_eq!(admit(&narrow, &good), Ok(()));
        let skips = Skips::default();
        for (object, why) in [
            (object("c", KEY), Skip::Bucket),
            (object("b", "q/x"), Skip::Prefix),
            (object("b", "p/x"), Skip::NoTrail),
            (
                object("b", &KEY.replace("111122223333", "444455556666")),
                Skip::Account,
            ),
            (
                object("b", &KEY.replace("eu-west-1", "eu-west-2")),
                Skip::Region,
            ),
            (
                object("b", &KEY.replace("CloudTrail", "CloudTrail-Insight")),
                Skip::Kind,
            ),
        ] {
            assert_eq!(admit(&narrow, &object), Err(why));
            skips.note(why);
            assert_eq!(skips.count(why), 1);
        }
        assert_eq!(skips.total(), 6);
        let scope = |account| Scope::new(account, "eu-west-1");
        assert_eq!(narrow.admit_scope(&scope("111122223333")), Ok(()));
        assert_eq!(narrow.admit_scope(&scope("")), Err(Skip::Account));
    }
}
