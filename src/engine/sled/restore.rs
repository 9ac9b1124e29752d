//! Makes a store of a backup's parts.
//!
//! The store is made in `restore.half/` of its directory, and moved into place at the end, the file `format` last: without
//! it a directory is no store, and while `restore.half/` is there no hub opens it. So a restore that is cut short leaves no
//! store, and is begun again.
//!
//! **No id is given out twice.** The lost store has given out ids after the backup, and nobody knows how many. So the
//! restored one continues far above ([`next_after_loss`]), and what is between is recorded as lost, and as undone
//! ([`restores`]). etcd does the same (`etcdutl snapshot restore --bump-revision --mark-compacted`).

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::fchown;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;

use super::backup::{BackupRecord, PartCheck, PartContents, RecordError};
use super::closed_copy::PARTS;
use super::keys::{FORMAT, LIST_FORMAT};
use super::manifest::{self, Manifest};
use super::meta::Meta;
use super::open_error::OpenError;
use super::owner::Owner;
use super::records::encode_key;
use super::removals::Removals;
use super::segment::dir_name;
use super::summary::Summary;
use super::tables::Tables;
use super::watermark::{Watermark, WatermarkState};
use super::{clock, database, disk, keys, parts, restores};
use crate::engine::log::store::TopicKey;
use crate::engine::{PartFacts, PartKind};
use crate::event::Seq;

/// The directory in which a store is made.
const WORK: &str = "restore.half";

/// sled's page cache while a segment is written, in bytes.
const CACHE_BYTES: u64 = 16 << 20;

/// Bytes inserted between two flushes: the amount that sled may hold in memory.
const FLUSH_BYTES: u64 = 8 << 20;

/// Ids that are passed over at least: a million for each second of twelve days, more than a store gives out between two
/// backups.
const MIN_JUMP: u64 = 1 << 40;

/// 2026-01-01T00:00:00Z in milliseconds since 1970.
const JUMP_EPOCH_MS: u64 = 1_767_225_600_000;

/// Ids for each millisecond since then: more than a hub gives out. 64 bits last for more than 500 years.
const IDS_PER_MS_BITS: u32 = 20;

/// Why a store was not restored.
#[derive(Debug, thiserror::Error)]
pub enum RestoreError {
    /// There is a store.
    #[error("{} holds a store already; restore into another directory, or move that one away", .0.display())]
    Occupied(PathBuf),
    /// An earlier restore into the directory is complete, though it was interrupted.
    #[error("{} is restored: an earlier restore was interrupted after its last step; start the hub", .0.display())]
    Complete(PathBuf),
    /// Another process uses the directory.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The backup is of another format.
    #[error(
        "the backup is of a store of format {0}, and this gapless restores the formats {LIST_FORMAT} to {FORMAT}; use the \
         gapless that made it"
    )]
    Format(u64),
    /// A part of the backup is damaged.
    #[error(transparent)]
    Damaged(#[from] RecordError),
    /// The system refuses to write.
    #[error("cannot write {}: {reason}; free space there or choose another directory, and restore again", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// What was restored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestoredStore {
    /// The newest restored position.
    pub head: Seq,
    /// The first id that the store gives out.
    pub next: Seq,
    /// Events, tombstones included.
    pub events: u64,
    /// Topics with settings or marks of their own.
    pub settings: usize,
}

/// A store in the making. Dropped before [`finish`](Self::finish) it leaves a directory that is no store.
#[derive(Debug)]
pub struct StoreRestorer {
    dir: PathBuf,
    work: PathBuf,
    lock: File,
    segments: Vec<manifest::ManifestEntry>,
    events: u64,
    state: Option<PartContents>,
}

/// What a restore has left in a directory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum RestoreState {
    /// No restore was cut short.
    None,
    /// All is in place, and only its own directory, which is empty, was not removed.
    Complete,
    /// It has to be begun again.
    Unfinished,
}

impl RestoreState {
    pub(super) fn of(dir: &Path) -> Self {
        let work = dir.join(WORK);
        // `format` is moved last.
        let is_complete = || dir.join("format").exists() && !PARTS.iter().any(|part| work.join(part).exists());
        match work.exists() {
            false => Self::None,
            true if is_complete() => Self::Complete,
            true => Self::Unfinished,
        }
    }
}

/// Fails when a restore into `dir` was cut short. One that was complete is tidied up.
pub(super) fn check_finished(dir: &Path) -> Result<(), OpenError> {
    match RestoreState::of(dir) {
        RestoreState::None => Ok(()),
        RestoreState::Complete => tidy_up(dir).map_err(disk::io_error(&dir.join(WORK))),
        RestoreState::Unfinished => Err(OpenError::Unrestored { dir: dir.into() }),
    }
}

/// Removes the directory of a complete restore.
fn tidy_up(dir: &Path) -> io::Result<()> {
    fs::remove_dir_all(dir.join(WORK))?;
    disk::sync_dir(dir)
}

