//! Who asked what, and what came of it: a line of JSON for each call.
//!
//! Lines go through a bounded queue to a thread of their own, so that a slow disk
//! holds no call up. What finds it full is lost, counted, and said in the log.

use std::{
    fmt,
    fs::{File, OpenOptions, Permissions},
    io::{self, Write},
    net::{IpAddr, SocketAddr},
    num::NonZeroU64,
    os::unix::fs::{OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, Ordering::Relaxed},
        mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel},
    },
    time::Duration,
};

use serde::Serialize;
use tokio::sync::oneshot;

use crate::{
    accept::neighbour,
    clock::Clock,
    kept::{self, Looks},
    policy::Who,
    rates::Rates,
    trace,
};

/// The lines that may wait to be written: at [`MAX_ASKED`] some 20 MB, and some 2 MB
/// of those that are usual.
const MAX_WAITING: usize = 4096;

/// The longest question that is told whole, in bytes of JSON; a filter of a few
/// hundred values.
pub const MAX_ASKED: usize = 4096;

/// The longest name of a method that is told, in characters.
const MAX_METHOD: usize = 200;

/// Lines a second of calls that are refused at the door, for each address: who is let
/// in to nothing fills no disk, and crowds out nobody's lines.
const REFUSED: u32 = 10;

/// What stands for standard output.
const STDOUT: &str = "-";

/// One call, as it is written.
#[derive(Debug, Serialize)]
pub struct Line<'a> {
    /// When, in RFC 3339.
    pub time: String,
    /// `begin` of a call that is a stream, or `end` of any call.
    pub phase: &'static str,
    /// Who called, as far as that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub caller: Option<&'a str>,
    /// How that is known: `certificate`, `token`, `key`, `proxy` or `anonymous`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identity: Option<&'static str>,
    /// Where the call came from.
    pub peer: SocketAddr,
    /// What was called: `package.Service/Method`; at the AWS endpoint
    /// `CloudTrail/LookupEvents`.
    pub method: &'a str,
    /// The gRPC code, by its name, or AWS's; of a stream that begins, none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<&'static str>,
    /// Why it was not let in, as its caller was told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'a str>,
    /// What was asked: the request as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked: Option<&'a serde_json::value::RawValue>,
    /// The beginning of a question that is too long to be told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub asked_beginning: Option<&'a str>,
    /// Events that were told; of an ingest, those that it brought and nobody had.
    pub events: u64,
    /// Requests to AWS that it bought.
    pub requests: u64,
    /// The trace that it is of, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace_id: Option<String>,
    /// How long it took, in seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// Calls that were refused at the door since the line before, and have none of
    /// their own: too many came from one address.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused_before: Option<NonZeroU64>,
}

/// What a call tells of itself on its way.
#[derive(Debug, Default)]
pub struct Notes {
    /// And whether that is all of it.
    asked: OnceLock<(String, bool)>,
    events: AtomicU64,
    /// Shared with whatever buys for the call.
    requests: Arc<AtomicU64>,
}

impl Notes {
    /// Notes what was asked, once: `json` is that. Of a long one only the beginning is
    /// kept, for as long as the call takes.
    pub fn asked(&self, mut json: String) {
        let is_whole = json.len() <= MAX_ASKED;
        if !is_whole {
            let mut end = MAX_ASKED;
            while !json.is_char_boundary(end) {
                end -= 1;
            }
            json.truncate(end);
            json.shrink_to_fit();
        }
        let _ = self.asked.set((json, is_whole));
    }

    /// Notes that so many more events were told.
    pub fn told(&self, events: usize) {
        let events = u64::try_from(events).unwrap_or(u64::MAX);
        self.events.fetch_add(events, Relaxed);
    }

    /// Counts the requests that are bought.
    #[must_use]
    pub fn requests(&self) -> &Arc<AtomicU64> {
        &self.requests
    }

    /// Completes a line with what is noted so far.
    pub fn complete<'a>(&'a self, line: &mut Line<'a>) {
        line.events = self.events.load(Relaxed);
        line.requests = self.requests.load(Relaxed);
        match self.asked.get() {
            Some((json, true)) => line.asked = serde_json::from_str(json).ok(),
            Some((beginning, false)) => line.asked_beginning = Some(beginning),
            None => {}
        }
    }
}

