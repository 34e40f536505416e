//! The log: entries by position, the oldest dropped where bytes are short, and
//! of those that were dropped what is needed to find them again.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use super::scopes::ScopeId;
use crate::event::{Event, Origin, TimeRange};

/// Where an entry stands. Positions ascend by one and start at 1.
pub type Position = u64;

/// Positions that a summary of dropped entries speaks of: few enough that what
/// is read again is little more than what was dropped.
const SEGMENT: u64 = 1024;

/// One place of the log.
#[derive(Debug)]
pub(super) enum Entry {
    /// An event.
    Event(Arrived),
    /// A place that holds no event: what it was taken for is known elsewhere.
    Mark,
}

/// An event that arrived.
#[derive(Debug)]
pub(super) struct Arrived {
    pub(super) event: Arc<Event>,
    pub(super) scope: ScopeId,
    /// In which second.
    pub(super) at: i64,
    /// It may have been there before its scope was collected: whoever asked for no
    /// history is not told.
    pub(super) is_known: bool,
    /// `LookupEvents` tells such an event. Found out when it arrives: when it is
    /// dropped its bytes are far from the processor.
    is_in_history: bool,
    /// `LookupEvents` told it.
    is_told: bool,
}

impl Arrived {
    pub(super) fn new(event: Arc<Event>, scope: ScopeId, at: i64, is_known: bool) -> Self {
        Self {
            is_in_history: is_in_history(&event),
            is_told: event.origin() == Origin::LookupEvents,
            event,
            scope,
            at,
            is_known,
        }
    }
}

impl Entry {
    /// Bytes that it takes.
    fn weight(&self) -> u64 {
        let weight = match self {
            Self::Event(arrived) => arrived.event.weight() + size_of::<Self>(),
            Self::Mark => size_of::<Self>(),
        };
        u64::try_from(weight).unwrap_or(u64::MAX)
    }
}

/// Seconds of a bucket: what was dropped of a scope is told apart by the hour it
/// happened in, so that a single old event does not have years read again.
const HOUR: i64 = 3600;

/// A scope, and an hour since the Unix epoch.
pub(super) type Bucket = (ScopeId, i64);

/// What was dropped of one scope in one hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Dropped {
    /// The seconds of its events.
    pub(super) range: TimeRange,
    /// How many they were.
    pub(super) count: u64,
    /// How many of them `LookupEvents` never tells.
    pub(super) beyond_history: u64,
    /// The latest second of those that `LookupEvents` has not told here: it may
    /// tell them later.
    pub(super) untold: i64,
}

impl Dropped {
    fn of(arrived: &Arrived) -> Self {
        let time = arrived.event.time;
        Self {
            range: TimeRange::new(time, time.saturating_add(1)),
            count: 1,
            // who asked for what was known reads it of files
            beyond_history: u64::from(!arrived.is_in_history && !arrived.is_known),
            untold: if arrived.is_told { i64::MIN } else { time },
        }
    }

    fn add(&mut self, other: &Self) {
        self.range = TimeRange::new(
            self.range.from.min(other.range.from),
            self.range.to.max(other.range.to),
        );
        self.count += other.count;
        self.beyond_history += other.beyond_history;
        self.untold = self.untold.max(other.untold);
    }
}

/// Whether `LookupEvents` tells such an event (API reference: management events;
/// Insights events only where asked for).
pub(super) fn is_in_history(event: &Event) -> bool {
    event
        .category()
        .is_none_or(|category| category == "Management")
}

/// What was dropped of a stretch of positions.
#[derive(Debug)]
struct Segment {
    from: Position,
    to: Position,
    buckets: BTreeMap<Bucket, Dropped>,
}

/// See the module.
#[derive(Debug)]
pub(super) struct Log {
    first: Position,
    entries: VecDeque<Entry>,
    bytes: u64,
    max_bytes: u64,
    /// What comes from this position on has half of the bytes at most, unless it is
    /// the newest alone.
    half: Position,
    /// Bytes from there on.
    half_bytes: u64,
    /// As long as the index knows their events, so no more than it has entries.
    dropped: VecDeque<Segment>,
    /// The second in which the latest of them arrived.
    dropped_at: i64,
}

impl Log {
    pub(super) fn new(max_bytes: u64) -> Self {
        Self {
            first: 1,
            entries: VecDeque::new(),
            bytes: 0,
            max_bytes,
            half: 1,
            half_bytes: 0,
            dropped: VecDeque::new(),
            dropped_at: i64::MIN,
        }
    }

    /// The second in which the latest event arrived that was dropped: what history
    /// told before may not have it.
    pub(super) fn dropped_at(&self) -> i64 {
        self.dropped_at
    }

    /// The oldest position that is there, or the head.
    pub(super) fn first(&self) -> Position {
        self.first
    }

    /// The position that comes next.
    pub(super) fn head(&self) -> Position {
        // no process lives for 2^64 events
        self.first + u64::try_from(self.entries.len()).unwrap_or(u64::MAX)
    }

    /// Bytes held.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Who stands before it has more than half of what the log may hold to read.
    pub(super) fn half(&self) -> Position {
        self.half
    }

    /// Adds an entry; where it stands.
    pub(super) fn push(&mut self, entry: Entry) -> Position {
        let position = self.head();
        self.bytes += entry.weight();
        self.half_bytes += entry.weight();
        self.entries.push_back(entry);
        // before the oldest are dropped, which are never among those behind it
        while self.half_bytes > self.max_bytes / 2 && self.half < position {
            self.half_bytes -= self.get(self.half).map_or(0, Entry::weight);
            self.half += 1;
        }
        // the newest stays, however heavy
        while self.bytes > self.max_bytes && self.entries.len() > 1 {
            self.drop_first();
        }
        position
    }

