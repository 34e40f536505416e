//! The port to CloudTrail: a trait, and what can go wrong behind it.

mod allowance;
mod aws;
mod error;
mod health;
mod partition;
mod retry;
mod roles;
mod scopes;

use std::{future::Future, pin::Pin};

pub use allowance::Allowance;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) use aws::oracle;
pub use aws::{Aws, Member, Options as AwsOptions, Signing, Trail};
pub(crate) use aws::{loader, simulator_key};
pub use error::{ASSUME_ROLE, Error, ErrorKind};
pub use health::{Health, LastError};
pub use partition::Partition;
pub use retry::{FetchError, Payers, Retry, Upstream};
pub use roles::Roles;
pub use scopes::{Change, Publisher, Scopes};

use crate::event::{Attribute, Category, LookupEvent, Scope, TimeRange};

/// The most events that one `LookupEvents` request returns (API reference,
/// `MaxResults`). Every request asks for as many.
pub const PAGE_EVENTS: usize = 50;

/// One `LookupEvents` request, before it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PageRequest {
    /// The kind of events.
    pub category: Category,
    /// The one attribute that may be asked by.
    pub attribute: Option<Attribute>,
    /// The stretch of time. On the wire both ends are inclusive, so the last
    /// second asked for is `range.to - 1`. Not empty.
    pub range: TimeRange,
    /// `NextToken` of the page before; everything else must be as it was.
    pub token: Option<String>,
}

/// One page of a `LookupEvents` answer, newest event first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// The events: at most [`PAGE_EVENTS`]; may be fewer, or none, with a token.
    pub events: Vec<LookupEvent>,
    /// Asks for the next page; `None` is the end.
    pub next_token: Option<String>,
}

/// What a [`CloudTrail`] answers with.
pub type PageFuture<'a> = Pin<Box<dyn Future<Output = Result<Page, Error>> + Send + 'a>>;

/// CloudTrail's Event history, as the gateway sees it: AWS, or a stand-in.
pub trait CloudTrail: Send + Sync + 'static {
    /// Sends one request, once: an implementation neither retries nor waits
    /// for quota.
    fn lookup_events<'a>(&'a self, scope: &'a Scope, request: &'a PageRequest) -> PageFuture<'a>;
}
