//! A question followed over its pages.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    Answer, Error, Lookup, Order, PageToken, Question, Reason, ScopeAnswer, ScopeState, Stats,
};
use crate::{
    clock::Clock,
    event::{Position, Scope, TimeRange},
    upstream::Allowance,
};

/// The requests that a page of a chain buys at most, for each scope: at AWS's
/// pace some five seconds of each. So the chain's place is known every few
/// seconds however little matches.
const CALLS_A_PAGE: u64 = 10;
/// The longest that a page of a chain takes. A request keeps its place in the
/// queue for so long, however many are before it.
const PAGE_TIME: Duration = Duration::from_secs(600);

/// The pages of one question, each behind the one before, over the window and
/// with the staleness of the first. A scope that failed stays failed.
#[derive(Debug)]
pub struct Chain<'l> {
    lookup: &'l Lookup,
    /// The next page's.
    question: Question,
    /// When all must be answered.
    deadline: Instant,
    /// Requests that may still be bought.
    left: u64,
    /// By scope: what was searched of it.
    reached: Vec<Option<TimeRange>>,
    stats: Stats,
    is_over: bool,
}

/// One page of a chain.
#[derive(Debug)]
pub struct Link {
    /// The page. A scope that failed says what was searched of it before.
    pub answer: Answer,
    /// What may come after it.
    pub outlook: Outlook,
}

/// What may come after a page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outlook {
    /// Nothing: all was searched that can be.
    End,
    /// More.
    More,
    /// Nothing for now, for this reason: the chain did not come further.
    Stuck(Reason),
}

impl<'l> Chain<'l> {
    /// The pages from `question`'s position on, within its deadline and buying
    /// at most its `max_upstream_calls` in all.
    #[must_use]
    pub fn new(lookup: &'l Lookup, mut question: Question) -> Self {
        question.reads_all = true;
        Self {
            lookup,
            deadline: question.deadline,
            left: question.max_upstream_calls,
            reached: vec![None; question.scopes.len()],
            question,
            stats: Stats::default(),
            is_over: false,
        }
    }

    /// What was asked; its position is that of the next page.
    #[must_use]
    pub fn question(&self) -> &Question {
        &self.question
    }

