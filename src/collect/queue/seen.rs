//! Which files are being read, and which were: the same one is announced by
//! several routes, and again when its message comes again.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use sha2::{Digest as _, Sha256};
use tokio::sync::watch;

use crate::collect::envelope::ObjectRef;

/// Where a file is, hashed.
type Id = [u8; 16];

/// What tells the content of a file from what was there before. Not every route
/// tells it: where it is not told, the content is taken to be the same.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Content {
    etag: Option<String>,
    version: Option<String>,
}

impl Content {
    fn of(object: &ObjectRef) -> Self {
        Self {
            etag: object.etag.clone(),
            version: object.version.clone(),
        }
    }

    /// Takes on what another route tells.
    fn learn(&mut self, told: Self) {
        self.etag = self.etag.take().or(told.etag);
        self.version = self.version.take().or(told.version);
    }

    fn may_be(&self, other: &Self) -> bool {
        let differ =
            |a: &Option<String>, b: &Option<String>| matches!((a, b), (Some(a), Some(b)) if a != b);
        !differ(&self.etag, &other.etag) && !differ(&self.version, &other.version)
    }
}

#[derive(Debug)]
enum Entry {
    /// Whoever reads it tells when it is done.
    Reading(watch::Receiver<bool>),
    Done(Content),
}

#[derive(Debug, Default)]
struct Inner {
    files: HashMap<Id, Entry>,
    /// Those that are done, in that order.
    done: VecDeque<Id>,
}

/// The files that are being read, and the last that were.
#[derive(Debug)]
pub(super) struct Seen {
    most: usize,
    inner: Mutex<Inner>,
}

/// Whose file it is.
#[derive(Debug)]
pub(super) enum Claim {
    /// Ours: nobody reads it, or has.
    Ours(Reading),
    /// Somebody reads it: see [`over`].
    Theirs(watch::Receiver<bool>),
    /// It was read.
    Done,
}

/// The right to read a file. Dropped before it is done, others may have it.
#[derive(Debug)]
pub(super) struct Reading {
    seen: Arc<Seen>,
    id: Id,
    content: Content,
    is_done: bool,
    over: watch::Sender<bool>,
}

impl Seen {
    /// Remembers the last `most` files that were read.
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self {
            most,
            inner: Mutex::default(),
        })
    }

    pub(super) fn claim(self: &Arc<Self>, object: &ObjectRef) -> Claim {
        let mut hash = Sha256::new();
        hash.update(object.bucket.as_bytes());
        hash.update(b"/");
        hash.update(object.key.as_bytes());
        let id: Id = hash.finalize().first_chunk().copied().unwrap_or_default();
        let content = Content::of(object);
        let mut inner = self.lock();
        match inner.files.get_mut(&id) {
            Some(Entry::Reading(over)) => return Claim::Theirs(over.clone()),
            Some(Entry::Done(done)) if done.may_be(&content) => {
                done.learn(content);
                return Claim::Done;
            }
            _ => {}
        }
        let (over, watched) = watch::channel(false);
        let before = inner.files.insert(id, Entry::Reading(watched));
        if before.is_some() {
            inner.done.retain(|done| *done != id);
        }
        Claim::Ours(Reading {
            seen: Arc::clone(self),
            id,
            content,
            is_done: false,
            over,
        })
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // every change is made whole: still right after a panic elsewhere
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Reading {
    /// All its events are safe.
    pub(super) fn done(mut self) {
        self.is_done = true;
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        let mut inner = self.seen.lock();
        if !self.is_done {
            inner.files.remove(&self.id);
            return;
        }
        self.over.send_replace(true);
        let content = std::mem::take(&mut self.content);
        inner.files.insert(self.id, Entry::Done(content));
        inner.done.push_back(self.id);
        if inner.done.len() > self.seen.most
            && let Some(oldest) = inner.done.pop_front()
        {
            inner.files.remove(&oldest);
        }
    }
}

/// Waits until whoever reads the file is over with it: whether it is done. Then
/// it may still be that the content was another one: claim it again.
pub(super) async fn over(mut theirs: watch::Receiver<bool>) -> bool {
    // a reader that failed is dropped, and sends nothing
    theirs.wait_for(|done| *done).await.is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(key: &str, etag: Option<&str>) -> ObjectRef {
        ObjectRef {
            bucket: "b".into(),
            key: key.into(),
            etag: etag.map(str::to_owned),
            ..ObjectRef::default()
        }
    }

    #[tokio::test]
    async fn one_reads_others_wait_and_only_success_is_remembered() {
        let seen = Seen::new(2);
        let ours = |object: &ObjectRef| match seen.claim(object) {
            Claim::Ours(reading) => reading,
            other => panic!("{other:?}"),
        };
        let a = object("a", None);
        let reading = ours(&a);
        let Claim::Theirs(theirs) = seen.claim(&object("a", Some("1"))) else {
            panic!("theirs");
        };
        drop(reading);
        assert!(!over(theirs).await);
        let reading = ours(&a);
        let Claim::Theirs(theirs) = seen.claim(&a) else {
            panic!("theirs");
        };
        reading.done();
        assert!(over(theirs).await);
        // by a route that tells more, or less
        let told = object("a", Some("1"));
        assert!(matches!(seen.claim(&told), Claim::Done));
        ours(&object("b", Some("1"))).done();
        assert!(matches!(seen.claim(&object("b", None)), Claim::Done));
        // written anew
        ours(&object("b", Some("2"))).done();
        assert!(matches!(seen.claim(&a), Claim::Done));
        ours(&object("c", None)).done();
        assert!(matches!(seen.claim(&object("b", None)), Claim::Done));
        ours(&a);
        let inner = seen.lock();
        assert_eq!((inner.files.len(), inner.done.len()), (2, 2));
    }
}
