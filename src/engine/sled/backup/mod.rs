//! A backup of a store that is open: its records in parts, one for each segment, and one for the rest.
//!
//! | module | idea |
//! |---|---|
//! | this file | the order of a backup: segments, what was removed meanwhile, the state |
//! | `reader` | one segment, in slices |
//! | `record` | the encoding of records |
//! | `check` | whether the records of a part fit together |
//!
//! Everything up to the head at the start is in it. Segments are read as readers read them, so commits, retention and
//! removals go on; what replaces a segment meanwhile is read in its place. The state is read last: a topic that is
//! deleted meanwhile may have lost some of its segments already, and its mark says that the rest is to be ignored.
//!
//! A part has all that its segment has, trimmed events included, until their space is reclaimed. So a backup is what the
//! hub would find at its next start, and the same segment is the same part however much of it is trimmed.

use std::collections::BTreeMap;
use std::ops::{ControlFlow, RangeInclusive};
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::digest::{Context, SHA256};
use bytes::Bytes;

use super::super::log::store::{Liveness, StoreError, TopicKey};
use super::clock;
use super::database::DatabaseError;
use super::guard::guarded;
use super::keys::FORMAT;
use super::restores;
use super::segment::{Segment, Unusable};
use super::shared::StoreShared;
use super::summary::{Summary, SummaryContents};
use crate::engine::{BackupItem, BackupRequest, PartDigest, PartFacts, PartKind};
use crate::event::{Epoch, EventId, Millis, Seq};

mod check;
mod reader;
mod record;

pub use check::{PartCheck, PartContents};
pub use record::{RecordError, StateFacts};

pub(super) use record::{BackupRecord, RecordTable, put, put_facts};

use reader::{SLICE_BYTES, SegmentReader};

/// How often a segment is read again because it was replaced meanwhile, and how often the parts from which events were
/// removed meanwhile are sent again.
const MAX_RETRIES: usize = 100;

/// Longest pause between two slices. A slice that has waited for the disk for longer has left it to others meanwhile.
const MAX_PAUSE: Duration = Duration::from_millis(50);

/// Records of settings read at a time.
const SETTINGS_AT_A_TIME: usize = 1024;

/// Passes a backup of everything up to the present head to `send`, until that breaks. Blocks.
///
/// # Errors
/// When the store cannot be read now.
pub(super) fn run(
    store: &StoreShared,
    request: &BackupRequest,
    live: &dyn Liveness,
    send: &mut dyn FnMut(BackupItem) -> ControlFlow<()>,
) -> Result<(), StoreError> {
    let removals_before = store.removals.lock().made();
    let head = store.head();
    let epoch = store.watermark.lock().state.epoch;
    let undone = restores::text(&restores::undone(&store.config.dir));
    let mut backup = Backup { store, request, live, send, epoch, undone, parts: BTreeMap::new(), number: 0 };
    match backup.run(head, removals_before) {
        Ok(()) | Err(Interrupted::Stopped) => Ok(()),
        Err(Interrupted::Store(error)) => Err(error),
    }
}

/// Why a backup has ended.
enum Interrupted {
    /// Nobody takes the items any more.
    Stopped,
    Store(StoreError),
}

impl From<StoreError> for Interrupted {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// Why a part is not complete.
enum Unread {
    /// The segment was replaced or removed: the list is read again.
    Replaced,
    Failed(DatabaseError),
    Ended(Interrupted),
}

/// A backup in progress.
struct Backup<'a> {
    store: &'a StoreShared,
    request: &'a BackupRequest,
    live: &'a dyn Liveness,
    send: &'a mut dyn FnMut(BackupItem) -> ControlFlow<()>,
    epoch: Epoch,
    /// The restores that the store has behind it, as their file has them.
    undone: String,
    /// The range of each valid part of events, by number.
    parts: BTreeMap<u64, RangeInclusive<Seq>>,
    /// The number of the next part.
    number: u64,
}

