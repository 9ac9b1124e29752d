//! The table as a store's stored events and settings make it.

use super::{
    core::lost_through,
    slot::{Flag, Slot},
    store::{Recovered, Store, TopicSettings, TopicSummary},
    table::Table,
};
use crate::event::{Millis, Seq, TopicName, retention::Rules};

/// Builds the table of what `store` kept. Answers with the rest of what it found, too.
pub(super) fn recover<S: Store>(store: &S, rules: Rules) -> (Table, Recovered) {
    let mut table = Table::new(rules);
    let recovered = store.recovered(&mut |summary| add(&mut table, &summary));
    // The store may still hold events of a deleted topic. Asked only where it can be so: there are many topics.
    let is_dead = |slot: &&Slot| slot.tail <= recovered.newest_mark && store.mark(&slot.name) >= Some(slot.tail);
    let dead: Vec<TopicName> = table.slots().filter(is_dead).map(|slot| slot.name.clone()).collect();
    for name in &dead {
        table.remove(name);
    }
    let lost = lost_through(&recovered.lost);
    for (name, own) in &recovered.settings {
        let stored = table.get(name).map(|slot| slot.tail);
        let empty = stored.is_none() && own.emptied_through.is_some();
        if stored.is_none() && !empty && !own.exists {
            continue;
        }
        if stored.is_none() {
            let tail = own.emptied_through.max(own.deleted_through).unwrap_or_default();
            table.insert(Slot::new(name.clone(), tail.max(lost), table.rule_number(name)));
        }
        table.update(name, |slot| {
            slot.tail = slot.tail.max(lost);
            under_settings(slot, own, stored.unwrap_or_default());
        });
        if own.exists || empty {
            table.set_own(name, own.clone());
        }
    }
    // Events between the last stored one and the end of a lost range may be gone: readers there must be told.
    table.raise_tails(lost);
    table.head = recovered.head.max(lost);
    (table, recovered)
}

/// Adds what one place of the store holds of a topic.
fn add(table: &mut Table, summary: &TopicSummary) {
    match table.get(&summary.name).map(|slot| slot.key) {
        Some(key) if key > summary.key => return,
        Some(key) if key == summary.key => {
            table.update(&summary.name, |slot| slot.join(summary));
            return;
        }
        Some(_) => drop(table.remove(&summary.name)),
        None => {}
    }
    let mut slot = Slot::new(summary.name.clone(), summary.last, table.rule_number(&summary.name));
    slot.key = summary.key;
    slot.mark = summary.first_prev;
    slot.keep(summary.first, summary.first_time, summary.events, summary.bytes);
    slot.set(Flag::Used, true);
    slot.set(Flag::Closed, summary.last_closes);
    table.insert(slot);
}

/// Settings that were saved when the topic's newest position was at or after `last` overrule its events.
fn under_settings(slot: &mut Slot, own: &TopicSettings, last: Seq) {
    if let Some(emptied) = own.emptied_through.filter(|&emptied| emptied >= last) {
        slot.tail = slot.tail.max(emptied);
        slot.mark = slot.tail;
        // The store may not have taken back their space yet.
        slot.keep(Seq::ZERO, Millis(0), 0, 0);
        slot.set(Flag::Used, true);
        slot.set(Flag::Remembered, true);
    }
    if let Some((closed, _)) = own.closed.filter(|&(_, at)| at >= last) {
        slot.set(Flag::Closed, closed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::log::store::TopicKey;

    fn piece(key: u64, first: u64, last: u64) -> TopicSummary {
        TopicSummary {
            key: TopicKey(key),
            name: TopicName::new("a").expect("valid"),
            first: Seq(first),
            first_prev: Seq(first - 1),
            first_time: Millis(first),
            last: Seq(last),
            last_closes: last == 9,
            events: last - first + 1,
            bytes: 10,
        }
    }

    #[test]
    fn pieces_of_a_topic_become_one_and_of_two_incarnations_the_later_counts() {
        let mut table = Table::new(Rules::default());
        for summary in [piece(2, 2, 3), piece(5, 5, 6), piece(1, 1, 1), piece(5, 8, 9)] {
            add(&mut table, &summary);
        }
        let slot = table.by_key(TopicKey(5)).expect("in use");
        assert_eq!(
            (slot.first(), slot.mark, slot.tail, slot.events(), slot.bytes),
            (Some(Seq(5)), Seq(4), Seq(9), 4, 20)
        );
        assert!(slot.is(Flag::Closed) && table.by_key(TopicKey(2)).is_none());
        assert_eq!((table.len(), table.events, table.bytes), (1, 4, 20));
    }
}
