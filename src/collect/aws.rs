//! The queue and the buckets at AWS: aws-sdk-sqs, and object_store on
//! aws-config's credentials.

use std::{
    collections::{BTreeSet, HashMap},
    error::Error,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use aws_config::{Region, SdkConfig};
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_sdk_sqs::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    types::{MessageSystemAttributeName, QueueAttributeName},
};
use futures_util::{StreamExt, TryStreamExt, stream::BoxStream};
use jiff::Timestamp;
use object_store::{
    ClientOptions, CredentialProvider, Error as StoreError, ObjectStore, ObjectStoreExt,
    RetryConfig,
    aws::{AmazonS3, AmazonS3Builder, AwsCredential, resolve_bucket_region},
    path::Path,
};
use serde::Deserialize;
use tokio::time::{Instant, timeout};

use super::{
    envelope::ObjectRef,
    queue::{Answer, Body, Message, Messages, MessagesError, Objects, ObjectsError},
    trails::{Keys, Listing},
};
use crate::{
    clock::Clock,
    upstream::{loader, simulator_key},
};

/// Time to reach a connection; a working path takes a tenth.
const CONNECT: Duration = Duration::from_secs(5);
/// Time for an answer, beside what a receive waits: SQS answers in a part of a
/// second.
const ANSWER: Duration = Duration::from_secs(10);
/// The longest that a receive waits (SQS).
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// How long credentials are held that say nothing else: they may be replaced.
const HOLD: Duration = Duration::from_secs(300);
/// How long credentials must last that are given: a request takes its time.
const ALMOST_EXPIRED: Duration = Duration::from_secs(60);
/// The most buckets that a client is kept for: organisations have a few.
const MAX_BUCKETS: usize = 256;

/// What is said of a bucket that is not there.
pub const NO_BUCKET: &str = "NoSuchBucket";
/// What a bucket says that is not where it was asked for.
pub const OTHER_REGION: &str = "the bucket is in another Region";

/// How the queue and the buckets are reached.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Replaces AWS's endpoints, of both.
    pub endpoint_url: Option<String>,
    /// The Region of the queue where its URL names none, and of buckets of which
    /// nothing else is told; `None`: that of the environment or profile.
    pub region: Option<String>,
    /// The account whose id is the access key id, for a simulator; `None`: the
    /// AWS credential chain.
    pub simulated: Option<String>,
}

/// Reads aws-config's environment and profile; makes no request.
pub(super) async fn config(options: &Options, queue_url: &str) -> SdkConfig {
    let mut loader = loader(LONGEST_WAIT + ANSWER);
    if let Some(url) = &options.endpoint_url {
        loader = loader.endpoint_url(url);
    }
    let region = region_of(queue_url).or_else(|| options.region.clone());
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Some(account) = &options.simulated {
        loader = loader.credentials_provider(simulator_key(account));
    }
    loader.load().await
}

/// `sqs.<region>.amazonaws.com`, and its older form `<region>.queue.amazonaws.com`.
fn region_of(queue_url: &str) -> Option<String> {
    let (_, rest) = queue_url.split_once("://")?;
    let host = rest.split('/').next()?;
    let region = match host.strip_prefix("sqs.") {
        Some(rest) => rest.split_once(".amazonaws.com")?.0,
        None => host.split_once(".queue.amazonaws.com")?.0,
    };
    Some(region.to_owned())
}

/// A queue.
#[derive(Debug)]
pub(super) struct Sqs {
    client: Client,
    url: String,
}

impl Sqs {
    pub(super) fn new(config: &SdkConfig, url: &str) -> Self {
        Self {
            client: Client::new(config),
            url: url.to_owned(),
        }
    }
}

/// A redrive policy, as far as it is looked at.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Redrive {
    /// A number, or a number in quotes.
    #[serde(deserialize_with = "number")]
    max_receive_count: u32,
}

