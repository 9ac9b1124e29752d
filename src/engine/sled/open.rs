//! Opening a store: recovery after a crash or disk damage.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::event::{Epoch, Millis, Seq};
use crate::progress::WorkProgress;

use super::super::log::store::{KeyRecord, Recovered};
use super::config::SledConfig;
use super::database::DatabaseError;
use super::disk::{self, io_error};
use super::keys::FORMAT;
use super::manifest::Manifest;
use super::meta::{Meta, TopicRecords};
use super::open_error::OpenError;
use super::presence::Presence;
use super::removals::Removals;
use super::segment::Segment;
use super::segment_writer::SegmentWriter;
use super::segments::{Segments, entries};
use super::shared::StoreShared;
use super::space::Space;
use super::tables::Tables;
use super::tally::SegmentTally;
use super::waits::Waits;
use super::watermark::{RESERVE_IDS, Watermark, WatermarkRead, WatermarkState};
use super::{manifest, restore, write};

/// Opens the store in `config.dir`, or creates it. Counts the segments in `progress`.
pub(super) fn open(config: SledConfig, waits: Arc<Waits>, progress: &WorkProgress) -> Result<StoreShared, OpenError> {
    let begun = Instant::now();
    let dir = config.dir.clone();
    let waiting = waits.begin_write("opening the store");
    for needed in [dir.clone(), dir.join("seg")] {
        disk::make_dir(&needed).map_err(io_error(&needed))?;
    }
    let lock = disk::lock(&dir)?;
    restore::check_finished(&dir)?;
    let presence = Presence::new(dir.join("lock"), &lock).map_err(io_error(&dir))?;
    let format = disk::check_format(&dir)?;
    if format.is_none() {
        check_empty(&dir)?;
        Manifest::new(&dir).write(&[]).map_err(io_error(&dir))?;
        disk::write_format(&dir)?;
    }
    let mut found = StoreRecovery::start(&config, format)?;
    let (meta, known) = found.open_meta()?;
    check_durable(&meta)?;
    let segments = found.open_segments(progress)?;
    found.check_head();
    let next = found.allocated.max(found.head).next();
    let writer = found.writer(&segments, next)?;
    let state = &mut found.watermark.state;
    let clean = state.clean;
    (state.head, state.clean, state.reserved) = (state.head.max(found.head), false, writer.reserved);
    found.watermark.save().map_err(io_error(&dir.join("watermark")))?;
    let recovered = found.recovered(next, known);
    let mut segments = segments;
    if !segments.iter().any(|segment| Arc::ptr_eq(segment, &writer.segment)) {
        segments.push(Arc::clone(&writer.segment));
    }
    // After the watermark is saved: it records the segments that the old list had and the disk has not.
    Manifest::new(&dir).write(&entries(&segments)).map_err(io_error(&dir.join(manifest::FILE)))?;
    if format.is_some_and(|format| format < FORMAT) {
        disk::write_format(&dir)?;
    }
    let written = writer.segment.dir.join("db");
    presence.writes_to(written.clone()).map_err(io_error(&written))?;
    drop(waiting);
    if format.is_none() {
        tracing::info!(dir = %dir.display(), "created a new store");
    }
    tracing::info!(
        epoch = %found.watermark.state.epoch, head.seq = found.head.0, segments = segments.len(),
        // A new store has not been closed before.
        clean = format.map(|_| clean), duration_ms = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX),
        "the store is open"
    );
    Ok(StoreShared {
        segments: Segments::new(segments, &config, Arc::clone(&waits)),
        presence,
        waits,
        meta: Mutex::new(Some(Arc::new(meta))),
        writer: Mutex::new(Some(writer)),
        head: found.head.0.into(),
        newest_time: found.newest_time.0.into(),
        leaps: Mutex::new(recovered.clock.leaps.clone()),
        unscrubbed: found.removals.unscrubbed(),
        removals: Mutex::new(found.removals),
        space: Space::new(dir, config.reserve_bytes),
        failed: std::sync::OnceLock::new(),
        reported_damage: Mutex::default(),
        reclaiming: Mutex::new(Seq::ZERO),
        rotate_soon: false.into(),
        recovered: Mutex::new(Some(recovered)),
        losses: found.watermark.state.losses.into(),
        watermark: Mutex::new(found.watermark),
        lock: Mutex::new(Some(lock)),
        config,
    })
}

