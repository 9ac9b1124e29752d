//! Every event that anybody saw, at its id.

use std::collections::{BTreeMap, HashMap};

use gapless::event::{Epoch, EventId, Seq};

use super::{Rule, Verdict};
use crate::history::{History, Item, Number, TopicIndex};

/// All events of the history's epoch that were acknowledged, delivered or returned at the end.
pub(super) struct Known {
    epoch: Option<Epoch>,
    by_number: HashMap<Number, EventId>,
    /// By topic, in the order of ids.
    by_topic: HashMap<TopicIndex, BTreeMap<u64, Number>>,
}

impl Known {
    /// Collects the events, and checks that ids and events belong together one to one.
    pub(super) fn of(history: &History, verdict: &mut Verdict) -> Self {
        let mut known = Self { epoch: None, by_number: HashMap::new(), by_topic: HashMap::new() };
        let mut by_id: HashMap<EventId, (Number, String)> = HashMap::new();
        // Logs first: they tell the epoch at the end.
        for log in &history.logs {
            known.add_all(history, &mut by_id, log.events(), &format!("log of hub {}", log.hub), verdict);
        }
        for (at, publish) in history.publishes.iter().enumerate() {
            for receipt in &publish.receipts {
                let events = receipt.iter().copied().zip(publish.events.iter().copied());
                known.add_all(history, &mut by_id, events, &format!("receipt of publish {at}"), verdict);
            }
        }
        for reader in &history.readers {
            known.add_all(history, &mut by_id, reader.events(), &reader.name, verdict);
            for item in &reader.items {
                if let Item::Cursor(id) | Item::End { last: Some(id), .. } = item
                    && known.epoch.is_some_and(|epoch| epoch != id.epoch)
                {
                    verdict.broken(Rule::OneEpoch, format!("{}: {item}", reader.name));
                }
            }
        }
        known
    }

    fn add_all(
        &mut self,
        history: &History,
        by_id: &mut HashMap<EventId, (Number, String)>,
        events: impl Iterator<Item = (EventId, Number)>,
        by: &str,
        verdict: &mut Verdict,
    ) {
        for (id, number) in events {
            let epoch = *self.epoch.get_or_insert(id.epoch);
            let (first, who) = by_id.entry(id).or_insert_with(|| (number, by.into()));
            if *first != number {
                let detail = format!("{id} is event {first} ({who}) and event {number} ({by})");
                verdict.broken(Rule::OneEventPerId, detail);
            }
            match self.by_number.insert(number, id) {
                Some(other) if other != id => {
                    let who = by_id.get(&other).map_or("?", |(_, who)| who);
                    verdict.broken(Rule::OneIdPerEvent, format!("event {number} is {other} ({who}) and {id} ({by})"));
                }
                _ => {}
            }
            if epoch == id.epoch {
                self.by_topic.entry(history.sent[number].topic).or_default().insert(id.seq.0, number);
            } else {
                verdict.broken(Rule::OneEpoch, format!("{by}: {id}, where the log is of {epoch}"));
            }
        }
    }

    pub(super) fn id_of(&self, number: Number) -> Option<EventId> {
        self.by_number.get(&number).copied()
    }

    /// Sequence numbers and numbers of a topic's events, in order.
    pub(super) fn topic(&self, topic: TopicIndex) -> impl DoubleEndedIterator<Item = (u64, Number)> {
        self.by_topic.get(&topic).into_iter().flatten().map(|(seq, number)| (*seq, *number))
    }

    /// The id of the event before `id` in its topic.
    pub(super) fn before(&self, topic: TopicIndex, id: EventId) -> Option<EventId> {
        let (seq, _) = self.by_topic.get(&topic)?.range(..id.seq.0).next_back()?;
        Some(EventId { epoch: id.epoch, seq: Seq(*seq) })
    }
}
