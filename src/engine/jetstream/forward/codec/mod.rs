//! Requests and answers as bytes.
//!
//! `<version> <frame>…`; a frame is `<length of JSON: u32, little endian> <length of data: u32> <JSON> <data>`. The first frame is
//! the head; the others are units (their data: that of their events, one after another) or results. Readers ignore unknown
//! JSON fields, so a field may be added within a version, when readers without it still do the right thing. A unit that they would
//! misread lacks a field that they need: they refuse that unit, and no other.
//!
//! The version 0 has one message, which stays as it is for ever: `0 <version that I read>`, the answer to a version that the
//! sender does not read.

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::unit::HubId;

mod result_json;
mod unit_json;

pub(super) use result_json::{FramedResult, ResultOrFeed, read_result, write_refusal, write_result};
pub(super) use unit_json::{read_unit, write_unit};

/// The version of this code's messages.
pub(super) const VERSION: u8 = 1;

const OTHER_VERSION: u8 = 0;

/// Why bytes are not a message, a unit or a result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ForwardCodecError {
    /// Sent by a hub of another version of gapless.
    #[error("messages between hubs have version {0} there, and version {VERSION} here")]
    Version(u8),
    /// Not made by a hub, or damaged.
    #[error("the message is malformed: {0}")]
    Malformed(String),
}

/// The head of a request.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ForwardRequest {
    /// The leader, and its term.
    #[serde(with = "hub_text")]
    pub(super) to: HubId,
    pub(super) term: u64,
    #[serde(with = "hub_text")]
    pub(super) from: HubId,
    pub(super) call: ForwardCall,
}

/// What a follower asks for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ForwardCall {
    /// A session. A repeated request has the same `nonce`; a later session a larger one.
    Open { nonce: u64 },
    /// To execute the units that follow, numbered from `first`.
    Units { token: u64, ack: u64, round: u64, first: u64 },
    /// To keep the following part of the unit `number`, and to execute it when it is complete.
    Part { token: u64, ack: u64, round: u64, number: u64, part: u32, parts: u32 },
    /// For all results after `ack`. `sent` is the last number that was sent.
    Ask { token: u64, ack: u64, round: u64, sent: u64 },
}

/// The head of an answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct ForwardAnswer {
    #[serde(with = "hub_text")]
    pub(super) to: HubId,
    #[serde(with = "hub_text")]
    pub(super) from: HubId,
    pub(super) term: u64,
    pub(super) say: ForwardReply,
}

/// What a leader answers.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum ForwardReply {
    /// The session has this token.
    Opened { nonce: u64, token: u64 },
    /// Results follow. `hole` is the round of a request that left out the number `expects`.
    Results { token: u64, expects: u64, hole: Option<u64> },
    /// There is no session with this token. What it has committed is at most at `at`, and nothing of it is executed any
    /// more.
    Gone { token: u64, at: u64 },
    /// Not now.
    Refused { reason: String },
}

mod hub_text {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    use super::HubId;

    pub(super) fn serialize<S: Serializer>(hub: &HubId, out: S) -> Result<S::Ok, S::Error> {
        out.serialize_str(hub.as_str())
    }

    pub(super) fn deserialize<'a, D: Deserializer<'a>>(from: D) -> Result<HubId, D::Error> {
        HubId::new(&String::deserialize(from)?).ok_or_else(|| D::Error::custom("not a hub id"))
    }
}

/// Appends a message's version and head to an empty `out`.
pub(super) fn begin(head: &impl Serialize) -> Vec<u8> {
    let mut out = vec![VERSION];
    out.extend(frame(head, &[]));
    out
}

/// A frame of `json` and the data of `pieces`, one after another.
fn frame(json: &impl Serialize, pieces: &[&[u8]]) -> Vec<u8> {
    let data: usize = pieces.iter().map(|piece| piece.len()).sum();
    let mut out = Vec::with_capacity(8 + 256 + data);
    out.extend([0; 8]);
    serde_json::to_writer(&mut out, json).expect("text and numbers are JSON");
    let length = u32::try_from(out.len() - 8).expect("below the largest unit");
    out[..4].copy_from_slice(&length.to_le_bytes());
    out[4..8].copy_from_slice(&u32::try_from(data).expect("below the largest unit").to_le_bytes());
    for piece in pieces {
        out.extend_from_slice(piece);
    }
    out
}

/// The frame of a part of a unit's frame.
pub(super) fn part_frame(part: &[u8]) -> Vec<u8> {
    frame(&serde_json::Value::Null, &[part])
}

/// The answer to a request of a version that this hub does not read.
pub(super) fn other_version() -> Vec<u8> {
    vec![OTHER_VERSION, VERSION]
}

/// A frame that was read: its JSON and its data.
#[derive(Debug, Clone, Copy)]
pub(super) struct Framed<'a> {
    json: &'a [u8],
    pub(super) data: &'a [u8],
}

/// Reads the frames of a message.
#[derive(Debug)]
pub(super) struct FrameReader<'a>(&'a [u8]);

impl<'a> FrameReader<'a> {
    /// The reader of a message's frames, after its version.
    ///
    /// # Errors
    /// When it has another version.
    pub(super) fn message(bytes: &'a [u8]) -> Result<Self, ForwardCodecError> {
        match bytes {
            [VERSION, rest @ ..] => Ok(Self(rest)),
            [OTHER_VERSION, version, ..] | [version, ..] => Err(ForwardCodecError::Version(*version)),
            [] => Err(malformed("it is empty")),
        }
    }

    /// The reader of frames without a version.
    pub(super) fn frames(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    /// The head of a message: its first frame.
    pub(super) fn head<T: DeserializeOwned>(&mut self) -> Result<T, ForwardCodecError> {
        json(self.next().ok_or_else(|| malformed("it has no head"))??.json)
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn frame(&mut self) -> Option<Framed<'a>> {
        let mut length = || {
            let bytes = self.take(4)?.try_into().expect("4 bytes");
            usize::try_from(u32::from_le_bytes(bytes)).ok()
        };
        let (json, data) = (length()?, length()?);
        Some(Framed { json: self.take(json)?, data: self.take(data)? })
    }
}

impl<'a> Iterator for FrameReader<'a> {
    type Item = Result<Framed<'a>, ForwardCodecError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let frame = self.frame();
        if frame.is_none() {
            self.0 = &[];
        }
        Some(frame.ok_or_else(|| malformed("a frame ends too early")))
    }
}

fn malformed(what: impl std::fmt::Display) -> ForwardCodecError {
    ForwardCodecError::Malformed(what.to_string())
}

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8]) -> Result<T, ForwardCodecError> {
    serde_json::from_slice(bytes).map_err(malformed)
}
