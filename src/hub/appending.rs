//! Appends, for publishers of every kind.

use std::sync::Arc;

use super::{Acknowledgment, Hub, PublishResult};
use crate::{
    engine::{Append, AppendError, EngineFuture, Receipt, Rejected},
    event::NewEvent,
};

impl Hub {
    /// Appends events. Resolves when they are durable and pushed to the rings of all live streams. Cancel safe:
    /// dropping the future does not cancel a commit that has begun.
    ///
    /// # Errors
    /// Why nothing was appended: also a batch larger than the engine's [`max_batch`](crate::engine::Capabilities::max_batch).
    pub async fn publish(&self, append: Append) -> Result<Vec<Acknowledgment>, AppendError> {
        self.publish_by(append, |append| self.engine.append(append)).await
    }

    /// The same for a caller that can wait: see [`Log::append_patiently`](crate::engine::Log::append_patiently).
    ///
    /// # Errors
    /// As [`Hub::publish`].
    pub async fn publish_patiently(&self, append: Append) -> Result<Vec<Acknowledgment>, AppendError> {
        self.publish_by(append, |append| self.engine.append_patiently(append)).await
    }

    async fn publish_by(
        &self,
        append: Append,
        by: impl FnOnce(Append) -> EngineFuture<Vec<Receipt>, AppendError>,
    ) -> Result<Vec<Acknowledgment>, AppendError> {
        if let Some(max) = self.capabilities.max_batch.filter(|max| append.events.len() > *max) {
            return Err(AppendError::TooMany { max });
        }
        let receipts = by(append).await?;
        Ok(receipts.into_iter().map(self.broker.acknowledge()).collect())
    }

    /// Appends each of `events` independently, in order. Resolves as [`Hub::publish`] does, with one result for each
    /// event.
    ///
    /// # Errors
    /// When the engine's queue is full; the events are returned, for a retry.
    pub fn publish_each(
        &self,
        events: Vec<NewEvent>,
    ) -> Result<EngineFuture<Vec<PublishResult>, AppendError>, Rejected> {
        let appending = self.engine.append_each(events)?;
        let broker = Arc::clone(&self.broker);
        Ok(Box::pin(async move {
            let results = appending.await?;
            let mut acknowledge = broker.acknowledge();
            Ok(results.into_iter().map(|result| result.map(&mut acknowledge)).collect())
        }))
    }
}
