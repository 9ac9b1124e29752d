//! What the journal tells of runs. It is told in the journal's order, which all hubs of a log see alike: so each of them comes
//! to the same end about whose a key or a topic is.

use std::{sync::Arc, time::Duration};

use super::{
    Runs,
    table::{KEY_LIFETIME, RunTable},
};
use crate::{
    event::{EventId, Millis},
    relay::{
        ending::RunEnded,
        run::{Claim, Run, RunFacts, RunPhase},
        signals::StartFailure,
    },
};

/// A run as its entry in the journal has it.
#[derive(Debug)]
pub(in crate::relay) struct RecordedRun {
    pub(in crate::relay) facts: RunFacts,
    /// The hub that runs it; `None` when it has its log for itself.
    pub(in crate::relay) hub: Option<Arc<str>>,
    /// When it was asked for.
    pub(in crate::relay) started: Millis,
}

impl Runs {
    /// A run is asked for. Decides the claim of a run of this hub; enters one of another hub, unless its key or its topic is
    /// another run's.
    pub(in crate::relay) fn record_asked(&self, recorded: RecordedRun) {
        let mut table = self.table.lock();
        let known = table.by_id.get(&recorded.facts.id).map(|number| Arc::clone(&table.by_number[number]));
        if known.as_ref().is_some_and(|run| !run.is_unclaimed()) {
            return;
        }
        if let Some(refused) = table.other_claim(&recorded) {
            if let Some(run) = known {
                run.set_claim(refused);
            }
            return;
        }
        let run = known.unwrap_or_else(|| table.enter(recorded, self.history));
        table.claim(&run);
        run.set_claim(Claim::Won);
    }

    /// A run has begun, and `first` is its `run.started`.
    pub(in crate::relay) fn record_started(&self, recorded: RecordedRun, first: EventId) {
        let mut table = self.table.lock();
        let known = table.by_id.get(&recorded.facts.id).map(|number| Arc::clone(&table.by_number[number]));
        let run = known.unwrap_or_else(|| table.enter(recorded, self.history));
        if run.is_here() {
            return;
        }
        table.claim(&run);
        run.update(|state| (state.first, state.last) = (Some(first), Some(first)));
        run.set_phase(RunPhase::Started);
    }

    /// A run that was asked for did not begin.
    pub(in crate::relay) fn record_refused(&self, id: &str) {
        let Some(run) = self.get(id).filter(|run| !run.is_here()) else { return };
        self.withdraw(&run);
        run.set_phase(RunPhase::NotStarted(Arc::new(StartFailure::RefusedElsewhere)));
    }

    /// A run has ended, and `last` is its `run.ended`. `writer`: the hub that has ended it.
    pub(in crate::relay) fn record_ended(&self, ended: RunEnded, writer: Option<&str>, last: EventId, time: Millis) {
        let Some(run) = self.get(&ended.run) else { return };
        if run.is_here() && writer == self.hub.as_deref() {
            return;
        }
        run.update(|state| {
            (state.status, state.usage, state.error, state.by) = (ended.status, ended.usage, ended.error, ended.by);
            state.finish_reason = ended.finish_reason;
            (state.last, state.ended) = (Some(last), Some(time));
        });
        self.ended(&run);
        run.set_phase(RunPhase::Ended);
        if run.is_here() {
            tracing::warn!(run = run.facts.id, writer, "another hub has ended a run of this hub");
            run.take();
        }
    }
}

impl RunTable {
    /// Why a run may not be entered: its key or its topic was another run's before.
    fn other_claim(&self, recorded: &RecordedRun) -> Option<Claim> {
        let RecordedRun { facts, started, .. } = recorded;
        let other = |number: Option<&u64>| {
            let run = number.map(|number| &self.by_number[number])?;
            (run.facts.id != facts.id && !run.is_unclaimed()).then_some(run)
        };
        let holder = other(facts.key.as_ref().and_then(|key| self.by_key.get(key)));
        let age = |run: &Run| Duration::from_millis(started.0.saturating_sub(run.state().started.0));
        if let Some(run) = holder.filter(|run| age(run) < KEY_LIFETIME) {
            let same = run.facts.fingerprint == facts.fingerprint;
            return Some(if same { Claim::Joined(Arc::clone(run)) } else { Claim::Refused(StartFailure::KeyReused) });
        }
        let busy = other(self.active.get(&facts.topic)).filter(|run| run.is_running());
        busy.map(|run| Claim::Refused(StartFailure::TopicBusy(run.facts.id.clone())))
    }

    fn enter(&mut self, recorded: RecordedRun, history: usize) -> Arc<Run> {
        let RecordedRun { facts, hub, started } = recorded;
        let run = Run::recorded(self.next, facts, started, hub);
        self.insert(Arc::clone(&run));
        self.forget_beyond(history);
        run
    }

    /// The run's key and its topic are its own from now on.
    fn claim(&mut self, run: &Run) {
        if let Some(key) = &run.facts.key {
            self.by_key.insert(key.clone(), run.number);
        }
        self.active.insert(run.facts.topic.clone(), run.number);
    }
}
