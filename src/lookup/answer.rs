//! What is told.

use std::{borrow::Cow, sync::Arc, time::Duration};

use jiff::Timestamp;

use super::{
    Error, Question, SoFar,
    merge::Merged,
    search::{End, Found},
};
use crate::event::{Event, Position, Scope, TimeRange};

/// One page.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The events in the order asked for.
    pub events: Vec<Arc<Event>>,
    /// The next page has what comes after this; `None`: there is none.
    pub next: Option<Position>,
    /// For the next page's question.
    pub so_far: Vec<SoFar>,
    /// How far each scope was searched.
    pub scopes: Vec<ScopeAnswer>,
    /// What it took.
    pub stats: Stats,
}

/// How far one scope was searched.
#[derive(Clone, Debug)]
pub struct ScopeAnswer {
    /// Which one.
    pub scope: Scope,
    /// Its place in the question.
    pub place: usize,
    /// How the search stands.
    pub state: ScopeState,
    /// The seconds that this page and those before it speak of.
    pub searched: TimeRange,
    /// When AWS was asked for the oldest part of it: whatever it told of by then
    /// was told here.
    pub as_of: Timestamp,
    /// The same of what is not settled; `None`: all is.
    pub unsettled_as_of: Option<Timestamp>,
    /// Events before this second are those that are kept for good and AWS has
    /// forgotten; nothing proves that they are all. `None`: all is proven.
    pub unproven_before: Option<i64>,
    /// The window starts before what AWS keeps: nothing earlier than `searched`
    /// can be.
    pub starts_before_history: bool,
    /// What is kept for good of the time before is from log files, which lack what the
    /// question is about.
    pub is_in_log_files: bool,
}

/// How the search of a scope stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScopeState {
    /// Searched as far as can be.
    Complete,
    /// The next page goes on.
    Partial(Reason),
    /// Failed on this page.
    Failed(Error),
    /// Failed on an earlier page, for this reason; not searched again.
    FailedBefore(String),
}

/// Why a page ends where it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has what was asked for.
    PageFull,
    /// Another scope was not searched as far.
    OtherScopes,
    /// The deadline came, or would come before quota.
    Deadline,
    /// As many requests were bought as may be.
    UpstreamCallLimit,
    /// The caller bought as many requests today as may be.
    DailyAllowance {
        /// How long until the next day, in UTC.
        wait: Duration,
    },
    /// Others use the quota up.
    Quota,
    /// AWS, or the way there, failed on the way.
    Upstream(Error),
}

impl Reason {
    /// A stable word for it.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::PageFull => "PAGE_FULL",
            Self::OtherScopes => "OTHER_SCOPES",
            Self::Deadline => "DEADLINE",
            Self::UpstreamCallLimit => "UPSTREAM_CALL_LIMIT",
            Self::DailyAllowance { .. } => "DAILY_ALLOWANCE_SPENT",
            Self::Quota => "QUOTA_EXHAUSTED",
            Self::Upstream(error) => error.reason(),
        }
    }

    /// The same in words.
    #[must_use]
    pub fn message(&self) -> Cow<'static, str> {
        match self {
            Self::PageFull => "the page is full".into(),
            Self::OtherScopes => {
                "another scope was not searched as far yet, and a page is only as \
                                  deep as all"
                    .into()
            }
            Self::Deadline => "the deadline came before the whole window was searched".into(),
            Self::UpstreamCallLimit => "max_upstream_calls were made before the whole window was \
                                        searched"
                .into(),
            Self::DailyAllowance { .. } => {
                "the caller's requests of this day are spent, until midnight UTC".into()
            }
            Self::Quota => "CloudTrail throttles: other tools use the scope's quota up".into(),
            Self::Upstream(error) => error.to_string().into(),
        }
    }
}

impl From<Error> for Reason {
    /// Why a search ends that was answered before.
    fn from(error: Error) -> Self {
        match error {
            Error::Exhausted {
                is_throttled: true, ..
            } => Self::Quota,
            Error::Exhausted { .. } => Self::Deadline,
            Error::DailyAllowance { wait } => Self::DailyAllowance { wait },
            _ => Self::Upstream(error.of_any()),
        }
    }
}

