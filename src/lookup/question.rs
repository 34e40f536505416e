//! What is asked.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::Instant;

use super::{
    descend::Limit,
    plan::Pushdowns,
    search::{Found, top},
};
use crate::{
    budget::{Caller, Class},
    event::{Category, Event, Position, Scope, TimeRange},
    filter::Filter,
};

/// The order of a page.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Order {
    /// Descending by [`Event::position`].
    #[default]
    NewestFirst,
    /// Ascending.
    OldestFirst,
}

/// What the pages of a chain say of a scope so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SoFar {
    /// By how many seconds the search began short of the window's near end: its
    /// answer for the recent past was older, or AWS had forgotten.
    pub short_by: i64,
    /// By how many seconds the oldest reading that was told from is older than
    /// the chain, rounded up.
    pub older_by: i64,
    /// The same of what was not settled; `None`: all was.
    pub unsettled_by: Option<i64>,
}

/// One question for one page.
#[derive(Clone, Debug)]
pub struct Question {
    /// Who asks: callers take turns.
    pub caller: Caller,
    /// How urgent it is.
    pub class: Class,
    /// What events must look like.
    pub filter: Arc<Filter>,
    /// The scopes to search, each once.
    pub scopes: Arc<[Scope]>,
    /// The kind of events.
    pub category: Category,
    /// The seconds to search.
    pub window: TimeRange,
    /// When the first page of the chain was asked for: freshness counts from
    /// there.
    pub asked_at: Timestamp,
    /// When this page was asked for: walks that it begins count from there, but
    /// those from the first page's present down.
    pub now: Timestamp,
    /// The order of the page.
    pub order: Order,
    /// What the page comes after; `None`: the first page.
    pub after: Option<Position>,
    /// What the pages before say of each scope. Empty on the first page.
    pub so_far: Vec<SoFar>,
    /// Scopes that failed on an earlier page, by their place in `scopes`, which
    /// ascends, and why.
    pub failed: Vec<(usize, String)>,
    /// The most events on the page; at least 1.
    pub page_events: usize,
    /// The most bytes on the page, unless a single event has more.
    pub page_bytes: usize,
    /// The bytes that an event takes on the page.
    pub size: fn(&Event) -> usize,
    /// Whether the pages that follow will be asked for to the end of the window:
    /// then stretches that are missing are walked side by side.
    pub reads_all: bool,
    /// How old the answer for what is not settled may be.
    pub max_staleness: Duration,
    /// The most requests to buy.
    pub max_upstream_calls: u64,
    /// When the page must be answered, with what there is.
    pub deadline: Instant,
}

impl Question {
    /// Who asks for all events of these seconds of these scopes, newest first, as AWS
    /// tells them `now`. One event a page, and no requests, unless that is set.
    #[must_use]
    pub fn new(
        caller: Caller,
        class: Class,
        scopes: Arc<[Scope]>,
        window: TimeRange,
        now: Timestamp,
    ) -> Self {
        Self {
            caller,
            class,
            filter: Arc::new(Filter::everything()),
            scopes,
            category: Category::Management,
            window,
            asked_at: now,
            now,
            order: Order::NewestFirst,
            after: None,
            so_far: Vec::new(),
            failed: Vec::new(),
            page_events: 1,
            page_bytes: usize::MAX,
            size: Event::weight,
            reads_all: false,
            max_staleness: Duration::ZERO,
            max_upstream_calls: 0,
            deadline: Instant::now(),
        }
    }

    pub(super) fn limit(&self) -> Limit {
        Limit {
            events: self.page_events.max(1),
            bytes: self.page_bytes,
        }
    }

    /// What the pages before say of a scope.
    pub(super) fn so_far(&self, place: usize) -> SoFar {
        self.so_far.get(place).copied().unwrap_or_default()
    }

    /// When AWS was asked for the oldest of what this page, which read it at
    /// `read`, and those before it tell of a scope.
    pub(super) fn as_of(&self, place: usize, read: Option<Timestamp>) -> Timestamp {
        let read = read.unwrap_or(self.now);
        if self.after.is_none() {
            return read;
        }
        read.min(self.before(self.so_far(place).older_by))
    }

