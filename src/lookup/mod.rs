//! Questions over Event history: planned over what is held, walked where
//! nothing is, merged over scopes.

mod answer;
mod chain;
mod counts;
mod density;
mod descend;
mod error;
mod estimate;
mod export;
mod merge;
mod open;
mod past;
mod plan;
mod question;
mod search;
mod summary;
mod together;
mod token;
mod upward;
mod walk;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use futures_util::{StreamExt, future::join_all, stream::FuturesUnordered};
use jiff::Timestamp;

pub use self::{
    answer::{Answer, Reason, ScopeAnswer, ScopeState, Stats},
    chain::{Chain, Link, Outlook},
    counts::Totals,
    error::Error,
    estimate::Estimate,
    export::{Export, Step, UNREAD},
    past::{Past, PastError, PastPage, Reading},
    question::{Order, Question, SoFar},
    summary::{Bucket, Summary, SummaryOf, Top},
    token::PageToken,
};
use self::{
    answer::{Searched, answer},
    counts::Counts,
    descend::Terms,
    past::PastTerms,
    plan::Pushdowns,
    search::End,
    together::Part,
    walk::Walks,
};
use crate::{
    clock::Clock,
    coverage::{Coverage, Freshness},
    event::{Category, Event, Scope},
    filter::KnownFields,
    upstream::{Allowance, Upstream},
};
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use token::oracle;

