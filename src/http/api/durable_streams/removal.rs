//! `DELETE`, and the end of a lifetime.

use http::StatusCode;

use super::{
    context::StreamContext,
    definition::StreamDefinition,
    lookup,
    refusal::StreamRefusal,
    state::{DurableStreams, FoundStream, StreamSnapshot, now},
};
use crate::{
    engine::{AppendError, MetadataChange, TopicChange},
    event::TopicName,
    http::{
        auth::Caller,
        net::response::{Response, full},
    },
};

/// Deletes the stream of `topic`. While forks of it live, they read on, and nobody else does.
///
/// # Errors
/// Why it was not deleted.
pub async fn handle(
    context: &StreamContext<'_>,
    caller: &Caller,
    topic: &TopicName,
) -> Result<Response, StreamRefusal> {
    caller.authorization.require_admin("delete a stream")?;
    let _lifecycle = context.streams.lifecycle.write().await;
    let view = lookup::open(context.streams, topic)?;
    remove(context.streams, view).await?;
    let mut response = Response::new(full(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}

/// Deletes the stream of `topic` if its lifetime is over.
///
/// # Errors
/// When the log cannot be written now; the stream is not found by anyone nevertheless.
pub async fn expire(streams: &DurableStreams, topic: &TopicName) -> Result<(), AppendError> {
    let _lifecycle = streams.lifecycle.write().await;
    if !streams.registry.is_expired(topic, now()) {
        return Ok(());
    }
    match streams.find_kept(topic) {
        FoundStream::Open(view) if view.definition.lifetime.is_none() => {
            // The stream was deleted as a topic, and the name is another topic's.
            streams.registry.remove(topic, &view.definition);
            Ok(())
        }
        FoundStream::Open(view) => remove(streams, view).await,
        FoundStream::Deleted(view) => {
            streams.registry.insert(topic, &view.definition);
            Ok(())
        }
        FoundStream::Missing => {
            // It was deleted as a topic, or its creation was interrupted.
            let definition = StreamDefinition::of(None);
            streams.registry.remove(topic, &definition);
            streams.hub.delete(topic.clone()).await.map(drop)
        }
    }
}

/// Deletes the stream of `topic` for good if it was deleted before and none of its forks lives any more.
///
/// # Errors
/// When the log cannot be written now.
pub async fn collect(streams: &DurableStreams, topic: &TopicName) -> Result<(), AppendError> {
    if streams.has_forks(topic) {
        return Ok(());
    }
    let _lifecycle = streams.lifecycle.write().await;
    match streams.find_kept(topic) {
        FoundStream::Deleted(view) if !streams.has_forks(topic) => remove(streams, view).await,
        FoundStream::Deleted(_) => Ok(()),
        FoundStream::Open(StreamSnapshot { definition, .. }) => {
            streams.registry.remove(topic, &definition);
            streams.registry.insert(topic, &definition);
            Ok(())
        }
        FoundStream::Missing => {
            streams.registry.remove(topic, &StreamDefinition::of(None));
            Ok(())
        }
    }
}

/// Deletes a stream, and those sources of it that were deleted before and have no other forks. The lifecycle's lock is held for
/// writing.
async fn remove(streams: &DurableStreams, view: StreamSnapshot) -> Result<(), AppendError> {
    if streams.has_forks(&view.topic) {
        let mut definition = view.definition.clone();
        definition.deleted = true;
        let change = TopicChange {
            metadata: Some(MetadataChange { from: view.metadata, to: Some(definition.metadata()) }),
            closed: Some(true),
            ..TopicChange::default()
        };
        streams.hub.configure(view.topic.clone(), change).await?;
        streams.registry.insert(&view.topic, &definition);
        return Ok(());
    }
    let mut next = Some(view);
    while let Some(StreamSnapshot { topic, definition, .. }) = next.take() {
        streams.hub.delete(topic.clone()).await?;
        streams.registry.remove(&topic, &definition);
        let source = definition.fork.and_then(|fork| TopicName::stored(&fork.source).ok());
        if let Some(source) = source
            && !streams.has_forks(&source)
            && let FoundStream::Deleted(view) = streams.find_kept(&source)
        {
            next = Some(view);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        engine::Append,
        event::NewEvent,
        http::{
            api::durable_streams::{definition::ForkOrigin, lifetime::Lifetime},
            testing,
        },
    };

    fn topic(name: &str) -> TopicName {
        TopicName::new(name).expect("valid")
    }

    async fn create(streams: &DurableStreams, name: &str, definition: &StreamDefinition) {
        let metadata = Some(MetadataChange { from: None, to: Some(definition.metadata()) });
        let change = TopicChange { metadata, ..TopicChange::default() };
        streams.hub.configure(topic(name), change).await.expect("configured");
        streams.registry.insert(&topic(name), definition);
    }

    fn streams() -> DurableStreams {
        let (app, _) = testing::app();
        DurableStreams::new(Arc::clone(&app.hub), Duration::ZERO)
    }

    fn is_there(streams: &DurableStreams, name: &str) -> bool {
        streams.hub.topic(&topic(name)).is_some()
    }

    #[tokio::test]
    async fn a_topic_that_has_the_name_of_an_expired_stream_stays() {
        let streams = streams();
        let expired = StreamDefinition { lifetime: Some(Lifetime::Ttl(0)), ..StreamDefinition::new("text/plain") };
        create(&streams, "a", &expired).await;
        create(&streams, "b", &expired).await;
        streams.hub.delete(topic("a")).await.expect("deleted");
        let events = vec![NewEvent::new(topic("a"), "another one")];
        streams.hub.publish(Append { events, expect: None, key: None }).await.expect("published");
        assert!(matches!(streams.find(&topic("a")), FoundStream::Open(_)));
        assert!(matches!(streams.find(&topic("b")), FoundStream::Missing));
        for name in streams.registry.expired(now()) {
            expire(&streams, &name).await.expect("writable");
        }
        assert!(is_there(&streams, "a") && !is_there(&streams, "b"));
        assert!(streams.registry.expired(now()).is_empty());
    }

    #[tokio::test]
    async fn a_deleted_source_goes_when_its_last_fork_was_deleted_as_a_topic() {
        let streams = streams();
        let fork = ForkOrigin {
            source: "source".to_owned(),
            through: 0,
            asked: None,
            sub_offset: 0,
            inherits_type: true,
            inherits_lifetime: true,
        };
        create(&streams, "source", &StreamDefinition::new("text/plain")).await;
        create(&streams, "fork", &StreamDefinition { fork: Some(fork), ..StreamDefinition::new("text/plain") }).await;
        let FoundStream::Open(source) = streams.find(&topic("source")) else { panic!("it is there") };
        remove(&streams, source).await.expect("writable");
        assert!(matches!(streams.find(&topic("source")), FoundStream::Deleted(_)));
        // After a restart it is known from the topics' metadata.
        let streams = DurableStreams::new(Arc::clone(&streams.hub), Duration::ZERO);
        streams.load().await.expect("readable");
        collect(&streams, &topic("source")).await.expect("writable");
        assert!(is_there(&streams, "source"), "a fork lives");
        streams.hub.delete(topic("fork")).await.expect("deleted");
        assert_eq!(streams.registry.deleted(), [topic("source")]);
        collect(&streams, &topic("source")).await.expect("writable");
        assert!(!is_there(&streams, "source"));
        assert!(streams.registry.deleted().is_empty());
    }
}
