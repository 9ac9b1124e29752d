//! What decides whether an append to a stream is accepted: its producers, and its last `Stream-Seq`. Each event that
//! changes it carries all of it as metadata, in the same commit, so that both survive a crash together or not at all, and
//! whatever retention trims. It is read back from the newest such event. Before an event is removed the state is saved with
//! the stream's definition, because the removal takes the event's metadata along.
//!
//! The body of the metadata (numbers are LEB128):
//!
//! ```text
//! flags u8 | [producer's append] | [length, Stream-Seq] | count, append of each producer
//! append: producer's key, 8 bytes | epoch | seq
//! ```

use crate::event::{Metadata, Seq, metadata::DURABLE_STREAMS};

use super::producer::{MAX_PRODUCERS, ProducerAppend, Producers};

const HAS_PRODUCER: u8 = 1;
const HAS_STREAM_SEQ: u8 = 2;

/// Longest `Stream-Seq` in bytes: room for a time stamp, an id and a number.
pub const MAX_STREAM_SEQ_BYTES: usize = 255;

/// The state of a stream's appends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppendState {
    /// Its producers.
    pub producers: Producers,
    /// The last `Stream-Seq`.
    pub stream_seq: Option<Vec<u8>>,
    /// The append of a producer whose event has closed the stream.
    pub closed_by: Option<ProducerAppend>,
}

/// What an event tells of the state.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AppendRecord {
    /// The append that the event is of.
    pub producer: Option<ProducerAppend>,
    /// The last `Stream-Seq`.
    pub stream_seq: Option<Vec<u8>>,
    /// The newest append of each producer, this one included; the one that was used last at the end.
    pub newest: Vec<ProducerAppend>,
}

impl AppendState {
    /// Records an append that is about to be written, and returns the metadata of its event. When the append fails, the state
    /// must be dropped.
    pub fn advance(&mut self, producer: Option<ProducerAppend>, stream_seq: Option<Vec<u8>>) -> Metadata {
        if let Some(append) = producer {
            self.producers.accept(append);
        }
        if stream_seq.is_some() {
            self.stream_seq = stream_seq;
        }
        let body = self.record(producer).body();
        Metadata::new(DURABLE_STREAMS, &body).expect("500 producers take 12 KB")
    }

    /// What is saved with the definition of the stream: all appends up to its event at `tail`.
    #[must_use]
    pub fn saved(&self, tail: Seq) -> Vec<u8> {
        [&tail.0.to_be_bytes()[..], &self.record(None).body()].concat()
    }

    /// What was saved, and the position up to which it is complete; `None` when it is not valid.
    #[must_use]
    pub fn of_saved(saved: &[u8]) -> Option<(Seq, Self)> {
        let (tail, body) = saved.split_first_chunk()?;
        Some((Seq(u64::from_be_bytes(*tail)), Self::of(&AppendRecord::parse(body)?, None)))
    }

    /// The state after the event with this record. `closed_by`: the append whose event has closed the stream.
    #[must_use]
    pub fn of(record: &AppendRecord, closed_by: Option<ProducerAppend>) -> Self {
        let mut state = Self { stream_seq: record.stream_seq.clone(), closed_by, ..Self::default() };
        record.newest.iter().for_each(|append| state.producers.accept(*append));
        state
    }

    fn record(&self, producer: Option<ProducerAppend>) -> AppendRecord {
        AppendRecord { producer, stream_seq: self.stream_seq.clone(), newest: self.producers.newest() }
    }
}

impl AppendRecord {
    fn body(&self) -> Vec<u8> {
        let flags = [(self.producer.is_some(), HAS_PRODUCER), (self.stream_seq.is_some(), HAS_STREAM_SEQ)];
        let mut body = vec![flags.iter().filter(|(set, _)| *set).map(|(_, bit)| bit).sum()];
        if let Some(append) = &self.producer {
            put_append(&mut body, append);
        }
        if let Some(text) = &self.stream_seq {
            put_number(&mut body, text.len() as u64);
            body.extend_from_slice(text);
        }
        put_number(&mut body, self.newest.len() as u64);
        for append in &self.newest {
            put_append(&mut body, append);
        }
        body
    }

    /// What an event's metadata tells; `None` when it is of another protocol, or not valid.
    #[must_use]
    pub fn read(metadata: &Metadata) -> Option<Self> {
        if metadata.tag() == DURABLE_STREAMS { Self::parse(metadata.body()) } else { None }
    }

    fn parse(body: &[u8]) -> Option<Self> {
        let (&flags, mut rest) = body.split_first()?;
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
        let count = usize::try_from(take_number(rest)?).ok().filter(|count| *count <= MAX_PRODUCERS)?;
        let newest = (0..count).map(|_| take_append(rest)).collect::<Option<_>>()?;
        Some(Self { producer, stream_seq, newest })
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

    #[test]
    fn the_state_is_read_back_from_the_newest_event() {
        for producers in [1, 4, 40, MAX_PRODUCERS as u64 + 1] {
            let mut state = AppendState::default();
            for n in 0..3 * producers {
                let stream_seq = (n % 3 == 0).then(|| n.to_string().into_bytes());
                let producer = (n % 7 != 6).then(|| append(n % producers, n / producers));
                let record = AppendRecord::read(&state.advance(producer, stream_seq)).expect("valid");
                assert_eq!(record.producer, producer);
                let back = AppendState::of(&record, None);
                assert_eq!(back.producers.newest(), state.producers.newest(), "{producers} producers, after {n}");
                assert_eq!(back.stream_seq, state.stream_seq);
            }
        }
    }

    #[test]
    fn a_state_is_saved_with_its_position() {
        let mut state = AppendState::default();
        let _ = state.advance(Some(append(1, 5)), Some(b"b".to_vec()));
        let _ = state.advance(Some(append(2, 0)), None);
        let (tail, back) = AppendState::of_saved(&state.saved(Seq(77))).expect("valid");
        assert_eq!((tail, back.stream_seq.as_deref()), (Seq(77), Some(&b"b"[..])));
        assert_eq!(back.producers.newest(), state.producers.newest());
        assert_eq!(AppendState::of_saved(&state.saved(Seq(77))[..7]), None);
        assert_eq!(AppendState::of_saved(&[0; 8]), None);
    }

    #[test]
    fn the_largest_state_fits() {
        let mut state = AppendState::default();
        for n in 0..MAX_PRODUCERS as u64 {
            let _ = state.advance(Some(append(n, MAX_NUMBER)), None);
        }
        let metadata = state.advance(Some(append(0, MAX_NUMBER)), Some(vec![b'x'; MAX_STREAM_SEQ_BYTES]));
        assert!(metadata.bytes().len() <= Metadata::MAX_BYTES);
        assert_eq!(AppendRecord::read(&metadata).expect("valid").newest.len(), MAX_PRODUCERS);
    }

    proptest! {
        #[test]
        fn any_metadata_is_read_without_a_panic(body in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = AppendRecord::read(&Metadata::new(DURABLE_STREAMS, &body).expect("short"));
        }
    }
}
