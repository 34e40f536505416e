//! Whose turn it is.
//!
//! A ticket stands in the queue once for each claim on it, in the line of the
//! claim's class and caller, and is served at the first turn of any. So whoever
//! joins somebody else's page waits no longer than with a page of their own.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::Arc,
};

use tokio::{sync::Notify, time::Instant};

use super::{Caller, Class};

/// The most claims on a scope. A minute's patience lets 120 pages wait at two a
/// second; thirty-odd callers may share each.
pub(super) const MAX_CLAIMS: usize = 4096;

/// How far a class's turn takes it: of twelve turns while all wait, eight are
/// interactive, three a subscription's and one a backfill's. A backfill so gets
/// a page in six seconds at two a second, and a person hardly sees it.
const STRIDES: [u64; 3] = [24 / 8, 24 / 3, 24];

/// Tickets that wait, and those that will wait again.
#[derive(Debug, Default)]
pub(super) struct Queue {
    tickets: HashMap<u64, Entry>,
    lines: [Line; 3],
    /// How far the class got whose turn was last.
    passed: u64,
    next_id: u64,
    claims: usize,
}

#[derive(Debug)]
struct Entry {
    claims: Vec<(u64, Class, Caller)>,
    /// Whether it waits for a turn.
    is_waiting: bool,
    since: Instant,
    wake: Arc<Notify>,
}

/// One class: its callers in the order of their turns.
#[derive(Clone, Debug, Default)]
struct Line {
    /// How far its next turn takes it; the least of those that wait is next.
    next: u64,
    callers: VecDeque<Waiting>,
}

/// A caller of a class, and what it waits for.
#[derive(Clone, Debug)]
struct Waiting {
    caller: Caller,
    claims: VecDeque<Claimed>,
    /// The turns that it has had since it came to the front.
    had: u8,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Claimed {
    claim: u64,
    ticket: u64,
}

impl Queue {
    /// A new ticket, which waits and has no claim yet.
    pub(super) fn issue(&mut self, now: Instant) -> (u64, Arc<Notify>) {
        let wake = Arc::new(Notify::new());
        let id = self.id();
        let entry = Entry {
            claims: Vec::new(),
            is_waiting: true,
            since: now,
            wake: Arc::clone(&wake),
        };
        self.tickets.insert(id, entry);
        (id, wake)
    }

    /// Takes a ticket out, with all its claims.
    pub(super) fn withdraw(&mut self, ticket: u64) {
        self.leave_lines(ticket);
        if let Some(entry) = self.tickets.remove(&ticket) {
            self.claims -= entry.claims.len();
        }
    }

    /// A ticket waits for a turn, from `now` if it did not already.
    pub(super) fn wait(&mut self, ticket: u64, now: Instant) {
        let Some(entry) = self.tickets.get_mut(&ticket) else {
            return;
        };
        if entry.is_waiting {
            return;
        }
        entry.is_waiting = true;
        entry.since = now;
        for (claim, class, caller) in entry.claims.clone() {
            self.stand(Claimed { claim, ticket }, class, caller);
        }
    }

    /// Adds a claim; `None` if there is no such ticket, or no room.
    pub(super) fn claim(&mut self, ticket: u64, class: Class, caller: &Caller) -> Option<u64> {
        let claim = self.id();
        let entry = self.tickets.get_mut(&ticket)?;
        if self.claims >= MAX_CLAIMS {
            return None;
        }
        entry.claims.push((claim, class, caller.clone()));
        self.claims += 1;
        if entry.is_waiting {
            self.stand(Claimed { claim, ticket }, class, caller.clone());
        }
        Some(claim)
    }

    /// Drops a claim, if its ticket is there still.
    pub(super) fn disclaim(&mut self, ticket: u64, claim: u64) {
        let Some(entry) = self.tickets.get_mut(&ticket) else {
            return;
        };
        let Some(place) = entry.claims.iter().position(|(it, ..)| *it == claim) else {
            return;
        };
        let (_, class, caller) = entry.claims.remove(place);
        self.claims -= 1;
        self.line(class).leave(&caller, claim);
    }

    /// Whether a ticket waits for a turn.
    pub(super) fn is_waiting(&self, ticket: u64) -> bool {
        self.tickets
            .get(&ticket)
            .is_some_and(|entry| entry.is_waiting)
    }

    /// The ticket whose turn is next.
    pub(super) fn first(&self) -> Option<u64> {
        let (_, line) = next_line(&self.lines)?;
        let claims = &line.callers.front()?.claims;
        claims.front().map(|claimed| claimed.ticket)
    }

    /// Tells the ticket whose turn is next.
    pub(super) fn rouse(&self) {
        if let Some(entry) = self.first().and_then(|id| self.tickets.get(&id)) {
            entry.wake.notify_one();
        }
    }

