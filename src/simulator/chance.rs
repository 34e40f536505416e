//! Chance that is the same for the same seed: every draw is a hash of the
//! seed, what is drawn for, and which time it is, so that no draw depends on
//! the order of others.

use std::hash::{Hash, Hasher};

/// FNV-1a with a better end. The standard library's hashers may change from
/// one Rust to the next, and a seed should not.
struct Fnv(u64);

impl Hasher for Fnv {
    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    fn finish(&self) -> u64 {
        mix(self.0)
    }
}

/// A hash that is the same in every run.
pub(super) fn hash(of: impl Hash) -> u64 {
    let mut hasher = Fnv(0xcbf2_9ce4_8422_2325);
    of.hash(&mut hasher);
    hasher.finish()
}

/// One to one: different numbers stay different. (The finaliser of
/// splitmix64.)
pub(super) const fn mix(n: u64) -> u64 {
    let n = n.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}

/// A number from 0 up to, not including, 1.
pub(super) fn unit(draw: u64) -> f64 {
    // 53 bits are what an f64 holds exactly
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let n = (draw >> 11) as f64;
    n / 9_007_199_254_740_992.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_stay_what_they_are() {
        // FNV-1a of nothing and of "a", by its authors' test vectors
        assert_eq!(hash(()), mix(0xcbf2_9ce4_8422_2325));
        assert_eq!(hash(b'a'), mix(0xaf63_dc4c_8601_ec8c));
        assert_ne!(hash((1_u64, "late")), hash((1_u64, "delay")));
    }

    #[test]
    fn units_are_spread_evenly() {
        let draws = (0..10_000_u64).map(|n| unit(hash(("unit", n))));
        let mut tenths = [0_u32; 10];
        for draw in draws {
            assert!((0.0..1.0).contains(&draw));
            let tenth = (0..10_u8).rev().find(|i| draw >= f64::from(*i) / 10.0);
            tenths[usize::from(tenth.unwrap())] += 1;
        }
        assert!(tenths.iter().all(|n| (880..1120).contains(n)), "{tenths:?}");
    }
}
