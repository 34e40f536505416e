//! Where log files lie: buckets, and directories of this machine.

use std::{
    fs::{self, File},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures_util::{StreamExt, stream, stream::BoxStream};
use tokio::task::spawn_blocking;

use crate::collect::queue::{Answer, Body, ObjectsError};

/// Bytes that are read of a file at a time: large beside what a call costs.
const CHUNK: usize = 256 << 10;
/// Names that are told of a directory at a time.
const NAMES: usize = 1000;

/// A file, as it is listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Listed {
    /// Its key, or its path without the leading slash.
    pub(super) key: String,
    /// Its bytes.
    pub(super) size: u64,
    /// When it was changed last, in seconds since the Unix epoch, where files may
    /// change; `None`: they do not.
    pub(super) changed: Option<i64>,
}

/// Files, as they are listed, in the order of their keys.
pub(super) type Listing = BoxStream<'static, Result<Listed, ObjectsError>>;

/// Where log files lie.
pub(super) trait Source: Send + Sync + 'static {
    /// The files whose keys begin with `prefix`, behind a key. They are asked for as
    /// they are read.
    fn list(&self, prefix: &str, after: Option<&str>) -> Listing;

    /// The names directly below a prefix that ends in `/`, of what has keys below it.
    fn below<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<String>, ObjectsError>;

    /// Opens a file.
    fn open<'a>(&'a self, key: &'a str) -> Answer<'a, Body, ObjectsError>;

    /// A file's name, for people.
    fn name(&self, key: &str) -> String;

    /// Whether a file that is there stays as it is, and no file comes between others:
    /// so it is with what a trail delivers.
    fn is_fixed(&self) -> bool;
}

/// This machine. Keys are paths from its root.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Here;

impl Source for Here {
    fn list(&self, prefix: &str, _after: Option<&str>) -> Listing {
        let open = vec![Entry {
            key: prefix.trim_end_matches('/').to_owned(),
            path: Path::new("/").join(prefix),
            is_dir: prefix.is_empty() || prefix.ends_with('/'),
        }];
        let walk = stream::unfold(Some(open), |open| async {
            let open = open?;
            let step = spawn_blocking(|| walk(open)).await;
            Some(match step {
                Ok((found, open)) => (found, open),
                Err(error) => (vec![Err(ObjectsError::Failed(error.to_string()))], None),
            })
        });
        walk.flat_map(stream::iter).boxed()
    }

    fn below<'a>(&'a self, prefix: &'a str) -> Answer<'a, Vec<String>, ObjectsError> {
        let dir = Entry {
            key: String::new(),
            path: Path::new("/").join(prefix),
            is_dir: true,
        };
        Box::pin(async move {
            let entries = blocking(move || entries(&dir)).await?.into_iter();
            Ok(entries
                .filter(|entry| entry.is_dir)
                .map(|entry| entry.key)
                .collect())
        })
    }

    fn open<'a>(&'a self, key: &'a str) -> Answer<'a, Body, ObjectsError> {
        let path = Path::new("/").join(key);
        Box::pin(async move {
            let file = blocking(move || File::open(path)).await?;
            let body = stream::unfold(Some(Arc::new(file)), |file| async {
                let file = file?;
                let from = Arc::clone(&file);
                match blocking(move || read(&from)).await {
                    Ok(bytes) if bytes.is_empty() => None,
                    Ok(bytes) => Some((Ok(bytes), Some(file))),
                    Err(error) => Some((Err(error), None)),
                }
            });
            Ok(Box::pin(body.fuse()) as Body)
        })
    }

    fn name(&self, key: &str) -> String {
        format!("/{key}")
    }

    fn is_fixed(&self) -> bool {
        false
    }
}

async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> Result<T, ObjectsError> {
    match spawn_blocking(work).await {
        Ok(done) => done.map_err(|error| refused(&error)),
        Err(error) => Err(ObjectsError::Failed(error.to_string())),
    }
}

fn refused(error: &io::Error) -> ObjectsError {
    match error.kind() {
        io::ErrorKind::NotFound => ObjectsError::NotFound,
        io::ErrorKind::PermissionDenied => ObjectsError::Denied("permission denied".to_owned()),
        _ => ObjectsError::Failed(error.to_string()),
    }
}

