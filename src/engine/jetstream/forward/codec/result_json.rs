//! Results as frames.

use std::{collections::HashMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    ForwardCodecError, Framed, frame, json, malformed,
    unit_json::{metadata_of, read_topic},
};
use crate::{
    engine::{
        AppendError, AppendResult, Receipt, TopicState,
        jetstream::{
            forward::{limits::MAX_EVENTS, unit::UnitResult},
            metadata_text::metadata_text,
        },
    },
    event::{Epoch, EventId, Millis, Retention, Seq},
};

/// A result as the leader sends it.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) enum ResultOrFeed {
    Known(UnitResult),
    /// It was refused as a whole.
    Refused(AppendError),
    /// The unit was executed, and its result is too large for a message: its events are in the feed, or it was refused.
    SeeFeed,
}

/// A result, with the unit's number in the session, and the position at which its effect is readable.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct FramedResult {
    pub(in super::super) number: u64,
    pub(in super::super) at: Seq,
    pub(in super::super) result: ResultOrFeed,
}

#[derive(Serialize, Deserialize)]
struct ResultJson {
    k: u64,
    at: u64,
    r: OutcomeJson,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum OutcomeJson {
    Append(ReceiptsJson),
    /// The receipts of the events that were appended, and the errors of the others, by index.
    Each {
        count: usize,
        receipts: ReceiptsJson,
        errors: Vec<(usize, ErrorJson)>,
    },
    State(StateJson),
    Done(bool),
    Refused(ErrorJson),
    SeeFeed,
}

/// Receipts, run-length encoded.
#[derive(Default, Serialize, Deserialize)]
struct ReceiptsJson {
    topics: Vec<String>,
    runs: Vec<RunJson>,
}

/// Index of the topic, epoch, first position, number of receipts with consecutive positions, time.
#[derive(Serialize, Deserialize)]
struct RunJson(usize, String, u64, usize, u64);

#[derive(Serialize, Deserialize)]
struct StateJson {
    topic: String,
    epoch: String,
    first: Option<u64>,
    last: Option<u64>,
    events: u64,
    bytes: u64,
    closed: bool,
    max_events: Option<u64>,
    max_age: Option<Duration>,
    max_bytes: Option<u64>,
    retry: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
}

/// An error: its kind, its text for a reader that does not know the kind, and the fields of the kinds.
#[derive(Default, Serialize, Deserialize)]
struct ErrorJson {
    kind: String,
    text: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    topic: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    own: Option<bool>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    wait: Option<Duration>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    bytes: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    max: Option<usize>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    metadata: Option<String>,
}

/// The frame of a result; of at most `max` bytes, or it says that it is too large.
pub(in super::super) fn write_result(number: u64, at: Seq, result: &UnitResult, max: usize) -> Vec<u8> {
    let outcome = match result {
        UnitResult::Append(Ok(receipts)) => OutcomeJson::Append(ReceiptsJson::of(receipts)),
        UnitResult::Each(Ok(results)) => OutcomeJson::Each {
            count: results.len(),
            receipts: ReceiptsJson::of(results.iter().flatten()),
            errors: results
                .iter()
                .enumerate()
                .filter_map(|(index, result)| Some((index, ErrorJson::of(result.as_ref().err()?))))
                .collect(),
        },
        UnitResult::Configure(Ok(state)) => OutcomeJson::State(StateJson::of(state)),
        UnitResult::Done(Ok(done)) => OutcomeJson::Done(*done),
        UnitResult::Append(Err(error))
        | UnitResult::Each(Err(error))
        | UnitResult::Configure(Err(error))
        | UnitResult::Done(Err(error)) => OutcomeJson::Refused(ErrorJson::of(error)),
    };
    let framed = frame(&ResultJson { k: number, at: at.0, r: outcome }, &[]);
    if framed.len() <= max {
        return framed;
    }
    frame(&ResultJson { k: number, at: at.0, r: OutcomeJson::SeeFeed }, &[])
}

/// The frame of a result that refuses a unit, whatever it is.
pub(in super::super) fn write_refusal(number: u64, at: Seq, error: &AppendError) -> Vec<u8> {
    frame(&ResultJson { k: number, at: at.0, r: OutcomeJson::Refused(ErrorJson::of(error)) }, &[])
}

pub(in super::super) fn read_result(framed: Framed<'_>) -> Result<FramedResult, ForwardCodecError> {
    let ResultJson { k, at, r } = json(framed.json)?;
    let known = match r {
        OutcomeJson::Append(receipts) => UnitResult::Append(Ok(receipts.read()?)),
        OutcomeJson::Each { count, receipts, errors } => UnitResult::Each(Ok(merge(count, receipts.read()?, errors)?)),
        OutcomeJson::State(state) => UnitResult::Configure(Ok(state.read()?)),
        OutcomeJson::Done(done) => UnitResult::Done(Ok(done)),
        OutcomeJson::Refused(error) => {
            return Ok(FramedResult { number: k, at: Seq(at), result: ResultOrFeed::Refused(error.read()) });
        }
        OutcomeJson::SeeFeed => return Ok(FramedResult { number: k, at: Seq(at), result: ResultOrFeed::SeeFeed }),
    };
    Ok(FramedResult { number: k, at: Seq(at), result: ResultOrFeed::Known(known) })
}

fn merge(
    count: usize,
    receipts: Vec<Receipt>,
    errors: Vec<(usize, ErrorJson)>,
) -> Result<Vec<AppendResult>, ForwardCodecError> {
    if count > MAX_EVENTS || receipts.len() + errors.len() != count {
        return Err(malformed("the number of results"));
    }
    let (mut receipts, mut errors) = (receipts.into_iter(), errors.into_iter().peekable());
    let result = |index| match errors.next_if(|(at, _)| *at == index) {
        Some((_, error)) => Ok(Err(error.read())),
        None => receipts.next().map(Ok).ok_or_else(|| malformed("the order of results")),
    };
    (0..count).map(result).collect()
}

impl ReceiptsJson {
    fn of<'a>(receipts: impl IntoIterator<Item = &'a Receipt>) -> Self {
        let (mut all, mut indices) = (Self::default(), HashMap::new());
        let mut end = None;
        for receipt in receipts {
            let topic = *indices.entry(&receipt.topic).or_insert_with(|| {
                all.topics.push(receipt.topic.to_string());
                all.topics.len() - 1
            });
            let next = (topic, receipt.epoch, receipt.seq, receipt.time);
            if let Some(run) = all.runs.last_mut().filter(|_| end == Some(next)) {
                run.3 += 1;
            } else {
                let epoch = receipt.epoch.as_str().to_owned();
                all.runs.push(RunJson(topic, epoch, receipt.seq.0, 1, receipt.time.0));
            }
            end = Some((topic, receipt.epoch, Seq(receipt.seq.0.saturating_add(1)), receipt.time));
        }
        all
    }

