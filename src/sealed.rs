//! What is given away and comes back: a version, a checksum, and postcard's form
//! of a value. It tells garbage, not forgery: nothing in it is a right.

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// Bytes of checksum: enough that garbage is told from what is ours.
const CHECKSUM: usize = 8;
/// Bytes that most take.
const USUAL: usize = 256;

/// The bytes of a value, in this version of its form.
#[must_use]
pub fn seal(version: u8, value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(USUAL);
    bytes.resize(1 + CHECKSUM, version);
    // numbers, texts and lists of them always serialize
    let mut bytes = postcard::to_extend(value, bytes).unwrap_or_default();
    if let Some((head, body)) = bytes.split_at_mut_checked(1 + CHECKSUM)
        && let Some(sum) = head.last_chunk_mut()
    {
        *sum = checksum(body);
    }
    bytes
}

/// The value of these bytes; `None`: they are not whole, or of another version.
#[must_use]
pub fn open<'a, T: Deserialize<'a>>(version: u8, bytes: &'a [u8]) -> Option<T> {
    let (head, body) = bytes.split_at_checked(1 + CHECKSUM)?;
    let (of, sum) = head.split_first()?;
    let is_whole = *of == version && *sum == checksum(body);
    postcard::from_bytes(body).ok().filter(|_| is_whole)
}

/// Bytes that are whole, whatever is in them: anybody can make such.
#[cfg(any(test, feature = "fuzzing"))]
pub(crate) fn forge(version: u8, body: &[u8]) -> Vec<u8> {
    [&[version][..], &checksum(body), body].concat()
}

fn checksum(body: &[u8]) -> [u8; CHECKSUM] {
    // SHA-256 has 32 bytes
    Sha256::digest(body)
        .first_chunk()
        .copied()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_comes_back_is_what_was_given_or_nothing() {
        let bytes = seal(3, &("a", 7_u32));
        assert_eq!(open(3, &bytes), Some(("a", 7_u32)));
        assert_eq!(open::<(&str, u32)>(4, &bytes), None);
        for place in 0..bytes.len() {
            let mut broken = bytes.clone();
            broken[place] ^= 1;
            assert_eq!(open::<(&str, u32)>(3, &broken), None, "{place}");
            assert_eq!(open::<(&str, u32)>(3, &bytes[..place]), None, "{place}");
        }
    }
}
