//! Small objects beside the table: what some part of trailgate notes for itself.

use bytes::Bytes;

use super::{Archive, error::Error, state::FOLDER};

/// The largest, in bytes: what is noted of an account's years of log files takes some
/// ten kilobytes.
const MAX_NOTE: u64 = 16 * 1024 * 1024;

impl Archive {
    /// What was noted under a name, such as `backfill/x.json`; `None`: nothing was.
    ///
    /// # Errors
    /// If the store does not do what it is asked.
    pub async fn noted(&self, name: &str) -> Result<Option<Bytes>, Error> {
        self.0.store.get(&path_of(name), MAX_NOTE).await
    }

    /// Notes something under a name, instead of what was. It is no part of any version.
    ///
    /// # Errors
    /// If the store does not do what it is asked, if it is too large, or if the archive was
    /// opened to be read.
    pub async fn note(&self, name: &str, bytes: Bytes) -> Result<(), Error> {
        if !self.0.may_write {
            return Err(Error::ReadOnly);
        }
        let size = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        if size > MAX_NOTE {
            return Err(Error::TooLarge {
                what: format!("the note `{name}`"),
                bytes: size,
                limit: MAX_NOTE,
            });
        }
        self.0.store.put(&path_of(name), bytes).await
    }
}

fn path_of(name: &str) -> String {
    format!("{FOLDER}/notes/{name}")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::{memory::InMemory, path::Path};

    use super::*;
    use crate::{archive::Options, clock::Clock};

    #[tokio::test]
    async fn a_note_is_there_until_another_is_written() {
        let clock = Clock::at("2026-01-02T03:04:05Z".parse().unwrap());
        let (store, root) = (Arc::new(InMemory::new()), Path::from("a"));
        let open = || {
            Archive::open(
                Arc::clone(&store) as _,
                root.clone(),
                clock.clone(),
                Options::default(),
            )
        };
        let archive = open().await.unwrap();
        assert_eq!(archive.noted("b/x.json").await.unwrap(), None);
        for text in ["one", "two"] {
            archive.note("b/x.json", text.into()).await.unwrap();
            let noted = open().await.unwrap().noted("b/x.json").await.unwrap();
            assert_eq!(noted.as_deref(), Some(text.as_bytes()));
        }
        let large = vec![0; 17 << 20];
        assert!(archive.note("b/x.json", large.into()).await.is_err());
        let root = root.clone();
        let read = Archive::open_to_read(store.clone(), root, clock.clone(), Options::default());
        let read = read.await.unwrap();
        assert!(read.note("b/x.json", Bytes::new()).await.is_err());
    }
}
