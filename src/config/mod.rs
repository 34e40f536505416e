//! Settings of the server: flags override `TRAILGATE_*` variables, which
//! override the YAML file, which overrides the defaults.

mod console;
mod file;
mod settings;
mod share;
mod show;
mod sources;
mod value;
pub(crate) mod variables;

use std::{
    net::SocketAddr,
    path::{Path, PathBuf},
    time::Duration,
};

pub use settings::{Credentials, LogFormat, Poll, Settings};
pub(crate) use show::show;
pub use sources::{MAX_SCOPES, Profile, Sources};
pub(crate) use sources::{is_region, too_many};
pub use value::{History, Size};

pub use crate::when::Span;

use crate::{
    bearer::{self, KeysAt},
    collect::{
        self, PlaceError, Polling, Trail,
        source_filter::SourceFilter,
        store::{NoStore, Store},
    },
    coverage,
    event::{Scope, is_account},
    feed,
    grpc::Limits,
    keep, kept,
    telemetry::{self, TraceOptions},
    tls,
    upstream::Signing,
};

/// A setting that cannot be used: which, why, and what would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Error(String);

impl Error {
    fn new(message: impl Into<String>) -> Self {
        Self(message.into())
    }
}

impl From<telemetry::Error> for Error {
    fn from(error: telemetry::Error) -> Self {
        Self::new(error.to_string())
    }
}

impl From<telemetry::BadLevel> for Error {
    fn from(error: telemetry::BadLevel) -> Self {
        Self::new(format!("--log-level {error}"))
    }
}

impl From<kept::Error> for Error {
    fn from(error: kept::Error) -> Self {
        Self::new(error.to_string())
    }
}

/// Settings that were checked and completed by the defaults.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where gRPC listens.
    pub listen: SocketAddr,
    /// Where HTTP listens.
    pub http_listen: SocketAddr,
    /// How the console is reached; `None`: it is not served.
    pub console: Option<crate::console::Options>,
    /// Serve made-up events from a simulator inside.
    pub demo: bool,
    /// Replaces AWS's endpoints.
    pub aws_endpoint_url: Option<String>,
    /// Whose keys sign.
    pub signing: Signing,
    /// Where scopes come from.
    pub sources: Sources,
    /// Requests a second that a scope's budget allows; 0: unmetered.
    pub rate: f64,
    /// How far back AWS can be asked; `None`: without end.
    pub history: Option<Duration>,
    /// The cache's settings.
    pub coverage: coverage::Options,
    /// Queues that bring new events, by URL.
    pub queues: Vec<String>,
    /// Replaces AWS's endpoints of queues and buckets.
    pub queue_endpoint_url: Option<String>,
    /// Where trails' files are, to be listed.
    pub trails: Vec<Trail>,
    /// Which files are read from queues and trails.
    pub queue_filter: SourceFilter,
    /// How new events are polled for.
    pub poll: collect::Options,
    /// The most bytes of events that the feed holds.
    pub feed_bytes: u64,
    /// Where events are kept; `None`: they are not.
    pub archive: Option<Archive>,
    /// What requests are held to.
    pub limits: Limits,
    /// Requests to AWS that a caller may buy in a UTC day; 0: any number.
    pub caller_daily_requests: u64,
    /// How long calls may take to finish once the server is told to stop.
    pub shutdown_grace: Duration,
    /// Servers that share `rate` and `caller_daily_requests`; at least 1.
    pub replicas: u32,
    /// How long a connection may be called on; `None`: for ever.
    pub max_connection_age: Option<Duration>,
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which log lines are written, as `tracing` directives.
    pub log_level: String,
    /// Where traces go; `None`: there are none.
    pub traces: Option<TraceOptions>,
    /// What TLS is served with; `None`: plain text.
    pub tls: Option<tls::Files>,
    /// Whose bearer tokens are taken; `None`: none are looked at.
    pub jwt: Option<bearer::Options>,
    /// Answer AWS's clients at the HTTP port.
    pub serve_aws: bool,
    /// The file of their key pairs; `None`: any signature is taken.
    pub aws_keys: Option<PathBuf>,
    /// The file that says who may ask what.
    pub policy: Option<PathBuf>,
    /// Where each call is written.
    pub audit_log: Option<PathBuf>,
}

