//! Searching one scope in either order.

use std::{convert::Infallible, sync::Arc};

use futures_util::future::join_all;
use tokio::time::Instant;

use super::{
    Error, Order, Reason, Stats,
    descend::{Aim, Descent, Limit, Stop, Terms},
};
use crate::event::{Event, Position, TimeRange};

/// The first slice of a search from the old end. AWS walks newest first, so a
/// slice must be walked whole before its oldest event is known.
pub(super) const FIRST_SLICE: i64 = 86_400;
/// Slices with fewer events than this are too short: a page of AWS has 50.
const FEW: u64 = 100;
/// Slices with more events than this are too long: 20 pages of AWS.
const MANY: u64 = 1_000;
/// Stretches that are walked at once beside the one that is next, where all of
/// them will be read: an answer of two seconds with four under way is the
/// quota of two a second.
const AHEAD: usize = 3;
/// How far each is walked while one page is made: as many events as the
/// largest page has, so that what is ahead is not evicted before it is read.
const AHEAD_EVENTS: usize = 1_000;
/// Slices grow and shrink by this factor.
const STEP: i64 = 4;

/// What was found in one scope.
#[derive(Debug)]
pub(super) struct Found {
    /// Matching events in the order asked for.
    pub(super) events: Vec<Arc<Event>>,
    pub(super) end: End,
    /// The seconds that were searched.
    pub(super) searched: TimeRange,
    /// Between this page and the one before, seconds were left out: AWS has
    /// forgotten them meanwhile.
    pub(super) has_hole: bool,
    /// When AWS was asked for the oldest part of it; `None`: nothing was told.
    pub(super) as_of: Option<jiff::Timestamp>,
    /// The same of what is not settled.
    pub(super) unsettled_as_of: Option<jiff::Timestamp>,
    pub(super) stats: Stats,
}

/// How a search of one scope ended.
#[derive(Debug)]
pub(super) enum End {
    /// All that can be searched was.
    Complete,
    /// Everything up to and including this position, in the order asked for,
    /// is known; beyond it nothing is.
    Open {
        at: Position,
        reason: Reason,
        is_stuck: bool,
    },
    /// Nothing of the scope could be searched.
    Failed(Error),
}

