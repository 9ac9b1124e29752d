//! One request to `$JS.API`, and its answer.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{client::Nats, error::NatsError};

/// A request goes to the stream's or the meta leader and is answered within milliseconds; longer without one.
pub(super) const API_WAIT: Duration = Duration::from_secs(5);

/// `err_code` of a stream that does not exist.
const NO_STREAM: u64 = 10_059;

/// `error` in the answers of JetStream.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct ApiError {
    #[serde(default)]
    pub(super) err_code: u64,
    #[serde(default)]
    pub(super) description: String,
}

#[derive(Deserialize)]
struct Failure {
    error: Option<ApiError>,
}

impl Nats {
    /// `name` is what follows `$JS.API.`. Bounded by [`API_WAIT`].
    pub(super) async fn api<A: DeserializeOwned>(&self, name: &str, body: &impl Serialize) -> Result<A, NatsError> {
        let body = serde_json::to_vec(body).map_err(|error| NatsError::Setup(error.to_string()))?;
        let answer = self.ask(format!("$JS.API.{name}"), None, body.into(), API_WAIT).await?;
        let failure: Failure = understood(&answer.payload)?;
        match failure.error {
            Some(error) if error.err_code == NO_STREAM => Err(NatsError::NoStream),
            Some(error) => Err(NatsError::Refused { code: error.err_code, text: error.description }),
            None => understood(&answer.payload),
        }
    }
}

/// Parses an answer.
pub(super) fn understood<A: DeserializeOwned>(payload: &[u8]) -> Result<A, NatsError> {
    serde_json::from_slice(payload).map_err(|error| NatsError::Malformed(error.to_string()))
}
