//! Tests of forwarding.

mod codec;
mod log;
mod network;
mod rules;

use std::time::{Duration, Instant};

use super::{ForwardLimits, UndecidedUnit, Unit};
use crate::{
    engine::{Append, log::queue::AppendPast},
    event::{NewEvent, TopicName},
};

/// Bounds that are reached often.
const SMALL: ForwardLimits = ForwardLimits {
    message_bytes: 700,
    unit_bytes: 10_000,
    window_units: 8,
    window_bytes: 3000,
    window_messages: 2,
    wait: Duration::from_secs(10),
    repeat: Duration::from_mins(2),
    retry: Duration::from_millis(250),
    longest_retry: Duration::from_secs(2),
    sessions: 8,
    idle: Duration::from_mins(1),
};

/// A unit that was accepted at this time.
fn undecided<R>(unit: Unit, reply: R, accepted: Instant) -> UndecidedUnit<R> {
    UndecidedUnit { unit, past: AppendPast { accepted, may_be_stored: false }, reply }
}

fn topic(name: &str) -> TopicName {
    TopicName::new(name).expect("a topic")
}

fn event(name: &str, data: &str) -> NewEvent {
    NewEvent::new(topic(name), data)
}

fn append(events: Vec<NewEvent>) -> Append {
    Append { events, expect: None, key: None }
}
