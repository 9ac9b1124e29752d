//! `GET` and `POST /events` in all their forms.
//!
//! | room | idea |
//! |---|---|
//! | this file | a wish into an answer: a stream, a page, or word that nothing is left |
//! | [`events_request`] | a request into a wish |
//! | [`removal`] | `DELETE /events/<id>`: taking one event back |
//! | [`start`] | where a stream begins |
//! | [`page`] | one page of events as JSON, at once or when there is something |

use std::{rc::Rc, time::Duration};

use http::{HeaderMap, HeaderValue, Request, StatusCode, header, request::Parts};

use super::{
    Response, ShardState, accept,
    auth::Caller,
    body, keys,
    problem::{Code, Problem},
    query::Query,
    stream::{
        body::StreamBody,
        encoding::Encoding,
        session::{InitialCursor, StreamOptions, StreamSession},
    },
};
use crate::{
    engine::{LocateBy, ReadError},
    event::{EventId, Seq},
    hub::{batch::ReadLimit, subscription::Start},
};

pub mod events_request;
pub mod page;
pub mod removal;
pub mod start;

use events_request::{EventsRequest, ResponseMode};
use start::StreamStart;

/// `GET /events`, or `HEAD`.
///
/// # Errors
/// Says what the client must change.
pub async fn get<B>(shard: &Rc<ShardState>, caller: Caller, request: Request<B>) -> Result<Response, Problem> {
    let (parts, _) = request.into_parts();
    let events_request = EventsRequest::from_query(&parts, &shard.app.limits)?;
    response(shard, caller, &parts, events_request).await
}

/// `POST /events`: the same by a JSON body, for clients with long lists.
///
/// # Errors
/// Says what the client must change.
pub async fn post<B>(shard: &Rc<ShardState>, caller: Caller, request: Request<B>) -> Result<Response, Problem>
where
    B: http_body::Body<Data = bytes::Bytes>,
{
    let (parts, body) = request.into_parts();
    let query = Query::new(parts.uri.query());
    let asked = caller.authorization.subscribe_anywhere().and_then(|()| keys::EVENTS_BY_BODY.check(&query));
    if let Err(problem) = asked {
        body::discard(&shard.app, &parts.headers, body).await;
        return Err(problem);
    }
    let (body, _place) =
        body::read(&shard.app, &caller.quotas, &parts.headers, body, events_request::MAX_BODY_BYTES).await?;
    let events_request = EventsRequest::from_json(&parts, &body, &shard.app.limits)?;
    response(shard, caller, &parts, events_request).await
}

async fn response(
    shard: &Rc<ShardState>,
    caller: Caller,
    parts: &Parts,
    events_request: EventsRequest,
) -> Result<Response, Problem> {
    caller.authorization.subscribe(&events_request.selection)?;
    if let Some(reason) = shard.app.refusal(&parts.extensions) {
        return turn_away(shard, &events_request, Problem::new(reason, "come back in a moment, with the same cursor"));
    }
    let permits = match caller.quotas.stream() {
        Ok(permits) => permits,
        Err(problem) => return turn_away(shard, &events_request, problem),
    };
    let limit = match events_request.form {
        ResponseMode::Page { limit, .. } => ReadLimit { events: limit, ..shard.app.limits.limit },
        ResponseMode::Stream(_) => shard.app.limits.limit,
    };
    let retry = shard.app.hub.retry_for(events_request.selection.names());
    let (start, position) = match locate(shard, &events_request).await {
        Ok(found) => found,
        Err(problem) => return turn_away(shard, &events_request, problem),
    };
    let subscription = shard.app.hub.subscribe(&events_request.selection, start, limit, shard.index);
    match events_request.form {
        ResponseMode::Page { limit, wait } => page::response(shard, subscription, caller, limit, wait).await,
        ResponseMode::Stream(_) if subscription.nothing_left() => {
            let mut response = Response::new(super::full(""));
            *response.status_mut() = StatusCode::NO_CONTENT;
            Ok(response)
        }
        ResponseMode::Stream(encoding) => {
            let cursor = match position {
                Some(position) => {
                    let position = position.unwrap_or(subscription.cursor().seq);
                    InitialCursor::Assigned(below_reuse(shard, &events_request, position))
                }
                None => subscription.resumed().map_or(InitialCursor::Unusable, InitialCursor::Resumed),
            };
            let options = StreamOptions { retry, keepalive: events_request.keepalive, cursor };
            let session =
                StreamSession::new(Rc::clone(shard), subscription, (caller.authorization, permits), encoding, options);
            let mut response = stream(encoding, super::Body::Stream(Box::new(StreamBody::new(session))));
            response.headers_mut().insert("stream-keepalive", keepalive(shard.app.limits.keepalive));
            Ok(response)
        }
    }
}

