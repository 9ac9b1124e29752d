//! Where the positions of an imported store are now.

use std::sync::Arc;

use super::{
    super::{
        nats::Stored,
        wire::{ImportRecord, OldIdPart, SubjectPlace, WireError},
    },
    shared::{StoreCore, not_now},
};
use crate::{
    engine::log::store::StoreError,
    event::{EventId, Millis, Seq},
};

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
        let known = self.old_ids.lock().import();
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
        let payload = if let Some(payload) = cached {
            payload
        } else {
            let mut found = self.nats.message(seq).await.map_err(|error| not_now(&error))?;
            if found.is_none() {
                found = self.nats.leader_message(seq).await.map_err(|error| not_now(&error))?;
            }
            // It has expired.
            let Some(found) = found else { return Ok(None) };
            self.old_ids.lock().keep(seq, found.payload.clone());
            found.payload
        };
        part.find(&payload, old)
            .map(Some)
            .ok_or_else(|| StoreError::NotNow("the table of old positions is damaged".into()))
    }
}
