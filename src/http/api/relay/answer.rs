//! The response with a run.

use std::{rc::Rc, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue, StatusCode, header};

use super::{
    refusal::as_it_came,
    run_body::{RunBody, RunReader, SequenceFilter},
    run_events::{TopicEvent, each_event},
    state::RelayState,
};
use crate::{
    event::{EventId, Selection, Seq, position::Cursor},
    http::{
        api::{request_log::RequestScope, stream::record::StreamRecord},
        auth::Caller,
        message::{
            problem::{Code, Problem},
            query::Query,
        },
        net::{
            cutter::Cutter,
            response::{Response, abortable, full},
        },
    },
    hub::subscription::Start,
    relay::{
        format::{AnswerEncoder, AnswerOptions, Format, RawShape},
        run::{Run, RunPhase},
    },
};

/// The response header that names a run.
pub const RUN: HeaderName = HeaderName::from_static("gapless-run");
/// The header that names a run's topic, of a request and of its response.
pub const TOPIC: HeaderName = HeaderName::from_static("gapless-topic");

/// Longest time that deltas may be merged: a longer one would look like a broken stream.
const MAX_BATCH_MS: u64 = 60_000;

/// How a run is asked for.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// The format.
    pub format: Format,
    /// The shape of [`Format::Raw`].
    pub raw: RawShape,
    /// How long deltas are merged.
    pub batch: Option<Duration>,
    /// The client's cursor.
    pub after: Option<EventId>,
    /// What the client has of a response of OpenAI's.
    pub sequence: Option<SequenceFilter>,
}

impl ReadOptions {
    /// Reads `format` and `batch_ms` of a query.
    ///
    /// # Errors
    /// When one is not valid.
    pub fn of(query: &Query<'_>) -> Result<Self, Problem> {
        let invalid = |detail: &'static str| Problem::new(Code::QueryInvalid, detail);
        let format = match query.one("format")? {
            None | Some("events") => Format::Events,
            Some("raw") => Format::Raw,
            Some("ndjson") => Format::Ndjson,
            Some("text") => Format::Text,
            Some("ai-sdk") => Format::AiSdk,
            Some(_) => return Err(invalid("'format' must be raw, events, ndjson, text or ai-sdk")),
        };
        let batch = query.one("batch_ms")?.map(|text| {
            let milliseconds = text.parse().ok().filter(|milliseconds| *milliseconds <= MAX_BATCH_MS);
            milliseconds.ok_or_else(|| invalid("'batch_ms' must be a number of milliseconds, at most 60000"))
        });
        let batch = batch.transpose()?.map(Duration::from_millis);
        Ok(Self { format, batch, ..Self::default() })
    }
}

/// The response with a run that can be read. `is_asker`: the reader asked for it, and needs no grant to read it.
///
/// # Errors
/// When the reader has too many streams, or the log cannot be read.
pub async fn response(
    state: &RelayState,
    scope: &RequestScope,
    caller: Caller,
    run: &Arc<Run>,
    options: ReadOptions,
    is_asker: bool,
) -> Result<Response, Problem> {
    run.settled().await;
    let permits = caller.quotas.stream()?;
    let selection = Selection::from(run.facts.topic.clone());
    let facts = run.state();
    let first = facts.first.ok_or_else(|| Problem::new(Code::UpstreamFailed, "the run's events are not stored"))?;
    let before_first = EventId { seq: Seq(first.seq.0.saturating_sub(1)), ..first };
    // After an event that is not the run's, all of the run was missed.
    let after = options.after.filter(|after| after.epoch == first.epoch && after.seq >= first.seq);
    // A derived format needs the state of the answer at the cursor, and an ended run its ending.
    let resumes = after.filter(|after| {
        options.format == Format::Raw && facts.last.is_none_or(|last| facts.ended.is_none() || after.seq < last.seq)
    });
    let ended_before = options.format == Format::Raw && after.is_some() && resumes.is_none();
    let from = match (resumes, facts.last) {
        (Some(after), _) => after,
        (None, Some(last)) if ended_before => EventId { seq: Seq(last.seq.0.saturating_sub(1)), ..last },
        (None, _) => before_first,
    };
    let start = Start::Cursor(Cursor::new(&from.to_string()));
    let subscribing = state.stream.hub.subscribe(&selection, start, state.stream.limit, state.stream.index);
    let subscription = subscribing.await.map_err(|error| {
        tracing::warn!(run = run.facts.id, error = %error, "the events of a run cannot be read");
        Problem::new(Code::StoreUnavailable, "the events of the run cannot be read now; retry")
    })?;
    let encoder = AnswerEncoder::new(AnswerOptions {
        api: run.facts.api,
        format: options.format,
        batch: options.batch,
        run: run.facts.id.clone(),
        after: after.filter(|_| !ended_before),
        raw: options.raw,
    });
    let (content_type, further) = (encoder.content_type(), encoder.headers());
    let needs = (!is_asker).then_some(selection);
    let number = state.stream.streams.next_number();
    let record = StreamRecord::new(scope, number, &caller.authorization, None, &subscription);
    let cutter = Cutter::of(scope.watch.as_ref());
    let reader = RunReader { authorization: caller.authorization, needs, permits };
    let body =
        RunBody::new(Rc::clone(&state.stream), subscription, encoder, reader, options.sequence, run, (record, cutter));
    let mut response = Response::new(abortable(body));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // Without this nginx buffers the answer until its buffer is full.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if let Some(head) = run.head().filter(|_| options.format == Format::Raw) {
        for (name, value) in head.iter().filter(|(name, _)| *name != header::CONTENT_TYPE) {
            headers.append(name.clone(), value.clone());
        }
    }
    for (name, value) in further {
        headers.insert(*name, HeaderValue::from_static(value));
    }
    name_run(&mut response, run);
    Ok(response)
}

