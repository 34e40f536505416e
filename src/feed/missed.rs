//! What a subscription missed while it was away and `LookupEvents` does not tell:
//! data events, and scopes that only a queue knows. It is read again from log
//! files, one scope after the other, beside what is live.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet, VecDeque},
    fmt::Debug,
    future::Future,
    pin::Pin,
    sync::Arc,
};

use futures_util::FutureExt;
use tokio::{
    sync::mpsc::{Receiver, error::TryRecvError},
    time::{Instant, sleep_until},
};

use super::{Position, replay::again};
use crate::event::{Event, Identity, Scope, TimeRange};

/// Identities of one scope that are remembered, to tell once what two trails have:
/// 2 MB. The same event is in files of about the same time.
const MAX_TOLD: usize = 1 << 16;

/// A place among the log files of a scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilePlace {
    /// The file's bucket.
    pub bucket: String,
    /// The file's key.
    pub key: String,
    /// So many of its records come before the place.
    pub records: u64,
}

/// What is read of log files.
#[derive(Clone, Debug)]
pub enum FilePage {
    /// Events, at most some hundred kilobytes of them.
    Events {
        /// In the order of their records.
        events: Vec<Arc<Event>>,
        /// The place behind them.
        place: FilePlace,
        /// Their file was delivered before this process was.
        is_old: bool,
    },
    /// A file cannot be read: the seconds its events may be in.
    Unreadable(TimeRange),
    /// It cannot go on now.
    Failed,
    /// There is no more.
    End,
}

/// The scopes that have log files.
pub type FindScopes = Pin<Box<dyn Future<Output = Arc<[Scope]>> + Send>>;

/// Log files in buckets, where they can be listed.
pub trait LogFiles: Debug + Send + Sync {
    /// The scopes that have log files, in ascending order. Waits until it has been
    /// looked for them.
    fn scopes(&self) -> FindScopes;

    /// Reads what was delivered of a scope in these seconds, in a fixed order,
    /// behind a place. Its last page is an end or a failure; without one, it
    /// failed. Not reading on costs nobody else anything.
    fn read(
        &self,
        scope: &Scope,
        delivered: TimeRange,
        after: Option<FilePlace>,
    ) -> Receiver<FilePage>;
}

/// Which scopes' files are read, and from when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Away {
    /// By scope, the second from which its files are read.
    pub(super) from: BTreeMap<Scope, i64>,
    /// From which second those of others are; `None`: they are not.
    pub(super) others_from: Option<i64>,
    /// Files are read that were delivered so many seconds before: they may have been
    /// on their way still.
    pub(super) margin: i64,
    /// Up to which second.
    pub(super) until: i64,
    /// What stands in the log before this position is told from files.
    pub(super) before: Position,
    /// Tells who is told from who else is.
    pub(super) told_to: u32,
    /// Of the scope that is first, what comes after this place is left.
    pub(super) first: Option<(Scope, FilePlace)>,
}

#[derive(Debug, Default)]
struct Todo {
    from: i64,
    after: Option<FilePlace>,
    /// When it is tried again, and after how many failures.
    failed: Option<(Instant, u32)>,
}

/// What was found out beside events.
#[derive(Debug)]
pub(super) enum News {
    /// These scopes have no files. They are named in [`Away::from`].
    NoFiles(Vec<(Scope, i64)>),
    /// A scope's files were read, from this second on.
    Over(Scope, i64),
    /// A file of a scope cannot be read.
    Unreadable(Scope, TimeRange),
    /// Something else has changed.
    Other,
}

/// See the module.
pub(super) struct Missed {
    files: Arc<dyn LogFiles>,
    finding: Option<FindScopes>,
    others_from: Option<i64>,
    margin: i64,
    until: i64,
    before: Position,
    told_to: u32,
    todo: BTreeMap<Scope, Todo>,
    reading: Option<(Scope, Receiver<FilePage>)>,
    page: VecDeque<Arc<Event>>,
    /// The page's file was delivered before this process was.
    is_old: bool,
    /// What was told of the scope that is being read: two trails may have it.
    told: HashSet<Identity>,
}

