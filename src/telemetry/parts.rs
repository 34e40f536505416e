//! What the modules count themselves, read from them at each scrape.

use std::{fmt, sync::Arc};

use prometheus_client::{collector::Collector, encoding::DescriptorEncoder};
use tokio::time::Instant;

use super::{
    out::{Out, count, number},
    traces,
};
use crate::{
    audit,
    budget::{Budgets, Class, ClassStats, Stats},
    collect::{Poller, Queues, queue},
    coverage::Coverage,
    event::Scope,
    feed::{Feed, GapReason},
    keep::Keeper,
    kept::Looks,
    lookup::Lookup,
    tls::Tls,
};

/// Whose counts are metrics.
#[derive(Debug)]
pub struct Parts {
    /// What was spent, and what waits.
    pub budgets: Arc<Budgets>,
    /// The cache.
    pub coverage: Arc<Coverage>,
    /// Answers, and how scopes do.
    pub lookup: Arc<Lookup>,
    /// What arrived, and who subscribes.
    pub feed: Arc<Feed>,
    /// Scopes that are polled.
    pub poller: Arc<Poller>,
    /// Queues that are received from.
    pub queues: Arc<Queues>,
    /// What keeps events for good, if anything does.
    pub keeper: Option<Arc<Keeper>>,
    /// What came of reading files again.
    pub looks: Looks,
    /// The server's certificate, if it has one.
    pub tls: Option<Arc<Tls>>,
    /// Where calls are written, if they are.
    pub audit: Option<audit::Log>,
}

impl Collector for Parts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let out = &mut Out(&mut encoder);
        let version = [("version", env!("CARGO_PKG_VERSION"))];
        let build = [(version, 1.0)];
        out.gauges("build_info", "the version that runs", build.into_iter())?;
        self.encode_budgets(out)?;
        self.encode_scopes(out)?;
        self.encode_cache(out)?;
        self.encode_feed(out)?;
        self.encode_polls(out)?;
        self.encode_queues(out)?;
        self.encode_archive(out)?;
        self.encode_files(out)?;
        self.encode_audit(out)?;
        encode_traces(out)
    }
}

impl Parts {
    /// What is kept for good.
    fn encode_archive(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let Some(keeper) = &self.keeper else {
            return Ok(());
        };
        let stats = keeper.stats();
        out.counter(
            "archive_events",
            "events that were committed to the archive",
            count(stats.events),
        )?;
        out.counter(
            "archive_repeated",
            "events that the archive had when they were to be committed",
            count(stats.repeated),
        )?;
        out.counter(
            "archive_commits",
            "commits to the archive that this server made",
            count(stats.commits),
        )?;
        out.counter(
            "archive_failures",
            "commits to the archive that failed and were tried again",
            count(stats.failures),
        )?;
        out.gauge(
            "archive_behind",
            "events and marks of the feed that are not committed to the archive yet",
            count(stats.behind),
        )?;
        out.gauge(
            "archive_failing",
            "1 while the archive takes no events",
            f64::from(u8::from(stats.is_failing)),
        )?;
        let snapshot = keeper.archive().snapshot();
        out.gauge(
            "archive_files",
            "data files that the archive has",
            number(snapshot.files()),
        )?;
        out.gauge(
            "archive_bytes",
            "bytes of the archive's data files",
            count(snapshot.bytes()),
        )
    }

    /// What of the audit log is missing.
    fn encode_audit(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        match &self.audit {
            Some(log) => out.counter(
                "audit_lines_lost",
                "lines of the audit log that could not be written",
                count(log.lost()),
            ),
            None => Ok(()),
        }
    }

    /// What was spent, refused and waited.
    fn encode_budgets(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let budgets = self.budgets.stats();
        let by_class = |value: fn(&ClassStats) -> f64| {
            budgets.iter().flat_map(move |(scope, stats)| {
                let classes = Class::ALL.into_iter().zip(stats.by_class);
                classes.map(move |(class, stats)| (of_class(scope, class), value(&stats)))
            })
        };
        out.counters(
            "upstream_requests",
            "requests bought from AWS, by scope and class",
            by_class(|stats| count(stats.bought)),
        )?;
        out.counters(
            "upstream_refused",
            "requests that were not waited for, since their turn would have come too late, by scope \
             and class",
            by_class(|stats| count(stats.refused)),
        )?;
        out.counters(
            "upstream_wait_seconds",
            "time that requests waited for their turn and for quota until they were bought, by \
             scope and class",
            by_class(|stats| stats.waited.as_secs_f64()),
        )?;
        let waiting = budgets.iter().flat_map(|(scope, stats)| {
            let classes = Class::ALL.into_iter().zip(stats.waiting);
            classes.map(move |(class, waiting)| (of_class(scope, class), number(waiting)))
        });
        out.gauges(
            "upstream_waiting",
            "requests that wait for quota, by scope and class",
            waiting,
        )?;
        let by_scope = |value: fn(&Stats) -> Option<f64>| {
            let all = budgets.iter();
            all.filter_map(move |(scope, stats)| Some((labels(scope), value(stats)?)))
        };
        out.counters(
            "upstream_throttled",
            "requests that AWS throttled although they were bought, by scope",
            by_scope(|stats| Some(count(stats.throttled))),
        )?;
        out.gauges(
            "upstream_rate",
            "requests a second that may be bought now, by scope",
            by_scope(|stats| stats.rate),
        )?;
        match self.budgets.ledger() {
            Some(ledger) => out.counter(
                "upstream_daily_refusals",
                "pages that were not bought since their caller's daily allowance was spent",
                count(ledger.refused()),
            ),
            None => Ok(()),
        }
    }

