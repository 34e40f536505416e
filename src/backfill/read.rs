//! Reads one file: its events, a batch at a time.

use std::{sync::Arc, time::Duration};

use futures_util::StreamExt;
use tokio::{sync::mpsc::Sender, time::timeout};

use super::{choice::Choice, patience::Patience, source::Source, walk::Next};
use crate::{
    collect::{
        log_file::{self, Limits, Problem, Reader, Record},
        object_key::Place,
        queue::ObjectsError,
    },
    event::{Event, Origin, Scope},
};

/// Events that are handed on together, and their bytes: what a turn of whoever takes
/// them costs is small beside it.
const BATCH: usize = 512;
/// See [`BATCH`].
const BATCH_BYTES: usize = 256 << 10;
/// How long a file may send nothing.
const STALL: Duration = Duration::from_secs(60);

/// What was in a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Records, of whatever kind.
    pub records: u64,
    /// Records that are no JSON objects, or not in UTF-8; they are events too.
    pub malformed: u64,
    /// Records that belong to no account and Region, and were not taken.
    pub unplaced: u64,
    /// Records that are larger than any that AWS writes, and were not taken.
    pub too_large: u64,
    /// Events that were not chosen, of a file whose name does not say what is in it.
    pub left_out: u64,
}

impl Counts {
    /// Records that are events in the archive.
    #[must_use]
    pub const fn taken(&self) -> u64 {
        let not_taken = self.unplaced + self.too_large + self.left_out;
        self.records.saturating_sub(not_taken)
    }

    /// Adds another's.
    pub fn add(&mut self, other: &Self) {
        self.records += other.records;
        self.malformed += other.malformed;
        self.unplaced += other.unplaced;
        self.too_large += other.too_large;
        self.left_out += other.left_out;
    }
}

/// Why a file was not read to its end, or not all of it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Something is wrong with it. What came before is loaded.
    #[error("{0}")]
    File(log_file::Error),
    /// A record is larger than any that AWS writes: this many bytes. All others are
    /// loaded.
    #[error("a record has {0} bytes, and is not read; all others were")]
    RecordTooLarge(u64),
    /// It cannot be had.
    #[error("{0}")]
    Object(ObjectsError),
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
            Self::Object(ObjectsError::NotFound) => "GONE",
            Self::Object(ObjectsError::Denied(_)) => "DENIED",
            Self::Object(ObjectsError::Failed(_)) => "UNREADABLE",
        }
    }

    /// Whether it may be read another time.
    #[must_use]
    pub const fn may_pass(&self) -> bool {
        !matches!(self, Self::Object(ObjectsError::NotFound))
    }
}

/// What a reader tells, with the file's number.
#[derive(Debug)]
pub(super) enum Told {
    /// Events of it. Not empty; of a file that is read again, they may come again.
    Events(u64, Vec<Arc<Event>>),
    /// No more comes of it.
    Ended(u64, Ended),
}

/// What came of a file.
#[derive(Debug)]
pub(super) struct Ended {
    /// What it held, as far as it was read.
    pub(super) counts: Counts,
    /// Bytes that came of it.
    pub(super) bytes: u64,
    /// Why that is not all.
    pub(super) fault: Option<Fault>,
}

/// Nobody takes events any more.
#[derive(Debug)]
pub(super) struct Closed;

/// What files are read with.
#[derive(Clone)]
pub(super) struct Reading {
    pub(super) choice: Arc<Choice>,
    pub(super) limits: Limits,
    pub(super) to: Sender<Told>,
}

impl Reading {
    /// Reads a file to its end, and tells it. What may pass is tried again. `now`:
    /// what a record's time is taken to be that has none, in a file whose name says
    /// none.
    pub(super) async fn read(
        self,
        source: Arc<dyn Source>,
        file: Next,
        number: u64,
        now: i64,
    ) -> Result<(), Closed> {
        let mut patience = Patience::default();
        let ended = loop {
            let mut one = One {
                reading: &self,
                place: file.place.as_ref(),
                number,
                now,
                counts: Counts::default(),
                bytes: 0,
                fault: None,
                events: Vec::new(),
                held: 0,
            };
            match one.read(&*source, &file.key).await? {
                Err(ObjectsError::Failed(_)) if patience.wait().await => continue,
                Err(error) => one.fault = Some(Fault::Object(error)),
                Ok(()) => {}
            }
            one.hand_on().await?;
            break Ended {
                counts: one.counts,
                bytes: one.bytes,
                fault: one.fault,
            };
        };
        self.tell(Told::Ended(number, ended)).await
    }

