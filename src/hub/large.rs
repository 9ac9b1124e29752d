//! Deduplicates large events read from the log. Readers of different selections read the same event separately, and a
//! slow reader holds its copy for long; here all of them share one copy.

use std::{
    collections::HashMap,
    sync::{Arc, Weak},
};

use crate::{
    event::{Event, Seq},
    sync::Mutex,
};

/// Bytes of data from which an event is shared. Below that a page holds several events, and sharing costs more than it
/// saves.
const LARGE: usize = 64 << 10;

/// The large events that readers hold at present.
#[derive(Debug, Default)]
pub(super) struct LargeEvents(Mutex<HashMap<Seq, Weak<Event>>>);

impl LargeEvents {
    /// `event`, or an equal copy that another reader holds, also one of another epoch: an event does not have its epoch,
    /// and two that are equal are the same bytes.
    pub(super) fn share(&self, event: Arc<Event>) -> Arc<Event> {
        if event.new.data.len() < LARGE {
            return event;
        }
        let held = self.0.lock().get(&event.seq).and_then(Weak::upgrade);
        // Compared as a whole: the event may have been replaced by a tombstone since.
        if let Some(held) = held.filter(|held| *held == event) {
            return held;
        }
        self.0.lock().insert(event.seq, Arc::downgrade(&event));
        event
    }

    /// Drops entries of events that no reader holds. Call it about once a second.
    pub(super) fn sweep(&self) {
        let held = &mut *self.0.lock();
        held.retain(|_, event| event.strong_count() > 0);
        if held.is_empty() {
            *held = HashMap::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::{Data, Millis, NewEvent, TopicName};

    fn event(seq: u64, data: &str) -> Arc<Event> {
        let new = NewEvent::new(TopicName::new("t").expect("valid"), Data::from(data.to_owned()));
        Arc::new(Event { seq: Seq(seq), time: Millis(0), new })
    }

    #[test]
    fn an_event_that_two_read_is_held_once_and_forgotten_with_them() {
        let (large, text) = (LargeEvents::default(), "x".repeat(LARGE));
        let first = large.share(event(1, &text));
        assert!(Arc::ptr_eq(&first, &large.share(event(1, &text))));
        assert!(!Arc::ptr_eq(&first, &large.share(event(2, &text))));
        let changed = large.share(event(1, &"y".repeat(LARGE)));
        assert!(changed.new.data.text().starts_with('y'), "what is in the log counts");
        drop((first, changed));
        large.sweep();
        assert!(large.0.lock().is_empty());
        let small = large.share(event(3, "x"));
        assert!(large.0.lock().is_empty() && small.seq == Seq(3));
    }
}
