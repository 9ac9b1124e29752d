//! Copies what is kept of neighbouring segments into one of the next generation.
//!
//! The copy is made in a directory whose name says that it is half, made durable, given its summary and only then its
//! name. From then on it counts for all positions of its sources, whose directories are removed; a crash in between
//! leaves what the next start removes.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::event::{Millis, Seq};

use super::super::log::store::{Liveness, StoreError, TopicKey};
use super::guard::guarded;
use super::parts::{self, PartError};
use super::reclaim::remove;
use super::records::{CommitRecord, encode_key};
use super::segment::{HALF, Segment, Unusable};
use super::segments::SEALED_PART;
use super::summary::{Summary, Whole};
use super::tables::Tables;
use super::tally::SegmentTally;
use super::{StoreShared, database, disk, keys};

/// Bytes copied between two flushes: what sled may hold in memory of it.
const FLUSH_BYTES: u64 = 8 << 20;

/// What sled writes for a byte copied in one go.
const AMPLIFICATION: u64 = 4;

/// Why a copy was not made.
enum CopyError {
    /// No room for it.
    Full,
    /// It cannot be read or written now. Nothing is lost, and it is tried again.
    NotNow(Arc<str>),
    /// One of the sources is damaged.
    Source(Arc<Segment>, Arc<str>),
}

impl CopyError {
    /// What reading a source failed with.
    fn of_source(source: &Arc<Segment>, failure: database::DatabaseError) -> Self {
        match failure {
            database::DatabaseError::Damaged(reason) => Self::Source(Arc::clone(source), reason),
            database::DatabaseError::Unavailable(reason) => Self::NotNow(reason),
        }
    }
}

impl From<std::io::Error> for CopyError {
    fn from(error: std::io::Error) -> Self {
        Self::NotNow(format!("the copy: {error}").into())
    }
}

impl From<sled::Error> for CopyError {
    fn from(error: sled::Error) -> Self {
        Self::NotNow(format!("the copy: {error}").into())
    }
}

impl StoreShared {
    /// Replaces `sources`, neighbours in order, by a copy of what is kept of them.
    pub(super) fn copy(
        &self,
        sources: &[Arc<Segment>],
        live: &dyn Liveness,
        keys_since: Millis,
    ) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (sources.first(), sources.last()) else { return Ok(()) };
        let generation = sources.iter().map(|source| source.generation).max().unwrap_or(0) + 1;
        let made = Segment::new(&self.config.dir, first.first, generation);
        let mut half = made.dir.clone().into_os_string();
        half.push(HALF);
        let half = PathBuf::from(half);
        give_up(&made.dir, &half); // what an attempt before this one left
        let made_before = self.removals.lock().made();
        let head = last.summary().map_or(Seq::ZERO, |summary| summary.span.head);
        match self.fill(&half, sources, (first.first, head), live, keys_since) {
            Ok(summary) => {
                let mut removals = self.removals.lock();
                if removals.touched(sources, made_before) && !self.catch_up(&mut removals, made_before, &half, &made) {
                    drop(removals);
                    give_up(&made.dir, &half);
                    return Ok(());
                }
                if let Err(error) = name_copy(&half, &made.dir) {
                    give_up(&made.dir, &half);
                    return Err(StoreError::NotNow(format!("the copy: {error}").into()));
                }
                made.seal(summary.moved_to(&made.dir));
                tracing::debug!(segment.first = made.first.0, segment.last = head.0, sources = sources.len(), "copied");
                // Until the list says so, a start takes the copy all the same: of two it has the higher generation.
                let made = Arc::new(made);
                if let Err(error) = self.segments.replace(sources, Some(Arc::clone(&made))) {
                    give_up(&made.dir, &half);
                    return Err(StoreError::NotNow(format!("the list of segments: {error}").into()));
                }
                drop(removals);
                for source in sources {
                    remove(source);
                }
                Ok(())
            }
            Err(failure) => {
                give_up(&made.dir, &half);
                match failure {
                    CopyError::Full => Err(StoreError::Full),
                    CopyError::NotNow(reason) => Err(StoreError::NotNow(reason)),
                    CopyError::Source(source, reason) => self.set_aside(&source, &reason),
                }
            }
        }
    }

    /// Makes the copy in `half`, durable but for its name.
    fn fill(
        &self,
        half: &Path,
        sources: &[Arc<Segment>],
        (first, head): (Seq, Seq),
        live: &dyn Liveness,
        keys_since: Millis,
    ) -> Result<Summary, CopyError> {
        disk::make_dir(half)?;
        let tables = Tables::open(half, self.config.cache_bytes_per_segment / SEALED_PART)
            .map_err(|failure| CopyError::NotNow(Arc::clone(failure.reason())))?;
        let mut copy = Copy { store: self, to: &tables, tally: SegmentTally::after(Seq::ZERO), unflushed: 0, live };
        let mut kept_keys = Vec::new();
        for source in sources {
            let opened = Summary::open(&source.dir, source.first);
            let opened = opened.map_err(|error| CopyError::NotNow(format!("its summary: {error}").into()))?;
            let Some((summary, whole)) = opened else {
                return Err(CopyError::Source(Arc::clone(source), "its summary is damaged".into()));
            };
            copy.tally.span.newest = copy.tally.span.newest.max(summary.span.newest);
            for (record, commit) in whole.keys().into_iter().filter(|(record, _)| record.time >= keys_since) {
                let (stem, bytes) = encode_key(&record, commit);
                parts::insert(&tables.keys, &stem, &bytes)?;
                kept_keys.push((record, commit));
            }
            let from = match self.tables(source) {
                Ok(from) => from,
                Err(Unusable::Failed(failure)) => return Err(CopyError::of_source(source, failure)),
                Err(Unusable::Retired) => return Err(CopyError::NotNow("a source was set aside; tried again".into())),
            };
            let took = guarded(|| copy.take(source, &from, &whole));
            took.map_err(|panic| CopyError::of_source(source, database::DatabaseError::of_panic(panic)))??;
        }
        let mut tally = copy.tally;
        tally.span.head = head;
        guarded(|| tables.flush()).map_err(CopyError::NotNow)??;
        database::close_bounded(tables);
        database::preallocate(half)?;
        let summary = Summary::write(half, first, &tally, &kept_keys)?;
        disk::sync_tree(half)?;
        Ok(summary)
    }
}

