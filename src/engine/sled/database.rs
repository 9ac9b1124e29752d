//! One sled database, opened with care.

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::guard::guarded;
use super::parts::PartError;

/// sled's log segment. Written into each database and never to be changed: with 4 MiB a value of 48 KiB stays in
/// the log (see `parts`).
pub(super) const LOG_SEGMENT_BYTES: usize = 4 << 20;

/// How long opening one database may take before it counts as damaged. Measured: 1 s for 4 GB, and ours have 256 MiB;
/// the rest is for slow disks.
const OPEN_TIMEOUT: Duration = Duration::from_secs(120);

/// How long to wait for the database's file lock. A reader that holds the last handle of a database lets go of it
/// within a page; another process cannot hold it, since the store has a lock of its own.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a database was not opened or read.
#[derive(Debug, Clone)]
pub(super) enum Failure {
    /// Its files are damaged.
    Damaged(Arc<str>),
    /// The system did not allow it now: a full disk, too many open files. The files may be sound.
    Unavailable(Arc<str>),
}

impl Failure {
    /// What went wrong.
    pub(super) fn reason(&self) -> &Arc<str> {
        match self {
            Self::Damaged(reason) | Self::Unavailable(reason) => reason,
        }
    }
}

impl From<sled::Error> for Failure {
    fn from(error: sled::Error) -> Self {
        let passing = match &error {
            sled::Error::Io(io) => is_passing(io),
            _ => false,
        };
        let reason = error.to_string().into();
        if passing { Self::Unavailable(reason) } else { Self::Damaged(reason) }
    }
}

impl From<PartError> for Failure {
    fn from(error: PartError) -> Self {
        match error {
            PartError::Torn => Self::Damaged(error.to_string().into()),
            PartError::Sled(error) => error.into(),
        }
    }
}

/// Errors of the system that say nothing about what is on the disk.
fn is_passing(error: &io::Error) -> bool {
    use io::ErrorKind::{OutOfMemory, PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
    matches!(error.kind(), OutOfMemory | PermissionDenied | QuotaExceeded | ReadOnlyFilesystem | StorageFull)
        || matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE))
        || is_locked(error)
}

/// sled's own words; it wraps the lock's error in a text.
fn is_locked(error: &io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

/// Opens the database in `dir`, or makes it. Blocks.
///
/// # Errors
/// When sled would not, panicked or did not come back.
pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<sled::Db, Failure> {
    remove_half_snapshots(dir);
    remove_half_configuration(dir);
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes)
        .segment_size(LOG_SEGMENT_BYTES)
        // Ours is the only flush: sled's flusher hangs on a full disk.
        .flush_every_ms(None);
    let (answer, opened) = mpsc::channel();
    let opening = move || {
        // When nobody waits any more the database is dropped here.
        let _ = answer.send(guarded(|| open_when_unlocked(&config)));
    };
    std::thread::Builder::new()
        .name("gapless-sled-open".into())
        .spawn(opening)
        .map_err(|error| Failure::Unavailable(format!("no thread to open it: {error}").into()))?;
    match opened.recv_timeout(OPEN_TIMEOUT) {
        Ok(Ok(opened)) => Ok(opened?),
        Ok(Err(panic)) => Err(Failure::Damaged(format!("sled panicked: {panic}").into())),
        Err(_) => Err(Failure::Damaged(format!("sled did not open it within {} s", OPEN_TIMEOUT.as_secs()).into())),
    }
}

/// Takes the room on the disk that sled will write when it next opens the database in `dir`: it fills the file up to a
/// whole log segment. Without this, reading many segments on a full disk would end the reserve.
pub(super) fn preallocate(dir: &Path) -> io::Result<()> {
    let file = File::options().write(true).open(dir.join("db"))?;
    let bytes = file.metadata()?.len().next_multiple_of(LOG_SEGMENT_BYTES as u64);
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        taken => Ok(taken?),
    }
}

/// sled lets go of a database's lock a moment after its last handle is dropped.
fn open_when_unlocked(config: &sled::Config) -> sled::Result<sled::Db> {
    let begun = Instant::now();
    loop {
        match config.open() {
            Err(sled::Error::Io(error)) if is_locked(&error) && begun.elapsed() < LOCK_TIMEOUT => {
                std::thread::sleep(Duration::from_millis(5));
            }
            opened => return opened,
        }
    }
}

/// A crash while sled writes a snapshot leaves a file that it refuses at every later open. The snapshot before it is
/// removed only after the rename, so the half one is worth nothing.
fn remove_half_snapshots(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            match fs::remove_file(entry.path()) {
                Ok(()) => tracing::info!(file = %entry.path().display(), "removed a snapshot that a crash left half"),
                Err(error) => tracing::warn!(file = %entry.path().display(), %error, "cannot remove a half snapshot"),
            }
        }
    }
}

/// sled writes a new database's configuration in two pieces, before it makes the file for the data, and refuses a half one
/// at every later open. Without that file there is nothing that it could be the configuration of.
fn remove_half_configuration(dir: &Path) {
    let conf = dir.join("conf");
    if !conf.exists() || dir.join("db").exists() {
        return;
    }
    match fs::remove_file(&conf) {
        Ok(()) => tracing::info!(file = %conf.display(), "removed what a crash left of a database half made"),
        Err(error) => tracing::warn!(file = %conf.display(), %error, "cannot remove a half configuration"),
    }
}

/// Closes a database that may hang: sled's drop flushes, and after a failed write it may not come back.
/// `None` of the files is needed any more when this returns; a database that hangs is left to the end of the process.
pub(super) fn close_bounded<T: Send + 'static>(handle: T) {
    let (done, closed) = mpsc::channel::<()>();
    let closing = move || {
        let _ = guarded(|| drop(handle));
        drop(done);
    };
    if std::thread::Builder::new().name("gapless-sled-close".into()).spawn(closing).is_ok() {
        // Disconnected is the good answer: the thread is through.
        if closed.recv_timeout(CLOSE_TIMEOUT) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("sled does not close a database; leaving it to the end of the process");
        }
    }
}

/// Longer than any flush that still works, shorter than a drain.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);
