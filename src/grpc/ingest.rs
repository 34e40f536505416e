//! `IngestEvents`: the stream.

use std::{sync::Arc, time::Duration};

use futures_util::stream;
use tokio::{select, time::timeout};
use tokio_util::sync::CancellationToken;
use tonic::{Code, Status, Streaming};

use super::{
    MAX_INGESTS, Service,
    events::{Streamed, count},
    peer::Asker,
    status::{idle, misused, shutting_down, too_many},
};
use crate::{
    audit::{MAX_ASKED, Notes},
    collect::{
        ingest::{Counts, Ingest, Ingested, MAX_PIECE, Misuse},
        log_file::Limits,
    },
    proto::v1::{self, ingest_events_request::Step, ingest_events_response::Payload},
    slots::Slot,
};

/// How long nothing may come: a client that reads from a slow bucket is faster, and
/// one that is gone without a word must not keep its place.
const IDLE: Duration = Duration::from_secs(600);

/// An ingest under way.
struct Ingesting {
    ingest: Ingest,
    requests: Streaming<v1::IngestEventsRequest>,
    stopping: CancellationToken,
    /// Noted when it ends, however it does.
    brought: Option<Brought>,
    _slot: Slot,
}

/// What is written of an ingest.
#[derive(Debug)]
struct Brought {
    notes: Arc<Notes>,
    files: Vec<String>,
    /// Of names that have no room.
    others: u64,
    /// Bytes that there is room for.
    room: usize,
}

impl Brought {
    fn new(notes: Arc<Notes>) -> Self {
        Self {
            notes,
            files: Vec::new(),
            others: 0,
            // with quotes, escapes and the count it stays below what is told whole
            room: MAX_ASKED / 4,
        }
    }

    fn begins(&mut self, file: &str) {
        // each name takes quotes and a comma, too
        match self.room.checked_sub(file.len() + 3) {
            Some(room) => {
                self.room = room;
                self.files.push(file.to_owned());
            }
            None => self.others += 1,
        }
    }
}

impl Drop for Brought {
    fn drop(&mut self) {
        let Self {
            notes,
            files,
            others,
            room: _,
        } = self;
        let asked = serde_json::json!({"files": files, "otherFiles": others});
        notes.asked(asked.to_string());
    }
}

impl Service {
    /// Begins an ingest.
    pub(super) fn ingest(
        &self,
        asker: &Asker,
        requests: Streaming<v1::IngestEventsRequest>,
    ) -> Result<Streamed<v1::IngestEventsResponse>, Status> {
        let slot = self.ingests.take(&asker.caller, None);
        let slot = slot.map_err(|full| {
            let message = format!("{}; try again later", full.told(MAX_INGESTS, "ingests"));
            too_many("TOO_MANY_INGESTS", &message)
        })?;
        let ingesting = Ingesting {
            ingest: Ingest::new(self.feed.clone(), Limits::default())
                .with_durable(self.durable.clone()),
            requests,
            stopping: self.stopping.clone(),
            brought: asker.notes().cloned().map(Brought::new),
            _slot: slot,
        };
        Ok(Box::pin(stream::unfold(Some(ingesting), next)))
    }
}

/// The next response; none follows one that is an error.
async fn next(
    ingesting: Option<Ingesting>,
) -> Option<(Result<v1::IngestEventsResponse, Status>, Option<Ingesting>)> {
    let mut ingesting = ingesting?;
    let stopping = ingesting.stopping.clone();
    let payload = select! {
        biased;
        () = stopping.cancelled() => Err(shutting_down("file without an answer")),
        payload = ingesting.respond() => payload,
    };
    match payload {
        Ok(Some(payload)) => {
            let payload = Some(payload);
            let response = v1::IngestEventsResponse { payload };
            Some((Ok(response), Some(ingesting)))
        }
        Ok(None) => {
            let ended = ingesting.ingest.finish().await;
            ended.err().map(|misuse| (Err(misuse.into()), None))
        }
        Err(status) => Some((Err(status), None)),
    }
}

impl Ingesting {
    /// What is to be told next; `None`: nothing more comes.
    async fn respond(&mut self) -> Result<Option<Payload>, Status> {
        loop {
            let request = timeout(IDLE, self.requests.message());
            let request = request.await.map_err(|_late| idle(IDLE))?;
            let Some(request) = request.map_err(sent)? else {
                return Ok(None);
            };
            match request.step {
                Some(Step::Start(start)) => {
                    if let Some(brought) = &mut self.brought {
                        brought.begins(&start.name);
                    }
                    self.ingest.start(start.name)?;
                }
                Some(Step::Data(bytes)) => {
                    if let Some(progress) = self.ingest.data(&bytes).await? {
                        return Ok(Some(Payload::Progress(v1::IngestProgress {
                            counts: Some(counts(&progress.counts)),
                            bytes: count(progress.bytes),
                        })));
                    }
                }
                Some(Step::End(end)) => {
                    let file = self.ingest.end(end.broken_off).await?;
                    if let Some(brought) = &self.brought {
                        let new = usize::try_from(file.counts.new);
                        brought.notes.told(new.unwrap_or(usize::MAX));
                    }
                    return Ok(Some(Payload::File(ingested(file))));
                }
                None => {
                    let message = "a message without a step; say start, data or end";
                    return Err(misused("INGEST_OUT_OF_ORDER", "step", message));
                }
            }
        }
    }
}

/// What is wrong with a message that did not come whole.
fn sent(status: Status) -> Status {
    match status.code() {
        // larger than any request may be
        Code::OutOfRange => {
            let message = format!("a message is larger than {MAX_PIECE} bytes of data; send less");
            misused("CHUNK_TOO_LARGE", "data", &message)
        }
        _ => status,
    }
}

impl From<Misuse> for Status {
    fn from(misuse: Misuse) -> Self {
        let (reason, field) = match misuse {
            Misuse::Within(..) => ("INGEST_OUT_OF_ORDER", "start"),
            Misuse::NoFile(_) => ("INGEST_OUT_OF_ORDER", "step"),
            Misuse::Name(_) => ("NAME_TOO_LONG", "start.name"),
            Misuse::Piece(_) => ("CHUNK_TOO_LARGE", "data"),
            Misuse::NotEnded(_) => ("FILE_NOT_ENDED", "end"),
        };
        misused(reason, field, &misuse.to_string())
    }
}

fn ingested(file: Ingested) -> v1::IngestedFile {
    let fault = file.fault.as_ref();
    v1::IngestedFile {
        counts: Some(counts(&file.counts)),
        bytes: count(file.bytes),
        fault: fault.map_or("", |fault| fault.as_str()).to_owned(),
        message: fault.map(ToString::to_string).unwrap_or_default(),
        name: file.name,
    }
}

fn counts(counts: &Counts) -> v1::IngestCounts {
    v1::IngestCounts {
        records: count(counts.records),
        new_events: count(counts.new),
        known_events: count(counts.known),
        malformed: count(counts.malformed),
        unplaced: count(counts.unplaced),
    }
}
