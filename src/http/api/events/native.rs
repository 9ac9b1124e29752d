//! The hub's own protocol, as docs/PROTOCOL.md describes it: parses a request for `/events`.

use std::time::Duration;

use http::{HeaderMap, request::Parts};
use serde::Deserialize;

use super::{
    events_request::{EventsRequest, PageForm, ResponseMode, selection},
    json_page,
    protocol::Protocol,
    start::{RawStart, StreamStart},
};
use crate::{
    event::{EventId, duration},
    http::{
        api::{
            cloud_events::BATCH_TYPE,
            keys,
            stream::encoding::{Encoding, Keepalive},
        },
        message::{
            accept,
            problem::{Code, Problem},
            query::Query,
        },
    },
};

/// The hub's own protocol.
pub static NATIVE: Protocol =
    Protocol { from_head, check_head_of_body, from_body, max_body_bytes: MAX_BODY_BYTES, page: &json_page::FORMAT };

/// Largest body of `POST /events`, in bytes: room for the largest number of filters, each of the greatest length.
const MAX_BODY_BYTES: usize = 1 << 20;

/// Events of a page: the default, and the maximum.
const PAGE_LIMIT: (usize, usize) = (100, 1000);

/// Longest long poll: below the 60 s after which stock proxies time out.
const MAX_WAIT: Duration = Duration::from_secs(55);

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
    before: Option<String>,
    keepalive: Option<String>,
    #[serde(default)]
    metadata: bool,
}

/// The parameters before validation: the common form of a query and a JSON body.
struct RawParameters<'a> {
    topics: Vec<&'a str>,
    start: RawStart<'a>,
    format: Option<&'a str>,
    limit: Option<u64>,
    wait: Option<&'a str>,
    before: Option<&'a str>,
    keepalive: Option<&'a str>,
    metadata: bool,
}

/// Parses the query and the headers.
fn from_head(parts: &Parts, filters: usize) -> Result<EventsRequest, Problem> {
    let query = Query::new(parts.uri.query());
    keys::EVENTS.check(&query)?;
    let raw = RawParameters {
        topics: query.all("topic").collect::<Result<_, _>>()?,
        start: RawStart { cursor: keys::cursor(&query), from: query.one("from")?, since: query.one("since")? },
        format: query.one("format")?,
        limit: query.number("limit", 1, u64::MAX)?,
        wait: query.one("wait")?,
        before: query.one("before")?,
        keepalive: query.one("keepalive")?,
        metadata: false,
    };
    request(&raw, &parts.headers, filters)
}

/// Checks the query of a request whose parameters are in the body.
fn check_head_of_body(parts: &Parts) -> Result<(), Problem> {
    keys::EVENTS_BY_BODY.check(&Query::new(parts.uri.query()))
}

/// Parses the body of a `POST`, and the headers.
fn from_body(parts: &Parts, body: &[u8], filters: usize) -> Result<EventsRequest, Problem> {
    let body: EventsBody = serde_json::from_slice(body).map_err(|error| {
        let detail = format!("the body must be like {{\"topics\":[\"a\",\"b/**\"],\"last_event_id\":\"…\"}}: {error}");
        Problem::new(Code::BodyInvalid, detail)
    })?;
    if body.limit == Some(0) {
        return Err(Problem::new(Code::BodyInvalid, "'limit' must be at least 1"));
    }
    let raw = RawParameters {
        topics: body.topics.iter().map(String::as_str).collect(),
        start: RawStart {
            cursor: body.last_event_id.as_deref(),
            from: body.from.as_deref(),
            since: body.since.as_deref(),
        },
        format: body.format.as_deref(),
        limit: body.limit,
        wait: body.wait.as_deref(),
        before: body.before.as_deref(),
        keepalive: body.keepalive.as_deref(),
        metadata: body.metadata,
    };
    request(&raw, &parts.headers, filters)
}

