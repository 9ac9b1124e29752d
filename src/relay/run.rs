//! One run: what is known of it, and the signals between its task and those who wait for it.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, AtomicU32, Ordering::Relaxed},
    },
    time::Duration,
};

use http::HeaderMap;
use parking_lot::Mutex;
use tokio::{
    sync::watch,
    time::{Instant, timeout},
};

use super::{
    dialect::GenerationApi,
    ending::{RunError, RunStatus, TokenUsage},
    signals::{RunCommand, StartFailure},
    upstream::WholeAnswer,
};
use crate::event::{EventId, Millis, TopicName};

/// Longest wait for the commit of an ending. One takes milliseconds.
const SETTLING: Duration = Duration::from_secs(1);

/// How long readers at another hub count, after that hub has told of them: twice the time between two such notes.
const WATCHED: Duration = Duration::from_secs(12);

/// A run, as long as it is remembered.
#[derive(Debug)]
pub struct Run {
    /// Its place in the order of all runs of this process.
    pub(super) number: u64,
    /// What does not change.
    pub facts: RunFacts,
    /// The hub that runs it, when hubs share the log.
    pub(super) hub: Option<Arc<str>>,
    /// Whether this process runs it, or has run it.
    is_here: bool,
    claim: watch::Sender<Claim>,
    /// Another hub has ended it.
    is_taken: AtomicBool,
    /// When it was last read at another hub.
    watched: Mutex<Option<Instant>>,
    state: Mutex<RunState>,
    phase: watch::Sender<RunPhase>,
    command: watch::Sender<RunCommand>,
    /// The headers of the provider's answer that are passed on, once it is here. Not kept over a restart.
    head: OnceLock<HeaderMap>,
    /// Whether its `run.started` was handed in.
    begun: AtomicBool,
    /// Whether its ending was handed in.
    is_ending: AtomicBool,
    /// Requests that wait for it or read it, besides the streams that the hub counts.
    waiting: AtomicU32,
}

/// What is known of a run from its beginning.
#[derive(Debug, Clone)]
pub struct RunFacts {
    /// Its id.
    pub id: String,
    /// The topic of its events.
    pub topic: TopicName,
    /// Whether the topic is its own, `runs/ID`, and is closed by its ending.
    pub owns_topic: bool,
    /// The provider's name.
    pub provider: String,
    /// The model that was asked for.
    pub model: String,
    /// What its frames mean.
    pub api: &'static dyn GenerationApi,
    /// The name of the holder that asked for it; `None` without a credential.
    pub holder: Option<String>,
    /// A hash of who asked for it, the provider, the path and the body. The prompt itself is not kept.
    pub fingerprint: String,
    /// A hash of its `Idempotency-Key` and of who asked for it.
    pub key: Option<String>,
    /// Bytes of the request.
    pub request_bytes: u64,
}

/// What changes during a run.
#[derive(Debug, Clone)]
pub struct RunState {
    /// Whether it runs, or how it ended.
    pub status: RunStatus,
    /// When it was asked for.
    pub started: Millis,
    /// When it ended.
    pub ended: Option<Millis>,
    /// The id of `run.started`.
    pub first: Option<EventId>,
    /// The id of its newest event.
    pub last: Option<EventId>,
    /// Its tokens.
    pub usage: TokenUsage,
    /// Why the model stopped, as the provider calls it.
    pub finish_reason: Option<String>,
    /// Why it ended.
    pub error: Option<RunError>,
    /// Who stopped it.
    pub by: Option<String>,
}

/// How far a run is, for those who wait for its response head.
#[derive(Debug, Clone)]
pub enum RunPhase {
    /// The provider has not answered.
    Asked,
    /// `run.started` is durable: the run can be read.
    Started,
    /// There is no run: the provider refused the request, or answered it without a stream.
    Answered(Arc<WholeAnswer>),
    /// There is no run: it could not be asked for, or not be stored.
    NotStarted(Arc<StartFailure>),
    /// There is no run: another hub was asked for the same before. Its run is this one.
    Joined(Arc<Run>),
    /// `run.ended` is durable.
    Ended,
    /// It has ended, and its ending cannot be stored: the next start writes one.
    Lost,
}

