//! Batches that were read from the log, kept for others who read the same: what
//! one has looked through and encoded, all who stand alike tell.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use super::{Batch, Position};

/// Bytes that are kept: some hundreds of the usual batches, with their events, which
/// the log may have dropped, and what is told of them.
const MOST_BYTES: usize = 64 * 1024 * 1024;
/// What a batch may take beside its events: a resume token.
const TOKEN: usize = 16 * 1024;

/// Who reads the same.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Key {
    /// What was asked, and what of it is told.
    pub(super) digest: [u8; 16],
    /// Since when.
    pub(super) since: Option<i64>,
    /// Whether events are told with their records.
    pub(super) with_record: bool,
    /// From where it is read.
    pub(super) from: Position,
    /// The most events and bytes of a batch.
    pub(super) most: (usize, usize),
    /// How long it may be held back to fill.
    pub(super) max_wait: Duration,
}

/// What was read.
#[derive(Clone, Debug)]
pub(super) struct Kept {
    pub(super) batch: Batch,
    /// From where it is read on.
    pub(super) to: Position,
    /// Bytes of its events as they are told.
    pub(super) told: usize,
}

impl Kept {
    fn weight(&self) -> usize {
        let events = self.batch.events.iter();
        let held: usize = events.map(|event| event.weight()).sum();
        held + self.told + TOKEN
    }
}

#[derive(Debug, Default)]
struct State {
    kept: HashMap<Key, Kept>,
    /// The oldest first.
    order: VecDeque<Key>,
    bytes: usize,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Batches(Mutex<State>);

impl Batches {
    pub(super) fn get(&self, key: &Key) -> Option<Kept> {
        self.lock().kept.get(key).cloned()
    }

    /// Keeps a batch; the one that is kept, which may be another's.
    pub(super) fn keep(&self, key: Key, kept: Kept) -> Kept {
        let mut state = self.lock();
        if let Some(there) = state.kept.get(&key) {
            return there.clone();
        }
        state.bytes += kept.weight();
        state.order.push_back(key);
        state.kept.insert(key, kept.clone());
        while state.bytes > MOST_BYTES
            && let Some(oldest) = state.order.pop_front()
        {
            let gone = state.kept.remove(&oldest);
            state.bytes -= gone.map_or(0, |gone| gone.weight());
        }
        kept
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // every change is made whole: right after a panic elsewhere
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn who_stands_alike_has_the_same_and_the_oldest_make_room() {
        let batches = Batches::default();
        let key = |from| Key {
            digest: [1; 16],
            since: None,
            with_record: true,
            from,
            most: (64, 1 << 20),
            max_wait: Duration::ZERO,
        };
        let kept = |to| Kept {
            batch: Batch {
                events: Arc::from([]),
                may_repeat: false,
                ready: Some(Arc::default()),
            },
            to,
            told: MOST_BYTES / 4 - TOKEN,
        };
        assert_eq!(batches.keep(key(1), kept(2)).to, 2);
        assert_eq!(batches.keep(key(1), kept(3)).to, 2, "the first one's");
        let other = Key {
            with_record: false,
            ..key(1)
        };
        assert!(batches.get(&other).is_none());
        for from in 2..=5 {
            batches.keep(key(from), kept(from + 1));
        }
        assert!(batches.get(&key(1)).is_none());
        assert_eq!(batches.get(&key(2)).unwrap().to, 3);
    }
}
