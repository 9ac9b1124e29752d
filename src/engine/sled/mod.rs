//! A durable, ordered event store on sled 0.34.
//!
//! sled is an ordered map over a log. As an event store it lacks three things: its flush does not survive a power loss,
//! a single live key pins a log segment for ever, and on damaged files it panics or silently returns less data. The
//! modules here add durability, space reclamation and damage detection:
//!
//! | module | purpose |
//! |---|---|
//! | `keys` | the whole on-disk schema on one screen |
//! | `block`, `records`, `parts`, `wire` | the encoding of stored values, with checksums |
//! | `sync_shim`, `zero_fill` | a flush of sled is an fdatasync, and rarely changes the file's length |
//! | `guard`, `database` | opening a sled database; a panic in sled becomes an error |
//! | `segment`, `segments`, `manifest`, `tables` | log segments: a sled database for each range of positions |
//! | `tally`, `summary` | the index of a sealed segment, so that opening the store does not read it |
//! | `watermark` | the head, the reserved ids and the lost ranges, kept outside sled in case sled loses data |
//! | `shared` | the state that the store's threads share |
//! | `segment_writer`, `write` | the single writer: insert, flush, count; reserving ids, and beginning segments |
//! | `read`, `continuity` | concurrent reads of events, and detection of missing ones |
//! | `newest` | a topic's newest positions, read backwards |
//! | `open`, `open_error`, `open_segments`, `inspect` | recovery after a crash or disk damage |
//! | `reclaim`, `copy` | reclaiming the space of expired events |
//! | `removals`, `remove`, `scrub` | removing an event: the list of pending work, the tombstone, erasing the bytes |
//! | `housekeeping` | background work: sealing segments and recording the head |
//! | `presence`, `waits` | a missing directory and a disk that does not respond are not treated as damage |
//! | `check` | checking a closed store without changing it |
//! | `closed_copy` | a copy of a closed store, to be opened in its place |
//! | `backup` | a copy that is made while the store is open: its records in parts |
//! | `restore`, `restores` | a store made of such parts; the positions that are never given out again |
//! | `import` | a store made of events that have their ids already |
//! | `owner` | whom a restored store belongs to |
//! | `meta`, `clock`, `disk`, `space`, `config` | topic settings, the log's clock, files, free space, configuration |

use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::log::store::{
    BackupItem, BackupRequest, Commit, DiskSpace, EventHeader, KeptClock, Liveness, Position, ReadLimit, Recovered,
    RemoveOutcome, Scan, Store, StoreError, StoredEvent, TopicKey, TopicRecord, TopicSummary,
};
use crate::event::{Millis, Seq, TopicName};
use crate::progress::WorkProgress;

mod backup;
mod block;
mod check;
mod clock;
mod closed_copy;
mod config;
mod continuity;
mod copy;
mod damage;
mod database;
mod disk;
mod guard;
mod housekeeping;
mod import;
mod inspect;
mod keys;
mod manifest;
mod meta;
mod newest;
mod open;
mod open_error;
mod open_segments;
mod owner;
mod parts;
mod presence;
mod read;
mod reclaim;
mod records;
mod removals;
mod remove;
mod restore;
mod restores;
mod scrub;
mod segment;
mod segment_writer;
mod segments;
mod shared;
mod space;
mod summary;
#[cfg(target_os = "linux")]
mod sync_shim;
mod tables;
mod tally;
#[cfg(test)]
mod tests;
mod waits;
mod watermark;
mod wire;
mod write;
#[cfg(target_os = "linux")]
mod zero_fill;

pub use backup::{PartCheck, PartContents, RecordError, StateFacts};
pub use check::{
    CheckError, EXIT_UNCHECKED, Finding, FindingKind, Severity, StoreReport, StoreVerdict, check, check_scratch_bytes,
};
pub use clock::kept_clock;
pub use closed_copy::{ClosedCopy, StoreCopyError, copy_closed};
pub use config::{CACHE_BYTES_PER_SEGMENT, CLOSE_AFTER, MAX_OPEN_SEGMENTS, SCRUB_DELAY, SledConfig};
pub use import::{FirstEvents, StoreImporter};
pub use open_error::OpenError;
pub use restore::{RestoreError, RestoredStore, StoreRestorer};

use housekeeping::Housekeeper;
use shared::StoreShared;
use waits::{WaitReporter, Waits};

/// A [`Store`] in a directory, opened by [`SledStore::open`]. One process can have it open at a time.
#[derive(Debug)]
pub struct SledStore {
    shared: Arc<StoreShared>,
    housekeeper: Housekeeper,
    /// How far the opening is, which ends with [`recovered`](Store::recovered).
    opening: Arc<WorkProgress>,
    _watch: WaitReporter,
}

impl SledStore {
    /// [`open_reporting`](Self::open_reporting) to nobody.
    ///
    /// # Errors
    /// Those of `open_reporting`.
    pub fn open(config: SledConfig) -> Result<Self, OpenError> {
        Self::open_reporting(config, Arc::default())
    }

