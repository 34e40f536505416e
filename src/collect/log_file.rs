//! Log files as CloudTrail writes them to S3: gzip of `{"Records":[…]}`, read
//! as its bytes arrive.
//!
//! Records are found by their brackets, not parsed, and are slices of what was
//! inflated: one that is no JSON is given like any other. Nothing is held but
//! a window, which grows to one record at most.
//!
//! There is one way of inflating, in pieces. Inflating small files whole was
//! measured beside it and took as long.

mod error;
mod gzip;
mod nesting;
mod split;

#[cfg(any(test, feature = "fuzzing"))]
pub(crate) mod oracle;
#[cfg(test)]
mod tests;

use std::fmt;

pub use error::{Error, Problem};

use gzip::{Inflated, Inflater};
use split::{Found, Splitter};

/// What the window holds at first. Smaller ones took longer to inflate into,
/// larger ones up to a megabyte did not take less.
const WINDOW: usize = 128 << 10;

/// What a log file may cost. Each limit is in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of the file as it lies in S3. AWS's files have at most 50 MB; the
    /// default leaves as much again.
    pub packed: u64,
    /// Bytes of what the file unpacks to. Records pack to about a tenth; the
    /// default is twenty times AWS's 50 MB.
    pub unpacked: u64,
    /// Bytes of one record, white space after it included. AWS's events have
    /// at most 256 KB; the default is 16 times that. A larger record is passed
    /// over.
    pub record: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            packed: 100 << 20,
            unpacked: 1 << 30,
            record: 4 << 20,
        }
    }
}

/// What stands in the list of records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record<'a> {
    /// A record, or whatever stands in its place, as it stands there.
    Whole(&'a [u8]),
    /// One that is larger than [`Limits::record`], and is not held: how many
    /// bytes it has.
    TooLarge(u64),
}

/// What a file held.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Bytes of the file as it came.
    pub packed: u64,
    /// Bytes of what it unpacked to; those of the file if it is not packed.
    pub unpacked: u64,
    /// Records, those that were too large included.
    pub records: u64,
    /// Records that were too large.
    pub too_large: u64,
}

/// Reads one log file. Feed it with [`Reader::next`] piece by piece, any size;
/// say that there is no more with [`Reader::finish`].
///
/// What it gives does not depend on how the file is cut into pieces.
pub struct Reader {
    limits: Limits,
    inflater: Inflater,
    splitter: Splitter,
    window: Vec<u8>,
    /// Where what was inflated and not yet passed ends in the window.
    end: usize,
    totals: Totals,
    /// What ended the file, told when all before it was given.
    damage: Option<Problem>,
    /// What was told.
    failed: Option<Error>,
}

impl Reader {
    /// A reader of a file.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            inflater: Inflater::default(),
            splitter: Splitter::new(limits.record),
            window: Vec::new(),
            end: 0,
            totals: Totals::default(),
            damage: None,
            failed: None,
        }
    }

    /// The next record, `None` if more of the file is needed to tell. Takes
    /// from the front of `input` what it used of it; that is all when it gives
    /// `None`. Whoever cannot take more records keeps the rest of the input
    /// and goes on with it later.
    ///
    /// # Errors
    ///
    /// Where the file is damaged, too large, or holds no records. All records
    /// before that were given. Once there is an error it is given again.
    pub fn next<'a>(&'a mut self, input: &mut &[u8]) -> Result<Option<Record<'a>>, Error> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        loop {
            let read = self.window.get(..self.end).unwrap_or_default();
            match self.splitter.next(read) {
                Ok(Found::More) => {}
                Ok(Found::Record { start, end }) => {
                    self.totals.records += 1;
                    let record = self.window.get(start..end).unwrap_or_default();
                    return Ok(Some(Record::Whole(record)));
                }
                Ok(Found::TooLarge(len)) => {
                    self.totals.records += 1;
                    self.totals.too_large += 1;
                    return Ok(Some(Record::TooLarge(len)));
                }
                Err(problem) => return Err(self.fail(problem)),
            }
            if let Some(problem) = self.damage.take() {
                return Err(self.fail(problem));
            }
            if !self.inflate(input) {
                return Ok(None);
            }
        }
    }

    /// Says that there is no more of the file: what it held.
    ///
    /// # Errors
    ///
    /// If it ended too early, or had ended in an error before.
    pub fn finish(mut self) -> Result<Totals, Error> {
        if let Some(error) = self.failed {
            return Err(error);
        }
        let ended = self.damage.take().map_or(Ok(()), Err);
        let ended = ended
            .and_then(|()| self.inflater.end())
            .and_then(|()| self.splitter.end());
        match ended {
            Ok(()) => Ok(self.totals),
            Err(problem) => Err(self.fail(problem)),
        }
    }

    /// What was read so far.
    #[must_use]
    pub fn totals(&self) -> Totals {
        self.totals
    }

    fn fail(&mut self, problem: Problem) -> Error {
        let ahead = self.end - self.splitter.passed();
        let error = Error {
            problem,
            at: self.totals.unpacked - count(ahead),
            records: self.totals.records,
        };
        self.failed = Some(error.clone());
        // nothing is given any more
        self.window = Vec::new();
        self.end = 0;
        error
    }

    /// Inflates some more. False: there is nothing to do.
    fn inflate(&mut self, input: &mut &[u8]) -> bool {
        self.make_room();
        let room = self.window.get_mut(self.end..).unwrap_or_default();
        // one byte more than may come proves that it is more
        let left = self.limits.unpacked - self.totals.unpacked;
        let len = at_most(room.len(), left.saturating_add(1));
        let room = room.get_mut(..len).unwrap_or_default();
        let len = at_most(input.len(), self.limits.packed - self.totals.packed);
        let allowed = input.get(..len).unwrap_or_default();
        let Inflated {
            used,
            made,
            problem,
        } = self.inflater.inflate(allowed, room);
        *input = input.get(used..).unwrap_or_default();
        self.totals.packed += count(used);
        self.damage = problem;
        let kept = at_most(made, left);
        self.end += kept;
        self.totals.unpacked += count(kept);
        if kept < made {
            self.damage = Some(Problem::UnpacksToMore(self.limits.unpacked));
        }
        let is_stuck = used == 0 && made == 0 && self.damage.is_none();
        if is_stuck && !input.is_empty() {
            // whatever is left over is over the limit
            self.damage = Some(Problem::TooManyBytes(self.limits.packed));
        }
        !is_stuck || self.damage.is_some()
    }

    /// Drops what was passed and makes room for more. What is kept is a part
    /// of one record, which the splitter bounds.
    fn make_room(&mut self) {
        let passed = self.splitter.forget();
        if passed > 0 {
            self.window.copy_within(passed..self.end, 0);
            self.end -= passed;
        }
        if self.window.len() - self.end < WINDOW / 2 {
            let len = (self.window.len() * 2).max(WINDOW);
            let most = self.limits.record.saturating_add(WINDOW);
            self.window.resize(len.min(most), 0);
        }
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader")
            .field("limits", &self.limits)
            .field("totals", &self.totals)
            .field("failed", &self.failed)
            .finish_non_exhaustive()
    }
}

pub(crate) fn count(bytes: usize) -> u64 {
    u64::try_from(bytes).unwrap_or(u64::MAX)
}

/// The smaller of both.
fn at_most(bytes: usize, most: u64) -> usize {
    usize::try_from(most).map_or(bytes, |most| bytes.min(most))
}
