//! What a question would cost, with nothing bought.

use std::time::Duration;

use super::{
    Lookup, Order, Question,
    density::float,
    descend::{Aim, Descent, Limit, Stop, Terms},
    plan::{Plan, whole},
    search::top,
};
use crate::{
    budget::Budget,
    event::{Position, TimeRange},
};

/// What a question would cost now: requests, and the time that they would take
/// at the rates now allowed, waiting included.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Estimate {
    /// Requests for the next page; 0 is exact.
    pub calls: u64,
    /// The time for the next page.
    pub duration: Duration,
    /// Requests for all that is left of the window.
    pub window_calls: u64,
    /// The time for all that is left of the window.
    pub window_duration: Duration,
}

impl Lookup {
    /// What a question would cost: for its next page, and for all pages that
    /// are left. Looks at what is held, and guesses the rest from the densities
    /// that walks have seen.
    pub async fn estimate(&self, question: &Question) -> Estimate {
        let pushdowns = question.pushdowns();
        // nothing is bought on it
        let allowance = self.upstream.allowance(1, question.class, &question.caller);
        let mut all = Estimate::default();
        for (place, scope) in question.searched_scopes() {
            let terms = self.terms(question, scope, &pushdowns, &allowance);
            let (page, window) = terms
                .estimate(
                    question.window_of(place),
                    question.order,
                    question.after.as_ref(),
                    question.limit(),
                )
                .await;
            let budget = self.upstream.budget(scope);
            let wait = budget.estimated_wait(question.class, &question.caller);
            let time = |calls| time_for(&budget, calls, wait);
            // scopes are searched side by side
            all.calls = all.calls.saturating_add(page);
            all.duration = all.duration.max(time(page));
            all.window_calls = all.window_calls.saturating_add(window);
            all.window_duration = all.window_duration.max(time(window));
        }
        all
    }
}

fn time_for(budget: &Budget, calls: u64, wait: Duration) -> Duration {
    match (calls, budget.stats().rate) {
        (0, _) => Duration::ZERO,
        (_, None) => wait,
        (calls, Some(rate)) => {
            let further = float(calls - 1) / rate.max(f64::MIN_POSITIVE);
            wait.saturating_add(Duration::try_from_secs_f64(further).unwrap_or(Duration::MAX))
        }
    }
}

impl Terms<'_> {
    /// The requests for one page, and for the rest of the window.
    async fn estimate(
        &self,
        window: TimeRange,
        order: Order,
        after: Option<&Position>,
        limit: Limit,
    ) -> (u64, u64) {
        match order {
            Order::NewestFirst => self.estimate_down(window, after, limit).await,
            Order::OldestFirst => self.estimate_up(window, after, limit),
        }
    }

    async fn estimate_down(
        &self,
        window: TimeRange,
        after: Option<&Position>,
        limit: Limit,
    ) -> (u64, u64) {
        let (top, is_top) = top(window, after);
        let top = self.present(top, is_top);
        let mut descent = Descent::new(self, top);
        let aim = Aim {
            from: window.from,
            before: after,
            is_top,
            limit,
        };
        let stop = descent.run_held(aim).await;
        let floor = window.from.max(self.forgotten_before);
        let gap = |to: i64| TimeRange::new(floor.min(to), to);
        let page = match stop {
            Some(Stop::Full) => 0,
            _ if descent.at <= floor => 0,
            _ => {
                let wanted = limit.events.saturating_sub(descent.found.len());
                requests(&Plan::make(self.known(), gap(descent.at), Some(wanted)))
            }
        };
        (page, requests(&Plan::make(self.known(), gap(top), None)))
    }

    fn estimate_up(&self, window: TimeRange, after: Option<&Position>, limit: Limit) -> (u64, u64) {
        let start = after.map_or(window.from, |after| window.from.max(after.time));
        let start = start.max(self.forgotten_before).min(window.to);
        let mut at = start;
        let mut wanted = limit.events;
        while at < window.to && wanted > 0 {
            let Some(held) = self.held(at) else { break };
            let to = held.range.to.min(window.to);
            let events = held.events.iter();
            let found = events.filter(|event| {
                (at..to).contains(&event.time)
                    && after.is_none_or(|after| event.cmp_to(after).is_gt())
                    && self.filter.matches(event)
            });
            wanted = wanted.saturating_sub(found.count());
            at = to;
        }
        let rest = Plan::make(self.known(), TimeRange::new(at, window.to), None);
        let page = if wanted == 0 || at >= window.to {
            0
        } else {
            // by slices, each walked whole
            let depth = float(wanted) / rest.matching.max(f64::MIN_POSITIVE);
            let length = whole(depth).max(self.first_slice(window, at, wanted));
            let slice = TimeRange::new(at, at.saturating_add(length));
            requests(&Plan::make(self.known(), slice.intersect(&window), None))
        };
        (page, requests(&rest))
    }
}

/// Whole requests, upward.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "saturates"
)]
fn requests(plan: &Plan) -> u64 {
    plan.calls.ceil() as u64
}
