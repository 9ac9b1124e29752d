//! Free bytes of the disk, looked at before sled meets its end: sled does not survive a full disk without a restart.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use parking_lot::Mutex;

use super::super::log::store::StoreError;
use super::disk;

/// How long a look at the disk is good for: others may fill it too.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

/// How long nothing must have been refused before it is told that there is room again.
const QUIET: Duration = Duration::from_secs(2);

/// What sled writes at most for a byte of a commit: measured 3.7 to 7.5, and one page for the smallest.
const AMPLIFICATION: u64 = 8;

/// What one commit writes besides its data.
const COMMIT_BYTES: u64 = 16 << 10;

/// The commit that readiness speaks for: one event of the largest size that publishers may send by default.
const ORDINARY_BYTES: u64 = 1 << 20;

/// The disk below a directory, and how much of it must stay free.
#[derive(Debug)]
pub(super) struct Space {
    dir: PathBuf,
    reserve: u64,
    seen: Mutex<Option<Look>>,
    /// When a publish was last refused, or would have been; `None` once it is told that this is over.
    full: Mutex<Option<Instant>>,
}

#[derive(Debug, Clone, Copy)]
struct Look {
    at: Instant,
    free: u64,
}

impl Space {
    pub(super) fn new(dir: PathBuf, reserve: u64) -> Self {
        Self { dir, reserve, seen: Mutex::new(None), full: Mutex::new(None) }
    }

    /// Whether a commit of `bytes` leaves the reserve free. Counts them as written when it does.
    pub(super) fn check(&self, bytes: u64) -> Result<(), StoreError> {
        let need = needed(bytes);
        self.keep_free(self.reserve, need, need).inspect_err(|_| self.refused())
    }

    /// Whether a commit of an ordinary size would be accepted.
    pub(super) fn room(&self) -> Result<(), StoreError> {
        let room = self.keep_free(self.reserve, needed(ORDINARY_BYTES), 0);
        match room {
            Ok(()) => self.accepts_again(),
            Err(_) => self.refused(),
        }
        room
    }

    /// Logs when this begins.
    fn refused(&self) {
        if self.full.lock().replace(Instant::now()).is_none() {
            let free = self.seen.lock().map_or(0, |look| look.free);
            tracing::warn!(
                disk.free_bytes = free,
                disk.reserve_bytes = self.reserve,
                "the disk is nearly full; publishes are refused until space is freed"
            );
        }
    }

    /// Logs that there is room again, once nothing was refused for a while: a large batch may be refused where others fit.
    fn accepts_again(&self) {
        let mut full = self.full.lock();
        if full.is_some_and(|refused| refused.elapsed() >= QUIET) {
            *full = None;
            let free = self.seen.lock().map_or(0, |look| look.free);
            tracing::info!(disk.free_bytes = free, "the disk has room again; publishes are accepted");
        }
    }

    /// Settings are small, and deleting a topic is how space is freed: they may use half of the reserve.
    pub(super) fn check_small(&self) -> Result<(), StoreError> {
        self.keep_free(self.reserve / 2, COMMIT_BYTES, COMMIT_BYTES)
    }

    /// Copying what is kept of a segment frees more than it takes: it may use three quarters of the reserve.
    pub(super) fn check_copy(&self, bytes: u64) -> Result<(), StoreError> {
        self.keep_free(self.reserve / 4, bytes, bytes)
    }

    /// Whether `need` bytes fit above `reserve`; counts `taken` as written when they do.
    fn keep_free(&self, reserve: u64, need: u64, taken: u64) -> Result<(), StoreError> {
        let mut seen = self.seen.lock();
        let fits = |look: &Look| look.free.saturating_sub(need) >= reserve && look.free >= need;
        let recent = seen.filter(|look| look.at.elapsed() < LOOK_AGAIN && fits(look));
        let look = recent.unwrap_or_else(|| Look { at: Instant::now(), free: self.look() });
        let fits = fits(&look);
        *seen = Some(Look { free: if fits { look.free - taken } else { look.free }, ..look });
        if fits { Ok(()) } else { Err(StoreError::Full) }
    }

    /// A disk that does not say how full it is counts as having room: a failing write will tell.
    fn look(&self) -> u64 {
        disk::free_bytes(&self.dir).unwrap_or_else(|error| {
            tracing::warn!(%error, "the disk does not say how full it is");
            u64::MAX
        })
    }
}

/// What sled may write for a commit of `bytes`.
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
}