impl Debug for Missed {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Missed")
            .field("todo", &self.todo)
            .field("page", &self.page.len())
            .finish_non_exhaustive()
    }
}

impl Missed {
    pub(super) fn new(files: Arc<dyn LogFiles>, away: Away) -> Self {
        let mut todo: BTreeMap<Scope, Todo> = BTreeMap::new();
        for (scope, from) in away.from {
            let after = away.first.as_ref().filter(|(first, _)| *first == scope);
            let after = after.map(|(_, place)| place.clone());
            let one = Todo {
                from,
                after,
                failed: None,
            };
            todo.insert(scope, one);
        }
        Self {
            finding: Some(files.scopes()),
            files,
            others_from: away.others_from,
            margin: away.margin,
            until: away.until,
            before: away.before,
            told_to: away.told_to,
            todo,
            reading: None,
            page: VecDeque::new(),
            is_old: false,
            told: HashSet::new(),
        }
    }

    /// What is left, for who goes on later.
    pub(super) fn left(&self) -> Away {
        let from = self.todo.iter();
        let mut begun = self.begun();
        let first = begun
            .next()
            .map(|(scope, place)| (scope.clone(), place.clone()));
        Away {
            from: from
                .map(|(scope, todo)| (scope.clone(), todo.from))
                .collect(),
            others_from: self.others_from,
            margin: self.margin,
            until: self.until,
            before: self.before,
            told_to: self.told_to,
            first,
        }
    }

    /// Scopes that were begun, and where they stand: of one that failed, and of the
    /// one that is being read.
    fn begun(&self) -> impl Iterator<Item = (&Scope, &FilePlace)> {
        let todo = self.todo.iter();
        todo.filter_map(|(scope, todo)| Some((scope, todo.after.as_ref()?)))
    }

    /// Whether more was begun than [`Missed::left`] can say.
    pub(super) fn is_tangled(&self) -> bool {
        self.begun().nth(1).is_some()
    }

    /// What stands in the log before this position is told from files.
    pub(super) fn before(&self) -> Position {
        self.before
    }

    /// Tells who is told from who else is.
    pub(super) fn told_to(&self) -> u32 {
        self.told_to
    }

    /// Whether the file of the next event was delivered before this process was.
    pub(super) fn is_old(&self) -> bool {
        self.is_old
    }

    /// Whether an event of this identity was told already.
    pub(super) fn has_told(&self, identity: &Identity) -> bool {
        self.told.contains(identity)
    }

    /// Notes that one is told.
    pub(super) fn tells(&mut self, identity: Identity) {
        if self.told.len() >= MAX_TOLD {
            self.told.clear();
        }
        self.told.insert(identity);
    }

    /// Whether there is nothing left to read.
    pub(super) fn is_over(&self) -> bool {
        self.finding.is_none() && self.todo.is_empty()
    }

    /// From which second other scopes are read, while it is not known which.
    pub(super) fn others_from(&self) -> Option<i64> {
        self.others_from
    }

    /// Scopes that are to be read still, and from which second.
    pub(super) fn todo(&self) -> impl Iterator<Item = (&Scope, i64)> {
        self.todo.iter().map(|(scope, todo)| (scope, todo.from))
    }

    /// The next event that was read.
    pub(super) fn peek(&self) -> Option<&Arc<Event>> {
        self.page.front()
    }

    /// Passes over the event that [`Missed::peek`] gives.
    pub(super) fn pass(&mut self) {
        if self.page.pop_front().is_none() {
            return;
        }
        let reading = self.reading.as_ref();
        let todo = reading.and_then(|(scope, _)| self.todo.get_mut(scope));
        if let Some(place) = todo.and_then(|todo| todo.after.as_mut()) {
            place.records += 1;
        }
    }

