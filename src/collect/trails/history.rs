//! What a subscription missed, read for it.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt as _;
use tokio::{
    sync::{mpsc, watch},
    time::timeout,
};
use tracing::Instrument;

use super::{Inner, STALL, Source, Sources, Trails, stalled};
use crate::{
    collect::{
        envelope::ObjectRef,
        object_key::{ObjectKey, Place},
        queue::{Body, Fault, Found, Lost, ObjectsError, Why},
    },
    event::{Event, Origin, Scope, TimeRange},
    feed::{FilePage, FilePlace, FindScopes, LogFiles},
};

/// Bytes of records of a page: one is made while another waits.
const PAGE: usize = 256 << 10;
/// How long a page waits for its reader before its file is closed for others.
const PATIENCE: Duration = Duration::from_secs(5);

impl LogFiles for Trails {
    fn scopes(&self) -> FindScopes {
        let found = self.0.found.subscribe();
        Box::pin(async move { found_sources(found).await.keys().cloned().collect() })
    }

    fn read(
        &self,
        scope: &Scope,
        delivered: TimeRange,
        after: Option<FilePlace>,
    ) -> mpsc::Receiver<FilePage> {
        let (pages, read) = mpsc::channel(1);
        let (inner, scope) = (Arc::clone(&self.0), scope.clone());
        let reading = async move {
            let sources = found_sources(inner.found.subscribe()).await;
            let sources = sources.get(&scope).map(Vec::as_slice).unwrap_or_default();
            let reading = Reading {
                inner: &inner,
                pages: &pages,
            };
            let end = match reading.all(&scope, sources, delivered, after).await {
                Ok(()) => FilePage::End,
                Err(Stop) => FilePage::Failed,
            };
            // who has gone does not mind
            let _ = pages.send(end).await;
        };
        tokio::spawn(reading.in_current_span());
        read
    }
}

async fn found_sources(mut found: watch::Receiver<Option<Arc<Sources>>>) -> Arc<Sources> {
    let found = found.wait_for(Option::is_some).await;
    // whoever finds them outlives those who wait
    found
        .ok()
        .and_then(|found| found.clone())
        .unwrap_or_default()
}

/// It cannot go on, or nobody reads any more.
struct Stop;

/// Why a file is not at its end.
enum Broken {
    Stop,
    /// Its reader took too long: so many records were given.
    Late(u64),
    Unusable(Why),
}

impl From<ObjectsError> for Broken {
    fn from(error: ObjectsError) -> Self {
        match error {
            ObjectsError::NotFound => Self::Unusable(Why::Gone),
            error @ ObjectsError::Denied(_) => {
                tracing::warn!(%error, "a trail's file cannot be read, trying again");
                Self::Stop
            }
            error => {
                tracing::debug!(%error, "a trail's file cannot be read now");
                Self::Stop
            }
        }
    }
}

impl From<Fault> for Broken {
    fn from(fault: Fault) -> Self {
        Self::Unusable(Why::Fault(fault))
    }
}

struct Reading<'a> {
    inner: &'a Inner,
    pages: &'a mpsc::Sender<FilePage>,
}

