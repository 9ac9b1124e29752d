//! What another hub has written, for this hub's reads.

use super::super::{
    nats::Stored,
    wire::{EventRecord, SettingsRecord, SubjectPlace, TombstoneRecord, WireError},
};
use super::shared::StoreCore;
use crate::{engine::log::store::TopicRecord, event::Seq};

impl StoreCore {
    /// Takes in the next message of the stream. One that cannot be understood is left out: the caller, which decodes it as
    /// well, tells of it.
    pub(super) fn saw(&self, message: &Stored) {
        if let Err(error) = self.take_in(message) {
            tracing::debug!(seq = message.seq, %error, "a message of the stream is no record");
        }
        let expires = self.subjects.parse(&message.subject).is_some_and(|place| place.expires());
        self.reach(message.seq, if expires { 0 } else { message.seq });
    }

    fn take_in(&self, message: &Stored) -> Result<(), WireError> {
        let (headers, seq) = (&message.headers, Seq(message.seq));
        match self.subjects.parse(&message.subject) {
            Some(SubjectPlace::Event(topic)) => {
                let record = EventRecord::decode(topic, seq, headers, message.payload.clone())?;
                self.ring.lock().push(record.key, record.stored);
            }
            Some(SubjectPlace::Settings(topic)) => {
                let SettingsRecord { settings, key, tail, state } = SettingsRecord::decode(headers)?;
                self.settings_are_stored(&TopicRecord { name: topic, key, tail, snapshot: state, settings });
            }
            Some(SubjectPlace::Tombstone(topic, of)) => {
                self.tombstone_is_stored(&topic, of, TombstoneRecord::decode(headers)?);
            }
            Some(place @ (SubjectPlace::Import | SubjectPlace::OldIds(..))) => {
                self.import_is_stored(&place, message)?;
            }
            Some(
                SubjectPlace::Keys(_)
                | SubjectPlace::Leader
                | SubjectPlace::Epoch
                | SubjectPlace::Clock
                | SubjectPlace::Proof,
            )
            | None => {}
        }
        Ok(())
    }
}
