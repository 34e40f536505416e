//! The queues of a server: each collected into the feed, and what their digests
//! prove followed up.

use std::{sync::Arc, time::Duration};

use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};
use tracing::Instrument;

use super::{
    Durable,
    aws::{self, Buckets, Sqs},
    queue::{self, Outcome, Ports, Queue, Snapshot},
    readers::Files,
    sink::FeedSink,
    source_filter::SourceFilter,
    trails::{self, Trail, Trails},
};
use crate::{clock::Clock, feed::Feed};

pub use super::aws::Options as AwsOptions;

/// How long the files of a digest may be under way before they are fetched: a
/// digest is delivered minutes after its hour, and its files were before it.
const UNDER_WAY: Duration = Duration::from_secs(60);
/// How long files may take to be read to their end once the server stops.
const GRACE: Duration = Duration::from_secs(10);

/// No Region is known for a queue or a bucket.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("no Region for {url}, which names none itself; name one with AWS_REGION, or with --region")]
pub struct NoRegion {
    url: String,
}

impl NoRegion {
    fn of(url: &impl ToString) -> Self {
        Self {
            url: url.to_string(),
        }
    }
}

/// The buckets of these trails, of which nothing is known yet; `None`: there are
/// none.
///
/// # Errors
/// If no Region is known for one.
pub async fn trails(
    trails: &[Trail],
    options: &AwsOptions,
    filter: &SourceFilter,
    clock: &Clock,
    horizon: Duration,
) -> Result<Option<Trails>, NoRegion> {
    let Some(first) = trails.first() else {
        return Ok(None);
    };
    let config = aws::config(options, "").await;
    let buckets = Buckets::new(&config, options).ok_or_else(|| NoRegion::of(first))?;
    buckets.find_regions(trails.iter().map(Trail::bucket)).await;
    let buckets = Arc::new(buckets);
    let ports = trails::Ports {
        objects: Arc::clone(&buckets) as _,
        listing: buckets,
        readers: Arc::new(Files::default()),
    };
    let (trails, filter, clock) = (trails.to_vec(), filter.clone(), clock.clone());
    Ok(Some(Trails::new(ports, trails, filter, clock, horizon)))
}

/// How a queue does.
#[derive(Clone, Debug)]
pub struct QueueState {
    /// Its URL.
    pub url: String,
    /// What it has done.
    pub snapshot: Snapshot,
}

/// Queues that are collected, on the current runtime, until they are dropped.
#[derive(Debug)]
pub struct Queues {
    all: Vec<(String, Queue)>,
    running: TaskTracker,
    stop: CancellationToken,
    _stopped: DropGuard,
}

impl Queues {
    /// Begins to collect queues, by URL; where somebody keeps their events for good,
    /// messages are deleted once he has them. Once they are [stopped](Queues::stop), files
    /// may take `grace` to be read to their end, ten seconds at most.
    ///
    /// # Errors
    /// If no Region is known for one.
    pub async fn start(
        feed: &Arc<Feed>,
        durable: Option<&Arc<dyn Durable>>,
        urls: &[String],
        options: &AwsOptions,
        filter: &SourceFilter,
        grace: Duration,
    ) -> Result<Self, NoRegion> {
        let (stop, running) = (CancellationToken::new(), TaskTracker::new());
        let grace = grace.min(GRACE);
        let mut all = Vec::new();
        for url in urls {
            let config = aws::config(options, url).await;
            let objects = Buckets::new(&config, options).ok_or_else(|| NoRegion::of(url))?;
            let sink = Arc::new(FeedSink::new(
                Arc::clone(feed),
                durable.cloned(),
                filter.clone(),
            ));
            let ports = Ports {
                messages: Arc::new(Sqs::new(&config, url)),
                objects: Arc::new(objects),
                readers: Arc::new(Files::default()),
                sink: Arc::clone(&sink) as _,
            };
            let queue = Queue::new(
                ports,
                filter.clone(),
                queue::Options::default(),
                feed.clock().clone(),
            );
            tracing::info!(url, "collecting from a queue");
            let (collector, stopped) = (queue.clone(), stop.clone());
            let span = tracing::info_span!("queue", url);
            let run = async move { collector.run(stopped, grace).await };
            running.spawn(run.instrument(span));
            let follow = follow_up(queue.clone(), sink);
            tokio::spawn(stop.clone().run_until_cancelled_owned(follow));
            all.push((url.to_owned(), queue));
        }
        Ok(Self {
            all,
            running,
            _stopped: stop.clone().drop_guard(),
            stop,
        })
    }

    /// Receives no more, finishes what is under way or gives it back, and returns when
    /// that is done.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }

    /// How each does.
    #[must_use]
    pub fn states(&self) -> Vec<QueueState> {
        let state = |(url, queue): &(String, Queue)| QueueState {
            url: url.clone(),
            snapshot: queue.snapshot(),
        };
        self.all.iter().map(state).collect()
    }
}

/// Fetches files that digests name and no message announced.
async fn follow_up(queue: Queue, sink: Arc<FeedSink>) {
    loop {
        for object in sink.missing(UNDER_WAY).await {
            tracing::info!(%object, "a digest names a file that no message announced");
            if let Outcome::Unusable(_) = queue.read(&object).await {
                sink.give_up(&object);
            }
        }
    }
}
