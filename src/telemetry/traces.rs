//! Traces, by OTLP: spans wait in a bounded queue, and what a collector does not take
//! in time is dropped, and counted.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{
            AtomicBool, AtomicU64, AtomicUsize,
            Ordering::{Relaxed, SeqCst},
        },
    },
    time::Duration,
};

use opentelemetry::{Context, Key, trace::TracerProvider};
use opentelemetry_otlp::{
    SpanExporter as Otlp, WithExportConfig, WithTonicConfig,
    tonic_types::transport::ClientTlsConfig,
};
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{
        BatchConfigBuilder, BatchSpanProcessor, Sampler, SdkTracerProvider, Span, SpanData,
        SpanExporter, SpanProcessor,
    },
};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, Registry, filter::filter_fn};

use crate::trace::TARGET;

/// Spans that wait to be exported, those under way included. A span takes about a
/// kilobyte, so all of them some 2 MB; a page that is asked for anew makes four.
const QUEUE: usize = 2048;
/// Spans in one export.
const BATCH: usize = 512;
/// How often what waits is exported, unless a batch is there sooner.
const EVERY: Duration = Duration::from_secs(1);
/// How long a collector may take for one export, further tries included.
const EXPORT: Duration = Duration::from_secs(5);
/// How long the end of the process waits for what is left to be exported.
const FLUSH: Duration = Duration::from_secs(3);

/// Where traces go, and which.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// The collector's OTLP port for gRPC, as a URL.
    pub endpoint: String,
    /// Which part of the traces that begin here is taken, 0 to 1.
    pub sample: f64,
}

/// Traces cannot be exported as the settings say.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{endpoint:?} cannot be exported to: {why}; write it like http://127.0.0.1:4317")]
pub struct BadEndpoint {
    endpoint: String,
    why: String,
}

/// What became of spans, since the process began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Spans {
    /// The collector has them.
    pub(super) exported: u64,
    /// It did not take them.
    pub(super) failed: u64,
    /// There was no room for them.
    pub(super) dropped: u64,
}

#[derive(Debug, Default)]
struct Counts {
    waiting: AtomicUsize,
    exported: AtomicU64,
    failed: AtomicU64,
    dropped: AtomicU64,
}

/// Those of this process: like its log lines, its spans have one way out.
static COUNTS: OnceLock<Arc<Counts>> = OnceLock::new();

/// What became of the spans of this process; `None`: it has no traces.
pub(super) fn spans() -> Option<Spans> {
    COUNTS.get().map(|counts| Spans {
        exported: counts.exported.load(Relaxed),
        failed: counts.failed.load(Relaxed),
        dropped: counts.dropped.load(Relaxed),
    })
}

/// The traces of this process.
#[derive(Clone, Debug)]
pub(super) struct Traces {
    provider: SdkTracerProvider,
}

impl Traces {
    /// Gets ready to export; connects when there is something to export. To be called
    /// within a Tokio runtime, which the connection lives on.
    ///
    /// # Errors
    /// If the endpoint is none, or TLS cannot be had.
    pub(super) fn start(options: &Options) -> Result<Self, BadEndpoint> {
        let exporter = Otlp::builder()
            .with_tonic()
            .with_endpoint(&options.endpoint)
            .with_timeout(EXPORT);
        let exporter = if options.endpoint.starts_with("https://") {
            exporter.with_tls_config(ClientTlsConfig::new().with_native_roots())
        } else {
            exporter
        };
        let exporter = exporter.build().map_err(|error| BadEndpoint {
            endpoint: options.endpoint.clone(),
            why: error.to_string(),
        })?;
        let counts = Arc::clone(COUNTS.get_or_init(Arc::default));
        let spans = Bounded::new(exporter, counts);
        let part = Sampler::TraceIdRatioBased(options.sample);
        let provider = SdkTracerProvider::builder()
            .with_span_processor(spans)
            // whoever calls has decided for its traces
            .with_sampler(Sampler::ParentBased(Box::new(part)))
            .with_resource(resource())
            .build();
        Ok(Self { provider })
    }

    /// What makes spans of ours spans of traces, and takes no others.
    pub(super) fn layer(&self) -> impl Layer<Registry> + Send + Sync + use<> {
        tracing_opentelemetry::layer()
            .with_tracer(self.provider.tracer("trailgate"))
            .with_location(false)
            .with_target(false)
            .with_threads(false)
            .with_tracked_inactivity(false)
            .with_filter(
                filter_fn(|metadata| metadata.is_span() && metadata.target() == TARGET)
                    .with_max_level_hint(LevelFilter::INFO),
            )
    }

    /// Exports what is left, and waits for that for at most [`FLUSH`].
    pub(super) async fn stop(self) {
        let stop = tokio::task::spawn_blocking(move || self.provider.shutdown_with_timeout(FLUSH));
        if let Ok(Err(error)) = stop.await {
            tracing::warn!(%error, "spans were left that no collector took");
        }
    }
}

