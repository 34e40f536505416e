//! What can be wrong with a log file.

use std::fmt;

/// Why a log file was not read to its end, and how far it was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Error {
    /// What is wrong.
    pub problem: Problem,
    /// Where: after how many bytes of what the file unpacks to.
    pub at: u64,
    /// Records that were given before.
    pub records: u64,
}

/// What is wrong with a log file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The packed data is damaged.
    Damaged,
    /// The packed data ends too early.
    PackedTooShort,
    /// Something else than gzip follows the packed data.
    NotGzip(u8),
    /// There are more members than any program makes.
    TooManyMembers(u32),
    /// The file has more bytes than it may.
    TooManyBytes(u64),
    /// The file unpacks to more bytes than it may.
    UnpacksToMore(u64),
    /// It is no JSON object, or one that has no list `Records`.
    NoRecords,
    /// This byte stands where something else was to come.
    Unexpected(u8, &'static str),
    /// The JSON ends too early.
    TooShort,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            problem,
            at,
            records,
        } = self;
        write!(
            f,
            "{problem}, after {at} unpacked bytes and {records} records"
        )
    }
}

impl std::error::Error for Error {}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Damaged => f.write_str("gzip is damaged"),
            Self::PackedTooShort => f.write_str("gzip ends too early"),
            Self::NotGzip(byte) => {
                let byte = byte.escape_ascii();
                write!(
                    f,
                    "`{byte}` follows the gzip data, which is neither more of it nor padding"
                )
            }
            Self::TooManyMembers(most) => write!(f, "gzip has more than {most} members"),
            Self::TooManyBytes(most) => write!(f, "the file has more than {most} bytes"),
            Self::UnpacksToMore(most) => write!(f, "the file unpacks to more than {most} bytes"),
            Self::NoRecords => f.write_str("no Records array: not a log file"),
            Self::Unexpected(byte, wanted) => {
                write!(f, "`{}` where {wanted} was to come", byte.escape_ascii())
            }
            Self::TooShort => f.write_str("the JSON ends too early"),
        }
    }
}
