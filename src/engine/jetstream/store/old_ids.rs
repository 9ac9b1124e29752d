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
    /// The parts by their first old position, with the number and the position of their message.
    parts: BTreeMap<Seq, (OldIdPart, u64, u64)>,
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
            self.parts.insert(part.first, (part, number, seq));
        }
    }

    /// The import.
    pub(in crate::engine::jetstream) fn import(&self) -> Option<ImportRecord> {
        self.import
    }

    /// The newest part, and its number.
    pub(in crate::engine::jetstream) fn newest(&self) -> Option<(OldIdPart, u64)> {
        self.parts.values().next_back().map(|(part, number, _)| (*part, *number))
    }

    pub(super) fn place(&self, old: Seq) -> Option<(OldIdPart, u64)> {
        self.parts.range(..=old).next_back().map(|(_, (part, _, seq))| (*part, *seq))
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
