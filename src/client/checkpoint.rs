//! Where a subscriber keeps how far it is.

use std::{
    fs::{self, File},
    future::Future,
    io::{self, Write},
    path::{Path, PathBuf},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
};

use serde::{Deserialize, Serialize};

use super::recent::Seen;
use crate::sealed::{open, seal};

/// How far a subscriber is: what was handled needs not come again.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// Resumes the stream.
    pub resume_token: String,
    /// What was handled lately and may come again, 40 bytes each: as many as
    /// happen in a settle horizon.
    pub seen: Vec<Seen>,
}

/// What [`CheckpointStore`] returns.
pub type StoreFuture<'a, T> = Pin<Box<dyn Future<Output = io::Result<T>> + Send + 'a>>;

/// Keeps a subscriber's checkpoint: a file ([`CheckpointFile`]), or what you have.
/// [`Checkpoint`] is `serde`'s to serialize.
pub trait CheckpointStore: Send {
    /// The checkpoint that was saved last; `None`: there is none.
    fn load(&mut self) -> StoreFuture<'_, Option<Checkpoint>>;

    /// Saves a checkpoint in place of the last one, whole or not at all.
    fn save<'a>(&'a mut self, checkpoint: &'a Checkpoint) -> StoreFuture<'a, ()>;
}

/// The version of the form below.
const VERSION: u8 = 1;

/// A checkpoint in a file, which is replaced whole.
#[derive(Clone, Debug)]
pub struct CheckpointFile {
    path: PathBuf,
    /// One that is given up goes on in its thread: the next one waits for it.
    saving: Arc<Mutex<()>>,
}

impl CheckpointFile {
    /// A checkpoint in this file, which need not be there yet; its directory must
    /// be. Not for two subscribers at once.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self {
            path: path.into(),
            saving: Arc::default(),
        }
    }
}

impl CheckpointStore for CheckpointFile {
    fn load(&mut self) -> StoreFuture<'_, Option<Checkpoint>> {
        let path = self.path.clone();
        Box::pin(blocking(move || load(&path)))
    }

    fn save<'a>(&'a mut self, checkpoint: &'a Checkpoint) -> StoreFuture<'a, ()> {
        let (path, saving) = (self.path.clone(), Arc::clone(&self.saving));
        Box::pin(async move {
            let bytes = seal(VERSION, checkpoint);
            blocking(move || {
                let _one = saving.lock().unwrap_or_else(PoisonError::into_inner);
                save(&path, &bytes)
            })
            .await
        })
    }
}

async fn blocking<T: Send + 'static>(
    act: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    let done = tokio::task::spawn_blocking(act).await;
    done.map_err(io::Error::other)?
}

fn load(path: &Path) -> io::Result<Option<Checkpoint>> {
    let bytes = match fs::read(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        read => read?,
    };
    let broken = || {
        let message = format!(
            "{} is not a checkpoint of this version; name another file, or remove it to begin anew",
            path.display()
        );
        io::Error::new(io::ErrorKind::InvalidData, message)
    };
    open(VERSION, &bytes).map(Some).ok_or_else(broken)
}

/// Beside the file first, then in its place: a crash leaves the one or the other.
fn save(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let mut file = File::create(&beside)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&beside, path)?;
    // the name is the directory's to keep
    let parent = path
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::proto::v1::Event;

    #[tokio::test]
    async fn a_file_gives_back_what_was_saved_last_and_says_what_is_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tail.checkpoint");
        let mut store = CheckpointFile::new(&path);
        assert_eq!(store.load().await.unwrap(), None);
        for token in ["a", "b"] {
            let checkpoint = Checkpoint {
                resume_token: token.to_owned(),
                seen: vec![Seen::of(&Event::default())],
            };
            store.save(&checkpoint).await.unwrap();
            assert_eq!(store.load().await.unwrap(), Some(checkpoint));
        }
        let mut bytes = fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 1);
        fs::write(&path, &bytes).unwrap();
        let error = store.load().await.unwrap_err().to_string();
        assert!(
            error.contains("tail.checkpoint is not a checkpoint"),
            "{error}"
        );
        let nowhere = CheckpointFile::new(dir.path().join("no/such"))
            .save(&Checkpoint::default())
            .await;
        assert_eq!(nowhere.unwrap_err().kind(), io::ErrorKind::NotFound);
    }
}
