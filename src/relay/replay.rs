//! An entry of the journal changes the table of runs.

use super::{
    journal::{JournalEntry, RecordedEnding},
    runs::Runs,
    signals::RunCommand,
};
use crate::event::{Epoch, Event, EventId, Seq};

/// Applies the next entry of the journal.
pub(super) fn apply(runs: &Runs, event: &Event, epoch: Epoch) {
    let Ok(entry) = serde_json::from_slice::<JournalEntry>(event.new.data.bytes()) else {
        tracing::warn!(event.seq = event.seq.0, "an entry of the relay's journal is not known to this version");
        return;
    };
    let beside = |seq: u64| EventId { epoch, seq: Seq(seq) };
    match entry {
        JournalEntry::Asked(facts) => {
            if let Some(run) = facts.read() {
                runs.record_asked(run);
            }
        }
        JournalEntry::Started(facts) => {
            if let Some(run) = facts.read() {
                runs.record_started(run, beside(event.seq.0 + 1));
            }
        }
        JournalEntry::Refused { run } => runs.record_refused(&run),
        JournalEntry::Response { run, response } => {
            if let Some(run) = runs.get(&run) {
                runs.name_response(&run, &response);
            }
        }
        JournalEntry::Ended(RecordedEnding { ended, hub }) => {
            runs.record_ended(ended, hub.as_deref(), beside(event.seq.0.saturating_sub(1)), event.time);
        }
        JournalEntry::Deleted { run } => {
            if let Some(run) = runs.get(&run) {
                runs.forget(&run);
            }
        }
        JournalEntry::Stop { run, by, drain } => {
            if let Some(run) = runs.get(&run).filter(|run| run.is_here()) {
                run.command(if drain { RunCommand::StopAndDrain { by } } else { RunCommand::Stop { by } });
            }
        }
        JournalEntry::Watched { runs: watched } => {
            for run in watched.iter().filter_map(|run| runs.get(run)).filter(|run| run.is_here()) {
                run.watch_elsewhere();
            }
        }
    }
}