    /// Serves the ticket whose turn is next. Says at which class's turn, and since when
    /// it waited.
    pub(super) fn serve(&mut self) -> Option<(Class, Instant)> {
        let ticket = self.first()?;
        let (class, _) = next_line(&self.lines)?;
        self.passed = self.line(class).take_turn(stride(class));
        self.leave_lines(ticket);
        let entry = self.tickets.get_mut(&ticket)?;
        entry.is_waiting = false;
        Some((class, entry.since))
    }

    /// How many turns there are up to the one of this ticket, if none comes
    /// and none leaves. 1: it is next.
    pub(super) fn turns(&self, ticket: u64) -> usize {
        let mut lines = self.lines.clone();
        let mut served = HashSet::new();
        while let Some((class, line)) = next_line(&lines) {
            let first = line.callers.front().and_then(|it| it.claims.front());
            let Some(&Claimed {
                ticket: first,
                claim,
            }) = first
            else {
                break;
            };
            let Some(line) = lines.get_mut(class as usize) else {
                break;
            };
            if served.contains(&first) {
                // it left the lines with its first claim
                line.leave_front(claim);
                continue;
            }
            served.insert(first);
            if first == ticket {
                break;
            }
            line.take_turn(stride(class));
        }
        served.len().max(1)
    }

    /// Tickets that wait, each in the most urgent class of its claims.
    pub(super) fn waiting(&self) -> [usize; 3] {
        let mut waiting = [0; 3];
        for entry in self.tickets.values().filter(|entry| entry.is_waiting) {
            let class = entry.claims.iter().map(|(_, class, _)| *class).min();
            if let Some(count) = class.and_then(|class| waiting.get_mut(class as usize)) {
                *count += 1;
            }
        }
        waiting
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty()
            && self.claims == 0
            && self.lines.iter().all(|line| line.callers.is_empty())
    }

    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn stand(&mut self, claimed: Claimed, class: Class, caller: Caller) {
        let passed = self.passed;
        let line = self.line(class);
        if line.callers.is_empty() {
            // who was away has saved nothing up
            line.next = line.next.max(passed + stride(class));
        }
        match line.callers.iter_mut().find(|it| it.caller == caller) {
            Some(waiting) => {
                waiting.claims.push_back(claimed);
                // its terms are those that it came with last
                waiting.caller = caller;
            }
            None => line.callers.push_back(Waiting {
                caller,
                claims: [claimed].into(),
                had: 0,
            }),
        }
    }

    fn leave_lines(&mut self, ticket: u64) {
        let Some(entry) = self.tickets.get(&ticket) else {
            return;
        };
        for (claim, class, caller) in entry.claims.clone() {
            self.line(class).leave(&caller, claim);
        }
    }

    fn line(&mut self, class: Class) -> &mut Line {
        let [interactive, subscription, backfill] = &mut self.lines;
        match class {
            Class::Interactive => interactive,
            Class::Subscription => subscription,
            Class::Backfill => backfill,
        }
    }
}

impl Line {
    /// The first caller's turn: it goes to the end once it had as many as its weight
    /// says. Says how far that takes the class.
    fn take_turn(&mut self, stride: u64) -> u64 {
        if let Some(mut first) = self.callers.pop_front() {
            first.claims.pop_front();
            first.had += 1;
            if first.claims.is_empty() {
                // who comes again stands at the end
            } else if first.had < first.caller.terms().weight {
                self.callers.push_front(first);
            } else {
                first.had = 0;
                self.callers.push_back(first);
            }
        }
        let passed = self.next;
        self.next += stride;
        passed
    }

    fn leave(&mut self, caller: &Caller, claim: u64) {
        let Some(place) = self.callers.iter().position(|it| it.caller == *caller) else {
            return;
        };
        if let Some(Waiting { claims, .. }) = self.callers.get_mut(place) {
            claims.retain(|claimed| claimed.claim != claim);
            if claims.is_empty() {
                self.callers.remove(place);
            }
        }
    }

    /// As `leave`, for the first caller's first claim.
    fn leave_front(&mut self, claim: u64) {
        if let Some(Waiting { claims, .. }) = self.callers.front_mut() {
            claims.pop_front_if(|claimed| claimed.claim == claim);
            if claims.is_empty() {
                self.callers.pop_front();
            }
        }
    }
}

/// The class whose turn is next; the more urgent of equals.
fn next_line(lines: &[Line; 3]) -> Option<(Class, &Line)> {
    Class::ALL
        .into_iter()
        .zip(lines)
        .filter(|(_, line)| !line.callers.is_empty())
        .min_by_key(|(class, line)| (line.next, *class))
}

fn stride(class: Class) -> u64 {
    let [interactive, subscription, backfill] = STRIDES;
    match class {
        Class::Interactive => interactive,
        Class::Subscription => subscription,
        Class::Backfill => backfill,
    }
}
