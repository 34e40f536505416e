//! Where a subscription begins.

use std::collections::HashMap;

use super::{Before, Held, StartError, Subscription, read::stretches};
use crate::{
    event::{self, Scope, TimeRange},
    feed::{
        Gap, GapReason, Position, ResumeToken, SLACK,
        log::Bucket,
        replay::Todo,
        token::{Mark, Reading, Way},
    },
};

impl Subscription {
    /// From a second on: what is in the log comes from there, the rest from
    /// history.
    pub(super) fn replay_from(&mut self, from: i64, first: Position) {
        self.position = first;
        self.since = Some(from);
        self.known_since = Some(from);
        for scope in self.served() {
            self.read_history(scope, event::Position::start_of(from), 0, first);
        }
    }

    /// Where a stream of this process stood.
    pub(super) fn resume(&mut self, token: &ResumeToken, first: Position, head: Position) {
        let is_known = self.feed.lock().index.from() <= token.position;
        self.position = token.position.min(head);
        self.gaps_to = self.position;
        self.begun = token.begun.min(head);
        self.since = token.since;
        self.known_since = token.known_since;
        self.repeats_to = token.repeats_to;
        self.floor = token.settled;
        self.note_told(token);
        self.told = token.told_until.map(|until| {
            let mut state = self.feed.lock();
            let told = self.told_before.iter();
            let seconds = told.map(|(scope, second)| (state.scopes.id(scope), *second));
            Before {
                until,
                seconds: seconds.collect(),
            }
        });
        let from = match is_known {
            true => self.position,
            false => {
                // what was told is not known any more
                self.repeats_to = self.repeats_to.max(Some(token.issued));
                self.position = self.position.max(first);
                0
            }
        };
        let served = self.served();
        let mut marks: HashMap<&Scope, &Mark> =
            token.marks.iter().map(|mark| (&mark.scope, mark)).collect();
        for scope in served {
            let mark = marks.remove(&scope);
            let reading = token.reading.as_ref();
            let reading =
                reading.filter(|_| is_known && mark.is_none_or(|mark| mark.way != Way::Live));
            let settled = mark.map_or(token.settled, |mark| mark.settled);
            match reading {
                Some(reading) => {
                    let after = match mark.map(|mark| mark.way) {
                        Some(Way::Exact | Way::ExactHere) => reading.after.clone(),
                        Some(Way::History(after)) => event::Position::start_of(after),
                        _ => event::Position::start_of(settled),
                    };
                    self.resume_reading(scope, after, reading);
                }
                None if is_known && self.is_unbroken(&scope) => {}
                None => {
                    let after = event::Position::start_of(settled);
                    // what there was of it before it was collected anew
                    let since = self.known_since.map_or(settled, |since| since.min(settled));
                    self.known_since = Some(since);
                    self.read_history(scope, after, from, self.position);
                }
            }
        }
        self.held = token.held_to.map(|to| Held {
            to,
            from: self.told_before.clone().into_iter().collect(),
        });
        if !is_known {
            // nor is what only files tell
            self.forget_what_was_told(token);
        } else if let Some(missed) = &token.missed {
            self.go_on_with_what_was_missed(missed, &token.marks, token.settled);
        }
        let has_files = self.missed.is_some();
        let unserved = marks.into_values().filter(|mark| match is_known {
            true => mark.way != Way::Live && !mark.is_missed,
            false => !has_files,
        });
        self.miss_unserved(unserved);
    }

    /// What a stream of this process was told is known by time alone, as that of
    /// another is.
    fn forget_what_was_told(&mut self, token: &ResumeToken) {
        let seconds = {
            let mut state = self.feed.lock();
            let told = self.told_before.iter();
            let seconds = told.map(|(scope, second)| (state.scopes.id(scope), *second));
            seconds.collect()
        };
        let since = self.known_since.unwrap_or(token.settled);
        self.known_since = Some(since.min(token.settled));
        // what is in the log still comes after what was told
        self.told.get_or_insert(Before { until: 0, seconds });
        let marks: HashMap<&Scope, &Mark> =
            token.marks.iter().map(|mark| (&mark.scope, mark)).collect();
        let others_from = match marks.is_empty() {
            true => token.settled,
            false => token.issued,
        };
        self.read_what_was_missed(&marks, others_from, self.position);
    }

    /// What a token says of each scope holds, whatever this process knows of it.
    fn note_told(&mut self, token: &ResumeToken) {
        let marks = token.marks.iter();
        self.told_before = marks
            .map(|mark| (mark.scope.clone(), mark.settled))
            .collect();
        if token.marks.is_empty() {
            let served = self.served().into_iter();
            self.told_before = served.map(|scope| (scope, token.settled)).collect();
        }
    }

