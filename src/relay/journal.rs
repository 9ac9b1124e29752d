//! The journal: a topic of the hub itself in which the beginning and the end of each run are recorded, each in one commit
//! with the run's own event. At a start the table of runs is read from it, and each run that has no end gets one.

use std::{future::poll_fn, sync::Arc, task::Poll};

use serde::{Deserialize, Serialize};

use super::{
    dialect,
    ending::{RunEnded, RunError, RunStarted, RunStatus, TokenUsage},
    run::{Run, RunFacts, RunPhase, RunState},
    runs::Runs,
};
use crate::{
    engine::{Append, AppendError, ReadError},
    event::{Data, Event, EventId, EventName, Millis, NewEvent, Selection, Seq, TopicName},
    hub::{
        Hub,
        batch::ReadLimit,
        subscription::{Delivery, Start},
    },
};

/// The name of the journal's topic.
pub const TOPIC: &str = "$relay/runs";

/// Events and bytes of one read of the journal.
const PAGE: ReadLimit = ReadLimit { events: 1000, bytes: 256 << 10 };

/// An entry of the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum JournalEntry {
    /// A run with an `Idempotency-Key` is asked for: it may be billed, and has no events yet.
    Asked(RecordedFacts),
    /// A run has begun. The next event of the commit is its `run.started`.
    Started(RecordedFacts),
    /// A run that was asked for did not begin: its key is free.
    Refused { run: String },
    /// The provider's id of a run's response.
    Response { run: String, response: String },
    /// A run has ended. The event before it in the commit is its `run.ended`.
    Ended(RunEnded),
    /// A run's content was deleted.
    Deleted { run: String },
}

#[derive(Debug, Serialize, Deserialize)]
struct RecordedFacts {
    run: String,
    topic: String,
    provider: String,
    model: String,
    api: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    holder: Option<String>,
    fingerprint: String,
    #[serde(skip_serializing_if = "Option::is_none", default)]
    key: Option<String>,
    request_bytes: u64,
    started: u64,
}

/// The entry of a run that is about to be asked for.
#[must_use]
pub fn asked(run: &Run) -> NewEvent {
    entry(&JournalEntry::Asked(RecordedFacts::of(run)))
}

/// The beginning of a run: its entry, and the run's `run.started`.
#[must_use]
pub fn beginning(run: &Run) -> [NewEvent; 2] {
    let facts = &run.facts;
    let started = RunStarted { run: facts.id.clone(), provider: facts.provider.clone(), model: facts.model.clone() };
    [entry(&JournalEntry::Started(RecordedFacts::of(run))), run_event(facts, EventName::run_started(), json(&started))]
}

/// The entry of a run that did not begin.
#[must_use]
pub fn refused(run: &Run) -> NewEvent {
    entry(&JournalEntry::Refused { run: run.facts.id.clone() })
}

/// The entry of a response id.
#[must_use]
pub fn response(run: &Run, response: &str) -> NewEvent {
    entry(&JournalEntry::Response { run: run.facts.id.clone(), response: response.to_owned() })
}

/// The entry of a run that ends.
#[must_use]
pub fn ended(ended: &RunEnded) -> NewEvent {
    entry(&JournalEntry::Ended(ended.clone()))
}

/// The entry of a run whose content was deleted.
#[must_use]
pub fn deleted(run: &Run) -> NewEvent {
    entry(&JournalEntry::Deleted { run: run.facts.id.clone() })
}

/// The `run.ended` of a run, which closes the run's own topic.
#[must_use]
pub fn ending_event(facts: &RunFacts, ended: &RunEnded) -> NewEvent {
    let event = run_event(facts, EventName::run_ended(), json(ended));
    NewEvent { close: facts.owns_topic, ..event }
}

/// An event of a run.
#[must_use]
pub fn run_event(facts: &RunFacts, name: EventName, data: impl Into<Data>) -> NewEvent {
    NewEvent { name, of_run: true, ..NewEvent::new(facts.topic.clone(), data) }
}

