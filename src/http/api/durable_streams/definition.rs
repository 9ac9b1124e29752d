//! The configuration of a stream, which the engine keeps with its topic as metadata: JSON after the tag, and after a zero byte
//! the state of its appends, if it was saved.

use serde::{Deserialize, Serialize};

use super::{content_type, lifetime::Lifetime, producer::ProducerAppend};
use crate::event::{Metadata, Seq, metadata::DURABLE_STREAMS};

/// The type of a topic that was only published to, and never created as a stream.
pub const NATIVE_TYPE: &str = "text/plain";

/// What a stream was created with, and what has become of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamDefinition {
    /// The content type, as it was given.
    #[serde(rename = "type")]
    pub content_type: String,
    /// When it ends by itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lifetime: Option<Lifetime>,
    /// Its first events are part of its creation: before it has any, it is not created yet.
    #[serde(default, skip_serializing_if = "is_false")]
    pub starts_with_events: bool,
    /// The stream that it was forked from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fork: Option<ForkOrigin>,
    /// Some events have a record of producers or of `Stream-Seq`: see [`AppendState`](super::append_state::AppendState).
    #[serde(default, skip_serializing_if = "is_false")]
    pub has_append_state: bool,
    /// The append of a producer that closed it without an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closed_by: Option<ClosingAppend>,
    /// It was deleted while forks of it live: they read on, and nobody else does.
    #[serde(default, skip_serializing_if = "is_false")]
    pub deleted: bool,
    /// The state of its appends before an event was removed, which may have been the one that told it: see
    /// [`AppendState::saved`](super::append_state::AppendState::saved).
    #[serde(skip)]
    pub saved_state: Option<Vec<u8>>,
}

/// Where a fork begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForkOrigin {
    /// The topic of the source.
    pub source: String,
    /// The last position that is read from the source.
    pub through: u64,
    /// The position that the request has named; `None` when it named none.
    pub asked: Option<u64>,
    /// Bytes or messages after that position that the request has named.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub sub_offset: u64,
    /// Whether the content type is the source's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub inherits_type: bool,
    /// Whether the lifetime is the source's.
    #[serde(default, skip_serializing_if = "is_false")]
    pub inherits_lifetime: bool,
}

/// A producer's append, as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClosingAppend {
    /// The producer's key.
    pub producer: u64,
    /// Its incarnation.
    pub epoch: u64,
    /// The number of the append.
    pub seq: u64,
}

impl StreamDefinition {
    /// The configuration of a new stream of this type.
    #[must_use]
    pub fn new(content_type: &str) -> Self {
        Self {
            content_type: content_type.to_owned(),
            lifetime: None,
            starts_with_events: false,
            fork: None,
            has_append_state: false,
            closed_by: None,
            deleted: false,
            saved_state: None,
        }
    }

    /// That of a topic with this metadata. One without any, or with another protocol's, is a stream of text.
    #[must_use]
    pub fn of(metadata: Option<&Metadata>) -> Self {
        let body = metadata.filter(|metadata| metadata.tag() == DURABLE_STREAMS).map(Metadata::body);
        body.and_then(Self::read).unwrap_or_else(|| Self::new(NATIVE_TYPE))
    }

    fn read(body: &[u8]) -> Option<Self> {
        // JSON has no zero byte.
        let mut parts = body.splitn(2, |byte| *byte == 0);
        let definition: Self = serde_json::from_slice(parts.next()?).ok()?;
        Some(Self { saved_state: parts.next().map(<[u8]>::to_vec), ..definition })
    }

    /// The metadata of its topic.
    #[must_use]
    pub fn metadata(&self) -> Metadata {
        let mut body = serde_json::to_vec(self).expect("text and numbers");
        if let Some(state) = &self.saved_state {
            body.push(0);
            body.extend_from_slice(state);
        }
        Metadata::new(DURABLE_STREAMS, &body).expect("a type, a time and two names take 2 KB, 500 producers 12 KB")
    }

