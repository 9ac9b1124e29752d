//! `GET` and `POST /events` in all their forms.
//!
//! | room | idea |
//! |---|---|
//! | this file | a wish into an answer: a stream, a page, or word that nothing is left |
//! | [`wish`] | a request into a wish |
//! | [`removal`] | `DELETE /events/<id>`: taking one event back |
//! | [`begin`] | where a stream begins |
//! | [`page`] | one page of events as JSON, at once or when there is something |

use std::{rc::Rc, time::Duration};

use http::{HeaderMap, HeaderValue, Request, StatusCode, header, request::Parts};

use super::{
    Answer, Core, accept, body, keys,
    problem::{Code, Problem},
    query::Query,
    stream::{
        body::StreamBody,
        language::Language,
        telling::{Cursor, Manner, Telling},
    },
    visitor::Visitor,
};
use crate::{
    engine::{Place, ReadError},
    event::{EventId, Seq},
    hub::{run::Portion, subscription::Start},
};

pub mod begin;
pub mod page;
pub mod removal;
pub mod wish;

use begin::Begin;
use wish::{Form, Wish};

/// `GET /events`, or `HEAD`.
///
/// # Errors
/// Says what the client must change.
pub async fn get<B>(core: &Rc<Core>, visitor: Visitor, request: Request<B>) -> Result<Answer, Problem> {
    let (parts, _) = request.into_parts();
    let wish = Wish::from_query(&parts, &core.door.limits)?;
    answer(core, visitor, &parts, wish).await
}

/// `POST /events`: the same by a JSON body, for clients with long lists.
///
/// # Errors
/// Says what the client must change.
pub async fn post<B>(core: &Rc<Core>, visitor: Visitor, request: Request<B>) -> Result<Answer, Problem>
where
    B: http_body::Body<Data = bytes::Bytes>,
{
    let (parts, body) = request.into_parts();
    let query = Query::new(parts.uri.query());
    let asked = visitor.right.subscribe_anywhere().and_then(|()| keys::EVENTS_BY_BODY.check(&query));
    if let Err(problem) = asked {
        body::discard(&core.door, &parts.headers, body).await;
        return Err(problem);
    }
    let (body, _place) = body::read(&core.door, &visitor.means, &parts.headers, body, wish::MAX_BODY_BYTES).await?;
    let wish = Wish::from_json(&parts, &body, &core.door.limits)?;
    answer(core, visitor, &parts, wish).await
}

async fn answer(core: &Rc<Core>, visitor: Visitor, parts: &Parts, wish: Wish) -> Result<Answer, Problem> {
    visitor.right.subscribe(&wish.selection)?;
    if let Some(reason) = core.door.refusal(&parts.extensions) {
        return turn_away(core, &wish, Problem::new(reason, "come back in a moment, with the same cursor"));
    }
    let seats = match visitor.means.stream() {
        Ok(seats) => seats,
        Err(problem) => return turn_away(core, &wish, problem),
    };
    let portion = match wish.form {
        Form::Page { limit, .. } => Portion { events: limit, ..core.door.limits.portion },
        Form::Stream(_) => core.door.limits.portion,
    };
    let retry = core.door.hub.retry_for(wish.selection.names());
    let (start, position) = match locate(core, &wish).await {
        Ok(found) => found,
        Err(problem) => return turn_away(core, &wish, problem),
    };
    let subscription = core.door.hub.subscribe(&wish.selection, start, portion, core.index);
    match wish.form {
        Form::Page { limit, wait } => page::answer(core, subscription, visitor, limit, wait).await,
        Form::Stream(_) if subscription.nothing_left() => {
            let mut answer = Answer::new(super::full(""));
            *answer.status_mut() = StatusCode::NO_CONTENT;
            Ok(answer)
        }
        Form::Stream(language) => {
            let cursor = match position {
                Some(position) => {
                    let position = position.unwrap_or(subscription.cursor().seq);
                    Cursor::Given(below_reuse(core, &wish, position))
                }
                None => subscription.resumed().map_or(Cursor::Useless, Cursor::Brought),
            };
            let manner = Manner { retry, keepalive: wish.keepalive, cursor };
            let telling = Telling::new(Rc::clone(core), subscription, (visitor.right, seats), language, manner);
            let mut answer = stream(language, super::Body::Stream(Box::new(StreamBody::new(telling))));
            answer.headers_mut().insert("stream-keepalive", keepalive(core.door.limits.keepalive));
            Ok(answer)
        }
    }
}

