//! The ending of a run whose task is gone, with its hub or without.

use std::sync::Arc;

use super::{
    ending::{RunEnded, RunError, RunStatus, TokenUsage},
    journal,
    run::{Run, RunPhase},
    runs::Runs,
};
use crate::{
    engine::{Append, AppendError},
    event::{EventId, NewEvent},
    hub::Hub,
};

/// Ends a run as `interrupted`, unless it has an ending in the log. When hubs share the log, the journal tells the table of it.
///
/// # Errors
/// Why its ending is not durable: [`AppendError::KeyReused`] when another hub has ended it.
pub(super) async fn interrupt(hub: &Hub, runs: &Runs, run: &Run) -> Result<(), AppendError> {
    let facts = &run.facts;
    let message = "the hub ended before the answer was complete".to_owned();
    let end = RunEnded {
        run: facts.id.clone(),
        status: RunStatus::Interrupted,
        by: None,
        usage: TokenUsage::default(),
        finish_reason: None,
        error: Some(RunError { code: "interrupted".into(), message, status: None }),
    };
    let key = journal::ending_key(facts, runs.hub());
    let append = |events: Vec<NewEvent>| hub.publish(Append { events, expect: None, key });
    let entry = journal::ended(&end, runs.hub());
    let mut events = Vec::new();
    if run.state().first.is_none() {
        events.extend(journal::beginning(run));
    }
    events.extend([journal::ending_event(facts, &end), entry.clone()]);
    let acknowledged = match append(events).await {
        // Its topic was closed by hand: no reader can wait for more.
        Err(AppendError::Closed { .. }) => append(vec![entry]).await?,
        result => result?,
    };
    let id = |at: usize| acknowledged.get(at).map(|one| EventId { epoch: one.receipt.epoch, seq: one.receipt.seq });
    let time = acknowledged.last().map(|one| one.receipt.time);
    let count = acknowledged.len();
    run.update(|state| {
        state.first = state.first.or_else(|| id(1).filter(|_| count > 2));
        state.last = if count > 1 { id(count - 2) } else { state.last };
        (state.status, state.error, state.ended) = (end.status, end.error, time);
    });
    runs.ended(run);
    run.set_phase(RunPhase::Ended);
    Ok(())
}

/// Ends all of these, at once.
pub(super) async fn interrupt_all(
    hub: &Arc<Hub>,
    runs: &Arc<Runs>,
    gone: Vec<Arc<Run>>,
) -> Vec<(Arc<Run>, AppendError)> {
    let end = |run: Arc<Run>| {
        let (hub, runs) = (Arc::clone(hub), Arc::clone(runs));
        tokio::spawn(async move { interrupt(&hub, &runs, &run).await.map_err(|error| (run, error)) })
    };
    let ending: Vec<_> = gone.into_iter().map(end).collect();
    let mut failed = Vec::new();
    for ending in ending {
        failed.extend(ending.await.expect("it does not panic").err());
    }
    failed
}
