//! Parses the options of a publish request, all but its events: the format of the body, defaults, condition and key.

use std::sync::Arc;

use http::{HeaderMap, HeaderName, header, request::Parts};

use super::{body_format::BodyFormat, cloud_event_head, interner::TopicInterner};
use crate::{
    engine::ExpectedLast,
    event::{Data, EventId, EventName, NewEvent, TopicName, TraceParent, record::MAX_RETRY_MS},
    http::{
        api::{cloud_events::attributes::CloudAttributes, keys},
        message::{
            headers, media_type,
            problem::{Code, Problem},
            query::Query,
            trace_context,
        },
    },
};

/// Longest `Idempotency-Key`, in bytes: room for any UUID, ULID or hash in text, with a prefix.
const MAX_KEY_BYTES: usize = 255;

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The options of a publish request.
#[derive(Debug, Clone)]
pub(in crate::http::api::publish) struct PublishOptions {
    pub(in crate::http::api::publish) format: BodyFormat,
    /// Whether the body may be binary data, which its type says.
    pub(in crate::http::api::publish) binary: bool,
    /// The topic in the query.
    pub(in crate::http::api::publish) topic: Option<TopicName>,
    /// The name in the query.
    pub(in crate::http::api::publish) name: Option<EventName>,
    pub(in crate::http::api::publish) retry: Option<u32>,
    pub(in crate::http::api::publish) close: bool,
    /// Whether the answer has receipts.
    pub(in crate::http::api::publish) receipts: bool,
    pub(in crate::http::api::publish) expect: Option<ExpectedLast>,
    pub(in crate::http::api::publish) key: Option<String>,
    /// The header `traceparent`; invalid ones are ignored, as its standard says.
    pub(in crate::http::api::publish) traceparent: Option<Arc<TraceParent>>,
    /// The attributes in the headers of a CloudEvent.
    pub(in crate::http::api::publish) attributes: Option<CloudAttributes>,
}

impl PublishOptions {
    pub(in crate::http::api::publish) fn new(head: &Parts, interner: &mut TopicInterner) -> Result<Self, Problem> {
        let query = Query::new(head.uri.query());
        keys::PUBLISH.check(&query)?;
        let topic = query.one("topic")?.map(|text| interner.topic(text)).transpose()?;
        let retry = query.number("retry", 0, MAX_RETRY_MS.into())?;
        let essence = media_type::of_request(&head.headers);
        let format = format(&head.headers, essence, topic.is_some())?;
        let attributes = match format {
            BodyFormat::CloudEventData => Some(cloud_event_head::attributes(&head.headers)?),
            _ => None,
        };
        let options = Self {
            format,
            binary: !media_type::says_text(essence),
            topic,
            name: query.one("event")?.map(EventName::new).transpose()?,
            retry: retry.map(|ms| u32::try_from(ms).expect("at most MAX_RETRY_MS")),
            close: query.flag("close")?,
            receipts: receipts(query.one("receipt")?)?,
            expect: expect(&head.headers)?,
            key: key(&head.headers)?,
            traceparent: trace_context::of(&head.headers).map(Arc::new),
            attributes,
        };
        if options.format.is_stream() {
            options.check_stream()?;
        }
        Ok(options)
    }

    /// An event with the defaults of the query and the headers.
    pub(in crate::http::api::publish) fn event(&self, topic: TopicName, data: Data) -> NewEvent {
        NewEvent {
            topic,
            name: self.name.clone().unwrap_or_default(),
            data,
            retry: self.retry,
            close: self.close,
            of_run: false,
            traceparent: self.traceparent.clone(),
            metadata: None,
        }
    }

    /// Refuses the options that concern one commit: a stream makes many.
    fn check_stream(&self) -> Result<(), Problem> {
        if self.key.is_some() {
            let detail = "an Idempotency-Key identifies one commit, and a stream makes many; publish a batch instead";
            return Err(bad_header(detail));
        }
        if self.expect.is_some() {
            return Err(bad_header("If-Match guards one commit, and a stream makes many; publish a batch instead"));
        }
        if !self.receipts {
            let detail = "the receipts of a stream are its answer; receipt=none is for one event or a batch";
            return Err(Problem::new(Code::QueryInvalid, detail));
        }
        if self.topic.is_none() && self.format == BodyFormat::EventStream {
            let detail = "an event stream does not name its topic; add ?topic= to the path";
            return Err(Problem::new(Code::TopicInvalid, detail));
        }
        if self.topic.is_none() && self.close {
            let detail = "close=true with a stream needs ?topic=; or set \"close\":true in the topic's last envelope";
            return Err(Problem::new(Code::QueryInvalid, detail));
        }
        Ok(())
    }
}

