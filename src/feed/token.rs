//! Resume tokens: where a stream stands, in this process and for any other.

use std::sync::Arc;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use super::{FilePlace, Selection, Standing, log};
use crate::{
    event::{Position, Scope},
    sealed::{open, seal},
};

/// The version of the form below.
const VERSION: u8 = 1;
/// The longest token, in characters: the contract's 16 KiB.
const MAX_LEN: usize = 16 * 1024;
/// What fits it: four characters for each three bytes.
const MAX_BYTES: usize = MAX_LEN / 4 * 3;
/// The longest id that an exact place is told of; a longer one's second is told
/// once more.
const MAX_ID: usize = 256;
/// The most scopes that are read from a token: more than fit it.
const MAX_SCOPES: usize = MAX_LEN;

/// Why a resume token cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// It is none.
    #[error("not a resume token of this service; begin with start_time, or from now with neither")]
    Garbage,
    /// It belongs to another subscription.
    #[error(
        "this resume token belongs to another subscription; filters, account_ids and regions must \
         be as they were"
    )]
    Other,
}

/// How far a scope is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Way {
    /// It is read from the log.
    Live,
    /// History is read from this second on.
    History(i64),
    /// History is read behind the token's exact place, and all before it was told.
    Exact,
    /// History is read behind the token's exact place in this process. Some of what
    /// is before it the log is to tell: any other goes on from the watermark.
    ExactHere,
}

/// How far one scope is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    pub(super) scope: Scope,
    /// Everything before this second was delivered, by history or from the log.
    pub(super) settled: i64,
    /// How it goes on in this process.
    pub(super) way: Way,
    /// Of its log files, what `LookupEvents` does not tell is to be read.
    pub(super) is_missed: bool,
}

/// History that is being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Reading {
    /// Of what was in the log: from this position,
    pub(super) from: log::Position,
    /// to this one, exclusive.
    pub(super) to: log::Position,
    /// What was dropped from the log is read, and nothing else.
    pub(super) is_behind: bool,
    /// What is to be read comes after this.
    pub(super) after: Position,
}

/// Log files that are being read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Missed {
    /// From which second those of scopes are read that the token does not name;
    /// `None`: they are not.
    pub(super) others_from: Option<i64>,
    /// Up to which second.
    pub(super) until: i64,
    /// What stands in the log before this position is told from files.
    pub(super) before: log::Position,
    /// Tells who is told from who else is.
    pub(super) told_to: u32,
    /// Of this scope, what comes after this place is left.
    pub(super) first: Option<(Scope, FilePlace)>,
}

/// Where a stream stands. It holds positions, never rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResumeToken {
    /// What was asked: see [`ResumeToken::decode`].
    pub(super) digest: [u8; 16],
    /// Whose log it is.
    pub(super) log: u64,
    /// Where it is read from.
    pub(super) position: log::Position,
    /// Its scopes have been collected for it since this position.
    pub(super) begun: log::Position,
    /// When the token was made, in seconds.
    pub(super) issued: i64,
    /// Nothing before this second is asked for; `None`: all that arrives is.
    pub(super) since: Option<i64>,
    /// Of what may have been there before its scope was collected, that from this
    /// second on is told; `None`: nothing is.
    pub(super) known_since: Option<i64>,
    /// Up to this position, exclusive, the log has what was told before its scope's
    /// watermark here; `None`: it has not.
    pub(super) told_until: Option<log::Position>,
    /// What happened up to here may have been delivered by another process; `None`:
    /// nothing was.
    pub(super) repeats_to: Option<i64>,
    /// How far each scope is. Empty where they would not fit: all are as far as
    /// `settled`.
    pub(super) marks: Vec<Mark>,
    /// How far the scope is that is furthest behind.
    pub(super) settled: i64,
    pub(super) reading: Option<Reading>,
    pub(super) missed: Option<Missed>,
    /// Before this position the log has what is told of files that were read: no
    /// scope is further than its mark says until that is.
    pub(super) held_to: Option<log::Position>,
}

/// A scope's Region by its place, doubled, and one more if its log files are to be
/// read; by how many units it is behind; its way.
type WireMark = (u16, u32, Way);

#[derive(Serialize, Deserialize)]
struct Wire {
    digest: [u8; 16],
    log: u64,
    position: u64,
    begun: u64,
    issued: i64,
    since: Option<i64>,
    known_since: Option<i64>,
    told_until: Option<u64>,
    repeats_to: Option<i64>,
    settled: i64,
    reading: Option<WireReading>,
    missed: Option<WireMissed>,
    held_to: Option<u64>,
    /// The watermark that is furthest; others are so many units behind.
    newest: i64,
    unit: u32,
    regions: Vec<String>,
    accounts: Vec<(String, Vec<WireMark>)>,
}

