//! The HTTP port: is it alive, is it ready, what does it do.

mod accept;

use std::{future::Future, io, sync::Arc};

use axum::{
    Router,
    extract::{ConnectInfo, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::get,
};
use tokio::{net::TcpListener, sync::watch};

use self::accept::{Accepting, Visitor};
use crate::{
    policy::{Access, Denied, Method},
    tls::Tls,
};

/// OpenMetrics text, as Prometheus asks for it.
const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// Writes the metrics down; `None` if that failed.
pub type MetricsText = Arc<dyn Fn() -> Option<String> + Send + Sync>;

#[derive(Clone)]
struct Port {
    metrics: MetricsText,
    ready: watch::Receiver<bool>,
    access: Arc<Access>,
}

/// Serves `/livez`, `/readyz` and `/metrics` until `shutdown` resolves. Probes
/// answer anyone.
///
/// Neither probe looks at AWS: restarting this server, or taking it out of
/// service, would not end a throttling.
///
/// # Errors
/// If the listener fails.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    access: Arc<Access>,
    metrics: MetricsText,
    ready: watch::Receiver<bool>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let app = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(text))
        .with_state(Port {
            metrics,
            ready,
            access,
        });
    let app = app.into_make_service_with_connect_info::<Visitor>();
    axum::serve(Accepting::start(listener, tls), app)
        .with_graceful_shutdown(shutdown)
        .await
}

async fn readyz(State(port): State<Port>) -> (StatusCode, &'static str) {
    if *port.ready.borrow() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "stopping\n")
    }
}

async fn text(
    State(port): State<Port>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    headers: HeaderMap,
) -> Response {
    let refused = |status: StatusCode, why: String| (status, format!("{why}\n")).into_response();
    let header = headers.get(header::AUTHORIZATION);
    let who = port
        .access
        .who(visitor.name(), header.map(HeaderValue::as_bytes));
    let who = match who {
        Ok(who) => who,
        Err(error) => return refused(StatusCode::UNAUTHORIZED, error.to_string()),
    };
    if let Err(denied) = port.access.rights(&who, Some(Method::Metrics)) {
        let status = match denied {
            Denied::Unknown => StatusCode::UNAUTHORIZED,
            Denied::NotAllowed => StatusCode::FORBIDDEN,
        };
        return refused(status, denied.to_string());
    }
    match (port.metrics)() {
        Some(text) => ([(header::CONTENT_TYPE, OPENMETRICS)], text).into_response(),
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