    /// How scopes answer.
    fn encode_scopes(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let upstream = self.lookup.upstream();
        let failed = upstream.failed();
        let failed = failed.iter().map(|(scope, kind, failed)| {
            let [account, region] = labels(scope);
            let kind = ("kind", kind.as_str().to_owned());
            ([account, region, kind], count(*failed))
        });
        out.counters(
            "upstream_errors",
            "requests that AWS, or the way there, refused, by scope and kind",
            failed,
        )?;
        let now = Instant::now();
        let asked = self.budgets.stats();
        let barred = asked.iter().map(|(scope, _)| {
            let is_barred = upstream.health(scope).is_barred(now);
            (labels(scope), f64::from(u8::from(is_barred)))
        });
        out.gauges(
            "upstream_denied",
            "whether a scope is not asked for a while, since it refused the gateway; by scope",
            barred,
        )
    }

    fn encode_cache(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let totals = self.lookup.totals();
        out.counter(
            "cache_hits",
            "pages that were answered without a request of their own",
            count(totals.held),
        )?;
        out.counter(
            "cache_misses",
            "pages that bought requests",
            count(totals.bought),
        )?;
        let sources = [
            ([("source", "cache")], count(totals.events_from_cache)),
            ([("source", "archive")], count(totals.events_from_archive)),
            ([("source", "upstream")], count(totals.events_from_upstream)),
        ];
        out.counters(
            "scanned_events",
            "events that were looked at for pages, by where they came from",
            sources.into_iter(),
        )?;
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
        )
    }

    /// What came of reading files again, and when the certificate ends.
    fn encode_files(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let outcomes = self.looks.outcomes();
        let outcomes = outcomes
            .iter()
            .map(|(kind, is_usable)| ([("kind", *kind)], f64::from(u8::from(*is_usable))));
        out.gauges(
            "last_reload_successful",
            "whether files could be used when they were read last, by kind; what was in force stays \
             where not",
            outcomes,
        )?;
        let expiry = self.tls.as_ref().and_then(|tls| tls.expiry());
        if let Some(end) = expiry.and_then(|end| u64::try_from(end.as_second()).ok()) {
            out.gauge(
                "tls_certificate_expiry_timestamp_seconds",
                "when the server's certificate ends, in Unix time",
                count(end),
            )?;
        }
        match &self.tls {
            Some(tls) => out.counter(
                "tls_handshakes_failed",
                "TLS handshakes that failed, such as by a certificate that is not trusted",
                count(tls.failures()),
            ),
            None => Ok(()),
        }
    }

    fn encode_polls(&self, out: &mut Out<'_, '_>) -> fmt::Result {
        let (polled, polls) = self.poller.polls();
        out.gauge("polled_scopes", "scopes that are polled", number(polled))?;
        out.counter(
            "polls",
            "polls that read down to known ground",
            count(polls),
        )?;
        let states = self.poller.states();
        let states = states
            .iter()
            .map(|(state, scopes)| ([("state", *state)], number(*scopes)));
        out.gauges(
            "collector_scopes",
            "scopes that are polled, by how their collection stands",
            states,
        )
    }

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
        out.gauge(
            "subscription_lag_entries",
            "positions that the subscription that is furthest behind has before it",
            count(feed.lag),
        )?;
        let reasons = |gaps: [u64; GapReason::ALL.len()]| {
            let reasons = GapReason::ALL.iter().zip(gaps);
            reasons.map(|(reason, gaps)| ([("reason", reason.as_str())], count(gaps)))
        };
        out.counters(
            "feed_gaps",
            "gaps that collectors reported, by reason",
            reasons(feed.gaps),
        )?;
        out.counters(
            "subscription_gaps",
            "gaps that subscriptions were told of, by reason",
            reasons(feed.gaps_told),
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

/// What became of spans, if there are traces.
fn encode_traces(out: &mut Out<'_, '_>) -> fmt::Result {
    let Some(spans) = traces::spans() else {
        return Ok(());
    };
    let outcomes = [
        ("exported", spans.exported),
        ("failed", spans.failed),
        ("dropped", spans.dropped),
    ];
    let outcomes = outcomes.map(|(outcome, spans)| ([("outcome", outcome)], count(spans)));
    out.counters(
        "trace_spans",
        "spans that the collector has, that it did not take, and that there was no room for",
        outcomes.into_iter(),
    )
}

fn labels(scope: &Scope) -> [(&'static str, String); 2] {
    [
        ("account", scope.account.to_string()),
        ("region", scope.region.to_string()),
    ]
}

fn of_class(scope: &Scope, class: Class) -> [(&'static str, String); 3] {
    let [account, region] = labels(scope);
    [account, region, ("class", class.as_str().to_owned())]
}
