//! Frames as parts, for every format but `raw`: which parts are kept, and in which order they are written.

use std::time::Instant;

use super::{
    batch::DeltaBatch,
    part_key::{PartKey, append, is_delta, text_of},
    part_writer::PartWriter,
    run_event::{Finished, RunEvent},
};
use crate::{
    event::EventId,
    hub::subscription::GapReason,
    relay::{
        dialect::{Part, PartReader},
        ending::TokenUsage,
    },
};

/// Reads the frames of one run, and writes what they mean.
pub(super) struct DerivedWriter {
    reader: Box<dyn PartReader>,
    writer: Box<dyn PartWriter>,
    batch: Option<DeltaBatch>,
    usage: TokenUsage,
    /// The run is being stopped: only counts of tokens still matter.
    stopping: bool,
    /// Parts of the present frame, kept for its memory.
    parts: Vec<Part>,
    /// Bytes that are not sent, kept for its memory.
    unsent: Vec<u8>,
}

impl DerivedWriter {
    pub(super) fn new(reader: Box<dyn PartReader>, writer: Box<dyn PartWriter>, batch: Option<DeltaBatch>) -> Self {
        let (usage, parts, unsent) = (TokenUsage::default(), Vec::new(), Vec::new());
        Self { reader, writer, batch, usage, stopping: false, parts, unsent }
    }

    pub(super) fn content_type(&self) -> &'static str {
        self.writer.content_type()
    }

    pub(super) fn keepalive(&self) -> &'static [u8] {
        self.writer.keepalive()
    }

    /// Takes an event that the client has.
    pub(super) fn skip(&mut self, id: EventId, event: RunEvent<'_>) -> Option<Finished> {
        let mut unsent = std::mem::take(&mut self.unsent);
        let finished = if let RunEvent::Frame { name, data } = event {
            self.read(name, data);
            if !self.parts.is_empty() {
                self.writer.parts(id, &self.parts, &mut unsent);
            }
            None
        } else {
            self.mark(id, event, &mut unsent)
        };
        unsent.clear();
        self.unsent = unsent;
        finished
    }

    /// Writes an event.
    pub(super) fn push(
        &mut self,
        id: EventId,
        event: RunEvent<'_>,
        now: Instant,
        out: &mut Vec<u8>,
    ) -> Option<Finished> {
        let RunEvent::Frame { name, data } = event else {
            self.flush(now, out);
            return self.mark(id, event, out);
        };
        self.read(name, data);
        let Self { writer, parts, .. } = self;
        match &mut self.batch {
            _ if parts.is_empty() => {}
            Some(batch) => batch.add(id, parts, now, |id, parts| writer.parts(id, parts, out)),
            None => writer.parts(id, parts, out),
        }
        None
    }

    pub(super) fn due(&self) -> Option<Instant> {
        self.batch.as_ref().and_then(DeltaBatch::due)
    }

    pub(super) fn flush(&mut self, now: Instant, out: &mut Vec<u8>) {
        if let Some(merged) = self.batch.as_mut().and_then(|batch| batch.take(now)) {
            self.writer.parts(merged.id, &merged.parts, out);
        }
    }

    pub(super) fn gap(&mut self, after: Option<EventId>, reason: GapReason, out: &mut Vec<u8>) -> Option<Finished> {
        self.writer.gap(after, reason, out)
    }

    /// Writes an event of the relay's own.
    fn mark(&mut self, id: EventId, event: RunEvent<'_>, out: &mut Vec<u8>) -> Option<Finished> {
        match event {
            RunEvent::Started(started) => self.writer.started(id, started, out),
            RunEvent::Stopping { by } => {
                self.stopping = true;
                return self.writer.stopping(id, by, out);
            }
            RunEvent::Ended(ended) => return Some(self.writer.ended(id, ended, out)),
            RunEvent::Frame { .. } => {}
        }
        None
    }

    /// Reads a frame into `parts`. Counts of tokens come first: to be told them again harms nobody, so they may stand
    /// without the id.
    fn read(&mut self, name: &str, data: &str) {
        self.parts.clear();
        self.reader.read(name, data, &mut self.parts);
        let mut usage = None;
        let mut kept: usize = 0;
        for at in 0..self.parts.len() {
            let part = &self.parts[at];
            self.writer.observe(part);
            if let Part::Usage(counts) = part {
                let newest = self.usage.updated(*counts);
                usage = if newest == self.usage { usage } else { Some(newest) };
                self.usage = newest;
                continue;
            }
            if self.stopping || !self.writer.keeps(part) || (is_delta(part) && text_of(part).is_empty()) {
                continue;
            }
            let continues = is_delta(part) && kept > 0 && PartKey::of(part) == PartKey::of(&self.parts[kept - 1]);
            if continues {
                let (before, rest) = self.parts.split_at_mut(at);
                append(&mut before[kept - 1], &rest[0]);
            } else {
                self.parts.swap(kept, at);
                kept += 1;
            }
        }
        self.parts.truncate(kept);
        if let Some(counts) = usage.map(Part::Usage).filter(|part| self.writer.keeps(part)) {
            self.parts.insert(0, counts);
        }
    }
}
