//! What a store on disk may be told, and why it may refuse to open.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use super::keys::FORMAT;

/// Where and how a store keeps its files.
#[derive(Debug, Clone)]
pub struct SledConfig {
    /// The store's own directory; made when it is not there.
    pub dir: PathBuf,
    /// Bytes on disk at which a segment is sealed and another begun. Default 256 MiB: space comes back in pieces of
    /// this size, and the newest segment is read whole when a store opens (about 1 s).
    pub rotate_bytes: u64,
    /// Age at which a segment is sealed by the next commit. Default 1 h.
    pub rotate_age: Duration,
    /// Free bytes of the disk below which nothing is accepted. Default 64 MiB: a commit of a 16 MiB batch, which sled
    /// may write up to three times, and room to copy what is kept of a segment.
    pub reserve_bytes: u64,
    /// Bytes of pages that sled keeps of the segment being written; a sealed one gets a quarter. Default 32 MiB.
    pub cache_bytes_per_segment: u64,
    /// Sealed segments open at a time, at most. Default 8: file handles and caches are bounded by it.
    pub max_open_segments: usize,
    /// How long a sealed segment stays open unread. Default 1 min: opening one takes tens of milliseconds, keeping it open
    /// tens of megabytes.
    pub close_after: Duration,
    /// How long an idempotency key must be remembered, by the time of commits. Default 10 min; at least the engine's
    /// window.
    pub key_window: Duration,
    /// How long a segment that holds bytes of removed events waits for its copy. Default 5 s: many removals share a copy.
    pub scrub_after: Duration,
}

impl SledConfig {
    /// The defaults, in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            rotate_bytes: 256 << 20,
            rotate_age: Duration::from_secs(3600),
            reserve_bytes: 64 << 20,
            cache_bytes_per_segment: 32 << 20,
            max_open_segments: 8,
            close_after: Duration::from_secs(60),
            key_window: Duration::from_secs(600),
            scrub_after: super::scrub::PATIENCE,
        }
    }
}

/// Why a store was not opened. Damage is no reason: it is set aside and told.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it.
    #[error("another process is using this store: it holds {}; stop it, or use another directory", path.display())]
    Locked {
        /// The lock file.
        path: PathBuf,
    },
    /// Written by a later version.
    #[error("this store has format {found}, this gapless reads up to {FORMAT}; use a newer gapless")]
    Newer {
        /// Its format.
        found: u64,
    },
    /// Something else lives there.
    #[error("{} does not say that this is a gapless store; use another directory", path.display())]
    NotAStore {
        /// The file that says otherwise.
        path: PathBuf,
    },
    /// sled does not sync through our shim: it would acknowledge what a power loss takes back.
    #[error("this build of gapless cannot make sled's writes durable here, so it keeps nothing; please report it")]
    NotDurable,
    /// The disk said no.
    #[error("cannot use {}", path.display())]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system does not allow a database there now, though nothing says that it is damaged.
    #[error("cannot open the database in {}: {reason}; free space, permissions or open files may be short", path.display())]
    Database {
        /// Where.
        path: PathBuf,
        /// What sled said.
        reason: std::sync::Arc<str>,
    },
}
