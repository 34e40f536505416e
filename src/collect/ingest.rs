//! Log files that somebody brings, on their way into the feed.
//!
//! Bytes are read as they come, as those of a queue's files are: nothing is held
//! but the reader's window and a batch of events.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use tokio::time::{Duration, Instant};

use super::{
    durable::Durable,
    log_file::{self, Error, Limits, Problem, Reader, Record},
    object_key::{ObjectKey, Place},
};
use crate::{
    event::{Event, Origin, Scope},
    feed::Feed,
};

/// The most bytes of a name: S3's limit of a key.
pub const MAX_NAME: usize = 1024;
/// The most bytes in a piece: half of the largest request, which has little beside.
pub const MAX_PIECE: usize = 512 << 10;

/// Events that are handed on together, and their bytes: a small part of the log, so
/// that its pace is kept.
const BATCH: usize = 128;
/// See [`BATCH`].
const BATCH_BYTES: usize = 256 << 10;
/// What an event costs beside its record, near enough.
const OVERHEAD: usize = 1 << 10;
/// How often progress of one file is told.
const PROGRESS: Duration = Duration::from_secs(1);

/// What was in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records, of whatever kind.
    pub records: u64,
    /// Events that nobody had brought.
    pub new: u64,
    /// Events that were known.
    pub known: u64,
    /// Records that are no JSON objects, or not in UTF-8; they are events too.
    pub malformed: u64,
    /// Records that belong to no scope, and were not taken.
    pub unplaced: u64,
}

/// Why a file was not read to its end, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something is wrong with it.
    #[error("{0}")]
    File(Error),
    /// A record is larger than any that AWS writes: this many bytes. All others were
    /// taken.
    #[error("a record has {0} bytes, and is not read; all others were")]
    RecordTooLarge(u64),
    /// Whoever brings it could not read it to its end.
    #[error("it could not be read to its end where it lies; what came of it counts")]
    Unreadable,
}

impl Fault {
    /// A stable word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::File(error) => match error.problem {
                Problem::PackedTooShort | Problem::TooShort => "TRUNCATED",
                Problem::UnpacksToMore(_) | Problem::TooManyBytes(_) => "TOO_LARGE",
                Problem::NoRecords => "NO_RECORDS",
                Problem::Damaged
                | Problem::NotGzip(_)
                | Problem::TooManyMembers(_)
                | Problem::Unexpected(..) => "DAMAGED",
            },
            Self::RecordTooLarge(_) => "RECORD_TOO_LARGE",
            Self::Unreadable => "UNREADABLE",
        }
    }
}

/// What came of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ingested {
    /// Its name.
    pub name: String,
    /// What it held, as far as it was read.
    pub counts: Counts,
    /// Bytes that came of it.
    pub bytes: u64,
    /// Why that is not all.
    pub fault: Option<Fault>,
}

/// How far the file is that is being read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// What it held so far.
    pub counts: Counts,
    /// Bytes that came of it.
    pub bytes: u64,
}

/// What does not follow what came before.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Misuse {
    /// A file begins within another.
    #[error("{0:?} begins before {1:?} has ended; end each file before the next")]
    Within(String, String),
    /// Data, or an end, of no file.
    #[error("{0} of no file; say first where one begins")]
    NoFile(&'static str),
    /// A name is too long.
    #[error(
        "a file's name has {0} bytes, at most {MAX_NAME} are taken; send its key, or the last part"
    )]
    Name(usize),
    /// A piece is too large.
    #[error("{0} bytes in one message, at most {MAX_PIECE} are taken; send smaller pieces")]
    Piece(usize),
    /// Nothing more comes, and a file has not ended.
    #[error("the request ends within {0:?}; what came of it was taken, send it again")]
    NotEnded(String),
}

/// Takes log files in, one after the other.
#[derive(Debug)]
pub struct Ingest {
    to: Taker,
    limits: Limits,
    file: Option<File>,
}

/// Takes events in.
#[derive(Debug)]
struct Taker {
    feed: Arc<Feed>,
    /// Who keeps events for good, if anybody does.
    durable: Option<Arc<dyn Durable>>,
}

impl Taker {
    /// Takes in what a file has given.
    async fn take(&self, file: &mut File) {
        file.held = 0;
        let events = std::mem::take(&mut file.events);
        if events.is_empty() {
            return;
        }
        if let Some(durable) = &self.durable {
            durable.room().await;
        }
        self.feed.room().await;
        let taken = self.feed.ingest(&events);
        file.counts.new += taken.new;
        file.counts.known += taken.known;
    }

    /// Waits until all that was taken is kept for good, where somebody does that.
    async fn kept(&self) {
        if let Some(durable) = &self.durable {
            durable.kept(self.feed.head()).await;
        }
    }
}

/// A file that is being read.
#[derive(Debug)]
struct File {
    name: String,
    /// What its name says.
    place: Option<Place>,
    reader: Option<Reader>,
    bytes: u64,
    counts: Counts,
    fault: Option<Fault>,
    events: Vec<Arc<Event>>,
    /// Bytes of these.
    held: usize,
    told: Instant,
}

impl Ingest {
    /// Takes files into `feed`, each held to `limits`.
    #[must_use]
    pub fn new(feed: Arc<Feed>, limits: Limits) -> Self {
        Self {
            to: Taker {
                feed,
                durable: None,
            },
            limits,
            file: None,
        }
    }