/// The format that follows from the Content-Type and the topic. With a topic in the query everything but the two stream
/// formats is data, including JSON; without one only JSON can name the topic. A multipart form is refused, because its
/// sender (`curl -F`, a page's `FormData`) means the fields and not the boundaries around them.
fn format(headers: &HeaderMap, essence: &[u8], has_topic: bool) -> Result<BodyFormat, Problem> {
    headers::uncompressed(headers)?;
    if let Some(format) = cloud_event_head::format(headers, essence, has_topic)? {
        return Ok(format);
    }
    Ok(if essence.eq_ignore_ascii_case(b"application/x-ndjson") {
        BodyFormat::Lines
    } else if essence.eq_ignore_ascii_case(b"text/event-stream") {
        BodyFormat::EventStream
    } else if essence.eq_ignore_ascii_case(b"multipart/form-data") {
        let detail = "the body is a form (multipart/form-data), as curl -F and FormData make it; send the data itself: \
                      curl -d TEXT, or curl --data-binary @FILE";
        return Err(Problem::new(Code::BodyInvalid, detail));
    } else if has_topic {
        BodyFormat::Raw
    } else {
        BodyFormat::Json
    })
}

/// `receipt=none`.
fn receipts(text: Option<&str>) -> Result<bool, Problem> {
    match text {
        None | Some("") => Ok(true),
        Some("none") => Ok(false),
        Some(_) => Err(Problem::new(Code::QueryInvalid, "'receipt' must be none, or left out")),
    }
}

/// `If-Match: "<id>"` or `"none"`.
fn expect(headers: &HeaderMap) -> Result<Option<ExpectedLast>, Problem> {
    let Some(value) = headers::one(headers, &header::IF_MATCH)? else { return Ok(None) };
    let tag = value.to_str().ok().and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
    let expect = match tag {
        Some("none") => Some(ExpectedLast::Empty),
        Some(text) => EventId::parse(text).map(ExpectedLast::Last),
        None => None,
    };
    let detail = "If-Match must be one id in double quotes, as in If-Match: \"0a1b2c3d-7\", or \"none\" in double \
                  quotes for a topic that has no event yet";
    expect.map(Some).ok_or_else(|| bad_header(detail))
}

/// `Idempotency-Key: K` or, as draft-ietf-httpapi-idempotency-key-header-07 writes it, `"K"`: the same key.
fn key(headers: &HeaderMap) -> Result<Option<String>, Problem> {
    let Some(value) = headers::one(headers, &KEY)? else { return Ok(None) };
    let text = value.to_str().unwrap_or_default();
    let text = text.strip_prefix('"').and_then(|text| text.strip_suffix('"')).unwrap_or(text);
    let valid = (1..=MAX_KEY_BYTES).contains(&text.len()) && text.bytes().all(|b| matches!(b, b' '..=b'~'));
    let detail = "an Idempotency-Key has 1 to 255 ASCII characters and no control characters; a UUID is one";
    if valid { Ok(Some(text.into())) } else { Err(bad_header(detail)) }
}

fn bad_header(detail: &'static str) -> Problem {
    Problem::new(Code::HeaderInvalid, detail)
}

