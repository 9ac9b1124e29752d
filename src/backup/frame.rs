//! The frames of a backup: of the stream that a hub sends, and of a part's file, which is a piece of that stream.
//!
//! A frame: `kind u8 | length of the content u32 | content | CRC-32 of all before it`, numbers big-endian. The content of
//! `R` is records of the store; that of the others is JSON.
//!
//! ```text
//! stream:  B (K | part | V)* Z
//! part:    P R* (E | X)
//! ```

use std::io::{self, Read};

use bytes::{Buf, Bytes, BytesMut};
use serde::{Deserialize, Serialize};

use crate::event::Epoch;

/// The version of the stream and of the files.
pub const VERSION: u64 = 1;

/// The parts that a request may name, a digest each. A part has 256 MiB as a rule, so these are some 16 TB.
pub const MAX_DIGESTS: usize = 64_000;

/// Bytes of a frame's head: kind and length.
const HEAD_BYTES: usize = 5;

/// Bytes of a frame's checksum.
const SUM_BYTES: usize = 4;

/// Bytes of a frame's content at most. The largest record is an event in 65535 parts of 8 KiB, with its slice before it.
const MAX_CONTENT_BYTES: usize = 640 << 20;

/// Bytes read at a time, so that a wrong length takes no memory before its bytes are there.
const READ_BYTES: u64 = 1 << 20;

/// What a frame breaks.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadFrame {
    /// Its checksum is another one.
    #[error("a frame does not match its checksum")]
    Checksum,
    /// It has no known kind, or its content cannot be read.
    #[error("a frame cannot be read; it may be of a newer gapless")]
    Content,
    /// It is longer than any can be.
    #[error("a frame is longer than any can be")]
    Length,
    /// It ends in the middle.
    #[error("it ends in the middle of a frame")]
    Cut,
    /// It is not what follows.
    #[error("a frame is in the wrong place")]
    Order,
}

/// The head of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StreamHead {
    /// [`VERSION`].
    pub version: u64,
    /// The version of the store's records.
    pub store_format: u64,
    /// The epoch of the store's ids.
    pub epoch: String,
    /// The newest position in the backup.
    pub head: u64,
    /// An estimate of the bytes of all parts.
    pub bytes: u64,
}

impl StreamHead {
    /// The epoch; `None` when it is not valid.
    #[must_use]
    pub fn epoch(&self) -> Option<Epoch> {
        Epoch::new(&self.epoch)
    }
}

/// The kind of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartContent {
    /// Events of a range of positions.
    Events,
    /// The rest of the store's state.
    State,
}

/// The head of a part.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartHead {
    /// What it holds.
    pub kind: PartContent,
    /// Its number in the stream.
    pub number: u64,
    /// The position before its range.
    pub after: u64,
    /// The end of its range, inclusive.
    pub through: u64,
    /// The time of its newest commit, in ms since 1970.
    pub newest: u64,
    /// Its identity for later backups, in hexadecimal digits.
    pub digest: Option<String>,
}

/// The end of a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartTail {
    /// Number of records.
    pub records: u64,
    /// Number of events, tombstones included.
    pub events: u64,
}

/// A frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BackupFrame {
    /// `B`: the stream begins.
    Begin(StreamHead),
    /// `K`: the receiver has this part.
    Kept(PartHead),
    /// `P`: a part begins.
    Part(PartHead),
    /// `R`: records.
    Records(Bytes),
    /// `E`: the part is complete.
    PartEnd(PartTail),
    /// `X`: the part that has begun is void.
    PartVoid,
    /// `V`: the part of this number is void.
    Void(u64),
    /// `Z`: the backup is complete and has this many parts.
    End(u64),
}

impl BackupFrame {
    /// Its bytes.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let (kind, content): (u8, Bytes) = match self {
            Self::Begin(head) => (b'B', json(head)),
            Self::Kept(head) => (b'K', json(head)),
            Self::Part(head) => (b'P', json(head)),
            Self::Records(records) => (b'R', records.clone()),
            Self::PartEnd(tail) => (b'E', json(tail)),
            Self::PartVoid => (b'X', Bytes::new()),
            Self::Void(number) => (b'V', json(number)),
            Self::End(parts) => (b'Z', json(parts)),
        };
        let mut bytes = Vec::with_capacity(HEAD_BYTES + content.len() + SUM_BYTES);
        bytes.push(kind);
        let length = u32::try_from(content.len()).expect("a slice and one event are far below 4 GiB");
        bytes.extend_from_slice(&length.to_be_bytes());
        bytes.extend_from_slice(&content);
        bytes.extend_from_slice(&crc32fast::hash(&bytes).to_be_bytes());
        bytes.into()
    }

    /// Decodes a whole frame.
    fn decode(bytes: &Bytes) -> Result<Self, BadFrame> {
        let (body, sum) = bytes.split_at(bytes.len() - SUM_BYTES);
        if crc32fast::hash(body).to_be_bytes() != sum {
            return Err(BadFrame::Checksum);
        }
        let content = bytes.slice(HEAD_BYTES..bytes.len() - SUM_BYTES);
        Ok(match bytes[0] {
            b'B' => Self::Begin(parse(&content)?),
            b'K' => Self::Kept(parse(&content)?),
            b'P' => Self::Part(parse(&content)?),
            b'R' => Self::Records(content),
            b'E' => Self::PartEnd(parse(&content)?),
            b'X' => Self::PartVoid,
            b'V' => Self::Void(parse(&content)?),
            b'Z' => Self::End(parse(&content)?),
            _ => return Err(BadFrame::Content),
        })
    }

    /// Reads the next frame; `None` at the end.
    ///
    /// # Errors
    /// When the frame is damaged, inside; outside, when the system refuses to read.
    pub fn read(from: &mut dyn Read) -> io::Result<Result<Option<Self>, BadFrame>> {
        let mut bytes = Vec::new();
        from.take(HEAD_BYTES as u64).read_to_end(&mut bytes)?;
        if bytes.is_empty() {
            return Ok(Ok(None));
        }
        if bytes.len() < HEAD_BYTES {
            return Ok(Err(BadFrame::Cut));
        }
        let length = match content_length(&bytes) {
            Ok(length) => length,
            Err(error) => return Ok(Err(error)),
        };
        let whole = HEAD_BYTES + length + SUM_BYTES;
        while bytes.len() < whole {
            let most = (whole - bytes.len()) as u64;
            if from.take(most.min(READ_BYTES)).read_to_end(&mut bytes)? == 0 {
                return Ok(Err(BadFrame::Cut));
            }
        }
        Ok(Self::decode(&bytes.into()).map(Some))
    }
}

