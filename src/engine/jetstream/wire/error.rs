//! Why a message is no record.

/// The version of the format that is written, and the newest that is read.
pub(super) const VERSION: u64 = 1;

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
