//! Searching one scope downward in time: from what is held, and by walks
//! where nothing is.

use std::{sync::Arc, time::Duration};

use jiff::Timestamp;
use tokio::time::{Instant, timeout_at};

use futures_util::future::join_all;

use super::{
    Error, Stats,
    past::{PastError, PastTerms, Read},
    plan::{Keys, Known, Plan},
    search::oldest,
    walk::{Commit, NoPage, Walks, Wanting, Way},
};
use crate::{
    coverage::{Coverage, Freshness, Key, settled_before, unique},
    event::{Event, Position, TimeRange},
    filter::Filter,
    upstream::{self, Allowance, ErrorKind, FetchError},
};

/// Events and stretches that are looked at in one go, some of them more: a
/// fraction of a millisecond, if the filter is a usual one.
const AT_ONCE: usize = 1_000;

/// What every part of one question about one scope goes by.
pub(super) struct Terms<'a> {
    pub(super) coverage: &'a Coverage,
    pub(super) walks: &'a Arc<Walks>,
    pub(super) filter: &'a Filter,
    /// Whose coverage can answer.
    pub(super) keys: Keys,
    pub(super) need: Freshness,
    /// What AWS has forgotten: nothing before this is asked for.
    pub(super) forgotten_before: i64,
    /// When the chain's first page was asked for.
    pub(super) asked_at: Timestamp,
    /// When this page was asked for.
    pub(super) now: Timestamp,
    pub(super) deadline: Instant,
    pub(super) allowance: &'a Arc<Allowance>,
    /// The size of an event in an answer, in bytes.
    pub(super) size: fn(&Event) -> usize,
    /// Further pages will be asked for to the end of the window.
    pub(super) reads_all: bool,
    /// What is kept for good, if anything is that can answer.
    pub(super) past: Option<PastTerms>,
}

/// How much is wanted.
#[derive(Clone, Copy)]
pub(super) struct Limit {
    pub(super) events: usize,
    /// Reached by at least one event.
    pub(super) bytes: usize,
}

impl Limit {
    /// No limit.
    pub(super) const NONE: Self = Self {
        events: usize::MAX,
        bytes: usize::MAX,
    };
}

/// How far down to search, and for what.
#[derive(Clone, Copy)]
pub(super) struct Aim<'q> {
    /// The last second to search.
    pub(super) from: i64,
    /// Only events before this one.
    pub(super) before: Option<&'q Position>,
    /// Nothing later was searched before: an answer that counts up to now will do.
    pub(super) is_top: bool,
    pub(super) limit: Limit,
}

/// A stretch that can be searched without asking AWS.
pub(super) struct Ready {
    pub(super) range: TimeRange,
    began: Timestamp,
    /// Ascending; others outside of `range` too.
    pub(super) events: Arc<[Arc<Event>]>,
    source: Source,
}

