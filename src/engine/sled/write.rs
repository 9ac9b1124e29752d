//! The single writer's commits: checks, ids, segments and closing. [`SegmentWriter`] makes the inserts.

use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::event::Seq;

use super::super::log::store::{Commit, StoreError};
use super::config::SledConfig;
use super::guard::guarded;
use super::segment::Segment;
use super::segment_writer::{Growth, SegmentWriter};
use super::shared::StoreShared;
use super::tables::Tables;
use super::tally::SegmentTally;
use super::watermark::RESERVE_IDS;
use super::{database, disk, space};

/// How long closing the store waits for a segment that is being opened.
const CLOSE_OPENING_TIMEOUT: Duration = Duration::from_secs(5);

/// How long to wait after a failed rotation before the next attempt.
const ROTATION_RETRY_INTERVAL: Duration = Duration::from_secs(1);

impl StoreShared {
    /// Makes `commit` durable, then readable. Returns whether there is a segment to seal.
    pub(super) fn commit(&self, commit: &Commit) -> Result<bool, StoreError> {
        self.check_open()?;
        let _waiting = self.waits.begin_write("a commit");
        let data: usize = commit.events.iter().map(|(_, stored)| stored.event.new.payload_bytes() + 64).sum();
        let keys: usize = commit.keys.iter().map(|record| 64 + record.receipts.iter().count() * 64).sum();
        let bytes = (data + keys) as u64;
        self.presence.check()?;
        self.space.check(bytes)?;
        let mut writer = self.writer.lock();
        let Some(writer) = writer.as_mut() else { return Err(self.closed()) };
        let rotated = !commit.events.is_empty() && self.is_due(writer) && self.try_rotate(writer);
        let last = commit.events.last().map(|(_, last)| last.event.seq);
        if let Some(last) = last {
            self.reserve(writer, last)?;
        }
        let blocks = guarded(|| writer.insert(commit)).map_err(|panic| self.poison("a write", &panic))?;
        let blocks = blocks.map_err(|error| self.poison("a write", &error))?;
        writer.count(commit, &blocks);
        writer.growth.written += space::needed(bytes);
        self.newest_time.fetch_max(commit.time.0, Ordering::Relaxed);
        if let Some(last) = last {
            self.head.store(last.0, Ordering::Release);
        }
        Ok(rotated)
    }

    /// Whether the active segment is large or old enough to be replaced, or mostly dead.
    fn is_due(&self, writer: &mut SegmentWriter) -> bool {
        let empty = writer.tally.topics.is_empty();
        let due = writer.begun.elapsed() >= self.config.rotate_age || self.is_full(writer);
        !empty && (due || self.rotate_soon.swap(false, Ordering::Relaxed))
    }

    fn is_full(&self, writer: &mut SegmentWriter) -> bool {
        if writer.growth.written < writer.growth.room {
            return false;
        }
        let len = std::fs::metadata(writer.segment.dir.join("db")).map_or(0, |db| db.len());
        writer.growth = Growth { room: self.config.rotate_bytes.saturating_sub(len), written: 0 };
        writer.growth.room == 0
    }

    /// Begins another segment. When that fails, commits continue in the old one, which becomes larger than configured,
    /// and a later commit tries again.
    fn try_rotate(&self, writer: &mut SegmentWriter) -> bool {
        if writer.rotation_failed.is_some_and(|since| since.elapsed() < ROTATION_RETRY_INTERVAL) {
            return false;
        }
        let result = self.rotate(writer);
        match &result {
            Ok(()) => {
                if writer.rotation_failed.take().is_some() {
                    tracing::info!("a segment could be begun again");
                }
            }
            Err(reason) => {
                self.rotate_soon.store(true, Ordering::Relaxed);
                if writer.rotation_failed.replace(Instant::now()).is_none() {
                    tracing::warn!(
                        %reason,
                        "cannot begin a segment now; commits continue in the old one, and it is tried again"
                    );
                }
            }
        }
        result.is_ok()
    }

    /// Begins another segment and leaves the old one to be sealed.
    pub(super) fn rotate(&self, writer: &mut SegmentWriter) -> Result<(), Arc<str>> {
        if let Some(left) = writer.leftover.clone() {
            remove_leftover(&left)?;
            writer.leftover = None;
        }
        let head = writer.tally.span.head;
        let next = self.begin_listed(head.next()).inspect_err(|_| {
            let dir = Segment::new(&self.config.dir, head.next(), 0).dir;
            // The old segment will hold its positions.
            writer.leftover = remove_leftover(&dir).is_err().then_some(dir);
        })?;
        let mut begun =
            SegmentWriter::new(next.0, next.1, SegmentTally::empty_after(head), writer.reserved, writer.allocated);
        (begun.rotation_failed, begun.scratch) = (writer.rotation_failed, std::mem::take(&mut writer.scratch));
        let old = std::mem::replace(writer, begun);
        old.segment.keep_tally(old.tally);
        Ok(())
    }

