//! A CloudEvent becomes an event of a topic: in binary mode (headers and data), in structured mode (JSON), or one of a batch.
//!
//! Its type is the event's name, unless the query has another; its data is the event's data; its `traceparent` is the
//! event's, and the other attributes are the event's metadata.

use std::{borrow::Cow, fmt, sync::Arc};

use bytes::Bytes;
use serde::{
    Deserialize, Deserializer,
    de::{Error as _, MapAccess, Visitor},
};
use serde_json::value::RawValue;

use super::{
    batch,
    envelope::{sized, text},
    json,
    options::PublishOptions,
};
use crate::{
    event::{Data, EventName, NewEvent, TraceParent, data::NotUtf8},
    http::{
        api::cloud_events::attributes::{
            AttributeError, CloudAttribute, CloudAttributes, HUB_ATTRIBUTES, MAX_ATTRIBUTES, check_name,
        },
        message::{
            media_type,
            problem::{Code, Problem},
        },
    },
};

/// Members of an event's JSON at most: its attributes, and its data in both forms.
const MAX_MEMBERS: usize = MAX_ATTRIBUTES + HUB_ATTRIBUTES + 2;

/// The event with these attributes and this data, which are bytes of the Content-Type that the attributes name.
pub(super) fn binary(data: Bytes, attributes: CloudAttributes, options: &PublishOptions) -> Result<NewEvent, Problem> {
    let data = of_type(data, attributes.content_type())?;
    event(attributes, data, options)
}

/// Parses an event in structured mode.
pub(super) fn structured(body: &[u8], options: &PublishOptions, event_bytes: usize) -> Result<NewEvent, Problem> {
    one(text(body)?, options, event_bytes)
}

/// Parses a batch. A topic that is to be closed is closed by the last of its events.
pub(super) fn batched(body: &[u8], options: &PublishOptions, event_bytes: usize) -> Result<Vec<NewEvent>, Problem> {
    let open = PublishOptions { close: false, ..options.clone() };
    let mut events = batch::parse(text(body)?, |item| one(item, &open, event_bytes))?;
    if options.close {
        batch::close_last(&mut events);
    }
    Ok(events)
}

fn one(text: &str, options: &PublishOptions, event_bytes: usize) -> Result<NewEvent, Problem> {
    let JsonMembers(members) = serde_json::from_str(text).map_err(|error| json::malformed(&error))?;
    let (mut sent, mut data, mut base64) = (Vec::new(), None, None);
    for (name, value) in members {
        let payload = match &*name {
            "data" => &mut data,
            "data_base64" => &mut base64,
            _ => {
                check_name(&name).map_err(|error| invalid(error.to_string()))?;
                if let Some(value) = attribute(&name, value)? {
                    sent.push((name.into_owned(), value));
                }
                continue;
            }
        };
        if payload.replace(value).is_some() {
            return Err(invalid(AttributeError::Twice(name.into_owned()).to_string()));
        }
    }
    let base64 = base64.filter(|value| value.get() != "null");
    let attributes = CloudAttributes::new(sent).map_err(|error| invalid(error.to_string()))?;
    let content_type = attributes.content_type();
    let data = match (data, base64) {
        (None, None) => Data::default(),
        (Some(value), None) if content_type.is_none_or(media_type::is_json) => {
            json::compact(value.get(), json::MAX_DEPTH_IN_BATCH)?.into()
        }
        (Some(value), None) if value.get() == "null" => Data::default(),
        (Some(value), None) if value.get().starts_with('"') => of_type(json::text(value.get())?.into(), content_type)?,
        (Some(_), None) => {
            return Err(invalid("'data' must be a string, because datacontenttype does not say JSON".into()));
        }
        (None, Some(value)) => {
            let bytes = json::base64(value).ok_or_else(|| {
                invalid("'data_base64' must be a string of base64, in the standard alphabet with its padding".into())
            })?;
            of_type(bytes.into(), content_type)?
        }
        (Some(_), Some(_)) => return Err(invalid("an event has 'data' or 'data_base64', not both".into())),
    };
    let data = sized(data, event_bytes)?;
    event(attributes, data, options)
}

