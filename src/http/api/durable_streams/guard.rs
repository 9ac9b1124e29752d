//! What publishers of other protocols may do to a stream, so that its readers find what it was created for.

use std::sync::Arc;

use super::{content_type::DataFormat, definition::StreamDefinition, present_state, state::DurableStreams};
use crate::{
    engine::TopicChange,
    event::{NewEvent, TopicName},
    http::{
        api::topic_guard::{BeforeRemoval, TopicGuard},
        message::problem::{Code, Problem},
    },
};

/// Keeps streams what they are.
#[derive(Debug)]
pub struct StreamGuard(pub Arc<DurableStreams>);

impl TopicGuard for StreamGuard {
    fn check_topic(&self, _topic: &TopicName) -> Result<(), Problem> {
        Ok(())
    }

    fn check_run(&self, topic: &TopicName) -> Result<(), Problem> {
        if self.takes_json(topic) {
            let detail = format!("the stream {topic} is of JSON, and the answer of a provider is text; name another");
            return Err(Problem::new(Code::ContentTypeMismatch, detail));
        }
        Ok(())
    }

    fn check_publish(&self, events: &[NewEvent]) -> Result<(), Problem> {
        let mut before: Option<(&TopicName, bool)> = None;
        for event in events {
            let takes_json = match before {
                Some((topic, takes_json)) if *topic == event.topic => takes_json,
                _ => self.takes_json(&event.topic),
            };
            before = Some((&event.topic, takes_json));
            if takes_json && serde_json::from_slice::<serde::de::IgnoredAny>(event.data.bytes()).is_err() {
                let detail = format!("the stream {} is of JSON, and the data is not", event.topic);
                return Err(Problem::new(Code::ContentTypeMismatch, detail));
            }
        }
        Ok(())
    }

    fn check_change(&self, topic: &TopicName, change: &TopicChange) -> Result<(), Problem> {
        let is_stream = || self.0.hub.topic(topic).is_some_and(|facts| facts.metadata.is_some());
        if change.closed == Some(false) && is_stream() {
            let detail = "a stream of Durable Streams stays closed; delete it, and create it again";
            return Err(Problem::new(Code::TopicClosed, detail));
        }
        Ok(())
    }

    fn before_removal<'a>(&'a self, topic: &'a TopicName) -> BeforeRemoval<'a> {
        Box::pin(async move { present_state::save(&self.0, topic).await.map_err(|refusal| refusal.problem) })
    }
}

impl StreamGuard {
    fn takes_json(&self, topic: &TopicName) -> bool {
        let metadata = self.0.hub.topic(topic).and_then(|facts| facts.metadata);
        metadata.is_some_and(|metadata| {
            DataFormat::of(&StreamDefinition::of(Some(&metadata)).content_type) == DataFormat::Json
        })
    }
}
