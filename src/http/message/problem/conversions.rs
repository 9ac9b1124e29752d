//! The problems that the errors of other modules are.

use std::{borrow::Cow, time::Duration};

use super::{Code, Extra, Problem};
use crate::{
    access::Refusal,
    engine::{AppendError, ReadError},
    event::{data::NotUtf8, record::NameError, topic::TopicError},
    quota::{Exceeded, memory::MemoryRefused},
};

impl From<AppendError> for Problem {
    fn from(error: AppendError) -> Self {
        let (code, detail): (Code, Cow<'static, str>) = match error {
            AppendError::Precondition { last } => {
                let detail = "the topic's last id does not match If-Match; read the events after yours and try again";
                return Self::precondition_failed(last, detail);
            }
            AppendError::MetadataChanged { .. } => {
                (Code::PreconditionFailed, "the topic was changed meanwhile; read its state and try again".into())
            }
            AppendError::Closed { topic } => (
                Code::TopicClosed,
                format!("topic {topic} is closed; reopen it with PUT {{\"closed\":false}} or use another").into(),
            ),
            AppendError::KeyReused => {
                (Code::IdempotencyConflict, "this Idempotency-Key was used for another request; use a fresh key".into())
            }
            AppendError::KeysFull { own, wait } => {
                let code = if own { Code::RateLimited } else { Code::OverCapacity };
                return Self { extra: Extra::RetryAfter(wait), ..Self::new(code, keys_full(own, wait)) };
            }
            AppendError::KeyTooLarge => (
                Code::TooLarge,
                "this batch names too many topics for its receipts to be remembered under one Idempotency-Key; split \
                 it, and give each part its own key"
                    .into(),
            ),
            AppendError::TooMany { max } => (
                Code::TooLarge,
                format!("this hub's engine commits at most {max} events at once; split the batch").into(),
            ),
            AppendError::TooLarge { bytes, max } => (
                Code::TooLarge,
                format!("this append takes {bytes} bytes in the engine, which writes at most {max} at once; split it")
                    .into(),
            ),
            AppendError::LimitUnsupported { limit } => {
                (Code::BodyInvalid, format!("this hub's engine cannot limit a topic by '{limit}'; leave it out").into())
            }
            AppendError::Busy => (Code::OverCapacity, "the write queue is full; try again in a moment".into()),
            AppendError::Full => (
                Code::StorageFull,
                "the store is full, so nothing is accepted until space is freed; what was accepted before is safe"
                    .into(),
            ),
            AppendError::NotNow { reason } => (
                Code::StoreUnavailable,
                format!("the store cannot be used now: {reason}; nothing was written, try again").into(),
            ),
            AppendError::Unavailable { reason } => (
                Code::StoreUnavailable,
                format!("it is not known whether this was written: {reason}; repeat it with the same Idempotency-Key")
                    .into(),
            ),
        };
        Self::new(code, detail)
    }
}

fn keys_full(own: bool, wait: Duration) -> String {
    let whose = if own { "this client has used" } else { "all clients together have used" };
    format!(
        "{whose} as many Idempotency-Keys as the hub remembers at a time; the oldest expires in {} s: try again then, \
         or publish more events under one key",
        wait.as_millis().div_ceil(1000)
    )
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Self {
        Self::new(Code::StoreUnavailable, error.to_string())
    }
}

impl From<TopicError> for Problem {
    fn from(error: TopicError) -> Self {
        Self::new(Code::TopicInvalid, error.to_string())
    }
}

impl From<NameError> for Problem {
    fn from(error: NameError) -> Self {
        Self::new(Code::EventNameInvalid, error.to_string())
    }
}

impl From<NotUtf8> for Problem {
    fn from(error: NotUtf8) -> Self {
        let hint = "name the type of binary data, as in Content-Type: application/octet-stream, or send it in a JSON envelope as \
                    base64 with \"encoding\":\"base64\"";
        Self::new(Code::DataNotUtf8, format!("{error}; {hint}"))
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        if refusal.is_transient() { Self::new(Code::KeysUnavailable, detail) } else { Self::unauthorized(detail) }
    }
}

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        Self::rate_limited(exceeded.wait, exceeded.to_string())
    }
}

impl From<MemoryRefused> for Problem {
    fn from(refused: MemoryRefused) -> Self {
        let code = match refused {
            MemoryRefused::Exhausted { .. } => Code::OverCapacity,
            MemoryRefused::TooLarge { .. } => Code::TooLarge,
        };
        Self::new(code, refused.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::EventId;

    #[test]
    fn memory_that_is_in_use_is_worth_a_retry_and_a_batch_larger_than_all_memory_is_not() {
        let code = |refused: MemoryRefused| Problem::from(refused).code;
        assert_eq!(code(MemoryRefused::TooLarge { size: 9, total: 8 }), Code::TooLarge);
        let exhausted = MemoryRefused::Exhausted { used: 8, total: 8, whose: "this address", held: 8 };
        assert_eq!(code(exhausted), Code::OverCapacity);
    }

    #[test]
    fn a_failed_precondition_carries_the_last_id_even_when_there_is_none() {
        let shown = |error: AppendError| serde_json::to_value(Problem::from(error)).expect("JSON");
        let last = EventId::parse("abcd-7");
        assert_eq!(shown(AppendError::Precondition { last })["last_id"], "abcd-7");
        assert_eq!(shown(AppendError::Precondition { last: None }).get("last_id"), Some(&serde_json::Value::Null));
        assert_eq!(shown(AppendError::KeyReused).get("last_id"), None);
    }
}