    async fn tell(&self, told: Told) -> Result<(), Closed> {
        self.to.send(told).await.map_err(|_| Closed)
    }
}

/// One file, once.
struct One<'a> {
    reading: &'a Reading,
    place: Option<&'a Place>,
    number: u64,
    now: i64,
    counts: Counts,
    bytes: u64,
    fault: Option<Fault>,
    events: Vec<Arc<Event>>,
    /// Bytes of these.
    held: usize,
}

impl One<'_> {
    async fn read(
        &mut self,
        source: &dyn Source,
        key: &str,
    ) -> Result<Result<(), ObjectsError>, Closed> {
        let stalled = || ObjectsError::Failed(format!("nothing came of it for {STALL:?}"));
        let mut body = match timeout(STALL, source.open(key)).await {
            Ok(Ok(body)) => body,
            Ok(Err(error)) => return Ok(Err(error)),
            Err(_late) => return Ok(Err(stalled())),
        };
        let mut reader = Reader::new(self.reading.limits);
        loop {
            let bytes = match timeout(STALL, body.next()).await {
                Ok(None) => break,
                Ok(Some(Ok(bytes))) => bytes,
                Ok(Some(Err(error))) => return Ok(Err(error)),
                Err(_late) => return Ok(Err(stalled())),
            };
            self.bytes += log_file::count(bytes.len());
            if !self.take(&mut reader, &bytes).await? {
                return Ok(Ok(()));
            }
        }
        if let Err(error) = reader.finish() {
            // it says more than that a record was passed over
            self.fault = Some(Fault::File(error));
        }
        Ok(Ok(()))
    }

    /// Reads what came; false: nothing after it can be read.
    async fn take(&mut self, reader: &mut Reader, mut packed: &[u8]) -> Result<bool, Closed> {
        loop {
            match reader.next(&mut packed) {
                Ok(Some(Record::Whole(record))) => self.add(record),
                Ok(Some(Record::TooLarge(len))) => {
                    self.counts.records += 1;
                    self.counts.too_large += 1;
                    self.fault = Some(Fault::RecordTooLarge(len));
                }
                Ok(None) => return Ok(true),
                Err(error) => {
                    self.fault = Some(Fault::File(error));
                    return Ok(false);
                }
            }
            if self.events.len() >= BATCH || self.held >= BATCH_BYTES {
                self.hand_on().await?;
            }
            // unpacking is work: others have their turn
            tokio::task::consume_budget().await;
        }
    }

    /// Adds a record, if it belongs to a scope: what it does not say itself the name
    /// of its file does.
    fn add(&mut self, record: &[u8]) {
        self.counts.records += 1;
        let nowhere = Scope::new("", "");
        let (scope, time) = match self.place {
            Some(place) => (&place.scope, place.time),
            None => (&nowhere, self.now),
        };
        let event = Event::from_record(scope, record, Origin::LogFile, time);
        if event.is_malformed() || event.is_lossy() {
            self.counts.malformed += 1;
        }
        if event.account_id().is_empty() || event.region().is_empty() {
            self.counts.unplaced += 1;
            return;
        }
        if self.place.is_none() && !self.reading.choice.has(&event) {
            self.counts.left_out += 1;
            return;
        }
        self.held = self.held.saturating_add(event.weight());
        self.events.push(Arc::new(event));
    }

    async fn hand_on(&mut self) -> Result<(), Closed> {
        self.held = 0;
        let events = std::mem::take(&mut self.events);
        match events.is_empty() {
            true => Ok(()),
            false => self.reading.tell(Told::Events(self.number, events)).await,
        }
    }
}
