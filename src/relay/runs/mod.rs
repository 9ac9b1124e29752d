//! The table of runs: those that run, and those that ended within the time that they are kept.
//!
//! A request that asks for a generation either joins a run that exists, or a new one is entered for it. Both happen
//! under one lock, so that of any number of identical requests one asks the provider.

//!
//! | module | idea |
//! |---|---|
//! | this file | what can be asked of the table |
//! | `identity` | what identifies a request, and what becomes of it |
//! | `table` | the indexes, and which run a request joins |
//! | `recorded` | what the journal tells of runs: those of other hubs, and of earlier processes |

use std::{sync::Arc, time::Duration};

use parking_lot::Mutex;

use super::{
    ending::RunStatus,
    run::{Run, RunFacts},
};
use crate::event::{Millis, TopicName};

mod identity;
mod recorded;
mod table;

pub use identity::{JoinRefused, Joined, RunCursor, RunIdentity};
pub(super) use recorded::RecordedRun;
use table::RunTable;

/// All runs that are remembered.
#[derive(Debug)]
pub struct Runs {
    table: Mutex<RunTable>,
    /// Runs that are remembered at most.
    history: usize,
    /// Runs at once at most.
    at_once: usize,
    /// How long a run is remembered after it began.
    keep: Duration,
    /// The id of this hub, when hubs share the log.
    hub: Option<Arc<str>>,
}

impl Runs {
    /// An empty table: of at most `history` runs, `at_once` of which run at this hub at the same time, each kept for `keep`.
    /// `hub` is the id of this hub, when hubs share the log.
    #[must_use]
    pub fn new(hub: Option<Arc<str>>, history: usize, at_once: usize, keep: Duration) -> Self {
        Self { table: Mutex::default(), history, at_once, keep, hub }
    }

    /// The id of this hub, when hubs share the log.
    #[must_use]
    pub fn hub(&self) -> Option<&Arc<str>> {
        self.hub.as_ref()
    }

    /// The run that a request joins, or a new one with the facts that `facts` returns.
    ///
    /// # Errors
    /// Why there is none.
    pub fn join(
        &self,
        identity: &RunIdentity,
        now: Millis,
        facts: impl FnOnce() -> RunFacts,
    ) -> Result<Joined, JoinRefused> {
        let mut table = self.table.lock();
        if let Some(joined) = table.existing(identity, now)? {
            return Ok(joined);
        }
        let facts = facts();
        if let Some(running) = table.active.get(&facts.topic) {
            let id = table.by_number[running].facts.id.clone();
            return Err(JoinRefused::TopicBusy(id));
        }
        if table.running_here.len() >= self.at_once {
            return Err(JoinRefused::TooMany(self.at_once));
        }
        let number = table.next;
        table.active.insert(facts.topic.clone(), number);
        table.running_here.insert(number);
        let run = Run::new(number, facts, now, self.hub.clone());
        table.insert(Arc::clone(&run));
        table.forget_beyond(self.history);
        Ok(Joined { run, is_new: true, after: None })
    }

    /// Removes a run that never began.
    pub(super) fn withdraw(&self, run: &Run) {
        self.table.lock().remove(run.number);
    }

    /// Records that a run has ended: its topic is free for another.
    pub(super) fn ended(&self, run: &Run) {
        self.table.lock().ended(run);
    }

    /// Forgets a run whose content was deleted.
    pub fn forget(&self, run: &Run) {
        self.table.lock().remove(run.number);
    }

    /// Records the provider's id of a run's response. Returns whether it is the run's first one. An id that a server
    /// gives twice is that of the newest run.
    pub(super) fn name_response(&self, run: &Run, response: &str) -> bool {
        let mut table = self.table.lock();
        let is_first = table.by_number.contains_key(&run.number) && !table.responses.contains_key(&run.number);
        if is_first {
            table.by_response.insert(response.to_owned(), run.number);
            table.responses.insert(run.number, response.to_owned());
        }
        is_first
    }

    /// The run with this id.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Arc<Run>> {
        let table = self.table.lock();
        table.by_id.get(id).map(|number| Arc::clone(&table.by_number[number]))
    }

    /// The run whose response has this id of the provider's.
    #[must_use]
    pub fn of_response(&self, response: &str) -> Option<Arc<Run>> {
        let table = self.table.lock();
        table.by_response.get(response).map(|number| Arc::clone(&table.by_number[number]))
    }

    /// The running run of a topic.
    #[must_use]
    pub fn active(&self, topic: &TopicName) -> Option<Arc<Run>> {
        let table = self.table.lock();
        table.active.get(topic).map(|number| Arc::clone(&table.by_number[number]))
    }

    /// The newest run of a topic.
    #[must_use]
    pub fn newest(&self, topic: &TopicName) -> Option<Arc<Run>> {
        let table = self.table.lock();
        table.newest.get(topic).map(|number| Arc::clone(&table.by_number[number]))
    }

    /// Up to `limit` runs for which `keep` holds, newest first, of those that began before the run `after`. An unknown
    /// `after` has none.
    #[must_use]
    pub fn list(&self, after: Option<&str>, limit: usize, keep: impl Fn(&Run) -> bool) -> Vec<Arc<Run>> {
        let table = self.table.lock();
        let end = match after {
            None => u64::MAX,
            Some(id) => table.by_id.get(id).copied().unwrap_or(0),
        };
        table.by_number.range(..end).rev().map(|(_, run)| run).filter(|run| keep(run)).take(limit).cloned().collect()
    }

    /// All running runs, also of other hubs.
    #[must_use]
    pub fn running(&self) -> Vec<Arc<Run>> {
        let table = self.table.lock();
        table.active.values().map(|number| Arc::clone(&table.by_number[number])).collect()
    }

    /// All runs without an ending, also those whose topic has another one by now. Looks at each run.
    #[must_use]
    pub fn unfinished(&self) -> Vec<Arc<Run>> {
        self.table.lock().by_number.values().filter(|run| run.is_running()).cloned().collect()
    }

    /// Forgets the runs that began longer ago than they are kept. Call it about once a second.
    pub fn sweep(&self, now: Millis) {
        let mut table = self.table.lock();
        let keep = u64::try_from(self.keep.as_millis()).unwrap_or(u64::MAX);
        while let Some((&number, run)) = table.by_number.first_key_value() {
            let state = run.state();
            if state.status == RunStatus::Running || state.started.0.saturating_add(keep) > now.0 {
                return;
            }
            table.remove(number);
        }
    }
}

#[cfg(test)]
mod tests;
