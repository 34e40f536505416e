//! Chance that is the same for the same seed: every draw is a hash of the
//! seed, what is drawn for, and which time it is, so that no draw depends on
//! the order of others.

use std::hash::{DefaultHasher, Hash, Hasher};

/// A hash that is the same in every run. `DefaultHasher::new` has fixed keys.
pub(super) fn hash(of: impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
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