    /// The entry at a position, if it is there.
    pub(super) fn get(&self, position: Position) -> Option<&Entry> {
        let place = usize::try_from(position.checked_sub(self.first)?).ok()?;
        self.entries.get(place)
    }

    /// Entries from a position on.
    pub(super) fn from(&self, position: Position) -> impl Iterator<Item = (Position, &Entry)> {
        let skipped = position.saturating_sub(self.first);
        let skipped = usize::try_from(skipped).unwrap_or(usize::MAX);
        let skipped = skipped.min(self.entries.len());
        (position.max(self.first)..).zip(self.entries.range(skipped..))
    }

    /// What was dropped of the positions from `from` to `to`, exclusive, and
    /// perhaps of a few beside them.
    pub(super) fn dropped(&self, from: Position, to: Position) -> BTreeMap<Bucket, Dropped> {
        let mut all: BTreeMap<Bucket, Dropped> = BTreeMap::new();
        let segments = self.dropped.iter();
        for segment in segments.filter(|segment| segment.to > from && segment.from < to) {
            for (bucket, dropped) in &segment.buckets {
                let found = all.entry(*bucket).and_modify(|all| all.add(dropped));
                found.or_insert(*dropped);
            }
        }
        all
    }

    /// Forgets what was dropped before a position.
    pub(super) fn forget(&mut self, before: Position) {
        let is_before = |segment: &mut Segment| segment.to <= before;
        while self.dropped.pop_front_if(is_before).is_some() {}
    }

    fn drop_first(&mut self) {
        let Some(entry) = self.entries.pop_front() else {
            return;
        };
        self.bytes = self.bytes.saturating_sub(entry.weight());
        let position = self.first;
        self.first += 1;
        let segment = match self.dropped.back_mut() {
            Some(last) if last.to - last.from < SEGMENT => last,
            _ => {
                self.dropped.push_back(Segment {
                    from: position,
                    to: position,
                    buckets: BTreeMap::new(),
                });
                // just pushed
                match self.dropped.back_mut() {
                    Some(last) => last,
                    None => return,
                }
            }
        };
        segment.to = position + 1;
        if let Entry::Event(arrived) = entry {
            self.dropped_at = arrived.at.max(self.dropped_at);
            let dropped = Dropped::of(&arrived);
            let hour = arrived.event.time.div_euclid(HOUR);
            let found = segment.buckets.entry((arrived.scope, hour));
            found.and_modify(|all| all.add(&dropped)).or_insert(dropped);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Origin, Scope};

    fn event(time: i64) -> Entry {
        let scope = Scope::new("111122223333", "us-east-1");
        let record = format!("{{\"eventCategory\":\"Data\",\"n\":{time}}}");
        let event = Event::from_record(&scope, record.as_bytes(), Origin::LogFile, time);
        Entry::Event(Arrived::new(Arc::new(event), 0, time, false))
    }

    #[test]
    fn the_oldest_make_room_and_what_they_were_is_known() {
        let one = event(0).weight();
        let mut log = Log::new(10 * one);
        for time in 0..3000 {
            assert_eq!(log.push(event(time)), log.head() - 1);
        }
        assert!(log.bytes() <= 10 * one);
        let kept = log.head() - log.first();
        assert!((9..=10).contains(&kept), "{kept}");
        assert!(log.get(log.first() - 1).is_none() && log.get(log.head()).is_none());
        let (first, _) = log.from(1).next().unwrap();
        assert_eq!(first, log.first());
        let all = log.dropped(1, log.first());
        assert_eq!(all[&(0, 0)].count, log.first() - 1);
        assert_eq!(all[&(0, 0)].beyond_history, all[&(0, 0)].count);
        assert_eq!(all[&(0, 0)].range.from, 0);
        // a part of it, to a segment's precision
        let part = log.dropped(1500, 1501)[&(0, 0)];
        assert!(part.range.contains(1499) && part.count <= SEGMENT);
        log.forget(1500);
        assert!(log.dropped(1, 1000).is_empty() && !log.dropped(1, 1500).is_empty());
    }

    #[test]
    fn half_of_it_is_known_by_position() {
        let one = event(0).weight();
        let mut log = Log::new(10 * one);
        for time in 0..5 {
            log.push(event(time));
        }
        assert_eq!(log.half(), log.first());
        for time in 5..3000 {
            log.push(event(time));
            let bytes: u64 = log.from(log.half()).map(|(_, entry)| entry.weight()).sum();
            assert_eq!(bytes, log.half_bytes);
            assert!(bytes <= 5 * one && bytes > 3 * one, "{bytes}");
            assert!(log.half() >= log.first());
        }
        let mut log = Log::new(1);
        for time in 0..3 {
            log.push(event(time));
            assert_eq!((log.half(), log.first()), (log.head() - 1, log.head() - 1));
        }
    }

    #[test]
    fn the_newest_stays_however_heavy_it_is() {
        let mut log = Log::new(1);
        log.push(Entry::Mark);
        let position = log.push(event(5));
        assert_eq!((log.first(), log.head()), (position, position + 1));
        assert!(matches!(log.get(position), Some(Entry::Event(..))));
    }
}