fn number<'de, D: serde::Deserializer<'de>>(given: D) -> Result<u32, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Given {
        Number(u32),
        Text(String),
    }
    match Given::deserialize(given)? {
        Given::Number(number) => Ok(number),
        Given::Text(text) => text.parse().map_err(serde::de::Error::custom),
    }
}

impl Messages for Sqs {
    fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Answer<'_, Vec<Message>, MessagesError> {
        Box::pin(async move {
            let answer = self
                .client
                .receive_message()
                .queue_url(&self.url)
                .max_number_of_messages(i32::try_from(max).unwrap_or(10))
                .wait_time_seconds(seconds(wait.min(LONGEST_WAIT)))
                .visibility_timeout(seconds(visibility))
                .message_system_attribute_names(MessageSystemAttributeName::ApproximateReceiveCount)
                .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
                .send()
                .await
                .map_err(|error| refusal(&error))?;
            let messages = answer.messages.unwrap_or_default().into_iter();
            Ok(messages.map(message).collect())
        })
    }

    fn delete<'a>(&'a self, receipt: &'a str) -> Answer<'a, (), MessagesError> {
        Box::pin(async move {
            let delete = self.client.delete_message().queue_url(&self.url);
            let answer = delete.receipt_handle(receipt).send().await;
            answer.map(|_| ()).map_err(|error| refusal(&error))
        })
    }

    fn extend<'a>(
        &'a self,
        receipt: &'a str,
        visibility: Duration,
    ) -> Answer<'a, (), MessagesError> {
        Box::pin(async move {
            let extend = self.client.change_message_visibility();
            let extend = extend.queue_url(&self.url).receipt_handle(receipt);
            let answer = extend.visibility_timeout(seconds(visibility)).send().await;
            answer.map(|_| ()).map_err(|error| refusal(&error))
        })
    }

    fn dead_letter(&self) -> Answer<'_, Option<u32>, MessagesError> {
        Box::pin(async move {
            let ask = self.client.get_queue_attributes().queue_url(&self.url);
            let ask = ask.attribute_names(QueueAttributeName::RedrivePolicy);
            let answer = ask.send().await.map_err(|error| refusal(&error))?;
            let policy = answer.attributes.unwrap_or_default();
            let Some(policy) = policy.get(&QueueAttributeName::RedrivePolicy) else {
                return Ok(None);
            };
            let policy: Redrive = serde_json::from_str(policy).map_err(|error| {
                MessagesError::Failed(format!("the redrive policy cannot be read: {error}"))
            })?;
            Ok(Some(policy.max_receive_count))
        })
    }
}

fn message(message: aws_sdk_sqs::types::Message) -> Message {
    let attribute = |name| message.attributes.as_ref()?.get(&name)?.parse::<i64>().ok();
    let received = attribute(MessageSystemAttributeName::ApproximateReceiveCount);
    let sent = attribute(MessageSystemAttributeName::SentTimestamp);
    Message {
        receive_count: received.and_then(|n| n.try_into().ok()).unwrap_or_default(),
        sent_at: sent.map(|millis| millis.div_euclid(1000)),
        id: message.message_id.unwrap_or_default(),
        receipt: message.receipt_handle.unwrap_or_default(),
        body: message.body.unwrap_or_default(),
    }
}

fn seconds(span: Duration) -> i32 {
    i32::try_from(span.as_secs()).unwrap_or(i32::MAX)
}

