//! The scopes to serve: from settings, completed by what AWS knows, and looked
//! for again while they are served.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use futures_util::{StreamExt, stream};

use super::Error;
use crate::{
    config::{self, Config, MAX_SCOPES, Sources},
    event::Scope,
    filter::listed,
    upstream::{self, Aws, AwsOptions, Change, Partition, Publisher, Signing},
};

/// How long STS may take to say whose credentials these are, where that is only
/// to be on the safe side.
const CHECK: Duration = Duration::from_secs(5);
/// Accounts that are asked for their Regions at a time. AWS meters
/// `ListRegions` by the account that asks, and borrowing credentials by the
/// account of the lender's caller: some hundreds a second.
const AT_ONCE: usize = 8;
/// How long all accounts together may take to say which Regions they have; who
/// has not answered by then is asked at the next refresh. Eight at a time need
/// half of it for a thousand accounts.
const REGIONS_WITHIN: Duration = Duration::from_secs(60);

/// The Region to ask STS and others in; `None`: that of the environment or the
/// profile. One that is listed for other accounts' sake may be closed to the
/// account of the credentials, so the likeliest to be open is taken.
pub(super) fn base_region(listed: &[String]) -> Option<String> {
    let in_environment = ["AWS_REGION", "AWS_DEFAULT_REGION"]
        .into_iter()
        .find_map(|name| std::env::var(name).ok().filter(|region| !region.is_empty()));
    choose_base(listed, in_environment)
}

/// AWS as the settings have it reached.
pub(super) async fn aws(config: &Config) -> Aws {
    Aws::load(AwsOptions {
        endpoint_url: config.aws_endpoint_url.clone(),
        signing: config.signing.clone(),
        region: base_region(&config.sources.regions),
        roles: config.sources.roles.clone(),
    })
    .await
}

fn choose_base(listed: &[String], in_environment: Option<String>) -> Option<String> {
    let first = listed.first()?;
    let partition = Partition::of_region(first);
    let is_listed = |region: &&str| listed.iter().any(|listed| listed == region);
    in_environment
        .filter(|region| Partition::of_region(region) == partition)
        .or_else(|| partition.global_region.filter(is_listed).map(str::to_owned))
        .or_else(|| Some(first.to_owned()))
}

/// Looks for scopes.
pub(super) struct Finder {
    aws: Arc<Aws>,
    sources: Sources,
    signing: Signing,
    /// Where what has no Region of its own is asked.
    base: String,
    /// The Regions that an account told last.
    told: BTreeMap<String, Vec<String>>,
}

impl Finder {
    /// # Errors
    /// If no Region is known to begin with, or it does not go with the rest.
    pub(super) fn new(config: &Config, aws: Arc<Aws>) -> Result<Self, Error> {
        let mut sources = config.sources.clone();
        let base = match aws.default_region() {
            Some(region) => region,
            None if sources.all_regions => {
                return Err(missing(
                    "no Region to ask for the others; name one with AWS_REGION",
                ));
            }
            None => {
                return Err(missing(
                    "no Region to search; name one with --region or AWS_REGION",
                ));
            }
        };
        if sources.regions.is_empty() && !sources.all_regions {
            sources.regions.push(base.clone());
        }
        if config.signing == Signing::Chain {
            let base = std::slice::from_ref(&base);
            sources.check_partitions(base).map_err(not_usable)?;
        }
        Ok(Self {
            aws,
            sources,
            signing: config.signing.clone(),
            base,
            told: BTreeMap::new(),
        })
    }

