//! The encoding of a block: the events of one commit for one topic, with a checksum.
//!
//! Layout, version 1 (numbers are varints unless stated otherwise):
//!
//! ```text
//! version u8 | first id | id before it in the topic | events | time of the first
//! each event: flags u8 | [more flags u8] | id, above the one before | [time, above the first's] | [name] | [retry] |
//!             [metadata] | data
//! the traceparents of those events that have one, 25 bytes each, of the last one first
//! CRC-32 of the block's key and all of the above, big-endian
//! ```
//!
//! The traceparents are behind the entries, because a build that does not know them reads `events` entries and nothing
//! behind them: it has the same events, without their traceparents. They are in reverse order so that each is found from
//! the end without the others being counted first.
//!
//! Within a block each event's predecessor in the topic is the event before it, so only the first one is stored.

use std::{ops::Range, sync::Arc};

use bytes::Bytes;

use crate::event::{Data, Event, EventName, Metadata, Millis, NewEvent, Seq, TopicName, TraceParent};

use super::super::log::store::{EventHeader, StoredEvent, TopicKey};
use super::{
    keys,
    parts::{COUNT_BYTES, PART_BYTES},
    wire::{ByteReader, MAX_NUMBER_BYTES, put_bytes, put_number, seal_from, unseal},
};

const VERSION: u8 = 1;

/// Bytes at which a block is full. sled puts about 17 blocks in a page, and small pages keep its cache small (measured:
/// with pages of 64 KiB a full scan held 1.1 GB). A larger event has a block of its own.
pub(super) const TARGET_BYTES: usize = 4096;

// A block of several events fits one part, so a block of several parts holds exactly one event.
const _: () = assert!(2 * TARGET_BYTES <= PART_BYTES);

const HAS_TIME: u8 = 1;
const HAS_NAME: u8 = 2;
const HAS_RETRY: u8 = 4;
const CLOSES: u8 = 8;
/// A tombstone of a removed event, or the notice of a removal. The name is the hub's own, not a publisher's.
const REMOVED: u8 = 16;
/// The relay wrote it, as part of a run. A build that does not know the flag reads the event without it.
const OF_RUN: u8 = 32;
/// It has a traceparent, behind the entries. A build that does not know the flag reads the event without it.
const HAS_TRACEPARENT: u8 = 64;
/// A second byte of flags follows. Since format 3: a build that does not know it would misread the entry, and refuses the
/// store.
const MORE: u8 = 128;

// The second byte of flags.

/// The data is binary.
const BINARY: u8 = 1;
/// It has metadata, before its data.
const HAS_METADATA: u8 = 2;

/// Size of the smallest event: flags, id, length of data.
const MIN_ENTRY_BYTES: usize = 3;

/// Bytes reserved before the entries for the header, which is written last: the number of parts, the version and four
/// varints.
const HEAD_BYTES: usize = COUNT_BYTES + 1 + 4 * MAX_NUMBER_BYTES;

/// Builds blocks, one after the other, in a reused buffer.
#[derive(Debug)]
pub(super) struct Builder {
    topic: TopicKey,
    first: Seq,
    prev: Seq,
    time: Millis,
    last: Seq,
    count: u64,
    /// Room for the header, then the entries.
    bytes: Vec<u8>,
    /// In the order of their events.
    traceparents: Vec<TraceParent>,
}

impl Default for Builder {
    fn default() -> Self {
        let (zero, time) = (Seq::ZERO, Millis(0));
        let (bytes, traceparents) = (Vec::new(), Vec::new());
        Self { topic: TopicKey(0), first: zero, prev: zero, time, last: zero, count: 0, bytes, traceparents }
    }
}

impl Builder {
    /// Begins a block with this event. Discards the previous block.
    pub(super) fn begin(&mut self, topic: TopicKey, stored: &StoredEvent) {
        let mut bytes = std::mem::take(&mut self.bytes);
        bytes.clear();
        bytes.resize(HEAD_BYTES, 0);
        let mut traceparents = std::mem::take(&mut self.traceparents);
        traceparents.clear();
        let Event { seq, time, .. } = *stored.event;
        *self = Self { topic, first: seq, prev: stored.prev, time, last: seq, count: 0, bytes, traceparents };
        self.push(&stored.event);
    }

