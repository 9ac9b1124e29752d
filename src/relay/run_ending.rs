//! The end of a run: why, and the one function that writes it.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use tokio::time::timeout;

use super::{
    clock::{RunClock, RunTime},
    ending::{RunEnded, RunError, RunStatus, TokenUsage},
    journal,
    publishing::{RunPublishing, publish},
    run::{Run, RunAccount, RunPhase, RunState},
    shard::RelayShard,
    upstream::WholeAnswer,
};
use crate::{
    engine::{AppendError, Receipt},
    event::{EventId, Millis},
    hub::publisher::Acknowledgments,
};

/// Characters of a provider's error or refusal that are kept in an ending: theirs are shorter. So an ending always fits
/// into an event.
const MESSAGE_CHARACTERS: usize = 2000;

/// Longest wait for the journal to tell who has ended a run. It takes milliseconds.
const SETTLING: Duration = Duration::from_secs(10);

/// Why a run ends.
#[derive(Debug)]
pub(super) struct RunEnding {
    pub(super) status: RunStatus,
    by: Option<String>,
    error: Option<RunError>,
}

impl RunEnding {
    pub(super) fn completed() -> Self {
        Self { status: RunStatus::Completed, by: None, error: None }
    }

    pub(super) fn new(status: RunStatus, code: &str, message: impl Into<String>) -> Self {
        let message = message.into().chars().take(MESSAGE_CHARACTERS).collect();
        let error = RunError { code: code.into(), message, status: None };
        Self { status, by: None, error: Some(error) }
    }

    pub(super) fn failed(code: &str, message: impl Into<String>) -> Self {
        Self::new(RunStatus::Failed, code, message)
    }

    pub(super) fn stopped(by: Option<String>) -> Self {
        let message = by.as_ref().map_or_else(|| "stopped".to_owned(), |name| format!("stopped by {name}"));
        Self { by, ..Self::new(RunStatus::Stopped, "stopped", message) }
    }

    /// The provider refused the request after the run had begun for its clients.
    pub(super) fn refused(answer: &WholeAnswer) -> Self {
        let text = String::from_utf8_lossy(&answer.body);
        let detail: String = text.chars().take(MESSAGE_CHARACTERS).collect();
        let message = format!("the provider refused the request with {}: {detail}", answer.status);
        let error = RunError { code: "upstream_refused".into(), message, status: Some(answer.status.as_u16()) };
        Self { status: RunStatus::Failed, by: None, error: Some(error) }
    }

    /// Another hub has ended the run. It is not written.
    pub(super) fn given_up() -> Self {
        Self::new(RunStatus::Interrupted, "interrupted", "another hub has ended the run")
    }

    /// The store refused the answer's events.
    pub(super) fn not_stored(error: &AppendError) -> Self {
        Self::failed("internal", format!("the answer cannot be stored: {error}"))
    }
}

/// Adds `run.started` to the next commit, unless it was added before.
pub(super) fn begin(run: &Run, publishing: &mut RunPublishing) {
    if run.begin() {
        for event in journal::beginning(run) {
            publishing.push(event);
        }
    }
}

/// Writes the ending of a run, with what is left of its events, in one commit. An ending that cannot be stored is
/// written by the next start.
pub(super) async fn end(
    shard: &RelayShard,
    run: &Arc<Run>,
    mut publishing: RunPublishing,
    account: Option<Box<dyn RunAccount>>,
    ending: RunEnding,
) {
    let relay = &shard.relay;
    if run.is_taken() {
        return taken(shard, run, account);
    }
    let RunEnding { status, by, error } = ending;
    let RunState { usage, finish_reason, .. } = run.state();
    let usage = if status == RunStatus::Completed { usage.of_complete_answer() } else { usage };
    let ended = RunEnded { run: run.facts.id.clone(), status, by, usage, finish_reason, error };
    begin(run, &mut publishing);
    publishing.push(journal::ending_event(&run.facts, &ended));
    publishing.push(journal::ended(&ended, relay.runs.hub()));
    run.begin_to_end();
    let mut phase = RunPhase::Ended;
    match write(shard, run, publishing, &ended).await {
        Ok(()) => {}
        // Another hub has ended it, and the journal will say so.
        Err(AppendError::KeyReused) if timeout(SETTLING, run.over()).await.is_ok() => {
            return taken(shard, run, account);
        }
        Err(error) => {
            tracing::error!(run = run.facts.id, error = %error, "the ending of a run cannot be stored; it is written later, or by the next start");
            phase = RunPhase::Lost;
        }
    }
    settle(account, usage);
    relay.stats.ended(&run.facts.provider, status, usage);
    run.update(|state| {
        (state.status, state.usage, state.error, state.by) = (status, usage, ended.error, ended.by);
        state.ended = Some(Millis::from(SystemTime::now()));
    });
    relay.runs.ended(run);
    run.set_phase(phase.clone());
    if matches!(phase, RunPhase::Lost) && relay.runs.hub().is_some() {
        relay.lost.lock().push(Arc::clone(run));
    }
    tracing::info!(run = run.facts.id, provider = run.facts.provider, status = ?status, "a run has ended");
}

