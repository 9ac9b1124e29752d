//! Opening: what a crash or a damaged disk left, made sound.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use parking_lot::Mutex;

use crate::event::{Epoch, Millis, Seq};

use super::super::log::store::{KeyRecord, Recovered};
use super::config::{OpenError, SledConfig};
use super::database::DatabaseError;
use super::disk::{self, io_error};
use super::keys::FORMAT;
use super::manifest::Manifest;
use super::meta::{Meta, TopicRecords};
use super::presence::Presence;
use super::removals::Removals;
use super::segment::Segment;
use super::segments::{Segments, entries};
use super::space::Space;
use super::tables::Tables;
use super::tally::SegmentTally;
use super::waits::Waits;
use super::watermark::{Mark, RESERVE_IDS, Watermark, WatermarkRead};
use super::write::{self, SegmentWriter};
use super::{StoreShared, damage, manifest, reclaim};

/// Opens the store in `config.dir`, or makes it.
pub(super) fn open(config: SledConfig, waits: Arc<Waits>) -> Result<StoreShared, OpenError> {
    let begun = Instant::now();
    let dir = config.dir.clone();
    let waiting = waits.begin_write("opening the store");
    for made in [dir.clone(), dir.join("seg")] {
        disk::make_dir(&made).map_err(io_error(&made))?;
    }
    let lock = disk::lock(&dir)?;
    let presence = Presence::new(dir.join("lock"), &lock).map_err(io_error(&dir))?;
    let format = disk::check_format(&dir)?;
    if format.is_none() {
        Manifest::new(&dir).write(&[]).map_err(io_error(&dir))?;
        disk::write_format(&dir)?;
    }
    let mut found = Finding::begin(&config, format)?;
    let (meta, known) = found.open_meta()?;
    check_durable(&meta)?;
    let segments = found.open_segments()?;
    found.compare_heads();
    let next = found.given.max(found.head).next();
    let writer = found.writer(&segments, next)?;
    let mark = &mut found.watermark.mark;
    let clean = mark.clean;
    (mark.head, mark.clean, mark.reserved) = (mark.head.max(found.head), false, writer.reserved);
    found.watermark.save().map_err(io_error(&dir.join("watermark")))?;
    let recovered = found.recovered(next, known);
    let mut segments = segments;
    if !segments.iter().any(|segment| Arc::ptr_eq(segment, &writer.segment)) {
        segments.push(Arc::clone(&writer.segment));
    }
    // After the watermark, which knows what was missing from the old list.
    Manifest::new(&dir).write(&entries(&segments)).map_err(io_error(&dir.join(manifest::FILE)))?;
    if format.is_some_and(|format| format < FORMAT) {
        disk::write_format(&dir)?;
    }
    let written = writer.segment.dir.join("db");
    presence.writes_to(written.clone()).map_err(io_error(&written))?;
    drop(waiting);
    if format.is_none() {
        tracing::info!(dir = %dir.display(), "made a new store");
    }
    tracing::info!(
        epoch = %found.watermark.mark.epoch, head.seq = found.head.0, segments = segments.len(),
        // A new one was never closed.
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
        newest: found.newest.0.into(),
        leaps: Mutex::new(recovered.clock.leaps.clone()),
        unscrubbed: found.removals.unscrubbed(),
        removals: Mutex::new(found.removals),
        space: Space::new(dir, config.reserve_bytes),
        failed: std::sync::OnceLock::new(),
        damage: damage::ReportedDamage::default(),
        reclaiming: Mutex::new(reclaim::ReclaimPosition::default()),
        rotate_soon: false.into(),
        recovered: Mutex::new(Some(recovered)),
        losses: found.watermark.mark.losses.into(),
        watermark: Mutex::new(found.watermark),
        lock: Mutex::new(Some(lock)),
        config,
    })
}

/// What is found while a store is opened.
pub(super) struct Finding<'a> {
    pub(super) config: &'a SledConfig,
    /// As it was found; `None` for a new store.
    pub(super) format: Option<u64>,
    pub(super) watermark: Watermark,
    pub(super) removals: Removals,
    /// No id up to here is free.
    pub(super) given: Seq,
    pub(super) head: Seq,
    pub(super) newest: Millis,
    pub(super) keys: Vec<KeyRecord>,
    /// Of the newest segment, when it can be written on.
    pub(super) last: Option<(Arc<Segment>, Arc<Tables>, SegmentTally)>,
}