impl Backup<'_> {
    fn run(&mut self, head: Seq, removals_before: u64) -> Result<(), Interrupted> {
        let head_id = EventId { epoch: self.epoch, seq: head };
        self.send(BackupItem::Begin { head: head_id, format: FORMAT, bytes: self.weight() })?;
        self.range(Seq::ZERO, head)?;
        let removed = self.without_removed(removals_before, head)?;
        self.state(head, &removed)?;
        let parts = self.parts.len() as u64 + 1;
        self.send(BackupItem::End(parts))
    }

    fn send(&mut self, item: BackupItem) -> Result<(), Interrupted> {
        if (self.send)(item).is_break() { Err(Interrupted::Stopped) } else { Ok(()) }
    }

    /// The bytes of all blocks.
    fn weight(&self) -> u64 {
        let weight = |segment: &Arc<Segment>| segment.summary().map(|summary| summary.span.weight);
        let sealed: u64 = self.store.segments.list().iter().filter_map(weight).sum();
        let active = self.store.writer.lock().as_ref().map_or(0, |writer| writer.tally.span.weight);
        sealed + active
    }

    /// Sends the positions `after < seq <= through`, a part for each segment.
    fn range(&mut self, after: Seq, through: Seq) -> Result<(), Interrupted> {
        let (mut at, mut retries) = (after, 0);
        while at < through {
            let list = self.store.segments.between(at, through);
            // The list of a closed store is empty.
            self.store.check_readable()?;
            // A segment that is not sealed yet does not tell its end, but the next one its beginning.
            let end = |index: usize| list.get(index + 1).map_or(through, |next| Seq(next.first.0 - 1).min(through));
            let next = (0..list.len()).map(|index| (index, end(index))).find(|(_, end)| *end > at);
            let Some((index, end)) = next else { return Ok(()) };
            let segment = Arc::clone(&list[index]);
            match self.segment(&segment, at, end) {
                Ok(reached) => (at, retries) = (reached, 0),
                Err(Unread::Ended(ended)) => return Err(ended),
                Err(Unread::Failed(failure)) => {
                    self.send(BackupItem::PartVoid)?;
                    // Moves a damaged segment to quarantine, and records the loss.
                    self.store.unreadable(&segment, &failure)?;
                }
                Err(Unread::Replaced) if retries < MAX_RETRIES => {
                    retries += 1;
                    self.send(BackupItem::PartVoid)?;
                }
                Err(Unread::Replaced) => return Err(busy()),
            }
        }
        Ok(())
    }

    /// Sends what `segment` has of the positions `after < seq <= through`. Returns the last one that it covers.
    fn segment(&mut self, segment: &Arc<Segment>, after: Seq, through: Seq) -> Result<Seq, Unread> {
        let before = Seq(segment.first.0.saturating_sub(1));
        let sealed = segment.summary().map(|summary| summary.span);
        let facts = PartFacts {
            kind: PartKind::Events,
            number: self.number,
            after: after.max(before),
            through: sealed.map_or(through, |span| span.head.min(through)),
            newest: sealed.map_or(Millis(0), |span| span.newest),
            digest: None,
        };
        let whole = sealed.is_some_and(|span| span.head <= through) && after <= before;
        let digest = if whole { self.digest(segment) } else { None };
        let facts = PartFacts { digest, ..facts };
        if digest.is_some_and(|digest| self.request.have.contains(&digest)) {
            self.send(BackupItem::Kept(facts)).map_err(Unread::Ended)?;
        } else {
            self.records(segment, facts)?;
        }
        self.parts.insert(self.number, facts.after.next()..=facts.through);
        self.number += 1;
        Ok(facts.through)
    }

    fn records(&mut self, segment: &Arc<Segment>, facts: PartFacts) -> Result<(), Unread> {
        let store = self.store;
        let mut reader = SegmentReader::new(store, self.live, (facts.after, facts.through));
        let ended = (self.send)(BackupItem::Part(facts)).is_break();
        let mut read = || {
            while !reader.is_over() {
                let (begun, mut slice) = (Instant::now(), Vec::with_capacity(SLICE_BYTES + SLICE_BYTES / 4));
                let tables = match store.tables(segment) {
                    Ok(tables) => tables,
                    Err(Unusable::Retired) => return Err(Unread::Replaced),
                    Err(Unusable::Failed(failure)) => return Err(Unread::Failed(failure)),
                };
                let sliced = guarded(|| reader.slice(&tables, &mut slice)).map_err(DatabaseError::from_panic);
                sliced.and_then(|sliced| Ok(sliced?)).map_err(Unread::Failed)?;
                drop(tables);
                let took = begun.elapsed();
                if !slice.is_empty() && (self.send)(BackupItem::Records(Bytes::from(slice))).is_break() {
                    return Err(Unread::Ended(Interrupted::Stopped));
                }
                // Half of the time at most: the rest is for publishers and readers.
                std::thread::sleep(took.min(MAX_PAUSE));
            }
            Ok(BackupItem::PartEnd { records: reader.records, events: reader.events })
        };
        let end = if ended { Err(Unread::Ended(Interrupted::Stopped)) } else { read() };
        self.send(end?).map_err(Unread::Ended)
    }

    /// The identity of a sealed segment's part; `None` while the segment holds bytes of removed events, or its summary cannot
    /// be read: then it is sent.
    fn digest(&self, segment: &Arc<Segment>) -> Option<PartDigest> {
        if self.store.removals.lock().is_dirty(segment.name()) {
            return None;
        }
        let (_, whole) = Summary::open(&segment.dir, segment.first).ok()??;
        Some(self.digest_of(segment, &whole))
    }

    /// The identity of a segment's part: of its summary, which tells every topic's first and last event, its events and
    /// bytes, and of the topics that are deleted. An event's removal changes neither, but the generation, once its bytes are
    /// gone. A restore begins with new generations, so the restores are in it, too.
    fn digest_of(&self, segment: &Segment, whole: &SummaryContents) -> PartDigest {
        let mut hash = Context::new(&SHA256);
        hash.update(b"gapless part 2");
        hash.update(self.epoch.to_string().as_bytes());
        hash.update(self.undone.as_bytes());
        hash.update(&segment.first.0.to_be_bytes());
        hash.update(&segment.generation.to_be_bytes());
        hash.update(whole.bytes());
        for topic in whole.topics().filter(|topic| self.live.first_kept(topic.summary.key).is_none()) {
            hash.update(&topic.summary.key.0.to_be_bytes());
        }
        PartDigest(hash.finish().as_ref().try_into().expect("SHA-256 has 32 bytes"))
    }

    /// Sends the parts again from which events were removed since the removal of number `made`, and returns those events.
    fn without_removed(&mut self, made: u64, head: Seq) -> Result<Vec<(TopicKey, Seq)>, Interrupted> {
        let (mut seen, mut all) = (made, Vec::new());
        for _ in 0..MAX_RETRIES {
            let (late, now) = {
                let removals = self.store.removals.lock();
                (removals.removed_since(seen), removals.made())
            };
            let late = late.ok_or_else(busy)?;
            if late.is_empty() {
                return Ok(all);
            }
            seen = now;
            let holds = |range: &RangeInclusive<Seq>| late.iter().any(|(_, seq)| range.contains(seq));
            let void: Vec<_> =
                self.parts.iter().filter(|(_, range)| holds(range)).map(|(at, range)| (*at, range.clone())).collect();
            all.extend(late.into_iter().filter(|(_, seq)| *seq <= head));
            for (number, range) in void {
                self.send(BackupItem::Void(number))?;
                self.parts.remove(&number);
                self.range(Seq(range.start().0 - 1), *range.end())?;
            }
        }
        Err(busy())
    }

    /// Sends the part with the state. `removed`: removals whose notice may be after the head.
    fn state(&mut self, head: Seq, removed: &[(TopicKey, Seq)]) -> Result<(), Interrupted> {
        let facts = PartFacts {
            kind: PartKind::State,
            number: self.number,
            after: Seq::ZERO,
            through: head,
            newest: Millis(self.store.newest_time.load(std::sync::atomic::Ordering::Relaxed)),
            digest: None,
        };
        self.number += 1;
        self.send(BackupItem::Part(facts))?;
        let (mut records, mut after) = (0, Vec::new());
        loop {
            let after_name = after.clone();
            let settings =
                self.store.read_meta("reading settings", |meta| meta.records(&after_name, SETTINGS_AT_A_TIME));
            let settings = settings.ok_or_else(|| self.store.closed())?;
            let Some((last, _)) = settings.last() else { break };
            after.clone_from(last);
            let mut out = Vec::new();
            for (name, record) in &settings {
                record::put(&mut out, RecordTable::Settings, name, record);
                records += 1;
            }
            self.send(BackupItem::Records(out.into()))?;
        }
        let mut out = Vec::new();
        let pending = self.store.removals.lock().pending_notices().to_vec();
        for (topic, seq) in pending.iter().filter(|(_, seq)| *seq <= head).chain(removed) {
            let key = [topic.0.to_be_bytes(), seq.0.to_be_bytes()].concat();
            record::put(&mut out, RecordTable::Removal, &key, b"");
            records += 1;
        }
        let dir = &self.store.config.dir;
        record::put(&mut out, RecordTable::Clock, b"", clock::text(&clock::kept_clock(dir)).as_bytes());
        record::put(&mut out, RecordTable::Restores, b"", restores::text(&restores::undone(dir)).as_bytes());
        let state = self.store.watermark.lock().state.clone();
        let known = StateFacts {
            epoch: state.epoch,
            head,
            newest: facts.newest,
            losses: state.losses,
            lost: state.lost.into_iter().filter(|(first, _)| *first <= head).collect(),
        };
        record::put_facts(&mut out, &known);
        self.send(BackupItem::Records(out.into()))?;
        self.send(BackupItem::PartEnd { records: records + 3, events: 0 })
    }
}

fn busy() -> Interrupted {
    let reason = "the store changed too often while the backup was made; make it again";
    Interrupted::Store(StoreError::NotNow(reason.into()))
}
