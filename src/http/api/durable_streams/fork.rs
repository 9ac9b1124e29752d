//! Forks: streams that begin with a part of another one. Nothing is copied: a fork reads its source up to a position, and
//! then its own events, all of which are after it.

use std::{ops::ControlFlow, rc::Rc};

use http::HeaderMap;

use super::{
    chain::{self, MAX_DEPTH},
    content_type::DataFormat,
    headers,
    offset::ReadOffset,
    paths,
    refusal::StreamRefusal,
    state::{DurableStreams, FoundStream, StreamSnapshot},
};
use crate::{
    event::{Data, Epoch, NewEvent, Seq, TopicName},
    http::{
        api::stream::shard::StreamShard,
        message::{
            headers::one,
            problem::{Code, Problem},
        },
    },
};

/// What a request for a fork asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForkOptions {
    /// The topic of the source.
    pub source: TopicName,
    /// Where in the source it begins; `None` for its end.
    pub offset: Option<Seq>,
    /// Bytes, or messages of JSON, after that.
    pub sub_offset: u64,
}

/// A fork that can be made.
pub struct Fork {
    /// The source.
    pub source: StreamSnapshot,
    /// The last position that is read from it.
    pub through: Seq,
    /// The fork's own first events: a part of an event of the source.
    pub prefix: Vec<NewEvent>,
}

impl ForkOptions {
    /// What a request asks for; `None` when it is for no fork.
    ///
    /// # Errors
    /// When a header is not valid.
    pub fn of_request(request: &HeaderMap, epoch: Epoch) -> Result<Option<Self>, Problem> {
        let invalid = |detail: &'static str| Err(Problem::new(Code::HeaderInvalid, detail));
        let text = |name| Ok::<_, Problem>(one(request, &name)?.map(|value| value.to_str().unwrap_or_default()));
        let (source, offset) = (text(headers::FORKED_FROM)?, text(headers::FORK_OFFSET)?);
        let sub_offset = text(headers::FORK_SUB_OFFSET)?;
        let Some(source) = source else {
            return match (offset, sub_offset) {
                (None, None) => Ok(None),
                _ => invalid("Stream-Fork-Offset and Stream-Fork-Sub-Offset need Stream-Forked-From"),
            };
        };
        let source = paths::topic_of(source)
            .map_err(|problem| problem.at("Stream-Forked-From"))?
            .ok_or_else(|| Problem::new(Code::HeaderInvalid, "Stream-Forked-From must be the path of a stream"))?;
        let sub_offset = match sub_offset {
            None => 0,
            Some(text) if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) => {
                text.parse().unwrap_or(u64::MAX)
            }
            Some(_) => return invalid("Stream-Fork-Sub-Offset must be a whole number"),
        };
        let offset = match offset {
            None => None,
            Some(text) => match ReadOffset::parse(text, epoch) {
                // One of another store is above any end, and is refused as such.
                Some(ReadOffset::Foreign(_)) => Some(Seq(u64::MAX)),
                Some(offset) => offset.seq(),
                None => return invalid("Stream-Fork-Offset must be an offset of the source"),
            },
        };
        if sub_offset > 0 && offset.is_none() {
            return invalid("Stream-Fork-Sub-Offset needs Stream-Fork-Offset");
        }
        Ok(Some(Self { source, offset, sub_offset }))
    }
}

/// Finds the source of a fork, and where the fork begins.
///
/// # Errors
/// When there is no such source, or no such place in it.
pub async fn resolve(
    streams: &DurableStreams,
    shard: &Rc<StreamShard>,
    asked: &ForkOptions,
) -> Result<Fork, StreamRefusal> {
    let source = match streams.find(&asked.source) {
        FoundStream::Open(source) => source,
        FoundStream::Deleted(_) => {
            return Err(Problem::new(Code::StreamExists, "the source was deleted; it takes no more forks").into());
        }
        FoundStream::Missing => return Err(StreamRefusal::missing()),
    };
    // The source's own part is one of them.
    if chain::runs(streams, &source)?.len() > MAX_DEPTH {
        let detail = format!("the source is the {MAX_DEPTH}th in a line of forks; fork one of its sources");
        return Err(Problem::new(Code::HeaderInvalid, detail).into());
    }
    let beyond = |detail: &'static str| Err(Problem::new(Code::HeaderInvalid, detail).into());
    let anchor = asked.offset.unwrap_or(source.tail.seq);
    if anchor > source.tail.seq {
        return beyond("Stream-Fork-Offset is beyond the end of the source");
    }
    if asked.sub_offset == 0 {
        return Ok(Fork { source, through: anchor, prefix: Vec::new() });
    }
    let (is_json, mut left) = (source.format() == DataFormat::Json, asked.sub_offset);
    let (mut through, mut prefix) = (anchor, Vec::new());
    chain::each_event(streams, shard, &source, anchor, |event| {
        let data = event.new.data.bytes();
        let length = if is_json { 1 } else { data.len() as u64 };
        if left < length {
            let part = data.slice(..usize::try_from(left).expect("less than the data"));
            prefix.push(NewEvent::new(source.topic.clone(), Data::any(part)));
        } else {
            through = event.seq;
        }
        left = left.saturating_sub(length);
        // Bytes are counted within one append, messages over all of them.
        if left > 0 && is_json { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
    })
    .await?;
    if left > 0 {
        return beyond("Stream-Fork-Sub-Offset is beyond the append that follows Stream-Fork-Offset");
    }
    Ok(Fork { source, through, prefix })
}
