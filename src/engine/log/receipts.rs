//! A compact encoding of the receipts of one keyed append.
//!
//! An append's events have consecutive positions and one time. So the first position, each topic once, and the
//! run-length-encoded order of the topics suffice: a batch for one topic takes as much memory as one event.

use std::{collections::HashMap, mem::size_of};

use crate::{
    engine::Receipt,
    event::{Epoch, Millis, Seq, TopicName},
};

/// Bytes of a topic's name's allocation besides its text: two reference counts and rounding.
const NAME_OVERHEAD: usize = 24;

/// An append's receipts, in the order of its events.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct StoredReceipts {
    first: Seq,
    topics: Box<[TopicName]>,
    /// Run-length encoding of the events' topics: pairs of varints, the index in `topics` and the number of events.
    runs: Box<[u8]>,
}

impl StoredReceipts {
    /// The receipts of events from position `first` on, given each event's topic.
    pub fn new<'a>(first: Seq, events: impl Iterator<Item = &'a TopicName>) -> Self {
        let (mut topics, mut indices, mut runs) = (Vec::new(), HashMap::new(), Vec::new());
        let mut run: Option<(&TopicName, u32, u32)> = None;
        for event in events {
            if let Some((_, _, count)) = run.as_mut().filter(|(of, ..)| *of == event) {
                *count += 1;
                continue;
            }
            encode_run(&mut runs, run);
            let index = *indices.entry(event).or_insert_with(|| {
                topics.push(event.clone());
                u32::try_from(topics.len() - 1).expect("an append has fewer than 2^32 events")
            });
            run = Some((event, index, 1));
        }
        encode_run(&mut runs, run);
        Self { first, topics: topics.into(), runs: runs.into() }
    }

    /// Topic and position of each event.
    pub fn iter(&self) -> impl Iterator<Item = (&TopicName, Seq)> {
        let mut runs = &*self.runs;
        let runs = std::iter::from_fn(move || Some((read_varint(&mut runs)?, read_varint(&mut runs)?)));
        let topics = runs.flat_map(|(index, count)| std::iter::repeat_n(&self.topics[index as usize], count as usize));
        topics.zip((self.first.0..).map(Seq))
    }

    /// The receipts of a commit at `time` in a store of this epoch.
    pub fn at(&self, epoch: Epoch, time: Millis) -> Vec<Receipt> {
        self.iter().map(|(topic, seq)| Receipt { topic: topic.clone(), epoch, seq, time }).collect()
    }

    /// Bytes of heap memory.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let topic = |name: &TopicName| size_of::<TopicName>() + NAME_OVERHEAD + name.as_str().len();
        self.topics.iter().map(topic).sum::<usize>() + self.runs.len()
    }
}

fn encode_run(out: &mut Vec<u8>, run: Option<(&TopicName, u32, u32)>) {
    let Some((_, index, count)) = run else { return };
    for mut number in [index, count] {
        while number >= 0x80 {
            out.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        out.push(number.to_le_bytes()[0]);
    }
}

fn read_varint(from: &mut &[u8]) -> Option<u32> {
    let mut number = 0;
    for shift in (0..32).step_by(7) {
        let (&byte, rest) = from.split_first()?;
        *from = rest;
        number |= u32::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn topic(text: &str) -> TopicName {
        TopicName::new(text).expect("valid")
    }

    #[test]
    fn receipts_are_decoded_as_they_were_encoded() {
        let (a, b) = (topic("a"), topic("b"));
        let mut order = vec![&a, &b, &b, &a, &a];
        order.extend(vec![&b; 70_000]);
        order.push(&a);
        let receipts = StoredReceipts::new(Seq(u64::MAX - 80_000), order.iter().copied());
        assert!(receipts.iter().eq(order.iter().copied().zip((u64::MAX - 80_000..).map(Seq))));
        assert_eq!(StoredReceipts::new(Seq(7), std::iter::empty()).iter().count(), 0);
    }

    #[test]
    fn a_batch_for_one_topic_takes_as_much_as_one_event() {
        let a = topic("a");
        let bytes = |count| StoredReceipts::new(Seq(1), std::iter::repeat_n(&a, count)).bytes();
        assert!(bytes(1_000_000) <= bytes(1) + 8, "{} bytes", bytes(1_000_000));
        assert!(bytes(1) < 64, "{} bytes", bytes(1));
    }
}
