//! What is kept for good: history that needs no request, and that AWS may have
//! forgotten.

use std::{fmt, pin::Pin, sync::Arc, time::Duration};

use jiff::{SignedDuration, Timestamp};

use super::walk::Commit;
use crate::{
    coverage::Key,
    event::{Category, Event, Origin, Scope, TimeRange},
    filter::Filter,
};

/// A part of what is kept.
#[derive(Clone, Debug)]
pub struct PastPage {
    /// The seconds that it has wholly: at the end of what was asked for, or at its
    /// start.
    pub range: TimeRange,
    /// Their events of every category, ascending.
    pub events: Vec<Arc<Event>>,
}

/// What is kept cannot be read, in words that callers may see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PastError(pub String);

/// What reading gives.
pub type Reading<'a> = Pin<Box<dyn Future<Output = Result<PastPage, PastError>> + Send + 'a>>;

/// What is kept for good of scopes' histories.
pub trait Past: fmt::Debug + Send + Sync {
    /// The stretch around `second` in which all management events are kept that AWS
    /// told, or will tell.
    fn complete(&self, scope: &Scope, second: i64) -> Option<TimeRange>;

    /// The stretch around `second` of which events are kept, and nothing proves that
    /// they are all: log files that somebody loaded. It may end behind the last event.
    fn loaded(&self, scope: &Scope, second: i64) -> Option<TimeRange>;

    /// The end of the nearest complete stretch below `second`.
    fn below(&self, scope: &Scope, second: i64) -> Option<i64>;

    /// Reads some of a stretch that is not empty and kept: from its end downward, or
    /// from its start upward. It has at least one whole second.
    fn read<'a>(&'a self, scope: &'a Scope, range: TimeRange, downward: bool) -> Reading<'a>;
}

/// What one question may use of it.
#[derive(Clone, Debug)]
pub(super) struct PastTerms {
    past: Arc<dyn Past>,
    /// As coverage, where `LookupEvents` told all of it.
    told: Key,
    /// As coverage, where log files did.
    pub(super) found: Key,
    /// The question is about what log files lack.
    needs_told: bool,
    horizon: Duration,
    /// AWS has forgotten what was before this second: what is kept of that will do, be
    /// it proven or not.
    forgotten_before: i64,
}

/// What came of reading.
#[derive(Debug)]
pub(super) enum Read {
    /// A page, and whose coverage it is.
    Page {
        key: Key,
        commit: Arc<Commit>,
        /// It is proven to be whole: it may be covered from now on. What was loaded may
        /// become more at any time.
        is_proven: bool,
    },
    /// Log files told some of it, which lack what the question is about.
    Unfit(TimeRange),
    /// It cannot be read.
    Failed(PastError),
}

impl PastTerms {
    /// For a question about a scope; `None`: it is about events that are not known to
    /// be complete.
    pub(super) fn new(
        past: &Arc<dyn Past>,
        scope: &Scope,
        category: Category,
        filter: &Filter,
        horizon: Duration,
        forgotten_before: i64,
    ) -> Option<Self> {
        let key = |origin| Key {
            scope: scope.clone(),
            category,
            pushdown: None,
            origin,
        };
        (category == Category::Management).then(|| Self {
            past: Arc::clone(past),
            told: key(Origin::LookupEvents),
            found: key(Origin::LogFile),
            needs_told: filter.needs_derived(),
            horizon,
            forgotten_before,
        })
    }

    /// Whether coverage of log files answers the question.
    pub(super) fn takes_files(&self) -> bool {
        !self.needs_told
    }

    /// The stretch around `second` that may be used.
    pub(super) fn kept(&self, second: i64) -> Option<TimeRange> {
        let scope = &self.told.scope;
        if let Some(complete) = self.past.complete(scope, second) {
            return Some(complete);
        }
        if second >= self.forgotten_before {
            return None;
        }
        let loaded = self.past.loaded(scope, second)?;
        let below = self.past.below(scope, second).unwrap_or(i64::MIN);
        Some(loaded.intersect(&TimeRange::new(below, self.forgotten_before)))
    }

    /// Of what was searched, what is before this second is not proven.
    pub(super) fn unproven_before(&self, searched: TimeRange) -> Option<i64> {
        let mut at = searched.to.min(self.forgotten_before);
        while at > searched.from {
            match self.past.complete(&self.told.scope, at - 1) {
                Some(complete) => at = complete.from,
                None => return Some(at),
            }
        }
        None
    }

    /// Whether what is kept of the seconds before this one is of no use, since log
    /// files lack what the question is about.
    pub(super) fn lacks_before(&self, second: i64) -> bool {
        let before = second.checked_sub(1);
        self.needs_told && before.is_some_and(|before| self.kept(before).is_some())
    }

    pub(super) fn below(&self, second: i64) -> Option<i64> {
        self.past.below(&self.told.scope, second)
    }

    /// How many seconds of a stretch are not kept, or perhaps of no use.
    pub(super) fn missing(&self, range: TimeRange) -> i64 {
        let (mut missing, mut at) = (0, range.to);
        while at > range.from {
            match self.kept(at - 1) {
                Some(kept) if self.takes_files() => at = kept.from.max(range.from),
                _ => {
                    let below = self.below(at - 1).filter(|_| self.takes_files());
                    let next = below.map_or(range.from, |below| below.max(range.from));
                    missing += at - next;
                    at = next;
                }
            }
        }
        missing
    }

    pub(super) async fn read(&self, range: TimeRange, downward: bool) -> Read {
        // the page has it, however short it is
        let nearest = match downward {
            true => range.to.saturating_sub(1),
            false => range.from,
        };
        let complete = || self.past.complete(&self.told.scope, nearest);
        // of the version that is read, not of one that comes meanwhile
        let before = complete();
        let page = match self.past.read(&self.told.scope, range, downward).await {
            Ok(page) => page,
            Err(error) => return Read::Failed(error),
        };
        let PastPage { range, mut events } = page;
        // what LookupEvents does not tell is no part of the history that is asked for
        events.retain(|event| is_management(event));
        let is_told = events.iter().all(|it| it.origin() == Origin::LookupEvents);
        if self.needs_told && !is_told {
            return Read::Unfit(range);
        }
        let key = match is_told {
            true => self.told.clone(),
            false => self.found.clone(),
        };
        // it is settled: told by what began a horizon after it, or later
        let began = Timestamp::from_second(range.to).unwrap_or(Timestamp::MAX);
        let horizon = SignedDuration::try_from(self.horizon).unwrap_or(SignedDuration::MAX);
        let began = began.saturating_add(horizon).unwrap_or(Timestamp::MAX);
        let covers =
            |it: Option<TimeRange>| it.is_some_and(|it| it.from <= range.from && range.to <= it.to);
        Read::Page {
            key,
            // it may have been taken back as well
            is_proven: covers(before) && covers(complete()),
            commit: Arc::new(Commit {
                range,
                began,
                events: events.into(),
            }),
        }
    }
}

/// Whether it is one of those that `LookupEvents` tells of if nothing is said. Old
/// records name no category.
fn is_management(event: &Event) -> bool {
    event
        .category()
        .is_none_or(|category| category == "Management")
}
