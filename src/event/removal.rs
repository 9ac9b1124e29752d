//! Removal of an event: the tombstone that replaces it, and the notice for clients that have received it already.
//!
//! Both have the name [`REMOVED`](super::record::REMOVED), which no publisher can send. A tombstone keeps the event's
//! position, time and place in its topic, and is stored without data: nothing of the published content is left. Its
//! data is generated when it is sent.

use std::sync::Arc;

use super::{Data, Epoch, Event, EventId, EventName, NewEvent, TopicName};

impl Event {
    /// The tombstone that replaces the event. Whether it closes its topic is kept, too.
    #[must_use]
    pub fn tombstone(&self) -> Self {
        let new = &self.new;
        let kept = NewEvent { close: new.close, of_run: new.of_run, ..NewEvent::new(new.topic.clone(), "") };
        let new = NewEvent { name: EventName::removed(), ..kept };
        Self { new, ..*self }
    }

    /// Whether it is a stored tombstone. A removal notice is not: it has data.
    #[must_use]
    pub fn is_tombstone(&self) -> bool {
        self.new.name.is_removed() && self.new.data.is_empty()
    }

    /// The event as it is sent to clients: a tombstone gets its data, any other event is unchanged.
    #[must_use]
    pub fn with_tombstone_data(self: Arc<Self>, epoch: Epoch) -> Arc<Self> {
        if !self.is_tombstone() {
            return self;
        }
        let data = removal_data(&self.new.topic, EventId { epoch, seq: self.seq });
        Arc::new(Self { new: NewEvent { data, ..self.new.clone() }, ..*self })
    }
}

impl NewEvent {
    /// The notice that tells the readers of `topic` that its event `id` was removed.
    #[must_use]
    pub fn notice(topic: TopicName, id: EventId) -> Self {
        let data = removal_data(&topic, id);
        Self { name: EventName::removed(), ..Self::new(topic, data) }
    }
}

/// `{"topic":…,"id":…}`. Written without a JSON library, which this floor does not depend on: a topic has no control
/// characters, so only a quote and a backslash need escaping, and an id needs none.
fn removal_data(topic: &TopicName, id: EventId) -> Data {
    let topic = topic.as_str().replace('\\', "\\\\").replace('"', "\\\"");
    Data::from(format!("{{\"topic\":\"{topic}\",\"id\":\"{id}\"}}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Millis, Seq, record::REMOVED};

    fn event(topic: &str) -> Event {
        let topic = TopicName::new(topic).expect("valid");
        let new = NewEvent {
            name: EventName::new("password").expect("valid"),
            retry: Some(7),
            close: true,
            ..NewEvent::new(topic, "secret")
        };
        Event { seq: Seq(9), time: Millis(5), new }
    }

    #[test]
    fn a_tombstone_keeps_the_place_and_nothing_of_what_was_published() {
        let tombstone = event("t").tombstone();
        let place = (tombstone.seq, tombstone.time, tombstone.new.close);
        assert_eq!(place, (Seq(9), Millis(5), true));
        assert!(tombstone.is_tombstone());
        let debug = format!("{tombstone:?}");
        assert!(!debug.contains("secret") && !debug.contains("password"), "{debug}");
        assert_eq!(tombstone.new.retry, None);
    }

    #[test]
    fn tombstone_and_notice_say_the_same_as_json() {
        let epoch = Epoch::new("abcd").expect("valid");
        for topic in ["a/b", r#"a"b\c"#, "größe"] {
            let shown = Arc::new(event(topic).tombstone()).with_tombstone_data(epoch);
            let notice = NewEvent::notice(shown.new.topic.clone(), EventId { epoch, seq: Seq(9) });
            assert_eq!((&notice.name, &notice.data), (&shown.new.name, &shown.new.data));
            let data: serde_json::Value = serde_json::from_str(&notice.data.text()).expect("JSON");
            assert_eq!(data, serde_json::json!({"topic": topic, "id": "abcd-9"}));
        }
    }

    #[test]
    fn nobody_can_publish_the_name_and_a_notice_is_no_tombstone() {
        assert!(EventName::new(REMOVED).is_err());
        let notice = NewEvent::notice(TopicName::new("t").expect("valid"), EventId::parse("abcd-9").expect("valid"));
        assert!(!Event { new: notice, ..event("t") }.is_tombstone());
    }
}
