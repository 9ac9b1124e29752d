//! What a store holds, for a copy of it into another log.

use super::{
    recovery,
    slot::Flag,
    store::{KeyRecord, Store, TopicRecord, TopicSettings},
};
use crate::event::{Epoch, Seq, TopicName, retention::Rules};

/// What a store holds, beside its events' data. No limit of a rule is applied.
#[derive(Debug)]
pub(in crate::engine) struct StoreContents {
    /// The epoch of its ids.
    pub(in crate::engine) epoch: Epoch,
    /// Its newest position.
    pub(in crate::engine) head: Seq,
    /// The topics in use, in no order.
    pub(in crate::engine) topics: Vec<TopicRecord>,
    /// The marks of deleted topics, those in use again included.
    pub(in crate::engine) deleted: Vec<(TopicName, Seq)>,
    /// Idempotency keys, in order of time.
    pub(in crate::engine) keys: Vec<KeyRecord>,
    /// The number of ranges in which events may have been lost.
    pub(in crate::engine) lost: usize,
}

/// Reads what `store` holds. It is the first and only call of [`Store::recovered`].
pub(in crate::engine) fn contents<S: Store>(store: &S) -> StoreContents {
    let (table, recovered) = recovery::recover(store, Rules::default());
    let topic = |slot: &super::slot::Slot| {
        let mut settings: TopicSettings = table.own(&slot.name).cloned().unwrap_or_default();
        let closed = slot.is(Flag::Closed);
        settings.closed = (closed || settings.closed.is_some()).then_some((closed, slot.tail));
        TopicRecord { name: slot.name.clone(), key: slot.key, tail: slot.tail, snapshot: slot.snapshot(), settings }
    };
    StoreContents {
        epoch: recovered.epoch,
        head: table.head,
        topics: table.slots().map(topic).collect(),
        deleted: store.marks("", Seq::ZERO),
        keys: recovered.keys,
        lost: recovered.lost.len(),
    }
}