    fn read(self) -> Result<Vec<Receipt>, ForwardCodecError> {
        let topics = self.topics.iter().map(|topic| read_topic(topic)).collect::<Result<Vec<_>, _>>()?;
        let mut receipts = Vec::new();
        for RunJson(topic, epoch, first, count, time) in self.runs {
            let topic = topics.get(topic).ok_or_else(|| malformed("the topic of a receipt"))?;
            let epoch = Epoch::new(&epoch).ok_or_else(|| malformed("an epoch"))?;
            if count > MAX_EVENTS - receipts.len() || first.checked_add(count as u64).is_none() {
                return Err(malformed("the number of receipts"));
            }
            let receipt = |seq| Receipt { topic: topic.clone(), epoch, seq: Seq(seq), time: Millis(time) };
            receipts.extend((first..first + count as u64).map(receipt));
        }
        Ok(receipts)
    }
}

impl StateJson {
    fn of(state: &TopicState) -> Self {
        Self {
            topic: state.topic.to_string(),
            epoch: state.epoch.as_str().into(),
            first: state.first.map(|seq| seq.0),
            last: state.last.map(|seq| seq.0),
            events: state.events,
            bytes: state.bytes,
            closed: state.closed,
            max_events: state.retention.max_events,
            max_age: state.retention.max_age,
            max_bytes: state.retention.max_bytes,
            retry: state.retry,
            metadata: state.metadata.as_ref().map(metadata_text),
        }
    }

