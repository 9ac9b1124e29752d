//! A segment: a run of positions in a directory of its own, opened when somebody reads it.

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

/// A segment of the log. Segments hold disjoint runs of positions.
#[derive(Debug)]
pub(super) struct Segment {
    /// No position below it is inside.
    pub(super) first: Seq,
    /// How often it was copied; of two with the same positions the higher one counts.
    pub(super) generation: u32,
    pub(super) dir: PathBuf,
    /// Once it takes no more commits and its summary is written.
    sealed: OnceLock<Summary>,
    /// Between its last commit and its sealing.
    tally: Mutex<Option<SegmentTally>>,
    handle: Mutex<Handle>,
    /// Milliseconds on the list's clock.
    used: AtomicU64,
    disk_bytes: AtomicU64,
}

#[derive(Debug)]
enum Handle {
    /// A reader may still hold what was open.
    Closed(Weak<Tables>),
    /// A thread opens it.
    Opening(Arc<Opening>),
    Open {
        tables: Arc<Tables>,
        /// Positions that it lacks, until somebody is told.
        hole: Option<(Seq, Seq)>,
    },
    /// Replaced by a copy, removed or set aside.
    Retired,
}

/// How long a reader waits for a segment to be opened, which takes a second at most on a disk that answers. Then it gives its
/// place to others and comes back.
const PATIENCE: Duration = Duration::from_secs(20);

/// Why a segment cannot be read.
#[derive(Debug)]
pub(super) enum Unusable {
    /// It is no longer in the list: look at the list again.
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

    /// With the handle that was just opened on it.
    pub(super) fn with_tables(self, tables: Arc<Tables>) -> Self {
        *self.handle.lock() = Handle::Open { tables, hole: None };
        self
    }

    /// What names its directory.
    pub(super) fn name(&self) -> (Seq, u32) {
        (self.first, self.generation)
    }

    /// Its summary, when it is sealed.
    pub(super) fn summary(&self) -> Option<&Summary> {
        self.sealed.get()
    }

    /// Writes its summary durably, and takes the room on the disk that opening it again needs.
    pub(super) fn write_summary(&self, tally: &SegmentTally, keys: &[(KeyRecord, Seq)]) -> io::Result<Summary> {
        let summary = Summary::write(&self.dir, self.first, tally, keys)?;
        if let Err(error) = database::preallocate(&self.dir) {
            tracing::debug!(%error, segment.first = self.first.0, "no room taken for its next opening");
        }
        Ok(summary)
    }

    /// Seals it. Only the first time counts.
    pub(super) fn seal(&self, summary: Summary) {
        self.measure();
        let _ = self.sealed.set(summary);
    }

    /// Leaves what is known of it to whoever seals it.
    pub(super) fn finish(&self, tally: SegmentTally) {
        *self.tally.lock() = Some(tally);
    }

    /// What `look` makes of what [`finish`](Self::finish) left. It is sealed at the end of this call or of none: whoever
    /// finds no tally finds a summary.
    pub(super) fn with_tally<T>(&self, look: impl FnOnce(&SegmentTally) -> T) -> Option<T> {
        self.tally.lock().as_ref().map(look)
    }

    /// Seals it with the summary that `write` makes of what [`finish`](Self::finish) left. Answers with whether it did.
    ///
    /// # Errors
    /// Those of `write`; the tally is kept for another try.
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

    /// Its trees, opened if need be. `on_loss` hears of positions that are no longer inside. Blocks, but only for so long:
    /// what a slow disk has not opened by then goes on being opened, for whoever asks next.
    pub(super) fn tables(
        self: &Arc<Self>,
        cache_bytes: u64,
        now: Duration,
        waits: &Arc<Waits>,
        on_loss: impl FnMut((Seq, Seq)),
    ) -> Result<Arc<Tables>, Unusable> {
        self.used.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
        // Held until it was picked up: those beyond the number that may be open are closed at once.
        let mut _opened = None;
        loop {
            let opening = {
                let mut handle = self.handle.lock();
                match &mut *handle {
                    Handle::Open { tables, hole } => {
                        let (tables, hole) = (Arc::clone(tables), hole.take());
                        drop(handle);
                        hole.into_iter().for_each(on_loss);
                        return Ok(tables);
                    }
                    Handle::Retired => return Err(Unusable::Retired),
                    Handle::Opening(opening) => Arc::clone(opening),
                    Handle::Closed(held) => {
                        if let Some(tables) = held.upgrade() {
                            *handle = Handle::Open { tables: Arc::clone(&tables), hole: None };
                            return Ok(tables);
                        }
                        let opening = self.begin_opening(cache_bytes, waits).map_err(Unusable::Failed)?;
                        *handle = Handle::Opening(Arc::clone(&opening));
                        opening
                    }
                }
            };
            let Some(opened) = opening.wait(PATIENCE) else {
                let reason = format!("the disk is slow: segment {} is still being opened", self.first.0);
                return Err(Unusable::Failed(DatabaseError::Unavailable(reason.into())));
            };
            _opened = Some(opened.map_err(Unusable::Failed)?);
        }
    }

