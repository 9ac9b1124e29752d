//! Reads an export line by line, and checks that it is one: its ids rise and have one epoch, and it is complete.

use std::io::{BufRead, Read as _};

use super::{
    ExportError, MAX_LINE_BYTES,
    line::{ExportHeader, ExportLine, ExportMark, VERSION},
};
use crate::event::{Event, EventId, Millis, TopicName};

/// What a line of an export says.
#[derive(Debug)]
pub enum ExportItem {
    /// An event, and its envelope as it is in the file.
    Event(EventId, Event),
    /// Events of this topic are missing before its next one; `None` when it cannot be named.
    Gap(Option<TopicName>),
    /// The topic is closed.
    Closed(TopicName),
}

/// The lines of an export. Holds one line at a time.
#[derive(Debug)]
pub struct ExportReader<R> {
    from: R,
    header: ExportHeader,
    through: EventId,
    line: Vec<u8>,
    /// Number of lines read.
    number: u64,
    /// Bytes read.
    bytes: u64,
    events: u64,
    last: Option<(EventId, Millis)>,
    is_complete: bool,
}

impl<R: BufRead> ExportReader<R> {
    /// Reads the first line.
    ///
    /// # Errors
    /// When it is not that of an export, or of one of a newer version.
    pub fn open(mut from: R) -> Result<Self, ExportError> {
        let mut line = Vec::new();
        read_line(&mut from, &mut line, 1)?;
        let Ok(ExportLine::Mark(ExportMark::Export(header))) = serde_json::from_slice(&line) else {
            return Err(ExportError::NotAnExport);
        };
        let invalid = |problem| ExportError::Line { line: 1, problem };
        if !(1..=VERSION).contains(&header.version) {
            return Err(invalid(format!("it is of version {}; use the gapless that made it", header.version)));
        }
        let through = EventId::parse(&header.through);
        let through = through.ok_or_else(|| invalid(format!("{:?} is not an id", header.through)))?;
        let bytes = line.len() as u64;
        Ok(Self { from, header, through, line, number: 1, bytes, events: 0, last: None, is_complete: false })
    }

    /// The first line.
    #[must_use]
    pub fn header(&self) -> &ExportHeader {
        &self.header
    }

    /// The newest id of the hub when the export was begun.
    #[must_use]
    pub fn through(&self) -> EventId {
        self.through
    }

    /// Bytes read, whole lines.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The next line; `None` after the last one of a complete export. Blocks.
    ///
    /// # Errors
    /// When the line is not valid, or the file ends before the export does.
    pub fn read(&mut self) -> Result<Option<ExportItem>, ExportError> {
        self.number += 1;
        let length = read_line(&mut self.from, &mut self.line, self.number)?;
        self.bytes += length;
        if self.is_complete {
            return if length == 0 { Ok(None) } else { Err(ExportError::AfterEnd(self.number)) };
        }
        if self.line.last() != Some(&b'\n') {
            return Err(ExportError::Incomplete(self.number - 1));
        }
        let line = self.number;
        let invalid = |problem: String| ExportError::Line { line, problem };
        let parsed = serde_json::from_slice(&self.line);
        let named = |topic: &str| TopicName::new(topic).map_err(|error| invalid(error.to_string()));
        match parsed.map_err(|_| invalid("it is neither an envelope nor a gap, an end or a last line".into()))? {
            ExportLine::Event(envelope) => {
                let (id, event) = envelope.event().map_err(invalid)?;
                let is_after = match self.last {
                    Some((last, time)) => last.seq < id.seq && time <= event.time,
                    None => id.seq.0 > 0,
                };
                if !is_after || id.epoch != self.through.epoch || id.seq > self.through.seq {
                    return Err(ExportError::Order { line, id });
                }
                self.last = Some((id, event.time));
                self.events += 1;
                Ok(Some(ExportItem::Event(id, event)))
            }
            ExportLine::Mark(ExportMark::Gap(gap)) => {
                Ok(Some(ExportItem::Gap(gap.topic.as_deref().map(named).transpose()?)))
            }
            ExportLine::Mark(ExportMark::Cursor(_)) => self.read(),
            ExportLine::Mark(ExportMark::End(end)) => Ok(Some(ExportItem::Closed(named(&end.topic)?))),
            ExportLine::Mark(ExportMark::Complete(complete)) if complete.events != self.events => {
                Err(ExportError::Count { told: complete.events, found: self.events })
            }
            ExportLine::Mark(ExportMark::Complete(_)) => {
                self.is_complete = true;
                self.read()
            }
            ExportLine::Mark(ExportMark::Export(_)) => Err(invalid("a file holds one export".into())),
        }
    }
}

/// Reads a line with its line feed. Returns its length, 0 at the end.
fn read_line(from: &mut impl BufRead, line: &mut Vec<u8>, number: u64) -> Result<u64, ExportError> {
    line.clear();
    let length = from.take(MAX_LINE_BYTES as u64).read_until(b'\n', line)? as u64;
    if length == MAX_LINE_BYTES as u64 && line.last() != Some(&b'\n') {
        return Err(ExportError::TooLong(number));
    }
    Ok(length)
}
