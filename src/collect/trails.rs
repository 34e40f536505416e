//! A trail's bucket, listed: the log of what was delivered, for as long as nobody
//! else keeps what the feed had.
//!
//! A queue's messages are deleted once their events are in the feed, and a
//! process that ends takes the feed with it. What was delivered shortly before
//! this process began is read at its start, as known; what a subscription missed
//! for longer is read for it from where its resume token says.

mod discover;
mod history;
mod place;
mod startup;

use std::{collections::BTreeMap, pin::Pin, sync::Arc, time::Duration};

use futures_util::{Stream, StreamExt};
use tokio::{
    sync::{Semaphore, watch},
    time::timeout,
};

use super::{
    object_key::{Kind, Root},
    queue::{Answer, Message, Messages, MessagesError, Objects, ObjectsError, Readers},
    source_filter::SourceFilter,
};
use crate::{clock::Clock, event::Scope};

pub use place::{PlaceError, Trail};

/// Files that subscriptions read at once, each with a batch and a window: some 20
/// MB in all.
const FILES: usize = 16;
/// How long a listing may say nothing; the longest that an S3 request takes is
/// some seconds.
const STALL: Duration = Duration::from_secs(60);
/// The first pause after something failed.
const PAUSE: Duration = Duration::from_secs(1);
/// The longest: a bucket that was away is back within a minute.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// Keys, as they are listed.
pub type Keys = Pin<Box<dyn Stream<Item = Result<String, ObjectsError>> + Send>>;

/// Listings of buckets.
pub trait Listing: Send + Sync + 'static {
    /// The names directly below a prefix that ends in `/`, in ascending order,
    /// without slashes; those alone that have keys below them.
    fn below<'a>(
        &'a self,
        bucket: &'a str,
        prefix: &'a str,
    ) -> Answer<'a, Vec<String>, ObjectsError>;

    /// The keys with a prefix that ends in `/`, in ascending order, behind a key.
    fn keys(&self, bucket: &str, prefix: &str, after: &str) -> Keys;
}

/// Where the files of a scope are, of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Source {
    bucket: String,
    kind: Kind,
    root: Root,
    /// What its keys begin with.
    prefix: String,
}

/// By scope; of each in ascending order of bucket and prefix.
type Sources = BTreeMap<Scope, Vec<Source>>;

/// What trails are read with.
pub struct Ports {
    /// The buckets.
    pub objects: Arc<dyn Objects>,
    /// The same, listed.
    pub listing: Arc<dyn Listing>,
    /// What reads files.
    pub readers: Arc<dyn Readers>,
}

/// The buckets of trails. Cheap to clone.
#[derive(Clone)]
pub struct Trails(Arc<Inner>);

struct Inner {
    ports: Ports,
    trails: Vec<Trail>,
    filter: SourceFilter,
    clock: Clock,
    /// How long an event may take to be delivered.
    horizon: Duration,
    /// The start of the minute in which this process began: keys have minutes.
    began: i64,
    /// `None`: it was not yet looked for them.
    found: watch::Sender<Option<Arc<Sources>>>,
    files: Arc<Semaphore>,
}

impl std::fmt::Debug for Trails {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Trails")
            .field("trails", &self.0.trails)
            .finish_non_exhaustive()
    }
}

impl Trails {
    /// Trails of which nothing is known yet.
    #[must_use]
    pub fn new(
        ports: Ports,
        trails: Vec<Trail>,
        filter: SourceFilter,
        clock: Clock,
        horizon: Duration,
    ) -> Self {
        let now = clock.now_secs();
        let (found, _) = watch::channel(None);
        Self(Arc::new(Inner {
            ports,
            trails,
            filter,
            horizon,
            began: now - now.rem_euclid(60),
            clock,
            found,
            files: Arc::new(Semaphore::new(FILES)),
        }))
    }
}

impl Inner {
    /// The next key of a listing.
    async fn next_key(&self, keys: &mut Keys) -> Result<Option<String>, ObjectsError> {
        match timeout(STALL, keys.next()).await {
            Ok(key) => key.transpose(),
            Err(_late) => Err(stalled()),
        }
    }
}

fn stalled() -> ObjectsError {
    ObjectsError::Failed(format!("nothing was listed for {STALL:?}"))
}

/// No queue: files are read that were listed.
struct NoMessages;

impl Messages for NoMessages {
    fn receive(
        &self,
        _: usize,
        _: Duration,
        _: Duration,
    ) -> Answer<'_, Vec<Message>, MessagesError> {
        Box::pin(std::future::pending())
    }

    fn delete<'a>(&'a self, _: &'a str) -> Answer<'a, (), MessagesError> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn extend<'a>(&'a self, _: &'a str, _: Duration) -> Answer<'a, (), MessagesError> {
        Box::pin(std::future::ready(Ok(())))
    }

    fn dead_letter(&self) -> Answer<'_, Option<u32>, MessagesError> {
        Box::pin(std::future::ready(Ok(None)))
    }
}
