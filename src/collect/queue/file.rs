//! One announced object: from the bucket to the sink.

use std::{
    collections::VecDeque,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use futures_util::StreamExt as _;

use super::{
    Batch, Body, Fault, Found, ObjectsError, Reader, Refused, Source, Taken, Why, Worker,
    options::pause,
    seen::{Claim, over},
    state::{Trouble, count, count_all},
};
use crate::{
    collect::{
        digest::Digest,
        envelope::ObjectRef,
        object_key::{Kind, ObjectKey, Place},
    },
    event::{Event, Origin},
};

/// What an event costs beside its record, near enough.
const OVERHEAD: usize = 1 << 10;

/// What came of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All that is in it is safe, now or since it was read before.
    Done,
    /// It is not collected.
    Skipped,
    /// It failed in a way that may pass, for this reason.
    Again(String),
    /// It cannot be used.
    Unusable(Why),
}

/// Why a file is not at its end.
enum Broken {
    Object(ObjectsError),
    Fault(Fault),
    Refused(Refused),
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl From<Refused> for Broken {
    fn from(refused: Refused) -> Self {
        Self::Refused(refused)
    }
}

impl Worker {
    /// Collects an object, once: whoever comes while it is read waits for that.
    pub(super) async fn object(&self, object: &ObjectRef) -> Outcome {
        let key = ObjectKey::parse(&object.key);
        let place = match (self.filter.admit(object, &key), &key.place) {
            (Ok(()), Some(place)) => place,
            (Err(why), _) => {
                tracing::debug!(%object, ?why, "not collected");
                self.skips.note(why);
                count(&self.board.counters.skipped);
                return Outcome::Skipped;
            }
            (Ok(()), None) => return Outcome::Skipped,
        };
        let reading = loop {
            match self.seen.claim(object) {
                Claim::Ours(reading) => break reading,
                Claim::Done => {
                    count(&self.board.counters.duplicates);
                    return Outcome::Done;
                }
                Claim::Theirs(theirs) => {
                    if !over(theirs).await {
                        return Outcome::Again("another message's try at it failed".into());
                    }
                }
            }
        };
        let outcome = match self.files.acquire().await {
            Ok(_permit) => self.tries(object, &key, place).await,
            Err(_closed) => Outcome::Again("the collector is stopped".into()),
        };
        if outcome == Outcome::Done {
            reading.done();
        }
        outcome
    }

    async fn tries(&self, object: &ObjectRef, key: &ObjectKey, place: &Place) -> Outcome {
        let bucket = Trouble::Bucket(object.bucket.clone());
        let counters = &self.board.counters;
        let mut tried = 0;
        loop {
            let read = match key.kind {
                Kind::Digest => self.read_digest(object).await,
                _ => self.read_records(object, key, place).await.map(|()| Ok(())),
            };
            let error = match read {
                Ok(Ok(())) => {
                    count(&counters.objects);
                    self.board.mended(&bucket);
                    self.board.mended(&Trouble::Sink);
                    self.brake.store(0, Relaxed);
                    return Outcome::Done;
                }
                Ok(Err(error)) => {
                    count(&counters.faults);
                    return Outcome::Unusable(Why::Digest(error));
                }
                Err(Broken::Fault(fault)) => {
                    count(&counters.faults);
                    return Outcome::Unusable(Why::Fault(fault));
                }
                Err(Broken::Object(ObjectsError::NotFound)) => {
                    count(&counters.not_found);
                    return Outcome::Unusable(Why::Gone);
                }
                Err(Broken::Object(error @ ObjectsError::Denied(_))) => {
                    count(&counters.denied);
                    return self.failed(bucket, format!("{object}: {error}"));
                }
                Err(Broken::Refused(refused)) => {
                    count(&counters.failed);
                    return self.failed(Trouble::Sink, refused.to_string());
                }
                Err(Broken::Object(error)) => error,
            };
            count(&counters.failed);
            tried += 1;
            if tried >= self.options.attempts {
                return self.failed(bucket, format!("{object}: {error}"));
            }
            tracing::debug!(%object, tried, %error, "could not be read, trying again");
            let wait = pause(self.options.pause, self.options.longest_pause, tried - 1);
            tokio::time::sleep(wait).await;
        }
    }

    /// Something failed that is not the message's fault.
    pub(super) fn failed(&self, trouble: Trouble, reason: String) -> Outcome {
        self.brake.fetch_add(1, Relaxed);
        let now = self.clock.now();
        if self.board.failing(trouble, reason.clone(), now) {
            tracing::warn!(reason, "cannot collect");
        }
        Outcome::Again(reason)
    }

    async fn open(&self, object: &ObjectRef) -> Result<Body, Broken> {
        let opened = self.ports.objects.get(object);
        match tokio::time::timeout(self.options.stall, opened).await {
            Ok(opened) => opened.map_err(Broken::Object),
            Err(_late) => Err(self.stalled()),
        }
    }

    fn stalled(&self) -> Broken {
        let stalled = format!("nothing came for {:?}", self.options.stall);
        Broken::Object(ObjectsError::Failed(stalled))
    }

