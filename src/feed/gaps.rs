//! Gaps: what neither the log nor history can tell.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU64, Ordering::Relaxed},
};

use super::log::Position;
use crate::event::{Scope, TimeRange};

/// The most gaps that are kept for those who read behind. There are no more
/// scopes than that, and those of one scope become one where room is short.
const MAX_GAPS: usize = 1 << 16;

/// Events that cannot be delivered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Whose.
    pub scope: Scope,
    /// The seconds that they may be in.
    pub range: TimeRange,
    /// How many they are; `None`: nobody knows.
    pub count: Option<u64>,
    /// Why.
    pub reason: GapReason,
}

/// Why events cannot be delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum GapReason {
    /// The scope has more events than its quota lets be read.
    Overrun,
    /// They happened before what AWS keeps.
    BeforeHistory,
    /// They were dropped from the log, and `LookupEvents` never tells them: data
    /// events and the like.
    NotInHistory,
    /// They were dropped from the log, or it is gone with its process, and neither
    /// history can be asked for the scope nor its files be listed.
    NotServed,
    /// A log file was announced or listed, and is not there or cannot be read.
    Unreadable,
}

impl GapReason {
    /// All reasons.
    pub const ALL: [Self; 5] = [
        Self::Overrun,
        Self::BeforeHistory,
        Self::NotInHistory,
        Self::NotServed,
        Self::Unreadable,
    ];

    /// A stable word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Overrun => "OVERRUN",
            Self::BeforeHistory => "BEFORE_HISTORY",
            Self::NotInHistory => "NOT_IN_HISTORY",
            Self::NotServed => "NOT_SERVED",
            Self::Unreadable => "UNREADABLE",
        }
    }

    /// The same in words.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::Overrun => {
                "the scope has more events than CloudTrail's quota lets be read; collect it from a \
                 queue"
            }
            Self::BeforeHistory => "the events are older than what CloudTrail keeps",
            Self::NotInHistory => {
                "the stream fell behind the log, and LookupEvents does not tell data and network \
                 activity events"
            }
            Self::NotServed => {
                "the stream fell behind the log, or the log's process ended, and the server can \
                 neither ask for the history of this scope nor list its files (--trail)"
            }
            Self::Unreadable => "a log file that was announced or listed could not be read",
        }
    }
}

/// How many gaps there were, by reason.
#[derive(Debug, Default)]
pub(super) struct GapCounts([AtomicU64; GapReason::ALL.len()]);

impl GapCounts {
    pub(super) fn note(&self, reason: GapReason) {
        let counts = GapReason::ALL.iter().zip(&self.0);
        for (_, count) in counts.filter(|(it, _)| **it == reason) {
            count.fetch_add(1, Relaxed);
        }
    }

    /// As [`GapReason::ALL`] has them.
    pub(super) fn all(&self) -> [u64; GapReason::ALL.len()] {
        self.0.each_ref().map(|count| count.load(Relaxed))
    }
}

/// The gaps that the log has, by position.
#[derive(Debug, Default)]
pub(super) struct Gaps(VecDeque<(Position, Gap)>);

impl Gaps {
    pub(super) fn push(&mut self, position: Position, gap: Gap) {
        if self.0.len() >= MAX_GAPS {
            let same = self.0.iter().position(|(_, old)| old.scope == gap.scope);
            let (_, old) = match same {
                Some(place) => self.0.remove(place),
                None => self.0.pop_front(),
            }
            .unzip();
            if let Some(old) = old.filter(|old| old.scope == gap.scope) {
                let from = old.range.from.min(gap.range.from);
                let to = old.range.to.max(gap.range.to);
                let range = TimeRange::new(from, to);
                let count = old.count.zip(gap.count).map(|(a, b)| a + b);
                self.0.push_back((
                    position,
                    Gap {
                        range,
                        count,
                        ..gap
                    },
                ));
                return;
            }
        }
        self.0.push_back((position, gap));
    }

    /// Those at positions from `from` to `to`, exclusive.
    pub(super) fn within(&self, from: Position, to: Position) -> impl Iterator<Item = &Gap> {
        let skipped = self.0.partition_point(|(at, _)| *at < from);
        let within = self.0.range(skipped..);
        within
            .take_while(move |(at, _)| *at < to)
            .map(|(_, gap)| gap)
    }

    /// Forgets those before a position.
    pub(super) fn forget(&mut self, before: Position) {
        while self.0.pop_front_if(|(at, _)| *at < before).is_some() {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_found_by_position() {
        let mut gaps = Gaps::default();
        for at in 1..=5 {
            let range = TimeRange::new(0, i64::try_from(at).unwrap());
            let gap = Gap {
                scope: Scope::new("111122223333", "us-east-1"),
                range,
                count: None,
                reason: GapReason::Overrun,
            };
            gaps.push(at, gap);
        }
        let found = |from, to| {
            gaps.within(from, to)
                .map(|gap| gap.range.to)
                .collect::<Vec<_>>()
        };
        assert_eq!(found(2, 4), [2, 3]);
        assert_eq!(found(6, 9), [0_i64; 0]);
        gaps.forget(3);
        assert_eq!(gaps.within(0, 9).count(), 3);
    }
}