    /// The same of what is not settled; `None`: all is.
    pub(super) fn unsettled_as_of(
        &self,
        place: usize,
        read: Option<Timestamp>,
    ) -> Option<Timestamp> {
        let before = self.so_far(place).unsettled_by.map(|by| self.before(by));
        read.into_iter().chain(before).min()
    }

    fn before(&self, seconds: i64) -> Timestamp {
        // seconds of a token that was made by hand may be anything
        let by = Duration::from_secs(seconds.max(0).unsigned_abs());
        self.asked_at.saturating_sub(by).unwrap_or(Timestamp::MIN)
    }

    /// By how many seconds a reading is older than the chain, rounded up.
    pub(super) fn older_by(&self, read: Timestamp) -> i64 {
        let by = self.asked_at.duration_since(read);
        by.as_secs() + i64::from(by.subsec_nanos() > 0)
    }

    /// What it may be asked by.
    pub(super) fn pushdowns(&self) -> Pushdowns {
        Pushdowns::of(&self.filter, self.category)
    }

    /// The window as the pages before have left it for a scope: newest first, it
    /// begins where their answer did.
    pub(super) fn window_of(&self, place: usize) -> TimeRange {
        let short_by = self.so_far(place).short_by.max(0);
        let TimeRange { from, to } = self.window;
        match self.order {
            Order::NewestFirst => TimeRange::new(from, to.saturating_sub(short_by)),
            Order::OldestFirst => self.window,
        }
    }

    /// Where the search of a scope begins, newest first, and whether that is the
    /// window's end.
    pub(super) fn top_of(&self, place: usize) -> (i64, bool) {
        top(self.window_of(place), self.after.as_ref())
    }

    /// Why a scope failed on an earlier page, if it did.
    pub(super) fn failure(&self, place: usize) -> Option<&str> {
        let found = self
            .failed
            .binary_search_by_key(&place, |(place, _)| *place);
        let (_, why) = self.failed.get(found.ok()?)?;
        Some(why)
    }

    /// The scopes that did not fail before, with their places.
    pub(super) fn searched_scopes(&self) -> impl Iterator<Item = (usize, &Scope)> {
        self.scopes
            .iter()
            .enumerate()
            .filter(|(place, _)| self.failure(*place).is_none())
    }

    /// The seconds of a scope that this page and those before it speak of.
    pub(super) fn searched(
        &self,
        place: usize,
        found: &Found,
        next: Option<&Position>,
    ) -> TimeRange {
        let TimeRange { mut from, mut to } = found.searched;
        let short_by = self.so_far(place).short_by;
        let is_first = self.after.is_none();
        match self.order {
            Order::NewestFirst => {
                let top = self.window_of(place).to;
                if self
                    .after
                    .as_ref()
                    .is_some_and(|after| after.seconds_before() < top)
                {
                    to = top;
                }
                if let Some(next) = next {
                    from = from.max(next.time);
                }
            }
            Order::OldestFirst => {
                if !is_first && !found.has_hole {
                    from = self.window.from.saturating_add(short_by);
                }
                if let Some(next) = next {
                    to = to.min(next.seconds_before());
                }
            }
        }
        TimeRange::new(from, to)
    }

    /// Whether the window starts clearly before what was searched: a minute is
    /// what passes between asking for "the last 90 days" and searching them.
    pub(super) fn starts_before(&self, searched: TimeRange) -> bool {
        const A_MINUTE: i64 = 60;
        !self.window.is_empty() && self.window.from.saturating_add(A_MINUTE) < searched.from
    }

    /// By how many seconds `searched` begins short of the window's near end.
    pub(super) fn shortage(&self, searched: TimeRange) -> i64 {
        let short_by = match self.order {
            Order::NewestFirst => self.window.to.saturating_sub(searched.to),
            Order::OldestFirst => searched.from.saturating_sub(self.window.from),
        };
        short_by.max(0)
    }
}
