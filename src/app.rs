//! Composition: from settings to a running server, and back down.

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::CancellationToken;

use crate::{
    budget::Budgets,
    clock::Clock,
    config::Config,
    coverage::Coverage,
    event::Scope,
    grpc, http,
    lookup::Lookup,
    simulator::{self, Simulator},
    telemetry::Metrics,
    upstream::{Aws, AwsOptions, CloudTrail, Retry, Signing, Upstream},
};

/// Why a server did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is missing.
    #[error("{0}")]
    Config(String),
    /// A port cannot be had.
    #[error("cannot listen on {address}: {error}")]
    Listen {
        /// Where.
        address: SocketAddr,
        /// Why not.
        error: std::io::Error,
    },
    /// AWS does not say whose credentials these are.
    #[error(
        "cannot tell the account of the credentials ({code}); give credentials that AWS accepts, or \
         name the account with --account"
    )]
    Account {
        /// AWS's error code, or a word for how the way there failed.
        code: String,
    },
    /// A listener failed while serving.
    #[error("cannot go on serving: {0}")]
    Serve(Box<dyn std::error::Error + Send + Sync>),
}

/// A server that listens, and has not answered anyone yet.
pub struct Server {
    /// Where gRPC listens.
    pub grpc: SocketAddr,
    /// Where HTTP listens.
    pub http: SocketAddr,
    grpc_listener: TcpListener,
    http_listener: TcpListener,
    service: grpc::Service,
    metrics: Metrics,
    config: Config,
    demo: Option<Demo>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server")
            .field("grpc", &self.grpc)
            .field("http", &self.http)
            .finish()
    }
}

/// The simulator inside, for `--demo`.
struct Demo {
    task: JoinHandle<()>,
    stop: CancellationToken,
}

/// The demo's account: one of those that AWS's documentation uses.
const DEMO_ACCOUNT: &str = "111122223333";
/// The demo's Regions.
const DEMO_REGIONS: [&str; 2] = ["us-east-1", "eu-central-1"];
/// The demo's events: some 46 an hour. At AWS's pace all of them are read in
/// some nine minutes, and they fit the cache.
const DEMO_EVENTS: u64 = 100_000;

impl Server {
    /// Puts the parts together and binds the ports. Settings that are missing
    /// are found out before.
    ///
    /// # Errors
    /// If a setting is missing, AWS does not tell the account, or a port
    /// cannot be had.
    pub async fn start(mut config: Config) -> Result<Self, Error> {
        let clock = Clock::system();
        let demo = if config.demo {
            Some(start_demo(&mut config, clock).await?)
        } else {
            None
        };
        let aws = Aws::load(AwsOptions {
            endpoint_url: config.aws_endpoint_url.clone(),
            signing: config.signing.clone(),
            region: config.regions.first().cloned(),
        })
        .await;
        let scopes = find_scopes(&config, &aws).await?;
        let grpc_listener = bind(config.listen).await?;
        let http_listener = bind(config.http_listen).await?;
        let budgets = Arc::new(Budgets::new(config.rate));
        let cloudtrail: Arc<dyn CloudTrail> = Arc::new(aws);
        let upstream = Arc::new(Upstream::new(
            cloudtrail,
            Arc::clone(&budgets),
            Retry::default(),
        ));
        let coverage = Arc::new(Coverage::new(config.coverage));
        let lookup = Arc::new(Lookup::new(
            clock,
            Arc::clone(&coverage),
            upstream,
            config.history,
        ));
        let metrics = Metrics::new(budgets, coverage, Arc::clone(&lookup));
        let (grpc, http) = (
            local(&grpc_listener, config.listen)?,
            local(&http_listener, config.http_listen)?,
        );
        tracing::info!(%grpc, %http, scopes = scopes.len(), "serving");
        let service = grpc::Service::new(lookup, scopes, config.limits.clone());
        Ok(Self {
            grpc,
            http,
            grpc_listener,
            http_listener,
            service,
            metrics,
            config,
            demo,
        })
    }

