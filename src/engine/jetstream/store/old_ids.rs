//! Where the positions of an imported store are now: the parts' places in memory, their contents in the stream.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::Arc,
};

use bytes::Bytes;

use super::{
    super::{
        nats::Stored,
        wire::{ImportRecord, OldIdPart, SubjectPlace, WireError},
    },
    core::{StoreCore, not_now},
};
use crate::{
    engine::log::store::StoreError,
    event::{Epoch, EventId, Millis, Seq},
};

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

    fn place(&self, old: Seq) -> Option<(OldIdPart, u64)> {
        self.parts.range(..=old).next_back().map(|(_, (part, _, seq))| (*part, *seq))
    }

    fn cached(&self, seq: u64) -> Option<Bytes> {
        self.cache.iter().find(|(of, _)| *of == seq).map(|(_, payload)| payload.clone())
    }

    fn keep(&mut self, seq: u64, payload: Bytes) {
        if self.cache.len() >= CACHED {
            self.cache.pop_front();
        }
        self.cache.push_back((seq, payload));
    }
}

impl StoreCore {
    /// Takes in a message of an import.
    pub(super) fn import_is_stored(&self, place: &SubjectPlace, message: &Stored) -> Result<(), WireError> {
        match place {
            SubjectPlace::Import => self.old_ids.lock().record(ImportRecord::decode(&message.headers)?),
            SubjectPlace::OldIds(epoch, number) => {
                let part = OldIdPart::decode(&message.headers)?;
                self.old_ids.lock().add(*epoch, *number, part, message.seq);
            }
            _ => {}
        }
        Ok(())
    }

    /// Where the newest imported position at or below `id` is now. `None` when its epoch is not that of an import, when it
    /// was not given out before the import, and after the time in which old ids are known.
    ///
    /// # Errors
    /// When the table cannot be read now.
    pub(super) async fn translate(self: Arc<Self>, id: EventId, now: Millis) -> Result<Option<Seq>, StoreError> {
        let known = self.old_ids.lock().import;
        let Some(import) = known.filter(|of| of.epoch == id.epoch && id.seq <= of.head && now <= of.until) else {
            return Ok(None);
        };
        if !import.done {
            return Err(StoreError::NotNow("the import of the log is not complete".into()));
        }
        self.old_position(id.seq).await
    }

    /// Where the newest imported position at or below `old` is now; 0 when all are above it.
    pub(super) async fn old_position(&self, old: Seq) -> Result<Option<Seq>, StoreError> {
        let Some((part, seq)) = self.old_ids.lock().place(old) else { return Ok(Some(Seq::ZERO)) };
        if old >= part.last {
            return Ok(Some(part.end()));
        }
        let cached = self.old_ids.lock().cached(seq);
        let payload = match cached {
            Some(payload) => payload,
            None => {
                let mut found = self.nats.message(seq).await.map_err(|error| not_now(&error))?;
                if found.is_none() {
                    found = self.nats.leader_message(seq).await.map_err(|error| not_now(&error))?;
                }
                // It has expired.
                let Some(found) = found else { return Ok(None) };
                self.old_ids.lock().keep(seq, found.payload.clone());
                found.payload
            }
        };
        part.find(&payload, old)
            .map(Some)
            .ok_or_else(|| StoreError::NotNow("the table of old positions is damaged".into()))
    }
}
