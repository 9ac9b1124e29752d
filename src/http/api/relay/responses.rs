//! OpenAI's `GET /v1/responses/ID?stream=true` and `POST /v1/responses/ID/cancel`, served from the log for every response
//! that was recorded, whether it was asked for in the background or not.

use std::sync::Arc;

use http::{Method, request::Parts};
use serde_json::json;

use super::{
    answer::{self, ReadOptions},
    run_body::SequenceFilter,
    runs,
    state::RelayState,
};
use crate::{
    event::Selection,
    http::{
        api::{body, request_log::RequestScope},
        auth::Caller,
        message::{
            problem::{Code, Problem},
            query::Query,
        },
        net::response::Response,
    },
    relay::{format::Format, provider::Provider, run::Run},
};

/// A request about a recorded response.
pub struct ResponseRequest {
    run: Arc<Run>,
    response: String,
    action: ResponseAction,
}

#[derive(Debug, Clone, Copy)]
enum ResponseAction {
    Stream { after: Option<u64> },
    Cancel,
}

impl ResponseRequest {
    /// Reads the request; `None` when it is another one, or the response was not recorded here: then the provider answers
    /// it.
    ///
    /// # Errors
    /// When `starting_after` is not valid.
    pub fn of(state: &RelayState, provider: &Provider, head: &Parts, path: &str) -> Result<Option<Self>, Problem> {
        let Some((_, rest)) = path.split_once("/responses/") else { return Ok(None) };
        let action = match (rest.split_once('/'), &head.method) {
            (Some((_, "cancel")), &Method::POST) => ResponseAction::Cancel,
            (None, &Method::GET) => {
                let query = Query::new(head.uri.query());
                if query.one("stream")? != Some("true") {
                    return Ok(None);
                }
                let after = query.one("starting_after")?.map(|text| {
                    let detail = "'starting_after' must be a sequence_number";
                    text.parse().map_err(|_| Problem::new(Code::QueryInvalid, detail))
                });
                ResponseAction::Stream { after: after.transpose()? }
            }
            _ => return Ok(None),
        };
        Ok(recorded(state, provider, rest)?.map(|(run, response)| Self { run, response, action }))
    }
}

/// The run of a response, and its id, which begins `rest`, the path after `/responses/`.
fn recorded(state: &RelayState, provider: &Provider, rest: &str) -> Result<Option<(Arc<Run>, String)>, Problem> {
    let id = rest.split('/').next().unwrap_or_default();
    let id = percent_encoding::percent_decode_str(id).decode_utf8_lossy().into_owned();
    let run = state.shard()?.relay.runs.of_response(&id).filter(|run| run.facts.provider == provider.name);
    Ok(run.map(|run| (run, id)))
}

/// Permits asking the provider for what it keeps of a response, if that was recorded here: all clients of the hub are one
/// to the provider.
///
/// # Errors
/// When the response is of another client's run, which the caller may not read.
pub fn permit(state: &RelayState, provider: &Provider, caller: &Caller, path: &str) -> Result<(), Problem> {
    let Some((_, rest)) = path.split_once("/responses/") else { return Ok(()) };
    match recorded(state, provider, rest)? {
        Some((run, _)) if !is_asker(caller, &run) => {
            caller.authorization.subscribe(&Selection::from(run.facts.topic.clone()))
        }
        _ => Ok(()),
    }
}

fn is_asker(caller: &Caller, run: &Run) -> bool {
    caller.authorization.holder() == run.facts.holder.as_deref()
}

/// Answers the request.
///
/// # Errors
/// When the caller may not, or the run cannot be read.
pub async fn respond(
    state: &RelayState,
    scope: &RequestScope,
    caller: Caller,
    asked: ResponseRequest,
) -> Result<Response, Problem> {
    let ResponseRequest { run, response, action } = asked;
    let is_asker = is_asker(&caller, &run);
    match action {
        ResponseAction::Stream { after } => {
            if !is_asker {
                caller.authorization.subscribe(&Selection::from(run.facts.topic.clone()))?;
            }
            let sequence = after.map(|after| SequenceFilter { after });
            let options = ReadOptions { format: Format::Raw, sequence, ..ReadOptions::default() };
            answer::response(state, scope, caller, &run, options, is_asker).await
        }
        ResponseAction::Cancel => {
            runs::stop_run(state, &caller, &run).await?;
            let facts = run.state();
            let status = match facts.status {
                crate::relay::ending::RunStatus::Completed => "completed",
                crate::relay::ending::RunStatus::Stopped => "cancelled",
                crate::relay::ending::RunStatus::Running => "in_progress",
                _ => "incomplete",
            };
            let object = json!({
                "id": response,
                "object": "response",
                "created_at": facts.started.0 / 1000,
                "status": status,
                "model": run.facts.model,
                "output": [],
                "error": null,
                "incomplete_details": null,
            });
            Ok(body::json(object.to_string()))
        }
    }
}
