//! Settings as they are given: on the command line or in the environment.

use std::{fmt, net::SocketAddr, path::PathBuf};

use clap::{Args, ValueEnum, builder::BoolishValueParser};
use serde::{
    Deserialize, Deserializer, Serialize,
    de::{SeqAccess, Visitor},
};

use super::{History, Size, Span};

/// How log lines look.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Whose keys sign requests to AWS.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Credentials {
    /// The AWS credential chain: environment, profile, SSO, web identity,
    /// container, instance
    Chain,
    /// The account's id as access key id, as `trailgate simulate` expects
    Simulator,
}

/// What of a scope is polled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Poll {
    /// What is new, and each stretch of time once more when it is settled
    Full,
    /// Each stretch of time once, when it is settled
    Settle,
    /// Nothing
    Off,
}

/// Every setting of the server; none is required. A file has the same names
/// with underscores.
#[derive(Clone, Debug, Default, PartialEq, Args, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Read settings from this YAML file
    #[arg(long, value_name = "FILE", env = "TRAILGATE_CONFIG")]
    #[serde(skip)]
    pub config: Option<PathBuf>,

    /// Serve made-up events, live, from a simulator inside: needs no AWS
    #[arg(long, env = "TRAILGATE_DEMO", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true",
          value_parser = BoolishValueParser::new())]
    pub demo: Option<bool>,

    /// Where gRPC listens; port 0 takes a free one [default: 127.0.0.1:50051]
    #[arg(long, value_name = "ADDRESS", env = "TRAILGATE_LISTEN")]
    pub listen: Option<SocketAddr>,

    /// Where HTTP listens, for the console, /livez, /readyz and /metrics [default:
    /// 127.0.0.1:8080]
    #[arg(long, value_name = "ADDRESS", env = "TRAILGATE_HTTP_LISTEN")]
    pub http_listen: Option<SocketAddr>,

    /// Serve the console's pages on the HTTP port [default: where that listens on
    /// loopback]
    #[arg(long, env = "TRAILGATE_CONSOLE", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    pub console: Option<bool>,

    /// A name that browsers may call the console by (repeatable) [default: on loopback
    /// localhost, elsewhere any]
    #[arg(
        long,
        value_name = "HOST",
        env = "TRAILGATE_CONSOLE_HOST",
        value_delimiter = ','
    )]
    #[serde(default, alias = "console_hosts", deserialize_with = "one_or_many")]
    pub console_host: Vec<String>,

    /// The proxy that says whom it brings to the console: the name in its certificate,
    /// or loopback for whoever calls from this machine
    #[arg(long, value_name = "NAME", env = "TRAILGATE_CONSOLE_PROXY")]
    pub console_proxy: Option<String>,

    /// The header in which --console-proxy says so, which it takes away from what
    /// browsers send [default: x-forwarded-user]
    #[arg(long, value_name = "HEADER", env = "TRAILGATE_CONSOLE_USER_HEADER")]
    pub console_user_header: Option<String>,

    /// Listen beyond loopback where nobody is asked who they are, or in plain text
    #[arg(long, env = "TRAILGATE_INSECURE", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true",
          value_parser = BoolishValueParser::new())]
    pub insecure: Option<bool>,

    /// Ask this endpoint instead of AWS
    #[arg(long, value_name = "URL", env = "TRAILGATE_AWS_ENDPOINT_URL")]
    pub aws_endpoint_url: Option<String>,

    /// Whose keys sign [default: simulator for an http:// endpoint on this
    /// machine with --account, else chain]
    #[arg(long, value_name = "WHOSE", env = "TRAILGATE_CREDENTIALS")]
    pub credentials: Option<Credentials>,

    /// An account to search (repeatable); with --organization, none but these
    /// [default: that of the credentials]
    #[arg(
        long,
        value_name = "ID",
        env = "TRAILGATE_ACCOUNT",
        value_delimiter = ','
    )]
    #[serde(default, alias = "accounts", deserialize_with = "one_or_many")]
    pub account: Vec<String>,

    /// An account not to search (repeatable)
    #[arg(
        long,
        value_name = "ID",
        env = "TRAILGATE_EXCLUDE_ACCOUNT",
        value_delimiter = ','
    )]
    #[serde(default, alias = "exclude_accounts", deserialize_with = "one_or_many")]
    pub exclude_account: Vec<String>,

    /// Search all active accounts of the organization; needs --assume-role-arn
    #[arg(long, env = "TRAILGATE_ORGANIZATION", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true",
          value_parser = BoolishValueParser::new())]
    pub organization: Option<bool>,

    /// The role to assume in each account, such as
    /// arn:aws:iam::{account}:role/TrailgateReader; {partition} stands for aws,
    /// aws-us-gov or aws-cn
    #[arg(long, value_name = "PATTERN", env = "TRAILGATE_ASSUME_ROLE_ARN")]
    pub assume_role_arn: Option<String>,

    /// The external id that the roles' trust policies ask for
    #[arg(
        long,
        value_name = "TEXT",
        env = "TRAILGATE_ASSUME_ROLE_EXTERNAL_ID",
        hide_env_values = true
    )]
    pub assume_role_external_id: Option<String>,

    /// The name of the sessions, which the accounts' events show [default: trailgate]
    #[arg(long, value_name = "NAME", env = "TRAILGATE_ASSUME_ROLE_SESSION_NAME")]
    pub assume_role_session_name: Option<String>,

    /// Assume the role also in the account of the credentials, which is asked
    /// with these otherwise
    #[arg(long, env = "TRAILGATE_ASSUME_ROLE_IN_OWN_ACCOUNT", value_name = "BOOL",
          num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    pub assume_role_in_own_account: Option<bool>,

    /// A profile of ~/.aws/config whose account is searched with its
    /// credentials (repeatable); ACCOUNT=NAME where STS cannot be asked
    #[arg(
        long,
        value_name = "NAME",
        env = "TRAILGATE_PROFILE",
        value_delimiter = ','
    )]
    #[serde(default, alias = "profiles", deserialize_with = "one_or_many")]
    pub profile: Vec<String>,

    /// A Region to search (repeatable) [default: that of the environment or profile]
    #[arg(
        long,
        value_name = "REGION",
        env = "TRAILGATE_REGION",
        value_delimiter = ','
    )]
    #[serde(default, alias = "regions", deserialize_with = "one_or_many")]
    pub region: Vec<String>,

    /// Search all Regions that an account has enabled
    #[arg(long, env = "TRAILGATE_ALL_REGIONS", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true",
          value_parser = BoolishValueParser::new())]
    pub all_regions: Option<bool>,

    /// A Region not to search (repeatable)
    #[arg(
        long,
        value_name = "REGION",
        env = "TRAILGATE_EXCLUDE_REGION",
        value_delimiter = ','
    )]
    #[serde(default, alias = "exclude_regions", deserialize_with = "one_or_many")]
    pub exclude_region: Vec<String>,

    /// How often --organization and --all-regions look again; 0s: only at
    /// start [default: 1h]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_SCOPE_REFRESH")]
    pub scope_refresh: Option<Span>,

    /// Requests a second that each scope may spend; 0: unmetered, for a
    /// simulator only [default: 2]
    #[arg(
        long,
        value_name = "N",
        env = "TRAILGATE_RATE",
        allow_negative_numbers = true
    )]
    pub rate: Option<f64>,

    /// How far back AWS can be asked, or "unlimited" [default: 90d]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_HISTORY")]
    pub history: Option<History>,

    /// Memory for events that were read [default: 256MB]
    #[arg(long, value_name = "SIZE", env = "TRAILGATE_CACHE_SIZE")]
    pub cache_size: Option<Size>,

    /// How long after its end a stretch of time must be read to count as
    /// settled [default: 15m]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_SETTLE_HORIZON")]
    pub settle_horizon: Option<Span>,

    /// An SQS queue that brings new events: log files announced by S3, SNS,
    /// EventBridge or the trail, and EventBridge events (repeatable)
    #[arg(
        long,
        value_name = "URL",
        env = "TRAILGATE_QUEUE",
        value_delimiter = ','
    )]
    #[serde(default, alias = "queues", deserialize_with = "one_or_many")]
    pub queue: Vec<String>,

    /// Ask this endpoint for queues and buckets instead of AWS [default: that of
    /// --aws-endpoint-url]
    #[arg(long, value_name = "URL", env = "TRAILGATE_QUEUE_ENDPOINT_URL")]
    pub queue_endpoint_url: Option<String>,

    /// Where a trail's files are: s3://BUCKET[/PREFIX]. They are listed for what
    /// was delivered before a start and a subscription was not told (repeatable)
    #[arg(
        long,
        value_name = "URL",
        env = "TRAILGATE_TRAIL",
        value_delimiter = ','
    )]
    #[serde(default, alias = "trails", deserialize_with = "one_or_many")]
    pub trail: Vec<String>,

    /// Read log files of this account only, from queues (repeatable) [default: all]
    #[arg(
        long,
        value_name = "ID",
        env = "TRAILGATE_QUEUE_ACCOUNT",
        value_delimiter = ','
    )]
    #[serde(default, alias = "queue_accounts", deserialize_with = "one_or_many")]
    pub queue_account: Vec<String>,

    /// Read log files of this Region only, from queues (repeatable) [default: all]
    #[arg(
        long,
        value_name = "REGION",
        env = "TRAILGATE_QUEUE_REGION",
        value_delimiter = ','
    )]
    #[serde(default, alias = "queue_regions", deserialize_with = "one_or_many")]
    pub queue_region: Vec<String>,

    /// Read objects of this bucket only, from queues (repeatable) [default: all]
    #[arg(
        long,
        value_name = "NAME",
        env = "TRAILGATE_QUEUE_BUCKET",
        value_delimiter = ','
    )]
    #[serde(default, alias = "queue_buckets", deserialize_with = "one_or_many")]
    pub queue_bucket: Vec<String>,

    /// Read objects whose key begins so only, from queues (repeatable) [default: all]
    #[arg(
        long,
        value_name = "PREFIX",
        env = "TRAILGATE_QUEUE_PREFIX",
        value_delimiter = ','
    )]
    #[serde(default, alias = "queue_prefixes", deserialize_with = "one_or_many")]
    pub queue_prefix: Vec<String>,

    /// What is asked of scopes that someone subscribes to: what is new and what
    /// is settled; what is settled, once, which proves what a queue brings; or
    /// nothing [default: full; with --queue: settle]
    #[arg(long, value_name = "WHAT", env = "TRAILGATE_POLL")]
    pub poll: Option<Poll>,

    /// How often a scope is asked for new events while someone subscribes to it
    /// and something happens there [default: 5s]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_POLL_INTERVAL")]
    pub poll_interval: Option<Span>,

    /// How often where nothing happens [default: 30s, or the poll interval if
    /// that is longer]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_POLL_MAX_INTERVAL")]
    pub poll_max_interval: Option<Span>,

    /// Memory for events that arrived, for subscribers who read slowly [default: 64MB]
    #[arg(long, value_name = "SIZE", env = "TRAILGATE_FEED_SIZE")]
    pub feed_size: Option<Size>,

    /// Keep every event that arrives: in this directory, or below
    /// s3://BUCKET[/PREFIX], as Parquet files that others read, too
    #[arg(long, value_name = "PLACE", env = "TRAILGATE_ARCHIVE")]
    pub archive: Option<String>,

    /// How often what arrived is committed to the archive [default: 60s]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_ARCHIVE_INTERVAL")]
    pub archive_interval: Option<Span>,

    /// How often small files of the archive are merged [default: 15m]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_ARCHIVE_COMPACTION")]
    pub archive_compaction: Option<Span>,

    /// How long events are kept in the archive, in whole days, or unlimited
    /// [default: unlimited]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_ARCHIVE_RETENTION")]
    pub archive_retention: Option<History>,

    /// Memory for writing and compacting the archive [default: 256MB]
    #[arg(long, value_name = "SIZE", env = "TRAILGATE_ARCHIVE_MEMORY")]
    pub archive_memory: Option<Size>,

    /// The longest that a page may take, unless the caller's deadline is
    /// sooner [default: 60s]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_REQUEST_TIMEOUT")]
    pub request_timeout: Option<Span>,

    /// Requests to AWS that a page may buy, unless the caller says so [default: 200]
    #[arg(long, value_name = "N", env = "TRAILGATE_MAX_UPSTREAM_CALLS")]
    pub max_upstream_calls: Option<u64>,

    /// Requests to AWS that a caller may buy in a UTC day; 0: any number [default: 0]
    #[arg(long, value_name = "N", env = "TRAILGATE_CALLER_DAILY_REQUESTS")]
    pub caller_daily_requests: Option<u64>,

    /// Calls that a caller may begin in a second; 0: any number [default: 0]
    #[arg(long, value_name = "N", env = "TRAILGATE_CALLER_CALLS_PER_SECOND")]
    pub caller_calls_per_second: Option<u32>,

    /// Write a line of JSON for each call to a file, or with - to standard output: who
    /// asked what, how many events were told and how many requests bought
    #[arg(long, value_name = "FILE", env = "TRAILGATE_AUDIT_LOG")]
    pub audit_log: Option<PathBuf>,

    /// How long calls may take to finish once the server is told to stop [default: 30s]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_SHUTDOWN_GRACE")]
    pub shutdown_grace: Option<Span>,

    /// Servers that share the accounts' quotas, 1 to 64. Each has an Nth of --rate
    /// and of --caller-daily-requests, and never takes what others leave [default: 1]
    #[arg(long, value_name = "N", env = "TRAILGATE_REPLICAS")]
    pub replicas: Option<u32>,

    /// How long a connection may be called on, less up to a tenth, so that callers
    /// spread over servers anew: then calls under way finish, and subscriptions end
    /// with a token after the shutdown grace [default: for ever]
    #[arg(long, value_name = "SPAN", env = "TRAILGATE_MAX_CONNECTION_AGE")]
    pub max_connection_age: Option<Span>,

    /// How log lines look [default: text]
    #[arg(long, value_name = "FORMAT", env = "TRAILGATE_LOG_FORMAT")]
    pub log_format: Option<LogFormat>,

    /// Which log lines are written: error, warn, info, debug, trace, or
    /// tracing directives such as info,trailgate=debug [default: info]
    #[arg(long, value_name = "LEVEL", env = "TRAILGATE_LOG_LEVEL")]
    pub log_level: Option<String>,

    /// Export traces by OTLP to this collector's port for gRPC, such as
    /// http://127.0.0.1:4317 [default: no traces]
    #[arg(long, value_name = "URL", env = "TRAILGATE_OTLP_ENDPOINT")]
    pub otlp_endpoint: Option<String>,

    /// Which part of the traces that begin here is exported, 0 to 1; whoever calls with
    /// a trace has decided for that one [default: 1]
    #[arg(
        long,
        value_name = "PART",
        env = "TRAILGATE_TRACE_SAMPLE",
        allow_negative_numbers = true
    )]
    pub trace_sample: Option<f64>,

    /// Serve both ports by TLS: the certificate, and those between it and its
    /// authority, in PEM. Read again when it changes
    #[arg(long, value_name = "FILE", env = "TRAILGATE_TLS_CERT")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's private key, in PEM
    #[arg(long, value_name = "FILE", env = "TRAILGATE_TLS_KEY")]
    pub tls_key: Option<PathBuf>,

    /// Answer those alone who show a certificate of these authorities, in PEM;
    /// its URI, else its DNS name, is the caller
    #[arg(long, value_name = "FILE", env = "TRAILGATE_TLS_CLIENT_CA")]
    pub tls_client_ca: Option<PathBuf>,

    /// Answer those who send a bearer token of this issuer: the claim iss of its JSON
    /// Web Tokens
    #[arg(long, value_name = "URL", env = "TRAILGATE_JWT_ISSUER")]
    pub jwt_issuer: Option<String>,

    /// The audience that tokens are for (repeatable; one is enough)
    #[arg(
        long,
        value_name = "NAME",
        env = "TRAILGATE_JWT_AUDIENCE",
        value_delimiter = ','
    )]
    #[serde(default, alias = "jwt_audiences", deserialize_with = "one_or_many")]
    pub jwt_audience: Vec<String>,

    /// The issuer's public keys: a JSON Web Key Set, in a file that is read again when
    /// it changes, or behind an https URL that is asked every five minutes, and sooner
    /// when a token is signed by a key that is not there
    #[arg(long, value_name = "FILE|URL", env = "TRAILGATE_JWT_KEYS")]
    pub jwt_keys: Option<PathBuf>,

    /// Trust these authorities where --jwt-keys is a URL [default: those that this
    /// machine trusts]
    #[arg(long, value_name = "FILE", env = "TRAILGATE_JWT_KEYS_CA")]
    pub jwt_keys_ca: Option<PathBuf>,

    /// Answer AWS's own clients at the HTTP port: LookupEvents, as CloudTrail speaks it
    #[arg(long, env = "TRAILGATE_SERVE_AWS", value_name = "BOOL", num_args = 0..=1,
          require_equals = true, default_missing_value = "true")]
    pub serve_aws: Option<bool>,

    /// Answer those of AWS's clients alone who sign with one of these key pairs, in
    /// YAML. Read again when it changes [default: whatever their signature]
    #[arg(long, value_name = "FILE", env = "TRAILGATE_AWS_KEYS")]
    pub aws_keys: Option<PathBuf>,

    /// Who may ask what, in YAML. Read again when it changes [default: everything,
    /// to whoever is answered]
    #[arg(long, value_name = "FILE", env = "TRAILGATE_POLICY")]
    pub policy: Option<PathBuf>,
}

/// A list, or its only element.
fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    deserializer.deserialize_any(OneOrMany)
}

struct OneOrMany;

impl<'de> Visitor<'de> for OneOrMany {
    type Value = Vec<String>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // a bare number has lost its leading zeros by now
        f.write_str("a list, such as [012345678901], or one element in quotes")
    }

    fn visit_str<E>(self, name: &str) -> Result<Self::Value, E> {
        Ok(vec![name.to_owned()])
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut names: A) -> Result<Self::Value, A::Error> {
        // as many as the file has room for
        let mut all = Vec::new();
        while let Some(name) = names.next_element()? {
            all.push(name);
        }
        Ok(all)
    }
}

impl Settings {
    /// Whether accounts are named, and nothing says how they are reached.
    pub(super) fn names_only_accounts(&self) -> bool {
        let is_reached = self.organization.unwrap_or_default()
            || self.assume_role_arn.is_some()
            || !self.profile.is_empty();
        !self.account.is_empty() && !is_reached
    }
}
