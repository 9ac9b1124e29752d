//! A directory of backups: what it holds, the lock of its writer, and the removal of old backups.

use std::{
    collections::BTreeSet,
    fs::{self, DirBuilder, File, TryLockError},
    io::{self, ErrorKind, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt},
    path::{Path, PathBuf},
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

/// A directory of backups.
#[derive(Debug)]
pub struct BackupDirectory {
    root: PathBuf,
    /// Held by a writer.
    _lock: Option<File>,
}

/// A backup in a directory, and whether it can be read.
#[derive(Debug)]
pub struct ListedBackup {
    /// Its name: that of its file, without the ending.
    pub name: String,
    /// Its content.
    pub manifest: Result<BackupManifest, BackupError>,
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
    /// Opens the directory to be read.
    ///
    /// # Errors
    /// When it is none of backups, or the system refuses.
    pub fn open(root: &Path) -> Result<Self, BackupError> {
        let path = root.join(MARK);
        match fs::read_to_string(&path) {
            Ok(text) => check_mark(&path, &text)?,
            Err(error) if error.kind() == ErrorKind::NotFound => {
                let problem = "it has no file `gapless-backup`; `gapless backup --to DIR` makes one";
                return Err(BackupError::NotABackup { path: root.into(), problem });
            }
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                return Err(BackupError::damaged(MARK, "it is not text"));
            }
            Err(error) => return Err(BackupError::at(&path)(error)),
        }
        Ok(Self { root: root.into(), _lock: None })
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
            Self::open(root)?;
        } else {
            write_whole(&root.join(MARK), mark().as_bytes())?;
        }
        let directory = Self { root: root.into(), _lock: Some(lock) };
        directory.remove_halves()?;
        Ok(directory)
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

    /// The backups, oldest first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn backups(&self) -> Result<Vec<ListedBackup>, BackupError> {
        let dir = self.root.join("backups");
        let mut names = names(&dir)?;
        names.retain(|name| has_ending(name, "json"));
        names.sort_unstable();
        let listed = |name: String| ListedBackup {
            manifest: BackupManifest::read(&dir.join(&name)),
            name: name.trim_end_matches(".json").into(),
        };
        Ok(names.into_iter().map(listed).collect())
    }

    /// The backup that `at` names by its name or its newest id; the newest one if it is `None`.
    ///
    /// # Errors
    /// When there is none, or it is damaged.
    pub fn find(&self, at: Option<&str>) -> Result<BackupManifest, BackupError> {
        let mut listed = self.backups()?;
        let Some(at) = at else {
            let problem = "it has no backup yet";
            let newest = listed.pop().ok_or_else(|| BackupError::NotABackup { path: self.root.clone(), problem })?;
            return newest.manifest;
        };
        let is_it = |backup: &ListedBackup| {
            let is_id = |manifest: &BackupManifest| manifest.head().is_some_and(|head| head.to_string() == at);
            backup.name == at || backup.manifest.as_ref().is_ok_and(is_id)
        };
        if let Some(found) = listed.iter().rposition(is_it) {
            return listed.swap_remove(found).manifest;
        }
        let names = listed.into_iter().map(|backup| backup.name).collect();
        Err(BackupError::NoSuch { at: at.into(), names })
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

    /// Removes all but the newest `keep` backups, and the parts that no other backup has. Returns the number of removed
    /// backups, and the bytes of removed parts. While a backup cannot be read no part is removed: it may be one of its.
    ///
    /// # Errors
    /// When the system refuses. What is left is then still whole.
    pub fn prune(&self, keep: usize) -> Result<(usize, u64), BackupError> {
        let listed = self.backups()?;
        let old = listed.len().saturating_sub(keep.max(1));
        for backup in &listed[..old] {
            let path = self.root.join("backups").join(format!("{}.json", backup.name));
            fs::remove_file(&path).map_err(BackupError::at(&path))?;
        }
        let dir = self.root.join("backups");
        sync_dir(&dir).map_err(BackupError::at(&dir))?;
        let mut used = BTreeSet::new();
        for backup in &listed[old..] {
            let Ok(manifest) = &backup.manifest else { return Ok((old, 0)) };
            used.extend(manifest.parts.iter().map(|part| format!("{}.part", part.sha256)));
        }
        let (dir, mut bytes) = (self.root.join("parts"), 0);
        let unused = |name: &String| has_ending(name, "part") && !used.contains(name);
        for name in names(&dir)?.into_iter().filter(unused) {
            let path = dir.join(name);
            bytes += path.metadata().map_or(0, |meta| meta.len());
            fs::remove_file(&path).map_err(BackupError::at(&path))?;
        }
        Ok((old, bytes))
    }

    fn remove_halves(&self) -> Result<(), BackupError> {
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
fn names(dir: &Path) -> Result<Vec<String>, BackupError> {
    let entries = fs::read_dir(dir).map_err(BackupError::at(dir))?;
    let name = |entry: io::Result<fs::DirEntry>| Ok(entry?.file_name().to_string_lossy().into_owned());
    entries.map(name).collect::<io::Result<_>>().map_err(BackupError::at(dir))
}

fn has_ending(name: &str, ending: &str) -> bool {
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
    // For this user only, as the store's data are.
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    dir.parent().filter(|parent| !parent.as_os_str().is_empty()).map_or(Ok(()), sync_dir)
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
mod tests {
    use super::{super::frame::PartContent, super::manifest::tests::part, *};

    fn backup(second: u64, parts: &[PartEntry]) -> BackupManifest {
        let state = part(PartContent::State, 0, 9);
        BackupManifest {
            version: VERSION,
            store_format: 2,
            epoch: "abcd1234".into(),
            head: 9,
            made: format!("2026-11-27T06:22:4{second}.000Z"),
            parts: parts.iter().cloned().chain([state]).collect(),
        }
    }

    #[test]
    fn old_backups_go_and_the_parts_of_the_others_stay() {
        let dir = tempfile::tempdir().expect("a directory");
        let root = dir.path().join("backups of a hub");
        let directory = BackupDirectory::create(&root).expect("made");
        assert!(matches!(BackupDirectory::create(&root), Err(BackupError::InUse(_))));
        let parts = [(0, 3), (3, 5), (5, 9)].map(|(after, through)| part(PartContent::Events, after, through));
        for (second, of) in [&parts[..2], &parts[1..], &parts[1..]].into_iter().enumerate() {
            let backup = backup(second as u64, of);
            for part in &backup.parts {
                fs::write(directory.part(part), b"0123456789").expect("written");
            }
            directory.add(&backup).expect("written");
        }
        let exist = || parts.each_ref().map(|part| directory.part(part).exists());
        assert_eq!(directory.prune(7).expect("nothing to remove"), (0, 0));
        assert_eq!((directory.prune(2).expect("removed"), exist()), ((1, 10), [false, true, true]));
        assert_eq!(directory.find(Some("abcd1234-9")).expect("the newest of two"), backup(2, &parts[1..]));
        assert!(
            matches!(directory.find(Some("abcd1234-8")), Err(BackupError::NoSuch { names, .. }) if names.len() == 2)
        );
        // One that cannot be read keeps all parts.
        fs::write(root.join("backups/2026-11-27T06-22-49.000Z-x-1.json"), b"damaged").expect("written");
        fs::write(directory.part(&parts[0]), b"0123456789").expect("written");
        assert_eq!((directory.prune(2).expect("removed"), exist()), ((1, 0), [true; 3]));
        directory.find(None).expect_err("damaged");
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
