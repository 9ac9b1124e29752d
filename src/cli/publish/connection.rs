//! Sequential requests to a hub over one connection, which is reopened when needed.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, StatusCode, client::conn::http1::SendRequest, header::HeaderMap};
use tokio::time::timeout;

use super::bounds::MAX_LINES;
use crate::cli::{
    CliError,
    client::{Dial, HubClient},
    problem::HubProblem,
};

/// Timeout of a response: far longer than any commit takes.
const RESPONSE_TIMEOUT: Duration = Duration::from_mins(1);

/// Longest response: the receipts of a full batch, each with the longest topic name in escaped form.
const MAX_RESPONSE_BYTES: usize = MAX_LINES * 2048;

/// The path of a publish, up to the query.
pub(in crate::cli) const PATH: &str = "/publish?";

/// A hub, and a kept connection to it.
pub(in crate::cli) struct HubConnection<'a, D> {
    hub: &'a HubClient<D>,
    connection: Option<SendRequest<Full<Bytes>>>,
    /// A request that the hub may have processed was sent again.
    was_resent: bool,
    /// Whether a connection was ever established.
    reached: bool,
    /// Longest response, in bytes.
    max_response: usize,
}

/// The hub's response.
pub(in crate::cli) enum HubResponse {
    /// The body of a successful response.
    Success(Bytes),
    /// Why the hub refused.
    Refused(HubProblem),
}

/// Why there is no response.
pub(in crate::cli) enum RequestFailure {
    /// The request was not sent.
    NotSent(CliError),
    /// The request was sent, and the hub may have processed it.
    MaybeSent(CliError),
}

impl<'a, D: Dial> HubConnection<'a, D> {
    pub(in crate::cli) fn new(hub: &'a HubClient<D>) -> Self {
        Self { hub, connection: None, was_resent: false, reached: false, max_response: MAX_RESPONSE_BYTES }
    }

    /// Accepts responses of up to `bytes`.
    pub(in crate::cli) fn with_max_response(self, bytes: usize) -> Self {
        Self { max_response: bytes, ..self }
    }

    /// Whether a request was sent twice since the last call: then the response is that to the second, and the first may
    /// have been processed.
    pub(in crate::cli) fn was_resent(&mut self) -> bool {
        std::mem::take(&mut self.was_resent)
    }

    /// Whether a connection was ever established.
    pub(in crate::cli) fn reached(&self) -> bool {
        self.reached
    }

    /// Sends a request and reads its response. If the kept connection turns out to be closed, the request is sent again
    /// on a new one, so it must be idempotent.
    pub(in crate::cli) async fn request(
        &mut self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<HubResponse, RequestFailure> {
        let kept = self.connection.take().filter(|sender| !sender.is_closed());
        let was_kept = kept.is_some();
        let first = self.try_once(kept, &method, target, &headers, &body).await;
        let response = match first {
            // The hub may have closed the idle connection. A failure on a new connection has another cause.
            Err(RequestFailure::MaybeSent(_)) if was_kept => {
                self.was_resent = true;
                self.try_once(None, &method, target, &headers, &body).await
            }
            other => other,
        };
        match response {
            Ok(HubResponse::Refused(problem))
                if problem.status() == Some(StatusCode::UNAUTHORIZED.as_u16())
                    && self.hub.credential().has_changed() =>
            {
                self.try_once(None, &method, target, &headers, &body).await
            }
            other => other,
        }
    }

    async fn try_once(
        &mut self,
        kept: Option<SendRequest<Full<Bytes>>>,
        method: &Method,
        target: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<HubResponse, RequestFailure> {
        let request = self.hub.request(method.clone(), target, headers.clone(), Full::new(body.clone()));
        let request = request.map_err(RequestFailure::NotSent)?;
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.hub.connect().await.map_err(RequestFailure::NotSent)?,
        };
        self.reached = true;
        let exchange = async {
            sender.ready().await.map_err(|error| CliError::broken(&error))?;
            let response = sender.send_request(request).await.map_err(|error| CliError::broken(&error))?;
            if !response.status().is_success() {
                return Ok(HubResponse::Refused(HubProblem::read(response).await));
            }
            let body = Limited::new(response.into_body(), self.max_response).collect().await;
            let body = body.map_err(|error| CliError::Broken(error.to_string()))?;
            Ok(HubResponse::Success(body.to_bytes()))
        };
        let late = || CliError::Broken(format!("no response from the hub within {} s", RESPONSE_TIMEOUT.as_secs()));
        let response = timeout(RESPONSE_TIMEOUT, exchange)
            .await
            .unwrap_or_else(|_| Err(late()))
            .map_err(RequestFailure::MaybeSent)?;
        self.connection = Some(sender);
        Ok(response)
    }
}
