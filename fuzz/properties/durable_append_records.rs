//! Any record of an append is read or refused, and the newest ones tell the state of a stream's appends.
//!
//! Input: a record; and the same as a story: three bytes for each append: its producer, its `Stream-Seq` if that is not 0,
//! and how many appends the producer has left out.

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
    tell(input);
}

fn read(input: &[u8]) {
    let Ok(metadata) = Metadata::new(DURABLE_STREAMS, input) else { return };
    let Some(record) = AppendRecord::read(&metadata) else { return };
    if record.stream_seq.as_ref().is_some_and(|text| text.len() > MAX_STREAM_SEQ_BYTES) {
        return;
    }
    // As the newest event of a stream, followed by another one.
    let mut state = AppendState::of(&record, None);
    let written = state.advance(record.producer, record.stream_seq.clone());
    let again = AppendRecord::read(&written).expect("valid");
    assert_eq!((again.producer, &again.stream_seq), (record.producer, &record.stream_seq));
    assert_eq!(again.newest, state.producers.newest());
}

fn tell(story: &[u8]) {
    let (mut state, mut next) = (AppendState::default(), HashMap::<u8, u64>::new());
    for step in story.chunks_exact(3) {
        let seq = next.entry(step[0]).or_default();
        *seq += u64::from(step[2]) + 1;
        let append = ProducerAppend { producer: u64::from(step[0]).to_be_bytes(), epoch: 1, seq: *seq };
        let stream_seq = (step[1] > 0).then(|| vec![step[1]]);
        let record = AppendRecord::read(&state.advance(Some(append), stream_seq)).expect("valid");
        let back = AppendState::of(&record, None);
        assert_eq!(back.producers.newest(), state.producers.newest());
        assert_eq!(back.stream_seq, state.stream_seq);
    }
}
