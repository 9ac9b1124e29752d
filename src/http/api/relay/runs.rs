//! `/runs`: begin a run, list runs, look at one, read it, stop it, delete it.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method, Request, StatusCode, header, request::Parts};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use tokio::time::timeout;

use super::{
    answer::{self, ReadOptions, name_run, nothing},
    generation::{self, GenerationHeaders, GenerationRequest},
    run_events::{TopicEvent, each_event},
    run_view::{RunView, WholeRunView},
    state::RelayState,
};
use crate::{
    event::{EventId, Selection, TopicName, duration},
    http::{
        api::{admission, body, keys, request_log::RequestScope},
        auth::Caller,
        message::{
            accept, json_text,
            problem::{Code, Problem},
            query::Query,
        },
        net::response::{Response, full},
    },
    quota::memory::BodyPermit,
    relay::{
        dialect::{EndpointKind, RequestFacts},
        ending::RunStatus,
        format::RunSnapshot,
        provider::UnwatchedPolicy,
        run::{Run, RunPhase},
        upstream::UpstreamRequest,
    },
};

/// Runs of one page: the default and the maximum.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;

/// How long a stop waits for the durable ending. It takes milliseconds.
const STOP_TIMEOUT: Duration = Duration::from_secs(10);

/// The body of `POST /runs`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct NewRun {
    provider: String,
    request: Box<RawValue>,
    path: Option<String>,
    topic: Option<String>,
    on_disconnect: Option<String>,
}

#[derive(Serialize)]
struct BegunRun<'r> {
    run: &'r str,
    topic: &'r str,
    events: String,
    stop: String,
}

/// `POST /runs`.
///
/// # Errors
/// Why there is no run.
pub async fn begin<B>(
    state: &RelayState,
    scope: &RequestScope,
    caller: Caller,
    request: Request<B>,
) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    let query = Query::new(head.uri.query());
    let admitted = admission::admit(&state.stream.drain, &head.extensions).and_then(|()| keys::BEGIN_RUN.check(&query));
    if let Err(problem) = admitted {
        state.bodies.discard(&head.headers, body).await;
        return Err(problem);
    }
    let most = state.shard()?.relay.limits.request_bytes;
    let (body, permit) = state.bodies.read(&caller.quotas, &head.headers, body, most).await?;
    let options = ReadOptions::of(&query)?;
    let mut headers = GenerationHeaders::of(&head.headers)?;
    let request = generation_request(state, &caller, &head, (&body, permit), &mut headers)?;
    let joined = generation::join(state, &caller, request, headers).await?;
    drop(body);
    if accept::names(&head.headers, "text/event-stream") {
        let options = ReadOptions { after: joined.after, ..options };
        return answer::begun(state, scope, caller, &joined.run, options).await;
    }
    let mut run = joined.run;
    loop {
        match run.decided().await {
            RunPhase::NotStarted(failure) => return Err((&*failure).into()),
            RunPhase::Joined(other) => run = other,
            _ => break,
        }
    }
    let id = &run.facts.id;
    let begun = BegunRun {
        run: id,
        topic: run.facts.topic.as_str(),
        events: format!("/runs/{id}/events"),
        stop: format!("/runs/{id}/stop"),
    };
    let mut response = body::json(json_text::bytes(&begun));
    *response.status_mut() = StatusCode::CREATED;
    name_run(&mut response, &run);
    Ok(response)
}

