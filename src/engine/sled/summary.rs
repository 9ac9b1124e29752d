//! The index of a sealed segment, in its file `summary`.
//!
//! Opening a store reads the summaries instead of the segments. A reader finds a topic's row with one read of the file:
//! only the key of every 64th row is in memory (a fence), so that a row costs an eighth of a byte of memory.
//!
//! Layout, version 1; numbers big-endian:
//!
//! ```text
//! "gapless summary" 0x01
//! first id covered u64 | last id covered u64 | last id in it u64, 0 when it is empty |
//!   time of the oldest commit u64 | time of the newest u64 | weight u64 | rows u64 | bytes of names u64
//! rows, sorted by topic key, of 72 bytes each: topic key | first id | id before it | its time | last id | events |
//!   bytes | weight, u64 each | offset of its name u32 | length of its name u16 | flags u8 (1: closed by its last) | 0
//! names
//! idempotency keys: each its key in the tree and its record, with their lengths as varints
//! CRC-32 of all of it
//! ```

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::event::{Millis, Seq, TopicName};

use super::super::log::store::{KeyRecord, TopicKey, TopicSummary};
use super::disk;
use super::records::{decode_key, encode_key};
use super::tally::{SegmentSpan, SegmentTally, TopicTally};
use super::wire::{ByteReader, put_bytes, seal, unseal};

const MAGIC: [u8; 16] = *b"gapless summary\x01";
const HEADER_BYTES: usize = 16 + 8 * 8;
const ROW_BYTES: usize = 72;
const SALT: &[u8] = b"summary";

/// Rows between two fences: together little more than a page of the file.
const FENCE_ROWS: usize = 64;

/// Name of the file.
pub(super) const FILE: &str = "summary";

/// A sealed segment's summary. Its rows stay in the file.
#[derive(Debug)]
pub(super) struct Summary {
    pub(super) span: SegmentSpan,
    path: PathBuf,
    /// Kept open for up to [`MAX_OPEN_FILES`] summaries; the others are opened for each read.
    file: Option<CountedFile>,
    rows: usize,
    bytes: u64,
    /// The topic key of every [`FENCE_ROWS`]th row.
    fences: Box<[u64]>,
}

/// Maximum number of summary files kept open in the process, so that a store of many segments leaves descriptors for
/// connections.
pub(super) const MAX_OPEN_FILES: usize = 32;

static OPEN_FILES: AtomicUsize = AtomicUsize::new(0);

/// An open file, counted in [`OPEN_FILES`].
#[derive(Debug)]
struct CountedFile(File);

impl CountedFile {
    fn new(path: &Path) -> Option<Self> {
        if OPEN_FILES.fetch_add(1, Ordering::Relaxed) < MAX_OPEN_FILES
            && let Ok(file) = File::open(path)
        {
            return Some(Self(file));
        }
        OPEN_FILES.fetch_sub(1, Ordering::Relaxed);
        None
    }
}

