//! Where an archive is, as a setting says it, and the way there.

use std::{fmt, path::PathBuf, str::FromStr, sync::Arc, time::Duration};

use object_store::{
    ClientOptions, ObjectStore, RetryConfig, aws::AmazonS3Builder, local::LocalFileSystem,
    path::Path,
};

use super::aws::{Buckets, Options};

/// How long one request may be tried again: what reads and writes has a patience of
/// its own beyond that.
const RETRY: Duration = Duration::from_secs(30);
/// The longest that one request may take: the largest has a file of 128 MB.
const ANSWER: Duration = Duration::from_secs(120);

/// A directory, or `s3://bucket/prefix`.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Store {
    /// A directory of this machine, or one that is mounted.
    Dir(PathBuf),
    /// Keys of a bucket that begin so.
    Bucket {
        /// The bucket.
        bucket: String,
        /// What its keys begin with; may be empty.
        prefix: String,
    },
}

/// A place cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no place; give a directory, s3://BUCKET or s3://BUCKET/PREFIX")]
pub struct NoStore(String);

/// Why a place cannot be reached.
#[derive(Debug, thiserror::Error)]
pub enum Unreachable {
    /// The directory cannot be made or used.
    #[error("cannot use the directory {}: {error}", path.display())]
    Dir {
        /// Which one.
        path: PathBuf,
        /// Why not.
        error: std::io::Error,
    },
    /// No Region is known for the bucket.
    #[error(
        "no Region for s3://{bucket}, which names none itself; name one with AWS_REGION, or with \
         --region"
    )]
    NoRegion {
        /// Which one.
        bucket: String,
    },
    /// The client cannot be made.
    #[error("cannot use {place}: {error}")]
    Store {
        /// Where.
        place: String,
        /// Why not.
        error: object_store::Error,
    },
}

impl FromStr for Store {
    type Err = NoStore;

    fn from_str(text: &str) -> Result<Self, NoStore> {
        let error = || NoStore(text.to_owned());
        let Some(rest) = text.strip_prefix("s3://") else {
            // another scheme is no directory
            return match text.is_empty() || text.contains("://") {
                true => Err(error()),
                false => Ok(Self::Dir(text.into())),
            };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let prefix = prefix.trim_end_matches('/');
        let is_prefix = !prefix.starts_with('/') && Path::parse(prefix).is_ok();
        if bucket.is_empty() || !is_prefix {
            return Err(error());
        }
        Ok(Self::Bucket {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl fmt::Display for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Dir(path) => path.display().fmt(f),
            Self::Bucket { bucket, prefix } if prefix.is_empty() => write!(f, "s3://{bucket}"),
            Self::Bucket { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

impl Store {
    /// The way there, and where it begins. A directory that is not there is made, if
    /// `create`.
    ///
    /// # Errors
    /// If it cannot be reached; a bucket is not asked.
    pub async fn open(
        &self,
        options: &Options,
        create: bool,
    ) -> Result<(Arc<dyn ObjectStore>, Path), Unreachable> {
        let failed = |error| Unreachable::Store {
            place: self.to_string(),
            error,
        };
        match self {
            Self::Dir(dir) => {
                let unusable = |error| Unreachable::Dir {
                    path: dir.clone(),
                    error,
                };
                if create {
                    std::fs::create_dir_all(dir).map_err(unusable)?;
                }
                let dir = dir.canonicalize().map_err(unusable)?;
                let store = LocalFileSystem::new_with_prefix(dir).map_err(failed)?;
                Ok((Arc::new(store), Path::default()))
            }
            Self::Bucket { bucket, prefix } => {
                let no_region = || Unreachable::NoRegion {
                    bucket: bucket.clone(),
                };
                let buckets = Buckets::open(options).await.ok_or_else(no_region)?;
                buckets.find_regions([bucket.as_str()]).await;
                let store = buckets.archive(bucket).map_err(failed)?;
                let prefix = Path::parse(prefix).map_err(|error| failed(error.into()))?;
                Ok((store, prefix))
            }
        }
    }
}

impl Buckets {
    /// The client of a bucket that holds an archive: it tries again by itself.
    fn archive(&self, bucket: &str) -> object_store::Result<Arc<dyn ObjectStore>> {
        let builder = AmazonS3Builder::new().with_retry(RetryConfig {
            retry_timeout: RETRY,
            ..RetryConfig::default()
        });
        let client = ClientOptions::new().with_timeout(ANSWER);
        Ok(Arc::new(self.client(bucket, builder, client)?))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_in_every_form() {
        for (text, shown) in [
            ("archive", "archive"),
            ("/var/lib/trailgate", "/var/lib/trailgate"),
            ("s3://bucket", "s3://bucket"),
            ("s3://bucket/", "s3://bucket"),
            ("s3://bucket/a/b/", "s3://bucket/a/b"),
        ] {
            let store: Store = text.parse().unwrap();
            assert_eq!(store.to_string(), shown, "{text}");
        }
        for wrong in ["", "s3://", "s3:///a", "s3://b//a", "gs://b", "file:///x"] {
            let error = wrong.parse::<Store>().unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("{wrong:?} is no place")),
                "{error}"
            );
        }
    }

    #[tokio::test]
    async fn a_directory_is_made_if_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let place = Store::Dir(dir.path().join("a/b"));
        let refused = place.open(&Options::default(), false).await.unwrap_err();
        assert!(refused.to_string().contains("a/b"), "{refused}");
        place.open(&Options::default(), true).await.unwrap();
        assert!(dir.path().join("a/b").is_dir());
    }
}
