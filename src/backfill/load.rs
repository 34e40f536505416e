//! Loads parts: files read side by side, their events committed together, and what is
//! loaded noted behind that.
//!
//! Events are in the order of keys, near enough: a commit has few accounts, Regions
//! and days, and so few files. What is held is the batch that is gathered, those that
//! are committed, and of each file that is read a window and a small batch.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use futures_util::{Stream, StreamExt};
use tokio::{
    sync::mpsc::{self, Receiver},
    task::JoinSet,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::AbortOnDropHandle};

use super::{
    choice::Choice,
    ledger::Ledger,
    list::{Item, Lists},
    patience::Patience,
    place::Parts,
    read::{Closed, Ended, Reading, Told},
    seen::{Failed, Report, Seen},
    states::{DENIED, States},
    target::{Committed, Target, TargetError},
    walk::{Next, Part},
};
use crate::{clock::Clock, collect::log_file::Limits, event::Event};

/// Files that are read, or read and not yet committed: of quiet accounts, whose files
/// have some events, a batch has some ten thousand. Each takes some 300 bytes here.
const MAX_FILES: usize = 1 << 16;
/// Commits at once: while one waits for the store, another is written.
const COMMITS: usize = 2;
/// How long events wait for others to be committed with.
const GATHER: Duration = Duration::from_secs(60);

/// How it is loaded.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Files that are read at once.
    pub parallel: usize,
    /// Bytes of events in a commit. Three times as many are held.
    pub batch: usize,
    /// What a file may cost.
    pub limits: Limits,
    /// Load also what is noted as loaded.
    pub again: bool,
}

/// What is to be loaded, and where.
pub struct Load {
    pub(super) parts: Arc<[Part]>,
    pub(super) lists: Lists,
    pub(super) options: Options,
}

/// What is under way.
enum Way {
    File(Box<Loading>),
    End(usize),
}

/// A file that is read, or was and is not committed.
struct Loading {
    part: usize,
    next: Next,
    ended: Option<Ended>,
}

/// The one that gathers, commits and notes.
struct Clerk<'a> {
    load: &'a Load,
    given_up: Arc<[AtomicBool]>,
    states: States,
    ledger: Ledger<Way>,
    batch: Vec<Arc<Event>>,
    /// Bytes of it.
    held: usize,
    /// When its first event came.
    since: Option<Instant>,
    /// The number of the commit that it will be.
    number: u64,
    commits: JoinSet<(u64, u64, Result<Committed, TargetError>)>,
    report: Report,
}

impl Load {
    /// Loads parts into `target`.
    #[must_use]
    pub fn new(
        Parts(parts): Parts,
        choice: Choice,
        target: Arc<dyn Target>,
        options: Options,
        clock: Clock,
    ) -> Self {
        Self {
            parts: parts.into(),
            lists: Lists {
                choice: Arc::new(choice),
                target,
                clock,
                seen: Arc::default(),
                again: options.again,
            },
            options,
        }
    }

    /// How far it is.
    #[must_use]
    pub fn seen(&self) -> Arc<Seen> {
        Arc::clone(&self.lists.seen)
    }

    /// Loads all. Told to stop, it commits what it has read.
    ///
    /// # Errors
    /// If the archive does not take something. What is noted as loaded is.
    pub async fn run(&self, stop: CancellationToken) -> Result<Report, TargetError> {
        let given_up: Arc<[AtomicBool]> =
            self.parts.iter().map(|_| AtomicBool::default()).collect();
        let counting = tokio::spawn(self.lists.clone().count_all(Arc::clone(&self.parts)));
        let _counting = AbortOnDropHandle::new(counting);
        let items = self
            .lists
            .items(Arc::clone(&self.parts), Arc::clone(&given_up));
        let clerk = Clerk {
            load: self,
            given_up,
            states: States::new(Arc::clone(&self.parts)),
            ledger: Ledger::default(),
            batch: Vec::new(),
            held: 0,
            since: None,
            number: 0,
            commits: JoinSet::new(),
            report: Report::default(),
        };
        clerk.run(std::pin::pin!(items), stop).await
    }
}