/// One call on its way, until it is written.
#[derive(Debug)]
pub struct Trail {
    log: Log,
    peer: SocketAddr,
    method: String,
    /// Who called, once that is known.
    pub who: Option<Who>,
    /// Why it is not let in, if it is not: of very many such calls not each has a line.
    pub refused: Option<String>,
    /// What it tells of itself.
    pub notes: Arc<Notes>,
}

impl Trail {
    /// A call of a method from there.
    #[must_use]
    pub fn new(log: Log, peer: SocketAddr, method: &str) -> Self {
        // callers choose it, and none of ours is longer
        let method = method.chars().take(MAX_METHOD).collect();
        Self {
            log,
            peer,
            method,
            who: None,
            refused: None,
            notes: Arc::default(),
        }
    }

    /// Writes that a stream has begun.
    pub fn begins(&self) {
        self.write("begin", None, None);
    }

    /// Writes how a call ended.
    pub fn ends(&self, code: &'static str, latency: Duration) {
        self.write("end", Some(code), Some(latency));
    }

    fn write(&self, phase: &'static str, code: Option<&'static str>, latency: Option<Duration>) {
        let Log { refused, .. } = &self.log;
        if self.refused.is_some() && refused.from(self.peer.ip()).is_err() {
            return;
        }
        let (caller, identity) = match &self.who {
            None => (None, None),
            Some(Who::Anonymous) => (None, Some("anonymous")),
            Some(Who::Certificate(name)) => (Some(&**name), Some("certificate")),
            Some(Who::Token(bearer)) => (Some(bearer.subject()), Some("token")),
            Some(Who::User(name)) => (Some(&**name), Some("proxy")),
            Some(Who::Key(name)) => (Some(&**name), Some("key")),
        };
        let mut line = Line {
            time: format!("{:.3}", self.log.clock.now()),
            phase,
            caller,
            identity,
            peer: self.peer,
            method: &self.method,
            code,
            reason: self.refused.as_deref(),
            asked: None,
            asked_beginning: None,
            events: 0,
            requests: 0,
            trace_id: trace::ids().map(|(trace, _)| trace.to_string()),
            seconds: latency.map(|latency| latency.as_secs_f64()),
            refused_before: NonZeroU64::new(refused.untold.swap(0, Relaxed)),
        };
        self.notes.complete(&mut line);
        self.log.write(&line);
    }
}

enum Message {
    Line(Vec<u8>),
    /// Say when all before it is written.
    Flush(oneshot::Sender<()>),
    /// Open the file again: it was moved away.
    Reopen,
}

/// Where lines are written. Cheap to clone; the last one gone, the thread ends.
#[derive(Clone)]
pub struct Log {
    queue: SyncSender<Message>,
    lost: Arc<AtomicU64>,
    refused: Arc<Refused>,
    clock: Clock,
}

/// Calls that were refused.
struct Refused {
    /// By address, as it has a share; `None`: this machine.
    rates: Rates<Option<IpAddr>>,
    /// Of which no line was written.
    untold: AtomicU64,
}

impl Default for Refused {
    fn default() -> Self {
        Self {
            rates: Rates::new(REFUSED),
            untold: AtomicU64::new(0),
        }
    }
}

impl Refused {
    /// One from there has a line, if it has not had too many.
    fn from(&self, address: IpAddr) -> Result<(), ()> {
        let taken = self.rates.take(&neighbour(address), None);
        taken.map_err(|_| {
            self.untold.fetch_add(1, Relaxed);
        })
    }
}

impl fmt::Debug for Log {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Log").finish_non_exhaustive()
    }
}

