//! Searching one scope, newest first.

use std::{convert::Infallible, sync::Arc};

use futures_util::future::join_all;

use super::{
    Error, Order, Reason, Stats,
    descend::{Aim, Descent, Limit, Stop, Terms},
};
use crate::event::{Event, Position, TimeRange};

/// Stretches that are walked at once beside the one that is next, where all of
/// them will be read: an answer of two seconds with four under way is the
/// quota of two a second.
const AHEAD: usize = 3;
/// How far each is walked while one page is made: as many events as the
/// largest page has, so that what is ahead is not evicted before it is read.
const AHEAD_EVENTS: usize = 1_000;
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

impl End {
    /// Whether something kept it from going on, other than that there is enough.
    pub(super) fn is_cut_short(&self) -> bool {
        match self {
            Self::Complete | Self::Failed(_) => false,
            Self::Open { reason, .. } => !matches!(reason, Reason::PageFull | Reason::OtherScopes),
        }
    }
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

/// How a search ends that stopped so at this position.
pub(super) fn end(stop: Stop, at: Position, progressed: bool) -> End {
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
