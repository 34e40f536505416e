//! Questions over Event history: planned over what is held, walked where
//! nothing is, merged over scopes.

mod descend;
mod error;
mod merge;
mod search;
mod token;
mod walk;

use std::{borrow::Cow, sync::Arc, time::Duration};

use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
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
    event::{Attribute, Category, Event, Origin, Position, Scope, TimeRange, is_uuid},
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
    /// When this page was asked for: walks that it begins count from there, but
    /// those from the first page's present down.
    pub now: Timestamp,
    /// The order of the page.
    pub order: Order,
    /// What the page comes after; `None`: the first page.
    pub after: Option<Position>,
    /// For each scope, by how many seconds the search began short of the
    /// window's near end: its answer for the recent past was older, or AWS had
    /// forgotten. Empty on the first page.
    pub short_by: Vec<i64>,
    /// Scopes that failed on an earlier page, by their place in `scopes`, and
    /// why.
    pub failed: Vec<(usize, String)>,
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
    /// For the next page's question.
    pub short_by: Vec<i64>,
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
    /// The window starts before what AWS keeps: nothing earlier than `searched`
    /// can be.
    pub starts_before_history: bool,
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
            Self::Quota => "QUOTA_EXHAUSTED",
            Self::Upstream(error) => error.reason(),
        }
    }

    /// The same in a sentence.
    #[must_use]
    pub fn message(&self) -> Cow<'static, str> {
        match self {
            Self::PageFull => "the page is full; next_page_token goes on".into(),
            Self::OtherScopes => {
                "another scope was not searched as far yet, and a page is only as \
                                  deep as all; next_page_token goes on"
                    .into()
            }
            Self::Deadline => "the deadline came before the whole window was searched; \
                               next_page_token goes on"
                .into(),
            Self::UpstreamCallLimit => "max_upstream_calls were made before the whole window was \
                                        searched; next_page_token goes on"
                .into(),
            Self::Quota => "CloudTrail throttles: other tools use the scope's quota up; \
                            next_page_token goes on"
                .into(),
            Self::Upstream(error) => format!("{error}; next_page_token tries again").into(),
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
        let allowance = Arc::new(Allowance::new(question.max_upstream_calls.max(1)));
        let allowance = &allowance;
        let searches = question.searched_scopes();
        let searched: Vec<Searched<'_>> = join_all(searches.map(|(place, scope)| async move {
            let found = self.search(question, scope, allowance).await;
            Searched {
                place,
                scope,
                found,
            }
        }))
        .await;
        self.check(&searched, allowance)?;
        let found = searched.iter().map(|searched| &searched.found);
        let page = merge::merge(found, question.order, question.limit(), question.size);
        Ok(answer(question, page, &searched, allowance.spent()))
    }

    /// The newest event that passes the question's filter in any of its scopes,
    /// however far the others were searched; if `is_unique`, the first that is
    /// found. The answer has at most that event, and no next page.
    ///
    /// # Errors
    /// As [`Lookup::ask`], where there is none.
    pub async fn find(&self, question: &Question, is_unique: bool) -> Result<Answer, Error> {
        let allowance = Arc::new(Allowance::new(question.max_upstream_calls.max(1)));
        let allowance = &allowance;
        let searches = question.searched_scopes();
        let mut searches: FuturesUnordered<_> = searches
            .map(|(place, scope)| async move {
                let found = self.search(question, scope, allowance).await;
                Searched {
                    place,
                    scope,
                    found,
                }
            })
            .collect();
        let mut searched: Vec<Searched<'_>> = Vec::with_capacity(question.scopes.len());
        while let Some(one) = searches.next().await {
            let is_there = !one.found.events.is_empty();
            searched.push(one);
            if is_unique && is_there {
                break;
            }
        }
        let events = searched.iter().flat_map(|searched| &searched.found.events);
        let newest = events.max_by(|a, b| a.cmp_position(b)).cloned();
        if newest.is_none() {
            self.check(&searched, allowance)?;
        }
        let events = newest.into_iter().collect();
        let page = merge::Merged {
            events,
            next: None,
            is_full: false,
        };
        Ok(answer(question, page, &searched, allowance.spent()))
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
        allowance: &Arc<Allowance>,
    ) -> Found {
        let stale = question.asked_at.saturating_sub(question.max_staleness);
        let keys = keys(question, scope);
        // the most selective, or all if there is no attribute to ask by
        let walk_by = keys
            .first()
            .cloned()
            .unwrap_or_else(|| key(question, scope, None));
        let terms = Terms {
            coverage: &self.coverage,
            walks: &self.walks,
            filter: &question.filter,
            walk_by,
            keys,
            need: Freshness(stale.unwrap_or(Timestamp::MIN)),
            forgotten_before: self
                .history
                .map_or(i64::MIN, |_| self.history_start(question.now)),
            asked_at: question.asked_at,
            now: question.now,
            deadline: question.deadline,
            allowance,
            size: question.size,
        };
        let (order, after) = (question.order, question.after.as_ref());
        terms
            .search(question.window, order, after, question.limit())
            .await
    }

    /// An answer needs one scope that was searched, if only a little.
    fn check(&self, searched: &[Searched<'_>], allowance: &Allowance) -> Result<(), Error> {
        let mut failed = None;
        let mut stuck = None;
        for Searched { scope, found, .. } in searched {
            let wait = || self.upstream.budget(scope).estimated_wait();
            match &found.end {
                End::Failed(error) => failed = failed.or(Some(error)),
                // what was bought is kept: then the next page goes on from there
                End::Open {
                    reason: Reason::Deadline | Reason::Quota,
                    is_stuck: true,
                    ..
                } if allowance.bought_nothing() => {
                    stuck = stuck.max(Some(wait()));
                }
                End::Complete | End::Open { .. } => return Ok(()),
            }
        }
        match (stuck, failed) {
            (Some(wait), _) => Err(Error::Exhausted {
                wait: wait.max(SHORTEST_WAIT),
            }),
            (None, Some(error)) => Err(error.clone()),
            (None, None) => Ok(()),
        }
    }
}

