//! What every format but `raw` does with the parts of an answer.

use super::run_event::Finished;
use crate::{
    event::EventId,
    hub::subscription::GapReason,
    relay::{
        dialect::Part,
        ending::{RunEnded, RunStarted},
    },
};

/// Writes the parts of one answer in one format, in order. Its state follows from what it was given, whether the bytes
/// are sent or not: so a reader that resumes gets exactly the rest.
pub(super) trait PartWriter: Send {
    /// The Content-Type of the response.
    fn content_type(&self) -> &'static str;

    /// Bytes for an idle stream; empty when the format has none.
    fn keepalive(&self) -> &'static [u8];

    /// Whether the format has a form for this part. Others are left out.
    fn keeps(&self, part: &Part) -> bool;

    /// Called once with each part, before parts are left out or merged.
    fn observe(&mut self, _part: &Part) {}

    /// Writes `run.started`.
    fn started(&mut self, id: EventId, started: &RunStarted, out: &mut Vec<u8>);

    /// Writes parts of one frame, or of merged ones; `id` is that of the last frame.
    fn parts(&mut self, id: EventId, parts: &[Part], out: &mut Vec<u8>);

    /// Writes that the run is being stopped; `None` when the response goes on until `run.ended`.
    fn stopping(&mut self, id: EventId, by: Option<&str>, out: &mut Vec<u8>) -> Option<Finished>;

    /// Writes the ending.
    fn ended(&mut self, id: EventId, ended: &RunEnded, out: &mut Vec<u8>) -> Finished;

    /// Writes that events after `after` are gone; `None` when the response goes on.
    fn gap(&mut self, after: Option<EventId>, reason: GapReason, out: &mut Vec<u8>) -> Option<Finished>;
}