/// Fails when a directory without the file `format` has what a store has only after that was written. A new store in its
/// place would give out ids that the old one gave out.
fn check_empty(dir: &Path) -> Result<(), OpenError> {
    let has = |part: &str| {
        let path = dir.join(part);
        fs::read_dir(&path).map_or_else(|_| path.is_file(), |mut entries| entries.next().is_some())
    };
    match ["watermark", "meta", "seg", "removals", "restores"].into_iter().find(|part| has(part)) {
        Some(part) => Err(OpenError::Incomplete { dir: dir.into(), part }),
        None => Ok(()),
    }
}

/// The state of a store, collected while it is opened.
pub(super) struct StoreRecovery<'a> {
    pub(super) config: &'a SledConfig,
    /// The format on disk; `None` for a new store.
    pub(super) format: Option<u64>,
    pub(super) watermark: Watermark,
    pub(super) removals: Removals,
    /// Ids up to this one may have been allocated already.
    pub(super) allocated: Seq,
    /// The newest committed position found.
    pub(super) head: Seq,
    /// Time of the newest commit found.
    pub(super) newest_time: Millis,
    pub(super) keys: Vec<KeyRecord>,
    /// The newest segment, when commits can continue in it.
    pub(super) last: Option<(Arc<Segment>, Arc<Tables>, SegmentTally)>,
}

impl<'a> StoreRecovery<'a> {
    fn start(config: &'a SledConfig, format: Option<u64>) -> Result<Self, OpenError> {
        let path = config.dir.join("watermark");
        let found = Watermark::open(&path).map_err(io_error(&path))?;
        let used = format.is_some() && fs::read_dir(config.dir.join("seg")).is_ok_and(|mut dir| dir.next().is_some());
        let mut unknown = 0;
        let watermark = match found {
            WatermarkRead::Intact(watermark) => watermark,
            WatermarkRead::OneSlot(watermark) => {
                tracing::warn!(
                    "one of the watermark's two slots is damaged, by a crash or by the disk; the other slot is used"
                );
                // The damaged slot may have been the newer one, with more ids reserved.
                unknown = 2 * RESERVE_IDS;
                watermark
            }
            WatermarkRead::Missing if !used => create_watermark(&path, false)?,
            WatermarkRead::Missing | WatermarkRead::Damaged => {
                tracing::error!(
                    "the watermark is missing or damaged: the store begins a new epoch, so that no id is used twice; \
                     returning clients get a gap"
                );
                create_watermark(&path, true)?
            }
        };
        let path = config.dir.join("removals");
        let removals = Removals::open(&config.dir).map_err(io_error(&path))?;
        let allocated = Seq(watermark.state.reserved.0.max(watermark.state.head.0) + unknown);
        Ok(Self {
            config,
            format,
            watermark,
            removals,
            allocated,
            head: Seq::ZERO,
            newest_time: Millis(0),
            keys: Vec::new(),
            last: None,
        })
    }

    /// Opens the settings. A damaged database is moved to quarantine and replaced by an empty one.
    fn open_meta(&mut self) -> Result<(Meta, TopicRecords), OpenError> {
        let path = self.config.dir.join("meta");
        let fresh = !path.try_exists().map_err(io_error(&path))?;
        disk::make_dir(&path).map_err(io_error(&path))?;
        let opened = match Meta::open(&path) {
            Ok(opened) if opened.1.damaged == 0 => opened,
            Err(DatabaseError::Unavailable(reason)) => return Err(OpenError::Database { path, reason }),
            damaged => {
                let reason = match damaged {
                    Ok((_, known)) => format!("{} records are damaged", known.damaged),
                    Err(failure) => failure.reason().to_string(),
                };
                disk::quarantine(&self.config.dir, &path).map_err(io_error(&path))?;
                tracing::error!(
                    reason,
                    "the topic settings are damaged: the topics' own limits, their closed state and the marks of deleted \
                     topics are lost; the files were moved to quarantine"
                );
                self.watermark.state.losses += 1;
                (self.watermark.state.revision, self.watermark.state.settings) = (0, 0);
                disk::make_dir(&path).map_err(io_error(&path))?;
                Meta::open(&path).map_err(|failure| database_error(&path, &failure))?
            }
        };
        self.check_settings(&opened.0);
        if fresh {
            disk::sync_tree(&path).map_err(io_error(&path))?;
        }
        Ok(opened)
    }

