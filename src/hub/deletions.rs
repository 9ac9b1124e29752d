//! The deletion marks of the topics that a feed's selection names. A mark is the last position of a deleted topic: a
//! client with a cursor at or after it has received everything.
//!
//! The first stream of a feed looks the marks up in the engine, which may wait for the disk. From then on the feed
//! records them, so that its streams find them in memory.

use std::collections::BTreeMap;

use crate::{
    engine::Catalog,
    event::{Selection, Seq, TopicName},
    sync::Mutex,
};

/// The known marks. Bounded by the names in the selection.
#[derive(Debug, Default)]
pub(super) struct DeletionMarks(Mutex<BTreeMap<TopicName, Option<Seq>>>);

impl DeletionMarks {
    /// Whether it is known if `name` was deleted.
    pub(super) fn is_known(&self, name: &TopicName) -> bool {
        self.0.lock().contains_key(name)
    }

    /// The mark of `name`; `None` when it was never deleted, or that is not known.
    pub(super) fn get(&self, name: &TopicName) -> Option<Seq> {
        self.0.lock().get(name).copied().flatten()
    }

    /// Forgets all marks: they are of an epoch that is over.
    pub(super) fn clear(&self) {
        self.0.lock().clear();
    }

    /// Records the mark of `name`. A mark never falls, so of two the higher one is the newer.
    pub(super) fn record(&self, name: TopicName, mark: Option<Seq>) {
        let mut marks = self.0.lock();
        let known = marks.entry(name).or_default();
        *known = (*known).max(mark);
    }
}

/// The names of the selection that are not in use, when all others are closed. `None` when an event may follow without
/// the reuse of a name: a topic is open, or the selection has a pattern.
pub(super) fn reusable(selection: &Selection, catalog: &dyn Catalog) -> Option<Vec<TopicName>> {
    if selection.never_ends() {
        return None;
    }
    let mut unused = Vec::new();
    for name in selection.names() {
        match catalog.topic(name) {
            Some(facts) if facts.closed => {}
            Some(_) => return None,
            None => unused.push(name.clone()),
        }
    }
    Some(unused)
}

/// The lowest of `marks`; `None` when there is none, or when a name was never deleted.
pub(super) fn lowest(marks: impl IntoIterator<Item = Option<Seq>>) -> Option<Seq> {
    let marks: Option<Vec<Seq>> = marks.into_iter().collect();
    marks?.into_iter().min()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_newer_mark_replaces_an_older_one_and_never_the_reverse() {
        let (marks, name) = (DeletionMarks::default(), TopicName::new("a").expect("valid"));
        assert!(!marks.is_known(&name));
        for (mark, known) in [(None, None), (Some(5), Some(5)), (None, Some(5)), (Some(3), Some(5)), (Some(9), Some(9))]
        {
            marks.record(name.clone(), mark.map(Seq));
            assert_eq!((marks.is_known(&name), marks.get(&name)), (true, known.map(Seq)));
        }
    }

    #[test]
    fn the_lowest_mark_is_known_only_when_every_name_was_deleted() {
        assert_eq!(lowest([Some(Seq(4)), Some(Seq(2))]), Some(Seq(2)));
        assert_eq!(lowest([Some(Seq(4)), None]), None);
        assert_eq!(lowest([]), None);
    }
}
