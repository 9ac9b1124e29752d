//! Copies of databases in a directory of their own: sled writes into a database that it opens, so a check opens copies,
//! one at a time.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use super::super::database::{self, DatabaseError, LOG_SEGMENT_BYTES};
use super::super::{disk, summary};
use crate::event::byte_size;
use crate::progress::WorkProgress;

/// Free space that a copy leaves: sled fills its newest log segment with zeros, and writes a snapshot.
const MARGIN_BYTES: u64 = 4 * LOG_SEGMENT_BYTES as u64;

/// Bytes copied at a time.
const CHUNK_BYTES: usize = 1 << 20;

/// Why a database could not be copied and opened.
#[derive(Debug)]
pub(super) enum CheckCopyError {
    /// Its files are damaged, or the system refuses them.
    Database(DatabaseError),
    /// The place for copies cannot take it: the reason.
    Scratch(String),
}

impl From<DatabaseError> for CheckCopyError {
    fn from(error: DatabaseError) -> Self {
        Self::Database(error)
    }
}

/// The place for copies: an existing directory, in which one copy is at a time.
pub(super) struct CopyScratch<'a> {
    pub(super) dir: &'a Path,
    pub(super) progress: &'a WorkProgress,
}

impl CopyScratch<'_> {
    /// Copies the database in `from`, calls `read` with the copy's directory, and removes the copy. What `read` returns
    /// first is closed before.
    ///
    /// # Errors
    /// When it cannot be copied, or those of `read`.
    pub(super) fn with_copy<H: Send + 'static, T>(
        &self,
        from: &Path,
        read: impl FnOnce(&Path) -> Result<(H, T), DatabaseError>,
    ) -> Result<T, CheckCopyError> {
        let copy = self.dir.join("copy");
        let free = disk::space(self.dir).map_err(|error| self.refused(&error))?.free;
        let needed = apparent_bytes(from) + MARGIN_BYTES;
        if free < needed {
            let (needed, free) = (byte_size::spell(needed), byte_size::spell(free));
            let problem = format!("{} has {free} free, and a copy needs {needed}", self.dir.display());
            return Err(CheckCopyError::Scratch(problem));
        }
        let result = self.copy_dir(from, &copy).and_then(|()| Ok(read(&copy)?)).map(|(handle, found)| {
            database::close_bounded(handle);
            found
        });
        // A copy that stays would only take space; the whole directory is removed at the end.
        let removed = fs::remove_dir_all(&copy);
        match (result, removed) {
            (Ok(_), Err(error)) => Err(self.refused(&error)),
            (result, _) => result,
        }
    }

    /// Copies the files of a database. A summary is read where it is.
    fn copy_dir(&self, from: &Path, to: &Path) -> Result<(), CheckCopyError> {
        fs::create_dir(to).map_err(|error| self.refused(&error))?;
        for entry in fs::read_dir(from).map_err(unreadable)? {
            let (path, name) = entry.map(|entry| (entry.path(), entry.file_name())).map_err(unreadable)?;
            let kind = fs::metadata(&path).map_err(unreadable)?.file_type();
            if kind.is_dir() {
                self.copy_dir(&path, &to.join(name))?;
            } else if !kind.is_file() {
                let problem = format!("{} is neither a file nor a directory", path.display());
                return Err(DatabaseError::Unavailable(problem.into()).into());
            } else if name != summary::FILE {
                self.copy_file(&path, &to.join(name))?;
            }
        }
        Ok(())
    }

    fn copy_file(&self, from: &Path, to: &PathBuf) -> Result<(), CheckCopyError> {
        let mut source = File::open(from).map_err(unreadable)?;
        let mut copy = File::create(to).map_err(|error| self.refused(&error))?;
        let mut chunk = vec![0; CHUNK_BYTES];
        loop {
            let read = match source.read(&mut chunk) {
                Ok(0) => return Ok(()),
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(unreadable(error)),
            };
            copy.write_all(&chunk[..read]).map_err(|error| self.refused(&error))?;
            self.progress.add(read as u64);
        }
    }

    fn refused(&self, error: &io::Error) -> CheckCopyError {
        CheckCopyError::Scratch(format!("{}: {error}", self.dir.display()))
    }
}

fn unreadable(error: io::Error) -> CheckCopyError {
    DatabaseError::from(error).into()
}

/// Most bytes that the copies of a check of the store in `dir` take at a time.
pub(super) fn largest_copy(dir: &Path) -> u64 {
    let segments = fs::read_dir(dir.join("seg")).into_iter().flatten().flatten().map(|entry| entry.path());
    segments.chain([dir.join("meta")]).map(|dir| apparent_bytes(&dir)).max().unwrap_or(0) + MARGIN_BYTES
}

/// Sum of the lengths of the files below `dir`; files that cannot be read count 0.
pub(super) fn apparent_bytes(dir: &Path) -> u64 {
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let size = |entry: fs::DirEntry| match entry.metadata() {
        Ok(meta) if meta.is_dir() => apparent_bytes(&entry.path()),
        Ok(meta) if entry.file_name() != summary::FILE => meta.len(),
        _ => 0,
    };
    entries.map(size).sum()
}