    /// Serves until `shutdown` resolves; then takes no more calls, and lets
    /// those under way finish for as long as the settings say.
    ///
    /// # Errors
    /// If a listener fails.
    pub async fn run(self, shutdown: impl Future<Output = ()> + Send) -> Result<(), Error> {
        let (ready, is_ready) = watch::channel(true);
        let stop_http = CancellationToken::new();
        let metrics = self.metrics.clone();
        let text: http::MetricsText = Arc::new(move || metrics.text());
        // probes and metrics answer for as long as calls are under way
        let http = tokio::spawn(http::serve(
            self.http_listener,
            text,
            is_ready,
            stop_http.clone().cancelled_owned(),
        ));
        let stopping = CancellationToken::new();
        let grpc = grpc::serve(
            self.service,
            self.grpc_listener,
            self.metrics,
            stopping.clone().cancelled_owned(),
        );
        tokio::pin!(grpc);
        let served = tokio::select! {
            served = &mut grpc => served,
            () = shutdown => {
                tracing::info!("stopping: calls under way may finish");
                ready.send_replace(false);
                stopping.cancel();
                match tokio::time::timeout(self.config.shutdown_grace, grpc).await {
                    Ok(served) => served,
                    Err(_) => {
                        let grace = self.config.shutdown_grace;
                        tracing::warn!(?grace, "calls were still under way, and were cut off");
                        Ok(())
                    }
                }
            }
        };
        stop_http.cancel();
        // a scrape under way is not worth waiting for longer than a second
        let _ = tokio::time::timeout(Duration::from_secs(1), http).await;
        if let Some(demo) = self.demo {
            demo.stop.cancel();
            demo.task.abort();
        }
        served.map_err(Error::Serve)
    }
}

async fn bind(address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Error::Listen { address, error })
}

fn local(listener: &TcpListener, address: SocketAddr) -> Result<SocketAddr, Error> {
    listener
        .local_addr()
        .map_err(|error| Error::Listen { address, error })
}

/// The configured scopes, completed by what the environment knows.
async fn find_scopes(config: &Config, aws: &Aws) -> Result<Vec<Scope>, Error> {
    let mut regions = config.regions.clone();
    if regions.is_empty() {
        let region = aws.default_region().ok_or_else(|| {
            Error::Config("no Region to search; name one with --region or AWS_REGION".to_owned())
        })?;
        regions.push(region);
    }
    let mut accounts = config.accounts.clone();
    let Some(region) = regions.first() else {
        return Ok(Vec::new());
    };
    match (accounts.first(), &config.signing) {
        // keys that are made from accounts are those accounts'
        (Some(_), Signing::Simulator) => {}
        (Some(named), Signing::Chain) => check_account(aws, region, named).await?,
        (None, _) => {
            let account = aws.caller_account(region).await.map_err(|error| {
                tracing::error!(%error, "sts did not answer");
                Error::Account { code: error.code }
            })?;
            tracing::info!(account, "account of the credentials");
            accounts.push(account);
        }
    }
    Ok(Config::scopes(&accounts, &regions))
}

/// How long STS may take to say whose credentials these are, where that is only
/// to be on the safe side.
const CHECK: Duration = Duration::from_secs(5);

/// Another account's events under this one's name would be worse than none.
/// Where STS cannot be asked, the setting is believed.
async fn check_account(aws: &Aws, region: &str, named: &str) -> Result<(), Error> {
    match tokio::time::timeout(CHECK, aws.caller_account(region)).await {
        Ok(Ok(account)) if account != named => Err(Error::Config(format!(
            "--account {named}, and the credentials are those of account {account}; give either \
             others, or leave --account out"
        ))),
        Ok(Ok(_)) => Ok(()),
        Ok(Err(error)) => {
            tracing::warn!(%error, "sts does not say whose credentials these are; believing --account");
            Ok(())
        }
        Err(_) => {
            tracing::warn!("sts does not answer; believing --account");
            Ok(())
        }
    }
}

/// Starts a simulator with live made-up events, and points the settings at it:
/// it is asked as AWS is, through the SDK.
async fn start_demo(config: &mut Config, clock: Clock) -> Result<Demo, Error> {
    if config.accounts.is_empty() {
        config.accounts.push(DEMO_ACCOUNT.to_owned());
    }
    if config.regions.is_empty() {
        config.regions = DEMO_REGIONS.map(str::to_owned).to_vec();
    }
    let options = simulator::Options {
        accounts: config.accounts.clone(),
        regions: config.regions.clone(),
        synthetic: DEMO_EVENTS,
        live: simulator::Rate::per_second(1),
        ..simulator::Options::default()
    };
    let simulator = Arc::new(Simulator::new(options, clock, Vec::new()));
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = bind(any_port).await?;
    let address = local(&listener, any_port)?;
    config.aws_endpoint_url = Some(format!("http://{address}"));
    config.signing = Signing::Simulator;
    tracing::info!(%address, events = DEMO_EVENTS, "demo: made-up events from a simulator inside");
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    let task = tokio::spawn(async move {
        if let Err(error) = simulator::serve(listener, simulator, stopped).await {
            tracing::error!(%error, "the simulator inside stopped");
        }
    });
    Ok(Demo { task, stop })
}