/// How events are kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Archive {
    /// Where.
    pub place: Store,
    /// How they are committed.
    pub keep: keep::Options,
    /// What is done with it from time to time.
    pub chores: keep::Chores,
    /// Memory for writing and compacting, in bytes.
    pub max_memory: u64,
}

impl Config {
    /// The scopes of these accounts: each in every Region.
    #[must_use]
    pub fn scopes(accounts: &[String], regions: &[String]) -> Vec<Scope> {
        accounts
            .iter()
            .flat_map(|account| regions.iter().map(|region| Scope::new(account, region)))
            .collect()
    }
}

impl TryFrom<Settings> for Config {
    type Error = Error;

    fn try_from(settings: Settings) -> Result<Self, Error> {
        let demo = settings.demo.unwrap_or_default();
        let listen = settings
            .listen
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 50051)));
        let http_listen = settings
            .http_listen
            .unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)));
        let tls = tls(&settings)?;
        let jwt = jwt(&settings)?;
        // in plain text a token is everybody's
        let asks_who = tls
            .as_ref()
            .is_some_and(|tls| tls.client_ca.is_some() || jwt.is_some());
        for (name, address) in [("listen", listen), ("http-listen", http_listen)] {
            if !address.ip().is_loopback() && !asks_who && !settings.insecure.unwrap_or_default() {
                return Err(Error::new(format!(
                    "--{name} {address} is reachable from elsewhere, and whoever gets there may \
                     read every event: listen on 127.0.0.1, ask who calls with --tls-cert, \
                     --tls-key and --tls-client-ca or --jwt-issuer, or say --insecure if that is \
                     meant"
                )));
            }
        }
        let console = console::options(&settings, http_listen)?;
        let serve_aws = settings.serve_aws.unwrap_or_default();
        if settings.aws_keys.is_some() && !serve_aws {
            return Err(Error::new(
                "--aws-keys goes with --serve-aws, which has AWS's clients answered",
            ));
        }
        let rate = settings.rate.unwrap_or(2.0);
        // below, a second request would come after a quarter of an hour
        const LEAST: f64 = 0.001;
        if !rate.is_finite() || (rate != 0.0 && rate < LEAST) {
            let message = format!(
                "--rate {rate} is no rate; give requests a second from {LEAST} on; 0, for a \
                 simulator only, is no meter"
            );
            return Err(Error::new(message));
        }
        let replicas = share::replicas(&settings, rate, LEAST)?;
        let url = settings.aws_endpoint_url.clone();
        if let Some(url) = &url
            && !is_url(url)
        {
            let message =
                format!("--aws-endpoint-url {url:?} is no URL; write http:// or https://");
            return Err(Error::new(message));
        }
        if rate == 0.0 && url.is_none() && !demo {
            return Err(Error::new(
                "--rate 0 is for a simulator, and AWS would throttle every tool of the account; \
                 give a rate, at most 2, or --aws-endpoint-url",
            ));
        }
        if demo && url.is_some() {
            return Err(Error::new(
                "--demo has an endpoint of its own; leave --aws-endpoint-url out",
            ));
        }
        let signing = match settings.credentials {
            Some(Credentials::Chain) => Signing::Chain,
            Some(Credentials::Simulator) => Signing::Simulator,
            // AWS is never there: keys sent to it would be sent in the clear
            None if settings.names_only_accounts() && url.as_deref().is_some_and(is_local) => {
                Signing::Simulator
            }
            None => Signing::Chain,
        };
        let sources = Sources::check(&settings, &signing)?;
        let defaults = coverage::Options::default();
        let timeout = settings
            .request_timeout
            .map_or(Duration::from_secs(60), Span::get);
        if timeout.is_zero() {
            return Err(Error::new(
                "--request-timeout 0s lets nothing be answered; give 1s or more",
            ));
        }
        let max_upstream_calls = settings.max_upstream_calls.unwrap_or(200);
        if max_upstream_calls == 0 {
            return Err(Error::new(
                "--max-upstream-calls 0 lets nothing be asked; give 1 or more",
            ));
        }
        let max_connection_age = connection_age(&settings)?;
        let traces = traces(&settings)?;
        let poll = poll(&settings)?;
        check_queues(&settings)?;
        let trails = trails(&settings)?;
        let archive = archive(&settings)?;
        let set = |names: &[String]| names.iter().cloned().collect();
        let queue_filter = SourceFilter {
            buckets: set(&settings.queue_bucket),
            prefixes: set(&settings.queue_prefix),
            accounts: set(&settings.queue_account),
            regions: set(&settings.queue_region),
            ..SourceFilter::default()
        };
        Ok(Self {
            listen,
            http_listen,
            console,
            demo,
            aws_endpoint_url: url.clone(),
            signing,
            sources,
            rate,
            history: settings.history.unwrap_or_default().get(),
            coverage: coverage::Options {
                max_bytes: settings.cache_size.map_or(defaults.max_bytes, Size::get),
                horizon: settings.settle_horizon.map_or(defaults.horizon, Span::get),
            },
            queue_endpoint_url: settings.queue_endpoint_url.or_else(|| url.clone()),
            queues: settings.queue,
            trails,
            queue_filter,
            poll,
            feed_bytes: settings
                .feed_size
                .map_or(feed::Options::default().max_bytes, Size::get),
            archive,
            limits: Limits {
                timeout,
                max_upstream_calls,
                calls_per_second: settings.caller_calls_per_second.unwrap_or_default(),
            },
            caller_daily_requests: settings.caller_daily_requests.unwrap_or_default(),
            shutdown_grace: settings
                .shutdown_grace
                .map_or(Duration::from_secs(30), Span::get),
            replicas,
            max_connection_age,
            log_format: settings.log_format.unwrap_or_default(),
            log_level: settings.log_level.unwrap_or_else(|| "info".to_owned()),
            traces,
            tls,
            jwt,
            serve_aws,
            aws_keys: settings.aws_keys,
            policy: settings.policy,
            audit_log: settings.audit_log,
        })
    }
}

