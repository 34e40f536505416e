//! The walks that are kept, by what they ask for.

use std::{
    collections::HashMap,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::walk::Walk;
use crate::{coverage::Key, event::Event};

/// The most walks that are kept, parked ones included: one for each scope of a
/// large server, and some more. One that someone waits for is never forgotten; a
/// parked one that is costs whoever comes back for it its open second, at most a
/// page in most histories.
const MAX_OPEN: usize = 8192;

/// The bytes that they may hold of the seconds that they stand in, all together,
/// before parked ones are forgotten: a few events each in most histories, and an
/// eighth of the usual cache.
const MAX_PENDING: u64 = 32 << 20;

/// Of what is too much, this part is forgotten at once, so that looking for the
/// least recently used is seldom.
const FORGOTTEN: usize = 16;

/// When a walk was used last, in turns.
#[derive(Debug, Default)]
pub(super) struct Used(AtomicU64);

/// What a walk read of the second that it stands in, weighed with that of all
/// others.
#[derive(Debug, Default)]
pub(super) struct Pending {
    events: Vec<Arc<Event>>,
    weight: u64,
    total: Arc<AtomicU64>,
}

impl Pending {
    pub(super) fn events(&self) -> &[Arc<Event>] {
        &self.events
    }

    /// Their weight in bytes.
    pub(super) fn weight(&self) -> u64 {
        self.weight
    }

    /// Leaves nothing.
    pub(super) fn take(&mut self) -> Vec<Arc<Event>> {
        let events = std::mem::take(&mut self.events);
        self.weigh(0);
        events
    }

    pub(super) fn set(&mut self, events: Vec<Arc<Event>>) {
        let weight: usize = events.iter().map(|event| event.weight()).sum();
        self.weigh(u64::try_from(weight).unwrap_or(u64::MAX));
        self.events = events;
    }

    fn weigh(&mut self, weight: u64) {
        self.total.fetch_add(weight, Relaxed);
        self.total.fetch_sub(self.weight, Relaxed);
        self.weight = weight;
    }
}

impl Drop for Pending {
    fn drop(&mut self) {
        self.weigh(0);
    }
}

/// The walks that are kept.
#[derive(Debug)]
pub(super) struct Open {
    by_key: HashMap<Key, Vec<Arc<Walk>>>,
    count: usize,
    turn: u64,
    most: usize,
    /// Bytes that walks hold, forgotten ones included that someone has still.
    pending: Arc<AtomicU64>,
    max_pending: u64,
}

impl Default for Open {
    fn default() -> Self {
        Self {
            by_key: HashMap::new(),
            count: 0,
            turn: 0,
            most: MAX_OPEN,
            pending: Arc::default(),
            max_pending: MAX_PENDING,
        }
    }
}

impl Open {
    /// Where a new walk puts what it reads of an open second.
    pub(super) fn pending(&self) -> Pending {
        Pending {
            events: Vec::new(),
            weight: 0,
            total: Arc::clone(&self.pending),
        }
    }

    /// The walks by one key: one for each place that questions stopped at and none
    /// has come past since.
    pub(super) fn by(&self, key: &Key) -> &[Arc<Walk>] {
        self.by_key.get(key).map(Vec::as_slice).unwrap_or_default()
    }

    /// All of them.
    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<Walk>> {
        self.by_key.values().flatten()
    }

    /// Notes that a walk is used.
    pub(super) fn touch(&mut self, walk: &Walk) {
        self.turn += 1;
        walk.used().0.store(self.turn, Relaxed);
    }

    /// Keeps a walk, if need be instead of others that nobody waits for.
    pub(super) fn keep(&mut self, walk: &Arc<Walk>) {
        if self.count >= self.most {
            self.make_room();
        }
        self.lose_weight();
        self.touch(walk);
        let walks = self.by_key.entry(walk.key().clone()).or_default();
        walks.push(Arc::clone(walk));
        self.count += 1;
    }

    /// Keeps a walk no longer.
    pub(super) fn forget(&mut self, walk: &Arc<Walk>) {
        let Some(walks) = self.by_key.get_mut(walk.key()) else {
            return;
        };
        let before = walks.len();
        walks.retain(|open| !Arc::ptr_eq(open, walk));
        self.count -= before - walks.len();
        if walks.is_empty() {
            self.by_key.remove(walk.key());
        }
    }

    /// Those that nobody waits for, the least recently used first.
    fn parked(&self) -> Vec<Arc<Walk>> {
        let parked = self.all().filter(|walk| !walk.is_waited_for());
        let mut parked: Vec<_> = parked.cloned().collect();
        parked.sort_by_key(|walk| walk.used().0.load(Relaxed));
        parked
    }

    fn make_room(&mut self) {
        let most = (self.most / FORGOTTEN).max(1);
        for walk in self.parked().iter().take(most) {
            self.forget(walk);
        }
    }

    /// Forgets parked walks until together they hold little enough.
    fn lose_weight(&mut self) {
        let mut held = self.pending.load(Relaxed);
        if held <= self.max_pending {
            return;
        }
        let few = u64::try_from(FORGOTTEN).unwrap_or(u64::MAX);
        let enough = self.max_pending - self.max_pending / few;
        for walk in self.parked() {
            if held <= enough {
                break;
            }
            let weight = walk.pending_weight();
            if weight > 0 {
                held = held.saturating_sub(weight);
                self.forget(&walk);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::event::{Attribute, AttributeKey, Category, Origin, Scope, TimeRange};

    fn walk(name: &str) -> Arc<Walk> {
        let key = Key {
            scope: Scope::new("111122223333", "us-east-1"),
            category: Category::Management,
            pushdown: Some(Attribute::new(AttributeKey::EventName, name)),
            origin: Origin::LookupEvents,
        };
        let range = TimeRange::new(0, 1);
        Arc::new(Walk::new(
            key,
            range,
            Timestamp::UNIX_EPOCH,
            Pending::default(),
        ))
    }

    #[test]
    fn the_least_recently_used_make_room() {
        let mut open = Open {
            most: 32,
            ..Open::default()
        };
        let walks: Vec<_> = (0..32).map(|n| walk(&n.to_string())).collect();
        walks.iter().for_each(|walk| open.keep(walk));
        open.touch(&walks[0]);
        open.keep(&walk("new"));
        let is_kept = |open: &Open, n: usize| !open.by(walks[n].key()).is_empty();
        assert_eq!(open.all().count(), 31);
        assert!(is_kept(&open, 0) && !is_kept(&open, 1) && !is_kept(&open, 2));
        assert!(is_kept(&open, 3));
        open.forget(&walks[3]);
        open.forget(&walks[3]);
        assert_eq!((open.all().count(), open.count), (30, 30));
        // two by one key
        let twin = walk("5");
        open.keep(&twin);
        assert_eq!(open.by(twin.key()).len(), 2);
        open.forget(&walks[5]);
        assert!(Arc::ptr_eq(&open.by(twin.key())[0], &twin));
    }

    #[test]
    fn parked_walks_that_hold_too_much_make_room() {
        let mut open = Open {
            max_pending: 10_000,
            ..Open::default()
        };
        let scope = Scope::new("111122223333", "us-east-1");
        let record = format!("{{\"blob\":\"{}\"}}", "x".repeat(3_000));
        let event = Event::from_record(&scope, record.as_bytes(), Origin::LookupEvents, 0);
        let event = Arc::new(event);
        for n in 0..8 {
            let mut pending = open.pending();
            pending.set(vec![Arc::clone(&event)]);
            let key = walk(&n.to_string()).key().clone();
            let range = TimeRange::new(0, 1);
            open.keep(&Arc::new(Walk::new(
                key,
                range,
                Timestamp::UNIX_EPOCH,
                pending,
            )));
        }
        // the new one counts as well
        assert_eq!(open.count, 2);
        for n in 6..8 {
            assert_eq!(open.by(walk(&n.to_string()).key()).len(), 1, "{n}");
        }
        let held: u64 = open.pending.load(Relaxed);
        let each = u64::try_from(event.weight()).unwrap();
        assert_eq!(held, each * u64::try_from(open.count).unwrap());
        let walks: Vec<_> = open.all().cloned().collect();
        walks.iter().for_each(|walk| open.forget(walk));
        drop(walks);
        assert_eq!(open.pending.load(Relaxed), 0);
    }
}
