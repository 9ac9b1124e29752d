//! What the head of a publish says of CloudEvents: the mode, and in binary mode the attributes.

use http::{HeaderMap, HeaderName, header};

use super::body_format::BodyFormat;
use crate::http::{
    api::cloud_events::{
        BATCH_TYPE, EVENT_TYPE, TYPE_PREFIX,
        attributes::{CloudAttribute, CloudAttributes},
        header_value,
    },
    message::{
        headers::one,
        problem::{Code, Problem},
    },
};

/// The header by which a request is a CloudEvent in binary mode.
const SPEC_VERSION: HeaderName = HeaderName::from_static("ce-specversion");

/// The attribute that is a header of HTTP in binary mode.
const CONTENT_TYPE: &str = "datacontenttype";

/// The format of a request that is a CloudEvent; `None` for any other.
///
/// # Errors
/// For a format that is not read here, or without a topic.
pub(super) fn format(headers: &HeaderMap, essence: &[u8], has_topic: bool) -> Result<Option<BodyFormat>, Problem> {
    let begins =
        |prefix: &str| essence.get(..prefix.len()).is_some_and(|start| start.eq_ignore_ascii_case(prefix.as_bytes()));
    let format = if begins(TYPE_PREFIX) {
        if essence.eq_ignore_ascii_case(EVENT_TYPE.as_bytes()) {
            BodyFormat::CloudEvent
        } else if essence.eq_ignore_ascii_case(BATCH_TYPE.as_bytes()) {
            BodyFormat::CloudEventBatch
        } else {
            let detail = format!("of the formats of CloudEvents, {EVENT_TYPE} and {BATCH_TYPE} are read here");
            return Err(Problem::new(Code::EventFormatUnsupported, detail));
        }
    } else if headers.contains_key(SPEC_VERSION) {
        BodyFormat::CloudEventData
    } else {
        return Ok(None);
    };
    if has_topic {
        return Ok(Some(format));
    }
    let detail = "a CloudEvent does not name its topic; add it to the path: POST /publish?topic=orders";
    Err(Problem::new(Code::TopicInvalid, detail))
}

/// The attributes of an event in binary mode.
///
/// # Errors
/// What is wrong with them.
pub(super) fn attributes(headers: &HeaderMap) -> Result<CloudAttributes, Problem> {
    let refused = |detail| Problem::new(Code::HeaderInvalid, detail);
    let mut sent = Vec::new();
    for (name, value) in headers {
        let Some(name) = name.as_str().strip_prefix(header_value::PREFIX) else { continue };
        if name == CONTENT_TYPE {
            return Err(refused(
                "in binary mode the datacontenttype is the header Content-Type; leave out ce-datacontenttype".into(),
            ));
        }
        let text = match name {
            "source" | "dataschema" => header_value::uri(value),
            _ => header_value::text(value),
        };
        let text = text.ok_or_else(|| refused(format!("the header ce-{name} is not UTF-8 after percent-decoding")))?;
        sent.push((name.to_owned(), CloudAttribute::Text(text)));
    }
    if let Some(value) = one(headers, &header::CONTENT_TYPE)? {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        sent.push((CONTENT_TYPE.to_owned(), CloudAttribute::Text(text)));
    }
    CloudAttributes::new(sent).map_err(|error| refused(error.to_string()))
}