/// The value of an attribute; `None` for null, which the specification takes for a missing one.
fn attribute(name: &str, value: &RawValue) -> Result<Option<CloudAttribute>, Problem> {
    match value.get() {
        "null" => return Ok(None),
        text if text.starts_with('"') => return Ok(Some(CloudAttribute::Text(json::text(text)?))),
        _ => {}
    }
    serde_json::from_str(value.get())
        .map(Some)
        .map_err(|_| invalid(format!("the attribute '{name}' must be a string, a Boolean or an integer of 32 bits")))
}

/// Bytes as the data of an event. JSON must be valid, because its readers are sent it as JSON. What is of a type of text is
/// text if it is UTF-8; data of any other type is binary, whatever its bytes are.
fn of_type(bytes: Bytes, content_type: Option<&str>) -> Result<Data, Problem> {
    let Some(content_type) = content_type else {
        let is_json = std::str::from_utf8(&bytes).is_ok_and(|text| json::check(text, json::MAX_DEPTH_IN_BATCH).is_ok());
        return Ok(if is_json || bytes.is_empty() { Data::any(bytes) } else { Data::binary(bytes) });
    };
    if media_type::is_json(content_type) {
        let text = std::str::from_utf8(&bytes).map_err(|error| NotUtf8(error.valid_up_to()))?;
        if !text.is_empty() {
            json::check(text, json::MAX_DEPTH_IN_BATCH)
                .map_err(|problem| problem.at("the data, which datacontenttype says is JSON"))?;
        }
        return Ok(Data::new(bytes)?);
    }
    let is_text = bytes.is_empty() || media_type::says_text(media_type::essence(content_type).as_bytes());
    Ok(if is_text { Data::any(bytes) } else { Data::binary(bytes) })
}

fn event(mut attributes: CloudAttributes, data: Data, options: &PublishOptions) -> Result<NewEvent, Problem> {
    let topic = options.topic.clone().expect("a CloudEvent without a topic was refused");
    let mut event = options.event(topic, data);
    if options.name.is_none() {
        let name = EventName::new(attributes.text("type").unwrap_or_default());
        event.name = name.map_err(|error| {
            Problem::from(error).at("the attribute 'type' becomes the event's name, unless the query has event=NAME")
        })?;
    }
    if let Some(parent) = attributes.take_text("traceparent").and_then(|text| TraceParent::parse(text.as_bytes())) {
        event.traceparent = Some(Arc::new(parent));
    }
    let metadata = attributes.metadata();
    event.metadata = Some(metadata.map_err(|error| Problem::new(Code::TooLarge, format!("the attributes: {error}")))?);
    Ok(event)
}

fn invalid(detail: String) -> Problem {
    Problem::new(Code::BodyInvalid, detail)
}

