//! Where log files are said to be, and the parts that this makes.

use std::{
    fmt,
    path::{Path, PathBuf},
    str::FromStr,
    sync::Arc,
};

use super::{
    choice::Choice,
    patience::Patience,
    source::{Here, Source},
    walk::Part,
};
use crate::{
    collect::{NO_BUCKET, OTHER_REGION, queue::ObjectsError},
    event::is_account,
};

/// Where log files are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A directory of this machine, or a file.
    Here(PathBuf),
    /// What has a prefix in a bucket.
    S3 {
        /// The bucket.
        bucket: String,
        /// What keys begin with. May be empty.
        prefix: String,
    },
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let Some(rest) = text.strip_prefix("s3://") else {
            return match text {
                "" | "-" => Err("no place; write a directory or s3://BUCKET/PREFIX".to_owned()),
                path => Ok(Self::Here(PathBuf::from(path))),
            };
        };
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.is_empty() {
            return Err("no bucket; write s3://BUCKET/PREFIX".to_owned());
        }
        Ok(Self::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        })
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Here(path) => path.display().fmt(f),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

/// What is loaded in one go, in the order of its keys.
#[derive(Clone, Default)]
pub struct Parts(pub(super) Vec<Part>);

impl fmt::Debug for Parts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

impl Parts {
    /// Their names.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|part| part.name.as_str())
    }

    /// Adds others, those aside that are there.
    pub fn extend(&mut self, others: Self) {
        for part in others.0 {
            if !self.0.iter().any(|other| other.name == part.name) {
                self.0.push(part);
            }
        }
    }

    /// A directory of this machine, or a file.
    ///
    /// # Errors
    /// If it cannot be looked at.
    pub fn here(path: &Path) -> Result<Self, String> {
        let failed = |error: std::io::Error| format!("{}: {error}", path.display());
        let path = path.canonicalize().map_err(failed)?;
        let is_dir = path.metadata().map_err(failed)?.is_dir();
        let Some(text) = path.to_str() else {
            return Err(format!("{}: its path is no text", path.display()));
        };
        let slash = if is_dir && text != "/" { "/" } else { "" };
        Ok(Self(vec![Part {
            name: format!("{text}{slash}"),
            source: Arc::new(Here),
            prefix: format!("{}{slash}", text.trim_start_matches('/')),
        }]))
    }

    /// What has a prefix in a bucket: the accounts below it, if it ends in `AWSLogs`
    /// or in that and an organisation's id, and else all of it together. `name` is
    /// that of the bucket, such as `s3://bucket/`.
    ///
    /// # Errors
    /// If the bucket does not tell.
    pub(super) async fn below(
        name: &str,
        source: &Arc<dyn Source>,
        prefix: &str,
        choice: &Choice,
    ) -> Result<Self, ObjectsError> {
        let part = |prefix: String| Part {
            name: format!("{name}{prefix}"),
            source: Arc::clone(source),
            prefix,
        };
        let root = prefix.trim_end_matches('/');
        if !is_root(root) {
            return Ok(Self(vec![part(prefix.to_owned())]));
        }
        let mut open = vec![format!("{root}/")];
        let mut parts = Vec::new();
        while let Some(root) = open.pop() {
            for name in names(&**source, &root).await? {
                let below = format!("{root}{name}/");
                if is_account(&name) {
                    if choice.has_account(&name) {
                        parts.push(part(below));
                    }
                } else if name.starts_with("o-") && root.ends_with("AWSLogs/") {
                    open.push(below);
                }
            }
        }
        parts.sort_by(|a, b| a.prefix.cmp(&b.prefix));
        Ok(Self(parts))
    }
}

/// Whether accounts' prefixes stand directly below.
fn is_root(prefix: &str) -> bool {
    let mut names = prefix.rsplit('/');
    match names.next() {
        Some("AWSLogs") => true,
        Some(name) if name.starts_with("o-") => names.next() == Some("AWSLogs"),
        _ => false,
    }
}

async fn names(source: &dyn Source, prefix: &str) -> Result<Vec<String>, ObjectsError> {
    let mut patience = Patience::default();
    loop {
        match source.below(prefix).await {
            Err(ObjectsError::Failed(why)) if may_pass(&why) && patience.wait().await => {}
            told => return told,
        }
    }
}

/// Whether it has sense to ask again.
fn may_pass(why: &str) -> bool {
    why != NO_BUCKET && why != OTHER_REGION
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::backfill::walk::tests::{Names, key};

    #[test]
    fn places_are_told_apart() {
        let s3 = |bucket: &str, prefix: &str| Place::S3 {
            bucket: bucket.to_owned(),
            prefix: prefix.to_owned(),
        };
        assert_eq!("s3://b".parse(), Ok(s3("b", "")));
        assert_eq!("s3://b/a/b/".parse(), Ok(s3("b", "a/b/")));
        assert_eq!("a/b".parse(), Ok(Place::Here("a/b".into())));
        for text in ["s3://", "s3:///a", "-", ""] {
            assert!(text.parse::<Place>().is_err(), "{text}");
        }
        assert_eq!(s3("b", "a/").to_string(), "s3://b/a/");
    }

    #[tokio::test]
    async fn an_account_is_a_part_where_they_stand_side_by_side() {
        let (a, b) = ("111122223333", "444455556666");
        let names = [
            key(a, "CloudTrail", "r-1", 1, 0),
            key(b, "CloudTrail", "r-1", 1, 0),
            key(a, "CloudTrail", "r-1", 1, 0).replace("AWSLogs/", "AWSLogs/o-1a/"),
            "AWSLogs/other/x".to_owned(),
        ];
        let source = Names {
            is_fixed: true,
            ..Names::default()
        };
        source.keys.lock().unwrap().extend(names);
        let source: Arc<dyn Source> = Arc::new(source);
        let below = async |prefix: &str, choice: Choice| {
            let parts = Parts::below("s3://b/", &source, prefix, &choice).await;
            let mut twice = parts.clone().unwrap();
            twice.extend(parts.unwrap());
            twice.names().map(str::to_owned).collect::<Vec<_>>()
        };
        let all = |names: &[&str]| names.iter().map(|name| format!("s3://b/{name}")).collect();
        let every = Choice::default();
        let expected: Vec<_> = all(&[
            "AWSLogs/111122223333/",
            "AWSLogs/444455556666/",
            "AWSLogs/o-1a/111122223333/",
        ]);
        assert_eq!(below("AWSLogs", every.clone()).await, expected);
        let one = Choice {
            without_accounts: [a.to_owned()].into(),
            ..Choice::default()
        };
        assert_eq!(below("AWSLogs/", one).await, expected[1..2]);
        assert_eq!(below("AWSLogs/o-1a/", every.clone()).await, expected[2..]);
        let one: Vec<_> = all(&["AWSLogs/1111"]);
        assert_eq!(below("AWSLogs/1111", every.clone()).await, one);
        assert_eq!(below("", every).await, ["s3://b/"]);
    }
}
