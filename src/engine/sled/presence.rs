//! Whether the store's directory is still where its operator sees it.
//!
//! A directory that is moved, unmounted, deleted or replaced under a running process can still be written through the
//! files that are open, and nobody would ever find what is written there. So before each commit, and once a second, the
//! path is looked at: the lock file, and the database that takes commits, must be the files that were opened.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use parking_lot::Mutex;

use super::super::log::store::StoreError;

/// A file, whatever its name is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
}

impl Identity {
    fn of(meta: &fs::Metadata) -> Self {
        Self { device: meta.dev(), inode: meta.ino() }
    }

    /// Of what is at `path` now.
    fn at(path: &Path) -> io::Result<Self> {
        fs::metadata(path).map(|meta| Self::of(&meta))
    }
}

/// The store's directory as it was opened.
#[derive(Debug)]
pub(super) struct Presence {
    lock: PathBuf,
    opened: Identity,
    /// The database that takes commits.
    written: Mutex<Option<(PathBuf, Identity)>>,
    /// The reason that was last told, while the directory is away.
    away: Mutex<Option<Arc<str>>>,
}

impl Presence {
    /// Of the directory whose `lock` file is held open.
    pub(super) fn new(path: PathBuf, lock: &File) -> io::Result<Self> {
        let opened = Identity::of(&lock.metadata()?);
        Ok(Self { lock: path, opened, written: Mutex::new(None), away: Mutex::new(None) })
    }

    /// From now on commits go to `database`, which was just opened.
    pub(super) fn writes_to(&self, database: PathBuf) -> io::Result<()> {
        let identity = Identity::at(&database)?;
        *self.written.lock() = Some((database, identity));
        Ok(())
    }

    /// Whether the directory is there. Logged when that changes.
    pub(super) fn check(&self) -> Result<(), StoreError> {
        let database = || self.written.lock().as_ref().and_then(|(path, opened)| self.compare(path, *opened));
        let wrong = self.compare(&self.lock, self.opened).or_else(database);
        let mut away = self.away.lock();
        match wrong {
            None => {
                if away.take().is_some() {
                    tracing::info!(dir = %self.dir().display(), "the store's directory is back; events are accepted again");
                }
                Ok(())
            }
            Some(reason) => {
                let reason: Arc<str> = reason.into();
                if away.as_ref() != Some(&reason) {
                    tracing::error!(%reason, "the store's directory is not where it was; nothing is accepted until it is back");
                    *away = Some(Arc::clone(&reason));
                }
                Err(StoreError::NotNow(reason))
            }
        }
    }

    /// What is wrong at `path`.
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