/// What went wrong, by its code: what the SDK says beside may name keys.
fn refusal<E: ProvideErrorMetadata, R>(error: &SdkError<E, R>) -> MessagesError {
    let Some(code) = error.code() else {
        let how = match error {
            SdkError::TimeoutError(_) => "Timeout",
            SdkError::DispatchFailure(failure) if failure.is_user() => "CredentialsOrEndpoint",
            SdkError::DispatchFailure(_) => "Connection",
            SdkError::ConstructionFailure(_) => "Unsendable",
            _ => "NoAnswer",
        };
        return MessagesError::Failed(how.to_owned());
    };
    // Smithy's JSON services put a namespace before it
    let code = code.rsplit(['#', '.']).next().unwrap_or(code);
    match code {
        "ReceiptHandleIsInvalid" | "MessageNotInflight" | "InvalidParameterValue" => {
            MessagesError::ReceiptGone
        }
        "AccessDenied"
        | "AccessDeniedException"
        | "KmsAccessDenied"
        | "InvalidSecurity"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "ExpiredToken" => MessagesError::Denied(code.to_owned()),
        code => MessagesError::Failed(code.to_owned()),
    }
}

/// Buckets.
#[derive(Debug)]
pub struct Buckets {
    endpoint_url: Option<String>,
    region: String,
    credentials: Arc<Chain>,
    /// Regions of buckets, where that was found out.
    regions: Mutex<HashMap<String, String>>,
    stores: Mutex<HashMap<(String, String), Arc<AmazonS3>>>,
}

/// aws-config's credentials for object_store, which wants some for each request.
#[derive(Debug)]
struct Chain {
    provider: Option<SharedCredentialsProvider>,
    clock: Clock,
    /// Who asks while others do waits for what they get.
    held: tokio::sync::Mutex<Option<Held>>,
}

/// Credentials that were given.
#[derive(Debug)]
struct Held {
    credential: Arc<AwsCredential>,
    since: Instant,
    expires: Option<Timestamp>,
}

impl Chain {
    fn new(provider: Option<SharedCredentialsProvider>) -> Self {
        Self {
            provider,
            clock: Clock::system(),
            held: tokio::sync::Mutex::default(),
        }
    }

    async fn credential(&self) -> object_store::Result<Arc<AwsCredential>> {
        let mut held = self.held.lock().await;
        let soon = self.clock.now().saturating_add(ALMOST_EXPIRED);
        let soon = soon.unwrap_or(Timestamp::MAX);
        if let Some(held) = &*held
            && held.since.elapsed() < HOLD
            && held.expires.is_none_or(|expires| soon < expires)
        {
            return Ok(Arc::clone(&held.credential));
        }
        let failed = |source: Box<dyn Error + Send + Sync>| StoreError::Generic {
            store: "S3",
            source,
        };
        let provider = self.provider.as_ref();
        let provider = provider.ok_or_else(|| failed("no credentials".into()))?;
        let found = provider.provide_credentials().await;
        let found = found.map_err(|error| failed(Box::new(error)))?;
        let credential = Arc::new(AwsCredential {
            key_id: found.access_key_id().to_owned(),
            secret_key: found.secret_access_key().to_owned(),
            token: found.session_token().map(str::to_owned),
        });
        *held = Some(Held {
            credential: Arc::clone(&credential),
            since: Instant::now(),
            // one that no calendar has is far away
            expires: found.expiry().and_then(|at| Timestamp::try_from(at).ok()),
        });
        Ok(credential)
    }
}

/// What a credential provider gives.
type Giving<'a> =
    Pin<Box<dyn Future<Output = object_store::Result<Arc<AwsCredential>>> + Send + 'a>>;

impl CredentialProvider for Chain {
    type Credential = AwsCredential;

    fn get_credential<'a, 'b>(&'a self) -> Giving<'b>
    where
        'a: 'b,
        Self: 'b,
    {
        Box::pin(self.credential())
    }
}

impl Buckets {
    /// # Errors
    /// If no Region is known.
    pub(super) fn new(config: &SdkConfig, options: &Options) -> Option<Self> {
        Some(Self {
            endpoint_url: options.endpoint_url.clone(),
            region: config.region()?.to_string(),
            credentials: Arc::new(Chain::new(config.credentials_provider())),
            regions: Mutex::default(),
            stores: Mutex::default(),
        })
    }

