//! Buckets, a reader and a sink that do as they are told.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU32, AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use tokio::time::sleep;

use crate::collect::{
    digest::Digest,
    envelope::ObjectRef,
    object_key::ObjectKey,
    queue::{
        Answer, Batch, Body, Fault, Found, Lost, Objects, ObjectsError, Reader, Readers, Refused,
        Sink, Taken,
    },
};

/// Fails one time in `odds`, in an order that looks like none. 0: never.
#[derive(Default)]
pub(super) struct Chance {
    pub(super) odds: AtomicU32,
    drawn: AtomicU64,
}

impl Chance {
    pub(super) fn is_bad(&self) -> bool {
        let drawn = self.drawn.fetch_add(1, Relaxed) + 1;
        let mixed = drawn.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mixed = (mixed ^ (mixed >> 29)).wrapping_mul(0xbf58_476d_1ce4_e5b9) >> 33;
        let odds = self.odds.load(Relaxed);
        odds > 0 && mixed.is_multiple_of(odds.into())
    }
}

/// What an object's stream does next.
#[derive(Clone, Debug)]
pub(super) enum Step {
    Send(Bytes),
    Wait(Duration),
    Fail,
}

pub(super) fn lines(text: &str) -> Vec<Step> {
    vec![Step::Send(Bytes::from(text.to_owned()))]
}

#[derive(Default)]
pub(super) struct FakeBuckets {
    pub(super) objects: Mutex<HashMap<String, Vec<Step>>>,
    pub(super) denied: Mutex<Vec<String>>,
    pub(super) gets: Mutex<HashMap<String, u32>>,
    /// Objects that are opened break off.
    pub(super) chance: Chance,
    now: Arc<AtomicUsize>,
    pub(super) most: Arc<AtomicUsize>,
}

/// An open body.
struct Open(Arc<AtomicUsize>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl FakeBuckets {
    pub(super) fn put(&self, key: &str, steps: Vec<Step>) {
        self.objects.lock().unwrap().insert(key.to_owned(), steps);
    }

    pub(super) fn gets(&self, key: &str) -> u32 {
        self.gets.lock().unwrap().get(key).copied().unwrap_or(0)
    }
}

impl Objects for FakeBuckets {
    fn get<'a>(&'a self, object: &'a ObjectRef) -> Answer<'a, Body, ObjectsError> {
        let key = object.key.clone();
        *self.gets.lock().unwrap().entry(key.clone()).or_default() += 1;
        Box::pin(async move {
            sleep(Duration::from_millis(10)).await;
            if self.denied.lock().unwrap().contains(&key) {
                return Err(ObjectsError::Denied("AccessDenied".into()));
            }
            let steps = self.objects.lock().unwrap().get(&key).cloned();
            let mut steps = steps.ok_or(ObjectsError::NotFound)?;
            if self.chance.is_bad() {
                steps.push(Step::Fail);
            }
            let now = self.now.fetch_add(1, Relaxed) + 1;
            self.most.fetch_max(now, Relaxed);
            let open = Open(Arc::clone(&self.now));
            let steps = stream::unfold((steps.into_iter(), open), async |(mut steps, open)| {
                loop {
                    let given = match steps.next()? {
                        Step::Send(bytes) => Ok(bytes),
                        Step::Fail => Err(ObjectsError::Failed("reset".into())),
                        Step::Wait(time) => {
                            sleep(time).await;
                            continue;
                        }
                    };
                    return Some((given, (steps, open)));
                }
            });
            let body: Body = Box::pin(steps);
            Ok(body)
        })
    }
}

/// Records are lines. `!bomb`, `!large` and `!cut` are what they say.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    is_given: bool,
    is_any: bool,
    is_cut: bool,
}

