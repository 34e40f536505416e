//! Why a query has no answer.

use std::time::Duration;

use datafusion::{arrow::error::ArrowError, common::DataFusionError};

use super::words::{of_plan, of_schema, told};

/// See the module. Each says what would do.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is no query, or one that cannot be answered: of a name that there is not,
    /// or a type that does not fit.
    #[error("{0}")]
    Wrong(String),
    /// It is more than a query of this server may be.
    #[error("{0}")]
    Refused(String),
    /// It did not fit into its share of memory.
    #[error(
        "the query needs more than the {} MB of memory that one may have here, and what it holds \
         cannot be put on disk ({what}); ask for less time, fewer columns or groups, or put the \
         smaller side of a join second",
        bytes / 1_000_000
    )]
    Memory {
        /// The share, in bytes.
        bytes: u64,
        /// What asked for more.
        what: String,
    },
    /// It did not fit on disk.
    #[error(
        "the query put more on disk than the {} MB that all may have here; ask for less time or \
         fewer columns",
        bytes / 1_000_000
    )]
    Disk {
        /// What all queries may have together, in bytes.
        bytes: u64,
    },
    /// It took too long.
    #[error(
        "the query was ended after {} s, which is as long as one may take here; ask for less time, \
         or name the account, the Region and the days",
        limit.as_secs()
    )]
    Time {
        /// How long one may take.
        limit: Duration,
    },
    /// No place came.
    #[error("no place came within {} s: {most} queries are under way; try again later", wait.as_secs())]
    Busy {
        /// How many there may be at once.
        most: usize,
        /// How long it waited.
        wait: Duration,
    },
    /// All threads that there may be are taken by queries that do not end.
    #[error(
        "queries that were ended still compute on all threads; try again when they are done, or \
         restart the server"
    )]
    Left,
    /// What was put on disk cannot be written or read there. The log has why.
    #[error(
        "what the query put on disk could not be written or read there; the server's log says why"
    )]
    Spill,
    /// A file of the archive, or the list of them, cannot be read. The log has why.
    #[error("the archive cannot be read; the server's log says why; try again later")]
    Archive,
    /// It is ours.
    #[error("the query failed for a reason that is not yours; the server's log has it")]
    Internal,
}

impl Error {
    /// Its stable reason.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Wrong(_) => "SQL_INVALID",
            Self::Refused(_) => "SQL_NOT_ALLOWED",
            Self::Memory { .. } => "SQL_MEMORY_EXCEEDED",
            Self::Disk { .. } => "SQL_DISK_EXCEEDED",
            Self::Time { .. } => "SQL_TIME_EXCEEDED",
            Self::Busy { .. } | Self::Left => "TOO_MANY_QUERIES",
            Self::Spill => "SQL_DISK_FAILED",
            Self::Archive => "ARCHIVE_UNREADABLE",
            Self::Internal => "INTERNAL",
        }
    }

    pub(super) fn wrong(what: impl Into<String>) -> Self {
        Self::Wrong(what.into())
    }

    pub(super) fn refused(what: impl Into<String>) -> Self {
        Self::Refused(what.into())
    }
}

/// What an error of the engine is measured by.
#[derive(Clone, Copy, Debug)]
pub(super) struct Bounds {
    /// The share of memory of a query, in bytes.
    pub(super) memory: u64,
    /// The disk of all, in bytes.
    pub(super) disk: u64,
}

impl Bounds {
    /// What an error of the engine means to who asked. What the log alone is told goes
    /// there.
    pub(super) fn of(self, error: &DataFusionError) -> Error {
        let root = error.find_root();
        match root {
            DataFusionError::External(external) => match external.downcast_ref::<Error>() {
                Some(own) => own.clone(),
                None => unread(&external.to_string()).unwrap_or_else(|| internal_of(error)),
            },
            DataFusionError::ResourcesExhausted(what) => self.exhausted(what),
            DataFusionError::SQL(what, _) => Error::wrong(told(&what.to_string())),
            DataFusionError::Plan(what)
            | DataFusionError::NotImplemented(what)
            | DataFusionError::Execution(what)
            | DataFusionError::Configuration(what) => Error::wrong(of_plan(what)),
            DataFusionError::SchemaError(what, _) => Error::wrong(of_schema(what)),
            DataFusionError::ArrowError(what, _) => match &**what {
                ArrowError::IoError(..) | ArrowError::IpcError(_) => self.spilled(error),
                ArrowError::ExternalError(_) | ArrowError::ParquetError(_) => archive(error),
                ArrowError::MemoryError(what) => self.exhausted(what),
                what => Error::wrong(told(&what.to_string())),
            },
            DataFusionError::Collection(all) => match all.first() {
                Some(first) => self.of(first),
                None => internal_of(error),
            },
            DataFusionError::ParquetError(_) | DataFusionError::ObjectStore(_) => archive(error),
            // files of the archive are the store's
            DataFusionError::IoError(_) => self.spilled(error),
            _ => internal_of(error),
        }
    }

    /// What was put on disk is more than may be, or the disk does not do.
    fn spilled(self, error: &DataFusionError) -> Error {
        let told = error.to_string();
        // the engine's own words
        if told.contains("used disk space during the spilling process") {
            return Error::Disk { bytes: self.disk };
        }
        tracing::warn!(%error, "a query could not put on disk what it holds");
        Error::Spill
    }

    fn exhausted(self, what: &str) -> Error {
        Error::Memory {
            bytes: self.memory,
            what: consumer(what),
        }
    }
}

/// Who asked for the memory, in the engine's words: `Failed to allocate additional 1.0
/// MB for HashJoinInput with ...`.
fn consumer(what: &str) -> String {
    let after = what.split_once(" for ").map(|(_, after)| after);
    let name = after.and_then(|after| {
        let name = after.trim_start_matches(['`', '"', ' ']);
        name.split([' ', '[', '(', '`', '#', '"'])
            .next()
            .filter(|name| !name.is_empty())
    });
    name.unwrap_or("some operator").to_owned()
}

fn archive(error: &DataFusionError) -> Error {
    tracing::warn!(%error, "a query could not read the archive");
    Error::Archive
}

/// A regular expression that is none: the error's type is of a library of the engine's.
fn unread(what: &str) -> Option<Error> {
    what.contains("regex").then(|| Error::wrong(told(what)))
}

fn internal_of(error: &DataFusionError) -> Error {
    tracing::error!(%error, "a query failed");
    Error::Internal
}

/// What cannot happen, if the engine is as it was.
pub(super) fn internal(what: &str) -> DataFusionError {
    DataFusionError::Internal(what.to_owned())
}

impl From<Error> for DataFusionError {
    fn from(error: Error) -> Self {
        Self::External(Box::new(error))
    }
}
