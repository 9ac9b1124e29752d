//! The cache of an event's or batch's bytes in each encoding.
//!
//! The hub defines no encoding. Whoever speaks a protocol defines each one as a `static`, an
//! [`EventEncoder`](super::frame::EventEncoder) or a [`BatchEncoder`](super::batch::BatchEncoder). Its address is the
//! key in the caches: distinct for each encoder, without a table of them and without hashing.

use std::{ptr, sync::OnceLock};

/// A value for each encoder that was used. The first one takes no allocation, each further one a small node: nearly
/// all events are sent in one encoding. The list is at most as long as the program has encoders.
#[derive(Debug)]
pub(super) struct EncodedCache<E: 'static, V> {
    first: OnceLock<CacheNode<E, V>>,
}

#[derive(Debug)]
struct CacheNode<E: 'static, V> {
    encoder: &'static E,
    value: OnceLock<V>,
    next: OnceLock<Box<Self>>,
}

impl<E, V> EncodedCache<E, V> {
    /// An empty cache.
    pub(super) const fn new() -> Self {
        Self { first: OnceLock::new() }
    }

    /// The place of the encoder's value. Two threads that use different encoders wait for each other only while a node
    /// is added, not while a value is encoded.
    pub(super) fn slot(&self, encoder: &'static E) -> &OnceLock<V> {
        let mut node = self.first.get_or_init(|| CacheNode::new(encoder));
        while !ptr::eq(node.encoder, encoder) {
            node = node.next.get_or_init(|| Box::new(CacheNode::new(encoder)));
        }
        &node.value
    }
}

impl<E, V> CacheNode<E, V> {
    const fn new(encoder: &'static E) -> Self {
        Self { encoder, value: OnceLock::new(), next: OnceLock::new() }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    static ENCODERS: [u8; 3] = [0; 3];

    #[test]
    fn each_encoder_has_its_own_slot_in_any_order_and_on_any_thread() {
        let cache = EncodedCache::<u8, usize>::new();
        std::thread::scope(|scope| {
            for from in 0..3 {
                let cache = &cache;
                scope.spawn(move || {
                    for n in (from..from + 3).map(|n| n % 3) {
                        assert_eq!(*cache.slot(&ENCODERS[n]).get_or_init(|| n), n);
                    }
                });
            }
        });
        assert!((0..3).all(|n| cache.slot(&ENCODERS[n]).get() == Some(&n)));
    }

    #[test]
    fn caches_are_no_larger_than_what_they_hold_for_two_encodings_would_be() {
        assert!(size_of::<EncodedCache<u8, Bytes>>() <= 2 * size_of::<OnceLock<Bytes>>());
        assert!(size_of::<EncodedCache<u8, Option<Bytes>>>() <= 2 * size_of::<OnceLock<Option<Bytes>>>());
    }
}
