//! Which events have arrived, by identity, and at which position: the one place
//! that says whether an event is new.
//!
//! Exact, not a Bloom filter: a false positive would be a lost event.

use std::{
    collections::HashMap,
    hash::{BuildHasher, BuildHasherDefault, Hash, Hasher, RandomState},
};

use super::{log::Position, scopes::ScopeId};
use crate::event::{Event, Identity};

/// Events that a generation holds before another begins, where the older ones
/// are old enough: an entry takes some 60 bytes, so two generations take some
/// 60 MB.
const GENERATION: usize = 450_000;
/// A generation ends at so many events however young they are: some 240 MB in
/// all, where more than a hundred events come a second for hours.
const MAX_GENERATION: usize = 4 * GENERATION;

/// Whose event, and where it is looked for: that is made out once, since an
/// event that is new is looked for in four tables.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Key {
    hash: u64,
    scope: ScopeId,
    identity: Identity,
}

impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.hash);
    }
}

/// Takes the hash that a key has.
#[derive(Clone, Copy, Debug, Default)]
struct Made(u64);

impl Hasher for Made {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        // no key writes any
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

/// No event stands there: some were told it of log files, nobody of the log.
pub(super) const OUTSIDE: Position = 0;

/// What is known of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Slot {
    /// Where it stands in the log, or stood; [`OUTSIDE`]: it never did.
    pub(super) position: Position,
    /// Who was told it outside of the log last; 0: nobody.
    pub(super) told_to: u32,
    /// Its second, by which one is told from another that reuses its id.
    pub(super) time: i64,
    /// Of a correction, the start of its record's hash: another one has another.
    hash: [u8; 7],
    /// It may have been there before its scope was collected.
    pub(super) is_known: bool,
}

/// What an event that arrives is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Not known.
    New,
    /// Known; its position is in the slot.
    Repeated(Slot),
    /// Known, and this is a correction of it.
    Corrected,
}

#[derive(Debug, Default)]
struct Generation {
    slots: HashMap<Key, Slot, BuildHasherDefault<Made>>,
    /// The first position that it may have.
    from: Position,
    /// When its last event came, in seconds.
    last: i64,
    /// By scope: the latest second of its events.
    latest: HashMap<ScopeId, i64>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Index {
    /// Of a secret: who writes log files can choose ids, but not where they fall.
    hasher: RandomState,
    current: Generation,
    previous: Generation,
    /// How long an event is kept at least, in seconds.
    horizon: i64,
    generation: usize,
}

impl Index {
    pub(super) fn new(horizon: i64) -> Self {
        Self {
            hasher: RandomState::new(),
            current: Generation::default(),
            previous: Generation::default(),
            horizon,
            generation: GENERATION,
        }
    }

    /// Everything from this position on is known.
    pub(super) fn from(&self) -> Position {
        self.previous.from
    }

    /// Events known.
    pub(super) fn len(&self) -> usize {
        self.current.slots.len() + self.previous.slots.len()
    }

    /// What an event is looked for by.
    pub(super) fn key(&self, scope: ScopeId, event: &Event) -> Key {
        let identity = event.identity();
        Key {
            hash: self.hasher.hash_one((scope, identity)),
            scope,
            identity,
        }
    }

    fn find(&self, key: &Key) -> Option<&Slot> {
        let current = self.current.slots.get(key);
        current.or_else(|| self.previous.slots.get(key))
    }

    /// What an event that arrives is.
    pub(super) fn judge(&self, scope: ScopeId, event: &Event) -> Verdict {
        self.judge_by(&self.key(scope, event), event)
    }

    /// As [`Index::judge`], by the event's key.
    pub(super) fn judge_by(&self, key: &Key, event: &Event) -> Verdict {
        let Some(slot) = self.find(key) else {
            return Verdict::New;
        };
        if event.is_addendum() && slot.hash != short(event) {
            return Verdict::Corrected;
        }
        Verdict::Repeated(*slot)
    }

    /// Notes where an event stands, at `now` in seconds. What is forgotten for it:
    /// by scope, the latest second of what is not known any more.
    pub(super) fn note(
        &mut self,
        key: Key,
        event: &Event,
        position: Position,
        is_known: bool,
        now: i64,
    ) -> Option<HashMap<ScopeId, i64>> {
        let slot = Slot {
            position,
            told_to: 0,
            time: event.time,
            hash: short(event),
            is_known,
        };
        self.keep(key, event, slot, position, now)
    }

