//! Opening and closing one sled database, and telling damage from errors that pass.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::guard::guarded;
use super::parts::PartError;

/// Size of sled's log segment in bytes. Stored in each database; must never change. With 4 MiB a value of 48 KiB stays
/// in the log (see `parts`).
pub(super) const LOG_SEGMENT_BYTES: usize = 4 << 20;

/// How long to wait for the database's file lock. A reader that holds the last handle of a database drops it at the end
/// of its page; another process cannot hold it, because the store has a lock of its own.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a database could not be opened or read.
#[derive(Debug, Clone)]
pub(super) enum DatabaseError {
    /// Its files are damaged.
    Damaged(Arc<str>),
    /// The system refused access: a full disk, too many open files. The files may be sound; a retry may succeed.
    Unavailable(Arc<str>),
}

impl DatabaseError {
    /// The message of either kind.
    pub(super) fn reason(&self) -> &Arc<str> {
        match self {
            Self::Damaged(reason) | Self::Unavailable(reason) => reason,
        }
    }
}

impl DatabaseError {
    /// Classifies a panic message of sled. sled unwraps some I/O errors; any other panic means damage.
    #[expect(clippy::needless_pass_by_value, reason = "`map_err` passes by value")]
    pub(super) fn from_panic(message: Arc<str>) -> Self {
        // The `Debug` format of `io::Error`.
        let code = message.split_once("Os { code: ").and_then(|(_, rest)| rest.split_once(',')?.0.parse().ok());
        match code.map(io::Error::from_raw_os_error) {
            Some(error) if !proves_damage(&error) => Self::Unavailable(error.to_string().into()),
            _ => Self::Damaged(format!("sled panicked: {message}").into()),
        }
    }
}

impl From<sled::Error> for DatabaseError {
    fn from(error: sled::Error) -> Self {
        match error {
            sled::Error::Io(error) => error.into(),
            error => Self::Damaged(error.to_string().into()),
        }
    }
}

impl From<io::Error> for DatabaseError {
    fn from(error: io::Error) -> Self {
        let reason = error.to_string().into();
        if proves_damage(&error) { Self::Damaged(reason) } else { Self::Unavailable(reason) }
    }
}

impl From<PartError> for DatabaseError {
    fn from(error: PartError) -> Self {
        match error {
            PartError::Torn => Self::Damaged(error.to_string().into()),
            PartError::Sled(error) => error.into(),
        }
    }
}

/// Whether an error proves that files are damaged. A refused system call proves nothing, not even a failed read (`EIO`:
/// a cable or a path to the disk may be missing), and no acknowledged event is given up for it. A missing file and a
/// file that ends too early prove damage, and so does an error without an OS code: sled or Rust found it in the
/// contents.
fn proves_damage(error: &io::Error) -> bool {
    match error.raw_os_error() {
        Some(code) => code == libc::ENOENT,
        None => !is_locked(error),
    }
}

/// Whether the database's file lock is taken. sled wraps the lock's error in a text, so we match the text.
fn is_locked(error: &io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

/// Opens the database in `dir`, or creates it. Blocks for as long as the disk takes: a slow disk is no sign of damage.
///
/// # Errors
/// When sled fails or panics, or its files cannot be read.
pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<sled::Db, DatabaseError> {
    remove_partial_snapshots(dir);
    remove_partial_configuration(dir)?;
    check_readable(dir)?;
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes)
        .segment_size(LOG_SEGMENT_BYTES)
        // No background flush: sled's flusher thread hangs on a full disk.
        .flush_every_ms(None);
    Ok(guarded(|| open_when_unlocked(&config)).map_err(DatabaseError::from_panic)??)
}

