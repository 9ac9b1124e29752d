//! Parses envelopes: events that name their topic, `{"topic","data","encoding"?,"event"?,"retry"?,"close"?,"traceparent"?}`.
//!
//! Parsing is strict: an unknown or repeated field is refused, because an ignored typo in `retry` or `close` would be
//! noticed too late.

use std::{borrow::Cow, sync::Arc};

use serde::Deserialize;
use serde_json::value::RawValue;

use super::{batch, batch_shape::BatchShape, fast_path, interner::TopicInterner, json, options::PublishOptions};
use crate::{
    event::{Data, EventName, NewEvent, TopicName, TraceParent, data::NotUtf8, record::MAX_RETRY_MS},
    http::message::problem::{Code, Problem},
};

const NO_TOPIC: &str = "name the topic: POST /publish?topic=notices with the data as the body, or send a JSON envelope \
                        such as {\"topic\":\"notices\",\"data\":\"Backup done\"} or an array of them";

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct PublishEnvelope<'a> {
    #[serde(borrow)]
    topic: Option<JsonText<'a>>,
    data: &'a RawValue,
    #[serde(borrow)]
    encoding: Option<JsonText<'a>>,
    #[serde(borrow)]
    event: Option<JsonText<'a>>,
    retry: Option<u32>,
    close: Option<&'a RawValue>,
    #[serde(borrow)]
    traceparent: Option<JsonText<'a>>,
}

/// A string that is copied only when it has escapes. A type of its own, because serde copies a `Cow` inside an
/// `Option`.
#[derive(Deserialize)]
#[serde(transparent)]
struct JsonText<'a>(#[serde(borrow)] Cow<'a, str>);

/// Parses a JSON body: one envelope, or an array of them.
pub(super) fn parse(
    body: &[u8],
    options: &PublishOptions,
    event_bytes: usize,
) -> Result<(Vec<NewEvent>, BatchShape), Problem> {
    let text = text(body)?;
    match text.trim_ascii_start().bytes().next() {
        Some(b'{') => Ok((vec![one(text, options, &mut TopicInterner::default(), event_bytes)?], BatchShape::One)),
        Some(b'[') => {
            let (open, mut interner) = (PublishOptions { close: false, ..options.clone() }, TopicInterner::default());
            let mut events = batch::parse(text, |item| one(item, &open, &mut interner, event_bytes))?;
            if options.close {
                batch::close_last(&mut events);
            }
            Ok((events, BatchShape::Many))
        }
        _ => Err(Problem::new(Code::TopicInvalid, NO_TOPIC)),
    }
}

/// Parses one envelope.
pub(super) fn one(
    text: &str,
    options: &PublishOptions,
    interner: &mut TopicInterner,
    event_bytes: usize,
) -> Result<NewEvent, Problem> {
    if let Some((topic, data)) = fast_path::envelope(text.strip_suffix('\r').unwrap_or(text)) {
        return Ok(options.event(interner.topic(topic)?, sized(data.into(), event_bytes)?));
    }
    if !text.trim_ascii_start().starts_with('{') {
        return Err(Problem::new(Code::BodyInvalid, "an envelope is a JSON object: {\"topic\":…,\"data\":…}"));
    }
    let envelope: PublishEnvelope<'_> = serde_json::from_str(text).map_err(|error| json::malformed(&error))?;
    let topic = envelope.topic.ok_or_else(|| Problem::new(Code::TopicInvalid, NO_TOPIC))?;
    let data = match envelope.encoding {
        None => json::data(envelope.data)?,
        Some(JsonText(encoding)) => json::encoded(envelope.data, &encoding)?,
    };
    let mut event = options.event(interner.topic(&topic.0)?, sized(data, event_bytes)?);
    if let Some(JsonText(name)) = envelope.event {
        event.name = EventName::new(&name)?;
    }
    if let Some(ms) = envelope.retry {
        event.retry = Some(checked_retry(ms.into())?);
    }
    if let Some(parent) = envelope.traceparent.and_then(|JsonText(text)| TraceParent::parse(text.as_bytes())) {
        event.traceparent = Some(Arc::new(parent));
    }
    event.close = match envelope.close.map(RawValue::get) {
        None => event.close,
        Some("true" | "1") => true,
        Some("false" | "0") => false,
        Some(_) => return Err(Problem::new(Code::BodyInvalid, "'close' must be true or false")),
    };
    Ok(event)
}

