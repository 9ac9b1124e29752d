//! Rebuilds the topic table from a store's events and settings.

use std::collections::HashSet;

use super::{
    shared::lost_through,
    slot::{Flag, Slot},
    store::{KeyRecord, Recovered, Store, TopicKey, TopicSettings, TopicSummary},
    table::TopicTable,
};
use crate::event::{Millis, Seq, TopicName, retention::Rules};

/// Builds the table from what `store` recovered, and returns it with the rest of the recovered state.
pub(super) fn recover<S: Store>(store: &S, rules: Rules) -> (TopicTable, Recovered) {
    let mut table = TopicTable::new(rules);
    let mut holes = Vec::new();
    let recovered = store.recovered(&mut |summary| holes.extend(add(&mut table, &summary)));
    drop_leftovers(&mut table, holes, &recovered.lost);
    // The store may still hold events of deleted topics. Looked up only where possible, because there may be many
    // topics.
    let is_dead = |slot: &&Slot| slot.tail <= recovered.newest_mark && store.mark(&slot.name) >= Some(slot.tail);
    let dead: Vec<TopicName> = table.slots().filter(is_dead).map(|slot| slot.name.clone()).collect();
    for name in &dead {
        table.remove(name);
    }
    let lost = lost_through(&recovered.lost);
    let mut ended = Vec::new();
    for (name, own) in &recovered.settings {
        let stored = table.get(name).map(|slot| slot.tail);
        let empty = stored.is_none() && own.emptied_through.is_some();
        if stored.is_none() && !empty && !own.exists {
            continue;
        }
        // The topic's last position when it was closed: known even if the store has lost all of its events.
        let closed_at = own.closed.map(|(_, at)| at).filter(|at| *at > own.deleted_through.unwrap_or_default());
        if stored.is_none() {
            let tail = own.emptied_through.max(own.deleted_through).unwrap_or_default();
            table.insert(Slot::new(name.clone(), tail.max(lost), table.rule_number(name)));
        }
        table.update(name, |slot| {
            slot.tail = slot.tail.max(lost);
            // The topic had an event there, so readers get a gap before the end of the closed topic.
            let had = closed_at.is_some_and(|at| recovered.lost.iter().any(|range| range.0 <= at && at <= range.1));
            if stored.is_none() && had {
                slot.set(Flag::Used, true);
            }
            apply_settings(slot, own, stored.unwrap_or_default());
        });
        if own.exists || empty {
            table.set_own(name, own.clone());
        }
        // A closed topic gets no events, so that is its last position, whatever was lost after it.
        ended.extend(
            own.closed.filter(|&(closed, at)| closed && at >= stored.unwrap_or_default()).map(|end| (name, end.1)),
        );
    }
    // Events between the last stored one and the end of a lost range may be missing: readers there must get a gap.
    table.raise_tails(lost);
    for (name, end) in ended {
        table.update(name, |slot| {
            slot.tail = end;
            slot.mark = slot.mark.min(end);
        });
    }
    table.head = recovered.head.max(lost);
    (table, recovered)
}

/// The oldest timestamp of the retained events and keys; the largest possible one if there are none.
pub(super) fn oldest(table: &TopicTable, keys: &[KeyRecord]) -> Millis {
    let events = table.slots().filter(|slot| slot.first().is_some()).map(|slot| slot.first_time);
    events.chain(keys.iter().map(|record| record.time)).min().unwrap_or(Millis(u64::MAX))
}

/// A break in a topic's chain of stored events.
struct Hole {
    key: TopicKey,
    name: TopicName,
    /// The newest stored position below the hole.
    below: Seq,
    /// The newest missing position: the `prev` of `first`.
    above: Seq,
    /// The first event after the hole.
    first: Seq,
    first_time: Millis,
    /// Stored events below the hole, and the bytes of their data.
    events: u64,
    bytes: u64,
}