/// Whether a run may begin, when hubs share the log.
#[derive(Debug, Clone)]
pub(super) enum Claim {
    /// The journal has not come to its entry.
    Open,
    /// It may.
    Won,
    /// Another hub was asked for the same before, with the same key: it is this run.
    Joined(Arc<Run>),
    /// It may not: its key or its topic is another run's.
    Refused(StartFailure),
}

/// Who pays for a run. Dropped before the run is told to be over.
pub trait RunAccount {
    /// Charges the tokens of the run.
    fn charge(&self, tokens: u64);
}

/// Counts as a viewer until it is dropped.
#[derive(Debug)]
pub struct Waiting(Arc<Run>);

impl Run {
    /// A run that this process was asked for at `started`; with a `hub`, which shares the log with others.
    pub(super) fn new(number: u64, facts: RunFacts, started: Millis, hub: Option<Arc<str>>) -> Arc<Self> {
        let run = Self::with(number, facts, started, hub, true);
        if run.hub.is_some() && run.is_recorded() {
            run.claim.send_replace(Claim::Open);
        }
        Arc::new(run)
    }

    /// A run that the journal tells of.
    pub(super) fn recorded(number: u64, facts: RunFacts, started: Millis, hub: Option<Arc<str>>) -> Arc<Self> {
        Arc::new(Self::with(number, facts, started, hub, false))
    }

    fn with(number: u64, facts: RunFacts, started: Millis, hub: Option<Arc<str>>, is_here: bool) -> Self {
        let state = RunState {
            status: RunStatus::Running,
            started,
            ended: None,
            first: None,
            last: None,
            usage: TokenUsage::default(),
            finish_reason: None,
            error: None,
            by: None,
        };
        Self {
            number,
            facts,
            hub,
            is_here,
            claim: watch::Sender::new(Claim::Won),
            is_taken: AtomicBool::new(false),
            watched: Mutex::default(),
            state: Mutex::new(state),
            phase: watch::Sender::new(RunPhase::Asked),
            command: watch::Sender::default(),
            head: OnceLock::new(),
            begun: AtomicBool::new(false),
            is_ending: AtomicBool::new(false),
            waiting: AtomicU32::new(0),
        }
    }

    /// Whether this process runs it, or has run it.
    #[must_use]
    pub fn is_here(&self) -> bool {
        self.is_here
    }

    /// Whether it is entered into the journal before it begins: it has a key, or could be in a topic with another hub's run.
    pub(super) fn is_recorded(&self) -> bool {
        self.facts.key.is_some() || (self.hub.is_some() && !self.facts.owns_topic)
    }

    /// Whether it must be claimed before it may begin.
    pub(super) fn is_unclaimed(&self) -> bool {
        matches!(*self.claim.borrow(), Claim::Open)
    }

    pub(super) fn set_claim(&self, claim: Claim) {
        self.claim.send_replace(claim);
    }

    /// Waits until its claim is decided. Cancel safe.
    pub(super) async fn claimed(&self) -> Claim {
        let decided = |claim: &Claim| !matches!(claim, Claim::Open);
        self.claim.subscribe().wait_for(decided).await.expect("the sender lives in self").clone()
    }

    /// Records that another hub has ended it: its task gives up.
    pub(super) fn take(&self) {
        self.is_taken.store(true, Relaxed);
        self.command(RunCommand::GiveUp);
    }

    /// Whether another hub has ended it.
    pub(super) fn is_taken(&self) -> bool {
        self.is_taken.load(Relaxed)
    }

    /// Records that it is read at another hub.
    pub(super) fn watch_elsewhere(&self) {
        *self.watched.lock() = Some(Instant::now());
    }

    /// Whether it is read at another hub, as far as is known.
    pub(super) fn is_watched_elsewhere(&self) -> bool {
        self.watched.lock().is_some_and(|at| at.elapsed() < WATCHED)
    }

    /// What is known now.
    #[must_use]
    pub fn state(&self) -> RunState {
        self.state.lock().clone()
    }