    /// Finds out in which Regions buckets are of which nothing tells it; those that
    /// do not say are taken to be in the Region of the settings.
    pub async fn find_regions<'a>(&self, buckets: impl IntoIterator<Item = &'a str>) {
        if self.endpoint_url.is_some() {
            return;
        }
        let buckets: BTreeSet<&str> = buckets.into_iter().collect();
        for bucket in buckets {
            let client = client();
            let asked = timeout(ANSWER, resolve_bucket_region(bucket, &client)).await;
            let asked = match asked {
                Ok(asked) => asked.map_err(|error| error.to_string()),
                Err(_late) => Err(format!("no answer within {ANSWER:?}")),
            };
            match asked {
                Ok(region) => {
                    let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
                    regions.insert(bucket.to_owned(), region);
                }
                Err(error) => {
                    let region = &self.region;
                    tracing::warn!(bucket, %error, region, "cannot tell a bucket's Region");
                }
            }
        }
    }

    /// Buckets as the environment, the profile and `options` say; makes no request.
    /// `None`: no Region is known.
    pub async fn open(options: &Options) -> Option<Self> {
        Self::new(&config(options, "").await, options)
    }

    /// The same buckets, read with other credentials. What is known of their Regions
    /// stays known.
    #[must_use]
    pub fn with_credentials(&self, credentials: SharedCredentialsProvider) -> Self {
        let regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        Self {
            endpoint_url: self.endpoint_url.clone(),
            region: self.region.clone(),
            credentials: Arc::new(Chain::new(Some(credentials))),
            regions: Mutex::new(regions.clone()),
            stores: Mutex::default(),
        }
    }

    /// Takes a bucket to be in a Region.
    pub fn assume_region(&self, bucket: &str, region: &str) {
        let mut regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
        regions.insert(bucket.to_owned(), region.to_owned());
    }

    /// The keys that begin with `prefix`, in their order, with their sizes in bytes;
    /// of them those behind `start_after`. They are asked for as they are read.
    ///
    /// # Errors
    /// If a bucket does not answer: the stream has no more then.
    pub fn list(
        &self,
        bucket: &str,
        prefix: &str,
        start_after: Option<&str>,
    ) -> BoxStream<'static, Result<(String, u64), ObjectsError>> {
        // object_store lists what is below a path: what begins with the rest is
        // among that
        let below = prefix.rsplit_once('/').map(|(below, _)| below);
        let path = |text: &str| {
            Path::parse(text).map_err(|_| {
                ObjectsError::Failed(
                    "the prefix has empty parts, or signs that are not read".into(),
                )
            })
        };
        // and what is before it there need not be listed
        let just_before = match prefix.char_indices().next_back() {
            Some((at, last)) if last != '/' => Some(prefix.split_at(at).0),
            _ => None,
        };
        let just_before = just_before.filter(|key| !key.is_empty() && !key.ends_with('/'));
        let start_after = start_after.or(just_before);
        let opened = || {
            let below = below.map(path).transpose()?;
            let after = start_after.map(path).transpose()?;
            let store = self.store(bucket, None).map_err(|error| refused(&error))?;
            Ok(match after {
                Some(after) => store.list_with_offset(below.as_ref(), &after),
                None => store.list(below.as_ref()),
            })
        };
        let listed = match opened() {
            Ok(listed) => listed,
            Err(error) => return Box::pin(futures_util::stream::iter([Err(error)])),
        };
        let (prefix, end) = (prefix.to_owned(), prefix.to_owned());
        let found = listed.map_err(|error| refused(&error));
        let found = found.map_ok(|found| (String::from(found.location), found.size));
        // keys are in order: those with the prefix stand together
        let is_over = move |key: &str| key > end.as_str() && !key.starts_with(end.as_str());
        let found = found.try_take_while(move |(key, _)| std::future::ready(Ok(!is_over(key))));
        Box::pin(
            found.try_filter(move |(key, _)| std::future::ready(key.starts_with(prefix.as_str()))),
        )
    }

    /// The client of a bucket.
    fn store(&self, bucket: &str, region: Option<&str>) -> object_store::Result<Arc<AmazonS3>> {
        let region = match region {
            Some(region) => region.to_owned(),
            None => {
                let regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
                regions.get(bucket).unwrap_or(&self.region).clone()
            }
        };
        let key = (bucket.to_owned(), region.clone());
        // clients alone: right after a panic elsewhere
        let mut stores = self.stores.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(store) = stores.get(&key) {
            return Ok(Arc::clone(store));
        }
        let builder = AmazonS3Builder::new().with_retry(RetryConfig {
            // the collector's own
            max_retries: 0,
            ..RetryConfig::default()
        });
        let store = Arc::new(self.build(bucket, region, builder, client())?);
        if stores.len() >= MAX_BUCKETS {
            stores.clear();
        }
        stores.insert(key, Arc::clone(&store));
        Ok(store)
    }
}

