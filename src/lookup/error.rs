//! Why a question got no answer.

use std::time::Duration;

use crate::{
    event::Scope,
    upstream::{self, ErrorKind},
};

/// Why a question got no answer at all. Nothing in here names a principal, a
/// key or a token of AWS: it may be shown to clients.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The page token is not one of ours, or belongs to another request.
    #[error("{0}")]
    Token(&'static str),
    /// Nothing could be searched in time: the quota is used up.
    #[error("the CloudTrail quota is used up; try again in {:.1} s, or allow a longer deadline", wait.as_secs_f64())]
    Exhausted {
        /// How long the next request would wait.
        wait: Duration,
        /// AWS throttled: other tools use it up.
        is_throttled: bool,
    },
    /// Nothing could be searched: the caller bought as many requests today as
    /// may be.
    #[error(
        "the caller's CloudTrail requests of this day are spent; try again after midnight UTC, or \
         ask for what is held"
    )]
    DailyAllowance {
        /// How long until the next day, in UTC.
        wait: Duration,
    },
    /// AWS refuses the gateway.
    #[error(
        "AWS refuses the gateway's identity{} ({code}): allow {}",
        place(scope),
        missing_right(code)
    )]
    Denied {
        /// AWS's error code.
        code: String,
        /// Where, if the error does not stand beside its scope.
        scope: Option<Scope>,
    },
    /// The gateway has no credentials that AWS accepts.
    #[error(
        "the gateway's AWS credentials are missing, expired or not accepted, or the Region is not \
         enabled for the account{} ({code})",
        place(scope)
    )]
    Credentials {
        /// AWS's error code.
        code: String,
        /// Where, if the error does not stand beside its scope.
        scope: Option<Scope>,
    },
    /// AWS does not accept what the gateway asked.
    #[error("CloudTrail does not accept the request{} ({code})", place(scope))]
    Rejected {
        /// AWS's error code.
        code: String,
        /// Where, if the error does not stand beside its scope.
        scope: Option<Scope>,
    },
    /// What is kept for good cannot be read, and AWS has forgotten it.
    #[error(
        "the archive cannot be read, and CloudTrail keeps nothing so old ({what}); try again later"
    )]
    Archive {
        /// Why not.
        what: String,
    },
    /// AWS does not answer.
    #[error("CloudTrail does not answer{} ({code}); try again later", place(scope))]
    Unavailable {
        /// AWS's error code, or a word for how the way there failed.
        code: String,
        /// Where, if the error does not stand beside its scope.
        scope: Option<Scope>,
    },
}

/// The right that an upstream code complains of.
fn missing_right(code: &str) -> &'static str {
    if code.starts_with(upstream::ASSUME_ROLE) {
        "sts:AssumeRole on the account's role, and the gateway in its trust policy"
    } else {
        "cloudtrail:LookupEvents"
    }
}

fn place(scope: &Option<Scope>) -> String {
    let place = scope.as_ref();
    place.map_or_else(String::new, |scope| format!(" in {scope}"))
}

impl Error {
    /// The same, said of a scope by itself.
    #[must_use]
    pub fn of(self, scope: &Scope) -> Self {
        self.said_of(Some(scope.clone()))
    }

    /// The same, said of no scope, or beside it.
    #[must_use]
    pub fn of_any(self) -> Self {
        self.said_of(None)
    }

    fn said_of(mut self, of: Option<Scope>) -> Self {
        match &mut self {
            Self::Denied { scope, .. }
            | Self::Credentials { scope, .. }
            | Self::Rejected { scope, .. }
            | Self::Unavailable { scope, .. } => *scope = of,
            Self::Token(_)
            | Self::Exhausted { .. }
            | Self::DailyAllowance { .. }
            | Self::Archive { .. } => {}
        }
        self
    }

    /// The scope that it is said of.
    #[must_use]
    pub fn scope(&self) -> Option<&Scope> {
        match self {
            Self::Denied { scope, .. }
            | Self::Credentials { scope, .. }
            | Self::Rejected { scope, .. }
            | Self::Unavailable { scope, .. } => scope.as_ref(),
            Self::Token(_)
            | Self::Exhausted { .. }
            | Self::DailyAllowance { .. }
            | Self::Archive { .. } => None,
        }
    }

    /// A stable word for it.
    #[must_use]
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Token(_) => "INVALID_PAGE_TOKEN",
            Self::Exhausted { .. } => "QUOTA_EXHAUSTED",
            Self::DailyAllowance { .. } => "DAILY_ALLOWANCE_SPENT",
            Self::Denied { .. } => "UPSTREAM_ACCESS_DENIED",
            Self::Credentials { .. } => "UPSTREAM_CREDENTIALS",
            Self::Rejected { .. } => "UPSTREAM_REJECTED",
            Self::Unavailable { .. } => "UPSTREAM_UNAVAILABLE",
            Self::Archive { .. } => "ARCHIVE_UNAVAILABLE",
        }
    }
}

impl From<upstream::Error> for Error {
    fn from(error: upstream::Error) -> Self {
        let (code, scope) = (error.code, None);
        match error.kind {
            ErrorKind::Throttled => Self::Exhausted {
                wait: error.retry_after.unwrap_or(Duration::from_secs(1)),
                is_throttled: true,
            },
            ErrorKind::Denied => Self::Denied { code, scope },
            ErrorKind::Credentials => Self::Credentials { code, scope },
            ErrorKind::Invalid | ErrorKind::InvalidToken => Self::Rejected { code, scope },
            ErrorKind::Transient | ErrorKind::Gone => Self::Unavailable { code, scope },
        }
    }
}
