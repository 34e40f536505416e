//! A subscription: a position in the log, and what history it has to read first.

mod away;
mod read;
mod start;

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::future::OptionFuture;
use tokio::{
    select,
    sync::watch,
    time::{Instant, sleep_until},
};

use self::read::Read;
use super::{
    Feed, Gap, GapReason, Position, ResumeToken, Selection, batches,
    group::Group,
    missed::{Away, Missed, News},
    pace::Reader,
    replay::{Asking, Replay},
    scopes::ScopeId,
    token::{self, Mark, Reading, Way},
};
use crate::{
    budget::Caller,
    event::{self, Event, Scope, TimeRange},
    filter::Filter,
    lookup::Lookup,
    proto::Ready,
    upstream::Scopes,
};

/// What a subscription is made to be like.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Who subscribes.
    pub caller: Caller,
    /// What events must look like.
    pub filter: Arc<Filter>,
    /// Whose events.
    pub selection: Selection,
    /// What the request was, for resume tokens.
    pub digest: [u8; 16],
    /// What it was and what of it is told, for whoever is told the same.
    pub told_digest: [u8; 16],
    /// The most events in a batch; at least 1.
    pub max_events: usize,
    /// The most bytes in a batch, unless a single event has more.
    pub max_bytes: usize,
    /// The bytes that an event takes in a batch.
    pub size: fn(&Event) -> usize,
    /// Whether events are told with their records.
    pub with_record: bool,
    /// How long a batch may be held back to fill.
    pub max_wait: Duration,
    /// How often progress is told.
    pub progress_interval: Duration,
}

/// Where a subscription begins.
#[derive(Clone, Debug)]
pub enum Start {
    /// With what arrives from now on.
    Now,
    /// With what happened from this second on.
    Time(i64),
    /// Where another one stood.
    Token(Box<ResumeToken>),
}

/// Why a subscription cannot begin there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum StartError {
    /// The token is older than what AWS keeps.
    #[error(
        "this resume token was made {} days ago, before what CloudTrail keeps; begin with \
         start_time, or from now",
        age / 86_400
    )]
    Expired {
        /// Its age in seconds.
        age: i64,
    },
}

/// What a subscription tells.
#[derive(Clone, Debug)]
pub enum Item {
    /// Events.
    Batch(Batch),
    /// How far each scope is.
    Progress(Vec<Standing>),
    /// What cannot be delivered.
    Gap(Gap),
}

/// Events that are told together.
#[derive(Clone, Debug)]
pub struct Batch {
    /// At least one.
    pub events: Arc<[Arc<Event>]>,
    /// Some of them may have been told by another process.
    pub may_repeat: bool,
    /// The response, once one of those has made it who are told the same; the next
    /// one's resume token is as good. `None`: nobody else is.
    pub ready: Option<Arc<OnceLock<Ready>>>,
}

/// How far a scope is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    /// Which one.
    pub scope: Scope,
    /// Everything before this second was told.
    pub settled: i64,
    /// History is being read up to there.
    pub is_replayed: bool,
}

/// Scopes whose files or history were read: some of what is in them the log tells.
#[derive(Debug)]
struct Held {
    /// Once all before this position is read,
    to: Position,
    /// these scopes are further than these seconds.
    from: BTreeMap<Scope, i64>,
}

/// What was in the log before a subscription came, and is told already.
#[derive(Debug)]
struct Before {
    /// Up to this position, exclusive,
    until: Position,
    /// nothing before these seconds is told.
    seconds: HashMap<ScopeId, i64>,
}

/// See the module. Dropping it is all that ends it.
#[derive(Debug)]
pub struct Subscription {
    feed: Arc<Feed>,
    scopes: Scopes,
    settings: Settings,
    asking: Asking,
    group: Arc<Group>,
    /// Which scopes are followed, as far as that was looked up.
    wanted: Vec<Option<bool>>,
    position: Position,
    /// Where those see it who bring much.
    reader: Reader,
    begun: Position,
    /// When it began, in seconds.
    created: i64,
    /// Everything before it was told, where nothing else is known of a scope.
    floor: i64,
    since: Option<i64>,
    /// Of what may have been there before its scope was collected, that from this
    /// second on is told.
    known_since: Option<i64>,
    repeats_to: Option<i64>,
    told: Option<Before>,
    /// By scope, as the token said: everything before was told.
    told_before: HashMap<Scope, i64>,
    replay: Replay,
    /// What was missed while it was away, read of log files.
    missed: Option<Missed>,
    /// It is the log's turn, after events of files.
    is_logs_turn: bool,
    held: Option<Held>,
    gaps: VecDeque<Gap>,
    /// Where it stood before it had gaps to tell that are not all told.
    before_gaps: Option<ResumeToken>,
    /// Gaps before this position were told.
    gaps_to: Position,
    /// Scopes that it knows to be collected only since it began, and since when.
    noted: HashSet<(ScopeId, Position)>,
    /// How often scopes had been begun to be collected when it looked.
    opened: u64,
    news: watch::Receiver<Position>,
    progress_at: Instant,
    /// A batch that is not full goes out then.
    batch_at: Option<Instant>,
    _count: Count,
    replays: Option<Count>,
}

