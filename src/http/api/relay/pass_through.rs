//! A request that is no run: its answer is passed on as it comes.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, header};
use http_body::Frame;
use tokio::time::timeout;

use super::{refusal::as_it_came, state::RelayState};
use crate::{
    client::pool::{PooledBody, SendError},
    http::{
        message::problem::{Code, Problem},
        net::response::{Aborted, Response, abortable},
    },
    quota::memory::BodyPermit,
    relay::{
        dialect::usage_of,
        mask::KeyMask,
        provider::Provider,
        run::RunAccount,
        upstream::{self, UpstreamRequest},
    },
};

/// Longest answer whose tokens are charged, in bytes: it is held until its end, and answers without a stream have some
/// kilobytes.
const CHARGED_BYTES: usize = 1 << 20;

/// Sends the request to the provider, and passes its answer on. A generation has an `account`, which is charged its tokens.
///
/// # Errors
/// When there is none.
pub async fn respond(
    state: &RelayState,
    provider: &Provider,
    asked: UpstreamRequest,
    permit: BodyPermit,
    account: Option<Box<dyn RunAccount>>,
) -> Result<Response, Problem> {
    let shard = state.shard()?;
    let unreachable =
        |reason: String| Problem::new(Code::UpstreamUnreachable, format!("the provider cannot be reached: {reason}"));
    let client = shard.client(provider);
    let request = upstream::request(provider, &asked).map_err(|error| unreachable(error.to_string()))?;
    let limit = shard.relay.limits.first_byte_timeout;
    let sent = timeout(limit, client.send(request)).await.map_err(|_| {
        Problem::new(Code::UpstreamTimeout, format!("the provider did not answer within {} s", limit.as_secs()))
    })?;
    let answer = sent.map_err(|error| match error {
        SendError::NotSent(_) | SendError::Invalid(_) => unreachable(error.to_string()),
        SendError::Unknown(_) => Problem::new(Code::UpstreamFailed, error.to_string()),
    })?;
    drop(permit);
    if !answer.status().is_success() {
        shard.relay.stats.refused(&provider.name, answer.status().as_u16());
        let whole = upstream::whole(provider, answer, 0, limit).await;
        let whole = whole.map_err(|error| Problem::new(Code::UpstreamFailed, error.to_string()))?;
        return Ok(as_it_came(&whole));
    }
    let (head, body) = answer.into_parts();
    let silence = shard.relay.limits.silence_timeout;
    let mask = KeyMask::new(provider);
    let charge = account.map(|account| AnswerCharge { account, answer: Vec::new() });
    let body = PassedBody { reading: Some(Box::pin(next(body, silence))), silence, mask, charge };
    let mut response = Response::new(abortable(body));
    *response.status_mut() = head.status;
    *response.headers_mut() = upstream::passed_headers(provider, &head.headers);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

type NextChunk = Pin<Box<dyn Future<Output = (Result<Option<Bytes>, Aborted>, PooledBody)>>>;

/// The next bytes; an error when they do not come.
async fn next(mut body: PooledBody, silence: Duration) -> (Result<Option<Bytes>, Aborted>, PooledBody) {
    let chunk = timeout(silence, body.chunk()).await;
    (chunk.map_err(|_| Aborted).and_then(|chunk| chunk.map_err(|_| Aborted)), body)
}

/// A provider's body as a response's. Broken off where the provider's was.
struct PassedBody {
    reading: Option<NextChunk>,
    silence: Duration,
    mask: KeyMask,
    charge: Option<AnswerCharge>,
}

/// The account of a generation, and the answer up to now. Dropping it returns the run's permit.
struct AnswerCharge {
    account: Box<dyn RunAccount>,
    answer: Vec<u8>,
}

impl AnswerCharge {
    fn take(&mut self, chunk: &[u8]) {
        let room = CHARGED_BYTES.saturating_sub(self.answer.len());
        self.answer.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }

    fn charge(self) {
        let usage = usage_of(&self.answer);
        self.account.charge(usage.input.unwrap_or(0) + usage.output.unwrap_or(0));
    }
}

impl http_body::Body for PassedBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        loop {
            let Some(reading) = &mut self.reading else { return Poll::Ready(None) };
            let (chunk, body) = ready!(reading.as_mut().poll(cx));
            self.reading = None;
            let bytes = match chunk {
                Ok(Some(chunk)) => {
                    self.reading = Some(Box::pin(next(body, self.silence)));
                    if let Some(charge) = &mut self.charge {
                        charge.take(&chunk);
                    }
                    self.mask.piece(chunk)
                }
                Ok(None) => {
                    if let Some(charge) = self.charge.take() {
                        charge.charge();
                    }
                    self.mask.rest()
                }
                Err(aborted) => return Poll::Ready(Some(Err(aborted))),
            };
            if !bytes.is_empty() {
                return Poll::Ready(Some(Ok(Frame::data(bytes))));
            }
        }
    }
}
