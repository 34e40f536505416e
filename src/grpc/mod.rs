//! The gRPC port: services that validate, call and convert, and what
//! connections are held to.

mod asked;
mod body;
mod calls;
mod door;
mod events;
mod export;
#[cfg(feature = "sql")]
mod flight;
mod held;
mod ingest;
mod listen;
mod peer;
#[cfg(feature = "sql")]
mod queries;
#[cfg(feature = "sql")]
mod reports;
mod request;
mod routes;
mod scopes;
mod status;
mod subscribe;
mod summary;
mod unary;
mod view;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic_health::{ServingStatus, server::HealthReporter};

pub use calls::{CallObserver, MethodObserver};
pub use door::{Door, Refusal, Told, Visit, Visitor};
pub use request::Limits;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use request::oracle;

use self::{
    calls::{Calls, Gate},
    held::Rooms,
    listen::Age,
    routes::Routes,
};

use crate::{
    audit,
    budget::Caller,
    collect::{Durable, Poller},
    feed::Feed,
    lookup::Lookup,
    policy::Access,
    proto::{
        DESCRIPTORS,
        server::{
            event_service_server::SERVICE_NAME as EVENT_SERVICE,
            scope_service_server::SERVICE_NAME as SCOPE_SERVICE,
        },
    },
    rates::Rates,
    seldom::Seldom,
    slots::Slots,
    tls::Tls,
    upstream::Scopes,
};

/// The largest request, in bytes: the filters of a long list of values, with
/// room to spare.
const MAX_REQUEST: usize = 1024 * 1024;
/// The largest request of health and reflection, in bytes: a name, or a file's.
const MAX_NAME: usize = 4 * 1024;
/// Exports at once. Each holds up to three batches of 3 MiB on the way out:
/// together some 150 MB. One that nobody reads gives its place back, and keeps what
/// is on the way until its connection ends. More would not be faster, since they
/// share the quota.
const MAX_EXPORTS: usize = 16;
/// Summaries at once: each holds up to 16 MiB of values, and a page of 32 MiB
/// that the cache may have dropped. Others wait for their turn.
const MAX_SUMMARIES: usize = 8;

/// Ingests at once. Each holds a record of up to 4 MiB and two messages: together
/// some 50 MB. More would not be faster, since unpacking keeps a core busy.
const MAX_INGESTS: usize = 8;

/// Subscriptions at once. One that nobody reads holds a batch on the way out, some
/// 100 KB usually, and a position.
const MAX_SUBSCRIPTIONS: usize = 4096;

/// What the services stand on.
#[derive(Clone, Debug)]
pub struct Service {
    lookup: Arc<Lookup>,
    scopes: Scopes,
    limits: Limits,
    rates: Arc<Rates<Caller>>,
    exports: Arc<Slots>,
    summaries: Arc<Slots>,
    ingests: Arc<Slots>,
    feed: Arc<Feed>,
    /// Who keeps for good what callers bring, if anybody does.
    durable: Option<Arc<dyn Durable>>,
    poller: Arc<Poller>,
    subscriptions: Arc<Slots>,
    /// Streams end.
    stopping: CancellationToken,
    /// Calls end where they stand.
    cut: CancellationToken,
    /// How long a connection may be called on; `None`: for ever.
    age: Option<Age>,
    /// Answers SQL; `None`: there is no archive.
    #[cfg(feature = "sql")]
    sql: Option<crate::sql::Engine>,
}

impl Service {
    /// Services over the configured scopes.
    #[must_use]
    pub fn new(
        lookup: Arc<Lookup>,
        feed: Arc<Feed>,
        poller: Arc<Poller>,
        scopes: impl Into<Scopes>,
        limits: Limits,
    ) -> Self {
        Self {
            lookup,
            feed,
            durable: None,
            poller,
            subscriptions: Arc::new(Slots::new(MAX_SUBSCRIPTIONS)),
            scopes: scopes.into(),
            rates: Arc::new(Rates::new(limits.calls_per_second)),
            limits,
            exports: Arc::new(Slots::new(MAX_EXPORTS)),
            summaries: Arc::new(Slots::new(MAX_SUMMARIES)),
            ingests: Arc::new(Slots::new(MAX_INGESTS)),
            stopping: CancellationToken::new(),
            cut: CancellationToken::new(),
            age: None,
            #[cfg(feature = "sql")]
            sql: None,
        }
    }

    /// Answers SQL by this engine.
    #[cfg(feature = "sql")]
    #[must_use]
    pub fn with_sql(self, engine: crate::sql::Engine) -> Self {
        let sql = Some(engine);
        Self { sql, ..self }
    }

