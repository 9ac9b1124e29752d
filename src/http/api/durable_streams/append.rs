//! `POST`: appends to a stream, closes it, or both.

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, request::Parts};

use super::{
    append_state::{AppendState, MAX_STREAM_SEQ_BYTES},
    content_type::{self, DataFormat},
    context::{ReceivedWrite, StreamContext, StreamWrite},
    headers, lookup, messages,
    offset::Offset,
    present_state,
    producer::{PRODUCER_EPOCH, PRODUCER_SEQ, ProducerAppend, ProducerVerdict},
    redefinition::redefine,
    refusal::StreamRefusal,
    state::StreamSnapshot,
    writer::{StreamWriter, to_its_end},
};
use crate::{
    engine::TopicChange,
    event::{Data, EventId, NewEvent, TopicName},
    http::{
        auth::Caller,
        message::{
            headers::one,
            problem::{Code, Problem},
        },
        net::response::{Response, full},
    },
};

/// What an append asks for beside its data.
#[derive(Debug)]
struct AppendOptions {
    content_type: Option<String>,
    closes: bool,
    producer: Option<ProducerAppend>,
    stream_seq: Option<Vec<u8>>,
}

impl AppendOptions {
    fn of(request: &HeaderMap) -> Result<Self, Problem> {
        let stream_seq = one(request, &headers::SEQ)?.map(|value| value.as_bytes().to_vec());
        if stream_seq.as_ref().is_some_and(|text| text.is_empty() || text.len() > MAX_STREAM_SEQ_BYTES) {
            let detail = format!("Stream-Seq must have 1 to {MAX_STREAM_SEQ_BYTES} bytes");
            return Err(Problem::new(Code::HeaderInvalid, detail));
        }
        let closes = headers::closes(request);
        // A request that only closes may have any type.
        let content_type =
            content_type::of_request(request).or_else(|problem| if closes { Ok(None) } else { Err(problem) })?;
        let producer = ProducerAppend::of_request(request)?;
        Ok(Self { content_type: content_type.map(str::to_owned), closes, producer, stream_seq })
    }
}

/// Appends the body to the stream of `topic`. A dropped future does not cancel an append that has begun.
///
/// # Errors
/// Why nothing was appended.
pub async fn handle<B>(
    context: &StreamContext<'_>,
    caller: Caller,
    topic: TopicName,
    head: Parts,
    body: B,
) -> Result<Response, StreamRefusal>
where
    B: http_body::Body<Data = Bytes>,
{
    let checked = || {
        caller.authorization.publish(&topic)?;
        context.guards.check_topic(&topic)?;
        lookup::open(context.streams, &topic)?;
        Ok::<_, StreamRefusal>(AppendOptions::of(&head.headers)?)
    };
    let write = StreamWrite { options: checked(), topic: &topic, headers: &head.headers };
    let ReceivedWrite { options, body, permit, writer } = context.receive(caller, write, body).await?;
    to_its_end(async move {
        let _permit = permit;
        append(&writer, topic, options, body).await
    })
    .await
}

async fn append(
    writer: &StreamWriter,
    topic: TopicName,
    options: AppendOptions,
    body: Bytes,
) -> Result<Response, StreamRefusal> {
    let _lifecycle = writer.streams.lifecycle.read().await;
    let view = writer.open(&topic)?;
    writer.streams.registry.touch(&topic);
    if body.is_empty() {
        if !options.closes {
            let detail = "the body is empty; send data, or close the stream with Stream-Closed: true";
            return Err(Problem::new(Code::BodyInvalid, detail).into());
        }
        return close(writer, view, options).await;
    }
    let Some(content_type) = &options.content_type else {
        return Err(Problem::new(Code::HeaderInvalid, "send the stream's Content-Type with each append").into());
    };
    if view.closed {
        // An append of a producer may be one that was accepted before.
        return if options.producer.is_some() {
            append_in_order(writer, view, Vec::new(), options).await
        } else {
            Err(StreamRefusal::closed(&view))
        };
    }
    if !content_type::is_same(content_type, &view.definition.content_type) {
        let detail = format!("the stream is of {}, the append of {content_type}", view.definition.content_type);
        return Err(Problem::new(Code::ContentTypeMismatch, detail).into());
    }
    let events = events(&topic, view.format(), body, writer.publisher.limits().event_bytes)?;
    if options.producer.is_none() && options.stream_seq.is_none() {
        let next = writer.publish(&topic, events, options.closes, None).await?;
        return Ok(accepted(next, None, options.closes));
    }
    append_in_order(writer, view, events, options).await
}

