//! A directory of backups: how it is made and opened, the locks of its writer and its readers, and how a list is added.

use std::{
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use super::{
    BackupError,
    frame::VERSION,
    manifest::{BackupManifest, PartEntry},
};

/// The file that makes a directory one of backups.
pub(super) const MARK: &str = "gapless-backup";

/// The file's first line.
const MARK_LINE: &str = "gapless backup\nformat ";

/// The ending of a file that is not written completely.
pub(super) const HALF: &str = ".half";

/// How long a reader waits for a backup that removes old ones, which takes some milliseconds for each file.
const REMOVAL_TIME: Duration = Duration::from_mins(1);

/// Pause between two looks at whether it has ended.
const REMOVAL_POLL: Duration = Duration::from_millis(20);

/// A directory of backups.
#[derive(Debug)]
pub struct BackupDirectory {
    root: PathBuf,
    /// Held by a writer: the lock of `lock`. By a reader: a shared one of [`MARK`], so that nothing is removed.
    _lock: Option<File>,
}

/// The content of the file that marks backups.
pub(super) fn mark() -> String {
    format!("{MARK_LINE}{VERSION}\n")
}

/// Checks the content of that file.
pub(super) fn check_mark(path: &Path, text: &str) -> Result<(), BackupError> {
    match text.strip_prefix(MARK_LINE).and_then(|rest| rest.trim_end().parse::<u64>().ok()) {
        Some(found) if found > VERSION => Err(BackupError::Newer { path: path.into(), found }),
        _ if text == mark() => Ok(()),
        _ => Err(BackupError::damaged(MARK, "it is not the mark of a backup")),
    }
}

impl BackupDirectory {
    /// Opens the directory to be read. Nothing is removed from it meanwhile. May wait for a backup that removes old ones.
    ///
    /// # Errors
    /// When it is none of backups, or the system refuses.
    pub fn open(root: &Path) -> Result<Self, BackupError> {
        Self::check(root)?;
        let path = root.join(MARK);
        let mark = File::open(&path).map_err(BackupError::at(&path))?;
        let deadline = Instant::now() + REMOVAL_TIME;
        loop {
            match mark.try_lock_shared() {
                Ok(()) => return Ok(Self { root: root.into(), _lock: Some(mark) }),
                Err(TryLockError::WouldBlock) if Instant::now() > deadline => {
                    return Err(BackupError::Removing(root.into()));
                }
                Err(TryLockError::WouldBlock) => thread::sleep(REMOVAL_POLL),
                // A file system without locks: no backup could be written there either.
                Err(TryLockError::Error(_)) => return Ok(Self { root: root.into(), _lock: None }),
            }
        }
    }

    /// Whether it is one of backups.
    fn check(root: &Path) -> Result<(), BackupError> {
        let path = root.join(MARK);
        match fs::read_to_string(&path) {
            Ok(text) => check_mark(&path, &text),
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let problem = "it has no file `gapless-backup`; `gapless backup --to DIR` makes one";
                Err(BackupError::NotABackup { path: root.into(), problem })
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => Err(BackupError::damaged(MARK, "it is not text")),
            Err(error) => Err(BackupError::at(&path)(error)),
        }
    }

    /// Opens the directory to be written, or makes it, and removes what a writer that was cut short has left.
    ///
    /// # Errors
    /// When another process writes into it, it holds something else, or the system refuses.
    pub fn create(root: &Path) -> Result<Self, BackupError> {
        let at = BackupError::at(root);
        let is_new = match fs::read_dir(root) {
            Ok(mut entries) => entries.all(|entry| entry.is_ok_and(|entry| is_of_a_new_one(&entry.file_name()))),
            Err(error) if error.kind() == ErrorKind::NotFound => true,
            Err(error) => return Err(at(error)),
        };
        if !is_new && !root.join(MARK).exists() {
            let problem = "it holds other files; name an empty directory, or one of backups";
            return Err(BackupError::NotABackup { path: root.into(), problem });
        }
        for dir in [root, &root.join("parts"), &root.join("backups")] {
            make_dir(dir).map_err(BackupError::at(dir))?;
        }
        let path = root.join("lock");
        let lock =
            File::options().create(true).truncate(false).write(true).open(&path).map_err(BackupError::at(&path))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(BackupError::InUse(root.into())),
            Err(TryLockError::Error(error)) => return Err(BackupError::at(&path)(error)),
        }
        if root.join(MARK).exists() {
            Self::check(root)?;
        } else {
            write_whole(&root.join(MARK), mark().as_bytes())?;
        }
        let directory = Self { root: root.into(), _lock: Some(lock) };
        directory.remove_halves()?;
        Ok(directory)
    }

    /// Keeps readers out while something is removed; `None` when there is one.
    pub(super) fn exclude_readers(&self) -> Result<Option<File>, BackupError> {
        let path = self.root.join(MARK);
        // To be written: NFS locks no other file for one alone.
        let mark = File::options().write(true).open(&path).map_err(BackupError::at(&path))?;
        match mark.try_lock() {
            Ok(()) => Ok(Some(mark)),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(BackupError::at(&path)(error)),
        }
    }

    /// The directory of backups that `path` is, or of whose own directories it is one.
    #[must_use]
    pub fn around(path: &Path) -> Option<PathBuf> {
        let path = path.canonicalize().ok()?;
        let is_inner = path.file_name().is_some_and(|name| name == "parts" || name == "backups");
        let outer = path.parent().filter(|_| is_inner);
        [Some(&*path), outer].into_iter().flatten().find(|dir| dir.join(MARK).exists()).map(Into::into)
    }

    /// Its path.
    #[must_use]
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a part.
    #[must_use]
    pub fn part(&self, part: &PartEntry) -> PathBuf {
        self.root.join(part.path())
    }

    /// Writes a backup's own file, durably. Its parts are there.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn add(&self, manifest: &BackupManifest) -> Result<(), BackupError> {
        for dir in ["parts", "backups"] {
            let dir = self.root.join(dir);
            sync_dir(&dir).map_err(BackupError::at(&dir))?;
        }
        let name = format!("backups/{}.json", manifest.name());
        write_whole(&self.root.join(name), &manifest.encode())
    }

    /// Removes the files that are not written completely.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn remove_halves(&self) -> Result<(), BackupError> {
        for dir in [self.root.clone(), self.root.join("parts"), self.root.join("backups")] {
            for name in names(&dir)?.into_iter().filter(|name| name.ends_with(HALF)) {
                let path = dir.join(name);
                fs::remove_file(&path).map_err(BackupError::at(&path))?;
            }
        }
        Ok(())
    }
}

