//! One request on its own connection, and its response, within bounds of time and size.

use std::{error::Error as StdError, io, time::Duration};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::{
    Request, Response,
    body::{Body, Incoming},
    client::conn::http1,
    header,
};
use hyper_util::rt::TokioIo;
use tokio::{
    task::JoinHandle,
    time::{Instant, timeout_at},
};

use super::Connector;

/// The least bound of a response's head: hyper's.
pub const MIN_HEAD_BYTES: usize = 8192;

/// Bounds of one exchange.
#[derive(Debug, Clone)]
pub struct ExchangeBounds {
    /// For the connection: name resolution, proxy, TCP and TLS.
    pub connect: Duration,
    /// From the connection to the end of the response's head; the request is sent within it.
    pub head: Duration,
    /// For everything, to the last byte of the body. `None` for a stream that may go on; its reader then bounds the
    /// wait for each chunk.
    pub total: Option<Duration>,
    /// Largest head of the response, in bytes; at least [`MIN_HEAD_BYTES`] count.
    pub head_bytes: usize,
    /// Largest body of the response, in bytes.
    pub body_bytes: u64,
}

/// Why an exchange failed.
#[derive(Debug, thiserror::Error)]
pub enum ExchangeError {
    /// There is no connection.
    #[error("cannot connect: {0}")]
    Connect(#[source] io::Error),
    /// A bound of time passed.
    #[error("{step} took longer than {} s", .limit.as_secs_f32())]
    Timeout {
        /// What was late.
        step: ExchangeStep,
        /// The bound.
        limit: Duration,
    },
    /// The body is larger than this many bytes.
    #[error("the body has more than {0} bytes")]
    TooLarge(u64),
    /// The request cannot be written, or the response is not HTTP, is too large a head, or ends early.
    #[error("{0}")]
    Http(#[source] Box<dyn StdError + Send + Sync>),
}

/// A step of an exchange that has a bound of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExchangeStep {
    /// Connecting.
    Connect,
    /// Waiting for the head of the response.
    Head,
    /// The whole exchange.
    All,
}

/// The body of a response. Dropping it closes the connection.
#[derive(Debug)]
pub struct BoundedBody {
    body: Incoming,
    /// Bytes that may still come.
    left: u64,
    limit: u64,
    deadline: ExchangeDeadline,
    _connection: ConnectionTask,
}

/// The end of the whole exchange.
#[derive(Debug, Clone, Copy)]
struct ExchangeDeadline(Option<(Instant, Duration)>);

/// The task that drives a connection. Dropping it ends the task, and so closes the connection.
#[derive(Debug)]
struct ConnectionTask(JoinHandle<()>);

impl Drop for ConnectionTask {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A GET of `target`, a path and query, that accepts these media types.
///
/// # Errors
/// When they cannot be written in a request.
pub fn get(target: &str, accept: &str) -> Result<Request<Empty<Bytes>>, ExchangeError> {
    let request = Request::get(target).header(header::ACCEPT, accept).body(Empty::new());
    request.map_err(|error| ExchangeError::Http(error.into()))
}

/// Sends `request`, whose URI has only a path and a query, on a new connection. Returns when the head of the response
/// has arrived. Needs a tokio runtime. Cancel safe: dropping the future closes the connection.
///
/// # Errors
/// Why there is no response. A response of any status is one, also a redirect.
pub async fn exchange<B>(
    connector: &Connector,
    mut request: Request<B>,
    bounds: &ExchangeBounds,
) -> Result<Response<BoundedBody>, ExchangeError>
where
    B: Body<Error: Into<Box<dyn StdError + Send + Sync>>, Data: Send> + Send + 'static,
{
    let deadline = ExchangeDeadline(bounds.total.map(|total| (Instant::now() + total, total)));
    connector.address(&mut request).map_err(|error| ExchangeError::Http(error.into()))?;
    let io = deadline.within(ExchangeStep::Connect, bounds.connect, connector.connect()).await?;
    let io = TokioIo::new(io.map_err(ExchangeError::Connect)?);
    let sent = async {
        let (mut sender, connection) =
            http1::Builder::new().max_buf_size(bounds.head_bytes.max(MIN_HEAD_BYTES)).handshake(io).await?;
        let connection = ConnectionTask(tokio::spawn(async move {
            // Its errors are also reported by the request and the response's body.
            let _reported = connection.await;
        }));
        Ok((sender.send_request(request).await?, connection))
    };
    let sent = deadline.within(ExchangeStep::Head, bounds.head, sent).await?;
    let (response, connection) = sent.map_err(|error: hyper::Error| ExchangeError::Http(error.into()))?;
    let limit = bounds.body_bytes;
    Ok(response.map(|body| BoundedBody { body, left: limit, limit, deadline, _connection: connection }))
}

impl BoundedBody {
    /// The next bytes; `None` at the end. Cancel safe: what was not returned is returned by the next call.
    ///
    /// # Errors
    /// When the connection breaks, or a bound is passed.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, ExchangeError> {
        loop {
            let frame = self.deadline.wait(self.body.frame()).await?;
            let Some(frame) = frame.transpose().map_err(|error| ExchangeError::Http(error.into()))? else {
                return Ok(None);
            };
            // Trailers carry nothing that anybody here reads.
            let Ok(data) = frame.into_data() else { continue };
            self.left = self.left.checked_sub(data.len() as u64).ok_or(ExchangeError::TooLarge(self.limit))?;
            return Ok(Some(data));
        }
    }

