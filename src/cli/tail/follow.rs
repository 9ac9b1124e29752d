//! Connects, reads, keeps the last id, and reconnects: the client side of WHATWG HTML, section 9.2.

use std::{collections::BTreeSet, io::Write, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Method, Response, StatusCode,
    body::{Frame, Incoming},
    header::{self, HeaderMap, HeaderValue},
};
use tokio::time::{Instant, error::Elapsed, timeout, timeout_at};

use super::{
    print::{Printed, Printer},
    state::StateFile,
    style::NoteKind,
};
use crate::{
    cli::{
        CliError,
        client::{Dial, HubClient},
        delay,
        problem::HubProblem,
    },
    event::sse_parser::{Parser, SseBlock},
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
pub(super) struct Follower<'a, D, O, N> {
    hub: &'a HubClient<D>,
    target: String,
    cursor: Option<String>,
    retry: Duration,
    /// Silence after which the connection is closed.
    silence_timeout: Duration,
    /// The requested topics; `None` with a pattern. When all of them have ended, the stream is complete.
    topics: Option<BTreeSet<String>>,
    /// Whether a stream was ever received.
    connected_once: bool,
    printer: Printer<O, N>,
    /// The cursor after the events that are printed and flushed.
    flushed: Option<String>,
    /// The file that keeps `flushed`.
    state: Option<StateFile>,
}

/// A frame, the end or an error of a body; or nothing until a deadline.
type ReceivedFrame = Result<Option<Result<Frame<Bytes>, hyper::Error>>, Elapsed>;

/// The outcome of one connection.
enum TailConnection {
    /// The stream is complete, or enough events are printed.
    Done,
    /// The stream ended, or broke for this reason.
    Ended(Option<CliError>),
    /// There was no stream; with the reason and `Retry-After`.
    Failed(CliError, Duration),
}

impl<'a, D: Dial, O: Write, N: Write> Follower<'a, D, O, N> {
    /// Follows `target`, starting after `cursor`.
    pub(super) fn new(hub: &'a HubClient<D>, target: String, cursor: Option<String>, printer: Printer<O, N>) -> Self {
        let (retry, silence_timeout) = (delay::DEFAULT_RETRY, SILENCE);
        Self {
            hub,
            target,
            cursor,
            retry,
            silence_timeout,
            topics: None,
            connected_once: false,
            printer,
            flushed: None,
            state: None,
        }
    }

    /// Stops when each of these topics has ended.
    pub(super) fn until_the_end_of(self, topics: Option<BTreeSet<String>>) -> Self {
        Self { topics, ..self }
    }

    /// Keeps the position in `state`, and continues after the one that it has.
    pub(super) fn keeping(mut self, state: Option<StateFile>) -> Self {
        if let Some(position) = state.as_ref().and_then(StateFile::position) {
            self.cursor = Some(position.into());
        }
        Self { state, ..self }
    }

    /// Saves the position after the events that are printed, if there is a state file.
    pub(super) fn save(&mut self) -> Result<(), CliError> {
        self.state.as_mut().map_or(Ok(()), |state| state.save(self.flushed.as_deref()))
    }

