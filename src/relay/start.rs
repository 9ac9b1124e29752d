//! The start of a run: a request joins a run that exists, or a task is spawned for a new one.

use std::{any::Any, rc::Rc, sync::Arc, time::SystemTime};

use tokio::task::spawn_local;

use super::{
    provider::{Provider, UnwatchedPolicy},
    run::{RunAccount, RunFacts, RunPhase},
    runs::{JoinRefused, Joined, RunIdentity},
    shard::RelayShard,
    signals::StartFailure,
    task::{self, RunTask},
    upstream::UpstreamRequest,
};
use crate::event::Millis;

/// A request for a run.
pub struct RunRequest {
    /// The provider.
    pub provider: Arc<Provider>,
    /// What identifies the request.
    pub identity: RunIdentity,
    /// What is sent to the provider.
    pub upstream: UpstreamRequest,
    /// Kept until the provider has the request: the memory that its body is charged to.
    pub memory: Box<dyn Any>,
    /// Whether the run begins before the provider has answered: a refusal is then an ending.
    pub at_once: bool,
    /// When it is stopped if nobody watches it.
    pub on_disconnect: UnwatchedPolicy,
}

/// The run that a request joins, or a new one, for which the provider is asked. Charges `account` only for a new one.
/// Must be called inside a `LocalSet`.
///
/// # Errors
/// Why there is no run, or why the account cannot pay for one.
pub fn join<E: From<JoinRefused>>(
    shard: &Rc<RelayShard>,
    request: RunRequest,
    facts: impl FnOnce() -> RunFacts,
    account: impl FnOnce() -> Result<Box<dyn RunAccount>, E>,
) -> Result<Joined, E> {
    let now = Millis::from(SystemTime::now());
    let joined = shard.relay.runs.join(&request.identity, now, facts)?;
    if !joined.is_new {
        shard.relay.stats.attached();
        return Ok(joined);
    }
    let account = match account() {
        Ok(account) => account,
        Err(refused) => {
            shard.relay.runs.withdraw(&joined.run);
            joined.run.set_phase(RunPhase::NotStarted(Arc::new(StartFailure::Limited)));
            return Err(refused);
        }
    };
    let task = RunTask {
        shard: Rc::clone(shard),
        provider: request.provider,
        run: Arc::clone(&joined.run),
        request: request.upstream,
        memory: Some(request.memory),
        at_once: request.at_once,
        on_disconnect: request.on_disconnect,
        account,
    };
    spawn_local(task::supervise(task));
    Ok(joined)
}