#[derive(Serialize, Deserialize)]
struct WireReading {
    from: u64,
    to: u64,
    is_behind: bool,
    time: i64,
    account: String,
    region: String,
    id: String,
    hash: [u8; 16],
}

#[derive(Serialize, Deserialize)]
struct WireMissed {
    others_from: Option<i64>,
    until: i64,
    before: u64,
    told_to: u32,
    first: Option<WireFile>,
}

#[derive(Serialize, Deserialize)]
struct WireFile {
    account: String,
    region: String,
    bucket: String,
    key: String,
    records: u64,
}

impl ResumeToken {
    /// Forgets the hash of the record that was read last: see
    /// [`Position::forget_record`]. What is read comes in ascending order.
    pub fn forget_record(&mut self) {
        if let Some(reading) = &mut self.reading {
            reading.after.forget_record(true);
        }
    }

    /// What it says of the scopes of a selection: of others, which its bearer may not
    /// see any more, nothing is read or told.
    pub(super) fn within(mut self, selection: &Selection) -> Self {
        // with none left, all are as far as the one furthest behind: none is further
        self.marks.retain(|mark| selection.has(&mark.scope));
        self
    }

    /// One that was made in this second, and says no more.
    #[cfg(test)]
    pub(crate) fn at(digest: [u8; 16], issued: i64) -> Self {
        Self {
            digest,
            log: 0,
            position: 0,
            begun: 0,
            issued,
            since: None,
            known_since: None,
            told_until: None,
            repeats_to: None,
            marks: Vec::new(),
            settled: issued,
            reading: None,
            missed: None,
            held_to: None,
        }
    }

    /// When it was made, in seconds.
    #[cfg(test)]
    pub(crate) const fn issued_at(&self) -> i64 {
        self.issued
    }

    /// How far a scope is that it names.
    #[cfg(test)]
    pub(crate) fn settled_of(&self, scope: &Scope) -> Option<i64> {
        let mark = self.marks.iter().find(|mark| mark.scope == *scope);
        mark.map(|mark| mark.settled)
    }

    /// The token as an opaque string of at most 16 KiB.
    #[must_use]
    pub fn encode(&self) -> String {
        let bytes = match self.unit() {
            Some((_, bytes)) => bytes,
            None => self.bytes(&[], self.newest(), 1),
        };
        URL_SAFE_NO_PAD.encode(bytes)
    }

    /// Says of each scope what the token says of it.
    pub(super) fn round(&self, standing: &mut [Standing]) {
        let newest = self.newest();
        let unit = self.unit().map(|(unit, _)| i64::from(unit));
        for one in standing {
            one.settled = match unit {
                Some(unit) => {
                    let behind = newest.saturating_sub(one.settled).max(0);
                    let units = behind.div_euclid(unit) + i64::from(behind.rem_euclid(unit) > 0);
                    newest.saturating_sub(units.saturating_mul(unit))
                }
                None => self.settled,
            };
        }
    }

    fn newest(&self) -> i64 {
        let newest = self.marks.iter().map(|mark| mark.settled).max();
        newest.unwrap_or(self.settled)
    }

    /// The unit in which all scopes fit, and the token's bytes. The coarser, the
    /// shorter: what is a unit behind is read once more.
    fn unit(&self) -> Option<(u32, Vec<u8>)> {
        let newest = self.newest();
        let oldest = self.marks.iter().map(|mark| mark.settled).min();
        let most = behind(newest, oldest.unwrap_or(newest));
        let units = [1, 15, 240, 3600, 86_400].into_iter();
        // a token that was made by hand may say any second
        let mut fit = units.filter(|unit| most.div_ceil(u64::from(*unit)) <= u64::from(u32::MAX));
        fit.find_map(|unit| {
            let bytes = self.bytes(&self.marks, newest, unit);
            (bytes.len() <= MAX_BYTES).then_some((unit, bytes))
        })
    }

