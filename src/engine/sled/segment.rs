//! A segment: a range of positions in a directory of its own, opened on demand.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use parking_lot::{Condvar, Mutex};

use crate::event::Seq;

use super::super::log::store::KeyRecord;
use super::database::{self, DatabaseError};
use super::disk;
use super::guard::guarded;
use super::parts::PartError;
use super::summary::Summary;
use super::tables::Tables;
use super::tally::SegmentTally;
use super::waits::Waits;

/// A segment of the log. Segments hold disjoint ranges of positions.
#[derive(Debug)]
pub(super) struct Segment {
    /// The lowest position that may be in it.
    pub(super) first: Seq,
    /// Number of times it was copied. Of two segments with the same positions the higher generation is valid.
    pub(super) generation: u32,
    pub(super) dir: PathBuf,
    /// Set when it takes no more commits and its summary is written.
    sealed: OnceLock<Summary>,
    /// Set between its last commit and its sealing.
    tally: Mutex<Option<SegmentTally>>,
    handle: Mutex<Handle>,
    /// Time of the last read, in ms since the list was created.
    used: AtomicU64,
    disk_bytes: AtomicU64,
}

#[derive(Debug)]
enum Handle {
    /// A reader may still hold the tables that were open.
    Closed(Weak<Tables>),
    /// A thread is opening it.
    Opening(Arc<Opening>),
    Open {
        tables: Arc<Tables>,
        /// Positions that it lacks, until they are reported.
        missing: Option<(Seq, Seq)>,
    },
    /// Replaced by a copy, removed or quarantined.
    Retired,
}

/// Name of the empty file in a segment's directory that [`Segment::mark_dropped`] creates.
const DROPPED_FILE: &str = "dropped";

/// How long a reader waits for a segment to be opened, which takes at most a second on a disk that responds. After that
/// the read fails with an error that passes, so that it does not occupy a reader thread.
const OPEN_TIMEOUT: Duration = Duration::from_secs(20);

/// Why a segment cannot be read.
#[derive(Debug)]
pub(super) enum Unusable {
    /// It is no longer in the list: take a new snapshot of the list.
    Retired,
    /// It cannot be opened.
    Failed(DatabaseError),
}

impl Segment {
    pub(super) fn new(root: &Path, first: Seq, generation: u32) -> Self {
        Self {
            first,
            generation,
            dir: root.join("seg").join(dir_name(first, generation)),
            sealed: OnceLock::new(),
            tally: Mutex::new(None),
            handle: Mutex::new(Handle::Closed(Weak::new())),
            used: AtomicU64::new(0),
            disk_bytes: AtomicU64::new(0),
        }
    }

    /// Attaches the tables that were just opened.
    pub(super) fn with_tables(self, tables: Arc<Tables>) -> Self {
        *self.handle.lock() = Handle::Open { tables, missing: None };
        self
    }

    /// Marks its directory as about to leave the list, so that the next start removes it if a crash leaves it behind.
    pub(super) fn mark_dropped(&self) -> io::Result<()> {
        std::fs::write(self.dir.join(DROPPED_FILE), b"")
    }

    /// Whether it was about to leave the list. It has left it unless the list has it.
    pub(super) fn is_dropped(&self) -> bool {
        self.dir.join(DROPPED_FILE).exists()
    }

    /// First position and generation, which name its directory.
    pub(super) fn name(&self) -> (Seq, u32) {
        (self.first, self.generation)
    }

    /// The summary of a sealed segment.
    pub(super) fn summary(&self) -> Option<&Summary> {
        self.sealed.get()
    }

    /// Writes its summary durably, and preallocates the disk space that opening it again needs.
    pub(super) fn write_summary(&self, tally: &SegmentTally, keys: &[(KeyRecord, Seq)]) -> io::Result<Summary> {
        let summary = Summary::write(&self.dir, self.first, tally, keys)?;
        if let Err(error) = database::preallocate(&self.dir) {
            tracing::debug!(%error, segment.first = self.first.0, "cannot preallocate space for the segment's next opening");
        }
        Ok(summary)
    }

    /// Seals it. Later calls have no effect.
    pub(super) fn seal(&self, summary: Summary) {
        self.measure();
        let _ = self.sealed.set(summary);
    }

    /// Stores the tally of a segment that takes no more commits, for [`seal_with`](Self::seal_with).
    pub(super) fn keep_tally(&self, tally: SegmentTally) {
        *self.tally.lock() = Some(tally);
    }

