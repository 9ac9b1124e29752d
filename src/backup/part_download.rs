//! A part that is being received into a file.

use std::{
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use aws_lc_rs::digest::{Context, SHA256};

use super::{
    BackupError,
    directory::{HALF, create_private},
    frame::{PartHead, PartTail},
    manifest::{PartEntry, hex},
    part_checker::ReceivedPart,
};

/// Bytes between two syncs, which grow and shrink by the time that a sync takes.
const SYNC_BYTES: std::ops::RangeInclusive<u64> = (1 << 20)..=(32 << 20);

/// A sync should take no longer than this, so that the hub does not wait for long: it ends a connection that takes nothing for
/// half a minute.
const SYNC_TIME: Duration = Duration::from_secs(2);

/// After how many bytes the next sync follows.
#[derive(Debug, Clone, Copy)]
pub(super) struct SyncPace {
    bytes: u64,
}

impl SyncPace {
    pub(super) fn new() -> Self {
        Self { bytes: *SYNC_BYTES.start() }
    }

    /// The last sync took this long.
    fn took(&mut self, time: Duration) {
        let next = if time > SYNC_TIME {
            self.bytes / 2
        } else if time < SYNC_TIME / 4 {
            self.bytes * 2
        } else {
            self.bytes
        };
        self.bytes = next.clamp(*SYNC_BYTES.start(), *SYNC_BYTES.end());
    }
}

/// A part that is being written.
pub(super) struct PartDownload {
    head: PartHead,
    path: PathBuf,
    file: File,
    hash: Context,
    bytes: u64,
    unsynced: u64,
}

impl PartDownload {
    pub(super) fn create(root: &Path, head: PartHead) -> Result<Self, BackupError> {
        let path = root.join("parts").join(format!("receiving{HALF}"));
        let file = create_private(&path).map_err(BackupError::at(&path))?;
        Ok(Self { head, path, file, hash: Context::new(&SHA256), bytes: 0, unsynced: 0 })
    }

    pub(super) fn write(&mut self, bytes: &[u8], pace: &mut SyncPace) -> Result<(), BackupError> {
        self.file.write_all(bytes).map_err(BackupError::at(&self.path))?;
        self.hash.update(bytes);
        self.bytes += bytes.len() as u64;
        self.unsynced += bytes.len() as u64;
        if self.unsynced >= pace.bytes {
            self.unsynced = 0;
            let begun = Instant::now();
            self.file.sync_data().map_err(BackupError::at(&self.path))?;
            pace.took(begun.elapsed());
        }
        Ok(())
    }

    /// It is complete, and makes room for the next one.
    pub(super) fn end(self, root: &Path, tail: PartTail) -> Result<ReceivedPart, BackupError> {
        let entry = PartEntry { sha256: hex(self.hash.finish().as_ref()), bytes: self.bytes, head: self.head, tail };
        let name = root.join(entry.path());
        let half = root.join(format!("{}{HALF}", entry.path()));
        fs::rename(&self.path, &half).map_err(BackupError::at(&half))?;
        Ok(ReceivedPart { entry, half, file: self.file, name })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn syncs_of_a_slow_disk_are_of_few_bytes_and_those_of_a_fast_one_of_many() {
        // Bytes a second.
        for (speed, want) in [(200 << 20, 32 << 20), (20 << 20, 16 << 20), (1 << 20, 1 << 20), (1 << 18, 1 << 20)] {
            for before in [1 << 20, 32 << 20] {
                let mut pace = SyncPace { bytes: before };
                for _ in 0..20 {
                    pace.took(Duration::from_millis(pace.bytes * 1000 / speed));
                }
                assert!(pace.bytes * 1000 / speed < 5000, "the hub waits for seconds at most: {pace:?}");
                assert!(pace.bytes == want || pace.bytes == 2 * want, "{speed} {before} {pace:?}");
            }
        }
    }
}
