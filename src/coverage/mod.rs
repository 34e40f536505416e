//! The cache. It remembers which stretches of time are held, not which
//! questions were asked: whoever asks next is answered from what is held, and
//! only the rest is asked of AWS.
//!
//! [moka] holds the events, in chunks weighed in bytes and evicted least
//! recently used. The map beside it only hints: a chunk that is not there any
//! more is a gap to be filled, never an error.

mod chunk;
mod report;
mod sample;
mod stretch;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use jiff::Timestamp;
use moka::{notification::RemovalCause, policy::EvictionPolicy};

use self::{
    chunk::{Chunk, merge},
    stretch::{Piece, Stretch},
};
use crate::{
    event::{Attribute, Category, Event, Identity, Origin, Scope, TimeRange},
    filter::KnownFields,
};

pub use chunk::unique;
pub use report::{Report, Span};
pub use stretch::settled_before;

/// What a stretch of time is held for. An unfiltered stretch (no pushdown)
/// answers every filter.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// Whose history.
    pub scope: Scope,
    /// The kind of events.
    pub category: Category,
    /// The one attribute that AWS was asked by.
    pub pushdown: Option<Attribute>,
    /// Where the events came from.
    pub origin: Origin,
}

/// How recent an answer must be where a stretch is not settled yet: read by a
/// walk that began no earlier than this. Settled stretches are always recent
/// enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Freshness(pub Timestamp);

/// A held stretch that can be used.
#[derive(Clone, Debug)]
pub struct Held {
    /// The seconds that can be used.
    pub range: TimeRange,
    /// When the walk that read them began.
    pub began: Timestamp,
    /// Their events, ascending; it may hold others outside of `range` too.
    pub events: Arc<[Arc<Event>]>,
}

/// Settings of the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The most bytes that events may take.
    pub max_bytes: u64,
    /// How long after its end a stretch must be read to be settled.
    pub horizon: Duration,
}

impl Default for Options {
    /// 256 MB, some 150,000 events; 15 minutes, the usual planning figure for
    /// CloudTrail's delay (its user guide names about 5 on average).
    fn default() -> Self {
        Self {
            max_bytes: 256_000_000,
            horizon: Duration::from_secs(900),
        }
    }
}

/// What the cache holds and has done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Bytes held, near enough.
    pub bytes: u64,
    /// Chunks held, near enough.
    pub chunks: u64,
    /// Stretches that the map knows.
    pub stretches: u64,
    /// Chunks evicted for room.
    pub evicted: u64,
    /// Events that AWS told only after their stretch was settled.
    pub late: u64,
}

/// The most names of record fields that are remembered. Records have some
/// forty documented ones; more than this is noise.
const MAX_FIELDS: usize = 1024;

type Stretches = BTreeMap<i64, Stretch>;

/// Where the map says that a chunk is which was evicted. Its events are not kept
/// for that.
struct Gone {
    key: Arc<Key>,
    from: i64,
    id: u64,
}

/// Coverage of all scopes.
pub struct Coverage {
    horizon: Duration,
    chunks: moka::sync::Cache<u64, Arc<Chunk>>,
    /// Read by every question, and written by a page of AWS's now and then.
    map: RwLock<HashMap<Arc<Key>, Stretches>>,
    /// Chunks that were evicted since the map was last tidied. Tidied at every
    /// insertion, so no longer than the cache has chunks.
    gone: Arc<Mutex<Vec<Gone>>>,
    fields: Mutex<HashSet<Box<str>>>,
    next_id: AtomicU64,
    evicted: Arc<AtomicU64>,
    late: AtomicU64,
}

impl std::fmt::Debug for Coverage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Coverage")
            .field("stats", &self.stats())
            .finish_non_exhaustive()
    }
}

