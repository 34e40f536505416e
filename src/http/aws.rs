//! AWS's own clients: `LookupEvents` as CloudTrail speaks it, answered as any other
//! question is.

mod ending;
mod question;
mod who;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::{ConnectInfo, Request, State},
    http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts},
    response::Response,
};
use bytes::BytesMut;
use http_body_util::BodyExt;
use jiff::Timestamp;
use tokio::time::{Instant, timeout, timeout_at};
use tracing::Instrument;

use self::ending::Ending;
use super::listen::Visitor;
use crate::{
    audit,
    awsjson::{
        self, Code, Error, LOOKUP_EVENTS, LookupRequest, MAX_BODY, REQUEST_ID_HEADER, Several,
        TARGET_HEADER,
    },
    budget::Caller,
    clock::Clock,
    lookup::Lookup,
    policy::Access,
    rates::Rates,
    sigv4::{self, Keys},
    slots::{Slot, Slots},
    upstream::Scopes,
};

/// Calls at once, and half of them for any one caller; others wait for their turn.
/// Each holds up to a page of [`question::PAGE_BYTES`] and the JSON that it is
/// written to, some 350 KB usually. More would not be faster: they are written by a
/// few cores, and what they wait for is quota.
const MAX_CALLS: usize = 128;
/// The longest that a call may take, whatever settings say: AWS's SDKs wait 30 to 60
/// seconds for an answer, and ask again when they have a retriable error sooner.
const LONGEST: Duration = Duration::from_secs(20);
/// How long a request's body may take to come: it is sent at once.
const BODY_TIME: Duration = Duration::from_secs(10);
/// The most bytes of a body that are read, though they are dropped.
const MAX_DROPPED: usize = 4 * 1024 * 1024;

/// When AWS was asked for the oldest part of an answer.
const AS_OF_HEADER: HeaderName = HeaderName::from_static("x-trailgate-as-of");
/// Requests to AWS that the call bought.
const CALLS_HEADER: HeaderName = HeaderName::from_static("x-trailgate-upstream-calls");
/// How old the answer for what is not settled may be, in seconds; a request's.
const STALENESS_HEADER: HeaderName = HeaderName::from_static("x-trailgate-max-staleness");
/// What browsers send beside a request that a page has made.
const BY_A_PAGE: [HeaderName; 2] = [header::ORIGIN, HeaderName::from_static("sec-fetch-site")];

/// Told of every call.
pub trait AwsObserver: Send + Sync {
    /// A call ended after `latency` with `OK`, AWS's error code, or `CANCELLED`: its
    /// caller went away before.
    fn ended(&self, code: &'static str, latency: Duration);
}

/// What answers stand on.
pub struct AwsOptions {
    /// Answers questions.
    pub lookup: Arc<Lookup>,
    /// The scopes that may be asked.
    pub scopes: Scopes,
    /// The key pairs that callers sign with; `None`: any signature is taken, and is
    /// nobody's.
    pub keys: Option<Arc<Keys>>,
    /// Who may ask what.
    pub access: Arc<Access>,
    /// Where calls are written; `None`: nowhere.
    pub audit: Option<audit::Log>,
    /// How often each caller calls.
    pub(crate) rates: Arc<Rates<Caller>>,
    /// Told of every call.
    pub observer: Arc<dyn AwsObserver>,
    /// The longest that a page may take.
    pub timeout: Duration,
    /// Requests that a page may buy.
    pub max_upstream_calls: u64,
}

/// The endpoint for AWS's clients.
pub struct Aws {
    options: AwsOptions,
    calls: Slots,
    is_stopping: AtomicBool,
}

impl fmt::Debug for Aws {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Aws").finish_non_exhaustive()
    }
}

impl Aws {
    /// An endpoint on these.
    #[must_use]
    pub fn new(options: AwsOptions) -> Self {
        Self {
            options,
            calls: Slots::new(MAX_CALLS),
            is_stopping: AtomicBool::new(false),
        }
    }

    /// The longest that an answer takes to begin.
    pub(super) fn longest(&self) -> Duration {
        self.options.timeout.min(LONGEST) + BODY_TIME
    }

    /// Takes no more calls, and waits until none is under way.
    pub async fn ended(&self) {
        self.is_stopping.store(true, Relaxed);
        self.calls.ended().await;
    }

    fn now(&self) -> Timestamp {
        self.options.lookup.clock().now()
    }
}

/// A page, as it is told.
struct Told {
    body: Vec<u8>,
    events: usize,
    /// When AWS was asked for the oldest part of it.
    as_of: Timestamp,
    /// Requests that were bought.
    upstream_calls: u64,
    place: Slot,
}

/// An error, and after what time it is worth while to ask again.
#[derive(Debug)]
struct Refusal {
    error: Error,
    wait: Option<Duration>,
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        Self { error, wait: None }
    }
}

impl Refusal {
    fn new(code: Code, message: impl Into<String>) -> Self {
        Error::new(code, message).into()
    }
}

