//! What was sent, and its outcome as far as its publisher knows.

use parking_lot::Mutex;

/// An event as its publisher sent it. Its data is unique.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sent {
    pub(crate) topic: String,
    pub(crate) data: String,
}

/// One publish, and the ids of its events when it was acknowledged.
#[derive(Debug)]
pub(crate) struct Entry {
    /// Several are one batch: all or nothing.
    pub(crate) events: Vec<Sent>,
    /// `None`: unknown.
    pub(crate) ids: Option<Vec<String>>,
}

/// Every publish of a run. Bounded by its length.
#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<Vec<Entry>>);

impl Ledger {
    pub(crate) fn acknowledged(&self, events: Vec<Sent>, ids: Vec<String>) {
        assert_eq!(events.len(), ids.len(), "an id for each event");
        self.0.lock().push(Entry { events, ids: Some(ids) });
    }

    /// The connection broke before there was a receipt.
    pub(crate) fn unknown(&self, events: Vec<Sent>) {
        self.0.lock().push(Entry { events, ids: None });
    }

    /// Looks at all of it.
    pub(crate) fn read(&self, look: impl FnOnce(&[Entry])) {
        look(&self.0.lock());
    }
}

/// The position in an id's text.
pub(crate) fn seq(id: &str) -> u64 {
    id.split_once('-').and_then(|(_, seq)| seq.parse().ok()).unwrap_or_else(|| panic!("no id: {id:?}"))
}

/// The prefix of every event's data.
pub(crate) fn topic_of(data: &str) -> &str {
    data.split_once('|').unwrap_or_else(|| panic!("nobody published this: {data:.80}")).0
}
