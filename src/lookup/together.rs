//! Many scopes at once, newest first, each no further than the page needs.
//!
//! A page is only as deep as every scope that is open, so a request is bought
//! for a scope only if the page might end below where that scope stands: as long
//! as fewer events are known above than the page has room for. Once that is false
//! the scope stays where it is, and the page ends there at the latest. And as long
//! as the scopes that stand higher are likely to fill the page, they go first.

use std::{
    collections::{BinaryHeap, VecDeque},
    sync::Arc,
};

use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use tokio::sync::{Mutex, MutexGuard};

use super::{
    Reason,
    answer::Searched,
    density::float,
    descend::{Aim, Descent, Limit, Stop, Terms},
    question::Question,
    search::{End, found_down},
};
use crate::event::{Event, Position, Scope, TimeRange};

/// A scope is looked into by so many shares of the page at a time: as much as it
/// has of one where all scopes are alike, and as much again.
const SHARES: usize = 2;
/// And by so many events at least.
const LEAST: usize = 8;
/// Looks in one go, before others have a turn: some hundred microseconds.
const AT_ONCE: usize = 64;

/// One scope's part.
pub(super) struct Part<'q, 'a, 'b> {
    pub(super) place: usize,
    pub(super) scope: &'q Scope,
    terms: &'b Terms<'a>,
    descent: Descent<'a, 'b>,
    stop: Option<Stop>,
    /// Its events that the page was told of.
    noted: usize,
}

/// How far a part was searched, and how much that brought.
#[derive(Clone, Copy)]
struct Reach {
    at: i64,
    to: i64,
    found: usize,
    is_open: bool,
}

impl Reach {
    /// How many events it may still have down to `second`, if they go on as they
    /// were.
    fn expected(&self, second: i64) -> f64 {
        let (behind, ahead) = (self.to - self.at, self.at - second);
        if !self.is_open || behind <= 0 || ahead <= 0 {
            return 0.0;
        }
        float(self.found) / seconds(behind) * seconds(ahead)
    }
}

fn seconds(count: i64) -> f64 {
    float(count.max(0).unsigned_abs())
}

/// What is known of the page so far.
struct Page {
    limit: Limit,
    size: fn(&Event) -> usize,
    /// The first events of all that were found, descending; none beyond the page's
    /// room.
    first: Vec<Arc<Event>>,
    bytes: usize,
    /// Where the shallowest scope stands that goes no further.
    bound: Option<Position>,
}

impl Page {
    /// Takes in an event that was found.
    fn note(&mut self, event: &Arc<Event>) {
        let at = self
            .first
            .partition_point(|it| it.cmp_position(event).is_gt());
        let is_there = self
            .first
            .get(at)
            .is_some_and(|it| it.cmp_position(event).is_eq());
        if is_there || (self.is_full() && at == self.first.len()) {
            return;
        }
        self.bytes += (self.size)(event);
        self.first.insert(at, Arc::clone(event));
        // without the last it must be full still
        while let Some(last) = self.first.last() {
            let bytes = self.bytes - (self.size)(last);
            let events = self.first.len() - 1;
            if events < self.limit.events && bytes < self.limit.bytes {
                break;
            }
            self.first.pop();
            self.bytes = bytes;
        }
    }

    fn is_full(&self) -> bool {
        self.first.len() >= self.limit.events || self.bytes >= self.limit.bytes
    }

    /// Whether the page may end below `depth`. `pending` is how many events were
    /// read of the second that is next below it.
    fn needs(&self, depth: &Position, pending: impl FnOnce() -> usize) -> bool {
        if self.bound.as_ref().is_some_and(|bound| bound >= depth) {
            return false;
        }
        let above = self.first.partition_point(|it| it.cmp_to(depth).is_ge());
        if self.is_full() && above == self.first.len() {
            return false;
        }
        // no request merely to finish a second, unless the page would be empty
        above == 0 || above.saturating_add(pending()) < self.limit.events
    }

