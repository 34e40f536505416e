//! Learnt densities: how many events a second the walks by an attribute found.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::{
    coverage::Key,
    event::{Attribute, AttributeKey, TimeRange},
};

/// The most attributes that are remembered, some hundreds for each scope of a
/// mid-sized deployment. An entry takes some 200 bytes.
const MAX_KEYS: usize = 8192;
/// What was learnt is halved after so many seconds: activity of a month ago
/// says little of today's.
const MEMORY: f64 = 7.0 * 86_400.0;
/// Events a second of a scope that nothing is known of: a small account's.
const UNKNOWN: f64 = 1.0 / 60.0;

/// What walks have found so far.
#[derive(Debug, Default)]
pub(super) struct Densities {
    by_key: Mutex<HashMap<Key, Seen>>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Seen {
    seconds: f64,
    events: f64,
}

impl Densities {
    /// A walk by `key` found so many events in a stretch.
    pub(super) fn learn(&self, key: &Key, range: TimeRange, events: usize) {
        if range.is_empty() {
            return;
        }
        let mut by_key = self.lock();
        if by_key.len() >= MAX_KEYS && !by_key.contains_key(key) {
            // whole scopes stay: there are as many as are configured
            by_key.retain(|key, _| key.pushdown.is_none());
        }
        let seen = by_key.entry(key.clone()).or_default();
        seen.seconds += float(range.seconds());
        seen.events += float(events);
        if seen.seconds > MEMORY {
            seen.seconds /= 2.0;
            seen.events /= 2.0;
        }
    }

    /// Events a second, where walks by `key` were made.
    pub(super) fn known(&self, key: &Key) -> Option<f64> {
        let seen = *self.lock().get(key)?;
        // none seen yet is not none at all
        Some(seen.events.max(0.5) / seen.seconds.max(1.0))
    }

    /// Events a second of the whole scope, if only at a guess.
    pub(super) fn of_scope(&self, unfiltered: &Key) -> f64 {
        self.known(unfiltered).unwrap_or(UNKNOWN)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Key, Seen>> {
        // plain numbers: still right after a panic elsewhere
        self.by_key.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The share of a scope's events that an attribute has as a rule, where nothing
/// was seen of it: guesses, in the order of `LookupEvents` users' experience.
pub(super) fn usual_share(attribute: &Attribute) -> f64 {
    match attribute.key {
        AttributeKey::EventId => 1e-6,
        AttributeKey::ResourceName => 0.005,
        AttributeKey::AccessKeyId => 0.01,
        AttributeKey::Username => 0.02,
        AttributeKey::EventName => 0.03,
        AttributeKey::ResourceType => 0.1,
        AttributeKey::EventSource => 0.15,
        // either value is common, and no event has another
        AttributeKey::ReadOnly if is_flag(&attribute.value) => 0.6,
        AttributeKey::ReadOnly => 1e-6,
    }
}

fn is_flag(value: &str) -> bool {
    matches!(value, "true" | "false")
}

/// Counts as they are reckoned with here: estimates need no exact ones.
pub(super) fn float(count: impl TryInto<u32>) -> f64 {
    count.try_into().map_or(f64::from(u32::MAX), f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Category, Origin, Scope};

    fn key(name: Option<&str>) -> Key {
        Key {
            scope: Scope::new("111122223333", "us-east-1"),
            category: Category::Management,
            pushdown: name.map(|name| Attribute::new(AttributeKey::EventName, name)),
            origin: Origin::LookupEvents,
        }
    }

    #[test]
    fn densities_follow_what_was_seen_and_are_bounded() {
        let densities = Densities::default();
        assert_eq!(densities.known(&key(None)), None);
        densities.learn(&key(None), TimeRange::new(0, 100), 50);
        assert_eq!(densities.known(&key(None)), Some(0.5));
        for _ in 0..1_000 {
            densities.learn(&key(None), TimeRange::new(0, 86_400), 86_400);
        }
        let rate = densities.of_scope(&key(None));
        assert!((0.9..=1.0).contains(&rate), "{rate}");
        densities.learn(&key(Some("none")), TimeRange::new(0, 1_000), 0);
        assert_eq!(densities.known(&key(Some("none"))), Some(0.0005));
        for i in 0..3 * MAX_KEYS {
            densities.learn(&key(Some(&i.to_string())), TimeRange::new(0, 1), 1);
        }
        assert!(densities.lock().len() <= MAX_KEYS);
        assert!(densities.known(&key(None)).is_some());
    }
}
