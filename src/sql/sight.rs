//! What of the table a caller sees.

use std::{collections::BTreeSet, sync::Arc};

/// The accounts and Regions whose partitions there are, for one caller. Others are
/// never listed: to whoever asks it is as if they were not there. A row filter would
/// leak, since it is evaluated beside what the caller wrote.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight {
    accounts: Option<BTreeSet<Arc<str>>>,
    regions: Option<BTreeSet<Arc<str>>>,
}

impl Sight {
    /// Of every partition.
    #[must_use]
    pub fn all() -> Self {
        Self::default()
    }

    /// Of the partitions of these accounts in these Regions; `None`: of all.
    #[must_use]
    pub fn of(accounts: Option<BTreeSet<Arc<str>>>, regions: Option<BTreeSet<Arc<str>>>) -> Self {
        Self { accounts, regions }
    }

    /// Whether a partition is seen.
    #[must_use]
    pub fn sees(&self, account: &str, region: &str) -> bool {
        let is_in = |allowed: &Option<BTreeSet<Arc<str>>>, name: &str| {
            allowed.as_ref().is_none_or(|names| names.contains(name))
        };
        is_in(&self.accounts, account) && is_in(&self.regions, region)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_partition_is_seen_by_account_and_region() {
        let set = |names: &[&str]| Some(names.iter().map(|name| Arc::from(*name)).collect());
        let sight = Sight::of(set(&["1", "2"]), set(&["a"]));
        assert!(sight.sees("1", "a") && sight.sees("2", "a"));
        assert!(!sight.sees("1", "b") && !sight.sees("3", "a") && !sight.sees("", ""));
        assert!(!Sight::of(Some(BTreeSet::new()), None).sees("1", "a"));
        assert!(Sight::of(None, set(&["a"])).sees("9", "a"));
        assert!(Sight::all().sees("", ""));
    }
}
