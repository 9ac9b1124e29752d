//! What the log has of a request: a span around its handler, and, where `log.requests` is on, a line when it has
//! finished. An open stream outlives its request, and has [a record of its own](super::stream::record).
//!
//! Neither has the query, a header or a body: they may contain credentials and payloads.

use std::{
    cell::OnceCell,
    fmt::Display,
    net::IpAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Method, Request, StatusCode};
use http_body::{Body as _, Frame, SizeHint};
use tracing::{Level, Span, field};

use super::request_span::RequestSpan;
use crate::{
    event::TraceParent,
    http::{
        auth::policy::Policy,
        message::{
            request_id::{RequestId, RequestIds},
            trace_context,
        },
        net::{
            client_watch::ClientWatch,
            peer::Peer,
            response::{Aborted, Body, Response, abortable},
        },
    },
    otlp::tracer::Tracer,
};

/// The target of the lines about finished requests and streams. `telemetry` enables it, whatever `log.level` is.
pub const TARGET: &str = "gapless::requests";

/// Paths of the requests that read the log begin with this: streams and pages.
const LOG_READING_PATH: &str = "/events";

/// Bytes of a path that are logged at most: the longest topic, with every byte percent-encoded, and the rest of the path.
const MAX_PATH_BYTES: usize = 1024;

/// A request that is being answered. Where requests are logged, dropping it writes the line.
pub struct RequestScope {
    /// The id of the request.
    pub id: RequestId,
    /// Its place in a trace.
    pub traceparent: Option<TraceParent>,
    /// The address of the client, behind trusted proxies.
    pub client: IpAddr,
    /// The method.
    pub method: Method,
    /// Over HTTP/1, the watch for its client.
    pub watch: Option<ClientWatch>,
    line: Option<Box<RequestLine>>,
    exported: Option<Box<RequestSpan>>,
}

/// What the line has besides.
struct RequestLine {
    /// When the head of the request had been read.
    started: Instant,
    path: Box<str>,
    holder: OnceCell<Box<str>>,
    /// `None` before the response.
    status: Option<StatusCode>,
    bytes: u64,
    complete: bool,
}

impl RequestScope {
    /// The scope of `request`. `logged`: whether it gets a line. `tracer`: begins its span, where traces are exported.
    ///
    /// # Panics
    /// When the request has no [`Peer`] among its extensions.
    #[must_use]
    pub fn new<B>(
        request: &Request<B>,
        policy: &Policy,
        ids: &RequestIds,
        logged: bool,
        tracer: Option<&Arc<Tracer>>,
    ) -> Self {
        let (headers, peer) = (request.headers(), peer(request).address.ip());
        let trusted = policy.proxies.trusts(peer);
        let line = || RequestLine {
            started: Instant::now(),
            path: bounded(request.uri().path()).into(),
            holder: OnceCell::new(),
            status: None,
            bytes: 0,
            complete: false,
        };
        let client = if trusted { policy.proxies.client(peer, headers) } else { peer.to_canonical() };
        let traceparent = trace_context::of(headers);
        Self {
            id: ids.of(headers, trusted),
            traceparent,
            client,
            exported: tracer.and_then(|tracer| RequestSpan::begin(tracer, traceparent, request, client)),
            method: request.method().clone(),
            watch: request.extensions().get().cloned(),
            line: logged.then(|| Box::new(line())),
        }
    }

    /// The span of the request. Nothing is formatted when `log.level` disables it.
    ///
    /// The span of a request that may read the log has the level warn, so that warnings about such a read have it also
    /// where `log.level` is warn. Any other has the level debug: no line above debug is written about it
    /// (`tests/floors.rs` checks that), and a span takes some 5 % of a publish's CPU time (2026-11-26, samples by `perf`
    /// during `gapless bench --post`, store in memory).
    #[must_use]
    pub fn span<B>(&self, request: &Request<B>) -> Span {
        macro_rules! span {
            ($level:ident) => {
                tracing::span!(
                    Level::$level,
                    "request",
                    http.method = %self.method,
                    http.path = bounded(request.uri().path()),
                    request.id = %self.id,
                    // The span of the connection has the address of the peer.
                    client.addr = (self.client != peer(request).address.ip()).then(|| field::display(self.client)),
                    trace.id = self.traceparent.map(|parent| field::display(parent.trace)),
                    topic = field::Empty,
                )
            };
        }
        if request.uri().path().starts_with(LOG_READING_PATH) { span!(WARN) } else { span!(DEBUG) }
    }

    /// When its head had been read, if requests are logged.
    #[must_use]
    pub fn logged_since(&self) -> Option<Instant> {
        self.line.as_ref().map(|line| line.started)
    }

    /// Records whose credential the request has.
    pub fn set_holder(&self, holder: Option<&str>) {
        if let (Some(line), Some(holder)) = (&self.line, holder) {
            // Authenticated once.
            let _ = line.holder.set(holder.into());
        }
    }

    /// Records why the request is refused.
    pub fn set_problem(&self, code: &'static str) {
        if let Some(span) = &self.exported {
            span.set_problem(code);
        }
    }

    /// Passes the response on, and writes the line when it has been sent, or dropped before.
    pub fn respond(mut self, response: Response) -> Response {
        if let Some(span) = &mut self.exported {
            span.set_status(response.status());
        }
        if let Some(line) = &mut self.line {
            line.status = Some(response.status());
            line.complete = self.method == Method::HEAD;
        }
        if (self.line.is_none() && self.exported.is_none()) || self.method == Method::HEAD {
            return response;
        }
        if matches!(response.body(), Body::Detachable(_)) {
            // The record of the stream writes it.
            self.line = None;
        } else {
            return response.map(|body| abortable(LoggedBody { body, scope: self }));
        }
        response
    }
}