    /// The scopes as AWS and the settings have them now.
    ///
    /// # Errors
    /// If AWS does not tell, or there are none, or too many.
    pub(super) async fn find(&mut self) -> Result<Vec<Scope>, Error> {
        let out = &self.sources.exclude_accounts;
        let mut accounts = self.accounts().await?;
        accounts.retain(|account| !out.contains(account));
        if accounts.is_empty() {
            return Err(missing(
                "no account is left to search; see --exclude-account",
            ));
        }
        // the whole list is needed to bound it
        if accounts.len() > MAX_SCOPES {
            return Err(not_usable(config::too_many(accounts.len())));
        }
        let mut scopes = if self.sources.all_regions {
            self.in_enabled_regions(&accounts).await?
        } else {
            Config::scopes(&accounts, &self.sources.regions)
        };
        let out = &self.sources.exclude_regions;
        scopes.retain(|scope| !out.iter().any(|region| **region == *scope.region));
        if scopes.is_empty() {
            return Err(missing("no Region is left to search; see --exclude-region"));
        }
        if scopes.len() > MAX_SCOPES {
            return Err(not_usable(config::too_many(scopes.len())));
        }
        Ok(scopes)
    }

    /// Looks again from time to time, if the settings have it so. What cannot
    /// be found out leaves the scopes as they are.
    pub(super) async fn keep(mut self, publisher: Publisher) {
        let Some(refresh) = self.sources.refresh.filter(|_| self.sources.changes()) else {
            return;
        };
        loop {
            tokio::time::sleep(refresh).await;
            let scopes = match self.find().await {
                Ok(scopes) => scopes,
                Err(error) => {
                    tracing::error!(%error, "cannot look for scopes again; serving those of before");
                    continue;
                }
            };
            let Change { came, gone } = publisher.publish(scopes);
            for (scopes, what) in [(came, "scopes came"), (gone, "scopes went")] {
                if !scopes.is_empty() {
                    tracing::info!(count = scopes.len(), scopes = %list(&scopes), "{what}");
                }
            }
            self.aws.retain(&publisher.known());
        }
    }

    async fn accounts(&self) -> Result<Vec<String>, Error> {
        let sources = &self.sources;
        if !sources.profiles.is_empty() {
            return self.of_profiles().await;
        }
        if sources.organization {
            return self.of_organization().await;
        }
        let listed = &sources.accounts;
        match (listed.first(), &self.signing) {
            // keys that are made from accounts are those accounts'
            (Some(_), Signing::Simulator) => {}
            (Some(_), Signing::Chain) if sources.roles.is_some() => {
                // only to be asked without a role
                match self.own().await {
                    Ok(own) => tracing::info!(own, "account of the credentials"),
                    Err(why) => tracing::warn!(
                        why,
                        "cannot tell the account of the credentials; the role is assumed in every account"
                    ),
                }
            }
            (Some(named), Signing::Chain) => self.check_own(named).await?,
            (None, _) => {
                let own = self.aws.caller_account(&self.base).await;
                let own = own.map_err(|error| {
                    tracing::error!(%error, "sts did not answer");
                    Error::Account { code: error.code }
                })?;
                tracing::info!(account = own, "account of the credentials");
                return Ok(vec![own]);
            }
        }
        Ok(listed.clone())
    }

    async fn of_profiles(&self) -> Result<Vec<String>, Error> {
        let mut accounts: BTreeMap<String, &str> = BTreeMap::new();
        for profile in &self.sources.profiles {
            let name = profile.name.as_str();
            let asked = self.aws.profile_account(name, &self.base);
            let account = match (&profile.account, tokio::time::timeout(CHECK, asked).await) {
                (Some(named), Ok(Ok(account))) if account != *named => {
                    return Err(Error::Config(format!(
                        "--profile {named}={name}, and its credentials are those of account \
                         {account}; give either other"
                    )));
                }
                (_, Ok(Ok(account))) => account,
                (Some(named), told) => {
                    let why = why(told);
                    tracing::warn!(
                        profile = name,
                        why,
                        "sts does not tell a profile's account; believing --profile"
                    );
                    named.clone()
                }
                (None, told) => {
                    let name = name.to_owned();
                    let code = match told {
                        Ok(Err(error)) => {
                            tracing::error!(%error, profile = name, "sts did not answer");
                            error.code
                        }
                        _ => "Timeout".to_owned(),
                    };
                    return Err(Error::Profile { name, code });
                }
            };
            if let Some(other) = accounts.get(&account) {
                return Err(Error::Config(format!(
                    "--profile {name} and --profile {other} are both of account {account}; give one"
                )));
            }
            tracing::info!(account, profile = name, "account of a profile");
            self.aws.lend_profile(&account, name);
            accounts.insert(account, name);
        }
        Ok(accounts.into_keys().collect())
    }

