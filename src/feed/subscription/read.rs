//! What a subscription reads: from the log, and of history what the log does not
//! tell.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use tokio::time::Instant;

use super::{Batch, Before, Item, Subscription};
use crate::{
    event::{self, Event, Scope, TimeRange},
    feed::{
        By, Gap, GapReason, Position, State, Taken,
        batches::Kept,
        index::Verdict,
        log::{Arrived, Dropped, Entry, is_in_history},
        replay::{Todo, Told},
        scopes::ScopeId,
    },
};

/// What was read from the log.
pub(super) enum Read {
    Item(Item),
    /// There may be more at once.
    More,
    /// Nothing, up to the head.
    Nothing,
}

impl Subscription {
    pub(super) fn read(&mut self) -> Read {
        let from = self.position;
        let (first, opened) = {
            let state = self.feed.lock();
            (state.log.first(), state.scopes.opened())
        };
        if opened != self.opened {
            self.opened = opened;
            self.note_scopes();
        }
        if from < first {
            return self.fall_behind(from);
        }
        let alike = self.alike();
        let kept = alike.as_ref().and_then(|key| self.feed.batches.get(key));
        if let Some(kept) = kept {
            return self.tell(from, kept);
        }
        let passed = self
            .group
            .passed(&self.feed.state, from, self.settings.max_events.max(1));
        let feed = Arc::clone(&self.feed);
        let state = feed.lock();
        if from < state.log.first() {
            // meanwhile
            drop(state);
            return self.fall_behind(from);
        }
        let mut events = Vec::with_capacity(passed.positions.len());
        let mut may_repeat = false;
        let mut bytes = 0;
        let mut to = passed.to;
        for position in passed.positions {
            let Some(Entry::Event(arrived)) = state.log.get(position) else {
                continue;
            };
            let Arrived {
                event,
                scope,
                is_known,
                ..
            } = arrived;
            if !self.follows(&state, *scope) || !self.is_due(position, *scope, event, *is_known) {
                continue;
            }
            let size = (self.settings.size)(event);
            if bytes + size > self.settings.max_bytes && !events.is_empty() {
                to = position;
                break;
            }
            bytes += size;
            may_repeat |= self.repeats_to.is_some_and(|to| event.time <= to)
                // older than what the index has
                || !state.scopes.is_collected(*scope, event.time);
            events.push(Arc::clone(event));
        }
        let head = state.log.head();
        let half = state.log.half();
        drop(state);
        if self.hear_gaps(from, to) {
            return Read::Nothing;
        }
        if events.is_empty() {
            self.batch_at = None;
            self.position = to;
            return match to < head {
                true => Read::More,
                false => Read::Nothing,
            };
        }
        // nor is what others wait for held back
        let is_full = events.len() >= self.settings.max_events || to < head || from < half;
        let now = Instant::now();
        let batch_at = *self.batch_at.get_or_insert(now + self.settings.max_wait);
        if !is_full && now < batch_at {
            return Read::Nothing;
        }
        let kept = Kept {
            batch: Batch {
                events: events.into(),
                may_repeat,
                ready: alike.map(|_| Arc::default()),
            },
            to,
            told: bytes,
        };
        let kept = match alike {
            Some(key) => self.feed.batches.keep(key, kept),
            None => kept,
        };
        self.tell(from, kept)
    }

    /// Takes on the gaps between two positions that were not told yet; whether there
    /// are any. A token that was made meanwhile has them again.
    fn hear_gaps(&mut self, from: Position, to: Position) -> bool {
        let feed = Arc::clone(&self.feed);
        let state = feed.lock();
        let gaps = state.gaps.within(from.max(self.gaps_to), to);
        let before = self.gaps.len();
        self.gaps.extend(
            gaps.filter(|gap| self.settings.selection.has(&gap.scope))
                .cloned(),
        );
        self.gaps_to = self.gaps_to.max(to);
        self.gaps.len() > before
    }

    /// Tells a batch, and reads on behind it.
    fn tell(&mut self, from: Position, kept: Kept) -> Read {
        // before what came after them, as who read it first was told them
        if self.hear_gaps(from, kept.to) {
            return Read::Nothing;
        }
        self.batch_at = None;
        self.position = kept.to;
        Read::Item(Item::Batch(kept.batch))
    }

