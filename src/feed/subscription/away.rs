//! What a subscription missed while it was away, read of log files.

use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

use rand::RngExt;

use super::{Away, Batch, Gap, GapReason, Held, Missed, News, Subscription, TimeRange, token};
use crate::{
    event::{Event, Scope},
    feed::{
        Position,
        index::{OUTSIDE, Verdict},
        log::is_in_history,
        token::Mark,
    },
};

/// Seconds beside a horizon: keys have minutes, and what was listed at the start
/// was delivered in as much more.
const MARGIN: i64 = 120;
/// Seconds: the most that is told again for being unproven. `trailgate::client`
/// knows so much longer what it handled of events that history does not tell.
const MAX_UNPROVEN: i64 = 3600;

impl Subscription {
    /// Reads of log files what another process's stream did not tell before it
    /// ended: what is in the log before `first` as well.
    pub(super) fn read_what_was_missed(
        &mut self,
        marks: &HashMap<&Scope, &Mark>,
        others_from: i64,
        first: Position,
    ) {
        let Some(files) = self.feed.files.clone() else {
            return;
        };
        let selection = &self.settings.selection;
        let marks = marks.values().filter(|mark| selection.has(&mark.scope));
        let away = Away {
            from: marks
                .map(|mark| (mark.scope.clone(), mark.settled))
                .collect(),
            others_from: Some(others_from),
            margin: self.margin(),
            // what is delivered later is announced
            until: self.created.saturating_add(60),
            before: first,
            told_to: rand::rng().random_range(1..=u32::MAX),
            first: None,
        };
        self.missed = Some(Missed::new(files, away));
    }

    /// Goes on where a stream of this process read log files.
    pub(super) fn go_on_with_what_was_missed(
        &mut self,
        missed: &token::Missed,
        marks: &[Mark],
        settled: i64,
    ) {
        let Some(files) = self.feed.files.clone() else {
            return;
        };
        let are_named = !marks.is_empty();
        if !are_named {
            // which of them were read is not known
            self.repeats_to = self.repeats_to.max(Some(self.created));
        }
        let marks = marks.iter().filter(|mark| mark.is_missed);
        let away = Away {
            from: marks
                .map(|mark| (mark.scope.clone(), mark.settled))
                .collect(),
            others_from: match are_named {
                true => missed.others_from,
                false => Some(settled),
            },
            margin: self.margin(),
            until: missed.until,
            before: missed.before,
            told_to: missed.told_to,
            first: missed.first.clone(),
        };
        self.missed = Some(Missed::new(files, away));
    }

    /// Seconds by which what is settled proves less of an event: no settle walk
    /// tells data events, and one that resumes elsewhere may not have been told
    /// those that were delivered last.
    pub(super) fn unproven(&self, event: &Event) -> i64 {
        match self.told.is_some() && !is_in_history(event) {
            true => self.margin(),
            false => 0,
        }
    }

    fn margin(&self) -> i64 {
        self.feed.horizon.saturating_add(MARGIN).min(MAX_UNPROVEN)
    }

    /// A scope is no further than a second until all before a position is read.
    pub(super) fn hold(&mut self, scope: Scope, second: i64, to: Position) {
        let held = self.held.get_or_insert_with(|| Held {
            to,
            from: BTreeMap::new(),
        });
        held.to = held.to.max(to);
        let from = held.from.entry(scope).or_insert(second);
        *from = second.min(*from);
    }

    /// Hears what was found out as log files were read.
    pub(super) fn hear(&mut self, news: News) {
        match news {
            News::Other => {}
            News::Over(scope, from) => {
                let to = self.feed.lock().log.head();
                self.hold(scope, from, to);
            }
            News::Unreadable(scope, range) => self.gaps.push_back(Gap {
                scope,
                range,
                count: None,
                reason: GapReason::Unreadable,
            }),
            News::NoFiles(scopes) => {
                let served = self.scopes.now();
                let now = self.feed.clock.now_secs();
                let unserved = scopes
                    .into_iter()
                    .filter(|(scope, _)| served.binary_search(scope).is_err());
                self.gaps.extend(unserved.map(|(scope, from)| Gap {
                    scope,
                    range: TimeRange::new(from, now.max(from)),
                    count: None,
                    reason: GapReason::NotServed,
                }));
            }
        }
        self.missed.take_if(|missed| missed.is_over());
    }

    /// What was read of log files and is not told otherwise.
    pub(super) fn read_missed(&mut self) -> Option<Batch> {
        let selection = &self.settings.selection;
        let missed = self.missed.as_mut()?;
        if let Some(news) = missed.try_next(|scope| selection.has(scope)) {
            self.hear(news);
        }
        let mut missed = self.missed.take()?;
        let batch = self.sift_missed(&mut missed);
        self.missed = Some(missed);
        batch
    }

    fn sift_missed(&self, missed: &mut Missed) -> Option<Batch> {
        missed.peek()?;
        let now = self.feed.clock.now_secs();
        let served = self.scopes.now();
        let mut events: Vec<Arc<Event>> = Vec::new();
        let mut fresh: Vec<Arc<Event>> = Vec::new();
        let mut bytes = 0;
        while let Some(event) = missed.peek() {
            let scope = event.scope();
            // what it tells, it tells
            let is_told_by_history = is_in_history(event) && served.binary_search(&scope).is_ok();
            if is_told_by_history
                || !self.settings.selection.has(&scope)
                || !self.settings.filter.matches(event)
            {
                missed.pass();
                continue;
            }
            let identity = event.identity();
            let mut state = self.feed.lock();
            let id = state.scopes.id(&scope);
            let verdict = state.index.judge(id, event);
            let is_in_log = matches!(verdict, Verdict::Repeated(slot) if slot.position != OUTSIDE);
            let is_told = match verdict {
                // the rest the log tells
                Verdict::Repeated(slot) if is_in_log => {
                    slot.position < missed.before()
                        && self.is_due(slot.position, id, event, slot.is_known)
                }
                // its message is under way still: it arrives now, for all
                Verdict::New | Verdict::Corrected if !missed.is_old() => {
                    fresh.push(Arc::clone(event));
                    false
                }
                Verdict::Repeated(slot) if slot.told_to == missed.told_to() => false,
                _ => self.is_due(OUTSIDE, id, event, true),
            };
            if is_told && (event.is_addendum() || !missed.has_told(&identity)) {
                let size = (self.settings.size)(event);
                let is_full = events.len() >= self.settings.max_events.max(1)
                    || bytes + size > self.settings.max_bytes;
                if is_full && !events.is_empty() {
                    break;
                }
                bytes += size;
                events.push(Arc::clone(event));
                if !is_in_log {
                    // who announces it later brings nothing new
                    state.note_outside(id, event, missed.told_to(), now);
                }
                drop(state);
                missed.tells(identity);
            }
            missed.pass();
        }
        self.feed.take_from_queue(&fresh);
        let may_repeat = events
            .iter()
            .any(|event| self.repeats_to.is_some_and(|to| event.time <= to));
        (!events.is_empty()).then_some(Batch {
            events: events.into(),
            may_repeat,
            ready: None,
        })
    }
}
