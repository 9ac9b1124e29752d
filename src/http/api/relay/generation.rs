//! A request for a generation: who asks, which run it joins, and the wait for the run's beginning.

use std::sync::Arc;

use getrandom::fill;
use http::{HeaderMap, HeaderName};

use super::{account, answer::TOPIC, state::RelayState};
use crate::{
    access::{hex, sha256},
    engine::AppendError,
    event::{EventId, TopicName},
    http::{
        auth::Caller,
        message::{
            headers,
            problem::{Code, Problem},
        },
    },
    quota::memory::BodyPermit,
    relay::{
        dialect::GenerationApi,
        journal::own_topic,
        provider::{Provider, UnwatchedPolicy},
        run::RunFacts,
        runs::{Joined, RunCursor, RunIdentity},
        start::{self, RunRequest},
        upstream::UpstreamRequest,
    },
};

/// The header that makes a repeated request join the first one's run.
const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The header in which OpenAI's and Anthropic's SDKs count their retries.
const RETRY_COUNT: HeaderName = HeaderName::from_static("x-stainless-retry-count");

/// The header of an SSE client that resumes.
const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Longest `Idempotency-Key`, in bytes.
const MAX_KEY_BYTES: usize = 255;

/// Longest name of a model, in bytes: it is kept with each run. Theirs have up to a hundred.
const MAX_MODEL_BYTES: usize = 256;

/// Bytes of a run's id that are random: enough that nobody finds another one's topic by trying.
const ID_BYTES: usize = 16;

/// A request for a generation.
pub struct GenerationRequest {
    /// The provider.
    pub provider: Arc<Provider>,
    /// What is asked for.
    pub api: &'static dyn GenerationApi,
    /// The model.
    pub model: String,
    /// The topic that the run is to write to; `None` for its own.
    pub topic: Option<TopicName>,
    /// What is sent to the provider.
    pub upstream: UpstreamRequest,
    /// The memory that its body is charged to.
    pub memory: BodyPermit,
    /// Whether the run begins before the provider has answered.
    pub at_once: bool,
    /// When it is stopped if nobody watches it.
    pub on_disconnect: UnwatchedPolicy,
}

/// What the headers of a request say about its identity.
#[derive(Debug, Clone, Default)]
pub struct GenerationHeaders {
    key: Option<String>,
    cursor: RunCursor,
    retry: bool,
    /// The topic that it names.
    pub topic: Option<TopicName>,
}

impl GenerationHeaders {
    /// Whether it has an `Idempotency-Key`.
    #[must_use]
    pub fn has_key(&self) -> bool {
        self.key.is_some()
    }

    /// Reads the headers.
    ///
    /// # Errors
    /// When one is not valid.
    pub fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let text = |name: &HeaderName| -> Result<Option<&str>, Problem> {
            let invalid = || Problem::new(Code::HeaderInvalid, format!("the header {name} must be ASCII text"));
            headers::one(headers, name)?.map(|value| value.to_str().map_err(|_| invalid())).transpose()
        };
        let key = text(&KEY)?;
        if key.is_some_and(|key| key.is_empty() || key.len() > MAX_KEY_BYTES) {
            let detail = format!("the header Idempotency-Key must have 1 to {MAX_KEY_BYTES} characters");
            return Err(Problem::new(Code::HeaderInvalid, detail));
        }
        let retries = text(&RETRY_COUNT)?.and_then(|count| count.parse::<u64>().ok());
        let cursor = text(&LAST_EVENT_ID)?
            .filter(|text| !text.is_empty())
            .map_or(RunCursor::None, |text| EventId::parse(text).map_or(RunCursor::Unknown, RunCursor::At));
        let topic = text(&TOPIC)?.map(topic_in_header).transpose()?;
        Ok(Self { key: key.map(Into::into), cursor, retry: retries.is_some_and(|count| count > 0), topic })
    }
}

