//! Threads of queries' own: a query that computes for minutes keeps nobody else from
//! being answered.
//!
//! A query that is over may still compute: nothing ends a function of one row. Where
//! that takes all threads, others take their place, and they end when they are done.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use tokio::{
    runtime::{Builder, Runtime},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};
use tokio_util::task::AbortOnDropHandle;

/// The stack of each thread, in bytes: plans are walked by recursion, and a query of as
/// many words as there may be is some thousands deep.
const STACK: usize = 8 << 20;

/// Threads that wait for files, for each that computes: a part of one is read in no time,
/// and two are on their way while a third is worked on.
const WAITING: usize = 2;

/// How many times as many threads there may be as are asked for: three times all of
/// them, at least, may be left to queries that do not end.
const MOST: usize = 4 * (1 + WAITING);

/// How long threads may take to come to something new: they give way between batches,
/// and one of those takes milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);

/// See the module.
#[derive(Debug)]
pub(super) struct Threads {
    count: usize,
    places: usize,
    /// How many there are, those that were left among them.
    alive: Arc<AtomicUsize>,
    now: Mutex<Arc<Own>>,
}

impl Threads {
    /// So many, one at least, and places for so many queries at once.
    ///
    /// # Errors
    /// If the system does not give them.
    pub(super) fn new(count: usize, places: usize) -> io::Result<Self> {
        let count = count.max(1);
        let alive = Arc::default();
        let now = Mutex::new(Arc::new(Own::new(count, places, &alive)?));
        Ok(Self {
            count,
            places,
            alive,
            now,
        })
    }

    /// Those that queries run on now.
    pub(super) fn now(&self) -> Arc<Own> {
        Arc::clone(&self.now.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Whether so many were left that no more are made.
    pub(super) fn are_used_up(&self) -> bool {
        self.alive.load(Relaxed) >= self.count * MOST
    }

    /// Leaves these threads if they do not come to something new any more.
    pub(super) async fn look_after(&self, own: &Arc<Own>) {
        if timeout(PATIENCE, own.spawn(async {})).await.is_ok() || self.are_used_up() {
            return;
        }
        let mut now = self.now.lock().unwrap_or_else(PoisonError::into_inner);
        if !Arc::ptr_eq(&now, own) {
            return;
        }
        match Own::new(self.count, self.places, &self.alive) {
            Ok(new) => {
                tracing::warn!(
                    threads = self.count,
                    "queries that were ended still compute; others run on new threads"
                );
                // whoever waits for a place goes to the new ones
                own.places.close();
                *now = Arc::new(new);
            }
            Err(error) => tracing::warn!(%error, "no threads can be had for queries"),
        }
    }
}

/// Some threads.
#[derive(Debug)]
pub(super) struct Own {
    runtime: Option<Runtime>,
    /// Of the queries that run there: those that wait for threads which do not come to
    /// them cannot be ended.
    places: Arc<Semaphore>,
}

impl Own {
    fn new(threads: usize, places: usize, alive: &Arc<AtomicUsize>) -> io::Result<Self> {
        let (begun, ended) = (Arc::clone(alive), Arc::clone(alive));
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads)
            .thread_name("sql")
            .thread_stack_size(STACK)
            // those that wait for files count as well: they are told by nothing
            .on_thread_start(move || {
                begun.fetch_add(1, Relaxed);
            })
            .on_thread_stop(move || {
                ended.fetch_sub(1, Relaxed);
            })
            .max_blocking_threads(threads * WAITING)
            .enable_all()
            .build()?;
        Ok(Self {
            runtime: Some(runtime),
            places: Arc::new(Semaphore::new(places.max(1))),
        })
    }

    /// A place for a query; `None`: these threads were left, and there are others.
    pub(super) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.places).acquire_owned().await.ok()
    }

    /// Runs something there, until nobody holds what is returned.
    ///
    /// # Panics
    /// Never: it is there until it is dropped.
    pub(super) fn spawn<F>(&self, task: F) -> AbortOnDropHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        AbortOnDropHandle::new(match &self.runtime {
            Some(runtime) => runtime.spawn(task),
            None => tokio::spawn(task),
        })
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // to wait for its threads is not allowed where others are served
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