impl Log {
    /// Appends to the file at `path`; `-`: to standard output.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open(path: PathBuf, clock: Clock) -> Result<Self, kept::Error> {
        let open = Out::open(&path);
        let mut out = open.map_err(|error| named(&path).error(error.to_string()))?;
        let (queue, lines) = sync_channel(MAX_WAITING);
        let lost = Arc::new(AtomicU64::new(0));
        let lost_here = Arc::clone(&lost);
        let error = {
            let path = path.clone();
            move |error: io::Error| named(&path).error(error.to_string())
        };
        let write = move || {
            let mut said = 0;
            while let Some(message) = next(&lines, &mut out, &path) {
                match message {
                    Message::Line(line) => {
                        if let Err(error) = out.write(&line) {
                            lost_here.fetch_add(1, Relaxed);
                            out.complain(&path, &error);
                        }
                    }
                    Message::Flush(done) => {
                        out.flush(&path);
                        let _ = done.send(());
                    }
                    Message::Reopen => out.reopen(&path),
                }
                let lost = lost_here.load(Relaxed);
                if lost > said {
                    let lines = lost - said;
                    tracing::error!(lines, "lines of the audit log were lost");
                    said = lost;
                }
            }
        };
        let thread = std::thread::Builder::new().name("audit".to_owned());
        let started = thread.spawn(write);
        // it ends by itself when nobody writes any more
        drop(started.map_err(error)?);
        Ok(Self {
            queue,
            lost,
            refused: Arc::default(),
            clock,
        })
    }

    /// Has a line written.
    pub fn write(&self, line: &Line<'_>) {
        let Ok(mut text) = serde_json::to_vec(line) else {
            self.lost.fetch_add(1, Relaxed);
            return;
        };
        text.push(b'\n');
        if self.queue.try_send(Message::Line(text)).is_err() {
            self.lost.fetch_add(1, Relaxed);
        }
    }

    fn reopen(&self) {
        // a queue that is full is written in a moment; who moves files asks again
        let _ = self.queue.try_send(Message::Reopen);
    }

    /// Opens the file again whenever someone says so, for ever: it was moved away.
    pub async fn keep(self, mut looks: Looks) {
        loop {
            if looks.next().await {
                self.reopen();
            }
        }
    }

    /// Waits until all lines so far are written, however long that takes.
    pub async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        let queue = self.queue.clone();
        // it waits for room, as fast as the disk takes lines
        tokio::task::spawn_blocking(move || queue.send(Message::Flush(done)));
        let _ = is_done.await;
    }

    /// Lines that were lost since it was opened.
    #[must_use]
    pub fn lost(&self) -> u64 {
        self.lost.load(Relaxed)
    }
}

/// The next message; what was written goes out when none comes.
fn next(lines: &Receiver<Message>, out: &mut Out, path: &Path) -> Option<Message> {
    /// How long a line may stay in memory while none follows.
    const LINGER: Duration = Duration::from_millis(100);
    match lines.recv_timeout(LINGER) {
        Ok(message) => Some(message),
        Err(RecvTimeoutError::Timeout) => {
            out.flush(path);
            lines.recv().ok()
        }
        Err(RecvTimeoutError::Disconnected) => {
            out.flush(path);
            None
        }
    }
}

/// The file, and whether it was said that it cannot be written.
struct Out {
    buffer: io::BufWriter<Box<dyn Write + Send>>,
    has_complained: bool,
}

impl Out {
    fn open(path: &Path) -> io::Result<Self> {
        let out: Box<dyn Write + Send> = match path.as_os_str() == STDOUT {
            true => Box::new(io::stdout()),
            false => Box::new(append(path)?),
        };
        Ok(Self {
            buffer: io::BufWriter::new(out),
            has_complained: false,
        })
    }

    fn write(&mut self, line: &[u8]) -> io::Result<()> {
        self.buffer.write_all(line)
    }

    fn flush(&mut self, path: &Path) {
        match self.buffer.flush() {
            Ok(()) => self.has_complained = false,
            Err(error) => self.complain(path, &error),
        }
    }

    fn reopen(&mut self, path: &Path) {
        self.flush(path);
        match Self::open(path) {
            Ok(out) => {
                let before = std::mem::replace(self, out);
                // what the file before did not take
                let (_, rest) = before.buffer.into_parts();
                if let Err(error) = self.write(&rest.unwrap_or_default()) {
                    self.complain(path, &error);
                }
            }
            // the one before is still written
            Err(error) => {
                tracing::error!(path = %path.display(), %error, "the audit log cannot be opened again");
            }
        }
    }

    fn complain(&mut self, path: &Path, error: &io::Error) {
        if !std::mem::replace(&mut self.has_complained, true) {
            tracing::error!(path = %path.display(), %error, "the audit log cannot be written");
        }
    }
}

fn append(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    // what is asked is nobody's else to read
    let file = options.create(true).append(true).mode(0o600).open(path)?;
    if file.metadata()?.is_file() {
        // of one that was there as well
        file.set_permissions(Permissions::from_mode(0o600))?;
    }
    Ok(file)
}

fn named(path: &Path) -> kept::Named<'_> {
    kept::Named {
        setting: "--audit-log",
        path,
    }
}

#[cfg(test)]
mod tests;
