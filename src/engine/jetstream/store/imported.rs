//! What an import, and hubs that translate its ids, ask of the store.

use std::sync::Arc;

use parking_lot::MutexGuard;

use super::{JetStreamStore, old_ids::OldIds};
use crate::{
    engine::{jetstream::nats::Outgoing, log::store::StoreError},
    event::{EventId, Millis, Seq},
};

impl JetStreamStore {
    /// What is known of an imported store.
    pub(in crate::engine::jetstream) fn old_ids(&self) -> MutexGuard<'_, OldIds> {
        self.core.old_ids.lock()
    }

    /// Where an imported position is now. Runs in the engine's runtime.
    ///
    /// # Errors
    /// When it cannot be found out now.
    pub(in crate::engine::jetstream) fn translate(
        &self,
        id: EventId,
        now: Millis,
    ) -> impl Future<Output = Result<Option<Seq>, StoreError>> + Send + use<> {
        Arc::clone(&self.core).translate(id, now)
    }

    /// Stores messages of an import together, the first at `first`.
    ///
    /// # Errors
    /// As a commit.
    pub(in crate::engine::jetstream) fn store_imported(
        &self,
        messages: Vec<Outgoing>,
        first: u64,
    ) -> Result<(), StoreError> {
        let stored = self.run(|core| async move { core.store(messages, Some(first)).await })?;
        self.core.reach(stored.end, 0);
        Ok(())
    }

    /// Where the newest imported position at or below `old` is now, while the import runs.
    ///
    /// # Errors
    /// When it cannot be found out now.
    pub(in crate::engine::jetstream) fn old_position(&self, old: Seq) -> Result<Option<Seq>, StoreError> {
        self.run(|core| async move { core.old_position(old).await })
    }

    /// Where what was imported of `old` and of later old positions is now, in order and at most `most`, while the import runs.
    /// `None` when the table has expired.
    ///
    /// # Errors
    /// When it cannot be found out now.
    pub(in crate::engine::jetstream) fn positions_from(
        &self,
        old: Seq,
        most: usize,
    ) -> Result<Option<Vec<Seq>>, StoreError> {
        let Some(before) = self.old_position(Seq(old.0.saturating_sub(1)))? else { return Ok(None) };
        Ok(Some(self.old_ids().positions_from(old, before).take(most).collect()))
    }
}