    /// Whether it needs any of the requests under way, for parts that stood at
    /// these depths.
    fn awaits(&self, asked_for: &[Option<Position>]) -> bool {
        let mut depths = asked_for.iter().flatten();
        depths.any(|depth| self.needs(depth, || 0))
    }

    /// Whether the page is likely to end above `depth` all the same, once the scopes
    /// that stand higher have come down: they are waited for.
    fn will_do(&self, depth: &Position, reaches: &[Reach]) -> bool {
        if self.first.is_empty() {
            return false;
        }
        let above = self.first.partition_point(|it| it.cmp_to(depth).is_ge());
        let expected: f64 = reaches.iter().map(|reach| reach.expected(depth.time)).sum();
        float(above) + expected >= float(self.limit.events)
    }

    /// A scope goes no further than `depth`.
    fn stop_at(&mut self, depth: Position) {
        if self.bound.as_ref().is_none_or(|bound| *bound < depth) {
            self.bound = Some(depth);
        }
    }
}

impl<'q, 'a, 'b> Part<'q, 'a, 'b> {
    pub(super) fn new(
        place: usize,
        scope: &'q Scope,
        terms: &'b Terms<'a>,
        question: &Question,
    ) -> Self {
        let (top, is_top) = question.top_of(place);
        Self {
            place,
            scope,
            terms,
            descent: Descent::new(terms, terms.present(top, is_top)),
            stop: None,
            noted: 0,
        }
    }

    fn depth(&self) -> Position {
        self.descent.depth()
    }

    fn is_open(&self) -> bool {
        self.stop.is_none()
    }

    fn reach(&self) -> Reach {
        Reach {
            at: self.descent.at,
            to: self.descent.to,
            found: self.descent.found.len(),
            is_open: self.is_open(),
        }
    }

    /// Looks at some more of what is held. Whether that may go on.
    async fn look(&mut self, aim: Aim<'_>, more: usize) -> bool {
        let limit = Limit {
            events: self.descent.found.len().saturating_add(more),
            ..aim.limit
        };
        match self.descent.run_held(Aim { limit, ..aim }).await {
            Some(Stop::Full) => true,
            Some(stop) => {
                self.stop = Some(stop);
                false
            }
            None => {
                self.stop = self.descent.end_of(aim);
                false
            }
        }
    }

    /// Tells the page what was found since.
    fn tell(&mut self, page: &mut Page) {
        for event in self.descent.found.iter().skip(self.noted) {
            page.note(event);
        }
        self.noted = self.descent.found.len();
        match self.stop {
            // all is known, or nothing of it will be told
            None | Some(Stop::Floor | Stop::Forgotten) => {}
            Some(Stop::Failed(_)) if !self.descent.has_progressed() => {}
            Some(_) => page.stop_at(self.depth()),
        }
    }

    /// Gets the next page of AWS's; where further pages will be asked for, those
    /// of other stretches beside it. Why it stops, if it does.
    async fn ask(&mut self, aim: Aim<'_>) -> Option<Stop> {
        let terms = self.terms;
        let below = TimeRange::new(aim.from, self.descent.at);
        if !terms.reads_all || aim.before.is_none() {
            return self.descent.ask(aim).await;
        }
        tokio::select! {
            stop = self.descent.ask(aim) => stop,
            never = terms.walk_ahead(below) => match never {},
        }
    }

    fn found(self) -> Searched<'q> {
        let has_progressed = self.descent.has_progressed();
        let is_open = self.is_open();
        let mut found = found_down(self.descent, self.stop.unwrap_or(Stop::Full));
        if is_open
            && !has_progressed
            && let End::Open {
                reason, is_stuck, ..
            } = &mut found.end
        {
            (*reason, *is_stuck) = (Reason::OtherScopes, true);
        }
        Searched {
            place: self.place,
            scope: self.scope,
            found,
        }
    }
}

