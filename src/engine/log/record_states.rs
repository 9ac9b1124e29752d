//! Recording what was trimmed: the ends of emptied topics, and the marks of others where the store keeps states.

use std::sync::Arc;

use super::{
    slot::Flag,
    store::{Store, TopicKey, TopicRecord},
    writer::LogWriter,
};

impl<S: Store> LogWriter<S> {
    /// Durably records the newest positions of emptied topics, so that the store may reclaim their last events; and the
    /// marks of others, where the store keeps states. What fails, as when the disk is full or NATS elects a leader, stays
    /// to be recorded: the retention thread asks again later.
    pub(super) fn record_states(&mut self, topics: &[TopicKey]) {
        let shared = Arc::clone(&self.shared);
        let record = |key: &TopicKey| {
            let name = shared.catalog.table.read().by_key(*key).map(|slot| slot.name.clone());
            let Some(name) = name else {
                shared.trimmed.lock().remove(key); // deleted meanwhile
                return None;
            };
            let mut record = shared.record(&name);
            let is_emptied = record.snapshot.events == 0;
            // The retention thread may have asked again before this was done.
            let is_due = is_emptied && record.settings.emptied_through.is_none();
            if is_emptied {
                record.settings.emptied_through = Some(record.tail);
            }
            (is_due || shared.trimmed.lock().contains(key)).then_some(record)
        };
        let records: Vec<TopicRecord> = topics.iter().filter_map(record).collect();
        if records.is_empty() {
            return;
        }
        if let Err(error) = shared.store.save_settings(&records) {
            let error = self.failed(error);
            tracing::debug!(%error, "the marks of trimmed topics are not recorded now");
            return;
        }
        let mut table = shared.catalog.table.write();
        for record in &records {
            shared.mark_recorded(&table, record.key, record.snapshot.mark);
            if record.settings.emptied_through.is_some() {
                table.update(&record.name, |slot| slot.set(Flag::EndRecorded, true));
            }
        }
    }
}