impl Buckets {
    /// A client of a bucket, made as `builder` and `client` say.
    pub(super) fn client(
        &self,
        bucket: &str,
        builder: AmazonS3Builder,
        client: ClientOptions,
    ) -> object_store::Result<AmazonS3> {
        let region = {
            let regions = self.regions.lock().unwrap_or_else(PoisonError::into_inner);
            regions.get(bucket).unwrap_or(&self.region).clone()
        };
        self.build(bucket, region, builder, client)
    }

    fn build(
        &self,
        bucket: &str,
        region: String,
        builder: AmazonS3Builder,
        client: ClientOptions,
    ) -> object_store::Result<AmazonS3> {
        let builder = builder
            .with_bucket_name(bucket)
            .with_region(region)
            .with_credentials(Arc::clone(&self.credentials) as _);
        let builder = match &self.endpoint_url {
            Some(url) => {
                let client = client.with_allow_http(url.starts_with("http://"));
                builder.with_endpoint(url).with_client_options(client)
            }
            None => builder.with_client_options(client),
        };
        builder.build()
    }
}

impl Objects for Buckets {
    fn get<'a>(&'a self, object: &'a ObjectRef) -> Answer<'a, Body, ObjectsError> {
        Box::pin(async move {
            let path = path(&object.key)?;
            let store = self.store(&object.bucket, object.region.as_deref());
            let store = store.map_err(|error| refused(&error))?;
            let got = store.get(&path).await.map_err(|error| refused(&error))?;
            let body = got.into_stream().map_err(|error| refused(&error));
            Ok(Box::pin(body.fuse()) as Body)
        })
    }
}

fn client() -> ClientOptions {
    ClientOptions::new()
        .with_connect_timeout(CONNECT)
        // a large file takes its time; the collector looks that it goes on
        .with_timeout_disabled()
}

impl Listing for Buckets {
    fn below<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
    ) -> Answer<'a, Vec<String>, ObjectsError> {
        Box::pin(async move {
            let store = self.store(bucket, None).map_err(|error| refused(&error))?;
            let listed = store.list_with_delimiter(Some(&path(prefix)?)).await;
            let listed = listed.map_err(|error| refused(&error))?;
            let names = listed.common_prefixes.iter();
            let mut names: Vec<String> = names
                .filter_map(|prefix| Some(prefix.filename()?.to_owned()))
                .collect();
            names.sort_unstable();
            Ok(names)
        })
    }

    fn keys(&self, bucket: &str, prefix: &str, after: &str) -> Keys {
        Box::pin(
            self.list(bucket, prefix, Some(after))
                .map_ok(|(key, _)| key),
        )
    }
}

fn path(key: &str) -> Result<Path, ObjectsError> {
    Path::parse(key).map_err(|_| {
        ObjectsError::Failed("its key has empty parts, or signs that are not read".into())
    })
}

