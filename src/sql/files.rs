//! The files that the table is made of.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use futures_util::future::BoxFuture;
use object_store::{ObjectStore, path::Path};
use tokio::time::Instant;

use crate::{
    archive::{self, Archive, Snapshot},
    event::day_number,
};

/// One version of the table.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// Which.
    pub version: u64,
    /// Its files.
    pub files: Vec<File>,
}

/// A file of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it is in the store.
    pub path: Path,
    /// Its size, in bytes.
    pub bytes: u64,
    /// The events in it, where that is known.
    pub rows: Option<u64>,
    /// The account of its partition.
    pub account: Arc<str>,
    /// The Region of its partition.
    pub region: Arc<str>,
    /// The day of its partition, in days since the Unix epoch.
    pub date: i32,
    /// The earliest and the latest `eventTime` in it, in microseconds since the Unix
    /// epoch, where that is known.
    pub times: Option<(i64, i64)>,
}

/// Why there is no list of files.
pub type Unlisted = Box<dyn std::error::Error + Send + Sync>;

/// Where files are, and which.
pub trait Source: fmt::Debug + Send + Sync {
    /// The newest version. Asked once for each query.
    fn files(&self) -> BoxFuture<'_, Result<Arc<Files>, Unlisted>>;

    /// What they are read from.
    fn store(&self) -> Arc<dyn ObjectStore>;
}

/// How old a version may be that is read while nobody here has written another one:
/// other servers write to the same archive every few seconds.
const MAX_AGE: Duration = Duration::from_secs(5);

/// The files of an archive.
#[derive(Debug)]
pub struct Archived {
    archive: Archive,
    store: Arc<dyn ObjectStore>,
    root: Path,
    known: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    files: Option<Arc<Files>>,
    /// When newer versions were looked for last.
    looked: Option<Instant>,
}

impl Archived {
    /// Those of an archive that is at `root` of this store.
    #[must_use]
    pub fn new(archive: Archive, store: Arc<dyn ObjectStore>, root: Path) -> Self {
        Self {
            archive,
            store,
            root,
            known: Mutex::default(),
        }
    }

    async fn newest(&self) -> Result<Arc<Files>, Unlisted> {
        let looked = self.lock().looked;
        let is_fresh = looked.is_some_and(|looked| looked.elapsed() < MAX_AGE);
        let snapshot = match is_fresh {
            true => self.archive.snapshot(),
            false => {
                let begun = Instant::now();
                let snapshot = self.archive.refresh().await?;
                self.lock().looked = Some(begun);
                snapshot
            }
        };
        let known = self.lock().files.clone();
        if let Some(known) = known.filter(|known| known.version == snapshot.version()) {
            return Ok(known);
        }
        let files = Arc::new(self.list(&snapshot)?);
        self.lock().files = Some(Arc::clone(&files));
        Ok(files)
    }

    fn list(&self, snapshot: &Snapshot) -> Result<Files, Unlisted> {
        let files = snapshot.all().map(|file| self.file(file));
        Ok(Files {
            version: snapshot.version(),
            files: files.collect::<Result<_, _>>()?,
        })
    }

    fn file(&self, file: &archive::File) -> Result<File, Unlisted> {
        const MICROS: i64 = 1_000_000;
        // a stretch ends with the second after its last
        let times = file.times.map(|times| {
            let last = times.to.saturating_sub(1);
            (
                times.from.saturating_mul(MICROS),
                last.saturating_mul(MICROS),
            )
        });
        let scope = &file.partition.scope;
        Ok(File {
            // it is encoded as it stands
            path: Path::parse(format!("{}/{}", self.root, file.path))?,
            bytes: file.bytes,
            rows: file.rows,
            account: Arc::clone(&scope.account),
            region: Arc::clone(&scope.region),
            date: day_number(file.partition.date),
            times,
        })
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        // each part is replaced as a whole: right after a panic elsewhere
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for Archived {
    fn files(&self) -> BoxFuture<'_, Result<Arc<Files>, Unlisted>> {
        Box::pin(self.newest())
    }

    fn store(&self) -> Arc<dyn ObjectStore> {
        Arc::clone(&self.store)
    }
}