/// Removes a copy that is not in the list, under whichever name it has. With its full name a start would take it for the newer
/// one of two, although events were taken back from its sources since.
fn give_up(dir: &Path, half: &Path) {
    let removed = match fs::remove_dir_all(half) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ if dir.is_dir() => fs::rename(dir, half).and_then(|()| fs::remove_dir_all(half)),
        _ => Ok(()),
    };
    if let Err(error) = removed {
        tracing::warn!(%error, dir = %dir.display(), "cannot remove a copy that is of no use; tried again before the next one");
    }
}

fn name_copy(half: &Path, dir: &Path) -> std::io::Result<()> {
    fs::rename(half, dir)?;
    dir.parent().map_or(Ok(()), disk::sync_dir)
}

/// A copy under way.
struct Copy<'a> {
    store: &'a StoreShared,
    to: &'a Tables,
    tally: SegmentTally,
    unflushed: u64,
    live: &'a dyn Liveness,
}

impl Copy<'_> {
    /// Takes over what is kept of one source.
    fn take(&mut self, source: &Arc<Segment>, from: &Tables, whole: &Whole) -> Result<(), CopyError> {
        let damaged = |error: PartError| CopyError::of_source(source, error.into());
        let mut kept: HashMap<TopicKey, Seq> = HashMap::new();
        let mut lost: HashSet<(TopicKey, Seq)> = HashSet::new();
        for topic in whole.topics() {
            let (key, name) = (topic.summary.key, topic.summary.name);
            let Some(since) = self.live.first_kept(key).filter(|since| *since <= topic.summary.last) else { continue };
            self.to.topics.insert(keys::topic(key), name.as_str())?;
            for block in from.blocks(key, Seq(since.0.saturating_sub(1)), Seq(u64::MAX - 1)).map_err(damaged)? {
                let (first, block) = block.map_err(damaged)?;
                let Some(block) = block else {
                    self.store.lost_block(key, first);
                    lost.insert((key, first));
                    continue;
                };
                kept.entry(key).or_insert(first);
                self.make_room(block.len())?;
                parts::insert(&self.to.blocks, &keys::block(key, first), block.bytes())?;
                self.tally.read(key, &name, &block);
            }
        }
        for commit in from.commits(Seq::ZERO).map_err(damaged)? {
            let (_, Some(mut commit)) = commit.map_err(damaged)? else { continue };
            commit
                .blocks
                .retain(|block| kept.get(&block.0).is_some_and(|first| block.1 >= *first) && !lost.contains(block));
            if !commit.blocks.is_empty() {
                commit.before = Seq::ZERO;
                self.put(&commit)?;
            }
        }
        Ok(())
    }

    fn put(&mut self, commit: &CommitRecord) -> Result<(), CopyError> {
        self.tally.commit(commit.last, commit.time);
        let (stem, bytes) = commit.encode();
        self.make_room(bytes.len() as u64)?;
        Ok(parts::insert(&self.to.commits, &stem, &bytes)?)
    }

    /// Flushes now and then, while there is room on the disk.
    fn make_room(&mut self, bytes: u64) -> Result<(), CopyError> {
        if self.unflushed == 0 {
            self.store.space.check_copy(FLUSH_BYTES.max(bytes) * AMPLIFICATION).map_err(|_| CopyError::Full)?;
        }
        self.unflushed += bytes;
        if self.unflushed >= FLUSH_BYTES {
            self.to.flush()?;
            self.unflushed = 0;
        }
        Ok(())
    }
}
