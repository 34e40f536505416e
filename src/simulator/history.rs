//! Event history of one scope and category: newest first, asked by one
//! attribute.

use std::{collections::HashMap, sync::Arc};

use super::chance::{hash, mix};
use crate::event::{Attribute, AttributeKey, LookupEvent};

/// What an event is made of.
#[derive(Clone, Debug)]
pub(super) enum Body {
    /// It is held as it was given.
    Held(Arc<LookupEvent>),
    /// The generator makes the event of this number again whenever it is
    /// asked for.
    Made(u64),
}

/// An event in its place.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    /// Whole seconds since the Unix epoch.
    pub(super) time: i64,
    /// When it appears, in milliseconds since the Unix epoch.
    pub(super) visible_ms: i64,
    pub(super) body: Body,
}

/// An event and what it can be found by.
pub(super) struct Filed {
    pub(super) entry: Entry,
    /// [`attribute_hashes`] of the event.
    pub(super) found_by: Vec<u64>,
}

/// Where an event stands: its second, and a tie-breaker within it that follows
/// nothing a client could know. Newest is greatest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Place {
    pub(super) time: i64,
    pub(super) tie: u64,
}

/// What is asked of a history.
#[derive(Clone, Copy, Debug)]
pub(super) struct Question {
    /// The hash of the attribute asked by.
    pub(super) attribute: Option<u64>,
    /// The first second.
    pub(super) from: i64,
    /// The last second, inclusive.
    pub(super) to: i64,
    /// Only what stands before this place.
    pub(super) before: Option<Place>,
    /// Now, in milliseconds since the Unix epoch: what appears later is not
    /// there yet.
    pub(super) now_ms: i64,
    /// At most so many.
    pub(super) limit: usize,
}

/// The events of one scope and category. It holds at most `u32::MAX` events
/// and turns further ones away.
#[derive(Debug)]
pub(super) struct History {
    seed: u64,
    entries: Vec<Entry>,
    /// All, oldest first.
    order: Vec<u32>,
    /// By attribute, oldest first. A hash can mean two attributes: whoever
    /// reads an answer compares.
    index: HashMap<u64, List>,
}

/// Events by their place in `entries`, oldest first. Most attributes' values
/// are ids that one event has alone.
#[derive(Debug)]
enum List {
    One(u32),
    Many(Vec<u32>),
}

impl List {
    fn as_slice(&self) -> &[u32] {
        match self {
            Self::One(id) => std::slice::from_ref(id),
            Self::Many(ids) => ids,
        }
    }

    fn insert(&mut self, at: usize, id: u32) {
        match self {
            Self::One(one) => {
                *self = Self::Many(if at == 0 {
                    vec![id, *one]
                } else {
                    vec![*one, id]
                });
            }
            Self::Many(ids) => ids.insert(at.min(ids.len()), id),
        }
    }
}

impl History {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            seed,
            entries: Vec::new(),
            order: Vec::new(),
            index: HashMap::new(),
        }
    }

    /// How many events it holds, visible or not.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds many events, in any order.
    pub(super) fn extend(&mut self, mut events: Vec<Filed>) {
        // nearly sorted lists are sorted in nearly no time
        events.sort_by_key(|filed| filed.entry.time);
        for filed in events {
            if let Some(id) = self.hold(filed.entry) {
                self.order.push(id);
                for hash in filed.found_by {
                    self.index
                        .entry(hash)
                        .and_modify(|list| list.insert(usize::MAX, id))
                        .or_insert(List::One(id));
                }
            }
        }
        let Self {
            seed,
            entries,
            order,
            index,
        } = self;
        let place = |id: &u32| place(entries, *seed, *id);
        order.sort_by_key(place);
        for list in index.values_mut() {
            if let List::Many(ids) = list {
                ids.sort_by_key(place);
            }
        }
    }

    /// Adds one event.
    pub(super) fn insert(&mut self, filed: Filed) {
        let Some(id) = self.hold(filed.entry) else {
            return;
        };
        let Self {
            seed,
            entries,
            order,
            index,
        } = self;
        let at = place(entries, *seed, id);
        let find = |ids: &[u32]| ids.partition_point(|other| place(entries, *seed, *other) < at);
        order.insert(find(order), id);
        for hash in filed.found_by {
            index
                .entry(hash)
                .and_modify(|list| list.insert(find(list.as_slice()), id))
                .or_insert(List::One(id));
        }
    }

    fn hold(&mut self, entry: Entry) -> Option<u32> {
        let id = u32::try_from(self.entries.len()).ok()?;
        self.entries.push(entry);
        Some(id)
    }

    /// Up to `limit` events, newest first, and whether there are more.
    pub(super) fn page(&self, question: &Question) -> (Vec<(Place, Body)>, bool) {
        let list = match question.attribute {
            Some(hash) => self.index.get(&hash).map_or(&[][..], List::as_slice),
            None => &self.order,
        };
        let place = |id: u32| place(&self.entries, self.seed, id);
        let end = list.partition_point(|id| {
            let at = place(*id);
            at.time <= question.to && question.before.is_none_or(|before| at < before)
        });
        let mut picked = Vec::new();
        let newest_first = list.iter().take(end).rev();
        for (at, entry) in newest_first.filter_map(|id| {
            let entry = self.entries.get(usize::try_from(*id).ok()?)?;
            Some((place(*id), entry))
        }) {
            if at.time < question.from {
                break;
            }
            if entry.visible_ms > question.now_ms {
                continue;
            }
            if picked.len() >= question.limit {
                return (picked, true);
            }
            picked.push((at, entry.body.clone()));
        }
        (picked, false)
    }
}

fn place(entries: &[Entry], seed: u64, id: u32) -> Place {
    let time = usize::try_from(id).ok().and_then(|i| entries.get(i));
    Place {
        time: time.map_or(i64::MIN, |entry| entry.time),
        tie: mix(seed ^ u64::from(id)),
    }
}

/// What an event can be found by: one hash for each attribute and value.
pub(super) fn attribute_hashes(event: &LookupEvent) -> Vec<u64> {
    let mut hashes = Vec::with_capacity(AttributeKey::ALL.len());
    for key in AttributeKey::ALL {
        for value in values(event, key) {
            let hash = attribute_hash(key, value);
            // two resources of one type are one entry in the list of that type
            if !hashes.contains(&hash) {
                hashes.push(hash);
            }
        }
    }
    hashes
}

/// The hash of one attribute and value.
pub(super) fn attribute_hash(key: AttributeKey, value: &str) -> u64 {
    hash((key, value))
}

/// Whether the event has the attribute: exact, case-sensitive.
pub(super) fn has(event: &LookupEvent, attribute: &Attribute) -> bool {
    values(event, attribute.key).any(|value| *value == *attribute.value)
}

fn values(event: &LookupEvent, key: AttributeKey) -> impl Iterator<Item = &str> {
    let one = match key {
        AttributeKey::AccessKeyId => &event.access_key_id,
        AttributeKey::EventId => &event.event_id,
        AttributeKey::EventName => &event.event_name,
        AttributeKey::EventSource => &event.event_source,
        AttributeKey::ReadOnly => &event.read_only,
        AttributeKey::Username => &event.username,
        AttributeKey::ResourceName | AttributeKey::ResourceType => &None,
    };
    let of_resources = event
        .resources
        .iter()
        .filter_map(move |resource| match key {
            AttributeKey::ResourceName => resource.name.as_deref(),
            AttributeKey::ResourceType => resource.kind.as_deref(),
            _ => None,
        });
    one.as_deref().into_iter().chain(of_resources)
}
