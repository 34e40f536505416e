//! The archive, for what arrives and what is loaded.

use std::sync::Arc;

use bytes::Bytes;
use object_store::{ObjectStore, memory::InMemory, path::Path};

use super::Error;
use crate::{
    archive::{self, Archive, Kind},
    backfill::{Committed, Compacted, Target, TargetError},
    clock::Clock,
    collect::{AwsOptions, Poller, queue::Answer, store::Store},
    config,
    event::Event,
    feed::Feed,
    keep::{self, Keeper},
    lookup::Lookup,
    upstream::Scopes,
};

/// Opens the archive, or begins one where there is nothing. `memory`: the most that it
/// uses while it writes, in bytes. `endpoint_url` replaces S3's.
///
/// # Errors
/// If it cannot be opened, in words that say where it is.
pub async fn open_archive(
    at: &Store,
    clock: &Clock,
    memory: u64,
    endpoint_url: Option<&str>,
) -> Result<Arc<dyn Target>, TargetError> {
    let (store, root) = reach(at, endpoint_url, true).await?;
    let opened = Archive::open(store, root, clock.clone(), options(memory)).await;
    Ok(Arc::new(Into(
        opened.map_err(|error| unusable(at, &error))?,
    )))
}

/// Opens the archive to look at its notes alone; `None`: there is none. As
/// [`open_archive`].
///
/// # Errors
/// If it cannot be opened, in words that say where it is.
pub async fn look_at_archive(
    at: &Store,
    clock: &Clock,
    memory: u64,
    endpoint_url: Option<&str>,
) -> Result<Option<Arc<dyn Target>>, TargetError> {
    if let Store::Dir(dir) = at
        && !dir.exists()
    {
        return Ok(None);
    }
    let (store, root) = reach(at, endpoint_url, false).await?;
    match Archive::open_to_read(store, root, clock.clone(), options(memory)).await {
        Ok(archive) => Ok(Some(Arc::new(Into(archive)))),
        Err(archive::Error::Missing { .. }) => Ok(None),
        Err(error) => Err(unusable(at, &error)),
    }
}

async fn reach(
    at: &Store,
    endpoint_url: Option<&str>,
    create: bool,
) -> Result<(Arc<dyn ObjectStore>, Path), TargetError> {
    let options = AwsOptions {
        endpoint_url: endpoint_url.map(str::to_owned),
        region: None,
        simulated: None,
    };
    let opened = at.open(&options, create).await;
    opened.map_err(|error| TargetError {
        message: format!("--archive: {error}"),
        may_pass: false,
    })
}

fn options(memory: u64) -> archive::Options {
    archive::Options {
        max_memory: memory,
        ..archive::Options::default()
    }
}

fn unusable(at: &Store, error: &archive::Error) -> TargetError {
    TargetError {
        message: format!("--archive {at}: {error}"),
        may_pass: false,
    }
}

/// What an archive is opened with.
pub(super) struct Keeping<'a> {
    pub(super) feed: &'a Arc<Feed>,
    pub(super) lookup: &'a Arc<Lookup>,
    pub(super) poller: &'a Arc<Poller>,
    pub(super) scopes: &'a Scopes,
    pub(super) options: &'a AwsOptions,
}

impl Keeping<'_> {
    /// What keeps events as settings say.
    pub(super) async fn open(&self, settings: &config::Archive) -> Result<Arc<Keeper>, Error> {
        let place = &settings.place;
        let (store, root) = place.open(self.options, true).await?;
        let options = archive::Options {
            max_memory: settings.max_memory,
            ..archive::Options::default()
        };
        let archive = Archive::open(store, root, self.feed.clock().clone(), options);
        let archive = archive.await.map_err(|error| Error::Archive {
            place: place.clone(),
            error,
        })?;
        tracing::info!(%place, "keeping events in the archive");
        let parts = keep::Parts {
            archive,
            feed: Arc::clone(self.feed),
            lookup: Arc::clone(self.lookup),
            poller: Arc::clone(self.poller),
            scopes: self.scopes.clone(),
        };
        Keeper::new(parts, settings.keep).map_err(|error| Error::Keep {
            place: place.clone(),
            error,
        })
    }
}

/// An archive in memory, for trials.
///
/// # Errors
/// If it cannot be made.
pub async fn scratch_archive(clock: &Clock, memory: u64) -> Result<Arc<dyn Target>, TargetError> {
    let store = Arc::new(InMemory::new());
    let opened = Archive::open(store, Path::default(), clock.clone(), options(memory)).await;
    Ok(Arc::new(Into(opened.map_err(|error| said(&error))?)))
}

struct Into(Archive);

impl Target for Into {
    fn commit(&self, events: Vec<Arc<Event>>) -> Answer<'_, Committed, TargetError> {
        Box::pin(async move {
            let done = self.0.commit(&events, None).await;
            let done = done.map_err(|error| said(&error))?;
            Ok(Committed {
                new: u64::try_from(done.added).unwrap_or(u64::MAX),
            })
        })
    }

    fn compact(&self) -> Answer<'_, Compacted, TargetError> {
        Box::pin(async move {
            let done = self.0.compact().await.map_err(|error| said(&error))?;
            let count = |files| u64::try_from(files).unwrap_or(u64::MAX);
            Ok(Compacted {
                from: count(done.from),
                into: count(done.into),
            })
        })
    }

    fn load<'a>(&'a self, name: &'a str) -> Answer<'a, Option<Bytes>, TargetError> {
        Box::pin(async move { self.0.noted(name).await.map_err(|error| said(&error)) })
    }

    fn save<'a>(&'a self, name: &'a str, bytes: Bytes) -> Answer<'a, (), TargetError> {
        Box::pin(async move { self.0.note(name, bytes).await.map_err(|error| said(&error)) })
    }
}

fn said(error: &archive::Error) -> TargetError {
    TargetError {
        message: error.to_string(),
        // who may not write today may not in two minutes
        may_pass: error.may_pass() && error.kind() != Some(Kind::Denied),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_directory_is_an_archive_that_keeps_notes() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("new/one");
        let at: Store = path.to_str().unwrap().parse().unwrap();
        let clock = Clock::at("2026-01-02T03:04:05Z".parse().unwrap());
        let look = || look_at_archive(&at, &clock, 64 << 20, None);
        assert!(look().await.unwrap().is_none() && !path.exists());
        let open = || open_archive(&at, &clock, 64 << 20, None);
        let archive = open().await.unwrap();
        let record = br#"{"eventID":"a","eventTime":"2026-01-01T00:00:00Z"}"#;
        let scope = crate::event::Scope::new("111122223333", "r-1");
        let event = Event::from_record(&scope, record, crate::event::Origin::LogFile, 0);
        let events = vec![Arc::new(event)];
        assert_eq!(
            archive.commit(events.clone()).await,
            Ok(Committed { new: 1 })
        );
        archive.save("x", Bytes::from_static(b"y")).await.unwrap();
        let again = open().await.unwrap();
        assert_eq!(again.commit(events).await, Ok(Committed { new: 0 }));
        assert_eq!(again.load("x").await.unwrap().as_deref(), Some(&b"y"[..]));
        let looked = look().await.unwrap().unwrap();
        assert_eq!(looked.load("x").await.unwrap().as_deref(), Some(&b"y"[..]));
        assert!(looked.save("x", Bytes::new()).await.is_err());
        std::fs::write(path.join("_delta_log/00000000000000000000.json"), "{").unwrap();
        let broken = open().await.err().unwrap();
        assert!(broken.message.starts_with("--archive "), "{broken}");
    }
}
