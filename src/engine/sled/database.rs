//! One sled database, opened with care.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use super::guard::guarded;
use super::parts::PartError;

/// sled's log segment. Written into each database and never to be changed: with 4 MiB a value of 48 KiB stays in
/// the log (see `parts`).
pub(super) const LOG_SEGMENT_BYTES: usize = 4 << 20;

/// How long to wait for the database's file lock. A reader that holds the last handle of a database lets go of it
/// within a page; another process cannot hold it, since the store has a lock of its own.
const LOCK_TIMEOUT: Duration = Duration::from_secs(30);

/// Why a database was not opened or read.
#[derive(Debug, Clone)]
pub(super) enum DatabaseError {
    /// Its files are damaged.
    Damaged(Arc<str>),
    /// The system did not allow it now: a full disk, too many open files. The files may be sound.
    Unavailable(Arc<str>),
}

impl DatabaseError {
    /// What went wrong.
    pub(super) fn reason(&self) -> &Arc<str> {
        match self {
            Self::Damaged(reason) | Self::Unavailable(reason) => reason,
        }
    }
}

impl DatabaseError {
    /// What a panic of sled says: it unwraps some of the system's errors, and the rest is damage.
    #[expect(clippy::needless_pass_by_value, reason = "as `map_err` gives it")]
    pub(super) fn of_panic(said: Arc<str>) -> Self {
        // As `io::Error` shows itself to a developer.
        let code = said.split_once("Os { code: ").and_then(|(_, rest)| rest.split_once(',')?.0.parse().ok());
        match code.map(io::Error::from_raw_os_error) {
            Some(error) if !proves_damage(&error) => Self::Unavailable(error.to_string().into()),
            _ => Self::Damaged(format!("sled panicked: {said}").into()),
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

/// Whether an error says what is on the disk. What the system refuses, even a read that fails (`EIO`: a cable or a path
/// to the disk may be away, too), says nothing about it, and nothing acknowledged is given up for it. A file that is not
/// there or ends too early does, and so does what sled or Rust found in its content, which has no code of the system.
fn proves_damage(error: &io::Error) -> bool {
    match error.raw_os_error() {
        Some(code) => code == libc::ENOENT,
        None => !is_locked(error),
    }
}

/// sled's own words; it wraps the lock's error in a text.
fn is_locked(error: &io::Error) -> bool {
    error.to_string().starts_with("could not acquire lock")
}

/// Opens the database in `dir`, or makes it. Blocks for as long as the disk does: that a disk is slow proves nothing.
///
/// # Errors
/// When sled would not, or panicked.
pub(super) fn open(dir: &Path, cache_bytes: u64) -> Result<sled::Db, DatabaseError> {
    remove_half_snapshots(dir);
    remove_half_configuration(dir)?;
    read_through(dir)?;
    let config = sled::Config::new()
        .path(dir)
        .cache_capacity(cache_bytes)
        .segment_size(LOG_SEGMENT_BYTES)
        // Ours is the only flush: sled's flusher hangs on a full disk.
        .flush_every_ms(None);
    Ok(guarded(|| open_when_unlocked(&config)).map_err(DatabaseError::of_panic)??)
}

/// Reads what sled is about to read. While it opens a database, sled takes an error of the system for the end of its log and
/// forgets what follows; here it is an error. With a snapshot sled reads the heads of its log segments and the end.
fn read_through(dir: &Path) -> Result<(), DatabaseError> {
    let file = match File::open(dir.join("db")) {
        Ok(file) => file,
        // A new one.
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

/// Bytes read at a time.
const READ_BYTES: usize = 256 << 10;

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
fn remove_half_configuration(dir: &Path) -> io::Result<()> {
    let conf = dir.join("conf");
    if !conf.try_exists()? || dir.join("db").try_exists()? {
        return Ok(());
    }
    match fs::remove_file(&conf) {
        Ok(()) => tracing::info!(file = %conf.display(), "removed what a crash left of a database half made"),
        Err(error) => tracing::warn!(file = %conf.display(), %error, "cannot remove a half configuration"),
    }
    Ok(())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_the_files_hold_is_damage() {
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
            let said = format!("called `Result::unwrap()` on an `Err` value: {:?}", io::Error::from_raw_os_error(code));
            assert!(matches!(DatabaseError::of_panic(said.clone().into()), DatabaseError::Unavailable(_)), "{said}");
        }
        assert!(matches!(of(libc::ENOENT), DatabaseError::Damaged(_)));
        assert!(matches!(io::Error::from(io::ErrorKind::UnexpectedEof).into(), DatabaseError::Damaged(_)));
        assert!(matches!(sled::Error::ReportableBug(String::new()).into(), DatabaseError::Damaged(_)));
        assert!(matches!(DatabaseError::of_panic("torn at 5".into()), DatabaseError::Damaged(_)));
        let locked = io::Error::other("could not acquire lock on \"db\": Os { code: 11 }");
        assert!(matches!(locked.into(), DatabaseError::Unavailable(_)));
    }
}
