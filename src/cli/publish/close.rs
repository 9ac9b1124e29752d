//! Closing a topic after its last line.

use bytes::Bytes;
use gapless_client::connection::HubRequest;
use hyper::{
    Method,
    header::{self, HeaderMap, HeaderValue},
};
use percent_encoding::{AsciiSet, CONTROLS, utf8_percent_encode};

/// The body of the request.
pub(in crate::cli) const BODY: Bytes = Bytes::from_static(br#"{"closed":true}"#);

/// The target of the request.
pub(in crate::cli) fn target(topic: &str) -> String {
    format!("/topics/{}", utf8_percent_encode(topic, IN_PATH))
}

/// The request that closes the topic without an event.
pub(super) fn request(topic: &str) -> HubRequest {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT, HeaderValue::from_static("application/json"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    HubRequest { method: Method::PUT, target: target(topic), headers, body: BODY }
}

/// Characters that are encoded in a path: the WHATWG URL path percent-encode set, and `%`.
const IN_PATH: &AsciiSet = &CONTROLS
    .add(b' ')
    .add(b'"')
    .add(b'#')
    .add(b'<')
    .add(b'>')
    .add(b'?')
    .add(b'^')
    .add(b'`')
    .add(b'{')
    .add(b'}')
    .add(b'%');