fn tls(settings: &Settings) -> Result<Option<tls::Files>, Error> {
    match (&settings.tls_cert, &settings.tls_key) {
        (Some(cert), Some(key)) => Ok(Some(tls::Files {
            cert: cert.clone(),
            key: key.clone(),
            client_ca: settings.tls_client_ca.clone(),
        })),
        (Some(_), None) => Err(Error::new(
            "--tls-cert goes with its private key; name that with --tls-key",
        )),
        (None, Some(_)) => Err(Error::new(
            "--tls-key goes with its certificate; name that with --tls-cert",
        )),
        (None, None) if settings.tls_client_ca.is_some() => Err(Error::new(
            "--tls-client-ca goes with TLS; name the server's certificate and key with --tls-cert \
             and --tls-key",
        )),
        (None, None) => Ok(None),
    }
}

fn jwt(settings: &Settings) -> Result<Option<bearer::Options>, Error> {
    let Settings {
        jwt_issuer: issuer,
        jwt_audience: audiences,
        jwt_keys: keys,
        jwt_keys_ca: ca,
        ..
    } = settings;
    let url = keys.as_deref().and_then(Path::to_str);
    let url = url.filter(|keys| keys.starts_with("https://") || keys.starts_with("http://"));
    if ca.is_some() && url.is_none() {
        return Err(Error::new(
            "--jwt-keys-ca goes with a URL; name that with --jwt-keys",
        ));
    }
    match (issuer, keys) {
        (Some(issuer), Some(keys)) if !audiences.is_empty() => Ok(Some(bearer::Options {
            issuer: issuer.clone(),
            audiences: audiences.clone(),
            keys: match url {
                Some(url) => KeysAt::Url {
                    url: url.to_owned(),
                    ca: ca.clone(),
                },
                None => KeysAt::File(keys.clone()),
            },
        })),
        (None, None) if audiences.is_empty() => Ok(None),
        _ => Err(Error::new(
            "--jwt-issuer, --jwt-audience and --jwt-keys go together: whose tokens are taken, for \
             whom they are, and what they are signed with",
        )),
    }
}

