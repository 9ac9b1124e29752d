//! The store on disk: sled 0.34, made durable, bounded and honest about damage.
//!
//! sled is a good ordered map over a log, and three things short of an event store: its flush does not survive a power
//! loss, one quiet key pins a piece of its log for ever, and damaged files make it panic or forget in silence. The
//! rooms here add what is missing and keep what is good:
//!
//! | room | idea |
//! |---|---|
//! | `keys` | the whole schema on one screen |
//! | `block`, `records`, `parts`, `wire` | what is stored, as checksummed bytes |
//! | `sync_shim`, `ahead` | a flush is an fdatasync, and has no file length to note |
//! | `guard`, `database` | a panic of sled is an error of ours |
//! | `segment`, `segments`, `manifest`, `tables` | one sled database a run of positions, so that space comes back a directory at a time |
//! | `tally`, `summary` | what a sealed segment holds, so that opening need not read it |
//! | `watermark` | what must be known even if sled forgets: the head, ids given out, what was lost |
//! | `write` | the one writer: insert, flush, count |
//! | `read`, `chain` | runs of events, from any thread, and what they lack |
//! | `backward` | a topic's newest positions |
//! | `open`, `open_segments`, `inspect` | what a crash or a damaged disk left, made sound |
//! | `reclaim`, `copy` | the space of dead events |
//! | `removals`, `remove`, `scrub` | an event taken back: what is to be done, the tombstone, and the bytes off the disk |
//! | `housekeeping` | sealing and the recorded head, off the writer's path |
//! | `presence`, `waits` | a directory that is away and a disk that does not answer are no damage |
//! | `meta`, `clock`, `disk`, `space`, `config` | settings by name, the log's clock, files, free bytes, and what can be told |

use std::fs::File;
use std::io;
use std::sync::Arc;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use parking_lot::Mutex;

use super::log::store::{
    Commit, EventHeader, KeptClock, Leaps, Liveness, Position, ReadLimit, Recovered, Scan, Store, StoreError, Taken,
    TopicKey, TopicSettings, TopicSummary,
};
use crate::event::{Event, Millis, Seq, TopicName};

#[cfg(target_os = "linux")]
mod ahead;
mod backward;
mod block;
mod chain;
mod clock;
mod config;
mod copy;
mod damage;
mod database;
mod disk;
mod guard;
mod housekeeping;
mod inspect;
mod keys;
mod manifest;
mod meta;
mod open;
mod open_segments;
mod parts;
mod presence;
mod read;
mod reclaim;
mod records;
mod removals;
mod remove;
mod scrub;
mod segment;
mod segments;
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

pub use clock::kept_clock;
pub use config::{OpenError, SledConfig};

use housekeeping::Housekeeper;
use meta::Meta;
use presence::Presence;
use removals::Removals;
use segments::Segments;
use space::Space;
use waits::{WaitReporter, Waits};
use watermark::Watermark;
use write::SegmentWriter;

/// A [`Store`] in a directory. Opened by [`SledStore::open`]; one process at a time.
#[derive(Debug)]
pub struct SledStore {
    shared: Arc<StoreShared>,
    housekeeper: Housekeeper,
    _watch: WaitReporter,
}

/// What the writer, readers, the retention thread and the housekeeper share.
#[derive(Debug)]
struct StoreShared {
    config: SledConfig,
    segments: Segments,
    /// `None` once the store is closed.
    meta: Mutex<Option<Arc<Meta>>>,
    writer: Mutex<Option<SegmentWriter>>,
    watermark: Mutex<Watermark>,
    /// What the watermark counts, for those who must not wait for its lock, which is held while it is written.
    losses: AtomicU64,
    /// Locked before the writer and the list of segments.
    removals: Mutex<Removals>,
    /// What it counts, for the same reason.
    unscrubbed: Arc<AtomicU64>,
    /// The newest durable position: readers see nothing beyond it.
    head: AtomicU64,
    /// The newest commit's time, by which idempotency keys age,
    newest: AtomicU64,
    /// but for these.
    leaps: Mutex<Leaps>,
    space: Space,
    presence: Presence,
    waits: Arc<Waits>,
    /// Why nothing more may be acknowledged.
    failed: OnceLock<Arc<str>>,
    damage: damage::ReportedDamage,
    reclaiming: Mutex<reclaim::ReclaimPosition>,
    /// The segment that takes commits is mostly dead: begin another one, so that its space comes back.
    rotate_soon: AtomicBool,
    recovered: Mutex<Option<Recovered>>,
    lock: Mutex<Option<File>>,
}

impl SledStore {
    /// Opens the store in `config.dir`, or makes one there. Blocks; takes back half a commit, sets damaged parts aside and
    /// says what was lost with them.
    ///
    /// # Errors
    /// When another process has the store, a newer gapless wrote it, or the disk does not allow it. Never for damage.
    pub fn open(config: SledConfig) -> Result<Self, OpenError> {
        let waits = Arc::new(Waits::default());
        let watch = WaitReporter::start(&waits);
        let shared = Arc::new(open::open(config, waits)?);
        let housekeeper = Housekeeper::start(Arc::clone(&shared));
        Ok(Self { shared, housekeeper, _watch: watch })
    }
}

