//! Copies the live events of neighbouring segments into one segment of the next generation.
//!
//! The copy is written in a directory whose name marks it as incomplete, gets its summary, is made durable and only
//! then renamed. From then on it stands for all positions of its sources, whose directories are removed. What a crash
//! leaves in between, the next start removes.

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
use super::segment::{INCOMPLETE_SUFFIX, Segment, Unusable};
use super::segments::SEALED_CACHE_DIVISOR;
use super::shared::StoreShared;
use super::summary::{Summary, SummaryContents};
use super::tables::Tables;
use super::tally::SegmentTally;
use super::{database, disk, keys};

/// Bytes copied between two flushes: the amount that sled may hold in memory.
const FLUSH_BYTES: u64 = 8 << 20;

/// Bytes that sled writes for each byte copied in bulk.
const AMPLIFICATION: u64 = 4;

/// Why a copy was not made.
enum CopyError {
    /// There is no space for it.
    Full,
    /// A segment cannot be read or written now. Nothing is lost, and the copy is tried again.
    NotNow(Arc<str>),
    /// One of the sources is damaged, for this reason.
    Source(Arc<Segment>, Arc<str>),
}

impl CopyError {
    /// An error of reading a source.
    fn reading(source: &Arc<Segment>, failure: database::DatabaseError) -> Self {
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
    /// Replaces `sources`, adjacent segments in order, by a copy of their live events.
    pub(super) fn copy(
        &self,
        sources: &[Arc<Segment>],
        live: &dyn Liveness,
        keys_since: Millis,
    ) -> Result<(), StoreError> {
        let (Some(first), Some(last)) = (sources.first(), sources.last()) else { return Ok(()) };
        let generation = sources.iter().map(|source| source.generation).max().unwrap_or(0) + 1;
        let target = Segment::new(&self.config.dir, first.first, generation);
        let mut incomplete = target.dir.clone().into_os_string();
        incomplete.push(INCOMPLETE_SUFFIX);
        let incomplete = PathBuf::from(incomplete);
        remove_copy(&target.dir, &incomplete); // left by an earlier attempt
        let removals_before = self.removals.lock().made();
        let head = last.summary().map_or(Seq::ZERO, |summary| summary.span.head);
        match self.write_copy(&incomplete, sources, (first.first, head), live, keys_since) {
            Ok(summary) => {
                let mut removals = self.removals.lock();
                if removals.removed_from(sources, removals_before)
                    && !self.apply_late_removals(&mut removals, removals_before, &incomplete, &target)
                {
                    drop(removals);
                    remove_copy(&target.dir, &incomplete);
                    return Ok(());
                }
                if let Err(error) = rename_copy(&incomplete, &target.dir) {
                    remove_copy(&target.dir, &incomplete);
                    return Err(StoreError::NotNow(format!("the copy: {error}").into()));
                }
                target.seal(summary.moved_to(&target.dir));
                tracing::debug!(
                    segment.first = target.first.0,
                    segment.last = head.0,
                    sources = sources.len(),
                    "copied segments"
                );
                // Before the list has the copy, a start already prefers it to its sources: it has a higher generation.
                let target = Arc::new(target);
                if let Err(error) = self.segments.replace(sources, Some(Arc::clone(&target))) {
                    remove_copy(&target.dir, &incomplete);
                    return Err(StoreError::NotNow(format!("the list of segments: {error}").into()));
                }
                drop(removals);
                for source in sources {
                    remove(source);
                }
                Ok(())
            }
            Err(failure) => {
                remove_copy(&target.dir, &incomplete);
                match failure {
                    CopyError::Full => Err(StoreError::Full),
                    CopyError::NotNow(reason) => Err(StoreError::NotNow(reason)),
                    CopyError::Source(source, reason) => self.quarantine(&source, &reason),
                }
            }
        }
    }

    /// Writes the copy in `incomplete`, durable except for the directory's final name.
    fn write_copy(
        &self,
        incomplete: &Path,
        sources: &[Arc<Segment>],
        (first, head): (Seq, Seq),
        live: &dyn Liveness,
        keys_since: Millis,
    ) -> Result<Summary, CopyError> {
        disk::make_dir(incomplete)?;
        let tables = Tables::open(incomplete, self.config.cache_bytes_per_segment / SEALED_CACHE_DIVISOR)
            .map_err(|failure| CopyError::NotNow(Arc::clone(failure.reason())))?;
        let mut copy = SegmentCopier {
            store: self,
            to: &tables,
            tally: SegmentTally::empty_after(Seq::ZERO),
            unflushed: 0,
            live,
            first_kept: HashMap::new(),
        };
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
                Err(Unusable::Failed(failure)) => return Err(CopyError::reading(source, failure)),
                Err(Unusable::Retired) => {
                    return Err(CopyError::NotNow("a source was quarantined; the copy is tried again".into()));
                }
            };
            let took = guarded(|| copy.copy_segment(source, &from, &whole));
            took.map_err(|panic| CopyError::reading(source, database::DatabaseError::from_panic(panic)))??;
        }
        let mut tally = copy.tally;
        tally.span.head = head;
        guarded(|| tables.flush()).map_err(CopyError::NotNow)??;
        database::close_bounded(tables);
        database::preallocate(incomplete)?;
        let summary = Summary::write(incomplete, first, &tally, &kept_keys)?;
        disk::sync_tree(incomplete)?;
        Ok(summary)
    }
}

