//! Units as frames.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::{ForwardCodecError, Framed, frame, json, malformed};
use crate::{
    engine::{
        Append, ExpectedLast, IdempotencyKey, MetadataChange, TopicChange,
        jetstream::{
            forward::{limits::MAX_EVENTS, unit::Unit},
            metadata_text::{metadata_text, read_metadata},
        },
    },
    event::{Data, EventId, EventName, Metadata, NewEvent, Seq, TopicName, TraceParent},
};

#[derive(Serialize, Deserialize)]
struct UnitJson {
    /// The follower's number.
    n: u64,
    op: OpJson,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OpJson {
    Append {
        events: Vec<EventJson>,
        expect: Option<ExpectJson>,
        key: Option<KeyJson>,
    },
    Each {
        events: Vec<EventJson>,
    },
    Configure {
        topic: String,
        change: ChangeJson,
    },
    /// A conditional change. A hub that does not know conditions refuses it.
    CompareAndSet {
        topic: String,
        change: ChangeJson,
    },
    Delete {
        topic: String,
    },
    Remove {
        topic: String,
        seq: u64,
    },
}

/// An event; its data is the next `b` bytes of the frame's. One with binary data or metadata has `x` and no `b`, which hubs
/// need that know neither: they refuse the unit.
#[derive(Serialize, Deserialize)]
struct EventJson {
    t: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    n: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    b: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    x: Option<PayloadJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    r: Option<u32>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    close: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    run: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    trace: Option<String>,
}

/// Its data is the next `b` bytes of the frame's, and its metadata the `m` bytes after them; 0 when it has none.
#[derive(Serialize, Deserialize)]
struct PayloadJson {
    b: usize,
    bin: bool,
    m: usize,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum ExpectJson {
    Empty,
    Last(String),
}

/// Hashes as hexadecimal numbers.
#[derive(Serialize, Deserialize)]
struct KeyJson {
    key: String,
    fingerprint: String,
    owner: u64,
}

#[derive(Serialize, Deserialize)]
struct ChangeJson {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_events: Option<SetJson<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_age: Option<SetJson<Duration>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max_bytes: Option<SetJson<u64>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    retry: Option<SetJson<u32>>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    closed: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<MetadataJson>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expect: Option<ExpectJson>,
}

/// Metadata as base64.
#[derive(Serialize, Deserialize)]
struct MetadataJson {
    from: Option<String>,
    to: Option<String>,
}

/// A setting's new value; `null` for the rule's.
#[derive(Serialize, Deserialize)]
struct SetJson<T> {
    to: Option<T>,
}

/// The frame of a unit with the follower's number `n`.
pub(in super::super) fn write_unit(n: u64, unit: &Unit) -> Vec<u8> {
    let events = |events: &[NewEvent]| events.iter().map(EventJson::of).collect();
    let op = match unit {
        Unit::Append(append) => OpJson::Append {
            events: events(&append.events),
            expect: append.expect.map(ExpectJson::of),
            key: append.key.map(|key| KeyJson {
                key: hex(key.key),
                fingerprint: hex(key.fingerprint),
                owner: key.owner,
            }),
        },
        Unit::Each(all) => OpJson::Each { events: events(all) },
        Unit::Configure(topic, change) => {
            let (topic, json) = (topic.to_string(), ChangeJson::of(change));
            if change.is_conditional() {
                OpJson::CompareAndSet { topic, change: json }
            } else {
                OpJson::Configure { topic, change: json }
            }
        }
        Unit::Delete(topic) => OpJson::Delete { topic: topic.to_string() },
        Unit::Remove(topic, seq) => OpJson::Remove { topic: topic.to_string(), seq: seq.0 },
    };
    let data: Vec<&[u8]> = unit.events().iter().flat_map(pieces).collect();
    frame(&UnitJson { n, op }, &data)
}

/// The follower's number and the unit.
pub(in super::super) fn read_unit(framed: Framed<'_>) -> Result<(u64, Unit), ForwardCodecError> {
    let UnitJson { n, op } = json(framed.json)?;
    let unit = match op {
        OpJson::Append { events, expect, key } => Unit::Append(Append {
            events: read_events(events, framed.data)?,
            expect: expect.map(ExpectJson::read).transpose()?,
            key: key.map(|key| key.read().ok_or_else(|| malformed("an idempotency key"))).transpose()?,
        }),
        OpJson::Each { events } => Unit::Each(read_events(events, framed.data)?),
        OpJson::Configure { topic, change } | OpJson::CompareAndSet { topic, change } => {
            Unit::Configure(read_topic(&topic)?, change.read()?)
        }
        OpJson::Delete { topic } => Unit::Delete(read_topic(&topic)?),
        OpJson::Remove { topic, seq } => Unit::Remove(read_topic(&topic)?, Seq(seq)),
    };
    Ok((n, unit))
}

/// The data of an event, and its metadata.
fn pieces(event: &NewEvent) -> impl Iterator<Item = &[u8]> {
    let metadata = event.metadata.as_ref().map(Metadata::bytes);
    std::iter::once(&event.data.bytes()[..]).chain(metadata)
}

pub(super) fn read_topic(text: &str) -> Result<TopicName, ForwardCodecError> {
    TopicName::stored(text).map_err(malformed)
}

/// The data is copied: a slice of the message would keep all of it in memory as long as one event.
fn read_events(events: Vec<EventJson>, mut data: &[u8]) -> Result<Vec<NewEvent>, ForwardCodecError> {
    if events.is_empty() || events.len() > MAX_EVENTS {
        return Err(malformed("the number of events"));
    }
    let mut take = |bytes| {
        let (own, rest) = data.split_at_checked(bytes).ok_or_else(|| malformed("an event has too little data"))?;
        data = rest;
        Ok(own)
    };
    let mut read = |event: EventJson| {
        let (payload, metadata) = match (event.b, event.x) {
            (Some(bytes), None) => (Data::new(Bytes::copy_from_slice(take(bytes)?)).map_err(malformed)?, None),
            (None, Some(PayloadJson { b, bin, m })) => {
                let own = Bytes::copy_from_slice(take(b)?);
                let payload = if bin { Data::binary(own) } else { Data::new(own).map_err(malformed)? };
                let metadata = if m == 0 { None } else { Some(Metadata::stored(take(m)?)) };
                (payload, metadata.map(|read| read.ok_or_else(|| malformed("metadata"))).transpose()?)
            }
            _ => return Err(malformed("an event without a size, or with two")),
        };
        Ok(NewEvent {
            topic: read_topic(&event.t)?,
            name: EventName::stored(&event.n).map_err(malformed)?,
            data: payload,
            retry: event.r,
            close: event.close,
            of_run: event.run,
            traceparent: event.trace.and_then(|text| TraceParent::parse(text.as_bytes())).map(Arc::new),
            metadata,
        })
    };
    events.into_iter().map(&mut read).collect()
}

fn hex(bytes: [u8; 16]) -> String {
    format!("{:032x}", u128::from_be_bytes(bytes))
}

impl EventJson {
    fn of(event: &NewEvent) -> Self {
        let (b, bin) = (event.data.len(), event.data.is_binary());
        let m = event.metadata.as_ref().map_or(0, |metadata| metadata.bytes().len());
        let x = (bin || m > 0).then_some(PayloadJson { b, bin, m });
        Self {
            t: event.topic.to_string(),
            n: if event.name.is_default() { String::new() } else { event.name.as_str().into() },
            b: x.is_none().then_some(b),
            x,
            r: event.retry,
            close: event.close,
            run: event.of_run,
            trace: event.traceparent.as_ref().map(ToString::to_string),
        }
    }
}

impl ExpectJson {
    fn of(expect: ExpectedLast) -> Self {
        match expect {
            ExpectedLast::Empty => Self::Empty,
            ExpectedLast::Last(id) => Self::Last(id.to_string()),
        }
    }

