//! The HTTP port: is it alive, is it ready, what does it do, and what AWS's own
//! clients ask.

mod aws;
mod listen;

use std::{fmt, future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, State},
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{IntoResponse, Response},
    routing::{get, post},
};
use tokio::{
    net::TcpListener,
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::{Instant, timeout},
};

pub use self::{
    aws::{Aws, AwsObserver, AwsOptions},
    listen::Visitor,
};
use crate::{
    audit::{self, Trail},
    awsjson,
    policy::{Access, Denied, Method},
    seldom::Seldom,
    tls::Tls,
};

/// How metrics are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Text {
    /// OpenMetrics 1.0, for who asks for it, as Prometheus does.
    OpenMetrics,
    /// Prometheus's text format 0.0.4.
    Classic,
}

impl Text {
    /// What whoever sends these headers reads.
    fn of(headers: &HeaderMap) -> Self {
        let accepted = headers.get_all(header::ACCEPT).iter();
        let mut accepted = accepted.filter_map(|value| value.to_str().ok());
        match accepted.any(|value| value.contains("application/openmetrics-text")) {
            true => Self::OpenMetrics,
            false => Self::Classic,
        }
    }

    fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Classic => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Scrapes that are being answered; others wait for [`SCRAPE_WAIT`]. Each holds its
/// text until it is sent, some 100 KB, and a Prometheus or two ask.
const MAX_SCRAPES: usize = 16;
/// See [`MAX_SCRAPES`]; less than a scrape's time-out.
const SCRAPE_WAIT: Duration = Duration::from_secs(5);

/// Writes the metrics down; `None` if that failed.
pub type MetricsText = Arc<dyn Fn(Text) -> Option<String> + Send + Sync>;

#[derive(Clone)]
struct Port {
    metrics: MetricsText,
    ready: watch::Receiver<bool>,
    access: Arc<Access>,
    audit: Option<audit::Log>,
    scrapes: Arc<Semaphore>,
    /// Those that were turned away.
    refused: Arc<Seldom>,
}

/// A text that is being sent.
struct Scrape {
    text: String,
    _place: OwnedSemaphorePermit,
}

impl AsRef<[u8]> for Scrape {
    fn as_ref(&self) -> &[u8] {
        self.text.as_bytes()
    }
}

/// What the port answers.
pub struct App {
    /// Who may read metrics.
    pub access: Arc<Access>,
    /// Where it is written who may not.
    pub audit: Option<audit::Log>,
    /// Answers AWS's clients; `None`: nobody does.
    pub aws: Option<Arc<Aws>>,
    /// Writes metrics.
    pub metrics: MetricsText,
    /// Whether calls are taken.
    pub ready: watch::Receiver<bool>,
    /// Pages beside.
    pub console: Option<Router>,
}

impl fmt::Debug for App {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("App").finish_non_exhaustive()
    }
}

/// Serves `/livez`, `/readyz`, `/metrics`, AWS's clients where they are answered, and
/// what stands beside until `shutdown` resolves. Probes answer anyone.
///
/// Neither probe looks at AWS: restarting this server, or taking it out of
/// service, would not end a throttling.
pub async fn serve(
    listener: TcpListener,
    tls: Option<Arc<Tls>>,
    app: App,
    shutdown: impl Future<Output = ()> + Send + 'static,
) {
    let App {
        access,
        audit,
        aws,
        metrics,
        ready,
        console,
    } = app;
    let app = Router::new()
        .route("/livez", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(text))
        .with_state(Port {
            metrics,
            ready,
            access,
            audit,
            scrapes: Arc::new(Semaphore::new(MAX_SCRAPES)),
            refused: Arc::default(),
        });
    let app = app.merge(console.unwrap_or_default());
    let (app, longest) = match aws {
        Some(aws) => {
            let longest = aws.longest();
            let door = Router::new().route("/", post(aws::call)).with_state(aws);
            (app.merge(door), longest)
        }
        None => (
            app.merge(Router::new().route("/", post(unanswered))),
            Duration::ZERO,
        ),
    };
    let app = app.fallback(nowhere);
    listen::serve(listener, tls, app, longest, shutdown).await;
}

/// For AWS's clients where they are not answered: they show what AWS's form has.
async fn unanswered() -> Response {
    unknown_operation("this gateway does not answer AWS's clients; start it with --serve-aws")
}

fn unknown_operation(what: &str) -> Response {
    let error = awsjson::Error::new(awsjson::Code::UnknownOperation, what);
    awsjson::error_reply(&error).map(Body::from)
}

async fn nowhere(headers: HeaderMap) -> Response {
    if headers.contains_key("x-amz-target") {
        return unknown_operation(
            "nothing is at this path; the endpoint is the port alone, as http://HOST:PORT",
        );
    }
    (
        StatusCode::NOT_FOUND,
        "nothing is here; there are /livez, /readyz and /metrics, and with --console /events\n",
    )
        .into_response()
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
    let start = Instant::now();
    // who reads figures reads no events: only those are written who may not
    let log = port.audit.as_ref();
    let mut trail = log.map(|log| Trail::new(log.clone(), visitor.address, "/metrics"));
    let header = headers.get(header::AUTHORIZATION);
    let who = port
        .access
        .who(visitor.name(), header.map(HeaderValue::as_bytes));
    let refused = match who {
        Err(error) => Some((StatusCode::UNAUTHORIZED, error.to_string())),
        Ok(who) => {
            let rights = port.access.rights(&who, Some(Method::Metrics));
            if let Some(trail) = &mut trail {
                trail.who = Some(who);
            }
            rights.err().map(|denied| {
                let status = match denied {
                    Denied::Unknown => StatusCode::UNAUTHORIZED,
                    Denied::NotAllowed => StatusCode::FORBIDDEN,
                };
                (status, denied.to_string())
            })
        }
    };
    if let Some((status, why)) = refused {
        let code = match status {
            StatusCode::FORBIDDEN => "PERMISSION_DENIED",
            _ => "UNAUTHENTICATED",
        };
        let (peer, reason) = (visitor.address, &why);
        match port.refused.count() {
            Some(refused) => {
                tracing::info!(%peer, code, reason, refused, "metrics were not shown");
            }
            None => tracing::debug!(%peer, code, reason, "metrics were not shown"),
        }
        if let Some(mut trail) = trail {
            trail.refused = Some(why.clone());
            trail.ends(code, start.elapsed());
        }
        return (status, format!("{why}\n")).into_response();
    }
    let place = timeout(SCRAPE_WAIT, port.scrapes.acquire_owned()).await;
    let Ok(Ok(_place)) = place else {
        let why = format!("{MAX_SCRAPES} scrapes are being answered; try again later");
        return (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")).into_response();
    };
    let form = Text::of(&headers);
    match (port.metrics)(form) {
        Some(text) => {
            let text = Bytes::from_owner(Scrape { text, _place });
            ([(header::CONTENT_TYPE, form.content_type())], text).into_response()
        }
        None => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
