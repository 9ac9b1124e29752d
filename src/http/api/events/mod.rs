//! `GET` and `POST /events` in all their forms.
//!
//! | module | idea |
//! |---|---|
//! | this file | answers an [`EventsRequest`]: a stream, a page, or 204 when no event can follow |
//! | [`protocol`] | what differs between the protocols that serve one log |
//! | [`native`] | the hub's own protocol: parses an HTTP request into an [`EventsRequest`] |
//! | [`events_request`] | a request for events, whatever the protocol |
//! | `event_address` | which event `/events/<id>` names |
//! | [`single`] | `GET /events/<id>`: one event |
//! | [`removal`] | `DELETE /events/<id>`: removes one event |
//! | [`start`] | parses where a stream begins |
//! | [`state`] | what these handlers share |
//! | [`page`] | one page of events, at once or by a long poll |
//! | [`older`] | one page of the events before an id |
//! | `json_page` | a page as JSON |
//! | `cloud_page` | a page as a batch of CloudEvents |

use std::{rc::Rc, time::Duration};

use http::{HeaderMap, HeaderValue, Request, StatusCode, header, request::Parts};

use super::{
    admission,
    request_log::{self, RequestScope},
    stream::{
        body::StreamBody,
        encoding::Encoding,
        ephemeral::BeginEphemeral,
        record::{StreamRecord, TopicList},
        session::{InitialCursor, StreamOptions, StreamSession, spread_retry},
    },
};
use crate::{
    engine::{LocateBy, ReadError},
    event::{EventId, Selection, Seq},
    http::{
        auth::Caller,
        message::{
            accept,
            problem::{Code, Problem},
        },
        net::{
            cutter::Cutter,
            response::{Body, Response, full},
        },
    },
    hub::{
        Hub,
        batch::ReadLimit,
        subscription::{Start, Subscription},
    },
};

mod cloud_page;
mod event_address;
pub mod events_request;
mod json_page;
pub mod native;
pub mod older;
pub mod page;
pub mod protocol;
pub mod removal;
pub mod single;
pub mod start;
pub mod state;

use events_request::{EventsRequest, PageForm, ResponseMode};
use page::PageFormat;
use protocol::Protocol;
use start::StreamStart;
use state::EventsState;

/// Answers a request whose parameters are in its head, as those of `GET /events` and `HEAD /events`.
///
/// # Errors
/// A problem that says what the client must change or when to retry.
pub async fn get<B>(
    events: &EventsState,
    scope: &RequestScope,
    protocol: &Protocol,
    caller: Caller,
    request: Request<B>,
) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let events_request = (protocol.from_head)(&parts, events.filters)?;
    respond(events, scope, protocol, caller, &parts, events_request, None).await
}

/// Answers a request whose parameters are in its body, as those of `POST /events`: for clients with long lists of
/// topics.
///
/// # Errors
/// A problem that says what the client must change or when to retry.
pub async fn post<B>(
    events: &EventsState,
    scope: &RequestScope,
    protocol: &Protocol,
    caller: Caller,
    request: Request<B>,
) -> Result<Response, Problem>
where
    B: http_body::Body<Data = bytes::Bytes>,
{
    let (parts, body) = request.into_parts();
    let authorized = caller.authorization.subscribe_anywhere().and_then(|()| (protocol.check_head_of_body)(&parts));
    if let Err(problem) = authorized {
        events.bodies.discard(&parts.headers, body).await;
        return Err(problem);
    }
    let (body, _permit) = events.bodies.read(&caller.quotas, &parts.headers, body, protocol.max_body_bytes).await?;
    let events_request = (protocol.from_body)(&parts, &body, events.filters)?;
    respond(events, scope, protocol, caller, &parts, events_request, None).await
}

