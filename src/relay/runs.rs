//! The table of runs: those that run, and those that ended within the time that they are kept.
//!
//! A request that asks for a generation either joins a run that exists, or a new one is entered for it. Both happen
//! under one lock, so that of any number of identical requests one asks the provider.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    sync::Arc,
    time::Duration,
};

use parking_lot::Mutex;

use super::{
    ending::RunStatus,
    run::{Run, RunFacts, RunState},
};
use crate::event::{EventId, Millis, TopicName};

/// How long an `Idempotency-Key` is remembered, unless its run is forgotten before.
const KEY_LIFETIME: Duration = Duration::from_hours(24);

/// How long after a run has begun a retry without a key joins it: SDKs retry within seconds, and give up after 10 min.
const RETRY_WINDOW: Duration = Duration::from_mins(2);

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
}

#[derive(Debug, Default)]
struct RunTable {
    next: u64,
    by_number: BTreeMap<u64, Arc<Run>>,
    by_id: HashMap<String, u64>,
    by_key: HashMap<String, u64>,
    /// In their order.
    by_fingerprint: HashMap<String, VecDeque<u64>>,
    by_response: HashMap<String, u64>,
    /// The response ids of each run.
    responses: HashMap<u64, String>,
    /// The running run of each topic.
    active: HashMap<TopicName, u64>,
    /// The newest run of each topic.
    newest: HashMap<TopicName, u64>,
}

/// The `Last-Event-ID` of a request for a generation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum RunCursor {
    /// It has none.
    #[default]
    None,
    /// It is no id of this hub.
    Unknown,
    /// It is this one.
    At(EventId),
}

/// What identifies a request for a generation.
#[derive(Debug, Clone)]
pub struct RunIdentity {
    /// See [`RunFacts::fingerprint`].
    pub fingerprint: String,
    /// See [`RunFacts::key`].
    pub key: Option<String>,
    /// Its `Last-Event-ID`.
    pub cursor: RunCursor,
    /// Whether it says that it is a retry.
    pub retry: bool,
}

/// A request and its run.
#[derive(Debug, Clone)]
pub struct Joined {
    /// The run.
    pub run: Arc<Run>,
    /// Whether the run was entered for this request.
    pub is_new: bool,
    /// The position after which the client reads; `None` for the whole run.
    pub after: Option<EventId>,
}

/// Why a request gets no run.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum JoinRefused {
    /// The key was used for another request.
    #[error("the Idempotency-Key was used for another request; use a new key for a new request")]
    KeyReused,
    /// The request resumes a run that does not exist.
    #[error(
        "no run of this request has the position of its Last-Event-ID; send the request without it for a new answer"
    )]
    CursorUnknown,
    /// The topic has a running run.
    #[error("the run {0} is running in this topic; stop it, or wait for its end")]
    TopicBusy(String),
    /// As many runs as allowed are running.
    #[error("{0} runs are running, as many as this hub allows (relay.runs); retry in a moment")]
    TooMany(usize),
}

impl Runs {
    /// An empty table.
    #[must_use]
    pub fn new(history: usize, at_once: usize, keep: Duration) -> Self {
        Self { table: Mutex::default(), history, at_once, keep }
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
        if table.active.len() >= self.at_once {
            return Err(JoinRefused::TooMany(self.at_once));
        }
        let number = table.next;
        table.active.insert(facts.topic.clone(), number);
        let run = Run::new(number, facts, now);
        table.insert(Arc::clone(&run));
        table.forget_beyond(self.history);
        Ok(Joined { run, is_new: true, after: None })
    }

    /// Enters a run of an earlier process.
    pub(super) fn restore(&self, facts: RunFacts, state: RunState) -> Arc<Run> {
        let mut table = self.table.lock();
        let run = Run::restored(table.next, facts, state);
        table.insert(Arc::clone(&run));
        table.forget_beyond(self.history);
        run
    }

    /// Removes a run that never began.
    pub(super) fn withdraw(&self, run: &Run) {
        self.table.lock().remove(run.number);
    }

