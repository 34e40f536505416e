//! The gRPC port: services that validate, call and convert, and what
//! connections are held to.

mod calls;
mod events;
mod request;
mod scopes;
mod status;

use std::{future::Future, sync::Arc, time::Duration};

use tokio::net::TcpListener;
use tonic::transport::server::TcpIncoming;
use tonic_health::{ServingStatus, server::HealthReporter};

pub use calls::{CallObserver, CallsLayer};
pub use request::Limits;

use crate::{
    event::Scope,
    lookup::Lookup,
    proto::{
        DESCRIPTORS,
        v1::{
            event_service_server::{EventServiceServer, SERVICE_NAME as EVENT_SERVICE},
            scope_service_server::{SERVICE_NAME as SCOPE_SERVICE, ScopeServiceServer},
        },
    },
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

/// What the services stand on.
#[derive(Clone, Debug)]
pub struct Service {
    lookup: Arc<Lookup>,
    /// The configured scopes, sorted.
    scopes: Arc<[Scope]>,
    limits: Limits,
}

impl Service {
    /// Services over the configured scopes.
    #[must_use]
    pub fn new(lookup: Arc<Lookup>, mut scopes: Vec<Scope>, limits: Limits) -> Self {
        scopes.sort();
        scopes.dedup();
        Self {
            lookup,
            scopes: scopes.into(),
            limits,
        }
    }
}

/// Serves until `shutdown` resolves; then takes no more calls, and lets those
/// under way finish.
///
/// # Errors
/// If the reflection descriptors are broken, or the listener fails.
pub async fn serve<O: CallObserver>(
    service: Service,
    listener: TcpListener,
    observer: O,
    shutdown: impl Future<Output = ()> + Send,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let (health, health_service) = tonic_health::server::health_reporter();
    set_health(&health, ServingStatus::Serving).await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let hard_limit = service.limits.timeout + Duration::from_secs(5);
    let drain = async {
        shutdown.await;
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
        .add_service(health_service)
        .add_service(reflection)
        .add_service(
            EventServiceServer::new(service.clone()).max_decoding_message_size(MAX_REQUEST),
        )
        .add_service(ScopeServiceServer::new(service).max_decoding_message_size(MAX_REQUEST))
        .serve_with_incoming_shutdown(TcpIncoming::from(listener).with_nodelay(Some(true)), drain)
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
