//! File system operations: locks, syncs, atomic writes, quarantine and free space.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::super::log::store::DiskSpace;
use super::keys::FORMAT;
use super::open_error::OpenError;

const FORMAT_LINE: &str = "gapless store\nformat ";

/// Takes the store's lock, which is held until the returned file is dropped.
pub(super) fn lock(dir: &Path) -> Result<File, OpenError> {
    let path = dir.join("lock");
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(io_error(&path))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path }),
        Err(TryLockError::Error(error)) => Err(io_error(&path)(error)),
    }
}

/// Reads and checks the store's format version. `None` when there is no store yet.
pub(super) fn check_format(dir: &Path) -> Result<Option<u64>, OpenError> {
    let path = dir.join("format");
    match fs::read_to_string(&path) {
        Ok(text) => {
            let found = text.strip_prefix(FORMAT_LINE).and_then(|rest| rest.trim_end().parse().ok());
            match found {
                Some(found) if found > FORMAT => Err(OpenError::Newer { found }),
                Some(found) if found > 0 => Ok(Some(found)),
                _ => Err(OpenError::NotAStore { path }),
            }
        }
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) if error.kind() == ErrorKind::InvalidData => Err(OpenError::NotAStore { path }),
        Err(error) => Err(io_error(&path)(error)),
    }
}

/// Writes this program's format version into the store.
pub(super) fn write_format(dir: &Path) -> Result<(), OpenError> {
    let path = dir.join("format");
    write_whole(&path, format!("{FORMAT_LINE}{FORMAT}\n").as_bytes()).map_err(io_error(&path))
}

/// Creates `dir` and syncs its parent, so that `dir` survives a power loss. When `dir` exists already, a failed sync of
/// the parent is ignored: the parent of a mount point may not be readable for this user.
pub(super) fn make_dir(dir: &Path) -> io::Result<()> {
    let was_there = dir.is_dir();
    fs::create_dir_all(dir)?;
    sync_dir(dir)?;
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    let synced = parent.map_or(Ok(()), sync_dir);
    if was_there { Ok(()) } else { synced }
}

/// Whether the system has run out of a resource that may be available again in a moment: space, memory, descriptors.
pub(super) fn is_out_of_resources(error: &io::Error) -> bool {
    use ErrorKind::{Interrupted, OutOfMemory, QuotaExceeded, StorageFull, WouldBlock};
    matches!(error.kind(), Interrupted | OutOfMemory | QuotaExceeded | StorageFull | WouldBlock)
        || matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
}

/// Makes the directory entries of `dir` durable.
pub(super) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// Makes everything below `dir` durable: directory entries and file contents.
pub(super) fn sync_tree(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            sync_tree(&entry.path())?;
        } else {
            File::open(entry.path())?.sync_all()?;
        }
    }
    sync_dir(dir)
}

/// Writes a file atomically and durably: a temporary file `*.half`, synced, then renamed.
pub(super) fn write_whole(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let temporary = path.with_extension("half");
    let mut file = File::create(&temporary)?;
    file.write_all(bytes)?;
    file.sync_all()?;
    fs::rename(&temporary, path)?;
    path.parent().map_or(Ok(()), sync_dir)
}

/// Bytes that the files below `dir` take on the disk. Files that cannot be read count 0.
pub(super) fn bytes_of(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => bytes_of(&entry.path()),
        // Units of 512 bytes, independent of the file system's block size (stat(2)).
        Ok(meta) => meta.blocks() * 512,
        Err(_) => 0,
    };
    entries.map(size).sum()
}

/// The space of the file system of `dir`.
pub(super) fn space(dir: &Path) -> io::Result<DiskSpace> {
    let stat = rustix::fs::statvfs(dir)?;
    let bytes = |blocks: u64| blocks.saturating_mul(stat.f_frsize);
    Ok(DiskSpace { free: bytes(stat.f_bavail), total: bytes(stat.f_blocks) })
}

/// Moves `path` into `quarantine/` under an unused name. Returns the new path.
pub(super) fn quarantine(dir: &Path, path: &Path) -> io::Result<PathBuf> {
    let quarantine_dir = dir.join("quarantine");
    make_dir(&quarantine_dir)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut to = quarantine_dir.join(&name);
    for n in 1.. {
        if !to.exists() {
            break;
        }
        to = quarantine_dir.join(format!("{name}.{n}"));
    }
    fs::rename(path, &to)?;
    sync_dir(&quarantine_dir)?;
    path.parent().map_or(Ok(()), sync_dir)?;
    Ok(to)
}

/// Converts an I/O error on `path` to an [`OpenError`].
pub(super) fn io_error(path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    let path = path.to_owned();
    move |source| OpenError::Io { path, source }
}
