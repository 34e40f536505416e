//! Keeps what the feed tells: a subscription to everything whose position is
//! committed to the archive together with its events.
//!
//! What is committed is kept, and what was not is read again: a commit carries
//! events, the resume token behind them, and of each scope the stretches that are
//! complete. Whoever brought events hears when they are kept, and may forget them
//! then. While nothing can be committed nothing more is taken in than the feed's log
//! holds: who brings waits.

mod chores;
mod past;
mod spans;
mod state;
#[cfg(test)]
mod tests;

use std::{
    fmt,
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    select,
    sync::{Notify, watch},
    time::{Instant, sleep, sleep_until, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::state::{Entry, State};
pub use self::{chores::Chores, spans::Spans, state::StateError};
use crate::{
    archive::{Archive, CommitError},
    budget::Caller,
    collect::{Demand, Durable, Kept, Poller},
    event::Event,
    feed::{Feed, Gap, Item, Position, Selection, Settings, Standing, Start, Subscription},
    filter::Filter,
    lookup::Lookup,
    upstream::Scopes,
};

/// Who subscribes, in budgets and metrics.
const CALLER: &str = "archive";
/// What tells its resume tokens from those of callers.
const DIGEST: [u8; 16] = *b"trailgate-archiv";
/// The most events of a commit, and their bytes: half of the feed's usual log, so
/// that who brings events does not wait for a commit that goes well.
const MAX_EVENTS: usize = 50_000;
/// See [`MAX_EVENTS`].
const MAX_BYTES: usize = 32 << 20;
/// A batch that is read at once.
const BATCH: usize = 1_000;
/// How long somebody who waits is let wait for others to be committed with: small
/// files are dear, and a queue's messages stay with us for minutes.
const LINGER: Duration = Duration::from_secs(2);
/// So many intervals may pass with no events until how far scopes are is committed.
const IDLE: u32 = 10;
/// The first pause after a commit that failed, and the longest.
const PAUSES: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));
/// What is left in the log is read within that at a stop: it is in memory.
const LAST_READ: Duration = Duration::from_secs(1);

/// How events are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// How often what arrived is committed, where nobody waits for it.
    pub interval: Duration,
}

impl Default for Options {
    /// A minute: a thousand scopes make some files a second then.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(60),
        }
    }
}

/// What the keeper stands on.
#[derive(Debug)]
pub struct Parts {
    /// Where events are kept.
    pub archive: Archive,
    /// What brings them.
    pub feed: Arc<Feed>,
    /// History, where the log has dropped something.
    pub lookup: Arc<Lookup>,
    /// What has scopes collected.
    pub poller: Arc<Poller>,
    /// The scopes that are served.
    pub scopes: Scopes,
}

/// What was kept.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Events that were new to the archive.
    pub events: u64,
    /// Events that the archive had.
    pub repeated: u64,
    /// Commits.
    pub commits: u64,
    /// Commits that failed, and were tried again.
    pub failures: u64,
    /// Positions of the log that are not kept yet.
    pub behind: u64,
    /// The last commit failed.
    pub is_failing: bool,
}

#[derive(Debug, Default)]
struct Counts {
    events: AtomicU64,
    repeated: AtomicU64,
    commits: AtomicU64,
    failures: AtomicU64,
    is_failing: AtomicBool,
}

/// See the module.
#[derive(Debug)]
pub struct Keeper {
    archive: Archive,
    feed: Arc<Feed>,
    scopes: Scopes,
    options: Options,
    /// All that the log has before it is kept.
    kept: watch::Sender<Position>,
    /// Somebody waits: commit soon.
    soon: Notify,
    /// Somebody waits for room: commit now.
    is_pressing: AtomicBool,
    /// Whatever is waited for is committed at once.
    hurry: CancellationToken,
    stop: CancellationToken,
    running: TaskTracker,
    spans: RwLock<Spans>,
    counts: Counts,
    /// Taken when it begins.
    ready: Mutex<Option<(Subscription, Demand)>>,
}

/// What was read and is not committed.
#[derive(Default)]
struct Held {
    events: Vec<Arc<Event>>,
    bytes: usize,
    gaps: Vec<Gap>,
}

impl fmt::Debug for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Held({} events)", self.events.len())
    }
}

