//! What a queue brings, on its way into the feed, and what digests prove of it.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::sync::Notify;

use super::{
    digest::{Digest, Gap as Unproven, Limits, Tracker},
    durable::Durable,
    envelope::ObjectRef,
    object_key::ObjectKey,
    queue::{Answer, Batch, Lost, Refused, Sink, Taken},
    source_filter::SourceFilter,
};
use crate::{
    event::Scope,
    feed::{Feed, Gap, GapReason},
};

/// The feed, for queues.
#[derive(Debug)]
pub(super) struct FeedSink {
    feed: Arc<Feed>,
    /// Who keeps events for good, if anybody does.
    durable: Option<Arc<dyn Durable>>,
    filter: SourceFilter,
    /// When it began, in seconds: the files before were another process's.
    began: i64,
    proof: Mutex<Tracker>,
    /// A digest named files that were not ingested.
    missing: Notify,
}

impl FeedSink {
    pub(super) fn new(
        feed: Arc<Feed>,
        durable: Option<Arc<dyn Durable>>,
        filter: SourceFilter,
    ) -> Self {
        let limits = Limits {
            horizon: Duration::from_secs(feed.horizon().unsigned_abs()),
            ..Limits::default()
        };
        Self {
            began: feed.clock().now_secs(),
            feed,
            durable,
            filter,
            proof: Mutex::new(Tracker::new(limits)),
            missing: Notify::new(),
        }
    }

    /// Waits until a digest names files that were not ingested; those that were
    /// not `after` a while.
    pub(super) async fn missing(&self, after: Duration) -> Vec<ObjectRef> {
        self.missing.notified().await;
        // they may be under way
        tokio::time::sleep(after).await;
        self.lock().missing()
    }

    /// A file that a digest names cannot be had.
    pub(super) fn give_up(&self, object: &ObjectRef) {
        let gaps = self.lock().lost(object);
        self.miss(&gaps);
    }

    /// Moves the watermarks of these scopes to what is proven.
    fn settle(&self, scopes: impl IntoIterator<Item = Scope>) {
        let proof = self.lock();
        for scope in scopes {
            if let Some(proven) = proof.watermark(&scope) {
                self.feed.settle(&scope, proven);
            }
        }
    }

    fn miss(&self, gaps: &[Unproven]) {
        for gap in gaps {
            self.feed.miss(Gap {
                scope: gap.scope.clone(),
                range: gap.range,
                count: None,
                reason: GapReason::Unreadable,
            });
        }
    }

    fn lock(&self) -> MutexGuard<'_, Tracker> {
        // every change is made whole, so what is guarded is right after a panic elsewhere
        self.proof.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Sink for FeedSink {
    /// Where nobody keeps events for good, the bucket is the log, and the feed has no
    /// room to wait for. Where somebody does, they are safe once he has them: also
    /// those that were known, which may be on their way to him.
    fn take(&self, batch: Batch) -> Answer<'_, Taken, Refused> {
        let Some(durable) = &self.durable else {
            self.feed.take_from_queue(&batch.events);
            let taken: Taken = Box::pin(std::future::ready(Ok(())));
            return Box::pin(std::future::ready(Ok(taken)));
        };
        Box::pin(async move {
            durable.room().await;
            self.feed.take_from_queue(&batch.events);
            let kept = durable.kept(self.feed.head());
            let taken: Taken = Box::pin(async move {
                kept.await;
                Ok(())
            });
            Ok(taken)
        })
    }

    fn ingested(&self, object: &ObjectRef, key: &ObjectKey) {
        self.lock().ingested(object);
        self.settle(key.place.as_ref().map(|place| place.scope.clone()));
    }

    fn digest(&self, digest: Digest) {
        let scope = digest.scope.clone();
        let is_wanted = |object: &ObjectRef| {
            let key = ObjectKey::parse(&object.key);
            let delivered = key.place.as_ref().map(|place| place.time);
            // keys have minutes
            let is_ours = delivered.is_none_or(|time| time.saturating_add(60) > self.began);
            is_ours && self.filter.admit(object, &key).is_ok()
        };
        let noted = self.lock().digest(digest, is_wanted);
        self.miss(&noted.gaps);
        if !noted.missing.is_empty() {
            self.missing.notify_one();
        }
        self.settle(HashSet::from([scope]));
    }

    fn lost(&self, lost: Lost) {
        let Lost {
            message,
            object,
            why,
            is_kept,
            ..
        } = &lost;
        let object = object.as_ref().map(ToString::to_string);
        let message = message.as_deref();
        tracing::error!(
            message,
            object,
            %why,
            kept_for_dead_letter_queue = is_kept,
            "something that was announced is given up"
        );
        let horizon = Duration::from_secs(self.feed.horizon().unsigned_abs());
        if let (Some(range), Some(scope)) = (lost.range(horizon), lost.scope.clone()) {
            self.feed.miss(Gap {
                scope,
                range,
                count: None,
                reason: GapReason::Unreadable,
            });
        }
    }
}
