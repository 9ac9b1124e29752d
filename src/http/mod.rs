//! Floor 3: HTTP. Requests become topics, events and cursors; frames become bytes.
//!
//! | module | idea |
//! |---|---|
//! | [`listen`] | binding and listening: TCP addresses, Unix socket files |
//! | [`transport`] | a connected socket, TCP or Unix |
//! | [`server`] | one core: its accept loops, its connections, its tick |
//! | [`connection`] | one connection: protocol negotiation, HTTP/1.1, HTTP/2, timeouts |
//! | [`tls`] | the TLS server, its certificates and their renewal |
//! | [`peer`] | the remote address of a connection, and the listener that it came to |
//! | [`tracked_socket`] | a socket that measures how long its client has not read |
//! | [`routes`] | the routing table, and the headers of every response |
//! | [`response`] | a response and its body |
//! | [`forwarded`] | the client's address behind trusted proxies |
//! | [`quota`] | limits of one client address, and of one holder of a token |
//! | [`policy`] | the settings that a reload can change |
//! | [`problem`] | every error code with its status (RFC 9457) |
//! | [`throttled_log`] | a log message that is written at most once a second |
//! | [`auth`] | authentication and authorization of a request |
//! | [`cors`] | cross-origin requests |
//! | [`docs`] | the documents that a problem's `type` refers to |
//! | [`headers`] | headers that may occur once |
//! | [`query`] | a query string, decoded as browsers encode it |
//! | [`keys`] | the query keys of each route |
//! | [`accept`] | the `Accept` header |
//! | [`body`] | reading a whole request body within its bounds |
//! | [`body_memory`] | the memory of all request bodies, and each client's share |
//! | [`pace`] | the minimum rate of a request body |
//! | [`envelope`] | an event as JSON |
//! | [`json_text`] | JSON on one line, whatever splits it into lines |
//! | [`publish`] | `POST /publish` in all its forms |
//! | [`events`] | `GET` and `POST /events`: streams and pages; `DELETE /events/<id>` |
//! | [`stream`] | an open stream: encoding, waking, keepalive, ending |
//! | [`topics`] | `/topics`: listing, showing, configuring, deleting |
//! | [`operators`] | statistics, metrics, health |

use std::{rc::Rc, sync::Arc, time::Duration};

use crate::{
    hub::{Hub, batch::ReadLimit},
    lifecycle::Drain,
};

pub mod accept;
pub mod auth;
pub mod body;
pub mod body_memory;
pub mod connection;
pub mod cors;
pub mod docs;
pub mod envelope;
pub mod events;
pub mod forwarded;
pub mod headers;
pub mod json_text;
pub mod keys;
pub mod listen;
pub mod operators;
pub mod pace;
pub mod peer;
pub mod policy;
pub mod problem;
pub mod publish;
pub mod query;
pub mod quota;
pub mod response;
pub mod routes;
pub mod server;
pub mod stream;
#[cfg(test)]
mod testing;
pub mod throttled_log;
pub mod tls;
pub mod topics;
pub mod tracked_socket;
pub mod transport;

use auth::credential_cache::CredentialCache;
use body_memory::BodyMemory;
use operators::rates::Rates;
use peer::AdminListener;
use policy::Policies;
use problem::{Code, Problem};
use publish::batcher::Batcher;
use quota::Quotas;
pub use response::{Body, Response, full, generated};
use stream::streams::Streams;
use throttled_log::ThrottledLog;
use tls::TlsServer;

