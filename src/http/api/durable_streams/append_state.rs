//! What decides whether an append to a stream is accepted: its producers, and its last `Stream-Seq`. Each event that
//! changes it carries it as metadata, in the same commit, so that both survive a crash together or not at all. It is read
//! back from the newest events of the stream.
//!
//! The body of the metadata (numbers are LEB128):
//!
//! ```text
//! flags u8 | [producer's append] | [length, Stream-Seq] | [count, append of each producer]
//! append: producer's key, 8 bytes | epoch | seq
//! ```

use crate::event::{Metadata, metadata::DURABLE_STREAMS};

use super::producer::{MAX_PRODUCERS, ProducerAppend, Producers};

const HAS_PRODUCER: u8 = 1;
const HAS_STREAM_SEQ: u8 = 2;
/// The whole state follows, and nothing before this event counts.
const WHOLE: u8 = 4;

/// Longest `Stream-Seq` in bytes: room for a time stamp, an id and a number.
pub const MAX_STREAM_SEQ_BYTES: usize = 255;

/// How many producers a state may have to be written whole with each event. Each takes some 12 bytes.
const ALWAYS_WHOLE: usize = 4;

/// The state of a stream's appends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppendState {
    /// Its producers.
    pub producers: Producers,
    /// The last `Stream-Seq`.
    pub stream_seq: Option<Vec<u8>>,
    /// The append of a producer whose event has closed the stream.
    pub closed_by: Option<ProducerAppend>,
    /// Events since the state was written whole.
    since_whole: usize,
}

/// What an event tells of the state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppendRecord {
    /// The append that the event is of.
    pub producer: Option<ProducerAppend>,
    /// Its `Stream-Seq`.
    pub stream_seq: Option<Vec<u8>>,
    /// The newest append of each producer, this one included; `None` when earlier events have to be read.
    pub whole: Option<Vec<ProducerAppend>>,
}

impl AppendState {
    /// Records an append that is about to be written, and returns the metadata of its event. When the append fails, the state
    /// must be dropped. `kept`: how many events the stream keeps, if that is limited.
    pub fn advance(
        &mut self,
        producer: Option<ProducerAppend>,
        stream_seq: Option<Vec<u8>>,
        kept: Option<u64>,
    ) -> Metadata {
        if let Some(append) = producer {
            self.producers.accept(append);
        }
        if stream_seq.is_some() {
            self.stream_seq.clone_from(&stream_seq);
        }
        // One of the events that are kept has the whole state, and reading it takes few events.
        let most = usize::try_from(kept.unwrap_or(u64::MAX) / 2).unwrap_or(usize::MAX);
        let interval =
            if self.producers.count() <= ALWAYS_WHOLE { 0 } else { (self.producers.count() / ALWAYS_WHOLE).min(most) };
        let whole = self.since_whole >= interval;
        self.since_whole = if whole { 0 } else { self.since_whole + 1 };
        let stream_seq = if whole { self.stream_seq.clone() } else { stream_seq };
        AppendRecord { producer, stream_seq, whole: whole.then(|| self.producers.newest()) }.metadata()
    }

    /// The state after these records, from the newest to the oldest; the last one may be whole. `closed_by`: the append whose
    /// event has closed the stream.
    #[must_use]
    pub fn of(records: &[AppendRecord], closed_by: Option<ProducerAppend>) -> Self {
        let mut state = Self { closed_by, since_whole: records.len().saturating_sub(1), ..Self::default() };
        for record in records.iter().rev() {
            match &record.whole {
                Some(all) => all.iter().for_each(|append| state.producers.accept(*append)),
                None => record.producer.iter().for_each(|append| state.producers.accept(*append)),
            }
            if record.stream_seq.is_some() {
                state.stream_seq.clone_from(&record.stream_seq);
            }
        }
        state
    }
}

impl AppendRecord {
    fn metadata(&self) -> Metadata {
        let flags = [
            (self.producer.is_some(), HAS_PRODUCER),
            (self.stream_seq.is_some(), HAS_STREAM_SEQ),
            (self.whole.is_some(), WHOLE),
        ];
        let mut body = vec![flags.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum()];
        if let Some(append) = &self.producer {
            put_append(&mut body, append);
        }
        if let Some(text) = &self.stream_seq {
            put_number(&mut body, text.len() as u64);
            body.extend_from_slice(text);
        }
        if let Some(all) = &self.whole {
            put_number(&mut body, all.len() as u64);
            for append in all {
                put_append(&mut body, append);
            }
        }
        Metadata::new(DURABLE_STREAMS, &body).expect("500 producers take 12 KB")
    }

