//! What the collector does, for people to look at.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use jiff::{SignedDuration, Timestamp};

/// The most things that fail at once and are remembered: buckets, mostly.
const MAX_TROUBLES: usize = 64;

/// After how long something that did not fail again is not told any more: a
/// message that failed comes again at least four times in it.
const STALE: SignedDuration = SignedDuration::from_hours(1);

/// How the collector does.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum State {
    /// It has not been answered yet.
    #[default]
    Starting,
    /// It receives.
    Receiving,
    /// Something does not let it collect.
    Failing {
        /// What, and why. May name a bucket or a queue, and what AWS said.
        reason: String,
        /// Since when.
        since: Timestamp,
    },
    /// It was stopped.
    Stopped,
}

/// What can fail, and is mended on its own.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Trouble {
    Receive,
    Sink,
    Bucket(String),
}

macro_rules! counters {
    ($($(#[doc = $doc:literal])+ $name:ident,)+) => {
        /// What has been counted since the start.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
        pub struct Counts {
            $($(#[doc = $doc])+ pub $name: u64,)+
        }

        #[derive(Debug, Default)]
        pub(super) struct Counters {
            $(pub(super) $name: AtomicU64,)+
        }

        impl Counters {
            pub(super) fn read(&self) -> Counts {
                Counts { $($name: self.$name.load(Relaxed),)+ }
            }
        }
    };
}

counters! {
    /// Messages received, repeats included.
    messages,
    /// Messages deleted.
    deleted,
    /// Deletions that failed for good: the message comes again.
    deletes_failed,
    /// Messages that had nothing to collect.
    nothing,
    /// Messages whose stay was extended, each time.
    extended,
    /// Messages that were let go because SQS lets none stay longer.
    let_go,
    /// Messages that were given back when the collector was stopped.
    given_back,
    /// Messages that could not be used, each time they came.
    poison,
    /// Files read to their end, digests included.
    objects,
    /// Files that were announced again, and not read again.
    duplicates,
    /// Files or events that the filter turned away.
    skipped,
    /// Files that were not there, each time.
    not_found,
    /// Files that could not be read to their end, each time.
    faults,
    /// Files that the bucket denied, each time.
    denied,
    /// Files that failed in a way that may pass, each time.
    failed,
    /// Digests read.
    digests,
    /// Bytes read from buckets, packed.
    bytes,
    /// Events handed on, repeats included.
    events,
    /// Records among them that are no JSON objects, or were no UTF-8.
    malformed,
    /// Records that were too large, and are not among the events.
    too_large,
    /// Gaps reported.
    lost,
    /// Requests for messages that failed.
    receives_failed,
}

/// How the collector does, at one moment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// Its state.
    pub state: State,
    /// What has been counted.
    pub counts: Counts,
    /// When a message came last.
    pub last_message_at: Option<Timestamp>,
    /// Messages that are being worked on.
    pub messages_now: usize,
    /// Files that are being read.
    pub files_now: usize,
    /// Topics that ask to be confirmed: nothing comes from them until they are.
    pub unconfirmed: Vec<String>,
}

/// What failed how, first and last.
#[derive(Debug)]
struct Failed {
    reason: String,
    since: Timestamp,
    last: Timestamp,
}

#[derive(Debug, Default)]
struct Inner {
    is_answered: bool,
    is_stopped: bool,
    troubles: BTreeMap<Trouble, Failed>,
    last_message_at: Option<Timestamp>,
    unconfirmed: Vec<String>,
}

#[derive(Debug, Default)]
pub(super) struct Board {
    pub(super) counters: Counters,
    pub(super) messages_now: AtomicUsize,
    inner: Mutex<Inner>,
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        // every change is made whole: still right after a panic elsewhere
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn answered(&self, messages: usize, now: Timestamp) {
        let mut inner = self.lock();
        inner.is_answered = true;
        inner.troubles.remove(&Trouble::Receive);
        if messages > 0 {
            inner.last_message_at = Some(now);
        }
    }

    pub(super) fn stopped(&self) {
        self.lock().is_stopped = true;
    }

    /// Something failed; whether that is new.
    pub(super) fn failing(&self, trouble: Trouble, reason: String, now: Timestamp) -> bool {
        let mut inner = self.lock();
        let is_stale = |failed: &Failed| now.duration_since(failed.last) > STALE;
        inner.troubles.retain(|_, failed| !is_stale(failed));
        if let Some(failed) = inner.troubles.get_mut(&trouble) {
            failed.reason = reason;
            failed.last = now;
            return false;
        }
        if inner.troubles.len() < MAX_TROUBLES {
            let failed = Failed {
                reason,
                since: now,
                last: now,
            };
            inner.troubles.insert(trouble, failed);
        }
        true
    }

    pub(super) fn mended(&self, trouble: &Trouble) {
        self.lock().troubles.remove(trouble);
    }

    pub(super) fn unconfirmed(&self, topic: String) {
        let mut inner = self.lock();
        if inner.unconfirmed.len() < MAX_TROUBLES && !inner.unconfirmed.contains(&topic) {
            inner.unconfirmed.push(topic);
        }
    }

    pub(super) fn snapshot(&self, now: Timestamp) -> Snapshot {
        let inner = self.lock();
        let fresh = |failed: &&Failed| now.duration_since(failed.last) <= STALE;
        let failed = inner.troubles.values().filter(fresh);
        let first = failed.min_by_key(|failed| failed.since);
        let state = match first {
            _ if inner.is_stopped => State::Stopped,
            Some(failed) => State::Failing {
                reason: failed.reason.clone(),
                since: failed.since,
            },
            None if inner.is_answered => State::Receiving,
            None => State::Starting,
        };
        Snapshot {
            state,
            counts: self.counters.read(),
            last_message_at: inner.last_message_at,
            unconfirmed: inner.unconfirmed.clone(),
            messages_now: self.messages_now.load(Relaxed),
            ..Snapshot::default()
        }
    }
}

/// Counted while it is held.
pub(super) struct Now<'a>(&'a AtomicUsize);

impl<'a> Now<'a> {
    pub(super) fn new(gauge: &'a AtomicUsize) -> Self {
        gauge.fetch_add(1, Relaxed);
        Self(gauge)
    }
}

impl Drop for Now<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

/// Counts one.
pub(super) fn count(counter: &AtomicU64) {
    counter.fetch_add(1, Relaxed);
}

/// Counts several.
pub(super) fn count_all(counter: &AtomicU64, how_many: usize) {
    counter.fetch_add(u64::try_from(how_many).unwrap_or(u64::MAX), Relaxed);
}