    /// Whether what stands in the log at `at` is asked for by its time.
    pub(super) fn is_due(&self, at: Position, id: ScopeId, event: &Event, is_known: bool) -> bool {
        let time = event.time;
        let told_up_to = time.saturating_add(self.unproven(event));
        let is_before = |told: &Before| {
            let from = told.seconds.get(&id);
            // what a message brought may be new, if no settle walk tells it
            let is_unproven = !is_known && !is_in_history(event);
            (is_known || at < told.until && !is_unproven)
                && from.is_some_and(|from| told_up_to < *from)
        };
        let is_left_out = is_known && self.known_since.is_none_or(|since| told_up_to < since);
        self.since.is_none_or(|since| time >= since)
            && !is_left_out
            && !self.told.as_ref().is_some_and(is_before)
    }

    fn follows(&mut self, state: &State, id: ScopeId) -> bool {
        let selection = &self.settings.selection;
        if selection.is_everything() {
            return true;
        }
        // of those beyond, nothing is known
        let Some(scope) = state.scopes.get(id) else {
            return false;
        };
        let place = usize::try_from(id).unwrap_or(usize::MAX);
        if self.wanted.len() <= place {
            self.wanted.resize(state.scopes.len(), None);
        }
        match self.wanted.get_mut(place) {
            Some(wanted) => *wanted.get_or_insert_with(|| selection.has(scope)),
            None => selection.has(scope),
        }
    }

    /// Of scopes that are collected only since it began, what happened before is
    /// read from history.
    fn note_scopes(&mut self) {
        let feed = Arc::clone(&self.feed);
        let served = self.scopes.now();
        let begins = self.since.unwrap_or(self.created);
        let state = feed.lock();
        let live = state.scopes.live();
        let live = live.filter(|(_, scope)| self.settings.selection.has(scope));
        let late: Vec<_> = live
            .filter_map(|(id, scope)| {
                let (since, floor) = state.scopes.since(id)?;
                let is_late = since > self.begun && since >= self.position;
                (is_late && self.noted.insert((id, since))).then(|| (scope.clone(), floor))
            })
            .collect();
        drop(state);
        for (scope, floor) in late {
            self.known_since = Some(self.known_since.unwrap_or(begins).min(begins));
            if begins < floor && served.binary_search(&scope).is_ok() {
                let after = event::Position::start_of(begins);
                // what the log has it tells
                self.replay
                    .add_behind(scope, Todo::history(after, floor, 0, 0));
            }
        }
    }

    /// What the log has dropped since is read from history.
    fn fall_behind(&mut self, from: Position) -> Read {
        self.batch_at = None;
        let before = self.token();
        let feed = Arc::clone(&self.feed);
        let state = feed.lock();
        let to = state.log.first();
        let is_known = state.index.from() <= from;
        let served = self.scopes.now();
        let mut by_scope: BTreeMap<Scope, Vec<Dropped>> = BTreeMap::new();
        let now = feed.clock.now_secs();
        for ((id, _), dropped) in state.log.dropped(from, to) {
            if self.follows(&state, id)
                && let Some(scope) = state.scopes.get(id)
            {
                by_scope.entry(scope.clone()).or_default().push(dropped);
            }
        }
        let settled: HashMap<Scope, i64> = by_scope
            .keys()
            .filter_map(|scope| {
                let id = state.scopes.find(scope)?;
                Some((scope.clone(), state.scopes.settled(id, from)?))
            })
            .collect();
        let gaps = state.gaps.within(from.max(self.gaps_to), to);
        let gaps: Vec<Gap> = gaps
            .filter(|gap| self.settings.selection.has(&gap.scope))
            .cloned()
            .collect();
        drop(state);
        self.gaps.extend(gaps);
        self.gaps_to = self.gaps_to.max(to);
        for (scope, dropped) in by_scope {
            let is_served = served.contains(&scope);
            self.miss_dropped(&scope, &dropped, is_served);
            if !is_served {
                continue;
            }
            if is_known {
                let untold = dropped.iter().map(|dropped| dropped.untold).max();
                let stretches = stretches(dropped.into_iter());
                if let Some(mut todo) = Todo::behind(stretches, from, to) {
                    // what only a queue has told, history tells by then
                    let until = untold.map_or(i64::MIN, |time| time.saturating_add(feed.horizon));
                    if let Ok(wait) = u64::try_from(until.saturating_sub(now)) {
                        todo.wait(Duration::from_secs(wait));
                    }
                    self.replay.add_behind(scope, todo);
                }
            } else {
                // what was told is not known any more
                let settled = settled.get(&scope).copied().unwrap_or(self.floor);
                self.repeats_to = self.repeats_to.max(Some(feed.clock.now_secs()));
                let after = event::Position::start_of(settled);
                self.read_history(scope, after, 0, to);
            }
        }
        self.position = to;
        if !self.gaps.is_empty() {
            // until all are told
            self.before_gaps = Some(before);
        }
        Read::More
    }