    /// With somebody who keeps events for good: more is taken once he has room, and
    /// all is well once he has it.
    #[must_use]
    pub fn with_durable(mut self, durable: Option<Arc<dyn Durable>>) -> Self {
        self.to.durable = durable;
        self
    }

    /// A file begins.
    ///
    /// # Errors
    /// If another one has not ended, or the name is longer than [`MAX_NAME`].
    pub fn start(&mut self, name: String) -> Result<(), Misuse> {
        if let Some(file) = &self.file {
            return Err(Misuse::Within(shown(&name), shown(&file.name)));
        }
        if name.len() > MAX_NAME {
            return Err(Misuse::Name(name.len()));
        }
        self.file = Some(File {
            place: place(&name),
            name,
            reader: Some(Reader::new(self.limits)),
            bytes: 0,
            counts: Counts::default(),
            fault: None,
            events: Vec::new(),
            held: 0,
            told: Instant::now(),
        });
        Ok(())
    }

    /// More bytes of the file; how far it is, if that was not told for a while. It
    /// takes as long as subscribers need who keep up.
    ///
    /// # Errors
    /// If no file has begun, or there are more than [`MAX_PIECE`].
    pub async fn data(&mut self, bytes: &[u8]) -> Result<Option<Progress>, Misuse> {
        let file = self.file.as_mut().ok_or(Misuse::NoFile("data"))?;
        if bytes.len() > MAX_PIECE {
            return Err(Misuse::Piece(bytes.len()));
        }
        file.bytes = file.bytes.saturating_add(log_file::count(bytes.len()));
        file.read(&self.to, bytes).await;
        if file.told.elapsed() < PROGRESS {
            return Ok(None);
        }
        file.told = Instant::now();
        Ok(Some(Progress {
            counts: file.counts,
            bytes: file.bytes,
        }))
    }

    /// The file ends: what came of it. `broken_off`: it could not be read to its end.
    ///
    /// # Errors
    /// If no file has begun.
    pub async fn end(&mut self, broken_off: bool) -> Result<Ingested, Misuse> {
        let mut file = self.file.take().ok_or(Misuse::NoFile("an end"))?;
        let ended = file.reader.take().map(Reader::finish);
        if broken_off {
            file.fault.get_or_insert(Fault::Unreadable);
        } else if let Some(Err(error)) = ended {
            // it says more than that a record was passed over
            file.fault = Some(Fault::File(error));
        }
        self.to.take(&mut file).await;
        Ok(Ingested {
            name: file.name,
            counts: file.counts,
            bytes: file.bytes,
            fault: file.fault,
        })
    }

    /// Nothing more comes: returns once all that was taken is kept for good, where
    /// somebody does that.
    ///
    /// # Errors
    /// If a file has not ended. What came of it was taken.
    pub async fn finish(mut self) -> Result<(), Misuse> {
        match self.file.take() {
            None => {
                self.to.kept().await;
                Ok(())
            }
            Some(mut file) => {
                self.to.take(&mut file).await;
                Err(Misuse::NotEnded(shown(&file.name)))
            }
        }
    }
}

impl File {
    /// Reads what came; nothing after what cannot be read.
    async fn read(&mut self, to: &Taker, mut packed: &[u8]) {
        let Some(mut reader) = self.reader.take() else {
            return;
        };
        loop {
            match reader.next(&mut packed) {
                Ok(Some(Record::Whole(record))) => self.add(record, to.feed.clock().now_secs()),
                Ok(Some(Record::TooLarge(len))) => {
                    self.counts.records += 1;
                    self.fault = Some(Fault::RecordTooLarge(len));
                }
                Ok(None) => break,
                Err(error) => {
                    self.fault = Some(Fault::File(error));
                    return;
                }
            }
            if self.events.len() >= BATCH || self.held >= BATCH_BYTES {
                to.take(self).await;
            }
            // unpacking is work: others have their turn
            tokio::task::consume_budget().await;
        }
        self.reader = Some(reader);
    }

    /// Adds a record, if it belongs to a scope: what it does not say itself the name
    /// of its file does.
    fn add(&mut self, record: &[u8], now: i64) {
        self.counts.records += 1;
        let nowhere = Scope::new("", "");
        let (scope, time) = match &self.place {
            Some(place) => (&place.scope, place.time),
            None => (&nowhere, now),
        };
        let event = Event::from_record(scope, record, Origin::LogFile, time);
        if event.is_malformed() || event.is_lossy() {
            self.counts.malformed += 1;
        }
        if event.account_id().is_empty() || event.region().is_empty() {
            self.counts.unplaced += 1;
            return;
        }
        self.held = self.held.saturating_add(record.len() + OVERHEAD);
        self.events.push(Arc::new(event));
    }
}

/// What a name says, be it a whole key or the last part of one.
fn place(name: &str) -> Option<Place> {
    if let Some(place) = ObjectKey::parse(name).place {
        return Some(place);
    }
    let last = name.rsplit('/').next()?;
    let mut parts = last.split('_');
    let (account, kind, region, time) =
        (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let (year, month, day) = (time.get(..4)?, time.get(4..6)?, time.get(6..8)?);
    let key = format!("AWSLogs/{account}/{kind}/{region}/{year}/{month}/{day}/{last}");
    ObjectKey::parse(&key).place
}

/// A name as messages have it: they are headers.
fn shown(name: &str) -> String {
    name.chars().take(200).collect()
}
