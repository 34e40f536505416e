//! What tells one event of a scope from another.

use sha2::{Digest, Sha256};

/// The identity of an event within its scope: its id if that is a UUID, else
/// the hash of its record, since fixtures and odd sources reuse ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Identity {
    /// The event's id is a UUID, which is taken at its word.
    Uuid([u8; 16]),
    /// It is not: the record speaks for itself.
    Record([u8; 16]),
}

impl Identity {
    /// The identity of the event with this id and hash of the record.
    #[must_use]
    pub fn of(id: &str, hash: &[u8; 16]) -> Self {
        Self::of_uuid(id).unwrap_or(Self::Record(*hash))
    }

    /// The identity of the event with this id, if it is a UUID.
    #[must_use]
    pub fn of_uuid(id: &str) -> Option<Self> {
        parse_uuid(id).map(Self::Uuid)
    }
}

impl Identity {
    /// Four bytes of it, as even as its bits are, by which it can be looked for.
    #[must_use]
    pub fn short(&self) -> u32 {
        let (Self::Uuid(bytes) | Self::Record(bytes)) = self;
        let (words, _) = bytes.as_chunks::<4>();
        words
            .iter()
            .fold(0, |mixed, word| mixed ^ u32::from_be_bytes(*word))
    }
}

/// The first 16 bytes of the SHA-256 of a record.
pub(super) fn hash(record: &str) -> [u8; 16] {
    // SHA-256 has 32 bytes
    Sha256::digest(record.as_bytes())
        .first_chunk()
        .copied()
        .unwrap_or_default()
}

/// Whether `id` is a UUID: 32 hexadecimal digits in groups of 8-4-4-4-12.
#[must_use]
pub fn is_uuid(id: &str) -> bool {
    parse_uuid(id).is_some()
}

fn parse_uuid(id: &str) -> Option<[u8; 16]> {
    let bytes: &[u8; 36] = id.as_bytes().try_into().ok()?;
    let mut value = [0; 16];
    let mut all = 0;
    // where each two digits stand
    let places = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
    for (to, at) in value.iter_mut().zip(places) {
        let (high, low) = (digit(*bytes.get(at)?), digit(*bytes.get(at + 1)?));
        all |= high | low;
        *to = high << 4 | low & 0xf;
    }
    let has_dashes = [8, 13, 18, 23]
        .iter()
        .all(|at| bytes.get(*at) == Some(&b'-'));
    (has_dashes && all < 16).then_some(value)
}

/// What a hexadecimal digit stands for; of anything else, more than 15. By a
/// table: each event that arrives has 32 of them.
fn digit(byte: u8) -> u8 {
    DIGITS.get(usize::from(byte)).copied().unwrap_or(u8::MAX)
}

static DIGITS: [u8; 256] = digits();

#[allow(clippy::indexing_slicing, reason = "while it compiles")]
const fn digits() -> [u8; 256] {
    let mut digits = [u8::MAX; 256];
    let mut digit = 0;
    while digit < 16 {
        digits[b"0123456789abcdef"[digit as usize] as usize] = digit;
        digits[b"0123456789ABCDEF"[digit as usize] as usize] = digit;
        digit += 1;
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_uuids_are_taken_at_their_word() {
        let hash = [7; 16];
        let id = "0A1b2c3d-0000-4000-8000-00000000000f";
        assert!(is_uuid(id));
        assert_eq!(
            Identity::of(id, &hash),
            Identity::of(&id.to_lowercase(), &[9; 16])
        );
        for reused in [
            "",
            "...",
            "1111",
            "g2f3e4d5-c6b7-8901-2345-678901bcdefg",
            "0a1b2c3d0-000-4000-8000-00000000000f",
        ] {
            assert!(!is_uuid(reused), "{reused}");
            assert_eq!(Identity::of(reused, &hash), Identity::Record(hash));
        }
    }
}