/// `POST /` of whoever is at the other end.
pub(super) async fn call(
    State(aws): State<Arc<Aws>>,
    ConnectInfo(visitor): ConnectInfo<Visitor>,
    request: Request,
) -> Response {
    let mut ending = Ending::begin(&aws.options, &visitor, request.headers());
    let span = ending.span.clone();
    let answer = aws
        .answer(&visitor, request, &mut ending)
        .instrument(span)
        .await;
    let mut response = match answer {
        Ok(told) => {
            ending.tell("OK", false);
            response(told)
        }
        Err(Refusal { error, wait }) => {
            ending.tell(error.code.as_str(), error.code.status() >= 500);
            let mut response = awsjson::error_reply(&error).map(Body::from);
            if let Some(wait) = wait {
                // a part of a second counts as one
                let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
                let seconds = HeaderValue::from(seconds);
                response.headers_mut().insert(header::RETRY_AFTER, seconds);
            }
            response
        }
    };
    if let Ok(id) = HeaderValue::from_str(&request_id()) {
        response.headers_mut().insert(REQUEST_ID_HEADER, id);
    }
    response
}

/// A body that has its place until it is sent.
struct Placed {
    body: Vec<u8>,
    _place: Slot,
}

impl AsRef<[u8]> for Placed {
    fn as_ref(&self) -> &[u8] {
        &self.body
    }
}

fn response(told: Told) -> Response {
    let Told {
        body,
        as_of,
        upstream_calls,
        place,
        ..
    } = told;
    let _place = place;
    let body = Bytes::from_owner(Placed { body, _place });
    let head = awsjson::reply(200, awsjson::CONTENT_TYPE, Vec::new());
    let mut response = head.map(|_| Body::from(body));
    let headers = response.headers_mut();
    if let Ok(as_of) = HeaderValue::from_str(&as_of.to_string()) {
        headers.insert(AS_OF_HEADER, as_of);
    }
    headers.insert(CALLS_HEADER, upstream_calls.into());
    response
}

/// A UUID of version 4.
fn request_id() -> String {
    let id: u128 = rand::random();
    let part = |shift: u32, bits: u32| id >> shift & ((1 << bits) - 1);
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        part(96, 32),
        part(80, 16),
        part(64, 12),
        part(48, 14) | 1 << 15,
        part(0, 48)
    )
}

impl Aws {
    /// In the order of AWS's front end: which operation, who asks, with what right and
    /// how often; only then is the request read.
    async fn answer(
        &self,
        visitor: &Visitor,
        request: Request,
        ending: &mut Ending,
    ) -> Result<Told, Refusal> {
        let target = request.headers().get(TARGET_HEADER);
        let target = target.and_then(|target| target.to_str().ok());
        if target.and_then(awsjson::operation) != Some(LOOKUP_EVENTS) {
            let what = "This endpoint answers LookupEvents of CloudTrail alone.";
            ending.is_refused(what);
            return Err(Refusal::new(Code::UnknownOperation, what));
        }
        if self.is_stopping.load(Relaxed) {
            let what = "The gateway stops; ask again.";
            return Err(Refusal::new(Code::ServiceUnavailable, what));
        }
        let (parts, body) = request.into_parts();
        let admitted = match read(body).await {
            Ok(body) => self
                .admit(visitor, &parts, &body, ending)
                .map(|known| (known, body)),
            Err(refusal) => Err(refusal),
        };
        let (known, body) = admitted.inspect_err(|it| ending.is_refused(&it.error.message))?;
        let request = LookupRequest::parse(&body, Several::Refuse)?;
        ending.asks(&known.scope, &request);
        let staleness = staleness(&parts.headers)?;
        let deadline = Clock::deadline(self.options.timeout.min(LONGEST));
        let place = self.place(&known.caller, deadline).await?;
        let told = self
            .page(&known, &request, staleness, deadline, place)
            .await?;
        ending.told(told.events);
        Ok(told)
    }

    async fn place(&self, caller: &Caller, deadline: Instant) -> Result<Slot, Refusal> {
        let place = timeout_at(deadline, self.calls.wait(caller)).await;
        place.ok().flatten().ok_or_else(|| {
            let message = format!("Rate exceeded: {MAX_CALLS} calls are under way");
            Refusal::new(Code::Throttling, message)
        })
    }
}

/// A request's body.
async fn read(body: Body) -> Result<Bytes, Refusal> {
    match timeout(BODY_TIME, collect(body)).await {
        Ok(read) => read,
        Err(_) => Err(not_sent()),
    }
}

/// Who is still sending may not hear an answer: what is too large is read for a while,
/// and dropped.
async fn collect(mut body: Body) -> Result<Bytes, Refusal> {
    let mut read = BytesMut::new();
    let mut count = 0_usize;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| not_sent())?;
        let data = frame.data_ref().map_or(&[][..], AsRef::as_ref);
        count = count.saturating_add(data.len());
        if count <= MAX_BODY {
            read.extend_from_slice(data);
        } else {
            read.clear();
        }
        if count > MAX_DROPPED {
            break;
        }
    }
    if count > MAX_BODY {
        let message = format!("The request body has more than {MAX_BODY} bytes.");
        return Err(Refusal::new(Code::TooLarge, message));
    }
    Ok(read.freeze())
}

fn not_sent() -> Refusal {
    Refusal::new(
        Code::Serialization,
        "The request body was not sent to its end.",
    )
}

/// How old the answer for what is not settled may be; `None`: it is not said.
fn staleness(headers: &HeaderMap) -> Result<Option<Duration>, Refusal> {
    let Some(given) = headers.get(&STALENESS_HEADER) else {
        return Ok(None);
    };
    let read = given.to_str().ok().and_then(|text| text.parse().ok());
    let read = read.map(Duration::from_secs);
    read.map(Some).ok_or_else(|| {
        let message = format!("{STALENESS_HEADER} is no number of whole seconds.");
        Refusal::new(Code::Validation, message)
    })
}
