//! Spans of traces: from a caller, through its waits, to each request to AWS.
//!
//! Where nobody takes traces no span is made, and asking for one costs a load and a
//! branch. What spans say is what log lines may say: names of scopes and methods,
//! codes and numbers, and nothing of filters, events, tokens or keys.

use std::collections::HashMap;

use http::{HeaderMap, HeaderValue};
use opentelemetry::{
    Context, SpanId, TraceId,
    propagation::{Extractor, TextMapPropagator},
    trace::TraceContextExt,
};
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::{Span, field::Empty, info_span};
use tracing_opentelemetry::OpenTelemetrySpanExt;

/// The target of these spans: they are for traces, and not for log lines.
pub const TARGET: &str = "otel::trailgate";

/// The longest `tracestate` that is taken, in bytes: what W3C has everybody pass on
/// (Trace Context, 3.3.1.5). It stays with each span until that is exported.
const MAX_STATE: usize = 512;

/// gRPC's codes that are the server's fault, by OpenTelemetry's semantic conventions:
/// UNKNOWN, DEADLINE_EXCEEDED, UNIMPLEMENTED, INTERNAL, UNAVAILABLE and DATA_LOSS.
const FAULTS: [i32; 6] = [2, 4, 12, 13, 14, 15];

/// A call of `method` (`package.Service/Method`), in its caller's trace if the headers
/// say that there is one.
#[must_use]
pub fn call(method: &str, headers: &HeaderMap) -> Span {
    let (service, name) = method.split_once('/').unwrap_or((method, method));
    let span = info_span!(
        target: TARGET, "call",
        otel.name = method,
        otel.kind = "server",
        rpc.system = "grpc",
        rpc.service = service,
        rpc.method = name,
        rpc.grpc.status_code = Empty,
        otel.status_code = Empty,
    );
    if !span.is_disabled() {
        let caller = TraceContextPropagator::new().extract(&Metadata(headers));
        // a span that was just made has no parent yet
        let _ = span.set_parent(caller);
    }
    span
}

/// A call of an operation of AWS's, in its caller's trace if the headers say that
/// there is one.
#[must_use]
pub fn aws_call(operation: &'static str, headers: &HeaderMap) -> Span {
    let span = info_span!(
        target: TARGET, "call",
        otel.name = format_args!("CloudTrail/{operation}"),
        otel.kind = "server",
        rpc.system = "aws-api",
        rpc.service = "CloudTrail",
        rpc.method = operation,
        error.r#type = Empty,
        otel.status_code = Empty,
    );
    if !span.is_disabled() {
        let caller = TraceContextPropagator::new().extract(&Metadata(headers));
        // a span that was just made has no parent yet
        let _ = span.set_parent(caller);
    }
    span
}

/// A call of an operation of AWS's was refused with its error `code`; `is_fault`: by
/// fault of the server.
pub fn refused(span: &Span, code: &'static str, is_fault: bool) {
    span.record("error.type", code);
    if is_fault {
        span.record("otel.status_code", "ERROR");
    }
}

/// A call ended with gRPC's `code`.
pub fn ended(span: &Span, code: i32) {
    span.record("rpc.grpc.status_code", code);
    if FAULTS.contains(&code) {
        span.record("otel.status_code", "ERROR");
    }
}

/// A page that is fetched from a scope: its turns, pauses and requests. It belongs to
/// the call that had it fetched, and outlives it if that goes away.
#[must_use]
pub fn page(account: &str, region: &str, class: &'static str) -> Span {
    info_span!(
        target: TARGET, "page",
        cloud.account.id = account,
        cloud.region = region,
        trailgate.class = class,
    )
}

/// The wait for a page that another call has had fetched: linked to that.
#[must_use]
pub fn joined(page: &Span) -> Span {
    let span = info_span!(target: TARGET, "joined page");
    span.follows_from(page);
    span
}

/// The wait for a turn and for quota.
#[must_use]
pub fn quota(attempt: u32) -> Span {
    info_span!(target: TARGET, "quota", trailgate.attempt = i64::from(attempt))
}

/// One request to AWS.
#[must_use]
pub fn attempt(account: &str, region: &str, attempt: u32) -> Span {
    info_span!(
        target: TARGET, "attempt",
        otel.name = "CloudTrail/LookupEvents",
        otel.kind = "client",
        rpc.system = "aws-api",
        rpc.service = "CloudTrail",
        rpc.method = "LookupEvents",
        cloud.account.id = account,
        cloud.region = region,
        // numbers of spans are signed: others become text
        trailgate.attempt = i64::from(attempt),
        aws.request_id = Empty,
        trailgate.events = Empty,
        error.r#type = Empty,
        otel.status_code = Empty,
    )
}