/// Names the run in the headers of a response.
pub fn name_run(response: &mut Response, run: &Run) {
    let facts = &run.facts;
    let location = format!("/runs/{}/events", facts.id);
    for (name, value) in [(RUN, facts.id.as_str()), (header::LOCATION, location.as_str())] {
        response.headers_mut().insert(name, HeaderValue::from_str(value).expect("an id is ASCII"));
    }
    // A topic may have any characters; a header value is percent-encoded as in a path.
    let topic = percent_encoding::utf8_percent_encode(facts.topic.as_str(), TOPIC_IN_HEADER).to_string();
    response.headers_mut().insert(TOPIC, HeaderValue::from_str(&topic).expect("it is encoded"));
}

/// Characters of a topic that are encoded in a header: those that a header cannot have, and the percent sign.
const TOPIC_IN_HEADER: &percent_encoding::AsciiSet = &percent_encoding::CONTROLS.add(b'%').add(b' ');

/// 204: there is nothing to read, and nothing will come.
#[must_use]
pub fn nothing() -> Response {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    response
}

/// The response to a request that has joined `run`, once the run has begun.
///
/// # Errors
/// Why it has not.
pub async fn begun(
    state: &RelayState,
    scope: &RequestScope,
    caller: Caller,
    run: &Arc<Run>,
    options: ReadOptions,
) -> Result<Response, Problem> {
    let mut run = Arc::clone(run);
    // Counts as a viewer while it waits.
    let mut _waiting = run.wait();
    let phase = loop {
        let phase = if run.facts.api.is_whole() { run.over().await } else { run.decided().await };
        let RunPhase::Joined(other) = phase else { break phase };
        run = other;
        _waiting = run.wait();
    };
    match phase {
        RunPhase::Answered(answer) => Ok(as_it_came(&answer)),
        RunPhase::NotStarted(failure) => Err((&*failure).into()),
        // The provider was asked, and may have billed the answer: no retry is invited.
        RunPhase::Lost => Err(Problem::new(Code::UpstreamFailed, "the answer cannot be stored now")),
        RunPhase::Ended if run.facts.api.is_whole() => whole(state, &run).await,
        RunPhase::Started | RunPhase::Ended | RunPhase::Asked | RunPhase::Joined(_) => {
            response(state, scope, caller, &run, options, true).await
        }
    }
}

/// The response with a recorded answer that is no stream.
async fn whole(state: &RelayState, run: &Run) -> Result<Response, Problem> {
    if let Some(error) = run.state().error {
        let detail = format!("the answer to this request is not complete: {}", error.message);
        return Err(Problem::new(Code::UpstreamFailed, detail));
    }
    let mut text = Vec::new();
    let is_whole = each_event(&state.stream.hub, run, state.stream.limit, |_, event, new| {
        if matches!(event, TopicEvent::Frame) {
            text.extend_from_slice(new.new.data.bytes());
        }
    })
    .await?;
    if !is_whole {
        return Err(Problem::new(Code::RunUnknown, "the answer to this request is no longer kept"));
    }
    let mut response = Response::new(full(text));
    *response.headers_mut() = run.head().cloned().unwrap_or_default();
    let headers = response.headers_mut();
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    name_run(&mut response, run);
    Ok(response)
}
