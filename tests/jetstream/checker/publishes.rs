//! The rules of publishing.

use std::collections::HashMap;

use gapless::event::EventId;

use super::{Known, Rule, Verdict};
use crate::history::{Expect, History, Publish, TopicIndex};

/// Checks every publish, and how they relate.
pub(super) fn check(history: &History, known: &Known, verdict: &mut Verdict) {
    let mut granted: HashMap<(TopicIndex, Expect), usize> = HashMap::new();
    for (at, publish) in history.publishes.iter().enumerate() {
        receipts(at, publish, verdict);
        whole(history, at, publish, known, verdict);
        condition(history, at, publish, known, &mut granted, verdict);
        closed(history, at, publish, known, verdict);
    }
    nothing_after_the_closing_event(history, known, verdict);
    real_time(history, known, verdict);
}

fn receipts(at: usize, publish: &Publish, verdict: &mut Verdict) {
    for receipt in &publish.receipts {
        if *receipt != publish.receipts[0] {
            let detail =
                format!("publish {at} got {:?}, and then {receipt:?}: {:?}", publish.receipts[0], publish.attempts);
            verdict.broken(Rule::Receipts, detail);
        }
    }
}

/// A batch is whole or absent and keeps its order; a refused publish is absent.
fn whole(history: &History, at: usize, publish: &Publish, known: &Known, verdict: &mut Verdict) {
    let ids: Vec<Option<EventId>> = publish.events.iter().map(|number| known.id_of(*number)).collect();
    let there: Vec<EventId> = ids.iter().copied().flatten().collect();
    if publish.acknowledged.is_none() && !publish.unknown && !there.is_empty() {
        let detail = format!("publish {at} was refused, and {there:?} are there: {:?}", publish.attempts);
        verdict.broken(Rule::Refused, detail);
    }
    let lasting = publish.events.iter().all(|number| history.topics[history.sent[*number].topic].is_kept());
    if lasting && !there.is_empty() && there.len() < ids.len() {
        verdict.broken(Rule::Batch, format!("of publish {at} only {there:?} of {} are there", ids.len()));
    }
    if there.windows(2).any(|pair| pair[0].seq >= pair[1].seq) {
        verdict.broken(Rule::Batch, format!("publish {at} has changed its order: {there:?}"));
    }
}

/// A condition was true where its publish stands; one that was refused was not.
fn condition(
    history: &History,
    at: usize,
    publish: &Publish,
    known: &Known,
    granted: &mut HashMap<(TopicIndex, Expect), usize>,
    verdict: &mut Verdict,
) {
    let (Some(expect), Some(&first)) = (publish.expect, publish.events.first()) else { return };
    let topic = history.sent[first].topic;
    if !history.topics[topic].is_kept() {
        return; // the event before it may be gone
    }
    for last in &publish.refusals {
        let newer = match (expect, last) {
            (Expect::Nothing, last) => last.is_some(),
            (Expect::Last(premise), Some(last)) => last.seq > premise.seq,
            (Expect::Last(_), None) => false,
        };
        if !newer {
            verdict.broken(Rule::Refusal, format!("publish {at} expected {expect:?}, and the last id was {last:?}"));
        }
    }
    let Some(id) = known.id_of(first) else { return };
    let before = known.before(topic, id);
    let premise = match expect {
        Expect::Nothing => None,
        Expect::Last(premise) => Some(premise),
    };
    if before != premise {
        let name = &history.topics[topic].name;
        let detail = format!("publish {at} to {name} is {id} on {expect:?}, and before it is {before:?}");
        verdict.broken(Rule::Premise, detail);
    }
    if let Some(other) = granted.insert((topic, expect), at) {
        verdict.broken(Rule::PremiseOnce, format!("publishes {other} and {at} both follow {expect:?}"));
    }
}

/// Nothing is accepted by a topic once its closing was acknowledged.
fn closed(history: &History, at: usize, publish: &Publish, known: &Known, verdict: &mut Verdict) {
    for number in &publish.events {
        let topic = &history.topics[history.sent[*number].topic];
        if topic.closed_at.is_some_and(|closed| publish.began > closed)
            && let Some(id) = known.id_of(*number)
        {
            let detail = format!("publish {at} is {id} of {}, which was closed before it began", topic.name);
            verdict.broken(Rule::Closed, detail);
        }
    }
}

fn nothing_after_the_closing_event(history: &History, known: &Known, verdict: &mut Verdict) {
    for (topic, facts) in history.topics.iter().enumerate() {
        let mut closing = None;
        for (seq, number) in known.topic(topic) {
            if let Some(closing) = closing {
                verdict.broken(Rule::Closed, format!("{}: {seq} after {closing}, which closed it", facts.name));
            }
            if history.sent[number].close {
                closing = Some(seq);
            }
        }
    }
}

/// Whoever publishes after a receipt comes after that event.
fn real_time(history: &History, known: &Known, verdict: &mut Verdict) {
    let mut receipts: Vec<(u64, EventId, usize)> = Vec::new();
    let mut begins: Vec<(u64, EventId, usize)> = Vec::new();
    for (at, publish) in history.publishes.iter().enumerate() {
        if let (Some(time), Some(last)) = (publish.acknowledged, publish.receipts.first().and_then(|ids| ids.last())) {
            receipts.push((time, *last, at));
        }
        let first = publish.events.iter().find_map(|number| known.id_of(*number));
        begins.extend(first.map(|id| (publish.began, id, at)));
    }
    receipts.sort_unstable_by_key(|(time, ..)| *time);
    begins.sort_unstable_by_key(|(time, ..)| *time);
    let mut receipts = receipts.into_iter().peekable();
    let mut newest: Option<(EventId, usize)> = None;
    for (began, id, at) in begins {
        while let Some((_, acknowledged, by)) = receipts.next_if(|(time, ..)| *time < began) {
            if newest.is_none_or(|(newest, _)| acknowledged.seq > newest.seq) {
                newest = Some((acknowledged, by));
            }
        }
        if let Some((newest, by)) = newest
            && newest.epoch == id.epoch
            && newest.seq > id.seq
        {
            let detail = format!("publish {at} is {id}, and began after {newest} of publish {by} was acknowledged");
            verdict.broken(Rule::RealTime, detail);
        }
    }
}
