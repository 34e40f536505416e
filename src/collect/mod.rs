//! Collectors: what brings new events to the feed.
//!
//! A scope is polled only while someone wants it.

mod aws;
pub mod digest;
mod durable;
pub mod envelope;
pub mod ingest;
pub mod log_file;
pub mod object_key;
mod poll;
pub mod queue;
mod queues;
mod readers;
mod sink;
pub mod source_filter;
pub mod store;
pub mod trails;

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rand::RngExt;
use tokio::{sync::Mutex as Turn, time::Instant};
use tokio_util::sync::{CancellationToken, DropGuard};

use self::poll::{Poll, Status};
pub use self::{
    aws::{Buckets, NO_BUCKET, OTHER_REGION},
    durable::{Durable, Kept},
    poll::{Health, Options, Polling},
    queues::{AwsOptions, NoRegion, QueueState, Queues, trails as trails_at_aws},
    readers::Files,
    trails::{PlaceError, Trail, Trails},
};
use crate::{
    event::Scope,
    feed::{Feed, Selection},
    lookup::Lookup,
    upstream::Scopes,
};

/// How often it is looked whether scopes came or went, and who wants them.
const LOOK: Duration = Duration::from_secs(10);
/// Scopes that begin together begin so much apart, on average, so that a thousand
/// do not ask in one moment.
const APART: Duration = Duration::from_millis(5);

/// A scope that is being polled.
#[derive(Debug)]
struct Running {
    status: Arc<Status>,
    /// Nobody has wanted it since.
    unwanted: Option<Instant>,
    _stop: DropGuard,
}

#[derive(Debug, Default)]
struct Wanted {
    next: u64,
    selections: HashMap<u64, Selection>,
    running: HashMap<Scope, Running>,
}

/// Polls the scopes that are wanted.
#[derive(Debug)]
pub struct Poller {
    feed: Arc<Feed>,
    lookup: Arc<Lookup>,
    scopes: Scopes,
    options: Options,
    wanted: Mutex<Wanted>,
}

/// Scopes that someone wants collected; dropping it says that they are not wanted
/// any more.
#[derive(Debug)]
pub struct Demand {
    poller: Arc<Poller>,
    id: u64,
}

impl Drop for Demand {
    fn drop(&mut self) {
        // its scopes linger
        self.poller.lock().selections.remove(&self.id);
    }
}

impl Poller {
    /// A poller of these scopes, on the current runtime. Nothing is polled until
    /// someone wants it.
    #[must_use]
    pub fn new(
        feed: Arc<Feed>,
        lookup: Arc<Lookup>,
        scopes: Scopes,
        options: Options,
    ) -> Arc<Self> {
        if options.polling != Polling::Full {
            // a queue brings what is new, whether someone wants it or not
            for scope in scopes.now().iter() {
                feed.begin(scope);
            }
        }
        Arc::new(Self {
            feed,
            lookup,
            scopes,
            options,
            wanted: Mutex::default(),
        })
    }

    /// Keeps up with scopes that come and go, for ever.
    pub async fn keep(self: Arc<Self>) {
        loop {
            tokio::time::sleep(LOOK).await;
            self.look(&mut self.lock());
        }
    }

    /// Has scopes collected as long as what it returns is there: from now on, when
    /// it returns.
    #[must_use]
    pub fn want(self: &Arc<Self>, selection: Selection) -> Demand {
        let mut wanted = self.lock();
        let id = wanted.next;
        wanted.next += 1;
        let scopes = self.scopes.now();
        self.start_all(&mut wanted.running, &scopes, |scope| selection.has(scope));
        wanted.selections.insert(id, selection);
        Demand {
            poller: Arc::clone(self),
            id,
        }
    }

    /// How the collection of a scope stands; `None`: it is not polled.
    #[must_use]
    pub fn health(&self, scope: &Scope) -> Option<Health> {
        let wanted = self.lock();
        let running = wanted.running.get(scope)?;
        Some(running.status.health())
    }

    /// How many scopes are polled, and how often they were, all together.
    #[must_use]
    pub fn polls(&self) -> (usize, u64) {
        let wanted = self.lock();
        let polls = wanted
            .running
            .values()
            .map(|running| running.status.polls());
        (wanted.running.len(), polls.sum())
    }

    /// How many scopes are polled, by a word for how their collection stands.
    #[must_use]
    pub fn states(&self) -> BTreeMap<&'static str, usize> {
        let all = ["starting", "collecting", "overrun", "failing"];
        let mut states = BTreeMap::from(all.map(|state| (state, 0)));
        for running in self.lock().running.values() {
            *states.entry(running.status.health().as_str()).or_default() += 1;
        }
        states
    }

    fn look(&self, wanted: &mut Wanted) {
        let scopes = self.scopes.now();
        let now = Instant::now();
        let Wanted {
            selections,
            running,
            ..
        } = wanted;
        let is_wanted = |scope: &Scope| selections.values().any(|selection| selection.has(scope));
        self.start_all(running, &scopes, is_wanted);
        running.retain(|scope, running| {
            if scopes.binary_search(scope).is_ok() && is_wanted(scope) {
                return true;
            }
            let since = *running.unwanted.get_or_insert(now);
            let is_kept = now.duration_since(since) < self.options.linger;
            // what a queue brings goes on
            if !is_kept && self.options.polling == Polling::Full {
                self.feed.end(scope);
            }
            is_kept
        });
    }

    fn start_all(
        &self,
        running: &mut HashMap<Scope, Running>,
        scopes: &[Scope],
        is_wanted: impl Fn(&Scope) -> bool,
    ) {
        if self.options.polling == Polling::Off {
            return;
        }
        let mut count = 0;
        for scope in scopes.iter().filter(|scope| is_wanted(scope)) {
            if let Some(running) = running.get_mut(scope) {
                running.unwanted = None;
                continue;
            }
            running.insert(scope.clone(), self.start(scope, APART * count));
            count += 1;
        }
    }

    fn start(&self, scope: &Scope, within: Duration) -> Running {
        let window = self.feed.begin(scope);
        let status: Arc<Status> = Arc::default();
        let since = window.to;
        let poll = Poll {
            feed: Arc::clone(&self.feed),
            lookup: Arc::clone(&self.lookup),
            scope: scope.clone(),
            options: self.options,
            since,
            status: Arc::clone(&status),
            turn: Turn::new(()),
        };
        let stop = CancellationToken::new();
        let wait = within.mul_f64(rand::rng().random::<f64>() * 2.0);
        let run = async move {
            tokio::time::sleep(wait).await;
            poll.run(window).await;
        };
        tokio::spawn(stop.clone().run_until_cancelled_owned(run));
        Running {
            status,
            unwanted: None,
            _stop: stop.drop_guard(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Wanted> {
        // maps alone: right after a panic elsewhere
        self.wanted.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
