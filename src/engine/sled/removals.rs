//! The list of segments whose files still hold bytes of removed events ("dirty" segments), and of removals that a crash
//! may have left unfinished. Kept in the file `removals`, which is written before the first byte of a removal.
//!
//! A tombstone replaces the event's block, so readers no longer see the event; but sled's log keeps the old bytes until
//! the segment is copied ([`scrub`](super::scrub)). A segment leaves the list only when its directory is gone, so after
//! a crash at any moment the next start continues.
//!
//! The file, version 1, numbers as varints:
//!
//! ```text
//! version u8 | segments | each: first id, generation | removals | each: topic key, id | CRC-32
//! ```

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::event::Seq;

use super::super::log::store::TopicKey;
use super::disk;
use super::segment::{INCOMPLETE_SUFFIX, Segment, dir_name};
use super::wire::{ByteReader, put_number, seal, unseal};

/// Name of the file.
const FILE: &str = "removals";
const VERSION: u8 = 1;
const SALT: &[u8] = b"removals";

/// Maximum number of removals whose notice is not yet published. Each removal is answered before the next begins, so
/// there is more than one only while a full disk refuses the notices; beyond the maximum, removals are refused.
const MAX_PENDING_NOTICES: usize = 1024;

/// Removals remembered for a copy in progress: more than are made during one, except on the fastest disks. A copy that
/// missed more is discarded.
const MAX_RECENT: usize = 16 << 10;

/// First position and generation, which name a segment's directory.
type Name = (Seq, u32);

/// The list, in memory and on disk.
#[derive(Debug)]
pub(super) struct Removals {
    root: PathBuf,
    dirty: BTreeMap<Name, DirtySegment>,
    /// The number of dirty segments.
    unscrubbed: Arc<AtomicU64>,
    /// Removals whose notice is not yet published.
    pending_notices: Vec<(TopicKey, Seq)>,
    /// Number of removals in this process.
    made: u64,
    /// The latest removals, each with its number.
    recent: VecDeque<(u64, TopicKey, Seq)>,
    /// Removals whose tombstone may or may not be in place, with the size of each event's data in bytes. Each is in
    /// `pending_notices`, too.
    failed: BTreeMap<(TopicKey, Seq), u64>,
    /// The list differs from the file.
    changed: bool,
}

/// When a segment became dirty, and the latest removal from it.
#[derive(Debug, Clone, Copy)]
struct DirtySegment {
    since: Instant,
    /// The number of its latest removal.
    last: u64,
}

impl Removals {
    /// Reads the list of the store in `root`. When the file is damaged, every segment counts as dirty: the list is
    /// unknown, and no byte of a removed event may stay.
    pub(super) fn open(root: &Path) -> io::Result<Self> {
        let mut list = Self {
            root: root.into(),
            dirty: BTreeMap::new(),
            unscrubbed: Arc::default(),
            pending_notices: Vec::new(),
            made: 0,
            recent: VecDeque::new(),
            failed: BTreeMap::new(),
            changed: false,
        };
        let (dirty, pending_notices) = match read(root)? {
            RemovalsRead::Missing => return Ok(list),
            RemovalsRead::Intact(dirty, pending_notices) => (dirty, pending_notices),
            RemovalsRead::Damaged => {
                list.add_every_segment()?;
                return Ok(list);
            }
        };
        list.add_dirty(dirty);
        list.pending_notices = pending_notices;
        Ok(list)
    }

    /// Writes the list of a restored store in `root`: its removals whose notice may be missing, each with its segment.
    pub(super) fn create(root: &Path, removals: &[(Name, TopicKey, Seq)]) -> io::Result<()> {
        if removals.is_empty() {
            return Ok(());
        }
        let mut list = Self::open(root)?;
        list.add_dirty(removals.iter().map(|(name, ..)| *name));
        let pending: BTreeSet<_> = removals.iter().map(|&(_, topic, seq)| (topic, seq)).collect();
        list.pending_notices = pending.into_iter().collect();
        list.save()
    }

    /// Has every segment rewritten, because it is not known which ones must be.
    fn add_every_segment(&mut self) -> io::Result<()> {
        tracing::error!(
            "the list of segments to rewrite is damaged: every segment is rewritten, so that no byte of a removed event \
             stays"
        );
        let names = fs::read_dir(self.root.join("seg"))?;
        let names = names.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
        self.add_dirty(names.filter_map(|name| super::segment::parse_dir_name(&name)));
        self.changed = true;
        Ok(())
    }

    fn add_dirty(&mut self, names: impl IntoIterator<Item = Name>) {
        let since = Instant::now();
        self.dirty.extend(names.into_iter().map(|name| (name, DirtySegment { since, last: 0 })));
        self.update_unscrubbed();
    }

    fn update_unscrubbed(&self) {
        self.unscrubbed.store(self.dirty.len() as u64, Ordering::Relaxed);
    }

    /// The number of dirty segments, for callers that must not wait for this list's lock: it is held during disk
    /// writes.
    pub(super) fn unscrubbed(&self) -> Arc<AtomicU64> {
        Arc::clone(&self.unscrubbed)
    }