    /// Calls `read` with the tally stored by [`keep_tally`](Self::keep_tally). `None` when there is none. The segment
    /// is not sealed during the call, so a caller that gets `None` for a finished segment finds a summary.
    pub(super) fn with_tally<T>(&self, read: impl FnOnce(&SegmentTally) -> T) -> Option<T> {
        self.tally.lock().as_ref().map(read)
    }

    /// Seals it with the summary that `write` makes of the tally stored by [`keep_tally`](Self::keep_tally). Returns
    /// whether there was a tally.
    ///
    /// # Errors
    /// Those of `write`; the tally is kept for a retry.
    pub(super) fn seal_with(&self, write: impl FnOnce(&SegmentTally) -> io::Result<Summary>) -> io::Result<bool> {
        let mut tally = self.tally.lock();
        let Some(counted) = &*tally else { return Ok(false) };
        self.seal(write(counted)?);
        *tally = None;
        Ok(true)
    }

    /// Whether it may hold positions in `after < seq <= through`.
    pub(super) fn overlaps(&self, after: Seq, through: Seq) -> bool {
        self.first <= through && self.summary().is_none_or(|summary| summary.span.head > after)
    }

    /// Its trees, opened if necessary. Calls `on_loss` with positions that are missing. Blocks for at most
    /// [`OPEN_TIMEOUT`]; an opening that takes longer continues on its own thread, for the next caller.
    pub(super) fn tables(
        self: &Arc<Self>,
        cache_bytes: u64,
        now: Duration,
        waits: &Arc<Waits>,
        on_loss: impl FnMut((Seq, Seq)),
    ) -> Result<Arc<Tables>, Unusable> {
        self.used.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        // Keeps the tables alive until the next iteration: segments beyond `max_open` are closed at once.
        let mut _opened = None;
        loop {
            let opening = {
                let mut handle = self.handle.lock();
                match &mut *handle {
                    Handle::Open { tables, missing } => {
                        let (tables, missing) = (Arc::clone(tables), missing.take());
                        drop(handle);
                        missing.into_iter().for_each(on_loss);
                        return Ok(tables);
                    }
                    Handle::Retired => return Err(Unusable::Retired),
                    Handle::Opening(opening) => Arc::clone(opening),
                    Handle::Closed(held) => {
                        if let Some(tables) = held.upgrade() {
                            *handle = Handle::Open { tables: Arc::clone(&tables), missing: None };
                            return Ok(tables);
                        }
                        let opening = self.begin_opening(cache_bytes, waits).map_err(Unusable::Failed)?;
                        *handle = Handle::Opening(Arc::clone(&opening));
                        opening
                    }
                }
            };
            let Some(opened) = opening.wait(OPEN_TIMEOUT) else {
                let reason = format!("the disk is slow: segment {} is still being opened", self.first.0);
                return Err(Unusable::Failed(DatabaseError::Unavailable(reason.into())));
            };
            _opened = Some(opened.map_err(Unusable::Failed)?);
        }
    }

    /// Starts a thread that opens it.
    fn begin_opening(self: &Arc<Self>, cache_bytes: u64, waits: &Arc<Waits>) -> Result<Arc<Opening>, DatabaseError> {
        let opening = Arc::new(Opening::default());
        let (segment, waiters) = (Arc::clone(self), Arc::clone(&opening));
        let waiting = waits.begin(format!("opening segment {}", self.first.0));
        let work = move || {
            let opened = segment.open_existing(cache_bytes);
            drop(waiting);
            let mut handle = segment.handle.lock();
            let current = matches!(*handle, Handle::Opening(_));
            let opened = opened.map(|(tables, missing)| (Arc::new(tables), missing));
            if current {
                *handle = match &opened {
                    Ok((tables, missing)) => Handle::Open { tables: Arc::clone(tables), missing: *missing },
                    Err(_) => Handle::Closed(Weak::new()),
                };
            }
            drop(handle);
            waiters.finish(opened.map(|(tables, _)| tables));
        };
        std::thread::Builder::new().name("gapless-sled-open".into()).spawn(work).map_err(|error| {
            DatabaseError::Unavailable(format!("cannot start a thread to open the segment: {error}").into())
        })?;
        Ok(opening)
    }

