//! The table as a store's stored events and settings make it.

use std::collections::HashMap;

use super::{
    core::lost_through,
    slot::{Flag, Slot},
    store::{Recovered, TopicSettings, TopicSummary},
    table::Table,
};
use crate::event::{Millis, Seq, TopicName, retention::Rules};

/// Builds the table of what was recovered; `mark` is that of a deleted topic.
pub(super) fn table(recovered: &Recovered, rules: Rules, mark: impl Fn(&TopicName) -> Option<Seq>) -> Table {
    let lost = lost_through(&recovered.lost);
    let mut table = Table::new(rules);
    let mut settings: HashMap<&TopicName, &TopicSettings> =
        recovered.settings.iter().map(|(name, settings)| (name, settings)).collect();
    for summary in &recovered.topics {
        // The store may still hold events of a deleted topic. Asked only where it can be so: there are many topics.
        if summary.last <= recovered.newest_mark && mark(&summary.name) >= Some(summary.last) {
            continue;
        }
        let mut slot = from_events(summary, lost, table.rule_number(&summary.name));
        let own = settings.remove(&summary.name);
        if let Some(own) = own {
            under_settings(&mut slot, own, summary.last);
        }
        table.insert(slot);
        if let Some(own) = own.filter(|own| own.exists) {
            table.set_own(&summary.name, own.clone());
        }
    }
    for (name, own) in settings {
        if own.exists || own.emptied_through.is_some() {
            let tail = own.emptied_through.max(own.deleted_through).unwrap_or_default().max(lost);
            let mut slot = Slot::new(name.clone(), tail, table.rule_number(name));
            under_settings(&mut slot, own, Seq::ZERO);
            table.insert(slot);
            table.set_own(name, own.clone());
        }
    }
    table.head = recovered.head.max(lost);
    table
}

fn from_events(summary: &TopicSummary, lost: Seq, rule: u16) -> Slot {
    // Events between the last stored one and the end of a lost range may be gone: readers there must be told.
    let mut slot = Slot::new(summary.name.clone(), summary.last.max(lost), rule);
    slot.key = summary.key;
    slot.mark = summary.first_prev;
    slot.keep(summary.first, summary.first_time, summary.events, summary.bytes);
    slot.set(Flag::Used, true);
    slot.set(Flag::Closed, summary.last_closes);
    slot
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