fn read(mut from: &File) -> io::Result<Bytes> {
    let mut chunk = Vec::with_capacity(CHUNK);
    let most = u64::try_from(CHUNK).unwrap_or(u64::MAX);
    from.by_ref().take(most).read_to_end(&mut chunk)?;
    Ok(chunk.into())
}

/// What a directory has.
struct Entry {
    key: String,
    path: PathBuf,
    is_dir: bool,
}

/// Some files, and what was not looked at yet, last first. No more is held than the
/// names beside those on the way down.
fn walk(mut open: Vec<Entry>) -> (Vec<Result<Listed, ObjectsError>>, Option<Vec<Entry>>) {
    let mut found = Vec::new();
    while let Some(entry) = open.pop() {
        if entry.is_dir {
            match entries(&entry) {
                Ok(entries) => open.extend(entries.into_iter().rev()),
                Err(error) => {
                    let why = format!("{}: {error}", entry.path.display());
                    found.push(Err(ObjectsError::Failed(why)));
                }
            }
        } else if let Ok(file) = fs::metadata(&entry.path)
            && file.is_file()
        {
            found.push(Ok(Listed {
                key: entry.key,
                size: file.len(),
                changed: Some(file.ctime().max(file.mtime())),
            }));
        }
        if found.len() >= NAMES {
            return (found, Some(open));
        }
    }
    (found, None)
}

/// What stands in a directory, in the order of their keys. Links to directories are
/// not followed: they may lead back.
fn entries(dir: &Entry) -> io::Result<Vec<Entry>> {
    let mut entries = Vec::new();
    for entry in fs::read_dir(&dir.path)? {
        let entry = entry?;
        let (kind, path) = (entry.file_type()?, entry.path());
        if kind.is_symlink() && path.is_dir() {
            continue;
        }
        // a name that is no text has no key, and CloudTrail writes none
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        entries.push(Entry {
            key: match dir.key.is_empty() {
                true => name,
                false => format!("{}/{name}", dir.key),
            },
            path,
            is_dir: kind.is_dir(),
        });
    }
    // what is in a directory has a slash there
    entries.sort_by_cached_key(|entry| match entry.is_dir {
        true => format!("{}/", entry.key),
        false => entry.key.clone(),
    });
    Ok(entries)
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;

    use super::*;

    #[tokio::test]
    async fn a_directory_is_listed_in_the_order_of_keys_and_read() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().to_str().unwrap().trim_start_matches('/');
        for name in ["a/x", "a-b/y", "a.json", "b", "a/z/1"] {
            let path = home.path().join(name);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(&path, name).unwrap();
        }
        std::os::unix::fs::symlink(home.path(), home.path().join("back")).unwrap();
        let listed: Vec<_> = Here
            .list(&format!("{root}/"), None)
            .try_collect()
            .await
            .unwrap();
        let keys: Vec<_> = listed.iter().map(|file| file.key.clone()).collect();
        let mut sorted = keys.clone();
        sorted.sort();
        assert_eq!(keys, sorted);
        let names: Vec<_> = keys
            .iter()
            .map(|key| key.strip_prefix(root).unwrap().trim_start_matches('/'))
            .collect();
        assert_eq!(names, ["a-b/y", "a.json", "a/x", "a/z/1", "b"]);
        assert!(
            listed
                .iter()
                .all(|file| file.changed.unwrap() > 1_600_000_000)
        );
        let large = vec![7; CHUNK + 1];
        fs::write(home.path().join("large"), &large).unwrap();
        let body = Here.open(&format!("{root}/large")).await.unwrap();
        let read: Vec<Bytes> = body.try_collect().await.unwrap();
        assert_eq!(read.concat(), large);
        let none = Here.open(&format!("{root}/none")).await.err();
        assert_eq!(none, Some(ObjectsError::NotFound));
        let gone: Vec<_> = Here.list("no/such/place/", None).collect().await;
        assert!(matches!(gone[..], [Err(ObjectsError::Failed(_))]));
    }
}