    /// Notes that an event was told to someone outside of the log, whose head is at
    /// `position`. What is forgotten for it: see [`Index::note`].
    pub(super) fn note_outside(
        &mut self,
        scope: ScopeId,
        event: &Event,
        told_to: u32,
        position: Position,
        now: i64,
    ) -> Option<HashMap<ScopeId, i64>> {
        let slot = Slot {
            position: OUTSIDE,
            told_to,
            time: event.time,
            hash: short(event),
            is_known: true,
        };
        self.keep(self.key(scope, event), event, slot, position, now)
    }

    fn keep(
        &mut self,
        key: Key,
        event: &Event,
        slot: Slot,
        position: Position,
        now: i64,
    ) -> Option<HashMap<ScopeId, i64>> {
        // a correction takes the place of what it corrects
        self.previous.slots.remove(&key);
        self.current.slots.insert(key, slot);
        self.current.last = now;
        let latest = self.current.latest.entry(key.scope).or_insert(event.time);
        *latest = event.time.max(*latest);
        self.turn(position, now)
    }

    fn turn(&mut self, position: Position, now: i64) -> Option<HashMap<ScopeId, i64>> {
        let len = self.current.slots.len();
        let is_old = self.previous.last.saturating_add(self.horizon) < now;
        let is_full = len >= self.generation && (is_old || self.previous.slots.is_empty());
        if !is_full && len < self.generation.saturating_mul(MAX_GENERATION / GENERATION) {
            return None;
        }
        let next = Generation {
            from: position + 1,
            ..Generation::default()
        };
        let full = std::mem::replace(&mut self.current, next);
        let gone = std::mem::replace(&mut self.previous, full);
        Some(gone.latest)
    }
}

fn short(event: &Event) -> [u8; 7] {
    if !event.is_addendum() {
        return [0; 7];
    }
    // a hash has 16 bytes
    event.hash().first_chunk().copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Origin, Scope};

    fn event(n: u64, rest: &str) -> Event {
        let scope = Scope::new("111122223333", "us-east-1");
        let record = format!(
            "{{\"eventID\":\"00000000-0000-4000-8000-{n:012}\",\"eventTime\":\"2026-01-01T00:00:00Z\"{rest}}}"
        );
        Event::from_record(&scope, record.as_bytes(), Origin::LogFile, 0)
    }

    #[test]
    fn an_event_is_new_once_and_a_correction_once_more() {
        let mut index = Index::new(900);
        let (first, other) = (event(1, ""), event(1, ",\"a\":1"));
        let corrected = event(1, ",\"addendum\":{\"reason\":\"UPDATED_DATA\"}");
        assert_eq!(index.judge(0, &first), Verdict::New);
        index.note(index.key(0, &first), &first, 7, false, 0);
        assert!(matches!(index.judge(0, &first), Verdict::Repeated(slot) if slot.position == 7));
        assert!(matches!(index.judge(0, &other), Verdict::Repeated(_)));
        assert_eq!(index.judge(1, &first), Verdict::New, "another scope's");
        assert_eq!(index.judge(0, &corrected), Verdict::Corrected);
        index.note(index.key(0, &corrected), &corrected, 8, false, 0);
        for event in [&first, &other, &corrected] {
            assert!(matches!(index.judge(0, event), Verdict::Repeated(slot) if slot.position == 8));
        }
    }

    #[test]
    fn the_young_are_kept_and_what_is_forgotten_is_said() {
        let mut index = Index::new(900);
        index.generation = 10;
        let mut forgotten = Vec::new();
        // one a minute
        for n in 0..400_u64 {
            let now = i64::try_from(n * 60).unwrap();
            let next = event(n, "");
            forgotten.extend(index.note(index.key(0, &next), &next, n + 1, false, now));
            for young in n.saturating_sub(14)..=n {
                assert_ne!(
                    index.judge(0, &event(young, "")),
                    Verdict::New,
                    "{young} at {n}"
                );
            }
        }
        assert!(forgotten.iter().any(|latest| latest.contains_key(&0)));
        assert_eq!(index.judge(0, &event(0, "")), Verdict::New);
        assert!(index.from() > 1 && index.len() < 400);
    }
}
