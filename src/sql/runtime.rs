//! Threads of queries' own: a query that computes for minutes keeps nobody else from
//! being answered.

use std::io;

use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// The stack of each thread, in bytes: plans are walked by recursion, and a query of as
/// many words as there may be is some thousands deep.
const STACK: usize = 8 << 20;

/// See the module.
#[derive(Debug)]
pub(super) struct Own(Option<Runtime>);

impl Own {
    pub(super) fn new(threads: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(threads.max(1))
            .thread_name("sql")
            .thread_stack_size(STACK)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs something there, until nobody holds what is returned.
    ///
    /// # Panics
    /// Never: it is there until it is dropped.
    pub(super) fn spawn<F>(&self, task: F) -> AbortOnDropHandle<F::Output>
    where
        F: Future<Output: Send + 'static> + Send + 'static,
    {
        AbortOnDropHandle::new(match &self.0 {
            Some(runtime) => runtime.spawn(task),
            None => tokio::spawn(task),
        })
    }
}

impl Drop for Own {
    fn drop(&mut self) {
        // to wait for its threads is not allowed where others are served
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}