/// The events of a body.
///
/// # Errors
/// When it is not what a stream of this format takes.
pub fn events(
    topic: &TopicName,
    format: DataFormat,
    body: Bytes,
    event_bytes: usize,
) -> Result<Vec<NewEvent>, Problem> {
    let messages = match format {
        DataFormat::Json => messages::split(&body)?,
        DataFormat::Text | DataFormat::Bytes => parts(body, event_bytes),
    };
    if messages.is_empty() {
        return Err(Problem::new(Code::BodyInvalid, "the array is empty; append at least one message"));
    }
    Ok(messages.into_iter().map(|data| NewEvent::new(topic.clone(), Data::any(data))).collect())
}

/// The body in parts of at most `most` bytes, at least one. Text is cut between its characters, and not within a CRLF, which
/// SSE would send as two line breaks. Nothing is copied.
fn parts(mut body: Bytes, most: usize) -> Vec<Bytes> {
    let (mut parts, is_text) = (Vec::new(), body.len() > most && std::str::from_utf8(&body).is_ok());
    while body.len() > most {
        let is_cut = |&at: &usize| !is_text || (body[at] & 0xC0 != 0x80 && body[at - 1..=at] != *b"\r\n");
        let at = (1..=most).rev().find(is_cut).unwrap_or(most);
        parts.push(body.split_to(at));
    }
    parts.push(body);
    parts
}

/// Appends with producer headers or `Stream-Seq`, one request of a stream after the other. Without events the stream was
/// closed when it was looked at.
async fn append_in_order(
    writer: &StreamWriter,
    view: StreamSnapshot,
    events: Vec<NewEvent>,
    options: AppendOptions,
) -> Result<Response, StreamRefusal> {
    let cell = writer.streams.registry.append_state(&view.topic);
    let mut cell = cell.lock().await;
    let mut view = writer.open(&view.topic)?;
    // Taken, so that it is read from the log again unless this append ends well.
    let mut state = present_state::read(&writer.streams, cell.take(), &view).await?;
    let answer = answer_without_append(&state, &view, &options);
    if events.is_empty() || !matches!(answer, Ok(None)) {
        *cell = Some(state);
        return answer?.ok_or_else(|| StreamRefusal::closed(&view));
    }
    if !view.definition.has_append_state {
        view = redefine(&writer.streams, view, TopicChange::default(), |it| it.has_append_state = true).await?;
    }
    let AppendOptions { closes, producer, stream_seq, .. } = options;
    let metadata = state.advance(producer, stream_seq);
    if closes {
        state.closed_by = producer;
    }
    let next = writer.publish(&view.topic, events, closes, Some(metadata)).await?;
    *cell = Some(state);
    Ok(accepted(next, producer, closes))
}

/// The answer to an append that changes nothing; `None` for one that is to be done.
fn answer_without_append(
    state: &AppendState,
    view: &StreamSnapshot,
    options: &AppendOptions,
) -> Result<Option<Response>, StreamRefusal> {
    let Some(append) = options.producer else {
        return if view.closed { Err(StreamRefusal::closed(view)) } else { check_stream_seq(state, options) };
    };
    let verdict = state.producers.check(append);
    match verdict {
        ProducerVerdict::Fenced { epoch } => Err(StreamRefusal::fenced(epoch)),
        _ if view.closed => {
            let has_closed = state.closed_by == Some(append) || view.definition.closed_by == Some(append.into());
            if has_closed { Ok(Some(duplicate(view, append, append.seq))) } else { Err(StreamRefusal::closed(view)) }
        }
        ProducerVerdict::New => check_stream_seq(state, options),
        ProducerVerdict::Duplicate { highest } => Ok(Some(duplicate(view, append, highest))),
        ProducerVerdict::NotFromZero => {
            Err(Problem::new(Code::HeaderInvalid, "the first Producer-Seq of a Producer-Epoch is 0").into())
        }
        ProducerVerdict::Gap { expected } => Err(StreamRefusal::producer_gap(expected, append.seq)),
    }
}