    /// What an event's metadata tells; `None` when it is of another protocol, or not valid.
    #[must_use]
    pub fn read(metadata: &Metadata) -> Option<Self> {
        if metadata.tag() != DURABLE_STREAMS {
            return None;
        }
        let (&flags, mut rest) = metadata.body().split_first()?;
        let rest = &mut rest;
        let producer = if flags & HAS_PRODUCER > 0 { Some(take_append(rest)?) } else { None };
        let stream_seq = if flags & HAS_STREAM_SEQ > 0 {
            let length = usize::try_from(take_number(rest)?).ok()?;
            let (text, after) = rest.split_at_checked(length)?;
            *rest = after;
            Some(text.to_vec())
        } else {
            None
        };
        let whole = if flags & WHOLE > 0 {
            let count = usize::try_from(take_number(rest)?).ok().filter(|count| *count <= MAX_PRODUCERS)?;
            Some((0..count).map(|_| take_append(rest)).collect::<Option<Vec<_>>>()?)
        } else {
            None
        };
        Some(Self { producer, stream_seq, whole })
    }
}

fn put_append(out: &mut Vec<u8>, append: &ProducerAppend) {
    out.extend_from_slice(&append.producer);
    put_number(out, append.epoch);
    put_number(out, append.seq);
}

fn take_append(rest: &mut &[u8]) -> Option<ProducerAppend> {
    let (producer, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(ProducerAppend { producer: *producer, epoch: take_number(rest)?, seq: take_number(rest)? })
}

fn put_number(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(number.to_le_bytes()[0] | 0x80);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn take_number(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (&byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7F) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{super::producer::MAX_NUMBER, *};

    fn append(producer: u64, seq: u64) -> ProducerAppend {
        ProducerAppend { producer: producer.to_be_bytes(), epoch: MAX_NUMBER, seq }
    }

    /// The state after a restart: what the newest events tell, as far back as is needed.
    fn read_back(metadata: &[Metadata]) -> (AppendState, usize) {
        let mut records = Vec::new();
        for one in metadata.iter().rev() {
            let record = AppendRecord::read(one).expect("valid");
            let is_whole = record.whole.is_some();
            records.push(record);
            if is_whole {
                break;
            }
        }
        (AppendState::of(&records, None), records.len())
    }

    #[test]
    fn the_state_is_read_back_from_the_newest_events() {
        for count in [1, 4, 5, 40, MAX_PRODUCERS] {
            let producers = count as u64;
            let (mut state, mut metadata, mut most) = (AppendState::default(), Vec::new(), 0);
            for n in 0..3 * producers {
                let stream_seq = (n % 3 == 0).then(|| n.to_string().into_bytes());
                metadata.push(state.advance(Some(append(n % producers, n / producers)), stream_seq, None));
                let (back, read) = read_back(&metadata);
                assert_eq!(back.producers.newest(), state.producers.newest(), "{producers} producers, after {n}");
                assert_eq!(back.stream_seq, state.stream_seq);
                most = most.max(read);
            }
            assert!(most <= (count / ALWAYS_WHOLE).max(1) + 1, "{count}: {most}");
        }
    }

    #[test]
    fn a_stream_that_keeps_few_events_keeps_its_state() {
        let (mut state, mut metadata) = (AppendState::default(), Vec::new());
        for n in 0..200 {
            metadata.push(state.advance(Some(append(n % 50, n / 50)), None, Some(3)));
            let kept = &metadata[metadata.len().saturating_sub(3)..];
            assert_eq!(read_back(kept).0.producers.newest(), state.producers.newest(), "{n}");
        }
    }

    #[test]
    fn the_largest_state_fits() {
        let mut state = AppendState::default();
        for n in 0..MAX_PRODUCERS as u64 {
            let _ = state.advance(Some(append(n, MAX_NUMBER)), None, Some(1));
        }
        let metadata = state.advance(Some(append(0, MAX_NUMBER)), Some(vec![b'x'; MAX_STREAM_SEQ_BYTES]), Some(1));
        assert!(metadata.bytes().len() <= Metadata::MAX_BYTES);
        assert_eq!(AppendRecord::read(&metadata).expect("valid").whole.map(|all| all.len()), Some(MAX_PRODUCERS));
    }

    proptest! {
        #[test]
        fn any_metadata_is_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = AppendRecord::read(&Metadata::new(DURABLE_STREAMS, &body).expect("short"));
        }
    }
}