/// The last of the ids that are passed over after a restore whose newest id is `head`.
///
/// A backup may be restored more than once, and each restored store gives out ids. So the jump is not a fixed distance: it
/// leads to a number that grows with time faster than ids are given out. `now_ms`: the machine's clock, in ms since 1970.
fn next_after_loss(head: Seq, now_ms: u64) -> Seq {
    let by_time = now_ms.saturating_sub(JUMP_EPOCH_MS).saturating_mul(1 << IDS_PER_MS_BITS);
    Seq(head.0.saturating_add(MIN_JUMP).max(by_time))
}

fn write_error(path: &Path) -> impl FnOnce(io::Error) -> RestoreError {
    let path = path.to_owned();
    move |error| RestoreError::Write { path, reason: error.to_string() }
}

fn sled_error(path: &Path) -> impl FnOnce(sled::Error) -> RestoreError {
    let path = path.to_owned();
    move |error| RestoreError::Write { path, reason: error.to_string() }
}

impl StoreRestorer {
    /// Begins a store in `dir`, which has none and is made if it is missing. What an earlier restore left is removed.
    /// `format`: that of the backup.
    ///
    /// # Errors
    /// When there is a store or another process uses the directory.
    pub fn begin(dir: &Path, format: u64) -> Result<Self, RestoreError> {
        if !(LIST_FORMAT..=FORMAT).contains(&format) {
            return Err(RestoreError::Format(format));
        }
        disk::make_dir(dir).map_err(write_error(dir))?;
        let lock = disk::lock(dir)?;
        let work = dir.join(WORK);
        // Without the file `format`, what else there is was moved there by a restore that was cut short.
        let state = RestoreState::of(dir);
        if state == RestoreState::Complete {
            tidy_up(dir).map_err(write_error(&work))?;
            return Err(RestoreError::Complete(dir.into()));
        }
        let unfinished = state == RestoreState::Unfinished;
        let occupied = |part: &&str| dir.join(part).exists() && (*part == "format" || !unfinished);
        if PARTS.iter().any(occupied) {
            return Err(RestoreError::Occupied(dir.into()));
        }
        for part in PARTS {
            remove(&dir.join(part)).map_err(write_error(dir))?;
        }
        remove(&work).map_err(write_error(&work))?;
        disk::make_dir(&work.join("seg")).map_err(write_error(&work))?;
        Ok(Self { dir: dir.into(), work, lock, segments: Vec::new(), events: 0, state: None })
    }

    /// Writes a part. `records`: its records in order, then their number and the number of events. Blocks.
    ///
    /// # Errors
    /// When a record is damaged, or the system refuses to write.
    pub fn part<E: From<RestoreError>>(
        &mut self,
        facts: PartFacts,
        records: impl FnOnce(&mut dyn FnMut(&Bytes) -> Result<(), RestoreError>) -> Result<(u64, u64), E>,
    ) -> Result<(), E> {
        let mut check = PartCheck::new(facts);
        if facts.kind == PartKind::State {
            let end = records(&mut |bytes| Ok(check.records(bytes)?))?;
            self.state = Some(check.finish(end.0, end.1).map_err(RestoreError::from)?);
            return Ok(());
        }
        let first = facts.after.next();
        let dir = self.work.join("seg").join(dir_name(first, 0));
        disk::make_dir(&dir).map_err(|error| write_error(&dir)(error))?;
        let opened = Tables::open(&dir, CACHE_BYTES);
        let tables = Arc::new(
            opened
                .map_err(|failure| RestoreError::Write { path: dir.clone(), reason: failure.reason().to_string() })?,
        );
        let mut unflushed = 0;
        let mut write = |bytes: &Bytes| {
            check.each(bytes, |record| insert(&tables, record).map_err(sled_error(&dir)))?;
            unflushed += bytes.len() as u64;
            if unflushed >= FLUSH_BYTES {
                unflushed = 0;
                tables.flush().map_err(sled_error(&dir))?;
            }
            Ok(())
        };
        let end = records(&mut write)?;
        let contents = check.finish(end.0, end.1).map_err(RestoreError::from)?;
        tables.flush().map_err(|error| sled_error(&dir)(error))?;
        database::close_bounded(tables);
        let sealed = database::preallocate(&dir)
            .and_then(|()| Summary::write(&dir, first, &contents.tally, &contents.keys))
            .and_then(|_| disk::sync_tree(&dir));
        sealed.map_err(|error| write_error(&dir)(error))?;
        self.segments.push((first, 0));
        self.events += contents.events();
        Ok(())
    }

