//! A copy of a store that no hub has open, to be opened in its place: an opening changes what it opens.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use super::disk;
use super::open_error::OpenError;
use crate::event::byte_size;
use crate::progress::WorkProgress;

/// Why a store cannot be copied.
#[derive(Debug, thiserror::Error)]
pub enum StoreCopyError {
    /// A hub has it open.
    #[error("a hub is using the store {}; stop it and try again", .0.display())]
    InUse(PathBuf),
    /// It is no store, or one of a newer gapless.
    #[error("{0}")]
    NotAStore(String),
    /// The system refuses to read or to write.
    #[error("{}: {source}", path.display())]
    Io {
        /// What cannot be read or written.
        path: PathBuf,
        /// The system's error.
        source: io::Error,
    },
    /// There is too little room.
    #[error("{} has {free} free, and a copy of the store needs {needed}; name another place with --scratch DIR", dir.display())]
    Room {
        /// Where the copy was to be.
        dir: PathBuf,
        /// Free space.
        free: String,
        /// The size of the store and of what an opening adds.
        needed: String,
    },
}

/// What a store consists of: neither its lock nor what was taken out of it. First what makes a directory a store.
pub(super) const PARTS: [&str; 8] = ["format", "watermark", "segments", "clock", "removals", "restores", "meta", "seg"];

/// Free space that a copy leaves: an opening fills a log segment of sled with zeros, and may begin a segment.
const MARGIN_BYTES: u64 = 128 << 20;

/// A copy of a store. While it exists, no hub can open the store that was copied.
#[derive(Debug)]
pub struct ClosedCopy {
    _lock: Option<File>,
}

/// Copies the store in `dir` into the directory `to`, which is empty. Changes nothing in `dir`. Counts bytes in `progress`.
/// Blocks.
///
/// # Errors
/// When a hub uses the store, it is none, or it cannot be copied.
pub fn copy_closed(dir: &Path, to: &Path, progress: &WorkProgress) -> Result<ClosedCopy, StoreCopyError> {
    let none =
        || StoreCopyError::NotAStore(format!("{} is not a store of gapless: it has no file `format`", dir.display()));
    match disk::check_format(dir) {
        Ok(Some(_)) => {}
        Ok(None) | Err(OpenError::NotAStore { .. }) => return Err(none()),
        Err(error) => return Err(StoreCopyError::NotAStore(error.to_string())),
    }
    let lock = shared_lock(dir)?;
    let bytes = PARTS.iter().map(|part| length(&dir.join(part))).sum::<u64>();
    let free = disk::space(to).map_err(io_at(to))?.free;
    if free < bytes + MARGIN_BYTES {
        let [free, needed] = [free, bytes + MARGIN_BYTES].map(byte_size::spell);
        return Err(StoreCopyError::Room { dir: to.into(), free, needed });
    }
    progress.begin("copying the store", bytes);
    for part in PARTS {
        copy(&dir.join(part), &to.join(part), progress)?;
    }
    Ok(ClosedCopy { _lock: lock })
}

fn shared_lock(dir: &Path) -> Result<Option<File>, StoreCopyError> {
    let path = dir.join("lock");
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(io_at(&path)(error)),
    };
    match file.try_lock_shared() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Err(StoreCopyError::InUse(dir.into())),
        Err(TryLockError::Error(error)) => Err(io_at(&path)(error)),
    }
}

fn copy(from: &Path, to: &Path, progress: &WorkProgress) -> Result<(), StoreCopyError> {
    let kind = match fs::metadata(from) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(io_at(from)(error)),
    };
    if !kind.is_dir() {
        progress.add(fs::copy(from, to).map_err(io_at(from))?);
        return Ok(());
    }
    fs::create_dir(to).map_err(io_at(to))?;
    for entry in fs::read_dir(from).map_err(io_at(from))? {
        let name = entry.map_err(io_at(from))?.file_name();
        copy(&from.join(&name), &to.join(&name), progress)?;
    }
    Ok(())
}

/// The sum of the lengths of the files at or below `path`.
fn length(path: &Path) -> u64 {
    match fs::metadata(path) {
        Ok(meta) if meta.is_dir() => {
            fs::read_dir(path).into_iter().flatten().flatten().map(|entry| length(&entry.path())).sum()
        }
        Ok(meta) => meta.len(),
        Err(_) => 0,
    }
}

fn io_at(path: &Path) -> impl FnOnce(io::Error) -> StoreCopyError {
    let path = path.to_owned();
    move |source| StoreCopyError::Io { path, source }
}
