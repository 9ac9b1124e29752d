//! What a protocol keeps with an event or a topic: bytes that only it understands.

use std::{fmt, sync::Arc};

/// The tag of Durable Streams.
pub const DURABLE_STREAMS: u8 = 1;
/// The tag of Mercure.
pub const MERCURE: u8 = 2;
/// The tag of `CloudEvents`.
pub const CLOUD_EVENTS: u8 = 3;

/// Opaque bytes that a protocol keeps with an event or a topic, at least 1 and at most [`Metadata::MAX_BYTES`]. The first
/// byte is a tag that names the protocol, from the constants of [this module](self); the others are its body. Cheap to
/// clone.
// A thin pointer: few events have metadata, and each event in memory has room for it.
#[derive(Clone, PartialEq, Eq, Hash)]
pub struct Metadata(Arc<Box<[u8]>>);

/// More than [`Metadata::MAX_BYTES`]; the value is the number of bytes, with the tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the metadata has {0} bytes; at most {max} are allowed", max = Metadata::MAX_BYTES)]
pub struct MetadataTooLong(pub usize);

impl Metadata {
    /// Most bytes, with the tag: 16 KiB. The metadata of topics is kept in memory, and a protocol needs some hundred bytes.
    pub const MAX_BYTES: usize = 16 * 1024;

    /// Metadata of the protocol that `tag` names.
    ///
    /// # Errors
    /// When tag and body together have more than [`Metadata::MAX_BYTES`].
    pub fn new(tag: u8, body: &[u8]) -> Result<Self, MetadataTooLong> {
        let bytes = body.len() + 1;
        if bytes > Self::MAX_BYTES {
            return Err(MetadataTooLong(bytes));
        }
        Ok(Self(Arc::new(std::iter::once(tag).chain(body.iter().copied()).collect())))
    }

    /// Metadata that a store has read, as [`bytes`](Self::bytes) gave it. `None` if it is empty or has more than
    /// [`Metadata::MAX_BYTES`]. A tag that is not in the table is kept: a newer version may have written it.
    #[must_use]
    pub fn stored(bytes: &[u8]) -> Option<Self> {
        (1..=Self::MAX_BYTES).contains(&bytes.len()).then(|| Self(Arc::new(bytes.into())))
    }

    /// Which protocol's it is.
    #[must_use]
    pub fn tag(&self) -> u8 {
        self.0[0]
    }

    /// What the protocol has written.
    #[must_use]
    pub fn body(&self) -> &[u8] {
        &self.0[1..]
    }

    /// Tag and body, as they are stored.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl fmt::Debug for Metadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Metadata({}, {})", self.tag(), self.body().escape_ascii())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_a_tag_and_a_body() {
        let metadata = Metadata::new(MERCURE, b"\0a").expect("short");
        assert_eq!((metadata.tag(), metadata.body(), metadata.bytes()), (2, &b"\0a"[..], &b"\x02\0a"[..]));
        assert_eq!(Metadata::stored(metadata.bytes()), Some(metadata));
        assert_eq!(Metadata::new(9, b"").expect("short").bytes(), [9]);
        assert_eq!(Metadata::stored(b""), None);
    }

    #[test]
    fn metadata_has_at_most_its_limit() {
        let most = vec![b'x'; Metadata::MAX_BYTES];
        assert!(Metadata::new(CLOUD_EVENTS, &most[1..]).is_ok());
        assert_eq!(Metadata::new(CLOUD_EVENTS, &most), Err(MetadataTooLong(Metadata::MAX_BYTES + 1)));
        assert!(Metadata::stored(&most).is_some());
        assert_eq!(Metadata::stored(&[&most[..], b"x"].concat()), None);
    }
}
