//! What the engine says of itself: look-ups in memory.

use super::Hub;
use crate::engine::Members;

impl Hub {
    /// The hubs that share the engine's log. A look-up in memory.
    #[must_use]
    pub fn members(&self) -> Members {
        self.engine.members()
    }

    /// Events of one append at most.
    #[must_use]
    pub fn max_batch(&self) -> usize {
        self.capabilities.max_batch.unwrap_or(usize::MAX)
    }

    /// The engine's name.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        self.engine.name()
    }
}
