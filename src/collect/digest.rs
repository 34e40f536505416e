//! Digest files: which files CloudTrail delivered in an hour, and so the proof
//! that an hour is whole.
//!
//! A digest covers the time in which files were **delivered**. Their events are
//! older, and an event of the hour's last minutes stands in a file of the next:
//! [`Tracker::watermark`] leaves a horizon for that. A digest's signature is not
//! checked here: what it proves, it proves to whoever trusts the bucket.
//!
//! Source: "CloudTrail digest file structure", CloudTrail user guide.

mod chain;
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;
mod tracker;

use serde_json::value::RawValue;

use super::{
    envelope::{Members, ObjectRef, members, shorten, text},
    object_key::{Kind, ObjectKey},
};
use crate::event::{Scope, TimeRange, json::array, parse_time};

pub use tracker::{Gap, Limits, Noted, Sizes, Tracker};

/// The longest stretch that a digest may cover, in seconds: they are hourly, and
/// what claims more than a day is no proof.
const LONGEST: i64 = 86_400;

/// A digest file, read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    /// Whose files.
    pub scope: Scope,
    /// Which of the scope's trails: its name and home Region.
    pub trail: String,
    /// When the files were delivered.
    pub range: TimeRange,
    /// The digest itself, where it was found.
    pub object: ObjectRef,
    /// The digest of the hour before; `None` where a chain starts.
    pub previous: Option<ObjectRef>,
    /// The files.
    pub files: Vec<LogFile>,
    /// It names what an earlier digest left out, and stands in no chain.
    pub is_backfill: bool,
}

/// A file that a digest names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogFile {
    /// Where it is.
    pub object: ObjectRef,
    /// The SHA-256 of its content, unpacked. `None`: another algorithm, or not
    /// readable.
    pub hash: Option<[u8; 32]>,
    /// The time of its oldest event, in seconds since the Unix epoch.
    pub oldest: Option<i64>,
    /// The time of its newest event, in seconds since the Unix epoch.
    pub newest: Option<i64>,
}

/// A digest that proves nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not a JSON object.
    #[error("the digest is not a JSON object: {seen}")]
    NotJson {
        /// Its beginning.
        seen: String,
    },
    /// The key is not a digest's.
    #[error("the digest names itself {key}, which is no digest's key")]
    Key {
        /// The key.
        key: String,
    },
    /// A member is missing, or is not what it should be.
    #[error("the digest has no usable {member}")]
    Member {
        /// Which.
        member: &'static str,
    },
}

impl Digest {
    /// Reads a digest that was found as `found`.
    ///
    /// Where a bucket was copied, files are looked for in the copy: those that
    /// the digest names in its own bucket are taken to be where it was found.
    ///
    /// # Errors
    /// Any of its parts that is needed is missing or odd: a digest that names
    /// fewer files than it should would prove too much.
    pub fn read(found: &ObjectRef, json: &[u8]) -> Result<Self, Error> {
        let json = str::from_utf8(json).map_err(|_| Error::NotJson {
            seen: shorten(&String::from_utf8_lossy(json)),
        })?;
        let digest = members(json).ok_or_else(|| Error::NotJson {
            seen: shorten(json),
        })?;
        let need = |member| text(&digest, member).ok_or(Error::Member { member });
        let key = need("digestS3Object")?;
        let parsed = ObjectKey::parse(&key);
        let (Kind::Digest, Some(place)) = (parsed.kind, parsed.place) else {
            return Err(Error::Key { key: shorten(&key) });
        };
        let account = need("awsAccountId")?;
        if *account != *place.scope.account {
            return Err(Error::Member {
                member: "awsAccountId",
            });
        }
        let time = |member| parse_time(&need(member)?).ok_or(Error::Member { member });
        let range = TimeRange::new(time("digestStartTime")?, time("digestEndTime")?);
        if range.is_empty() || range.seconds() > LONGEST {
            return Err(Error::Member {
                member: "digestEndTime",
            });
        }
        let own = need("digestS3Bucket")?;
        let here = |bucket: String, key: String| ObjectRef {
            bucket: if bucket == own {
                found.bucket.clone()
            } else {
                bucket
            },
            key,
            region: found.region.clone(),
            ..ObjectRef::default()
        };
        let previous = text(&digest, "previousDigestS3Bucket")
            .zip(text(&digest, "previousDigestS3Object"))
            .map(|(bucket, key)| here(bucket, key));
        let files = digest
            .get("logFiles")
            .and_then(|files| array(files.get()))
            .and_then(|files| {
                files
                    .into_iter()
                    .map(|file| log_file(file, &here))
                    .collect()
            })
            .ok_or(Error::Member { member: "logFiles" })?;
        Ok(Self {
            scope: place.scope,
            trail: place.trail.unwrap_or_default(),
            range,
            object: ObjectRef {
                etag: None,
                version: None,
                size: None,
                ..found.clone()
            },
            previous,
            files,
            is_backfill: place.is_backfill,
        })
    }
}

fn log_file(file: &RawValue, here: &impl Fn(String, String) -> ObjectRef) -> Option<LogFile> {
    let file = members(file.get())?;
    let time = |member| text(&file, member).as_deref().and_then(parse_time);
    Some(LogFile {
        object: here(text(&file, "s3Bucket")?, text(&file, "s3Object")?),
        hash: hash(&file),
        oldest: time("oldestEventTime"),
        newest: time("newestEventTime"),
    })
}

fn hash(file: &Members<'_>) -> Option<[u8; 32]> {
    let algorithm = text(file, "hashAlgorithm")?;
    let digits = text(file, "hashValue").filter(|_| algorithm == "SHA-256")?;
    let (pairs, rest) = digits.as_bytes().as_chunks::<2>();
    let bytes = pairs.iter().map(|[high, low]| {
        let digit = |byte: &u8| char::from(*byte).to_digit(16);
        u8::try_from(digit(high)? << 4 | digit(low)?).ok()
    });
    let bytes: Vec<u8> = bytes.collect::<Option<_>>()?;
    bytes.try_into().ok().filter(|_| rest.is_empty())
}
