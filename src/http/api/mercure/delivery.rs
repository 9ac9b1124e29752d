//! Which updates a stream is sent: the selection of the log that its selectors and its grant amount to.

use std::{collections::HashSet, sync::Arc};

use super::selector::SelectorSet;
use crate::{
    access,
    event::{EventRule, Filter, NewEvent, Selection, SelectionRule, TopicName, topic::TopicError},
    http::api::mercure_log::{
        log_topic::{Audience, LoggedName, PRIVATE, PUBLIC, log_topic, name_of},
        update_note::UpdateNote,
    },
};

/// Decides by the selectors of a stream, and by what its token grants.
struct DeliveryRule {
    key: String,
    selectors: Arc<SelectorSet>,
    /// The topics whose private updates may be read.
    granted: Arc<SelectorSet>,
    /// The topics of the log that are selected by name.
    named: HashSet<TopicName>,
}

/// The selection of a stream: public updates of the topics that `selectors` select, and private ones of which one topic is
/// `granted`.
///
/// # Errors
/// When a selector is a text that no topic can be called.
pub fn selection(selectors: &Arc<SelectorSet>, granted: &Arc<SelectorSet>) -> Result<Selection, TopicError> {
    let audiences: &[Audience] =
        if granted.is_empty() { &[Audience::Public] } else { &[Audience::Public, Audience::Private] };
    let mut named = HashSet::new();
    for name in selectors.exact() {
        for audience in audiences {
            named.insert(log_topic(name, *audience)?);
        }
    }
    let mut filters: Vec<Filter> = named.iter().cloned().map(Filter::Topic).collect();
    if selectors.has_patterns() {
        let prefix = |audience: &Audience| match audience {
            Audience::Public => PUBLIC,
            Audience::Private => PRIVATE,
        };
        // The names are among these.
        filters = audiences
            .iter()
            .map(|audience| Filter::new(&format!("{}*", prefix(audience))))
            .collect::<Result<_, _>>()?;
    }
    let key = format!("mercure {} {}", selectors.key(), granted.key());
    // Of a bounded length: it is compared whenever a stream begins.
    let key = format!("mercure {}", access::hex(&access::sha256(key.as_bytes())));
    let rule = DeliveryRule { key, selectors: Arc::clone(selectors), granted: Arc::clone(granted), named };
    let selection = Selection::new(filters).ok_or(TopicError::Empty)?;
    Ok(selection.with_rule(SelectionRule::new(rule)))
}

impl EventRule for DeliveryRule {
    fn key(&self) -> &str {
        &self.key
    }

    fn admits_topic(&self, topic: &TopicName) -> bool {
        if self.named.contains(topic) {
            return true;
        }
        match Audience::of(topic).map(|(_, segment)| name_of(segment)) {
            Some(LoggedName::Text(name)) => self.selectors.matches(&name),
            // Its text is with each of its events.
            Some(LoggedName::Hashed) => self.selectors.has_patterns(),
            None => false,
        }
    }

    fn admits(&self, event: &NewEvent) -> bool {
        let Some((audience, segment)) = Audience::of(&event.topic) else { return false };
        let Some(note) = UpdateNote::read(event.metadata.as_ref()) else {
            let name = name_of(segment);
            let LoggedName::Text(name) = &name else { return self.named.contains(&event.topic) };
            return audience == Audience::Public || self.granted.matches(name);
        };
        let UpdateNote { topics, place, .. } = &note;
        // The event in the first topic that is selected is sent, and no other.
        let first = !topics[..*place].iter().any(|name| self.selectors.matches(name));
        let selected = || self.named.contains(&event.topic) || self.selectors.matches(topics[*place]);
        let granted = || topics.iter().any(|name| self.granted.matches(name));
        first && selected() && (audience == Audience::Public || granted())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::api::mercure::selector::Selector;

    fn set(texts: &[&str]) -> SelectorSet {
        SelectorSet::new(texts.iter().map(|text| Selector::text_or_template(text)).collect())
    }

    fn stream(selectors: &[&str], granted: &[&str]) -> Selection {
        selection(&Arc::new(set(selectors)), &Arc::new(set(granted))).expect("valid")
    }

    /// The places of the events of an update that a stream is sent.
    fn sent(selection: &Selection, topics: &[&str], audience: Audience) -> Vec<usize> {
        let events = (0..topics.len()).map(|place| {
            let note = UpdateNote { topics: topics.to_vec(), place, id: None };
            let topic = log_topic(topics[place], audience).expect("valid");
            NewEvent { metadata: Some(note.metadata().expect("short")), ..NewEvent::new(topic, "x") }
        });
        let events: Vec<NewEvent> = events.collect();
        let sent = |place: &usize| selection.matches(&events[*place].topic) && selection.admits(&events[*place]);
        (0..topics.len()).filter(sent).collect()
    }

    #[test]
    fn an_update_of_several_topics_is_sent_once_whatever_is_selected() {
        let topics = ["a", "/b/1", "c"];
        for (selectors, want) in [
            (&["a"][..], vec![0]),
            (&["c", "/b/{x}"], vec![1]),
            (&["c"], vec![2]),
            (&["*"], vec![0]),
            (&["d", "/d/{x}"], vec![]),
        ] {
            assert_eq!(sent(&stream(selectors, &[]), &topics, Audience::Public), want, "{selectors:?}");
        }
    }

    #[test]
    fn a_private_update_needs_a_grant_for_any_of_its_topics() {
        let topics = ["a", "/b/1"];
        for (selectors, granted, want) in [
            (&["a"][..], &[][..], vec![]),
            (&["a"], &["x"], vec![]),
            (&["a"], &["a"], vec![0]),
            (&["a"], &["/b/{x}"], vec![0]),
            (&["/b/{x}"], &["a"], vec![1]),
            (&["c"], &["*"], vec![]),
        ] {
            assert_eq!(
                sent(&stream(selectors, granted), &topics, Audience::Private),
                want,
                "{selectors:?} {granted:?}"
            );
        }
    }

    #[test]
    fn a_long_name_is_selected_by_its_text() {
        let (long, other) = (format!("/b/{}", "x".repeat(300)), format!("/c/{}", "x".repeat(300)));
        for selectors in [&[&*long][..], &["/b/{x}"], &["*"]] {
            assert_eq!(sent(&stream(selectors, &[]), &[&long], Audience::Public), [0], "{selectors:?}");
        }
        assert_eq!(sent(&stream(&["/b/{x}", &long], &[]), &[&other], Audience::Public), [0; 0]);
    }

    #[test]
    fn an_event_without_a_note_is_one_of_its_topic() {
        let event = |audience| NewEvent::new(log_topic("/b/1", audience).expect("valid"), "x");
        let (public, private) = (event(Audience::Public), event(Audience::Private));
        let all = stream(&["/b/{x}"], &[]);
        assert!(all.matches(&public.topic) && all.admits(&public) && !all.matches(&private.topic));
        assert!(stream(&["/b/{x}"], &["/b/1"]).admits(&private) && !stream(&["/b/{x}"], &["/c"]).admits(&private));
        let native = TopicName::new("jobs/1").expect("valid");
        assert!(!stream(&["*"], &["*"]).matches(&native));
    }

    #[test]
    fn streams_that_are_sent_the_same_have_equal_selections() {
        assert_eq!(stream(&["a", "b"], &["x"]), stream(&["b", "a", "a"], &["x"]));
        assert_ne!(stream(&["a"], &["x"]), stream(&["a"], &["y"]));
        assert_ne!(stream(&["{a}"], &[]), stream(&["{b}"], &[]));
    }
}