/// Records the topic in the span of the current request. Nothing is formatted when `log.level` disables it.
pub fn set_topic(topic: impl Display) {
    Span::current().record("topic", field::display(topic));
}

/// The milliseconds of a duration, with three decimals.
#[must_use]
pub fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

impl Drop for RequestScope {
    fn drop(&mut self) {
        let Some(line) = self.line.take() else { return };
        tracing::info!(
            target: TARGET,
            parent: None,
            {
                http.method = %self.method,
                http.path = &*line.path,
                http.status = line.status.map(|status| status.as_u16()),
                bytes = line.bytes,
                duration_ms = milliseconds(line.started.elapsed()),
                client.addr = %self.client,
                holder = line.holder.get().map(|holder| &**holder),
                request.id = %self.id,
                trace.id = self.traceparent.map(|parent| field::display(parent.trace)),
                outcome = if line.complete { "complete" } else { "client_left" }
            },
            "request finished"
        );
    }
}

/// A body whose bytes are counted for the line of its request.
struct LoggedBody {
    body: Body,
    scope: RequestScope,
}

impl http_body::Body for LoggedBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(line) = &mut self.scope.line {
            match &frame {
                Some(Ok(frame)) => line.bytes += frame.data_ref().map_or(0, |data| data.len() as u64),
                // Broken off: not complete.
                Some(Err(Aborted)) => {}
                None => line.complete = true,
            }
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl Drop for LoggedBody {
    fn drop(&mut self) {
        // A body of known length is not polled after its last byte, an empty one never.
        if let Some(line) = &mut self.scope.line
            && self.body.is_end_stream()
        {
            line.complete = true;
        }
    }
}

fn peer<B>(request: &Request<B>) -> &Peer {
    request.extensions().get().expect("every connection inserts its peer")
}

/// The part of a path that is logged.
fn bounded(path: &str) -> &str {
    let mut end = path.len().min(MAX_PATH_BYTES);
    while !path.is_char_boundary(end) {
        end -= 1;
    }
    &path[..end]
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::http::{net::peer::ListenerRole, testing::scope};

    #[test]
    fn a_long_path_is_cut_between_two_characters() {
        assert_eq!(bounded("/topics/a"), "/topics/a");
        let long = "é".repeat(MAX_PATH_BYTES);
        assert_eq!(bounded(&long).len(), MAX_PATH_BYTES);
        assert_eq!(bounded(&format!("/{long}")).len(), MAX_PATH_BYTES - 1);
    }

    #[test]
    fn a_duration_has_three_decimals() {
        assert_eq!(milliseconds(Duration::from_nanos(412_345)).to_string(), "0.412");
        assert_eq!(milliseconds(Duration::from_secs(3)).to_string(), "3000");
    }

    /// The lines that `work` logs at the level info.
    fn logged(work: impl FnOnce()) -> String {
        logged_at(Level::INFO, work)
    }

    /// The lines that `work` logs when `log.level` is `level`.
    fn logged_at(level: Level, work: impl FnOnce()) -> String {
        let (mut read, write) = std::io::pipe().expect("descriptors");
        let write = std::sync::Arc::new(write);
        let subscriber = tracing_subscriber::fmt().with_max_level(level).with_ansi(false).with_writer(write).finish();
        tracing::subscriber::with_default(subscriber, work);
        let mut text = String::new();
        read.read_to_string(&mut text).expect("UTF-8");
        text
    }

    #[test]
    fn a_warning_about_a_read_of_the_log_has_the_id_of_its_request() {
        let warned = |level, target: &str| {
            let peer = Peer { address: ([127, 0, 0, 1], 4711).into(), secure: false, listener: ListenerRole::Public };
            let request = Request::get(target).extension(peer).body(()).expect("a request");
            let scope = scope(target, false);
            let line = logged_at(level, || scope.span(&request).in_scope(|| tracing::warn!("a warning")));
            (line.contains("a warning"), line.contains(&format!("request.id={}", scope.id)))
        };
        assert_eq!(warned(Level::INFO, "/events?topic=t"), (true, true));
        assert_eq!(warned(Level::WARN, "/events?topic=t"), (true, true));
        // No line above debug is written about it, so that a publish costs no span.
        assert_eq!(warned(Level::WARN, "/publish"), (true, false));
    }

    #[test]
    fn a_request_whose_client_leaves_before_the_response_is_a_line_without_a_status() {
        let line = logged(|| drop(scope("/topics/t?access_token=secret", true)));
        assert!(
            line.contains("http.path=\"/topics/t\" bytes=0 ") && line.contains("outcome=\"client_left\""),
            "{line}"
        );
        assert!(!line.contains("status") && !line.contains("secret"), "{line}");
        assert_eq!(logged(|| drop(scope("/topics/t", false))), "", "only when asked");
    }

    #[tokio::test]
    async fn a_body_that_is_dropped_before_its_end_was_not_read_by_its_client() {
        let body = || {
            abortable(http_body_util::StreamBody::new(tokio_stream::iter([
                Ok(Frame::data(Bytes::from_static(b"one"))),
                Ok(Frame::data(Bytes::from_static(b"two"))),
            ])))
        };
        let mut left = scope("/", true).respond(Response::new(body()));
        let mut whole = scope("/", true).respond(Response::new(body()));
        left.body_mut().frame().await.expect("a frame").expect("infallible");
        while whole.body_mut().frame().await.is_some() {}
        let (left, whole) = (logged(|| drop(left)), logged(|| drop(whole)));
        assert!(left.contains("http.status=200 bytes=3 ") && left.contains("outcome=\"client_left\""), "{left}");
        assert!(whole.contains("http.status=200 bytes=6 ") && whole.contains("outcome=\"complete\""), "{whole}");
    }
}