/// Answers a request for events, which `parts` is the head of. A stream may have `ephemeral` events, too.
///
/// # Errors
/// A problem that says what the client must change or when to retry.
pub async fn respond(
    events: &EventsState,
    scope: &RequestScope,
    protocol: &Protocol,
    caller: Caller,
    parts: &Parts,
    events_request: EventsRequest,
    ephemeral: Option<BeginEphemeral<'_>>,
) -> Result<Response, Problem> {
    request_log::set_topic(TopicList(&events_request.selection));
    caller.authorization.subscribe(&events_request.selection)?;
    if matches!(events_request.mode, ResponseMode::Page { form: PageForm::Export, .. }) {
        caller.authorization.require_admin("read the metadata of events")?;
    }
    if let Some(reason) = admission::refusal(&events.stream.drain, &parts.extensions) {
        let problem = Problem::new(reason, "retry in a moment, with the same cursor");
        return refuse_transiently(events, &events_request, problem).await;
    }
    let permits = match caller.quotas.stream() {
        Ok(permits) => permits,
        Err(problem) => return refuse_transiently(events, &events_request, problem).await,
    };
    let limit = match events_request.mode {
        ResponseMode::Older { before, limit, form } => {
            let format = page_format(form, protocol);
            return older(events, &events_request.selection, before, limit, caller, format).await;
        }
        ResponseMode::Page { limit, .. } => ReadLimit { events: limit, ..events.stream.limit },
        ResponseMode::Stream(_) => events.stream.limit,
    };
    let retry = events.stream.hub.retry_for(events_request.selection.names());
    let (start, assignment) = match locate_start(events, &events_request).await {
        Ok(located) => located,
        Err(problem) => return refuse_transiently(events, &events_request, problem).await,
    };
    let subscribing = events.stream.hub.subscribe(&events_request.selection, start, limit, events.stream.index);
    let subscription = match within_timeout(subscribing).await {
        Ok(subscription) => subscription,
        Err(problem) => return refuse_transiently(events, &events_request, problem).await,
    };
    match events_request.mode {
        ResponseMode::Page { limit, wait, form } => {
            page::response(events, subscription, caller, page_format(form, protocol), limit, wait).await
        }
        ResponseMode::Older { .. } => unreachable!("answered above"),
        ResponseMode::Stream(_) if subscription.is_exhausted() => {
            let mut response = Response::new(full(""));
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        ResponseMode::Stream(encoding) => {
            let cursor = initial_cursor(&subscription, assignment);
            let options = StreamOptions { retry, keepalive: events_request.keepalive, cursor };
            let (authorization, number) = (&caller.authorization, events.stream.streams.next_number());
            let record = StreamRecord::new(scope, number, authorization, Some(encoding), &subscription);
            let session = StreamSession::new(
                Rc::clone(&events.stream),
                subscription,
                (caller.authorization, permits),
                encoding,
                options,
                record,
            )
            .with_ephemeral(ephemeral.map(|begin| begin()));
            let mut response = stream(
                encoding,
                Body::Detachable(Box::new(StreamBody::new(session, Cutter::of(scope.watch.as_ref())))),
            );
            response.headers_mut().insert("stream-keepalive", keepalive(events.keepalive));
            Ok(response)
        }
    }
}

fn page_format(form: PageForm, protocol: &Protocol) -> &'static PageFormat {
    match form {
        PageForm::Protocol => protocol.page,
        PageForm::Export => &json_page::EXPORT,
        PageForm::CloudEventBatch => &cloud_page::FORMAT,
    }
}

/// The page before an id. The caller's permits are held by the caller of this function.
async fn older(
    events: &EventsState,
    selection: &Selection,
    before: EventId,
    limit: usize,
    caller: Caller,
    format: &PageFormat,
) -> Result<Response, Problem> {
    let hub = &events.stream.hub;
    let before = within_timeout(present_before(hub, before)).await?;
    older::check_epoch(before, hub.head())?;
    let limit = ReadLimit { events: limit, bytes: page::PAGE_BYTES };
    let read = within_timeout(hub.older(selection, before.seq, limit)).await?;
    older::response(events, selection, before, read, caller, format)
}

/// The id before which the page is, in the epoch of the log. What is at or before the imported event before it, is before
/// it, also when the event itself was not imported.
async fn present_before(hub: &Hub, before: EventId) -> Result<EventId, ReadError> {
    if before.epoch == hub.epoch() || before.seq == Seq::ZERO {
        return Ok(before);
    }
    let newest = EventId { seq: Seq(before.seq.0 - 1), ..before };
    let present = hub.present_id(newest).await?;
    Ok(if present.epoch == newest.epoch { before } else { EventId { seq: present.seq.next(), ..present } })
}

/// The cursor that a stream's client is assigned.
#[derive(Debug, Clone, Copy)]
enum Assignment {
    /// None: the request carried one.
    None,
    /// The subscription's own.
    Own,
    /// Position zero: a client that reconnects before its first event gets everything that is kept.
    Zero,
    /// This one, known in advance.
    Located(EventId),
}

/// The client's cursor when the stream of `subscription` begins.
fn initial_cursor(subscription: &Subscription, assignment: Assignment) -> InitialCursor {
    let own = subscription.cursor();
    let id = match assignment {
        Assignment::None => return subscription.resumed().map_or(InitialCursor::Unusable, InitialCursor::Resumed),
        Assignment::Own => own,
        Assignment::Zero => EventId { seq: Seq::ZERO, ..own },
        Assignment::Located(id) if id.epoch == own.epoch => id,
        // The log was replaced since. A client without a cursor sends the same request again.
        Assignment::Located(_) => return InitialCursor::Unusable,
    };
    InitialCursor::Assigned(below_reuse(id, subscription.awaits_reuse()).seq)
}

/// `id`, lowered below the mark of a deleted topic whose name the client waits for to be used again: with a cursor at
/// the mark, a reconnect would be answered with 204.
fn below_reuse(id: EventId, mark: Option<Seq>) -> EventId {
    mark.map_or(id, |mark| EventId { seq: id.seq.min(Seq(mark.0.saturating_sub(1))), ..id })
}

