//! Requests to a hub, one after the other over one connection, which is made anew when it is needed.

use std::time::Duration;

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::{Method, StatusCode, client::conn::http1::SendRequest, header::HeaderMap};
use tokio::time::timeout;

use crate::cli::{
    CliError,
    client::{Dial, HubClient},
    problem::HubProblem,
};

/// Time that a hub may take for an answer: far above any commit, below anyone's patience.
const ANSWER_TIMEOUT: Duration = Duration::from_mins(1);

/// Longest answer: receipts of a full batch, each with the longest name of a topic and its escapes.
const MAX_ANSWER_BYTES: usize = super::batch::MAX_LINES * 2048;

/// A hub, and the connection to it.
pub(super) struct Talk<'a, D> {
    hub: &'a HubClient<D>,
    connection: Option<SendRequest<Full<Bytes>>>,
    /// A request may have been heard, and was sent again.
    doubt: bool,
    /// Somebody was there once.
    reached: bool,
}

/// What the hub said.
pub(super) enum HubResponse {
    /// The body of a good answer.
    Good(Bytes),
    /// Why not.
    Refused(HubProblem),
}

/// Why nothing was said.
pub(super) enum Silence {
    /// Nobody was asked.
    Unreached(CliError),
    /// Somebody was, and may have heard it.
    Broken(CliError),
}

impl<'a, D: Dial> Talk<'a, D> {
    pub(super) fn new(hub: &'a HubClient<D>) -> Self {
        Self { hub, connection: None, doubt: false, reached: false }
    }

    /// Whether a request was sent twice since this was asked last: what is said of the second need not be true of the first.
    pub(super) fn doubt(&mut self) -> bool {
        std::mem::take(&mut self.doubt)
    }

    /// Whether a connection was ever made.
    pub(super) fn reached(&self) -> bool {
        self.reached
    }

    /// One request and its answer. A request that finds its connection closed, as after a pause, may be sent twice: so ask
    /// only for what may be asked again.
    pub(super) async fn ask(
        &mut self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: Bytes,
    ) -> Result<HubResponse, Silence> {
        let kept = self.connection.take().filter(|sender| !sender.is_closed());
        let was_kept = kept.is_some();
        let first = self.once(kept, &method, target, &headers, &body).await;
        let answer = match first {
            // The hub may have closed it just then. A second failure is not about that.
            Err(Silence::Broken(_)) if was_kept => {
                self.doubt = true;
                self.once(None, &method, target, &headers, &body).await
            }
            other => other,
        };
        match answer {
            Ok(HubResponse::Refused(problem))
                if problem.status() == Some(StatusCode::UNAUTHORIZED.as_u16())
                    && self.hub.credential().is_renewed() =>
            {
                self.once(None, &method, target, &headers, &body).await
            }
            other => other,
        }
    }

    async fn once(
        &mut self,
        kept: Option<SendRequest<Full<Bytes>>>,
        method: &Method,
        target: &str,
        headers: &HeaderMap,
        body: &Bytes,
    ) -> Result<HubResponse, Silence> {
        let request = self.hub.request(method.clone(), target, headers.clone(), Full::new(body.clone()));
        let request = request.map_err(Silence::Unreached)?;
        let mut sender = match kept {
            Some(sender) => sender,
            None => self.hub.connect().await.map_err(Silence::Unreached)?,
        };
        self.reached = true;
        let asked = async {
            sender.ready().await.map_err(|error| CliError::broken(&error))?;
            let response = sender.send_request(request).await.map_err(|error| CliError::broken(&error))?;
            if !response.status().is_success() {
                return Ok(HubResponse::Refused(HubProblem::read(response).await));
            }
            let body = Limited::new(response.into_body(), MAX_ANSWER_BYTES).collect().await;
            let body = body.map_err(|error| CliError::Broken(error.to_string()))?;
            Ok(HubResponse::Good(body.to_bytes()))
        };
        let late = || CliError::Broken(format!("the hub has said nothing for {} s", ANSWER_TIMEOUT.as_secs()));
        let answer = timeout(ANSWER_TIMEOUT, asked).await.unwrap_or_else(|_| Err(late())).map_err(Silence::Broken)?;
        self.connection = Some(sender);
        Ok(answer)
    }
}