/// A value as JSON text.
#[must_use]
pub fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("plain data can be written as JSON")
}

fn entry(entry: &JournalEntry) -> NewEvent {
    NewEvent::new(TopicName::internal(TOPIC), json(entry))
}

impl RecordedFacts {
    fn of(run: &Run) -> Self {
        let facts = &run.facts;
        Self {
            run: facts.id.clone(),
            topic: facts.topic.to_string(),
            provider: facts.provider.clone(),
            model: facts.model.clone(),
            api: facts.api.name().to_owned(),
            holder: facts.holder.clone(),
            fingerprint: facts.fingerprint.clone(),
            key: facts.key.clone(),
            request_bytes: facts.request_bytes,
            started: run.state().started.0,
        }
    }

    /// `None` when a later version wrote what this one does not know.
    fn read(self) -> Option<(RunFacts, Millis)> {
        let facts = RunFacts {
            topic: TopicName::new(&self.topic).ok()?,
            owns_topic: self.topic == own_topic(&self.run),
            id: self.run,
            provider: self.provider,
            model: self.model,
            api: dialect::api_by_name(&self.api)?,
            holder: self.holder,
            fingerprint: self.fingerprint,
            key: self.key,
            request_bytes: self.request_bytes,
        };
        Some((facts, Millis(self.started)))
    }
}

/// The name of a run's own topic.
#[must_use]
pub fn own_topic(run: &str) -> String {
    format!("runs/{run}")
}

/// A run as the journal tells of it.
struct Restoring {
    facts: RunFacts,
    state: RunState,
    response: Option<String>,
}

