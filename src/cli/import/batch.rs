//! The events of an export as batches. They are counted from its beginning, so they are the same however often they are made, and
//! a batch that may have been published before is published once.

use std::{borrow::Cow, io::BufRead};

use bytes::Bytes;
use serde::Serialize;

use crate::{
    event::{Event, EventId, NewEvent, TopicName, data::BASE64, record::REMOVED},
    export::{
        ExportError,
        reader::{ExportItem, ExportReader},
    },
};

/// Most events of a batch. A hub accepts 100,000 and 16 MiB by default, and 984 over JetStream.
const MAX_EVENTS: usize = 512;

/// Most bytes of data of a batch; a larger event is alone.
const MAX_BYTES: usize = 1 << 20;

/// Events to publish as one.
#[derive(Debug, Default)]
pub(super) struct ExportBatch {
    pub(super) events: Vec<(EventId, Event)>,
    bytes: usize,
}

/// Reads the batches of an export.
#[derive(Debug)]
pub(super) struct BatchReader<R> {
    reader: ExportReader<R>,
    /// The first event of the next batch.
    next: Option<(EventId, Event)>,
    pub(super) closed: Vec<TopicName>,
    /// Events that no publisher can send: those of the relay's runs, and removed ones.
    pub(super) left_out: u64,
    /// Events with metadata, which no publisher can send.
    pub(super) without_metadata: u64,
    pub(super) gaps: u64,
}

#[derive(Serialize)]
struct ImportEnvelope<'a> {
    topic: &'a str,
    event: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'static str>,
    data: Cow<'a, str>,
}

impl<'a> ImportEnvelope<'a> {
    fn of(event: &'a Event) -> Self {
        let NewEvent { topic, name, data, traceparent, .. } = &event.new;
        let traceparent = traceparent.as_ref().map(ToString::to_string);
        let encoding = data.is_binary().then_some(BASE64);
        Self { topic: topic.as_str(), event: name.as_str(), traceparent, encoding, data: data.text() }
    }
}

impl ExportBatch {
    /// The body of the request: an array of envelopes.
    pub(super) fn body(&self) -> Bytes {
        let envelopes: Vec<_> = self.events.iter().map(|(_, event)| ImportEnvelope::of(event)).collect();
        serde_json::to_vec(&envelopes).expect("text").into()
    }

    /// The first and the second half, of a batch of several events.
    pub(super) fn halves(mut self) -> (Self, Self) {
        let events = self.events.split_off(self.events.len() / 2);
        (self, Self { events, bytes: 0 })
    }

    /// A key that is the same for the same events of an export.
    pub(super) fn key(&self) -> String {
        let (first, last) = (self.events.first(), self.events.last());
        let id = |event: Option<&(EventId, Event)>| event.map_or_else(String::new, |(id, _)| id.to_string());
        format!("gapless-import-{}-{}-{}", id(first), id(last), self.events.len())
    }
}

impl<R: BufRead> BatchReader<R> {
    /// All batches of an export.
    pub(super) fn new(reader: ExportReader<R>) -> Self {
        Self { reader, next: None, closed: Vec::new(), left_out: 0, without_metadata: 0, gaps: 0 }
    }

    /// Bytes read.
    pub(super) fn bytes(&self) -> u64 {
        self.reader.bytes()
    }

    /// The next batch; an empty one at the end. Blocks.
    ///
    /// # Errors
    /// When the export is not valid or not complete.
    pub(super) fn read(&mut self) -> Result<ExportBatch, ExportError> {
        let mut batch = ExportBatch::default();
        loop {
            let event = match self.next.take() {
                Some(event) => event,
                None => match self.event()? {
                    Some(event) => event,
                    None => return Ok(batch),
                },
            };
            let bytes = event.1.new.data.len();
            let is_full = batch.events.len() == MAX_EVENTS || batch.bytes + bytes > MAX_BYTES;
            if is_full && !batch.events.is_empty() {
                self.next = Some(event);
                return Ok(batch);
            }
            batch.bytes += bytes;
            batch.events.push(event);
        }
    }

    fn event(&mut self) -> Result<Option<(EventId, Event)>, ExportError> {
        while let Some(item) = self.reader.read()? {
            match item {
                ExportItem::Gap(_) => self.gaps += 1,
                ExportItem::Closed(topic) => self.closed.push(topic),
                ExportItem::Event(_, event) if is_reserved(&event) => self.left_out += 1,
                ExportItem::Event(id, event) => {
                    self.without_metadata += u64::from(event.new.metadata.is_some());
                    return Ok(Some((id, event)));
                }
            }
        }
        Ok(None)
    }
}

/// Whether no publisher can send the event.
fn is_reserved(event: &Event) -> bool {
    let name = event.new.name.as_str();
    name == REMOVED || name.starts_with("run.")
}