/// Adds a topic's summary from one part of the store. Returns the hole before it, if there is one.
fn add(table: &mut TopicTable, summary: &TopicSummary) -> Option<Hole> {
    let joined = table.update_by_key(summary.key, |slot| {
        let hole = (summary.first_prev > slot.tail).then(|| Hole {
            key: summary.key,
            name: slot.name.clone(),
            below: slot.tail,
            above: summary.first_prev,
            first: summary.first,
            first_time: summary.first_time,
            events: slot.events(),
            bytes: slot.bytes,
        });
        slot.extend(summary);
        hole
    });
    if let Some(hole) = joined {
        return hole;
    }
    match table.get(&summary.name).map(|slot| slot.key) {
        Some(key) if key > summary.key => return None,
        Some(_) => drop(table.remove(&summary.name)),
        None => {}
    }
    let mut slot = Slot::new(summary.name.clone(), summary.last, table.rule_number(&summary.name));
    slot.key = summary.key;
    slot.mark = summary.first_prev;
    slot.set_retained(summary.first, summary.first_time, summary.events, summary.bytes);
    slot.set(Flag::Used, true);
    slot.set(Flag::Closed, summary.last_closes);
    table.insert(slot);
    None
}

/// Drops events below a hole that is not due to damage: they were trimmed, like the missing events, and only their
/// space has not been reclaimed yet. Applies to everything below the newest such hole of a topic.
fn drop_leftovers(table: &mut TopicTable, holes: Vec<Hole>, lost: &[(Seq, Seq)]) {
    let mut done = HashSet::new();
    for hole in holes.into_iter().rev() {
        let damage = lost.iter().any(|&(first, last)| first <= hole.above && hole.below < last);
        if damage || table.by_key(hole.key).is_none() || !done.insert(hole.key) {
            continue;
        }
        table.update(&hole.name, |slot| {
            let (events, bytes) = (slot.events() - hole.events, slot.bytes - hole.bytes);
            slot.mark = hole.above;
            slot.set_retained(hole.first, hole.first_time, events, bytes);
        });
    }
}

/// Applies stored settings that were saved when the topic's newest position was at or after `last`: they are newer than
/// its events.
fn apply_settings(slot: &mut Slot, own: &TopicSettings, last: Seq) {
    if let Some(emptied) = own.emptied_through.filter(|&emptied| emptied >= last) {
        slot.tail = slot.tail.max(emptied);
        slot.mark = slot.tail;
        // The store may not have reclaimed their space yet.
        slot.set_retained(Seq::ZERO, Millis(0), 0, 0);
        slot.set(Flag::Used, true);
        slot.set(Flag::EndRecorded, true);
    }
    if let Some((closed, _)) = own.closed.filter(|&(_, at)| at >= last) {
        slot.set(Flag::Closed, closed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(key: u64, first: u64, last: u64) -> TopicSummary {
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
    fn summaries_of_a_topic_are_joined_and_the_later_of_two_incarnations_is_used() {
        let mut table = TopicTable::new(Rules::default());
        for summary in [part(2, 2, 3), part(5, 5, 6), part(1, 1, 1), part(5, 7, 9)] {
            assert!(add(&mut table, &summary).is_none(), "no hole");
        }
        let slot = table.by_key(TopicKey(5)).expect("in use");
        assert_eq!(
            (slot.first(), slot.mark, slot.tail, slot.events(), slot.bytes),
            (Some(Seq(5)), Seq(4), Seq(9), 5, 20)
        );
        assert!(slot.is(Flag::Closed) && table.by_key(TopicKey(2)).is_none());
        assert_eq!((table.len(), table.events, table.bytes), (1, 5, 20));
    }

    /// Space is reclaimed in no particular order: below reclaimed events, older ones may still be stored.
    #[test]
    fn events_left_below_trimmed_ones_are_trimmed_and_below_lost_ones_are_kept() {
        let kept = |lost: &[(Seq, Seq)]| {
            let mut table = TopicTable::new(Rules::default());
            let parts = [part(1, 1, 2), part(1, 5, 6), part(1, 9, 9)];
            let holes = parts.iter().filter_map(|summary| add(&mut table, summary)).collect();
            drop_leftovers(&mut table, holes, lost);
            let slot = table.by_key(TopicKey(1)).expect("in use");
            (slot.first().expect("kept").0, slot.mark.0, slot.events(), slot.bytes)
        };
        assert_eq!(kept(&[]), (9, 8, 1, 10));
        assert_eq!(kept(&[(Seq(7), Seq(8))]), (5, 4, 3, 20));
        assert_eq!(kept(&[(Seq(3), Seq(8))]), (1, 0, 5, 30));
    }
}
