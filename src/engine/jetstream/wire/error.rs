//! Why a message is no record.

/// The newest version of the format that is read. A record has the oldest one whose readers understand it, so that hubs of
/// two versions share a log until one of them writes what the other does not know.
pub(super) const VERSION: u64 = 2;

/// The version of a record without anything that came later.
pub(super) const FIRST_VERSION: u64 = 1;

/// The version of events with binary data or metadata, and of settings with metadata: who does not know these would serve
/// other events, or lose them.
pub(super) const BINARY_VERSION: u64 = 2;

/// Why a message of the stream could not be read as a record.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(in crate::engine::jetstream) enum WireError {
    /// A newer version of gapless wrote it.
    #[error("a newer gapless wrote it: its format is {0}, and this one knows {VERSION}; update this hub")]
    Newer(u64),
    /// It is not what gapless writes.
    #[error("not a record of gapless: {0}")]
    Malformed(&'static str),
}
