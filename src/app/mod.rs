//! Composition: from settings to a running server, and back down.

mod archive;
mod files;
pub mod reload;
mod scopes;
#[cfg(feature = "sql")]
pub mod sql;

use std::{future::Future, net::SocketAddr, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::watch, task::JoinHandle};
use tokio_util::sync::{CancellationToken, DropGuard};

pub use self::archive::{look_at_archive, open_archive, scratch_archive};
use self::{files::Files, scopes::Finder};

use crate::{
    audit,
    budget::{Budgets, Ledger},
    clock::Clock,
    collect::{self, Durable, Poller, Queues},
    config::Config,
    console,
    coverage::Coverage,
    event::Scope,
    feed::{self, Feed},
    grpc, http,
    keep::{self, Keeper},
    kept::{self, Looks},
    lookup::{Lookup, Past},
    policy::Access,
    simulator::{self, Simulator},
    telemetry::{Metrics, Parts},
    tls::Tls,
    upstream::{Aws, CloudTrail, Retry, Scopes, Signing, Upstream},
};

/// Why a server did not start, or stopped.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting is missing.
    #[error("{0}")]
    Config(String),
    /// A port cannot be had.
    #[error(
        "cannot listen on {address} ({setting}): {error}; stop what listens there, or name another \
         address; port 0 takes a free one"
    )]
    Listen {
        /// The setting that says where.
        setting: &'static str,
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
    /// AWS does not say which accounts the organisation has.
    #[error(
        "cannot list the accounts of the organization ({code}); allow organizations:ListAccounts, \
         with credentials of the management account or a delegated administrator, or name the \
         accounts with --account instead"
    )]
    Organization {
        /// AWS's error code, or a word for how the way there failed.
        code: String,
    },
    /// AWS does not say whose a profile's credentials are.
    #[error(
        "cannot tell the account of profile {name:?} ({code}); give a profile whose credentials AWS \
         accepts, or name its account with --profile ACCOUNT={name}"
    )]
    Profile {
        /// The profile.
        name: String,
        /// AWS's error code, or a word for how the way there failed.
        code: String,
    },
    /// AWS says for no account which Regions it has.
    #[error(
        "cannot list the enabled Regions of any account ({code}); allow account:ListRegions, or \
         name Regions with --region instead of --all-regions"
    )]
    Regions {
        /// The first account's error code.
        code: String,
    },
    /// A queue cannot be asked.
    #[error(transparent)]
    Queue(#[from] collect::NoRegion),
    /// The archive cannot be reached.
    #[error("--archive: {0}")]
    Unreachable(#[from] collect::store::Unreachable),
    /// The archive cannot be used.
    #[error("--archive {place}: {error}")]
    Archive {
        /// Where it is.
        place: collect::store::Store,
        /// Why not.
        error: crate::archive::OpenError,
    },
    /// The archive cannot be gone on with.
    #[error("--archive {place}: {error}")]
    Keep {
        /// Where it is.
        place: collect::store::Store,
        /// Why not.
        error: keep::StateError,
    },
    /// A file that a setting names cannot be used.
    #[error(transparent)]
    File(#[from] kept::Error),
    /// SQL cannot be answered.
    #[error("{0}")]
    Sql(String),
    /// A listener failed while serving.
    #[error("cannot go on serving: {0}")]
    Serve(Box<dyn std::error::Error + Send + Sync>),
}

/// Reads the files that say who may call, as a server does when it starts. What can
/// be used, and is hardly meant, is told in words.
///
/// # Errors
/// If one cannot be used.
pub fn check_files(config: &Config) -> Result<Vec<String>, kept::Error> {
    Files::load(config, Clock::system()).map(|files| files.doubts)
}

/// The scopes that the settings name, and AWS to ask about them.
///
/// # Errors
/// If a setting is missing, or AWS does not tell.
pub async fn find_scopes(config: &Config) -> Result<(Arc<Aws>, Vec<Scope>), Error> {
    let aws = Arc::new(scopes::aws(config).await);
    let scopes = Finder::new(config, Arc::clone(&aws))?.find().await?;
    Ok((aws, scopes))
}

/// A server that listens, and has not answered anyone yet.
pub struct Server {
    /// Where gRPC listens.
    pub grpc: SocketAddr,
    /// Where HTTP listens.
    pub http: SocketAddr,
    grpc_listener: TcpListener,
    http_listener: TcpListener,
    tls: Option<Arc<Tls>>,
    access: Arc<Access>,
    audit: Option<audit::Log>,
    service: grpc::Service,
    /// Answers AWS's clients.
    aws: Option<Arc<http::Aws>>,
    metrics: Metrics,
    clock: Clock,
    queues: Arc<Queues>,
    keeper: Option<Arc<Keeper>>,
    config: Config,
    demo: Option<Demo>,
    looks: Looks,
    /// Ends the search for other scopes, and the watch on the clock.
    _background: DropGuard,
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
        let files = Files::load(&config, clock.clone())?;
        files::warn(&files.doubts);
        files.fetch().await;
        let (tls, access) = (files.tls.clone(), Arc::clone(&files.access));
        let keys = files.keys.clone();
        let audit = config.audit_log.take();
        let audit = audit.map(|path| audit::Log::open(path, clock.clone()));
        let audit = audit.transpose()?;
        let demo = if config.demo {
            Some(start_demo(&mut config, clock.clone()).await?)
        } else {
            None
        };
        let aws = Arc::new(scopes::aws(&config).await);
        let mut finder = Finder::new(&config, Arc::clone(&aws))?;
        let (publisher, scopes) = Scopes::new(finder.find().await?);
        scopes::warn_of_global_events(&scopes.now());
        let grpc_listener = bind(GRPC, config.listen).await?;
        let http_listener = bind(HTTP, config.http_listen).await?;
        let daily = config.caller_daily_share();
        let ledger = Ledger::new(clock.clone(), daily).shared_by(config.replicas.into());
        let budgets = Budgets::new(config.rate_share()).with_ledger(ledger);
        let budgets = Arc::new(budgets);
        let cloudtrail: Arc<dyn CloudTrail> = aws;
        let upstream = Arc::new(Upstream::new(
            cloudtrail,
            Arc::clone(&budgets),
            Retry::default(),
        ));
        let coverage = Arc::new(Coverage::new(config.coverage));
        let lookup = Arc::new(Lookup::new(
            clock.clone(),
            Arc::clone(&coverage),
            upstream,
            config.history,
        ));
        let feed = Feed::new(
            lookup.clock().clone(),
            feed::Options {
                max_bytes: config.feed_bytes,
                horizon: config.coverage.horizon,
            },
        );
        let queue_options = collect::AwsOptions {
            endpoint_url: config.queue_endpoint_url.clone(),
            region: scopes::base_region(&config.sources.regions),
            simulated: match config.signing {
                Signing::Simulator => config.sources.accounts.first().cloned(),
                Signing::Chain => None,
            },
        };
        let trails = collect::trails_at_aws(
            &config.trails,
            &queue_options,
            &config.queue_filter,
            lookup.clock(),
            config.coverage.horizon,
        );
        let trails = trails.await?;
        let feed = match &trails {
            Some(trails) => feed.with_log_files(Arc::new(trails.clone())),
            None => feed,
        };
        let feed = Arc::new(feed);
        let poller = Poller::new(
            Arc::clone(&feed),
            Arc::clone(&lookup),
            scopes.clone(),
            config.poll,
        );
        // it must be there before anything arrives
        let keeper = match &config.archive {
            Some(archive) => {
                let parts = archive::Keeping {
                    feed: &feed,
                    lookup: &lookup,
                    poller: &poller,
                    scopes: &scopes,
                    options: &queue_options,
                };
                Some(parts.open(archive).await?)
            }
            None => None,
        };
        let durable = keeper.clone().map(|keeper| keeper as Arc<dyn Durable>);
        // a third for what is under way in them, and the rest for calls
        let queues = Queues::start(
            &feed,
            durable.as_ref(),
            &config.queues,
            &queue_options,
            &config.queue_filter,
            config.shutdown_grace / 3,
        );
        let queues = Arc::new(queues.await?);
        let looks = Looks::default();
        let metrics = Metrics::new(Parts {
            budgets,
            coverage,
            lookup: Arc::clone(&lookup),
            feed: Arc::clone(&feed),
            poller: Arc::clone(&poller),
            queues: Arc::clone(&queues),
            keeper: keeper.clone(),
            looks: looks.clone(),
            tls: tls.clone(),
            audit: audit.clone(),
        });
        let stop = CancellationToken::new();
        files.keep(&looks, &stop);
        if let Some(log) = audit.clone() {
            let keep = log.keep(looks.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(keep));
        }
        if let Some(trails) = trails {
            let catch_up = trails.start(Arc::clone(&feed));
            tokio::spawn(stop.clone().run_until_cancelled_owned(catch_up));
        }
        let keep_time = keep_time(Arc::clone(&lookup), Arc::clone(&feed));
        tokio::spawn(stop.clone().run_until_cancelled_owned(keep_time));
        let (grpc, http) = (
            local(GRPC, &grpc_listener, config.listen)?,
            local(HTTP, &http_listener, config.http_listen)?,
        );
        tracing::info!(%grpc, %http, scopes = scopes.now().len(), "serving");
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(Arc::clone(&poller).keep()),
        );
        let lookup_past = Arc::clone(&lookup);
        let service = grpc::Service::new(
            Arc::clone(&lookup),
            feed,
            poller,
            scopes.clone(),
            config.limits.clone(),
        );
        let aws = config.serve_aws.then(|| {
            http::Aws::new(http::AwsOptions {
                lookup,
                scopes,
                keys,
                access: Arc::clone(&access),
                audit: audit.clone(),
                rates: service.rates(),
                observer: Arc::new(metrics.clone()),
                timeout: config.limits.timeout,
                max_upstream_calls: config.limits.max_upstream_calls,
            })
        });
        #[cfg(feature = "sql")]
        let service = match (&keeper, &config.archive, &config.sql) {
            (Some(keeper), Some(archive), Some(options)) => {
                let archived = sql::Archive {
                    archive: keeper.archive().clone(),
                    place: &archive.place,
                    options: &queue_options,
                };
                service.with_sql(archived.engine(options).await?)
            }
            _ => service,
        };
        let service = service
            .with_durable(durable)
            .with_max_connection_age(config.max_connection_age, config.shutdown_grace);
        if let (Some(keeper), Some(archive)) = (&keeper, &config.archive) {
            keeper.start();
            lookup_past.keep_past(Arc::clone(keeper) as Arc<dyn Past>);
            let chores = archive
                .chores
                .keep_doing(keeper.archive().clone(), clock.clone());
            tokio::spawn(stop.clone().run_until_cancelled_owned(chores));
        }
        tokio::spawn(
            stop.clone()
                .run_until_cancelled_owned(finder.keep(publisher)),
        );
        let background = stop.drop_guard();
        Ok(Self {
            grpc,
            http,
            grpc_listener,
            http_listener,
            tls,
            access,
            audit,
            service,
            aws: aws.map(Arc::new),
            metrics,
            clock,
            queues,
            keeper,
            config,
            demo,
            looks,
            _background: background,
        })
    }

    /// What has the files that settings name looked at.
    #[must_use]
    pub fn looks(&self) -> Looks {
        self.looks.clone()
    }

    /// Whether both ports speak TLS.
    #[must_use]
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
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
        let text: http::MetricsText = Arc::new(move |text| metrics.text(text));
        let (cut, end_streams) = (self.service.cut(), self.service.stopping());
        let access = Arc::clone(&self.access);
        let open = grpc::open(self.service, access, self.audit.clone(), &self.metrics);
        let open = open.await.map_err(Error::Serve)?;
        let aws = self.aws.clone();
        let console = self.config.console.clone();
        let console = console.map(|hosts| console::router(open.door(), self.clock.clone(), hosts));
        let app = http::App {
            access: self.access,
            audit: self.audit.clone(),
            aws: self.aws,
            metrics: text,
            ready: is_ready,
            console,
        };
        // probes and metrics answer for as long as calls are under way
        let http = tokio::spawn(http::serve(
            self.http_listener,
            self.tls.clone(),
            app,
            stop_http.clone().cancelled_owned(),
        ));
        let stopping = CancellationToken::new();
        let stopped = stopping.clone().cancelled_owned();
        let grpc = open.serve(self.grpc_listener, self.tls, stopped);
        tokio::pin!(grpc);
        tokio::select! {
            () = &mut grpc => {}
            () = shutdown => {
                tracing::info!("stopping: calls under way may finish");
                ready.send_replace(false);
                stopping.cancel();
                let ended = async {
                    // what queues gave, streams are told: who comes back for it would find
                    // it in neither
                    let collected = async {
                        // what queues wait for is committed at once
                        if let Some(keeper) = &self.keeper {
                            keeper.hurry();
                        }
                        self.queues.stop().await;
                        end_streams.cancel();
                    };
                    tokio::join!(&mut grpc, collected);
                    if let Some(aws) = aws {
                        aws.ended().await;
                    }
                };
                let grace = self.config.shutdown_grace;
                if tokio::time::timeout(grace, ended).await.is_err() {
                    tracing::warn!(?grace, "calls were still under way, and were cut off");
                    cut.cancel();
                    // so that the audit log has their ends
                    let _ = tokio::time::timeout(Duration::from_secs(1), grpc).await;
                }
            }
        }
        if let Some(keeper) = &self.keeper
            && tokio::time::timeout(LAST_COMMIT, keeper.stop())
                .await
                .is_err()
        {
            tracing::warn!(
                within = ?LAST_COMMIT,
                "what arrived last could not be committed to the archive; it is read again"
            );
        }
        stop_http.cancel();
        // a scrape under way is not worth waiting for longer than a second
        let _ = tokio::time::timeout(Duration::from_secs(1), http).await;
        if let Some(audit) = self.audit {
            let _ = tokio::time::timeout(Duration::from_secs(1), audit.flush()).await;
        }
        if let Some(demo) = self.demo {
            demo.stop.cancel();
            demo.task.abort();
        }
        Ok(())
    }
}

