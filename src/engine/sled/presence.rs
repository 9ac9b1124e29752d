//! Checks that the store's path still leads to the open files.
//!
//! When the directory is moved, unmounted, deleted or replaced under a running process, writes to the open files still
//! succeed, but the next start would not find them. So before each commit, and once a second, the path is checked: the
//! lock file and the active segment's database must be the files that were opened.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::log::store::StoreError;

/// Identifies a file independently of its path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(meta: &fs::Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino() }
    }

    /// The file at `path` now.
    fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|meta| Self::of(&meta))
    }
}

/// The files of the store's directory as they were opened.
#[derive(Debug)]
pub(super) struct Presence {
    lock: PathBuf,
    opened: Identity,
    /// The active segment's database.
    written: Mutex<Option<(PathBuf, Identity)>>,
    /// The last reason logged, while the directory is missing or replaced.
    reported: Mutex<Option<Arc<str>>>,
}

impl Presence {
    /// For the directory whose lock file, at `path`, is open as `lock`.
    pub(super) fn new(path: PathBuf, lock: &File) -> io::Result<Self> {
        let opened = Identity::of(&lock.metadata()?);
        Ok(Self { lock: path, opened, written: Mutex::new(None), reported: Mutex::new(None) })
    }

    /// Sets the database that takes commits, which was just opened.
    pub(super) fn writes_to(&self, database: PathBuf) -> io::Result<()> {
        let identity = Identity::at(&database)?;
        *self.written.lock() = Some((database, identity));
        Ok(())
    }

    /// Fails when the path does not lead to the open files. Logs when that changes.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let database = || self.written.lock().as_ref().and_then(|(path, opened)| self.compare(path, *opened));
        let wrong = self.compare(&self.lock, self.opened).or_else(database);
        let mut reported = self.reported.lock();
        match wrong {
            None => {
                if reported.take().is_some() {
                    tracing::info!(dir = %self.dir().display(), "the store's directory is back; publishes are accepted again");
                }
                Ok(())
            }
            Some(reason) => {
                let reason: Arc<str> = reason.into();
                if reported.as_ref() != Some(&reason) {
                    tracing::error!(
                        %reason,
                        "the store's directory is not where it was; publishes are refused until it is back"
                    );
                    *reported = Some(Arc::clone(&reason));
                }
                Err(StoreError::NotNow(reason))
            }
        }
    }

    /// Why `path` is not the file that was opened, with advice; `None` when it is.
    fn compare(&self, path: &Path, opened: Identity) -> Option<String> {
        match Identity::at(path) {
            Ok(found) if found == opened => None,
            Ok(_) if path == self.lock => Some(format!(
                "{} is another directory than the one that was opened; put that one back, or restart the hub to use this one",
                self.dir().display()
            )),
            Ok(_) => Some(format!("{} is another file than the one that was opened; restart the hub", path.display())),
            Err(error) => Some(format!("{}: {error}; move or mount it back, or restart the hub", path.display())),
        }
    }

    fn dir(&self) -> &Path {
        self.lock.parent().unwrap_or(&self.lock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_is_the_same_only_with_the_same_lock() {
        let root = tempfile::tempdir().expect("a directory");
        let (dir, moved) = (root.path().join("store"), root.path().join("moved"));
        fs::create_dir(&dir).expect("made");
        let lock = File::create(dir.join("lock")).expect("made");
        let presence = Presence::new(dir.join("lock"), &lock).expect("open");
        assert!(presence.check().is_ok());
        fs::rename(&dir, &moved).expect("moved");
        assert!(matches!(presence.check(), Err(StoreError::NotNow(reason)) if reason.contains("mount")));
        fs::create_dir(&dir).expect("made");
        fs::write(dir.join("lock"), "").expect("written");
        assert!(matches!(presence.check(), Err(StoreError::NotNow(reason)) if reason.contains("another directory")));
        fs::remove_dir_all(&dir).expect("removed");
        fs::rename(&moved, &dir).expect("moved back");
        assert!(presence.check().is_ok());
    }
}