impl Coverage {
    /// An empty cache.
    #[must_use]
    pub fn new(options: Options) -> Self {
        let gone: Arc<Mutex<Vec<Gone>>> = Arc::default();
        let evicted: Arc<AtomicU64> = Arc::default();
        let listener = {
            let (gone, evicted) = (Arc::clone(&gone), Arc::clone(&evicted));
            move |_, chunk: Arc<Chunk>, cause: RemovalCause| {
                if cause.was_evicted() {
                    evicted.fetch_add(1, Relaxed);
                    let Chunk { id, from, .. } = *chunk;
                    let key = Arc::clone(&chunk.key);
                    lock(&gone).push(Gone { key, from, id });
                }
            }
        };
        let chunks = moka::sync::Cache::builder()
            .max_capacity(options.max_bytes)
            .weigher(|_, chunk: &Arc<Chunk>| u32::try_from(chunk.weight).unwrap_or(u32::MAX))
            // the default policy turns new entries away when it is full
            .eviction_policy(EvictionPolicy::lru())
            .eviction_listener(listener)
            .build();
        Self {
            horizon: options.horizon,
            chunks,
            map: RwLock::default(),
            gone,
            fields: Mutex::default(),
            next_id: AtomicU64::new(0),
            evicted,
            late: AtomicU64::new(0),
        }
    }

    /// How long after its end a stretch must be read to be settled.
    #[must_use]
    pub fn horizon(&self) -> Duration {
        self.horizon
    }

    /// The held stretch that has `second`, by the first of `keys` that has one
    /// recent enough.
    #[must_use]
    pub fn held(&self, keys: &[Key], second: i64, need: Freshness) -> Option<Held> {
        let map = self.read_map();
        keys.iter().find_map(|key| {
            let (from, stretch) = map.get(key)?.range(..=second).next_back()?;
            let range = stretch.usable(*from, need, self.horizon);
            if !range.contains(second) {
                return None;
            }
            let chunk = self.chunks.get(&stretch.chunk)?;
            Some(Held {
                range,
                began: stretch.began,
                events: Arc::clone(&chunk.events),
            })
        })
    }

    /// The end of the latest stretch that was asked for up to its walk's
    /// present, recently enough: it counts up to now.
    #[must_use]
    pub fn present(&self, keys: &[Key], need: Freshness) -> Option<i64> {
        let map = self.read_map();
        keys.iter()
            .filter_map(|key| {
                // what was the future to the walk that read it, as the clock was fast, says
                // nothing; that the rest was asked for stays true if its chunk is not there
                // any more
                let mut stretches = map.get(key)?.iter().rev();
                let (_, last) = stretches.find(|(from, last)| **from <= last.began.as_second())?;
                last.reaches_present(need).then_some(last.to)
            })
            .max()
    }

    /// The end of the nearest usable stretch below `second`, which is not held
    /// itself: where the gap under it ends. `None`: nothing is held below.
    #[must_use]
    pub fn below(&self, keys: &[Key], second: i64, need: Freshness) -> Option<i64> {
        let map = self.read_map();
        keys.iter()
            .filter_map(|key| {
                map.get(key)?
                    .range(..=second)
                    .rev()
                    .find_map(|(from, stretch)| {
                        let range = stretch.usable(*from, need, self.horizon);
                        (!range.is_empty() && self.chunks.contains_key(&stretch.chunk))
                            .then_some(range.to)
                    })
            })
            .max()
    }

    /// The start of the nearest usable stretch above `second`, which is not
    /// held itself. `None`: nothing is held above.
    #[must_use]
    pub fn above(&self, keys: &[Key], second: i64, need: Freshness) -> Option<i64> {
        let map = self.read_map();
        keys.iter()
            .filter_map(|key| {
                map.get(key)?
                    .range(second + 1..)
                    .find_map(|(from, stretch)| {
                        let range = stretch.usable(*from, need, self.horizon);
                        (!range.is_empty() && self.chunks.contains_key(&stretch.chunk))
                            .then_some(*from)
                    })
            })
            .min()
    }

    /// Keeps a stretch that was walked to its end, second for second, by a walk
    /// that began at `began`. What was held of it before is folded in: AWS may
    /// tell more later, it does not take back.
    pub fn insert(&self, key: &Key, range: TimeRange, began: Timestamp, events: &[Arc<Event>]) {
        if range.is_empty() {
            return;
        }
        self.learn_fields(events);
        let mut map = self.write_map();
        self.tidy(&mut map);
        let (key, mut stretches) = match map.remove_entry(key) {
            Some(entry) => entry,
            None => (Arc::new(key.clone()), Stretches::new()),
        };
        let mut fresh: Vec<Arc<Event>> = events.to_vec();
        fresh.sort_by(|a, b| a.cmp_position(b));
        self.put(&key, &mut stretches, range, Some(began), &fresh);
        map.insert(key, stretches);
    }

