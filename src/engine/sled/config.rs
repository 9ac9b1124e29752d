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
    /// Descriptors that the store needs, at most: the lock, the watermark, the settings' database and the written one; the
    /// sealed segments that may be open, and as many that readers still hold; the summaries held open; and for each that may
    /// be opened or copied at a time (eight readers and three threads) some files for a moment.
    #[must_use]
    pub fn descriptors(&self) -> usize {
        4 + 2 * self.max_open_segments + super::summary::MAX_HELD + 11 * 4
    }

    /// The defaults, in `dir`.
    #[must_use]
    pub fn new(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            rotate_bytes: 256 << 20,
            rotate_age: Duration::from_hours(1),
            reserve_bytes: 64 << 20,
            cache_bytes_per_segment: 32 << 20,
            max_open_segments: 8,
            close_after: Duration::from_mins(1),
            key_window: Duration::from_mins(10),
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
    #[error("cannot use {}: {source}; {}", path.display(), advice(source))]
    Io {
        /// Where.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The system does not allow a database there now, though nothing says that it is damaged.
    #[error(
        "cannot open the database in {}: {reason}; nothing says that it is damaged, so it is left as it is: mend what the \
        system complains about (free space, permissions, open files, the disk itself) and start again",
        path.display()
    )]
    Database {
        /// Where.
        path: PathBuf,
        /// What sled said.
        reason: std::sync::Arc<str>,
    },
}

/// What to do about an error of the system.
fn advice(error: &io::Error) -> &'static str {
    use io::ErrorKind as Kind;
    match error.kind() {
        Kind::PermissionDenied => "give this user the right to write there, or choose another directory with --data",
        Kind::StorageFull | Kind::QuotaExceeded => "free space there, or choose another directory with --data",
        Kind::ReadOnlyFilesystem => "mount it for writing, or choose another directory with --data",
        Kind::NotADirectory | Kind::AlreadyExists => {
            "a file is where a directory must be: move it away, or choose another directory with --data"
        }
        Kind::IsADirectory => {
            "a directory is where a file must be: move it away, or choose another directory with --data"
        }
        _ if matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE)) => {
            "raise the limit on open files (ulimit -n)"
        }
        _ => "look at the disk (dmesg), or choose another directory with --data",
    }
}