impl Held {
    fn add(&mut self, item: Item) -> Option<Vec<Standing>> {
        match item {
            Item::Batch(batch) => {
                for event in &*batch.events {
                    self.bytes += event.weight();
                    self.events.push(Arc::clone(event));
                }
                None
            }
            Item::Gap(gap) => {
                self.gaps.push(gap);
                None
            }
            Item::Progress(standing) => Some(standing),
        }
    }

    fn is_full(&self) -> bool {
        self.events.len() >= MAX_EVENTS || self.bytes >= MAX_BYTES
    }
}

impl Keeper {
    /// Stands where the archive's last commit says, and from now on where it has
    /// none: all that arrives from here on is to be kept. Nothing is read before
    /// [`Keeper::start`].
    ///
    /// # Errors
    /// If what the archive says of itself cannot be read.
    pub fn new(parts: Parts, options: Options) -> Result<Arc<Self>, StateError> {
        let Parts {
            archive,
            feed,
            lookup,
            poller,
            scopes,
        } = parts;
        let State { token, mut spans } =
            State::of(archive.state().as_deref(), &DIGEST, &scopes.now())?;
        let selection = Selection::default();
        let demand = poller.want(selection.clone());
        let settings = || Settings {
            caller: Caller::named(CALLER),
            filter: Arc::new(Filter::everything()),
            selection: selection.clone(),
            digest: DIGEST,
            told_digest: DIGEST,
            max_events: BATCH,
            max_bytes: MAX_BYTES / 8,
            size: Event::weight,
            with_record: true,
            max_wait: Duration::ZERO,
            // it is asked at each commit
            progress_interval: options.interval,
        };
        let subscribe = |start| {
            let (feed, lookup) = (Arc::clone(&feed), Arc::clone(&lookup));
            Subscription::new(feed, lookup, scopes.clone(), settings(), start)
        };
        let resumed = token.map(|token| subscribe(Start::Token(Box::new(token))));
        let subscription = match resumed {
            Some(Ok(subscription)) => Ok(subscription),
            Some(Err(error)) => {
                tracing::warn!(%error, "the archive is too old to be gone on with where it ended");
                spans.close();
                subscribe(Start::Now)
            }
            None => subscribe(Start::Now),
        }
        .map_err(|error| StateError::Start(error.to_string()))?;
        let (kept, _) = watch::channel(subscription.position());
        Ok(Arc::new(Self {
            archive,
            feed,
            scopes,
            options,
            kept,
            soon: Notify::new(),
            is_pressing: AtomicBool::new(false),
            hurry: CancellationToken::new(),
            stop: CancellationToken::new(),
            running: TaskTracker::new(),
            spans: RwLock::new(spans),
            counts: Counts::default(),
            ready: Mutex::new(Some((subscription, demand))),
        }))
    }

    /// Begins to keep, on the current runtime, until [`Keeper::stop`].
    pub fn start(self: &Arc<Self>) {
        let ready = self.ready.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((subscription, demand)) = { ready }.take() {
            let keeper = Arc::clone(self);
            self.running.spawn(async move {
                keeper.run(subscription).await;
                drop(demand);
            });
        }
    }

    /// Commits at once what somebody waits for, from now on.
    pub fn hurry(&self) {
        self.hurry.cancel();
        self.soon.notify_one();
    }

    /// Commits what arrived, and ends. To be given up where that takes too long.
    pub async fn stop(&self) {
        self.hurry();
        self.stop.cancel();
        self.running.close();
        self.running.wait().await;
    }

    /// Where events are kept.
    #[must_use]
    pub fn archive(&self) -> &Archive {
        &self.archive
    }

    /// Of each scope the stretches in which all events are kept.
    pub fn spans(&self) -> std::sync::RwLockReadGuard<'_, Spans> {
        self.spans.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was kept.
    #[must_use]
    pub fn stats(&self) -> Stats {
        let counts = &self.counts;
        Stats {
            events: counts.events.load(Relaxed),
            repeated: counts.repeated.load(Relaxed),
            commits: counts.commits.load(Relaxed),
            failures: counts.failures.load(Relaxed),
            behind: self.feed.head().saturating_sub(*self.kept.borrow()),
            is_failing: counts.is_failing.load(Relaxed),
        }
    }