    /// Adds events that AWS told out of order to the stretches that already
    /// cover their seconds. Those whose second is not covered are left out: a
    /// walk will come by.
    pub fn fold_in(&self, key: &Key, events: &[Arc<Event>]) {
        if events.is_empty() {
            return;
        }
        self.learn_fields(events);
        let mut map = self.write_map();
        self.tidy(&mut map);
        let Some((key, mut stretches)) = map.remove_entry(key) else {
            return;
        };
        for event in events {
            let second = TimeRange::new(event.time, event.time + 1);
            let event = std::slice::from_ref(event);
            self.put(&key, &mut stretches, second, None, event);
        }
        map.insert(key, stretches);
    }

    /// Says anew when walks began, where the clock that said so was wrong. `anew`
    /// must not say later.
    pub fn rebegin(&self, anew: impl Fn(Timestamp) -> Timestamp) {
        let mut map = self.write_map();
        for stretch in map.values_mut().flat_map(BTreeMap::values_mut) {
            stretch.began = anew(stretch.began);
        }
    }

    /// An event of these scopes by its id, if that is a UUID and it is held.
    #[must_use]
    pub fn find(&self, scopes: &[Scope], category: Category, id: &str) -> Option<Arc<Event>> {
        let identity = Identity::of_uuid(id)?;
        // an iterator leaves the order of use as it is
        self.chunks
            .iter()
            .filter(|(_, chunk)| chunk.key.category == category)
            .find_map(|(_, chunk)| {
                let event = chunk.find(&identity)?;
                scopes.contains(&chunk.key.scope).then(|| Arc::clone(event))
            })
    }

