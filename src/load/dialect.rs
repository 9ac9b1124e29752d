//! The request and response formats of the supported servers.
//!
//! All of them use Server-Sent Events over HTTP/1.1. They differ in paths, in how a topic is named, and in what
//! surrounds the data, so each one takes a few lines here.

use std::{
    borrow::Cow,
    fmt::{self, Write as _},
    net::SocketAddr,
};

use super::{centrifugo, number, stream_line::StreamLine};
use crate::event::EventId;

/// A server under load.
#[derive(Debug, Clone)]
pub struct Target {
    /// Its address.
    pub address: SocketAddr,
    /// For the `Host` header.
    pub authority: String,
    /// Prefix of all its paths, without a final slash; usually empty.
    pub base: String,
    /// Its protocol.
    pub dialect: PeerDialect,
    /// Sent with each request, if set.
    pub authorization: Option<AuthorizationHeader>,
}

/// An `Authorization` header line; its `Debug` output does not show the value.
#[derive(Clone)]
pub struct AuthorizationHeader(String);

impl AuthorizationHeader {
    /// The header line with `value`, as in `Bearer …`: visible ASCII and spaces.
    #[must_use]
    pub fn new(value: &str) -> Self {
        Self(format!("Authorization: {value}\r\n"))
    }
}

impl fmt::Debug for AuthorizationHeader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization")
    }
}

impl Target {
    /// A server on this machine that speaks `dialect`.
    #[must_use]
    pub fn new(address: SocketAddr, dialect: PeerDialect) -> Self {
        Self { address, authority: address.to_string(), base: String::new(), dialect, authorization: None }
    }

    fn authorization(&self) -> &str {
        self.authorization.as_ref().map_or("", |line| &line.0)
    }
}

/// The protocol of a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PeerDialect {
    /// This hub, and small servers that implement its two paths with weaker guarantees.
    Gapless,
    /// nginx with Nchan: `/pub?topic=T` and `/sub?topic=T`; `/old?topic=T` starts with the oldest message.
    Nchan,
    /// The crate `durable-streams`: a stream at `/T`, created by PUT. One line of data is one event.
    DurableStreams,
    /// Mercure up to 0.x: `/.well-known/mercure`; events are POSTed as forms.
    Mercure,
    /// Centrifugo: its HTTP API and its unidirectional SSE, whose data is JSON without SSE ids. The events that a
    /// stream missed are in the response to its connect request, all in one line.
    Centrifugo,
}

/// How events are sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PublishMode {
    /// One request for each event.
    Requests,
    /// One request of NDJSON lines; the response is a stream of receipts, as the events become durable.
    /// [`PeerDialect::Gapless`] only.
    Lines,
}

/// Where a stream starts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartAt {
    /// At the next event to be published.
    Now,
    /// At the oldest event.
    Earliest,
}

impl PeerDialect {
    /// The request for a stream of `topics`, after `cursor` if there is one.
    pub(super) fn subscribe(self, target: &Target, topics: &[&str], from: StartAt, cursor: Option<&str>) -> String {
        let mut path = target.base.clone();
        match self {
            Self::Gapless => {
                path.push_str("/events?");
                let mut query =
                    form_urlencoded::Serializer::for_suffix(&mut path, target.base.len() + "/events?".len());
                query.extend_pairs(topics.iter().map(|topic| ("topic", topic)));
                if from == StartAt::Earliest && cursor.is_none() {
                    query.append_pair("from", "earliest");
                }
            }
            Self::Nchan => {
                let location = if from == StartAt::Now && cursor.is_none() { "sub" } else { "old" };
                write!(path, "/{location}?topic={}", topics[0]).expect("memory");
            }
            Self::DurableStreams => {
                let offset = if from == StartAt::Now { "now" } else { "-1" };
                write!(path, "/{}?offset={offset}&live=sse", topics[0]).expect("memory");
            }
            Self::Mercure => {
                let earliest = if from == StartAt::Earliest && cursor.is_none() { "&lastEventID=earliest" } else { "" };
                write!(path, "{MERCURE}?topic={}{earliest}", topics[0]).expect("memory");
            }
            Self::Centrifugo => {
                // From position 0 of any epoch.
                let recover = if from == StartAt::Earliest { "\"recover\":true" } else { "" };
                let connect = format!("{{\"subs\":{{\"{}\":{{{recover}}}}}}}", topics[0]);
                path.push_str("/connection/uni_sse?cf_connect=");
                path.extend(form_urlencoded::byte_serialize(connect.as_bytes()));
            }
        }
        let cursor = cursor.map_or(String::new(), |id| format!("Last-Event-ID: {id}\r\n"));
        let (host, auth) = (&target.authority, target.authorization());
        format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{auth}Accept: text/event-stream\r\n{cursor}\r\n")
    }

