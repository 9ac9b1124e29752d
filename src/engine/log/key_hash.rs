//! A hasher for topic keys: one multiplication. Keys are positions assigned by the hub, so an attacker cannot choose
//! colliding ones.

use std::hash::{BuildHasherDefault, Hasher};

/// For maps by topic key.
pub(super) type ByKey = BuildHasherDefault<KeyHasher>;

/// The hash of one `u64`.
#[derive(Debug, Default)]
pub(super) struct KeyHasher(u64);

impl Hasher for KeyHasher {
    fn write_u64(&mut self, number: u64) {
        // 2^64 divided by the golden ratio (Fibonacci hashing): spreads neighbouring keys.
        self.0 = (self.0 ^ number).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.write_u64(byte.into());
        }
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
