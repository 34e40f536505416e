//! Questions over Event history: planned over what is held, walked where
//! nothing is, merged over scopes.

mod descend;
mod error;
mod merge;
mod search;
mod token;
mod walk;

use std::{sync::Arc, time::Duration};

use futures_util::future::join_all;
use jiff::Timestamp;
use tokio::time::Instant;

use self::{
    descend::{Limit, Terms},
    search::{End, Found},
    walk::Walks,
};
pub use self::{error::Error, token::PageToken};
use crate::{
    clock::Clock,
    coverage::{Coverage, Freshness, Key},
    event::{Category, Event, Origin, Position, Scope, TimeRange, is_uuid},
    filter::{Filter, KnownFields},
    upstream::{Allowance, Upstream},
};

/// The order of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Descending by [`Event::position`].
    #[default]
    NewestFirst,
    /// Ascending.
    OldestFirst,
}

/// One question for one page.
#[derive(Clone, Debug)]
pub struct Question {
    /// What events must look like.
    pub filter: Arc<Filter>,
    /// The scopes to search, each once.
    pub scopes: Vec<Scope>,
    /// The kind of events.
    pub category: Category,
    /// The seconds to search.
    pub window: TimeRange,
    /// When the first page of the chain was asked for: freshness counts from
    /// there.
    pub asked_at: Timestamp,
    /// The order of the page.
    pub order: Order,
    /// What the page comes after; `None`: the first page.
    pub after: Option<Position>,
    /// Scopes that failed on an earlier page, and why.
    pub failed: Vec<(Scope, String)>,
    /// The most events on the page; at least 1.
    pub page_events: usize,
    /// The most bytes on the page, unless a single event has more.
    pub page_bytes: usize,
    /// The bytes that an event takes on the page.
    pub size: fn(&Event) -> usize,
    /// How old the answer for what is not settled may be.
    pub max_staleness: Duration,
    /// The most requests to buy.
    pub max_upstream_calls: u64,
    /// When the page must be answered, with what there is.
    pub deadline: Instant,
}

/// One page.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The events in the order asked for.
    pub events: Vec<Arc<Event>>,
    /// The next page has what comes after this; `None`: there is none.
    pub next: Option<Position>,
    /// The window of the pages that follow: it ends where this page's search
    /// really began.
    pub window: TimeRange,
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
    /// How the search stands.
    pub state: ScopeState,
    /// The seconds that this page and those before it speak of.
    pub searched: TimeRange,
    /// When AWS was asked for the oldest part that is not settled yet.
    pub as_of: Timestamp,
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// It has what was asked for.
    PageFull,
    /// The deadline came, or would come before quota.
    Deadline,
    /// As many requests were bought as may be.
    UpstreamCallLimit,
    /// Others use the quota up.
    Quota,
    /// AWS did not answer any more.
    UpstreamUnavailable,
}

impl Reason {
    /// A stable word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::PageFull => "PAGE_FULL",
            Self::Deadline => "DEADLINE",
            Self::UpstreamCallLimit => "UPSTREAM_CALL_LIMIT",
            Self::Quota => "QUOTA_EXHAUSTED",
            Self::UpstreamUnavailable => "UPSTREAM_UNAVAILABLE",
        }
    }

    /// The same in a sentence.
    #[must_use]
    pub const fn message(self) -> &'static str {
        match self {
            Self::PageFull => "the page is full; next_page_token goes on",
            Self::Deadline => {
                "the deadline came before the whole window was searched; next_page_token goes on"
            }
            Self::UpstreamCallLimit => {
                "max_upstream_calls were made before the whole window was searched; \
                 next_page_token goes on"
            }
            Self::Quota => {
                "CloudTrail throttles: other tools use the scope's quota up; next_page_token goes on"
            }
            Self::UpstreamUnavailable => {
                "CloudTrail stopped answering; next_page_token goes on from here"
            }
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
}

