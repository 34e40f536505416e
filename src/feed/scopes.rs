//! The scopes that the feed has heard of: since when each is collected, and how
//! far it is settled.

use std::collections::{HashMap, VecDeque};

use super::log::Position;
use crate::event::{Event, Scope};

/// A scope's number in this process.
pub(super) type ScopeId = u32;

/// The most scopes that are told apart. A server has thousands; log files may
/// name anything. Events of those beyond are delivered all the same.
const MAX_SCOPES: usize = 1 << 16;
/// The number of all scopes beyond.
const OTHERS: ScopeId = ScopeId::MAX;

/// Watermarks that are kept of a scope, by position: those who read behind get
/// an older one, never a wrong one.
const MAX_MARKS: usize = 32;

/// How far a scope was settled, by position.
#[derive(Debug, Default)]
struct Marks(VecDeque<(Position, i64)>);

impl Marks {
    /// At `position` everything before `to` is there.
    fn advance(&mut self, position: Position, to: i64) {
        if let Some((last, settled)) = self.0.back_mut() {
            if *settled >= to {
                return;
            }
            if *last == position {
                *settled = to;
                return;
            }
        }
        self.0.push_back((position, to));
        if self.0.len() > MAX_MARKS {
            // every other one of the older half: what is left still holds
            let mut place = 0;
            self.0.retain(|_| {
                place += 1;
                place > MAX_MARKS / 2 || place % 2 == 1
            });
        }
    }

    /// Who stands before the first has nothing to read that is older than that.
    fn at(&self, position: Position) -> Option<i64> {
        let count = self.0.partition_point(|(since, _)| *since <= position);
        let (_, to) = self.0.get(count.saturating_sub(1))?;
        Some(*to)
    }
}

/// A scope that is being collected.
#[derive(Debug)]
struct Live {
    /// From this position on without a break.
    since: Position,
    /// Everything from this second on that anybody has told is in the index.
    floor: i64,
    /// While its first reading is under way: what happened before this second and
    /// is there already is known, not new.
    known_before: Option<i64>,
    settled: Marks,
}

#[derive(Debug)]
struct State {
    scope: Scope,
    live: Option<Live>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Scopes {
    ids: HashMap<Scope, ScopeId>,
    all: Vec<State>,
    /// How often a scope was begun to be collected.
    opened: u64,
    /// The scope that was asked for last: events come in runs.
    last: Option<(Scope, ScopeId)>,
}

impl Scopes {
    /// The number of a scope; it is given one.
    pub(super) fn id(&mut self, scope: &Scope) -> ScopeId {
        if let Some((last, id)) = &self.last
            && last == scope
        {
            return *id;
        }
        let id = match self.ids.get(scope) {
            Some(id) => *id,
            None if self.all.len() >= MAX_SCOPES => OTHERS,
            None => {
                let id = ScopeId::try_from(self.all.len()).unwrap_or(OTHERS);
                self.ids.insert(scope.clone(), id);
                self.all.push(State {
                    scope: scope.clone(),
                    live: None,
                });
                id
            }
        };
        self.last = Some((scope.clone(), id));
        id
    }

    /// The number of an event's scope; it is given one.
    pub(super) fn id_of(&mut self, event: &Event) -> ScopeId {
        // a scope is not made of each event
        match &self.last {
            Some((last, id)) if event.is_of(last) => *id,
            _ => self.id(&event.scope()),
        }
    }

    /// The number of a scope, if it has one.
    pub(super) fn find(&self, scope: &Scope) -> Option<ScopeId> {
        self.ids.get(scope).copied()
    }

    /// The scope of a number. `None`: one of those beyond.
    pub(super) fn get(&self, id: ScopeId) -> Option<&Scope> {
        self.state(id).map(|state| &state.scope)
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.all.len()
    }

    /// Scopes that are being collected.
    pub(super) fn live(&self) -> impl Iterator<Item = (ScopeId, &Scope)> {
        let ids = 0..;
        let live = ids.zip(&self.all).filter(|(_, state)| state.live.is_some());
        live.map(|(id, state)| (id, &state.scope))
    }

    /// Begins to collect a scope at `position`. `floor` is the second from which
    /// its events will be known; those before `known_before` that the first
    /// reading finds are not new. One that is collected already stays as it is.
    pub(super) fn open(
        &mut self,
        scope: &Scope,
        position: Position,
        floor: i64,
        known_before: Option<i64>,
    ) -> bool {
        let id = self.id(scope);
        self.open_by_id(id, position, floor, known_before)
    }

    /// As [`Scopes::open`], by the scope's number.
    pub(super) fn open_by_id(
        &mut self,
        id: ScopeId,
        position: Position,
        floor: i64,
        known_before: Option<i64>,
    ) -> bool {
        let Some(state) = self.state_mut(id) else {
            return false;
        };
        if state.live.is_some() {
            return false;
        }
        let mut settled = Marks::default();
        settled.advance(position, floor);
        state.live = Some(Live {
            since: position,
            floor,
            known_before,
            settled,
        });
        self.opened += 1;
        true
    }

    /// How often a scope was begun to be collected.
    pub(super) fn opened(&self) -> u64 {
        self.opened
    }