/// Counts as long as it is there.
#[derive(Debug)]
struct Count(Arc<AtomicU64>);

impl Count {
    fn new(count: &Arc<AtomicU64>) -> Self {
        count.fetch_add(1, Relaxed);
        Self(Arc::clone(count))
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl Subscription {
    /// A subscription to what `feed` has. Its scopes must be collected already, of
    /// those that are.
    ///
    /// # Errors
    /// If it cannot begin there.
    pub fn new(
        feed: Arc<Feed>,
        lookup: Arc<Lookup>,
        scopes: Scopes,
        settings: Settings,
        start: Start,
    ) -> Result<Self, StartError> {
        let now = feed.clock.now_secs();
        let (first, head, opened) = {
            let state = feed.lock();
            let opened = state.scopes.opened();
            (state.log.first(), state.log.head(), opened)
        };
        let asking = Asking {
            lookup,
            filter: Arc::clone(&settings.filter),
            caller: settings.caller.clone(),
            pages: Arc::clone(&feed.pages),
            page_events: settings.max_events.max(1),
            page_bytes: settings.max_bytes,
            size: settings.size,
        };
        let mut subscription = Self {
            group: feed.groups.join(&settings.filter),
            wanted: Vec::new(),
            position: head,
            reader: feed.readers.join(head),
            begun: head,
            created: now,
            floor: feed.floor(now),
            since: None,
            known_since: None,
            repeats_to: None,
            told: None,
            told_before: HashMap::new(),
            replay: Replay::default(),
            missed: None,
            is_logs_turn: false,
            held: None,
            gaps: VecDeque::new(),
            before_gaps: None,
            gaps_to: head,
            noted: HashSet::new(),
            opened,
            news: feed.head.subscribe(),
            progress_at: Instant::now(),
            batch_at: None,
            _count: Count::new(&feed.subscriptions),
            replays: None,
            feed,
            scopes,
            settings,
            asking,
        };
        match start {
            Start::Now => {}
            Start::Time(from) => subscription.replay_from(from, first),
            Start::Token(token) => {
                let token = token.within(&subscription.settings.selection);
                match token.log == subscription.feed.id {
                    true => subscription.resume(&token, first, head),
                    false => subscription.resume_elsewhere(&token, first, head)?,
                }
            }
        }
        Ok(subscription)
    }

    /// What comes next. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Item {
        loop {
            // what was told before was taken
            self.reader.stands(self.position);
            if let Some(gap) = self.next_gap() {
                return Item::Gap(gap);
            }
            if self.progress_at <= Instant::now() {
                return self.progress();
            }
            self.news.borrow_and_update();
            let is_live = !self.replay.comes_first();
            self.count_replay();
            self.held.take_if(|held| self.position >= held.to);
            if !self.is_logs_turn
                && let Some(batch) = self.read_missed()
            {
                self.is_logs_turn = true;
                return Item::Batch(batch);
            }
            self.is_logs_turn = false;
            if !self.gaps.is_empty() {
                continue;
            }
            if is_live {
                match self.read() {
                    Read::Item(item) => return item,
                    Read::More => {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    Read::Nothing => {}
                }
            }
            if !self.gaps.is_empty() {
                continue;
            }
            self.reader.stands(self.position);
            let batch_at: OptionFuture<_> =
                self.batch_at.filter(|_| is_live).map(sleep_until).into();
            let again_at: OptionFuture<_> = self.replay.again_at().map(sleep_until).into();
            let dropped_at = self.feed.lock().log.dropped_at();
            let selection = &self.settings.selection;
            let missed: OptionFuture<_> = self
                .missed
                .as_mut()
                .map(|missed| missed.next(|scope| selection.has(scope)))
                .into();
            let mut news = None;
            let told = select! {
                biased;
                told = self.replay.next(&self.asking, dropped_at) => Some(told),
                Some(found) = missed => {
                    news = Some(found);
                    None
                }
                // the feed outlives its subscriptions
                _ = self.news.changed(), if is_live => None,
                () = sleep_until(self.progress_at) => None,
                Some(()) = batch_at => None,
                Some(()) = again_at => None,
            };
            if let Some(news) = news {
                self.hear(news);
            }
            if let Some(batch) = told.and_then(|told| self.sift(told)) {
                return Item::Batch(batch);
            }
        }
    }

    /// What is told last where it is ended from outside: gaps that were found, one
    /// each time, and then how far it is.
    pub fn last(&mut self) -> Item {
        match self.next_gap() {
            Some(gap) => Item::Gap(gap),
            None => self.progress(),
        }
    }

    fn next_gap(&mut self) -> Option<Gap> {
        let gap = self.gaps.pop_front()?;
        self.before_gaps.take_if(|_| self.gaps.is_empty());
        self.feed.gaps_told.note(gap.reason);
        Some(gap)
    }

    fn progress(&mut self) -> Item {
        self.progress_at = Instant::now() + self.settings.progress_interval;
        let mut standing = self.standing();
        self.forget_beginning(&standing);
        // no further than the token says: who comes back may be told it again
        self.token_of(&standing).round(&mut standing);
        Item::Progress(standing)
    }

    /// Where it stands: resumes it behind the item that was told last.
    #[must_use]
    pub fn token(&self) -> ResumeToken {
        if let Some(before) = &self.before_gaps {
            return before.clone();
        }
        self.token_of(&self.standing())
    }

    fn token_of(&self, standing: &[Standing]) -> ResumeToken {
        let now = self.feed.clock.now_secs();
        let exact = self.replay.exact();
        let reading = exact.or(self.replay.stands()).map(|after| {
            let todo = || self.replay.all().map(|(_, todo)| todo);
            let with_later = || todo().chain(self.replay.later());
            let positions = || with_later().flat_map(|todo| todo.positions.iter().copied());
            Reading {
                from: positions().map(|(from, _)| from).min().unwrap_or_default(),
                to: positions().map(|(_, to)| to).max().unwrap_or_default(),
                is_behind: todo().all(|todo| todo.is_behind),
                after: after.clone(),
            }
        });
        let mut is_exact =
            !self.replay.is_tangled() && !self.missed.as_ref().is_some_and(Missed::is_tangled);
        let away = self.missed.as_ref().map(Missed::left);
        let is_missed = |scope: &Scope| {
            away.as_ref()
                .is_some_and(|away| away.from.contains_key(scope))
        };
        let in_log = exact.map(|_| self.settled_in_log()).unwrap_or_default();
        // what history leaves to the log is told by this process alone
        let is_owed = |scope: &Scope, after: &event::Position| {
            let is_there =
                |second: Option<&i64>| second.is_some_and(|second| *second <= after.time);
            let held = self.held.as_ref().and_then(|held| held.from.get(scope));
            is_there(in_log.get(scope)) || is_there(held)
        };
        let marks: Vec<Mark> = standing
            .iter()
            .map(|standing| Mark {
                way: match self.replay.after(&standing.scope) {
                    None => Way::Live,
                    Some(after) if Some(after) == exact => match is_owed(&standing.scope, after) {
                        true => Way::ExactHere,
                        false => Way::Exact,
                    },
                    Some(after) => {
                        is_exact &= *after == event::Position::start_of(after.time);
                        Way::History(after.time)
                    }
                },
                settled: standing.settled,
                is_missed: is_missed(&standing.scope),
                scope: standing.scope.clone(),
            })
            .collect();
        ResumeToken {
            digest: self.settings.digest,
            log: self.feed.id,
            position: self.position,
            // behind it, it is no matter when it began
            begun: self.begun.max(self.position),
            issued: now,
            since: self.since,
            known_since: self.known_since,
            told_until: self.told.as_ref().map(|told| told.until),
            // what cannot be said exactly may be told again
            repeats_to: match is_exact {
                true => self.repeats_to,
                false => self.repeats_to.max(Some(now)),
            },
            settled: marks
                .iter()
                .map(|mark| mark.settled)
                .min()
                .unwrap_or(self.floor),
            marks,
            reading,
            missed: away.map(|away| token::Missed {
                others_from: away.others_from,
                until: away.until,
                before: away.before,
                told_to: away.told_to,
                first: away.first,
            }),
            held_to: self.held.as_ref().map(|held| held.to),
        }
    }

    /// Whoever has this too is told the same; `None`: it is told by itself.
    fn alike(&self) -> Option<batches::Key> {
        let is_plain = self.replay.is_over()
            && self.missed.is_none()
            && self.held.is_none()
            && self.known_since.is_none()
            && self.repeats_to.is_none()
            && self.position >= self.begun;
        is_plain.then_some(batches::Key {
            digest: self.settings.told_digest,
            since: self.since,
            with_record: self.settings.with_record,
            from: self.position,
            most: (self.settings.max_events, self.settings.max_bytes),
            max_wait: self.settings.max_wait,
        })
    }

    /// All that the log has before this position was told, or is told from history.
    #[must_use]
    pub fn position(&self) -> Position {
        self.position
    }

    /// Whether something may come that another process has told.
    #[must_use]
    pub fn may_repeat(&self) -> bool {
        self.repeats_to.is_some()
    }

    /// Once all is settled that it began with, how it began is no matter.
    fn forget_beginning(&mut self, standing: &[Standing]) {
        let is_over = self.replay.is_over() && self.missed.is_none() && self.position >= self.begun;
        let has_passed = |standing: &Standing| standing.settled > self.created;
        // what it is told for how it began, it has read
        let is_over = is_over && self.position >= self.feed.lock().log.head();
        if is_over && !standing.is_empty() && standing.iter().all(has_passed) {
            self.known_since = None;
            self.repeats_to = None;
            self.told = None;
            self.told_before = HashMap::new();
        }
    }

    /// Of each scope that is collected, what the log has to tell happened from this
    /// second on.
    fn settled_in_log(&self) -> BTreeMap<Scope, i64> {
        let selection = &self.settings.selection;
        let state = self.feed.lock();
        let live = state.scopes.live();
        live.filter(|(_, scope)| selection.has(scope))
            .map(|(id, scope)| {
                // one that began anew says nothing of what is to be read of it still
                let at = self.position.max(self.begun);
                let settled = state.scopes.settled(id, self.position);
                let settled = settled.filter(|_| state.scopes.is_unbroken(id, at));
                (scope.clone(), settled.unwrap_or(self.floor))
            })
            .collect()
    }

    /// How far each scope is.
    fn standing(&self) -> Vec<Standing> {
        let in_log = self.settled_in_log().into_iter();
        let mut standing: BTreeMap<_, _> = in_log
            .map(|(scope, settled)| (scope, (settled, false)))
            .collect();
        for (scope, todo) in self.replay.all() {
            // what fell behind later may be older
            let first = self.replay.after(scope).unwrap_or(&todo.after);
            let mut after = first.time;
            if todo.is_behind && *first == todo.after {
                // what was settled before what was dropped was told before it
                let from = todo.positions.iter().map(|(from, _)| *from).min();
                let before = self.settled_at(scope, from.unwrap_or(self.position));
                after = before.map_or(after, |before| before.max(after));
            }
            // what history leaves to the log was not told yet
            let log = standing.get(scope).map_or(after, |(settled, _)| *settled);
            standing.insert(scope.clone(), (log.min(after), true));
        }
        if let Some(from) = self.missed.as_ref().and_then(Missed::others_from) {
            for (settled, _) in standing.values_mut() {
                *settled = from.min(*settled);
            }
        }
        // what files and history left to the log was not told yet
        for (scope, from) in self.held.iter().flat_map(|held| &held.from) {
            if let Some((settled, _)) = standing.get_mut(scope) {
                *settled = (*from).min(*settled);
            }
        }
        for (scope, from) in self.missed.iter().flat_map(Missed::todo) {
            let settled = standing.get(scope).map_or(from, |(settled, _)| *settled);
            standing.insert(scope.clone(), (settled.min(from), true));
        }
        let standing = standing.into_iter();
        standing
            .map(|(scope, (settled, is_replayed))| {
                let before = self.told_before.get(&scope);
                Standing {
                    settled: before.map_or(settled, |before| settled.max(*before)),
                    scope,
                    is_replayed,
                }
            })
            .collect()
    }

    /// How far a scope was settled for who had read up to `position`, if it was
    /// collected by then.
    fn settled_at(&self, scope: &Scope, position: Position) -> Option<i64> {
        let state = self.feed.lock();
        let id = state.scopes.find(scope)?;
        let is_unbroken = state.scopes.is_unbroken(id, position);
        state.scopes.settled(id, position).filter(|_| is_unbroken)
    }

    fn count_replay(&mut self) {
        match (self.replay.is_over(), &self.replays) {
            (true, Some(_)) => self.replays = None,
            (false, None) => self.replays = Some(Count::new(&self.feed.replays)),
            _ => {}
        }
    }
}