impl<'a> Finding<'a> {
    fn begin(config: &'a SledConfig, format: Option<u64>) -> Result<Self, OpenError> {
        let path = config.dir.join("watermark");
        let found = Watermark::open(&path).map_err(io_error(&path))?;
        let used = format.is_some() && fs::read_dir(config.dir.join("seg")).is_ok_and(|mut dir| dir.next().is_some());
        let mut beyond = 0;
        let watermark = match found {
            WatermarkRead::Whole(watermark) => watermark,
            WatermarkRead::Half(watermark) => {
                tracing::warn!("one slot of the watermark is damaged, from a crash or the disk; the other one counts");
                // The damaged slot may have reserved more.
                beyond = 2 * RESERVE_IDS;
                watermark
            }
            WatermarkRead::Nothing if !used => create_watermark(&path, false)?,
            WatermarkRead::Nothing | WatermarkRead::Damaged => {
                tracing::error!(
                    "the watermark is gone or damaged: the store begins another epoch, so that no id is given twice; \
                     clients are told a gap"
                );
                create_watermark(&path, true)?
            }
        };
        let path = config.dir.join("removals");
        let removals = Removals::open(&config.dir).map_err(io_error(&path))?;
        let given = Seq(watermark.mark.reserved.0.max(watermark.mark.head.0) + beyond);
        Ok(Self {
            config,
            format,
            watermark,
            removals,
            given,
            head: Seq::ZERO,
            newest: Millis(0),
            keys: Vec::new(),
            last: None,
        })
    }

    /// Opens the settings; damaged ones are set aside and begun anew.
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
                    "the topics' settings are damaged: own limits, closings by request and the marks of deleted topics are \
                     lost; the files are kept in quarantine"
                );
                self.watermark.mark.losses += 1;
                (self.watermark.mark.revision, self.watermark.mark.settings) = (0, 0);
                disk::make_dir(&path).map_err(io_error(&path))?;
                Meta::open(&path).map_err(|failure| database_error(&path, &failure))?
            }
        };
        self.compare_settings(&opened.0);
        if fresh {
            disk::sync_tree(&path).map_err(io_error(&path))?;
        }
        Ok(opened)
    }

    /// sled may have forgotten settings in silence: the watermark knows better.
    fn compare_settings(&mut self, meta: &Meta) {
        let (revision, sum) = meta.state();
        let mark = &mut self.watermark.mark;
        if revision < mark.revision || (mark.clean && sum != mark.settings) {
            tracing::error!("some topics' settings, or marks of deleted topics, are gone: the disk lost them");
            mark.losses += 1;
        }
        (mark.revision, mark.settings) = (revision, sum);
    }

    /// sled may have forgotten its newest commits in silence: the watermark knows better.
    fn compare_heads(&mut self) {
        let range = (self.head.next(), self.given);
        if self.head < self.watermark.mark.head && !self.watermark.mark.knows((range.0, self.watermark.mark.head)) {
            tracing::error!(
                lost.first = range.0.0,
                lost.last = range.1.0,
                "the newest events are gone from the store: they were acknowledged, and the disk lost them"
            );
            self.watermark.mark.lose(range);
        }
    }

    /// Goes on in the newest segment, or begins one.
    fn writer(&mut self, segments: &[Arc<Segment>], next: Seq) -> Result<SegmentWriter, OpenError> {
        let (reserved, given) = (Seq(next.0.saturating_add(RESERVE_IDS)), Seq(next.0 - 1));
        if let Some((segment, tables, tally)) = self.last.take() {
            return Ok(SegmentWriter::new(segment, tables, tally, reserved, given));
        }
        debug_assert!(segments.iter().all(|segment| segment.first < next), "positions are given in rising order");
        let made = write::begin(self.config, next);
        let path = self.config.dir.join("seg");
        let (segment, tables) = made.map_err(|reason| OpenError::Database { path, reason })?;
        Ok(SegmentWriter::new(segment, tables, SegmentTally::after(Seq(next.0 - 1)), reserved, given))
    }

    fn recovered(&mut self, next: Seq, known: TopicRecords) -> Recovered {
        let clock = super::clock::kept_clock(&self.config.dir);
        let valid = clock.leaps.before(self.newest, self.config.key_window);
        let mut keys = std::mem::take(&mut self.keys);
        keys.retain(|record| record.time >= valid);
        keys.sort_by_key(|record| record.time);
        let mark = &self.watermark.mark;
        Recovered {
            epoch: mark.epoch,
            head: self.head,
            next,
            last_time: self.newest,
            clock,
            settings: known.settings,
            newest_mark: known.newest_mark,
            keys,
            untold: self.removals.untold().to_vec(),
            lost: mark.lost.clone(),
        }
    }
}

fn create_watermark(path: &Path, lost: bool) -> Result<Watermark, OpenError> {
    let random = getrandom::u64().map_err(|error| OpenError::Io { path: path.into(), source: error.into() })?;
    let epoch = Epoch::from_random(random);
    Watermark::create(path, Mark { losses: u64::from(lost), ..Mark::new(epoch) }).map_err(io_error(path))
}

pub(super) fn database_error(path: &Path, failure: &DatabaseError) -> OpenError {
    OpenError::Database { path: path.into(), reason: Arc::clone(failure.reason()) }
}

/// Whether sled's flush reaches our shim. Refusing is the only safe answer: a sync of our own after each flush would leave
/// a window, and whoever built this can mend it while nobody else can.
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
