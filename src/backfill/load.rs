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
    done::{Done, Unusable, name_of},
    ledger::Ledger,
    list::{Item, Lists, load},
    patience::Patience,
    place::Parts,
    read::{Closed, Ended, Fault, Reading, Told},
    seen::{Failed, Report, Seen},
    target::{Committed, Target, TargetError},
    walk::{Next, Part},
};
use crate::{
    clock::Clock,
    collect::{log_file::Limits, queue::ObjectsError},
    event::Event,
};

/// Files that are read, or read and not yet committed: of quiet accounts, whose files
/// have some events, a batch has some ten thousand. Each takes some 300 bytes here.
const MAX_FILES: usize = 1 << 16;
/// Commits at once: while one waits for the store, another is written.
const COMMITS: usize = 2;
/// How long events wait for others to be committed with.
const GATHER: Duration = Duration::from_secs(60);
/// How often it is noted what is loaded.
const NOTE: Duration = Duration::from_secs(5);
/// How old a file must be for nothing to come before it any more, in seconds: what is
/// younger is looked at another time again. CloudTrail delivers within minutes; a file
/// has the minute of its delivery in its name.
const SETTLED: i64 = 86_400;
/// Files that are denied, none having been read before, until no more of their part
/// are asked for.
const DENIED: u32 = 100;

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

/// How far a part is.
#[derive(Default)]
struct State {
    done: Done,
    is_noted: bool,
    /// A file that could not be read is not among those noted: nothing behind it is
    /// loaded, as far as notes go.
    is_blocked: bool,
    is_broken: bool,
    /// Files that were denied, none having been read; `None`: one was.
    denied: Option<u32>,
}

/// What is under way.
enum Way {
    File {
        part: usize,
        next: Next,
        ended: Option<Ended>,
    },
    End(usize),
}