    /// What it holds and has done.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.chunks.run_pending_tasks();
        let mut map = self.write_map();
        self.tidy(&mut map);
        let stretches: usize = map.values().map(BTreeMap::len).sum();
        Stats {
            bytes: self.chunks.weighted_size(),
            chunks: self.chunks.entry_count(),
            stretches: u64::try_from(stretches).unwrap_or(u64::MAX),
            evicted: self.evicted.load(Relaxed),
            late: self.late.load(Relaxed),
        }
    }

    /// Puts `fresh` together with what is held of `range`: see [`Coverage::fold`].
    fn put(
        &self,
        key: &Arc<Key>,
        stretches: &mut Stretches,
        range: TimeRange,
        began: Option<Timestamp>,
        fresh: &[Arc<Event>],
    ) {
        for piece in self.fold(stretches, range, began, fresh) {
            self.keep(key, stretches, piece);
        }
    }

    /// Cuts `range` out of what is held and gives it back together with
    /// `fresh`, as pieces in ascending order: all of it, if a walk that `began`
    /// read it whole, else what was held of it.
    fn fold(
        &self,
        stretches: &mut Stretches,
        range: TimeRange,
        began: Option<Timestamp>,
        fresh: &[Arc<Event>],
    ) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut at = range.from;
        for (from, old) in stretch::take_overlapping(stretches, range) {
            let Some(chunk) = self.chunks.get(&old.chunk) else {
                continue;
            };
            self.chunks.invalidate(&old.chunk);
            let held = TimeRange::new(from, old.to);
            let both = held.intersect(&range);
            let before = TimeRange::new(held.from, both.from);
            let between = TimeRange::new(at, both.from);
            let after = TimeRange::new(both.to, held.to);
            let (merged, late) = merge(
                chunk.within(both),
                chunk::within(fresh, both),
                |event: &Event| settled_before(old.began, self.horizon) > event.time,
            );
            self.late.fetch_add(late, Relaxed);
            pieces.push(Piece::new(before, old.began, chunk.within(before).to_vec()));
            if let Some(began) = began {
                let fresh = chunk::within(fresh, between).to_vec();
                pieces.push(Piece::new(between, began, fresh));
            }
            let latest = began.map_or(old.began, |began| began.max(old.began));
            pieces.push(Piece::new(both, latest, merged));
            pieces.push(Piece::new(after, old.began, chunk.within(after).to_vec()));
            at = both.to;
        }
        if let Some(began) = began {
            let rest = TimeRange::new(at, range.to);
            pieces.push(Piece::new(rest, began, chunk::within(fresh, rest).to_vec()));
        }
        pieces.retain(|piece| !piece.range.is_empty());
        // an event may have come twice within one page
        for piece in &mut pieces {
            piece.events = unique(&piece.events);
        }
        pieces.sort_by_key(|piece| piece.range.from);
        pieces
    }

    /// Keeps one piece: joined with the stretch that ends where it starts if
    /// that loses nothing, and in chunks of bounded weight.
    fn keep(&self, key: &Arc<Key>, stretches: &mut Stretches, piece: Piece) {
        let mut piece = self.join_below(stretches, piece);
        if let Some((from, to, chunk)) = self.joinable_above(stretches, &piece) {
            let above = stretches.remove(&from);
            if let Some(above) = above {
                self.chunks.invalidate(&above.chunk);
                piece.began = piece.began.min(above.began);
            }
            piece.range.to = to;
            piece.events.extend(chunk.events.iter().cloned());
        }
        for part in piece.split() {
            let id = self.next_id.fetch_add(1, Relaxed);
            let stretch = Stretch {
                to: part.range.to,
                began: part.began,
                chunk: id,
            };
            stretches.insert(part.range.from, stretch);
            self.chunks.insert(
                id,
                Arc::new(Chunk::new(id, key, part.range.from, part.events)),
            );
        }
    }

    fn join_below(&self, stretches: &mut Stretches, piece: Piece) -> Piece {
        let below = stretches.range(..piece.range.from).next_back();
        let Some((from, below)) = below.map(|(from, stretch)| (*from, *stretch)) else {
            return piece;
        };
        let range = TimeRange::new(from, below.to);
        if below.to != piece.range.from || !piece.joins(range, below.began, self.horizon) {
            return piece;
        }
        match self.chunks.get(&below.chunk) {
            Some(chunk) if chunk.weight + piece.weight() <= chunk::MAX_WEIGHT => {
                stretches.remove(&from);
                self.chunks.invalidate(&below.chunk);
                let events = chunk.events.iter().cloned().chain(piece.events).collect();
                let range = TimeRange::new(from, piece.range.to);
                Piece::new(range, piece.began.min(below.began), events)
            }
            _ => piece,
        }
    }

    fn joinable_above(
        &self,
        stretches: &Stretches,
        piece: &Piece,
    ) -> Option<(i64, i64, Arc<Chunk>)> {
        let above = stretches.get(&piece.range.to)?;
        let range = TimeRange::new(piece.range.to, above.to);
        if !piece.joins(range, above.began, self.horizon) {
            return None;
        }
        let chunk = self.chunks.get(&above.chunk)?;
        let light = chunk.weight + piece.weight() <= chunk::MAX_WEIGHT;
        light.then_some((piece.range.to, above.to, chunk))
    }

    /// Forgets stretches whose chunks were evicted.
    fn tidy(&self, map: &mut HashMap<Arc<Key>, Stretches>) {
        let gone = std::mem::take(&mut *lock(&self.gone));
        for chunk in gone {
            let Some(stretches) = map.get_mut(&chunk.key) else {
                continue;
            };
            if stretches
                .get(&chunk.from)
                .is_some_and(|stretch| stretch.chunk == chunk.id)
            {
                stretches.remove(&chunk.from);
            }
            if stretches.is_empty() {
                map.remove(&chunk.key);
            }
        }
    }

    fn read_map(&self) -> RwLockReadGuard<'_, HashMap<Arc<Key>, Stretches>> {
        self.map.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_map(&self) -> RwLockWriteGuard<'_, HashMap<Arc<Key>, Stretches>> {
        self.map.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn learn_fields(&self, events: &[Arc<Event>]) {
        let mut fields = lock(&self.fields);
        for name in events.iter().flat_map(|event| event.unusual_fields()) {
            if fields.len() < MAX_FIELDS && !fields.contains(name) {
                fields.insert(name.clone());
            }
        }
    }
}

/// Which fields records have that no documentation knows.
impl KnownFields for Coverage {
    fn knows(&self, name: &str) -> bool {
        lock(&self.fields).contains(name)
    }

    fn for_each(&self, each: &mut dyn FnMut(&str)) {
        lock(&self.fields).iter().for_each(|name| each(name));
    }
}

/// What the locks guard is still right after a panic elsewhere: each change is
/// made whole.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
