//! Searching one scope oldest first, by slices of time: AWS walks newest first,
//! so a slice must be walked whole before its oldest event is known.

use std::sync::Arc;

use tokio::time::Instant;

use super::walk::Commit;
use super::{
    Reason, Stats,
    density::float,
    descend::{Aim, Descent, Limit, Stop, Terms},
    past::Read,
    plan::{Plan, whole},
    search::{End, Found, end, oldest},
};
use crate::{
    coverage::Key,
    event::{Position, TimeRange},
};

/// The first slice where nothing is known of the scope.
const FIRST_SLICE: i64 = 86_400;
/// The shortest first slice.
const SHORTEST: i64 = 60;
/// So much longer than expected is a first slice, as what was seen elsewhere is
/// only a hint.
const MORE: f64 = 1.25;
/// Slices with fewer events than this are too short: a page of AWS has 50.
const FEW: u64 = 100;
/// Slices with more events than this are too long.
const MANY: u64 = 1_000;
/// Slices grow and shrink by this factor.
const STEP: i64 = 4;
/// Slices that take more pages of AWS's than this are cut: as many as `MANY`
/// events take.
const MOST_PAGES: i64 = 20;
/// A slice is never cut to less than this part, since a page may have come from
/// a single crowded second.
const CUT: i64 = 100;

/// What came of a slice.
enum Slice {
    /// It was walked, to its start or not.
    Walked(Stop),
    /// It is not worth walking whole; one of so many seconds may be.
    TooLong(i64),
}

impl Terms<'_> {
    /// Reads some of what is kept for good, upward from `at`; `None`: nothing is of
    /// use.
    async fn read_past_up(&self, at: i64, to: i64) -> Option<(Key, Arc<Commit>)> {
        let (kept, past) = (self.kept(at)?, self.past.as_ref()?);
        let range = TimeRange::new(at, kept.to.min(to));
        match self.read_past(past, range, false).await? {
            Read::Page { key, commit, .. } => Some((key, commit)),
            Read::Unfit(_) | Read::Failed(_) => None,
        }
    }

    /// By slices of time from the old end, each walked whole.
    pub(super) async fn search_up(
        &self,
        window: TimeRange,
        after: Option<&Position>,
        limit: Limit,
    ) -> Found {
        let start = after.map_or(window.from, |after| window.from.max(after.time));
        // what AWS has forgotten may still be held, down from where it begins
        let mut known = self.forgotten_before.clamp(start, window.to.max(start));
        while known > start {
            let held = self.held(known - 1).map(|held| held.range);
            match held.or_else(|| self.kept(known - 1)) {
                Some(range) => known = range.from.max(start),
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
        // not known before it is needed
        let mut slice = None;
        while at < window.to {
            // what is held alone can take long
            if at > first && Instant::now() >= self.deadline {
                found.end = end(Stop::Deadline, Position::start_of(at), true);
                return found;
            }
            let mut kept = None;
            let to = match self.held(at) {
                Some(held) => held.range.to.min(window.to),
                None if let Some(page) = self.read_past_up(at, window.to).await => {
                    let to = page.1.range.to;
                    kept = Some(page);
                    to
                }
                None => {
                    let first = || self.first_slice(window, at, limit.events);
                    self.slice_end(at, window.to, *slice.get_or_insert_with(first))
                }
            };
            let mut descent = Descent::new(self, to);
            if let Some((key, commit)) = kept {
                descent.got(key, commit);
            }
            let aim = Aim {
                from: at,
                before: None,
                is_top: to == window.to,
                limit: Limit::NONE,
            };
            let wanted = limit.events.saturating_sub(found.events.len());
            let walked = self.walk_slice(&mut descent, aim, wanted).await;
            let stop = match walked {
                Slice::Walked(stop) => stop,
                // what it read is held, and comes again
                Slice::TooLong(shorter) => {
                    slice = Some(shorter);
                    continue;
                }
            };
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
            if let Some(slice) = &mut slice {
                if scanned < FEW {
                    *slice = length.max(*slice).saturating_mul(STEP);
                } else if scanned > MANY {
                    *slice = (*slice / STEP).max(1);
                }
            }
        }
        found
    }

    /// Walks a slice down to its start, unless what comes first shows that it is
    /// too long.
    async fn walk_slice(
        &self,
        descent: &mut Descent<'_, '_>,
        aim: Aim<'_>,
        wanted: usize,
    ) -> Slice {
        let mut asked_from = None;
        loop {
            if let Some(stop) = descent.run_held(aim).await {
                return Slice::Walked(stop);
            }
            if let Some(end) = descent.end_of(aim) {
                return Slice::Walked(end);
            }
            let pages = descent.pages;
            // what counts up to now may have lowered both
            let from = (*asked_from.get_or_insert(descent.at)).min(descent.to);
            let (walked, left) = (from - descent.at, descent.at - aim.from);
            if walked > 0 && pages + left.saturating_mul(pages) / walked > MOST_PAGES {
                let found = descent.found.len();
                let needed = pages.saturating_mul(signed(wanted)) / signed(found).max(1);
                let shorter = walked.saturating_mul(needed.clamp(2, MOST_PAGES)) / pages.max(1);
                let shorter = shorter.max(left / CUT).max(1);
                if shorter < left {
                    return Slice::TooLong(shorter);
                }
            }
            if let Some(stop) = descent.ask(aim).await {
                return Slice::Walked(stop);
            }
        }
    }

    /// How long the slice at `at` is: as long as `wanted` events are expected to
    /// need. If few stand before it, as long as if the search had come there on
    /// this page: a page of many scopes may have the calls for a slice or two of
    /// each, and years may be empty.
    pub(super) fn first_slice(&self, window: TimeRange, at: i64, wanted: usize) -> i64 {
        let expected = self.expected_slice(TimeRange::new(at, window.to), wanted);
        let Some(held) = (at > window.from).then(|| self.held(at - 1)).flatten() else {
            return expected;
        };
        let range = TimeRange::new(held.range.from.max(window.from), at);
        let events = held.events.iter().filter(|e| range.contains(e.time));
        if u64::try_from(events.count()).is_ok_and(|events| events >= FEW) {
            return expected;
        }
        expected.max((range.to - range.from).saturating_mul(STEP))
    }

    /// How long a slice is that is expected to have so many events, by what walks
    /// have found elsewhere.
    fn expected_slice(&self, rest: TimeRange, wanted: usize) -> i64 {
        let densities = self.walks.densities();
        let is_known = self
            .keys
            .all()
            .iter()
            .any(|key| densities.known(key).is_some());
        if !is_known || rest.is_empty() {
            return FIRST_SLICE;
        }
        let plan = Plan::make(self.known(), rest, None);
        let wanted = MORE * float(wanted) / plan.matching.max(f64::MIN_POSITIVE);
        let pages_a_second = plan.calls / float(rest.seconds().unsigned_abs());
        let most = float(MOST_PAGES.unsigned_abs()) / pages_a_second.max(f64::MIN_POSITIVE);
        whole(wanted.min(most)).max(SHORTEST)
    }

    /// The end of the slice that starts at `at`, which is not held: where something
    /// is held again, but no more than `slice` to walk.
    fn slice_end(&self, at: i64, to: i64, slice: i64) -> i64 {
        let above = self
            .coverage
            .above(&self.keys.whole, at, self.need)
            .unwrap_or(i64::MAX);
        at.saturating_add(slice).min(above).min(to)
    }
}

fn signed(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}
