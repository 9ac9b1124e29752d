//! HTTP/1.1 requests to a hub, with or without TLS.
//!
//! | module | idea |
//! |---|---|
//! | this file | the hub, and requests |
//! | [`address`] | parses a hub's URL |
//! | [`mod@dial`] | what opens connections |
//! | [`connector`] | connections, by [`crate::transport`] |
//! | [`roots`] | the certificates that are trusted |
//! | [`credential`] | the token, and its sources |

use std::{io, time::Duration};

use hyper::{
    Method, Request, Response,
    body::{Body, Incoming},
    client::conn::http1,
    header::{self, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::time::timeout;

use crate::{ClientError, transport, transport::connector::tls_error};

pub mod address;
pub mod connector;
pub mod credential;
pub mod dial;
pub mod roots;

pub use self::dial::Dial;
use self::{address::HubAddress, connector::HubConnector, credential::Credential};

/// Timeout of a connection, including proxy and TLS. The system's own timeout is minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A hub, and how to send requests to it.
#[derive(Debug)]
pub struct HubClient<D = HubConnector> {
    url: String,
    /// For the `Host` header.
    authority: String,
    /// The URL's path, without a final slash: behind a proxy a hub may be below a path.
    base: String,
    credential: Credential,
    /// For a forwarding proxy: the prefix of each request target, and the `Proxy-Authorization`.
    forward: Option<(String, Option<HeaderValue>)>,
    dial: D,
}

impl HubClient<HubConnector> {
    /// A hub whose connections `connector` opens. Does not connect yet. `insecure_token`: the token may be sent unencrypted to
    /// another machine.
    ///
    /// # Errors
    /// [`ClientError::InTheClear`] if it would be, and may not.
    pub fn of(
        url: &str,
        address: &HubAddress,
        connector: HubConnector,
        credential: Credential,
        insecure_token: bool,
    ) -> Result<Self, ClientError> {
        if credential.is_some() && !insecure_token && address.server.is_exposed() {
            return Err(ClientError::InTheClear { url: url.into() });
        }
        let forward = connector.proxy().and_then(|proxy| proxy.forward(&address.server.authority));
        let hub = Self::new(url, &address.server.authority, &address.base, connector).with(credential);
        Ok(Self { forward, ..hub })
    }

    /// Its address as `host:port`, its authority, and its base path without a final slash.
    #[must_use]
    pub fn endpoint(&self) -> (&str, &str, &str) {
        (self.dial.address(), &self.authority, &self.base)
    }

    /// The proxy to connect through.
    #[must_use]
    pub fn proxy(&self) -> Option<&transport::proxy::Proxy> {
        self.dial.proxy()
    }
}

impl<D: Dial> HubClient<D> {
    /// A hub whose connections `dial` opens.
    pub fn new(url: &str, authority: &str, base: &str, dial: D) -> Self {
        let base = base.trim_end_matches('/').into();
        let (url, authority) = (url.into(), authority.into());
        Self { url, authority, base, credential: Credential::none(), forward: None, dial }
    }

    /// Sends `credential` with each request.
    #[must_use]
    pub fn with(self, credential: Credential) -> Self {
        Self { credential, ..self }
    }

    /// The credential that is sent with each request.
    pub fn credential(&self) -> &Credential {
        &self.credential
    }

    /// Sends a request for `target`, a path and query below the hub's URL, on a new connection. Returns when the head
    /// of the response has arrived. Dropping the response, or this future, closes the connection.
    ///
    /// # Errors
    /// Why there is no response. A response of any status is one.
    pub async fn send<B: Sent>(
        &self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: B,
    ) -> Result<Response<Incoming>, ClientError> {
        let request = self.request(method, target, headers, body).await?;
        let mut sender = self.connect().await?;
        sender.send_request(request).await.map_err(|error| ClientError::broken(&error))
    }

    /// Builds a request for `target`.
    ///
    /// # Errors
    /// When there is no token.
    pub async fn request<B>(
        &self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: B,
    ) -> Result<Request<B>, ClientError> {
        let authorization = self.credential.authorization().await?;
        let mut request = Request::new(body);
        let (prefix, proxy_authorization) =
            self.forward.as_ref().map_or(("", None), |(prefix, value)| (prefix, value.as_ref()));
        *request.method_mut() = method;
        *request.uri_mut() =
            format!("{prefix}{}{target}", self.base).parse().expect("a checked path and an encoded query");
        *request.headers_mut() = headers;
        let host = HeaderValue::from_str(&self.authority).expect("a URI's authority");
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(transport::USER_AGENT));
        if let Some(value) = proxy_authorization {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, value.clone());
        }
        if let Some(authorization) = authorization {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    /// Opens a connection for sequential requests. Dropping the sender closes it.
    ///
    /// # Errors
    /// When the hub cannot be reached, or not be trusted.
    pub async fn connect<B: Sent>(&self) -> Result<http1::SendRequest<B>, ClientError> {
        let failed = |reason| dial_error(reason, &self.url);
        let io = timeout(CONNECT_TIMEOUT, self.dial.dial()).await.map_err(|late| failed(late.into()))?;
        let io = TokioIo::new(io.map_err(failed)?);
        let (sender, connection) = http1::handshake(io).await.map_err(|error| ClientError::broken(&error))?;
        // Its errors are also reported by the request and the response's body.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// The error of a failed connection to the hub at `url`.
fn dial_error(reason: io::Error, url: &str) -> ClientError {
    let url = url.into();
    match tls_error(&reason) {
        Some(_) => ClientError::Untrusted { url, reason },
        None => ClientError::Unreachable { url, reason },
    }
}

/// A request's body.
pub trait Sent: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send> + Send + 'static {}

impl<B> Sent for B where B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send> + Send + 'static {}