/// How long locating the start of a stream may take. The client is sent nothing before, and stock proxies give up after
/// 60 s.
const LOCATE_TIMEOUT: Duration = Duration::from_secs(10);

/// Where a stream begins, and the cursor that its client is assigned.
///
/// # Errors
/// `store-unavailable` when the log cannot be read, or not within [`LOCATE_TIMEOUT`].
async fn locate_start(events: &EventsState, events_request: &EventsRequest) -> Result<(Start, Assignment), Problem> {
    let hub = &events.stream.hub;
    let locate = |target| hub.locate(events_request.selection.clone(), target);
    Ok(match &events_request.begin {
        StreamStart::Newest(count) => {
            let position = within_timeout(locate(LocateBy::Newest(*count))).await?;
            (Start::Kept(position), Assignment::Located(position))
        }
        StreamStart::Since(when) => {
            let find = async {
                let stamp = hub.stamp(*when).await?;
                Ok((Start::Since(stamp), Assignment::Located(locate(LocateBy::Since(stamp)).await?)))
            };
            within_timeout(find).await?
        }
        StreamStart::At(Start::Earliest) => (Start::Earliest, Assignment::Zero),
        StreamStart::At(start @ Start::Cursor(_)) => (start.clone(), Assignment::None),
        StreamStart::At(start) => (start.clone(), Assignment::Own),
    })
}

/// The result of `locating`, bounded by [`LOCATE_TIMEOUT`]. A failure is logged.
async fn within_timeout<T>(locating: impl Future<Output = Result<T, ReadError>>) -> Result<T, Problem> {
    let located = tokio::time::timeout(LOCATE_TIMEOUT, locating).await.map_err(|_| "it takes too long".to_owned());
    located.and_then(|located| located.map_err(|error| error.to_string())).map_err(|reason| {
        tracing::warn!(reason, "the start of a stream cannot be located");
        let detail = "the start of the stream or page cannot be located now; retry, or ask for less history";
        Problem::new(Code::StoreUnavailable, detail)
    })
}

/// Answers a request that is refused for a transient reason before its parameters are known. An EventSource gets a
/// stream that ends at once with a reconnect delay, because it never reconnects after any status but 200.
///
/// # Errors
/// The problem itself, for any other client and for a reason that is not transient.
pub fn refuse_unparsed(events: &EventsState, headers: &HeaderMap, problem: Problem) -> Result<Response, Problem> {
    if !problem.is_transient() || !accept::names(headers, "text/event-stream") {
        return Err(problem);
    }
    events.stream.hub.stats().refused(problem.code.as_str());
    let retry = spread_retry(events.stream.hub.retry_for(std::iter::empty()).max(problem.wait()));
    Ok(ended_stream(Encoding::Sse, retry, None))
}

/// Answers a request that is refused for a transient reason: an EventSource gets a stream that ends at once with a
/// reconnect delay, because it never reconnects after any status but 200.
///
/// # Errors
/// The problem itself, for any other client.
async fn refuse_transiently(
    events: &EventsState,
    events_request: &EventsRequest,
    problem: Problem,
) -> Result<Response, Problem> {
    match events_request.mode {
        ResponseMode::Stream(encoding) if events_request.eventsource => {
            events.stream.hub.stats().refused(problem.code.as_str());
            let retry = events.stream.hub.retry_for(events_request.selection.names()).max(problem.wait());
            let head = events.stream.hub.head();
            let cursor = match &events_request.begin {
                StreamStart::At(Start::Now) => {
                    let mark = within_timeout(events.stream.hub.awaits_reuse(&events_request.selection)).await;
                    // A client without a cursor sends the same request again.
                    mark.ok().map(|mark| below_reuse(head, mark))
                }
                StreamStart::At(Start::Earliest) => Some(EventId { seq: Seq::ZERO, ..head }),
                // The others send the same request again and miss nothing by it.
                _ => None,
            };
            Ok(ended_stream(encoding, spread_retry(retry), cursor))
        }
        _ => Err(problem),
    }
}

/// A stream that gives a reconnect delay in milliseconds and ends. It carries a cursor for a client that has none, so
/// that the client misses nothing that is published before it reconnects.
fn ended_stream(encoding: Encoding, retry: u32, cursor: Option<EventId>) -> Response {
    stream(encoding, full(encoding.reconnect(retry, cursor).map(|chunk| chunk.bare()).unwrap_or_default()))
}

/// The keepalive interval in seconds, rounded up: a client can give up a stream that is silent for longer.
fn keepalive(interval: Duration) -> HeaderValue {
    HeaderValue::from(interval.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX))
}

fn stream(encoding: Encoding, body: Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(encoding.content_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // Without this nginx buffers events until its buffer is full.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

#[cfg(test)]
mod tests;
