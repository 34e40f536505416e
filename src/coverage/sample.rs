//! What the planner asks of coverage: what is missing, and what events are like.

use std::sync::Arc;

use super::{Coverage, Freshness, Key};
use crate::event::{Event, TimeRange};

/// The most stretches that are looked at for a sample: those next to a gap
/// have a few hundred events each.
const MAX_STRETCHES: usize = 8;

impl Coverage {
    /// The parts of `range` that are not held recently enough by any one of
    /// `keys`, ascending. Stretches of different keys that lie side by side
    /// count as held, as questions use them.
    #[must_use]
    pub fn gaps(&self, keys: &[Key], range: TimeRange, need: Freshness) -> Vec<TimeRange> {
        let mut held: Vec<TimeRange> = Vec::new();
        let map = self.read_map();
        for stretches in keys.iter().filter_map(|key| map.get(key)) {
            let below = stretches.range(..=range.from).next_back();
            let above = range.from.saturating_add(1);
            let inside = stretches.range(above..range.to.max(above));
            for (from, stretch) in below.into_iter().chain(inside) {
                let usable = stretch.usable(*from, need, self.horizon).intersect(&range);
                if !usable.is_empty() && self.chunks.contains_key(&stretch.chunk) {
                    held.push(usable);
                }
            }
        }
        drop(map);
        held.sort_by_key(|range| range.from);
        let mut at = range.from;
        let mut gaps = Vec::new();
        for held in held.into_iter().chain([TimeRange::new(range.to, range.to)]) {
            gaps.push(TimeRange::new(at, held.from));
            at = at.max(held.to);
        }
        gaps.retain(|gap| !gap.is_empty());
        gaps
    }

    /// Events that are held by `key` around `second`, at most about `most`:
    /// what the events of a gap there may be like.
    #[must_use]
    pub fn sample(&self, key: &Key, second: i64, most: usize) -> Vec<Arc<Event>> {
        let map = self.read_map();
        let Some(stretches) = map.get(key) else {
            return Vec::new();
        };
        let above = stretches.range(second..).take(MAX_STRETCHES / 2);
        let below = stretches.range(..second).rev().take(MAX_STRETCHES / 2);
        let chunks: Vec<_> = above
            .chain(below)
            .filter_map(|(_, stretch)| self.chunks.get(&stretch.chunk))
            .collect();
        drop(map);
        let events = chunks.iter().flat_map(|chunk| chunk.events.iter());
        events.take(most).cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::{
        coverage::Options,
        event::{Attribute, AttributeKey, Category, Origin, Scope},
    };

    #[test]
    fn gaps_are_what_no_key_holds() {
        let coverage = Coverage::new(Options::default());
        let by = |name: Option<&str>| Key {
            scope: Scope::new("111122223333", "us-east-1"),
            category: Category::Management,
            pushdown: name.map(|name| Attribute::new(AttributeKey::EventName, name)),
            origin: Origin::LookupEvents,
        };
        let keys = [by(Some("A")), by(None)];
        let at = |second| Timestamp::from_second(second).unwrap();
        let late = at(100_000);
        coverage.insert(&keys[0], TimeRange::new(10, 20), late, &[]);
        coverage.insert(&keys[1], TimeRange::new(15, 30), late, &[]);
        coverage.insert(&keys[1], TimeRange::new(40, 50), late, &[]);
        coverage.insert(&by(Some("B")), TimeRange::new(0, 100), late, &[]);
        let gaps = |from, to| -> Vec<(i64, i64)> {
            let range = TimeRange::new(from, to);
            let gaps = coverage.gaps(&keys, range, Freshness(Timestamp::MAX));
            gaps.iter().map(|gap| (gap.from, gap.to)).collect()
        };
        assert_eq!(gaps(0, 60), [(0, 10), (30, 40), (50, 60)]);
        assert_eq!(gaps(12, 45), [(30, 40)]);
        assert_eq!(gaps(10, 30), []);
        assert_eq!(gaps(32, 33), [(32, 33)]);
        assert_eq!(gaps(33, 33), []);
        // read when it had hardly ended, it is held for those who need no more
        coverage.insert(&keys[1], TimeRange::new(50, 60), at(60), &[]);
        assert_eq!(gaps(45, 60), [(50, 60)]);
        let need = Freshness(at(60));
        assert_eq!(coverage.gaps(&keys, TimeRange::new(45, 61), need).len(), 1);
    }
}