impl Store for SledStore {
    fn name(&self) -> &'static str {
        "sled"
    }

    fn recovered(&self, topic: &mut dyn FnMut(TopicSummary)) -> Recovered {
        let recovered = self.shared.recovered.lock().take().expect("called once");
        let lost = self.shared.summaries(topic);
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
    ) -> Result<Vec<Arc<Event>>, StoreError> {
        self.shared.topic_events(topic, after, through, limit)
    }

    fn topic_headers(&self, key: TopicKey, after: Seq, max: usize) -> Result<Vec<EventHeader>, StoreError> {
        self.shared.topic_headers(key, after, max)
    }

    fn topic_newest(&self, key: TopicKey, after: Seq, through: Seq, max: usize) -> Result<Vec<Position>, StoreError> {
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

    fn save_settings(&self, topic: &TopicName, settings: &TopicSettings) -> Result<(), StoreError> {
        self.shared.save_settings(topic, settings)
    }

    fn remove(&self, topic: TopicKey, seq: Seq) -> Result<Taken, StoreError> {
        self.shared.remove(topic, seq)
    }

    fn told(&self, topic: TopicKey, seq: Seq) {
        self.shared.removals.lock().told(topic, seq);
    }

    fn unscrubbed(&self) -> u64 {
        self.shared.unscrubbed.load(Ordering::Relaxed)
    }

    fn keep_clock(&self, clock: &KeptClock) -> Result<(), StoreError> {
        let shared = &self.shared;
        shared.alive()?;
        let _waiting = shared.waits.begin_write("keeping the log's clock");
        shared.presence.check()?;
        clock::keep(&shared.config.dir, clock).map_err(|error| match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full,
            _ => StoreError::NotNow(format!("the log's clock cannot be kept: {error}").into()),
        })?;
        shared.leaps.lock().clone_from(&clock.leaps);
        Ok(())
    }

    fn mark(&self, topic: &TopicName) -> Option<Seq> {
        self.shared.ask_meta("reading a mark", |meta| meta.mark(topic)).flatten()
    }

    fn marks(&self, prefix: &str, after: Seq) -> Vec<(TopicName, Seq)> {
        self.shared.ask_meta("reading marks", |meta| meta.marks(prefix, after)).unwrap_or_default()
    }

    fn reclaim(&self, live: &dyn Liveness) -> Result<(), StoreError> {
        self.shared.reclaim(live)
    }

    fn room(&self) -> Result<(), StoreError> {
        self.shared.ready()
    }

    fn disk_bytes(&self) -> u64 {
        let segments: u64 = self.shared.segments.list().iter().map(|segment| segment.disk_bytes()).sum();
        segments + disk::bytes_of(&self.shared.config.dir.join("meta"))
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

impl StoreShared {
    /// The newest durable position.
    fn head(&self) -> Seq {
        Seq(self.head.load(Ordering::Acquire))
    }

    /// Whether the store is sound and open.
    fn alive(&self) -> Result<(), StoreError> {
        self.failed.get().map_or(Ok(()), |reason| Err(StoreError::Failed(Arc::clone(reason))))
    }

    /// Whether an ordinary commit would be accepted now. Looks at the disk only while the disk answers.
    fn ready(&self) -> Result<(), StoreError> {
        self.alive()?;
        if let Some((what, waited)) = self.waits.long_write() {
            let reason = format!("the disk does not answer: {what} has waited for {} s", waited.as_secs());
            return Err(StoreError::NotNow(reason.into()));
        }
        self.presence.check()?;
        self.space.room()
    }

    /// From now on nothing is acknowledged. Logged once.
    fn poison(&self, what: &str, reason: &dyn std::fmt::Display) -> StoreError {
        let text: Arc<str> = format!("{what} failed: {reason}").into();
        if self.failed.set(Arc::clone(&text)).is_ok() {
            tracing::error!(reason = %text, "the store accepts nothing until a restart has looked at the disk");
        }
        StoreError::Failed(text)
    }

    fn save_settings(&self, topic: &TopicName, settings: &TopicSettings) -> Result<(), StoreError> {
        self.alive()?;
        let _waiting = self.waits.begin_write("saving settings");
        self.presence.check()?;
        self.space.check_small()?;
        let Some(meta) = self.meta.lock().clone() else { return Err(self.closed()) };
        meta.save(topic, settings).map_err(|reason| self.poison("saving settings", &reason))
    }

    /// What `read` finds in the settings; an error is logged, because its callers have no way to tell it.
    fn ask_meta<T>(&self, what: &str, read: impl FnOnce(&Meta) -> Result<T, Arc<str>>) -> Option<T> {
        let meta = self.meta.lock().clone()?;
        read(&meta).inspect_err(|reason| drop(self.poison(what, reason))).ok()
    }

    fn closed(&self) -> StoreError {
        let text: Arc<str> = "the store is closed".into();
        let _ = self.failed.set(Arc::clone(&text));
        StoreError::Failed(text)
    }
}