/// What went wrong, in words that name no keys.
fn refused(error: &StoreError) -> ObjectsError {
    // a bucket that is not there is no object that is not there
    let has = |code: &str| format!("{error:?}").contains(code);
    match error {
        _ if has("NoSuchBucket") => ObjectsError::Failed(NO_BUCKET.to_owned()),
        StoreError::NotFound { .. } => ObjectsError::NotFound,
        StoreError::PermissionDenied { .. } => ObjectsError::Denied("AccessDenied".to_owned()),
        StoreError::Unauthenticated { .. } => ObjectsError::Denied("Unauthenticated".to_owned()),
        // a listing has its error wrapped
        _ if has("status: 403") => ObjectsError::Denied("AccessDenied".to_owned()),
        // S3 redirects without saying where to
        _ if has("BareRedirect")
            || has("PermanentRedirect")
            || has("AuthorizationHeaderMalformed") =>
        {
            ObjectsError::Failed(OTHER_REGION.to_owned())
        }
        _ if has("no credentials") || has("CredentialsNotLoaded") => {
            let none = "no AWS credentials were found in the environment, profile or role";
            ObjectsError::Failed(none.to_owned())
        }
        _ if has("SlowDown") => ObjectsError::Failed("SlowDown".to_owned()),
        _ if has("Connect") => ObjectsError::Failed("its endpoint could not be reached".to_owned()),
        _ => {
            tracing::debug!(%error, "a bucket did not answer");
            ObjectsError::Failed("NoAnswer".to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

    use aws_credential_types::{Credentials, provider::future};

    use super::*;

    /// Gives other credentials each time, which last for an hour.
    #[derive(Debug)]
    struct Hourly(Clock, Arc<AtomicU64>);

    impl ProvideCredentials for Hourly {
        fn provide_credentials<'a>(&'a self) -> future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            let nth = self.1.fetch_add(1, Relaxed);
            let expires = self.0.now() + Duration::from_secs(3600 * u64::from(nth > 0) + 120);
            let expires = Some(expires.into());
            future::ProvideCredentials::ready(Ok(Credentials::new(
                nth.to_string(),
                "secret",
                None,
                expires,
                "test",
            )))
        }
    }

    #[tokio::test(start_paused = true)]
    async fn credentials_are_asked_for_once_in_a_while() {
        let asked = Arc::default();
        let provider = Hourly(Clock::system(), Arc::clone(&asked));
        let chain = Chain::new(Some(SharedCredentialsProvider::new(provider)));
        let key = async || chain.credential().await.unwrap().key_id.clone();
        assert_eq!(key().await, "0");
        assert_eq!(key().await, "0");
        // the first ones last two minutes
        tokio::time::advance(Duration::from_secs(61)).await;
        assert_eq!(key().await, "1");
        tokio::time::advance(HOLD - Duration::from_secs(1)).await;
        assert_eq!(key().await, "1");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(key().await, "2");
        assert!(Chain::new(None).credential().await.is_err());
    }

    #[test]
    fn a_queues_url_tells_its_region() {
        for (url, region) in [
            (
                "https://sqs.eu-central-1.amazonaws.com/1/q",
                Some("eu-central-1"),
            ),
            (
                "https://eu-west-1.queue.amazonaws.com/1/q",
                Some("eu-west-1"),
            ),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/1/q",
                Some("cn-north-1"),
            ),
            ("http://localhost:4566/1/q", None),
            ("q", None),
        ] {
            assert_eq!(region_of(url).as_deref(), region, "{url}");
        }
    }

    #[test]
    fn a_redrive_policy_is_read_in_both_forms() {
        for policy in [
            "{\"maxReceiveCount\":5}",
            "{\"deadLetterTargetArn\":\"x\",\"maxReceiveCount\":\"5\"}",
        ] {
            let read: Redrive = serde_json::from_str(policy).unwrap();
            assert_eq!(read.max_receive_count, 5);
        }
    }
}