    /// Follows until the stream is complete (204, or all topics have ended) or enough events are printed. Cancel safe:
    /// [`save`](Self::save) then saves the position after the events that are printed.
    pub(super) async fn follow(&mut self) -> Result<(), CliError> {
        let mut failures = 0;
        loop {
            let (reason, retry_after) = match self.connect().await? {
                TailConnection::Done => return Ok(()),
                TailConnection::Ended(reason) => {
                    failures = 0;
                    (reason, Duration::ZERO)
                }
                TailConnection::Failed(reason, retry_after) => {
                    failures += 1;
                    (Some(reason), retry_after)
                }
            };
            self.save()?;
            let wait = delay::next(self.retry, retry_after, failures, fastrand::f64());
            if let Some(reason) = reason {
                self.printer.note(NoteKind::Connection, &delay::retry_message(&reason, wait));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// One connection from its request to its end, with a second request if the token file was replaced meanwhile.
    /// Errors are permanent.
    async fn connect(&mut self) -> Result<TailConnection, CliError> {
        let mut response = self.request().await;
        if response.as_ref().is_ok_and(|response| response.status() == StatusCode::UNAUTHORIZED)
            && self.hub.credential().has_changed()
        {
            response = self.request().await;
        }
        let response = match response {
            Ok(response) => response,
            // After a first success this may be a certificate renewal or a captive portal, so it retries.
            Err(reason @ CliError::Untrusted { .. }) if !self.connected_once => return Err(reason),
            Err(reason) => return Ok(TailConnection::Failed(reason, Duration::ZERO)),
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NO_CONTENT => return Ok(TailConnection::Done),
            _ => {
                let mut problem = HubProblem::read(response).await;
                if !problem.is_transient() {
                    return Err(CliError::Refused(problem));
                }
                let retry_after = problem.take_retry_after();
                return Ok(TailConnection::Failed(CliError::Refused(problem), retry_after));
            }
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        // Parameters may follow, as in `; charset=utf-8`.
        let media_type = kind.split(';').next().unwrap_or_default().trim();
        if !media_type.eq_ignore_ascii_case("text/event-stream") {
            return Err(CliError::NotAHub(format!("its response has the type {kind:?}, not text/event-stream")));
        }
        self.connected_once = true;
        if let Some(interval) = keepalive(response.headers()) {
            self.silence_timeout = interval.saturating_mul(MISSED).min(MAX_SILENCE);
        }
        self.read(response).await
    }

    async fn request(&self) -> Result<Response<Incoming>, CliError> {
        let request = self.hub.send(Method::GET, &self.target, self.headers(), Empty::<Bytes>::new());
        timeout(SILENCE, request).await.unwrap_or_else(|_| Err(silent(SILENCE)))
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // An id that is not a valid header value is not from a hub.
        if let Some(Ok(id)) = self.cursor.as_ref().map(|id| HeaderValue::from_bytes(id.as_bytes())) {
            headers.insert("last-event-id", id);
        }
        headers
    }

    /// Prints a stream until it ends. An incomplete block at the end is dropped: the event is sent again after a
    /// reconnect.
    async fn read(&mut self, response: Response<Incoming>) -> Result<TailConnection, CliError> {
        let mut body = response.into_body();
        let mut parser = Parser::new(MAX_EVENT_BYTES);
        let mut ended = BTreeSet::new();
        loop {
            let deadline = Instant::now() + self.silence_timeout;
            let chunk = match self.next_frame(&mut body, deadline).await? {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => return Ok(TailConnection::Ended(Some(CliError::broken(&error)))),
                Ok(None) if self.topics.as_ref().is_some_and(|all| all.is_subset(&ended)) => {
                    return Ok(TailConnection::Done);
                }
                Ok(None) => return Ok(TailConnection::Ended(None)),
                Err(_) => {
                    let reason = silent(self.silence_timeout);
                    // A proxy may have removed the keepalive header, so the next connection gets a longer timeout.
                    self.silence_timeout = self.silence_timeout.saturating_mul(2).min(MAX_SILENCE);
                    return Ok(TailConnection::Ended(Some(reason)));
                }
            };
            let mut outcome = Ok(());
            parser.push(&chunk, |block| match (&outcome, block) {
                (Ok(()), Ok(block)) => outcome = self.take(block, &mut ended),
                (Ok(()), Err(error)) => self.printer.note(NoteKind::Warning, &format!("warning: skipped: {error}")),
                (Err(_), _) => {}
            });
            if let Some(milliseconds) = parser.retry() {
                self.retry = Duration::from_millis(milliseconds);
            }
            outcome.and_then(|()| self.printer.flush())?;
            self.flushed.clone_from(&self.cursor);
            if self.printer.is_full() {
                return Ok(TailConnection::Done);
            }
        }
    }

    /// The next frame of the body, until the deadline. Saves the position when it is due, also while nothing arrives,
    /// and while more arrives all the time.
    async fn next_frame(&mut self, body: &mut Incoming, deadline: Instant) -> Result<ReceivedFrame, CliError> {
        loop {
            let due = self.state.as_ref().and_then(|state| state.due(self.flushed.as_deref()));
            if due.is_some_and(|due| due <= Instant::now()) {
                self.save()?;
                continue;
            }
            let until = due.map_or(deadline, |due| due.min(deadline));
            match timeout_at(until, body.frame()).await {
                Err(_) if until < deadline => {}
                received => return Ok(received),
            }
        }
    }

    fn take(&mut self, block: SseBlock, ended: &mut BTreeSet<String>) -> Result<(), CliError> {
        // What is not printed does not move the cursor.
        if self.printer.is_full() {
            return Ok(());
        }
        if let Some(id) = block.id {
            self.cursor = (!id.is_empty()).then_some(id);
        }
        let Some(data) = block.data else { return Ok(()) };
        match self.printer.event(&block.event, &data)? {
            // An event after the end means that a topic was reopened; it is not checked which one.
            Printed::Event => ended.clear(),
            // Ignore topics that were not requested.
            Printed::End(topic) if self.topics.as_ref().is_some_and(|all| all.contains(&topic)) => {
                ended.insert(topic);
            }
            Printed::End(_) | Printed::Notice => {}
        }
        Ok(())
    }
}

/// The hub's keepalive interval, from the response header.
fn keepalive(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get("stream-keepalive")?.to_str().ok()?.parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn silent(silence_timeout: Duration) -> CliError {
    CliError::Broken(format!("nothing was received for {} s", silence_timeout.as_secs()))
}
