//! The list of segments whose files still hold bytes of events that were taken back, and of removals that a crash may have
//! left half done. Kept in a file of its own, written before the first byte of a removal.
//!
//! A tombstone replaces the event where it is stored, so from then on nobody reads it; but sled's log keeps the old bytes
//! until the segment is copied ([`scrub`](super::scrub)). A segment leaves the list when its directory is gone, so whatever
//! happens in between, the next start knows what to do.
//!
//! The file, version 1, numbers as varints:
//!
//! ```text
//! version u8 | segments | each: first id, generation | removals | each: topic key, id | CRC-32
//! ```

use std::collections::{BTreeMap, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::event::Seq;

use super::super::log::store::TopicKey;
use super::disk;
use super::segment::{HALF, Segment, dir_name};
use super::wire::{Take, put_number, seal, unseal};

/// Name of the file.
const FILE: &str = "removals";
const VERSION: u8 = 1;
const SALT: &[u8] = b"removals";

/// Removals that may wait for their readers to be told. Each is answered before the next begins, so there are more than one
/// only when a full disk refuses their notices; beyond, removing is refused, too.
const MAX_UNTOLD: usize = 1024;

/// Removals remembered for a copy that is being made: more than there can be while one is, but for the fastest disks. A copy
/// that more were made behind is thrown away.
const RECENT: usize = 16 << 10;

/// What names a segment's directory.
type Name = (Seq, u32);

/// The list.
#[derive(Debug)]
pub(super) struct Removals {
    root: PathBuf,
    dirty: BTreeMap<Name, Dirty>,
    /// How many they are.
    unscrubbed: Arc<AtomicU64>,
    untold: Vec<(TopicKey, Seq)>,
    /// Removals so far, in this process.
    made: u64,
    /// The latest of them, each with its number.
    recent: VecDeque<(u64, TopicKey, Seq)>,
    /// Removals that failed half done, with the bytes of each event's data. Each is untold, too.
    failed: BTreeMap<(TopicKey, Seq), u64>,
    /// The file says something else.
    changed: bool,
}

/// A segment that is to be copied.
#[derive(Debug, Clone, Copy)]
struct Dirty {
    since: Instant,
    /// The number of its latest removal.
    last: u64,
}

impl Removals {
    /// Reads the list of the store in `root`. A damaged one says of every segment that it is to be copied: what it said is
    /// not known, and what was promised stays promised.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let mut list = Self {
            root: root.into(),
            dirty: BTreeMap::new(),
            unscrubbed: Arc::default(),
            untold: Vec::new(),
            made: 0,
            recent: VecDeque::new(),
            failed: BTreeMap::new(),
            changed: false,
        };
        let bytes = match fs::read(root.join(FILE)) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(list),
            Err(error) => return Err(error),
        };
        let Some((dirty, untold)) = parse(&bytes) else {
            tracing::error!(
                "the list of segments to rewrite is damaged: every segment is rewritten, so that no byte of a removed event stays"
            );
            let names = fs::read_dir(root.join("seg"))?;
            let names = names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
            list.mark(names.filter_map(|name| super::segment::parse_dir_name(&name)));
            list.changed = true;
            return Ok(list);
        };
        list.mark(dirty);
        list.untold = untold;
        Ok(list)
    }

    fn mark(&mut self, names: impl IntoIterator<Item = Name>) {
        let since = Instant::now();
        self.dirty.extend(names.into_iter().map(|name| (name, Dirty { since, last: 0 })));
        self.count();
    }

    fn count(&self) {
        self.unscrubbed.store(self.dirty.len() as u64, Ordering::Relaxed);
    }

    /// How many segments are to be copied: for those who must not wait for this list's lock, which is held while the disk is
    /// written.
    pub(super) fn unscrubbed(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.unscrubbed)
    }

    /// Notes, durably, that an event of `segment` is about to be taken back.
    ///
    /// # Errors
    /// When it cannot be written, and nothing was noted.
    pub(super) fn begin(&mut self, segment: &Segment, topic: TopicKey, seq: Seq) -> io::Result<()> {
        if self.untold.len() >= MAX_UNTOLD && !self.untold.contains(&(topic, seq)) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let (dirty, untold) = (self.dirty.clone(), self.untold.clone());
        let number = self.made + 1;
        let place = self.dirty.entry(segment.name()).or_insert(Dirty { since: Instant::now(), last: 0 });
        place.last = number;
        if !self.untold.contains(&(topic, seq)) {
            self.untold.push((topic, seq));
        }
        let saved = self.save().inspect_err(|_| (self.dirty, self.untold) = (dirty, untold));
        self.count();
        saved?;
        self.made = number;
        if self.recent.len() == RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((self.made, topic, seq));
        Ok(())
    }

    /// A removal that [`begin`](Self::begin) noted failed when its tombstone may have been in place: an event of so many bytes.
    pub(super) fn failed(&mut self, topic: TopicKey, seq: Seq, bytes: u64) {
        self.failed.insert((topic, seq), bytes);
    }

    /// Whether the last try failed so.
    pub(super) fn has_failed(&self, topic: TopicKey, seq: Seq) -> bool {
        self.failed.contains_key(&(topic, seq))
    }

    /// The same, and how many bytes of data the event had; it is about to be tried again.
    pub(super) fn failed_before(&mut self, topic: TopicKey, seq: Seq) -> Option<u64> {
        self.failed.remove(&(topic, seq))
    }

    /// What was taken back after the first `made` removals; `None` when that is not remembered.
    pub(super) fn since(&self, made: u64) -> Option<Vec<(TopicKey, Seq)>> {
        let late = self.recent.iter().filter(|(number, ..)| *number > made).map(|&(_, topic, seq)| (topic, seq));
        let late: Vec<_> = late.collect();
        (late.len() as u64 == self.made - made).then_some(late)
    }

    /// Notes, durably, that a segment's files are about to hold bytes of removed events.
    ///
    /// # Errors
    /// When it cannot be written, and nothing was noted.
    pub(super) fn note(&mut self, name: Name) -> io::Result<()> {
        self.mark([name]);
        self.save().inspect_err(|_| {
            self.dirty.remove(&name);
            self.count();
        })
    }

    /// Nobody needs to be told of it any more. Written with the next change.
    pub(super) fn told(&mut self, topic: TopicKey, seq: Seq) {
        let before = self.untold.len();
        self.untold.retain(|untold| *untold != (topic, seq));
        self.failed.remove(&(topic, seq));
        self.changed |= self.untold.len() != before;
    }

    /// Removals that may be half done.
    pub(super) fn untold(&self) -> &[(TopicKey, Seq)] {
        &self.untold
    }

    /// Whether the segment's files hold bytes of removed events.
    pub(super) fn is_dirty(&self, name: Name) -> bool {
        self.dirty.contains_key(&name)
    }

    /// Segments to be copied.
    pub(super) fn dirty(&self) -> impl Iterator<Item = (Name, Instant)> + '_ {
        self.dirty.iter().map(|(name, dirty)| (*name, dirty.since))
    }

    /// Removals so far: see [`Removals::touched`].
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// Whether an event of one of `segments` was taken back after the first `made` removals.
    pub(super) fn touched(&self, segments: &[Arc<Segment>], made: u64) -> bool {
        segments.iter().any(|segment| self.dirty.get(&segment.name()).is_some_and(|dirty| dirty.last > made))
    }

    /// Lets go of segments whose directory is gone, and writes what has changed.
    ///
    /// # Errors
    /// When it cannot be written; it is tried again.
    pub(super) fn settle(&mut self) -> io::Result<()> {
        let seg = self.root.join("seg");
        fs::metadata(&seg)?; // a disk that is away has no directories, and takes no bytes with it
        let before = self.dirty.len();
        // What cannot be looked at counts as there.
        let is_there = |name: &str| seg.join(name).try_exists().unwrap_or(true);
        self.dirty.retain(|(first, generation), _| {
            let name = dir_name(*first, *generation);
            is_there(&name) || is_there(&(name + HALF))
        });
        self.changed |= self.dirty.len() != before;
        self.count();
        if self.changed { self.save() } else { Ok(()) }
    }

    fn save(&mut self) -> io::Result<()> {
        let mut bytes = vec![VERSION];
        put_number(&mut bytes, self.dirty.len() as u64);
        for (first, generation) in self.dirty.keys() {
            put_number(&mut bytes, first.0);
            put_number(&mut bytes, (*generation).into());
        }
        put_number(&mut bytes, self.untold.len() as u64);
        for (topic, seq) in &self.untold {
            put_number(&mut bytes, topic.0);
            put_number(&mut bytes, seq.0);
        }
        seal(&mut bytes, SALT);
        disk::write_whole(&self.root.join(FILE), &bytes)?;
        self.changed = false;
        Ok(())
    }
}

