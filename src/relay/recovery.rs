//! The start of the relay: the journal is read into the table of runs. When this hub has its log for itself, each run that has
//! no end gets one. When hubs share the log, other hubs may still run it: see [`following`](super::following).

use std::{sync::Arc, time::Duration};

use tokio::time::sleep;

use super::{interrupting::interrupt_all, journal, replay::apply, run::RunPhase, runs::Runs};
use crate::{
    engine::ReadError,
    event::TopicName,
    hub::{Hub, batch::ReadLimit, tail::TopicTail},
    relay::ending::RunStatus,
};

/// Events and bytes of one read of the journal.
pub(super) const PAGE: ReadLimit = ReadLimit { events: 1000, bytes: 256 << 10 };

/// Between two tries to read it.
const AGAIN: Duration = Duration::from_secs(1);

/// The journal as far as it was read, and how many runs had no ending.
pub struct RecoveredRuns {
    /// Reads what follows.
    pub tail: TopicTail,
    /// Runs that had no ending, and have one now.
    pub interrupted: usize,
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// It cannot be read.
    #[error("the relay's journal cannot be read: {0}")]
    Read(#[from] ReadError),
}

/// Reads the journal into `runs`. When this hub has its log for itself, ends every run that has no end as `interrupted`. An
/// ending that cannot be stored, because the disk is full for example, is written by the next start: a hub that can be read
/// must start.
///
/// # Errors
/// When the log cannot be read, and this hub has it for itself. A log that is shared is waited for.
pub async fn recover(hub: &Arc<Hub>, runs: &Arc<Runs>) -> Result<RecoveredRuns, RecoverError> {
    let mut tail = hub.tail(TopicName::internal(journal::TOPIC));
    loop {
        let page = match tail.read(PAGE).await {
            // Who shares a log waits for it, as at every start.
            Err(problem) if runs.hub().is_some() => {
                tracing::warn!(%problem, "waiting for the relay's journal");
                sleep(AGAIN).await;
                continue;
            }
            page => page?,
        };
        page.events.iter().for_each(|event| apply(runs, event, page.epoch));
        if page.at_end {
            break;
        }
    }
    if runs.hub().is_some() {
        return Ok(RecoveredRuns { tail, interrupted: 0 });
    }
    let unfinished = runs.unfinished();
    let interrupted = unfinished.len();
    for (run, error) in interrupt_all(hub, runs, unfinished).await {
        tracing::error!(run = run.facts.id, error = %error, "the ending of an interrupted run cannot be stored; the next start writes one");
        run.update(|state| state.status = RunStatus::Interrupted);
        runs.ended(&run);
        run.set_phase(RunPhase::Lost);
    }
    Ok(RecoveredRuns { tail, interrupted })
}