    /// Opens the store in `config.dir`, or creates it. Counts segments in `progress`, here and in
    /// [`recovered`](Store::recovered). Blocks. Rolls back an incomplete commit, moves damaged parts to
    /// `quarantine/` and reports the ranges lost with them.
    ///
    /// # Errors
    /// When another process has the store open, a newer gapless wrote it, or the system refuses access to its files.
    /// Damage is not an error.
    pub fn open_reporting(config: SledConfig, progress: Arc<WorkProgress>) -> Result<Self, OpenError> {
        let waits = Arc::new(Waits::default());
        let watch = WaitReporter::start(&waits);
        let shared = Arc::new(open::open(config, waits, &progress)?);
        let housekeeper = Housekeeper::start(Arc::clone(&shared));
        Ok(Self { shared, housekeeper, opening: progress, _watch: watch })
    }
}

impl Store for SledStore {
    fn name(&self) -> &'static str {
        "sled"
    }

    fn recovered(&self, topic: &mut dyn FnMut(TopicSummary)) -> Recovered {
        let recovered = self.shared.recovered.lock().take().expect("called once");
        let lost = self.shared.summaries(&self.opening, topic);
        Recovered { lost, ..recovered }
    }

    fn commit(&self, commit: &Commit) -> Result<(), StoreError> {
        let rotated = self.shared.commit(commit)?;
        if rotated {
            self.housekeeper.wake();
        }
        Ok(())
    }

    fn topic_events(
        &self,
        topic: (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        limit: ReadLimit,
    ) -> Result<Vec<StoredEvent>, StoreError> {
        self.shared.topic_events(topic, after, through, limit)
    }

    fn topic_headers(
        &self,
        (key, _): (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<EventHeader>, StoreError> {
        let mut headers = self.shared.topic_headers(key, after, max)?;
        headers.truncate(headers.partition_point(|header| header.seq <= through));
        Ok(headers)
    }

    fn topic_newest(
        &self,
        (key, _): (TopicKey, &TopicName),
        after: Seq,
        through: Seq,
        max: usize,
    ) -> Result<Vec<Position>, StoreError> {
        self.shared.topic_newest(key, after, through, max)
    }

    fn scan(
        &self,
        after: Seq,
        through: Seq,
        limit: ReadLimit,
        wanted: &mut dyn FnMut(TopicKey) -> Option<TopicName>,
    ) -> Result<Scan, StoreError> {
        self.shared.scan(after, through, limit, wanted)
    }

    fn position_before(&self, time: Millis) -> Result<Seq, StoreError> {
        self.shared.position_before(time)
    }

    fn save_settings(&self, topics: &[TopicRecord]) -> Result<(), StoreError> {
        topics.iter().try_for_each(|topic| self.shared.save_settings(&topic.name, &topic.settings))
    }

    fn remove(&self, (topic, _): (TopicKey, &TopicName), seq: Seq) -> Result<RemoveOutcome, StoreError> {
        self.shared.remove(topic, seq)
    }

    fn clear_pending_removal(&self, topic: TopicKey, seq: Seq) {
        self.shared.removals.lock().notice_published(topic, seq);
    }

    fn unscrubbed(&self) -> u64 {
        self.shared.unscrubbed.load(Ordering::Relaxed)
    }

    fn keep_clock(&self, clock: &KeptClock) -> Result<(), StoreError> {
        let shared = &self.shared;
        shared.check_open()?;
        let _waiting = shared.waits.begin_write("saving the log's clock");
        shared.presence.check()?;
        clock::save(&shared.config.dir, clock).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
            _ => StoreError::NotNow(format!("cannot save the log's clock: {error}").into()),
        })?;
        shared.leaps.lock().clone_from(&clock.leaps);
        Ok(())
    }

    fn mark(&self, topic: &TopicName) -> Option<Seq> {
        self.shared.read_meta("reading a deletion mark", |meta| meta.mark(topic)).flatten()
    }

    fn marks(&self, prefix: &str, after: Seq) -> Vec<(TopicName, Seq)> {
        self.shared.read_meta("reading deletion marks", |meta| meta.marks(prefix, after)).unwrap_or_default()
    }

    fn reclaim(&self, live: &dyn Liveness) -> Result<(), StoreError> {
        self.shared.reclaim(live)
    }

    fn room(&self) -> Result<(), StoreError> {
        self.shared.check_ready()
    }

    fn disk_bytes(&self) -> u64 {
        let segments: u64 = self.shared.segments.list().iter().map(|segment| segment.disk_bytes()).sum();
        segments + disk::bytes_of(&self.shared.config.dir.join("meta"))
    }

    fn disk_space(&self) -> Option<DiskSpace> {
        self.shared.space.measure()
    }

    fn waits_for_disk(&self) -> bool {
        self.shared.waits.long_wait()
    }

    fn has_backups(&self) -> bool {
        true
    }

    fn backup(
        &self,
        request: &BackupRequest,
        live: &dyn Liveness,
        send: &mut dyn FnMut(BackupItem) -> ControlFlow<()>,
    ) -> Result<(), StoreError> {
        backup::run(&self.shared, request, live, send)
    }

    fn losses(&self) -> u64 {
        self.shared.losses.load(Ordering::Acquire)
    }

    fn close(&self) {
        self.housekeeper.stop();
        self.shared.close();
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.close();
    }
}
