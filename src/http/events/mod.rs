//! `GET` and `POST /events` in all their forms.
//!
//! | room | idea |
//! |---|---|
//! | this file | a wish into an answer: a stream, a page, or word that nothing is left |
//! | [`wish`] | a request into a wish |
//! | [`page`] | one page of events as JSON, at once or when there is something |

use std::rc::Rc;

use http::{HeaderMap, HeaderValue, Request, StatusCode, header, request::Parts};

use super::{
    Answer, Core, accept, body,
    problem::Problem,
    stream::{
        body::StreamBody,
        language::{Keepalive, Language},
        telling::{Cursor, Manner, Telling},
    },
    visitor::Visitor,
};
use crate::{
    event::Seq,
    hub::{
        run::Portion,
        subscription::{Start, Subscription},
    },
};

pub mod page;
pub mod wish;

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
    visitor.right.subscribe_anywhere()?;
    let (parts, body) = request.into_parts();
    let (body, _reserved) = body::read(&core.door, &parts.headers, body, wish::MAX_BODY_BYTES).await?;
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
    let start = wish.start.clone();
    let subscription = core.door.hub.subscribe(&wish.selection, wish.start, portion, core.index);
    match wish.form {
        Form::Page { limit, wait } => page::answer(core, subscription, visitor.right, limit, wait).await,
        Form::Stream(_) if subscription.nothing_left() => {
            let mut answer = Answer::new(super::full(""));
            *answer.status_mut() = StatusCode::NO_CONTENT;
            Ok(answer)
        }
        Form::Stream(language) => {
            let cursor = cursor(&start, &subscription);
            let manner = Manner { retry, keepalive: Keepalive::Comment, cursor };
            let telling = Telling::new(Rc::clone(core), subscription, (visitor.right, seats), language, manner);
            Ok(stream(language, super::Body::Stream(Box::new(StreamBody::new(telling)))))
        }
    }
}

/// Where the client of a stream that starts like this is without it.
fn cursor(start: &Start, subscription: &Subscription) -> Cursor {
    match start {
        Start::Cursor(_) => subscription.resumed().map_or(Cursor::Useless, Cursor::Brought),
        Start::Now => Cursor::Given(subscription.cursor().seq),
        Start::Earliest | Start::Since(_) => Cursor::Given(Seq::ZERO),
    }
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
    Ok(ended(Language::Sse, retry))
}

/// Sends a newcomer away for a reason that will pass. An EventSource would never come back after anything but 200, so
/// it is told when to, on a stream that ends.
fn turn_away(core: &Rc<Core>, wish: &Wish, problem: Problem) -> Result<Answer, Problem> {
    match wish.form {
        Form::Stream(language) if wish.eventsource => {
            core.door.hub.stats().refused(problem.code.as_str());
            let retry = core.door.hub.retry_for(wish.selection.names()).max(problem.wait());
            Ok(ended(language, core.door.spread_retry(retry)))
        }
        _ => Err(problem),
    }
}

/// A stream that says when to come back, and ends.
fn ended(language: Language, retry: u32) -> Answer {
    stream(language, super::full(language.farewell(retry, None).map(|piece| piece.bare()).unwrap_or_default()))
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