fn traces(settings: &Settings) -> Result<Option<TraceOptions>, Error> {
    let sample = settings.trace_sample.unwrap_or(1.0);
    if !(0.0..=1.0).contains(&sample) {
        return Err(Error::new(format!(
            "--trace-sample {sample} is no part of all traces; give 0 to 1, such as 0.1"
        )));
    }
    let Some(endpoint) = settings.otlp_endpoint.clone() else {
        return match settings.trace_sample {
            None => Ok(None),
            Some(_) => Err(Error::new(
                "--trace-sample goes with --otlp-endpoint, which says where traces go",
            )),
        };
    };
    if !is_url(&endpoint) {
        return Err(Error::new(format!(
            "--otlp-endpoint {endpoint:?} is no URL; write it like http://127.0.0.1:4317"
        )));
    }
    // a URL is shown and logged
    if endpoint.contains('@') {
        return Err(Error::new(
            "--otlp-endpoint has a user in it; send what the collector asks for by \
             OTEL_EXPORTER_OTLP_HEADERS",
        ));
    }
    Ok(Some(TraceOptions { endpoint, sample }))
}

fn connection_age(settings: &Settings) -> Result<Option<Duration>, Error> {
    // below, a caller would do little but connect
    const LEAST: Duration = Duration::from_millis(100);
    match settings.max_connection_age {
        Some(age) if age.get() < LEAST => Err(Error::new(format!(
            "--max-connection-age {age} is less than 100ms; give some minutes, or leave it out"
        ))),
        age => Ok(age.map(Span::get)),
    }
}

fn is_url(url: &str) -> bool {
    url.starts_with("http://") || url.starts_with("https://")
}

fn check_queues(settings: &Settings) -> Result<(), Error> {
    let no_queue = settings.queue.iter().find(|url| !is_url(url));
    if let Some(url) = no_queue {
        return Err(Error::new(format!(
            "--queue {url:?} is no URL of a queue; write it like \
             https://sqs.eu-central-1.amazonaws.com/111122223333/trailgate"
        )));
    }
    let no_endpoint = settings
        .queue_endpoint_url
        .as_ref()
        .filter(|url| !is_url(url));
    if let Some(url) = no_endpoint {
        return Err(Error::new(format!(
            "--queue-endpoint-url {url:?} is no URL; write http:// or https://"
        )));
    }
    let no_account = settings.queue_account.iter().find(|id| !is_account(id));
    if let Some(id) = no_account {
        return Err(Error::new(format!(
            "--queue-account {id:?} is no account; give its 12 digits"
        )));
    }
    Ok(())
}

fn trails(settings: &Settings) -> Result<Vec<Trail>, Error> {
    if let (Some(trail), true) = (settings.trail.first(), settings.queue.is_empty()) {
        return Err(Error::new(format!(
            "--trail {trail} goes with a queue, whose files it lists after a start; name one with \
             --queue"
        )));
    }
    let read = |text: &String| {
        text.parse()
            .map_err(|error: PlaceError| Error::new(format!("--trail: {error}")))
    };
    settings.trail.iter().map(read).collect()
}

