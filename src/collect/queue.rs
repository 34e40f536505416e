//! The queue collector: receives messages, reads the files that they announce,
//! hands on their events, and deletes a message when all its events are safe.
//!
//! - A message is deleted last. Whatever breaks before that, it comes again, and
//!   so may its events: whoever takes them knows them by their identity.
//! - It stays with us while it is worked on, however long that takes.
//! - A file is read once, by however many messages it is announced; the others
//!   wait for that, and go the same way.
//! - A file is streamed. What is held of it is bounded, and so is how many are
//!   read at once.
//! - What can never be used does not come for ever, and does not go silently.

mod file;
mod lease;
mod message;
mod options;
mod ports;
mod seen;
mod state;
#[cfg(test)]
mod tests;

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    task::JoinSet,
    time::{Instant, sleep, timeout},
};
use tokio_util::sync::CancellationToken;

use self::{
    options::pause,
    seen::Seen,
    state::{Board, Trouble, count, count_all},
};
use super::{
    envelope::ObjectRef,
    source_filter::{Skips, SourceFilter},
};
use crate::clock::Clock;

pub use file::Outcome;
pub use options::Options;
pub use ports::{
    Answer, Batch, Body, Fault, Found, Lost, Message, Messages, MessagesError, Objects,
    ObjectsError, Reader, Readers, Refused, Sink, Source, Taken, Why,
};
pub use state::{Counts, Snapshot, State};

/// The most messages that one request receives (SQS).
const MAX_RECEIVE: usize = 10;

/// After how many failures in a row less is received: each receive of a message
/// counts towards the dead-letter queue, and where nothing can be read, none
/// should go there.
const BRAKE: u32 = 3;

/// For how long the queue's dead-letter policy is remembered.
const POLICY: Duration = Duration::from_secs(300);

/// How long messages may take to be given back when the collector is stopped.
const GIVE_BACK: Duration = Duration::from_secs(5);

/// What the collector works with.
#[derive(Clone)]
pub struct Ports {
    /// The queue.
    pub messages: Arc<dyn Messages>,
    /// The buckets.
    pub objects: Arc<dyn Objects>,
    /// What reads files.
    pub readers: Arc<dyn Readers>,
    /// What takes the events.
    pub sink: Arc<dyn Sink>,
}

/// The queue collector. Cheap to clone.
#[derive(Clone)]
pub struct Queue(Arc<Worker>);

impl std::fmt::Debug for Queue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Queue")
            .field("snapshot", &self.snapshot())
            .finish_non_exhaustive()
    }
}

struct Worker {
    ports: Ports,
    filter: SourceFilter,
    options: Options,
    clock: Clock,
    board: Board,
    skips: Skips,
    seen: Arc<Seen>,
    files: Semaphore,
    slots: Arc<Semaphore>,
    /// Failures in a row that are not a message's own.
    brake: AtomicU32,
    /// The dead-letter policy, and when it was asked for.
    policy: Mutex<Option<(Instant, Option<u32>)>>,
}

impl Worker {
    /// After how many receives the queue moves a message away, if it does.
    async fn dead_letter(&self) -> Result<Option<u32>, MessagesError> {
        let known = *self.policy.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((at, policy)) = known
            && at.elapsed() < POLICY
        {
            return Ok(policy);
        }
        let policy = self.ports.messages.dead_letter().await?;
        *self.policy.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((Instant::now(), policy));
        Ok(policy)
    }
}

impl Queue {
    /// A collector that has not begun.
    #[must_use]
    pub fn new(ports: Ports, filter: SourceFilter, options: Options, clock: Clock) -> Self {
        Self(Arc::new(Worker {
            ports,
            filter,
            options,
            clock,
            board: Board::default(),
            skips: Skips::default(),
            seen: Seen::new(options.remembered),
            files: Semaphore::new(options.files.max(1)),
            slots: Arc::new(Semaphore::new(options.messages.max(1))),
            brake: AtomicU32::new(0),
            policy: Mutex::new(None),
        }))
    }

