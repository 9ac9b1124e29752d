//! Topic resources: `GET /topics`, and `GET`, `PUT`, `DELETE /topics/T`.
//!
//! | module | purpose |
//! |---|---|
//! | this file | the handlers |
//! | `listing` | a page of the list, restricted to what the caller may see |
//! | `settings` | the body of `PUT` |
//! | `state` | what they need of the process |

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use percent_encoding::percent_decode_str;
use serde::Serialize;

use super::{body, keys, request_log};
use crate::{
    engine::TopicQuery,
    event::{EventId, Retention, Seq, TopicName, duration, topic::TopicError},
    http::{
        auth::{Authorization, Caller},
        message::{
            json_text,
            problem::{Code, Problem},
            query::Query,
        },
        net::response::{Response, full},
    },
    hub::TopicView,
};

mod listing;
mod settings;
pub mod state;

use state::TopicsState;

/// Topics of one page: the default and the maximum. A page of the longest names has 500 KB.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;

/// Bytes of a settings body at most: some twenty times the size of all settings.
const SETTINGS_BYTES: usize = 8192;

/// The action's name in a refusal.
const CHANGE: &str = "set or delete a topic";

/// Handles a request for `/topics` or `/topics/T`.
///
/// # Errors
/// Says what to change, or that the topic does not exist.
pub async fn handle<B>(state: &TopicsState, caller: &Caller, request: Request<B>) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let authorization = &caller.authorization;
    let path = request.uri().path().strip_prefix("/topics").unwrap_or_default();
    let query = Query::new(request.uri().query());
    match path.strip_prefix('/') {
        None => match *request.method() {
            Method::GET | Method::HEAD => list(state, authorization, &query).await,
            _ => Err(Problem::method_not_allowed("GET, HEAD")),
        },
        Some(text) => {
            keys::TOPIC.check(&query)?;
            let (name, violation) = name(text)?;
            request_log::set_topic(&name);
            match *request.method() {
                Method::GET | Method::HEAD => {
                    authorization.inspect(&name)?;
                    check_legacy(state, &name, violation)?;
                    show(state, &name).await
                }
                Method::PUT | Method::DELETE => {
                    authorization.require_admin(CHANGE)?;
                    check_legacy(state, &name, violation)?;
                    if request.method() == Method::PUT {
                        change(state, caller.clone(), name, request).await
                    } else {
                        delete(state, name).await
                    }
                }
                _ => Err(Problem::method_not_allowed("GET, HEAD, PUT, DELETE")),
            }
        }
    }
}

/// The topic is the rest of the path; an escaped slash is a slash. An old topic may have a name that a newer rule
/// forbids: for such a name, the violated rule is returned with it.
fn name(text: &str) -> Result<(TopicName, Option<TopicError>), Problem> {
    let text = percent_decode_str(text).decode_utf8();
    let text = text.map_err(|_| {
        Problem::new(Code::TopicInvalid, "the topic in the path is not UTF-8; encode it as encodeURIComponent does")
    })?;
    match TopicName::new(&text) {
        Ok(name) => Ok((name, None)),
        Err(error) => {
            let old = TopicName::stored(&text).ok().filter(|name| !name.is_internal());
            Ok((old.ok_or(error)?, Some(error)))
        }
    }
}

/// Accepts a name that violates a rule only if the topic exists. To be called after the authorization check: whether a
/// topic exists is not public.
fn check_legacy(state: &TopicsState, name: &TopicName, violation: Option<TopicError>) -> Result<(), Problem> {
    match violation {
        Some(error) if state.hub.topic(name).is_none() => Err(error.into()),
        _ => Ok(()),
    }
}

async fn list(state: &TopicsState, authorization: &Authorization, query: &Query<'_>) -> Result<Response, Problem> {
    let visible = authorization.list()?;
    keys::TOPICS.check(query)?;
    let limit = query.number("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let limit = usize::try_from(limit).expect("at most MAX_LIMIT");
    let text = |key| Ok::<_, Problem>(query.one(key)?.unwrap_or_default().to_owned());
    let names = TopicQuery { prefix: text("prefix")?, contains: text("search")?, after: text("after")? };
    let (views, more) = listing::page(&state.hub, visible, names, limit).await?;
    let topics: Vec<TopicBody<'_>> = views.iter().map(TopicBody::new).collect();
    let next = topics.last().filter(|_| more).map(|last| last.topic);
    Ok(json(&TopicListing { next, topics: &topics }))
}

async fn show(state: &TopicsState, name: &TopicName) -> Result<Response, Problem> {
    let view = state.hub.measure(name).await?.ok_or_else(|| unknown(name))?;
    Ok(json(&TopicBody::new(&view)))
}

async fn change<B>(
    state: &TopicsState,
    mut caller: Caller,
    name: TopicName,
    request: Request<B>,
) -> Result<Response, Problem>
where
    B: http_body::Body<Data = Bytes>,
{
    let (head, body) = request.into_parts();
    let (bytes, _permit) = state.bodies.read(&caller.quotas, &head.headers, body, SETTINGS_BYTES).await?;
    let authorization = &mut caller.authorization;
    // The credential may have expired while the body arrived.
    authorization.renew(&state.policies).and_then(|()| authorization.require_admin(CHANGE))?;
    let change = settings::parse(&bytes)?;
    state.guards.check_change(&name, &change)?;
    let view = state.hub.configure(name, change).await?;
    Ok(json(&TopicBody::new(&view)))
}

async fn delete(state: &TopicsState, name: TopicName) -> Result<Response, Problem> {
    if !state.hub.delete(name.clone()).await? {
        return Err(unknown(&name));
    }
    let mut response = Response::new(full(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

fn unknown(name: &TopicName) -> Problem {
    Problem::new(Code::TopicUnknown, format!("no topic is named {name}; publish to it, or create it with PUT"))
}

/// A topic on the wire.
#[derive(Serialize)]
struct TopicBody<'a> {
    topic: &'a str,
    first_id: Option<String>,
    last_id: Option<String>,
    events: u64,
    bytes: u64,
    subscribers: u32,
    closed: bool,
    retention: RetentionBody,
    retry: Option<u32>,
}

#[derive(Serialize)]
#[expect(clippy::struct_field_names, reason = "the names on the wire")]
struct RetentionBody {
    max_events: Option<u64>,
    max_age: Option<String>,
    max_bytes: Option<u64>,
}

#[derive(Serialize)]
struct TopicListing<'a> {
    topics: &'a [TopicBody<'a>],
    next: Option<&'a str>,
}

impl<'a> TopicBody<'a> {
    fn new(view: &'a TopicView) -> Self {
        let state = &view.state;
        let id = |seq: Seq| EventId { epoch: state.epoch, seq }.to_string();
        let Retention { max_events, max_age, max_bytes } = state.retention;
        Self {
            topic: state.topic.as_str(),
            first_id: state.first.map(id),
            last_id: state.last.map(id),
            events: state.events,
            bytes: state.bytes,
            subscribers: view.subscribers,
            closed: state.closed,
            retention: RetentionBody { max_events, max_age: max_age.map(duration::format), max_bytes },
            retry: state.retry,
        }
    }
}

fn json(value: &impl Serialize) -> Response {
    body::json(json_text::text(value))
}

#[cfg(test)]
mod tests;