    /// The next bytes.
    async fn next(&self, body: &mut Body) -> Result<Option<bytes::Bytes>, Broken> {
        match tokio::time::timeout(self.options.stall, body.next()).await {
            Ok(None) => Ok(None),
            Ok(Some(Ok(bytes))) => {
                count_all(&self.board.counters.bytes, bytes.len());
                Ok(Some(bytes))
            }
            Ok(Some(Err(error))) => Err(Broken::Object(error)),
            Err(_late) => Err(self.stalled()),
        }
    }

    async fn read_records(
        &self,
        object: &ObjectRef,
        key: &ObjectKey,
        place: &Place,
    ) -> Result<(), Broken> {
        let mut body = self.open(object).await?;
        let mut reader = self.ports.readers.records();
        let mut out = Out {
            worker: self,
            source: Source::File(Arc::new(object.clone()), key.kind),
            kind: key.kind,
            events: Vec::new(),
            bytes: 0,
            unsettled: VecDeque::new(),
        };
        let read = self.drain(&mut body, &mut *reader, &mut out, place).await?;
        let fault = read.and_then(|()| reader.finish()).err();
        // what came before a fault is delivered
        out.hand_on().await?;
        out.settle(0).await?;
        if let Some(fault) = fault {
            return Err(fault.into());
        }
        self.ports.sink.ingested(object, key);
        Ok(())
    }

    /// Reads to the end, or to what cannot be read. Where the bucket fails, what
    /// was not handed on yet is dropped: the file is read again.
    async fn drain(
        &self,
        body: &mut Body,
        reader: &mut dyn Reader,
        out: &mut Out<'_>,
        place: &Place,
    ) -> Result<Result<(), Fault>, Broken> {
        let mut too_large = None;
        while let Some(bytes) = self.next(body).await? {
            let mut packed = &bytes[..];
            loop {
                match reader.next(&mut packed) {
                    Ok(Some(Found::Piece(record))) => out.add(record, place),
                    Ok(Some(Found::TooLarge(len))) => {
                        count(&self.board.counters.too_large);
                        too_large = Some(len);
                    }
                    Ok(None) => break,
                    Err(fault) => return Ok(Err(fault)),
                }
                if out.bytes >= self.options.batch_bytes {
                    out.hand_on().await?;
                }
                // unpacking is work: others have their turn
                tokio::task::consume_budget().await;
            }
        }
        Ok(too_large.map_or(Ok(()), |len| Err(Fault::RecordTooLarge(len))))
    }

    async fn read_digest(
        &self,
        object: &ObjectRef,
    ) -> Result<Result<(), crate::collect::digest::Error>, Broken> {
        let mut body = self.open(object).await?;
        let mut reader = self.ports.readers.content();
        let mut content: Vec<u8> = Vec::new();
        let most = self.options.digest_bytes;
        let too_large = Fault::TooLarge(u64::try_from(most).unwrap_or(u64::MAX));
        while let Some(bytes) = self.next(&mut body).await? {
            let mut packed = &bytes[..];
            while let Some(found) = reader.next(&mut packed)? {
                match found {
                    Found::Piece(piece) if piece.len() <= most - content.len() => {
                        content.extend_from_slice(piece);
                    }
                    _ => return Err(too_large.into()),
                }
                tokio::task::consume_budget().await;
            }
        }
        reader.finish()?;
        Ok(Digest::read(object, &content).map(|digest| {
            count(&self.board.counters.digests);
            self.ports.sink.digest(digest);
        }))
    }
}

/// Where a file's events go.
struct Out<'a> {
    worker: &'a Worker,
    source: Source,
    kind: Kind,
    events: Vec<Arc<Event>>,
    bytes: usize,
    unsettled: VecDeque<Taken>,
}

impl Out<'_> {
    /// Adds a record.
    fn add(&mut self, record: &[u8], place: &Place) {
        let event = Event::from_record(&place.scope, record, Origin::LogFile, place.time);
        self.bytes = self.bytes.saturating_add(record.len() + OVERHEAD);
        if event.is_malformed() || event.is_lossy() {
            count(&self.worker.board.counters.malformed);
        }
        self.events.push(Arc::new(event));
    }

    /// Hands on what is there.
    async fn hand_on(&mut self) -> Result<(), Refused> {
        self.bytes = 0;
        let events = std::mem::take(&mut self.events);
        if events.is_empty() {
            return Ok(());
        }
        // room first, so that no more than that are ever under way
        let most = self.worker.options.unsettled.max(1);
        self.settle(most - 1).await?;
        let batch = Batch {
            events,
            source: self.source.clone(),
            category: self.kind.category(),
        };
        let taken = self.worker.take(batch).await?;
        self.unsettled.push_back(taken);
        Ok(())
    }

    /// Waits until no more than `left` batches are not yet safe.
    async fn settle(&mut self, left: usize) -> Result<(), Refused> {
        while self.unsettled.len() > left
            && let Some(taken) = self.unsettled.pop_front()
        {
            taken.await?;
        }
        Ok(())
    }
}

impl Worker {
    /// Hands events on.
    pub(super) async fn take(&self, batch: Batch) -> Result<Taken, Refused> {
        let how_many = batch.events.len();
        let taken = self.ports.sink.take(batch).await?;
        count_all(&self.board.counters.events, how_many);
        Ok(taken)
    }
}