/// Reads every byte that sled is about to read, and returns the first I/O error. While opening a database, sled takes
/// an I/O error for the end of its log and drops what follows. With a snapshot, sled reads only the headers of its log
/// segments and the last ones.
fn check_readable(dir: &Path) -> Result<(), DatabaseError> {
    let file = match File::open(dir.join("db")) {
        Ok(file) => file,
        // A new database.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error.into()),
    };
    let len = file.metadata()?.len();
    let has_snapshot =
        fs::read_dir(dir)?.flatten().any(|entry| entry.file_name().to_string_lossy().starts_with("snap."));
    let segment = LOG_SEGMENT_BYTES as u64;
    let mut buffer = vec![0; READ_BYTES];
    for start in (0..len).step_by(LOG_SEGMENT_BYTES) {
        let end = if has_snapshot && len - start > 2 * segment { start + 1 } else { len.min(start + segment) };
        let mut at = start;
        while at < end {
            let most = usize::try_from(end - at).unwrap_or(READ_BYTES).min(READ_BYTES);
            match file.read_at(&mut buffer[..most], at) {
                Ok(0) => break,
                Ok(read) => at += read as u64,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
    Ok(())
}

/// Size of the read buffer in bytes.
const READ_BYTES: usize = 256 << 10;

/// Preallocates the disk space that sled writes when it next opens the database in `dir`: it fills the file up to a
/// whole log segment. Without this, reading many segments on a full disk would use up the reserve.
pub(super) fn preallocate(dir: &Path) -> io::Result<()> {
    let file = File::options().write(true).open(dir.join("db"))?;
    let bytes = file.metadata()?.len().next_multiple_of(LOG_SEGMENT_BYTES as u64);
    match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::KEEP_SIZE, 0, bytes) {
        Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
        taken => Ok(taken?),
    }
}

/// Opens the database, waiting for its lock: sled releases it a moment after the last handle is dropped.
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

/// Removes partly written snapshots. sled refuses to open a database that has one, which a crash can leave. sled
/// removes the previous snapshot only after the rename, so the partial one is not needed.
fn remove_partial_snapshots(dir: &Path) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let name = entry.file_name();
        let name = name.to_string_lossy();
        if name.starts_with("snap.") && name.ends_with(".generating") {
            match fs::remove_file(entry.path()) {
                Ok(()) => {
                    tracing::info!(file = %entry.path().display(), "removed a snapshot that a crash left incomplete");
                }
                Err(error) => {
                    tracing::warn!(file = %entry.path().display(), %error, "cannot remove an incomplete snapshot");
                }
            }
        }
    }
}

/// Removes a partly written configuration. sled writes a new database's configuration in two pieces, before it creates
/// the data file, and refuses to open a database with a partial one. Without a data file the configuration is not
/// needed.
fn remove_partial_configuration(dir: &Path) -> io::Result<()> {
    let conf = dir.join("conf");
    if !conf.try_exists()? || dir.join("db").try_exists()? {
        return Ok(());
    }
    match fs::remove_file(&conf) {
        Ok(()) => tracing::info!(file = %conf.display(), "removed a configuration that a crash left incomplete"),
        Err(error) => tracing::warn!(file = %conf.display(), %error, "cannot remove an incomplete configuration"),
    }
    Ok(())
}

/// Drops a database handle on another thread and waits at most [`CLOSE_TIMEOUT`]: sled flushes on drop, and after a
/// failed write the flush may hang. A database that hangs stays open until the process ends.
pub(super) fn close_bounded<T: Send + 'static>(handle: T) {
    let (done, closed) = mpsc::channel::<()>();
    let closing = move || {
        let _ = guarded(|| drop(handle));
        drop(done);
    };
    if std::thread::Builder::new().name("gapless-sled-close".into()).spawn(closing).is_ok() {
        // `Disconnected` means that the thread has finished.
        if closed.recv_timeout(CLOSE_TIMEOUT) == Err(mpsc::RecvTimeoutError::Timeout) {
            tracing::warn!("sled does not close a database; it stays open until the process ends");
        }
    }
}

/// How long to wait for a database to close: longer than a flush takes on a disk that responds, shorter than a drain.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_missing_or_invalid_content_is_damage() {
        let of = |code: i32| DatabaseError::from(io::Error::from_raw_os_error(code));
        let passing = [
            libc::EIO,
            libc::EMFILE,
            libc::ENFILE,
            libc::ENOMEM,
            libc::EINTR,
            libc::EAGAIN,
            libc::ENOSPC,
            libc::EDQUOT,
            libc::EACCES,
            libc::EROFS,
            libc::ESTALE,
            libc::ENODEV,
            libc::ETIMEDOUT,
        ];
        for code in passing {
            assert!(matches!(of(code), DatabaseError::Unavailable(_)), "{code}");
            let message =
                format!("called `Result::unwrap()` on an `Err` value: {:?}", io::Error::from_raw_os_error(code));
            assert!(
                matches!(DatabaseError::from_panic(message.clone().into()), DatabaseError::Unavailable(_)),
                "{message}"
            );
        }
        assert!(matches!(of(libc::ENOENT), DatabaseError::Damaged(_)));
        assert!(matches!(io::Error::from(io::ErrorKind::UnexpectedEof).into(), DatabaseError::Damaged(_)));
        assert!(matches!(sled::Error::ReportableBug(String::new()).into(), DatabaseError::Damaged(_)));
        assert!(matches!(DatabaseError::from_panic("torn at 5".into()), DatabaseError::Damaged(_)));
        let locked = io::Error::other("could not acquire lock on \"db\": Os { code: 11 }");
        assert!(matches!(locked.into(), DatabaseError::Unavailable(_)));
    }
}
