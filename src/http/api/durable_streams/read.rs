//! `GET`: what a stream has after an offset, at once or when there is something.

use std::{
    future::{Future, poll_fn},
    task::Poll,
    time::Duration,
};

use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};

use super::{
    chain::{self, ChainEvents, ChainItem, ChainReader},
    content_type::{self, DataFormat},
    context::StreamContext,
    cursor, headers, lookup,
    offset::{Offset, ReadOffset},
    page_body::{self, PageEvents},
    refusal::StreamRefusal,
    sse,
    state::{FoundStream, StreamSnapshot, now},
};
use crate::{
    event::{EventId, Selection, Seq, TopicName},
    http::{
        api::keys,
        auth::Caller,
        message::{
            destination,
            problem::{Code, Problem},
            query::Query,
        },
        net::response::{Response, full},
    },
    hub::subscription::Gap,
    quota::memory::BodyPermit,
};

/// Bytes of data after which a response ends: it is built in memory. As of a page of `/events`.
const PAGE_BYTES: usize = 1 << 20;

/// How a stream is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadMode {
    /// What there is.
    CatchUp,
    /// What there is, or what comes first.
    LongPoll,
    /// All that comes.
    Sse,
}

/// What was read for one response.
struct ReadPage {
    events: PageEvents,
    /// The position after it.
    next: EventId,
    /// Nothing was left when it was read.
    up_to_date: bool,
    /// Nothing will follow.
    ended: bool,
    /// Must be held until the client has read the response.
    permit: BodyPermit,
}

/// Reads the stream of `topic`.
///
/// # Errors
/// Why it cannot be read: also that events after the offset are gone.
pub async fn handle(
    context: &StreamContext<'_>,
    caller: Caller,
    topic: TopicName,
    head: &Parts,
) -> Result<Response, StreamRefusal> {
    destination::not_code(&head.headers)?;
    caller.authorization.subscribe(&Selection::from(topic.clone()))?;
    let view = lookup::open(context.streams, &topic)?;
    let query = Query::new(head.uri.query());
    keys::STREAM_READ.check(&query)?;
    let asked = query.one("offset")?;
    let mode = match query.one("live")? {
        None => ReadMode::CatchUp,
        Some("long-poll") => ReadMode::LongPoll,
        Some("sse") => ReadMode::Sse,
        Some(_) => return Err(Problem::new(Code::QueryInvalid, "'live' must be long-poll, sse, or left out").into()),
    };
    if mode != ReadMode::CatchUp && asked.is_none() {
        return Err(Problem::new(Code::QueryInvalid, "'live' needs 'offset', which may be -1 or now").into());
    }
    let last_event_id = head.headers.get("last-event-id").and_then(|value| value.to_str().ok());
    let resumed = last_event_id.filter(|text| mode == ReadMode::Sse && !text.is_empty());
    let offset = match resumed.or(asked) {
        None => ReadOffset::Start,
        Some(text) => ReadOffset::parse(text, view.tail.epoch).ok_or_else(|| {
            Problem::new(Code::QueryInvalid, "'offset' must be -1, now, or an offset of this stream, and come once")
        })?,
    };
    let permits = caller.quotas.stream()?;
    context.streams.registry.touch(&topic);
    let now = cursor::at(now().0 / 1000, query.one("cursor")?);
    if mode == ReadMode::Sse {
        let request = sse::SseRequest { view, offset, cursor: now, is_reconnect: resumed.is_some() };
        return sse::response(context, caller, permits, request).await;
    }
    if offset == ReadOffset::Now && mode == ReadMode::CatchUp {
        return Ok(at_tail(&view));
    }
    let after = match offset {
        ReadOffset::Start => None,
        ReadOffset::Now => Some(view.tail),
        ReadOffset::After(seq) => Some(EventId { seq, ..view.tail }),
        ReadOffset::Foreign(_) => return Err(foreign(&view)),
    };
    let etag = |view: &StreamSnapshot, next: EventId| etag(after, next, view.closed);
    if mode == ReadMode::CatchUp
        && after.is_some_and(|after| after.seq >= view.tail.seq)
        && matches(head, &etag(&view, view.tail))
    {
        return Ok(not_modified(&etag(&view, view.tail)));
    }
    let wait = if mode == ReadMode::LongPoll { context.streams.long_poll } else { Duration::ZERO };
    let mut page = read(context, caller, &view, after, wait).await?;
    // The end may have come meanwhile.
    let view = match context.streams.find_kept(&topic) {
        FoundStream::Open(view) | FoundStream::Deleted(view) => view,
        FoundStream::Missing => return Err(StreamRefusal::missing()),
    };
    if page.ended {
        page.next.seq = page.next.seq.max(view.tail.seq);
    }
    let is_closed = view.closed && page.up_to_date && page.next.seq >= view.tail.seq;
    let etag = self::etag(after, page.next, is_closed);
    if mode == ReadMode::CatchUp && matches(head, &etag) {
        return Ok(not_modified(&etag));
    }
    let is_empty = page.events.is_empty();
    let (next, up_to_date) = (page.next, page.up_to_date);
    let mut response = if is_empty && mode == ReadMode::LongPoll {
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        response
    } else {
        let mut response = Response::new(full(page_body::body(view.format(), page.events, page.permit)));
        let head = response.headers_mut();
        head.insert(header::CONTENT_TYPE, content_type::header_value(&view.definition.content_type));
        head.insert(header::ETAG, etag);
        response
    };
    let head = response.headers_mut();
    head.insert(headers::NEXT_OFFSET, headers::value(Offset(next)));
    // Shared caches would need to know who may read.
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
    if up_to_date {
        head.insert(headers::UP_TO_DATE, HeaderValue::from_static("true"));
    }
    if is_closed {
        head.insert(headers::CLOSED, HeaderValue::from_static("true"));
    }
    if mode == ReadMode::LongPoll {
        head.insert(headers::CURSOR, now.into());
        head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    Ok(response)
}

/// What a `HEAD` is answered.
///
/// # Errors
/// When there is no such stream, or the caller may not read it.
pub fn head(context: &StreamContext<'_>, caller: &Caller, topic: &TopicName) -> Result<Response, StreamRefusal> {
    use super::lifetime::{EXPIRES_AT, Lifetime, TTL};
    caller.authorization.subscribe(&Selection::from(topic.clone()))?;
    let view = lookup::open(context.streams, topic)?;
    let mut response = Response::new(full(""));
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, content_type::header_value(&view.definition.content_type));
    head.insert(headers::NEXT_OFFSET, headers::value(view.tail_offset()));
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    match &view.definition.lifetime {
        None => {}
        Some(Lifetime::Ttl(seconds)) => drop(head.insert(TTL, (*seconds).into())),
        Some(Lifetime::ExpiresAt { text, .. }) => drop(head.insert(EXPIRES_AT, headers::value(text))),
    }
    if view.closed {
        head.insert(headers::CLOSED, HeaderValue::from_static("true"));
    }
    Ok(response)
}