/// Searches scopes side by side.
pub(super) async fn search<'q>(
    question: &Question,
    parts: Vec<Part<'q, '_, '_>>,
) -> Vec<Searched<'q>> {
    let limit = question.limit();
    let share = limit.events / parts.len().max(1);
    let more = share.saturating_mul(SHARES).max(LEAST).min(limit.events);
    let mut page = Page {
        limit,
        size: question.size,
        first: Vec::new(),
        bytes: 0,
        bound: None,
    };
    let mut todo: VecDeque<usize> = (0..parts.len()).collect();
    let mut reaches: Vec<Reach> = parts.iter().map(Part::reach).collect();
    // a request under way may be given up: what its part has found stays here
    let parts: Vec<Mutex<Part<'q, '_, '_>>> = parts.into_iter().map(Mutex::new).collect();
    let mut under_way = FuturesUnordered::new();
    let mut asked_for: Vec<Option<Position>> = vec![None; parts.len()];
    // those that hold no more, the shallowest first
    let mut dry: BinaryHeap<(Position, usize)> = BinaryHeap::new();
    let mut looks = 0_usize;
    loop {
        while let Some(place) = todo.pop_front() {
            let Some(mut part) = parts.get(place).and_then(|part| part.try_lock().ok()) else {
                continue;
            };
            if !part.is_open() || !page.needs(&part.depth(), || 0) {
                continue;
            }
            let aim = aim(question, &part, limit);
            let may_go_on = part.look(aim, more).await;
            looks += 1;
            if looks.is_multiple_of(AT_ONCE) {
                tokio::task::yield_now().await;
            }
            part.tell(&mut page);
            if let Some(reach) = reaches.get_mut(place) {
                *reach = part.reach();
            }
            if may_go_on {
                todo.push_back(place);
            } else if part.is_open() {
                dry.push((part.depth(), place));
            }
        }
        while let Some((depth, place)) = dry.peek() {
            let (Some(part), place) = (parts.get(*place), *place) else {
                break;
            };
            let Ok(part) = part.try_lock() else { break };
            if page.needs(depth, || part.descent.pending()) {
                // an estimate puts off, and gives up nothing
                if page.awaits(&asked_for) && page.will_do(depth, &reaches) {
                    break;
                }
                if let Some(asked_for) = asked_for.get_mut(place) {
                    *asked_for = Some(depth.clone());
                }
                under_way.push(ask(question, place, part, limit));
            } else {
                // it goes no further, and neither does the page
                page.stop_at(depth.clone());
            }
            dry.pop();
        }
        // a request that is not needed any more is waited for by nobody
        if !page.awaits(&asked_for) {
            break;
        }
        let mut next = under_way.next().await;
        while let Some(place) = next {
            if let Some(asked_for) = asked_for.get_mut(place) {
                *asked_for = None;
            }
            if let Some(mut part) = parts.get(place).and_then(|part| part.try_lock().ok()) {
                part.tell(&mut page);
            }
            todo.push_back(place);
            // those that came at the same time
            next = under_way.next().now_or_never().flatten();
        }
    }
    drop(under_way);
    let parts = parts.into_iter().map(Mutex::into_inner);
    parts.map(Part::found).collect()
}

fn aim<'q>(question: &'q Question, part: &Part<'_, '_, '_>, limit: Limit) -> Aim<'q> {
    let (_, is_top) = question.top_of(part.place);
    Aim {
        from: question.window_of(part.place).from,
        before: question.after.as_ref(),
        is_top,
        limit,
    }
}

/// Gets the next page of AWS's for a part.
async fn ask(
    question: &Question,
    place: usize,
    mut part: MutexGuard<'_, Part<'_, '_, '_>>,
    limit: Limit,
) -> usize {
    let aim = aim(question, &part, limit);
    part.stop = part.ask(aim).await;
    place
}
