//! Any record of an append is read or refused, and the newest ones tell the state of a stream's appends.
//!
//! Input: a record; and the same as a story: how many events are kept, then three bytes for each append: its producer, its
//! `Stream-Seq` if that is not 0, and how many appends the producer has left out.

use std::collections::HashMap;

use gapless::{
    event::{Metadata, metadata::DURABLE_STREAMS},
    http::api::durable_streams::{
        append_state::{AppendRecord, AppendState, MAX_STREAM_SEQ_BYTES},
        producer::ProducerAppend,
    },
};

/// Reads the input as a record and tells it as a story.
pub(crate) fn holds_for(input: &[u8]) {
    read(input);
    if let Some((&kept, rest)) = input.split_first() {
        tell(usize::from(kept % 16) + 1, rest);
    }
}

fn read(input: &[u8]) {
    let Ok(metadata) = Metadata::new(DURABLE_STREAMS, input) else { return };
    let Some(record) = AppendRecord::read(&metadata) else { return };
    if record.stream_seq.as_ref().is_some_and(|text| text.len() > MAX_STREAM_SEQ_BYTES) {
        return;
    }
    // As the newest event of a stream, followed by another one.
    let mut state = AppendState::of(std::slice::from_ref(&record), None);
    let written = state.advance(record.producer, record.stream_seq.clone(), Some(1));
    let again = AppendRecord::read(&written).expect("valid");
    assert_eq!((again.producer, &again.stream_seq), (record.producer, &record.stream_seq));
    assert_eq!(again.whole, Some(state.producers.newest()));
}

fn tell(kept: usize, story: &[u8]) {
    let (mut state, mut written, mut next) = (AppendState::default(), Vec::new(), HashMap::<u8, u64>::new());
    for step in story.chunks_exact(3) {
        let seq = next.entry(step[0]).or_default();
        *seq += u64::from(step[2]) + 1;
        let append = ProducerAppend { producer: u64::from(step[0]).to_be_bytes(), epoch: 1, seq: *seq };
        let stream_seq = (step[1] > 0).then(|| vec![step[1]]);
        written.push(state.advance(Some(append), stream_seq, Some(kept as u64)));
        let (mut records, mut is_whole) = (Vec::new(), false);
        for metadata in written.iter().rev().take(kept) {
            let record = AppendRecord::read(metadata).expect("valid");
            is_whole = record.whole.is_some();
            records.push(record);
            if is_whole {
                break;
            }
        }
        assert!(is_whole || records.len() == written.len(), "none of the kept ones has the whole state");
        let back = AppendState::of(&records, None);
        assert_eq!(back.producers.newest(), state.producers.newest());
        assert_eq!(back.stream_seq, state.stream_seq);
    }
}