/// What exports these spans: `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` say
/// more, and come first.
fn resource() -> Resource {
    let said = Resource::builder().build();
    let is_said = |key: &'static str| {
        let value = said.get_ref(&Key::from_static_str(key));
        // what the SDK says where nobody does
        value.is_some_and(|value| !value.as_str().starts_with("unknown_service"))
    };
    let ours = [
        ("service.name", "trailgate"),
        ("service.version", env!("CARGO_PKG_VERSION")),
    ];
    let ours = ours.into_iter().filter(|(key, _)| !is_said(key));
    Resource::builder()
        .with_attributes(ours.map(|(key, value)| opentelemetry::KeyValue::new(key, value)))
        .build()
}

/// Hands spans to a batch processor for as long as there is room.
#[derive(Debug)]
struct Bounded {
    batches: BatchSpanProcessor,
    counts: Arc<Counts>,
}

impl Bounded {
    fn new(exporter: impl SpanExporter + 'static, counts: Arc<Counts>) -> Self {
        let counted = Counted {
            exporter,
            counts: Arc::clone(&counts),
            is_away: AtomicBool::new(false),
        };
        let config = BatchConfigBuilder::default()
            .with_max_queue_size(QUEUE)
            .with_max_export_batch_size(BATCH)
            .with_scheduled_delay(EVERY)
            .build();
        Self {
            batches: BatchSpanProcessor::new(counted, config),
            counts,
        }
    }
}

impl SpanProcessor for Bounded {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.batches.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        // the queue behind this has room for as many, so it drops none uncounted
        if self.counts.waiting.fetch_add(1, SeqCst) >= QUEUE {
            self.counts.waiting.fetch_sub(1, SeqCst);
            self.counts.dropped.fetch_add(1, Relaxed);
            return;
        }
        self.batches.on_end(span);
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.batches.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.batches.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.batches.set_resource(resource);
    }
}

/// Counts what came of exports, and says once where they fail.
#[derive(Debug)]
struct Counted<E> {
    exporter: E,
    counts: Arc<Counts>,
    is_away: AtomicBool,
}

impl<E: SpanExporter> SpanExporter for Counted<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let count = batch.len();
        let exported = self.exporter.export(batch).await;
        self.counts.waiting.fetch_sub(count, SeqCst);
        let spans = u64::try_from(count).unwrap_or(u64::MAX);
        match &exported {
            Ok(()) => {
                self.counts.exported.fetch_add(spans, Relaxed);
                if self.is_away.swap(false, Relaxed) {
                    tracing::info!("the collector takes spans again");
                }
            }
            Err(error) => {
                self.counts.failed.fetch_add(spans, Relaxed);
                if !self.is_away.swap(true, Relaxed) {
                    tracing::warn!(
                        %error,
                        "the collector does not take spans; they are dropped until it does"
                    );
                }
            }
        }
        exported
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.exporter.force_flush()
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, Mutex};

    use opentelemetry::trace::{Span as _, Tracer};
    use opentelemetry_sdk::error::OTelSdkError;

    use super::*;

    /// A collector that takes nothing until it is told to.
    #[derive(Clone, Debug, Default)]
    struct Gate(Arc<(Mutex<bool>, Condvar)>);

    impl Gate {
        fn open(&self) {
            *self.0.0.lock().unwrap() = true;
            self.0.1.notify_all();
        }
    }

    impl SpanExporter for Gate {
        async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
            let is_open = self.0.0.lock().unwrap();
            let _open = self.0.1.wait_while(is_open, |is_open| !*is_open).unwrap();
            // the first batch alone is of the full size
            match batch.len() {
                BATCH => Ok(()),
                _ => Err(OTelSdkError::InternalFailure("no".into())),
            }
        }
    }

    #[test]
    fn a_collector_that_is_away_costs_spans_alone_and_each_is_counted() {
        let (gate, counts) = (Gate::default(), Arc::new(Counts::default()));
        let spans = Bounded::new(gate.clone(), Arc::clone(&counts));
        let provider = SdkTracerProvider::builder()
            .with_span_processor(spans)
            .build();
        let tracer = provider.tracer("test");
        for _ in 0..QUEUE + 100 {
            tracer.start("span").end();
        }
        assert_eq!(counts.dropped.load(Relaxed), 100);
        assert_eq!(counts.waiting.load(SeqCst), QUEUE);
        gate.open();
        let _ = provider.shutdown();
        let [exported, failed] = [&counts.exported, &counts.failed].map(|it| it.load(Relaxed));
        assert_eq!(exported + failed, QUEUE as u64);
        assert_eq!(counts.waiting.load(SeqCst), 0);
    }

    #[test]
    fn the_service_has_a_name_and_a_version() {
        let resource = resource();
        let value = |key| {
            resource
                .get_ref(&Key::from_static_str(key))
                .unwrap()
                .to_string()
        };
        assert_eq!(value("service.name"), "trailgate");
        assert_eq!(value("service.version"), env!("CARGO_PKG_VERSION"));
    }
}
