//! The table itself: its indexes, and which run a request joins.

use std::{
    collections::{BTreeMap, HashMap, HashSet, VecDeque},
    sync::Arc,
    time::Duration,
};

use super::identity::{JoinRefused, Joined, RunCursor, RunIdentity};
use crate::{
    event::{EventId, Millis, TopicName},
    relay::{ending::RunStatus, run::Run},
};

/// How long an `Idempotency-Key` is remembered, unless its run is forgotten before.
pub(super) const KEY_LIFETIME: Duration = Duration::from_hours(24);

/// How long after a run has begun a retry without a key joins it: SDKs retry within seconds, and give up after 10 min.
const RETRY_WINDOW: Duration = Duration::from_mins(2);

#[derive(Debug, Default)]
pub(super) struct RunTable {
    pub(super) next: u64,
    pub(super) by_number: BTreeMap<u64, Arc<Run>>,
    pub(super) by_id: HashMap<String, u64>,
    pub(super) by_key: HashMap<String, u64>,
    /// In their order.
    pub(super) by_fingerprint: HashMap<String, VecDeque<u64>>,
    pub(super) by_response: HashMap<String, u64>,
    /// The response ids of each run.
    pub(super) responses: HashMap<u64, String>,
    /// The running run of each topic.
    pub(super) active: HashMap<TopicName, u64>,
    /// The running runs of this hub: a subset of those in `active`, besides those that another hub was asked for before.
    pub(super) running_here: HashSet<u64>,
    /// The newest run of each topic.
    pub(super) newest: HashMap<TopicName, u64>,
}

impl RunTable {
    pub(super) fn existing(&self, identity: &RunIdentity, now: Millis) -> Result<Option<Joined>, JoinRefused> {
        let join = |run: &Arc<Run>, after| Some(Joined { run: Arc::clone(run), is_new: false, after });
        let age = |run: &Run| Duration::from_millis(now.0.saturating_sub(run.state().started.0));
        let same = || {
            let numbers = self.by_fingerprint.get(&identity.fingerprint).into_iter().flatten().rev();
            numbers.map(|number| &self.by_number[number])
        };
        if let Some(run) =
            identity.key.as_ref().and_then(|key| self.by_key.get(key)).map(|number| &self.by_number[number])
            && age(run) < KEY_LIFETIME
        {
            if run.facts.fingerprint != identity.fingerprint {
                return Err(JoinRefused::KeyReused);
            }
            return match identity.cursor {
                RunCursor::None => Ok(join(run, None)),
                RunCursor::At(cursor) if contains(run, cursor) => Ok(join(run, Some(cursor))),
                RunCursor::At(_) | RunCursor::Unknown => Err(JoinRefused::CursorUnknown),
            };
        }
        match identity.cursor {
            RunCursor::None => {}
            RunCursor::Unknown => return Err(JoinRefused::CursorUnknown),
            RunCursor::At(cursor) => {
                let run = same().find(|run| contains(run, cursor));
                return run.map(|run| join(run, Some(cursor))).ok_or(JoinRefused::CursorUnknown);
            }
        }
        if !identity.retry {
            return Ok(None);
        }
        let retried = |run: &&Arc<Run>| matches!(run.state().status, RunStatus::Running | RunStatus::Completed);
        Ok(same().take_while(|run| age(run) < RETRY_WINDOW).find(retried).and_then(|run| join(run, None)))
    }

    pub(super) fn insert(&mut self, run: Arc<Run>) {
        let number = run.number;
        self.next = number + 1;
        self.by_id.insert(run.facts.id.clone(), number);
        self.by_fingerprint.entry(run.facts.fingerprint.clone()).or_default().push_back(number);
        if let Some(key) = &run.facts.key {
            self.by_key.insert(key.clone(), number);
        }
        self.newest.insert(run.facts.topic.clone(), number);
        self.by_number.insert(number, run);
    }

    /// Frees the topic of a run for another one.
    pub(super) fn ended(&mut self, run: &Run) {
        self.running_here.remove(&run.number);
        if self.active.get(&run.facts.topic) == Some(&run.number) {
            self.active.remove(&run.facts.topic);
        }
    }

    pub(super) fn remove(&mut self, number: u64) {
        let Some(run) = self.by_number.remove(&number) else { return };
        let facts = &run.facts;
        self.by_id.remove(&facts.id);
        if let Some(numbers) = self.by_fingerprint.get_mut(&facts.fingerprint) {
            if let Ok(at) = numbers.binary_search(&number) {
                numbers.remove(at);
            }
            if numbers.is_empty() {
                self.by_fingerprint.remove(&facts.fingerprint);
            }
        }
        if let Some(key) = facts.key.as_ref().filter(|key| self.by_key.get(*key) == Some(&number)) {
            self.by_key.remove(key);
        }
        self.ended(&run);
        if self.newest.get(&facts.topic) == Some(&number) {
            // The oldest run, which is the usual one to go, has none before it.
            match self.by_number.range(..number).rev().find(|(_, other)| other.facts.topic == facts.topic) {
                Some((&before, _)) => self.newest.insert(facts.topic.clone(), before),
                None => self.newest.remove(&facts.topic),
            };
        }
        if let Some(response) = self.responses.remove(&number)
            && self.by_response.get(&response) == Some(&number)
        {
            self.by_response.remove(&response);
        }
    }

    /// Forgets the oldest runs that have ended, until at most `most` are left.
    pub(super) fn forget_beyond(&mut self, most: usize) {
        let excess = self.by_number.len().saturating_sub(most);
        let oldest = self.by_number.values().filter(|run| !run.is_running()).take(excess);
        for number in oldest.map(|run| run.number).collect::<Vec<_>>() {
            self.remove(number);
        }
    }
}

/// Whether the cursor is a position of the run.
fn contains(run: &Run, cursor: EventId) -> bool {
    let state = run.state();
    let Some(first) = state.first else { return false };
    let last = state.last.unwrap_or(first);
    cursor.epoch == first.epoch
        && first.seq <= cursor.seq
        && (cursor.seq <= last.seq || state.status == RunStatus::Running)
}
