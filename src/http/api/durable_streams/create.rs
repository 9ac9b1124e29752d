//! `PUT`: creates a stream, or finds the one that was created in the same way.

use std::rc::Rc;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header, request::Parts};

use super::{
    append,
    content_type::{self, DataFormat},
    context::{ReceivedWrite, StreamContext, StreamWrite},
    definition::{ForkOrigin, StreamDefinition},
    fork::{self, Fork},
    headers,
    lifetime::Lifetime,
    offset::Offset,
    paths,
    refusal::StreamRefusal,
    removal,
    state::{FoundStream, StreamSnapshot, now},
    writer::{StreamWriter, to_its_end},
};
use crate::{
    engine::{MetadataChange, TopicChange},
    event::{NewEvent, Seq, TopicName},
    http::{
        api::stream::shard::StreamShard,
        auth::Caller,
        message::problem::{Code, Problem},
        net::response::{Response, full},
    },
};

/// What a request for a stream asks for beside its data.
struct CreateOptions {
    content_type: Option<String>,
    lifetime: Option<Lifetime>,
    closes: bool,
    fork: Option<fork::ForkOptions>,
}

impl CreateOptions {
    fn of(request: &HeaderMap, context: &StreamContext<'_>) -> Result<Self, Problem> {
        Ok(Self {
            content_type: content_type::of_request(request)?.map(str::to_owned),
            lifetime: Lifetime::of_request(request)?,
            closes: headers::closes(request),
            fork: fork::ForkOptions::of_request(request, context.streams.hub.epoch())?,
        })
    }
}

/// Creates the stream of `topic`, with the body as its first data.
///
/// # Errors
/// Why it was not created: also that there is one already, of another configuration.
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
        let options = CreateOptions::of(&head.headers, context)?;
        if let Some(fork) = &options.fork {
            caller.authorization.subscribe(&fork.source.clone().into())?;
        }
        Ok::<_, StreamRefusal>(options)
    };
    let write = StreamWrite { options: checked(), topic: &topic, headers: &head.headers };
    let ReceivedWrite { options, body, permit, writer } = context.receive(caller, write, body).await?;
    let shard = Rc::clone(&context.events.stream);
    let created = to_its_end(async move {
        let _permit = permit;
        create(&writer, &shard, topic, options, body).await
    })
    .await?;
    let status = if created.is_new { StatusCode::CREATED } else { StatusCode::OK };
    let mut response = Response::new(full(""));
    *response.status_mut() = status;
    let answer = response.headers_mut();
    answer.insert(header::CONTENT_TYPE, content_type::header_value(&created.view.definition.content_type));
    answer.insert(headers::NEXT_OFFSET, headers::value(Offset(created.view.tail)));
    if created.view.closed {
        answer.insert(headers::CLOSED, HeaderValue::from_static("true"));
    }
    if created.is_new {
        answer.insert(header::LOCATION, paths::location(&head));
    }
    Ok(response)
}

/// The configuration of a fork: what the request names, else what its source has.
fn fork_definition(
    options: &CreateOptions,
    asked: &fork::ForkOptions,
    source: &StreamSnapshot,
    through: Seq,
) -> Result<StreamDefinition, StreamRefusal> {
    let of_source = &source.definition;
    if let Some(content_type) = &options.content_type
        && !content_type::is_same(content_type, &of_source.content_type)
    {
        let detail = format!("the source is of {}, and so are its forks", of_source.content_type);
        return Err(Problem::new(Code::ContentTypeMismatch, detail).into());
    }
    let fork = ForkOrigin {
        source: asked.source.to_string(),
        through: through.0,
        asked: asked.offset.map(|seq| seq.0),
        sub_offset: asked.sub_offset,
        inherits_type: options.content_type.is_none(),
        inherits_lifetime: options.lifetime.is_none(),
    };
    Ok(StreamDefinition {
        lifetime: options.lifetime.clone().or_else(|| of_source.lifetime.clone()),
        fork: Some(fork),
        ..StreamDefinition::new(options.content_type.as_deref().unwrap_or(&of_source.content_type))
    })
}

/// A stream that was created, or found.
struct CreatedStream {
    view: StreamSnapshot,
    is_new: bool,
}

async fn create(
    writer: &StreamWriter,
    shard: &Rc<StreamShard>,
    topic: TopicName,
    options: CreateOptions,
    body: Bytes,
) -> Result<CreatedStream, StreamRefusal> {
    let streams = &writer.streams;
    if streams.registry.is_expired(&topic, now()) {
        removal::expire(streams, &topic).await?;
    }
    let Some(asked) = &options.fork else {
        let _lifecycle = streams.lifecycle.read().await;
        let content_type = options.content_type.as_deref().unwrap_or(content_type::DEFAULT);
        let definition = StreamDefinition { lifetime: options.lifetime, ..StreamDefinition::new(content_type) };
        return create_as(writer, &topic, definition, options.closes, Vec::new(), body).await;
    };
    // Alone, so that the source stays until the fork is known to be one.
    let _lifecycle = streams.lifecycle.write().await;
    let Fork { source, through, prefix } = fork::resolve(streams, shard, asked).await?;
    let definition = fork_definition(&options, asked, &source, through)?;
    create_as(writer, &topic, definition, options.closes, prefix, body).await
}

/// Creates the stream with this definition, which begins with `first` and the body. First the definition is durable, then its
/// data in one commit: a creation that was interrupted between is completed by the next request, and shows nobody a stream
/// without its data.
async fn create_as(
    writer: &StreamWriter,
    topic: &TopicName,
    mut definition: StreamDefinition,
    closes: bool,
    first: Vec<NewEvent>,
    body: Bytes,
) -> Result<CreatedStream, StreamRefusal> {
    let streams = &writer.streams;
    // One creation of a name at a time: a second one would append its data, too.
    let cell = streams.registry.append_state(topic);
    let mut cell = cell.lock().await;
    match streams.find(topic) {
        FoundStream::Open(view) => {
            if !definition.is_same_creation(&view.definition) || closes != view.closed {
                let detail = "there is a stream of this name with another content type, lifetime, fork or end";
                return Err(Problem::new(Code::StreamExists, detail).into());
            }
            streams.registry.touch(topic);
            return Ok(CreatedStream { view, is_new: false });
        }
        FoundStream::Deleted(_) => {
            let detail = "the stream was deleted, and its forks live; its name is free when they are gone";
            return Err(Problem::new(Code::StreamExists, detail).into());
        }
        FoundStream::Missing => {}
    }
    // What is there may be of another stream that had this name.
    *cell = None;
    let mut events = first;
    for event in &mut events {
        event.topic = topic.clone();
    }
    let format = DataFormat::of(&definition.content_type);
    let is_empty = body.is_empty() || (format == DataFormat::Json && body.trim_ascii() == b"[]");
    if !is_empty {
        events.append(&mut append::events(topic, format, body, writer.publisher.limits().event_bytes)?);
    }
    definition.starts_with_events = !events.is_empty();
    writer.caller.quotas.close(&streams.hub, topic).map_err(Problem::from)?;
    // What an interrupted creation has left.
    let from = streams.hub.topic(topic).and_then(|facts| facts.metadata);
    let change = TopicChange {
        metadata: Some(MetadataChange { from, to: Some(definition.metadata()) }),
        closed: (closes && events.is_empty()).then_some(true),
        ..TopicChange::default()
    };
    streams.hub.configure(topic.clone(), change).await?;
    streams.registry.insert(topic, &definition);
    if !events.is_empty() {
        writer.publish(topic, events, closes, None).await?;
    }
    Ok(CreatedStream { view: writer.open(topic)?, is_new: true })
}