/// Removes a copy that is not in the list, under either name. Under its final name a start would prefer it to its
/// sources, although events may have been removed from them since.
fn remove_copy(dir: &Path, incomplete: &Path) {
    let removed = match fs::remove_dir_all(incomplete) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ if dir.is_dir() => fs::rename(dir, incomplete).and_then(|()| fs::remove_dir_all(incomplete)),
        _ => Ok(()),
    };
    if let Err(error) = removed {
        tracing::warn!(
            %error, dir = %dir.display(),
            "cannot remove an unused copy of a segment; it is tried again before the next copy"
        );
    }
}

fn rename_copy(incomplete: &Path, dir: &Path) -> std::io::Result<()> {
    fs::rename(incomplete, dir)?;
    dir.parent().map_or(Ok(()), disk::sync_dir)
}

/// The state of a copy in progress.
struct SegmentCopier<'a> {
    store: &'a StoreShared,
    to: &'a Tables,
    tally: SegmentTally,
    unflushed: u64,
    live: &'a dyn Liveness,
    /// The answers of `live`, so that a topic in several sources is copied from one position on: retention that goes on
    /// between two sources would leave a hole, which a restart would take for a loss.
    first_kept: HashMap<TopicKey, Option<Seq>>,
}

impl SegmentCopier<'_> {
    /// Copies the live events of one source.
    fn copy_segment(&mut self, source: &Arc<Segment>, from: &Tables, whole: &SummaryContents) -> Result<(), CopyError> {
        let damaged = |error: PartError| CopyError::reading(source, error.into());
        let mut kept: HashMap<TopicKey, Seq> = HashMap::new();
        let mut lost: HashSet<(TopicKey, Seq)> = HashSet::new();
        for topic in whole.topics() {
            let (key, name) = (topic.summary.key, topic.summary.name);
            let first_kept = *self.first_kept.entry(key).or_insert_with(|| self.live.first_kept(key));
            let Some(since) = first_kept.filter(|since| *since <= topic.summary.last) else { continue };
            self.to.topics.insert(keys::topic(key), name.as_str())?;
            for block in from.blocks(key, Seq(since.0.saturating_sub(1)), Seq(u64::MAX - 1)).map_err(damaged)? {
                let (first, block) = block.map_err(damaged)?;
                let Some(block) = block else {
                    self.store.lost_block(key, first);
                    lost.insert((key, first));
                    continue;
                };
                kept.entry(key).or_insert(first);
                self.begin_insert(block.len())?;
                parts::insert(&self.to.blocks, &keys::block(key, first), block.bytes())?;
                self.tally.add_block(key, &name, &block);
            }
        }
        for commit in from.commits(Seq::ZERO).map_err(damaged)? {
            let (_, Some(mut commit)) = commit.map_err(damaged)? else { continue };
            commit
                .blocks
                .retain(|block| kept.get(&block.0).is_some_and(|first| block.1 >= *first) && !lost.contains(block));
            if !commit.blocks.is_empty() {
                commit.before = Seq::ZERO;
                self.insert_commit(&commit)?;
            }
        }
        Ok(())
    }

    fn insert_commit(&mut self, commit: &CommitRecord) -> Result<(), CopyError> {
        self.tally.add_commit(commit.last, commit.time);
        let (stem, bytes) = commit.encode();
        self.begin_insert(bytes.len() as u64)?;
        Ok(parts::insert(&self.to.commits, &stem, &bytes)?)
    }

    /// Called before an insert of `bytes`: checks the free space, and flushes after every [`FLUSH_BYTES`].
    fn begin_insert(&mut self, bytes: u64) -> Result<(), CopyError> {
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