    /// Starts the thread that opens it.
    fn begin_opening(self: &Arc<Self>, cache_bytes: u64, waits: &Arc<Waits>) -> Result<Arc<Opening>, DatabaseError> {
        let opening = Arc::new(Opening::default());
        let (segment, told) = (Arc::clone(self), Arc::clone(&opening));
        let waiting = waits.begin(format!("opening segment {}", self.first.0));
        let work = move || {
            let opened = segment.open_existing(cache_bytes);
            drop(waiting);
            let mut handle = segment.handle.lock();
            let wanted = matches!(*handle, Handle::Opening(_));
            let opened = opened.map(|(tables, hole)| (Arc::new(tables), hole));
            if wanted {
                *handle = match &opened {
                    Ok((tables, hole)) => Handle::Open { tables: Arc::clone(tables), hole: *hole },
                    Err(_) => Handle::Closed(Weak::new()),
                };
            }
            drop(handle);
            told.finish(opened.map(|(tables, _)| tables));
        };
        std::thread::Builder::new()
            .name("gapless-sled-open".into())
            .spawn(work)
            .map_err(|error| DatabaseError::Unavailable(format!("no thread to open it: {error}").into()))?;
        Ok(opening)
    }

    /// sled would make a missing database anew, and opens a truncated one as if nothing had been in it. Answers with the
    /// positions that are no longer inside, too.
    fn open_existing(&self, cache_bytes: u64) -> Result<(Tables, Option<(Seq, Seq)>), DatabaseError> {
        if !self.dir.join("db").try_exists()? {
            return Err(DatabaseError::Damaged("its database file is missing".into()));
        }
        let tables = Tables::open(&self.dir, cache_bytes)?;
        let want = self.summary().map_or(Seq::ZERO, |summary| summary.span.last);
        if want == Seq::ZERO {
            return Ok((tables, None));
        }
        match guarded(|| newest(&tables)).map_err(DatabaseError::of_panic)?? {
            None => Err(DatabaseError::Damaged("it holds nothing any more".into())),
            Some(last) => Ok((tables, (last < want).then(|| (last.next(), want)))),
        }
    }

    /// When it was last read, if it is open and sealed; `None` also when somebody is opening it.
    pub(super) fn idle_since(&self) -> Option<Duration> {
        let handle = self.handle.try_lock()?;
        (self.summary().is_some() && matches!(*handle, Handle::Open { .. }))
            .then(|| Duration::from_millis(self.used.load(Ordering::Relaxed)))
    }

    /// Lets go of the handle. Readers keep theirs until they are done.
    pub(super) fn close(&self) {
        let mut handle = self.handle.lock();
        if let Handle::Open { tables, .. } = &*handle {
            *handle = Handle::Closed(Arc::downgrade(tables));
        }
    }

    /// From now on nobody gets a handle. Answers with the last one, if it was open. One that is being opened is waited for,
    /// because sled makes files in its directory meanwhile; at most for `patience`.
    pub(super) fn retire(&self, patience: Duration) -> Option<Arc<Tables>> {
        // Unlocked before the wait: whoever opens it needs the lock to say so.
        let before = std::mem::replace(&mut *self.handle.lock(), Handle::Retired);
        match before {
            Handle::Open { tables, .. } => Some(tables),
            Handle::Closed(held) => held.upgrade(),
            Handle::Opening(opening) => opening.wait(patience)?.ok(),
            Handle::Retired => None,
        }
    }

    /// Looks at how much disk it takes, and remembers it.
    pub(super) fn measure(&self) {
        self.disk_bytes.store(disk::bytes_of(&self.dir), Ordering::Relaxed);
    }

    /// Bytes on disk: as last measured when it is sealed, now when it is not.
    pub(super) fn disk_bytes(&self) -> u64 {
        match self.summary() {
            Some(_) => self.disk_bytes.load(Ordering::Relaxed),
            None => disk::bytes_of(&self.dir),
        }
    }
}

/// A segment that is being opened, and those who wait for it.
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

    /// What came of it; `None` when nothing has yet.
    fn wait(&self, patience: Duration) -> Option<Result<Arc<Tables>, DatabaseError>> {
        let mut state = self.state.lock();
        self.done.wait_while_for(&mut state, |state| state.is_none(), patience);
        state.clone()
    }
}

/// What the name of a copy ends with until it is complete.
pub(super) const HALF: &str = ".half";

/// The newest position in a segment.
fn newest(tables: &Tables) -> Result<Option<Seq>, PartError> {
    let Some(first) = tables.commit_before(Seq(u64::MAX))? else { return Ok(None) };
    Ok(tables.commit(first)?.map(|commit| commit.last))
}

/// `00000000000000000042`, and `-3` for its third copy.
pub(super) fn dir_name(first: Seq, generation: u32) -> String {
    match generation {
        0 => format!("{:020}", first.0),
        _ => format!("{:020}-{generation}", first.0),
    }
}

/// Reads a directory's name; `None` when it is not a segment's.
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
    fn only_a_segments_own_name_is_its_name() {
        for (first, generation) in [(1, 0), (u64::MAX, 7)] {
            let name = dir_name(Seq(first), generation);
            assert_eq!(parse_dir_name(&name), Some((Seq(first), generation)));
        }
        for name in ["", "1", "00000000000000000001-0", "00000000000000000001.tmp", "00000000000000000001-1.tmp"] {
            assert_eq!(parse_dir_name(name), None, "{name}");
        }
    }
}