/// A topic as the header has it: characters that a header cannot have are percent-encoded.
fn topic_in_header(text: &str) -> Result<TopicName, Problem> {
    let decoded = percent_encoding::percent_decode_str(text).decode_utf8();
    let invalid = |reason: &dyn std::fmt::Display| {
        Problem::new(Code::TopicInvalid, format!("the header Gapless-Topic: {reason}"))
    };
    TopicName::new(&decoded.map_err(|error| invalid(&error))?).map_err(|error| invalid(&error))
}

/// The run that the request joins, or a new one. `caller` may use the provider and the model.
///
/// # Errors
/// Why there is no run.
pub async fn join(
    state: &RelayState,
    caller: &Caller,
    request: GenerationRequest,
    headers: GenerationHeaders,
) -> Result<Joined, Problem> {
    let shard = state.shard()?;
    shard.relay.current().await;
    if let Some(topic) = &request.topic {
        caller.authorization.publish(topic)?;
        state.guards.check_run(topic)?;
        // Before the provider is asked, for nothing of the answer could be stored.
        if shard.relay.hub.topic(topic).is_some_and(|facts| facts.closed) {
            return Err(AppendError::Closed { topic: topic.clone() }.into());
        }
    }
    let owner = caller.quotas.owner;
    let identity = RunIdentity {
        fingerprint: fingerprint(owner, &request),
        key: headers.key.map(|key| hash(&[&owner.to_be_bytes(), key.as_bytes()])),
        cursor: headers.cursor,
        retry: headers.retry,
    };
    let (fingerprint, key) = (identity.fingerprint.clone(), identity.key.clone());
    let request_bytes = request.upstream.body.len() as u64;
    let GenerationRequest { provider, api, model, topic, upstream, memory, at_once, on_disconnect } = request;
    let facts = {
        let (provider, holder) = (provider.name.clone(), caller.authorization.holder().map(Into::into));
        move || {
            let id = new_id();
            RunFacts {
                owns_topic: topic.is_none(),
                topic: topic.unwrap_or_else(|| TopicName::new(&own_topic(&id)).expect("an id is a valid segment")),
                id,
                provider,
                model,
                api,
                holder,
                fingerprint,
                key,
                request_bytes,
            }
        }
    };
    let request = RunRequest { provider, identity, upstream, memory: Box::new(memory), at_once, on_disconnect };
    start::join(shard, request, facts, || account::of(caller))
}

fn fingerprint(owner: u64, request: &GenerationRequest) -> String {
    let topic = request.topic.as_ref().map_or("", TopicName::as_str);
    let parts = [request.provider.name.as_str(), request.upstream.method.as_str(), &request.upstream.target, topic];
    let mut all: Vec<&[u8]> = parts.iter().map(|part| part.as_bytes()).collect();
    let owner = owner.to_be_bytes();
    all.extend([&owner[..], &request.upstream.body]);
    hash(&all)
}

/// A hash of texts, each with its length, as hexadecimal digits.
fn hash(parts: &[&[u8]]) -> String {
    let mut all = Vec::new();
    for part in parts {
        all.extend_from_slice(&(part.len() as u64).to_be_bytes());
        all.extend_from_slice(&sha256(part));
    }
    hex(&sha256(&all))
}

fn new_id() -> String {
    let mut bytes = [0; ID_BYTES];
    fill(&mut bytes).expect("the system has randomness");
    format!("run_{}", hex(&bytes))
}

/// Checks that the caller, and the provider's configuration, permit the model. Without one the provider chooses.
///
/// # Errors
/// When one does not.
pub fn authorize(caller: &Caller, provider: &Provider, model: Option<&str>) -> Result<(), Problem> {
    caller.authorization.relay(&provider.name, model)?;
    match model {
        Some(model) if model.len() > MAX_MODEL_BYTES => {
            Err(Problem::new(Code::BodyInvalid, format!("the model's name has more than {MAX_MODEL_BYTES} bytes")))
        }
        None if !provider.models.is_empty() => {
            let detail = format!("the provider '{}' is configured for some models; name one of them", provider.name);
            Err(Problem::forbidden(detail))
        }
        Some(model) if !provider.allows_model(model) => {
            let detail = format!("the provider '{}' is not configured for this model", provider.name);
            Err(Problem::forbidden(detail))
        }
        _ => Ok(()),
    }
}
