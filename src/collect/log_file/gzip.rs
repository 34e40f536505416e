//! Gzip in pieces: members one after the other, zeros that fill up, or no gzip
//! at all.

use flate2::{Decompress, FlushDecompress, Status};

use super::Problem;

/// The first byte of gzip (RFC 1952). No JSON begins with it.
const MAGIC: u8 = 0x1f;

/// The most members of a file: each costs a decompressor, and the smallest
/// takes 20 bytes. Programs that cut files into members make them of some
/// 64 KB.
const MAX_MEMBERS: u32 = 1 << 16;

/// The window of gzip as a power of two: what every compressor may use.
const WINDOW_BITS: u8 = 15;

#[derive(Default)]
pub(super) struct Inflater {
    state: State,
    members: u32,
}

#[derive(Default)]
enum State {
    /// Nothing was read.
    #[default]
    Start,
    /// Not packed.
    Plain,
    /// Within a member.
    Member(Box<Decompress>),
    /// After a member.
    Between,
    /// Zeros after the last member.
    Padding,
}

/// What came of a step.
pub(super) struct Inflated {
    /// Bytes of the input that were used.
    pub(super) used: usize,
    /// Bytes that were written.
    pub(super) made: usize,
    /// What ends the file after them.
    pub(super) problem: Option<Problem>,
}

impl Inflated {
    fn new(used: usize, made: usize) -> Self {
        Self {
            used,
            made,
            problem: None,
        }
    }

    fn failed(problem: Problem) -> Self {
        Self {
            problem: Some(problem),
            ..Self::new(0, 0)
        }
    }
}

impl Inflater {
    /// One step. It did all that it can if it neither used nor made anything.
    pub(super) fn inflate(&mut self, input: &[u8], out: &mut [u8]) -> Inflated {
        let first = input.first().copied();
        match (&mut self.state, first) {
            (State::Member(member), _) => {
                let step = member_step(member, input, out);
                match step {
                    Ok((inflated, true)) => {
                        self.state = State::Between;
                        inflated
                    }
                    Ok((inflated, false)) => inflated,
                    Err(inflated) => inflated,
                }
            }
            (_, None) => Inflated::new(0, 0),
            (State::Start, Some(MAGIC)) | (State::Between, Some(MAGIC)) => {
                if self.members == MAX_MEMBERS {
                    return Inflated::failed(Problem::TooManyMembers(MAX_MEMBERS));
                }
                self.members += 1;
                self.state = State::Member(Box::new(Decompress::new_gzip(WINDOW_BITS)));
                self.inflate(input, out)
            }
            (State::Start | State::Plain, Some(_)) => {
                self.state = State::Plain;
                let len = input.len().min(out.len());
                for (to, from) in out.iter_mut().zip(input) {
                    *to = *from;
                }
                Inflated::new(len, len)
            }
            (State::Between | State::Padding, Some(0)) => {
                self.state = State::Padding;
                let zeros = input.iter().take_while(|byte| **byte == 0).count();
                Inflated::new(zeros, 0)
            }
            (State::Between | State::Padding, Some(other)) => {
                Inflated::failed(Problem::NotGzip(other))
            }
        }
    }

    /// Whether the input may end here.
    pub(super) fn end(&self) -> Result<(), Problem> {
        match self.state {
            State::Member(_) => Err(Problem::PackedTooShort),
            _ => Ok(()),
        }
    }
}

/// A step within a member, and whether it ended.
fn member_step(
    member: &mut Decompress,
    input: &[u8],
    out: &mut [u8],
) -> Result<(Inflated, bool), Inflated> {
    let before = (member.total_in(), member.total_out());
    let status = member.decompress(input, out, FlushDecompress::None);
    let since = |now: u64, before: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
    let used = since(member.total_in(), before.0);
    let made = since(member.total_out(), before.1);
    match status {
        Ok(status) => Ok((Inflated::new(used, made), status == Status::StreamEnd)),
        // which damage it is, the unpacker tells by how the input was cut
        Err(_) => Err(Inflated {
            problem: Some(Problem::Damaged),
            ..Inflated::new(used, made)
        }),
    }
}
