//! Who keeps events for good.

use std::{fmt, pin::Pin};

use crate::feed::Position;

/// Resolves when something is kept. Goes on whether it is polled or not.
pub type Kept = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A consumer of the feed that keeps what it reads for good. What a queue brought is
/// acknowledged only once he has it.
pub trait Durable: fmt::Debug + Send + Sync {
    /// Waits, however long, until more may be taken in: what he has not kept yet must
    /// not be dropped from the log.
    fn room(&self) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;

    /// Resolves when all that the log has before this position is kept.
    fn kept(&self, before: Position) -> Kept;
}