    /// The whole rest of the body.
    ///
    /// # Errors
    /// As [`chunk`](Self::chunk).
    pub async fn read_to_end(mut self) -> Result<Vec<u8>, ExchangeError> {
        let mut bytes = Vec::new();
        while let Some(chunk) = self.chunk().await? {
            bytes.extend_from_slice(&chunk);
        }
        Ok(bytes)
    }
}

impl ExchangeDeadline {
    /// Awaits `future` for at most `limit`, and not beyond the deadline.
    async fn within<T>(
        self,
        step: ExchangeStep,
        limit: Duration,
        future: impl Future<Output = T>,
    ) -> Result<T, ExchangeError> {
        let own = (Instant::now() + limit, step, limit);
        let (at, step, limit) = match self.0 {
            Some((end, total)) if end < own.0 => (end, ExchangeStep::All, total),
            _ => own,
        };
        timeout_at(at, future).await.map_err(|_| ExchangeError::Timeout { step, limit })
    }

    /// Awaits `future`, not beyond the deadline.
    async fn wait<T>(self, future: impl Future<Output = T>) -> Result<T, ExchangeError> {
        let Some((end, limit)) = self.0 else { return Ok(future.await) };
        timeout_at(end, future).await.map_err(|_| ExchangeError::Timeout { step: ExchangeStep::All, limit })
    }
}

impl std::fmt::Display for ExchangeStep {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Connect => "the connection",
            Self::Head => "the head of the response",
            Self::All => "the exchange",
        })
    }
}

