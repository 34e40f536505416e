//! What must stay the same from one request to the next.

use sha2::{Digest, Sha256};

/// A digest of parts, each told from the next.
pub(super) struct Same(Sha256);

impl Same {
    pub(super) fn new() -> Self {
        Self(Sha256::new())
    }

    pub(super) fn add(&mut self, part: &[u8]) {
        let len = u64::try_from(part.len()).unwrap_or(u64::MAX);
        self.0.update(len.to_be_bytes());
        self.0.update(part);
    }

    pub(super) fn digest(self) -> [u8; 16] {
        // SHA-256 has 32 bytes
        self.0.finalize().first_chunk().copied().unwrap_or_default()
    }
}