/// The least that a caller who is refused is asked to wait: less is not worth
/// a round trip.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

/// A scope that was searched.
struct Searched<'q> {
    /// Its place in the question.
    place: usize,
    scope: &'q Scope,
    found: Found,
}

impl Question {
    fn limit(&self) -> Limit {
        Limit {
            events: self.page_events.max(1),
            bytes: self.page_bytes,
        }
    }

    /// The scopes that did not fail before, with their places.
    fn searched_scopes(&self) -> impl Iterator<Item = (usize, &Scope)> {
        let has_failed = |place| self.failed.iter().any(|(failed, _)| *failed == place);
        self.scopes
            .iter()
            .enumerate()
            .filter(move |(place, _)| !has_failed(*place))
    }

    /// The seconds of a scope that this page and those before it speak of.
    fn searched(&self, place: usize, found: &Found, next: Option<&Position>) -> TimeRange {
        let TimeRange { mut from, mut to } = found.searched;
        let short_by = self.short_by.get(place).copied().unwrap_or_default();
        let is_first = self.after.is_none();
        match self.order {
            Order::NewestFirst => {
                if !is_first {
                    to = self.window.to.saturating_sub(short_by);
                }
                if let Some(next) = next {
                    from = from.max(next.time);
                }
            }
            Order::OldestFirst => {
                if !is_first && !found.has_hole {
                    from = self.window.from.saturating_add(short_by);
                }
                if let Some(next) = next {
                    to = to.min(next.seconds_before());
                }
            }
        }
        TimeRange::new(from, to)
    }

    /// Whether the window starts clearly before what was searched: a minute is
    /// what passes between asking for "the last 90 days" and searching them.
    fn starts_before(&self, searched: TimeRange) -> bool {
        const A_MINUTE: i64 = 60;
        !self.window.is_empty() && self.window.from.saturating_add(A_MINUTE) < searched.from
    }

    /// By how many seconds `searched` begins short of the window's near end.
    fn shortage(&self, searched: TimeRange) -> i64 {
        let short_by = match self.order {
            Order::NewestFirst => self.window.to.saturating_sub(searched.to),
            Order::OldestFirst => searched.from.saturating_sub(self.window.from),
        };
        short_by.max(0)
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
        .map(|pushdown| key(question, scope, pushdown))
        .collect()
}

fn key(question: &Question, scope: &Scope, pushdown: Option<Attribute>) -> Key {
    Key {
        scope: scope.clone(),
        category: question.category,
        pushdown,
        origin: Origin::LookupEvents,
    }
}

fn answer(
    question: &Question,
    page: merge::Merged,
    searched: &[Searched<'_>],
    upstream_calls: u64,
) -> Answer {
    let mut stats = Stats {
        upstream_calls,
        ..Stats::default()
    };
    let mut short_by = question.short_by.clone();
    short_by.resize(question.scopes.len(), 0);
    let mut scopes = Vec::with_capacity(question.scopes.len());
    for Searched {
        place,
        scope,
        found,
    } in searched
    {
        stats.add(&found.stats);
        let range = question.searched(*place, found, page.next.as_ref());
        if let Some(short_by) = short_by.get_mut(*place) {
            *short_by = question.shortage(range);
        }
        let state = match (&found.end, &page.next) {
            (End::Failed(error), _) => ScopeState::Failed(error.clone()),
            (End::Open { reason, .. }, _) => ScopeState::Partial(reason.clone()),
            // searched whole, but the page ends before
            (End::Complete, Some(_)) if page.is_full => ScopeState::Partial(Reason::PageFull),
            (End::Complete, Some(_)) => ScopeState::Partial(Reason::OtherScopes),
            (End::Complete, None) => ScopeState::Complete,
        };
        let is_whole = state == ScopeState::Complete;
        scopes.push(ScopeAnswer {
            scope: (*scope).clone(),
            state,
            searched: range,
            as_of: found.as_of.unwrap_or(question.now),
            starts_before_history: is_whole && question.starts_before(range),
        });
    }
    for (place, why) in &question.failed {
        if let Some(scope) = question.scopes.get(*place) {
            scopes.push(ScopeAnswer {
                scope: scope.clone(),
                state: ScopeState::FailedBefore(why.clone()),
                searched: TimeRange::new(question.window.to, question.window.to),
                as_of: question.now,
                starts_before_history: false,
            });
        }
    }
    scopes.sort_by(|a, b| a.scope.cmp(&b.scope));
    if short_by.iter().all(|short_by| *short_by == 0) {
        short_by.clear();
    }
    Answer {
        events: page.events,
        next: page.next,
        short_by,
        scopes,
        stats,
    }
}

#[cfg(test)]
mod tests;