    /// Records durably that an event of `segment` is about to be removed.
    ///
    /// # Errors
    /// When the file cannot be written, or too many notices are pending. Nothing has changed then.
    pub(super) fn begin(&mut self, segment: &Segment, topic: TopicKey, seq: Seq) -> io::Result<()> {
        if self.pending_notices.len() >= MAX_PENDING_NOTICES && !self.pending_notices.contains(&(topic, seq)) {
            return Err(io::ErrorKind::QuotaExceeded.into());
        }
        let (dirty, pending_notices) = (self.dirty.clone(), self.pending_notices.clone());
        let number = self.made + 1;
        let entry = self.dirty.entry(segment.name()).or_insert(DirtySegment { since: Instant::now(), last: 0 });
        entry.last = number;
        if !self.pending_notices.contains(&(topic, seq)) {
            self.pending_notices.push((topic, seq));
        }
        let saved = self.save().inspect_err(|_| (self.dirty, self.pending_notices) = (dirty, pending_notices));
        self.update_unscrubbed();
        saved?;
        self.made = number;
        if self.recent.len() == MAX_RECENT {
            self.recent.pop_front();
        }
        self.recent.push_back((self.made, topic, seq));
        Ok(())
    }

    /// Records that a removal failed after its tombstone may have been inserted. `bytes`: the size of the event's data.
    pub(super) fn add_failed(&mut self, topic: TopicKey, seq: Seq, bytes: u64) {
        self.failed.insert((topic, seq), bytes);
    }

    /// Whether the last attempt to remove this event failed in that way.
    pub(super) fn has_failed(&self, topic: TopicKey, seq: Seq) -> bool {
        self.failed.contains_key(&(topic, seq))
    }

    /// Takes the record of a failed removal, which is about to be retried: the size of the event's data in bytes.
    pub(super) fn take_failed(&mut self, topic: TopicKey, seq: Seq) -> Option<u64> {
        self.failed.remove(&(topic, seq))
    }

    /// The removals after the first `made` ones; `None` when not all of them are remembered.
    pub(super) fn removed_since(&self, made: u64) -> Option<Vec<(TopicKey, Seq)>> {
        let late = self.recent.iter().filter(|(number, ..)| *number > made).map(|&(_, topic, seq)| (topic, seq));
        let late: Vec<_> = late.collect();
        (late.len() as u64 == self.made - made).then_some(late)
    }

    /// Records durably that a segment's files are about to hold bytes of removed events.
    ///
    /// # Errors
    /// When the file cannot be written. Nothing has changed then.
    pub(super) fn mark_dirty(&mut self, name: Name) -> io::Result<()> {
        self.add_dirty([name]);
        self.save().inspect_err(|_| {
            self.dirty.remove(&name);
            self.update_unscrubbed();
        })
    }

    /// Records that the notice of a removal was published. Written to disk with the next change.
    pub(super) fn notice_published(&mut self, topic: TopicKey, seq: Seq) {
        let before = self.pending_notices.len();
        self.pending_notices.retain(|pending| *pending != (topic, seq));
        self.failed.remove(&(topic, seq));
        self.changed |= self.pending_notices.len() != before;
    }

    /// Removals that may be unfinished, because their notice is not known to be published.
    pub(super) fn pending_notices(&self) -> &[(TopicKey, Seq)] {
        &self.pending_notices
    }

    /// Whether the segment's files hold bytes of removed events.
    pub(super) fn is_dirty(&self, name: Name) -> bool {
        self.dirty.contains_key(&name)
    }

    /// Dirty segments, and when each became one.
    pub(super) fn dirty(&self) -> impl Iterator<Item = (Name, Instant)> + '_ {
        self.dirty.iter().map(|(name, dirty)| (*name, dirty.since))
    }

    /// The number of removals so far, for [`removed_from`](Self::removed_from) and
    /// [`removed_since`](Self::removed_since).
    pub(super) fn made(&self) -> u64 {
        self.made
    }

    /// Whether an event of one of `segments` was removed after the first `made` removals.
    pub(super) fn removed_from(&self, segments: &[Arc<Segment>], made: u64) -> bool {
        segments.iter().any(|segment| self.dirty.get(&segment.name()).is_some_and(|dirty| dirty.last > made))
    }

    /// Drops segments whose directory is gone from the list, and saves changes.
    ///
    /// # Errors
    /// When the list cannot be written. The next call tries again.
    pub(super) fn prune(&mut self) -> io::Result<()> {
        let seg = self.root.join("seg");
        fs::metadata(&seg)?; // on an unmounted disk every directory is missing, and none is removed
        let before = self.dirty.len();
        // A directory whose existence is unknown counts as existing.
        let exists = |name: &str| seg.join(name).try_exists().unwrap_or(true);
        self.dirty.retain(|(first, generation), _| {
            let name = dir_name(*first, *generation);
            exists(&name) || exists(&(name + INCOMPLETE_SUFFIX))
        });
        self.changed |= self.dirty.len() != before;
        self.update_unscrubbed();
        if self.changed { self.save() } else { Ok(()) }
    }

    fn save(&mut self) -> io::Result<()> {
        let mut bytes = vec![VERSION];
        put_number(&mut bytes, self.dirty.len() as u64);
        for (first, generation) in self.dirty.keys() {
            put_number(&mut bytes, first.0);
            put_number(&mut bytes, (*generation).into());
        }
        put_number(&mut bytes, self.pending_notices.len() as u64);
        for (topic, seq) in &self.pending_notices {
            put_number(&mut bytes, topic.0);
            put_number(&mut bytes, seq.0);
        }
        seal(&mut bytes, SALT);
        disk::write_whole(&self.root.join(FILE), &bytes)?;
        self.changed = false;
        Ok(())
    }
}

