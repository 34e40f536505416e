//! Metrics after Prometheus's naming rules. What the modules count themselves
//! is read from them at each scrape.

use std::{fmt, sync::Arc, time::Duration};

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric, text::encode},
    metrics::{
        counter::{ConstCounter, Counter},
        family::Family,
        gauge::ConstGauge,
        histogram::Histogram,
    },
    registry::Registry,
};
use tokio::time::Instant;

use crate::{
    budget::{Budgets, Class},
    collect::{Poller, Queues, queue},
    coverage::Coverage,
    event::Scope,
    feed::Feed,
    grpc::{CallObserver, MethodObserver},
    lookup::Lookup,
};

/// A method and how its call ended.
type CallLabels = [(&'static str, String); 2];
/// A method.
type MethodLabels = [(&'static str, String); 1];

/// The server's metrics. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Metrics {
    registry: Arc<Registry>,
    calls: Family<CallLabels, Counter>,
    latency: Family<MethodLabels, Histogram, fn() -> Histogram>,
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
    /// Metrics of these parts.
    #[must_use]
    pub fn new(
        budgets: Arc<Budgets>,
        coverage: Arc<Coverage>,
        lookup: Arc<Lookup>,
        feed: Arc<Feed>,
        poller: Arc<Poller>,
        queues: Arc<Queues>,
    ) -> Self {
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
        registry.register_collector(Box::new(Parts {
            budgets,
            coverage,
            lookup,
            feed,
            poller,
            queues,
        }));
        Self {
            registry: Arc::new(registry),
            calls,
            latency,
        }
    }

    /// The metrics in OpenMetrics text; `None` if one could not be written.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let mut text = String::new();
        encode(&mut text, &self.registry).ok().map(|()| text)
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

/// What the modules count themselves.
#[derive(Debug)]
struct Parts {
    budgets: Arc<Budgets>,
    coverage: Arc<Coverage>,
    lookup: Arc<Lookup>,
    feed: Arc<Feed>,
    poller: Arc<Poller>,
    queues: Arc<Queues>,
}

impl Collector for Parts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let budgets = self.budgets.stats();
        let by_scope = |value: fn(&crate::budget::Stats) -> f64| {
            budgets
                .iter()
                .map(move |(scope, stats)| (labels(scope), value(stats)))
        };
        let mut out = Out(&mut encoder);
        out.counters(
            "upstream_requests",
            "requests bought from AWS, by scope",
            by_scope(|stats| count(stats.bought)),
        )?;
        out.counters(
            "upstream_throttled",
            "requests that AWS throttled although they were bought, by scope",
            by_scope(|stats| count(stats.throttled)),
        )?;
        out.counters(
            "upstream_wait_seconds",
            "time that callers waited for quota, by scope",
            by_scope(|stats| stats.waited.as_secs_f64()),
        )?;
        let metered = budgets
            .iter()
            .filter_map(|(scope, stats)| Some((labels(scope), stats.rate?)));
        out.gauges(
            "upstream_rate",
            "requests a second that may be bought now, by scope",
            metered,
        )?;
        let waiting = budgets.iter().flat_map(|(scope, stats)| {
            let classes = Class::ALL.into_iter().zip(stats.waiting);
            classes.map(move |(class, waiting)| {
                let [account, region] = labels(scope);
                let class = ("class", class.as_str().to_owned());
                ([account, region, class], number(waiting))
            })
        });
        out.gauges(
            "upstream_waiting",
            "requests that wait for quota, by scope and class",
            waiting,
        )?;
        let now = Instant::now();
        let barred = budgets.iter().map(|(scope, _)| {
            let health = self.lookup.upstream().health(scope);
            (labels(scope), f64::from(u8::from(health.is_barred(now))))
        });
        out.gauges(
            "upstream_denied",
            "whether a scope is not asked for a while, since it refused the gateway; by scope",
            barred,
        )?;
        if let Some(ledger) = self.budgets.ledger() {
            out.counter(
                "upstream_daily_refusals",
                "pages that were not bought since their caller's daily allowance was spent",
                count(ledger.refused()),
            )?;
        }
        let cache = self.coverage.stats();
        out.gauge("cache_bytes", "memory that events take", count(cache.bytes))?;
        out.gauge("cache_chunks", "chunks held", count(cache.chunks))?;
        out.gauge(
            "cache_stretches",
            "stretches of time held",
            count(cache.stretches),
        )?;
        out.counter(
            "cache_evictions",
            "chunks evicted for room",
            count(cache.evicted),
        )?;
        out.counter(
            "late_events",
            "events that AWS told only after their time was settled",
            count(cache.late),
        )?;
        let (walks, fetching) = self.lookup.walks();
        out.gauge("walks", "walks kept, parked ones included", number(walks))?;
        out.gauge(
            "walks_fetching",
            "walks that a page is being fetched for",
            number(fetching),
        )?;
        self.encode_feed(&mut out)?;
        self.encode_queues(&mut out)
    }
}

impl Parts {
    fn encode_queues(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        type Value = fn(&queue::Counts) -> u64;
        let counters: [(&str, &str, Value); 9] = [
            (
                "queue_messages",
                "messages received, repeats included",
                |it| it.messages,
            ),
            ("queue_deleted", "messages deleted", |it| it.deleted),
            ("queue_objects", "files read to their end", |it| it.objects),
            ("queue_bytes", "bytes read from buckets", |it| it.bytes),
            ("queue_events", "events handed on, repeats included", |it| {
                it.events
            }),
            (
                "queue_malformed",
                "records that are no JSON objects",
                |it| it.malformed,
            ),
            (
                "queue_poison",
                "messages that could not be used, each time they came",
                |it| it.poison,
            ),
            (
                "queue_denied",
                "files that a bucket denied, each time",
                |it| it.denied,
            ),
            (
                "queue_lost",
                "gaps reported: files that were given up",
                |it| it.lost,
            ),
        ];
        let states = self.queues.states();
        let labels = |url: &str| [("queue", url.to_owned())];
        for (name, help, value) in counters {
            let values = states.iter();
            let values =
                values.map(|queue| (labels(&queue.url), count(value(&queue.snapshot.counts))));
            out.counters(name, help, values)?;
        }
        let up = states.iter().map(|queue| {
            let is_up = queue.snapshot.state == queue::State::Receiving;
            (labels(&queue.url), f64::from(u8::from(is_up)))
        });
        out.gauges("queue_up", "whether the queue is received from", up)
    }

    fn encode_feed(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let feed = self.feed.stats();
        out.counter("feed_events", "events that arrived", count(feed.events))?;
        out.counter(
            "feed_repeated",
            "events that were brought again, or were there before their scope was collected",
            count(feed.repeated),
        )?;
        out.counter(
            "feed_evaluations",
            "verdicts of subscriptions' filters on events",
            count(feed.evaluations),
        )?;
        out.gauge(
            "feed_bytes",
            "memory that arrived events take",
            count(feed.bytes),
        )?;
        out.gauge(
            "feed_entries",
            "positions that the feed holds",
            count(feed.entries),
        )?;
        out.gauge(
            "feed_known",
            "arrived events that are told from repeats",
            count(feed.known),
        )?;
        out.gauge("subscriptions", "subscriptions", count(feed.subscriptions))?;
        out.gauge(
            "subscription_filters",
            "different filters that someone subscribes by",
            count(feed.filters),
        )?;
        out.gauge(
            "subscription_replays",
            "subscriptions that read history",
            count(feed.replays),
        )?;
        let (polled, polls) = self.poller.polls();
        out.gauge("polled_scopes", "scopes that are polled", number(polled))?;
        out.counter(
            "polls",
            "polls that read down to known ground",
            count(polls),
        )?;
        let now = self.lookup.clock().now_secs();
        let scopes = self.feed.scopes();
        let lag = scopes.iter().filter_map(|scope| {
            let settled = self.feed.settled(scope)?;
            let lag = u64::try_from(now.saturating_sub(settled)).unwrap_or_default();
            Some((labels(scope), count(lag)))
        });
        out.gauges(
            "watermark_lag_seconds",
            "how far a scope's watermark is behind now; a settle horizon is usual",
            lag,
        )
    }
}

fn labels(scope: &Scope) -> [(&'static str, String); 2] {
    [
        ("account", scope.account.to_string()),
        ("region", scope.region.to_string()),
    ]
}

fn number(number: usize) -> f64 {
    count(u64::try_from(number).unwrap_or(u64::MAX))
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a count past 2^53 does not come up"
)]
fn count(number: u64) -> f64 {
    number as f64
}

/// Writes constant metrics.
struct Out<'a, 'e>(&'a mut DescriptorEncoder<'e>);

impl Out<'_, '_> {
    fn counters<L: prometheus_client::encoding::EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let values = values.map(|(labels, value)| (labels, ConstCounter::new(value)));
        self.family(name, help, values)
    }

    fn gauges<L: prometheus_client::encoding::EncodeLabelSet>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (L, f64)>,
    ) -> fmt::Result {
        let values = values.map(|(labels, value)| (labels, ConstGauge::new(value)));
        self.family(name, help, values)
    }

    fn family<L: prometheus_client::encoding::EncodeLabelSet, M: EncodeMetric>(
        &mut self,
        name: &str,
        help: &str,
        values: impl Iterator<Item = (L, M)>,
    ) -> fmt::Result {
        let mut values = values.peekable();
        let Some((_, first)) = values.peek() else {
            return Ok(());
        };
        let mut encoder = self
            .0
            .encode_descriptor(name, help, None, first.metric_type())?;
        for (labels, metric) in values {
            metric.encode(encoder.encode_family(&labels)?)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.single(name, help, &ConstCounter::new(value))
    }

    fn gauge(&mut self, name: &str, help: &str, value: f64) -> fmt::Result {
        self.single(name, help, &ConstGauge::new(value))
    }

    fn single(&mut self, name: &str, help: &str, metric: &impl EncodeMetric) -> fmt::Result {
        metric.encode(
            self.0
                .encode_descriptor(name, help, None, metric.metric_type())?,
        )
    }
}