    /// Whether it has not ended.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.state.lock().status == RunStatus::Running
    }

    /// The headers of the provider's answer that are passed on.
    #[must_use]
    pub fn head(&self) -> Option<&HeaderMap> {
        self.head.get()
    }

    /// Records the head of the provider's answer.
    pub(super) fn set_head(&self, head: HeaderMap) {
        drop(self.head.set(head));
    }

    /// Records that its `run.started` is handed in. Returns whether it was not before.
    pub(super) fn begin(&self) -> bool {
        !self.begun.swap(true, Relaxed)
    }

    /// Whether its `run.started` is handed in.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Relaxed)
    }

    /// Changes what is known.
    pub(super) fn update(&self, change: impl FnOnce(&mut RunState)) {
        change(&mut self.state.lock());
    }

    /// How far it is now.
    #[must_use]
    pub fn phase(&self) -> RunPhase {
        self.phase.borrow().clone()
    }

    pub(super) fn set_phase(&self, phase: RunPhase) {
        self.phase.send_replace(phase);
    }

    /// Waits until it is further than [`RunPhase::Asked`]. Cancel safe.
    pub async fn decided(&self) -> RunPhase {
        self.reached(|phase| !matches!(phase, RunPhase::Asked)).await
    }

    /// Records that its ending is handed in.
    pub(super) fn begin_to_end(&self) {
        self.is_ending.store(true, Relaxed);
    }

    /// While its ending is being committed, waits until it has ended: a client may have `run.ended` before the run's task
    /// has heard that it is durable, and must not be told that the run goes on. Waits at most a second. Cancel safe.
    pub async fn settled(&self) {
        if self.is_ending.load(Relaxed) {
            let _slow_disk = timeout(SETTLING, self.over()).await;
        }
    }

    /// Waits until it has ended, or never began. Cancel safe.
    pub async fn over(&self) -> RunPhase {
        self.reached(|phase| !matches!(phase, RunPhase::Asked | RunPhase::Started)).await
    }

    async fn reached(&self, holds: impl FnMut(&RunPhase) -> bool) -> RunPhase {
        self.phase.subscribe().wait_for(holds).await.expect("the sender lives in self").clone()
    }

    /// Stops it. The first command counts, but a stop cuts off one that drains.
    pub fn command(&self, command: RunCommand) {
        self.command.send_if_modified(|now| {
            let changes = matches!(
                (&*now, &command),
                (RunCommand::Continue, _)
                    | (RunCommand::StopAndDrain { .. }, RunCommand::Stop { .. })
                    | (RunCommand::Stop { .. } | RunCommand::StopAndDrain { .. }, RunCommand::GiveUp)
            );
            if changes {
                *now = command;
            }
            changes
        });
    }

    /// What its task is told. A command that was given before is seen, too: others can stop a run before its task begins.
    pub(super) fn commands(&self) -> watch::Receiver<RunCommand> {
        let mut commands = self.command.subscribe();
        commands.mark_changed();
        commands
    }

    /// Counts a request as a viewer until the value is dropped.
    #[must_use]
    pub fn wait(self: &Arc<Self>) -> Waiting {
        self.waiting.fetch_add(1, Relaxed);
        Waiting(Arc::clone(self))
    }

    /// Requests that wait for it or read it.
    pub(super) fn waiting(&self) -> u32 {
        self.waiting.load(Relaxed)
    }
}

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.waiting.fetch_sub(1, Relaxed);
    }
}

/// Resolves when there is a command. Cancel safe.
pub(super) async fn commanded(commands: &mut watch::Receiver<RunCommand>) {
    if commands.changed().await.is_err() {
        std::future::pending::<()>().await;
    }
}

/// The same with a receiver of its own, which is returned for the next one.
pub(super) async fn next_command(mut commands: watch::Receiver<RunCommand>) -> watch::Receiver<RunCommand> {
    commanded(&mut commands).await;
    commands
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::relay::dialect::api_by_name;

    #[tokio::test(start_paused = true)]
    async fn a_task_sees_the_command_that_was_given_before_it_began() {
        let facts = RunFacts {
            id: "r".into(),
            topic: TopicName::new("t").expect("valid"),
            owns_topic: false,
            provider: "openai".into(),
            model: "m".into(),
            api: api_by_name("openai.chat").expect("there is one"),
            holder: None,
            fingerprint: "f".into(),
            key: None,
            request_bytes: 1,
        };
        let run = Run::new(0, facts, Millis(0), None);
        let stop = RunCommand::Stop { by: None };
        run.command(stop.clone());
        let mut commands = run.commands();
        timeout(std::time::Duration::from_secs(1), commanded(&mut commands)).await.expect("there is one");
        assert_eq!(*commands.borrow(), stop);
    }
}
