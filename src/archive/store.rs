//! The object store as the archive uses it: below one root, with a limit to every
//! wait, and errors that say what was asked of which object.

use std::{ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use futures_util::{
    StreamExt,
    stream::{self, BoxStream},
};
use object_store::{
    MultipartUpload, ObjectStore, ObjectStoreExt, PutMode, PutOptions, PutPayload, path::Path,
};
use tokio::time::timeout;

use super::error::{Error, Kind};

/// How often an object is read or written that can be again without harm: the stores'
/// clients have tried several times before they say no.
const TRIES: u32 = 3;
/// The wait before the second try; each further one is twice as long.
const PAUSE: Duration = Duration::from_millis(200);

/// Whether an object was written that must not be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Put {
    /// It was.
    Created,
    /// There is one already, which may be ours: an answer can get lost.
    Exists,
}

/// A store below a root.
#[derive(Clone, Debug)]
pub(super) struct Store {
    store: Arc<dyn ObjectStore>,
    root: Path,
    /// The longest wait for one answer.
    limit: Duration,
}

impl Store {
    pub(super) fn new(store: Arc<dyn ObjectStore>, root: Path, limit: Duration) -> Self {
        Self { store, root, limit }
    }

    /// Where the archive is, as errors name it.
    pub(super) fn root(&self) -> &str {
        self.root.as_ref()
    }

    /// The full path of an object below the root.
    pub(super) fn path(&self, path: &str) -> Result<Path, Error> {
        let full = match self.root.as_ref() {
            "" => path.to_owned(),
            root => format!("{root}/{path}"),
        };
        let parsed = Path::parse(&full);
        parsed.map_err(|error| Error::damaged(path, error.to_string()))
    }

