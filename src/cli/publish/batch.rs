//! Lines as envelopes, and those that wait as one batch.
//!
//! A batch is all or nothing and has a key of its own, so it may be sent again until its answer is known.

use std::collections::VecDeque;

use bytes::{BufMut, Bytes, BytesMut};
use serde::{Deserialize, Serialize, de::IgnoredAny};
use serde_json::value::RawValue;

use super::input::InputLine;
use crate::cli::output::complain;

/// Lines of a batch at most, and bytes of its envelopes unless one has more by itself. A hub takes 100,000 events and 16 MiB
/// unless it is told otherwise; these are enough to share a flush, and small enough to wait little behind.
pub(super) const MAX_LINES: usize = 4096;
pub(super) const MAX_BYTES: usize = 1 << 20;

/// A line on its way: an envelope, or why it is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct BatchLine {
    /// Its number, from 1.
    pub(super) number: u64,
    pub(super) envelope: Result<Bytes, String>,
}

/// An event that names its topic. `id` and `time`, as `tail --json` prints them, are of another hub or another time.
#[derive(Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
struct EnvelopeLine<'a> {
    #[serde(borrow)]
    topic: &'a RawValue,
    data: &'a RawValue,
    #[serde(skip_serializing_if = "Option::is_none")]
    event: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    retry: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    close: Option<&'a RawValue>,
    #[serde(skip_serializing, default)]
    id: Option<IgnoredAny>,
    #[serde(skip_serializing, default, rename = "time")]
    _time: Option<IgnoredAny>,
}

impl EnvelopeLine<'_> {
    /// Whether it is what `tail --json` prints where its hub has taken an event back. That is no event of a publisher's, and no
    /// hub takes one of that name; nor is it bad input.
    fn is_removal(&self) -> bool {
        self.id.is_some() && self.event.is_some_and(|name| name.get() == "\"hub.removed\"")
    }
}

/// What makes envelopes of lines: the topic of all of them, or nothing when each names its own.
#[derive(Debug)]
pub(super) struct LineFormat(pub(super) Option<String>);

impl LineFormat {
    /// The next line as an item; `None` for one that is no event, as a blank one among envelopes, or a removal (which is told).
    pub(super) fn item(&self, number: u64, line: InputLine) -> Option<BatchLine> {
        #[derive(Serialize)]
        struct WrappedLine<'a> {
            topic: &'a str,
            data: &'a str,
        }
        let envelope = line.and_then(|line| {
            let json = match &self.0 {
                Some(topic) => serde_json::to_vec(&WrappedLine { topic, data: &line }),
                None if line.trim().is_empty() => return Ok(Bytes::new()),
                None => serde_json::from_str::<EnvelopeLine<'_>>(&line).and_then(|envelope| {
                    if envelope.is_removal() {
                        complain(format_args!(
                            "line {number}: passed over: hub.removed says that an event was taken back where this line comes \
                             from; what is here of it stays, until `gapless remove` takes it back"
                        ));
                        return Ok(Vec::new());
                    }
                    serde_json::to_vec(&envelope)
                }),
            };
            json.map(Bytes::from).map_err(|error| {
                format!("it is no envelope, {{\"topic\":…,\"data\":…}} with event, retry and close if need be: {error}")
            })
        });
        (envelope != Ok(Bytes::new())).then_some(BatchLine { number, envelope })
    }
}

/// The envelopes at the front of `waiting`, `most` at most, as long as they are good and fit.
pub(super) fn cut(waiting: &mut VecDeque<BatchLine>, most: usize) -> Vec<BatchLine> {
    let mut bytes = 0;
    let fits = |item: &&BatchLine| {
        bytes += item.envelope.as_ref().map_or(MAX_BYTES, Bytes::len);
        item.envelope.is_ok() && bytes <= MAX_BYTES
    };
    let count = waiting.iter().take(most.min(MAX_LINES)).take_while(fits).count().max(1);
    waiting.drain(..count.min(waiting.len())).collect()
}

/// The body of a publish of `batch`: a list, also of one.
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
        let item = form.item(1, Ok(line.into()))?;
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
        let all = r#" {"topic":"t","data":{"n": 1.50},"retry":5,"close":true} "#;
        let want = r#"{"topic":"t","data":{"n": 1.50},"retry":5,"close":true}"#;
        assert_eq!(item(&own, all).expect("an item").as_deref(), Ok(want));
        assert_eq!(item(&own, " \t"), None, "a blank line is no event");
        let removal = r#"{"topic":"t","id":"abcd-2","time":"x","event":"hub.removed","data":"{}"}"#;
        assert_eq!(item(&own, removal), None, "a removal that a tail prints is no event");
        item(&own, r#"{"topic":"t","event":"hub.removed","data":""}"#).expect("the hub's to refuse").expect("sound");
    }

    #[test]
    fn no_line_can_be_more_or_less_than_one_envelope() {
        let own = LineFormat(None);
        for line in
            ["x", r#"{"topic":"t"}"#, r#"{"topic":"t","data":1},{"topic":"t","data":2}"#, "]", r#"["t",1]"#, "1"]
        {
            let told = item(&own, line).expect("an item").expect_err(line);
            assert!(told.contains("no envelope"), "{told}");
        }
        let told = item(&own, r#"{"topic":"t","data":1,"closed":true}"#).expect("an item").expect_err("unknown");
        assert!(told.contains("closed"), "{told}");
    }

    #[test]
    fn a_batch_ends_before_a_bad_line_and_at_its_bounds() {
        let item = |number: u64, size: usize| BatchLine { number, envelope: Ok(vec![b'1'; size].into()) };
        let bad = BatchLine { number: 3, envelope: Err("bad".into()) };
        let mut waiting = VecDeque::from([item(1, 1), item(2, 1), bad.clone(), item(4, 2 * MAX_BYTES), item(5, 1)]);
        waiting.extend((6..10_000).map(|number| item(number, 1)));
        let mut batches = vec![cut(&mut waiting, MAX_LINES)];
        assert_eq!(body(&batches[0]), "[1,1]");
        batches.push(cut(&mut waiting, MAX_LINES));
        assert_eq!(batches[1], [bad]);
        assert_eq!(cut(&mut waiting, MAX_LINES).len(), 1, "one that is large goes by itself");
        assert_eq!(cut(&mut waiting, 7).len(), 7);
        assert_eq!(cut(&mut waiting, usize::MAX).len(), MAX_LINES);
    }
}
