//! The catalog: look-ups in the topic table. It holds no store, so no look-up can wait for the disk.

use super::{
    clock::{LogClock, Now},
    slot::Slot,
    startup_trim::StartupTrim,
    table::TopicTable,
};
use crate::{
    engine::{Catalog, TopicFacts},
    event::{Retention, Seq, TopicName},
    sync::RwLock,
};

/// The topics in use, shared with the writer, the readers and the retention thread. None of them holds the table's lock
/// while it calls the store.
pub(in crate::engine) struct TopicCatalog {
    pub(super) table: RwLock<TopicTable>,
    pub(super) clock: LogClock,
    pub(super) startup_trim: StartupTrim,
}

impl TopicCatalog {
    /// Whether a topic has events that a reader must not see: past their maximum age, or trimmed before this start.
    pub(super) fn is_overdue(&self, slot: &Slot, limits: &Retention, now: &Now) -> bool {
        slot.expired(limits.max_age, now) || (!self.startup_trim.is_over() && slot.exceeds(limits, now))
    }
}

impl Catalog for TopicCatalog {
    fn topic(&self, name: &TopicName) -> Option<TopicFacts> {
        self.table.read().facts(name)
    }

    fn is_retained(&self, topic: &TopicName, seq: Seq) -> bool {
        let now = self.clock.now();
        self.table.read().is_retained(topic, seq, |slot, limits| self.is_overdue(slot, limits, &now))
    }
}