impl Clerk<'_> {
    async fn run(
        mut self,
        mut items: std::pin::Pin<&mut (impl Stream<Item = Item> + Send)>,
        stop: CancellationToken,
    ) -> Result<Report, TargetError> {
        let parallel = self.load.options.parallel.max(1);
        let (to, mut told) = mpsc::channel(2 * parallel);
        let reading = Reading {
            choice: Arc::clone(&self.load.lists.choice),
            limits: self.load.options.limits,
            to,
        };
        let mut readers: JoinSet<Result<(), Closed>> = JoinSet::new();
        let mut is_listed = false;
        loop {
            let is_over = (is_listed || self.report.is_stopped) && readers.is_empty();
            if is_over && told.is_empty() {
                if self.batch.is_empty() && self.commits.is_empty() {
                    break;
                }
                self.commit();
            }
            let has_room = self.held < self.load.options.batch || self.commits.len() < COMMITS;
            let may_list = !is_listed
                && !self.report.is_stopped
                && readers.len() < parallel
                && self.ledger.len() < MAX_FILES;
            let may_commit = self.since.is_some() && self.commits.len() < COMMITS;
            let due = self.since.unwrap_or_else(Instant::now) + GATHER;
            tokio::select! {
                biased;
                () = stop.cancelled(), if !self.report.is_stopped => {
                    self.report.is_stopped = true;
                    readers.abort_all();
                }
                Some(done) = self.commits.join_next() => self.committed(done).await?,
                // an aborted one is of no use any more
                Some(_) = readers.join_next() => {}
                item = items.next(), if may_list => match item {
                    None => is_listed = true,
                    Some(item) => self.take(item, &reading, &mut readers),
                },
                Some(one) = told.recv(), if has_room => self.hear(one, &mut told),
                () = tokio::time::sleep_until(due), if may_commit => self.commit(),
            }
            if self.held >= self.load.options.batch || self.ledger.len() >= MAX_FILES {
                self.commit();
            }
            self.settle().await?;
        }
        self.states.note(&*self.load.lists.target).await?;
        Ok(self.report)
    }

    /// What was listed.
    fn take(&mut self, item: Item, reading: &Reading, readers: &mut JoinSet<Result<(), Closed>>) {
        match item {
            Item::Begin(part, done) => self.states.begin(part, *done),
            Item::File(part, next) => {
                let given_up = self.given_up.get(part);
                if given_up.is_some_and(|given_up| given_up.load(Relaxed)) {
                    return;
                }
                let Some(source) = self
                    .load
                    .parts
                    .get(part)
                    .map(|part| Arc::clone(&part.source))
                else {
                    return;
                };
                let number = self.ledger.add(Way::File(Box::new(Loading {
                    part,
                    next: next.clone(),
                    ended: None,
                })));
                let now = self.load.lists.clock.now_secs();
                readers.spawn(reading.clone().read(source, next, number, now));
            }
            Item::Broken(part, why) => self.break_off(part, why),
            Item::End(part, chosen) => {
                self.report.chosen.add(chosen);
                let number = self.ledger.add(Way::End(part));
                self.ledger.end(number);
            }
        }
    }

    fn break_off(&mut self, part: usize, why: String) {
        self.states.break_off(part);
        let name = self.load.parts.get(part).map(|part| part.name.clone());
        let name = name.unwrap_or_default();
        self.load.lists.seen.say(format!("{name}: {why}"));
        self.report.broken.push((name, why));
    }

    /// What readers tell: all that they have told.
    fn hear(&mut self, one: Told, told: &mut Receiver<Told>) {
        let mut next = Some(one);
        while let Some(one) = next {
            match one {
                Told::Events(number, events) => {
                    self.ledger.join(number, self.number);
                    self.held += events.iter().map(|event| event.weight()).sum::<usize>();
                    self.since.get_or_insert_with(Instant::now);
                    self.batch.extend(events);
                }
                Told::Ended(number, result) => {
                    self.load.lists.seen.file(result.bytes);
                    if let Some(Way::File(file)) = self.ledger.end(number) {
                        file.ended = Some(result);
                    }
                }
            }
            next = match self.held < self.load.options.batch {
                true => told.try_recv().ok(),
                false => None,
            };
        }
    }

    /// Commits what was gathered, unless as many as may are under way.
    fn commit(&mut self) {
        if self.batch.is_empty() || self.commits.len() >= COMMITS {
            return;
        }
        let events = std::mem::take(&mut self.batch);
        let number = self.number;
        self.number += 1;
        self.held = 0;
        self.since = None;
        let target = Arc::clone(&self.load.lists.target);
        self.commits.spawn(async move {
            let count = u64::try_from(events.len()).unwrap_or(u64::MAX);
            let mut patience = Patience::default();
            loop {
                match target.commit(events.clone()).await {
                    Err(error) if error.may_pass && patience.wait().await => {}
                    done => return (number, count, done),
                }
            }
        });
    }

    async fn committed(
        &mut self,
        done: Result<(u64, u64, Result<Committed, TargetError>), tokio::task::JoinError>,
    ) -> Result<(), TargetError> {
        let failed = match done {
            Ok((number, count, Ok(committed))) => {
                self.report.new += committed.new;
                self.load.lists.seen.committed(count, committed.new);
                self.ledger.commit(number);
                return Ok(());
            }
            Ok((_, _, Err(error))) => error,
            Err(error) => TargetError {
                message: format!("a commit broke off: {error}"),
                may_pass: false,
            },
        };
        // what is there before it stays noted
        self.settle().await?;
        self.states.note(&*self.load.lists.target).await?;
        Err(failed)
    }

    /// Notes which files are in the archive.
    async fn settle(&mut self) -> Result<(), TargetError> {
        while let Some(way) = self.ledger.settle() {
            match way {
                Way::File(file) => {
                    let Loading { part, next, ended } = *file;
                    if let Some(ended) = ended {
                        self.file(part, &next, ended);
                    }
                }
                Way::End(part) => self.states.end(part),
            }
        }
        if self.states.are_due() {
            self.states.note(&*self.load.lists.target).await?;
        }
        Ok(())
    }

    fn file(&mut self, part: usize, next: &Next, ended: Ended) {
        let Some(of) = self.load.parts.get(part) else {
            return;
        };
        let Ended {
            counts,
            bytes,
            fault,
        } = ended;
        self.report.files += 1;
        self.report.bytes += bytes;
        self.report.counts.add(&counts);
        let now = self.load.lists.clock.now_secs();
        let is_useless = self.states.file(part, next, fault.as_ref(), now);
        let Some(fault) = fault else { return };
        let failed = Failed {
            file: of.source.name(&next.key),
            fault: fault.as_str(),
            message: fault.to_string(),
        };
        let line = format!("{}: {} [{}]", failed.file, failed.message, failed.fault);
        self.load.lists.seen.say(line);
        self.report.fail(failed);
        if is_useless && let Some(given_up) = self.given_up.get(part) {
            given_up.store(true, Relaxed);
            self.break_off(part, format!("all of the first {DENIED} files: {fault}"));
        }
    }
}

#[cfg(test)]
pub(in crate::backfill) mod tests;