fn content_length(head: &[u8]) -> Result<usize, BadFrame> {
    let length = head.get(1..HEAD_BYTES).and_then(|length| length.try_into().ok()).ok_or(BadFrame::Cut)?;
    let length = u32::from_be_bytes(length) as usize;
    if length > MAX_CONTENT_BYTES { Err(BadFrame::Length) } else { Ok(length) }
}

fn json(value: &impl Serialize) -> Bytes {
    serde_json::to_vec(value).expect("numbers and text").into()
}

fn parse<'a, T: Deserialize<'a>>(content: &'a Bytes) -> Result<T, BadFrame> {
    serde_json::from_slice(content).map_err(|_| BadFrame::Content)
}

/// Divides a stream into frames.
#[derive(Debug, Default)]
pub struct FrameDecoder {
    waiting: BytesMut,
}

impl FrameDecoder {
    /// Adds the next bytes of the stream.
    pub fn push(&mut self, bytes: &[u8]) {
        self.waiting.extend_from_slice(bytes);
    }

    /// The next frame with its bytes; `None` until more bytes are there.
    ///
    /// # Errors
    /// When it is damaged. The stream cannot be continued.
    pub fn next_frame(&mut self) -> Result<Option<(BackupFrame, Bytes)>, BadFrame> {
        if self.waiting.len() < HEAD_BYTES {
            return Ok(None);
        }
        let whole = HEAD_BYTES + content_length(&self.waiting)? + SUM_BYTES;
        if self.waiting.len() < whole {
            return Ok(None);
        }
        let bytes = self.waiting.copy_to_bytes(whole);
        Ok(Some((BackupFrame::decode(&bytes)?, bytes)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frames() -> Vec<BackupFrame> {
        let part = PartHead {
            kind: PartContent::Events,
            number: 7,
            after: 1,
            through: u64::MAX,
            newest: 3,
            digest: Some("ab".into()),
        };
        vec![
            BackupFrame::Begin(StreamHead {
                version: VERSION,
                store_format: 2,
                epoch: "abcd".into(),
                head: u64::MAX,
                bytes: 9,
            }),
            BackupFrame::Kept(part.clone()),
            BackupFrame::Part(PartHead { kind: PartContent::State, digest: None, ..part }),
            BackupFrame::Records(Bytes::from_static(b"\0\xffrecords")),
            BackupFrame::PartEnd(PartTail { records: 1, events: 2 }),
            BackupFrame::PartVoid,
            BackupFrame::Void(3),
            BackupFrame::End(4),
        ]
    }

    #[test]
    fn frames_are_read_back_however_the_stream_is_cut() {
        let stream: Vec<u8> = frames().iter().flat_map(|frame| frame.encode().to_vec()).collect();
        for step in [1, 3, stream.len()] {
            let (mut decoder, mut read) = (FrameDecoder::default(), Vec::new());
            for piece in stream.chunks(step) {
                decoder.push(piece);
                while let Some((frame, bytes)) = decoder.next_frame().expect("sound") {
                    assert_eq!(frame.encode(), bytes);
                    read.push(frame);
                }
            }
            assert_eq!(read, frames());
        }
        let mut rest = &stream[..];
        let mut read = Vec::new();
        while let Some(frame) = BackupFrame::read(&mut rest).expect("memory").expect("sound") {
            read.push(frame);
        }
        assert_eq!(read, frames());
    }

    #[test]
    fn a_flipped_bit_or_a_cut_is_found_and_a_wrong_length_takes_no_memory() {
        for frame in frames() {
            let whole = frame.encode();
            for bit in 0..whole.len() * 8 {
                let mut bytes = whole.to_vec();
                bytes[bit / 8] ^= 1 << (bit % 8);
                let read = BackupFrame::read(&mut &bytes[..]).expect("memory");
                assert!(read.is_err(), "bit {bit} of {frame:?}");
            }
            for end in 1..whole.len() {
                assert_eq!(BackupFrame::read(&mut &whole[..end]).expect("memory"), Err(BadFrame::Cut));
            }
        }
        let mut decoder = FrameDecoder::default();
        decoder.push(b"R\xff\xff\xff\xff");
        assert_eq!(decoder.next_frame(), Err(BadFrame::Length));
        assert_eq!(BackupFrame::read(&mut &b"R\x20\x00\x00\x00cut short"[..]).expect("memory"), Err(BadFrame::Cut));
    }
}