    /// When all must be answered.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.deadline
    }

    /// What all pages took so far.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.stats
    }

    /// The scopes, none of which was searched yet.
    #[must_use]
    pub fn unsearched(&self) -> Vec<ScopeAnswer> {
        let question = &self.question;
        let unsearched = |(place, scope): (usize, &Scope)| {
            let failed = question.failure(place);
            ScopeAnswer {
                scope: scope.clone(),
                place,
                state: failed.map_or(ScopeState::Partial(Reason::OtherScopes), |why| {
                    ScopeState::FailedBefore(why.to_owned())
                }),
                searched: TimeRange::new(question.window.to, question.window.to),
                as_of: question.as_of(place, None),
                unsettled_as_of: question.unsettled_as_of(place, None),
                unproven_before: None,
                starts_before_history: false,
                is_in_log_files: false,
            }
        };
        question.scopes.iter().enumerate().map(unsearched).collect()
    }

    /// The next page; `None` after the last. After an error, or where it is
    /// stuck, it can be asked for again.
    ///
    /// Dropping the future leaves the queue for quota; what was bought is kept.
    pub async fn next(&mut self) -> Option<Result<Link, Error>> {
        let allowance = self.allowance();
        self.next_within(&allowance).await
    }

    /// What the next page may buy: see [`Chain::next_within`].
    pub(super) fn allowance(&self) -> Arc<Allowance> {
        let Question {
            class,
            caller,
            scopes,
            ..
        } = &self.question;
        let scopes = u64::try_from(scopes.len()).unwrap_or(u64::MAX);
        let most = CALLS_A_PAGE.saturating_mul(scopes.max(1));
        let upstream = &self.lookup.upstream;
        upstream.allowance(self.left.min(most), *class, caller)
    }

    /// As [`Chain::next`], on an allowance of this chain that tells others what is
    /// being bought.
    pub(super) async fn next_within(
        &mut self,
        allowance: &Arc<Allowance>,
    ) -> Option<Result<Link, Error>> {
        if self.is_over {
            return None;
        }
        self.question.now = self.lookup.clock.now();
        self.question.deadline = self.deadline.min(Clock::deadline(PAGE_TIME));
        let asked = self.lookup.ask_within(&self.question, allowance).await;
        let bought = allowance.spent();
        self.left = self.left.saturating_sub(bought);
        self.stats.upstream_calls += bought;
        let mut answer = match asked {
            Ok(answer) => answer,
            Err(error) => return Some(Err(error)),
        };
        self.stats.add(&Stats {
            upstream_calls: 0,
            ..answer.stats
        });
        self.note_reached(&mut answer);
        let before = self.question.after.clone();
        self.question.follow(&answer);
        self.is_over = answer.next.is_none();
        let has_moved = self.question.after != before;
        let outlook = if self.is_over {
            Outlook::End
        } else if has_moved || (bought > 0 && self.left > 0) {
            Outlook::More
        } else {
            self.stuck(&answer)
        };
        Some(Ok(Link { answer, outlook }))
    }

    /// Whether its last page came.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.is_over
    }

    /// Whether it must end by the deadline before a page's own time is up.
    #[must_use]
    pub fn is_short_of_time(&self) -> bool {
        self.question.deadline == self.deadline
    }

    /// Says of the scopes that are open why they stay so, where the chain goes no
    /// further: what a page is held to by the chain itself is no reason.
    pub fn close(&self, scopes: &mut [ScopeAnswer], why: &Reason) {
        for scope in scopes {
            let ScopeState::Partial(reason) = &mut scope.state else {
                continue;
            };
            let is_own = match reason {
                Reason::PageFull | Reason::OtherScopes => true,
                Reason::UpstreamCallLimit => self.left > 0,
                Reason::Deadline => !self.is_short_of_time(),
                Reason::DailyAllowance { .. } | Reason::Quota | Reason::Upstream(_) => false,
            };
            if is_own {
                reason.clone_from(why);
            }
        }
    }

    /// What was searched of a scope that has failed is still said: the seconds that
    /// were told whole.
    fn note_reached(&mut self, answer: &mut Answer) {
        let order = self.question.order;
        let whole = |searched: TimeRange| match (&answer.next, order) {
            (None, _) => searched,
            (Some(next), Order::NewestFirst) => {
                TimeRange::new(searched.from.max(next.seconds_before()), searched.to)
            }
            (Some(next), Order::OldestFirst) => {
                TimeRange::new(searched.from, searched.to.min(next.time))
            }
        };
        for told in &mut answer.scopes {
            let Some(reached) = self.reached.get_mut(told.place) else {
                continue;
            };
            match (&told.state, *reached) {
                (ScopeState::Failed(_) | ScopeState::FailedBefore(_), Some(before)) => {
                    told.searched = before;
                }
                (ScopeState::Failed(_) | ScopeState::FailedBefore(_), None) => {}
                (ScopeState::Complete | ScopeState::Partial(_), _) => {
                    *reached = Some(whole(told.searched));
                }
            }
        }
    }

    fn stuck(&self, answer: &Answer) -> Outlook {
        let reasons = answer.scopes.iter().filter_map(|scope| match &scope.state {
            ScopeState::Partial(reason) => Some(reason),
            _ => None,
        });
        // that of the scope that cannot be helped by waiting comes first
        let weight = |reason: &&Reason| match reason {
            Reason::UpstreamCallLimit | Reason::DailyAllowance { .. } => 3,
            Reason::Deadline => 2,
            Reason::Quota | Reason::Upstream(_) => 1,
            Reason::PageFull | Reason::OtherScopes => 0,
        };
        let reason = reasons.max_by_key(weight).cloned();
        reason.map_or(Outlook::More, Outlook::Stuck)
    }
}

impl Question {
    /// Becomes the question for the page after `answer`. After the last page it
    /// stays as it is.
    pub fn follow(&mut self, answer: &Answer) {
        let Some(after) = answer.next.clone() else {
            return;
        };
        self.after = Some(after);
        self.so_far.clone_from(&answer.so_far);
        for told in &answer.scopes {
            // those that had failed before say so
            if let ScopeState::Failed(error) = &told.state {
                self.failed.push((told.place, error.reason().to_owned()));
            }
        }
        self.failed.sort_unstable();
    }

    /// The token that asks for this page again, in a chain of the request with
    /// this digest.
    #[must_use]
    pub fn token(&self, digest: [u8; 16]) -> PageToken {
        let first = || match self.order {
            Order::NewestFirst => Position::start_of(self.window.to),
            Order::OldestFirst => Position::start_of(self.window.from),
        };
        PageToken {
            digest,
            window: self.window,
            asked_at: self.asked_at,
            after: self.after.clone().unwrap_or_else(first),
            so_far: self.so_far.clone(),
            failed: self.failed.clone(),
        }
    }

    /// Becomes the question of a token.
    pub fn resume(&mut self, token: PageToken, now: Timestamp) {
        // a token that was made by hand asks for no future either
        self.window = token.window;
        self.window.to = token.window.to.min(now.as_second().saturating_add(1));
        self.asked_at = token.asked_at.min(now);
        self.after = Some(token.after);
        self.so_far = token.so_far;
        self.failed = token.failed;
    }
}
