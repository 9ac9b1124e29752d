//! What nobody may do to topics of Mercure through other protocols: publish to them, because they have rules of their own.

use crate::{
    engine::TopicChange,
    event::{NewEvent, TopicName},
    http::{
        api::{mercure_log::log_topic::Audience, topic_guard::TopicGuard},
        message::problem::{Code, Problem},
    },
};

/// Keeps `mercure/…` and `mercure-private/…` for the protocol.
#[derive(Debug, Clone, Copy)]
pub struct MercureGuard;

impl TopicGuard for MercureGuard {
    fn check_topic(&self, topic: &TopicName) -> Result<(), Problem> {
        if Audience::of(topic).is_none() {
            return Ok(());
        }
        let detail = format!("'{topic}' is a topic of Mercure; publish to it at /.well-known/mercure");
        Err(Problem::new(Code::TopicInvalid, detail))
    }

    fn check_publish(&self, events: &[NewEvent]) -> Result<(), Problem> {
        events.iter().try_for_each(|event| self.check_topic(&event.topic))
    }

    fn check_change(&self, _topic: &TopicName, _change: &TopicChange) -> Result<(), Problem> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_topics_of_the_protocol_are_its_own() {
        let event = |topic: &str| NewEvent::new(TopicName::new(topic).expect("valid"), "x");
        assert!(MercureGuard.check_publish(&[event("a"), event("mercure"), event("mercure-x/a")]).is_ok());
        for topic in ["mercure/a", "mercure-private/a", "mercure/a/b"] {
            assert!(MercureGuard.check_publish(&[event("a"), event(topic)]).is_err(), "{topic}");
        }
    }
}