    /// Whether a stream that is created with `self` is the one that exists with `other`, so that creating it again changes
    /// nothing.
    #[must_use]
    pub fn is_same_creation(&self, other: &Self) -> bool {
        let inherits = |both: fn(&ForkOrigin) -> bool| {
            self.fork.as_ref().is_some_and(both) && other.fork.as_ref().is_some_and(both)
        };
        let same_lifetime = match (&self.lifetime, &other.lifetime) {
            (None, None) => true,
            (Some(one), Some(other)) => one.is_same(other),
            _ => false,
        };
        let same_fork = match (&self.fork, &other.fork) {
            (None, None) => true,
            (Some(one), Some(other)) => {
                one.source == other.source && one.asked == other.asked && one.sub_offset == other.sub_offset
            }
            _ => false,
        };
        (content_type::is_same(&self.content_type, &other.content_type) || inherits(|fork| fork.inherits_type))
            && (same_lifetime || inherits(|fork| fork.inherits_lifetime))
            && same_fork
    }
}

impl ForkOrigin {
    /// The last position that is read from the source.
    #[must_use]
    pub fn through(&self) -> Seq {
        Seq(self.through)
    }
}

impl From<ProducerAppend> for ClosingAppend {
    fn from(append: ProducerAppend) -> Self {
        Self { producer: u64::from_be_bytes(append.producer), epoch: append.epoch, seq: append.seq }
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_false(value: &bool) -> bool {
    !value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "as serde calls it")]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fork(asked: Option<u64>, sub_offset: u64) -> ForkOrigin {
        let source = "a".to_owned();
        ForkOrigin { source, through: 7, asked, sub_offset, inherits_type: true, inherits_lifetime: true }
    }

    #[test]
    fn a_configuration_is_read_back_and_a_topic_without_one_is_text() {
        let definition = StreamDefinition {
            lifetime: Some(Lifetime::Ttl(60)),
            fork: Some(fork(Some(7), 2)),
            closed_by: Some(ClosingAppend { producer: u64::MAX, epoch: 1, seq: 2 }),
            deleted: true,
            saved_state: Some(vec![0, 1, 0, 255]),
            ..StreamDefinition::new("application/json; charset=utf-8")
        };
        assert_eq!(StreamDefinition::of(Some(&definition.metadata())), definition);
        assert_eq!(StreamDefinition::of(None).content_type, NATIVE_TYPE);
        let foreign = Metadata::new(crate::event::metadata::MERCURE, b"{}").expect("short");
        assert_eq!(StreamDefinition::of(Some(&foreign)).content_type, NATIVE_TYPE);
        assert_eq!(StreamDefinition::new("text/plain").metadata().body(), br#"{"type":"text/plain"}"#);
    }

    #[test]
    fn a_stream_is_created_again_with_what_it_was_created_with() {
        let plain = StreamDefinition::new("text/plain");
        let with = |lifetime| StreamDefinition { lifetime: Some(lifetime), ..plain.clone() };
        assert!(StreamDefinition::new("TEXT/plain;charset=utf-8").is_same_creation(&plain));
        assert!(!StreamDefinition::new("text/html").is_same_creation(&plain));
        assert!(!with(Lifetime::Ttl(1)).is_same_creation(&plain));
        assert!(!with(Lifetime::Ttl(1)).is_same_creation(&with(Lifetime::Ttl(2))));
        assert!(with(Lifetime::Ttl(1)).is_same_creation(&with(Lifetime::Ttl(1))));
        let of = |fork| StreamDefinition { fork: Some(fork), ..plain.clone() };
        assert!(of(fork(None, 0)).is_same_creation(&of(fork(None, 0))));
        assert!(!of(fork(None, 0)).is_same_creation(&of(fork(Some(7), 0))));
        assert!(!of(fork(Some(7), 1)).is_same_creation(&of(fork(Some(7), 2))));
        assert!(!plain.is_same_creation(&of(fork(None, 0))));
    }
}