    /// Appends the request that publishes `data` to `topic`.
    pub(super) fn publish(self, target: &Target, topic: &str, data: &str, out: &mut String) {
        let (base, host, auth) = (&target.base, &target.authority, target.authorization());
        let data = match self {
            Self::Gapless | Self::Nchan => Cow::Borrowed(data),
            // Events are concatenated there; a line feed separates them.
            Self::DurableStreams => format!("{data}\n").into(),
            Self::Mercure => {
                let mut form = form_urlencoded::Serializer::new(String::with_capacity(2 * data.len()));
                form.append_pair("topic", topic).append_pair("data", data).finish().into()
            }
            Self::Centrifugo => format!("{{\"channel\":\"{topic}\",\"data\":\"{data}\"}}").into(),
        };
        let (path, topic, kind) = match self {
            Self::Gapless => ("/publish?topic=", topic, "text/plain"),
            Self::Nchan => ("/pub?topic=", topic, "text/plain"),
            Self::DurableStreams => ("/", topic, "text/plain"),
            Self::Mercure => (MERCURE, "", "application/x-www-form-urlencoded"),
            // Without the second header its refusals have status 200.
            Self::Centrifugo => ("/api/publish", "", "application/json\r\nX-Centrifugo-Error-Mode: transport"),
        };
        let length = data.len();
        write!(
            out,
            "POST {base}{path}{topic} HTTP/1.1\r\nHost: {host}\r\n{auth}Content-Type: {kind}\r\n\
             Content-Length: {length}\r\n\r\n{data}"
        )
        .expect("memory");
    }

    /// The head of a request with a chunked NDJSON body.
    pub(super) fn lines(target: &Target) -> String {
        let (base, host, auth) = (&target.base, &target.authority, target.authorization());
        format!(
            "POST {base}/publish HTTP/1.1\r\nHost: {host}\r\n{auth}Content-Type: application/x-ndjson\r\n\
             Transfer-Encoding: chunked\r\n\r\n"
        )
    }

    /// The request that creates `topic`, for servers that need one.
    pub(super) fn create(self, target: &Target, topic: &str) -> Option<String> {
        let (base, host, auth) = (&target.base, &target.authority, target.authorization());
        (self == Self::DurableStreams).then(|| {
            format!(
                "PUT {base}/{topic} HTTP/1.1\r\nHost: {host}\r\n{auth}Content-Type: text/plain\r\nContent-Length: 0\r\n\r\n"
            )
        })
    }

    /// Parses a line of a stream.
    pub(super) fn parse_line(self, line: &[u8]) -> StreamLine<'_> {
        if let Some(data) = field(line, b"data:") {
            if self == Self::Centrifugo {
                return centrifugo::parse_message(data);
            }
            return match number(data) {
                Some(number) => StreamLine::Event(number),
                // Its offsets are in data lines, too, and so is the end of the last line.
                None if self == Self::DurableStreams => StreamLine::Ignored,
                None => StreamLine::Foreign,
            };
        }
        if let Some(id) = field(line, b"id:") {
            return StreamLine::Id(id);
        }
        if line.is_empty() {
            return StreamLine::End;
        }
        match line.strip_prefix(b"event: hub.") {
            Some(b"cursor" | b"keepalive") if self == Self::Gapless => StreamLine::Control,
            Some(_) if self == Self::Gapless => StreamLine::Notice,
            _ => StreamLine::Ignored,
        }
    }
}

/// Mercure's only path.
const MERCURE: &str = "/.well-known/mercure";

fn field<'a>(line: &'a [u8], name: &[u8]) -> Option<&'a [u8]> {
    let value = line.strip_prefix(name)?;
    Some(value.strip_prefix(b" ").unwrap_or(value))
}

/// The position in the text of an id, `<epoch>-<seq>`.
pub(super) fn position(id: &[u8]) -> Option<u64> {
    Some(EventId::parse(str::from_utf8(id).ok()?)?.seq.0)
}

