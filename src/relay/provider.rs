//! A provider: where its requests go, with which key, and what may be asked of it.

use std::{fmt, sync::Arc, time::Duration};

use arc_swap::ArcSwapOption;

use super::dialect::{self, Dialect};
use crate::{client::Connector, event::Glob};

/// A configured upstream.
pub struct Provider {
    /// Its name: `/relay/NAME/…`.
    pub name: String,
    /// What it speaks.
    pub dialect: &'static dyn Dialect,
    /// What stands before the path of every request.
    pub path_prefix: String,
    /// Opens connections to it.
    pub connector: Arc<Connector>,
    /// The models that may be asked for; empty for all.
    pub models: Vec<Glob>,
    /// When a run that nobody watches is stopped.
    pub on_disconnect: UnwatchedPolicy,
    /// Paths that are open besides what its dialect opens.
    pub endpoints: Vec<Glob>,
    /// The key. Changes at a reload.
    pub key: ArcSwapOption<UpstreamKey>,
}

/// A provider's key. It has no `Debug` that shows it.
#[derive(Clone, PartialEq, Eq)]
pub struct UpstreamKey(Box<str>);

/// When a run that nobody watches is stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnwatchedPolicy {
    /// Never.
    Continue,
    /// After this long; zero for at once.
    Stop(Duration),
}

impl Provider {
    /// Whether `model` may be asked for.
    #[must_use]
    pub fn allows_model(&self, model: &str) -> bool {
        self.models.is_empty() || self.models.iter().any(|pattern| pattern.matches(model))
    }

    /// Whether the configuration opens `path` besides what the dialect opens. One that the provider could take for another
    /// path is not opened: `/v1/files/../x`.
    #[must_use]
    pub fn opens(&self, path: &str) -> bool {
        dialect::is_plain(path) && self.endpoints.iter().any(|pattern| pattern.matches(path))
    }

    /// Replaces the key.
    pub fn set_key(&self, key: Option<UpstreamKey>) {
        self.key.store(key.map(Arc::new));
    }
}

impl UpstreamKey {
    /// A key, without white space around it; `None` when nothing is left.
    #[must_use]
    pub fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// The key itself, for a request to the provider and for nothing else.
    #[must_use]
    pub fn secret(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for UpstreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Provider").field("name", &self.name).field("dialect", &self.dialect).finish_non_exhaustive()
    }
}
