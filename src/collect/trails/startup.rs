//! What was delivered shortly before this process began.

use std::sync::Arc;

use futures_util::{StreamExt, stream};
use tokio::time::sleep;

use super::{Inner, LONGEST_PAUSE, NoMessages, PAUSE, Source, Trails};
use crate::{
    collect::{
        digest::Digest,
        envelope::ObjectRef,
        object_key::ObjectKey,
        queue::{self, Answer, Batch, Lost, Outcome, Queue, Refused, Sink, Taken},
    },
    event::Scope,
    feed::Feed,
};

/// Scopes that are listed at once.
const AT_ONCE: usize = 16;
/// Events that are taken in together, between which those who keep up read.
const AT_A_TIME: usize = 256;

impl Trails {
    /// Finds out which scopes have files, and reads what was delivered in the last
    /// horizon before this process began into the feed, as known. Tries until that
    /// is done.
    pub async fn start(self, feed: Arc<Feed>) {
        let sources = self.0.discover().await;
        let ports = queue::Ports {
            messages: Arc::new(NoMessages),
            objects: Arc::clone(&self.0.ports.objects),
            readers: Arc::clone(&self.0.ports.readers),
            sink: Arc::new(Known {
                feed,
                trails: self.clone(),
            }),
        };
        let inner = &*self.0;
        let options = queue::Options::default();
        let reader = Queue::new(ports, inner.filter.clone(), options, inner.clock.clone());
        let reader_of = &reader;
        stream::iter(sources.iter())
            .for_each_concurrent(AT_ONCE, async |(scope, sources)| {
                for source in sources {
                    inner.read_recent(reader_of, scope, source).await;
                }
            })
            .await;
        let counts = reader.snapshot().counts;
        tracing::info!(
            files = counts.objects,
            events = counts.events,
            "read what trails delivered before the start"
        );
    }
}

impl Inner {
    /// Reads what was delivered of a source in the last horizon before the start.
    async fn read_recent(&self, reader: &Queue, scope: &Scope, source: &Source) {
        let horizon = i64::try_from(self.horizon.as_secs()).unwrap_or(i64::MAX);
        // a minute more: what is being written, and a clock that differs
        let from = self.began.saturating_sub(horizon).saturating_sub(120);
        let mut after = source.root.start_after(source.kind, scope, from);
        let mut pause = PAUSE;
        while let Some(begin) = after.take() {
            let mut last = begin;
            let Err(reason) = self.read_behind(reader, source, &mut last).await else {
                return;
            };
            let prefix = &source.prefix;
            tracing::warn!(prefix, reason, "cannot read a trail's files, trying again");
            after = Some(last);
            sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    }

    /// Reads the files behind a key, which becomes the last that was read.
    async fn read_behind(
        &self,
        reader: &Queue,
        source: &Source,
        last: &mut String,
    ) -> Result<(), String> {
        let listing = &self.ports.listing;
        let mut keys = listing.keys(&source.bucket, &source.prefix, last);
        loop {
            let key = match self.next_key(&mut keys).await {
                Ok(Some(key)) => key,
                Ok(None) => return Ok(()),
                Err(error) => return Err(error.to_string()),
            };
            let object = ObjectRef {
                bucket: source.bucket.clone(),
                key: key.clone(),
                ..ObjectRef::default()
            };
            match reader.read(&object).await {
                Outcome::Done | Outcome::Skipped => {}
                Outcome::Unusable(why) => {
                    tracing::warn!(%object, %why, "a trail's file cannot be read");
                }
                Outcome::Again(reason) => return Err(reason),
            }
            *last = key;
        }
    }
}

/// The feed, for what was there before.
struct Known {
    feed: Arc<Feed>,
    trails: Trails,
}

impl Sink for Known {
    fn take(&self, batch: Batch) -> Answer<'_, Taken, Refused> {
        let is_known = self.trails.are_known(&batch);
        Box::pin(async move {
            for events in batch.events.chunks(AT_A_TIME) {
                self.feed.room().await;
                match is_known {
                    true => self.feed.take_from_listing(events),
                    // in the minute of the start: a message may bring it just as well
                    false => self.feed.take_from_queue(events),
                };
            }
            let taken: Taken = Box::pin(std::future::ready(Ok(())));
            Ok(taken)
        })
    }

    fn ingested(&self, _: &ObjectRef, _: &ObjectKey) {}

    fn digest(&self, _: Digest) {}

    fn lost(&self, _: Lost) {}
}

impl Trails {
    /// Whether events come of a file that was there before this process was.
    fn are_known(&self, batch: &Batch) -> bool {
        let queue::Source::File(object, _) = &batch.source else {
            return false;
        };
        let place = ObjectKey::parse(&object.key).place;
        place.is_some_and(|place| place.time < self.0.began)
    }
}