/// The position in a receipt; `None` when the line is not a receipt.
pub(super) fn receipt(line: &[u8]) -> Option<u64> {
    const ID: &[u8] = b"\"id\":\"";
    let at = memchr::memmem::find(line, ID)? + ID.len();
    let end = memchr::memchr(b'"', &line[at..])?;
    position(&line[at..at + end])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(dialect: PeerDialect) -> Target {
        Target::new(([127, 0, 0, 1], 80).into(), dialect)
    }

    #[test]
    fn lines_are_parsed_as_each_server_means_them() {
        use PeerDialect::{DurableStreams, Gapless, Nchan};
        let event = b"data: 000000000000000agapless";
        for dialect in [Gapless, Nchan] {
            assert_eq!(dialect.parse_line(event), StreamLine::Event(10));
            assert_eq!(dialect.parse_line(b"data: something else"), StreamLine::Foreign);
        }
        assert_eq!(Gapless.parse_line(b"id: abcd-7"), StreamLine::Id(b"abcd-7"));
        assert_eq!(Gapless.parse_line(b"event: hub.gap"), StreamLine::Notice);
        assert_eq!(Gapless.parse_line(b"event: hub.cursor"), StreamLine::Control);
        assert_eq!(Nchan.parse_line(b"event: hub.gap"), StreamLine::Ignored);
        assert_eq!(DurableStreams.parse_line(b"data:000000000000000agapless"), StreamLine::Event(10));
        assert_eq!(DurableStreams.parse_line(b"data:{\"streamNextOffset\":\"0\"}"), StreamLine::Ignored);
        assert_eq!(Gapless.parse_line(b""), StreamLine::End);
    }

    #[test]
    fn positions_are_read_from_ids_and_receipts() {
        assert_eq!(position(b"0a1b2c3d-42"), Some(42));
        for wrong in [&b"42"[..], b"abcd-", b"abcd-4x", b"abcd-99999999999999999999", b"abc-4", b"ab-cd-4", b"ABCD-4"] {
            assert_eq!(position(wrong), None);
        }
        assert_eq!(receipt(br#"{"topic":"t","id":"abcd-9","time":"x"}"#), Some(9));
        assert_eq!(receipt(br#"{"error":{"status":400}}"#), None);
    }

    #[test]
    fn every_request_carries_the_credential_and_debug_output_does_not() {
        use PeerDialect::{Centrifugo, DurableStreams, Gapless, Mercure, Nchan};
        for dialect in [Gapless, Nchan, DurableStreams, Mercure, Centrifugo] {
            let mut target = target(dialect);
            target.authorization = Some(AuthorizationHeader::new("Bearer secret"));
            let mut publish = String::new();
            dialect.publish(&target, "t", "data", &mut publish);
            let subscribe = dialect.subscribe(&target, &["t"], StartAt::Now, None);
            let all = [Some(publish), Some(subscribe), Some(PeerDialect::lines(&target)), dialect.create(&target, "t")];
            for request in all.into_iter().flatten() {
                let head = request.split("\r\n\r\n").next().expect("a head");
                let lines = head.lines().filter(|line| *line == "Authorization: Bearer secret");
                assert_eq!(lines.count(), 1, "{request}");
            }
            assert!(!format!("{target:?}").contains("secret"));
        }
    }

    #[test]
    fn a_stream_is_requested_with_its_topics_and_its_cursor() {
        let asked = |dialect: PeerDialect, topics: &[&str], from, cursor| {
            dialect.subscribe(&target(dialect), topics, from, cursor).lines().next().expect("a line").to_owned()
        };
        let two = asked(PeerDialect::Gapless, &["a/1", "b/*"], StartAt::Earliest, None);
        assert_eq!(two, "GET /events?topic=a%2F1&topic=b%2F*&from=earliest HTTP/1.1");
        let back =
            PeerDialect::Gapless.subscribe(&target(PeerDialect::Gapless), &["a"], StartAt::Earliest, Some("abcd-1"));
        assert!(back.starts_with("GET /events?topic=a HTTP/1.1\r\n") && back.contains("\r\nLast-Event-ID: abcd-1\r\n"));
        assert_eq!(asked(PeerDialect::Nchan, &["a"], StartAt::Now, None), "GET /sub?topic=a HTTP/1.1");
        assert_eq!(asked(PeerDialect::Nchan, &["a"], StartAt::Now, Some("1:0")), "GET /old?topic=a HTTP/1.1");
        let mercure = |from, cursor| asked(PeerDialect::Mercure, &["a"], from, cursor);
        assert_eq!(mercure(StartAt::Now, None), "GET /.well-known/mercure?topic=a HTTP/1.1");
        let all = "GET /.well-known/mercure?topic=a&lastEventID=earliest HTTP/1.1";
        assert_eq!(mercure(StartAt::Earliest, None), all);
        assert_eq!(mercure(StartAt::Earliest, Some("urn:uuid:1")), "GET /.well-known/mercure?topic=a HTTP/1.1");
        let connect = |text| form_urlencoded::byte_serialize(text).collect::<String>();
        for (from, want) in
            [(StartAt::Now, &br#"{"subs":{"a":{}}}"#[..]), (StartAt::Earliest, br#"{"subs":{"a":{"recover":true}}}"#)]
        {
            let line = format!("GET /connection/uni_sse?cf_connect={} HTTP/1.1", connect(want));
            assert_eq!(asked(PeerDialect::Centrifugo, &["a"], from, None), line);
        }
    }

    #[test]
    fn an_event_is_published_in_each_servers_own_form() {
        let published = |dialect: PeerDialect| {
            let mut request = String::new();
            dialect.publish(&target(dialect), "t", "a b", &mut request);
            let (head, body) = request.split_once("\r\n\r\n").expect("a head");
            assert!(head.contains(&format!("\r\nContent-Length: {}", body.len())), "{head}");
            (head.lines().next().expect("a line").to_owned(), body.to_owned())
        };
        let has = |(line, body): (String, String), path: &str, want: &str| {
            assert_eq!((line, body), (format!("POST {path} HTTP/1.1"), want.to_owned()));
        };
        has(published(PeerDialect::Gapless), "/publish?topic=t", "a b");
        has(published(PeerDialect::Nchan), "/pub?topic=t", "a b");
        has(published(PeerDialect::DurableStreams), "/t", "a b\n");
        has(published(PeerDialect::Mercure), MERCURE, "topic=t&data=a+b");
        has(published(PeerDialect::Centrifugo), "/api/publish", r#"{"channel":"t","data":"a b"}"#);
    }
}