impl Terms<'_> {
    /// What is held that has `second`: by one key that answers alone, or by one
    /// set of keys of each alternative.
    pub(super) fn held(&self, second: i64) -> Option<Ready> {
        self.ready(second, &[])
    }

    /// The same, with pages that this question has got itself.
    fn ready(&self, second: i64, got: &[Got]) -> Option<Ready> {
        let files = self.past.as_ref().filter(|past| past.takes_files());
        let files = files.map(|past| &past.found);
        let answers = |key: &Key| self.keys.whole.contains(key) || files == Some(key);
        if let Some(ready) = got_one(second, got, answers) {
            return Some(ready);
        }
        let files = files.map_or(&[][..], std::slice::from_ref);
        let held = [self.keys.whole.as_slice(), files]
            .into_iter()
            .find_map(|keys| self.coverage.held(keys, second, self.need));
        if let Some(held) = held {
            return Some(Ready {
                range: held.range,
                began: held.began,
                events: held.events,
                source: Source::Cache,
            });
        }
        let one = |key: &Key| {
            got_one(second, got, |it| it == key).or_else(|| {
                let keys = std::slice::from_ref(key);
                let held = self.coverage.held(keys, second, self.need)?;
                Some(Ready {
                    range: held.range,
                    began: held.began,
                    events: held.events,
                    source: Source::Cache,
                })
            })
        };
        let set = |set: &Vec<Key>| set.iter().map(one).collect::<Option<Vec<_>>>();
        let alternatives = self.keys.sets.iter();
        let parts: Option<Vec<_>> = alternatives
            .map(|choices| choices.iter().find_map(set))
            .collect();
        together(&parts?.into_iter().flatten().collect::<Vec<_>>())
    }

    /// What it is known to plan by.
    pub(super) fn known(&self) -> Known<'_> {
        Known {
            coverage: self.coverage,
            walks: self.walks,
            densities: self.walks.densities(),
            filter: self.filter,
            keys: &self.keys,
            need: self.need,
            past: self.past.as_ref(),
        }
    }

    /// Reads some of what is kept for good, as [`PastTerms::read`], and covers it if it is
    /// proven; `None`: the deadline came.
    pub(super) async fn read_past(
        &self,
        past: &PastTerms,
        range: TimeRange,
        downward: bool,
    ) -> Option<Read> {
        let read = timeout_at(self.deadline, past.read(range, downward)).await;
        let read = read.ok()?;
        match &read {
            Read::Page {
                key,
                commit,
                is_proven: true,
            } => {
                let Commit {
                    range,
                    began,
                    events,
                } = &**commit;
                self.coverage.insert(key, *range, *began, events);
            }
            Read::Failed(error) => {
                tracing::warn!(%error, %range, "the archive cannot be read");
            }
            Read::Page { .. } | Read::Unfit(_) => {}
        }
        Some(read)
    }

    /// The stretch around `second` that is kept for good.
    pub(super) fn kept(&self, second: i64) -> Option<TimeRange> {
        self.past.as_ref()?.kept(second)
    }
}

/// A page that a question has got itself.
#[derive(Debug)]
struct Got {
    key: Key,
    commit: Arc<Commit>,
    source: Source,
}

/// Of the pages that a question has got itself, one by such a key.
fn got_one(second: i64, got: &[Got], is_so: impl Fn(&Key) -> bool) -> Option<Ready> {
    let got = got
        .iter()
        .find(|got| got.commit.range.contains(second) && is_so(&got.key))?;
    Some(Ready {
        range: got.commit.range,
        began: got.commit.began,
        events: Arc::clone(&got.commit.events),
        source: got.source,
    })
}

/// What several keys hold together: the seconds that all of them have, with the
/// events that any of them has.
fn together(parts: &[Ready]) -> Option<Ready> {
    let range = parts
        .iter()
        .map(|part| part.range)
        .reduce(|all, next| all.intersect(&next))?;
    let began = parts.iter().map(|part| part.began).min()?;
    let is_fresh = parts.iter().any(|part| part.source == Source::Upstream);
    let events = parts
        .iter()
        .flat_map(|part| candidates(&part.events, range, None));
    Some(Ready {
        range,
        began,
        events: unique(&events.cloned().collect::<Vec<_>>()).into(),
        source: match is_fresh {
            true => Source::Upstream,
            false => Source::Cache,
        },
    })
}

/// Why a descent ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// At the end of the range.
    Floor,
    /// Below, nothing is held and AWS has forgotten.
    Forgotten,
    /// There is enough, counting what was read of an unfinished second.
    Full,
    /// The deadline came, or would come before quota.
    Deadline,
    /// The allowance is spent.
    Calls,
    /// The caller's daily allowance is spent; the next day is so far away.
    Today(Duration),
    /// AWS went on throttling: others use the quota up.
    Quota,
    /// AWS, or the way there, failed.
    Failed(Error),
}

/// Where events were when the question came to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Source {
    Cache,
    /// It is kept for good.
    Archive,
    Upstream,
}

