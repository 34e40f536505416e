//! Stretches of time: what the map holds.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{Freshness, chunk};
use crate::event::{Event, TimeRange};

/// One held stretch; its start is its key in the map.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// Its end, exclusive.
    pub(super) to: i64,
    /// When the walk that read it began.
    pub(super) began: Timestamp,
    /// Where its events are, if they are there still.
    pub(super) chunk: u64,
}

/// The end (exclusive) of what a walk that began at `began` settles: seconds
/// that ended at least one horizon before.
#[must_use]
pub fn settled_before(began: Timestamp, horizon: Duration) -> i64 {
    let at = began.saturating_sub(horizon).unwrap_or(Timestamp::MIN);
    // as_second truncates toward zero
    at.as_second() - i64::from(at.subsec_nanosecond() < 0)
}

impl Stretch {
    /// The part of it, from its start, that is settled or recent enough.
    pub(super) fn usable(&self, from: i64, need: Freshness, horizon: Duration) -> TimeRange {
        let to = if self.began >= need.0 {
            self.to
        } else {
            self.to.min(settled_before(self.began, horizon))
        };
        TimeRange::new(from, to)
    }

    /// Whether it was asked for up to its walk's present, recently enough: then
    /// it counts up to now.
    pub(super) fn reaches_present(&self, need: Freshness) -> bool {
        self.began >= need.0 && self.to > self.began.as_second()
    }
}

/// Takes all stretches that share a second with `range`, ascending.
pub(super) fn take_overlapping(
    stretches: &mut BTreeMap<i64, Stretch>,
    range: TimeRange,
) -> Vec<(i64, Stretch)> {
    let mut found: Vec<i64> = stretches
        .range(..range.to)
        .rev()
        .take_while(|(_, stretch)| stretch.to > range.from)
        .map(|(from, _)| *from)
        .collect();
    found.reverse();
    found
        .into_iter()
        .filter_map(|from| stretches.remove(&from).map(|s| (from, s)))
        .collect()
}

/// A stretch with its events, on the way into the map.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    pub(super) range: TimeRange,
    pub(super) began: Timestamp,
    /// Ascending.
    pub(super) events: Vec<Arc<Event>>,
}

impl Piece {
    pub(super) fn new(range: TimeRange, began: Timestamp, events: Vec<Arc<Event>>) -> Self {
        Self {
            range,
            began,
            events,
        }
    }

    pub(super) fn weight(&self) -> usize {
        chunk::weigh(&self.events)
    }

    /// Whether it may become one with a neighbour that was read by a walk that
    /// began at `began`: the earlier of the two beginnings must still settle
    /// both, or be the same.
    pub(super) fn joins(&self, neighbour: TimeRange, began: Timestamp, horizon: Duration) -> bool {
        began == self.began
            || settled_before(began.min(self.began), horizon) >= neighbour.to.max(self.range.to)
    }

    /// Cuts it, between seconds, into pieces whose chunks are within their
    /// weight. A single second is never cut: it may be heavier.
    pub(super) fn split(self) -> Vec<Self> {
        let mut parts = Vec::new();
        let mut from = self.range.from;
        let mut events: Vec<Arc<Event>> = Vec::new();
        let mut weight = chunk::BASE_WEIGHT;
        for second in self.events.chunk_by(|a, b| a.time == b.time) {
            let more: usize = second.iter().map(|event| chunk::weigh_event(event)).sum();
            if let Some(first) = second.first()
                && weight + more > chunk::MAX_WEIGHT
                && !events.is_empty()
                && first.time > from
            {
                let range = TimeRange::new(from, first.time);
                parts.push(Self::new(range, self.began, std::mem::take(&mut events)));
                from = first.time;
                weight = chunk::BASE_WEIGHT;
            }
            weight += more;
            events.extend_from_slice(second);
        }
        parts.push(Self::new(
            TimeRange::new(from, self.range.to),
            self.began,
            events,
        ));
        parts
    }
}