    /// Compares the settings with the watermark: sled may have lost some silently.
    fn check_settings(&mut self, meta: &Meta) {
        let (revision, sum) = meta.state();
        let state = &mut self.watermark.state;
        if revision < state.revision || (state.clean && sum != state.settings) {
            tracing::error!("some topic settings or marks of deleted topics are missing: the disk lost them");
            state.losses += 1;
        }
        (state.revision, state.settings) = (revision, sum);
    }

    /// Compares the newest commit with the watermark: sled may have lost some silently.
    fn check_head(&mut self) {
        let range = (self.head.next(), self.allocated);
        if self.head < self.watermark.state.head
            && !self.watermark.state.contains_lost((range.0, self.watermark.state.head))
        {
            tracing::error!(
                lost.first = range.0.0,
                lost.last = range.1.0,
                "the newest events are missing from the store: they were acknowledged, and the disk lost them"
            );
            self.watermark.state.add_lost(range);
        }
    }

    /// A writer that continues in the newest segment, or in a new one.
    fn writer(&mut self, segments: &[Arc<Segment>], next: Seq) -> Result<SegmentWriter, OpenError> {
        let (reserved, allocated) = (Seq(next.0.saturating_add(RESERVE_IDS)), Seq(next.0 - 1));
        if let Some((segment, tables, tally)) = self.last.take() {
            return Ok(SegmentWriter::new(segment, tables, tally, reserved, allocated));
        }
        debug_assert!(segments.iter().all(|segment| segment.first < next), "positions are allocated in rising order");
        let begun = write::begin(self.config, next);
        let path = self.config.dir.join("seg");
        let (segment, tables) = begun.map_err(|reason| OpenError::Database { path, reason })?;
        Ok(SegmentWriter::new(segment, tables, SegmentTally::empty_after(Seq(next.0 - 1)), reserved, allocated))
    }

    fn recovered(&mut self, next: Seq, known: TopicRecords) -> Recovered {
        let clock = super::clock::kept_clock(&self.config.dir);
        let valid = clock.leaps.before(self.newest_time, self.config.key_window);
        let mut keys = std::mem::take(&mut self.keys);
        keys.retain(|record| record.time >= valid);
        keys.sort_by_key(|record| record.time);
        let state = &self.watermark.state;
        Recovered {
            epoch: state.epoch,
            head: self.head,
            next,
            last_time: self.newest_time,
            clock,
            settings: known.settings,
            newest_mark: known.newest_mark,
            keys,
            pending_removals: self.removals.pending_notices().to_vec(),
            lost: state.lost.clone(),
            undone: super::restores::undone(&self.config.dir),
        }
    }
}

fn create_watermark(path: &Path, lost: bool) -> Result<Watermark, OpenError> {
    let random = getrandom::u64().map_err(|error| OpenError::Io { path: path.into(), source: error.into() })?;
    let epoch = Epoch::from_random(random);
    Watermark::create(path, WatermarkState { losses: u64::from(lost), ..WatermarkState::new(epoch) })
        .map_err(io_error(path))
}

pub(super) fn database_error(path: &Path, failure: &DatabaseError) -> OpenError {
    OpenError::Database { path: path.into(), reason: Arc::clone(failure.reason()) }
}

/// Checks that sled's flush calls our shim, and fails with [`OpenError::NotDurable`] when it does not. The alternative,
/// a sync of our own after each flush, would leave a window in which a power loss takes back acknowledged events.
fn check_durable(meta: &Meta) -> Result<(), OpenError> {
    #[cfg(target_os = "linux")]
    {
        let before = super::sync_shim::count();
        meta.probe().map_err(|reason| OpenError::Database { path: "meta".into(), reason })?;
        if super::sync_shim::count() == before {
            return Err(OpenError::NotDurable);
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = meta;
    Ok(())
}
