//! The space of dead events.
use super::super::log::store::{Liveness, StoreError};
use super::Shared;

/// Where the last call stopped.
#[derive(Debug, Default)]
pub(super) struct Progress {}

impl Shared {
    pub(super) fn reclaim(&self, _live: &dyn Liveness) -> Result<(), StoreError> {
        let _ = &*self.reclaiming.lock();
        Ok(())
    }
}
