//! The table of an imported store's positions, as far as it is in memory: the places of its parts.

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;

use super::super::wire::{ImportRecord, OldIdPart};
use crate::event::{Epoch, Seq};

/// Payloads that are kept in memory. One has at most a few KiB; clients that return are near the end of the old log.
const CACHED: usize = 64;

/// The table of old positions, as far as it is in memory: 60 bytes for each write of the import.
#[derive(Default)]
pub(in crate::engine::jetstream) struct OldIds {
    /// The import; `None` when there was none.
    import: Option<ImportRecord>,
    /// The parts by their first old position and their number, with the position of their message. Parts begin with the same
    /// old position where more is of it than one write takes.
    parts: BTreeMap<(Seq, u64), (OldIdPart, u64)>,
    cache: VecDeque<(u64, Bytes)>,
}

impl OldIds {
    /// Takes in the record of an import.
    pub(super) fn record(&mut self, import: ImportRecord) {
        self.import = Some(import);
    }

    /// Takes in part `number` of the table, which is the message at `seq`. Parts of other epochs are none of this import's.
    pub(in crate::engine::jetstream) fn add(&mut self, epoch: Epoch, number: u64, part: OldIdPart, seq: u64) {
        if self.import.is_none_or(|import| import.epoch == epoch) {
            self.parts.insert((part.first, number), (part, seq));
        }
    }

    /// The import.
    pub(in crate::engine::jetstream) fn import(&self) -> Option<ImportRecord> {
        self.import
    }

    /// The newest part, and its number.
    pub(in crate::engine::jetstream) fn newest(&self) -> Option<(OldIdPart, u64)> {
        self.parts.last_key_value().map(|((_, number), (part, _))| (*part, *number))
    }

    /// Where what is of `old` and of all later old positions is now, in order. `before`: where the newest below `old` is now;
    /// 0 when there is none.
    pub(super) fn positions_from(&self, old: Seq, before: Seq) -> impl Iterator<Item = Seq> {
        let begin = self.parts.range(..(old, 0)).next_back().map_or((Seq::ZERO, 0), |(key, _)| *key);
        let parts = self.parts.range(begin..).map(|(_, (part, _))| part);
        parts.flat_map(move |part| (part.to.0.max(before.0 + 1)..=part.end().0).map(Seq))
    }

    pub(super) fn place(&self, old: Seq) -> Option<(OldIdPart, u64)> {
        self.parts.range(..=(old, u64::MAX)).next_back().map(|(_, (part, seq))| (*part, *seq))
    }

    pub(super) fn cached(&self, seq: u64) -> Option<Bytes> {
        self.cache.iter().find(|(of, _)| *of == seq).map(|(_, payload)| payload.clone())
    }

    pub(super) fn keep(&mut self, seq: u64, payload: Bytes) {
        if self.cache.len() >= CACHED {
            self.cache.pop_front();
        }
        self.cache.push_back((seq, payload));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Whatever an import has written before it stopped, and wherever its writes begin and end.
        #[test]
        fn all_that_is_of_an_old_position_is_found_in_the_parts_that_share_it(
            steps in prop::collection::vec(prop_oneof![3 => Just(0), 1 => 1..4u64], 1..60),
            sizes in prop::collection::vec(1..9usize, 60),
        ) {
            let epoch = Epoch::new("abcd1234").expect("valid");
            let old: Vec<Seq> = steps.iter().scan(1, |at, step| { *at += step; Some(Seq(*at)) }).collect();
            let (mut left, mut ids, mut stored, mut payloads) = (&old[..], OldIds::default(), Vec::new(), Vec::new());
            for (size, number) in sizes.into_iter().zip(0..) {
                let (now, later) = left.split_at(size.min(left.len()));
                left = later;
                if now.is_empty() {
                    break;
                }
                // The table's part is between two writes.
                let first = stored.last().map_or(3, |(_, seq): &(Seq, Seq)| seq.0 + 2);
                let (part, payload) = OldIdPart::of(now, Seq(first));
                stored.extend(now.iter().copied().zip((first..).map(Seq)));
                ids.add(epoch, number, part, number);
                payloads.push(payload);
                prop_assert_eq!(ids.newest(), Some((part, number)));
                for asked in (0..=part.last.0 + 1).map(Seq) {
                    let below = stored.partition_point(|(old, _)| *old < asked);
                    let before = below.checked_sub(1).map_or(Seq::ZERO, |index| stored[index].1);
                    let expected: Vec<Seq> = stored[below..].iter().map(|(_, seq)| *seq).collect();
                    prop_assert_eq!(ids.positions_from(asked, before).collect::<Vec<_>>(), expected);
                    let found = ids.place(asked).map(|(part, at)| part.find(&payloads[usize::try_from(at).expect("small")], asked));
                    let newest = stored.iter().rev().find(|(old, _)| *old <= asked).map(|(_, seq)| Some(*seq));
                    prop_assert_eq!(found, newest);
                }
            }
        }
    }
}
