//! What is sent: files, directories, buckets, stdin.

use std::{
    convert::Infallible,
    fs::{self, File},
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use futures_util::{StreamExt, TryStreamExt};
use tokio::{
    sync::mpsc::Sender,
    time::{sleep, timeout},
};

use crate::{
    cli::report::note,
    collect::{
        Buckets,
        envelope::ObjectRef,
        ingest::MAX_NAME,
        object_key::{Kind, ObjectKey},
        queue::{Body, Objects, ObjectsError},
    },
    proto::v1::{IngestEventsRequest, IngestFileEnd, IngestFileStart, ingest_events_request::Step},
};

/// Bytes in a message: a part of what one may have, and large beside what it costs.
const CHUNK: usize = 256 << 10;
/// How often a bucket is asked for an object.
const TRIES: u32 = 4;
/// The pause before it is asked again; it doubles.
const PAUSE: Duration = Duration::from_millis(500);
/// Files that could not be opened which are kept by name; further ones are counted.
const MAX_UNREAD: usize = 1000;
/// How long an object may send nothing.
const STALL: Duration = Duration::from_secs(60);

/// Where log files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A file, or a directory of them.
    Path(PathBuf),
    /// What lies in a bucket below a prefix.
    S3 { bucket: String, prefix: String },
    /// Standard input.
    Stdin,
}

impl Source {
    pub(super) const fn is_in_s3(&self) -> bool {
        matches!(self, Self::S3 { .. })
    }

    pub(super) fn bucket(&self) -> Option<&str> {
        match self {
            Self::S3 { bucket, .. } => Some(bucket),
            _ => None,
        }
    }
}

/// Reads an argument.
pub(super) fn source(text: &str) -> Result<Source, String> {
    if text == "-" {
        return Ok(Source::Stdin);
    }
    let Some(rest) = text.strip_prefix("s3://") else {
        return Ok(Source::Path(PathBuf::from(text)));
    };
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    if bucket.is_empty() {
        return Err("no bucket; write s3://BUCKET/PREFIX".to_owned());
    }
    Ok(Source::S3 {
        bucket: bucket.to_owned(),
        prefix: prefix.to_owned(),
    })
}

/// What was not sent.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// Digest files that were passed over.
    pub(super) digests: i64,
    /// What could not be opened, and why.
    pub(super) unread: Vec<(String, String)>,
    /// More of these.
    pub(super) more_unread: i64,
    /// A bucket could not be listed.
    pub(super) is_broken: bool,
}

/// Every change is made whole: right after a panic elsewhere.
pub(super) fn lock(sent: &Mutex<Sent>) -> MutexGuard<'_, Sent> {
    sent.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Nobody reads any more.
struct Closed;

impl<T> From<tokio::sync::mpsc::error::SendError<T>> for Closed {
    fn from(_: tokio::sync::mpsc::error::SendError<T>) -> Self {
        Self
    }
}

/// Sends all of them; never returns, so that whoever reads decides when it is over.
pub(super) async fn send(
    sources: Vec<Source>,
    buckets: Option<Buckets>,
    sent: Arc<Mutex<Sent>>,
    to: Sender<IngestEventsRequest>,
) -> Infallible {
    for source in sources {
        let result = match (source, &buckets) {
            (Source::S3 { bucket, prefix }, Some(buckets)) => {
                from_s3(buckets, &bucket, &prefix, &sent, &to).await
            }
            (Source::S3 { .. }, None) => Ok(()),
            (local, _) => from_here(local, &sent, &to).await,
        };
        if result.is_err() {
            break;
        }
    }
    drop(to);
    std::future::pending().await
}

/// Sends what lies on this machine, out of a thread: reading blocks, stdin for ever.
async fn from_here(
    source: Source,
    sent: &Arc<Mutex<Sent>>,
    to: &Sender<IngestEventsRequest>,
) -> Result<(), Closed> {
    let (done, over) = tokio::sync::oneshot::channel();
    let (sent, to) = (Arc::clone(sent), to.clone());
    thread::spawn(move || {
        let here = Here {
            sent: &sent,
            to: &to,
        };
        let result = match source {
            Source::Path(path) => here.walk(path),
            Source::Stdin => here.read("stdin", io::stdin().lock()),
            Source::S3 { .. } => Ok(()),
        };
        // who waits for it may be gone
        let _ = done.send(result);
    });
    over.await.unwrap_or(Err(Closed))
}

