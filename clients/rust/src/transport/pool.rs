//! Many requests to one server at once, on connections that are kept: HTTP/2 when the server offers it over TLS, else
//! HTTP/1.1.

use std::{
    error::Error as StdError,
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    header::{self, HeaderValue},
};
use hyper_util::{
    client::legacy::{self, Client},
    rt::{TokioExecutor, TokioTimer},
};
use parking_lot::Mutex;

use super::{
    Connector, ServerAddress,
    dial::PoolDial,
    proxy::{Proxy, ProxyVariables},
    trust,
};

/// Requests of one client at once on one HTTP/2 connection. hyper-util keeps one connection of HTTP/2, and a request
/// beyond the server's limit waits there for another one's end: for minutes, when these are generations. RFC 9113 (6.5.2)
/// recommends a limit of no less than 100.
const LANE_REQUESTS: usize = 100;

/// How long a connection without a request is kept. Below the 60 s for which most servers keep one, because a request
/// that meets a closing connection may be lost.
const IDLE_TIMEOUT: Duration = Duration::from_secs(30);

/// Connections of HTTP/1.1 without a request that are kept for each [`LANE_REQUESTS`]: a handshake costs a new run two
/// round trips, and an idle connection some 30 KiB.
const MAX_IDLE: usize = 32;

/// Largest head of a response, and largest read at a time, over HTTP/1.1.
const MAX_HEAD_BYTES: usize = 64 << 10;

/// How often an HTTP/2 connection with requests is asked whether it is alive, and how long its answer may take.
const PING_INTERVAL: Duration = Duration::from_secs(30);
const PING_TIMEOUT: Duration = Duration::from_secs(20);

/// Bytes that may arrive on one HTTP/2 stream, and on its connection, before they are read: what a stalled reader holds,
/// and 16 stalled readers before they delay others.
const STREAM_WINDOW: u32 = 256 << 10;
const CONNECTION_WINDOW: u32 = 16 * STREAM_WINDOW;

/// A client for one server, for one core: its connections are driven by the runtime that it is used on.
pub struct PooledClient {
    dial: PoolDial,
    lanes: Mutex<Vec<Lane>>,
}

/// A client of hyper-util with its own connections, for up to [`LANE_REQUESTS`] at once.
struct Lane {
    client: Client<PoolDial, Full<Bytes>>,
    requests: Arc<AtomicUsize>,
}

/// A request on a lane, until its response has ended or was dropped.
#[derive(Debug)]
struct LaneRequest(Arc<AtomicUsize>);

/// The body of a response. Dropping it before its end closes the connection, or resets the stream of HTTP/2.
#[derive(Debug)]
pub struct PooledBody {
    body: Incoming,
    _request: LaneRequest,
}

/// Why there is no response.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    /// There is no connection: no byte of the request was sent.
    #[error("cannot connect: {0}")]
    NotSent(ErrorText),
    /// The request cannot be written as HTTP: its path is not one, for example.
    #[error("not a request: {0}")]
    Invalid(#[from] hyper::http::Error),
    /// The connection has failed. The server may have the request, and may be answering it.
    #[error("no answer: {0}")]
    Unknown(ErrorText),
}

/// A response that breaks off, or is not HTTP.
#[derive(Debug, thiserror::Error)]
#[error("the answer breaks off: {0}")]
pub struct BrokenBody(ErrorText);

/// An error with its causes, which hyper leaves out. It has no part of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ErrorText(String);

/// Why there can be no connection to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoConnector {
    /// There is no certificate to trust.
    #[error("this machine has no trusted root certificates; install ca-certificates")]
    NoRoots,
    /// No certificate can be for its host.
    #[error("no certificate can be for this host")]
    InvalidHost,
}

/// A connector for the pools of all cores to `server`: with the machine's root certificates, through the proxy of the
/// environment, offering HTTP/2. Reads the root certificates from disk.
///
/// # Errors
/// When the server is to be reached by TLS, and cannot be verified.
pub fn connector(server: &ServerAddress) -> Result<Arc<Connector>, NoConnector> {
    let tls = server.tls.then(|| trust::config(trust::system_roots().0).ok_or(NoConnector::NoRoots)).transpose()?;
    let tls = tls.map(|config| trust::offer_http2(&config));
    let proxy = Proxy::from_environment(server, ProxyVariables::Any).ok().flatten();
    Connector::new(server.clone(), proxy, tls).map(Arc::new).map_err(|_| NoConnector::InvalidHost)
}

impl PooledClient {
    /// A client without connections yet. `connect_timeout`: for name resolution, proxy, TCP and TLS of each together.
    #[must_use]
    pub fn new(connector: Arc<Connector>, connect_timeout: Duration) -> Self {
        Self { dial: PoolDial { connector, timeout: connect_timeout }, lanes: Mutex::default() }
    }

