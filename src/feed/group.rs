//! Subscriptions with one filter share its verdicts: each event is looked at once
//! by each filter, whoever subscribes.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use super::{
    State,
    log::{Entry, Position},
};
use crate::{event::Event, filter::Filter};

/// Events that are looked at before someone else has a turn: some milliseconds
/// by the slowest filters.
const AT_ONCE: usize = 1024;

/// A filter, and the positions that passed it.
#[derive(Debug)]
pub(super) struct Group {
    filter: Arc<Filter>,
    verdicts: Mutex<Verdicts>,
    evaluations: Arc<AtomicU64>,
}

/// No more of them than the log has entries.
#[derive(Debug, Default)]
struct Verdicts {
    /// From here on the verdicts are known.
    from: Position,
    /// Up to here.
    to: Position,
    /// Which passed.
    passed: VecDeque<Position>,
}

/// Where verdicts are known from a position on.
#[derive(Debug)]
pub(super) struct Passed {
    /// Those that passed, ascending.
    pub(super) positions: Vec<Position>,
    /// All before it that passed are there.
    pub(super) to: Position,
}

impl Group {
    /// At most `most` positions from `from` on that pass. `from` must be in the
    /// log, or be its head.
    pub(super) fn passed(&self, state: &Mutex<State>, from: Position, most: usize) -> Passed {
        // positions alone: right after a panic elsewhere
        let mut verdicts = self.verdicts.lock().unwrap_or_else(PoisonError::into_inner);
        let first = super::lock(state).log.first();
        verdicts.forget(first);
        if verdicts.from == verdicts.to || verdicts.to < first {
            *verdicts = Verdicts {
                from,
                to: from,
                passed: VecDeque::new(),
            };
        }
        if from < verdicts.from {
            self.look_before(&mut verdicts, state, from);
        }
        let known = verdicts.passed.partition_point(|at| *at < from);
        let mut open = most.saturating_sub(verdicts.passed.len() - known);
        let mut looked_at = 0;
        while (open > 0 || verdicts.to < from) && looked_at < AT_ONCE {
            let (events, to) = events(state, verdicts.to, AT_ONCE / 4);
            if to == verdicts.to {
                break;
            }
            looked_at += AT_ONCE / 4;
            verdicts.to = to;
            for (position, event) in events {
                if self.passes(&event) {
                    verdicts.passed.push_back(position);
                    open = open.saturating_sub(usize::from(position >= from));
                }
            }
        }
        // for one who begins ahead of all others, what came before was looked at too
        let known = verdicts.passed.partition_point(|at| *at < from);
        let positions: Vec<_> = verdicts.passed.range(known..).copied().take(most).collect();
        let to = match positions.last() {
            Some(last) if positions.len() == most => last + 1,
            _ => verdicts.to.max(from),
        };
        Passed { positions, to }
    }

    /// Looks at what came before, for one who begins there.
    fn look_before(&self, verdicts: &mut Verdicts, state: &Mutex<State>, from: Position) {
        let mut at = from;
        let mut passed = Vec::new();
        while at < verdicts.from {
            let (events, to) = events(state, at, AT_ONCE / 4);
            if to == at {
                break;
            }
            let before = verdicts.from;
            let events = events.into_iter();
            for (position, event) in events.take_while(|(position, _)| *position < before) {
                if self.passes(&event) {
                    passed.push(position);
                }
            }
            at = to;
        }
        for position in passed.into_iter().rev() {
            verdicts.passed.push_front(position);
        }
        verdicts.from = from;
    }

    fn passes(&self, event: &Event) -> bool {
        self.evaluations.fetch_add(1, Relaxed);
        self.filter.matches(event)
    }
}

impl Verdicts {
    /// Forgets what the log has no more.
    fn forget(&mut self, first: Position) {
        while self.passed.pop_front_if(|at| *at < first).is_some() {}
        self.from = self.from.max(first.min(self.to));
    }
}

/// Events from a position on, of so many entries, and where the next ones stand.
fn events(
    state: &Mutex<State>,
    from: Position,
    most: usize,
) -> (Vec<(Position, Arc<Event>)>, Position) {
    let state = super::lock(state);
    let mut to = from;
    let mut events = Vec::new();
    for (position, entry) in state.log.from(from).take(most) {
        to = position + 1;
        if let Entry::Event(arrived) = entry {
            events.push((position, Arc::clone(&arrived.event)));
        }
    }
    (events, to)
}

/// The groups that someone is in, by what their filter says.
#[derive(Debug, Default)]
pub(super) struct Groups {
    by_filter: Mutex<HashMap<Vec<u8>, Weak<Group>>>,
    evaluations: Arc<AtomicU64>,
}

impl Groups {
    /// The group of a filter.
    pub(super) fn join(&self, filter: &Arc<Filter>) -> Arc<Group> {
        let mut groups = self
            .by_filter
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let found = groups.get(filter.canonical()).and_then(Weak::upgrade);
        if let Some(group) = found {
            return group;
        }
        groups.retain(|_, group| group.strong_count() > 0);
        let group = Arc::new(Group {
            filter: Arc::clone(filter),
            verdicts: Mutex::default(),
            evaluations: Arc::clone(&self.evaluations),
        });
        groups.insert(filter.canonical().to_vec(), Arc::downgrade(&group));
        group
    }

    /// How many filters someone subscribes by.
    pub(super) fn len(&self) -> usize {
        let groups = self
            .by_filter
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        groups
            .values()
            .filter(|group| group.strong_count() > 0)
            .count()
    }

    /// Verdicts so far.
    pub(super) fn evaluations(&self) -> u64 {
        self.evaluations.load(Relaxed)
    }
}
