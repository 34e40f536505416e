//! What can be wrong with an archive or the store that it is in.

use std::time::Duration;

/// Why the archive could not be opened, written or read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store did not do what it was asked.
    #[error("{operation} `{path}`: {what}")]
    Store {
        /// What was asked of it, such as `reading`.
        operation: &'static str,
        /// Of which object.
        path: String,
        /// What kind of failure it is.
        kind: Kind,
        /// The store's word.
        what: String,
    },
    /// There is no archive.
    #[error("there is no archive{}", at(root))]
    Missing {
        /// Where it was looked for.
        root: String,
    },
    /// Something in the archive is not as it must be: nothing was changed.
    #[error("the archive is damaged: `{path}`: {what}")]
    Damaged {
        /// The object at fault.
        path: String,
        /// What is wrong with it.
        what: String,
    },
    /// The archive needs a newer program: nothing was changed.
    #[error("the archive{} is newer than this program: {what}", at(root))]
    Newer {
        /// Where it is.
        root: String,
        /// What it asks for.
        what: String,
    },
    /// What is there is no archive of trailgate's: nothing was changed.
    #[error("what is there{} is not an archive of trailgate's: {what}", at(root))]
    Foreign {
        /// Where it is.
        root: String,
        /// What differs.
        what: String,
    },
    /// The store lets an object be written twice that may only be written once.
    #[error(
        "the store{} overwrote an object that it was told to write only if there was none: two \
         writers would lose each other's commits; use one that honours put-if-absent (S3's \
         `If-None-Match`), or a local directory",
        at(root)
    )]
    NotAtomic {
        /// Where the archive is.
        root: String,
    },
    /// Others committed first, again and again.
    #[error("{tries} times another writer committed first: try again later")]
    Busy {
        /// How often it was tried.
        tries: u32,
    },
    /// The store is so slow that files that were written may be vacuumed before they are
    /// part of the table.
    #[error("the store takes too long: what was written half an hour ago is not committed yet")]
    TooSlow,
    /// It would take more than it may.
    #[error("{what} takes {bytes} bytes; at most {limit} are allowed")]
    TooLarge {
        /// What would.
        what: String,
        /// How much it takes.
        bytes: u64,
        /// How much it may.
        limit: u64,
    },
    /// What the archive says of those who keep it does not let another state follow.
    #[error(
        "the archive's state {what}: nothing is changed; run the newest of the versions that \
             write to it"
    )]
    State {
        /// What is wrong with it.
        what: String,
    },
    /// The archive was opened to read.
    #[error("the archive was opened to be read: it cannot be changed")]
    ReadOnly,
    /// Columns could not be made or read.
    #[error("columns of `{path}`: {what}")]
    Columns {
        /// The file.
        path: String,
        /// What was wrong.
        what: String,
    },
    /// The process is stopping.
    #[error("the process is stopping")]
    Stopping,
}

/// Where in its store an archive is; nothing, if it has all of it: whoever opened it knows
/// where that is.
fn at(root: &str) -> String {
    match root {
        "" => String::new(),
        root => format!(" at `{root}`"),
    }
}

/// What kind of failure the store had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It has no such object.
    NotFound,
    /// It has such an object already.
    Exists,
    /// It does not let us.
    Denied,
    /// It did not answer in time.
    Stalled,
    /// Something else: a full disk, a broken connection.
    Other,
}

/// Why an archive could not be opened.
pub type OpenError = Error;
/// Why events could not be committed.
pub type CommitError = Error;

impl Error {
    /// Of something that the store did not do.
    pub(super) fn store(
        operation: &'static str,
        path: impl Into<String>,
        error: &object_store::Error,
    ) -> Self {
        use object_store::Error as E;
        let kind = match error {
            E::NotFound { .. } => Kind::NotFound,
            E::AlreadyExists { .. } | E::Precondition { .. } => Kind::Exists,
            E::PermissionDenied { .. } | E::Unauthenticated { .. } => Kind::Denied,
            _ => Kind::Other,
        };
        Self::Store {
            operation,
            path: path.into(),
            kind,
            what: error.to_string(),
        }
    }

    /// Of something that the store did not do in time.
    pub(super) fn stalled(operation: &'static str, path: &str, limit: Duration) -> Self {
        Self::Store {
            operation,
            path: path.to_owned(),
            kind: Kind::Stalled,
            what: format!("the store gave no answer in {} s", limit.as_secs()),
        }
    }

    pub(super) fn damaged(path: &str, what: impl Into<String>) -> Self {
        Self::Damaged {
            path: path.to_owned(),
            what: what.into(),
        }
    }

    pub(super) fn columns(path: &str, what: &impl ToString) -> Self {
        Self::Columns {
            path: path.to_owned(),
            what: what.to_string(),
        }
    }

    /// What the store did not do, if it was the store.
    #[must_use]
    pub fn kind(&self) -> Option<Kind> {
        match self {
            Self::Store { kind, .. } => Some(*kind),
            _ => None,
        }
    }

    /// Whether it may pass by itself: the store's failures, and other writers.
    #[must_use]
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::Store { .. } | Self::Busy { .. } | Self::TooSlow)
    }
}
