//! The paths of streams: `/v1/stream/NAME`, where NAME is that of a topic.

use http::{HeaderValue, Uri, header, request::Parts};
use percent_encoding::percent_decode_str;

use crate::{
    event::TopicName,
    http::{
        message::problem::{Code, Problem},
        net::peer::Peer,
    },
};

/// What all paths begin with.
pub const PREFIX: &str = "/v1/stream/";

/// The first segment of paths that the protocol keeps for subscriptions, which this hub does not have.
const RESERVED: &str = "__ds";

/// The topic of a path, or of a URL; `None` when it is no stream's.
///
/// # Errors
/// When the name breaks a rule for topics.
pub fn topic_of(path: &str) -> Result<Option<TopicName>, Problem> {
    let path = match path.parse::<Uri>() {
        Ok(uri) => uri.path().to_owned(),
        Err(_) => return Ok(None),
    };
    let Some(name) = path.strip_prefix(PREFIX).filter(|name| !name.is_empty()) else { return Ok(None) };
    let name = percent_decode_str(name).decode_utf8().map_err(|_| {
        Problem::new(Code::TopicInvalid, "the name of the stream is not UTF-8; encode it as encodeURIComponent does")
    })?;
    if name.split('/').next() == Some(RESERVED) {
        return Ok(None);
    }
    Ok(Some(TopicName::new(&name)?))
}

/// The URL of a request, for `Location`.
#[must_use]
pub fn location(head: &Parts) -> HeaderValue {
    let secure = head.extensions.get::<Peer>().is_some_and(|peer| peer.secure);
    let authority = head.uri.authority().map(http::uri::Authority::as_str);
    let host = authority.or_else(|| head.headers.get(header::HOST)?.to_str().ok());
    let path = head.uri.path();
    let url = host
        .map_or_else(|| path.to_owned(), |host| format!("{}://{host}{path}", if secure { "https" } else { "http" }));
    HeaderValue::try_from(url).unwrap_or(HeaderValue::from_static(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(path: &str) -> Option<String> {
        topic_of(path).expect("valid").map(|topic| topic.to_string())
    }

    #[test]
    fn a_name_is_decoded_once() {
        for (path, want) in [
            ("/v1/stream/a", Some("a")),
            ("/v1/stream/a/b", Some("a/b")),
            ("/v1/stream/a%2Fb", Some("a/b")),
            ("/v1/stream/a%252Fb", Some("a%2Fb")),
            ("https://hub.example/v1/stream/gr%C3%B6%C3%9Fe?x=1", Some("größe")),
            ("/v1/stream/", None),
            ("/v1/streams/a", None),
            ("/v1/stream/__ds/subscriptions", None),
            ("a", None),
        ] {
            assert_eq!(name(path).as_deref(), want, "{path}");
        }
    }

    #[test]
    fn a_name_that_no_topic_has_is_refused() {
        for path in ["/v1/stream/a//b", "/v1/stream/*", "/v1/stream/hub", "/v1/stream/%FF", "/v1/stream/a%00"] {
            assert_eq!(topic_of(path).expect_err(path).code, Code::TopicInvalid, "{path}");
        }
    }
}