/// Answers questions from coverage and, where it has gaps, from AWS.
#[derive(Debug)]
pub struct Lookup {
    clock: Clock,
    coverage: Arc<Coverage>,
    upstream: Arc<Upstream>,
    walks: Arc<Walks>,
    history: Option<Duration>,
    /// What is kept for good; told once, when it is there.
    past: OnceLock<Arc<dyn Past>>,
    counts: Counts,
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
        let walks = Walks::new(clock.clone(), Arc::clone(&upstream), Arc::clone(&coverage));
        let walks = Arc::new(walks);
        Self {
            clock,
            coverage,
            upstream,
            walks,
            history,
            past: OnceLock::new(),
            counts: Counts::default(),
        }
    }

    /// Answers from what is kept for good as well, from now on. Says `false` where
    /// that was told before, and stays.
    pub fn keep_past(&self, past: Arc<dyn Past>) -> bool {
        self.past.set(past).is_ok()
    }

    /// The clock that it goes by.
    #[must_use]
    pub fn clock(&self) -> &Clock {
        &self.clock
    }

    /// Sets the clock. Where it was fast, walks began earlier than they say: what
    /// they read is not as settled or as recent as it seems.
    pub fn set_clock(&self, wall: Timestamp) {
        let fast_by = self.clock.now().duration_since(wall);
        let rebegin = |anew: &dyn Fn(Timestamp) -> Timestamp| {
            self.walks.rebegin(anew);
            self.coverage.rebegin(anew);
        };
        if fast_by.is_positive() {
            rebegin(&|began| began.saturating_sub(fast_by).unwrap_or(Timestamp::MIN));
        }
        self.clock.set(wall);
        // and what began meanwhile, by the clock as it was
        rebegin(&|began| began.min(wall));
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

    /// What answers took so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.counts.totals()
    }

    /// The way to AWS, with its budgets and how each scope does.
    #[must_use]
    pub fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    /// What is held.
    #[must_use]
    pub fn coverage(&self) -> &Coverage {
        &self.coverage
    }

    /// Answers a question with one page.
    ///
    /// Dropping the future leaves the queue for quota; what was bought is kept.
    ///
    /// # Errors
    /// If no scope could be searched at all: the first one's error, or
    /// [`Error::Exhausted`] if quota would have come too late, or
    /// [`Error::DailyAllowance`] if the caller may buy nothing more today.
    pub async fn ask(&self, question: &Question) -> Result<Answer, Error> {
        self.ask_within(question, &self.allowance(question)).await
    }

    /// As [`Lookup::ask`], buying what `allowance` allows.
    async fn ask_within(
        &self,
        question: &Question,
        allowance: &Arc<Allowance>,
    ) -> Result<Answer, Error> {
        let pushdowns = &question.pushdowns();
        let is_alone = question.searched_scopes().nth(1).is_none();
        let searched = if question.order == Order::NewestFirst && !is_alone {
            self.search_together(question, pushdowns, allowance).await
        } else {
            let searches = question.searched_scopes();
            let searches = searches
                .map(|(place, scope)| self.search(question, place, scope, pushdowns, allowance));
            join_all(searches).await
        };
        self.check(question, &searched, allowance)?;
        let found = searched.iter().map(|searched| &searched.found);
        let page = merge::merge(
            found,
            question.order,
            question.after.as_ref(),
            question.limit(),
            question.size,
        );
        let answer = answer(question, page, &searched, allowance.spent());
        Ok(self.told(question, answer))
    }

    fn counted(&self, answer: Answer) -> Answer {
        self.counts.note(&answer.stats);
        answer
    }

    /// The newest event that passes the question's filter in any of its scopes,
    /// however far the others were searched; if `is_unique`, the first that is
    /// found. The answer has at most that event, and no next page.
    ///
    /// # Errors
    /// As [`Lookup::ask`], where there is none.
    pub async fn find(&self, question: &Question, is_unique: bool) -> Result<Answer, Error> {
        let allowance = self.allowance(question);
        let allowance = &allowance;
        let pushdowns = &question.pushdowns();
        let searches = question.searched_scopes();
        let mut searches: FuturesUnordered<_> = searches
            .map(|(place, scope)| self.search(question, place, scope, pushdowns, allowance))
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
            self.check(question, &searched, allowance)?;
        }
        let events = newest.into_iter().collect();
        let page = merge::Merged {
            events,
            next: None,
            is_full: false,
        };
        let answer = answer(question, page, &searched, allowance.spent());
        Ok(self.told(question, answer))
    }

    /// An event by its id, where it is held already: nothing is asked of AWS.
    /// Only ids that are UUIDs name one event.
    #[must_use]
    pub fn held(&self, scopes: &[Scope], category: Category, id: &str) -> Option<Arc<Event>> {
        self.coverage.find(scopes, category, id)
    }

    fn allowance(&self, question: &Question) -> Arc<Allowance> {
        let limit = question.max_upstream_calls.max(1);
        self.upstream
            .allowance(limit, question.class, &question.caller)
    }

    async fn search<'q>(
        &self,
        question: &Question,
        place: usize,
        scope: &'q Scope,
        pushdowns: &Pushdowns,
        allowance: &Arc<Allowance>,
    ) -> Searched<'q> {
        let terms = self.terms(question, scope, pushdowns, allowance);
        let (order, after) = (question.order, question.after.as_ref());
        let window = question.window_of(place);
        let found = terms.search(window, order, after, question.limit()).await;
        Searched {
            place,
            scope,
            found,
        }
    }

    /// Many scopes, newest first.
    async fn search_together<'q>(
        &self,
        question: &'q Question,
        pushdowns: &Pushdowns,
        allowance: &Arc<Allowance>,
    ) -> Vec<Searched<'q>> {
        let scopes: Vec<_> = question
            .searched_scopes()
            .map(|(place, scope)| {
                let terms = self.terms(question, scope, pushdowns, allowance);
                (place, scope, terms)
            })
            .collect();
        let parts = scopes
            .iter()
            .map(|(place, scope, terms)| Part::new(*place, scope, terms, question));
        together::search(question, parts.collect()).await
    }

    fn terms<'a>(
        &'a self,
        question: &'a Question,
        scope: &Scope,
        pushdowns: &Pushdowns,
        allowance: &'a Arc<Allowance>,
    ) -> Terms<'a> {
        let stale = question.asked_at.saturating_sub(question.max_staleness);
        let past = self.past_terms(question, scope);
        Terms {
            past,
            coverage: &self.coverage,
            walks: &self.walks,
            filter: &question.filter,
            keys: pushdowns.keys(scope, question.category),
            need: Freshness(stale.unwrap_or(Timestamp::MIN)),
            forgotten_before: self.forgotten_before(question),
            asked_at: question.asked_at,
            now: question.now,
            deadline: question.deadline,
            allowance,
            size: question.size,
            reads_all: question.reads_all,
        }
    }

    /// AWS keeps nothing before this second.
    fn forgotten_before(&self, question: &Question) -> i64 {
        let start = self.history.map(|_| self.history_start(question.now));
        start.unwrap_or(i64::MIN)
    }

    /// What of what is kept for good a question about a scope may use.
    fn past_terms(&self, question: &Question, scope: &Scope) -> Option<PastTerms> {
        PastTerms::new(
            self.past.get()?,
            scope,
            question.category,
            &question.filter,
            self.coverage.horizon(),
            self.forgotten_before(question),
        )
    }

    /// Says of an answer what of it is not proven, and counts it.
    fn told(&self, question: &Question, mut answer: Answer) -> Answer {
        for scope in &mut answer.scopes {
            let Some(past) = self.past_terms(question, &scope.scope) else {
                continue;
            };
            scope.unproven_before = past.unproven_before(scope.searched);
            let is_more = scope.starts_before_history;
            scope.is_in_log_files = is_more && past.lacks_before(scope.searched.from);
        }
        self.counted(answer)
    }

    /// An answer needs one scope that was searched, if only a little.
    fn check(
        &self,
        question: &Question,
        searched: &[Searched<'_>],
        allowance: &Allowance,
    ) -> Result<(), Error> {
        let mut failed = None;
        let mut stuck = None;
        let mut is_throttled = false;
        let mut today = None;
        for Searched { scope, found, .. } in searched {
            let wait = || {
                let budget = self.upstream.budget(scope);
                budget.estimated_wait(question.class, &question.caller)
            };
            match &found.end {
                End::Failed(error) => failed = failed.or(Some((error, scope))),
                // what was bought is kept: then the next page goes on from there
                End::Open {
                    reason: reason @ (Reason::Deadline | Reason::Quota),
                    is_stuck: true,
                    ..
                } if allowance.bought_nothing() => {
                    stuck = stuck.max(Some(wait()));
                    is_throttled |= *reason == Reason::Quota;
                }
                End::Open {
                    reason: Reason::DailyAllowance { wait },
                    is_stuck: true,
                    ..
                } if allowance.bought_nothing() => today = Some(*wait),
                // it was not searched, since the others got nowhere
                End::Open {
                    reason: Reason::OtherScopes,
                    is_stuck: true,
                    ..
                } => {}
                End::Complete | End::Open { .. } => return Ok(()),
            }
        }
        // with quota in every scope it would still be spent
        if let Some(wait) = today {
            return Err(Error::DailyAllowance { wait });
        }
        match (stuck, failed) {
            (Some(wait), _) => Err(Error::Exhausted {
                wait: wait.max(SHORTEST_WAIT),
                is_throttled,
            }),
            (None, Some((error, scope))) => Err(error.clone().of(scope)),
            (None, None) => Ok(()),
        }
    }
}

/// The least that a caller who is refused is asked to wait: less is not worth
/// a round trip.
const SHORTEST_WAIT: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests;