impl Stats {
    /// Adds another page's.
    pub fn add(&mut self, other: &Self) {
        self.upstream_calls += other.upstream_calls;
        self.events_scanned += other.events_scanned;
        self.events_matched += other.events_matched;
        self.events_from_cache += other.events_from_cache;
    }
}

/// Answers questions from coverage and, where it has gaps, from AWS.
#[derive(Debug)]
pub struct Lookup {
    clock: Clock,
    coverage: Arc<Coverage>,
    upstream: Arc<Upstream>,
    walks: Arc<Walks>,
    history: Option<Duration>,
}

impl Lookup {
    /// `history` is how far back AWS can be asked; `None`: without end.
    #[must_use]
    pub fn new(
        clock: Clock,
        coverage: Arc<Coverage>,
        upstream: Arc<Upstream>,
        history: Option<Duration>,
    ) -> Self {
        let walks = Arc::new(Walks::new(Arc::clone(&upstream), Arc::clone(&coverage)));
        Self {
            clock,
            coverage,
            upstream,
            walks,
            history,
        }
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> Clock {
        self.clock
    }

    /// The first second that AWS can be asked for at `now`: the start of a
    /// window that names none.
    #[must_use]
    pub fn history_start(&self, now: Timestamp) -> i64 {
        let age = self
            .history
            .and_then(|history| i64::try_from(history.as_secs()).ok());
        age.map_or(0, |age| now.as_second().saturating_sub(age))
    }

    /// Which fields records are known to have beyond the documented ones.
    #[must_use]
    pub fn known_fields(&self) -> &dyn KnownFields {
        &*self.coverage
    }

    /// Walks that are kept, and of those the ones that are being fetched.
    #[must_use]
    pub fn walks(&self) -> (usize, usize) {
        self.walks.count()
    }

    /// Answers a question with one page.
    ///
    /// Dropping the future leaves the queue for quota; what was bought is kept.
    ///
    /// # Errors
    /// If no scope could be searched at all: the first one's error, or
    /// [`Error::Exhausted`] if quota would have come too late.
    pub async fn ask(&self, question: &Question) -> Result<Answer, Error> {
        let now = self.clock.now();
        let allowance = Arc::new(Allowance::new(question.max_upstream_calls.max(1)));
        let limit = Limit {
            events: question.page_events.max(1),
            bytes: question.page_bytes,
        };
        let scopes = question
            .scopes
            .iter()
            .filter(|scope| !question.has_failed(scope));
        let searched = join_all(scopes.map(|scope| {
            let allowance = &allowance;
            async move {
                (
                    scope,
                    self.search(question, scope, now, allowance, limit).await,
                )
            }
        }))
        .await;
        self.check(&searched, allowance.spent())?;
        let found = searched.iter().map(|(_, found)| found);
        let page = merge::merge(found.clone(), question.order, limit, question.size);
        let mut stats = Stats {
            upstream_calls: allowance.spent(),
            ..Stats::default()
        };
        found.for_each(|found| stats.add(&found.stats));
        let scopes = answers(question, &searched, page.next.as_ref(), now);
        let mut window = question.window;
        if question.order == Order::NewestFirst && question.after.is_none() {
            let ends = searched.iter().map(|(_, found)| found.searched.to);
            window.to = ends.min().unwrap_or(window.to);
        }
        Ok(Answer {
            events: page.events,
            next: page.next,
            window,
            scopes,
            stats,
        })
    }

    /// An event by its id, where it is held already: nothing is asked of AWS.
    /// Only ids that are UUIDs name one event.
    #[must_use]
    pub fn held(&self, scopes: &[Scope], category: Category, id: &str) -> Option<Arc<Event>> {
        is_uuid(id)
            .then(|| {
                scopes
                    .iter()
                    .find_map(|scope| self.coverage.find(scope, category, id))
            })
            .flatten()
    }

    async fn search(
        &self,
        question: &Question,
        scope: &Scope,
        now: Timestamp,
        allowance: &Arc<Allowance>,
        limit: Limit,
    ) -> Found {
        let budget = self.upstream.budget(scope);
        let stale = question.asked_at.saturating_sub(question.max_staleness);
        let terms = Terms {
            coverage: &self.coverage,
            walks: &self.walks,
            budget: &budget,
            filter: &question.filter,
            keys: keys(question, scope),
            need: Freshness(stale.unwrap_or(Timestamp::MIN)),
            forgotten_before: self.history.map_or(i64::MIN, |_| self.history_start(now)),
            now,
            deadline: question.deadline,
            allowance,
            size: question.size,
        };
        let (order, after) = (question.order, question.after.as_ref());
        terms.search(question.window, order, after, limit).await
    }

    /// An answer needs one scope that was searched, if only a little.
    fn check(&self, searched: &[(&Scope, Found)], spent: u64) -> Result<(), Error> {
        let mut first = None;
        let mut stuck = None;
        for (scope, found) in searched {
            match &found.end {
                End::Failed(error) if found.searched.is_empty() => {
                    first = first.or(Some(error));
                }
                End::Open {
                    reason: Reason::Deadline | Reason::Quota,
                    is_stuck: true,
                    ..
                } if spent == 0 => {
                    stuck = stuck.max(Some(self.upstream.budget(scope).estimated_wait()));
                }
                _ => return Ok(()),
            }
        }
        match (stuck, first) {
            (Some(wait), _) => Err(Error::Exhausted {
                wait: wait.max(Duration::from_millis(100)),
            }),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Ok(()),
        }
    }
}

impl Question {
    fn has_failed(&self, scope: &Scope) -> bool {
        self.failed.iter().any(|(failed, _)| failed == scope)
    }
}

/// Whose coverage can answer: that of any attribute which all matching events
/// have, the most selective first, and the unfiltered.
fn keys(question: &Question, scope: &Scope) -> Vec<Key> {
    let pushdowns = question
        .filter
        .pushdowns(question.category)
        .into_iter()
        .map(Some);
    pushdowns
        .chain([None])
        .map(|pushdown| Key {
            scope: scope.clone(),
            category: question.category,
            pushdown,
            origin: Origin::LookupEvents,
        })
        .collect()
}

fn answers(
    question: &Question,
    searched: &[(&Scope, Found)],
    next: Option<&Position>,
    now: Timestamp,
) -> Vec<ScopeAnswer> {
    let window = question.window;
    let found = searched.iter().map(|(scope, found)| {
        let state = match (&found.end, next) {
            (End::Failed(error), _) => ScopeState::Failed(error.clone()),
            (End::Open { reason, .. }, _) => ScopeState::Partial(*reason),
            // searched whole, but the page ends before
            (End::Complete, Some(_)) => ScopeState::Partial(Reason::PageFull),
            (End::Complete, None) => ScopeState::Complete,
        };
        // earlier pages had the rest of the window
        let mut range = found.searched;
        if question.after.is_some() {
            match question.order {
                Order::NewestFirst => range.to = window.to,
                Order::OldestFirst => range.from = window.from,
            }
        }
        if let (Some(next), false) = (next, matches!(state, ScopeState::Failed(_))) {
            match question.order {
                Order::NewestFirst => range.from = range.from.max(next.time),
                Order::OldestFirst => range.to = range.to.min(next.time + 1),
            }
        }
        ScopeAnswer {
            scope: (*scope).clone(),
            state,
            searched: range,
            as_of: found.as_of.unwrap_or(now),
        }
    });
    let before = question.failed.iter().map(|(scope, why)| ScopeAnswer {
        scope: scope.clone(),
        state: ScopeState::FailedBefore(why.clone()),
        searched: TimeRange::new(window.to, window.to),
        as_of: now,
    });
    let mut answers: Vec<_> = found.chain(before).collect();
    answers.sort_by(|a, b| a.scope.cmp(&b.scope));
    answers
}

#[cfg(test)]
mod tests;
