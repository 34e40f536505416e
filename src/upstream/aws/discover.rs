//! What AWS knows of accounts and Regions: STS, Organizations, Account.

use std::time::Duration;

use aws_config::{Region, SdkConfig};
use aws_sdk_account::types::RegionOptStatus;
use aws_sdk_organizations::types::{Account, AccountState, AccountStatus};

use super::{Aws, classify::classify};
use crate::upstream::{Error, ErrorKind};

/// Pages of one list: an organisation may have 50,000 accounts, twenty a page
/// (Organizations' quotas), and AWS a few dozen Regions.
const MAX_PAGES: usize = 2_500;
/// Attempts at each page, and the pause after the first; these services have
/// no budget to buy from, and are asked some times a day.
const ATTEMPTS: u32 = 4;
const PAUSE: Duration = Duration::from_millis(500);

/// An account of the organisation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its id, 12 digits.
    pub id: String,
    /// Whether its state is `ACTIVE`: neither suspended, nor closing, nor
    /// still to be activated.
    pub is_active: bool,
}

impl Aws {
    /// The account that the credentials belong to, by STS `GetCallerIdentity`.
    ///
    /// # Errors
    /// As AWS answered, or if no credentials were found.
    pub async fn caller_account(&self, region: &str) -> Result<String, Error> {
        let account = account_of(&self.aside, region).await?;
        // whoever comes second found the same
        let _ = self.own.set(account.clone());
        Ok(account)
    }

    /// The account that a profile's credentials belong to.
    ///
    /// # Errors
    /// As AWS answered, or if the profile has no credentials.
    pub async fn profile_account(&self, profile: &str, region: &str) -> Result<String, Error> {
        let config = self
            .aside
            .to_builder()
            .credentials_provider(self.profile(profile))
            .build();
        account_of(&config, region).await
    }

    /// All accounts of the organisation, by Organizations `ListAccounts`, which
    /// only the management account and delegated administrators may call.
    ///
    /// # Errors
    /// As AWS answered. What may pass is tried again some times.
    pub async fn organization(&self) -> Result<Vec<Member>, Error> {
        let client = aws_sdk_organizations::Client::new(&self.aside);
        let client = &client;
        let accounts = pages(|token| async move {
            let answer = client.list_accounts().set_next_token(token).send().await;
            let answer = answer.map_err(|error| classify(&error))?;
            Ok((answer.accounts.unwrap_or_default(), answer.next_token))
        });
        Ok(accounts.await?.into_iter().filter_map(member).collect())
    }

    /// The Regions that are enabled for an account, by Account `ListRegions`
    /// with the account's own credentials.
    ///
    /// # Errors
    /// As AWS answered, or if there are no credentials for the account. What
    /// may pass is tried again some times.
    pub async fn enabled_regions(&self, account: &str) -> Result<Vec<String>, Error> {
        let config = self.config_of(&self.aside, account, None);
        let client = aws_sdk_account::Client::new(&config);
        let client = &client;
        let regions = pages(|token| async move {
            let answer = client
                .list_regions()
                .region_opt_status_contains(RegionOptStatus::Enabled)
                .region_opt_status_contains(RegionOptStatus::EnabledByDefault)
                .max_results(50)
                .set_next_token(token)
                .send()
                .await
                .map_err(|error| classify(&error))?;
            Ok((answer.regions.unwrap_or_default(), answer.next_token))
        });
        let is_enabled = |status: Option<&RegionOptStatus>| {
            matches!(
                status,
                Some(RegionOptStatus::Enabled | RegionOptStatus::EnabledByDefault)
            )
        };
        let regions = regions.await?.into_iter();
        Ok(regions
            .filter(|region| is_enabled(region.region_opt_status()))
            .filter_map(|region| region.region_name)
            .collect())
    }
}

async fn account_of(config: &SdkConfig, region: &str) -> Result<String, Error> {
    let config = aws_sdk_sts::config::Builder::from(config)
        .region(Region::new(region.to_owned()))
        .build();
    let answer = aws_sdk_sts::Client::from_conf(config)
        .get_caller_identity()
        .send()
        .await;
    let identity = answer.map_err(|error| classify(&error))?;
    identity.account.ok_or_else(|| {
        Error::new(
            ErrorKind::Invalid,
            "NoAccount",
            "sts named no account for these credentials",
        )
    })
}

fn member(account: Account) -> Option<Member> {
    // AWS retires Status in favour of State; who answers may know only one
    let is_active = match account.state() {
        Some(state) => *state == AccountState::Active,
        None => account.status() == Some(&AccountStatus::Active),
    };
    let id = account.id?;
    Some(Member { id, is_active })
}

/// All pages of a list.
async fn pages<T, F>(ask: impl Fn(Option<String>) -> F) -> Result<Vec<T>, Error>
where
    F: Future<Output = Result<(Vec<T>, Option<String>), Error>>,
{
    let mut all = Vec::new();
    let mut token = None;
    for _ in 0..MAX_PAGES {
        let (page, next) = patiently(|| ask(token.clone())).await?;
        all.extend(page);
        match next.filter(|next| !next.is_empty()) {
            // the same token again would go on for ever
            Some(next) if token.as_ref() != Some(&next) => token = Some(next),
            Some(_) => break,
            None => return Ok(all),
        }
    }
    let message = "a list of aws's does not end";
    Err(Error::new(ErrorKind::Invalid, "EndlessList", message))
}

/// Asks until what may pass has passed.
pub(super) async fn patiently<T, F>(ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut attempt = 1;
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if !error.is_retryable() || attempt >= ATTEMPTS {
            return Err(error);
        }
        let pause = PAUSE * (1 << (attempt - 1));
        tokio::time::sleep(pause.max(error.retry_after.unwrap_or_default().min(PAUSE * 10))).await;
        attempt += 1;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn lists_are_read_to_their_end_and_no_further() {
        let asked = AtomicUsize::new(0);
        let three = |token: Option<String>| {
            asked.fetch_add(1, Relaxed);
            let n: usize = token.map_or(0, |token| token.parse().unwrap());
            let next = (n < 2).then(|| (n + 1).to_string());
            async move { Ok((vec![n], next)) }
        };
        assert_eq!(pages(three).await, Ok(vec![0, 1, 2]));
        assert_eq!(asked.load(Relaxed), 3);
        let circle = |_| async { Ok((vec![0], Some("again".to_owned()))) };
        assert_eq!(pages(circle).await.unwrap_err().code, "EndlessList");
        let empty = |_| async { Ok((Vec::<u8>::new(), Some(String::new()))) };
        assert_eq!(pages(empty).await, Ok(vec![]));
    }

    #[tokio::test(start_paused = true)]
    async fn what_may_pass_is_asked_again_and_what_will_not_is_not() {
        let asked = AtomicUsize::new(0);
        let failing = |kind| {
            asked.fetch_add(1, Relaxed);
            async move { Err::<(), _>(Error::new(kind, "Code", "why")) }
        };
        assert!(patiently(|| failing(ErrorKind::Denied)).await.is_err());
        assert_eq!(asked.swap(0, Relaxed), 1);
        assert!(patiently(|| failing(ErrorKind::Throttled)).await.is_err());
        assert_eq!(asked.swap(0, Relaxed), 4);
        let second = || {
            let nth = asked.fetch_add(1, Relaxed);
            async move {
                match nth {
                    0 => Err(Error::new(ErrorKind::Transient, "Code", "why")),
                    _ => Ok(nth),
                }
            }
        };
        assert_eq!(patiently(second).await, Ok(1));
    }
}
