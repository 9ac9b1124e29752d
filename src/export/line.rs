//! The lines of an export.

use std::{borrow::Cow, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::event::{
    Data, Event, EventId, EventName, Metadata, Millis, NewEvent, TopicName, TraceParent, data::BASE64, record::REMOVED,
};

/// The version of the format. Version 1 had neither `encoding` nor `metadata`: who reads only that one would take the base64
/// of binary data for its text.
pub const VERSION: u32 = 2;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExportHeader {
    /// The version of the format.
    pub version: u32,
    /// The exported topics and patterns, sorted.
    pub topics: Vec<String>,
    /// Where it begins: `earliest`, or as `since`.
    pub from: String,
    /// The newest id of the hub when the export was begun: it ends there.
    pub through: String,
    /// When it was begun, RFC 3339.
    pub made: String,
}

/// An envelope, as the hub sends it.
#[derive(Debug, Deserialize)]
pub struct ExportedEvent<'a> {
    /// The topic.
    #[serde(borrow)]
    pub topic: Cow<'a, str>,
    /// The id.
    pub id: Cow<'a, str>,
    /// The time, RFC 3339.
    pub time: Cow<'a, str>,
    /// The event's name.
    pub event: Cow<'a, str>,
    /// Where in a trace its publisher was.
    #[serde(default, borrow)]
    pub traceparent: Option<Cow<'a, str>>,
    /// [`BASE64`] for binary data; none for text.
    #[serde(default, borrow)]
    pub encoding: Option<Cow<'a, str>>,
    /// What a protocol keeps with the event, as base64.
    #[serde(default, borrow)]
    pub metadata: Option<Cow<'a, str>>,
    /// The payload.
    pub data: Cow<'a, str>,
}

/// Missing events, as the hub reports them.
#[derive(Debug, Deserialize)]
pub struct ExportedGap<'a> {
    /// The topic that has lost them; `None` when it cannot be named, because nothing is left of it.
    #[serde(borrow)]
    pub topic: Option<Cow<'a, str>>,
}

/// Up to here the file is whole: an export that was cut short goes on after the last one.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportedCursor<'a> {
    /// The id after which it goes on.
    #[serde(borrow)]
    pub id: Cow<'a, str>,
}

/// A closed topic.
#[derive(Debug, Serialize, Deserialize)]
pub struct ExportedEnd<'a> {
    /// The topic.
    #[serde(borrow)]
    pub topic: Cow<'a, str>,
    /// `closed`.
    pub reason: Cow<'a, str>,
    /// Its last id.
    pub last_id: Cow<'a, str>,
}

/// The last line.
#[derive(Debug, Serialize, Deserialize)]
pub struct Complete {
    /// Events in the file.
    pub events: u64,
}

/// A line that is not an envelope.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum ExportMark<'a> {
    Export(ExportHeader),
    #[serde(borrow)]
    Gap(ExportedGap<'a>),
    #[serde(borrow)]
    Cursor(ExportedCursor<'a>),
    #[serde(borrow)]
    End(ExportedEnd<'a>),
    Complete(Complete),
}

/// Any line.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum ExportLine<'a> {
    #[serde(borrow)]
    Event(ExportedEvent<'a>),
    #[serde(borrow)]
    Mark(ExportMark<'a>),
}

/// The line of an export's part, without its line feed.
pub(super) fn mark(name: &str, value: &(impl Serialize + ?Sized)) -> String {
    let value = serde_json::to_string(value).expect("text and numbers");
    format!("{{\"{name}\":{value}}}")
}

impl ExportedEvent<'_> {
    /// The event, with its id. A tombstone gets back the form in which it is stored.
    ///
    /// # Errors
    /// What is invalid in it.
    pub fn event(&self) -> Result<(EventId, Event), String> {
        let id = EventId::parse(&self.id).ok_or_else(|| format!("{:?} is not an id", self.id))?;
        let time = Millis::parse_rfc3339(&self.time).ok_or_else(|| format!("{:?} is not a time", self.time))?;
        let topic = TopicName::new(&self.topic).map_err(|error| error.to_string())?;
        let parent = |text: &Cow<'_, str>| {
            let parent = TraceParent::parse(text.as_bytes()).map(Arc::new);
            parent.ok_or_else(|| format!("{text:?} is not a traceparent"))
        };
        let traceparent = self.traceparent.as_ref().map(parent).transpose()?;
        let new = NewEvent { traceparent, metadata: self.metadata()?, ..NewEvent::new(topic, self.data()?) };
        if self.event != REMOVED {
            let name = EventName::stored(&self.event).map_err(|error| error.to_string())?;
            return Ok((id, Event { seq: id.seq, time, new: NewEvent { name, ..new } }));
        }
        let removed = Event { seq: id.seq, time, new: NewEvent { name: EventName::removed(), ..new } };
        let tombstone = removed.tombstone();
        let is_its_own = NewEvent::notice(tombstone.new.topic.clone(), id).data == removed.new.data;
        Ok((id, if is_its_own { tombstone } else { removed }))
    }

    fn data(&self) -> Result<Data, String> {
        match self.encoding.as_deref() {
            None => Ok((&*self.data).into()),
            Some(BASE64) => {
                let bytes = Data::from_base64(&self.data).ok_or("the data is not base64, as its encoding says")?;
                Ok(Data::binary(bytes.into()))
            }
            Some(other) => Err(format!("{other:?} is not an encoding")),
        }
    }

    fn metadata(&self) -> Result<Option<Metadata>, String> {
        let Some(text) = &self.metadata else { return Ok(None) };
        let metadata = Data::from_base64(text).and_then(|bytes| Metadata::stored(&bytes));
        metadata.map(Some).ok_or_else(|| "the metadata is not base64 of up to 16 KiB".into())
    }
}
