//! What the collector needs of the world, as traits: the queue, the bucket, the
//! reader of files, and whoever takes the events.

use std::{pin::Pin, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::Stream;

use crate::{
    collect::{
        digest::Digest,
        envelope::{self, ObjectRef},
        object_key::{Kind, ObjectKey},
    },
    event::{Category, Event, Scope, TimeRange},
};

/// What a port answers with.
pub type Answer<'a, T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send + 'a>>;

/// A message, as it was received.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message {
    /// Its id; stays the same when it comes again.
    pub id: String,
    /// What it is deleted and extended by; another one each time it comes.
    pub receipt: String,
    /// Its body.
    pub body: String,
    /// How often it was received, this time included. 0: the queue does not say.
    pub receive_count: u32,
    /// When it was sent, in whole seconds since the Unix epoch.
    pub sent_at: Option<i64>,
}

/// What a queue refuses with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MessagesError {
    /// The receipt is not valid any more: the message became visible, or is
    /// deleted.
    #[error("the receipt is not valid any more")]
    ReceiptGone,
    /// The gateway's identity may not.
    #[error("the queue denied the request: {0}")]
    Denied(String),
    /// Anything else; it may pass.
    #[error("the queue did not answer as it should: {0}")]
    Failed(String),
}

/// A queue. An implementation sends each request once: retries are the
/// collector's.
pub trait Messages: Send + Sync + 'static {
    /// Receives up to `max` (1 to 10) messages, waiting up to `wait` for the
    /// first one. Nobody else is given them for `visibility`.
    fn receive(
        &self,
        max: usize,
        wait: Duration,
        visibility: Duration,
    ) -> Answer<'_, Vec<Message>, MessagesError>;

    /// Deletes a message.
    fn delete<'a>(&'a self, receipt: &'a str) -> Answer<'a, (), MessagesError>;

    /// Has a message stay with us for `visibility` from now; zero gives it back
    /// at once.
    fn extend<'a>(
        &'a self,
        receipt: &'a str,
        visibility: Duration,
    ) -> Answer<'a, (), MessagesError>;

    /// After how many receives a message goes to the dead-letter queue. `None`:
    /// there is none.
    fn dead_letter(&self) -> Answer<'_, Option<u32>, MessagesError>;
}

/// What a bucket refuses with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ObjectsError {
    /// There is no such object. That there is no such bucket is
    /// [`ObjectsError::Failed`]: a wrong setting must not give up every message.
    #[error("the object is not there")]
    NotFound,
    /// The gateway's identity may not read it, or not decrypt it. A bucket whose
    /// names may not be listed says this of objects that are not there, too.
    #[error("access denied: {0}")]
    Denied(String),
    /// Anything else; it may pass.
    #[error("the object could not be read: {0}")]
    Failed(String),
}

/// An object's bytes, as they come.
pub type Body = Pin<Box<dyn Stream<Item = Result<Bytes, ObjectsError>> + Send>>;

/// Buckets.
pub trait Objects: Send + Sync + 'static {
    /// Opens an object.
    fn get<'a>(&'a self, object: &'a ObjectRef) -> Answer<'a, Body, ObjectsError>;
}

/// What is wrong with a file. What was read before it counts.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// It ends too early.
    #[error("the file ends too early")]
    Truncated,
    /// It is not what it should be: no gzip, a wrong checksum, no JSON.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// It unpacks to more than is read.
    #[error("the file unpacks to more than {0} bytes")]
    TooLarge(u64),
    /// A record is larger than any that AWS writes: this many bytes. All others
    /// were delivered.
    #[error("a record has {0} bytes, and is not read")]
    RecordTooLarge(u64),
    /// It has no records where they should be.
    #[error("the file has no `Records`")]
    NoRecords,
}

/// What a reader finds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// A record, whole; of a digest, the next bytes of it.
    Piece(&'a [u8]),
    /// A record that is larger than any that is held, and is passed over: how
    /// many bytes it has.
    TooLarge(u64),
}