fn generation_request(
    state: &RelayState,
    caller: &Caller,
    head: &Parts,
    (body, memory): (&[u8], BodyPermit),
    headers: &mut GenerationHeaders,
) -> Result<GenerationRequest, Problem> {
    let invalid = |detail: String| Problem::new(Code::BodyInvalid, detail);
    let new: NewRun = serde_json::from_slice(body).map_err(|error| {
        invalid(format!(
            "the body must be {{\"provider\":…,\"request\":…}} and may have path, topic and on_disconnect: {error}"
        ))
    })?;
    let provider = state.provider(&new.provider)?;
    let facts =
        RequestFacts::read(new.request.get().as_bytes()).map_err(|error| invalid(format!("request: {error}")))?;
    let path = match (&new.path, &facts.model) {
        (Some(path), _) => path.clone(),
        (None, Some(model)) => provider.dialect.default_path(model),
        (None, None) => return Err(invalid("the request names no model, and the body no path".into())),
    };
    let asked = RequestFacts { stream: Some(true), ..facts };
    let EndpointKind::Stream(api) = provider.dialect.endpoint(&Method::POST, &path, &asked) else {
        return Err(invalid(format!("path: '{}' generates nothing at this provider", path.escape_debug())));
    };
    let model = api.model_in_path(&path).map(Into::into).or(asked.model);
    generation::authorize(caller, &provider, model.as_deref())?;
    if let Some(topic) = new.topic {
        headers.topic = Some(TopicName::new(&topic)?);
    }
    let on_disconnect = match new.on_disconnect.as_deref() {
        None | Some("continue") => UnwatchedPolicy::Continue,
        Some("cancel") => UnwatchedPolicy::Stop(Duration::ZERO),
        Some(text) => UnwatchedPolicy::Stop(
            duration::parse(text)
                .ok_or_else(|| invalid("on_disconnect must be continue, cancel or a duration like 60s".into()))?,
        ),
    };
    let upstream_body =
        api.streaming_request(new.request.get()).map_err(|error| invalid(format!("request: {error}")))?;
    let target = provider.dialect.streaming_query().map_or_else(|| path.clone(), |query| format!("{path}?{query}"));
    let mut upstream_headers: HeaderMap = head.headers.clone();
    upstream_headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    upstream_headers.remove(header::ACCEPT);
    Ok(GenerationRequest {
        api,
        model: model.unwrap_or_default(),
        topic: headers.topic.clone(),
        upstream: UpstreamRequest {
            method: Method::POST,
            target,
            headers: upstream_headers,
            body: upstream_body.into(),
        },
        memory,
        at_once: true,
        on_disconnect,
        provider,
    })
}

/// `GET /runs`.
///
/// # Errors
/// When the query is not valid.
pub async fn list(state: &RelayState, caller: &Caller, query: &Query<'_>) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct RunPage<'r> {
        runs: Vec<RunView<'r>>,
        next: Option<&'r str>,
    }
    keys::RUNS.check(query)?;
    let relay = &state.shard()?.relay;
    relay.current().await;
    let topic = query.one("topic")?.map(TopicName::new).transpose()?;
    let status: Option<RunStatus> = query
        .one("status")?
        .map(|text| serde_json::from_value(text.into()))
        .transpose()
        .map_err(|_| Problem::new(Code::QueryInvalid, "'status' must be running or an ending, like completed"))?;
    let limit = query.number("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let visible = |run: &Run| {
        topic.as_ref().is_none_or(|topic| run.facts.topic == *topic)
            && status.is_none_or(|status| run.state().status == status)
            && may_read(caller, run).is_ok()
    };
    let runs = relay.runs.list(query.one("after")?, limit + 1, visible);
    let next = (runs.len() > limit).then(|| runs[limit - 1].facts.id.as_str());
    let views = runs.iter().take(limit).map(|run| RunView::of(run, &relay.hub)).collect();
    Ok(body::json(json_text::bytes(&RunPage { runs: views, next })))
}

/// `GET /runs/ID`.
///
/// # Errors
/// When there is no such run, the caller may not read it, or the log cannot be read.
pub async fn show(state: &RelayState, caller: &Caller, id: &str, query: &Query<'_>) -> Result<Response, Problem> {
    keys::RUN.check(query)?;
    let run = state.run(id).await?;
    may_read(caller, &run)?;
    run.settled().await;
    let hub = &state.stream.hub;
    let mut said = RunSnapshot::new(run.facts.api.reader());
    let is_whole = each_event(hub, &run, state.stream.limit, |_, event, new| {
        if let Some(event) = event.of_run(new) {
            said.push(event);
        }
    })
    .await?;
    Ok(body::json(json_text::bytes(&WholeRunView::of(&run, hub, &said, is_whole))))
}

/// `GET /runs/ID/events`.
///
/// # Errors
/// When there is no such run, the caller may not read it, or the log cannot be read.
pub async fn events(
    state: &RelayState,
    scope: &RequestScope,
    caller: Caller,
    id: &str,
    head: &Parts,
) -> Result<Response, Problem> {
    admission::admit(&state.stream.drain, &head.extensions)?;
    let run = state.run(id).await?;
    may_read(&caller, &run)?;
    let query = Query::new(head.uri.query());
    keys::RUN_EVENTS.check(&query)?;
    let mut options = ReadOptions::of(&query)?;
    let header = head.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    options.after = header.filter(|text| !text.is_empty()).or_else(|| keys::cursor(&query)).and_then(EventId::parse);
    if !matches!(run.decided().await, RunPhase::Started | RunPhase::Ended | RunPhase::Lost) {
        return Err(Problem::new(Code::RunUnknown, "the run did not begin"));
    }
    run.settled().await;
    let facts = run.state();
    let has_all =
        options.after.zip(facts.last).is_some_and(|(after, last)| after.epoch == last.epoch && after.seq >= last.seq);
    if has_all && facts.status != RunStatus::Running {
        return Ok(nothing());
    }
    answer::response(state, scope, caller, &run, options, false).await
}

