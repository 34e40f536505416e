//! The simulator over HTTP: what any AWS SDK, or the AWS CLI, can ask.

mod account;
mod auth;
mod connection;
mod organizations;
mod sts;

use std::{future::Future, io, sync::Arc, time::Duration};

use axum::{
    Router,
    body::{Body, Bytes},
    extract::{ConnectInfo, DefaultBodyLimit, State},
    http::{HeaderMap, HeaderValue, StatusCode},
    middleware::map_response_with_state,
    response::Response,
    routing::{any, get, post},
};
use tokio::net::TcpListener;

use self::{
    auth::Caller,
    connection::{Cut, Doors},
};
use super::{Refusal, Simulator, chance::hash};
use crate::{
    awsjson::{self, Code, Error, LOOKUP_EVENTS, LookupRequest},
    event::Scope,
};

/// How long requests that are under way may take when the server ends.
const GRACE: Duration = Duration::from_secs(5);

/// The operation name under which the counters have everything unknown.
const UNKNOWN: &str = "Unknown";

/// Serves a simulator until `shutdown` is done. Connections end after the
/// answer that is under way, or after five seconds.
///
/// # Errors
///
/// Those of the listener.
pub async fn serve(
    listener: TcpListener,
    simulator: Arc<Simulator>,
    shutdown: impl Future<Output = ()> + Send + 'static,
) -> io::Result<()> {
    let app = Router::new()
        .route("/", post(aws))
        .route("/listRegions", post(account::list_regions))
        .route("/_simulator/stats", get(stats))
        .route("/_simulator/health", get(|| async { "ok\n" }))
        .fallback(any(unknown))
        .layer(DefaultBodyLimit::max(awsjson::MAX_BODY))
        .layer(map_response_with_state(simulator.clone(), name_request))
        .with_state(simulator.clone())
        .into_make_service_with_connect_info::<Cut>();
    let ticks = tick(simulator.clone());
    let (ending, ended) = tokio::sync::oneshot::channel::<()>();
    let server = axum::serve(Doors::new(listener), app).with_graceful_shutdown(async move {
        shutdown.await;
        // nobody waits for it if the server failed meanwhile
        let _ = ending.send(());
    });
    let overtime = async {
        if ended.await.is_ok() {
            tokio::time::sleep(GRACE).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = server => served,
        () = overtime => Ok(()),
        () = ticks => Ok(()),
    }
}

/// Lets live events happen while nobody asks, so that whoever asks next need
/// not wait for hours of them.
async fn tick(simulator: Arc<Simulator>) {
    if simulator.options().live.is_zero() {
        return std::future::pending().await;
    }
    let mut ticks = tokio::time::interval(Duration::from_secs(1));
    loop {
        ticks.tick().await;
        drop(simulator.lock());
    }
}

async fn stats(State(simulator): State<Arc<Simulator>>) -> Response {
    // strings and numbers always serialise
    let body = serde_json::to_vec(&simulator.stats()).unwrap_or_default();
    reply(200, "application/json", body)
}

async fn name_request(State(simulator): State<Arc<Simulator>>, mut reply: Response) -> Response {
    if let Ok(id) = HeaderValue::from_str(&simulator.request_id()) {
        reply.headers_mut().insert(awsjson::REQUEST_ID_HEADER, id);
    }
    reply
}

/// `POST /`: STS if there is no target, else CloudTrail or Organizations.
async fn aws(
    State(simulator): State<Arc<Simulator>>,
    ConnectInfo(cut): ConnectInfo<Cut>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(target) = headers.get(awsjson::TARGET_HEADER) else {
        return sts::answer(&simulator, &headers, &body);
    };
    let target = target.to_str().ok();
    if let Some(operation) = target.and_then(organizations::operation) {
        return organizations::answer(&simulator, operation, &headers, &body);
    }
    let operation = target.and_then(awsjson::operation);
    let caller = Caller::of(&headers);
    if operation != Some(LOOKUP_EVENTS) {
        return json_error(&simulator.refuse_unknown(caller.as_ref().ok()));
    }
    let scope = match caller.and_then(|caller| simulator.scope_of(&caller)) {
        Ok(scope) => scope,
        Err(error) => {
            simulator.count_stray(LOOKUP_EVENTS, &error);
            return json_error(&error);
        }
    };
    let parse = || LookupRequest::parse(&body, simulator.options().several);
    match simulator.lookup(&scope, parse).await {
        Ok(answer) => {
            let body = awsjson::answer(&answer.events, answer.next_token.as_deref());
            reply(200, awsjson::CONTENT_TYPE, body)
        }
        Err(Refusal::Error(error)) => json_error(&error),
        Err(Refusal::Disconnect) => {
            cut.cut();
            // never sent: the connection refuses to write
            reply(500, awsjson::CONTENT_TYPE, Vec::new())
        }
    }
}

async fn unknown(State(simulator): State<Arc<Simulator>>, headers: HeaderMap) -> Response {
    let caller = Caller::of(&headers);
    let error = simulator.refuse_unknown(caller.as_ref().ok());
    let mut reply = json_error(&error);
    *reply.status_mut() = StatusCode::NOT_FOUND;
    reply
}

impl Simulator {
    /// The scope that a caller speaks to.
    fn scope_of(&self, caller: &Caller) -> Result<Scope, Error> {
        let now = self.clock.now_secs();
        caller.check_session(now)?;
        let account = self.lock().account_of(&caller.access_key).ok_or_else(|| {
            Error::new(
                Code::UnrecognizedClient,
                "The security token included in the request is invalid.",
            )
        })?;
        Ok(Scope::new(&account, &caller.region))
    }

    /// Counts a request that belongs to no scope.
    fn count_stray(&self, operation: &'static str, error: &Error) {
        let nowhere = Scope::new("", "");
        self.count(&nowhere, operation, Err(error));
    }

    /// Counts a request that was answered at once.
    fn count(&self, scope: &Scope, operation: &'static str, outcome: Result<(), &Error>) {
        let refusal = outcome.err().map(|error| Refusal::Error(error.clone()));
        let mut state = self.lock();
        state.count_request(&self.options, scope, operation);
        let outcome = refusal.as_ref().map_or(Ok(0), Err);
        state.count_outcome(&self.options, scope, operation, outcome);
    }

    fn refuse_unknown(&self, caller: Option<&Caller>) -> Error {
        let error = Error::new(
            Code::UnknownOperation,
            "The simulator answers LookupEvents, AssumeRole, GetCallerIdentity, ListAccounts and \
             ListRegions.",
        );
        match caller.and_then(|caller| self.scope_of(caller).ok()) {
            Some(scope) => self.count(&scope, UNKNOWN, Err(&error)),
            None => self.count_stray(UNKNOWN, &error),
        }
        error
    }

    /// An id for an answer: unlike all others of this simulator.
    fn request_id(&self) -> String {
        let nth = {
            let mut state = self.lock();
            state.answers += 1;
            state.answers
        };
        let (a, b) = (
            hash((self.options.seed, nth)),
            hash((nth, self.options.seed)),
        );
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            a >> 32,
            a >> 16 & 0xffff,
            a & 0xfff,
            b >> 52,
            b & 0xffff_ffff_ffff
        )
    }
}

fn json_error(error: &Error) -> Response {
    awsjson::error_reply(error).map(Body::from)
}

fn reply(status: u16, content_type: &'static str, body: Vec<u8>) -> Response {
    awsjson::reply(status, content_type, body).map(Body::from)
}
