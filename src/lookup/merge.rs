//! One page out of what was found in many scopes.

use std::{cmp::Ordering, sync::Arc};

use super::{
    Order,
    descend::Limit,
    search::{End, Found},
};
use crate::event::{Event, Position};

/// A page, and where the next one starts.
pub(super) struct Merged {
    pub(super) events: Vec<Arc<Event>>,
    /// The next page has what comes after this; `None`: there is no more.
    pub(super) next: Option<Position>,
    /// The page ends because it has all that was asked for.
    pub(super) is_full: bool,
}

/// Merges what the scopes found. A page is only as deep as every scope that is
/// still open was searched: beyond, one of them might yet have an event. It is
/// no less deep than `after`, where it begins.
pub(super) fn merge<'f>(
    found: impl Iterator<Item = &'f Found> + Clone,
    order: Order,
    after: Option<&Position>,
    limit: Limit,
    size: fn(&Event) -> usize,
) -> Merged {
    let before = |a: &Position, b: &Position| in_order(order, a.cmp(b)).is_lt();
    let mut depth: Option<Position> = None;
    for scope in found.clone() {
        if let End::Open { at, .. } = &scope.end
            && depth.as_ref().is_none_or(|depth| before(at, depth))
        {
            depth = Some(at.clone());
        }
    }
    // a scope that got nowhere stands at the edge of the second that the page
    // before ended in
    if let (Some(at), Some(after)) = (&mut depth, after)
        && before(at, after)
    {
        at.clone_from(after);
    }
    let mut all: Vec<&Arc<Event>> = found.flat_map(|scope| &scope.events).collect();
    all.sort_by(|a, b| in_order(order, a.cmp_position(b)));
    // one record that stands in two scopes is one event: a page cut between
    // the two would lose the second
    all.dedup_by(|a, b| a.cmp_position(b).is_eq());
    if let Some(depth) = &depth {
        let known = all.partition_point(|event| in_order(order, event.cmp_to(depth)).is_le());
        all.truncate(known);
    }
    let mut bytes = 0;
    let mut is_cut = false;
    let mut events: Vec<Arc<Event>> = Vec::with_capacity(all.len().min(limit.events));
    for event in all {
        let more = size(event);
        let has_room = events.len() < limit.events && bytes + more <= limit.bytes;
        if !has_room && !events.is_empty() {
            is_cut = true;
            depth = events.last().map(|last| last.position());
            break;
        }
        bytes += more;
        events.push(Arc::clone(event));
    }
    let is_full = is_cut || events.len() >= limit.events;
    Merged {
        events,
        next: depth,
        is_full,
    }
}

/// An ascending comparison, seen in the order asked for.
fn in_order(order: Order, ascending: Ordering) -> Ordering {
    match order {
        Order::NewestFirst => ascending.reverse(),
        Order::OldestFirst => ascending,
    }
}
