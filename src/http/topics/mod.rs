//! Topics as things: `GET /topics`, and `GET`, `PUT`, `DELETE /topics/T`.

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::{
    Answer, Door, body, duration, full, json_text,
    problem::{Code, Problem},
    query::Query,
    visitor::{Right, Visitor},
};
use crate::{
    event::{Epoch, EventId, Retention, Seq, TopicName},
    hub::TopicView,
};

mod listing;
mod settings;

/// Topics of one page when the query does not say, and at most: a page of the largest names is 500 KB.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;

/// Bytes of settings at most: some twenty times what all of them take.
const SETTINGS_BYTES: usize = 8192;

/// What changing a topic is called in a refusal.
const CHANGE: &str = "set or delete a topic";

/// Answers what is asked of `/topics` or `/topics/T`.
///
/// # Errors
/// Says what to change, or that there is no such topic.
pub async fn handle<B>(door: &Door, visitor: &Visitor, request: Request<B>) -> Result<Answer, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let right = &visitor.right;
    let path = request.uri().path().strip_prefix("/topics").unwrap_or_default();
    match path.strip_prefix('/') {
        None => match *request.method() {
            Method::GET | Method::HEAD => list(door, right, &Query::new(request.uri().query())).await,
            _ => Err(Problem::method_not_allowed("GET, HEAD")),
        },
        Some(text) => {
            let name = name(text, |old| door.hub.topic(old).is_some())?;
            match *request.method() {
                Method::GET | Method::HEAD => right.see(&name).and_then(|()| show(door, &name)),
                Method::PUT | Method::DELETE => {
                    right.operate(CHANGE)?;
                    if request.method() == Method::PUT {
                        change(door, visitor.clone(), name, request).await
                    } else {
                        delete(door, name).await
                    }
                }
                _ => Err(Problem::method_not_allowed("GET, HEAD, PUT, DELETE")),
            }
        }
    }
}

/// The rest of the path is the topic; an escaped slash is a slash. A topic that is older than the rule against `.` and `..` is
/// found by its name, so that it can be looked at and deleted.
fn name(text: &str, is_in_use: impl FnOnce(&TopicName) -> bool) -> Result<TopicName, Problem> {
    let text = percent_decode_str(text).decode_utf8();
    let text =
        text.map_err(|_| Problem::new(Code::TopicInvalid, "the topic in the path is not UTF-8; encode it so"))?;
    TopicName::new(&text).or_else(|error| {
        let old = TopicName::stored(&text).ok().filter(is_in_use);
        old.ok_or_else(|| error.into())
    })
}

async fn list(door: &Door, right: &Right, query: &Query<'_>) -> Result<Answer, Problem> {
    let shown = right.list()?;
    let limit = query.number("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let limit = usize::try_from(limit).expect("at most MAX_LIMIT");
    let (prefix, after) = (query.one("prefix")?.unwrap_or_default(), query.one("after")?.unwrap_or_default());
    let (views, more) = listing::page(door, shown, prefix, after, limit).await?;
    let topics: Vec<Shown<'_>> = views.iter().map(|view| Shown::new(door.hub.epoch(), view)).collect();
    let next = topics.last().filter(|_| more).map(|last| last.topic);
    Ok(json(&Listed { next, topics: &topics }))
}

fn show(door: &Door, name: &TopicName) -> Result<Answer, Problem> {
    let view = door.hub.topic(name).ok_or_else(|| unknown(name))?;
    Ok(json(&Shown::new(door.hub.epoch(), &view)))
}

async fn change<B>(door: &Door, mut visitor: Visitor, name: TopicName, request: Request<B>) -> Result<Answer, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    let (bytes, _place) = body::read(door, &visitor.means, &head.headers, body, SETTINGS_BYTES).await?;
    let right = &mut visitor.right;
    // The body may have been long in coming.
    right.renew(&door.policies).and_then(|()| right.operate(CHANGE))?;
    let view = door.hub.configure(name, settings::parse(&bytes)?).await?;
    Ok(json(&Shown::new(door.hub.epoch(), &view)))
}

async fn delete(door: &Door, name: TopicName) -> Result<Answer, Problem> {
    if !door.hub.delete(name.clone()).await? {
        return Err(unknown(&name));
    }
    let mut answer = Answer::new(full(Bytes::new()));
    *answer.status_mut() = StatusCode::NO_CONTENT;
    Ok(answer)
}

fn unknown(name: &TopicName) -> Problem {
    Problem::new(Code::TopicUnknown, format!("no topic is named {name}; publish to it, or create it with PUT"))
}

/// A topic as clients see it.
#[derive(Serialize)]
struct Shown<'a> {
    topic: &'a str,
    first_id: Option<String>,
    last_id: Option<String>,
    events: u64,
    bytes: u64,
    subscribers: u32,
    closed: bool,
    retention: ShownRetention,
    retry: Option<u32>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct ShownRetention {
    max_events: Option<u64>,
    max_age: Option<String>,
    max_bytes: Option<u64>,
}

#[derive(Serialize)]
struct Listed<'a> {
    topics: &'a [Shown<'a>],
    next: Option<&'a str>,
}

impl<'a> Shown<'a> {
    fn new(epoch: Epoch, view: &'a TopicView) -> Self {
        let state = &view.state;
        let id = |seq: Seq| EventId { epoch, seq }.to_string();
        let Retention { max_events, max_age, max_bytes } = state.retention;
        Self {
            topic: state.topic.as_str(),
            first_id: state.first.map(id),
            last_id: state.last.map(id),
            events: state.events,
            bytes: state.bytes,
            subscribers: view.subscribers,
            closed: state.closed,
            retention: ShownRetention { max_events, max_age: max_age.map(duration::format), max_bytes },
            retry: state.retry,
        }
    }
}

fn json(value: &impl Serialize) -> Answer {
    body::json(json_text::text(value))
}

#[cfg(test)]
mod tests;