/// A position to give to a client that has none: below the mark of a name that it waits for to be used again.
fn below_reuse(shard: &ShardState, events_request: &EventsRequest, position: Seq) -> Seq {
    let mark = shard.app.hub.awaits_reuse(&events_request.selection);
    mark.map_or(position, |mark| position.min(Seq(mark.0.saturating_sub(1))))
}

/// How long finding where a stream begins may take. Its client is sent nothing before, and proxies give up after 60 s.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a stream begins, and the cursor that its client is given if it came with none: as a position that is known
/// before the stream is, or else the subscription's own.
///
/// # Errors
/// When the store cannot say now.
async fn locate(
    shard: &Rc<ShardState>,
    events_request: &EventsRequest,
) -> Result<(Start, Option<Option<Seq>>), Problem> {
    let hub = &shard.app.hub;
    let locate = |place| hub.locate(events_request.selection.clone(), place);
    Ok(match &events_request.begin {
        StreamStart::Newest(count) => {
            let position = found(locate(LocateBy::Newest(*count))).await?;
            (Start::Kept(position), Some(Some(position)))
        }
        StreamStart::Since(when) => {
            let find = async {
                let stamp = hub.stamp(*when).await?;
                Ok((Start::Since(stamp), Some(Some(locate(LocateBy::Since(stamp)).await?))))
            };
            found(find).await?
        }
        // Before everything: until its first event comes, a client that comes back gets all that is kept again.
        StreamStart::At(Start::Earliest) => (Start::Earliest, Some(Some(Seq::ZERO))),
        StreamStart::At(start @ Start::Cursor(_)) => (start.clone(), None),
        StreamStart::At(start) => (start.clone(), Some(None)),
    })
}

/// What is found, if it is within [`PATIENCE`].
async fn found<T>(finding: impl Future<Output = Result<T, ReadError>>) -> Result<T, Problem> {
    let found = tokio::time::timeout(PATIENCE, finding).await.map_err(|_| "it takes too long".to_owned());
    found.and_then(|found| found.map_err(|error| error.to_string())).map_err(|reason| {
        tracing::warn!(reason, "where a stream begins cannot be found");
        Problem::new(Code::StoreUnavailable, "where to begin cannot be found now; come back, or ask for less")
    })
}

/// Sends a newcomer away for a reason that will pass, before it is known what it asks for.
///
/// # Errors
/// The problem itself, for a client that no 200 keeps alive.
pub fn come_back(shard: &ShardState, headers: &HeaderMap, problem: Problem) -> Result<Response, Problem> {
    if !problem.is_transient() || !accept::names(headers, "text/event-stream") {
        return Err(problem);
    }
    shard.app.hub.stats().refused(problem.code.as_str());
    let retry = shard.app.spread_retry(shard.app.hub.retry_for(std::iter::empty()).max(problem.wait()));
    Ok(ended(Encoding::Sse, retry, None))
}

/// Sends a newcomer away for a reason that will pass. An EventSource would never come back after anything but 200, so
/// it is told when to, on a stream that ends.
fn turn_away(shard: &Rc<ShardState>, events_request: &EventsRequest, problem: Problem) -> Result<Response, Problem> {
    match events_request.form {
        ResponseMode::Stream(encoding) if events_request.eventsource => {
            shard.app.hub.stats().refused(problem.code.as_str());
            let retry = shard.app.hub.retry_for(events_request.selection.names()).max(problem.wait());
            let epoch = shard.app.hub.epoch();
            let cursor = match &events_request.begin {
                StreamStart::At(Start::Now) => {
                    Some(EventId { epoch, seq: below_reuse(shard, events_request, shard.app.hub.head()) })
                }
                StreamStart::At(Start::Earliest) => Some(EventId { epoch, seq: Seq::ZERO }),
                // The others ask for the same again, and miss nothing by it.
                _ => None,
            };
            Ok(ended(encoding, shard.app.spread_retry(retry), cursor))
        }
        _ => Err(problem),
    }
}

/// A stream that says when to come back, and ends: with a cursor for a client that has none, because it was there for a
/// moment and must not miss what comes before it is back.
fn ended(encoding: Encoding, retry: u32, cursor: Option<EventId>) -> Response {
    stream(encoding, super::full(encoding.reconnect(retry, cursor).map(|chunk| chunk.bare()).unwrap_or_default()))
}

/// The longest silence of a stream that lives, in seconds, so that a client knows when to give one up.
fn keepalive(interval: Duration) -> HeaderValue {
    HeaderValue::from(interval.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX))
}

fn stream(encoding: Encoding, body: super::Body) -> Response {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(encoding.content_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // nginx would hold events back until its buffer is full.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}
