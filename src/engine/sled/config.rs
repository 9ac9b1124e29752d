//! Configuration of a store on disk.

use std::path::PathBuf;
use std::time::Duration;

use super::summary;
use crate::engine::log::LogConfig;

/// [`SledConfig::cache_bytes_per_segment`] of the hub. With all segments open, the caches take three times as much.
pub const CACHE_BYTES_PER_SEGMENT: u64 = 32 << 20;

/// [`SledConfig::max_open_segments`] of the hub: one for each page that is read at a time.
pub const MAX_OPEN_SEGMENTS: usize = 8;

/// [`SledConfig::close_after`] of the hub.
pub const CLOSE_AFTER: Duration = Duration::from_mins(1);

/// [`SledConfig::scrub_after`] of the hub.
pub const SCRUB_DELAY: Duration = Duration::from_secs(5);

/// Configuration of a store on disk.
#[derive(Debug, Clone)]
pub struct SledConfig {
    /// The store's own directory. Created if it is missing.
    pub dir: PathBuf,
    /// Bytes on disk at which a segment is sealed and another begun. Space is reclaimed in units of
    /// this size, and the newest segment is read as a whole when a store opens (about 1 s).
    pub rotate_bytes: u64,
    /// Age at which a segment is sealed by the next commit.
    pub rotate_age: Duration,
    /// Free bytes of the disk below which no publish is accepted: enough for a commit of the largest batch, which sled
    /// may write up to three times, and for copying the live events of a segment.
    pub reserve_bytes: u64,
    /// sled's page cache for the active segment, in bytes; a sealed segment gets a quarter.
    pub cache_bytes_per_segment: u64,
    /// Maximum number of sealed segments open at a time. It bounds file descriptors and caches.
    pub max_open_segments: usize,
    /// How long a sealed segment stays open without a read: opening one takes tens of milliseconds,
    /// keeping one open takes tens of megabytes.
    pub close_after: Duration,
    /// How long an idempotency key is kept, measured by the time of commits. Must be at least the engine's
    /// window.
    pub key_window: Duration,
    /// Delay between the first removal from a segment and the copy that erases the bytes, so that removals in a row
    /// share a copy.
    pub scrub_after: Duration,
}

impl SledConfig {
    /// Maximum number of file descriptors that the store needs: for the lock, the watermark, the settings' database and
    /// the active segment's; for the sealed segments that may be open, and as many closed ones that readers still hold;
    /// for the summaries kept open; and four for each thread that may open or copy a segment (eight readers, a backup and
    /// three others).
    #[must_use]
    pub fn descriptors(&self) -> usize {
        4 + 2 * self.max_open_segments + summary::MAX_OPEN_FILES + 12 * 4
    }

    /// A configuration for tests and benches, in `dir`: no segment is sealed before a test fills it or its time passes,
    /// and the disk may be filled.
    #[must_use]
    pub fn fixture(dir: impl Into<PathBuf>) -> Self {
        Self {
            dir: dir.into(),
            rotate_bytes: 256 << 20,
            rotate_age: Duration::from_hours(1),
            reserve_bytes: 0,
            cache_bytes_per_segment: CACHE_BYTES_PER_SEGMENT,
            max_open_segments: MAX_OPEN_SEGMENTS,
            close_after: CLOSE_AFTER,
            key_window: LogConfig::FIXTURE_WINDOW,
            scrub_after: SCRUB_DELAY,
        }
    }
}