    /// Records that a run has ended: its topic is free for another.
    pub(super) fn ended(&self, run: &Run) {
        let mut table = self.table.lock();
        if table.active.get(&run.facts.topic) == Some(&run.number) {
            table.active.remove(&run.facts.topic);
        }
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

    /// All running runs.
    #[must_use]
    pub fn running(&self) -> Vec<Arc<Run>> {
        let table = self.table.lock();
        table.active.values().map(|number| Arc::clone(&table.by_number[number])).collect()
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

impl RunTable {
    fn existing(&self, identity: &RunIdentity, now: Millis) -> Result<Option<Joined>, JoinRefused> {
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

    fn insert(&mut self, run: Arc<Run>) {
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

    fn remove(&mut self, number: u64) {
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
        if self.active.get(&facts.topic) == Some(&number) {
            self.active.remove(&facts.topic);
        }
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
    fn forget_beyond(&mut self, most: usize) {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        event::{Epoch, Seq},
        relay::dialect::api_by_name,
    };

    const NOW: Millis = Millis(1_800_000_000_000);

    fn runs() -> Runs {
        Runs::new(5, 3, Duration::from_hours(24))
    }

    fn identity(fingerprint: &str, key: Option<&str>) -> RunIdentity {
        RunIdentity { fingerprint: fingerprint.into(), key: key.map(Into::into), cursor: RunCursor::None, retry: false }
    }

    fn facts(id: &str, topic: &str, of: &RunIdentity) -> RunFacts {
        RunFacts {
            id: id.into(),
            topic: TopicName::new(topic).expect("valid"),
            owns_topic: false,
            provider: "openai".into(),
            model: "m".into(),
            api: api_by_name("openai.chat").expect("there is one"),
            holder: None,
            fingerprint: of.fingerprint.clone(),
            key: of.key.clone(),
            request_bytes: 1,
        }
    }

    fn at(seq: u64) -> EventId {
        EventId { epoch: Epoch::new("abcd").expect("valid"), seq: Seq(seq) }
    }

    fn end(runs: &Runs, run: &Run, status: RunStatus) {
        run.update(|state| state.status = status);
        runs.ended(run);
    }

    #[test]
    fn a_key_joins_its_run_in_any_state_and_refuses_another_request() {
        let runs = runs();
        let asked = identity("f", Some("k"));
        let first = runs.join(&asked, NOW, || facts("r1", "a", &asked)).expect("a run");
        assert!(first.is_new);
        for status in [RunStatus::Running, RunStatus::Completed, RunStatus::Stopped, RunStatus::Interrupted] {
            end(&runs, &first.run, status);
            let again = runs.join(&asked, NOW, || unreachable!("it joins")).expect("a run");
            assert!(!again.is_new && again.run.facts.id == "r1", "{status:?}");
        }
        let other = identity("g", Some("k"));
        assert_eq!(runs.join(&other, NOW, || unreachable!()).unwrap_err(), JoinRefused::KeyReused);
        let day_later = Millis(NOW.0 + 24 * 3_600_000);
        assert!(runs.join(&other, day_later, || facts("r2", "b", &other)).expect("a run").is_new);
    }

    #[test]
    fn the_key_of_a_run_that_never_began_is_free() {
        let runs = runs();
        let asked = identity("f", Some("k"));
        let first = runs.join(&asked, NOW, || facts("r1", "a", &asked)).expect("a run");
        runs.withdraw(&first.run);
        let other = identity("g", Some("k"));
        assert!(runs.join(&other, NOW, || facts("r2", "a", &other)).expect("a run").is_new);
        assert_eq!((runs.running().len(), runs.get("r1").is_none()), (1, true));
    }

    #[test]
    fn a_retry_without_a_key_joins_a_young_run_that_runs_or_is_complete() {
        let runs = runs();
        let asked = identity("f", None);
        let first = runs.join(&asked, NOW, || facts("r1", "a", &asked)).expect("a run").run;
        let retry = RunIdentity { retry: true, ..asked.clone() };
        let joins = |now: u64| runs.table.lock().existing(&retry, Millis(now)).expect("not refused").is_some();
        assert!(joins(NOW.0) && joins(NOW.0 + 119_000) && !joins(NOW.0 + 120_000));
        for (status, joined) in
            [(RunStatus::Completed, true), (RunStatus::Truncated, false), (RunStatus::Stopped, false)]
        {
            end(&runs, &first, status);
            assert_eq!(joins(NOW.0), joined, "{status:?}");
        }
        let first_try = runs.join(&asked, NOW, || facts("r2", "a", &asked)).expect("a run");
        assert!(first_try.is_new, "it does not say that it is a retry");
    }

    #[test]
    fn a_cursor_joins_the_run_that_has_it_and_no_other_begins() {
        let runs = runs();
        let asked = identity("f", None);
        let run = runs.join(&asked, NOW, || facts("r1", "a", &asked)).expect("a run").run;
        run.update(|state| (state.first, state.last) = (Some(at(10)), Some(at(20))));
        let with = |cursor: Option<EventId>| {
            let cursor = cursor.map_or(RunCursor::Unknown, RunCursor::At);
            RunIdentity { cursor, ..asked.clone() }
        };
        let joined = |cursor| runs.join(&with(cursor), NOW, || unreachable!("it joins or is refused"));
        assert_eq!(joined(Some(at(12))).expect("a run").after, Some(at(12)));
        assert_eq!(joined(Some(at(21))).expect("it runs").after, Some(at(21)));
        for cursor in [None, Some(at(9))] {
            assert_eq!(joined(cursor).unwrap_err(), JoinRefused::CursorUnknown);
        }
        end(&runs, &run, RunStatus::Completed);
        assert_eq!(joined(Some(at(21))).unwrap_err(), JoinRefused::CursorUnknown);
        let elsewhere = RunIdentity { fingerprint: "g".into(), ..with(Some(at(12))) };
        assert_eq!(runs.join(&elsewhere, NOW, || unreachable!()).unwrap_err(), JoinRefused::CursorUnknown);
    }

    #[test]
    fn a_topic_has_one_running_run_and_the_hub_a_limited_number() {
        let runs = runs();
        let join = |id: &str, topic: &str| {
            let asked = identity(id, None);
            runs.join(&asked, NOW, || facts(id, topic, &asked)).map(|joined| joined.run)
        };
        let first = join("r1", "chat").expect("a run");
        assert_eq!(join("r2", "chat").unwrap_err(), JoinRefused::TopicBusy("r1".into()));
        end(&runs, &first, RunStatus::Completed);
        join("r3", "chat").expect("it is free");
        join("r4", "b").expect("a run");
        join("r5", "c").expect("a run");
        assert_eq!(join("r6", "d").unwrap_err(), JoinRefused::TooMany(3));
        let topic = TopicName::new("chat").expect("valid");
        assert_eq!(runs.active(&topic).map(|run| run.facts.id.clone()).as_deref(), Some("r3"));
    }

    #[test]
    fn the_newest_run_of_a_topic_is_known_until_it_is_forgotten() {
        let runs = runs();
        let join = |id: &str, topic: &str| {
            let asked = identity(id, None);
            let run = runs.join(&asked, NOW, || facts(id, topic, &asked)).expect("a run").run;
            end(&runs, &run, RunStatus::Completed);
            run
        };
        let first = join("r1", "chat");
        join("r2", "other");
        let last = join("r3", "chat");
        let chat = TopicName::new("chat").expect("valid");
        let newest = || runs.newest(&chat).map(|run| run.facts.id.clone());
        assert_eq!(newest().as_deref(), Some("r3"));
        runs.forget(&last);
        assert_eq!(newest().as_deref(), Some("r1"));
        runs.forget(&first);
        assert_eq!(newest(), None);
        assert!(runs.table.lock().newest.len() == 1, "nothing is kept for a topic without runs");
    }

    #[test]
    fn the_oldest_runs_that_have_ended_are_forgotten_by_number_and_by_age() {
        let runs = runs();
        for n in 0..7_u64 {
            let asked = identity(&n.to_string(), Some(&n.to_string()));
            let run = runs.join(&asked, Millis(NOW.0 + n), || facts(&format!("r{n}"), &format!("t{n}"), &asked));
            let run = run.expect("a run").run;
            if n != 0 {
                end(&runs, &run, RunStatus::Completed);
            }
        }
        let ids = || runs.list(None, 10, |_| true).iter().map(|run| run.facts.id.clone()).collect::<Vec<_>>();
        assert_eq!(ids(), ["r6", "r5", "r4", "r3", "r0"], "r0 runs");
        let page = runs.list(Some("r5"), 2, |_| true);
        assert_eq!(page.iter().map(|run| run.facts.id.as_str()).collect::<Vec<_>>(), ["r4", "r3"]);
        end(&runs, &runs.get("r0").expect("it runs"), RunStatus::Completed);
        runs.sweep(Millis(NOW.0 + 24 * 3_600_000 + 4));
        assert_eq!(ids(), ["r6", "r5"]);
        let RunTable { by_id, by_key, by_fingerprint, active, .. } = &*runs.table.lock();
        assert_eq!((by_id.len(), by_key.len(), by_fingerprint.len(), active.len()), (2, 2, 2, 0));
    }

    #[test]
    fn a_response_id_finds_its_run_as_long_as_it_is_known() {
        let runs = runs();
        let asked = identity("f", None);
        let run = runs.join(&asked, NOW, || facts("r1", "a", &asked)).expect("a run").run;
        assert!(runs.name_response(&run, "resp_1") && !runs.name_response(&run, "resp_1"));
        assert_eq!(runs.of_response("resp_1").map(|run| run.facts.id.clone()).as_deref(), Some("r1"));
        let later = runs.join(&asked, NOW, || facts("r2", "b", &asked)).expect("a run").run;
        assert!(runs.name_response(&later, "resp_1"));
        runs.forget(&run);
        assert_eq!(runs.of_response("resp_1").map(|run| run.facts.id.clone()).as_deref(), Some("r2"));
        runs.forget(&later);
        assert!(runs.of_response("resp_1").is_none());
    }
}
