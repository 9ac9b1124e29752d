//! The rules of reading.

use std::collections::HashMap;

use super::{Known, Rule, Verdict};
use crate::history::{Fate, Finish, History, Item, ReaderLog, TopicIndex};

/// What a reader was sent of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Event(u64),
    Gap,
}

/// Lines of a reader's log that are written around a violation.
const AROUND: usize = 8;

/// Checks one reader.
pub(super) fn check(history: &History, reader: &ReaderLog, known: &Known, verdict: &mut Verdict) {
    let (mut last, mut began) = (0, None);
    let mut steps: HashMap<TopicIndex, Vec<Step>> = HashMap::new();
    let mut ended: HashMap<TopicIndex, u64> = HashMap::new();
    for (at, item) in reader.items.iter().enumerate() {
        match item {
            Item::Cursor(id) => {
                began.get_or_insert(id.seq.0);
                if id.seq.0 < last {
                    verdict.broken(Rule::Rising, format!("{}: {item} after {last}", reader.name));
                }
                last = last.max(id.seq.0);
            }
            Item::Event { id, number } => {
                let (seq, topic) = (id.seq.0, history.sent[*number].topic);
                if seq <= last {
                    let trace = trace(reader, at);
                    verdict.broken(Rule::Rising, format!("{}: {item} after {last}\n{trace}", reader.name));
                }
                last = last.max(seq);
                if !reader.wants.contains(&topic) {
                    verdict.broken(Rule::Sent, format!("{}: {item} of a topic that it did not ask for", reader.name));
                }
                if let Some(end) = ended.get(&topic) {
                    verdict.broken(Rule::End, format!("{}: {item} after the topic's end at {end}", reader.name));
                }
                steps.entry(topic).or_default().push(Step::Event(seq));
            }
            Item::Gap { topic, reason } => match topic {
                Some(topic) if reason == "trimmed" && !history.topics[*topic].is_kept() => {
                    steps.entry(*topic).or_default().push(Step::Gap);
                }
                _ => {
                    let trace = trace(reader, at);
                    verdict.broken(Rule::Gap, format!("{}: {item} after {last}\n{trace}", reader.name));
                }
            },
            Item::End { topic, deleted: false, last: Some(end) } => {
                ended.insert(*topic, end.seq.0);
                if last < end.seq.0 && !steps.get(topic).is_some_and(|steps| steps.last() == Some(&Step::Gap)) {
                    verdict.broken(Rule::End, format!("{}: {item} at {last}", reader.name));
                }
            }
            Item::Connected { .. } | Item::End { .. } => {}
            Item::Foreign { .. } => verdict.broken(Rule::Sent, format!("{}: {item}", reader.name)),
            Item::Odd(_) => verdict.broken(Rule::Odd, format!("{}: {item}", reader.name)),
        }
    }
    if let Finish::Late(state) = &reader.finish {
        let trace = trace(reader, reader.items.len());
        verdict.broken(Rule::Finished, format!("{}: {state}\n{trace}", reader.name));
    }
    let began = if reader.from_now { began.unwrap_or(u64::MAX) } else { 0 };
    let through = if reader.finish == Finish::All { u64::MAX } else { last };
    for topic in &reader.wants {
        let facts = &history.topics[*topic];
        let wanted = known.topic(*topic).map(|(seq, _)| seq).filter(|seq| *seq > began && *seq <= through);
        let steps = steps.get(topic).map_or(&[][..], |steps| steps);
        let late = !reader.from_now && facts.fate != Fate::Kept;
        let missing = missing(steps, wanted, late);
        if let Some(first) = missing.first() {
            let detail = format!(
                "{} was not sent {} events of {}, and was not told: {missing:?}\n{}",
                reader.name,
                missing.len(),
                facts.name,
                trace(reader, place(reader, *first))
            );
            verdict.broken(Rule::Missing, detail);
        }
    }
}

/// Those of `wanted` that `steps` neither has nor tells by a gap in their place. With `late`, what stands before the first
/// event was removed before the reader came.
fn missing(steps: &[Step], wanted: impl Iterator<Item = u64>, late: bool) -> Vec<u64> {
    let mut steps = steps.iter().peekable();
    let mut told = late;
    let mut missing = Vec::new();
    for seq in wanted {
        loop {
            match steps.peek() {
                Some(Step::Gap) => told = true,
                // Out of order, or unknown to all others: reported by another rule.
                Some(Step::Event(other)) if *other < seq => {}
                _ => break,
            }
            steps.next();
        }
        if steps.next_if(|step| **step == Step::Event(seq)).is_some() {
            told = false;
        } else if !told {
            missing.push(seq);
        }
    }
    missing
}

/// Where an event with this sequence number should have come.
fn place(reader: &ReaderLog, seq: u64) -> usize {
    let later = |item: &Item| matches!(item, Item::Event { id, .. } if id.seq.0 > seq);
    reader.items.iter().position(later).unwrap_or(reader.items.len())
}

/// What the reader was sent before and after `at`, with the last connection.
fn trace(reader: &ReaderLog, at: usize) -> String {
    let from = at.saturating_sub(AROUND);
    let connected = |item: &&Item| matches!(item, Item::Connected { .. });
    let connection = reader.items[..from].iter().rev().find(connected);
    let near = reader.items[from..reader.items.len().min(at + AROUND)].iter();
    let lines: Vec<String> = connection.into_iter().chain(near).map(|item| format!("      {item}")).collect();
    lines.join("\n")
}
