//! AWS behind the port: aws-sdk-cloudtrail, one client a scope, and whose
//! credentials it signs with.

mod classify;
mod discover;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod oracle;
mod role;
mod trails;

use std::{
    collections::{HashMap, HashSet},
    sync::{Mutex, MutexGuard, OnceLock, PoisonError},
    time::Duration,
};

use aws_config::{
    BehaviorVersion, ConfigLoader, Region, SdkConfig, identity::IdentityCache,
    profile::ProfileFileCredentialsProvider, provider_config::ProviderConfig, retry::RetryConfig,
    timeout::TimeoutConfig,
};
use aws_credential_types::{Credentials, provider::SharedCredentialsProvider};
use aws_sdk_cloudtrail::{
    Client,
    operation::{RequestId, lookup_events::LookupEventsOutput},
    types as aws,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_types::DateTime;

pub use discover::Member;
pub use trails::Trail;

use self::{classify::classify, role::AssumedRole};
use super::{
    CloudTrail, Error, ErrorKind, PAGE_EVENTS, Page, PageFuture, PageRequest, Partition, Roles,
};
use crate::{
    event::{Category, LookupEvent, Resource, Scope},
    trace,
};

/// Whose keys sign the requests.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Signing {
    /// aws-config's whole chain: environment, profile, SSO, web identity,
    /// container, instance.
    #[default]
    Chain,
    /// The account's id as access key id, as `trailgate simulate` tells
    /// accounts apart by.
    Simulator,
}

/// How AWS is reached.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Replaces AWS's endpoints, of every service that is called.
    pub endpoint_url: Option<String>,
    /// Whose keys sign.
    pub signing: Signing,
    /// The Region for requests of no scope; `None`: that of the environment or
    /// profile, or the instance's, which takes a while to be found missing.
    pub region: Option<String>,
    /// The role to assume in other accounts; `None`: all requests are signed
    /// by the same credentials, but for [`Aws::lend_profile`].
    pub roles: Option<Roles>,
}

/// Time to reach a connection; a working path takes a tenth.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for an answer. LookupEvents takes a second or two over busy accounts;
/// past this, asking again is better than waiting.
const ATTEMPT: Duration = Duration::from_secs(30);
/// Time for an answer of STS, Organizations or Account, which take a part of a
/// second.
const ASIDE: Duration = Duration::from_secs(10);
/// Credentials that are held at once: some for each account that a server may
/// have, and a lender evicted too early is only asked again.
const MAX_LENDERS: usize = 4096;

/// The AWS adapter. Neither retries nor waits for quota.
#[derive(Debug)]
pub struct Aws {
    config: SdkConfig,
    /// `config` for the services that are asked aside.
    aside: SdkConfig,
    signing: Signing,
    roles: Option<Roles>,
    /// The account of the credentials of `config`, once it is known.
    own: OnceLock<String>,
    /// By account, whose credentials sign there; none: those of `config`. One
    /// for each account that was ever asked: see [`Aws::retain`].
    lenders: Mutex<HashMap<String, SharedCredentialsProvider>>,
    /// One a scope; as many as there are configured scopes.
    clients: Mutex<HashMap<Scope, Client>>,
}

impl Aws {
    /// Reads aws-config's environment and profile; makes no request.
    pub async fn load(options: Options) -> Self {
        let mut loader = loader(ATTEMPT)
            // its default would hold 64 accounts' and evict at random
            .identity_cache(IdentityCache::lazy().max_partitions(MAX_LENDERS).build());
        if let Some(url) = options.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        if let Some(region) = options.region {
            loader = loader.region(Region::new(region));
        }
        if options.signing == Signing::Simulator {
            loader = loader.credentials_provider(simulator_key("000000000000"));
        }
        let config = loader.load().await;
        Self {
            aside: config.to_builder().timeout_config(timeouts(ASIDE)).build(),
            config,
            signing: options.signing,
            roles: options.roles,
            own: OnceLock::new(),
            lenders: Mutex::default(),
            clients: Mutex::default(),
        }
    }

    /// The Region that the environment or the profile names, if one does.
    #[must_use]
    pub fn default_region(&self) -> Option<String> {
        self.config.region().map(ToString::to_string)
    }

    /// Signs requests to an account by the credentials of a profile of
    /// `~/.aws/config`, with all that a profile can say: keys, SSO, a role, a
    /// process.
    pub fn lend_profile(&self, account: &str, profile: &str) {
        lock(&self.lenders).insert(account.to_owned(), self.profile(profile));
    }

    /// Forgets clients and credentials of scopes that are not asked for any
    /// more. Profiles stay.
    pub fn retain(&self, known: &HashSet<Scope>) {
        lock(&self.clients).retain(|scope, _| known.contains(scope));
        if self.roles.is_some() {
            let accounts: HashSet<&str> = known.iter().map(|scope| &*scope.account).collect();
            lock(&self.lenders).retain(|account, _| accounts.contains(account.as_str()));
        }
    }

