//! AWS behind the port: aws-sdk-cloudtrail, one client a Region.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_config::{BehaviorVersion, Region, SdkConfig, retry::RetryConfig, timeout::TimeoutConfig};
use aws_credential_types::{Credentials, provider::error::CredentialsError};
use aws_sdk_cloudtrail::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::lookup_events::LookupEventsOutput,
    types as aws,
};
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::DateTime;

use super::{CloudTrail, Error, ErrorKind, PAGE_EVENTS, Page, PageFuture, PageRequest};
use crate::event::{Category, LookupEvent, Resource, Scope};

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
}

/// Time to reach a connection; a working path takes a tenth.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for an answer. LookupEvents takes a second or two over busy accounts;
/// past this, asking again is better than waiting.
const ATTEMPT: Duration = Duration::from_secs(30);

/// The AWS adapter. Neither retries nor waits for quota.
#[derive(Debug)]
pub struct Aws {
    config: SdkConfig,
    signing: Signing,
    /// One a scope; as many as there are configured scopes.
    clients: Mutex<HashMap<Scope, Client>>,
}

impl Aws {
    /// Reads aws-config's environment and profile; makes no request.
    pub async fn load(options: Options) -> Self {
        let http = aws_smithy_http_client::Builder::new()
            .tls_provider(Provider::Rustls(CryptoMode::Ring))
            .build_https();
        let mut loader = aws_config::defaults(BehaviorVersion::latest())
            .http_client(http)
            // retries buy from the budget, so they are not the SDK's to make
            .retry_config(RetryConfig::disabled())
            .timeout_config(
                TimeoutConfig::builder()
                    .connect_timeout(CONNECT)
                    .operation_attempt_timeout(ATTEMPT)
                    .operation_timeout(ATTEMPT)
                    .build(),
            );
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
            config,
            signing: options.signing,
            clients: Mutex::default(),
        }
    }

    /// The Region that the environment or the profile names, if one does.
    #[must_use]
    pub fn default_region(&self) -> Option<String> {
        self.config.region().map(ToString::to_string)
    }

    /// The account that the credentials belong to, by STS `GetCallerIdentity`.
    ///
    /// # Errors
    /// As AWS answered, or if no credentials were found.
    pub async fn caller_account(&self, region: &str) -> Result<String, Error> {
        let config = aws_sdk_sts::config::Builder::from(&self.config)
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

    fn client(&self, scope: &Scope) -> Client {
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = clients.get(scope) {
            return client.clone();
        }
        let mut config = aws_sdk_cloudtrail::config::Builder::from(&self.config)
            .region(Region::new(scope.region.to_string()));
        if self.signing == Signing::Simulator {
            config = config.credentials_provider(simulator_key(&scope.account));
        }
        let client = Client::from_conf(config.build());
        clients.insert(scope.clone(), client.clone());
        client
    }
}

fn simulator_key(account: &str) -> Credentials {
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

/// Sorts by AWS's code where an answer came, by how the way there failed where
/// none did.
fn classify<E>(error: &SdkError<E, HttpResponse>) -> Error
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    // with its causes, for the log: the error alone says "dispatch failure"
    let said = || {
        let all = std::iter::once(error.to_string()).chain(causes(error).map(ToString::to_string));
        all.collect::<Vec<_>>().join(": ")
    };
    match error {
        SdkError::ServiceError(service) => {
            let status = service.raw().status().as_u16();
            let code = service.err().code().unwrap_or_default();
            let message = service.err().message().map_or_else(said, ToOwned::to_owned);
            let kind = Error::classify(code, status);
            let code = if code.is_empty() {
                format!("Http{status}")
            } else {
                code.to_owned()
            };
            Error {
                kind,
                code,
                message,
                retry_after: retry_after(service.raw()),
            }
        }
        SdkError::ResponseError(response) => {
            let status = response.raw().status().as_u16();
            let kind = match Error::classify("", status) {
                // an answer that cannot be read was cut short
                ErrorKind::Invalid => ErrorKind::Transient,
                kind => kind,
            };
            Error {
                retry_after: retry_after(response.raw()),
                ..Error::new(kind, &format!("Http{status}"), said())
            }
        }
        SdkError::TimeoutError(_) => Error::new(ErrorKind::Transient, "Timeout", said()),
        _ if caused_by_credentials(error) => {
            Error::new(ErrorKind::Credentials, "NoCredentials", said())
        }
        SdkError::DispatchFailure(failure) if failure.is_timeout() => {
            Error::new(ErrorKind::Transient, "ConnectTimeout", said())
        }
        SdkError::DispatchFailure(failure) if failure.is_user() => {
            Error::new(ErrorKind::Invalid, "Unsendable", said())
        }
        SdkError::DispatchFailure(_) if is_refused(error) => {
            Error::new(ErrorKind::Gone, "ConnectionRefused", said())
        }
        SdkError::DispatchFailure(_) => {
            Error::new(ErrorKind::Transient, "ConnectionBroken", said())
        }
        _ => Error::new(ErrorKind::Invalid, "Unsendable", said()),
    }
}

fn retry_after(response: &HttpResponse) -> Option<Duration> {
    // delay in milliseconds, then the standard header in seconds
    let number = |name| {
        response
            .headers()
            .get(name)
            .and_then(|text| text.trim().parse::<u64>().ok())
    };
    number("x-amz-retry-after")
        .map(Duration::from_millis)
        .or_else(|| number("retry-after").map(Duration::from_secs))
}

fn caused_by_credentials<E: std::error::Error + 'static>(error: &E) -> bool {
    causes(error).any(|cause| cause.downcast_ref::<CredentialsError>().is_some())
}

fn is_refused<E: std::error::Error + 'static>(error: &E) -> bool {
    causes(error)
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|error| {
            matches!(
                error.kind(),
                std::io::ErrorKind::ConnectionRefused | std::io::ErrorKind::HostUnreachable
            )
        })
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

fn causes<'a, E: std::error::Error + 'static>(error: &'a E) -> impl Iterator<Item = Cause<'a>> {
    fn next<'a>(cause: &Cause<'a>) -> Option<Cause<'a>> {
        (*cause).source()
    }
    std::iter::successors(error.source(), next)
}