impl Reading<'_> {
    async fn all(
        &self,
        scope: &Scope,
        sources: &[Source],
        delivered: TimeRange,
        mut after: Option<FilePlace>,
    ) -> Result<(), Stop> {
        for source in sources {
            let mut begin = source.root.start_after(source.kind, scope, delivered.from);
            if let Some(place) = &after {
                let is_of_it =
                    place.bucket == source.bucket && place.key.starts_with(&source.prefix);
                if is_of_it {
                    self.file(place.clone()).await?;
                    begin = Some(place.key.clone());
                } else if (&source.bucket, &source.prefix) < (&place.bucket, &place.key) {
                    continue;
                }
                after = None;
            }
            if let Some(begin) = begin {
                self.behind(source, &begin, delivered.to).await?;
            }
        }
        Ok(())
    }

    /// Reads the files behind a key that were delivered before a second.
    async fn behind(&self, source: &Source, begin: &str, to: i64) -> Result<(), Stop> {
        let listing = &self.inner.ports.listing;
        let mut keys = listing.keys(&source.bucket, &source.prefix, begin);
        loop {
            let key = self.inner.next_key(&mut keys).await.map_err(|error| {
                tracing::debug!(source = source.prefix, %error, "cannot list");
                Stop
            })?;
            let Some(key) = key else {
                return Ok(());
            };
            if ObjectKey::parse(&key)
                .place
                .is_some_and(|place| place.time >= to)
            {
                return Ok(());
            }
            let bucket = source.bucket.clone();
            let records = 0;
            self.file(FilePlace {
                bucket,
                key,
                records,
            })
            .await?;
        }
    }

    /// Reads a file behind a place.
    async fn file(&self, mut place: FilePlace) -> Result<(), Stop> {
        let object = ObjectRef {
            bucket: place.bucket.clone(),
            key: place.key.clone(),
            ..ObjectRef::default()
        };
        let key = ObjectKey::parse(&object.key);
        let admitted = self.inner.filter.admit(&object, &key).is_ok();
        let Some(of_key) = key.place.as_ref().filter(|_| admitted) else {
            return Ok(());
        };
        loop {
            match self.records(&object, of_key, &place).await {
                Ok(()) => return Ok(()),
                Err(Broken::Stop) => return Err(Stop),
                Err(Broken::Late(given)) => {
                    place.records = given;
                    // then what was not given is read again
                    let room = self.pages.reserve().await;
                    room.map_err(|_gone| Stop)?;
                }
                Err(Broken::Unusable(why)) => {
                    tracing::warn!(%object, %why, "a trail's file cannot be read");
                    let lost = Lost {
                        message: None,
                        kind: Some(key.kind),
                        scope: Some(of_key.scope.clone()),
                        time: Some(of_key.time),
                        object: Some(object),
                        why,
                        is_kept: false,
                    };
                    if let Some(range) = lost.range(self.inner.horizon) {
                        let told = self.pages.send(FilePage::Unreadable(range)).await;
                        told.map_err(|_gone| Stop)?;
                    }
                    return Ok(());
                }
            }
        }
    }

    async fn records(
        &self,
        object: &ObjectRef,
        of_key: &Place,
        place: &FilePlace,
    ) -> Result<(), Broken> {
        let inner = self.inner;
        let turn = inner.files.acquire().await;
        let _turn = turn.map_err(|_closed| Broken::Stop)?;
        let opened = timeout(STALL, inner.ports.objects.get(object)).await;
        let mut body = opened.unwrap_or_else(|_| Err(stalled()))?;
        let mut reader = inner.ports.readers.records();
        let mut page = Page {
            place: place.clone(),
            events: Vec::new(),
            bytes: 0,
            is_old: of_key.time < inner.began,
        };
        let (mut found, mut too_large) = (0, None);
        while let Some(bytes) = next(&mut body).await? {
            let mut packed = &bytes[..];
            loop {
                let record = match reader.next(&mut packed) {
                    Ok(Some(Found::Piece(record))) => record,
                    Ok(Some(Found::TooLarge(len))) => {
                        too_large = Some(Fault::RecordTooLarge(len));
                        continue;
                    }
                    Ok(None) => break,
                    Err(fault) => {
                        // what came before it is given
                        self.give(&mut page).await?;
                        return Err(fault.into());
                    }
                };
                found += 1;
                if found > place.records {
                    page.add(record, of_key);
                }
                if page.bytes >= PAGE {
                    self.give(&mut page).await?;
                }
                tokio::task::consume_budget().await;
            }
        }
        self.give(&mut page).await?;
        reader.finish()?;
        too_large.map_or(Ok(()), |fault| Err(fault.into()))
    }

    async fn give(&self, page: &mut Page) -> Result<(), Broken> {
        if page.events.is_empty() {
            return Ok(());
        }
        page.bytes = 0;
        let given = page.place.records;
        let events = std::mem::take(&mut page.events);
        let read = u64::try_from(events.len()).unwrap_or(u64::MAX);
        page.place.records = given.saturating_add(read);
        let sent = self.pages.send(FilePage::Events {
            events,
            place: page.place.clone(),
            is_old: page.is_old,
        });
        match timeout(PATIENCE, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_gone)) => Err(Broken::Stop),
            Err(_late) => Err(Broken::Late(given)),
        }
    }
}

/// Events on their way, and the place behind those that were given.
struct Page {
    place: FilePlace,
    events: Vec<Arc<Event>>,
    bytes: usize,
    is_old: bool,
}

impl Page {
    fn add(&mut self, record: &[u8], of_key: &Place) {
        let event = Event::from_record(&of_key.scope, record, Origin::LogFile, of_key.time);
        self.bytes = self.bytes.saturating_add(record.len());
        self.events.push(Arc::new(event));
    }
}

async fn next(body: &mut Body) -> Result<Option<bytes::Bytes>, ObjectsError> {
    match timeout(STALL, body.next()).await {
        Ok(bytes) => bytes.transpose(),
        Err(_late) => Err(stalled()),
    }
}