/// Reads the journal into `runs`, and ends every run that has no end as `interrupted`. Returns how many those were. An
/// ending that cannot be stored, because the disk is full for example, is written by the next start: a hub that can be read
/// must start.
///
/// # Errors
/// When the log cannot be read.
pub async fn recover(hub: &Arc<Hub>, runs: &Runs) -> Result<usize, RecoverError> {
    let mut found: Vec<Restoring> = Vec::new();
    let mut index = std::collections::HashMap::new();
    each_entry(hub, |event, epoch_id| {
        let Ok(entry) = serde_json::from_str::<JournalEntry>(event.new.data.as_str()) else {
            tracing::warn!(event.seq = event.seq.0, "an entry of the relay's journal is not known to this version");
            return;
        };
        let near = |seq: u64| EventId { seq: Seq(seq), ..epoch_id };
        match entry {
            JournalEntry::Asked(facts) => {
                let Some((facts, started)) = facts.read() else { return };
                index.insert(facts.id.clone(), found.len());
                found.push(Restoring { facts, state: running(started, None), response: None });
            }
            JournalEntry::Started(facts) => {
                let Some((facts, started)) = facts.read() else { return };
                let first = Some(near(event.seq.0 + 1));
                if let Some(&at) = index.get(&facts.id) {
                    (found[at].state.first, found[at].state.last) = (first, first);
                } else {
                    index.insert(facts.id.clone(), found.len());
                    found.push(Restoring { facts, state: running(started, first), response: None });
                }
            }
            JournalEntry::Refused { run } | JournalEntry::Deleted { run } => {
                if let Some(at) = index.remove(&run) {
                    found[at].state.status = RunStatus::Running;
                    found[at].facts.id.clear();
                }
            }
            JournalEntry::Response { run, response } => {
                if let Some(&at) = index.get(&run) {
                    found[at].response = Some(response);
                }
            }
            JournalEntry::Ended(ended) => {
                if let Some(&at) = index.get(&ended.run) {
                    let state = &mut found[at].state;
                    (state.status, state.usage, state.error, state.by) =
                        (ended.status, ended.usage, ended.error, ended.by);
                    state.finish_reason = ended.finish_reason;
                    (state.last, state.ended) = (Some(near(event.seq.0 - 1)), Some(event.time));
                }
            }
        }
    })
    .await?;
    let mut interrupted = Vec::new();
    // A refused or deleted run has no id any more.
    for one in found.into_iter().filter(|one| !one.facts.id.is_empty()) {
        let unfinished = one.state.status == RunStatus::Running;
        let run = runs.restore(one.facts, one.state);
        if let Some(response) = one.response {
            runs.name_response(&run, &response);
        }
        if unfinished {
            interrupted.push(run);
        }
    }
    let count = interrupted.len();
    let end = |run: Arc<Run>| (Arc::clone(&run), tokio::spawn(interrupt(Arc::clone(hub), run)));
    let ending: Vec<_> = interrupted.into_iter().map(end).collect();
    for (run, ending) in ending {
        if let Err(error) = ending.await.expect("it does not panic") {
            tracing::error!(run = run.facts.id, error = %error, "the ending of an interrupted run cannot be stored; the next start writes one");
            run.update(|state| state.status = RunStatus::Interrupted);
            run.set_phase(RunPhase::Lost);
        }
    }
    Ok(count)
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum RecoverError {
    /// It cannot be read.
    #[error("the relay's journal cannot be read: {0}")]
    Read(#[from] ReadError),
}

fn running(started: Millis, first: Option<EventId>) -> RunState {
    RunState {
        status: RunStatus::Running,
        started,
        ended: None,
        first,
        last: first,
        usage: TokenUsage::default(),
        finish_reason: None,
        error: None,
        by: None,
    }
}

/// Ends a run of an earlier process.
async fn interrupt(hub: Arc<Hub>, run: Arc<Run>) -> Result<(), AppendError> {
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
    let mut events = Vec::new();
    if run.state().first.is_none() {
        events.extend(beginning(&run));
    }
    events.extend([ending_event(facts, &end), ended(&end)]);
    let acknowledged = match hub.publish(Append { events, expect: None, key: None }).await {
        // Its topic was closed by hand: no reader can wait for more.
        Err(AppendError::Closed { .. }) => {
            hub.publish(Append { events: vec![ended(&end)], expect: None, key: None }).await?
        }
        result => result?,
    };
    let id = |at: usize| acknowledged.get(at).map(|one| EventId { epoch: one.receipt.epoch, seq: one.receipt.seq });
    let time = acknowledged.last().map(|one| one.receipt.time);
    let count = acknowledged.len();
    run.update(|state| {
        state.first = state.first.or_else(|| id(1));
        state.last = if count > 1 { id(count - 2) } else { state.last };
        (state.status, state.error, state.ended) = (end.status, end.error, time);
    });
    Ok(())
}

/// Passes each event of the journal to `each`, with its id.
async fn each_entry(hub: &Arc<Hub>, mut each: impl FnMut(&Event, EventId)) -> Result<(), ReadError> {
    let unreadable = || ReadError { reason: "the log cannot be read".into() };
    let selection = Selection::from(TopicName::internal(TOPIC));
    let mut subscription = hub.subscribe(&selection, Start::Earliest, PAGE, 0).await?;
    let mut next = poll_fn(|cx| {
        if subscription.caught_up() {
            return Poll::Ready(None);
        }
        match subscription.poll_next(cx) {
            Poll::Pending if subscription.caught_up() => Poll::Ready(None),
            delivery => delivery.map(Some),
        }
    });
    loop {
        match (&mut next).await {
            None | Some(Delivery::Finished(_)) => return Ok(()),
            Some(Delivery::Unreadable) => return Err(unreadable()),
            Some(Delivery::Events(batch)) => batch.frames().iter().for_each(|frame| each(&frame.event, frame.id)),
            // Trimmed by age: those runs are forgotten.
            Some(Delivery::Gap(_) | Delivery::End(_)) => {}
        }
    }
}