/// What a question took.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Requests bought, retries included.
    pub upstream_calls: u64,
    /// Events looked at.
    pub events_scanned: u64,
    /// Of those, events that matched.
    pub events_matched: u64,
    /// Of the scanned, events that were held already.
    pub events_from_cache: u64,
    /// Of the scanned, events that were read from what is kept for good.
    pub events_from_archive: u64,
}

impl Stats {
    /// Adds another page's.
    pub fn add(&mut self, other: &Self) {
        self.upstream_calls += other.upstream_calls;
        self.events_scanned += other.events_scanned;
        self.events_matched += other.events_matched;
        self.events_from_cache += other.events_from_cache;
        self.events_from_archive += other.events_from_archive;
    }
}

/// A scope that was searched.
pub(super) struct Searched<'q> {
    /// Its place in the question.
    pub(super) place: usize,
    pub(super) scope: &'q Scope,
    pub(super) found: Found,
}

/// The answer of a page over what was searched.
pub(super) fn answer(
    question: &Question,
    page: Merged,
    searched: &[Searched<'_>],
    upstream_calls: u64,
) -> Answer {
    let mut stats = Stats {
        upstream_calls,
        ..Stats::default()
    };
    let mut so_far = question.so_far.clone();
    so_far.resize(question.scopes.len(), SoFar::default());
    let mut scopes = Vec::with_capacity(question.scopes.len());
    // somewhere the search had to stop, and the page ends there at the latest
    let is_held_back = !page.is_full && searched.iter().any(|one| one.found.end.is_cut_short());
    for Searched {
        place,
        scope,
        found,
    } in searched
    {
        stats.add(&found.stats);
        let range = question.searched(*place, found, page.next.as_ref());
        let as_of = question.as_of(*place, found.as_of);
        let unsettled_as_of = question.unsettled_as_of(*place, found.unsettled_as_of);
        if let Some(so_far) = so_far.get_mut(*place) {
            *so_far = SoFar {
                short_by: question.shortage(range),
                older_by: question.older_by(as_of).max(0),
                unsettled_by: unsettled_as_of.map(|at| question.older_by(at).max(0)),
            };
        }
        let state = match (&found.end, &page.next) {
            (End::Failed(error), _) => ScopeState::Failed(error.clone()),
            // it has enough, or was not looked at any further: no page got full by it
            (
                End::Open {
                    reason: Reason::PageFull,
                    ..
                },
                _,
            ) if is_held_back => ScopeState::Partial(Reason::OtherScopes),
            (End::Open { reason, .. }, _) => ScopeState::Partial(reason.clone()),
            // searched whole, but the page ends before
            (End::Complete, Some(_)) if page.is_full => ScopeState::Partial(Reason::PageFull),
            (End::Complete, Some(_)) => ScopeState::Partial(Reason::OtherScopes),
            (End::Complete, None) => ScopeState::Complete,
        };
        let is_whole = state == ScopeState::Complete;
        scopes.push(ScopeAnswer {
            scope: (*scope).clone(),
            place: *place,
            state,
            searched: range,
            as_of,
            unsettled_as_of,
            unproven_before: None,
            starts_before_history: is_whole && question.starts_before(range),
            is_in_log_files: false,
        });
    }
    for (place, why) in &question.failed {
        if let Some(scope) = question.scopes.get(*place) {
            scopes.push(ScopeAnswer {
                scope: scope.clone(),
                place: *place,
                state: ScopeState::FailedBefore(why.clone()),
                searched: TimeRange::new(question.window.to, question.window.to),
                as_of: question.as_of(*place, None),
                unsettled_as_of: question.unsettled_as_of(*place, None),
                unproven_before: None,
                starts_before_history: false,
                is_in_log_files: false,
            });
        }
    }
    scopes.sort_by(|a, b| a.scope.cmp(&b.scope));
    if so_far.iter().all(|so_far| *so_far == SoFar::default()) {
        so_far.clear();
    }
    Answer {
        events: page.events,
        next: page.next,
        so_far,
        scopes,
        stats,
    }
}
