//! Searching one scope downward in time: from what is held, and by walks
//! where nothing is.

use std::sync::Arc;

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use super::{
    Error, Stats,
    walk::{NoPage, Walk, Walks, Wanting, Way},
};
use crate::{
    coverage::{Coverage, Freshness, Key, settled_before},
    event::{Event, Position, TimeRange},
    filter::Filter,
    upstream::{self, Allowance, ErrorKind, FetchError},
};

/// What every part of one question about one scope goes by.
pub(super) struct Terms<'a> {
    pub(super) coverage: &'a Coverage,
    pub(super) walks: &'a Arc<Walks>,
    pub(super) filter: &'a Filter,
    /// What to walk by where nothing is held.
    pub(super) walk_by: Key,
    /// Whose coverage can answer.
    pub(super) keys: Vec<Key>,
    pub(super) need: Freshness,
    /// What AWS has forgotten: nothing before this is asked for.
    pub(super) forgotten_before: i64,
    /// When the chain's first page was asked for.
    pub(super) asked_at: Timestamp,
    /// When this page was asked for.
    pub(super) now: Timestamp,
    pub(super) deadline: Instant,
    pub(super) allowance: &'a Arc<Allowance>,
    /// The size of an event in an answer, in bytes.
    pub(super) size: fn(&Event) -> usize,
}

/// How much is wanted.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    pub(super) events: usize,
    /// Reached by at least one event.
    pub(super) bytes: usize,
}

impl Limit {
    /// No limit.
    pub(super) const NONE: Self = Self {
        events: usize::MAX,
        bytes: usize::MAX,
    };
}

/// How far down to search, and for what.
#[derive(Clone, Copy)]
pub(super) struct Aim<'q> {
    /// The last second to search.
    pub(super) from: i64,
    /// Only events before this one.
    pub(super) before: Option<&'q Position>,
    /// Nothing later was searched before: an answer that counts up to now will do.
    pub(super) is_top: bool,
    pub(super) limit: Limit,
}

/// Why a descent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// At the end of the range.
    Floor,
    /// Below, nothing is held and AWS has forgotten.
    Forgotten,
    /// There is enough, counting what was read of an unfinished second.
    Full,
    /// The deadline came, or would come before quota.
    Deadline,
    /// The allowance is spent.
    Calls,
    /// AWS went on throttling: others use the quota up.
    Quota,
    /// AWS, or the way there, failed.
    Failed(Error),
}

/// Where events were when the question came to them.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Source {
    Cache,
    Upstream,
}

/// A search downward, and what it has found.
pub(super) struct Descent<'a, 'b> {
    terms: &'b Terms<'a>,
    /// Everything from here up was searched.
    pub(super) at: i64,
    /// The end of what was searched, exclusive.
    pub(super) to: i64,
    /// Matching events, descending.
    pub(super) found: Vec<Arc<Event>>,
    found_bytes: usize,
    pub(super) stats: Stats,
    /// The earliest beginning of a walk whose reading is not settled yet.
    pub(super) as_of: Option<Timestamp>,
}

impl<'a, 'b> Descent<'a, 'b> {
    pub(super) fn new(terms: &'b Terms<'a>, to: i64) -> Self {
        Self {
            terms,
            at: to,
            to,
            found: Vec::new(),
            found_bytes: 0,
            stats: Stats::default(),
            as_of: None,
        }
    }

