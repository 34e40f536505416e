//! Where a trail's files are, as a setting says it.

use std::{fmt, str::FromStr};

use crate::collect::object_key::Root;

/// Where a trail's files are: `s3://bucket`, `s3://bucket/prefix`, or with
/// `/AWSLogs` and an organisation's id behind that.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Trail {
    /// The bucket.
    pub(super) bucket: String,
    /// The trail's prefix; may be empty.
    prefix: String,
    /// The organisation whose files alone are read.
    pub(super) organisation: Option<String>,
}

/// A trail's place cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not the place of a trail; give s3://BUCKET, s3://BUCKET/PREFIX, or \
     s3://BUCKET/PREFIX/AWSLogs/ORGANIZATION, without an account"
)]
pub struct PlaceError(String);

impl FromStr for Trail {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let error = || PlaceError(text.to_owned());
        let rest = text.strip_prefix("s3://").ok_or_else(error)?;
        let mut segments: Vec<&str> = rest.trim_end_matches('/').split('/').collect();
        if segments.iter().any(|segment| segment.is_empty()) {
            return Err(error());
        }
        let bucket = segments.remove(0).to_owned();
        let logs = segments.iter().position(|segment| *segment == "AWSLogs");
        let below = logs.map_or_else(Vec::new, |at| segments.split_off(at));
        let organisation = match below.get(1..).unwrap_or_default() {
            [] => None,
            [id] if id.starts_with("o-") => Some((*id).to_owned()),
            _ => return Err(error()),
        };
        Ok(Self {
            bucket,
            prefix: segments.join("/"),
            organisation,
        })
    }
}

impl fmt::Display for Trail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let root = self.root(self.organisation.as_deref());
        write!(f, "s3://{}/{}", self.bucket, root.as_str())
    }
}

impl Trail {
    /// Where its keys begin, those of an organisation's accounts.
    pub(super) fn root(&self, organisation: Option<&str>) -> Root {
        Root::new(&self.prefix, organisation)
    }

    /// The bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_in_every_form_and_a_wrong_one_says_what_is_meant() {
        for (text, root) in [
            ("s3://b", "AWSLogs/"),
            ("s3://b/", "AWSLogs/"),
            ("s3://b/AWSLogs", "AWSLogs/"),
            ("s3://b/some/prefix/", "some/prefix/AWSLogs/"),
            ("s3://b/some/AWSLogs/o-1a/", "some/AWSLogs/o-1a/"),
        ] {
            let trail: Trail = text.parse().unwrap();
            assert_eq!(trail.to_string(), format!("s3://b/{root}"), "{text}");
            assert_eq!(trail.to_string().parse(), Ok(trail.clone()), "{text}");
        }
        for text in [
            "",
            "b",
            "s3://",
            "s3:///x",
            "s3://b//x",
            "https://b.s3.amazonaws.com",
            "s3://b/AWSLogs/111122223333",
            "s3://b/AWSLogs/o-1a/111122223333/CloudTrail",
        ] {
            let error = text.parse::<Trail>().unwrap_err().to_string();
            assert!(
                error.contains(&format!("{text:?}")) && error.contains("s3://BUCKET/PREFIX"),
                "{error}"
            );
        }
    }
}