    async fn of_organization(&self) -> Result<Vec<String>, Error> {
        let own = self.aws.caller_account(&self.base).await;
        own.map_err(|error| {
            tracing::error!(%error, "sts did not answer");
            Error::Account { code: error.code }
        })?;
        let members = self.aws.organization().await.map_err(|error| {
            tracing::error!(%error, "organizations did not list the accounts");
            Error::Organization { code: error.code }
        })?;
        let found = members.len();
        let active: BTreeSet<String> = members
            .into_iter()
            .filter(|member| member.is_active)
            .map(|member| member.id)
            .collect();
        tracing::info!(found, active = active.len(), "accounts of the organization");
        let wanted = &self.sources.accounts;
        for account in wanted.iter().filter(|account| !active.contains(*account)) {
            tracing::warn!(
                account,
                "named with --account, and no active account of the organization: not searched"
            );
        }
        Ok(active
            .into_iter()
            .filter(|account| wanted.is_empty() || wanted.contains(account))
            .collect())
    }

    /// The account of the credentials, or why it is not known.
    async fn own(&self) -> Result<String, String> {
        let asked = self.aws.caller_account(&self.base);
        match tokio::time::timeout(CHECK, asked).await {
            Ok(Ok(own)) => Ok(own),
            told => Err(why(told)),
        }
    }

    /// Another account's events under this one's name would be worse than none.
    /// Where STS cannot be asked, the setting is believed.
    async fn check_own(&self, named: &str) -> Result<(), Error> {
        match self.own().await {
            Ok(own) if own != named => Err(Error::Config(format!(
                "--account {named}, and the credentials are those of account {own}; give either \
                 others, or leave --account out"
            ))),
            Ok(_) => Ok(()),
            Err(why) => {
                tracing::warn!(
                    why,
                    "sts does not say whose credentials these are; believing --account"
                );
                Ok(())
            }
        }
    }

    /// Each account in the Regions that it has enabled. One that does not tell
    /// is searched in those that it told before, or else in all that any
    /// account has: what cannot be searched there then says so itself, with
    /// every answer.
    async fn in_enabled_regions(&mut self, accounts: &[String]) -> Result<Vec<Scope>, Error> {
        let mut failed: BTreeMap<String, String> = accounts
            .iter()
            .map(|account| (account.clone(), "Timeout".to_owned()))
            .collect();
        let mut asked = stream::iter(accounts.to_vec())
            .map(|account| {
                let aws = Arc::clone(&self.aws);
                async move {
                    let regions = aws.enabled_regions(&account).await;
                    (account, regions)
                }
            })
            .buffer_unordered(AT_ONCE);
        let deadline = tokio::time::sleep(REGIONS_WITHIN);
        tokio::pin!(deadline);
        loop {
            let told = tokio::select! {
                told = asked.next() => told,
                () = &mut deadline => None,
            };
            match told {
                None => break,
                Some((account, Ok(regions))) => {
                    failed.remove(&account);
                    self.told.insert(account, regions);
                }
                Some((account, Err(error))) => {
                    tracing::debug!(account, %error, "enabled Regions not told");
                    failed.insert(account, error.code);
                }
            }
        }
        drop(asked);
        self.told.retain(|account, _| accounts.contains(account));
        let every: BTreeSet<String> = self.told.values().flatten().cloned().collect();
        if let (true, Some(code)) = (every.is_empty(), failed.values().next()) {
            return Err(Error::Regions { code: code.clone() });
        }
        for (account, code) in failed {
            let before = self.told.get(&account).map(Vec::len);
            tracing::warn!(
                account,
                code,
                regions = before.unwrap_or(every.len()),
                "cannot list the Regions that an account has enabled; searching it {}",
                match before {
                    Some(_) => "in those of before",
                    None => "in every Region that another account has",
                }
            );
        }
        let every = every.into_iter().collect();
        let regions = |account: &String| self.told.get(account).unwrap_or(&every);
        Ok(accounts
            .iter()
            .flat_map(|account| {
                let regions = regions(account).iter();
                regions.map(move |region| Scope::new(account, region))
            })
            .collect())
    }
}

