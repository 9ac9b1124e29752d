//! A JSON array of events: one commit, whose events are parsed one by one.

use std::{collections::HashSet, fmt};

use serde::{
    Deserializer as _,
    de::{Error as _, SeqAccess, Visitor},
};
use serde_json::value::RawValue;

use super::json;
use crate::{
    event::NewEvent,
    http::message::problem::{Code, Problem},
    hub::publisher::MAX_EVENTS,
};

/// The events of an array, of which `item` parses each. The first bad one ends it.
///
/// # Errors
/// What is wrong, and with which item; or that there is none, or are too many.
pub(super) fn parse(text: &str, item: impl FnMut(&str) -> Result<NewEvent, Problem>) -> Result<Vec<NewEvent>, Problem> {
    let mut found = None;
    let mut json = serde_json::Deserializer::from_str(text);
    let events = json
        .deserialize_seq(Batch { item, problem: &mut found })
        .and_then(|events| json.end().map(|()| events))
        .map_err(|error| found.unwrap_or_else(|| json::malformed(&error)))?;
    if events.is_empty() {
        return Err(Problem::new(Code::BodyInvalid, "the batch is empty; send at least one event"));
    }
    Ok(events)
}

/// Closes each topic of a batch with its last event there.
pub(super) fn close_last(events: &mut [NewEvent]) {
    let mut seen = HashSet::new();
    for event in events.iter_mut().rev() {
        if seen.insert(event.topic.clone()) {
            event.close = true;
        }
    }
}

struct Batch<'a, F> {
    item: F,
    /// The problem of a bad item; a serde error could carry only its text.
    problem: &'a mut Option<Problem>,
}

impl<'de, F: FnMut(&str) -> Result<NewEvent, Problem>> Visitor<'de> for Batch<'_, F> {
    type Value = Vec<NewEvent>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of events")
    }

    fn visit_seq<A: SeqAccess<'de>>(mut self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut events = Vec::new();
        while let Some(item) = array.next_element::<&RawValue>()? {
            let event = if events.len() < MAX_EVENTS {
                (self.item)(item.get()).map_err(|problem| problem.at(format!("[{}]", events.len())))
            } else {
                let detail = format!("the batch has more than {MAX_EVENTS} events; split it");
                Err(Problem::new(Code::TooLarge, detail))
            };
            events.push(event.map_err(|problem| {
                *self.problem = Some(problem);
                A::Error::custom("refused")
            })?);
        }
        Ok(events)
    }
}