    /// With somebody who keeps for good what callers bring: an ingest ends well once
    /// he has it.
    #[must_use]
    pub fn with_durable(self, durable: Option<Arc<dyn Durable>>) -> Self {
        Self { durable, ..self }
    }

    /// Lets each connection be called on for so long, less up to a tenth. Then calls
    /// under way finish, and after `grace` its subscriptions end. `None`: for ever.
    #[must_use]
    pub fn with_max_connection_age(self, most: Option<Duration>, grace: Duration) -> Self {
        let age = most.map(|most| Age { most, grace });
        Self { age, ..self }
    }

    /// What ends streams, with a last token, when it is cancelled.
    #[must_use]
    pub fn stopping(&self) -> CancellationToken {
        self.stopping.clone()
    }

    /// How often each caller calls, at whatever door.
    pub(crate) fn rates(&self) -> Arc<Rates<Caller>> {
        Arc::clone(&self.rates)
    }

    /// What ends the calls that are under way, when it is cancelled.
    #[must_use]
    pub fn cut(&self) -> CancellationToken {
        self.cut.clone()
    }
}

/// The services, opened to callers.
pub struct Open<M: MethodObserver> {
    calls: Calls<M>,
    rooms: Arc<Rooms>,
    health: HealthReporter,
    age: Option<Age>,
    cut: CancellationToken,
}

impl<M: MethodObserver> fmt::Debug for Open<M> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Open").finish_non_exhaustive()
    }
}

/// Opens the services to those who have access. Health answers anyone, and is not
/// written to `audit`, as all other calls are.
///
/// # Errors
/// If the reflection descriptors are broken.
pub async fn open<O: CallObserver>(
    service: Service,
    access: Arc<Access>,
    audit: Option<audit::Log>,
    observer: &O,
) -> Result<Open<O::Method>, Box<dyn std::error::Error + Send + Sync>> {
    let (health, health_service) = tonic_health::server::health_reporter();
    let health_service = health_service.max_decoding_message_size(MAX_NAME);
    set_health(&health, ServingStatus::Serving).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection_v1 = reflection().build_v1()?.max_decoding_message_size(MAX_NAME);
    // what older clients ask, Python's among them
    let reflection_v1alpha = reflection()
        .build_v1alpha()?
        .max_decoding_message_size(MAX_NAME);
    // a page is answered with what there is before; this catches the rest
    let limit = service.limits.timeout + Duration::from_secs(5);
    let (age, cut) = (service.age, service.cut());
    let rates = service.rates();
    #[cfg(feature = "sql")]
    let queries = service.sql.clone().map(queries::Queries::new);
    #[cfg(feature = "sql")]
    let clock = service.lookup.clock().clone();
    let routes = Routes::new(service)
        .with(health_service)
        .with(reflection_v1)
        .with(reflection_v1alpha);
    #[cfg(feature = "sql")]
    let routes = match queries {
        Some(queries) => routes
            .with(flight::server(queries.clone()))
            .with(reports::server(queries, clock)),
        None => routes,
    };
    let gate = Gate {
        access,
        rates,
        audit,
        refused: Seldom::default(),
    };
    Ok(Open {
        calls: Calls::new(routes, observer, limit, gate),
        rooms: Arc::default(),
        health,
        age,
        cut,
    })
}

impl<M: MethodObserver> Open<M> {
    /// Where calls from within this process come in.
    #[must_use]
    pub fn door(&self) -> Door {
        Door::new(self.calls.clone(), Arc::clone(&self.rooms))
    }

    /// Serves until `shutdown` resolves; then takes no more calls, and lets those
    /// under way finish, streams when [`Service::stopping`] is cancelled, or ends them
    /// when [`Service::cut`] is.
    pub async fn serve(
        self,
        listener: TcpListener,
        tls: Option<Arc<Tls>>,
        shutdown: impl Future<Output = ()> + Send,
    ) {
        let Self {
            calls,
            rooms,
            health,
            age,
            cut,
        } = self;
        let drain = async {
            shutdown.await;
            set_health(&health, ServingStatus::NotServing).await;
            // ends the streams of those who watch, which would hold the end up
            for name in HEALTH_NAMES {
                health.clone().clear_service_status(name).await;
            }
        };
        listen::serve(listener, tls, calls, rooms, age, drain, cut).await;
    }
}

/// What health is told of: the empty name is the server as a whole.
const HEALTH_NAMES: [&str; 3] = ["", EVENT_SERVICE, SCOPE_SERVICE];

async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        health.set_service_status(name, status).await;
    }
}