/// The names in a directory.
pub(super) fn names(dir: &Path) -> Result<Vec<String>, BackupError> {
    let entries = fs::read_dir(dir).map_err(BackupError::at(dir))?;
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<io::Result<_>>().map_err(BackupError::at(dir))
}

pub(super) fn has_ending(name: &str, ending: &str) -> bool {
    Path::new(name).extension().is_some_and(|found| found == ending)
}

/// Whether a file may be in a directory that is to become one of backups: that of a writer which was cut short at once, or
/// of a new file system.
fn is_of_a_new_one(name: &std::ffi::OsStr) -> bool {
    ["lost+found", "lock", "parts", "backups", MARK, "gapless-backup.half"].iter().any(|own| *own == name)
}

fn make_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    // Each in turn, so that the entry of each is durable.
    parent.map_or(Ok(()), make_dir)?;
    // For this user only, as the store's data are.
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    sync_dir(parent.unwrap_or(Path::new(".")))
}

/// Creates a file that only this user may read: it holds events.
pub(super) fn create_private(path: &Path) -> io::Result<File> {
    File::options().create(true).truncate(true).write(true).mode(0o600).open(path)
}

/// Makes the entries of a directory durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Writes a file durably, whole or not at all.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), BackupError> {
    let mut half = path.as_os_str().to_owned();
    half.push(HALF);
    let half = PathBuf::from(half);
    let write = || {
        let mut file = create_private(&half)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&half, path)?;
        path.parent().map_or(Ok(()), sync_dir)
    };
    write().map_err(BackupError::at(path))
}

#[cfg(test)]
pub(super) mod tests {
    use super::{
        super::frame::PartContent,
        super::manifest::{PartEntry, tests::part},
        *,
    };

    /// A backup made in this second, with these parts of events.
    pub(in super::super) fn backup(epoch: &str, second: u64, head: u64, events: &[PartEntry]) -> BackupManifest {
        let state = part(PartContent::State, 0, head);
        BackupManifest {
            version: VERSION,
            store_format: 2,
            epoch: epoch.into(),
            head,
            made: format!("2026-11-27T06:22:4{second}.000Z"),
            parts: events.iter().cloned().chain([state]).collect(),
        }
    }

    #[test]
    fn one_process_writes_and_none_removes_what_another_one_reads() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("backups/of a hub");
        let directory = BackupDirectory::create(&root).expect("made");
        assert!(matches!(BackupDirectory::create(&root), Err(BackupError::InUse(_))));
        let readers = [(); 2].map(|()| BackupDirectory::open(&root).expect("read beside the writer"));
        assert!(directory.exclude_readers().expect("asked").is_none());
        drop(readers);
        let removing = directory.exclude_readers().expect("asked").expect("nobody reads");
        let waiting = thread::spawn(move || BackupDirectory::open(&root).map(drop));
        drop(removing);
        waiting.join().expect("no panic").expect("it waits");
    }

    #[test]
    fn a_directory_with_other_files_is_left_alone_and_halves_are_removed() {
        let dir = tempfile::tempdir().expect("a directory");
        fs::write(dir.path().join("letter"), b"dear").expect("written");
        assert!(matches!(BackupDirectory::create(dir.path()), Err(BackupError::NotABackup { .. })));
        assert!(matches!(BackupDirectory::open(dir.path()), Err(BackupError::NotABackup { .. })));
        fs::remove_file(dir.path().join("letter")).expect("removed");
        drop(BackupDirectory::create(dir.path()).expect("made"));
        let half = dir.path().join("parts/x.part.half");
        fs::write(&half, b"cut").expect("written");
        drop(BackupDirectory::create(dir.path()).expect("opened"));
        assert!(!half.exists());
        fs::write(dir.path().join(MARK), "gapless backup\nformat 2\n").expect("written");
        assert!(matches!(BackupDirectory::open(dir.path()), Err(BackupError::Newer { found: 2, .. })));
    }
}