    /// How it does.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let Worker { options, files, .. } = &*self.0;
        let free = files.available_permits();
        Snapshot {
            files_now: options.files.max(1).saturating_sub(free),
            ..self.0.board.snapshot(self.0.clock.now())
        }
    }

    /// What the filter turned away.
    #[must_use]
    pub fn skips(&self) -> &Skips {
        &self.0.skips
    }

    /// Collects an object that no message announced: one that a digest names. It
    /// takes its turn with those that messages announce.
    pub async fn read(&self, object: &ObjectRef) -> Outcome {
        Box::pin(self.0.object(object)).await
    }

    /// Collects until `stop`; then finishes what is under way within `grace`, and
    /// gives the rest back to the queue.
    pub async fn run(&self, stop: CancellationToken, grace: Duration) {
        let hurry = CancellationToken::new();
        let mut tasks = JoinSet::new();
        tokio::select! {
            biased;
            () = stop.cancelled() => {}
            () = self.receive(&mut tasks, &hurry) => {}
        }
        if timeout(grace, join(&mut tasks)).await.is_err() {
            tracing::warn!(
                messages = tasks.len(),
                "stopped before all was read, giving back"
            );
            hurry.cancel();
            // those that are not given back come again when their time is over
            let _ = timeout(GIVE_BACK, join(&mut tasks)).await;
        }
        self.0.board.stopped();
    }

    /// Receives for ever.
    async fn receive(&self, tasks: &mut JoinSet<()>, hurry: &CancellationToken) {
        let worker = &self.0;
        let options = &worker.options;
        let mut failures = 0;
        loop {
            while let Some(ended) = tasks.try_join_next() {
                report(ended);
            }
            let brake = worker.brake.load(Relaxed);
            let is_braked = brake >= BRAKE;
            if is_braked {
                sleep(pause(options.pause, options.longest_pause, brake - BRAKE)).await;
            }
            let most = if is_braked { 1 } else { MAX_RECEIVE };
            let Some(mut slots) = self.free_slots(most).await else {
                return;
            };
            let asked = Instant::now();
            let received = worker
                .ports
                .messages
                .receive(slots.len(), options.wait, options.visibility)
                .await;
            let messages = match received {
                Ok(messages) => messages,
                Err(error) => {
                    count(&worker.board.counters.receives_failed);
                    let now = worker.clock.now();
                    let reason = error.to_string();
                    if worker.board.failing(Trouble::Receive, reason, now) {
                        tracing::warn!(%error, "cannot receive");
                    }
                    drop(slots);
                    sleep(pause(options.pause, options.longest_pause, failures)).await;
                    failures += 1;
                    continue;
                }
            };
            failures = 0;
            let now = worker.clock.now();
            worker.board.answered(messages.len(), now);
            count_all(&worker.board.counters.messages, messages.len());
            if messages.is_empty() && asked.elapsed() < options.pause {
                // a queue that does not wait must not be asked without a pause
                sleep(options.pause).await;
            }
            for message in messages {
                // a queue that sends more than it was asked for has them wait
                let slot = match slots.pop() {
                    Some(slot) => Some(slot),
                    None => Arc::clone(&worker.slots).acquire_owned().await.ok(),
                };
                let (worker, hurry) = (Arc::clone(worker), hurry.clone());
                tasks.spawn(async move {
                    let _slot = slot;
                    Box::pin(worker.message(message, hurry)).await;
                });
            }
        }
    }

    /// Waits for a slot, and takes up to `most` that are free. `None`: never.
    async fn free_slots(&self, most: usize) -> Option<Vec<OwnedSemaphorePermit>> {
        let slots = &self.0.slots;
        let mut free = vec![Arc::clone(slots).acquire_owned().await.ok()?];
        while free.len() < most
            && let Ok(slot) = Arc::clone(slots).try_acquire_owned()
        {
            free.push(slot);
        }
        Some(free)
    }
}

async fn join(tasks: &mut JoinSet<()>) {
    while let Some(ended) = tasks.join_next().await {
        report(ended);
    }
}

fn report(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended {
        tracing::error!(%error, "work on a message ended badly, it comes again");
    }
}
