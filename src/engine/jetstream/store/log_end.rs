//! Where the log ends, asked for because messages are missing: what has removed them was told of before.

use std::sync::atomic::Ordering;

use super::{patience::Patience, shared::StoreCore};
use crate::engine::{jetstream::nats::NatsError, log::store::StoreError};

/// Whom to ask when the servers cannot tell at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum AskFor {
    /// The hub that leads: some milliseconds. Not while something is held that its writes wait for.
    Write,
    /// The servers again: up to 2 s.
    Servers,
}

impl StoreCore {
    /// The end of the log when this is called, or a later one.
    ///
    /// # Errors
    /// When neither the servers nor the hub that leads can prove it now.
    pub(super) async fn log_end(&self, ask_for: AskFor) -> Result<u64, NatsError> {
        if ask_for == AskFor::Write
            && let Some(prove) = self.end_proof.get()
        {
            if let Some(end) = self.nats.end_if_certain().await? {
                return Ok(end);
            }
            if let Ok(end) = prove().await {
                return Ok(end);
            }
        }
        self.nats.end().await
    }

    /// Waits until this hub has written or applied all that the stream holds now: a replica may have carried out a purge or a
    /// deletion of which this hub has not heard yet, also one that leads no more and does not know it. Both were told of in
    /// the stream before.
    pub(super) async fn has_heard(&self, ask_for: AskFor, patience: &mut Patience) -> Result<(), StoreError> {
        let end = loop {
            match self.log_end(ask_for).await {
                Ok(end) => break end,
                Err(error) => patience.after_error(error).await?,
            }
        };
        patience.begin_again();
        let heard = || if self.chain.leads() { self.chain.last() } else { self.applied.load(Ordering::Acquire) };
        while heard() < end {
            patience.after_doubt().await?;
        }
        Ok(())
    }
}
