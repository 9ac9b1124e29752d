//! The hubs that share a log.

use std::{collections::BTreeSet, sync::Arc};

/// The hubs that share a log, as far as this hub has heard. See [`Engine::members`](super::Engine::members).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Members {
    /// The id of this hub, which no other process ever has; `None` when the log is this hub's alone.
    pub hub: Option<Arc<str>>,
    /// Whether this hub leads the log: at most one hub does, but two may believe to.
    pub leads: bool,
    /// The other hubs that were heard of within the last seconds.
    pub others: BTreeSet<Box<str>>,
    /// Whether this hub has listened for long enough that a hub which is not in `others` does not live.
    pub complete: bool,
}

impl Members {
    /// The log is this hub's alone.
    #[must_use]
    pub fn alone() -> Self {
        Self { hub: None, leads: true, others: BTreeSet::new(), complete: true }
    }

    /// Whether `hub` does not live any more, as far as can be known: it may be cut off from the others.
    #[must_use]
    pub fn is_gone(&self, hub: &str) -> bool {
        self.complete && self.hub.as_deref() != Some(hub) && !self.others.contains(hub)
    }
}