/// What the file lists.
type RemovalsRead = (Vec<Name>, Vec<(TopicKey, Seq)>);

fn parse(bytes: &[u8]) -> Option<RemovalsRead> {
    let mut take = Take::new(unseal(bytes, SALT)?);
    if take.byte()? != VERSION {
        return None;
    }
    let count = take.number()?;
    let dirty =
        (0..count).map(|_| Some((Seq(take.number()?), take.number()?.try_into().ok()?))).collect::<Option<_>>()?;
    let count = take.number()?;
    let untold = (0..count).map(|_| Some((TopicKey(take.number()?), Seq(take.number()?)))).collect::<Option<_>>()?;
    Some((dirty, untold))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(root: &Path, first: u64, generation: u32) -> Arc<Segment> {
        let segment = Segment::new(root, Seq(first), generation);
        fs::create_dir_all(&segment.dir).expect("made");
        Arc::new(segment)
    }

    #[test]
    fn what_is_to_be_done_survives_and_ends_with_the_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, two) = (segment(dir.path(), 1, 0), segment(dir.path(), 9, 3));
        let mut list = Removals::open(dir.path()).expect("none");
        list.begin(&one, TopicKey(1), Seq(4)).expect("written");
        let made = list.made();
        list.begin(&two, TopicKey(2), Seq(11)).expect("written");
        assert!(list.touched(&[Arc::clone(&one), Arc::clone(&two)], made) && !list.touched(&[Arc::clone(&one)], made));
        list.told(TopicKey(1), Seq(4));
        fs::remove_dir(&one.dir).expect("removed");
        list.settle().expect("written");
        let read = Removals::open(dir.path()).expect("read");
        assert_eq!(read.untold(), [(TopicKey(2), Seq(11))]);
        assert!(read.is_dirty((Seq(9), 3)) && !read.is_dirty((Seq(1), 0)));
    }

    #[test]
    fn a_disk_that_is_away_ends_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let one = segment(dir.path(), 1, 0);
        let mut list = Removals::open(dir.path()).expect("none");
        list.begin(&one, TopicKey(1), Seq(4)).expect("written");
        let (seg, away) = (dir.path().join("seg"), dir.path().join("away"));
        fs::rename(&seg, &away).expect("away");
        assert!(list.settle().is_err());
        fs::rename(&away, &seg).expect("back");
        list.settle().expect("written");
        assert!(list.is_dirty(one.name()));
    }

    #[test]
    fn a_damaged_list_has_every_segment_rewritten() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, two) = (segment(dir.path(), 1, 0), segment(dir.path(), 9, 3));
        Removals::open(dir.path()).expect("none").begin(&one, TopicKey(1), Seq(4)).expect("written");
        let path = dir.path().join(FILE);
        let mut bytes = fs::read(&path).expect("there");
        bytes[2] ^= 1;
        fs::write(&path, bytes).expect("written");
        let read = Removals::open(dir.path()).expect("read");
        assert!(read.is_dirty(one.name()) && read.is_dirty(two.name()));
    }

    #[test]
    fn a_copier_learns_what_was_taken_back_behind_it_or_that_nobody_knows() {
        let dir = tempfile::tempdir().expect("a directory");
        let one = segment(dir.path(), 1, 0);
        let mut list = Removals::open(dir.path()).expect("none");
        (1..4).for_each(|seq| list.begin(&one, TopicKey(1), Seq(seq)).expect("written"));
        assert_eq!(list.since(1), Some(vec![(TopicKey(1), Seq(2)), (TopicKey(1), Seq(3))]));
        assert_eq!(list.since(3), Some(vec![]));
        list.recent = std::iter::repeat_n((3, TopicKey(1), Seq(3)), RECENT).collect();
        list.begin(&one, TopicKey(1), Seq(4)).expect("written");
        assert_eq!((list.recent.len(), list.since(0)), (RECENT, None));
    }

    #[test]
    fn no_more_wait_for_their_notice_than_the_bound() {
        let dir = tempfile::tempdir().expect("a directory");
        let one = segment(dir.path(), 1, 0);
        let mut list = Removals::open(dir.path()).expect("none");
        list.untold = (0..MAX_UNTOLD as u64).map(|seq| (TopicKey(1), Seq(seq))).collect();
        assert!(list.begin(&one, TopicKey(1), Seq(9999)).is_err());
        assert!(list.begin(&one, TopicKey(1), Seq(7)).is_ok(), "again");
    }
}