    fn read(self) -> Result<ExpectedLast, ForwardCodecError> {
        match self {
            Self::Empty => Ok(ExpectedLast::Empty),
            Self::Last(id) => EventId::parse(&id).map(ExpectedLast::Last).ok_or_else(|| malformed("an event's id")),
        }
    }
}

impl KeyJson {
    fn read(&self) -> Option<IdempotencyKey> {
        let hash = |text: &str| u128::from_str_radix(text, 16).ok().map(u128::to_be_bytes);
        Some(IdempotencyKey { key: hash(&self.key)?, fingerprint: hash(&self.fingerprint)?, owner: self.owner })
    }
}

impl ChangeJson {
    fn of(change: &TopicChange) -> Self {
        Self {
            max_events: change.max_events.map(|to| SetJson { to }),
            max_age: change.max_age.map(|to| SetJson { to }),
            max_bytes: change.max_bytes.map(|to| SetJson { to }),
            retry: change.retry.map(|to| SetJson { to }),
            closed: change.closed,
            metadata: change.metadata.as_ref().map(MetadataJson::of),
            expect: change.expect.map(ExpectJson::of),
        }
    }

    fn read(self) -> Result<TopicChange, ForwardCodecError> {
        Ok(TopicChange {
            max_events: self.max_events.map(|set| set.to),
            max_age: self.max_age.map(|set| set.to),
            max_bytes: self.max_bytes.map(|set| set.to),
            retry: self.retry.map(|set| set.to),
            closed: self.closed,
            metadata: self.metadata.map(MetadataJson::read).transpose()?,
            expect: self.expect.map(ExpectJson::read).transpose()?,
        })
    }
}

impl MetadataJson {
    fn of(change: &MetadataChange) -> Self {
        Self { from: change.from.as_ref().map(metadata_text), to: change.to.as_ref().map(metadata_text) }
    }

    fn read(self) -> Result<MetadataChange, ForwardCodecError> {
        Ok(MetadataChange { from: metadata_of(self.from.as_deref())?, to: metadata_of(self.to.as_deref())? })
    }
}

/// The metadata of a text, if there is one.
pub(super) fn metadata_of(text: Option<&str>) -> Result<Option<Metadata>, ForwardCodecError> {
    text.map(|text| read_metadata(text).ok_or_else(|| malformed("metadata"))).transpose()
}
