//! The gRPC port: services that validate, call and convert, and what
//! connections are held to.

mod calls;
mod events;
mod export;
mod request;
mod routes;
mod scopes;
mod status;
mod summary;

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{net::TcpListener, sync::Semaphore};
use tokio_util::sync::CancellationToken;
use tonic::transport::server::TcpIncoming;
use tonic_health::{ServingStatus, server::HealthReporter};

pub use calls::{CallObserver, CallsLayer, MethodObserver};
pub use request::Limits;

use self::routes::{Others, Routes};

use crate::{
    lookup::Lookup,
    proto::{
        DESCRIPTORS,
        server::{
            event_service_server::SERVICE_NAME as EVENT_SERVICE,
            scope_service_server::SERVICE_NAME as SCOPE_SERVICE,
        },
    },
    upstream::Scopes,
};

/// The largest request, in bytes: the filters of a long list of values, with
/// room to spare.
const MAX_REQUEST: usize = 1024 * 1024;
/// Calls under way on one connection. HTTP/2 implementations offer 100 or more.
const MAX_STREAMS: u32 = 200;
/// The most bytes of a request's headers. Tokens and deadlines take a few
/// hundred.
const MAX_HEADERS: u32 = 16 * 1024;
/// Streams that a client may open and reset at once before its connection is
/// closed (rapid reset, CVE-2023-44487); hyper's own default.
const MAX_PENDING_RESETS: usize = 20;
/// A connection that says nothing for so long is asked whether it lives, and
/// closed when it does not answer within [`KEEPALIVE_TIMEOUT`].
const KEEPALIVE: Duration = Duration::from_secs(60);
/// See [`KEEPALIVE`].
const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(20);

/// Exports at once. Each holds up to three batches of 3 MiB on the way out:
/// together some 150 MB. More would not be faster, since they share the quota.
const MAX_EXPORTS: usize = 16;
/// Summaries at once: each holds up to 16 MiB of values, and a page of 32 MiB
/// that the cache may have dropped. Others wait for their turn.
const MAX_SUMMARIES: usize = 8;

/// What the services stand on.
#[derive(Clone, Debug)]
pub struct Service {
    lookup: Arc<Lookup>,
    scopes: Scopes,
    limits: Limits,
    exports: Arc<Semaphore>,
    summaries: Arc<Semaphore>,
    /// The server shuts down: streams end.
    stopping: CancellationToken,
}

impl Service {
    /// Services over the configured scopes.
    #[must_use]
    pub fn new(lookup: Arc<Lookup>, scopes: impl Into<Scopes>, limits: Limits) -> Self {
        Self {
            lookup,
            scopes: scopes.into(),
            limits,
            exports: Arc::new(Semaphore::new(MAX_EXPORTS)),
            summaries: Arc::new(Semaphore::new(MAX_SUMMARIES)),
            stopping: CancellationToken::new(),
        }
    }
}

/// Serves until `shutdown` resolves; then takes no more calls, and lets those
/// under way finish.
///
/// # Errors
/// If the reflection descriptors are broken, or the listener fails.
pub async fn serve(
    service: Service,
    listener: TcpListener,
    observer: &impl CallObserver,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (health, health_service) = tonic_health::server::health_reporter();
    set_health(&health, ServingStatus::Serving).await;
    let reflection = || {
        tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(DESCRIPTORS)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
    };
    let reflection_v1 = reflection().build_v1()?;
    // what older clients ask, Python's among them
    let reflection_v1alpha = reflection().build_v1alpha()?;
    let others = Others::default()
        .with(health_service)
        .with(reflection_v1)
        .with(reflection_v1alpha);
    let hard_limit = service.limits.timeout + Duration::from_secs(5);
    let stopping = service.stopping.clone();
    let drain = async {
        shutdown.await;
        stopping.cancel();
        set_health(&health, ServingStatus::NotServing).await;
        // ends the streams of those who watch, which would hold the end up
        for name in HEALTH_NAMES {
            health.clone().clear_service_status(name).await;
        }
    };
    tonic::transport::Server::builder()
        // a page is answered with what there is before; this catches the rest
        .timeout(hard_limit)
        .max_concurrent_streams(MAX_STREAMS)
        .http2_max_header_list_size(MAX_HEADERS)
        .http2_max_pending_accept_reset_streams(Some(MAX_PENDING_RESETS))
        .http2_keepalive_interval(Some(KEEPALIVE))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        .layer(CallsLayer::new(observer))
        .serve_with_incoming_shutdown(
            Routes::new(service, others),
            TcpIncoming::from(listener).with_nodelay(Some(true)),
            drain,
        )
        .await?;
    Ok(())
}

/// What health is told of: the empty name is the server as a whole.
const HEALTH_NAMES: [&str; 3] = ["", EVENT_SERVICE, SCOPE_SERVICE];

async fn set_health(health: &HealthReporter, status: ServingStatus) {
    for name in HEALTH_NAMES {
        health.set_service_status(name, status).await;
    }
}
