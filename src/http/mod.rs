//! Floor 3, the door: where bytes become topics, events and cursors, and frames become bytes.
//!
//! | room | idea |
//! |---|---|
//! | [`listen`] | where the hub listens: addresses, and socket files |
//! | [`transport`] | a socket of either kind |
//! | [`server`] | a core's listeners and its connections |
//! | [`connection`] | one connection: what it speaks, and its requests one by one |
//! | [`tls`] | certificates, and who renews them |
//! | [`peer`] | who is at the other end |
//! | [`tracked_socket`] | a socket that knows how long its client has not read |
//! | [`routes`] | every route in one table |
//! | [`response`] | an answer and its body |
//! | [`forwarded`] | the client's address behind trusted proxies |
//! | [`quota`] | what one address, and one holder of a token, may have |
//! | [`policy`] | whom the hub trusts: what a reload may change |
//! | [`problem`] | every error's code and status |
//! | [`throttled_log`] | what is told once a second, however often it happens |
//! | [`auth`] | who makes a request, and what that opens |
//! | [`cors`] | which pages of other sites may use the hub |
//! | [`docs`] | the documents that a problem's `type` leads to |
//! | [`headers`] | headers that may come once |
//! | [`query`] | a query string as browsers write it |
//! | [`keys`] | which keys each route's query has |
//! | [`accept`] | what a client says it understands |
//! | [`body`] | a whole body in memory, within its bounds |
//! | [`body_memory`] | what all bodies in memory may take, and who of it |
//! | [`pace`] | how slowly a body may arrive |
//! | [`duration`] | "10m" |
//! | [`envelope`] | an event as JSON |
//! | [`json_text`] | JSON that is one line to every reader |
//! | [`publish`] | `POST /publish` in all its forms |
//! | [`events`] | `GET` and `POST /events` in all theirs |
//! | [`stream`] | an open stream: encoding, waking, keepalive, ending |
//! | [`topics`] | topics as things |
//! | [`operators`] | stats, metrics, health |

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
pub mod duration;
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
pub use response::{Body, Response, full, made};
use stream::streams::Streams;
use throttled_log::ThrottledLog;
use tls::TlsServer;

/// What every handler on every core needs.
pub struct AppState {
    /// The hub behind it.
    pub hub: Arc<Hub>,
    /// Bounds.
    pub limits: Limits,
    /// Whom it trusts.
    pub policies: Arc<Policies>,
    /// What everybody has open and has used.
    pub quotas: Quotas,
    /// Where operators look at the figures.
    pub operators: AdminListener,
    /// When the process began to serve.
    pub started: std::time::Instant,
    /// Memory for bodies that are being read or wait for their commit.
    pub body_memory: Arc<BodyMemory>,
    /// Memory for pages that their clients have not read.
    pub pages: Arc<BodyMemory>,
    /// Whether the process is about to end.
    pub drain: Drain,
    /// How fast the counters rise.
    pub rates: Rates,
    /// Its certificate, when it speaks TLS.
    pub tls: Option<TlsServer>,
    /// Connections that could not be accepted.
    pub accept_failures: ThrottledLog,
    /// Lines of the log that nobody took in time, so far.
    pub log_dropped: fn() -> u64,
}

/// What the handlers on one core share. Nothing in it is locked: a connection lives and dies on its core.
pub struct ShardState {
    /// What all cores share.
    pub app: Arc<AppState>,
    /// Which core this is.
    pub index: usize,
    /// Its open streams.
    pub streams: Rc<Streams>,
    /// Credentials it has found good.
    pub credentials: CredentialCache,
    /// Its publishers' events on their way to the engine.
    pub batcher: Batcher,
}

/// Bounds of the door, each with its reason in docs/OPERATIONS.md.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Connections served at most; the next ones are told to come back.
    pub connections: usize,
    /// Connections beyond those, only to be told so.
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
    /// Bytes a second that a body must have on average.
    pub body_rate: usize,
    /// How long a client may leave bytes unread before it is cut.
    pub write_timeout: Duration,
    /// What one piece of a stream, or a page, may hold.
    pub limit: ReadLimit,
    /// Filters of one stream at most.
    pub filters: usize,
    /// Silence after which a stream sends a keepalive.
    pub keepalive: Duration,
}

/// Marks the requests of a connection that was one too many.
#[derive(Debug, Clone, Copy)]
pub struct OverCapacity;

impl AppState {
    /// `retry`, at random up to three times as long, in milliseconds: clients that are sent away together come back
    /// spread out.
    #[must_use]
    pub fn spread_retry(&self, retry: Duration) -> u32 {
        let base = u32::try_from(retry.as_millis()).unwrap_or(u32::MAX / 4).clamp(100, u32::MAX / 4);
        fastrand::u32(base..=base * 3)
    }

    /// Lets a request in unless newcomers are sent away for now.
    ///
    /// # Errors
    /// Says why, and to come back.
    pub fn admit(&self, request: &http::Extensions) -> Result<(), Problem> {
        self.refusal(request)
            .map_or(Ok(()), |reason| Err(Problem::new(reason, "nothing was done; come back in a moment")))
    }

    /// Why a newcomer is sent away for now.
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