impl Reader for Lines {
    fn next<'a>(&'a mut self, packed: &mut &[u8]) -> Result<Option<Found<'a>>, Fault> {
        if std::mem::take(&mut self.is_given) {
            self.line.clear();
        }
        while let Some((byte, rest)) = packed.split_first() {
            *packed = rest;
            if self.is_cut {
                continue;
            }
            if *byte != b'\n' {
                self.line.push(*byte);
                continue;
            }
            (self.is_any, self.is_given) = (true, true);
            match &self.line[..] {
                b"!bomb" => return Err(Fault::TooLarge(1000)),
                b"!large" => return Ok(Some(Found::TooLarge(100))),
                b"!cut" => self.is_cut = true,
                _ => return Ok(Some(Found::Piece(&self.line))),
            }
        }
        Ok(None)
    }

    fn finish(self: Box<Self>) -> Result<(), Fault> {
        match (self.is_cut, self.is_any) {
            (true, _) => Err(Fault::Truncated),
            (false, false) => Err(Fault::NoRecords),
            (false, true) => Ok(()),
        }
    }
}

/// Content as it is.
#[derive(Default)]
struct Plain(Vec<u8>);

impl Reader for Plain {
    fn next<'a>(&'a mut self, packed: &mut &[u8]) -> Result<Option<Found<'a>>, Fault> {
        self.0 = std::mem::take(packed).to_vec();
        Ok((!self.0.is_empty()).then_some(Found::Piece(&self.0)))
    }

    fn finish(self: Box<Self>) -> Result<(), Fault> {
        Ok(())
    }
}

pub(super) struct FakeReaders;

impl Readers for FakeReaders {
    fn records(&self) -> Box<dyn Reader> {
        Box::new(Lines::default())
    }

    fn content(&self) -> Box<dyn Reader> {
        Box::new(Plain::default())
    }
}

#[derive(Default)]
pub(super) struct FakeSink {
    /// How often each event came, by its id.
    pub(super) events: Mutex<BTreeMap<String, u32>>,
    pub(super) batches: Mutex<Vec<Batch>>,
    pub(super) keeps_batches: AtomicBool,
    pub(super) ingested: Mutex<Vec<String>>,
    pub(super) digests: Mutex<Vec<Digest>>,
    pub(super) lost: Mutex<Vec<Lost>>,
    /// How long it takes until events are safe, in milliseconds.
    pub(super) slow: AtomicU32,
    pub(super) refuses: AtomicBool,
    /// Batches turn out not to be safe.
    pub(super) chance: Chance,
    unsettled: Arc<AtomicUsize>,
    pub(super) most_unsettled: AtomicUsize,
}

impl FakeSink {
    pub(super) fn came(&self, id: &str) -> u32 {
        self.events.lock().unwrap().get(id).copied().unwrap_or(0)
    }
}

impl Sink for FakeSink {
    fn take(&self, batch: Batch) -> Answer<'_, Taken, Refused> {
        assert!(!batch.events.is_empty());
        Box::pin(async move {
            if self.refuses.load(Relaxed) {
                return Err(Refused("full".into()));
            }
            let now = self.unsettled.fetch_add(1, Relaxed) + 1;
            self.most_unsettled.fetch_max(now, Relaxed);
            let open = Open(Arc::clone(&self.unsettled));
            let is_lost = self.chance.is_bad();
            if !is_lost {
                for event in &batch.events {
                    let id = event.id().to_owned();
                    *self.events.lock().unwrap().entry(id).or_default() += 1;
                }
                if self.keeps_batches.load(Relaxed) {
                    self.batches.lock().unwrap().push(batch);
                }
            }
            let slow = Duration::from_millis(self.slow.load(Relaxed).into());
            let taken: Taken = Box::pin(async move {
                let _open = open;
                sleep(slow).await;
                match is_lost {
                    true => Err(Refused("a disk failed".into())),
                    false => Ok(()),
                }
            });
            Ok(taken)
        })
    }

    fn ingested(&self, object: &ObjectRef, _: &ObjectKey) {
        self.ingested.lock().unwrap().push(object.key.clone());
    }

    fn digest(&self, digest: Digest) {
        self.digests.lock().unwrap().push(digest);
    }

    fn lost(&self, lost: Lost) {
        self.lost.lock().unwrap().push(lost);
    }
}
