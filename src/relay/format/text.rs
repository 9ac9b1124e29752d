//! The answer's text alone: choice 0. Only a broken connection can say that the ending is a bad one: `fetch` rejects,
//! as for a dead network.

use super::{part_writer::PartWriter, run_event::Finished};
use crate::{
    event::EventId,
    hub::subscription::GapReason,
    relay::{
        dialect::Part,
        ending::{RunEnded, RunStarted, RunStatus},
    },
};

/// Writes the text of an answer.
pub(super) struct TextWriter;

impl PartWriter for TextWriter {
    fn content_type(&self) -> &'static str {
        "text/plain; charset=utf-8"
    }

    fn keepalive(&self) -> &'static [u8] {
        b""
    }

    fn keeps(&self, part: &Part) -> bool {
        matches!(part, Part::Text(text) if text.choice == 0)
    }

    fn started(&mut self, _: EventId, _: &RunStarted, _: &mut Vec<u8>) {}

    fn parts(&mut self, _: EventId, parts: &[Part], out: &mut Vec<u8>) {
        for part in parts {
            if let Part::Text(text) = part {
                out.extend_from_slice(text.text.as_bytes());
            }
        }
    }

    fn stopping(&mut self, _: EventId, _: Option<&str>, _: &mut Vec<u8>) -> Option<Finished> {
        Some(Finished::Broken)
    }

    fn ended(&mut self, _: EventId, ended: &RunEnded, _: &mut Vec<u8>) -> Finished {
        if ended.status == RunStatus::Completed { Finished::Complete } else { Finished::Broken }
    }

    fn gap(&mut self, _: Option<EventId>, _: GapReason, _: &mut Vec<u8>) -> Option<Finished> {
        Some(Finished::Broken)
    }
}