/// The state that the handlers on all cores share.
pub struct AppState {
    /// The hub.
    pub hub: Arc<Hub>,
    /// The configured bounds.
    pub limits: Limits,
    /// The settings that a reload can change.
    pub policies: Arc<Policies>,
    /// What each address and each holder has open and has used.
    pub quotas: Quotas,
    /// The listener that serves statistics and metrics.
    pub operators: AdminListener,
    /// When the process began to serve.
    pub started: std::time::Instant,
    /// Memory for request bodies that are being received or wait for their commit.
    pub body_memory: Arc<BodyMemory>,
    /// Memory for JSON pages that their clients have not read yet.
    pub pages: Arc<BodyMemory>,
    /// The state of the shutdown.
    pub drain: Drain,
    /// Rates of the counters.
    pub rates: Rates,
    /// The TLS server, if TLS is configured.
    pub tls: Option<TlsServer>,
    /// Throttles the log of failed accepts.
    pub accept_failures: ThrottledLog,
    /// Log lines dropped so far because stderr was not read in time.
    pub log_dropped: fn() -> u64,
}

/// The state that the handlers on one core share. It has no locks: a connection stays on its core.
pub struct ShardState {
    /// The state of all cores.
    pub app: Arc<AppState>,
    /// The index of the core, from 0.
    pub index: usize,
    /// The open streams of this core.
    pub streams: Rc<Streams>,
    /// Credentials that were authenticated on this core.
    pub credentials: CredentialCache,
    /// Combines the publishes of this core into batches for the engine.
    pub batcher: Batcher,
}

/// Bounds of connections, requests and streams. docs/OPERATIONS.md gives the reason of each.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections served at most. Further ones get [`Code::OverCapacity`].
    pub connections: usize,
    /// Connections beyond `connections` that are accepted to get that answer.
    pub overflow: usize,
    /// Bytes of one event's data at most.
    pub event_bytes: usize,
    /// Bytes of a batch's body at most.
    pub batch_bytes: usize,
    /// Bytes of one header line at most.
    pub header_line_bytes: usize,
    /// Bytes of all headers of a request at most.
    pub headers_bytes: usize,
    /// Longest wait for a request's head, from its first byte, or from the beginning of the connection.
    pub header_timeout: Duration,
    /// Longest silence of a connection between two requests.
    pub idle_timeout: Duration,
    /// Requests at once on one HTTP/2 connection at most.
    pub h2_streams: u32,
    /// Longest wait for the next bytes of a body.
    pub body_timeout: Duration,
    /// Minimum average rate of a body, in bytes a second.
    pub body_rate: usize,
    /// How long a client may leave bytes unread before its connection is closed.
    pub write_timeout: Duration,
    /// Events and bytes of one read: a batch of a stream, or a page.
    pub limit: ReadLimit,
    /// Filters of one stream at most.
    pub filters: usize,
    /// Time without data after which a stream sends a keepalive.
    pub keepalive: Duration,
}

/// A request extension: the connection exceeds [`Limits::connections`].
#[derive(Debug, Clone, Copy)]
pub struct OverCapacity;

impl AppState {
    /// A random reconnect delay from `retry` to three times `retry`, in milliseconds, so that clients that are
    /// disconnected together reconnect at different times.
    #[must_use]
    pub fn spread_retry(&self, retry: Duration) -> u32 {
        let base = u32::try_from(retry.as_millis()).unwrap_or(u32::MAX / 4).clamp(100, u32::MAX / 4);
        fastrand::u32(base..=base * 3)
    }

    /// Refuses a request when the hub drains or is over capacity.
    ///
    /// # Errors
    /// [`Code::Draining`] or [`Code::OverCapacity`]; both are transient.
    pub fn admit(&self, request: &http::Extensions) -> Result<(), Problem> {
        self.refusal(request)
            .map_or(Ok(()), |reason| Err(Problem::new(reason, "the request was not processed; retry in a moment")))
    }

    /// Why a new request is refused at the moment; `None` when it is not.
    #[must_use]
    pub fn refusal(&self, request: &http::Extensions) -> Option<Code> {
        if self.drain.is_draining() {
            Some(Code::Draining)
        } else if request.get::<OverCapacity>().is_some() {
            Some(Code::OverCapacity)
        } else {
            None
        }
    }
}
