//! SQL over an archive: of a server, or of whoever asks here.

use std::sync::Arc;

use object_store::{ObjectStore, path::Path};

use super::Error;
use crate::{
    archive::{self, Archive as Opened},
    clock::Clock,
    collect::{AwsOptions, store::Store},
    config,
    sql::{Archived, Engine, Options, views},
};

/// An archive that is open, and where.
pub(super) struct Archive<'a> {
    pub(super) archive: Opened,
    pub(super) place: &'a Store,
    pub(super) options: &'a AwsOptions,
}

impl Archive<'_> {
    /// What answers SQL over it.
    pub(super) async fn engine(self, options: &config::Sql) -> Result<Engine, Error> {
        let (store, root) = self.place.open(self.options, false).await?;
        let config::Sql {
            memory,
            disk,
            spill,
            queries,
            wait,
            timeout,
            threads,
            places,
        } = options.clone();
        let options = Options {
            memory,
            disk,
            spill,
            queries,
            wait,
            timeout,
            threads,
            places,
            // callers see a part of the archive
            tells_reasons: false,
        };
        engine(self.archive, store, root, options).map_err(Error::Sql)
    }
}

/// What answers SQL over an archive that is only read, for whoever asks here.
/// `endpoint_url` replaces S3's.
///
/// # Errors
/// Why there is none, in a line.
pub async fn engine_at(
    place: &Store,
    endpoint_url: Option<&str>,
    options: Options,
) -> Result<Engine, String> {
    let aws = AwsOptions {
        endpoint_url: endpoint_url.map(str::to_owned),
        region: None,
        simulated: None,
    };
    let opened = place.open(&aws, false).await;
    let (store, root) = opened.map_err(|error| format!("--archive: {error}"))?;
    let archive = Opened::open_to_read(
        Arc::clone(&store),
        root.clone(),
        Clock::system(),
        archive::Options::default(),
    );
    let archive = archive.await.map_err(|error| match error {
        // by its path, which the store does not know
        archive::Error::Missing { .. } => {
            format!("--archive {place}: there is no archive at {}", whole(place))
        }
        error => format!("--archive {place}: {error}"),
    })?;
    engine(archive, store, root, options)
}

/// A place by its whole path: `.` says little.
fn whole(place: &Store) -> String {
    let Store::Dir(path) = place else {
        return place.to_string();
    };
    std::path::absolute(path).map_or_else(|_| place.to_string(), |it| it.display().to_string())
}

fn engine(
    archive: Opened,
    store: Arc<dyn ObjectStore>,
    root: Path,
    options: Options,
) -> Result<Engine, String> {
    let source = Arc::new(Archived::new(archive, store, root));
    Engine::new(source, views(), options).map_err(|error| error.to_string())
}