    /// Of what was dropped, says what history does not have.
    fn miss_dropped(&mut self, scope: &Scope, dropped: &[Dropped], is_served: bool) {
        let count = |of: fn(&Dropped) -> u64| dropped.iter().map(of).sum::<u64>();
        let (reason, count) = match is_served {
            false => (GapReason::NotServed, count(|dropped| dropped.count)),
            true => {
                // what AWS has forgotten, it does not tell either
                let now = self.feed.clock.now();
                let oldest = self.asking.lookup.history_start(now);
                let beyond = dropped
                    .iter()
                    .map(|dropped| match dropped.range.to <= oldest {
                        true => dropped.count,
                        false => dropped.beyond_history,
                    });
                (GapReason::NotInHistory, beyond.sum())
            }
        };
        let from = dropped.iter().map(|dropped| dropped.range.from).min();
        let to = dropped.iter().map(|dropped| dropped.range.to).max();
        if let (Some(from), Some(to)) = (from, to)
            && count > 0
        {
            self.gaps.push_back(Gap {
                scope: scope.clone(),
                range: TimeRange::new(from, to),
                // how many of them would have passed is not known
                count: self.settings.filter.is_everything().then_some(count),
                reason,
            });
        }
    }

    /// Of what history told, what the log does not tell.
    pub(super) fn sift(&mut self, told: Told) -> Option<Batch> {
        let now = self.feed.clock.now_secs();
        let feed = Arc::clone(&self.feed);
        let mut state = feed.lock();
        let mut events = Vec::with_capacity(told.events.len());
        let mut taken = Taken::default();
        for event in told.events {
            let scope = event.scope();
            let Some(todo) = told.todo.get(&scope) else {
                continue;
            };
            let id = state.scopes.id(&scope);
            let is_collected = state.scopes.is_collected(id, event.time);
            let is_told = match state.index.judge(id, &event) {
                Verdict::Repeated(slot) => {
                    let is_told = todo.tells(slot.position)
                        // of several that reuse an id the log had one
                        && (!todo.is_behind || slot.time == event.time)
                        && self.is_due(slot.position, id, &event, slot.is_known);
                    // the log is to tell it still
                    if !is_told && slot.position >= self.position {
                        self.hold(scope, event.time, slot.position + 1);
                    }
                    is_told
                }
                // the first to see it: the log tells it to all, and here too
                Verdict::New | Verdict::Corrected if is_collected => {
                    state.take(id, &event, now, By::Reading);
                    self.hold(scope, event.time, state.log.head());
                    taken.new += 1;
                    false
                }
                Verdict::New | Verdict::Corrected => !todo.is_behind,
            };
            if is_told {
                events.push(event);
            }
        }
        feed.tell(state, taken);
        let repeats_to = self.repeats_to;
        let may_repeat = events
            .iter()
            .any(|event| repeats_to.is_some_and(|to| event.time <= to));
        (!events.is_empty()).then_some(Batch {
            events: events.into(),
            may_repeat,
            ready: None,
        })
    }
}

/// The hours of what was dropped, those that touch together.
pub(super) fn stretches(dropped: impl Iterator<Item = Dropped>) -> VecDeque<TimeRange> {
    let mut stretches: VecDeque<TimeRange> = VecDeque::new();
    for Dropped { range, .. } in dropped {
        match stretches.back_mut() {
            Some(last) if range.from <= last.to => last.to = last.to.max(range.to),
            _ => stretches.push_back(range),
        }
    }
    stretches
}