    /// Whether the event can be appended to this block.
    pub(super) fn accepts(&self, StoredEvent { prev, event }: &StoredEvent) -> bool {
        *prev == self.last
            && event.time >= self.time
            && self.entry_bytes() + event.new.payload_bytes() + MIN_ENTRY_BYTES <= TARGET_BYTES
    }

    /// Bytes of the entries so far, with their traceparents.
    fn entry_bytes(&self) -> usize {
        self.bytes.len() - HEAD_BYTES + self.traceparents.len() * TraceParent::BYTES
    }

    /// Appends an event for which [`accepts`](Self::accepts) is true.
    pub(super) fn push(&mut self, event: &Event) {
        let new = &event.new;
        let more = u8::from(new.data.is_binary()) * BINARY + u8::from(new.metadata.is_some()) * HAS_METADATA;
        let flags = [
            (event.time != self.time, HAS_TIME),
            (has_name(&new.name), HAS_NAME),
            (new.name.is_removed(), REMOVED),
            (new.retry.is_some(), HAS_RETRY),
            (new.close, CLOSES),
            (new.of_run, OF_RUN),
            (new.traceparent.is_some(), HAS_TRACEPARENT),
            (more != 0, MORE),
        ];
        let out = &mut self.bytes;
        out.push(flags.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum());
        if more != 0 {
            out.push(more);
        }
        put_number(out, event.seq.0 - self.last.0);
        if event.time != self.time {
            put_number(out, event.time.0 - self.time.0);
        }
        if has_name(&new.name) {
            put_bytes(out, new.name.as_str().as_bytes());
        }
        if let Some(retry) = new.retry {
            put_number(out, retry.into());
        }
        if let Some(metadata) = &new.metadata {
            put_bytes(out, metadata.bytes());
        }
        put_bytes(out, new.data.bytes());
        self.traceparents.extend(new.traceparent.as_deref());
        self.last = event.seq;
        self.count += 1;
    }

    /// Releases the memory that a large event took.
    pub(super) fn shrink(&mut self) {
        self.bytes.clear();
        self.bytes.shrink_to(HEAD_BYTES + 2 * TARGET_BYTES);
    }

    /// The block's key and its bytes, preceded by [`COUNT_BYTES`] for the number of parts. [`begin`](Self::begin) can
    /// be called again afterwards.
    pub(super) fn finish(&mut self) -> (keys::Stem, &mut [u8]) {
        let stem = keys::block(self.topic, self.first);
        let mut head = Vec::with_capacity(HEAD_BYTES);
        head.push(VERSION);
        for number in [self.first.0, self.prev.0, self.count, self.time.0] {
            put_number(&mut head, number);
        }
        let start = HEAD_BYTES - head.len();
        self.bytes[start..HEAD_BYTES].copy_from_slice(&head);
        for parent in self.traceparents.drain(..).rev() {
            self.bytes.extend_from_slice(&parent.bytes());
        }
        seal_from(&mut self.bytes, start, &stem);
        (stem, &mut self.bytes[start - COUNT_BYTES..])
    }
}

/// Whether the event name is stored as text.
fn has_name(name: &EventName) -> bool {
    !name.is_default() && !name.is_removed()
}

/// A block whose checksum was verified.
#[derive(Debug, Clone)]
pub(super) struct Block {
    bytes: Bytes,
    prev: Seq,
    first: Seq,
    count: u64,
    time: Millis,
    entries: usize,
    end: usize,
}

/// One event of a block. Its name, metadata and data are ranges of the block's bytes.
#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "the flags of the entry")]
pub(super) struct BlockEvent {
    pub(super) header: EventHeader,
    pub(super) closes: bool,
    /// A tombstone of a removed event, or the notice of a removal.
    pub(super) removed: bool,
    of_run: bool,
    traceparent: Option<Range<usize>>,
    name: Option<Range<usize>>,
    retry: Option<u32>,
    metadata: Option<Range<usize>>,
    binary: bool,
    data: Range<usize>,
}

impl Block {
    /// Verifies and parses the block stored under `topic` and `first`. `None` when it is damaged.
    pub(super) fn parse(topic: TopicKey, first: Seq, bytes: Bytes) -> Option<Self> {
        let body = unseal(&bytes, keys::block_part(topic, first, 0).split_last_chunk::<2>()?.0)?;
        let mut take = ByteReader::new(body);
        if take.byte()? != VERSION || take.number()? != first.0 {
            return None;
        }
        let (prev, count, time) = (Seq(take.number()?), take.number()?, Millis(take.number()?));
        let (entries, end) = (take.position(), body.len());
        Some(Self { bytes, prev, first, count, time, entries, end })
    }

