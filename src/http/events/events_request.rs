//! What a client asks `/events` for: topics, a place to start, and a form.

use std::time::Duration;

use http::{HeaderMap, request::Parts};
use serde::Deserialize;

use super::start::{RawStart, StreamStart};
use crate::{
    event::{Filter, Selection},
    http::{
        Limits, accept, duration, keys,
        problem::{Code, Problem},
        query::Query,
        stream::encoding::{Encoding, Keepalive},
    },
};

/// Bytes of a `POST /events` body at most: room for the most filters a stream may have, each as long as it may be.
pub const MAX_BODY_BYTES: usize = 1 << 20;

/// Shapes of one stream's patterns at most: each is a look-up for every topic that is published to, until its feeds are known.
/// Patterns with a wildcard in one or two places have a few.
pub const MAX_SHAPES: usize = 32;

/// Events of a page when the client does not say, and at most.
const PAGE_LIMIT: (usize, usize) = (100, 1000);

/// Longest long poll: below the 60 s after which stock proxies give up.
const MAX_WAIT: Duration = Duration::from_secs(55);

/// A request for events.
#[derive(Debug, PartialEq)]
pub struct EventsRequest {
    /// Of which topics.
    pub selection: Selection,
    /// From where.
    pub begin: StreamStart,
    /// As what.
    pub form: ResponseMode,
    /// What a silent stream sends.
    pub keepalive: Keepalive,
    /// The client is one that only a 200 keeps alive.
    pub eventsource: bool,
}

/// How events are answered with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResponseMode {
    /// As they come, until somebody ends it.
    Stream(Encoding),
    /// As one JSON document.
    Page {
        /// Events at most.
        limit: usize,
        /// How long to wait for the first one.
        wait: Duration,
    },
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct EventsBody {
    topics: Vec<String>,
    #[serde(default, alias = "lastEventId", alias = "lastEventID", alias = "Last-Event-ID", alias = "last-event-id")]
    last_event_id: Option<String>,
    from: Option<String>,
    since: Option<String>,
    format: Option<String>,
    limit: Option<u64>,
    wait: Option<String>,
    keepalive: Option<String>,
}

/// The parts of a wish that a query and a body spell differently.
struct RawParameters<'a> {
    topics: Vec<&'a str>,
    said: RawStart<'a>,
    format: Option<&'a str>,
    limit: Option<u64>,
    wait: Option<&'a str>,
    keepalive: Option<&'a str>,
}

impl EventsRequest {
    /// Reads the query and the headers.
    ///
    /// # Errors
    /// Says what the client must change.
    pub fn from_query(parts: &Parts, limits: &Limits) -> Result<Self, Problem> {
        let query = Query::new(parts.uri.query());
        keys::EVENTS.check(&query)?;
        let words = RawParameters {
            topics: query.all("topic").collect::<Result<_, _>>()?,
            said: RawStart { cursor: keys::cursor(&query), from: query.one("from")?, since: query.one("since")? },
            format: query.one("format")?,
            limit: query.number("limit", 1, u64::MAX)?,
            wait: query.one("wait")?,
            keepalive: query.one("keepalive")?,
        };
        Self::new(&words, &parts.headers, limits)
    }

    /// Reads a `POST`'s body and the headers.
    ///
    /// # Errors
    /// Says what the client must change.
    pub fn from_json(parts: &Parts, body: &[u8], limits: &Limits) -> Result<Self, Problem> {
        let body: EventsBody = serde_json::from_slice(body).map_err(|error| {
            let detail =
                format!("the body must be like {{\"topics\":[\"a\",\"b/**\"],\"last_event_id\":\"…\"}}: {error}");
            Problem::new(Code::BodyInvalid, detail)
        })?;
        if body.limit == Some(0) {
            return Err(Problem::new(Code::BodyInvalid, "'limit' must be at least 1"));
        }
        let words = RawParameters {
            topics: body.topics.iter().map(String::as_str).collect(),
            said: RawStart {
                cursor: body.last_event_id.as_deref(),
                from: body.from.as_deref(),
                since: body.since.as_deref(),
            },
            format: body.format.as_deref(),
            limit: body.limit,
            wait: body.wait.as_deref(),
            keepalive: body.keepalive.as_deref(),
        };
        Self::new(&words, &parts.headers, limits)
    }

    fn new(words: &RawParameters<'_>, headers: &HeaderMap, limits: &Limits) -> Result<Self, Problem> {
        let selection = selection(&words.topics, limits.filters)?;
        let begin = StreamStart::new(&words.said, headers)?;
        let keepalive = keepalive(words.keepalive)?;
        let wait = words.wait.map(wait).transpose()?;
        let form = form(words, headers, wait)?;
        let eventsource = accept::names(headers, "text/event-stream");
        Ok(Self { selection, begin, form, keepalive, eventsource })
    }
}

fn selection(topics: &[&str], most: usize) -> Result<Selection, Problem> {
    if topics.len() > most {
        let detail = format!(
            "{} topics are asked for; one stream takes at most {most}: use patterns, or several streams",
            topics.len()
        );
        return Err(Problem::new(Code::QueryInvalid, detail));
    }
    let filters = topics.iter().map(|text| {
        Filter::new(text).map_err(|error| Problem::from(error).at(format_args!("topic '{}'", text.escape_debug())))
    });
    let selection = Selection::new(filters.collect::<Result<Vec<_>, _>>()?).ok_or_else(|| {
        Problem::new(Code::TopicInvalid, "say which topics to watch, like /events?topic=jobs/42/tokens")
    })?;
    let shapes = selection.shapes().len();
    if shapes > MAX_SHAPES {
        let detail = format!(
            "the patterns have '*' and '**' in {shapes} different combinations of places; one stream takes at most {MAX_SHAPES}, \
             however many patterns there are of each: use wider patterns, or several streams"
        );
        return Err(Problem::new(Code::QueryInvalid, detail));
    }
    Ok(selection)
}

fn wait(text: &str) -> Result<Duration, Problem> {
    let wait = duration::parse(text)
        .ok_or_else(|| Problem::new(Code::QueryInvalid, "'wait' must be a duration like 30s, or seconds"))?;
    Ok(wait.min(MAX_WAIT))
}

fn keepalive(text: Option<&str>) -> Result<Keepalive, Problem> {
    match text {
        None | Some("" | "comment") => Ok(Keepalive::Comment),
        Some("event") => Ok(Keepalive::Event),
        Some(_) => Err(Problem::new(Code::QueryInvalid, "'keepalive' must be event, comment, or left out")),
    }
}

fn form(words: &RawParameters<'_>, headers: &HeaderMap, wait: Option<Duration>) -> Result<ResponseMode, Problem> {
    let sse = match words.format {
        None | Some("" | "raw") => Encoding::Sse,
        Some("json") => Encoding::SseEnvelope,
        Some("message") => Encoding::SseMessage,
        Some(_) => return Err(Problem::new(Code::QueryInvalid, "'format' must be json, message, or left out")),
    };
    if accept::names(headers, "text/event-stream") {
        return Ok(ResponseMode::Stream(sse));
    }
    if accept::names(headers, "application/x-ndjson") {
        return Ok(ResponseMode::Stream(Encoding::Ndjson));
    }
    if accept::names(headers, "application/json") {
        let (usual, most) = PAGE_LIMIT;
        let limit = words.limit.map_or(usual, |limit| usize::try_from(limit).unwrap_or(most).min(most));
        return Ok(ResponseMode::Page { limit, wait: wait.unwrap_or_default() });
    }
    Ok(ResponseMode::Stream(sse))
}