#[cfg(test)]
mod tests {
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _},
        net::{TcpListener, TcpStream},
        sync::oneshot,
    };

    use super::*;
    use crate::transport::{HttpUrl, connector::is_host_unknown, trust};

    const HEAD: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";

    /// Longer than any step takes.
    const MAX_WAIT: Duration = Duration::from_secs(20);

    fn bounds() -> ExchangeBounds {
        ExchangeBounds { connect: MAX_WAIT, head: MAX_WAIT, total: None, head_bytes: 8192, body_bytes: 1000 }
    }

    /// A connector to a server on the loopback, and its first connection after the head of a request.
    async fn server() -> (Connector, impl Future<Output = (TcpStream, String)>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}/", listener.local_addr().expect("an address"));
        let server = HttpUrl::parse(&url).expect("a URL").server;
        let accepted = async move {
            let (mut client, _) = listener.accept().await.expect("a client");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(client.read_u8().await.expect("a request"));
            }
            (client, String::from_utf8(head).expect("ASCII"))
        };
        (Connector::new(server, None, None).expect("a host"), accepted)
    }

    /// The response of a server that answers with `text` and closes.
    async fn answered(text: String, bounds: &ExchangeBounds) -> Result<Response<BoundedBody>, ExchangeError> {
        let (connector, accepted) = server().await;
        tokio::spawn(async move {
            let (mut client, _) = accepted.await;
            // The client may have closed the connection.
            let _gone = client.write_all(text.as_bytes()).await;
        });
        exchange(&connector, get("/", "*/*").expect("a request"), bounds).await
    }

    #[tokio::test]
    async fn a_request_names_its_server_and_a_body_comes_chunk_by_chunk() {
        let (connector, accepted) = server().await;
        let (more, next) = oneshot::channel();
        let serving = tokio::spawn(async move {
            let (mut client, head) = accepted.await;
            client.write_all(format!("{HEAD}one").as_bytes()).await.expect("it reads");
            next.await.expect("the first chunk has come");
            client.write_all(b"two").await.expect("it reads");
            head
        });
        let request = get("/a?b=c", "text/event-stream").expect("a request");
        let response = exchange(&connector, request, &bounds()).await.expect("a response");
        let mut body = response.into_body();
        assert_eq!(body.chunk().await.expect("a chunk").as_deref(), Some(&b"one"[..]));
        more.send(()).expect("it waits");
        assert_eq!(body.chunk().await.expect("a chunk").as_deref(), Some(&b"two"[..]));
        assert_eq!(body.chunk().await.expect("the end"), None);
        let head = serving.await.expect("it served");
        let host = &connector.server().authority;
        assert!(head.starts_with("GET /a?b=c HTTP/1.1\r\n") && head.contains(&format!("host: {host}\r\n")), "{head}");
        assert!(head.contains("accept: text/event-stream\r\n") && head.contains("user-agent: gapless/"), "{head}");
    }

    #[tokio::test]
    async fn a_body_or_a_head_beyond_its_bound_is_an_error() {
        let exact = answered(format!("{HEAD}{}", "x".repeat(1000)), &bounds()).await.expect("a response");
        assert_eq!(exact.into_body().read_to_end().await.expect("within the bound").len(), 1000);
        let larger = answered(format!("{HEAD}{}", "x".repeat(1001)), &bounds()).await.expect("a response");
        let error = larger.into_body().read_to_end().await.expect_err("too large");
        assert!(matches!(error, ExchangeError::TooLarge(1000)), "{error:?}");
        let head = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(100_000));
        let error = answered(head.clone(), &bounds()).await.expect_err("too large");
        assert!(matches!(error, ExchangeError::Http(_)), "{error:?}");
        let wide = ExchangeBounds { head_bytes: 200_000, ..bounds() };
        answered(head, &wide).await.expect("within the bound");
    }

    #[tokio::test]
    async fn a_redirect_is_a_response_and_is_not_followed() {
        let redirect = "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n";
        assert_eq!(answered(redirect.into(), &bounds()).await.expect("a response").status(), 302);
    }

    #[tokio::test]
    async fn what_is_not_http_or_ends_early_is_an_error() {
        for text in ["hello\r\n\r\n", "", "HTTP/1.1 200 OK\r\ncont"] {
            let error = answered(text.into(), &bounds()).await.expect_err(text);
            assert!(matches!(error, ExchangeError::Http(_)), "{text}: {error:?}");
        }
        let short = "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nabc";
        let body = answered(short.into(), &bounds()).await.expect("a response").into_body();
        assert!(matches!(body.read_to_end().await, Err(ExchangeError::Http(_))));
    }

    #[tokio::test]
    async fn each_wait_has_its_bound() {
        let brief = Duration::from_millis(50);
        let late = |error: &ExchangeError, want: ExchangeStep| {
            assert!(matches!(error, ExchangeError::Timeout { step, .. } if *step == want), "{error:?}");
        };
        // Nobody accepts, and the connection is made by the kernel.
        let (connector, accepted) = server().await;
        let request = || get("/", "*/*").expect("a request");
        let error = exchange(&connector, request(), &ExchangeBounds { head: brief, ..bounds() }).await;
        late(&error.expect_err("no head"), ExchangeStep::Head);
        let error = exchange(&connector, request(), &ExchangeBounds { total: Some(brief), ..bounds() }).await;
        late(&error.expect_err("no head"), ExchangeStep::All);
        let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
        let mut roots = rustls::RootCertStore::empty();
        roots.add(own.cert.der().clone()).expect("a root");
        let silent = Connector::new(connector.server().clone(), None, trust::config(roots)).expect("a host");
        let error = exchange(&silent, request(), &ExchangeBounds { connect: brief, ..bounds() }).await;
        late(&error.expect_err("no handshake"), ExchangeStep::Connect);
        drop(accepted);

        let (connector, accepted) = server().await;
        let serving = tokio::spawn(async move {
            let (mut client, _) = accepted.await;
            client.write_all(format!("{HEAD}one").as_bytes()).await.expect("it reads");
            client
        });
        let total = ExchangeBounds { total: Some(Duration::from_millis(500)), ..bounds() };
        let mut body = exchange(&connector, request(), &total).await.expect("a response").into_body();
        let open = serving.await.expect("it served");
        assert!(body.chunk().await.expect("in time").is_some());
        late(&body.chunk().await.expect_err("silence"), ExchangeStep::All);
        drop(open);
    }

    #[tokio::test]
    async fn dropping_the_body_closes_the_connection() {
        let (connector, accepted) = server().await;
        let serving = tokio::spawn(async move {
            let (mut client, _) = accepted.await;
            client.write_all(format!("{HEAD}one").as_bytes()).await.expect("it reads");
            tokio::time::timeout(MAX_WAIT, client.read(&mut [0])).await.expect("it is closed")
        });
        let response = exchange(&connector, get("/", "*/*").expect("a request"), &bounds()).await;
        drop(response.expect("a response"));
        // The end of the connection, or its reset, because bytes were left unread.
        assert!(matches!(serving.await.expect("it served"), Ok(0) | Err(_)));
    }

    #[tokio::test]
    async fn an_unknown_host_and_a_closed_port_are_told_apart() {
        let unknown = HttpUrl::parse("http://nowhere.invalid/").expect("a URL").server;
        let unknown = Connector::new(unknown, None, None).expect("a host");
        let error = exchange(&unknown, get("/", "*/*").expect("a request"), &bounds()).await.expect_err("no such host");
        assert!(matches!(&error, ExchangeError::Connect(error) if is_host_unknown(error)));
        let (connector, accepted) = server().await;
        drop(accepted);
        let error = exchange(&connector, get("/", "*/*").expect("a request"), &bounds()).await.expect_err("closed");
        assert!(matches!(&error, ExchangeError::Connect(error) if error.kind() == io::ErrorKind::ConnectionRefused));
    }
}