    /// Completes the store and moves it into place, durably.
    ///
    /// # Errors
    /// When the part with the state was missing, or the system refuses to write.
    pub fn finish(mut self) -> Result<RestoredStore, RestoreError> {
        let state = self.state.take().ok_or_else(|| RecordError("the state of the store is missing".into()))?;
        let facts = state.state.clone().ok_or_else(|| RecordError("the state of the store is missing".into()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let jump = next_after_loss(facts.head, u64::try_from(now.as_millis()).unwrap_or(u64::MAX));
        let undone = (facts.head.next(), jump);
        let (revision, settings) = self.write_settings(&state)?;
        let work = self.work.clone();
        let io = |error| write_error(&work)(error);
        let mut watermark =
            WatermarkState { losses: facts.losses, lost: facts.lost, ..WatermarkState::new(facts.epoch) };
        watermark.add_lost(undone);
        (watermark.head, watermark.reserved, watermark.clean) = (facts.head, jump, true);
        (watermark.revision, watermark.settings) = (revision, settings);
        Watermark::create(&work.join("watermark"), watermark).map_err(io)?;
        Manifest::new(&work).write(&self.segments).map_err(io)?;
        clock::save(&work, &state.clock).map_err(io)?;
        let all: Vec<_> = state.undone.iter().copied().chain([undone]).collect();
        restores::save(&work, &all).map_err(io)?;
        self.write_removals(&state).map_err(io)?;
        disk::write_format(&work)?;
        self.give_to_owner().map_err(io)?;
        disk::sync_tree(&work).map_err(io)?;
        self.move_into_place().map_err(write_error(&self.dir))?;
        Ok(RestoredStore { head: facts.head, next: jump.next(), events: self.events, settings: state.settings.len() })
    }

    /// Returns the revision and the checksum of the settings.
    fn write_settings(&self, state: &PartContents) -> Result<(u64, u64), RestoreError> {
        let path = self.work.join("meta");
        let refused = |reason: Arc<str>| RestoreError::Write { path: path.clone(), reason: reason.to_string() };
        disk::make_dir(&path).map_err(write_error(&path))?;
        let (meta, _) = Meta::open(&path).map_err(|failure| refused(Arc::clone(failure.reason())))?;
        meta.restore(&state.settings).and_then(|()| meta.flush()).map_err(refused)?;
        let facts = meta.state();
        database::close_bounded(meta);
        Ok(facts)
    }

    /// The removals whose notice the next start publishes, unless it finds that it was published. Their segments hold no
    /// byte of the events, so the start rewrites them without need.
    fn write_removals(&self, state: &PartContents) -> io::Result<()> {
        let with_segment = |&(topic, seq): &(TopicKey, Seq)| {
            let of = self.segments.iter().rev().find(|(first, _)| *first <= seq)?;
            Some((*of, topic, seq))
        };
        let removals: Vec<_> = state.removals.iter().filter_map(with_segment).collect();
        Removals::create(&self.work, &removals)
    }

    /// Gives the store the owner of its directory: root restores for the user that the hub runs as.
    fn give_to_owner(&self) -> io::Result<()> {
        let owner = Owner::of(&self.dir)?;
        owner.give(&self.work)?;
        fchown(&self.lock, Some(owner.user), Some(owner.group))
    }

    fn move_into_place(&self) -> io::Result<()> {
        for part in PARTS.iter().rev() {
            let from = self.work.join(part);
            if from.exists() {
                // The first of the list is the last here: all that a store needs is durable in its place before.
                if *part == "format" {
                    disk::sync_dir(&self.dir)?;
                }
                fs::rename(from, self.dir.join(part))?;
            }
        }
        disk::sync_dir(&self.dir)?;
        tidy_up(&self.dir)
    }
}

fn insert(tables: &Tables, record: &BackupRecord) -> sled::Result<()> {
    match record {
        BackupRecord::Topic(key, name) => tables.topics.insert(keys::topic(*key), name.as_str()).map(drop),
        BackupRecord::Block(topic, first, block) => {
            parts::insert(&tables.blocks, &keys::block(*topic, *first), block.bytes())
        }
        BackupRecord::Key(record, commit) => {
            let (stem, bytes) = encode_key(record, *commit);
            parts::insert(&tables.keys, &stem, &bytes)
        }
        BackupRecord::Commit(commit) => {
            let (stem, bytes) = commit.encode();
            parts::insert(&tables.commits, &stem, &bytes)
        }
        _ => Ok(()),
    }
}

/// Removes a file or a directory, if it is there.
fn remove(path: &Path) -> io::Result<()> {
    let removed = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_restore_of_a_backup_jumps_further_than_ids_could_be_given_out_since_the_last() {
        let head = Seq(1_000_000);
        let now = JUMP_EPOCH_MS + 28_000_000_000;
        let (one, two) = (next_after_loss(head, now), next_after_loss(head, now + 60_000));
        assert!(one.0 >= head.0 + MIN_JUMP && two.0 - one.0 >= 60 * 1_000_000_000);
        // A clock before the epoch, and a store that was restored before.
        assert_eq!(next_after_loss(head, 0), Seq(head.0 + MIN_JUMP));
        assert_eq!(next_after_loss(two, now), Seq(two.0 + MIN_JUMP));
        let centuries = JUMP_EPOCH_MS + 500 * 366 * 86_400_000;
        assert!(next_after_loss(head, centuries) < Seq(u64::MAX));
    }
}