    /// What comes next, if it is there already; events are in [`Missed::peek`].
    pub(super) fn try_next(&mut self, is_wanted: impl Fn(&Scope) -> bool) -> Option<News> {
        if let Some(finding) = &mut self.finding {
            let found = finding.as_mut().now_or_never()?;
            self.finding = None;
            return Some(self.found(&found, is_wanted));
        }
        if !self.page.is_empty() {
            return None;
        }
        self.begin();
        let (_, pages) = self.reading.as_mut()?;
        let page = match pages.try_recv() {
            Ok(page) => page,
            Err(TryRecvError::Empty) => return None,
            Err(TryRecvError::Disconnected) => FilePage::Failed,
        };
        Some(self.take_in(page))
    }

    /// What comes next; for ever, if there is nothing left. Dropping the future
    /// loses nothing.
    pub(super) async fn next(&mut self, is_wanted: impl Fn(&Scope) -> bool) -> News {
        if let Some(finding) = &mut self.finding {
            let found = finding.as_mut().await;
            self.finding = None;
            return self.found(&found, is_wanted);
        }
        if !self.page.is_empty() {
            return News::Other;
        }
        self.begin();
        if let Some((_, pages)) = self.reading.as_mut() {
            let page = pages.recv().await.unwrap_or(FilePage::Failed);
            return self.take_in(page);
        }
        let failed = self.todo.values().filter_map(|todo| todo.failed);
        match failed.map(|(again, _)| again).min() {
            Some(again) => sleep_until(again).await,
            None => std::future::pending().await,
        }
        News::Other
    }

    fn found(&mut self, found: &[Scope], is_wanted: impl Fn(&Scope) -> bool) -> News {
        let found: BTreeSet<&Scope> = found.iter().collect();
        let mut without = Vec::new();
        self.todo.retain(|scope, todo| {
            let has_files = found.contains(scope);
            if !has_files {
                without.push((scope.clone(), todo.from));
            }
            has_files
        });
        if let Some(from) = self.others_from.take() {
            for scope in found.into_iter().filter(|scope| is_wanted(scope)) {
                self.todo.entry(scope.clone()).or_insert(Todo {
                    from,
                    ..Todo::default()
                });
            }
        }
        News::NoFiles(without)
    }

    /// Begins to read a scope: the one that was begun before, or the first.
    fn begin(&mut self) {
        if self.reading.is_some() {
            return;
        }
        let now = Instant::now();
        let ready = |todo: &Todo| todo.failed.is_none_or(|(again, _)| again <= now);
        let ready = || self.todo.iter().filter(|(_, todo)| ready(todo));
        let begun = ready().find(|(_, todo)| todo.after.is_some());
        if let Some((scope, todo)) = begun.or_else(|| ready().next()) {
            let delivered = TimeRange::new(todo.from.saturating_sub(self.margin), self.until);
            let pages = self.files.read(scope, delivered, todo.after.clone());
            self.reading = Some((scope.clone(), pages));
        }
    }

    fn take_in(&mut self, page: FilePage) -> News {
        let Some((scope, _)) = &self.reading else {
            return News::Other;
        };
        let Some(todo) = self.todo.get_mut(scope) else {
            return News::Other;
        };
        match page {
            FilePage::Events {
                events,
                mut place,
                is_old,
            } => {
                let read = u64::try_from(events.len()).unwrap_or(u64::MAX);
                place.records = place.records.saturating_sub(read);
                todo.after = Some(place);
                todo.failed = None;
                self.page = events.into();
                self.is_old = is_old;
                News::Other
            }
            FilePage::Unreadable(range) => News::Unreadable(scope.clone(), range),
            FilePage::Failed => {
                todo.failed = Some(again(todo.failed));
                self.reading = None;
                News::Other
            }
            FilePage::End => {
                let (scope, from) = (scope.clone(), todo.from);
                self.todo.remove(&scope);
                self.reading = None;
                self.told.clear();
                News::Over(scope, from)
            }
        }
    }
}