fn request(raw: &RawParameters<'_>, headers: &HeaderMap, filters: usize) -> Result<EventsRequest, Problem> {
    let selection = selection(&raw.topics, filters)?;
    let begin = StreamStart::new(&raw.start, headers)?;
    let keepalive = keepalive(raw.keepalive)?;
    let wait = raw.wait.map(wait).transpose()?;
    let mode = match (raw.before.filter(|text| !text.is_empty()), mode(raw, headers, wait)?) {
        (None, mode) => mode,
        (Some(_), ResponseMode::Page { form: PageForm::CloudEventBatch, .. }) => {
            let detail = "a batch cannot say where the page before it ends; 'before' is for 'Accept: application/json'";
            return Err(Problem::new(Code::QueryInvalid, detail));
        }
        (Some(text), ResponseMode::Page { limit, form, .. }) if !raw.start.is_given(headers) => {
            older(text, limit, form)?
        }
        (Some(_), ResponseMode::Page { .. }) => {
            let detail = "a page ends before 'before' or begins after a cursor, 'from' or 'since'; give one of them";
            return Err(Problem::new(Code::QueryInvalid, detail));
        }
        (Some(_), _) => {
            let detail = "'before' is for pages; ask for one with 'Accept: application/json'";
            return Err(Problem::new(Code::QueryInvalid, detail));
        }
    };
    let mode = if raw.metadata { export(mode)? } else { mode };
    let eventsource = accept::names(headers, "text/event-stream");
    Ok(EventsRequest { selection, begin, mode, keepalive, eventsource })
}

/// The mode of a request that asks for metadata.
fn export(mode: ResponseMode) -> Result<ResponseMode, Problem> {
    let ResponseMode::Page { limit, wait: Duration::ZERO, form: PageForm::Protocol } = mode else {
        let detail = "'metadata' is for pages without 'before' and 'wait'; ask for one with 'Accept: application/json'";
        return Err(Problem::new(Code::QueryInvalid, detail));
    };
    Ok(ResponseMode::Page { limit, wait: Duration::ZERO, form: PageForm::Export })
}

fn older(text: &str, limit: usize, form: PageForm) -> Result<ResponseMode, Problem> {
    let before = EventId::parse(text).ok_or_else(|| {
        Problem::new(Code::QueryInvalid, "'before' must be an id, as the 'previous' of a page or the id of an event")
    })?;
    Ok(ResponseMode::Older { before, limit, form })
}

fn wait(text: &str) -> Result<Duration, Problem> {
    let wait = duration::parse(text)
        .ok_or_else(|| Problem::new(Code::QueryInvalid, "'wait' must be a duration like 30s or 1m 30s, or seconds"))?;
    Ok(wait.min(MAX_WAIT))
}

fn keepalive(text: Option<&str>) -> Result<Keepalive, Problem> {
    match text {
        None | Some("" | "comment") => Ok(Keepalive::Comment),
        Some("event") => Ok(Keepalive::Event),
        Some(_) => Err(Problem::new(Code::QueryInvalid, "'keepalive' must be event, comment, or left out")),
    }
}

fn mode(raw: &RawParameters<'_>, headers: &HeaderMap, wait: Option<Duration>) -> Result<ResponseMode, Problem> {
    let sse = match raw.format {
        None | Some("" | "raw") => Encoding::Sse,
        Some("json") => Encoding::SseEnvelope,
        Some("message") => Encoding::SseMessage,
        Some("cloudevents") => Encoding::SseCloudEvents,
        Some(_) => {
            return Err(Problem::new(Code::QueryInvalid, "'format' must be json, message, cloudevents, or left out"));
        }
    };
    let cloud_events = sse == Encoding::SseCloudEvents;
    if accept::names(headers, "text/event-stream") {
        return Ok(ResponseMode::Stream(sse));
    }
    if accept::names(headers, "application/x-ndjson") {
        return Ok(ResponseMode::Stream(if cloud_events { Encoding::NdjsonCloudEvents } else { Encoding::Ndjson }));
    }
    let form = if accept::names(headers, "application/json") {
        if cloud_events {
            let detail = format!("a page of CloudEvents is a batch; ask for one with 'Accept: {BATCH_TYPE}'");
            return Err(Problem::new(Code::QueryInvalid, detail));
        }
        PageForm::Protocol
    } else if accept::names(headers, BATCH_TYPE) {
        PageForm::CloudEventBatch
    } else {
        return Ok(ResponseMode::Stream(sse));
    };
    let (default, max) = PAGE_LIMIT;
    let limit = raw.limit.map_or(default, |limit| usize::try_from(limit).unwrap_or(max).min(max));
    Ok(ResponseMode::Page { limit, wait: wait.unwrap_or_default(), form })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_a_duration_and_a_longer_one_is_cut() {
        for (text, seconds) in [("30s", 30), ("30", 30), ("0.5m", 30), ("10s 500ms", 10), ("1h 30m", 55), ("200y", 55)]
        {
            assert_eq!(wait(text).expect(text).as_secs(), seconds, "{text}");
        }
        for text in ["", "soon", "1.5", "-1s"] {
            assert_eq!(wait(text).expect_err(text).code, Code::QueryInvalid, "{text}");
        }
    }
}