    /// Searches downward until the aim is reached, or cannot be.
    pub(super) async fn run(&mut self, aim: Aim<'_>) -> Stop {
        let terms = self.terms;
        while self.at > aim.from {
            if let Some(held) = terms.coverage.held(&terms.keys, self.at - 1, terms.need) {
                let from = held.range.from.max(aim.from);
                if self.take(&held.events, from, held.began, Source::Cache, aim) {
                    return Stop::Full;
                }
                // a long descent through the cache leaves room for others
                tokio::task::yield_now().await;
                if self.at > aim.from && Instant::now() >= terms.deadline {
                    return Stop::Deadline;
                }
                continue;
            }
            if self.at <= terms.forgotten_before {
                return Stop::Forgotten;
            }
            let is_top = aim.is_top && self.at == self.to;
            // what a later page reads for the first time up to the first page's
            // present counts as read then
            let is_present = is_top && self.at > terms.asked_at.as_second();
            let wanting = Wanting {
                key: &terms.walk_by,
                keys: &terms.keys,
                at: self.at,
                need: terms.need,
                began: if is_present {
                    terms.asked_at
                } else {
                    terms.now
                },
                is_top,
            };
            let floor = || {
                let below = terms.coverage.below(&terms.keys, self.at - 1, terms.need);
                let reachable = aim.from.max(terms.forgotten_before);
                reachable.max(below.unwrap_or(i64::MIN))
            };
            let (walk, floor) = match terms.walks.join(&wanting, floor) {
                Way::Walk { walk, floor } => (walk, floor),
                Way::Held => continue,
                Way::Present(present) => {
                    self.at = present;
                    self.to = present;
                    continue;
                }
            };
            let pending = walk.pending_matches(terms.filter);
            // no request merely to finish a second, unless the page would be empty
            if !self.found.is_empty() && self.found.len() + pending >= aim.limit.events {
                return Stop::Full;
            }
            if let Some(stop) = self.advance(&walk, floor, aim).await {
                return stop;
            }
        }
        Stop::Floor
    }

    /// Waits for the walk's next page and takes what it added.
    async fn advance(&mut self, walk: &Arc<Walk>, floor: i64, aim: Aim<'_>) -> Option<Stop> {
        let terms = self.terms;
        let page = walk.advance(terms.walks, floor, terms.allowance, terms.deadline);
        match timeout_at(terms.deadline, page).await {
            Err(_) | Ok(Err(NoPage::TooLate)) => Some(Stop::Deadline),
            Ok(Ok(commit)) => {
                // else it is in coverage, or another second is due
                if commit.range.contains(self.at - 1) {
                    let from = commit.range.from.max(aim.from);
                    let is_full =
                        self.take(&commit.events, from, commit.began, Source::Upstream, aim);
                    return is_full.then_some(Stop::Full);
                }
                None
            }
            Ok(Err(NoPage::Fetch(FetchError::AllowanceSpent))) if terms.allowance.is_spent() => {
                Some(Stop::Calls)
            }
            // those were another's: with an allowance of one's own it goes on
            Ok(Err(NoPage::Fetch(FetchError::AllowanceSpent | FetchError::Abandoned))) => None,
            Ok(Err(NoPage::Fetch(FetchError::Upstream(error)))) => {
                // the error of a later page: one's own came before
                (!walk.has_passed(floor)).then(|| stop_for(error))
            }
        }
    }

    /// Takes the matching events from here down to `from`, and goes there. Says
    /// whether the limit is reached; then the last event found is as far as the
    /// search got.
    fn take(
        &mut self,
        events: &[Arc<Event>],
        from: i64,
        began: Timestamp,
        source: Source,
        aim: Aim<'_>,
    ) -> bool {
        if self.at > settled_before(began, self.terms.coverage.horizon()) {
            self.as_of = Some(self.as_of.map_or(began, |as_of| as_of.min(began)));
        }
        let (range, limit) = (TimeRange::new(from, self.at), aim.limit);
        for event in candidates(events, range, aim.before).iter().rev() {
            self.stats.events_scanned += 1;
            self.stats.events_from_cache += u64::from(source == Source::Cache);
            if self.terms.filter.matches(event) {
                self.stats.events_matched += 1;
                self.found_bytes += (self.terms.size)(event);
                self.found.push(Arc::clone(event));
                if self.found.len() >= limit.events || self.found_bytes >= limit.bytes {
                    self.at = event.time;
                    return true;
                }
            }
        }
        self.at = from;
        false
    }
}

/// The events of `range` that come before a position, of an ascending list.
fn candidates<'e>(
    events: &'e [Arc<Event>],
    range: TimeRange,
    before: Option<&Position>,
) -> &'e [Arc<Event>] {
    let from = events.partition_point(|event| event.time < range.from);
    let to = events.partition_point(|event| {
        event.time < range.to && before.is_none_or(|before| event.cmp_to(before).is_lt())
    });
    events.get(from..to).unwrap_or_default()
}

fn stop_for(error: upstream::Error) -> Stop {
    match error.kind {
        ErrorKind::Throttled => Stop::Quota,
        _ => Stop::Failed(error.into()),
    }
}