    /// Sends `request`, whose URI has only a path and a query, and returns when the head of its response is there: of any
    /// status, also a redirect, which is not followed. The body arrives as the server sends it: it is asked for no
    /// compression. `Host` is set, and `User-Agent` when there is none.
    ///
    /// Has no bound of time but for the connection. Needs the same tokio runtime at each call. Cancel safe: dropping the
    /// future closes the request's connection, or resets its stream of HTTP/2.
    ///
    /// # Errors
    /// Why there is no response, and whether the server may have the request.
    pub async fn send(&self, mut request: Request<Bytes>) -> Result<Response<PooledBody>, SendError> {
        self.address(&mut request)?;
        let (client, lane) = self.lane();
        let response = client.request(request.map(Full::new)).await.map_err(|error| SendError::new(&error))?;
        Ok(response.map(|body| PooledBody { body, _request: lane }))
    }

    /// The first lane with room: later ones come to an end when there are fewer requests.
    fn lane(&self) -> (Client<PoolDial, Full<Bytes>>, LaneRequest) {
        let mut lanes = self.lanes.lock();
        let place = lanes.iter().position(|lane| lane.requests.load(Relaxed) < LANE_REQUESTS).unwrap_or_else(|| {
            lanes.push(Lane { client: client(self.dial.clone()), requests: Arc::default() });
            lanes.len() - 1
        });
        let Lane { client, requests } = &lanes[place];
        requests.fetch_add(1, Relaxed);
        (client.clone(), LaneRequest(Arc::clone(requests)))
    }

    /// Makes the URI absolute, and sets the headers of every request.
    fn address(&self, request: &mut Request<Bytes>) -> Result<(), hyper::http::Error> {
        let ServerAddress { tls, authority, .. } = self.dial.connector.server();
        let path = request.uri().path_and_query().map_or("/", |path| path.as_str());
        let scheme = if *tls { "https" } else { "http" };
        let uri = Uri::builder().scheme(scheme).authority(&**authority).path_and_query(path).build()?;
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.remove(header::HOST);
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        headers.entry(header::USER_AGENT).or_insert(HeaderValue::from_static(super::USER_AGENT));
        if let Some((_, Some(authorization))) = self.dial.connector.forwarding() {
            headers.insert(header::PROXY_AUTHORIZATION, authorization);
        }
        Ok(())
    }
}

fn client(dial: PoolDial) -> Client<PoolDial, Full<Bytes>> {
    Client::builder(TokioExecutor::new())
        .timer(TokioTimer::new())
        .pool_timer(TokioTimer::new())
        .pool_idle_timeout(IDLE_TIMEOUT)
        .pool_max_idle_per_host(MAX_IDLE)
        .http1_max_buf_size(MAX_HEAD_BYTES)
        .http2_initial_stream_window_size(STREAM_WINDOW)
        .http2_initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(PING_INTERVAL)
        .http2_keep_alive_timeout(PING_TIMEOUT)
        // Sends no generation twice. hyper-util 0.1.21 (`send_request` in client/legacy/client.rs) repeats a request only
        // when hyper returns it, and hyper 1.12 returns one only while it is still in the queue before the connection's
        // task: `TrySendError::message` is `Some` in `Envelope::drop` (client/dispatch.rs), in `recv_msg` for what
        // `try_recv` takes from that queue (proto/h1/dispatch.rs), and where the queue was closed already
        // (client/conn/http1.rs, http2.rs). Once a byte may have been written it is `None`, also after a GOAWAY or a
        // REFUSED_STREAM. So a request that meets a connection which the server has just closed is sent on another one.
        .retry_canceled_requests(true)
        .build(dial)
}

impl Drop for LaneRequest {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Relaxed);
    }
}

impl PooledBody {
    /// The next bytes; `None` at the end. Has no bound of time. Cancel safe: what was not returned is returned by the next
    /// call.
    ///
    /// # Errors
    /// When the connection breaks before the end.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, BrokenBody> {
        loop {
            let frame = self.body.frame().await.transpose().map_err(|error| BrokenBody(ErrorText::new(&error)))?;
            let Some(frame) = frame else { return Ok(None) };
            // Trailers carry nothing that anybody here reads.
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

impl SendError {
    fn new(error: &legacy::Error) -> Self {
        // hyper-util says "client error (Connect)" around the reason.
        let text = ErrorText::new(error.source().unwrap_or(error));
        if error.is_connect() { Self::NotSent(text) } else { Self::Unknown(text) }
    }
}

impl ErrorText {
    fn new(error: &dyn StdError) -> Self {
        let mut text = error.to_string();
        let mut cause = error.source();
        while let Some(error) = cause {
            // An io::Error shows the error in it, and names it as its cause's cause.
            let reason = error.to_string();
            if !text.ends_with(&reason) {
                text = format!("{text}: {reason}");
            }
            cause = error.source();
        }
        Self(text)
    }
}

impl fmt::Display for ErrorText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PooledClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PooledClient").field("dial", &self.dial).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
