//! The rules of the log at the end.

use std::collections::HashMap;

use gapless::event::EventId;

use super::{Known, Rule, Verdict};
use crate::history::{Fate, History, HubLog, Item, Number, TopicIndex};

/// Checks the log that each hub returned.
pub(super) fn check(history: &History, known: &Known, verdict: &mut Verdict) {
    for log in &history.logs {
        order(history, log, verdict);
        acknowledged(history, log, known, verdict);
        figures(history, log, verdict);
    }
    for pair in history.logs.windows(2) {
        same(history, &pair[0], &pair[1], verdict);
    }
}

fn order(history: &History, log: &HubLog, verdict: &mut Verdict) {
    let mut last: Option<EventId> = None;
    for item in &log.items {
        match item {
            Item::Event { id, .. } => {
                if let Some(last) = last.filter(|last| last.seq >= id.seq) {
                    verdict.broken(Rule::Rising, format!("log of hub {}: {id} after {last}", log.hub));
                }
                last = Some(*id);
            }
            Item::Gap { topic, .. } if topic.is_some_and(|topic| !history.topics[topic].is_kept()) => {}
            Item::Gap { .. } => verdict.broken(Rule::Gap, format!("log of hub {}: {item}", log.hub)),
            Item::Foreign { .. } => verdict.broken(Rule::Sent, format!("log of hub {}: {item}", log.hub)),
            _ => verdict.broken(Rule::Odd, format!("log of hub {}: {item}", log.hub)),
        }
    }
}

/// What must be kept of what was acknowledged or delivered is there.
fn acknowledged(history: &History, log: &HubLog, known: &Known, verdict: &mut Verdict) {
    let there: HashMap<Number, EventId> = log.events().map(|(id, number)| (number, id)).collect();
    for (topic, facts) in history.topics.iter().enumerate() {
        let newest = match facts.fate {
            Fate::Kept => usize::MAX,
            Fate::Trimmed(newest) => newest,
            Fate::Deleted => continue,
        };
        let lost = known.topic(topic).rev().take(newest).filter(|(_, number)| !there.contains_key(number));
        let lost: Vec<(u64, Number)> = lost.collect();
        if !lost.is_empty() {
            let detail = format!(
                "hub {} has lost {} events of {} that were acknowledged or delivered: (seq, event) {:?}",
                log.hub,
                lost.len(),
                facts.name,
                &lost[..lost.len().min(10)]
            );
            verdict.broken(Rule::Acknowledged, detail);
        }
    }
    // An acknowledged event of another epoch than the log's is no event of its topic any more.
    for (at, publish) in history.publishes.iter().enumerate().filter(|(_, publish)| publish.acknowledged.is_some()) {
        let lasting = |number: &&Number| history.topics[history.sent[**number].topic].is_kept();
        if let Some(number) = publish.events.iter().filter(lasting).find(|number| !there.contains_key(number)) {
            let detail = format!("hub {} has lost event {number} of publish {at}: {:?}", log.hub, publish.receipts);
            verdict.broken(Rule::Acknowledged, detail);
        }
    }
}

fn figures(history: &History, log: &HubLog, verdict: &mut Verdict) {
    let mut found: HashMap<TopicIndex, (EventId, u64)> = HashMap::new();
    for (id, number) in log.events() {
        let (last, count) = found.entry(history.sent[number].topic).or_insert((id, 0));
        *last = id;
        *count += 1;
    }
    for (topic, (last, count)) in &log.topics {
        let (name, found) = (&history.topics[*topic].name, found.get(topic));
        if *last != found.map(|(last, _)| *last) {
            let detail = format!("hub {}: {name} has last_id {last:?} and {found:?} in the log", log.hub);
            verdict.broken(Rule::Figures, detail);
        }
        if history.topics[*topic].is_kept() && *count != found.map_or(0, |(_, count)| *count) {
            let detail = format!("hub {}: {name} has {count} events and {found:?} in the log", log.hub);
            verdict.broken(Rule::Figures, detail);
        }
    }
}

/// Two hubs return the same events of topics that nobody trims.
fn same(history: &History, one: &HubLog, other: &HubLog, verdict: &mut Verdict) {
    let kept = |(_, number): &(EventId, Number)| history.topics[history.sent[*number].topic].is_kept();
    let (mut left, mut right) = (one.events().filter(kept), other.events().filter(kept));
    loop {
        match (left.next(), right.next()) {
            (None, None) => return,
            (a, b) if a == b => {}
            (a, b) => {
                let detail = format!("the logs of hubs {} and {} differ: {a:?} and {b:?}", one.hub, other.hub);
                return verdict.broken(Rule::SameLog, detail);
            }
        }
    }
}
