//! Where events go: the archive, or a stand-in.

use std::sync::Arc;

use bytes::Bytes;

use crate::{collect::queue::Answer, event::Event};

/// What came of a commit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Committed {
    /// Events that were not there.
    pub new: u64,
}

/// What came of merging small files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Compacted {
    /// Files that were merged.
    pub from: u64,
    /// Files that were written instead.
    pub into: u64,
}

/// The archive did not take something.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct TargetError {
    /// What is wrong.
    pub message: String,
    /// Whether another try may go well.
    pub may_pass: bool,
}

/// Takes events for good.
pub trait Target: Send + Sync + 'static {
    /// Takes events; those that are there it does not take twice. All are safe when it
    /// answers.
    fn commit(&self, events: Vec<Arc<Event>>) -> Answer<'_, Committed, TargetError>;

    /// Merges small files, where that is of use; how many there were, and are instead.
    fn compact(&self) -> Answer<'_, Compacted, TargetError>;

    /// What was kept under a name.
    fn load<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Bytes>, TargetError>;

    /// Keeps something under a name, instead of what was.
    fn save<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, (), TargetError>;
}