    /// Creates an empty segment and adds it to the list, in memory and on disk.
    fn begin_listed(&self, first: Seq) -> Result<(Arc<Segment>, Arc<Tables>), Arc<str>> {
        let (segment, tables) = begin(&self.config, first)?;
        let listed = self.segments.replace(&[], Some(Arc::clone(&segment)));
        let listed = listed.and_then(|()| self.presence.writes_to(segment.dir.join("db")));
        match listed {
            Ok(()) => Ok((segment, tables)),
            Err(error) => {
                self.segments.remove_in_memory(std::slice::from_ref(&segment));
                database::close_bounded((tables, segment.retire(Duration::ZERO)));
                Err(error.to_string().into())
            }
        }
    }

    /// Reserves more ids in the watermark before the reserved ones are used up, so that no id is used twice after a
    /// crash.
    fn reserve(&self, writer: &mut SegmentWriter, last: Seq) -> Result<(), StoreError> {
        if last.0.saturating_add(RESERVE_IDS / 2) <= writer.reserved.0 {
            return Ok(());
        }
        let mut watermark = self.watermark.lock();
        watermark.state.reserved = Seq(last.0.saturating_add(RESERVE_IDS));
        watermark.state.clean = false;
        match watermark.save() {
            Ok(()) => {}
            // Nothing of the commit is written yet, and the watermark's other slot is intact.
            Err(error) if disk::is_out_of_resources(&error) => {
                return Err(StoreError::NotNow(format!("reserving ids: {error}").into()));
            }
            Err(error) => {
                drop(watermark);
                return Err(self.poison("reserving ids", &error));
            }
        }
        writer.reserved = watermark.state.reserved;
        Ok(())
    }

    /// Records a clean shutdown and closes all files.
    pub(super) fn close(&self) {
        let writer = self.writer.lock().take();
        let meta = self.meta.lock().take();
        let clean = self.failed.get().is_none();
        let _ = self.failed.set("the store is closed".into());
        if writer.is_some()
            && let Err(error) = self.removals.lock().prune()
        {
            tracing::warn!(
                %error,
                "cannot record which removals were announced to readers; the next start checks them again"
            );
        }
        if let Some(writer) = writer.as_ref().filter(|_| clean) {
            let flushed = guarded(|| writer.tables.flush());
            let mut watermark = self.watermark.lock();
            watermark.state.head = self.head();
            if let Some(meta) = &meta {
                (watermark.state.revision, watermark.state.settings) = meta.state();
            }
            watermark.state.reserved = self.head().max(writer.allocated);
            watermark.state.clean = matches!(flushed, Ok(Ok(())));
            if let Err(error) = watermark.save() {
                tracing::error!(%error, "cannot record a clean shutdown; the next start reads more of the store");
            }
        }
        let list = self.segments.list();
        self.segments.remove_in_memory(&list);
        let open: Vec<_> = list.iter().map(|segment| segment.retire(CLOSE_OPENING_TIMEOUT)).collect();
        if writer.is_some() {
            database::close_bounded((writer, meta, open, list));
        }
        drop(self.lock.lock().take());
    }
}

/// Creates an empty segment for positions from `first`.
pub(super) fn begin(config: &SledConfig, first: Seq) -> Result<(Arc<Segment>, Arc<Tables>), Arc<str>> {
    let segment = Segment::new(&config.dir, first, 0);
    let io = |error: std::io::Error| Arc::<str>::from(error.to_string());
    disk::make_dir(&segment.dir).map_err(io)?;
    let tables = Tables::open(&segment.dir, config.cache_bytes_per_segment);
    let tables = Arc::new(tables.map_err(|failure| Arc::clone(failure.reason()))?);
    disk::sync_tree(&segment.dir).map_err(io)?;
    Ok((Arc::new(segment.with_tables(Arc::clone(&tables))), tables))
}

/// Removes the directory of a segment that was never in the list.
fn remove_leftover(dir: &Path) -> Result<(), Arc<str>> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(format!("{}: {error}", dir.display()).into()),
        _ => Ok(()),
    }
}
