//! One request to `$JS.API`, and its answer.

use std::time::Duration;

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use super::{client::Nats, error::NatsError};

/// A request goes to the stream's or the meta leader and is answered within milliseconds; longer without one.
pub(super) const API_WAIT: Duration = Duration::from_secs(5);

/// `err_code` of a stream that does not exist.
const NO_STREAM: u64 = 10_059;

/// `err_code` of what passes: a cluster without a leader, a server that leads no more, one that lacks resources or whose
/// JetStream is switched off, which a full disk does, a stream or a consumer whose servers are away, too many requests. Names
/// of nats-server: `JSClusterIncompleteErr`, `JSClusterNotAvailErr`, `JSClusterNotLeaderErr`, `JSInsufficientResourcesErr`,
/// `JSNotEnabledErr`, `JSStreamOfflineErr`, `JSConsumerOfflineErr`, `JSStreamTooManyRequests`.
const UNAVAILABLE: [u64; 8] = [10_004, 10_008, 10_009, 10_023, 10_076, 10_118, 10_119, 10_167];

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
            Some(error) => Err(error.into()),
            None => understood(&answer.payload),
        }
    }
}

impl From<ApiError> for NatsError {
    fn from(ApiError { err_code: code, description: text }: ApiError) -> Self {
        match code {
            NO_STREAM => Self::NoStream,
            _ if UNAVAILABLE.contains(&code) => Self::NoAnswer(format!("{text} ({code})")),
            _ => Self::Refused { code, text },
        }
    }
}

/// Parses an answer.
pub(super) fn understood<A: DeserializeOwned>(payload: &[u8]) -> Result<A, NatsError> {
    serde_json::from_slice(payload).map_err(|error| NatsError::Malformed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_that_is_unavailable_may_answer_later_and_a_refusal_is_final() {
        let answer = |json: &str| NatsError::from(serde_json::from_str::<ApiError>(json).unwrap());
        let unavailable = r#"{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"}"#;
        assert!(matches!(answer(unavailable), NatsError::NoAnswer(text) if text.ends_with("unavailable (10008)")));
        for code in UNAVAILABLE {
            let json = format!(r#"{{"code":503,"err_code":{code},"description":"later"}}"#);
            assert!(matches!(answer(&json), NatsError::NoAnswer(_)), "{code}");
        }
        assert_eq!(answer(r#"{"code":404,"err_code":10059,"description":"stream not found"}"#), NatsError::NoStream);
        let refused = answer(r#"{"code":503,"err_code":10039,"description":"JetStream not enabled for account"}"#);
        assert!(matches!(refused, NatsError::Refused { code: 10_039, .. }), "{refused:?}");
    }
}