    fn resume_reading(&mut self, scope: Scope, after: event::Position, reading: &Reading) {
        if !reading.is_behind {
            return self.read_history(scope, after, reading.from, reading.to);
        }
        let dropped = self.feed.lock().log.dropped(reading.from, reading.to);
        let id = self.feed.lock().scopes.find(&scope);
        let of_scope = |bucket: &Bucket| Some(bucket.0) == id;
        let dropped = dropped.into_iter().filter(|(bucket, _)| of_scope(bucket));
        let stretches = stretches(dropped.map(|(_, dropped)| dropped));
        if let Some(mut todo) = Todo::behind(stretches, reading.from, reading.to)
            && todo.advance(after)
        {
            self.replay.add(scope, todo);
        }
    }

    /// Where a stream of another process stood: what it was told is known by time
    /// alone.
    pub(super) fn resume_elsewhere(
        &mut self,
        token: &ResumeToken,
        first: Position,
        head: Position,
    ) -> Result<(), StartError> {
        let now = self.feed.clock.now();
        if token.issued < self.asking.lookup.history_start(now) {
            let age = now.as_second().saturating_sub(token.issued);
            return Err(StartError::Expired { age });
        }
        self.position = first;
        self.since = token.since;
        self.known_since = Some(token.settled);
        self.repeats_to = Some(token.issued).max(token.repeats_to);
        self.floor = token.settled;
        self.note_told(token);
        let mut marks: HashMap<&Scope, &Mark> =
            token.marks.iter().map(|mark| (&mark.scope, mark)).collect();
        let are_named = !token.marks.is_empty();
        let others_from = match are_named {
            // they have come since
            true => {
                let issued = token.issued.min(now.as_second());
                let before = token.missed.as_ref().and_then(|missed| missed.others_from);
                before.map_or(issued, |before| before.min(issued))
            }
            false => token.settled,
        };
        self.read_what_was_missed(&marks, others_from, first);
        let mut seconds = {
            let mut state = self.feed.lock();
            let ids = marks.values();
            let ids = ids.map(|mark| (state.scopes.id(&mark.scope), mark.settled));
            ids.collect::<HashMap<_, _>>()
        };
        for scope in self.served() {
            let mark = marks.remove(&scope);
            let settled = match mark {
                Some(mark) => mark.settled,
                None => others_from,
            };
            let after = match (&token.reading, mark.map(|mark| mark.way)) {
                // unless another scope was behind that
                (Some(reading), Some(Way::Exact)) if settled == reading.after.time => {
                    reading.after.clone()
                }
                _ => event::Position::start_of(settled),
            };
            seconds.insert(self.feed.lock().scopes.id(&scope), after.time);
            self.read_history(scope, after, 0, first);
        }
        self.told = Some(Before {
            until: head,
            seconds,
        });
        if self.missed.is_none() {
            self.miss_unserved(marks.into_values());
        }
        Ok(())
    }

    /// Has the history of a scope read from a place on; what is older than history
    /// is a gap.
    pub(super) fn read_history(
        &mut self,
        scope: Scope,
        after: event::Position,
        from: Position,
        to: Position,
    ) {
        let now = self.feed.clock.now();
        let oldest = self.asking.lookup.history_start(now);
        let mut after = after;
        if let Some(since) = self.since.filter(|since| after.time < *since) {
            after = event::Position::start_of(since);
        }
        if after.time < oldest {
            // "the last 90 days" takes a moment to arrive
            if after.time.saturating_add(SLACK) < oldest {
                self.gaps.push_back(Gap {
                    scope: scope.clone(),
                    range: TimeRange::new(after.time, oldest),
                    count: None,
                    reason: GapReason::BeforeHistory,
                });
            }
            after = event::Position::start_of(oldest);
        }
        let until = now.as_second().saturating_add(1);
        if after.time < until {
            self.replay
                .add(scope, Todo::history(after, until, from, to));
        }
    }

    /// Scopes that cannot be asked for their history any more.
    fn miss_unserved<'a>(&mut self, marks: impl Iterator<Item = &'a Mark>) {
        let now = self.feed.clock.now_secs();
        let unserved = marks.filter(|mark| self.settings.selection.has(&mark.scope));
        let unserved: Vec<_> = unserved
            .map(|mark| Gap {
                scope: mark.scope.clone(),
                range: TimeRange::new(mark.settled, now.max(mark.settled)),
                count: None,
                reason: GapReason::NotServed,
            })
            .collect();
        self.gaps.extend(unserved);
    }

    /// Scopes that are followed and whose history can be asked for.
    fn served(&self) -> Vec<Scope> {
        let scopes = self.scopes.now();
        let selection = &self.settings.selection;
        let served = scopes.iter().filter(|scope| selection.has(scope));
        served.cloned().collect()
    }

    fn is_unbroken(&self, scope: &Scope) -> bool {
        let state = self.feed.lock();
        let id = state.scopes.find(scope);
        id.is_some_and(|id| state.scopes.is_unbroken(id, self.position.max(self.begun)))
    }
}
