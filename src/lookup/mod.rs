//! Questions over Event history: planned over what is held, walked where
//! nothing is, merged over scopes.

mod answer;
mod descend;
mod error;
mod merge;
mod question;
mod search;
mod token;
mod walk;

use std::{sync::Arc, time::Duration};

use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use jiff::Timestamp;

pub use self::{
    answer::{Answer, Reason, ScopeAnswer, ScopeState, Stats},
    error::Error,
    question::{Order, Question},
    token::PageToken,
};
use self::{
    answer::{Searched, answer},
    descend::Terms,
    search::End,
    walk::Walks,
};
use crate::{
    clock::Clock,
    coverage::{Coverage, Freshness},
    event::{Category, Event, Scope, is_uuid},
    filter::KnownFields,
    upstream::{Allowance, Upstream},
};

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
        let searches =
            searches.map(|(place, scope)| self.search(question, place, scope, allowance));
        let searched = join_all(searches).await;
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
            .map(|(place, scope)| self.search(question, place, scope, allowance))
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

    async fn search<'q>(
        &self,
        question: &Question,
        place: usize,
        scope: &'q Scope,
        allowance: &Arc<Allowance>,
    ) -> Searched<'q> {
        let stale = question.asked_at.saturating_sub(question.max_staleness);
        let keys = question.keys(scope);
        // the most selective, or all if there is no attribute to ask by
        let walk_by = keys
            .first()
            .cloned()
            .unwrap_or_else(|| question.key(scope, None));
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
        let window = question.window_of(place);
        let found = terms.search(window, order, after, question.limit()).await;
        Searched {
            place,
            scope,
            found,
        }
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

#[cfg(test)]
mod tests;
