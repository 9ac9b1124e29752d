//! What the hub passes through to the engine: members, limits, name, backups.

use super::Hub;
use crate::engine::{BackupRequest, BackupStream, Members};

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

    /// Begins a backup; `None` when the engine has none of its own. The caller bounds the number of backups.
    #[must_use]
    pub fn backup(&self, request: BackupRequest) -> Option<BackupStream> {
        self.engine.backup(request)
    }

    /// The engine's name.
    #[must_use]
    pub fn engine_name(&self) -> &'static str {
        self.engine.name()
    }
}