/// An attempt brought `events`, or failed with AWS's error code.
pub fn answered(attempt: &Span, outcome: Result<usize, &str>) {
    match outcome {
        Ok(events) => {
            let events = i64::try_from(events).unwrap_or(i64::MAX);
            attempt.record("trailgate.events", events);
        }
        Err(code) => {
            attempt.record("error.type", code);
            attempt.record("otel.status_code", "ERROR");
        }
    }
}

/// The id that AWS gave the request of the attempt that is under way here.
pub fn request_id(id: Option<&str>) {
    if let Some(id) = id {
        Span::current().record("aws.request_id", id);
    }
}

/// The trace and the span that are under way here, for log lines.
#[must_use]
pub fn ids() -> Option<(TraceId, SpanId)> {
    Context::map_current(|context| {
        let span = context.span();
        let span = span.span_context();
        span.is_valid().then(|| (span.trace_id(), span.span_id()))
    })
}

/// `traceparent`, and `tracestate` if there is one, of the span that is under way here:
/// what a call is to have beside it so that its trace goes on. Empty where there is no
/// span.
#[must_use]
pub fn outgoing() -> HashMap<String, String> {
    let mut headers = HashMap::new();
    TraceContextPropagator::new().inject(&mut headers);
    headers.retain(|_, value| !value.is_empty());
    headers
}

/// A call's headers, as far as they are about traces.
struct Metadata<'a>(&'a HeaderMap);

impl Extractor for Metadata<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        let value = self.0.get(key).map(HeaderValue::to_str)?.ok()?;
        (value.len() <= MAX_STATE).then_some(value)
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(http::HeaderName::as_str).collect()
    }
}

/// Runs with a subscriber of spans, one thread at a time: what a callsite is known to be of
/// interest to is shared by threads, and is wrong for a moment where another's changes.
#[cfg(test)]
pub(crate) fn with_subscriber<T>(
    subscriber: impl tracing::Subscriber + Send + Sync + 'static,
    run: impl FnOnce() -> T,
) -> T {
    static ALONE: std::sync::Mutex<()> = std::sync::Mutex::new(());
    let _alone = ALONE
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    tracing::subscriber::with_default(subscriber, run)
}

#[cfg(test)]
mod tests {
    use opentelemetry::trace::TracerProvider;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use tracing_subscriber::{Layer, filter::filter_fn, layer::SubscriberExt};

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

    fn traced<T>(run: impl FnOnce() -> T) -> T {
        let provider = SdkTracerProvider::builder().build();
        let spans = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        with_subscriber(tracing_subscriber::registry().with(spans), run)
    }

    fn headers(parent: &str, state: &str) -> HeaderMap {
        let pairs = [("traceparent", parent), ("tracestate", state)];
        let pairs = pairs.map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
        pairs.into_iter().collect()
    }

    #[test]
    fn a_trace_goes_on_from_its_caller_and_onward() {
        traced(|| {
            let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
            let span = call(
                "trailgate.v1.EventService/LookupEvents",
                &headers(&parent, "a=b"),
            );
            let page = span.in_scope(|| page("111122223333", "us-east-1", "interactive"));
            assert!(ids().is_none());
            page.in_scope(|| {
                let (trace, span) = ids().unwrap();
                assert_eq!(trace.to_string(), TRACE);
                let onward = outgoing();
                assert_eq!(onward["traceparent"], format!("00-{TRACE}-{span}-01"));
                assert_eq!(onward["tracestate"], "a=b");
            });
        });
    }

    #[test]
    fn what_is_no_trace_context_begins_a_trace() {
        traced(|| {
            for parent in [
                "",
                "garbage",
                "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
                "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
                &"0".repeat(10_000),
            ] {
                let span = call("a/b", &headers(parent, ""));
                let trace = span.in_scope(|| ids().unwrap().0.to_string());
                assert_ne!(trace.to_lowercase(), TRACE, "{parent}");
            }
            let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
            let long = format!("a={}", "b".repeat(MAX_STATE));
            let span = call("a/b", &headers(&parent, &long));
            span.in_scope(|| assert!(!outgoing().contains_key("tracestate")));
        });
    }

    #[test]
    fn where_nobody_takes_traces_there_are_no_spans() {
        let lines = tracing_subscriber::fmt::layer().with_writer(std::io::sink);
        let lines = lines.with_filter(filter_fn(|metadata| metadata.target() != TARGET));
        let lines = tracing_subscriber::registry().with(lines);
        with_subscriber(lines, || {
            let parent = format!("00-{TRACE}-00f067aa0ba902b7-01");
            let span = call("a/b", &headers(&parent, "a=b"));
            assert!(span.is_disabled());
            span.in_scope(|| {
                assert!(ids().is_none());
                assert!(outgoing().is_empty());
            });
        });
    }
}