/// `GET /runs/active`. With `seen`, the last run that the caller has in full or nothing, also a newer one that has ended:
/// it may have ended since the caller looked.
///
/// # Errors
/// When the caller may not read the topic, or the log cannot be read.
pub async fn active(
    state: &RelayState,
    scope: &RequestScope,
    caller: Caller,
    query: &Query<'_>,
) -> Result<Response, Problem> {
    keys::ACTIVE_RUN.check(query)?;
    let topic = query.one("topic")?.ok_or_else(|| Problem::new(Code::TopicInvalid, "name the topic with ?topic=T"))?;
    let topic = TopicName::new(topic)?;
    caller.authorization.subscribe(&Selection::from(topic.clone()))?;
    let options = ReadOptions::of(query)?;
    let relay = &state.shard()?.relay;
    relay.current().await;
    let runs = &relay.runs;
    let run = match query.one("seen")? {
        None => runs.active(&topic),
        Some(seen) => runs.newest(&topic).filter(|run| run.is_running() || run.facts.id != seen),
    };
    let Some(run) = run else { return Ok(nothing()) };
    match run.decided().await {
        RunPhase::Started | RunPhase::Ended => answer::response(state, scope, caller, &run, options, false).await,
        RunPhase::Asked | RunPhase::Answered(_) | RunPhase::NotStarted(_) | RunPhase::Joined(_) | RunPhase::Lost => {
            Ok(nothing())
        }
    }
}

/// `POST /runs/ID/stop`.
///
/// # Errors
/// When there is no such run, or the caller may not stop it.
pub async fn stop(state: &RelayState, caller: &Caller, id: &str, query: &Query<'_>) -> Result<Response, Problem> {
    #[derive(Serialize)]
    struct StoppedRun<'r> {
        run: &'r str,
        status: RunStatus,
    }
    keys::RUN_STOP.check(query)?;
    let run = state.run(id).await?;
    match query.one("mode")? {
        None => stop_run(state, caller, &run).await?,
        Some("drain") => {
            may_change(caller, &run)?;
            state.shard()?.relay.stop(&run, name_of(caller), true).await?;
        }
        Some(_) => return Err(Problem::new(Code::QueryInvalid, "'mode' must be drain")),
    }
    let status = run.state().status;
    Ok(body::json(json_text::bytes(&StoppedRun { run: &run.facts.id, status })))
}

/// Stops a run, and waits for its durable ending.
///
/// # Errors
/// When the caller may not stop it, or the ending is not durable in time.
pub async fn stop_run(state: &RelayState, caller: &Caller, run: &Arc<Run>) -> Result<(), Problem> {
    may_change(caller, run)?;
    state.shard()?.relay.stop(run, name_of(caller), false).await?;
    timeout(STOP_TIMEOUT, run.over()).await.map(drop).map_err(|_| {
        Problem::new(Code::StoreUnavailable, "the run is stopped, but its ending is not durable yet; ask again")
    })
}

/// `DELETE /runs/ID`: stops the run if it runs, and removes its content.
///
/// # Errors
/// When there is no such run, the caller may not delete it, or its content cannot be removed now.
pub async fn delete(state: &RelayState, caller: &Caller, id: &str, query: &Query<'_>) -> Result<Response, Problem> {
    keys::RUN.check(query)?;
    let run = state.run(id).await?;
    stop_run(state, caller, &run).await?;
    let relay = &state.shard()?.relay;
    let hub = &state.stream.hub;
    if run.facts.owns_topic {
        hub.delete(run.facts.topic.clone()).await?;
    } else {
        let mut ids = Vec::new();
        each_event(hub, &run, state.stream.limit, |id, event, _| {
            if !matches!(event, TopicEvent::Foreign | TopicEvent::Removed) {
                ids.push(id);
            }
        })
        .await?;
        for id in ids {
            hub.remove(run.facts.topic.clone(), id).await?;
        }
    }
    relay.forget(&run).await?;
    let _late = timeout(Duration::from_secs(1), hub.fan_out_barrier()).await;
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

fn may_read(caller: &Caller, run: &Run) -> Result<(), Problem> {
    caller.authorization.subscribe(&Selection::from(run.facts.topic.clone()))
}

/// Who asked for a run, and administrators, may stop and delete it.
fn may_change(caller: &Caller, run: &Run) -> Result<(), Problem> {
    if caller.authorization.holder() == run.facts.holder.as_deref() {
        return Ok(());
    }
    caller.authorization.require_admin("stop or delete a run of another holder")
}

fn name_of(caller: &Caller) -> Option<String> {
    caller.authorization.holder().map(Into::into)
}