/// The one that gathers, commits and notes.
struct Clerk<'a> {
    load: &'a Load,
    given_up: Arc<[AtomicBool]>,
    states: Vec<State>,
    ledger: Ledger<Way>,
    batch: Vec<Arc<Event>>,
    /// Bytes of it.
    held: usize,
    /// When its first event came.
    since: Option<Instant>,
    /// The number of the commit that it will be.
    number: u64,
    commits: JoinSet<(u64, u64, Result<Committed, TargetError>)>,
    noted: Instant,
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
        let given_up: Arc<[AtomicBool]> = self.parts.iter().map(|_| AtomicBool::default()).collect();
        let counting = tokio::spawn(self.lists.clone().count_all(Arc::clone(&self.parts)));
        let _counting = AbortOnDropHandle::new(counting);
        let items = self.lists.items(Arc::clone(&self.parts), Arc::clone(&given_up));
        let clerk = Clerk {
            load: self,
            given_up,
            states: self.parts.iter().map(|_| State::default()).collect(),
            ledger: Ledger::default(),
            batch: Vec::new(),
            held: 0,
            since: None,
            number: 0,
            commits: JoinSet::new(),
            noted: Instant::now(),
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
        self.note_all().await?;
        Ok(self.report)
    }

    /// What was listed.
    fn take(&mut self, item: Item, reading: &Reading, readers: &mut JoinSet<Result<(), Closed>>) {
        match item {
            Item::Begin(part, done) => {
                if let Some(state) = self.states.get_mut(part) {
                    *state = State {
                        done: *done,
                        is_noted: true,
                        denied: Some(0),
                        ..State::default()
                    };
                }
            }
            Item::File(part, next) => {
                let given_up = self.given_up.get(part);
                if given_up.is_some_and(|given_up| given_up.load(Relaxed)) {
                    return;
                }
                let Some(source) = self.load.parts.get(part).map(|part| Arc::clone(&part.source))
                else {
                    return;
                };
                let number = self.ledger.add(Way::File {
                    part,
                    next: next.clone(),
                    ended: None,
                });
                let now = self.load.lists.clock.now_secs();
                readers.spawn(reading.clone().read(source, next, number, now));
            }
            Item::Broken(part, why) => self.break_off(part, why),
            Item::End(part) => {
                let number = self.ledger.add(Way::End(part));
                self.ledger.end(number);
            }
        }
    }

    fn break_off(&mut self, part: usize, why: String) {
        if let Some(state) = self.states.get_mut(part) {
            state.is_broken = true;
        }
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
                    if let Some(Way::File { ended, .. }) = self.ledger.end(number) {
                        *ended = Some(result);
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
        self.note_all().await?;
        Err(failed)
    }

    /// Notes which files are in the archive.
    async fn settle(&mut self) -> Result<(), TargetError> {
        while let Some(way) = self.ledger.settle() {
            match way {
                Way::File {
                    part,
                    next,
                    ended: Some(ended),
                } => self.file(part, &next, ended),
                Way::File { ended: None, .. } => {}
                Way::End(part) => self.end(part),
            }
        }
        if self.noted.elapsed() >= NOTE {
            self.note_all().await?;
        }
        Ok(())
    }

    fn file(&mut self, part: usize, next: &Next, ended: Ended) {
        let (Some(state), Some(of)) = (self.states.get_mut(part), self.load.parts.get(part)) else {
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
        state.is_noted = false;
        let is_lost = match &fault {
            None => {
                state.denied = None;
                state.done.mend(&next.key);
                false
            }
            Some(fault) if fault.may_pass() => !state.done.fail(&next.key),
            Some(_) => {
                state.done.mend(&next.key);
                false
            }
        };
        state.is_blocked |= is_lost;
        if let (Some((prefix, from)), Some(place)) = (&next.span, &next.place)
            && !state.is_blocked
        {
            let now = self.load.lists.clock.now_secs();
            let is_settled = place.time < now.saturating_sub(SETTLED);
            if is_settled || !of.source.is_fixed() {
                state.done.add(prefix, from, &next.key);
            }
        } else if next.place.is_none() && !state.is_blocked {
            state.done.reach(&next.key);
        }
        let Some(fault) = fault else { return };
        let file = of.source.name(&next.key);
        let is_denied = matches!(fault, Fault::Object(ObjectsError::Denied(_)));
        if let (true, Some(denied)) = (is_denied, &mut state.denied) {
            *denied += 1;
            if *denied == DENIED
                && let Some(given_up) = self.given_up.get(part)
            {
                given_up.store(true, Relaxed);
                self.break_off(part, format!("all of the first {DENIED} files: {fault}"));
            }
        }
        let failed = Failed {
            file,
            fault: fault.as_str(),
            message: fault.to_string(),
        };
        let line = format!("{}: {} [{}]", failed.file, failed.message, failed.fault);
        self.load.lists.seen.say(line);
        self.report.fail(failed);
    }

    /// A part was gone through.
    fn end(&mut self, part: usize) {
        let (Some(state), Some(of)) = (self.states.get_mut(part), self.load.parts.get(part)) else {
            return;
        };
        if !state.is_broken && !state.is_blocked {
            state.done.end(of.source.is_fixed());
            state.is_noted = false;
        }
    }

    /// Notes of each part what is loaded.
    async fn note_all(&mut self) -> Result<(), TargetError> {
        let target = &*self.load.lists.target;
        for (state, part) in self.states.iter_mut().zip(self.load.parts.iter()) {
            if state.is_noted || state.done == Done::default() {
                continue;
            }
            let name = name_of(&part.name);
            // another backfill of the same may be under way
            if let Some(noted) = load(target, &name).await? {
                match Done::read(&noted) {
                    Ok(other) => state.done.merge(&other),
                    // this trailgate has no right to write over it
                    Err(Unusable::Newer(_)) => continue,
                    Err(Unusable::Damaged(_)) => {}
                }
            }
            save(target, &name, &state.done, part).await?;
            state.is_noted = true;
        }
        self.noted = Instant::now();
        Ok(())
    }
}

async fn save(
    target: &dyn Target,
    name: &str,
    done: &Done,
    part: &Part,
) -> Result<(), TargetError> {
    let bytes = done.write(&part.name);
    let mut patience = Patience::default();
    loop {
        match target.save(name, bytes.clone()).await {
            Err(error) if error.may_pass && patience.wait().await => {}
            saved => return saved,
        }
    }
}

#[cfg(test)]
pub(in crate::backfill) mod tests;
