//! Connect, read, remember the last id, connect again: the client side of WHATWG HTML, section 9.2.

use std::{collections::BTreeSet, io::Write, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt, Empty};
use hyper::{
    Method, Response, StatusCode,
    body::Incoming,
    header::{self, HeaderMap, HeaderValue},
};
use tokio::time::timeout;

use super::print::{Printed, Printer};
use crate::{
    cli::{
        CliError,
        client::{Dial, HubClient},
        delay,
        problem::HubProblem,
    },
    event::sse_parser::{Parser, SseBlock},
};

/// Silence after which a connection is given up when the hub has not said how often it sends a keepalive: three of the
/// default 15 s.
const SILENCE: Duration = Duration::from_secs(45);

/// Keepalives that may be missing before a connection is given up: one that is late and one that is lost are none.
const MISSED: u32 = 3;

/// Longest silence that is waited for, whatever was said: three keepalives of the longest interval a hub can be told to keep
/// (`stream.keepalive`, 10 minutes).
const MAX_SILENCE: Duration = Duration::from_mins(30);

/// Longest event taken: the largest a hub can be told to accept (64 MiB), twice, for the escapes of an envelope.
const MAX_EVENT_BYTES: usize = 128 * 1024 * 1024;

/// A reader of one stream, across the connections it takes.
pub(super) struct Follower<'a, D, O, N> {
    hub: &'a HubClient<D>,
    target: String,
    cursor: Option<String>,
    retry: Duration,
    /// Silence after which the connection is given up.
    patience: Duration,
    /// The topics asked for, unless a pattern is among them: when all have ended, nothing more will come.
    topics: Option<BTreeSet<String>>,
    /// Whether it has ever been a stream.
    begun: bool,
    printer: Printer<O, N>,
}

/// How one connection went.
enum TailConnection {
    /// There is nothing more to come, or to print.
    Done,
    /// It was a stream, and ended; or it broke, and why.
    Ended(Option<CliError>),
    /// There was none, and how long whoever answered asked to wait.
    Failed(CliError, Duration),
}

impl<'a, D: Dial, O: Write, N: Write> Follower<'a, D, O, N> {
    /// A reader of `target` that starts after `cursor`.
    pub(super) fn new(hub: &'a HubClient<D>, target: String, cursor: Option<String>, printer: Printer<O, N>) -> Self {
        let (retry, patience) = (delay::DEFAULT, SILENCE);
        Self { hub, target, cursor, retry, patience, topics: None, begun: false, printer }
    }

    /// The same, which is done when each of these topics has ended.
    pub(super) fn until_the_end_of(self, topics: Option<BTreeSet<String>>) -> Self {
        Self { topics, ..self }
    }

    /// Reads on until the hub says that nothing more will come (204), or enough was printed.
    pub(super) async fn follow(mut self) -> Result<(), CliError> {
        let mut failures = 0;
        loop {
            let (reason, asked) = match self.connect().await? {
                TailConnection::Done => return Ok(()),
                TailConnection::Ended(reason) => {
                    failures = 0;
                    (reason, Duration::ZERO)
                }
                TailConnection::Failed(reason, asked) => {
                    failures += 1;
                    (Some(reason), asked)
                }
            };
            let wait = delay::before_next(self.retry, asked, failures, fastrand::f64());
            if let Some(reason) = reason {
                self.printer.note(&delay::told(&reason, wait));
            }
            tokio::time::sleep(wait).await;
        }
    }