/// Parses a line of bare JSON, for the query's topic.
pub(super) fn bare(
    text: &str,
    topic: &TopicName,
    options: &PublishOptions,
    event_bytes: usize,
) -> Result<NewEvent, Problem> {
    if let Some(data) = fast_path::string(text.strip_suffix('\r').unwrap_or(text)) {
        return Ok(options.event(topic.clone(), sized(data.into(), event_bytes)?));
    }
    let value: &RawValue = serde_json::from_str(text).map_err(|error| json::malformed(&error))?;
    Ok(options.event(topic.clone(), sized(json::data(value)?, event_bytes)?))
}

/// `bytes` as UTF-8.
pub(super) fn text(bytes: &[u8]) -> Result<&str, Problem> {
    std::str::from_utf8(bytes).map_err(|error| NotUtf8(error.valid_up_to()).into())
}

/// `data`, unless it is larger than an event may be.
pub(super) fn sized(data: Data, event_bytes: usize) -> Result<Data, Problem> {
    if data.len() > event_bytes {
        let detail = format!("the event has {} bytes of data; at most {event_bytes} are allowed", data.len());
        return Err(Problem::new(Code::TooLarge, detail));
    }
    Ok(data)
}

/// `ms`, unless it is longer than a reconnect delay may be.
pub(super) fn checked_retry(ms: u64) -> Result<u32, Problem> {
    let retry = u32::try_from(ms).ok().filter(|&ms| ms <= MAX_RETRY_MS);
    retry.ok_or_else(|| Problem::new(Code::BodyInvalid, format!("'retry' must be 0 to {MAX_RETRY_MS} milliseconds")))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::hub::publisher::MAX_EVENTS;

    fn read(body: &str) -> Result<(Vec<NewEvent>, BatchShape), Problem> {
        parse(body.as_bytes(), &PublishOptions::of("/publish", &[]).expect("valid"), 16)
    }

    fn refused(body: &str) -> (Code, String) {
        let problem = read(body).expect_err(body);
        (problem.code, problem.detail.into_owned())
    }

    #[test]
    fn an_envelope_has_every_field_of_an_event() {
        let (events, shape) =
            read(r#" {"topic":"a/b","data":"hi","event":"tick","retry":5,"close":true} "#).expect("valid");
        let want = NewEvent {
            name: EventName::new("tick").expect("valid"),
            retry: Some(5),
            close: true,
            ..NewEvent::new(TopicName::new("a/b").expect("valid"), "hi")
        };
        assert_eq!((events, shape), (vec![want], BatchShape::One));
    }

    #[test]
    fn a_list_of_one_is_a_list() {
        let (events, shape) = read(r#"[{"topic":"a","data":{"x": 1.0}}]"#).expect("valid");
        assert_eq!((&*events[0].data.text(), shape), ("{\"x\":1.0}", BatchShape::Many));
    }

    #[test]
    fn the_query_has_the_defaults_for_what_an_envelope_leaves_out() {
        let options = PublishOptions::of("/publish?event=e&retry=1&close=true", &[]).expect("valid");
        let body = br#"[{"topic":"a","data":1},{"topic":"b","data":2},{"topic":"a","data":3,"event":"f","retry":2}]"#;
        let (events, _) = parse(body, &options, 16).expect("valid");
        let seen: Vec<_> = events.iter().map(|event| (event.name.as_str(), event.retry, event.close)).collect();
        assert_eq!(seen, [("e", Some(1), false), ("e", Some(1), true), ("f", Some(2), true)]);
    }

    #[test]
    fn an_event_has_the_traceparent_of_its_envelope_or_else_of_the_request() {
        let [own, request] = ["1", "2"].map(|digit| format!("00-{}-00f067aa0ba902b7-01", digit.repeat(32)));
        let options = PublishOptions::of("/publish", &[("traceparent", &request)]).expect("valid");
        let body = json!([
            {"topic": "a", "data": 1},
            {"topic": "a", "data": "plain"},
            {"topic": "a", "data": 1, "traceparent": own},
            {"topic": "a", "data": 1, "traceparent": "00-invalid"},
            {"topic": "a", "data": 1, "traceparent": null},
        ]);
        let (events, _) = parse(body.to_string().as_bytes(), &options, 16).expect("valid");
        let seen = events.iter().map(|event| event.traceparent.as_ref().expect("one").to_string());
        assert_eq!(seen.collect::<Vec<_>>(), [&request, &request, &own, &request, &request].map(String::as_str));
    }

    #[test]
    fn a_malformed_envelope_is_refused_and_the_mistake_named() {
        for (body, code, hint) in [
            ("", Code::TopicInvalid, "?topic="),
            ("Backup done", Code::TopicInvalid, "?topic="),
            ("7", Code::TopicInvalid, "?topic="),
            (r#"{"data":1}"#, Code::TopicInvalid, "?topic="),
            ("[]", Code::BodyInvalid, "empty"),
            (r#"{"topic":"a"}"#, Code::BodyInvalid, "data"),
            (r#"{"topic":"a","data":1"#, Code::BodyInvalid, "EOF"),
            (r#"{"topic":"a","data":1}x"#, Code::BodyInvalid, "trailing"),
            (r#"[{"topic":"a","data":1}]]"#, Code::BodyInvalid, "trailing"),
            (r#"[{"topic":"a","data":1},]"#, Code::BodyInvalid, "trailing"),
            (r#"[["a","b"]]"#, Code::BodyInvalid, "[0]"),
            (r#"[{"topic":"a","data":1},7]"#, Code::BodyInvalid, "[1]"),
            (r#"[{"topic":"a","data":1},{"topic":"hub/x","data":1}]"#, Code::TopicInvalid, "[1]"),
            (r#"{"topic":"a","data":1,"retrty":5}"#, Code::BodyInvalid, "retrty"),
            (r#"{"topic":"a","topic":"b","data":1}"#, Code::BodyInvalid, "topic"),
            (r#"{"topic":"a","data":1,"data":2}"#, Code::BodyInvalid, "data"),
            (r#"{"topic":5,"data":1}"#, Code::BodyInvalid, "string"),
            (r#"{"topic":"a","data":1,"retry":1.5}"#, Code::BodyInvalid, "1.5"),
            (r#"{"topic":"a","data":1,"retry":-1}"#, Code::BodyInvalid, "-1"),
            (r#"{"topic":"a","data":1,"retry":86400001}"#, Code::BodyInvalid, "86400000"),
            (r#"{"topic":"a","data":1,"close":"true"}"#, Code::BodyInvalid, "close"),
            (r#"{"topic":"a","data":1,"traceparent":1}"#, Code::BodyInvalid, "string"),
            (r#"{"topic":"a","data":1,"event":"hub.gap"}"#, Code::EventNameInvalid, "hub."),
            (r#"{"topic":"a","data":"\ud800"}"#, Code::BodyInvalid, "surrogate"),
            (r#"{"topic":"a","data":"12345678901234567"}"#, Code::TooLarge, "17 bytes"),
        ] {
            let (got, detail) = refused(body);
            assert_eq!(got, code, "{body}: {detail}");
            assert!(detail.contains(hint), "{body}: {detail}");
        }
        for (data, encoding) in [
            (r#""YQ""#, r#""base64""#),
            (r#""YR==""#, r#""base64""#),
            (r#""_w==""#, r#""base64""#),
            (r#""YQ==\n""#, r#""base64""#),
            ("7", r#""base64""#),
            ("null", r#""base64""#),
            (r#""YQ==""#, r#""base64url""#),
            (r#""YQ==""#, r#""""#),
            (r#""YQ==""#, "7"),
        ] {
            let body = format!(r#"{{"topic":"t","data":{data},"encoding":{encoding}}}"#);
            assert_eq!(refused(&body).0, Code::BodyInvalid, "{body}");
        }
        let options = PublishOptions::of("/publish", &[]).expect("valid");
        let problem = parse(b"{\"topic\":\"\xff", &options, 16).expect_err("not UTF-8");
        assert_eq!((problem.code, problem.detail.contains("offset 10")), (Code::DataNotUtf8, true));
    }

    #[test]
    fn a_batch_of_too_many_events_is_refused() {
        let batch = |events: usize| format!("[{}]", vec![r#"{"topic":"a","data":1}"#; events].join(","));
        assert_eq!(read(&batch(MAX_EVENTS)).expect("valid").0.len(), MAX_EVENTS);
        assert_eq!(refused(&batch(MAX_EVENTS + 1)).0, Code::TooLarge);
    }

    proptest! {
        #[test]
        fn any_text_survives_its_envelope(text: String) {
            let options = PublishOptions::of("/publish", &[]).expect("valid");
            let body = json!({"topic": "t", "data": text}).to_string();
            let (events, _) = parse(body.as_bytes(), &options, usize::MAX).expect("valid");
            prop_assert_eq!(&*events[0].data.text(), text);
        }

        #[test]
        fn no_bytes_make_it_panic(body: Vec<u8>) {
            let _ = parse(&body, &PublishOptions::of("/publish", &[]).expect("valid"), 16);
        }

        #[test]
        fn nothing_like_json_makes_it_panic(body in r#"[\[\]{}"a:,\\u0d8 topicdata1.-]{0,60}"#) {
            let options = PublishOptions::of("/publish", &[]).expect("valid");
            let _ = parse(body.as_bytes(), &options, 16);
            let _ = bare(&body, &TopicName::new("t").expect("valid"), &options, 16);
        }
    }
}