/// A search downward, and what it has found.
pub(super) struct Descent<'a, 'b> {
    terms: &'b Terms<'a>,
    /// Everything from here up was searched.
    pub(super) at: i64,
    /// The end of what was searched, exclusive.
    pub(super) to: i64,
    /// Matching events, descending.
    pub(super) found: Vec<Arc<Event>>,
    found_bytes: usize,
    /// The limit was reached inside of a second: only what comes behind the last
    /// event found is still to be looked at.
    is_cut: bool,
    pub(super) stats: Stats,
    /// How often pages were got for it.
    pub(super) pages: i64,
    /// The earliest beginning of a walk that something was read by.
    pub(super) as_of: Option<Timestamp>,
    /// The same where what was read is not settled yet.
    pub(super) unsettled_as_of: Option<Timestamp>,
    /// Pages that were got for this search, by each key the last one: a cache
    /// that holds nothing must not stand in the way.
    got: Vec<Got>,
    /// What is kept for good of these seconds is of no use here.
    unfit: Option<TimeRange>,
    /// What is kept for good cannot be read.
    broken: Option<PastError>,
    /// Events and stretches looked at since others had a turn.
    at_once: usize,
}

impl<'a, 'b> Descent<'a, 'b> {
    pub(super) fn new(terms: &'b Terms<'a>, to: i64) -> Self {
        Self {
            terms,
            at: to,
            to,
            found: Vec::new(),
            found_bytes: 0,
            is_cut: false,
            stats: Stats::default(),
            pages: 0,
            as_of: None,
            unsettled_as_of: None,
            got: Vec::new(),
            unfit: None,
            broken: None,
            at_once: 0,
        }
    }

    /// Searches downward until the aim is reached, or cannot be.
    pub(super) async fn run(&mut self, aim: Aim<'_>) -> Stop {
        while self.at > aim.from {
            if let Some(stop) = self.run_held(aim).await {
                return stop;
            }
            if let Some(end) = self.end_of(aim) {
                return end;
            }
            // no request merely to finish a second, unless the page would be empty
            if !self.found.is_empty() && self.found.len() + self.pending() >= aim.limit.events {
                return Stop::Full;
            }
            if let Some(stop) = self.ask(aim).await {
                return stop;
            }
        }
        Stop::Floor
    }

    /// How far it got: everything from here up is known.
    pub(super) fn depth(&self) -> Position {
        let last = self.found.last().filter(|_| self.is_cut);
        last.map_or_else(|| Position::start_of(self.at), |last| last.position())
    }

    /// Whether anything was searched.
    pub(super) fn has_progressed(&self) -> bool {
        self.at < self.to
    }

    /// Why it ends here, if it does.
    pub(super) fn end_of(&self, aim: Aim<'_>) -> Option<Stop> {
        if self.at <= aim.from {
            return Some(Stop::Floor);
        }
        let is_forgotten = self.at <= self.terms.forgotten_before;
        (is_forgotten && self.kept().is_none()).then_some(Stop::Forgotten)
    }

    /// The stretch around the next second that is kept for good, if it is of use.
    fn kept(&self) -> Option<TimeRange> {
        let second = self.at - 1;
        let is_unfit = self.unfit.is_some_and(|unfit| unfit.contains(second));
        self.terms.kept(second).filter(|_| !is_unfit)
    }

    /// Takes a page that was got for it.
    pub(super) fn got(&mut self, key: Key, commit: Arc<Commit>) {
        self.get(key, commit, Source::Archive);
    }

    fn get(&mut self, key: Key, commit: Arc<Commit>, source: Source) {
        self.got.retain(|got| got.key != key);
        self.got.push(Got {
            key,
            commit,
            source,
        });
    }

    /// Reads some of what is kept for good, downward; whether the search goes on
    /// from there. `None`: nothing is of use.
    async fn read_past(&mut self, aim: Aim<'_>) -> Option<Option<Stop>> {
        let terms = self.terms;
        let (kept, past) = (self.kept()?, terms.past.as_ref()?);
        if let Some(error) = &self.broken {
            return self.without_past(error);
        }
        let range = TimeRange::new(kept.from.max(aim.from), self.at);
        let Some(read) = terms.read_past(past, range, true).await else {
            return Some(Some(Stop::Deadline));
        };
        match read {
            Read::Page { key, commit, .. } => {
                self.get(key, commit, Source::Archive);
                Some(None)
            }
            Read::Unfit(range) => {
                self.unfit = Some(range);
                None
            }
            Read::Failed(error) => {
                let stop = self.without_past(&error);
                self.broken = Some(error);
                stop
            }
        }
    }