impl Drop for CountedFile {
    fn drop(&mut self) {
        OPEN_FILES.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The whole contents of a summary, in memory.
#[derive(Debug)]
pub(super) struct SummaryContents {
    bytes: Vec<u8>,
    rows: usize,
    names: usize,
}

impl Summary {
    /// Writes the summary of the segment in `dir` durably, and opens it.
    pub(super) fn write(dir: &Path, first: Seq, tally: &SegmentTally, keys: &[(KeyRecord, Seq)]) -> io::Result<Self> {
        let path = dir.join(FILE);
        disk::write_whole(&path, &encode(first, tally, keys))?;
        Ok(Self::open(dir, first)?
            .ok_or_else(|| io::Error::other("the summary reads back differently from what was written"))?
            .0)
    }

    /// Reads and verifies the summary in `dir`. `None` when there is none or it is damaged.
    pub(super) fn open(dir: &Path, first: Seq) -> io::Result<Option<(Self, SummaryContents)>> {
        let path = dir.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let Some((span, whole)) = SummaryContents::parse(bytes, first) else { return Ok(None) };
        let (rows, bytes) = (whole.rows, whole.bytes.len() as u64);
        let keys = whole.bytes[HEADER_BYTES..].chunks_exact(ROW_BYTES).take(rows);
        let fences = keys.step_by(FENCE_ROWS).map(key_of).collect();
        Ok(Some((Self { span, file: CountedFile::new(&path), path, rows, bytes, fences }, whole)))
    }

    /// First and last positions of a topic in the segment; `None` when it has no events there.
    pub(super) fn find(&self, topic: TopicKey) -> io::Result<Option<(Seq, Seq)>> {
        let Some(fence) = self.fences.partition_point(|&key| key <= topic.0).checked_sub(1) else { return Ok(None) };
        let first = fence * FENCE_ROWS;
        let mut rows = [[0; ROW_BYTES]; FENCE_ROWS];
        let rows = &mut rows[..FENCE_ROWS.min(self.rows - first)];
        let at = (HEADER_BYTES + first * ROW_BYTES) as u64;
        match &self.file {
            Some(held) => held.0.read_exact_at(rows.as_flattened_mut(), at)?,
            None => File::open(&self.path)?.read_exact_at(rows.as_flattened_mut(), at)?,
        }
        let found = rows.binary_search_by_key(&topic.0, |row| key_of(row));
        Ok(found.ok().map(|index| (Seq(number(&rows[index], 8)), Seq(number(&rows[index], 32)))))
    }

    /// Sets the path after the segment's directory was renamed to `dir`.
    pub(super) fn moved_to(mut self, dir: &Path) -> Self {
        self.path = dir.join(FILE);
        self
    }

    /// Size of the file in bytes.
    pub(super) fn bytes(&self) -> u64 {
        self.bytes
    }
}

fn encode(first: Seq, tally: &SegmentTally, keys: &[(KeyRecord, Seq)]) -> Vec<u8> {
    let mut topics: Vec<&TopicTally> = tally.topics.values().collect();
    topics.sort_unstable_by_key(|topic| topic.summary.key);
    let names: usize = topics.iter().map(|topic| topic.summary.name.as_str().len()).sum();
    let mut out = Vec::with_capacity(HEADER_BYTES + topics.len() * ROW_BYTES + names + 4);
    out.extend_from_slice(&MAGIC);
    let span = tally.span;
    let header = [
        first.0,
        span.head.0,
        span.last.0,
        span.oldest.0,
        span.newest.0,
        span.weight,
        topics.len() as u64,
        names as u64,
    ];
    put_numbers(&mut out, &header);
    let mut name_at = 0;
    for topic in &topics {
        let TopicSummary { key, name, first, first_prev, first_time, last, last_closes, events, bytes } =
            &topic.summary;
        put_numbers(&mut out, &[key.0, first.0, first_prev.0, first_time.0, last.0, *events, *bytes, topic.weight]);
        out.extend_from_slice(&u32::try_from(name_at).expect("a segment's names are far below 4 GiB").to_be_bytes());
        let len = name.as_str().len();
        out.extend_from_slice(&u16::try_from(len).expect("at most 255").to_be_bytes());
        out.extend_from_slice(&[u8::from(*last_closes), 0]);
        name_at += len;
    }
    for topic in &topics {
        out.extend_from_slice(topic.summary.name.as_str().as_bytes());
    }
    for (record, commit) in keys {
        let (stem, record) = encode_key(record, *commit);
        put_bytes(&mut out, &stem);
        put_bytes(&mut out, &record);
    }
    seal(&mut out, SALT);
    out
}

fn number(row: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(*row[at..].first_chunk().expect("a row has 72 bytes"))
}

fn key_of(row: &[u8]) -> u64 {
    number(row, 0)
}

fn put_numbers(out: &mut Vec<u8>, numbers: &[u64]) {
    for number in numbers {
        out.extend_from_slice(&number.to_be_bytes());
    }
}

impl SummaryContents {
    fn parse(bytes: Vec<u8>, first: Seq) -> Option<(SegmentSpan, Self)> {
        let body = unseal(&bytes, SALT)?;
        let mut take = ByteReader::new(body);
        if take.array()? != MAGIC || take.u64()? != first.0 {
            return None;
        }
        let span = SegmentSpan {
            head: Seq(take.u64()?),
            last: Seq(take.u64()?),
            oldest: Millis(take.u64()?),
            newest: Millis(take.u64()?),
            weight: take.u64()?,
        };
        let (rows, names) = (usize::try_from(take.u64()?).ok()?, usize::try_from(take.u64()?).ok()?);
        let keys = HEADER_BYTES.checked_add(rows.checked_mul(ROW_BYTES)?)?.checked_add(names)?;
        (keys <= body.len()).then_some(())?;
        Some((span, Self { bytes, rows, names }))
    }

    /// The whole file.
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The topics, sorted by key.
    pub(super) fn topics(&self) -> impl Iterator<Item = TopicTally> + '_ {
        let names = &self.bytes[HEADER_BYTES + self.rows * ROW_BYTES..][..self.names];
        let rows = self.bytes[HEADER_BYTES..].chunks_exact(ROW_BYTES).take(self.rows);
        // The checksum matches, so an invalid row was written that way: it is skipped.
        rows.filter_map(|row| parse_row(row, names))
    }

    /// The idempotency keys, each with the last id of its commit.
    pub(super) fn keys(&self) -> Vec<(KeyRecord, Seq)> {
        let body = &self.bytes[..self.bytes.len() - 4];
        let mut take = ByteReader::new(body);
        take.skip(HEADER_BYTES + self.rows * ROW_BYTES + self.names);
        std::iter::from_fn(|| decode_key(take.bytes()?, take.bytes()?)).collect()
    }
}

fn parse_row(row: &[u8], names: &[u8]) -> Option<TopicTally> {
    let mut take = ByteReader::new(row);
    let mut number = || take.u64();
    let (key, first, first_prev) = (TopicKey(number()?), Seq(number()?), Seq(number()?));
    let (first_time, last) = (Millis(number()?), Seq(number()?));
    let (events, bytes, weight) = (number()?, number()?, number()?);
    let at = usize::try_from(u32::from_be_bytes(take.array()?)).ok()?;
    let len = usize::from(u16::from_be_bytes(take.array()?));
    let name = TopicName::stored(std::str::from_utf8(names.get(at..)?.get(..len)?).ok()?).ok()?;
    let last_closes = take.byte()? & 1 != 0;
    let summary = TopicSummary { key, name, first, first_prev, first_time, last, last_closes, events, bytes };
    Some(TopicTally { summary, weight })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::log::store::StoredEvent;
    use super::*;
    use crate::event::{Event, NewEvent};

    #[test]
    fn a_summary_is_read_back_and_finds_topics() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut tally = SegmentTally::empty_after(Seq(9));
        // More topics than rows between two fences, and keys that are not there beside those that are.
        let key = |n: u64| TopicKey(10 + 2 * (n % 150));
        for n in 10..400 {
            let topic = TopicName::new(&format!("t/{}", n % 150)).expect("valid");
            let new = NewEvent { close: n == 399, ..NewEvent::new(topic, "data") };
            let event = Arc::new(Event { seq: Seq(n), time: Millis(n), new });
            tally.add_events(key(n), std::iter::once(&StoredEvent { prev: Seq(n - 1), event }), 100);
            tally.add_commit(Seq(n), Millis(n));
        }
        Summary::write(dir.path(), Seq(10), &tally, &[]).expect("written");
        let (summary, whole) = Summary::open(dir.path(), Seq(10)).expect("read").expect("whole");
        assert_eq!(summary.span, tally.span);
        let mut want: Vec<_> = tally.topics.values().cloned().collect();
        want.sort_by_key(|topic| topic.summary.key);
        assert!(whole.topics().eq(want.iter().cloned()));
        for topic in want {
            let TopicSummary { key, first, last, .. } = topic.summary;
            assert_eq!(summary.find(key).expect("read"), Some((first, last)));
            assert_eq!(summary.find(TopicKey(key.0 + 1)).expect("read"), None);
        }
        assert_eq!(summary.find(TopicKey(9)).expect("read"), None);
        let path = dir.path().join(FILE);
        let mut bytes = fs::read(&path).expect("there");
        bytes[300] ^= 4;
        fs::write(&path, bytes).expect("written");
        assert!(Summary::open(dir.path(), Seq(10)).expect("read").is_none());
    }
}