    fn bytes(&self, marks: &[Mark], newest: i64, unit: u32) -> Vec<u8> {
        let mut regions: Vec<String> = Vec::new();
        let mut accounts: Vec<(String, Vec<WireMark>)> = Vec::new();
        for mark in marks {
            let region = &*mark.scope.region;
            let place = regions.iter().position(|known| known == region);
            let place = place.unwrap_or_else(|| {
                regions.push(region.to_owned());
                regions.len() - 1
            });
            let behind = behind(newest, mark.settled).div_ceil(u64::from(unit));
            let entry = (
                u16::try_from(place * 2 + usize::from(mark.is_missed)).unwrap_or(u16::MAX),
                u32::try_from(behind).unwrap_or(u32::MAX),
                mark.way,
            );
            match accounts.last_mut() {
                Some((account, marks)) if **account == *mark.scope.account => marks.push(entry),
                _ => accounts.push((mark.scope.account.to_string(), vec![entry])),
            }
        }
        let wire = Wire {
            digest: self.digest,
            log: self.log,
            position: self.position,
            begun: self.begun,
            issued: self.issued,
            since: self.since,
            known_since: self.known_since,
            told_until: self.told_until,
            repeats_to: self.repeats_to,
            settled: self.settled,
            reading: self.reading.as_ref().map(wire_reading),
            missed: self.missed.as_ref().map(wire_missed),
            held_to: self.held_to,
            newest,
            unit,
            regions,
            accounts,
        };
        seal(VERSION, &wire)
    }

    /// Reads a token that must belong to the subscription with this digest.
    ///
    /// # Errors
    /// If it is none, or another subscription's.
    pub fn decode(text: &str, digest: &[u8; 16]) -> Result<Self, TokenError> {
        const GARBAGE: TokenError = TokenError::Garbage;
        if text.len() > MAX_LEN {
            return Err(GARBAGE);
        }
        let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| GARBAGE)?;
        let wire: Wire = open(VERSION, &bytes).ok_or(GARBAGE)?;
        if wire.digest != *digest {
            return Err(TokenError::Other);
        }
        let unit = i64::from(wire.unit);
        // long names that somebody made up are held once, not once for each scope
        let shared = |name: &String| Arc::<str>::from(name.as_str());
        let regions: Vec<_> = wire.regions.iter().map(shared).collect();
        let mut marks = Vec::new();
        for (account, entries) in &wire.accounts {
            let account = shared(account);
            for (place, behind, way) in entries {
                let region = regions.get(usize::from(*place / 2)).ok_or(GARBAGE)?;
                let behind = i64::from(*behind).saturating_mul(unit);
                marks.push(Mark {
                    scope: Scope {
                        account: Arc::clone(&account),
                        region: Arc::clone(region),
                    },
                    settled: wire.newest.saturating_sub(behind),
                    way: *way,
                    is_missed: place % 2 == 1,
                });
                if marks.len() > MAX_SCOPES {
                    return Err(GARBAGE);
                }
            }
        }
        Ok(Self {
            digest: wire.digest,
            log: wire.log,
            position: wire.position,
            begun: wire.begun,
            issued: wire.issued,
            since: wire.since,
            known_since: wire.known_since,
            told_until: wire.told_until,
            repeats_to: wire.repeats_to,
            marks,
            settled: wire.settled,
            reading: wire.reading.map(reading),
            missed: wire.missed.map(missed),
            held_to: wire.held_to,
        })
    }
}

/// By how many seconds a watermark is behind the newest.
fn behind(newest: i64, settled: i64) -> u64 {
    u64::try_from(i128::from(newest) - i128::from(settled)).unwrap_or(0)
}

fn wire_reading(reading: &Reading) -> WireReading {
    let after = match reading.after.id.len() > MAX_ID {
        true => Position::start_of(reading.after.time),
        false => reading.after.clone(),
    };
    WireReading {
        from: reading.from,
        to: reading.to,
        is_behind: reading.is_behind,
        time: after.time,
        account: after.account_id.to_string(),
        region: after.region.to_string(),
        id: after.id.to_string(),
        hash: after.hash,
    }
}

fn wire_missed(missed: &Missed) -> WireMissed {
    let first = missed.first.as_ref();
    WireMissed {
        others_from: missed.others_from,
        until: missed.until,
        before: missed.before,
        told_to: missed.told_to,
        first: first.map(|(scope, place)| WireFile {
            account: scope.account.to_string(),
            region: scope.region.to_string(),
            bucket: place.bucket.clone(),
            key: place.key.clone(),
            records: place.records,
        }),
    }
}

fn missed(wire: WireMissed) -> Missed {
    let WireMissed {
        others_from,
        until,
        before,
        told_to,
        first,
    } = wire;
    Missed {
        others_from,
        until,
        before,
        told_to,
        first: first.map(|file| {
            let place = FilePlace {
                bucket: file.bucket,
                key: file.key,
                records: file.records,
            };
            (Scope::new(&file.account, &file.region), place)
        }),
    }
}

fn reading(wire: WireReading) -> Reading {
    Reading {
        from: wire.from,
        to: wire.to,
        is_behind: wire.is_behind,
        after: Position {
            time: wire.time,
            account_id: wire.account.into(),
            region: wire.region.into(),
            id: wire.id.into(),
            hash: wire.hash,
        },
    }
}

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod oracle;

#[cfg(test)]
mod tests;