/// The result of reading the file.
#[derive(Debug)]
pub(super) enum RemovalsRead {
    /// There is no file.
    Missing,
    /// The dirty segments, and the removals whose notice is pending.
    Intact(Vec<Name>, Vec<(TopicKey, Seq)>),
    /// The file is damaged.
    Damaged,
}

/// Reads the file of the store in `root`.
///
/// # Errors
/// When the system refuses the read, which is no sign of damage.
pub(super) fn read(root: &Path) -> io::Result<RemovalsRead> {
    match fs::read(root.join(FILE)) {
        Ok(bytes) => Ok(parse(&bytes).unwrap_or(RemovalsRead::Damaged)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(RemovalsRead::Missing),
        Err(error) => Err(error),
    }
}

fn parse(bytes: &[u8]) -> Option<RemovalsRead> {
    let mut take = ByteReader::new(unseal(bytes, SALT)?);
    if take.byte()? != VERSION {
        return None;
    }
    let count = take.number()?;
    let dirty =
        (0..count).map(|_| Some((Seq(take.number()?), take.number()?.try_into().ok()?))).collect::<Option<_>>()?;
    let count = take.number()?;
    let pending_notices =
        (0..count).map(|_| Some((TopicKey(take.number()?), Seq(take.number()?)))).collect::<Option<_>>()?;
    Some(RemovalsRead::Intact(dirty, pending_notices))
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
    fn pending_work_survives_a_restart_and_ends_with_the_directory() {
        let dir = tempfile::tempdir().expect("a directory");
        let (one, two) = (segment(dir.path(), 1, 0), segment(dir.path(), 9, 3));
        let mut list = Removals::open(dir.path()).expect("none");
        list.begin(&one, TopicKey(1), Seq(4)).expect("written");
        let made = list.made();
        list.begin(&two, TopicKey(2), Seq(11)).expect("written");
        assert!(
            list.removed_from(&[Arc::clone(&one), Arc::clone(&two)], made)
                && !list.removed_from(&[Arc::clone(&one)], made)
        );
        list.notice_published(TopicKey(1), Seq(4));
        fs::remove_dir(&one.dir).expect("removed");
        list.prune().expect("written");
        let read = Removals::open(dir.path()).expect("read");
        assert_eq!(read.pending_notices(), [(TopicKey(2), Seq(11))]);
        assert!(read.is_dirty((Seq(9), 3)) && !read.is_dirty((Seq(1), 0)));
    }

    #[test]
    fn an_unmounted_disk_removes_nothing_from_the_list() {
        let dir = tempfile::tempdir().expect("a directory");
        let one = segment(dir.path(), 1, 0);
        let mut list = Removals::open(dir.path()).expect("none");
        list.begin(&one, TopicKey(1), Seq(4)).expect("written");
        let (seg, away) = (dir.path().join("seg"), dir.path().join("away"));
        fs::rename(&seg, &away).expect("away");
        assert!(list.prune().is_err());
        fs::rename(&away, &seg).expect("back");
        list.prune().expect("written");
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
    fn a_copier_learns_which_events_were_removed_meanwhile_or_that_it_is_unknown() {
        let dir = tempfile::tempdir().expect("a directory");
        let one = segment(dir.path(), 1, 0);
        let mut list = Removals::open(dir.path()).expect("none");
        (1..4).for_each(|seq| list.begin(&one, TopicKey(1), Seq(seq)).expect("written"));
        assert_eq!(list.removed_since(1), Some(vec![(TopicKey(1), Seq(2)), (TopicKey(1), Seq(3))]));
        assert_eq!(list.removed_since(3), Some(vec![]));
        list.recent = std::iter::repeat_n((3, TopicKey(1), Seq(3)), MAX_RECENT).collect();
        list.begin(&one, TopicKey(1), Seq(4)).expect("written");
        assert_eq!((list.recent.len(), list.removed_since(0)), (MAX_RECENT, None));
    }

    #[test]
    fn no_more_notices_are_pending_than_the_bound() {
        let dir = tempfile::tempdir().expect("a directory");
        let one = segment(dir.path(), 1, 0);
        let mut list = Removals::open(dir.path()).expect("none");
        list.pending_notices = (0..MAX_PENDING_NOTICES as u64).map(|seq| (TopicKey(1), Seq(seq))).collect();
        assert!(list.begin(&one, TopicKey(1), Seq(9999)).is_err());
        assert!(list.begin(&one, TopicKey(1), Seq(7)).is_ok(), "again");
    }
}