    fn profile(&self, name: &str) -> SharedCredentialsProvider {
        let mut config = ProviderConfig::without_region()
            .with_region(self.config.region().cloned())
            .with_behavior_version(self.config.behavior_version());
        if let Some(http) = self.config.http_client() {
            config = config.with_http_client(http);
        }
        let provider = ProfileFileCredentialsProvider::builder()
            .configure(&config)
            .profile_name(name)
            .build();
        SharedCredentialsProvider::new(provider)
    }

    /// Whose credentials sign for an account; `None`: those of `config`.
    fn lender(&self, account: &str) -> Option<SharedCredentialsProvider> {
        let mut lenders = lock(&self.lenders);
        if let Some(lender) = lenders.get(account) {
            return Some(lender.clone());
        }
        let lender = match (&self.signing, &self.roles) {
            (Signing::Simulator, _) => SharedCredentialsProvider::new(simulator_key(account)),
            (Signing::Chain, Some(roles)) => {
                let is_own = self.own.get().is_some_and(|own| own == account);
                if is_own && !roles.in_own_account {
                    return None;
                }
                SharedCredentialsProvider::new(AssumedRole::new(&self.aside, roles, account))
            }
            (Signing::Chain, None) => return None,
        };
        lenders.insert(account.to_owned(), lender.clone());
        Some(lender)
    }

    /// `config` with the credentials of an account, for a Region.
    fn config_of(&self, config: &SdkConfig, account: &str, region: Option<&str>) -> SdkConfig {
        let mut config = config.to_builder();
        if let Some(region) = region {
            config = config.region(Region::new(region.to_owned()));
        }
        if let Some(lender) = self.lender(account) {
            config = config.credentials_provider(lender);
        }
        config.build()
    }

    fn client(&self, scope: &Scope) -> Client {
        let mut clients = lock(&self.clients);
        if let Some(client) = clients.get(scope) {
            return client.clone();
        }
        let client =
            Client::new(&self.config_of(&self.config, &scope.account, Some(&scope.region)));
        clients.insert(scope.clone(), client.clone());
        client
    }
}

fn lock<T>(what: &Mutex<T>) -> MutexGuard<'_, T> {
    what.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A loader for clients that try once, and wait so long for an answer. Retries are
/// the caller's: they buy from a budget, or have pauses of their own.
pub(crate) fn loader(attempt: Duration) -> ConfigLoader {
    let http = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts(attempt))
}

fn timeouts(attempt: Duration) -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .operation_attempt_timeout(attempt)
        .operation_timeout(attempt)
        .build()
}

/// The key by which `trailgate simulate` knows an account.
pub(crate) fn simulator_key(account: &str) -> Credentials {
    Credentials::new(account, "simulator", None, None, "trailgate-simulator")
}

impl CloudTrail for Aws {
    fn lookup_events<'a>(&'a self, scope: &'a Scope, request: &'a PageRequest) -> PageFuture<'a> {
        Box::pin(async move {
            let attribute = request
                .attribute
                .as_ref()
                .map(|attribute| {
                    aws::LookupAttribute::builder()
                        .attribute_key(attribute.key.as_str().into())
                        .attribute_value(&*attribute.value)
                        .build()
                })
                .transpose()
                .map_err(|error| Error::new(ErrorKind::Invalid, "Unsendable", error.to_string()))?;
            // PAGE_EVENTS is 50
            let most = i32::try_from(PAGE_EVENTS).unwrap_or(50);
            let answer = self
                .client(scope)
                .lookup_events()
                .set_lookup_attributes(attribute.map(|attribute| vec![attribute]))
                .set_event_category(match request.category {
                    Category::Management => None,
                    Category::Insight => Some(aws::EventCategory::Insight),
                })
                .start_time(DateTime::from_secs(request.range.from))
                .end_time(DateTime::from_secs(request.range.to - 1))
                .max_results(most)
                .set_next_token(request.token.clone())
                .send()
                .await;
            trace::request_id(match &answer {
                Ok(answer) => answer.request_id(),
                Err(error) => error.request_id(),
            });
            answer.map(page).map_err(|error| classify(&error))
        })
    }
}

fn page(answer: LookupEventsOutput) -> Page {
    let events = answer
        .events
        .unwrap_or_default()
        .into_iter()
        .map(|event| LookupEvent {
            event_id: event.event_id,
            event_name: event.event_name,
            event_source: event.event_source,
            event_time: event.event_time.map(|time| time.secs()),
            read_only: event.read_only,
            access_key_id: event.access_key_id,
            username: event.username,
            resources: event
                .resources
                .unwrap_or_default()
                .into_iter()
                .map(|resource| Resource {
                    kind: resource.resource_type,
                    name: resource.resource_name,
                })
                .collect(),
            record: event.cloud_trail_event,
        });
    // an empty token is no token
    let next_token = answer.next_token.filter(|token| !token.is_empty());
    Page {
        events: events.collect(),
        next_token,
    }
}
