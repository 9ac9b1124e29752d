//! A run as JSON.

use serde::Serialize;

use crate::{
    event::Millis,
    hub::Hub,
    relay::{
        ending::{RunError, RunStatus, TokenUsage},
        format::RunSnapshot,
        run::Run,
    },
};

/// A run, without what it said.
#[derive(Debug, Serialize)]
pub struct RunView<'r> {
    run: &'r str,
    topic: &'r str,
    provider: &'r str,
    model: &'r str,
    status: RunStatus,
    started: String,
    ended: Option<String>,
    usage: TokenUsage,
    finish_reason: Option<String>,
    error: Option<RunError>,
    #[serde(skip_serializing_if = "Option::is_none")]
    by: Option<String>,
    first_id: Option<String>,
    last_id: Option<String>,
    viewers: u32,
}

/// A run, with what it said.
#[derive(Serialize)]
pub struct WholeRunView<'r> {
    #[serde(flatten)]
    view: RunView<'r>,
    /// Whether a part of what it said is no longer kept.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    gap: bool,
    text: &'r str,
    reasoning: &'r str,
    tool_calls: Vec<&'r crate::relay::format::snapshot::ToolCallSnapshot>,
}

impl<'r> RunView<'r> {
    /// The run now.
    #[must_use]
    pub fn of(run: &'r Run, hub: &Hub) -> Self {
        let (facts, state) = (&run.facts, run.state());
        Self {
            run: &facts.id,
            topic: facts.topic.as_str(),
            provider: &facts.provider,
            model: &facts.model,
            status: state.status,
            started: rfc3339(state.started),
            ended: state.ended.map(rfc3339),
            usage: state.usage,
            finish_reason: state.finish_reason,
            error: state.error,
            by: state.by,
            first_id: state.first.map(|id| id.to_string()),
            last_id: state.last.map(|id| id.to_string()),
            viewers: hub.broker().subscribers(&facts.topic),
        }
    }
}

impl<'r> WholeRunView<'r> {
    /// The run now, and what it has said.
    #[must_use]
    pub fn of(run: &'r Run, hub: &Hub, said: &'r RunSnapshot, is_whole: bool) -> Self {
        Self {
            view: RunView::of(run, hub),
            gap: !is_whole,
            text: &said.text,
            reasoning: &said.reasoning,
            tool_calls: said.tool_calls.values().collect(),
        }
    }
}

fn rfc3339(time: Millis) -> String {
    time.to_string()
}
