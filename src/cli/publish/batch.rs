//! Lines as envelopes, and waiting lines as a batch.
//!
//! A batch is atomic and has its own Idempotency-Key, so it can be sent again until its outcome is known.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::{
    bounds::{MAX_BYTES, MAX_LINES},
    input::InputLine,
};
use crate::cli::{output::print_error, progress::beside};

/// A line that was read: an envelope, or why it is invalid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BatchLine {
    /// Its line number, from 1.
    pub(super) number: u64,
    /// Its bytes in the input.
    pub(super) length: u64,
    pub(super) envelope: Result<Bytes, String>,
}

/// An event with its topic. `id` and `time`, which `tail --json` prints, are ignored: the hub assigns new ones.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeLine<'a> {
    #[serde(borrow)]
    topic: &'a RawValue,
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    encoding: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    traceparent: Option<&'a RawValue>,
    #[serde(skip_serializing, default)]
    id: Option<IgnoredAny>,
    #[serde(skip_serializing, default, rename = "time")]
    _time: Option<IgnoredAny>,
}

impl EnvelopeLine<'_> {
    /// Whether it is the `hub.removed` that `tail --json` prints for a removed event. A hub does not accept events of
    /// that name, but the line is not bad input either, so it is skipped.
    fn is_removal(&self) -> bool {
        self.id.is_some() && self.event.is_some_and(|name| name.get() == "\"hub.removed\"")
    }
}

/// The format of lines: data for this topic, or with `None` envelopes that name their topics.
#[derive(Debug)]
pub(super) struct LineFormat(pub(super) Option<String>);

impl LineFormat {
    /// Converts a line. `None` for one that is not an event: a blank line among envelopes, or a removal (with a
    /// message).
    pub(super) fn convert(&self, number: u64, line: InputLine, place: impl FnOnce() -> String) -> Option<BatchLine> {
        #[derive(Serialize)]
        struct WrappedLine<'a> {
            topic: &'a str,
            data: &'a str,
        }
        let length = line.as_ref().map_or(0, |line| line.len() as u64 + 1);
        let envelope = line.and_then(|line| {
            let json = match &self.0 {
                Some(topic) => serde_json::to_vec(&WrappedLine { topic, data: &line }),
                None if line.trim().is_empty() => return Ok(Bytes::new()),
                None => serde_json::from_str::<EnvelopeLine<'_>>(&line).and_then(|envelope| {
                    if envelope.is_removal() {
                        let place = place();
                        beside(|| print_error(format_args!(
                            "{place}: skipped: hub.removed reports that an event was removed from the hub where this line comes \
                             from; a copy of it here stays until `gapless remove` removes it"
                        )));
                        return Ok(Vec::new());
                    }
                    serde_json::to_vec(&envelope)
                }),
            };
            json.map(Bytes::from).map_err(|error| {
                format!("it is not an envelope, {{\"topic\":…,\"data\":…}} with optional event, retry and close: {error}")
            })
        });
        (envelope != Ok(Bytes::new())).then_some(BatchLine { number, length, envelope })
    }
}

/// Takes the next batch from the front of `waiting`: at most `max_lines` valid envelopes within [`MAX_BYTES`], or one
/// line alone.
pub(super) fn take_batch(waiting: &mut VecDeque<BatchLine>, max_lines: usize) -> Vec<BatchLine> {
    let mut bytes = 0;
    let fits = |item: &&BatchLine| {
        bytes += item.envelope.as_ref().map_or(MAX_BYTES, Bytes::len);
        item.envelope.is_ok() && bytes <= MAX_BYTES
    };
    let count = waiting.iter().take(max_lines.min(MAX_LINES)).take_while(fits).count().max(1);
    waiting.drain(..count.min(waiting.len())).collect()
}

