//! A request to a provider, and its answer when it is not a stream.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, header};
use memchr::memmem;
use tokio::time::{Instant, timeout_at};

use super::{mask::masked, provider::Provider};
use crate::client::pool::PooledBody;

/// Longest wait for the rest of a refusal, once its head is here.
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(30);

/// Largest refusal of a provider that is passed on, in bytes: theirs have a few hundred.
const REFUSAL_BYTES: usize = 1 << 20;

/// A request to a provider, as its client sent it.
#[derive(Debug, Clone)]
pub struct UpstreamRequest {
    /// Its method.
    pub method: Method,
    /// The provider's own path, and the query without credentials.
    pub target: String,
    /// The client's headers.
    pub headers: HeaderMap,
    /// Its body.
    pub body: Bytes,
}

/// An answer that is read whole: a refusal, or an answer without a stream.
#[derive(Debug, Clone)]
pub struct WholeAnswer {
    /// The provider's status.
    pub status: StatusCode,
    /// The headers that are passed on.
    pub headers: HeaderMap,
    /// The body.
    pub body: Bytes,
}

/// Why an answer cannot be read whole.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WholeAnswerError {
    /// The connection broke.
    #[error("the answer ended early: {0}")]
    Broken(String),
    /// It paused for too long.
    #[error("the answer paused for longer than {} s", .0.as_secs())]
    Late(Duration),
    /// It is too large.
    #[error("the answer has more than {0} bytes")]
    TooLarge(usize),
    /// What follows is not HTTP.
    #[error("the answer changes the protocol")]
    ProtocolChange,
}

/// The request for `provider`, with its key in the place of the client's token.
///
/// # Errors
/// When the key or the path cannot stand in a request.
pub fn request(provider: &Provider, asked: &UpstreamRequest) -> Result<Request<Bytes>, http::Error> {
    let target = format!("{}{}", provider.path_prefix, asked.target);
    let mut request = Request::builder().method(&asked.method).uri(target).body(asked.body.clone())?;
    let headers = request.headers_mut();
    let dialect = provider.dialect;
    let named = dialect.request_headers().iter().copied().chain(["content-type", "accept"]);
    for name in named {
        for value in asked.headers.get_all(name) {
            headers.append(HeaderName::from_static(name), value.clone());
        }
    }
    if let Some(key) = provider.key.load_full() {
        dialect.put_key(headers, key.secret())?;
        for value in headers.values_mut() {
            if memmem::find(value.as_bytes(), key.secret().as_bytes()).is_some() {
                value.set_sensitive(true);
            }
        }
    }
    Ok(request)
}

/// The headers of a provider's answer that are passed on, its key masked.
#[must_use]
pub fn passed_headers(provider: &Provider, headers: &HeaderMap) -> HeaderMap {
    let mut passed = HeaderMap::new();
    for (name, value) in headers {
        let is_passed = [header::CONTENT_TYPE, header::RETRY_AFTER].contains(name)
            || provider.dialect.passes_response_header(name.as_str());
        if is_passed
            && let Ok(value) = HeaderValue::from_bytes(&masked(provider, Bytes::copy_from_slice(value.as_bytes())))
        {
            passed.append(name.clone(), value);
        }
    }
    passed
}

/// Reads the rest of an answer: of a success at most `most` bytes, with pauses of at most `pause`. A refusal has bounds of
/// its own. Dropping the future closes the connection.
///
/// # Errors
/// Why it cannot be read.
pub async fn whole(
    provider: &Provider,
    answer: Response<PooledBody>,
    most: usize,
    pause: Duration,
) -> Result<WholeAnswer, WholeAnswerError> {
    let (head, mut body) = answer.into_parts();
    if head.status.is_informational() {
        return Err(WholeAnswerError::ProtocolChange);
    }
    let is_refusal = !head.status.is_success();
    let (most, pause) = if is_refusal { (REFUSAL_BYTES, REFUSAL_TIMEOUT) } else { (most, pause) };
    let mut deadline = Instant::now() + pause;
    let mut bytes = BytesMut::new();
    loop {
        let chunk = timeout_at(deadline, body.chunk()).await.map_err(|_| WholeAnswerError::Late(pause))?;
        if !is_refusal {
            deadline = Instant::now() + pause;
        }
        let Some(chunk) = chunk.map_err(|error| WholeAnswerError::Broken(error.to_string()))? else { break };
        if bytes.len() + chunk.len() > most {
            return Err(WholeAnswerError::TooLarge(most));
        }
        bytes.extend_from_slice(&chunk);
    }
    let headers = passed_headers(provider, &head.headers);
    Ok(WholeAnswer { status: head.status, headers, body: masked(provider, bytes.freeze()) })
}