/// Says at start what a search for global services' events would miss.
pub(super) fn warn_of_global_events(scopes: &[Scope]) {
    let Some(region) = missing_global_region(scopes) else {
        return;
    };
    tracing::warn!(
        region,
        "events of IAM, CloudFront, STS's global endpoint and part of the sign-ins are recorded in a \
         Region that is not searched; add it to find them"
    );
}

/// The Region of global services' events, if no account is searched there.
fn missing_global_region(scopes: &[Scope]) -> Option<&'static str> {
    let first = scopes.first()?;
    let global = Partition::of_region(&first.region).global_region?;
    (!scopes.iter().any(|scope| *scope.region == *global)).then_some(global)
}

type Told = Result<Result<String, upstream::Error>, tokio::time::error::Elapsed>;

/// Why STS did not tell an account.
fn why(told: Told) -> String {
    match told {
        Ok(Ok(account)) => account,
        Ok(Err(error)) => error.to_string(),
        Err(_) => format!("no answer within {CHECK:?}"),
    }
}

fn missing(what: &str) -> Error {
    Error::Config(what.to_owned())
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn not_usable(error: config::Error) -> Error {
    Error::Config(error.to_string())
}

/// As many as fit a line.
fn list(scopes: &[Scope]) -> String {
    const SHOWN: usize = 8;
    listed(scopes.iter(), SHOWN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_search_without_the_global_region_is_told() {
        let scopes = |regions: &[&str]| -> Vec<Scope> {
            regions.iter().map(|r| Scope::new("1", r)).collect()
        };
        let missing = |regions: &[&str]| missing_global_region(&scopes(regions));
        assert_eq!(missing(&["eu-west-1"]), Some("us-east-1"));
        assert_eq!(missing(&["eu-west-1", "us-east-1"]), None);
        assert_eq!(missing(&["us-gov-east-1"]), Some("us-gov-west-1"));
        assert_eq!(missing(&["cn-northwest-1"]), Some("cn-north-1"));
        assert_eq!(missing(&["cn-north-1"]), None);
        assert_eq!(missing(&["us-iso-east-1"]), None, "not known");
        assert_eq!(missing(&[]), None);
    }

    #[test]
    fn others_are_asked_where_the_account_is_likely_to_be_let_in() {
        let base = |listed: &[&str], environment: Option<&str>| {
            let listed: Vec<String> = listed.iter().map(ToString::to_string).collect();
            choose_base(&listed, environment.map(str::to_owned)).unwrap()
        };
        let opted_in = &["ap-east-1", "us-east-1"];
        assert_eq!(base(opted_in, None), "us-east-1");
        assert_eq!(base(opted_in, Some("eu-west-1")), "eu-west-1");
        assert_eq!(base(opted_in, Some("cn-north-1")), "us-east-1");
        assert_eq!(base(&["eu-west-1", "eu-west-3"], None), "eu-west-1");
        assert_eq!(base(&["us-gov-east-1"], Some("us-east-1")), "us-gov-east-1");
        assert_eq!(choose_base(&[], Some("us-east-1".into())), None);
    }

    #[test]
    fn lists_stay_short() {
        let scopes: Vec<Scope> = (0..10).map(|n| Scope::new(&n.to_string(), "r")).collect();
        assert_eq!(list(&scopes[..2]), "0/r, 1/r");
        assert!(list(&scopes).ends_with("7/r and 2 more"));
    }
}