/// Reads up to [`PAGE_BYTES`], waiting up to `wait` for the first event. Dropping the future ends the reading.
async fn read(
    context: &StreamContext<'_>,
    Caller { mut authorization, quotas }: Caller,
    view: &StreamSnapshot,
    after: Option<EventId>,
    wait: Duration,
) -> Result<ReadPage, StreamRefusal> {
    let shard = &context.events.stream;
    let mut reader = ChainReader::new(shard, chain::runs(context.streams, view)?, after);
    let mut permit = quotas.memory(&context.events.pages);
    let selection = Selection::from(view.topic.clone());
    let deadline = tokio::time::sleep(wait);
    tokio::pin!(deadline);
    let (mut pages, mut bytes): (Vec<ChainEvents>, _) = (Vec::new(), 0);
    let format = view.format();
    let (mut up_to_date, mut ended) = (false, false);
    let mut removals = shard.hub.removals();
    // The registration of the feed that is followed: it wakes this task.
    let mut handle = None;
    while bytes < PAGE_BYTES {
        if pages.is_empty() {
            removals = shard.hub.removals();
        }
        let item = poll_fn(|cx| {
            authorization.renew_subscription(&shard.policies, &selection)?;
            loop {
                let polled = reader.poll_next(cx);
                if polled.is_pending() && reader.caught_up() && handle.is_none() {
                    let feed = reader.subscription().expect("it is caught up").feed();
                    let new = shard.streams.register(feed, authorization.expires(), None, None);
                    new.register_waker(cx);
                    handle = Some(new);
                    // Something may have come before it was registered.
                    continue;
                }
                if let Some(handle) = &handle
                    && handle.register_waker(cx)
                {
                    // No keepalives are sent.
                    handle.mark_sent();
                }
                return match polled {
                    Poll::Ready(item) => Poll::Ready(Ok(Some(item))),
                    Poll::Pending if !reader.caught_up() => Poll::Pending,
                    Poll::Pending if !pages.is_empty() || shard.drain.is_draining() => Poll::Ready(Ok(None)),
                    Poll::Pending => deadline.as_mut().poll(cx).map(|()| Ok(None)),
                };
            }
        });
        let item: Result<_, Problem> = item.await;
        match item? {
            None => {
                up_to_date = true;
                break;
            }
            Some(ChainItem::Ended) => {
                (up_to_date, ended) = (true, true);
                break;
            }
            Some(ChainItem::Events(mut events)) => {
                let whole = page_body::size(format, &events);
                // A response ends where a page of the log does, so that its reader goes on with a page that others read, too.
                if bytes + whole <= PAGE_BYTES && permit.grow(whole).is_ok() {
                    bytes += whole;
                    pages.push(events);
                    continue;
                }
                if !pages.is_empty() {
                    break;
                }
                let is_whole = take_part(&mut events, &mut permit)?;
                bytes = permit.bytes();
                pages.push(events);
                if !is_whole {
                    break;
                }
            }
            // It is told when the client reads on from here.
            Some(ChainItem::Gap(_)) if !pages.is_empty() => break,
            Some(ChainItem::Gap(gap)) => return Err(gone(view, &gap)),
            Some(ChainItem::Unreadable) => {
                return Err(Problem::new(Code::StoreUnavailable, "the stream cannot be read now; retry").into());
            }
        }
    }
    let start = after.map_or(Seq::ZERO, |after| after.seq);
    // Not the end of the stream: its topic may have an event already that readers are about to be sent.
    let next = pages.last().and_then(|events| events.frames().last()).map_or(start, |frame| frame.id.seq);
    let stats = shard.hub.stats();
    stats.events_out.add(pages.iter().map(|events| events.frames().len() as u64).sum());
    stats.bytes_out.add(bytes as u64);
    let events = if shard.hub.removals() == removals {
        PageEvents::Read(pages)
    } else {
        // Some events may have been removed while others were read.
        let frames = pages.iter().flat_map(ChainEvents::frames).cloned().collect();
        let kept = shard.hub.without_removed(frames, removals).ok_or_else(|| {
            Problem::new(Code::StoreUnavailable, "the stream cannot be read now; retry with the same offset")
        })?;
        PageEvents::Kept(kept)
    };
    Ok(ReadPage { events, next: EventId { seq: next, ..view.tail }, up_to_date, ended, permit })
}