/// Charges the tokens, and returns the permit: who learns that the run is over may begin another.
fn settle(account: Option<Box<dyn RunAccount>>, usage: TokenUsage) {
    if let Some(account) = account {
        account.charge(usage.input.unwrap_or(0) + usage.output.unwrap_or(0));
    }
}

/// Another hub has ended the run: this one writes nothing more.
fn taken(shard: &RelayShard, run: &Run, account: Option<Box<dyn RunAccount>>) {
    let RunState { usage, status, .. } = run.state();
    settle(account, usage);
    shard.relay.stats.ended(&run.facts.provider, status, usage);
}

async fn write(
    shard: &RelayShard,
    run: &Run,
    mut publishing: RunPublishing,
    ended: &RunEnded,
) -> Result<(), AppendError> {
    let hub = shard.relay.runs.hub();
    let key = journal::ending_key(&run.facts, hub);
    let stored = async {
        while publishing.is_committing() {
            note(run, &publishing.committed().await.result?);
        }
        loop {
            let is_last = publishing.commit_last(key);
            note(run, &publishing.committed().await.result?);
            if is_last {
                return Ok(());
            }
        }
    };
    match stored.await {
        // Its topic was closed by hand, or by another hub's ending: no reader can wait for more.
        Err(AppendError::Closed { .. }) => {
            publish(&shard.publisher, vec![journal::ended(ended, hub)], key).await.map(drop)
        }
        result => result,
    }
}

/// Notes the ids of a commit's events.
fn note(run: &Run, acknowledged: &Acknowledgments) {
    let own = acknowledged.as_slice().iter().map(|one| &one.receipt).filter(|one| one.topic == run.facts.topic);
    let mut ids = own.map(|Receipt { epoch, seq, .. }| EventId { epoch: *epoch, seq: *seq });
    let Some(first) = ids.next() else { return };
    let last = ids.last().unwrap_or(first);
    run.update(|state| {
        state.first.get_or_insert(first);
        state.last = Some(last);
    });
}

/// A commit of the run is durable: those who wait for its beginning may read it.
pub(super) fn is_durable(run: &Run, acknowledged: &Acknowledgments) {
    note(run, acknowledged);
    if run.state().first.is_some() && matches!(run.phase(), RunPhase::Asked) {
        run.set_phase(RunPhase::Started);
    }
}

/// The ending that time brings, if any.
pub(super) fn ending_of(shard: &RelayShard, run: &Run, clock: &mut RunClock, time: RunTime) -> Option<RunEnding> {
    let relay = &shard.relay;
    let timed_out = |message| Some(RunEnding::new(RunStatus::TimedOut, "timed_out", message));
    match time {
        RunTime::Silent => timed_out(format!("the provider sent nothing for {} s", clock.silence_timeout().as_secs())),
        RunTime::Late => timed_out(format!("the answer took longer than {} s", relay.limits.run_timeout.as_secs())),
        RunTime::DrainEnds => {
            let message = "the hub ended before the answer was complete";
            Some(RunEnding::new(RunStatus::Interrupted, "interrupted", message))
        }
        RunTime::Tick => {
            let here = run.waiting() > 0 || relay.hub.broker().subscribers(&run.facts.topic) > 0;
            let watched = here || run.is_watched_elsewhere();
            let unwatched = clock.unwatched(watched)?;
            let message = format!("nobody watched the answer for {} s", unwatched.as_secs());
            Some(RunEnding::new(RunStatus::Abandoned, "abandoned", message))
        }
    }
}