fn archive(settings: &Settings) -> Result<Option<Archive>, Error> {
    // a file for each scope that often
    const LEAST: Duration = Duration::from_secs(1);
    const DAY: Duration = Duration::from_secs(86_400);
    /// What merging two files of large records takes.
    const MEMORY: u64 = 64_000_000;
    let Settings {
        archive: place,
        archive_interval: interval,
        archive_compaction: compaction,
        archive_retention: retention,
        archive_memory: memory,
        ..
    } = settings;
    let Some(place) = place else {
        let goes_with = [
            ("--archive-interval", interval.is_some()),
            ("--archive-compaction", compaction.is_some()),
            ("--archive-retention", retention.is_some()),
            ("--archive-memory", memory.is_some()),
        ];
        return match goes_with.into_iter().find(|(_, is_set)| *is_set) {
            None => Ok(None),
            Some((setting, _)) => Err(Error::new(format!(
                "{setting} goes with an archive; say where that is with --archive"
            ))),
        };
    };
    let place = place
        .parse()
        .map_err(|error: NoStore| Error::new(format!("--archive: {error}")))?;
    let keep = keep::Options::default();
    let interval = interval.map_or(keep.interval, Span::get);
    if interval < LEAST {
        return Err(Error::new(format!(
            "--archive-interval {interval:?} is less than 1s, and would make small files alone; \
             give 10s or more"
        )));
    }
    let chores = keep::Chores::default();
    let compaction = compaction.map_or(chores.compaction, Span::get);
    if compaction < LEAST {
        return Err(Error::new(format!(
            "--archive-compaction {compaction:?} is less than 1s, and would do little else; give \
             1m or more"
        )));
    }
    let retention = retention.and_then(History::get);
    if let Some(short) = retention.filter(|retention| *retention < DAY) {
        return Err(Error::new(format!(
            "--archive-retention {short:?} is less than a day, and days are dropped whole; give 1d \
             or more"
        )));
    }
    let max_memory = memory.map_or(256_000_000, Size::get);
    if max_memory < MEMORY {
        return Err(Error::new(format!(
            "--archive-memory {max_memory} is less than 64MB, which large events take; give more"
        )));
    }
    Ok(Some(Archive {
        place,
        keep: keep::Options { interval },
        chores: keep::Chores {
            compaction,
            retention,
        },
        max_memory,
    }))
}

fn poll(settings: &Settings) -> Result<collect::Options, Error> {
    let defaults = collect::Options::default();
    let interval = settings.poll_interval.map_or(defaults.interval, Span::get);
    // at AWS's pace there are two requests a second
    const LEAST: Duration = Duration::from_millis(100);
    if interval < LEAST {
        return Err(Error::new(
            "--poll-interval is less than 100ms; AWS allows two requests a second, give 1s or more",
        ));
    }
    let longest = settings.poll_max_interval.map(Span::get);
    let max_interval = longest.unwrap_or_else(|| defaults.max_interval.max(interval));
    if max_interval < interval {
        return Err(Error::new(format!(
            "--poll-max-interval {max_interval:?} is less than --poll-interval {interval:?}; give \
             as much or more, or leave it out"
        )));
    }
    let polling = match settings.poll {
        Some(Poll::Full) => Polling::Full,
        Some(Poll::Settle) => Polling::Settle,
        Some(Poll::Off) => Polling::Off,
        None if settings.queue.is_empty() => Polling::Full,
        None => Polling::Settle,
    };
    Ok(collect::Options {
        polling,
        interval,
        max_interval,
        ..defaults
    })
}

/// Whether a URL is plain HTTP to this machine.
fn is_local(url: &str) -> bool {
    let Some(rest) = url.strip_prefix("http://") else {
        return false;
    };
    let authority = rest.split(['/', '?']).next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost"
        || host
            .parse::<std::net::IpAddr>()
            .is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests;
