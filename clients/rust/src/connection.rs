//! Sequential requests to a hub over one connection, which is reopened when needed.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{
    Method, StatusCode,
    client::conn::http1::SendRequest,
    header::{self, HeaderMap},
};
use tokio::time::timeout;

use crate::{
    ClientError,
    problem::HubProblem,
    requests::{Dial, HubClient},
};

/// Longest response, in bytes: 300 bytes and the topic for each of the 100,000 events of a batch are fewer.
const MAX_RESPONSE_BYTES: usize = 128 << 20;

/// A kept connection.
pub(crate) type KeptConnection = SendRequest<Full<Bytes>>;

/// A hub, and a kept connection to it.
pub struct HubConnection<'a, D> {
    hub: &'a HubClient<D>,
    connection: Option<KeptConnection>,
    /// A request that the hub may have processed was sent again.
    was_resent: bool,
    /// Whether a connection was ever established.
    reached: bool,
    /// Longest response, in bytes.
    max_response: usize,
}

/// A request that can be sent several times.
#[derive(Debug, Clone)]
pub struct HubRequest {
    /// The method.
    pub method: Method,
    /// The path and query below the hub's URL.
    pub target: String,
    /// Headers without `Authorization`.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// The hub's response.
pub enum HubResponse {
    /// The body of a successful response.
    Success {
        /// Its bytes.
        body: Bytes,
        /// Whether its type is `application/json`.
        is_json: bool,
    },
    /// Why the hub refused.
    Refused(HubProblem),
}

/// Why there is no response.
pub enum RequestFailure {
    /// The request was not sent.
    NotSent(ClientError),
    /// It was not sent, because the caller did not permit it any more.
    TooLate,
    /// The request was sent, and the hub may have processed it.
    MaybeSent(ClientError),
}

/// What bounds one request.
pub struct RequestBounds<'a> {
    /// For the token and the connection; and again for the request and its response.
    pub patience: Duration,
    /// Asked directly before the request is sent, when the token is there.
    pub may_send: &'a (dyn Fn() -> bool + Sync),
}

impl<'a, D: Dial> HubConnection<'a, D> {
    /// No connection yet.
    pub fn new(hub: &'a HubClient<D>) -> Self {
        Self::with(hub, None)
    }

    /// With a connection that [`into_kept`](Self::into_kept) has returned.
    pub(crate) fn with(hub: &'a HubClient<D>, connection: Option<KeptConnection>) -> Self {
        Self { hub, connection, was_resent: false, reached: false, max_response: MAX_RESPONSE_BYTES }
    }

    /// Accepts responses of up to `bytes`, in place of 128 MiB.
    #[must_use]
    pub fn with_max_response(self, bytes: usize) -> Self {
        Self { max_response: bytes, ..self }
    }

    /// The connection, for the next requests to the same hub.
    pub(crate) fn into_kept(self) -> Option<KeptConnection> {
        self.connection
    }

    /// Whether a request was sent twice since the last call: then the response is that to the second, and the first may
    /// have been processed.
    pub fn was_resent(&mut self) -> bool {
        std::mem::take(&mut self.was_resent)
    }

    /// Whether a connection was ever established.
    pub fn reached(&self) -> bool {
        self.reached
    }

    /// Sends a request and reads its response. If the kept connection turns out to be closed, the request is sent again
    /// on a new one, so it must be idempotent. After a 401 it is sent once more, if there may be another token.
    ///
    /// # Errors
    /// Why there is no response. Dropping the future closes the connection.
    pub async fn request(
        &mut self,
        request: &HubRequest,
        bounds: &RequestBounds<'_>,
    ) -> Result<HubResponse, RequestFailure> {
        let kept = self.connection.take().filter(|sender| !sender.is_closed());
        let was_kept = kept.is_some();
        let first = self.try_once(kept, request, bounds).await;
        let response = match first {
            // The hub may have closed the idle connection. A failure on a new connection has another cause.
            Err(RequestFailure::MaybeSent(_)) if was_kept => {
                self.was_resent = true;
                self.try_once(None, request, bounds).await
            }
            other => other,
        };
        match response {
            Ok(HubResponse::Refused(problem))
                if problem.status() == Some(StatusCode::UNAUTHORIZED.as_u16()) && self.hub.credential().renew() =>
            {
                match self.try_once(None, request, bounds).await {
                    Err(RequestFailure::TooLate) => Ok(HubResponse::Refused(problem)),
                    other => other,
                }
            }
            other => other,
        }
    }

    async fn try_once(
        &mut self,
        kept: Option<KeptConnection>,
        request: &HubRequest,
        bounds: &RequestBounds<'_>,
    ) -> Result<HubResponse, RequestFailure> {
        let HubRequest { method, target, headers, body } = request;
        let limit = bounds.patience;
        let late = || ClientError::Broken(format!("no response from the hub within {} s", limit.as_secs()));
        let prepared = async {
            let request = self.hub.request(method.clone(), target, headers.clone(), Full::new(body.clone())).await?;
            let sender = match kept {
                Some(sender) => sender,
                None => self.hub.connect().await?,
            };
            Ok((request, sender))
        };
        let prepared = timeout(limit, prepared).await.unwrap_or_else(|_| Err(late()));
        let (request, mut sender) = prepared.map_err(RequestFailure::NotSent)?;
        self.reached = true;
        if !(bounds.may_send)() {
            return Err(RequestFailure::TooLate);
        }
        let exchange = async {
            sender.ready().await.map_err(|error| ClientError::broken(&error))?;
            let response = sender.send_request(request).await.map_err(|error| ClientError::broken(&error))?;
            if !response.status().is_success() {
                return Ok(HubResponse::Refused(HubProblem::read(response).await));
            }
            let kind = response.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let is_json = kind.is_some_and(|kind| kind.starts_with("application/json"));
            let body = Limited::new(response.into_body(), self.max_response).collect().await;
            let body = body.map_err(|error| ClientError::Broken(error.to_string()))?;
            Ok(HubResponse::Success { body: body.to_bytes(), is_json })
        };
        let response =
            timeout(limit, exchange).await.unwrap_or_else(|_| Err(late())).map_err(RequestFailure::MaybeSent)?;
        self.connection = Some(sender);
        Ok(response)
    }
}
