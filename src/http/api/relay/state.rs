//! What the relay's handlers share on one core.

use std::{rc::Rc, sync::Arc};

use crate::{
    http::{
        api::{body::Bodies, stream::shard::StreamShard, topic_guard::TopicGuards},
        message::problem::{Code, Problem},
    },
    relay::{RelayShard, provider::Provider, run::Run},
};

/// What the relay's handlers share. It has no locks: a connection stays on its core.
pub struct RelayState {
    /// The relay of this core; `None` when no provider is configured.
    pub shard: Option<Rc<RelayShard>>,
    /// The streams of this core.
    pub stream: Rc<StreamShard>,
    /// Reads request bodies.
    pub bodies: Arc<Bodies>,
    /// What protocols forbid.
    pub guards: TopicGuards,
}

impl RelayState {
    /// The relay of this core.
    ///
    /// # Errors
    /// When no provider is configured.
    pub fn shard(&self) -> Result<&Rc<RelayShard>, Problem> {
        let detail = "this hub relays to no provider; configure one, or start it with --relay openai";
        self.shard.as_ref().ok_or_else(|| Problem::new(Code::NotFound, detail))
    }

    /// The provider with this name.
    ///
    /// # Errors
    /// When there is none.
    pub fn provider(&self, name: &str) -> Result<Arc<Provider>, Problem> {
        let providers = &self.shard()?.relay.providers;
        providers.get(name).cloned().ok_or_else(|| {
            let mut names: Vec<_> = providers.keys().map(String::as_str).collect();
            names.sort_unstable();
            let detail = format!("there is no provider '{}'; configured are {}", name.escape_debug(), names.join(", "));
            Problem::new(Code::NotFound, detail)
        })
    }

    /// The run with this id, also of another hub.
    ///
    /// # Errors
    /// When it is not known.
    pub async fn run(&self, id: &str) -> Result<Arc<Run>, Problem> {
        let unknown = || Problem::new(Code::RunUnknown, "there is no run with this id, or it is no longer kept");
        self.shard()?.relay.find(id).await.ok_or_else(unknown)
    }
}