    /// What is kept cannot be read: AWS is asked, unless it has forgotten it.
    fn without_past(&self, error: &PastError) -> Option<Option<Stop>> {
        let what = error.0.clone();
        let is_forgotten = self.at <= self.terms.forgotten_before;
        is_forgotten.then_some(Some(Stop::Failed(Error::Archive { what })))
    }

    /// Searches downward as far as is held.
    pub(super) async fn run_held(&mut self, aim: Aim<'_>) -> Option<Stop> {
        let terms = self.terms;
        // where it was cut it goes on behind what it has found
        let cut = self.is_cut.then(|| self.depth());
        if let Some(cut) = &cut {
            self.is_cut = false;
            self.at = cut.time.saturating_add(1);
        }
        let aim = Aim {
            before: cut.as_ref().or(aim.before),
            ..aim
        };
        while self.at > aim.from {
            let ready = terms.ready(self.at - 1, &self.got)?;
            if self.take(&ready, aim) {
                return Some(Stop::Full);
            }
            // a long descent through the cache leaves room for others
            self.at_once += 1 + ready.events.len();
            if self.at_once >= AT_ONCE {
                self.at_once = 0;
                tokio::task::yield_now().await;
            }
            if self.at > aim.from && Instant::now() >= terms.deadline {
                return Some(Stop::Deadline);
            }
        }
        None
    }

    /// How many matching events were read of the second that is next, which is
    /// not finished.
    pub(super) fn pending(&self) -> usize {
        let pending = self.terms.walks.pending(&self.terms.keys.all(), self.at);
        // a caller's filter may take its time: not under a lock
        let matching = pending
            .iter()
            .filter(|event| self.terms.filter.matches(event));
        matching.count()
    }

    /// Gets the next pages of what is missing.
    pub(super) async fn ask(&mut self, aim: Aim<'_>) -> Option<Stop> {
        if let Some(read) = self.read_past(aim).await {
            return read;
        }
        if let Some(end) = self.end_of(aim) {
            return Some(end);
        }
        let terms = self.terms;
        let range = TimeRange::new(aim.from.max(terms.forgotten_before), self.at);
        let wanted = aim.limit.events.saturating_sub(self.found.len());
        let wanted = (aim.limit.events < usize::MAX).then_some(wanted);
        let plan = Plan::make(terms.known(), range, wanted);
        let missing: Vec<Key> = plan.keys.into_iter().filter(|key| !self.has(key)).collect();
        let asked = missing.iter().map(|key| self.ask_by(key, aim));
        let pages = join_all(asked).await;
        let mut stop = None;
        self.pages += i64::from(pages.iter().any(|page| matches!(page, Asked::Page(_))));
        for (key, page) in missing.into_iter().zip(pages) {
            match page {
                Asked::Page(commit) => self.get(key, commit, Source::Upstream),
                Asked::Present(present) => {
                    self.at = self.at.min(present);
                    self.to = self.to.min(present);
                }
                Asked::Again => {}
                Asked::Stop(why) => stop = stop.or(Some(why)),
            }
        }
        stop
    }

    /// Whether the next second is there by this key.
    fn has(&self, key: &Key) -> bool {
        let second = self.at - 1;
        let keys = std::slice::from_ref(key);
        got_one(second, &self.got, |it| it == key).is_some()
            || self
                .terms
                .coverage
                .held(keys, second, self.terms.need)
                .is_some()
    }

