//! Receipts as JSON: `{"topic","id","time","subscribers"}`.

use serde::Serialize;

use crate::{
    engine::Receipt,
    event::{Epoch, EventId},
    http::problem::Problem,
};

/// The receipts of one commit; at least one.
pub(super) struct Receipts {
    pub(super) epoch: Epoch,
    pub(super) receipts: Vec<Receipt>,
}

#[derive(Serialize)]
struct One<'a> {
    topic: &'a str,
    id: String,
    time: String,
    subscribers: u32,
}

#[derive(Serialize)]
struct Many<'a> {
    events: Vec<One<'a>>,
}

impl Receipts {
    /// The receipt of the only event.
    pub(super) fn one(&self) -> String {
        json(&One::new(self.epoch, self.receipts.first().expect("a receipt for each event")))
    }

    /// `{"events":[…]}`.
    pub(super) fn many(&self) -> String {
        json(&Many { events: self.receipts.iter().map(|receipt| One::new(self.epoch, receipt)).collect() })
    }
}

impl<'a> One<'a> {
    fn new(epoch: Epoch, receipt: &'a Receipt) -> Self {
        Self {
            topic: receipt.topic.as_str(),
            id: EventId { epoch, seq: receipt.seq }.to_string(),
            time: receipt.time.to_string(),
            subscribers: receipt.subscribers,
        }
    }
}

/// What stands in a receipt's place when a line of a stream is refused: `{"error":{…problem…}}`.
#[derive(Serialize)]
struct Refusal<'a> {
    error: &'a Problem,
}

/// A refused line's place in the answer.
pub(super) fn refusal(problem: &Problem) -> String {
    json(&Refusal { error: problem })
}

fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("text and numbers are JSON")
}