#[cfg(test)]
impl PublishOptions {
    /// The options of `POST target` with these headers.
    pub(in crate::http::api::publish) fn of(target: &str, headers: &[(&str, &str)]) -> Result<Self, Problem> {
        let mut request = http::Request::post(target);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        Self::new(&request.body(()).expect("valid").into_parts().0, &mut TopicInterner::default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(target: &str, headers: &[(&str, &str)]) -> Result<PublishOptions, Problem> {
        PublishOptions::of(target, headers)
    }

    fn refused(target: &str, headers: &[(&str, &str)]) -> Code {
        options(target, headers).expect_err(target).code
    }

    #[test]
    fn the_format_follows_from_topic_and_content_type() {
        for (target, content_type, want) in [
            ("/publish?topic=t", "text/plain", BodyFormat::Raw),
            ("/publish?topic=t", "application/json", BodyFormat::Raw),
            ("/publish?topic=t", "complete junk", BodyFormat::Raw),
            ("/publish", "application/json; charset=utf-8", BodyFormat::Json),
            ("/publish", "application/x-www-form-urlencoded", BodyFormat::Json),
            ("/publish", "Application/X-NDJSON ; charset=utf-8", BodyFormat::Lines),
            ("/publish?topic=t", "application/x-ndjson", BodyFormat::Lines),
            ("/publish?topic=t", "text/event-stream;charset=utf-8", BodyFormat::EventStream),
        ] {
            let got = options(target, &[("content-type", content_type)]).expect(content_type);
            assert_eq!(got.format, want, "{target} {content_type}");
        }
        assert_eq!(options("/publish?topic=t", &[]).expect("valid").format, BodyFormat::Raw);
    }

    #[test]
    fn the_query_is_parsed_strictly() {
        let got = options("/publish?topic=a%2Fb&event=message&retry=0&close=1&_=17", &[]).expect("valid");
        assert_eq!((got.topic.expect("given").as_str(), got.retry, got.close), ("a/b", Some(0), true));
        assert!(got.name.expect("given").is_default());
        for (query, code) in [
            ("topic=a&topic=b", Code::QueryInvalid),
            ("topic=", Code::TopicInvalid),
            ("topic=a*", Code::TopicInvalid),
            ("topic=a&event=hub.x", Code::EventNameInvalid),
            ("topic=a&event=%0Aid:1", Code::EventNameInvalid),
            ("topic=a&retry=1.5", Code::QueryInvalid),
            ("topic=a&retry=86400001", Code::QueryInvalid),
            ("topic=a&close=yes", Code::QueryInvalid),
            ("topic=a&receipt=no", Code::QueryInvalid),
        ] {
            assert_eq!(refused(&format!("/publish?{query}"), &[]), code, "{query}");
        }
    }

    #[test]
    fn a_condition_is_one_quoted_id_or_none() {
        let expect = |text| options("/publish?topic=t", &[("if-match", text)]).map(|options| options.expect);
        assert_eq!(expect("\"none\""), Ok(Some(ExpectedLast::Empty)));
        assert_eq!(expect("\"abcd-7\""), Ok(EventId::parse("abcd-7").map(ExpectedLast::Last)));
        for text in ["*", "W/\"abcd-7\"", "abcd-7", "none", "\"\"", "\"", "\"junk\"", "\"abcd-7\", \"abcd-8\""] {
            assert_eq!(expect(text).expect_err(text).code, Code::HeaderInvalid, "{text}");
        }
    }

    #[test]
    fn a_key_is_bounded_and_is_the_same_with_quotes() {
        let key = |text: &str| options("/publish?topic=t", &[("idempotency-key", text)]).map(|options| options.key);
        assert_eq!(key("k 1"), Ok(Some("k 1".into())));
        assert_eq!(key("\"k 1\""), key("k 1"));
        assert!(key(&"k".repeat(255)).is_ok());
        for text in ["", "\"\"", "a\tb", &"k".repeat(256)] {
            assert_eq!(key(text).expect_err(text).code, Code::HeaderInvalid, "{text}");
        }
        let twice = [("idempotency-key", "a"), ("idempotency-key", "a")];
        assert_eq!(refused("/publish?topic=t", &twice), Code::HeaderInvalid);
    }

    #[test]
    fn options_of_one_commit_are_refused_on_a_stream() {
        let lines = ("content-type", "application/x-ndjson");
        assert_eq!(refused("/publish", &[lines, ("idempotency-key", "k")]), Code::HeaderInvalid);
        assert_eq!(refused("/publish", &[lines, ("if-match", "\"none\"")]), Code::HeaderInvalid);
        assert_eq!(refused("/publish?close=true", &[lines]), Code::QueryInvalid);
        assert_eq!(refused("/publish?receipt=none", &[lines]), Code::QueryInvalid);
        assert_eq!(refused("/publish", &[("content-type", "text/event-stream")]), Code::TopicInvalid);
    }

    #[test]
    fn a_compressed_body_is_refused() {
        assert_eq!(refused("/publish?topic=t", &[("content-encoding", "gzip")]), Code::EncodingUnsupported);
        assert!(options("/publish?topic=t", &[("content-encoding", "identity")]).is_ok());
    }
}
