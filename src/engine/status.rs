//! An engine's health and size.

use std::time::Duration;

use super::AppendError;
use crate::metrics::HistogramCounts;

/// The space of a disk, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DiskSpace {
    /// Available to this process.
    pub free: u64,
    /// Used and free.
    pub total: u64,
}

/// An engine's health and size.
#[derive(Debug, Clone, Default)]
pub struct Status {
    /// Why a durable append would be refused now: [`AppendError::Full`], [`AppendError::NotNow`] or
    /// [`AppendError::Unavailable`].
    pub refusing: Option<AppendError>,
    /// Topics in use.
    pub topics: u64,
    /// Retained events.
    pub events: u64,
    /// Bytes of data of the retained events.
    pub bytes: u64,
    /// Size of the store's files in bytes; 0 in memory.
    pub disk_bytes: u64,
    /// Space of the disk that holds them; `None` in memory, and when it is not known.
    pub disk_space: Option<DiskSpace>,
    /// Commits since start.
    pub commits_total: u64,
    /// Median duration of a commit, from its first write to its durability, in milliseconds, since start.
    pub commit_ms_p50: f64,
    /// 99th percentile of the same.
    pub commit_ms_p99: f64,
    /// All durations of commits since start, in buckets.
    pub commit_times: HistogramCounts,
    /// Bytes of jobs queued or being written, each event with its overhead.
    pub queued_bytes: u64,
    /// Jobs finished since start, also those that were refused: while `queued_bytes` is above 0 this rises, or the writer
    /// waits for the disk, or it hangs.
    pub jobs_finished: u64,
    /// Whether something has waited for the disk for seconds, so that jobs may wait for it.
    pub waits_for_disk: bool,
    /// How far the log's clock, which timestamps events, is ahead of the machine's.
    pub clock_ahead: Duration,
    /// Sum of the remembered forward leaps of the machine's clock, which ages do not count.
    pub clock_leapt: Duration,
    /// Damaged parts of the store that were moved to quarantine or skipped since it was created.
    pub losses: u64,
    /// Parts of the store whose files still hold bytes of removed events.
    pub unscrubbed: u64,
}