/// A position to give to a client that has none: below the mark of a name that it waits for to be used again.
fn below_reuse(core: &Core, wish: &Wish, position: Seq) -> Seq {
    let mark = core.door.hub.awaits_reuse(&wish.selection);
    mark.map_or(position, |mark| position.min(Seq(mark.0.saturating_sub(1))))
}

/// How long finding where a stream begins may take. Its client is sent nothing before, and proxies give up after 60 s.
const PATIENCE: Duration = Duration::from_secs(10);

/// Where a stream begins, and the cursor that its client is given if it came with none: as a position that is known
/// before the stream is, or else the subscription's own.
///
/// # Errors
/// When the store cannot say now.
async fn locate(core: &Rc<Core>, wish: &Wish) -> Result<(Start, Option<Option<Seq>>), Problem> {
    let hub = &core.door.hub;
    let locate = |place| hub.locate(wish.selection.clone(), place);
    Ok(match &wish.begin {
        Begin::Newest(count) => {
            let position = found(locate(Place::Newest(*count))).await?;
            (Start::Kept(position), Some(Some(position)))
        }
        Begin::Since(when) => {
            let find = async {
                let stamp = hub.stamp(*when).await?;
                Ok((Start::Since(stamp), Some(Some(locate(Place::Since(stamp)).await?))))
            };
            found(find).await?
        }
        // Before everything: until its first event comes, a client that comes back gets all that is kept again.
        Begin::At(Start::Earliest) => (Start::Earliest, Some(Some(Seq::ZERO))),
        Begin::At(start @ Start::Cursor(_)) => (start.clone(), None),
        Begin::At(start) => (start.clone(), Some(None)),
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
pub fn come_back(core: &Core, headers: &HeaderMap, problem: Problem) -> Result<Answer, Problem> {
    if !problem.passes() || !accept::names(headers, "text/event-stream") {
        return Err(problem);
    }
    core.door.hub.stats().refused(problem.code.as_str());
    let retry = core.door.spread_retry(core.door.hub.retry_for(std::iter::empty()).max(problem.wait()));
    Ok(ended(Language::Sse, retry, None))
}

/// Sends a newcomer away for a reason that will pass. An EventSource would never come back after anything but 200, so
/// it is told when to, on a stream that ends.
fn turn_away(core: &Rc<Core>, wish: &Wish, problem: Problem) -> Result<Answer, Problem> {
    match wish.form {
        Form::Stream(language) if wish.eventsource => {
            core.door.hub.stats().refused(problem.code.as_str());
            let retry = core.door.hub.retry_for(wish.selection.names()).max(problem.wait());
            let epoch = core.door.hub.epoch();
            let cursor = match &wish.begin {
                Begin::At(Start::Now) => Some(EventId { epoch, seq: below_reuse(core, wish, core.door.hub.head()) }),
                Begin::At(Start::Earliest) => Some(EventId { epoch, seq: Seq::ZERO }),
                // The others ask for the same again, and miss nothing by it.
                _ => None,
            };
            Ok(ended(language, core.door.spread_retry(retry), cursor))
        }
        _ => Err(problem),
    }
}

/// A stream that says when to come back, and ends: with a cursor for a client that has none, because it was there for a
/// moment and must not miss what comes before it is back.
fn ended(language: Language, retry: u32, cursor: Option<EventId>) -> Answer {
    stream(language, super::full(language.farewell(retry, cursor).map(|piece| piece.bare()).unwrap_or_default()))
}

/// The longest silence of a stream that lives, in seconds, so that a client knows when to give one up.
fn keepalive(interval: Duration) -> HeaderValue {
    HeaderValue::from(interval.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX))
}

fn stream(language: Language, body: super::Body) -> Answer {
    let mut answer = Answer::new(body);
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(language.content_type()));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // nginx would hold events back until its buffer is full.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    answer
}