/// The request body for `batch`: a JSON array, also for a single event.
pub(super) fn body(batch: &[BatchLine]) -> Bytes {
    let envelopes = || batch.iter().filter_map(|item| item.envelope.as_ref().ok());
    let mut body = BytesMut::with_capacity(envelopes().map(|envelope| envelope.len() + 1).sum::<usize>() + 2);
    for (at, envelope) in envelopes().enumerate() {
        body.put_u8(if at == 0 { b'[' } else { b',' });
        body.put_slice(envelope);
    }
    body.put_u8(b']');
    body.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(form: &LineFormat, line: &str) -> Option<Result<String, String>> {
        let item = form.convert(1, Ok(line.into()), String::new)?;
        Some(item.envelope.map(|json| String::from_utf8(json.to_vec()).expect("UTF-8")))
    }

    #[test]
    fn a_line_is_the_data_of_an_envelope_or_an_envelope_itself() {
        let one = LineFormat(Some("a/b".into()));
        assert_eq!(item(&one, "x \"y\"").expect("an item").as_deref(), Ok(r#"{"topic":"a/b","data":"x \"y\""}"#));
        assert_eq!(item(&one, "").expect("an item").as_deref(), Ok(r#"{"topic":"a/b","data":""}"#));
        let own = LineFormat(None);
        let tailed = r#"{"topic":"t","id":"abcd-1","time":"x","event":"e","data":"d"}"#;
        assert_eq!(item(&own, tailed).expect("an item").as_deref(), Ok(r#"{"topic":"t","data":"d","event":"e"}"#));
        let binary =
            r#"{"topic":"t","id":"abcd-1","time":"x","event":"e","traceparent":"p","encoding":"base64","data":"/w=="}"#;
        let want = r#"{"topic":"t","data":"/w==","encoding":"base64","event":"e","traceparent":"p"}"#;
        assert_eq!(item(&own, binary).expect("an item").as_deref(), Ok(want));
        let all = r#" {"topic":"t","data":{"n": 1.50},"retry":5,"close":true} "#;
        let want = r#"{"topic":"t","data":{"n": 1.50},"retry":5,"close":true}"#;
        assert_eq!(item(&own, all).expect("an item").as_deref(), Ok(want));
        assert_eq!(item(&own, " \t"), None, "a blank line is skipped");
        let removal = r#"{"topic":"t","id":"abcd-2","time":"x","event":"hub.removed","data":"{}"}"#;
        assert_eq!(item(&own, removal), None, "a removal is skipped");
        item(&own, r#"{"topic":"t","event":"hub.removed","data":""}"#).expect("the hub refuses it").expect("sound");
    }

    #[test]
    fn each_line_is_exactly_one_envelope() {
        let own = LineFormat(None);
        for line in
            ["x", r#"{"topic":"t"}"#, r#"{"topic":"t","data":1},{"topic":"t","data":2}"#, "]", r#"["t",1]"#, "1"]
        {
            let error = item(&own, line).expect("an item").expect_err(line);
            assert!(error.contains("not an envelope"), "{error}");
        }
        let error = item(&own, r#"{"topic":"t","data":1,"closed":true}"#).expect("an item").expect_err("unknown");
        assert!(error.contains("closed"), "{error}");
    }

    #[test]
    fn a_batch_ends_before_a_bad_line_and_at_its_bounds() {
        let item = |number: u64, size: usize| BatchLine { number, length: 0, envelope: Ok(vec![b'1'; size].into()) };
        let bad = BatchLine { number: 3, length: 0, envelope: Err("bad".into()) };
        let mut waiting = VecDeque::from([item(1, 1), item(2, 1), bad.clone(), item(4, 2 * MAX_BYTES), item(5, 1)]);
        waiting.extend((6..10_000).map(|number| item(number, 1)));
        let mut batches = vec![take_batch(&mut waiting, MAX_LINES)];
        assert_eq!(body(&batches[0]), "[1,1]");
        batches.push(take_batch(&mut waiting, MAX_LINES));
        assert_eq!(batches[1], [bad]);
        assert_eq!(take_batch(&mut waiting, MAX_LINES).len(), 1, "a large one is sent alone");
        assert_eq!(take_batch(&mut waiting, 7).len(), 7);
        assert_eq!(take_batch(&mut waiting, usize::MAX).len(), MAX_LINES);
    }
}