struct Here<'a> {
    sent: &'a Mutex<Sent>,
    to: &'a Sender<IngestEventsRequest>,
}

impl Here<'_> {
    /// Sends a file, or the log files below a directory, in the order of their
    /// names. No more is held than the names beside those on the way down.
    fn walk(&self, root: PathBuf) -> Result<(), Closed> {
        let mut open = vec![(root, true)];
        while let Some((path, is_named)) = open.pop() {
            match fs::metadata(&path) {
                Ok(found) if found.is_dir() => match entries(&path) {
                    Ok(entries) => {
                        let entries = entries.into_iter().rev();
                        open.extend(entries.map(|entry| (entry, false)));
                    }
                    Err(error) => unread(self.sent, &name(&path), &error),
                },
                Ok(_) if is_named || is_log_file(&name(&path)) => self.file(&path)?,
                Ok(_) => {}
                Err(error) => unread(self.sent, &name(&path), &error),
            }
        }
        Ok(())
    }

    fn file(&self, path: &Path) -> Result<(), Closed> {
        let name = name(path);
        if is_digest(&name) {
            lock(self.sent).digests += 1;
            return Ok(());
        }
        match File::open(path) {
            Ok(file) => self.read(&name, file),
            Err(error) => {
                unread(self.sent, &name, &error);
                Ok(())
            }
        }
    }

    fn read(&self, name: &str, mut from: impl Read) -> Result<(), Closed> {
        self.to.blocking_send(start(name))?;
        let broken_off = loop {
            let mut chunk = Vec::with_capacity(CHUNK);
            let limit = u64::try_from(CHUNK).unwrap_or(u64::MAX);
            match from.by_ref().take(limit).read_to_end(&mut chunk) {
                Ok(0) => break false,
                Ok(_) => self.to.blocking_send(request(Step::Data(chunk)))?,
                Err(error) => {
                    note(format_args!("{name}: {error}"));
                    break true;
                }
            }
        };
        Ok(self.to.blocking_send(end(broken_off))?)
    }
}

/// What a directory has, in order. Links to directories are not followed: they may
/// lead back.
fn entries(path: &Path) -> io::Result<Vec<PathBuf>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(path)? {
        let entry = entry?;
        let is_link = entry.file_type()?.is_symlink();
        if !(is_link && entry.path().is_dir()) {
            entries.push(entry.path());
        }
    }
    entries.sort();
    Ok(entries)
}

/// Sends what lies in a bucket.
async fn from_s3(
    buckets: &Buckets,
    bucket: &str,
    prefix: &str,
    sent: &Mutex<Sent>,
    to: &Sender<IngestEventsRequest>,
) -> Result<(), Closed> {
    let mut keys = buckets.list(bucket, prefix, None);
    loop {
        let key = match keys.try_next().await {
            Ok(None) => return Ok(()),
            Ok(Some((key, _))) => key,
            Err(error) => {
                note(format_args!(
                    "s3://{bucket}/{prefix}: cannot be listed: {error}"
                ));
                lock(sent).is_broken = true;
                return Ok(());
            }
        };
        if is_digest(&key) {
            lock(sent).digests += 1;
            continue;
        }
        if !is_log_file(&key) {
            continue;
        }
        let object = ObjectRef {
            bucket: bucket.to_owned(),
            key,
            ..ObjectRef::default()
        };
        let mut body = match open(buckets, &object).await {
            Ok(body) => body,
            Err(error) => {
                unread(sent, &object.to_string(), &error);
                continue;
            }
        };
        to.send(start(&object.key)).await?;
        let broken_off = loop {
            let Ok(next) = timeout(STALL, body.next()).await else {
                note(format_args!("{object}: nothing came for {STALL:?}"));
                break true;
            };
            match next {
                None => break false,
                Some(Ok(bytes)) => {
                    for chunk in bytes.chunks(CHUNK) {
                        to.send(request(Step::Data(chunk.to_vec()))).await?;
                    }
                }
                Some(Err(error)) => {
                    note(format_args!("{object}: {error}"));
                    break true;
                }
            }
        };
        to.send(end(broken_off)).await?;
    }
}