    /// Opens an existing database. Returns the range of positions that are missing at its end, too: sled would create a
    /// missing database, and opens a truncated one with less data or none.
    fn open_existing(&self, cache_bytes: u64) -> Result<(Tables, Option<(Seq, Seq)>), DatabaseError> {
        if !self.dir.join("db").try_exists()? {
            return Err(DatabaseError::Damaged("its database file is missing".into()));
        }
        let tables = Tables::open(&self.dir, cache_bytes)?;
        let expected = self.summary().map_or(Seq::ZERO, |summary| summary.span.last);
        if expected == Seq::ZERO {
            return Ok((tables, None));
        }
        match guarded(|| newest(&tables)).map_err(DatabaseError::from_panic)?? {
            None => Err(DatabaseError::Damaged("all its commits are missing".into())),
            Some(last) => Ok((tables, (last < expected).then(|| (last.next(), expected)))),
        }
    }

    /// When it was last read, if it is open and sealed. `None` as well while its handle is locked.
    pub(super) fn idle_since(&self) -> Option<Duration> {
        let handle = self.handle.try_lock()?;
        (self.summary().is_some() && matches!(*handle, Handle::Open { .. }))
            .then(|| Duration::from_millis(self.used.load(Ordering::Relaxed)))
    }

    /// Closes the handle. Readers keep their tables until they finish.
    pub(super) fn close(&self) {
        let mut handle = self.handle.lock();
        if let Handle::Open { tables, .. } = &*handle {
            *handle = Handle::Closed(Arc::downgrade(tables));
        }
    }

    /// Closes the segment for good and returns its tables, if it was open. Waits for an opening in progress, because
    /// sled creates files in the directory meanwhile; at most for `timeout`.
    pub(super) fn retire(&self, timeout: Duration) -> Option<Arc<Tables>> {
        // Unlocked before the wait: the opening thread needs the lock.
        let before = std::mem::replace(&mut *self.handle.lock(), Handle::Retired);
        match before {
            Handle::Open { tables, .. } => Some(tables),
            Handle::Closed(held) => held.upgrade(),
            Handle::Opening(opening) => opening.wait(timeout)?.ok(),
            Handle::Retired => None,
        }
    }

    /// Measures the disk space it takes and stores it.
    pub(super) fn measure(&self) {
        self.disk_bytes.store(disk::bytes_of(&self.dir), Ordering::Relaxed);
    }

    /// Bytes on disk: the last measurement when it is sealed, a new one when it is not.
    pub(super) fn disk_bytes(&self) -> u64 {
        match self.summary() {
            Some(_) => self.disk_bytes.load(Ordering::Relaxed),
            None => disk::bytes_of(&self.dir),
        }
    }
}

/// An opening in progress, and its waiters.
#[derive(Debug, Default)]
struct Opening {
    state: Mutex<Option<Result<Arc<Tables>, DatabaseError>>>,
    done: Condvar,
}

impl Opening {
    fn finish(&self, opened: Result<Arc<Tables>, DatabaseError>) {
        *self.state.lock() = Some(opened);
        self.done.notify_all();
    }

    /// The result; `None` when there is none after `timeout`.
    fn wait(&self, timeout: Duration) -> Option<Result<Arc<Tables>, DatabaseError>> {
        let mut state = self.state.lock();
        self.done.wait_while_for(&mut state, |state| state.is_none(), timeout);
        state.clone()
    }
}

/// Suffix of the directory of an incomplete copy or of a segment being removed.
pub(super) const INCOMPLETE_SUFFIX: &str = ".half";

/// The newest position in a segment.
fn newest(tables: &Tables) -> Result<Option<Seq>, PartError> {
    let Some(first) = tables.commit_before(Seq(u64::MAX))? else { return Ok(None) };
    Ok(tables.commit(first)?.map(|commit| commit.last))
}

/// The directory name: `00000000000000000042`, with `-3` appended for generation 3.
pub(super) fn dir_name(first: Seq, generation: u32) -> String {
    match generation {
        0 => format!("{:020}", first.0),
        _ => format!("{:020}-{generation}", first.0),
    }
}

/// Parses a directory name; `None` when it is not a segment's.
pub(super) fn parse_dir_name(name: &str) -> Option<(Seq, u32)> {
    let (first, generation) = match name.split_once('-') {
        None => (name, 0),
        Some((first, generation)) => (first, generation.parse().ok()?),
    };
    let found = (Seq(first.parse().ok()?), generation);
    (dir_name(found.0, found.1) == name).then_some(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_canonical_name_is_a_segments_name() {
        for (first, generation) in [(1, 0), (u64::MAX, 7)] {
            let name = dir_name(Seq(first), generation);
            assert_eq!(parse_dir_name(&name), Some((Seq(first), generation)));
        }
        for name in ["", "1", "00000000000000000001-0", "00000000000000000001.tmp", "00000000000000000001-1.tmp"] {
            assert_eq!(parse_dir_name(name), None, "{name}");
        }
    }
}
