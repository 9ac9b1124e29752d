//! One run in one format; where a reader resumes.

use std::time::Instant;

use super::{
    ai_sdk::AiSdkWriter,
    batch::DeltaBatch,
    derived::DerivedWriter,
    event_sink::EventShape,
    events::EventsWriter,
    options::{AnswerOptions, Format},
    part_writer::PartWriter,
    raw::RawWriter,
    run_event::{Finished, RunEvent},
    text::TextWriter,
};
use crate::{event::EventId, hub::subscription::GapReason};

/// The header by which the AI SDK's transports know its stream.
const AI_SDK_HEADERS: &[(&str, &str)] = &[("x-vercel-ai-ui-message-stream", "v1")];

/// Writes the events of one run in one format, for one reader.
///
/// Each call appends whole events to `out`. The caller writes what it has before it waits, sets a timer for
/// [`due`](Self::due) and calls [`flush`](Self::flush) then, and ends the response when it is
/// [`finished`](Self::finished).
pub struct AnswerEncoder {
    format: Format,
    form: AnswerForm,
    after: Option<EventId>,
    /// The newest event of the run that the client has or was sent.
    newest: Option<EventId>,
    finished: Option<Finished>,
}

enum AnswerForm {
    Raw(RawWriter),
    Derived(DerivedWriter),
}

impl AnswerEncoder {
    /// An encoder for one response. [`Format::Raw`] may be given the events from any one on, every other format from
    /// `run.started` on.
    #[must_use]
    pub fn new(options: AnswerOptions) -> Self {
        let (format, after) = (options.format, options.after);
        Self { format, form: AnswerForm::new(options), after, newest: after, finished: None }
    }

    /// The Content-Type of the response.
    #[must_use]
    pub fn content_type(&self) -> &'static str {
        match &self.form {
            AnswerForm::Raw(raw) => raw.content_type(),
            AnswerForm::Derived(derived) => derived.content_type(),
        }
    }

    /// Further headers of the response.
    #[must_use]
    pub fn headers(&self) -> &'static [(&'static str, &'static str)] {
        if self.format == Format::AiSdk { AI_SDK_HEADERS } else { &[] }
    }

    /// Takes the next event of the run. Ids rise. An event after the response has finished is ignored.
    pub fn push(&mut self, id: EventId, event: RunEvent<'_>, now: Instant, out: &mut Vec<u8>) {
        if self.finished.is_some() {
            return;
        }
        let is_new = self.after.is_none_or(|after| after.epoch != id.epoch || after.seq < id.seq);
        self.finished = match &mut self.form {
            AnswerForm::Raw(raw) => push_raw(raw, id, event, is_new.then_some(out)),
            AnswerForm::Derived(derived) if is_new => derived.push(id, event, now, out),
            AnswerForm::Derived(derived) => derived.skip(id, event),
        };
        if is_new {
            self.newest = Some(id);
        }
    }

    /// Tells the reader that events after the last one are gone. `events` and `ndjson` go on after that, every other
    /// format has finished.
    pub fn gap(&mut self, reason: GapReason, now: Instant, out: &mut Vec<u8>) {
        if self.finished.is_some() {
            return;
        }
        self.flush(now, out);
        self.finished = match &mut self.form {
            AnswerForm::Raw(raw) => {
                raw.gap(out);
                Some(Finished::Complete)
            }
            AnswerForm::Derived(derived) => derived.gap(self.newest, reason, out),
        };
    }

    /// When [`flush`](Self::flush) must be called: something waits to be merged.
    #[must_use]
    pub fn due(&self) -> Option<Instant> {
        match &self.form {
            AnswerForm::Raw(_) => None,
            AnswerForm::Derived(derived) => derived.due(),
        }
    }

    /// Writes what waits.
    pub fn flush(&mut self, now: Instant, out: &mut Vec<u8>) {
        if let AnswerForm::Derived(derived) = &mut self.form {
            derived.flush(now, out);
        }
    }

    /// Appends what an idle stream may carry; nothing when the format allows nothing.
    pub fn keepalive(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(match &self.form {
            AnswerForm::Raw(raw) => raw.keepalive().as_bytes(),
            AnswerForm::Derived(derived) => derived.keepalive(),
        });
    }

    /// How the response ends; `None` while it goes on.
    #[must_use]
    pub fn finished(&self) -> Option<Finished> {
        self.finished
    }
}

impl AnswerForm {
    fn new(options: AnswerOptions) -> Self {
        let writer: Box<dyn PartWriter> = match options.format {
            Format::Raw => return Self::Raw(RawWriter::new(&options)),
            Format::Events => Box::new(EventsWriter::new(options.run, EventShape::Sse)),
            Format::Ndjson => Box::new(EventsWriter::new(options.run, EventShape::Lines)),
            Format::Text => Box::new(TextWriter),
            Format::AiSdk => Box::new(AiSdkWriter::new(options.run, options.after.is_some())),
        };
        let batch = options.batch.filter(|window| !window.is_zero()).map(DeltaBatch::new);
        Self::Derived(DerivedWriter::new(options.api.reader(), writer, batch))
    }
}

fn push_raw(raw: &mut RawWriter, id: EventId, event: RunEvent<'_>, out: Option<&mut Vec<u8>>) -> Option<Finished> {
    match event {
        RunEvent::Started(_) => return None,
        RunEvent::Frame { name, data } => {
            raw.frame(id, name, data, out);
            return None;
        }
        RunEvent::Stopping { by } => raw.stopping(id, by, out),
        RunEvent::Ended(ended) => raw.ended(id, ended, out),
    }
    Some(Finished::Complete)
}