async fn open(buckets: &Buckets, object: &ObjectRef) -> Result<Body, ObjectsError> {
    let mut pause = PAUSE;
    let mut tries = 1;
    loop {
        match buckets.get(object).await {
            Err(ObjectsError::Failed(_)) if tries < TRIES => sleep(pause).await,
            opened => return opened,
        }
        tries += 1;
        pause *= 2;
    }
}

fn unread(sent: &Mutex<Sent>, name: &str, error: &impl ToString) {
    let mut sent = lock(sent);
    match sent.unread.len() < MAX_UNREAD {
        true => sent.unread.push((name.to_owned(), error.to_string())),
        false => sent.more_unread += 1,
    }
}

fn request(step: Step) -> IngestEventsRequest {
    IngestEventsRequest { step: Some(step) }
}

/// A file begins; of a name that is longer than any key the last part is sent.
fn start(name: &str) -> IngestEventsRequest {
    let last = || name.rsplit('/').next().unwrap_or_default();
    let name = if name.len() > MAX_NAME { last() } else { name };
    request(Step::Start(IngestFileStart {
        name: name.to_owned(),
    }))
}

fn end(broken_off: bool) -> IngestEventsRequest {
    request(Step::End(IngestFileEnd { broken_off }))
}

fn name(path: &Path) -> String {
    path.to_string_lossy().into_owned()
}

fn is_log_file(name: &str) -> bool {
    name.ends_with(".json.gz") || name.ends_with(".json")
}

/// By its key, or by its name alone.
fn is_digest(name: &str) -> bool {
    let last = name.rsplit('/').next().unwrap_or_default();
    ObjectKey::parse(name).kind == Kind::Digest || last.contains("_CloudTrail-Digest_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_told_apart() {
        let s3 = |bucket: &str, prefix: &str| Source::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        };
        assert_eq!(source("-"), Ok(Source::Stdin));
        assert_eq!(source("s3://b"), Ok(s3("b", "")));
        assert_eq!(source("s3://b/a/b/"), Ok(s3("b", "a/b/")));
        assert!(source("s3://").is_err() && source("s3:///a").is_err());
        assert_eq!(source("a/b"), Ok(Source::Path(PathBuf::from("a/b"))));
    }

    #[tokio::test]
    async fn files_are_sent_in_order_and_what_cannot_be_is_told() {
        let home = tempfile::tempdir().unwrap();
        let at = |name: &str| home.path().join(name);
        fs::create_dir(at("b")).unwrap();
        fs::write(at("b/2.json"), vec![b'x'; CHUNK + 1]).unwrap();
        fs::write(at("a.json.gz"), "1").unwrap();
        fs::write(at("c.txt"), "no").unwrap();
        fs::write(at("1_CloudTrail-Digest_r_t.json.gz"), "no").unwrap();
        let (to, mut from) = tokio::sync::mpsc::channel(1);
        let sent: Arc<Mutex<Sent>> = Arc::default();
        let sources = vec![
            Source::Path(home.path().to_owned()),
            Source::Path(at("none")),
        ];
        let sending = send(sources, None, Arc::clone(&sent), to);
        let receiving = async {
            let mut seen = Vec::new();
            while let Some(request) = from.recv().await {
                seen.push(match request.step.unwrap() {
                    Step::Start(start) => start.name.rsplit('/').next().unwrap().to_owned(),
                    Step::Data(bytes) => bytes.len().to_string(),
                    Step::End(end) => end.broken_off.to_string(),
                });
            }
            seen
        };
        let seen = tokio::select! {
            never = sending => match never {},
            seen = receiving => seen,
        };
        let chunk = CHUNK.to_string();
        let wanted = ["a.json.gz", "1", "false", "2.json", &chunk, "1", "false"];
        assert_eq!(seen, wanted);
        let sent = lock(&sent);
        assert_eq!((sent.digests, sent.unread.len()), (1, 1));
    }

    #[test]
    fn a_name_that_is_no_key_is_cut_to_its_last_part() {
        let long = format!("{}/a.json", "d/".repeat(MAX_NAME));
        let Some(Step::Start(sent)) = start(&long).step else {
            panic!("no start");
        };
        assert_eq!(sent.name, "a.json");
    }
}
