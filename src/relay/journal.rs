//! The journal: a topic of the hub itself in which the beginning and the end of each run are recorded, each in one commit
//! with the run's own event. Here is what its entries are; [`recovery`](super::recovery) reads them at a start, and
//! [`following`](super::following) those that other hubs write.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{
    dialect,
    ending::{RunEnded, RunStarted},
    run::{Run, RunFacts},
    runs::RecordedRun,
};
use crate::{
    engine::IdempotencyKey,
    event::{Data, EventName, Millis, NewEvent, TopicName},
};

/// The name of the journal's topic.
pub const TOPIC: &str = "$relay/runs";

/// An entry of the journal.
#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub(super) enum JournalEntry {
    /// A run with an `Idempotency-Key` is asked for: it may be billed, and has no events yet. When hubs share the log, also one
    /// in a topic that is not its own.
    Asked(RecordedFacts),
    /// A run has begun. The next event of the commit is its `run.started`.
    Started(RecordedFacts),
    /// A run that was asked for did not begin: its key is free.
    Refused { run: String },
    /// The provider's id of a run's response.
    Response { run: String, response: String },
    /// A run has ended. The event before it in the commit is its `run.ended`.
    Ended(RecordedEnding),
    /// A run's content was deleted.
    Deleted { run: String },
    /// The hub that runs a run is to stop it.
    Stop {
        run: String,
        /// The name of who stops it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        by: Option<String>,
        /// Its provider is to be read on for its token counts.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        drain: bool,
    },
    /// These runs are read at another hub than theirs.
    Watched { runs: Vec<String> },
}

/// An ending, and who has written it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RecordedEnding {
    #[serde(flatten)]
    pub(super) ended: RunEnded,
    /// The id of the hub that has ended it, when hubs share the log.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub(super) hub: Option<String>,
}

#[derive(Debug, Serialize, Deserialize)]
pub(super) struct RecordedFacts {
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
    /// The id of the hub that runs it, when hubs share the log.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    hub: Option<String>,
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

/// The entry of a run that ends, by `hub` when hubs share the log.
#[must_use]
pub fn ended(ended: &RunEnded, hub: Option<&Arc<str>>) -> NewEvent {
    entry(&JournalEntry::Ended(RecordedEnding { ended: ended.clone(), hub: hub.map(ToString::to_string) }))
}

/// The key with which `hub` appends a run's ending, when hubs share the log: the first ending is appended, and another hub's
/// is refused. It holds for the log's window of keys.
#[must_use]
pub fn ending_key(facts: &RunFacts, hub: Option<&Arc<str>>) -> Option<IdempotencyKey> {
    let digest = |parts: &[&str]| digest(parts).to_be_bytes();
    let owner = u64::MAX; // no client's
    hub.map(|hub| IdempotencyKey { key: digest(&["run.ended", &facts.id]), fingerprint: digest(&[hub]), owner })
}

/// The entry that asks the hub of a run to stop it.
#[must_use]
pub fn stop(run: &Run, by: Option<String>, drain: bool) -> NewEvent {
    entry(&JournalEntry::Stop { run: run.facts.id.clone(), by, drain })
}

/// The entry that tells of runs which are read here.
#[must_use]
pub fn watched(runs: &[Arc<Run>]) -> NewEvent {
    entry(&JournalEntry::Watched { runs: runs.iter().map(|run| run.facts.id.clone()).collect() })
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
            hub: run.hub.as_ref().map(ToString::to_string),
        }
    }

    /// `None` when a later version wrote what this one does not know.
    pub(super) fn read(self) -> Option<RecordedRun> {
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
        Some(RecordedRun { facts, hub: self.hub.map(Into::into), started: Millis(self.started) })
    }
}

/// The name of a run's own topic.
#[must_use]
pub fn own_topic(run: &str) -> String {
    format!("runs/{run}")
}

/// FNV-1a of 128 bits. The parts are ids that hubs have made.
fn digest(parts: &[&str]) -> u128 {
    let bytes = parts.iter().flat_map(|part| part.bytes().chain([0xff]));
    bytes.fold(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d, |hash, byte| {
        (hash ^ u128::from(byte)).wrapping_mul(0x0100_0000_0000_0000_0000_013b)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_of_earlier_versions_are_read_and_a_hub_alone_writes_the_same() {
        let text = r#"{"type":"started","run":"run_1","topic":"runs/run_1","provider":"p","model":"m","api":"openai.chat","fingerprint":"f","request_bytes":7,"started":1700000000000}"#;
        let JournalEntry::Started(facts) = serde_json::from_str(text).expect("an entry") else {
            panic!("another entry")
        };
        let recorded = facts.read().expect("known");
        assert!(recorded.hub.is_none() && recorded.facts.owns_topic);
        let run = Run::recorded(0, recorded.facts, recorded.started, None);
        assert_eq!(json(&JournalEntry::Started(RecordedFacts::of(&run))), text);
        let text = r#"{"type":"ended","run":"run_1","status":"completed","usage":{"input":1,"output":null,"source":"upstream"}}"#;
        let JournalEntry::Ended(ending) = serde_json::from_str(text).expect("an entry") else {
            panic!("another entry")
        };
        assert!(ending.hub.is_none());
        assert_eq!(json(&JournalEntry::Ended(ending)), text);
    }

    #[test]
    fn the_key_of_an_ending_is_that_of_its_run_and_differs_between_hubs() {
        let facts = |id: &str| RunFacts {
            id: id.into(),
            topic: TopicName::internal(TOPIC),
            owns_topic: true,
            provider: String::new(),
            model: String::new(),
            api: dialect::api_by_name("openai.chat").expect("there is one"),
            holder: None,
            fingerprint: String::new(),
            key: None,
            request_bytes: 0,
        };
        let key = |id: &str, hub: &str| ending_key(&facts(id), Some(&hub.into())).expect("shared");
        assert_eq!(key("run_1", "a").key, key("run_1", "b").key);
        assert_ne!(key("run_1", "a").fingerprint, key("run_1", "b").fingerprint);
        assert_ne!(key("run_1", "a").key, key("run_2", "a").key);
        assert!(ending_key(&facts("run_1"), None).is_none());
    }
}
