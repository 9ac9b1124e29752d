//! Checks free disk space before each write: sled does not recover from a full disk without a restart.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::super::log::store::{DiskSpace, StoreError};
use super::disk;

/// How long a sample of the free space is used: other processes write to the disk, too.
const SAMPLE_TTL: Duration = Duration::from_millis(100);

/// How long no publish may have been refused before the log says that there is room again.
const QUIET: Duration = Duration::from_secs(2);

/// Maximum bytes that sled writes for each byte of a commit: measured 3.7 to 7.5, and one page for the smallest commit.
const AMPLIFICATION: u64 = 8;

/// Bytes that a commit writes besides its data.
const COMMIT_BYTES: u64 = 16 << 10;

/// Size of the commit that the readiness check assumes: a large event.
const ORDINARY_BYTES: u64 = 1 << 20;

/// The free space of the disk below a directory, and how much of it must stay free.
#[derive(Debug)]
pub(super) struct Space {
    dir: PathBuf,
    reserve: u64,
    sample: Mutex<Option<FreeSpaceSample>>,
    /// When a publish was last refused, or would have been. `None` once the end of that was logged.
    refused_at: Mutex<Option<Instant>>,
}

#[derive(Debug, Clone, Copy)]
struct FreeSpaceSample {
    at: Instant,
    free: u64,
}

impl Space {
    pub(super) fn new(dir: PathBuf, reserve: u64) -> Self {
        Self { dir, reserve, sample: Mutex::new(None), refused_at: Mutex::new(None) }
    }

    /// Fails when a commit of `bytes` would use the reserve. Counts them as written otherwise.
    pub(super) fn check(&self, bytes: u64) -> Result<(), StoreError> {
        let need = needed(bytes);
        self.keep_free(self.reserve, need, need).inspect_err(|_| self.refused())
    }

    /// Fails when a commit of an ordinary size would be refused.
    pub(super) fn check_ordinary(&self) -> Result<(), StoreError> {
        let room = self.keep_free(self.reserve, needed(ORDINARY_BYTES), 0);
        match room {
            Ok(()) => self.accepts_again(),
            Err(_) => self.refused(),
        }
        room
    }

    /// Logs the first refusal.
    fn refused(&self) {
        if self.refused_at.lock().replace(Instant::now()).is_none() {
            let free = self.sample.lock().map_or(0, |now| now.free);
            tracing::warn!(
                disk.free_bytes = free,
                disk.reserve_bytes = self.reserve,
                "the disk is nearly full; publishes are refused until space is freed"
            );
        }
    }

    /// Logs that there is room again, once no publish was refused for [`QUIET`]: near the limit a large batch may be
    /// refused while smaller ones fit.
    fn accepts_again(&self) {
        let mut refused_at = self.refused_at.lock();
        if refused_at.is_some_and(|refused| refused.elapsed() >= QUIET) {
            *refused_at = None;
            let free = self.sample.lock().map_or(0, |now| now.free);
            tracing::info!(disk.free_bytes = free, "the disk has room again; publishes are accepted");
        }
    }

    /// For settings and removals. They are small, and deleting a topic frees space, so they may use half of the
    /// reserve.
    pub(super) fn check_small(&self) -> Result<(), StoreError> {
        self.keep_free(self.reserve / 2, COMMIT_BYTES, COMMIT_BYTES)
    }

    /// For a copy of a segment's live events. It frees more than it takes, so it may use three quarters of the reserve.
    pub(super) fn check_copy(&self, bytes: u64) -> Result<(), StoreError> {
        self.keep_free(self.reserve / 4, bytes, bytes)
    }

    /// Fails when `need` bytes do not fit above `reserve`. Counts `taken` as written otherwise.
    fn keep_free(&self, reserve: u64, need: u64, taken: u64) -> Result<(), StoreError> {
        let mut sample = self.sample.lock();
        let fits = |now: &FreeSpaceSample| now.free.saturating_sub(need) >= reserve && now.free >= need;
        let recent = sample.filter(|now| now.at.elapsed() < SAMPLE_TTL && fits(now));
        let now = recent.unwrap_or_else(|| FreeSpaceSample { at: Instant::now(), free: self.free_bytes() });
        let fits = fits(&now);
        *sample = Some(FreeSpaceSample { free: if fits { now.free - taken } else { now.free }, ..now });
        if fits { Ok(()) } else { Err(StoreError::Full) }
    }

    /// Free bytes of the disk. When they cannot be read, the disk counts as having room: a write would report a full
    /// one.
    fn free_bytes(&self) -> u64 {
        disk::space(&self.dir).map_or_else(
            |error| {
                tracing::warn!(%error, "cannot read the disk's free space; it is assumed to have room");
                u64::MAX
            },
            |now| now.free,
        )
    }

    /// The space of the disk now; `None` when it cannot be read.
    pub(super) fn measure(&self) -> Option<DiskSpace> {
        disk::space(&self.dir).ok()
    }
}

/// Maximum bytes that sled writes for a commit of `bytes`.
pub(super) fn needed(bytes: u64) -> u64 {
    bytes.saturating_mul(AMPLIFICATION).saturating_add(COMMIT_BYTES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reserve_larger_than_the_disk_is_full() {
        let dir = tempfile::tempdir().expect("a directory");
        assert!(matches!(Space::new(dir.path().into(), u64::MAX).check(1), Err(StoreError::Full)));
        assert!(Space::new(dir.path().into(), 0).check(1).is_ok());
        assert!(matches!(Space::new(dir.path().into(), 0).check(u64::MAX / 2), Err(StoreError::Full)));
    }

    #[test]
    fn the_space_of_a_disk_is_unknown_when_its_directory_is_gone() {
        let dir = tempfile::tempdir().expect("a directory");
        let space = Space::new(dir.path().join("store"), 0);
        assert_eq!(space.measure(), None);
        std::fs::create_dir(dir.path().join("store")).expect("made");
        let DiskSpace { free, total } = space.measure().expect("there");
        assert!(0 < free && free <= total, "{free} of {total}");
    }
}