    fn read(self) -> Result<TopicState, ForwardCodecError> {
        Ok(TopicState {
            topic: read_topic(&self.topic)?,
            epoch: Epoch::new(&self.epoch).ok_or_else(|| malformed("an epoch"))?,
            first: self.first.map(Seq),
            last: self.last.map(Seq),
            events: self.events,
            bytes: self.bytes,
            closed: self.closed,
            retention: Retention { max_events: self.max_events, max_age: self.max_age, max_bytes: self.max_bytes },
            retry: self.retry,
            metadata: metadata_of(self.metadata.as_deref())?,
        })
    }
}

/// The limits that an engine may not support, by name.
const LIMITS: [&str; 3] = ["max_events", "max_age", "max_bytes"];

impl ErrorJson {
    fn of(error: &AppendError) -> Self {
        let base = |kind: &str| Self { kind: kind.into(), text: error.to_string(), ..Self::default() };
        match error {
            AppendError::Precondition { last } => Self { id: last.map(|id| id.to_string()), ..base("precondition") },
            AppendError::MetadataChanged { present } => {
                Self { metadata: present.as_ref().map(metadata_text), ..base("metadata_changed") }
            }
            AppendError::Closed { topic } => Self { topic: Some(topic.to_string()), ..base("closed") },
            AppendError::KeyReused => base("key_reused"),
            AppendError::KeysFull { own, wait } => Self { own: Some(*own), wait: Some(*wait), ..base("keys_full") },
            AppendError::KeyTooLarge => base("key_too_large"),
            AppendError::TooMany { max } => Self { max: Some(*max), ..base("too_many") },
            AppendError::TooLarge { bytes, max } => Self { bytes: Some(*bytes), max: Some(*max), ..base("too_large") },
            AppendError::LimitUnsupported { limit } => Self { text: (*limit).into(), ..base("limit_unsupported") },
            AppendError::Busy => base("busy"),
            AppendError::Full => base("full"),
            AppendError::NotNow { reason } => Self { text: reason.to_string(), ..base("not_now") },
            AppendError::Unavailable { reason } => Self { text: reason.to_string(), ..base("unavailable") },
        }
    }

    /// An error of an unknown kind refuses too, so nothing was written.
    fn read(self) -> AppendError {
        self.known().unwrap_or_else(|| AppendError::NotNow { reason: self.text.as_str().into() })
    }

    fn known(&self) -> Option<AppendError> {
        Some(match self.kind.as_str() {
            "precondition" => {
                let last = self.id.as_deref().map(EventId::parse);
                AppendError::Precondition { last: last.map_or(Some(None), |id| id.map(Some))? }
            }
            "metadata_changed" => AppendError::MetadataChanged { present: metadata_of(self.metadata.as_deref()).ok()? },
            "closed" => AppendError::Closed { topic: read_topic(self.topic.as_deref()?).ok()? },
            "key_reused" => AppendError::KeyReused,
            "keys_full" => AppendError::KeysFull { own: self.own?, wait: self.wait? },
            "key_too_large" => AppendError::KeyTooLarge,
            "too_many" => AppendError::TooMany { max: self.max? },
            "too_large" => AppendError::TooLarge { bytes: self.bytes?, max: self.max? },
            "limit_unsupported" => {
                AppendError::LimitUnsupported { limit: LIMITS.into_iter().find(|limit| *limit == self.text)? }
            }
            "busy" => AppendError::Busy,
            "full" => AppendError::Full,
            "unavailable" => AppendError::Unavailable { reason: self.text.as_str().into() },
            _ => return None,
        })
    }
}
