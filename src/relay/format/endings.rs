//! An ending in words, and endings that are not in the log.

use crate::relay::ending::{RunEnded, RunError, RunStatus, TokenUsage};

/// What happened, for people. Never empty.
pub(super) fn message(ended: &RunEnded) -> String {
    match &ended.error {
        Some(error) if !error.message.is_empty() => error.message.clone(),
        _ => in_words(ended.status, ended.by.as_deref()),
    }
}

fn in_words(status: RunStatus, by: Option<&str>) -> String {
    match (status, by) {
        (RunStatus::Stopped, Some(by)) => return format!("the run was stopped by {by}"),
        (RunStatus::Stopped, None) => "the run was stopped",
        (RunStatus::Running, _) => "the run has not ended",
        (RunStatus::Completed, _) => "the run is complete",
        (RunStatus::Abandoned, _) => "the run was stopped because nobody watched it",
        (RunStatus::Failed, _) => "the provider reported an error",
        (RunStatus::Truncated, _) => "the provider closed its stream before its end",
        (RunStatus::TimedOut, _) => "the run exceeded a time limit",
        (RunStatus::Interrupted, _) => "the hub ended before the run",
    }
    .into()
}

/// The ending of a run that is being stopped, as its readers are told it before `run.ended`.
pub(super) fn stopping(run: &str, by: Option<&str>) -> RunEnded {
    let error = RunError { code: "stopped".into(), message: in_words(RunStatus::Stopped, by), status: None };
    unfinished(run, RunStatus::Stopped, by, error)
}

/// The ending of a response whose run has lost events, in formats that cannot continue after that.
pub(super) fn gap(run: &str) -> RunEnded {
    let message = "events of the run are no longer kept, so the answer cannot be read in full";
    unfinished(run, RunStatus::Failed, None, RunError { code: "gap".into(), message: message.into(), status: None })
}

fn unfinished(run: &str, status: RunStatus, by: Option<&str>, error: RunError) -> RunEnded {
    let (run, by, usage) = (run.into(), by.map(Into::into), TokenUsage::default());
    RunEnded { run, status, by, usage, finish_reason: None, error: Some(error) }
}
