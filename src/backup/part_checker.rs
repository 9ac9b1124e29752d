//! A thread that makes received parts durable, reads them again, and gives them their names, while the next part is received:
//! a hub ends a connection that takes nothing for half a minute.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    sync::{Arc, mpsc},
    thread::{self, JoinHandle},
};

use super::{BackupError, journal::Journal, manifest::PartEntry};

/// Reads a part that was written, by [`read_part`](super::part_file::read_part), and checks its records, before it is used.
pub type CheckPart = Arc<dyn Fn(&PartEntry, &Path) -> Result<(), BackupError> + Send + Sync>;

/// Parts that wait to be checked at most: 256 GiB as a rule. They are files, and take half a KiB of memory each.
const MAX_WAITING: usize = 1024;

/// A part that was received.
pub(super) struct ReceivedPart {
    pub(super) entry: PartEntry,
    /// Where it is.
    pub(super) half: PathBuf,
    pub(super) file: File,
    /// The name that it gets.
    pub(super) name: PathBuf,
}

/// The thread. Dropped, it ends what has been received, so that the next try need not receive it again.
pub(super) struct PartChecker {
    parts: Option<mpsc::SyncSender<ReceivedPart>>,
    thread: Option<JoinHandle<Result<(), BackupError>>>,
}

impl PartChecker {
    pub(super) fn start(check: CheckPart, mut journal: Journal) -> Self {
        let (parts, received) = mpsc::sync_channel::<ReceivedPart>(MAX_WAITING);
        let thread = thread::spawn(move || received.iter().try_for_each(|part| finish(&part, &check, &mut journal)));
        Self { parts: Some(parts), thread: Some(thread) }
    }

    /// Passes a part on. Waits only while [`MAX_WAITING`] others do.
    ///
    /// # Errors
    /// That of an earlier part.
    pub(super) fn add(&mut self, part: ReceivedPart) -> Result<(), BackupError> {
        let sent = self.parts.as_ref().is_some_and(|parts| parts.send(part).is_ok());
        if sent { Ok(()) } else { self.end().and(Err(BackupError::BrokenOff)) }
    }

    /// Waits until all parts are checked.
    ///
    /// # Errors
    /// That of the first part that is not sound, or the system's.
    pub(super) fn end(&mut self) -> Result<(), BackupError> {
        drop(self.parts.take());
        self.thread
            .take()
            .map_or(Ok(()), |thread| thread.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    }
}

impl Drop for PartChecker {
    fn drop(&mut self) {
        drop(self.parts.take());
        if let Some(thread) = self.thread.take() {
            // Its error is not the one that has ended the backup.
            drop(thread.join());
        }
    }
}

fn finish(part: &ReceivedPart, check: &CheckPart, journal: &mut Journal) -> Result<(), BackupError> {
    let ReceivedPart { entry, half, file, name } = part;
    file.sync_all().map_err(BackupError::at(half))?;
    check(entry, half)?;
    fs::rename(half, name).map_err(BackupError::at(name))?;
    if entry.head.digest.is_some() { journal.add(entry) } else { Ok(()) }
}
