//! `/admin/streams`: who is connected, and the end of a stream or of all streams of a holder.

use std::{
    fmt::{self, Display},
    time::SystemTime,
};

use http::{Method, Request, StatusCode};
use serde::Serialize;

use super::state::OperatorsState;
use crate::{
    event::{EventId, Filter, Millis},
    http::{
        api::{
            body, keys,
            stream::{
                encoding::Encoding,
                mailbox::Unanswered,
                open_streams::{OpenStream, StreamFilter, StreamId, StreamPlace, StreamQuery, StreamSort},
                record::MAX_TOPICS,
            },
        },
        auth::Authorization,
        message::{
            json_text,
            problem::{Code, Problem},
            query::Query,
        },
        net::response::{Response, full},
    },
    hub::{epoch::HubEpoch, stats::Progress},
};

/// Streams of one page: the default and the maximum. A page of the longest topics and holders has some 1.5 MB.
const DEFAULT_LIMIT: u64 = 100;
const MAX_LIMIT: u64 = 1000;

/// The actions' names in a refusal.
const LIST: &str = "list the open streams";
const END: &str = "end a stream of another client";

#[derive(Serialize)]
struct StreamPage<'s> {
    streams: Vec<StreamView<'s>>,
    next: Option<String>,
    total: u64,
}

#[derive(Serialize)]
struct StreamView<'s> {
    id: String,
    request_id: String,
    address: String,
    holder: Option<&'s str>,
    topics: Vec<&'s str>,
    topics_total: usize,
    format: &'static str,
    state: &'static str,
    since: String,
    cursor: Option<String>,
    behind_events: Option<u64>,
    sent_events: u64,
    sent_bytes: u64,
}

#[derive(Serialize)]
struct EndedStreams {
    ended: u64,
}

/// The text of `next` and `after`: the order, and the last place of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct PageEnd {
    sort: StreamSort,
    place: StreamPlace,
}

/// Handles a request for `/admin/streams` or `/admin/streams/ID`.
///
/// # Errors
/// When the caller lacks the grant `admin`, the query is not valid, there is no such stream, or a core does not answer.
pub async fn handle<B>(
    operators: &OperatorsState,
    authorization: &Authorization,
    request: Request<B>,
) -> Result<Response, Problem> {
    let query = Query::new(request.uri().query());
    let id = request.uri().path().strip_prefix("/admin/streams/");
    if request.method() != Method::DELETE {
        authorization.require_admin(LIST)?;
        return list(operators, &query).await;
    }
    authorization.require_admin(END)?;
    match id {
        Some(id) => end(operators, id, &query).await,
        None => end_all(operators, &query).await,
    }
}

async fn list(operators: &OperatorsState, query: &Query<'_>) -> Result<Response, Problem> {
    keys::STREAMS.check(query)?;
    let limit = query.number("limit", 1, MAX_LIMIT)?.unwrap_or(DEFAULT_LIMIT);
    let sort = query.one("sort")?.map_or(Some(StreamSort::Since), sort_of);
    let sort = sort.ok_or_else(|| invalid("'sort' must be since, behind or sent_bytes"))?;
    let filter = StreamFilter {
        holder: holder_of(query)?.map(Into::into),
        topic: query.one("topic")?.map(Filter::new).transpose()?,
    };
    let after = query.one("after")?.map(PageEnd::parse);
    let after = after.map(|end| end.filter(|end| end.sort == sort).ok_or_else(|| invalid(AFTER))).transpose()?;
    let limit = usize::try_from(limit).expect("at most MAX_LIMIT");
    let asked = StreamQuery { filter, sort, after: after.map(|end| end.place), limit };
    let (page, more) = operators.streams.list(asked).await.map_err(unanswered)?;
    let epoch = operators.hub.broker().epoch();
    let last = page.streams.last().filter(|_| more);
    let next = last.map(|last| PageEnd { sort, place: last.place }.to_string());
    let streams = page.streams.iter().map(|stream| StreamView::of(stream, &epoch)).collect();
    Ok(body::json(json_text::bytes(&StreamPage { streams, next, total: page.total })))
}

