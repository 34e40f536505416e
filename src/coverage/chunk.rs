//! Chunks: the events of a stretch, as moka holds them.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, OnceLock},
};

use super::Key;
use crate::event::{Event, Identity, TimeRange};

/// The most that a chunk weighs, in bytes, unless a single second is heavier:
/// evicting one loses little, and a cache of 256 MB has a few hundred.
pub(super) const MAX_WEIGHT: usize = 1_000_000;

/// What an empty chunk weighs with its place in the map and in moka, so that
/// stretches without events are bounded too.
pub(super) const BASE_WEIGHT: usize = 512;

/// The events of one stretch.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) id: u64,
    pub(super) key: Arc<Key>,
    /// Where its stretch starts, to find it in the map.
    pub(super) from: i64,
    /// Ascending.
    pub(super) events: Arc<[Arc<Event>]>,
    pub(super) weight: usize,
    /// Where events stand, by the short form of their identity: made when an
    /// event is first looked for, weighed from the start.
    ids: OnceLock<Box<[Place]>>,
}

/// The short form of an event's identity, and its place in the chunk.
type Place = (u32, u32);

impl Chunk {
    pub(super) fn new(id: u64, key: &Arc<Key>, from: i64, events: Vec<Arc<Event>>) -> Self {
        // a value of the caller's choice is part of what is held
        let value = key
            .pushdown
            .as_ref()
            .map_or(0, |pushdown| pushdown.value.len());
        let weight = weigh(&events) + value;
        Self {
            id,
            key: Arc::clone(key),
            from,
            events: events.into(),
            weight,
            ids: OnceLock::new(),
        }
    }

    /// The event of this identity.
    pub(super) fn find(&self, identity: &Identity) -> Option<&Arc<Event>> {
        let ids = self.ids.get_or_init(|| {
            let places = (0..).zip(self.events.iter());
            let mut ids: Box<[Place]> = places
                .map(|(place, event)| (event.identity().short(), place))
                .collect();
            ids.sort_unstable();
            ids
        });
        let short = identity.short();
        let from = ids.partition_point(|(id, _)| *id < short);
        ids.iter()
            .skip(from)
            .take_while(|(id, _)| *id == short)
            .filter_map(|(_, place)| self.events.get(usize::try_from(*place).ok()?))
            .find(|event| event.identity() == *identity)
    }

    pub(super) fn within(&self, range: TimeRange) -> &[Arc<Event>] {
        within(&self.events, range)
    }
}

pub(super) fn weigh(events: &[Arc<Event>]) -> usize {
    BASE_WEIGHT + events.iter().map(|event| weigh_event(event)).sum::<usize>()
}

pub(super) fn weigh_event(event: &Event) -> usize {
    event.weight() + size_of::<Arc<Event>>() + size_of::<Place>()
}

/// The events whose second is in `range`, of a list that ascends.
pub(super) fn within(events: &[Arc<Event>], range: TimeRange) -> &[Arc<Event>] {
    let from = events.partition_point(|event| event.time < range.from);
    let to = events.partition_point(|event| event.time < range.to);
    events.get(from..to).unwrap_or_default()
}

/// Each event once, by identity, ascending; see [`merge`].
#[must_use]
pub fn unique(events: &[Arc<Event>]) -> Vec<Arc<Event>> {
    merge(&[], events, |_| false).0
}

/// The union of two lists by identity, ascending, and how many of `new` were
/// not in `old` although `settled` says that their second was.
///
/// A differing record with an addendum replaces the older one; any other
/// record that reuses a UUID in the same second is passed over. One that reuses
/// it in another second is another event: which of the two is held must not
/// depend on how stretches were cut into chunks.
pub(super) fn merge(
    old: &[Arc<Event>],
    new: &[Arc<Event>],
    settled: impl Fn(&Event) -> bool,
) -> (Vec<Arc<Event>>, u64) {
    let mut found: HashMap<_, Arc<Event>> = HashMap::with_capacity(old.len() + new.len());
    let mut late = 0;
    for (event, is_new) in old
        .iter()
        .map(|e| (e, false))
        .chain(new.iter().map(|e| (e, true)))
    {
        match found.entry((event.time, event.identity())) {
            Entry::Vacant(place) => {
                late += u64::from(is_new && settled(event));
                place.insert(Arc::clone(event));
            }
            Entry::Occupied(mut place) => {
                if event.is_addendum() && event.hash() != place.get().hash() {
                    place.insert(Arc::clone(event));
                }
            }
        }
    }
    let mut events: Vec<_> = found.into_values().collect();
    events.sort_by(|a, b| a.cmp_position(b));
    (events, late)
}
