//! Metrics after Prometheus's naming rules. What the modules count themselves
//! is read from them at each scrape.

use std::{sync::Arc, time::Duration};

use prometheus_client::{
    encoding::text::{encode_eof, encode_registry},
    metrics::{counter::Counter, family::Family, histogram::Histogram},
    registry::Registry,
};

use super::{parts::Parts, process::Process, text::classic};
use crate::{
    grpc::{CallObserver, MethodObserver},
    http::{AwsObserver, Text},
};

/// A method and how its call ended.
type CallLabels = [(&'static str, String); 2];
/// How a call ended.
type CodeLabels = [(&'static str, &'static str); 1];
/// A method.
type MethodLabels = [(&'static str, String); 1];

/// The server's metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    /// With the prefix of ours, and with none.
    registries: Arc<[Registry; 2]>,
    calls: Family<CallLabels, Counter>,
    latency: Family<MethodLabels, Histogram, fn() -> Histogram>,
    aws_calls: Family<CodeLabels, Counter>,
    aws_latency: Histogram,
}

/// Seconds: from an answer out of the cache to one that waited for a minute of
/// quota, and to streams of a day.
const BUCKETS: [f64; 15] = [
    0.001, 0.0025, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 2.5, 10.0, 30.0, 60.0, 600.0, 3_600.0,
    86_400.0,
];

fn latency() -> Histogram {
    Histogram::new(BUCKETS)
}

impl Metrics {
    /// Metrics of these parts, and of this process.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let mut registry = Registry::with_prefix("trailgate");
        let calls = Family::default();
        registry.register(
            "grpc_calls",
            "calls that ended, by method and code",
            calls.clone(),
        );
        let latency: Family<_, _, fn() -> Histogram> = Family::new_with_constructor(latency);
        registry.register(
            "grpc_call_duration_seconds",
            "time from a call to its answer, of a stream to its end, by method",
            latency.clone(),
        );
        let aws_calls = Family::default();
        registry.register(
            "aws_calls",
            "calls of AWS's clients that ended, by code",
            aws_calls.clone(),
        );
        let aws_latency = self::latency();
        registry.register(
            "aws_call_duration_seconds",
            "time from a call of AWS's clients to its answer",
            aws_latency.clone(),
        );
        registry.register_collector(Box::new(parts));
        let mut process = Registry::default();
        process.register_collector(Box::new(Process));
        Self {
            registries: Arc::new([registry, process]),
            calls,
            latency,
            aws_calls,
            aws_latency,
        }
    }

    /// The metrics as `text` has them; `None` if one could not be written.
    #[must_use]
    pub fn text(&self, text: Text) -> Option<String> {
        let mut written = String::new();
        for registry in self.registries.iter() {
            encode_registry(&mut written, registry).ok()?;
        }
        encode_eof(&mut written).ok()?;
        Some(match text {
            Text::OpenMetrics => written,
            Text::Classic => classic(&written),
        })
    }
}

impl CallObserver for Metrics {
    type Method = MethodMetrics;

    fn method(&self, method: &str) -> MethodMetrics {
        let name = [("method", method.to_owned())];
        let latency = self.latency.get_or_create(&name).clone();
        let ok = self.calls.get_or_create(&call(method, OK)).clone();
        MethodMetrics {
            method: method.to_owned(),
            latency,
            ok,
            calls: self.calls.clone(),
        }
    }
}

impl AwsObserver for Metrics {
    fn ended(&self, code: &'static str, latency: Duration) {
        self.aws_latency.observe(latency.as_secs_f64());
        self.aws_calls.get_or_create(&[("code", code)]).inc();
    }
}

/// The code of a call that succeeded, by its name.
const OK: &str = "OK";

fn call(method: &str, code: &str) -> CallLabels {
    [("method", method.to_owned()), ("code", code.to_owned())]
}

/// The metrics of one method: what most calls need is at hand.
#[derive(Debug)]
pub struct MethodMetrics {
    method: String,
    latency: Histogram,
    ok: Counter,
    calls: Family<CallLabels, Counter>,
}

impl MethodObserver for MethodMetrics {
    fn ended(&self, code: &'static str, latency: Duration) {
        self.latency.observe(latency.as_secs_f64());
        if code == OK {
            self.ok.inc();
        } else {
            let labels = call(&self.method, code);
            self.calls.get_or_create(&labels).inc();
        }
    }
}