    /// The path below the root of an object of the store.
    fn below<'a>(&self, full: &'a Path) -> Option<&'a str> {
        let rest = full.as_ref().strip_prefix(self.root.as_ref())?;
        Some(rest.strip_prefix('/').unwrap_or(rest))
    }

    /// Has the store do something, in time.
    async fn limited<T>(
        &self,
        operation: &'static str,
        path: &str,
        act: impl Future<Output = object_store::Result<T>>,
    ) -> Result<T, Error> {
        match timeout(self.limit, act).await {
            Ok(done) => done.map_err(|error| Error::store(operation, path, &error)),
            Err(_) => Err(Error::stalled(operation, path, self.limit)),
        }
    }

    /// Has the store do something that can be done again, a few times.
    async fn again<T, F: Future<Output = object_store::Result<T>>>(
        &self,
        operation: &'static str,
        path: &str,
        act: impl Fn() -> F,
    ) -> Result<T, Error> {
        let mut pause = PAUSE;
        let mut tries = 1;
        loop {
            match self.limited(operation, path, act()).await {
                Err(error)
                    if tries < TRIES
                        && matches!(error.kind(), Some(Kind::Other | Kind::Stalled)) =>
                {
                    tokio::time::sleep(pause).await;
                    pause *= 2;
                    tries += 1;
                }
                done => return done,
            }
        }
    }

    /// The bytes of an object; `None`: there is none.
    pub(super) async fn get(&self, path: &str, limit: u64) -> Result<Option<Bytes>, Error> {
        let full = self.path(path)?;
        let act = || async {
            let found = self.store.get(&full).await?;
            if found.meta.size > limit {
                return Ok(Err(found.meta.size));
            }
            found.bytes().await.map(Ok)
        };
        match self.again("reading", path, act).await {
            Ok(Ok(bytes)) => Ok(Some(bytes)),
            Ok(Err(bytes)) => Err(Error::TooLarge {
                what: format!("`{path}`"),
                bytes,
                limit,
            }),
            Err(error) if error.kind() == Some(Kind::NotFound) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Whether there is an object.
    pub(super) async fn has(&self, path: &str) -> Result<bool, Error> {
        let full = self.path(path)?;
        match self.again("reading", path, || self.store.head(&full)).await {
            Ok(_) => Ok(true),
            Err(error) if error.kind() == Some(Kind::NotFound) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Parts of an object.
    pub(super) async fn ranges(
        &self,
        path: &str,
        ranges: &[Range<u64>],
    ) -> Result<Vec<Bytes>, Error> {
        let full = self.path(path)?;
        let act = || self.store.get_ranges(&full, ranges);
        self.again("reading", path, act).await
    }

    /// Writes an object unless there is one. Tried once: what a lost answer means is for
    /// the caller to find out.
    pub(super) async fn put_new(&self, path: &str, bytes: Bytes) -> Result<Put, Error> {
        let full = self.path(path)?;
        let options = PutOptions::from(PutMode::Create);
        let act = self
            .store
            .put_opts(&full, PutPayload::from_bytes(bytes), options);
        match self.limited("writing", path, act).await {
            Ok(_) => Ok(Put::Created),
            Err(error) if error.kind() == Some(Kind::Exists) => Ok(Put::Exists),
            Err(error) => Err(error),
        }
    }

    /// Writes an object, over any that is there.
    pub(super) async fn put(&self, path: &str, bytes: Bytes) -> Result<(), Error> {
        let full = self.path(path)?;
        let act = || {
            let payload = PutPayload::from_bytes(bytes.clone());
            self.store.put(&full, payload)
        };
        self.again("writing", path, act).await.map(|_| ())
    }

    /// Begins to write an object of which one does not know how large it will be.
    pub(super) async fn upload(&self, path: &str) -> Result<Upload<'_>, Error> {
        let full = self.path(path)?;
        let act = || self.store.put_multipart(&full);
        let upload = self.again("writing", path, act).await?;
        Ok(Upload {
            store: self,
            path: path.to_owned(),
            upload,
        })
    }

    /// Deletes an object, if it is there.
    pub(super) async fn delete(&self, path: &str) -> Result<(), Error> {
        let full = self.path(path)?;
        let act = || self.store.delete(&full);
        match self.again("deleting", path, act).await {
            Err(error) if error.kind() == Some(Kind::NotFound) => Ok(()),
            done => done,
        }
    }

    /// The objects below a folder, as the store lists them: some may be missing, some
    /// may not be there. Ends after an error.
    pub(super) fn list<'a>(&'a self, folder: &'a str) -> BoxStream<'a, Result<Listed, Error>> {
        let full = match folder {
            "" => Ok(self.root.clone()),
            folder => self.path(folder),
        };
        let listed = match full {
            Ok(full) => self.store.list(Some(&full)),
            Err(error) => return stream::once(async { Err(error) }).boxed(),
        };
        stream::unfold(Some(listed), move |listed| async move {
            let mut listed = listed?;
            loop {
                let error = match timeout(self.limit, listed.next()).await {
                    Ok(None) => return None,
                    Ok(Some(Ok(meta))) => match self.below(&meta.location) {
                        Some(path) => {
                            let one = Listed {
                                path: path.to_owned(),
                                modified: meta.last_modified.timestamp(),
                            };
                            return Some((Ok(one), Some(listed)));
                        }
                        // of another folder: nothing that was asked for
                        None => continue,
                    },
                    Ok(Some(Err(error))) => Error::store("listing", folder, &error),
                    Err(_) => Error::stalled("listing", folder, self.limit),
                };
                return Some((Err(error), None));
            }
        })
        .boxed()
    }
}

/// An object as the store lists it.
#[derive(Clone, Debug)]
pub(super) struct Listed {
    /// Below the root.
    pub(super) path: String,
    /// When it was written, in seconds since the Unix epoch, by the store's clock.
    pub(super) modified: i64,
}

/// An object that is being written in parts; it is there when it is finished.
pub(super) struct Upload<'a> {
    store: &'a Store,
    path: String,
    upload: Box<dyn MultipartUpload>,
}

impl Upload<'_> {
    /// Writes the next part: of S3 all but the last have at least 5 MiB.
    pub(super) async fn part(&mut self, bytes: Bytes) -> Result<(), Error> {
        let put = self.upload.put_part(PutPayload::from_bytes(bytes));
        self.store.limited("writing", &self.path, put).await
    }

    /// Has it be there.
    pub(super) async fn finish(mut self) -> Result<(), Error> {
        let finish = self.upload.complete();
        let finish = self.store.limited("writing", &self.path, finish);
        finish.await.map(|_| ())
    }

    /// Takes back what was written, as far as the store does.
    pub(super) async fn abort(mut self) {
        let abort = self.upload.abort();
        // the store cleans up what is left, by its own rules
        let _ = self.store.limited("aborting", &self.path, abort).await;
    }
}
