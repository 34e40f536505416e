//! Why a query has no answer.

use std::{fmt, time::Duration};

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
    /// What was put on disk cannot be written or read there.
    #[error("what the query put on disk could not be written or read there{0}")]
    Spill(Reason),
    /// A file of the archive, or the list of them, cannot be read.
    #[error("the archive cannot be read{0}")]
    Archive(Reason),
    /// It is ours.
    #[error("the query failed for a reason that is not yours{0}")]
    Internal(Reason),
}

/// Why files could not be read or written, or what failed, with their names: a caller of a
/// server is not told, who may see a part of the archive; who asks the files themselves is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Reason(Option<String>);

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self(Some(why)) => write!(f, ": {why}"),
            Self(None) => f.write_str("; the server's log says why; try again later"),
        }
    }
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
            Self::Spill(_) => "SQL_DISK_FAILED",
            Self::Archive(_) => "ARCHIVE_UNREADABLE",
            Self::Internal(_) => "INTERNAL",
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
    /// Who asks may know of files.
    pub(super) tells_reasons: bool,
}

impl Bounds {
    /// What an error of the engine means to who asked. What the log alone is told goes
    /// there.
    pub(super) fn of(self, error: &DataFusionError) -> Error {
        let root = error.find_root();
        match root {
            DataFusionError::External(external) => match external.downcast_ref::<Error>() {
                Some(own) => own.clone(),
                None => unread(&external.to_string()).unwrap_or_else(|| self.internal(error)),
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
                ArrowError::ExternalError(_) | ArrowError::ParquetError(_) => {
                    self.unreadable(error)
                }
                ArrowError::MemoryError(what) => self.exhausted(what),
                what => Error::wrong(told(&what.to_string())),
            },
            DataFusionError::Collection(all) => match all.first() {
                Some(first) => self.of(first),
                None => self.internal(error),
            },
            DataFusionError::ParquetError(_) | DataFusionError::ObjectStore(_) => {
                self.unreadable(error)
            }
            // files of the archive are the store's
            DataFusionError::IoError(_) => self.spilled(error),
            _ => self.internal(error),
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
        Error::Spill(self.reason(error))
    }

    /// The archive cannot be read.
    pub(super) fn unreadable(self, error: &dyn fmt::Display) -> Error {
        tracing::warn!(%error, "a query could not read the archive");
        Error::Archive(self.reason(error))
    }

    fn internal(self, error: &DataFusionError) -> Error {
        tracing::error!(%error, "a query failed");
        Error::Internal(self.reason(error))
    }

    fn reason(self, error: &dyn fmt::Display) -> Reason {
        Reason(self.tells_reasons.then(|| told(&error.to_string())))
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

/// A regular expression that is none: the error's type is of a library of the engine's.
fn unread(what: &str) -> Option<Error> {
    what.contains("regex").then(|| Error::wrong(told(what)))
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