    /// One connection from its request to its end, or two when the token was replaced under the first. Errors are for
    /// good.
    async fn connect(&mut self) -> Result<TailConnection, CliError> {
        let mut response = self.ask().await;
        if response.as_ref().is_ok_and(|response| response.status() == StatusCode::UNAUTHORIZED)
            && self.hub.credential().is_renewed()
        {
            response = self.ask().await;
        }
        let response = match response {
            Ok(response) => response,
            // A certificate that was good once is being renewed, or somebody stands in between for a while.
            Err(reason @ CliError::Untrusted { .. }) if !self.begun => return Err(reason),
            Err(reason) => return Ok(TailConnection::Failed(reason, Duration::ZERO)),
        };
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NO_CONTENT => return Ok(TailConnection::Done),
            _ => {
                let mut problem = HubProblem::read(response).await;
                if !problem.passes() {
                    return Err(CliError::Refused(problem));
                }
                let asked = problem.take_retry_after();
                return Ok(TailConnection::Failed(CliError::Refused(problem), asked));
            }
        }
        let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        if kind.parse::<mime::Mime>().map_or(true, |kind| kind.essence_str() != "text/event-stream") {
            return Err(CliError::NotAHub(format!("its answer is {kind:?}, not text/event-stream")));
        }
        self.begun = true;
        if let Some(interval) = keepalive(response.headers()) {
            self.patience = interval.saturating_mul(MISSED).min(MAX_SILENCE);
        }
        self.read(response).await
    }

    async fn ask(&self) -> Result<Response<Incoming>, CliError> {
        let request = self.hub.send(Method::GET, &self.target, self.headers(), Empty::<Bytes>::new());
        timeout(SILENCE, request).await.unwrap_or_else(|_| Err(silent(SILENCE)))
    }

    fn headers(&self) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT, HeaderValue::from_static("text/event-stream"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        // An id that is no header's value is none of a hub's.
        if let Some(Ok(id)) = self.cursor.as_ref().map(|id| HeaderValue::from_bytes(id.as_bytes())) {
            headers.insert("last-event-id", id);
        }
        headers
    }

    /// Prints a stream until it ends. A block that no blank line has ended by then is dropped: it comes again.
    async fn read(&mut self, response: Response<Incoming>) -> Result<TailConnection, CliError> {
        let mut body = response.into_body();
        let mut parser = Parser::new(MAX_EVENT_BYTES);
        let mut ended = BTreeSet::new();
        loop {
            let chunk = match timeout(self.patience, body.frame()).await {
                Ok(Some(Ok(frame))) => frame.into_data().unwrap_or_default(),
                Ok(Some(Err(error))) => return Ok(TailConnection::Ended(Some(CliError::broken(&error)))),
                Ok(None) if self.topics.as_ref().is_some_and(|all| all.is_subset(&ended)) => {
                    return Ok(TailConnection::Done);
                }
                Ok(None) => return Ok(TailConnection::Ended(None)),
                Err(_) => {
                    let reason = silent(self.patience);
                    // Whoever stands between may have left the header out; a hub that was only slow is waited for longer.
                    self.patience = self.patience.saturating_mul(2).min(MAX_SILENCE);
                    return Ok(TailConnection::Ended(Some(reason)));
                }
            };
            let mut outcome = Ok(());
            parser.push(&chunk, |block| match (&outcome, block) {
                (Ok(()), Ok(block)) => outcome = self.take(block, &mut ended),
                (Ok(()), Err(error)) => self.printer.note(&format!("warning: skipped: {error}")),
                (Err(_), _) => {}
            });
            if let Some(milliseconds) = parser.retry() {
                self.retry = Duration::from_millis(milliseconds);
            }
            outcome.and_then(|()| self.printer.flush())?;
            if self.printer.is_full() {
                return Ok(TailConnection::Done);
            }
        }
    }

    fn take(&mut self, block: SseBlock, ended: &mut BTreeSet<String>) -> Result<(), CliError> {
        if let Some(id) = block.id {
            self.cursor = (!id.is_empty()).then_some(id);
        }
        let Some(data) = block.data else { return Ok(()) };
        match self.printer.event(&block.event, &data)? {
            // A topic that has ended takes no events, unless it was opened again: which one this was of is not looked at.
            Printed::Event => ended.clear(),
            // One that was not asked for is none of a hub's, and would be kept for nothing.
            Printed::End(topic) if self.topics.as_ref().is_some_and(|all| all.contains(&topic)) => {
                ended.insert(topic);
            }
            Printed::End(_) | Printed::Notice => {}
        }
        Ok(())
    }
}

/// How often the hub says something, when it says so.
fn keepalive(headers: &HeaderMap) -> Option<Duration> {
    let seconds: u64 = headers.get("stream-keepalive")?.to_str().ok()?.parse().ok()?;
    (seconds > 0).then(|| Duration::from_secs(seconds))
}

fn silent(patience: Duration) -> CliError {
    CliError::Broken(format!("nothing came for {} s", patience.as_secs()))
}