    /// The events in order. A damaged entry is `None` and ends the iteration.
    pub(super) fn entries(&self) -> impl Iterator<Item = Option<BlockEvent>> + '_ {
        let mut take = ByteReader::new(&self.bytes[..self.end]);
        take.skip(self.entries);
        let (mut prev, mut seq) = (self.prev, self.first);
        // Where the traceparents begin that belong to earlier events.
        let mut behind = self.end;
        (0..self.count).map_while({
            let mut damaged = false;
            move |index| {
                if damaged {
                    return None;
                }
                let entry = self.entry(&mut take, &mut behind, index, prev, seq);
                match &entry {
                    Some(entry) => (prev, seq) = (entry.header.seq, entry.header.seq),
                    None => damaged = true,
                }
                Some(entry)
            }
        })
    }

    fn entry(
        &self,
        take: &mut ByteReader<'_>,
        behind: &mut usize,
        index: u64,
        prev: Seq,
        last: Seq,
    ) -> Option<BlockEvent> {
        let flags = take.byte()?;
        let more = if flags & MORE == 0 { 0 } else { take.byte()? };
        let step = take.number()?;
        if (index == 0) != (step == 0) {
            return None;
        }
        let seq = Seq(last.0.checked_add(step)?);
        let later = if flags & HAS_TIME == 0 { 0 } else { take.number()? };
        let time = Millis(self.time.0.checked_add(later)?);
        let name = if flags & HAS_NAME == 0 { None } else { Some(take.range()?) };
        let retry = if flags & HAS_RETRY == 0 { None } else { Some(take.number()?.try_into().ok()?) };
        let metadata = if more & HAS_METADATA == 0 { None } else { Some(take.range()?) };
        let (binary, data) = (more & BINARY != 0, take.range()?);
        let bytes = data.len() as u64 + metadata.as_ref().map_or(0, |range| range.len() as u64);
        let header = EventHeader { seq, prev, time, bytes };
        let (closes, removed, of_run) = (flags & CLOSES != 0, flags & REMOVED != 0, flags & OF_RUN != 0);
        let mut traceparent = None;
        if flags & HAS_TRACEPARENT != 0 {
            let end = *behind;
            *behind = end.checked_sub(TraceParent::BYTES).filter(|&start| start >= take.position())?;
            traceparent = Some(*behind..end);
        }
        Some(BlockEvent { header, closes, removed, of_run, traceparent, name, retry, metadata, binary, data })
    }

    /// Decodes an event; its data shares the block's bytes. `None` when it is damaged.
    pub(super) fn event(&self, topic: &TopicName, entry: &BlockEvent) -> Option<StoredEvent> {
        let name = match &entry.name {
            None if entry.removed => EventName::removed(),
            None => EventName::default(),
            Some(range) => EventName::stored(std::str::from_utf8(&self.bytes[range.clone()]).ok()?).ok()?,
        };
        let data = self.bytes.slice(entry.data.clone());
        let data = if entry.binary { Data::binary(data) } else { Data::new(data).ok()? };
        let metadata = match &entry.metadata {
            None => None,
            Some(range) => Some(Metadata::stored(&self.bytes[range.clone()])?),
        };
        let traceparent = match &entry.traceparent {
            None => None,
            Some(range) => Some(Arc::new(TraceParent::from_bytes(self.bytes[range.clone()].try_into().ok()?)?)),
        };
        let new = NewEvent {
            topic: topic.clone(),
            name,
            data,
            retry: entry.retry,
            close: entry.closes,
            of_run: entry.of_run,
            traceparent,
            metadata,
        };
        let EventHeader { seq, prev, time, .. } = entry.header;
        Some(StoredEvent { prev, event: Arc::new(Event { seq, time, new }) })
    }

    /// A copy of the block with a tombstone in place of the event at `seq`, and the bytes of that event's data and metadata.
    /// `None` when the block is damaged or has no such event. Never larger than this block: a tombstone is a flag.
    pub(super) fn with_tombstone(&self, key: TopicKey, topic: &TopicName, seq: Seq) -> Option<(Builder, u64)> {
        let mut built = Builder::default();
        let mut bytes = None;
        for entry in self.entries() {
            let entry = entry?;
            let mut stored = self.event(topic, &entry)?;
            if stored.event.seq == seq {
                bytes = Some(entry.header.bytes);
                stored = stored.tombstone();
            }
            if built.count == 0 {
                built.begin(key, &stored);
            } else {
                built.push(&stored.event);
            }
        }
        bytes.map(|bytes| (built, bytes))
    }

    /// Size of the encoded block in bytes.
    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// Position of the first event's predecessor in the topic.
    pub(super) fn first_prev(&self) -> Seq {
        self.prev
    }

    /// The encoded block.
    pub(super) fn bytes(&self) -> &Bytes {
        &self.bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(seq: u64, prev: u64, data: &str) -> StoredEvent {
        let topic = TopicName::new("größe/ü").expect("valid");
        let event = Arc::new(Event { seq: Seq(seq), time: Millis(1000), new: NewEvent::new(topic, data) });
        StoredEvent { prev: Seq(prev), event }
    }

    fn traceparent(n: u8) -> Option<Arc<TraceParent>> {
        TraceParent::from_bytes([n; TraceParent::BYTES]).map(Arc::new)
    }

    fn change(stored: &mut StoredEvent) -> &mut Event {
        Arc::make_mut(&mut stored.event)
    }

    fn packed(events: &[StoredEvent]) -> Bytes {
        let mut block = Builder::default();
        block.begin(TopicKey(7), &events[0]);
        for stored in &events[1..] {
            assert!(block.accepts(stored));
            block.push(&stored.event);
        }
        Bytes::copy_from_slice(&block.finish().1[COUNT_BYTES..])
    }

    #[test]
    fn a_block_decodes_to_the_events_that_were_packed() {
        let mut events = [
            event(10, 7, "one"),
            event(12, 10, ""),
            event(900, 12, "größe\n\0"),
            event(901, 900, "binary, and text as well"),
            event(902, 901, "last"),
        ];
        for at in [2, 3] {
            change(&mut events[at]).new.metadata = Metadata::stored(b"\x01\xFF");
        }
        change(&mut events[3]).new.data = Data::binary(events[3].event.new.data.bytes().clone());
        change(&mut events[1]).new.data = Data::binary(Bytes::from_static(b"\xFF\0"));
        change(&mut events[1]).new.name = EventName::new("token").expect("valid");
        change(&mut events[1]).time = Millis(1007);
        change(&mut events[2]).new.retry = Some(5000);
        change(&mut events[2]).new.close = true;
        change(&mut events[0]).new.traceparent = traceparent(1);
        change(&mut events[2]).new.traceparent = traceparent(2);
        let block = Block::parse(TopicKey(7), Seq(10), packed(&events)).expect("whole");
        let back: Vec<_> = block
            .entries()
            .map(|entry| block.event(&events[0].event.new.topic, &entry.expect("whole")).expect("whole"))
            .collect();
        assert_eq!(back, events);
        let sizes = block.entries().map(|entry| entry.expect("whole").header.bytes);
        assert!(sizes.eq(events.iter().map(|stored| stored.event.new.payload_bytes() as u64)));
    }

    #[test]
    fn events_of_text_have_the_bytes_that_they_had_in_format_2() {
        let mut events = [event(10, 7, "one"), event(12, 10, "two")];
        change(&mut events[1]).new.close = true;
        let packed = packed(&events);
        assert_eq!(packed[..packed.len() - 4], *b"\x01\x0a\x07\x02\xe8\x07\x00\x00\x03one\x08\x02\x03two");
    }

    #[test]
    fn metadata_that_no_store_writes_is_damage() {
        let mut stored = event(10, 7, "one");
        change(&mut stored).new.metadata = Metadata::stored(&[1; 3]);
        let topic = stored.event.new.topic.clone();
        let whole = packed(&[stored]);
        let at = whole.windows(4).position(|part| part == [3, 1, 1, 1]).expect("there");
        let body = [&whole[..at], &[0], &whole[at + 4..whole.len() - 4]].concat();
        let mut empty = body.clone();
        super::super::wire::seal(&mut empty, &keys::block(TopicKey(7), Seq(10)));
        let block = Block::parse(TopicKey(7), Seq(10), empty.into()).expect("its checksum is right");
        let entry = block.entries().next().expect("one").expect("whole");
        assert!(block.event(&topic, &entry).is_none());
    }

    #[test]
    fn a_build_that_does_not_know_traceparents_reads_the_same_events() {
        let plain = [event(10, 7, "one"), event(12, 10, "two"), event(13, 12, "three")];
        let mut traced = plain.clone();
        for at in [0, 2] {
            change(&mut traced[at]).new.traceparent = traceparent(9);
        }
        let (plain, mut traced) = (packed(&plain), packed(&traced).to_vec());
        assert_eq!(traced.len(), plain.len() + 2 * TraceParent::BYTES);
        let entries = plain.len() - 4;
        let flagged: Vec<_> = (0..entries).filter(|&at| traced[at] != plain[at]).collect();
        assert_eq!(flagged.len(), 2, "their flags, and nothing else before the end of the entries");
        for at in flagged {
            traced[at] &= !HAS_TRACEPARENT;
        }
        assert_eq!(traced[..entries], plain[..entries]);
    }

    #[test]
    fn a_tombstone_replaces_one_event_of_a_block_and_the_others_stay() {
        let mut events = [event(10, 7, "one"), event(12, 10, "secret"), event(900, 12, "three")];
        change(&mut events[1]).new.name = EventName::new("token").expect("valid");
        change(&mut events[2]).time = Millis(1007);
        for (at, event) in (1..).zip(&mut events) {
            change(event).new.traceparent = traceparent(at);
            change(event).new.metadata = Metadata::stored(&[at; 5]);
        }
        change(&mut events[1]).new.data = Data::binary(Bytes::from_static(b"secret"));
        let topic = events[0].event.new.topic.clone();
        for at in 0..events.len() {
            let bytes = packed(&events);
            let block = Block::parse(TopicKey(7), Seq(10), bytes.clone()).expect("whole");
            let (mut built, had) = block.with_tombstone(TopicKey(7), &topic, events[at].event.seq).expect("there");
            let rest = Bytes::copy_from_slice(&built.finish().1[COUNT_BYTES..]);
            let secret = events[at].event.new.data.bytes();
            assert!(rest.len() < bytes.len() && !rest.windows(secret.len()).any(|part| part == secret));
            let metadata = [u8::try_from(at + 1).expect("small"); 5];
            assert!(!rest.windows(5).any(|part| part == metadata));
            assert_eq!(had, secret.len() as u64 + 5);
            let mut want = events.clone();
            want[at] = want[at].tombstone();
            let block = Block::parse(TopicKey(7), Seq(10), rest).expect("whole");
            let back: Vec<_> =
                block.entries().map(|entry| block.event(&topic, &entry.expect("whole")).expect("whole")).collect();
            assert_eq!(back, want);
        }
        let block = Block::parse(TopicKey(7), Seq(10), packed(&events)).expect("whole");
        assert!(block.with_tombstone(TopicKey(7), &topic, Seq(11)).is_none());
    }

    #[test]
    fn a_notice_survives_its_bytes() {
        let mut notice = event(10, 7, "");
        let id = crate::event::EventId::parse("abcd-3").expect("valid");
        let topic = notice.event.new.topic.clone();
        change(&mut notice).new = NewEvent::notice(topic.clone(), id);
        let block = Block::parse(TopicKey(7), Seq(10), packed(std::slice::from_ref(&notice))).expect("whole");
        let entry = block.entries().next().expect("one").expect("whole");
        assert!(entry.removed);
        assert_eq!(block.event(&topic, &entry).expect("whole"), notice);
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let whole = packed(&[event(10, 7, "one"), event(11, 10, "two")]);
        for bit in 0..whole.len() * 8 {
            let mut bytes = whole.to_vec();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Block::parse(TopicKey(7), Seq(10), bytes.into()).is_none(), "bit {bit}");
        }
        assert!(Block::parse(TopicKey(8), Seq(10), whole).is_none(), "another topic's");
    }

    #[test]
    fn a_hole_or_a_full_block_starts_another() {
        let mut block = Builder::default();
        block.begin(TopicKey(7), &event(10, 7, "one"));
        assert!(block.accepts(&event(12, 10, "two")));
        assert!(!block.accepts(&event(12, 11, "two")), "its predecessor is not in the block");
        assert!(!block.accepts(&event(12, 10, &"x".repeat(TARGET_BYTES))));
        let mut large = event(12, 10, "two");
        change(&mut large).new.metadata = Metadata::stored(&[1; TARGET_BYTES]);
        assert!(!block.accepts(&large));
    }
}