    /// Since which position a scope is collected, and from which second its events
    /// are known.
    pub(super) fn since(&self, id: ScopeId) -> Option<(Position, i64)> {
        self.live_of(id).map(|live| (live.since, live.floor))
    }

    /// Says that the clock was fast by so many seconds.
    pub(super) fn set_back(&mut self, fast_by: i64) {
        for live in self.all.iter_mut().filter_map(|state| state.live.as_mut()) {
            for (_, settled) in &mut live.settled.0 {
                *settled = settled.saturating_sub(fast_by);
            }
        }
    }

    /// Collects a scope no longer.
    pub(super) fn close(&mut self, scope: &Scope) {
        let id = self.find(scope);
        if let Some(state) = id.and_then(|id| self.state_mut(id)) {
            state.live = None;
        }
    }

    /// The first reading of a scope is over.
    pub(super) fn read(&mut self, scope: &Scope) {
        if let Some(live) = self.live_mut(scope) {
            live.known_before = None;
        }
    }

    /// At `position` a scope is settled up to `to`.
    pub(super) fn settle(&mut self, scope: &Scope, position: Position, to: i64) {
        if let Some(live) = self.live_mut(scope) {
            live.settled.advance(position, to);
        }
    }

    /// What the index has forgotten, by scope up to which second.
    pub(super) fn forget(&mut self, latest: &HashMap<ScopeId, i64>) {
        for (id, time) in latest {
            let state = self.state_mut(*id);
            if let Some(live) = state.and_then(|state| state.live.as_mut()) {
                live.floor = live.floor.max(time.saturating_add(1));
            }
        }
    }

    /// Whether an event of this second that the index does not know is new, if
    /// the scope is being collected and its second is one that the index has.
    pub(super) fn is_collected(&self, id: ScopeId, time: i64) -> bool {
        self.live_of(id).is_some_and(|live| time >= live.floor)
    }

    /// Whether the first reading of a scope is under way.
    pub(super) fn is_beginning(&self, id: ScopeId) -> bool {
        self.live_of(id)
            .is_some_and(|live| live.known_before.is_some())
    }

    /// Whether an event of this second was there before its scope was collected.
    pub(super) fn is_known(&self, id: ScopeId, time: i64) -> bool {
        let live = self.live_of(id);
        let before = live.and_then(|live| live.known_before);
        before.is_some_and(|before| time < before)
    }

    /// Whether a scope has been collected without a break since `position`.
    pub(super) fn is_unbroken(&self, id: ScopeId, position: Position) -> bool {
        self.live_of(id).is_some_and(|live| live.since <= position)
    }

    /// How far a scope was settled for who has read up to `position`.
    pub(super) fn settled(&self, id: ScopeId, position: Position) -> Option<i64> {
        self.live_of(id)?.settled.at(position)
    }

    fn live_of(&self, id: ScopeId) -> Option<&Live> {
        self.state(id)?.live.as_ref()
    }

    fn live_mut(&mut self, scope: &Scope) -> Option<&mut Live> {
        let id = self.find(scope)?;
        self.state_mut(id)?.live.as_mut()
    }

    fn state(&self, id: ScopeId) -> Option<&State> {
        self.all.get(usize::try_from(id).ok()?)
    }

    fn state_mut(&mut self, id: ScopeId) -> Option<&mut State> {
        self.all.get_mut(usize::try_from(id).ok()?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_reads_behind_gets_an_older_watermark() {
        let mut marks = Marks::default();
        for n in 0..1000_u32 {
            marks.advance(u64::from(n) * 10, i64::from(n));
        }
        assert!(marks.0.len() <= MAX_MARKS);
        assert_eq!(marks.at(9_990), Some(999));
        for position in 0..9_990 {
            let exact = i64::try_from(position / 10).unwrap();
            assert!(marks.at(position).unwrap() <= exact, "{position}");
        }
        assert_eq!(marks.at(0), Some(0));
        marks.advance(10_000, 5);
        assert_eq!(marks.at(10_000), Some(999), "never back");
    }

    #[test]
    fn a_scope_that_comes_back_begins_anew() {
        let scope = Scope::new("111122223333", "us-east-1");
        let mut scopes = Scopes::default();
        assert!(scopes.open(&scope, 5, 100, Some(200)));
        assert!(!scopes.open(&scope, 9, 300, None), "it is collected");
        let id = scopes.find(&scope).unwrap();
        assert!(scopes.is_known(id, 199) && !scopes.is_known(id, 200));
        scopes.read(&scope);
        assert!(!scopes.is_known(id, 199));
        assert!(scopes.is_unbroken(id, 5) && !scopes.is_unbroken(id, 4));
        assert!(scopes.is_collected(id, 100) && !scopes.is_collected(id, 99));
        scopes.settle(&scope, 7, 150);
        assert_eq!(scopes.settled(id, 6), Some(100));
        assert_eq!(scopes.settled(id, 7), Some(150));
        scopes.close(&scope);
        assert_eq!(scopes.settled(id, 7), None);
        scopes.open(&scope, 20, 400, None);
        assert!(!scopes.is_unbroken(id, 19));
        scopes.set_back(100);
        assert_eq!(scopes.settled(id, 20), Some(300));
        scopes.forget(&HashMap::from([(id, 500)]));
        assert!(!scopes.is_collected(id, 500) && scopes.is_collected(id, 501));
    }
}
