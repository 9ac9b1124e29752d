//! A plain HTTP/1.1 client: one request per connection, no retries, so that every failure is seen.

use std::{cell::Cell, io, net::SocketAddr, rc::Rc, time::Duration};

use bytes::Bytes;
use gapless::event::EventId;
use http_body_util::{BodyExt as _, Full, combinators::BoxBody};
use hyper::{Request, Response, body::Incoming, client::conn::http1};
use hyper_util::rt::TokioIo;
use serde_json::Value;
use tokio::{net::TcpStream, task, time::timeout};

/// Time for a connection: more than a busy machine takes, less than the kernel's minutes for a hub that is cut off.
const CONNECT: Duration = Duration::from_secs(3);

/// A request's body.
pub(crate) type Body = BoxBody<Bytes, std::convert::Infallible>;

/// A whole response.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The body; as text if it is not JSON.
    pub(crate) json: Value,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answered(Answer),
    /// No hub has read the request.
    NotSent(String),
    /// A hub may have acted on it.
    Unknown(String),
}

/// A response whose body is read as it arrives. Its connection ends with it.
pub(crate) struct Open {
    pub(crate) response: Response<Incoming>,
    _connection: Connection,
}

struct Connection(task::JoinHandle<()>);

impl Drop for Connection {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A body of known length.
pub(crate) fn full(body: impl Into<Bytes>) -> Body {
    Full::new(body.into()).boxed()
}

/// Sends a request and reads the head of the response. An error of kind `ConnectionRefused` means that nothing was sent.
///
/// # Errors
/// Those of the connection, and `TimedOut`; the head is not awaited here for longer than the caller does.
pub(crate) async fn open(
    hub: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Body,
) -> io::Result<Open> {
    let stream = timeout(CONNECT, TcpStream::connect(hub)).await.map_err(|_| io::ErrorKind::ConnectionRefused)?;
    let stream = stream.map_err(|error| io::Error::new(io::ErrorKind::ConnectionRefused, error))?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
    let connection = Connection(task::spawn_local(async move { drop(connection.await) }));
    let mut request = Request::builder().method(method).uri(target).header("host", hub.to_string());
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(body).expect("a request");
    let response = sender.send_request(request).await.map_err(io::Error::other)?;
    Ok(Open { response, _connection: connection })
}

/// Sends a request and reads the whole response, within `limit`.
pub(crate) async fn request(
    hub: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
    limit: Duration,
) -> Outcome {
    let sent = Rc::new(Cell::new(false));
    let connected = Rc::clone(&sent);
    let exchange = async {
        let open = open(hub, method, target, headers, full(body)).await;
        connected.set(!matches!(&open, Err(error) if error.kind() == io::ErrorKind::ConnectionRefused));
        let mut open = open?;
        let status = open.response.status().as_u16();
        let bytes = open.response.body_mut().collect().await.map_err(io::Error::other)?.to_bytes();
        let text = || Value::from(String::from_utf8_lossy(&bytes));
        let json = serde_json::from_slice(&bytes).unwrap_or_else(|_| text());
        Ok::<_, io::Error>(Answer { status, json })
    };
    match timeout(limit, exchange).await {
        Ok(Ok(answer)) => Outcome::Answered(answer),
        Ok(Err(error)) if !sent.get() => Outcome::NotSent(error.to_string()),
        Ok(Err(error)) => Outcome::Unknown(error.to_string()),
        Err(_) => Outcome::Unknown(format!("no answer within {limit:?}")),
    }
}

/// Percent-encoded for a query or a path.
pub(crate) fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// An id in JSON; `None` for null and for anything that is no id.
pub(crate) fn id(value: &Value) -> Option<EventId> {
    value.as_str().and_then(EventId::parse)
}
