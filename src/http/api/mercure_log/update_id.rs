//! The ids of updates: `#<epoch>-<seq>`, or what their publishers have chosen. A publisher's id cannot begin with `#`, so
//! none looks like the hub's.

use std::fmt;

use super::update_note::UpdateNote;
use crate::{
    event::{EventId, Seq},
    http::api::cursor_text::CursorText,
    hub::frame::Frame,
};

/// The hub's own ids as cursors. Those of `/events`, without `#`, are read as well.
pub static UPDATE_IDS: CursorText = CursorText {
    parse: |text| EventId::parse(text.strip_prefix('#').unwrap_or(text)),
    write: |id, f| write!(f, "#{id}"),
};

/// The id of an update, as its readers are sent it.
#[derive(Debug, PartialEq, Eq)]
pub enum UpdateId<'n> {
    /// Its publisher's.
    Own(&'n str),
    /// The position of its last event, so that a reader that continues after it has passed them all.
    Position(EventId),
}

impl<'n> UpdateId<'n> {
    /// The id of the update that this event is of.
    #[must_use]
    pub fn of(frame: &'n Frame) -> Self {
        let note = UpdateNote::read(frame.event.new.metadata.as_ref());
        let following = note.as_ref().map_or(0, UpdateNote::following);
        match note.and_then(|note| note.id) {
            Some(id) => Self::Own(id),
            None => Self::Position(EventId { seq: Seq(frame.id.seq.0 + following), ..frame.id }),
        }
    }
}

impl fmt::Display for UpdateId<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(id) => f.write_str(id),
            Self::Position(id) => (UPDATE_IDS.write)(*id, f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::event::{Epoch, Event, Millis, NewEvent, TopicName};

    fn id(note: Option<&UpdateNote<'_>>) -> String {
        let metadata = note.map(|note| note.metadata().expect("short"));
        let new = NewEvent { metadata, ..NewEvent::new(TopicName::new("mercure/a").expect("valid"), "x") };
        let event = Arc::new(Event { seq: Seq(7), time: Millis(0), new });
        UpdateId::of(&Frame::new(Epoch::new("abcd").expect("valid"), event)).to_string()
    }

    #[test]
    fn an_update_has_the_id_of_its_last_event_or_its_publishers() {
        let topics = vec!["a", "b", "c"];
        assert_eq!(id(None), "#abcd-7");
        assert_eq!(id(Some(&UpdateNote { topics: topics.clone(), place: 0, id: None })), "#abcd-9");
        assert_eq!(id(Some(&UpdateNote { topics: topics.clone(), place: 2, id: None })), "#abcd-7");
        assert_eq!(id(Some(&UpdateNote { topics, place: 0, id: Some("mine") })), "mine");
    }

    #[test]
    fn the_hubs_ids_are_read_with_and_without_their_sign() {
        let want = EventId::parse("abcd-7");
        for text in ["#abcd-7", "abcd-7"] {
            assert_eq!((UPDATE_IDS.parse)(text), want, "{text}");
        }
        assert_eq!(UPDATE_IDS.text(want.expect("an id")), "#abcd-7");
        assert_eq!((UPDATE_IDS.parse)("##abcd-7"), None);
    }
}
