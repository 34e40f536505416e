//! The pace of those who bring much at once: no faster than subscribers who keep
//! up can read.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{Feed, Position};

/// How long one subscriber that does not move is waited for: a client that is read
/// at all moves many times in that, and one that has stopped costs no more than
/// that each time it stops.
const PATIENCE: Duration = Duration::from_secs(5);
/// How often it is looked whether they moved: a fraction of what the other half of
/// the log takes to be read.
const LOOK: Duration = Duration::from_millis(20);

/// Where the subscriptions stand: as many as there are.
#[derive(Debug, Default)]
pub(super) struct Readers(Mutex<Vec<Weak<Place>>>);

/// Where one stands.
#[derive(Debug, Default)]
struct Place {
    at: AtomicU64,
    /// It was waited for there in vain. Positions start at 1.
    slow_at: AtomicU64,
}

/// A subscription's place; dropping it takes it away.
#[derive(Debug)]
pub(super) struct Reader(Arc<Place>);

impl Reader {
    /// It has read all before this position.
    pub(super) fn stands(&self, at: Position) {
        self.0.at.store(at, Relaxed);
    }
}

impl Readers {
    /// One more, at a position.
    pub(super) fn join(&self, at: Position) -> Reader {
        let place = Arc::new(Place::default());
        place.at.store(at, Relaxed);
        // places alone: right after a panic elsewhere
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() == all.capacity() {
            // before it grows
            all.retain(|place| place.strong_count() > 0);
        }
        all.push(Arc::downgrade(&place));
        Reader(place)
    }

    /// Where the last of them stands.
    pub(super) fn last(&self) -> Option<Position> {
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = all.iter().filter_map(Weak::upgrade);
        places.map(|place| place.at.load(Relaxed)).min()
    }

    /// Those that stand there and may move still.
    fn within(&self, from: Position, to: Position) -> Vec<Arc<Place>> {
        if from >= to {
            return Vec::new();
        }
        let all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let places = all.iter().filter_map(Weak::upgrade);
        places
            .filter(|place| {
                let at = place.at.load(Relaxed);
                from <= at && at < to && at != place.slow_at.load(Relaxed)
            })
            .collect()
    }
}

impl Feed {
    /// Waits until no subscriber that keeps up has more than half of the log to
    /// read. One that has, and does not move for five seconds, does not keep up: it
    /// is not waited for until it has moved.
    pub async fn room(&self) {
        let mut waited: HashMap<usize, (Position, Instant)> = HashMap::new();
        loop {
            let (first, half) = {
                let state = self.lock();
                (state.log.first(), state.log.half())
            };
            let behind = self.readers.within(first, half);
            if behind.is_empty() {
                return;
            }
            let now = Instant::now();
            for place in &behind {
                let at = place.at.load(Relaxed);
                let (stood, since) = waited.entry(Arc::as_ptr(place).addr()).or_insert((at, now));
                if *stood != at {
                    (*stood, *since) = (at, now);
                } else if now.duration_since(*since) >= PATIENCE {
                    place.slow_at.store(at, Relaxed);
                }
            }
            sleep(LOOK).await;
        }
    }
}
