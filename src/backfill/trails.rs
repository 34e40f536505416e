//! Where trails deliver to: found in every Region of every account.
//!
//! A trail of all Regions is told of in each, and an organisation's in each member
//! account as well; what counts is where the files are.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::{StreamExt, stream};

use crate::{
    event::{Scope, is_account},
    filter::listed,
    upstream::{Error, Trail},
};

/// Regions that are asked at once. CloudTrail answers ten `DescribeTrails` a second in
/// each account and Region (its quotas), and one is asked of each.
const AT_ONCE: usize = 16;
/// Regions that a line tells.
const SHOWN: usize = 6;

/// Where trails deliver to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// The bucket.
    pub bucket: String,
    /// What keys have before `AWSLogs/`, without a slash at its ends. May be empty.
    pub prefix: String,
    /// The trails, by ARN.
    pub trails: BTreeSet<String>,
    /// Accounts whose credentials may read it: those of the trails, then those that
    /// told of them.
    pub accounts: Vec<String>,
    /// Regions that the bucket may be in: where the trails were created.
    pub regions: BTreeSet<String>,
}

/// What was found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deliveries {
    /// Where trails deliver to: each place once, by bucket and prefix.
    pub all: Vec<Delivery>,
    /// What did not tell, and why.
    pub failed: Vec<(Scope, Error)>,
    /// How many were asked.
    pub asked: usize,
}

impl Deliveries {
    /// Asks in all of these for trails.
    pub async fn find<F>(scopes: Vec<Scope>, ask: impl Fn(Scope) -> F) -> Self
    where
        F: Future<Output = Result<Vec<Trail>, Error>>,
    {
        let asked = scopes.len();
        let mut told: Vec<_> = stream::iter(scopes)
            .map(|scope| {
                let told = ask(scope.clone());
                async move { (scope, told.await) }
            })
            .buffer_unordered(AT_ONCE)
            .collect()
            .await;
        told.sort_by(|(a, _), (b, _)| a.cmp(b));
        let mut found: BTreeMap<(String, String), Delivery> = BTreeMap::new();
        let mut failed = Vec::new();
        for (scope, told) in told {
            match told {
                Err(error) => failed.push((scope, error)),
                Ok(trails) => {
                    for trail in trails {
                        let key = (trail.bucket.clone(), trail.prefix.clone());
                        let delivery = found.entry(key).or_insert_with(|| Delivery {
                            bucket: trail.bucket.clone(),
                            prefix: trail.prefix.clone(),
                            trails: BTreeSet::new(),
                            accounts: Vec::new(),
                            regions: BTreeSet::new(),
                        });
                        delivery.add(&trail, &scope);
                    }
                }
            }
        }
        Self {
            all: found.into_values().collect(),
            failed,
            asked,
        }
    }

    /// What did not tell: a line for each account and reason.
    #[must_use]
    pub fn failures(&self) -> Vec<String> {
        let mut grouped: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for (scope, error) in &self.failed {
            let key = (&*scope.account, error.code.as_str());
            grouped.entry(key).or_default().push(&scope.region);
        }
        let line = |((account, code), regions): (_, Vec<&str>)| {
            let regions = listed(regions.iter(), SHOWN);
            format!("{account}: trails are not told in {regions} [{code}]")
        };
        grouped.into_iter().map(line).collect()
    }
}

impl Delivery {
    fn add(&mut self, trail: &Trail, scope: &Scope) {
        self.regions.extend(trail.home_region.clone());
        let owner = trail.arn.split(':').nth(4).filter(|id| is_account(id));
        if self.trails.insert(trail.arn.clone())
            && let Some(owner) = owner
            && !self.accounts.iter().any(|account| account == owner)
        {
            self.accounts.insert(0, owner.to_owned());
        }
        let teller = &*scope.account;
        if !self.accounts.iter().any(|account| account == teller) {
            self.accounts.push(teller.to_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::upstream::ErrorKind;

    const A: &str = "111122223333";
    const B: &str = "444455556666";

    fn trail(account: &str, region: &str, name: &str, bucket: &str, prefix: &str) -> Trail {
        Trail {
            arn: format!("arn:aws:cloudtrail:{region}:{account}:trail/{name}"),
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
            home_region: Some(region.to_owned()),
        }
    }

    #[tokio::test]
    async fn each_place_is_found_once_and_what_fails_is_passed() {
        let everywhere = trail(A, "r-1", "org", "central", "p");
        let ask = |scope: Scope| {
            let everywhere = everywhere.clone();
            async move {
                match (&*scope.account, &*scope.region) {
                    (B, "r-2" | "r-3") => Err(Error::new(ErrorKind::Denied, "AccessDenied", "who")),
                    (A, "r-2") => Ok(vec![
                        everywhere,
                        trail(A, "r-2", "own", "central", "q"),
                        trail(A, "r-2", "twin", "central", "p"),
                    ]),
                    _ => Ok(vec![everywhere]),
                }
            }
        };
        let mut scopes = Vec::new();
        for account in [B, A] {
            scopes.extend(["r-1", "r-2", "r-3"].map(|region| Scope::new(account, region)));
        }
        let found = Deliveries::find(scopes, ask).await;
        let places: Vec<_> = found.all.iter().map(|one| one.prefix.as_str()).collect();
        assert_eq!((places, found.asked), (vec!["p", "q"], 6));
        let shared = &found.all[0];
        assert_eq!(shared.trails.len(), 2);
        assert_eq!(shared.accounts, [A, B]);
        assert_eq!(shared.regions.len(), 2);
        assert_eq!(
            found.failures(),
            [format!(
                "{B}: trails are not told in r-2, r-3 [AccessDenied]"
            )]
        );
    }
}