/// The members of an object, in their order.
struct JsonMembers<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de> Deserialize<'de> for JsonMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(input: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = JsonMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a CloudEvent, which is a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                    if members.len() > MAX_MEMBERS {
                        return Err(A::Error::custom(AttributeError::TooMany));
                    }
                }
                Ok(JsonMembers(members))
            }
        }
        input.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::http::api::publish::decode::{self, batch_shape::BatchShape};

    const STRUCTURED: (&str, &str) = ("content-type", "application/cloudevents+json; charset=UTF-8");
    const BATCHED: (&str, &str) = ("content-type", "application/cloudevents-batch+json");
    const TRACE: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    const REQUIRED: [(&str, &str); 4] =
        [("ce-specversion", "1.0"), ("ce-id", "1"), ("ce-source", "/s"), ("ce-type", "made")];

    fn read(target: &str, headers: &[(&str, &str)], body: &[u8]) -> Result<(Vec<NewEvent>, BatchShape), Problem> {
        decode::whole(Bytes::copy_from_slice(body), &PublishOptions::of(target, headers)?, 64)
    }

    fn in_json(more: &serde_json::Value) -> Result<NewEvent, Problem> {
        let mut event = json!({"specversion": "1.0", "id": "1", "source": "/s", "type": "made"});
        event.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        read("/publish?topic=t", &[STRUCTURED], event.to_string().as_bytes()).map(|(mut events, _)| events.remove(0))
    }

    fn in_headers(more: &[(&str, &str)], body: &[u8]) -> Result<NewEvent, Problem> {
        let headers = [&REQUIRED[..], more].concat();
        read("/publish?topic=t", &headers, body).map(|(mut events, _)| events.remove(0))
    }

    #[test]
    fn an_event_is_the_same_in_both_modes() {
        for (content_type, body, member) in [
            ("application/json", &b"{\"a\":1.0}"[..], json!({"data": {"a": 1.0}})),
            ("application/json", b"\"text\"", json!({"data": "text"})),
            ("application/json", b"", json!({})),
            ("application/json", b"7", json!({"data_base64": "Nw=="})),
            ("text/plain; charset=utf-8", "grüße".as_bytes(), json!({"data": "grüße"})),
            ("text/plain", b"abc", json!({"data_base64": "YWJj"})),
            ("text/plain", b"a\xff", json!({"data_base64": "Yf8="})),
            ("image/png", b"\xff\x00", json!({"data_base64": "/wA="})),
            ("image/png", b"abc", json!({"data_base64": "YWJj"})),
            ("image/png", b"abc", json!({"data": "abc"})),
            ("text/plain", b"", json!({"data": ""})),
            ("text/plain", b"", json!({"data": null})),
            ("text/plain", b"", json!({"data_base64": null})),
        ] {
            let mut more = member.clone();
            more["datacontenttype"] = content_type.into();
            more["time"] = "2026-11-27T20:52:26Z".into();
            more["traceparent"] = TRACE.into();
            let headers =
                [("content-type", content_type), ("ce-traceparent", TRACE), ("ce-time", "2026-11-27T20:52:26Z")];
            let (structured, binary) = (in_json(&more).expect("valid"), in_headers(&headers, body).expect("valid"));
            let sorted = |event: &NewEvent| {
                let attributes = CloudAttributes::read(event.metadata.as_ref()).expect("attributes");
                let list = attributes.iter().map(|(name, value)| (name.to_owned(), value.to_string()));
                list.collect::<std::collections::BTreeMap<_, _>>()
            };
            assert_eq!(sorted(&structured), sorted(&binary), "{member}");
            assert!(!sorted(&binary).contains_key("traceparent"));
            assert_eq!(
                NewEvent { metadata: None, ..structured },
                NewEvent { metadata: None, ..binary.clone() },
                "{member}"
            );
            assert_eq!(
                (binary.name.as_str(), binary.traceparent.map(|parent| parent.to_string())),
                ("made", Some(TRACE.into()))
            );
        }
    }

    #[test]
    fn without_a_type_data_is_json_or_bytes() {
        assert_eq!(in_json(&json!({"data": "x"})).expect("valid").data, Data::from("\"x\""));
        assert_eq!(in_headers(&[], b" 7").expect("valid").data, Data::from(" 7"));
        assert_eq!(in_headers(&[], b"x").expect("valid").data, Data::binary("x".into()));
        assert_eq!(in_headers(&[], b"").expect("valid").data, Data::default());
    }

    #[test]
    fn attributes_have_their_types_in_json_and_are_decoded_from_headers() {
        let event = in_json(&json!({"count": -5, "flag": true, "none": null, "own": "x"})).expect("valid");
        let attributes = CloudAttributes::read(event.metadata.as_ref()).expect("attributes");
        let list: Vec<_> = attributes.iter().map(|(name, value)| (name.to_owned(), value.clone())).collect();
        assert!(list.contains(&("count".into(), CloudAttribute::Integer(-5))));
        assert!(list.contains(&("flag".into(), CloudAttribute::Boolean(true))));
        assert_eq!(attributes.get("none"), None);
        let event = in_headers(&[("Ce-Subject", "Euro%20%E2%82%AC"), ("cookie", "x")], b"").expect("valid");
        assert_eq!(CloudAttributes::read(event.metadata.as_ref()).expect("attributes").text("subject"), Some("Euro €"));
    }

    #[test]
    fn attributes_and_levels_are_bounded_before_they_cost_anything() {
        let many = |count: usize| {
            let mut more = serde_json::Map::new();
            more.extend((0..count).map(|n| (format!("a{n}"), json!(1))));
            in_json(&more.into())
        };
        assert!(many(MAX_ATTRIBUTES - 4).is_ok());
        assert_eq!(many(MAX_ATTRIBUTES - 3).expect_err("too many").code, Code::BodyInvalid);
        let members: Vec<_> = (0..=MAX_MEMBERS).map(|n| format!("\"a{n}\":1,")).collect();
        let unended = format!("{{{}", members.concat());
        let refused = read("/publish?topic=t", &[STRUCTURED], unended.as_bytes()).expect_err("too many");
        assert!(refused.detail.contains("100 attributes"), "it is refused before the body ends: {refused}");
        let deep = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
        let structured = |levels| {
            let body =
                format!(r#"{{"specversion":"1.0","id":"1","source":"/s","type":"made","data":{}}}"#, deep(levels));
            read("/publish?topic=t", &[STRUCTURED], body.as_bytes())
        };
        let binary = |levels| in_headers(&[("content-type", "application/json")], deep(levels).as_bytes());
        let sized = |levels| deep(levels).len() <= 64;
        assert!(sized(20) && structured(20).is_ok() && binary(20).is_ok());
        for problem in [
            structured(json::MAX_DEPTH_IN_BATCH + 1).expect_err("too deep"),
            binary(json::MAX_DEPTH_IN_BATCH + 1).expect_err("too deep"),
        ] {
            assert!(problem.detail.contains("126 levels"), "{problem:?}");
        }
        assert!(binary(json::MAX_DEPTH_IN_BATCH).is_ok());
    }

    #[test]
    fn a_repetition_may_order_its_attributes_otherwise() {
        let all = [&REQUIRED[..], &[("ce-b", "2"), ("ce-a", "1")]].concat();
        let metadata = |order: &[usize]| {
            let headers: Vec<_> = order.iter().map(|at| all[*at]).collect();
            read("/publish?topic=t", &headers, b"").expect("valid").0.remove(0).metadata
        };
        assert_eq!(metadata(&[0, 1, 2, 3, 4, 5]), metadata(&[5, 3, 4, 2, 0, 1]));
    }

    #[test]
    fn the_query_names_the_event_and_closes_its_topic() {
        let (events, shape) = read("/publish?topic=t&event=message&close=true", &REQUIRED, b"").expect("valid");
        assert_eq!((events[0].name.is_default(), events[0].close, shape), (true, true, BatchShape::One));
        let one = r#"{"specversion":"1.0","id":"1","source":"/s","type":"made"}"#;
        let (events, shape) =
            read("/publish?topic=t&close=true", &[BATCHED], format!("[{one}, {one}]").as_bytes()).expect("valid");
        assert_eq!(shape, BatchShape::Many);
        assert_eq!(events.iter().map(|event| event.close).collect::<Vec<_>>(), [false, true]);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (more, code, hint) in [
            (json!({"id": 7}), Code::BodyInvalid, "'id'"),
            (json!({"data": {}, "datacontenttype": "text/plain"}), Code::BodyInvalid, "must be a string"),
            (json!({"data": 1, "data_base64": "YQ=="}), Code::BodyInvalid, "not both"),
            (json!({"data_base64": "YQ"}), Code::BodyInvalid, "base64"),
            (json!({"data_base64": 7}), Code::BodyInvalid, "base64"),
            (json!({"data_base64": "YQ=="}), Code::BodyInvalid, ""),
            (json!({"own": 1.5}), Code::BodyInvalid, "'own'"),
            (json!({"own": 2_147_483_648_u64}), Code::BodyInvalid, "'own'"),
            (json!({"own": {}}), Code::BodyInvalid, "'own'"),
            (json!({"Own": 1}), Code::BodyInvalid, "'Own'"),
            (json!({"type": "hub.gap"}), Code::BodyInvalid, "hub."),
            (json!({"Bad Name": null}), Code::BodyInvalid, "'Bad Name'"),
            (json!({"type": "x".repeat(256)}), Code::EventNameInvalid, "'type'"),
            (json!({"own": "x".repeat(17_000)}), Code::TooLarge, "attributes"),
            (json!({"data": "x".repeat(65)}), Code::TooLarge, "67 bytes"),
        ] {
            if more == json!({"data_base64": "YQ=="}) {
                assert!(in_json(&more).expect("bytes").data.is_binary());
                continue;
            }
            let problem = in_json(&more).expect_err("not valid");
            assert!(problem.code == code && problem.detail.contains(hint), "{more}: {problem:?}");
        }
        for (more, body, code, hint) in [
            (&[("ce-datacontenttype", "text/plain")][..], &b""[..], Code::HeaderInvalid, "Content-Type"),
            (&[("ce-id", "2")], b"", Code::HeaderInvalid, "twice"),
            (&[("ce-own", "%ff")], b"", Code::HeaderInvalid, "ce-own"),
            (&[("ce-my-own", "x")], b"", Code::HeaderInvalid, "'my-own'"),
            (&[("content-type", "json")], b"", Code::HeaderInvalid, "datacontenttype"),
            (&[("content-type", "application/json")], b"{", Code::BodyInvalid, "says is JSON"),
            (&[("content-type", "application/json")], b"\xff", Code::DataNotUtf8, "offset 0"),
        ] {
            let problem = in_headers(more, body).expect_err("not valid");
            assert!(problem.code == code && problem.detail.contains(hint), "{more:?}: {problem:?}");
        }
        for (target, headers, body, code, hint) in [
            ("/publish", &[STRUCTURED][..], "{}", Code::TopicInvalid, "?topic="),
            ("/publish", &REQUIRED, "", Code::TopicInvalid, "?topic="),
            ("/publish?topic=t", &[STRUCTURED], "[]", Code::BodyInvalid, "object"),
            ("/publish?topic=t", &[STRUCTURED], "{}", Code::BodyInvalid, "specversion"),
            ("/publish?topic=t", &[STRUCTURED], r#"{"data":1,"data":2}"#, Code::BodyInvalid, "twice"),
            ("/publish?topic=t", &[BATCHED], "{}", Code::BodyInvalid, "array"),
            ("/publish?topic=t", &[BATCHED], "[]", Code::BodyInvalid, "empty"),
            ("/publish?topic=t", &[BATCHED], "[{}]", Code::BodyInvalid, "[0]"),
            (
                "/publish?topic=t",
                &[("content-type", "application/cloudevents+avro")],
                "",
                Code::EventFormatUnsupported,
                "json",
            ),
            (
                "/publish?topic=t",
                &[("content-type", "application/cloudevents")],
                "",
                Code::EventFormatUnsupported,
                "json",
            ),
        ] {
            let problem = read(target, headers, body.as_bytes()).expect_err(body);
            assert!(problem.code == code && problem.detail.contains(hint), "{target} {body}: {problem:?}");
        }
    }
}