/// How long the last commit to the archive may take: a usual one takes a second.
const LAST_COMMIT: Duration = Duration::from_secs(5);

/// Keeps the clock in step with the system's wall clock.
async fn keep_time(lookup: Arc<Lookup>, feed: Arc<Feed>) {
    loop {
        let wall = lookup.clock().watch().await;
        let before = lookup.clock().now();
        tracing::warn!(%before, after = %wall, "the system's clock was set, or the machine slept");
        lookup.set_clock(wall);
        // a part of a second counts as one
        let fast_by = before.duration_since(wall).as_secs().saturating_add(1);
        if fast_by > 1 {
            feed.set_back(fast_by);
        }
    }
}

/// What says where gRPC listens.
const GRPC: &str = "--listen";
/// What says where HTTP listens.
const HTTP: &str = "--http-listen";
/// What has a simulator inside listen.
const DEMO: &str = "--demo";

async fn bind(setting: &'static str, address: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(address)
        .await
        .map_err(|error| Error::Listen {
            setting,
            address,
            error,
        })
}

fn local(
    setting: &'static str,
    listener: &TcpListener,
    address: SocketAddr,
) -> Result<SocketAddr, Error> {
    listener.local_addr().map_err(|error| Error::Listen {
        setting,
        address,
        error,
    })
}

/// Starts a simulator with live made-up events, and points the settings at it:
/// it is asked as AWS is, through the SDK.
async fn start_demo(config: &mut Config, clock: Clock) -> Result<Demo, Error> {
    if config.sources.accounts.is_empty() {
        config.sources.accounts.push(DEMO_ACCOUNT.to_owned());
    }
    if config.sources.regions.is_empty() {
        config.sources.regions = DEMO_REGIONS.map(str::to_owned).to_vec();
    }
    let options = simulator::Options {
        accounts: config.sources.accounts.clone(),
        regions: config.sources.regions.clone(),
        synthetic: DEMO_EVENTS,
        live: simulator::Rate::per_second(1),
        ..simulator::Options::default()
    };
    tracing::info!(
        events = DEMO_EVENTS,
        "demo: making up events, which takes some seconds"
    );
    let simulator = Arc::new(Simulator::new(options, clock, Vec::new()));
    let any_port = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = bind(DEMO, any_port).await?;
    let address = local(DEMO, &listener, any_port)?;
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