/// Takes a file's bytes, and gives what is in them. What it holds is bounded,
/// and so is what a file may unpack to.
pub trait Reader: Send {
    /// The next thing that is found; `None`: more of the file is needed. Takes
    /// what it used from the front of `packed`, which is all when it gives `None`.
    ///
    /// # Errors
    /// The file cannot be read further.
    fn next<'a>(&'a mut self, packed: &mut &[u8]) -> Result<Option<Found<'a>>, Fault>;

    /// There are no more bytes.
    ///
    /// # Errors
    /// There should be.
    fn finish(self: Box<Self>) -> Result<(), Fault>;
}

/// Makes readers.
pub trait Readers: Send + Sync + 'static {
    /// For a log file: gives its records.
    fn records(&self) -> Box<dyn Reader>;

    /// For a digest file: gives its content, unpacked, in pieces of any size.
    fn content(&self) -> Box<dyn Reader>;
}

/// Where events were found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// In a file of this kind.
    File(Arc<ObjectRef>, Kind),
    /// In a message, sent by EventBridge.
    EventBridge,
}

/// Events on their way.
#[derive(Clone, Debug)]
pub struct Batch {
    /// In the order in which they were found. Not empty.
    pub events: Vec<Arc<Event>>,
    /// Where.
    pub source: Source,
    /// The kind of events, where `LookupEvents` knows it.
    pub category: Option<Category>,
}

/// Resolves when whoever must not lose the events has them. It is not polled
/// before its turn: what it waits for goes on without that.
pub type Taken = Pin<Box<dyn Future<Output = Result<(), Refused>> + Send>>;

/// Events were not taken. Their message is not deleted, and they come again.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the events were not taken: {0}")]
pub struct Refused(pub String);

/// Why something that was announced is not collected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Why {
    /// The object is not there.
    #[error("the object is not there")]
    Gone,
    /// The object cannot be read to its end. What came before was delivered.
    #[error(transparent)]
    Fault(#[from] Fault),
    /// The object is no digest that can be used.
    #[error(transparent)]
    Digest(#[from] crate::collect::digest::Error),
    /// The message has no form that is known.
    #[error(transparent)]
    Message(#[from] envelope::Error),
}

/// Something that was announced and is given up: a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lost {
    /// The message's id. `None`: no message named it, a digest did.
    pub message: Option<String>,
    /// The object.
    pub object: Option<ObjectRef>,
    /// What it held, by its key.
    pub kind: Option<Kind>,
    /// Whose records it had, by its key.
    pub scope: Option<Scope>,
    /// When it was delivered, by its key, else when the message was sent; in
    /// whole seconds since the Unix epoch.
    pub time: Option<i64>,
    /// Why.
    pub why: Why,
    /// The queue keeps the message for its dead-letter queue. Otherwise it is
    /// deleted.
    pub is_kept: bool,
}

impl Lost {
    /// The seconds that the events may be in that are not collected: those that
    /// a file of this time usually has, `horizon` before it. `None`: no events
    /// are known to be missing. A digest has none, only the proof is gone.
    #[must_use]
    pub fn range(&self, horizon: Duration) -> Option<TimeRange> {
        let time = self.time.filter(|_| self.kind != Some(Kind::Digest))?;
        let horizon = i64::try_from(horizon.as_secs()).unwrap_or(i64::MAX);
        // a key's time has whole minutes
        Some(TimeRange::new(
            time.saturating_sub(horizon),
            time.saturating_add(60),
        ))
    }
}

/// Takes what is collected. May be given the same events again: it knows them by
/// their identity.
pub trait Sink: Send + Sync + 'static {
    /// Takes events. Waits where there is no room. They are safe, and their
    /// message may be deleted, when the returned [`Taken`] resolves.
    fn take(&self, batch: Batch) -> Answer<'_, Taken, Refused>;

    /// A file is ingested wholly: all its events are safe.
    fn ingested(&self, object: &ObjectRef, key: &ObjectKey);

    /// A digest was read.
    fn digest(&self, digest: Digest);

    /// Something is given up. To be told loudly.
    fn lost(&self, lost: Lost);
}