fn check_stream_seq(state: &AppendState, options: &AppendOptions) -> Result<Option<Response>, StreamRefusal> {
    if let (Some(asked), Some(last)) = (&options.stream_seq, &state.stream_seq)
        && asked <= last
    {
        let detail = format!("Stream-Seq must be above the last one, '{}'", last.escape_ascii());
        return Err(Problem::new(Code::StreamSeqConflict, detail).into());
    }
    Ok(None)
}

/// Closes a stream without an event.
async fn close(writer: &StreamWriter, view: StreamSnapshot, options: AppendOptions) -> Result<Response, StreamRefusal> {
    let closing = TopicChange { closed: Some(true), ..TopicChange::default() };
    let Some(append) = options.producer else {
        let view = if view.closed { view } else { redefine(&writer.streams, view, closing, |_| {}).await? };
        return Ok(closed(&view));
    };
    let cell = writer.streams.registry.append_state(&view.topic);
    let mut cell = cell.lock().await;
    let view = writer.open(&view.topic)?;
    let mut state = present_state::read(&writer.streams, cell.take(), &view).await?;
    let answer = answer_without_append(&state, &view, &options);
    if !matches!(answer, Ok(None)) {
        *cell = Some(state);
        return answer?.ok_or_else(|| StreamRefusal::closed(&view));
    }
    let view = redefine(&writer.streams, view, closing, |it| it.closed_by = Some(append.into())).await?;
    state.producers.accept(append);
    *cell = Some(state);
    let mut response = closed(&view);
    set_producer(response.headers_mut(), append, append.seq);
    Ok(response)
}

fn accepted(next: EventId, producer: Option<ProducerAppend>, closes: bool) -> Response {
    let mut response = empty(if producer.is_some() { StatusCode::OK } else { StatusCode::NO_CONTENT }, next);
    let headers = response.headers_mut();
    if let Some(append) = producer {
        set_producer(headers, append, append.seq);
    }
    if closes {
        headers.insert(headers::CLOSED, HeaderValue::from_static("true"));
    }
    response
}

fn duplicate(view: &StreamSnapshot, append: ProducerAppend, highest: u64) -> Response {
    let mut response = if view.closed { closed(view) } else { empty(StatusCode::NO_CONTENT, view.tail) };
    set_producer(response.headers_mut(), append, highest);
    response
}

fn closed(view: &StreamSnapshot) -> Response {
    let mut response = empty(StatusCode::NO_CONTENT, view.tail);
    response.headers_mut().insert(headers::CLOSED, HeaderValue::from_static("true"));
    response
}

fn set_producer(headers: &mut HeaderMap, append: ProducerAppend, seq: u64) {
    headers.insert(PRODUCER_EPOCH, append.epoch.into());
    headers.insert(PRODUCER_SEQ, seq.into());
}

fn empty(status: StatusCode, next: EventId) -> Response {
    let mut response = Response::new(full(""));
    *response.status_mut() = status;
    response.headers_mut().insert(headers::NEXT_OFFSET, headers::value(Offset(next)));
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_large_body_is_cut_between_characters_and_bytes_are_cut_anywhere() {
        let cut = |body: &[u8], most| {
            let parts = parts(Bytes::copy_from_slice(body), most);
            assert_eq!(parts.concat(), body);
            parts.iter().map(Bytes::len).collect::<Vec<_>>()
        };
        assert_eq!(cut(b"", 4), [0]);
        assert_eq!(cut(b"abcd", 4), [4]);
        assert_eq!(cut(b"abcdefghi", 4), [4, 4, 1]);
        assert_eq!(cut("aü€𝄞".as_bytes(), 4), [3, 3, 4]);
        assert_eq!(cut("abüc".as_bytes(), 3), [2, 3]);
        assert_eq!(cut(b"ab\r\ncd", 3), [2, 3, 1]);
        assert_eq!(cut(b"ab\xC3\xBC\xFF", 3), [3, 2], "no text");
        assert_eq!(cut("𝄞𝄞".as_bytes(), 2), [2, 2, 2, 2], "no character fits");
    }
}