/// Takes memory for as many of these events as have room, at least one, and leaves the others out. Returns whether all have.
///
/// # Errors
/// When there is no memory for one.
fn take_part(events: &mut ChainEvents, permit: &mut BodyPermit) -> Result<bool, Problem> {
    let (all, mut count) = (events.frames().len(), 0);
    for frame in events.frames() {
        let size = frame.event.new.data.len() + 1;
        if count > 0 && (permit.bytes() + size > PAGE_BYTES || permit.grow(size).is_err()) {
            break;
        }
        if count == 0 {
            permit.grow(size).map_err(|_| out_of_memory())?;
        }
        count += 1;
    }
    events.truncate(count);
    Ok(count == all)
}

/// 429: not even one event has room.
fn out_of_memory() -> Problem {
    let detail = "the memory for responses is full of those that this client, or others, have not read yet; read them, then \
                  send the request again";
    Problem::new(Code::OverCapacity, detail)
}

/// The answer to `offset=now`.
fn at_tail(view: &StreamSnapshot) -> Response {
    let mut response = Response::new(full(if view.format() == DataFormat::Json { "[]" } else { "" }));
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, content_type::header_value(&view.definition.content_type));
    head.insert(headers::NEXT_OFFSET, headers::value(view.tail_offset()));
    head.insert(headers::UP_TO_DATE, HeaderValue::from_static("true"));
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if view.closed {
        head.insert(headers::CLOSED, HeaderValue::from_static("true"));
    }
    response
}

/// Names what is between two positions; another one after each append, and when the stream is closed.
fn etag(after: Option<EventId>, next: EventId, closed: bool) -> HeaderValue {
    let end = if closed { ":closed" } else { "" };
    let after = after.map_or(Seq::ZERO, |after| after.seq);
    headers::value(format_args!("\"{}:{}{end}\"", after.0, Offset(next)))
}

fn matches(head: &Parts, etag: &HeaderValue) -> bool {
    let known = |headers: &HeaderMap| {
        let all = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = all.flat_map(|value| value.split(',')).map(|tag| tag.trim().trim_start_matches("W/"));
        tags.any(|tag| tag == "*" || tag.as_bytes() == etag.as_bytes())
    };
    known(&head.headers)
}

fn not_modified(etag: &HeaderValue) -> Response {
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    response.headers_mut().insert(header::ETAG, etag.clone());
    response
}

/// 410: events after the offset are gone. The head has the offset from which they are kept.
fn gone(view: &StreamSnapshot, gap: &Gap) -> StreamRefusal {
    let detail = format!(
        "events after this offset are gone ({}); to go on without them, read from the Stream-Next-Offset of this response",
        gap.reason.as_str()
    );
    let resumes = gap.resumes_at.map_or(view.tail, |id| EventId { seq: Seq(id.seq.0.saturating_sub(1)), ..id });
    let refusal = StreamRefusal::from(Problem::new(Code::OffsetGone, detail));
    refusal.with(headers::NEXT_OFFSET, headers::value(Offset(resumes)))
}

/// 410: the offset is of another store.
fn foreign(view: &StreamSnapshot) -> StreamRefusal {
    let detail =
        "the offset is of another store; this one has the events from the Stream-Next-Offset of this response on";
    let beginning = Offset(EventId { seq: Seq::ZERO, ..view.tail });
    let refusal = StreamRefusal::from(Problem::new(Code::OffsetGone, detail));
    refusal.with(headers::NEXT_OFFSET, headers::value(beginning))
}