    async fn run(&self, mut subscription: Subscription) {
        let mut held = Held::default();
        // where it begins is committed at once: from there on nothing is lost
        let mut idle = IDLE;
        let mut due = Instant::now();
        loop {
            if held.is_full() || due <= Instant::now() {
                let is_news = !held.events.is_empty() || !held.gaps.is_empty();
                idle += 1;
                let is_awaited = *self.kept.borrow() < subscription.position();
                if is_news || is_awaited || idle >= IDLE {
                    self.commit(&mut subscription, &mut held).await;
                    idle = 0;
                }
                due = Instant::now() + self.options.interval;
                continue;
            }
            select! {
                biased;
                () = self.stop.cancelled() => break,
                () = self.soon.notified() => {
                    let is_pressing = self.is_pressing.swap(false, Relaxed);
                    let linger = match is_pressing || self.hurry.is_cancelled() {
                        true => Duration::ZERO,
                        false => LINGER,
                    };
                    // what it waits for is in the log, and is read first
                    self.read_up(&mut subscription, &mut held).await;
                    due = due.min(Instant::now() + linger);
                }
                () = sleep_until(due) => {}
                item = subscription.next() => {
                    held.add(item);
                }
            }
        }
        self.read_up(&mut subscription, &mut held).await;
        self.commit(&mut subscription, &mut held).await;
    }

    /// Reads what the log has now, unless that takes too long.
    async fn read_up(&self, subscription: &mut Subscription, held: &mut Held) {
        let head = self.feed.head();
        let reading = async {
            while subscription.position() < head && !held.is_full() {
                held.add(subscription.next().await);
            }
        };
        // history comes before the log, and takes longer
        let _ = timeout(LAST_READ, reading).await;
    }

    /// Commits, however often it has to be tried.
    async fn commit(&self, subscription: &mut Subscription, held: &mut Held) {
        let standing = loop {
            if let Some(standing) = held.add(subscription.last()) {
                break standing;
            }
        };
        let position = subscription.position();
        let token = subscription.token();
        let mut spans = self.spans().clone();
        let now = self.feed.clock().now_secs();
        spans.note(&standing, &held.gaps, now);
        // those that the token speaks of; before any is collected, those that will be
        let served = self.scopes.now();
        let told = standing.iter().map(|standing| &standing.scope);
        let entry = match standing.is_empty() {
            true => Entry::of(&*served, &token, &spans, now),
            false => Entry::of(told, &token, &spans, now),
        };
        let next = |before: Option<&Bytes>| entry.after(before.map(|before| &**before));
        let mut pause = PAUSES.0;
        loop {
            let commit = self.archive.commit_with(&held.events, Some(&next));
            match commit.await {
                Ok(committed) => {
                    self.counts
                        .events
                        .fetch_add(count(committed.added), Relaxed);
                    self.counts
                        .repeated
                        .fetch_add(count(committed.repeated), Relaxed);
                    self.counts.commits.fetch_add(1, Relaxed);
                    if self.counts.is_failing.swap(false, Relaxed) {
                        tracing::info!("the archive takes events again");
                    }
                    break;
                }
                Err(error) => self.failed(&error, pause),
            }
            sleep(pause).await;
            pause = (pause * 2).min(PAUSES.1);
        }
        *self.spans.write().unwrap_or_else(PoisonError::into_inner) = spans;
        *held = Held::default();
        self.kept.send_if_modified(|kept| {
            let is_more = *kept < position;
            *kept = position.max(*kept);
            is_more
        });
    }

    fn failed(&self, error: &CommitError, pause: Duration) {
        self.counts.failures.fetch_add(1, Relaxed);
        self.counts.is_failing.store(true, Relaxed);
        tracing::error!(
            %error,
            retry_in = ?pause,
            "the archive does not take events; what queues bring waits, and is not acknowledged"
        );
    }

    /// Resolves when all before a position is kept.
    fn wait(&self, before: Position, is_pressing: bool) -> impl Future<Output = ()> + Send + use<> {
        let mut kept = self.kept.subscribe();
        if *kept.borrow() < before {
            self.is_pressing.fetch_or(is_pressing, Relaxed);
            self.soon.notify_one();
        }
        async move {
            // the keeper outlives who waits, or all ends
            let _ = kept.wait_for(|kept| *kept >= before).await;
        }
    }
}

impl Durable for Keeper {
    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(self.wait(self.feed.half(), true))
    }

    fn kept(&self, before: Position) -> Kept {
        Box::pin(self.wait(before, false))
    }
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}
