//! Follows one stream across connections: the client side of WHATWG HTML, section 9.2.
//!
//! A [`Follower`] connects, reads, and reconnects; what the events mean, and when the cursor moves past one, is its user's.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Method, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderMap, HeaderValue},
};
use tokio::time::{Instant, sleep_until, timeout, timeout_at};

use crate::{
    ClientError, delay,
    problem::HubProblem,
    requests::{Dial, HubClient},
    sse_parser::{ParseError, Parser, SseBlock},
};

/// Silence after which a connection is closed, if the hub has not sent its keepalive interval: three times the default
/// of 15 s.
const SILENCE: Duration = Duration::from_secs(45);

/// Missing keepalives after which a connection is closed, so that one late and one lost keepalive are tolerated.
const MISSED: u32 = 3;

/// Longest silence before a connection is closed: three times the maximum of `stream.keepalive`, 10 minutes.
const MAX_SILENCE: Duration = Duration::from_mins(30);

/// Longest event: twice the maximum of `publish.event_bytes` (64 MiB), because an envelope escapes characters.
const MAX_EVENT_BYTES: usize = 128 * 1024 * 1024;

/// Follows one stream across connections.
pub struct Follower {
    target: String,
    /// The body of a `POST`, in place of a `GET`.
    body: Option<Bytes>,
    cursor: Option<String>,
    retry: Duration,
    /// Silence after which the connection is closed.
    silence_timeout: Duration,
    /// Failures in a row, without an item or a keepalive between them.
    failures: u32,
    /// Whether a stream was ever received.
    connected_once: bool,
    state: FollowState,
}

enum FollowState {
    Idle,
    Connecting,
    Open(Box<OpenStream>),
    Waiting(Instant),
    Complete,
}

struct OpenStream {
    body: Incoming,
    parser: Parser,
    /// When the wait for the next bytes ends.
    deadline: Option<Instant>,
    /// Anything but the head has come.
    told: bool,
    /// An item or a keepalive has come.
    alive: bool,
}

/// What happened.
#[derive(Debug)]
pub enum Followed {
    /// A request is about to be sent.
    Connecting,
    /// The stream is open.
    Open,
    /// These have come together; perhaps none.
    Blocks(Vec<Result<SseBlock, ParseError>>),
    /// The stream ended, or there was none, for this reason. It waits for so long before the next request.
    Waiting(Duration, Option<ClientError>),
    /// No more can come (204).
    Complete,
}

impl Follower {
    /// Follows `target`, a path and query; with a `body` by `POST`. Starts after `cursor`, else where the target says.
    #[must_use]
    pub fn new(target: String, body: Option<Bytes>, cursor: Option<String>) -> Self {
        Self {
            target,
            body,
            cursor,
            retry: delay::DEFAULT_RETRY,
            silence_timeout: SILENCE,
            failures: 0,
            connected_once: false,
            state: FollowState::Idle,
        }
    }

    /// The id after which the next request resumes.
    #[must_use]
    pub fn cursor(&self) -> Option<&str> {
        self.cursor.as_deref()
    }

    /// The next request resumes after this id. An empty one is none.
    pub fn set_cursor(&mut self, cursor: String) {
        self.cursor = Some(cursor).filter(|cursor| !cursor.is_empty());
    }

    /// Whether a stream is open.
    #[must_use]
    pub fn is_open(&self) -> bool {
        matches!(self.state, FollowState::Open(_))
    }

    /// What happens next. Reads on only when it is called. Cancel safe: an open stream loses nothing; a request that was not
    /// answered is sent again.
    ///
    /// # Errors
    /// What no retry can change. It is the last call then.
    pub async fn next<D: Dial>(&mut self, hub: &HubClient<D>) -> Result<Followed, ClientError> {
        match &mut self.state {
            FollowState::Idle => {}
            FollowState::Waiting(until) => sleep_until(*until).await,
            FollowState::Connecting => return self.connect(hub).await,
            FollowState::Open(_) => return Ok(self.read().await),
            FollowState::Complete => return Ok(Followed::Complete),
        }
        self.state = FollowState::Connecting;
        Ok(Followed::Connecting)
    }