async fn end(operators: &OperatorsState, id: &str, query: &Query<'_>) -> Result<Response, Problem> {
    keys::END_STREAM.check(query)?;
    let unknown = || Problem::new(Code::StreamUnknown, "no open stream has this id; GET /admin/streams lists them");
    let id = StreamId::parse(id).ok_or_else(unknown)?;
    if !operators.streams.end(id).await.map_err(unanswered)? {
        return Err(unknown());
    }
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

async fn end_all(operators: &OperatorsState, query: &Query<'_>) -> Result<Response, Problem> {
    keys::END_STREAMS.check(query)?;
    let holder = holder_of(query)?.ok_or_else(|| invalid("name whose streams are to end with ?holder=H"))?;
    let ended = operators.streams.end_all(holder).await.map_err(unanswered)?;
    Ok(body::json(json_text::bytes(&EndedStreams { ended })))
}

/// An `after` of another order would skip streams.
const AFTER: &str = "'after' must be the 'next' of a page with the same 'sort'";

fn holder_of<'q>(query: &'q Query<'_>) -> Result<Option<&'q str>, Problem> {
    let holder = query.one("holder")?;
    if holder == Some("") {
        return Err(invalid("'holder' is empty; leave it out, or name a holder"));
    }
    Ok(holder)
}

fn invalid(detail: &'static str) -> Problem {
    Problem::new(Code::QueryInvalid, detail)
}

fn unanswered(_: Unanswered) -> Problem {
    Problem::new(Code::OverCapacity, "not all cores have answered in time; retry in a moment")
}

impl<'s> StreamView<'s> {
    fn of(stream: &'s OpenStream, epoch: &HubEpoch) -> Self {
        let filters = stream.selection.filters();
        // A stream that has not heard of a replaced log yet has no id of the current one.
        let is_current = stream.reached.epoch == epoch.number;
        let cursor = is_current.then_some(EventId { epoch: epoch.epoch, seq: stream.reached.seq });
        let since = SystemTime::now().checked_sub(stream.age).map(Millis::from).unwrap_or_default();
        Self {
            id: stream.place.id.to_string(),
            request_id: stream.request.to_string(),
            address: stream.client.to_string(),
            holder: stream.principal.holder.as_deref(),
            topics: filters.iter().take(MAX_TOPICS).map(Filter::as_str).collect(),
            topics_total: filters.len(),
            format: format_name(stream.encoding),
            state: match stream.progress {
                Progress::Live => "live",
                Progress::Replaying => "replaying",
                Progress::Lagged => "lagged",
            },
            since: since.to_string(),
            cursor: cursor.map(|id| id.to_string()),
            behind_events: stream.behind,
            sent_events: stream.sent.events,
            sent_bytes: stream.sent.bytes,
        }
    }
}

fn format_name(encoding: Option<Encoding>) -> &'static str {
    match encoding {
        Some(Encoding::Sse) => "sse",
        Some(Encoding::SseEnvelope) => "sse-json",
        Some(Encoding::SseMessage) => "sse-message",
        Some(Encoding::SseCloudEvents) => "sse-cloudevents",
        Some(Encoding::Ndjson) => "ndjson",
        Some(Encoding::NdjsonCloudEvents) => "ndjson-cloudevents",
        Some(Encoding::Mercure) => "mercure",
        None => "relay",
    }
}

fn sort_of(text: &str) -> Option<StreamSort> {
    StreamSort::ALL.into_iter().find(|sort| sort.as_str() == text)
}

impl PageEnd {
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.splitn(3, '.');
        let sort = sort_of(parts.next()?)?;
        let rank = parts.next()?.parse().ok()?;
        Some(Self { sort, place: StreamPlace { rank, id: StreamId::parse(parts.next()?)? } })
    }
}

impl Display for PageEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StreamPlace { rank, id } = self.place;
        write!(f, "{}.{rank}.{id}", self.sort.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_page_is_its_text() {
        for sort in StreamSort::ALL {
            for rank in [0, 7, u64::MAX] {
                let place = StreamPlace { rank, id: StreamId { shard: 3, number: 41 } };
                let end = PageEnd { sort, place };
                assert_eq!(PageEnd::parse(&end.to_string()), Some(end));
            }
        }
        for text in ["", "since", "since.1", "since.1.", "since.1.s0", "since.x.s0-1", "age.1.s0-1", "since.1.s0-1.2"] {
            assert_eq!(PageEnd::parse(text), None, "{text}");
        }
    }
}