    /// Gets the next page by one key.
    async fn ask_by(&self, key: &Key, aim: Aim<'_>) -> Asked {
        let terms = self.terms;
        let keys = terms.keys.beside(key);
        let is_top = aim.is_top && self.at == self.to;
        // what a later page reads for the first time up to the first page's
        // present counts as read then
        let is_present = is_top && self.at > terms.asked_at.as_second();
        let wanting = Wanting {
            key,
            keys: &keys,
            at: self.at,
            need: terms.need,
            began: if is_present {
                terms.asked_at
            } else {
                terms.now
            },
            is_top,
        };
        let floor = || {
            let below = terms.coverage.below(&keys, self.at - 1, terms.need);
            let kept = terms.past.as_ref().and_then(|past| past.below(self.at - 1));
            let kept = kept.filter(|_| self.unfit.is_none() && self.broken.is_none());
            let reachable = aim.from.max(terms.forgotten_before);
            reachable.max(below.max(kept).unwrap_or(i64::MIN))
        };
        let (walk, floor) = match terms.walks.join(&wanting, floor) {
            Way::Walk { walk, floor } => (walk, floor),
            Way::Held => return Asked::Again,
            Way::Present(present) => return Asked::Present(present),
        };
        let page = walk.advance(terms.walks, floor, terms.allowance, terms.deadline);
        match timeout_at(terms.deadline, page).await {
            Err(_) | Ok(Err(NoPage::TooLate)) => Asked::Stop(Stop::Deadline),
            Ok(Ok(commit)) => Asked::Page(commit),
            Ok(Err(NoPage::Fetch(FetchError::AllowanceSpent))) if terms.allowance.is_spent() => {
                let today = terms.allowance.spent_today();
                Asked::Stop(today.map_or(Stop::Calls, Stop::Today))
            }
            // those were another's: with an allowance of one's own it goes on
            Ok(Err(NoPage::Fetch(FetchError::AllowanceSpent | FetchError::Abandoned))) => {
                Asked::Again
            }
            // the error of a later page: one's own came before
            Ok(Err(NoPage::Fetch(FetchError::Upstream(_)))) if walk.has_passed(floor) => {
                Asked::Again
            }
            Ok(Err(NoPage::Fetch(FetchError::Upstream(error)))) => Asked::Stop(stop_for(error)),
        }
    }

    /// Takes the matching events from here down to `from`, and goes there. Says
    /// whether the limit is reached; then the last event found is as far as the
    /// search got.
    fn take(&mut self, ready: &Ready, aim: Aim<'_>) -> bool {
        let from = ready.range.from.max(aim.from);
        let began = Some(ready.began);
        self.as_of = oldest(self.as_of, began);
        if self.at > settled_before(ready.began, self.terms.coverage.horizon()) {
            self.unsettled_as_of = oldest(self.unsettled_as_of, began);
        }
        let (range, limit) = (TimeRange::new(from, self.at), aim.limit);
        for event in candidates(&ready.events, range, aim.before).iter().rev() {
            self.stats.events_scanned += 1;
            self.stats.events_from_cache += u64::from(ready.source == Source::Cache);
            self.stats.events_from_archive += u64::from(ready.source == Source::Archive);
            if self.terms.filter.matches(event) {
                self.stats.events_matched += 1;
                self.found_bytes += (self.terms.size)(event);
                self.found.push(Arc::clone(event));
                if self.found.len() >= limit.events || self.found_bytes >= limit.bytes {
                    self.at = event.time;
                    self.is_cut = true;
                    return true;
                }
            }
        }
        self.at = from;
        false
    }
}

/// What came of asking.
enum Asked {
    Page(Arc<Commit>),
    /// What ends here counts up to now.
    Present(i64),
    /// Look again: it is there, or another way is open.
    Again,
    Stop(Stop),
}

/// The events of `range` that come before a position, of an ascending list.
fn candidates<'e>(
    events: &'e [Arc<Event>],
    range: TimeRange,
    before: Option<&Position>,
) -> &'e [Arc<Event>] {
    let from = events.partition_point(|event| event.time < range.from);
    let to = events.partition_point(|event| {
        event.time < range.to && before.is_none_or(|before| event.cmp_to(before).is_lt())
    });
    events.get(from..to).unwrap_or_default()
}

fn stop_for(error: upstream::Error) -> Stop {
    match error.kind {
        ErrorKind::Throttled => Stop::Quota,
        _ => Stop::Failed(error.into()),
    }
}