    /// One request, and a second one if there may be another token by now.
    async fn connect<D: Dial>(&mut self, hub: &HubClient<D>) -> Result<Followed, ClientError> {
        let mut response = self.request(hub).await;
        if response.as_ref().is_ok_and(|response| response.status() == StatusCode::UNAUTHORIZED)
            && hub.credential().renew()
        {
            response = self.request(hub).await;
        }
        let response = match response {
            Ok(response) => response,
            // After a first success this may be a certificate renewal or a captive portal, so it retries.
            Err(reason @ ClientError::Untrusted { .. }) if !self.connected_once => return Err(reason),
            Err(reason @ ClientError::TokenFunction(_)) => return Err(reason),
            Err(reason) => return Ok(self.failed(reason, Duration::ZERO)),
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NO_CONTENT => {
                self.state = FollowState::Complete;
                return Ok(Followed::Complete);
            }
            _ => {
                let mut problem = HubProblem::read(response).await;
                if !problem.is_transient() {
                    return Err(ClientError::Refused(problem));
                }
                let retry_after = problem.take_retry_after();
                return Ok(self.failed(ClientError::Refused(problem), retry_after));
            }
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        // Parameters may follow, as in `; charset=utf-8`.
        let media_type = kind.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("text/event-stream") {
            return Err(ClientError::NotAHub(format!("its response has the type {kind:?}, not text/event-stream")));
        }
        self.connected_once = true;
        if let Some(interval) = keepalive(response.headers()) {
            self.silence_timeout = interval.saturating_mul(MISSED).min(MAX_SILENCE);
        }
        self.state = FollowState::Open(Box::new(OpenStream {
            body: response.into_body(),
            parser: Parser::new(MAX_EVENT_BYTES),
            deadline: None,
            told: false,
            alive: false,
        }));
        Ok(Followed::Open)
    }

    async fn request<D: Dial>(&self, hub: &HubClient<D>) -> Result<Response<Incoming>, ClientError> {
        let (method, body) = match &self.body {
            Some(body) => (Method::POST, body.clone()),
            None => (Method::GET, Bytes::new()),
        };
        let request = hub.send(method, &self.target, self.headers(), Full::new(body));
        timeout(SILENCE, request).await.unwrap_or_else(|_| Err(silent(SILENCE)))
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.body.is_some() {
            headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        }
        // An id that is not a valid header value is not from a hub.
        if let Some(Ok(id)) = self.cursor.as_ref().map(|id| HeaderValue::from_bytes(id.as_bytes())) {
            headers.insert("last-event-id", id);
        }
        headers
    }

    /// The next bytes of the open stream. An incomplete block at its end is dropped: the event is sent again after a reconnect.
    async fn read(&mut self) -> Followed {
        let FollowState::Open(open) = &mut self.state else { unreachable!("it is open") };
        let deadline = *open.deadline.get_or_insert_with(|| Instant::now() + self.silence_timeout);
        let chunk = match timeout_at(deadline, open.body.frame()).await {
            Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
            Ok(Some(Err(error))) => {
                let (alive, reason) = (open.alive, ClientError::broken(&error));
                return if alive { self.ended(Some(reason)) } else { self.failed(reason, Duration::ZERO) };
            }
            Ok(None) if open.told => return self.ended(None),
            Ok(None) => {
                return self
                    .failed(ClientError::Broken("the stream ended before anything came".into()), Duration::ZERO);
            }
            Err(_) => {
                let reason = silent(self.silence_timeout);
                // A proxy may have removed the keepalive header, so the next connection gets a longer timeout.
                self.silence_timeout = self.silence_timeout.saturating_mul(2).min(MAX_SILENCE);
                return self.ended(Some(reason));
            }
        };
        open.deadline = None;
        let mut blocks = Vec::new();
        open.parser.push(&chunk, |block| blocks.push(block));
        if let Some(milliseconds) = open.parser.retry() {
            open.told = true;
            self.retry = Duration::from_millis(milliseconds);
        }
        open.told |= !blocks.is_empty();
        // Not so by what is at the head of every stream: one that ends directly after it must not be asked for again without
        // growing delays.
        if open.parser.comments() > 0 || blocks.iter().flatten().any(is_item) {
            (open.told, open.alive, self.failures) = (true, true, 0);
        }
        Followed::Blocks(blocks)
    }

    /// A stream that came has ended, or broke for this reason.
    fn ended(&mut self, reason: Option<ClientError>) -> Followed {
        self.failures = 0;
        self.wait(reason, Duration::ZERO)
    }

    /// There was no stream, or nothing but its head.
    fn failed(&mut self, reason: ClientError, retry_after: Duration) -> Followed {
        self.failures = self.failures.saturating_add(1);
        self.wait(Some(reason), retry_after)
    }

    fn wait(&mut self, reason: Option<ClientError>, retry_after: Duration) -> Followed {
        let wait = delay::next(self.retry, retry_after, self.failures, fastrand::f64());
        self.state = FollowState::Waiting(Instant::now() + wait);
        Followed::Waiting(wait, reason)
    }
}

/// Whether a block is an event, or one of the hub's notices of events.
fn is_item(block: &SseBlock) -> bool {
    block.data.is_some() && block.event != "hub.cursor"
}

/// The hub's keepalive interval, from the response header.
fn keepalive(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get("stream-keepalive")?.to_str().ok()?.parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn silent(silence_timeout: Duration) -> ClientError {
    ClientError::Broken(format!("nothing was received for {} s", silence_timeout.as_secs()))
}