impl Terms<'_> {
    pub(super) async fn search(
        &self,
        window: TimeRange,
        order: Order,
        after: Option<&Position>,
        limit: Limit,
    ) -> Found {
        match order {
            Order::NewestFirst => self.search_down(window, after, limit).await,
            Order::OldestFirst => self.search_up(window, after, limit).await,
        }
    }

    /// Where a search from `top` downward begins: lower where it is the window's
    /// top and what is held counts up to now.
    pub(super) fn present(&self, top: i64, is_top: bool) -> i64 {
        if !is_top || self.held(top.saturating_sub(1)).is_some() {
            return top;
        }
        let present = self.coverage.present(&self.keys.whole, self.need);
        present.map_or(top, |present| top.min(present))
    }

    async fn search_down(
        &self,
        window: TimeRange,
        after: Option<&Position>,
        limit: Limit,
    ) -> Found {
        let (top, is_top) = top(window, after);
        let mut descent = Descent::new(self, self.present(top, is_top));
        let aim = Aim {
            from: window.from,
            before: after,
            is_top,
            limit,
        };
        // the first page should come soon: nothing takes turns from it
        let stop = if self.reads_all && after.is_some() {
            let ahead = self.walk_ahead(TimeRange::new(window.from, top));
            tokio::select! {
                stop = descent.run(aim) => stop,
                never = ahead => match never {},
            }
        } else {
            descent.run(aim).await
        };
        found_down(descent, stop)
    }

    /// Walks the stretches that are missing further down, as far ahead as is
    /// sensible: AWS may take longer for an answer than the quota does to refill.
    pub(super) async fn walk_ahead(&self, range: TimeRange) -> Infallible {
        let reachable = TimeRange::new(range.from.max(self.forgotten_before), range.to);
        // what several keys hold together has no gaps of its own to tell
        if self.keys.sets.is_empty() {
            let gaps = self.coverage.gaps(&self.keys.whole, reachable, self.need);
            let ahead = gaps.iter().rev().skip(1).take(AHEAD).map(|gap| async {
                let mut descent = Descent::new(self, gap.to);
                // what stops it is met again by the search itself
                let _ = descent
                    .run(Aim {
                        from: gap.from,
                        before: None,
                        is_top: false,
                        limit: Limit {
                            events: AHEAD_EVENTS,
                            bytes: usize::MAX,
                        },
                    })
                    .await;
            });
            join_all(ahead).await;
        }
        std::future::pending().await
    }

    /// By slices of time from the old end, each walked whole.
    async fn search_up(&self, window: TimeRange, after: Option<&Position>, limit: Limit) -> Found {
        let start = after.map_or(window.from, |after| window.from.max(after.time));
        // what AWS has forgotten may still be held, down from where it begins
        let mut known = self.forgotten_before.clamp(start, window.to.max(start));
        while known > start {
            match self.held(known - 1) {
                Some(held) => known = held.range.from.max(start),
                None => break,
            }
        }
        let first = known;
        let mut found = Found {
            events: Vec::new(),
            end: End::Complete,
            searched: TimeRange::new(first, first),
            has_hole: after.is_some() && first > start,
            as_of: None,
            unsettled_as_of: None,
            stats: Stats::default(),
        };
        let mut bytes = 0;
        let mut at = first;
        let mut slice = self.first_slice(window.from, at);
        while at < window.to {
            // what is held alone can take long
            if at > first && Instant::now() >= self.deadline {
                found.end = end(Stop::Deadline, Position::start_of(at), true);
                return found;
            }
            let to = self.slice_end(at, window.to, slice);
            let mut descent = Descent::new(self, to);
            let stop = descent
                .run(Aim {
                    from: at,
                    before: None,
                    is_top: to == window.to,
                    limit: Limit::NONE,
                })
                .await;
            found.stats.add(&descent.stats);
            found.as_of = oldest(found.as_of, descent.as_of);
            found.unsettled_as_of = oldest(found.unsettled_as_of, descent.unsettled_as_of);
            if !matches!(stop, Stop::Floor | Stop::Forgotten) {
                found.end = end(stop, Position::start_of(at), at > first);
                return found;
            }
            if stop == Stop::Forgotten {
                found.has_hole = true;
                found.searched.from = descent.at;
            }
            let scanned = descent.stats.events_scanned;
            let fresh = descent.found.into_iter().rev();
            for event in fresh.filter(|e| after.is_none_or(|after| e.cmp_to(after).is_gt())) {
                bytes += (self.size)(&event);
                found.searched.to = event.time + 1;
                let position = event.position();
                found.events.push(event);
                if found.events.len() >= limit.events || bytes >= limit.bytes {
                    found.end = End::Open {
                        at: position,
                        reason: Reason::PageFull,
                        is_stuck: false,
                    };
                    return found;
                }
            }
            found.searched.to = descent.to;
            let length = to - at;
            at = to;
            if scanned < FEW {
                slice = slice.max(length).saturating_mul(STEP);
            } else if scanned > MANY {
                slice = (slice / STEP).max(1);
            }
        }
        found
    }

    /// How long the slice at `at` is: if few events stand before it, as long as
    /// if the search had come there on this page. A page of many scopes may
    /// have the calls for a slice or two of each, and years may be empty.
    fn first_slice(&self, from: i64, at: i64) -> i64 {
        let before = (at > from).then(|| self.held(at - 1)).flatten();
        let Some(held) = before else {
            return FIRST_SLICE;
        };
        let range = TimeRange::new(held.range.from.max(from), at);
        let events = held.events.iter().filter(|e| range.contains(e.time));
        if u64::try_from(events.count()).is_ok_and(|events| events >= FEW) {
            return FIRST_SLICE;
        }
        FIRST_SLICE.max((range.to - range.from).saturating_mul(STEP))
    }

    /// The end of the slice that starts at `at`: what is held from there on, or
    /// up to where something is held again, but no more than `slice` to walk.
    fn slice_end(&self, at: i64, to: i64, slice: i64) -> i64 {
        if let Some(held) = self.held(at) {
            return held.range.to.min(to);
        }
        let above = self
            .coverage
            .above(&self.keys.whole, at, self.need)
            .unwrap_or(i64::MAX);
        at.saturating_add(slice).min(above).min(to)
    }
}

/// Where a search of `window` behind `after` begins, and whether that is the
/// window's end.
pub(super) fn top(window: TimeRange, after: Option<&Position>) -> (i64, bool) {
    match after.map(Position::seconds_before) {
        Some(before) if before < window.to => (before, false),
        _ => (window.to, true),
    }
}

/// What a search downward found that ended so.
pub(super) fn found_down(descent: Descent<'_, '_>, stop: Stop) -> Found {
    let depth = descent.depth();
    let end = match stop {
        Stop::Full => End::Open {
            at: depth,
            reason: Reason::PageFull,
            is_stuck: false,
        },
        _ => end(stop, depth, descent.has_progressed()),
    };
    Found {
        searched: TimeRange::new(descent.at, descent.to),
        events: descent.found,
        end,
        has_hole: false,
        as_of: descent.as_of,
        unsettled_as_of: descent.unsettled_as_of,
        stats: descent.stats,
    }
}

/// The earlier of two, where there are two.
pub(super) fn oldest(
    a: Option<jiff::Timestamp>,
    b: Option<jiff::Timestamp>,
) -> Option<jiff::Timestamp> {
    a.into_iter().chain(b).min()
}

fn end(stop: Stop, at: Position, progressed: bool) -> End {
    let open = |reason| End::Open {
        at: at.clone(),
        reason,
        is_stuck: !progressed,
    };
    match stop {
        Stop::Floor | Stop::Forgotten => End::Complete,
        Stop::Full => End::Open {
            at,
            reason: Reason::PageFull,
            is_stuck: false,
        },
        Stop::Deadline => open(Reason::Deadline),
        Stop::Calls => open(Reason::UpstreamCallLimit),
        Stop::Today(wait) => open(Reason::DailyAllowance { wait }),
        Stop::Quota => open(Reason::Quota),
        // what was found before is told first; the next page fails, or goes on
        Stop::Failed(error) if progressed => open(Reason::Upstream(error)),
        Stop::Failed(error) => End::Failed(error),
    }
}
