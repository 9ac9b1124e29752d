//! Reading a whole request body into memory within its bounds: its size, its [pace](BodyPace), and the sender's share
//! of the [memory for bodies](crate::quota::memory). And JSON responses.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use super::pace::BodyPace;
use crate::{
    http::{
        auth::CallerQuotas,
        message::{
            headers,
            problem::{Code, Problem},
        },
        net::response::{Response, full},
    },
    quota::memory::{BodyMemory, BodyPermit},
};

/// How long the rest of a refused body is read: enough for a batch at 64 Mbit/s, short enough to free the connection.
const DISCARD_TIMEOUT: Duration = Duration::from_secs(2);

/// Bytes of a refused body that are read also where batches are smaller: the default limit of one, because clients do
/// not know that this hub's is another.
pub const MIN_DISCARD_BYTES: usize = 16 * 1024 * 1024;

/// Reads request bodies within these bounds.
#[derive(Debug)]
pub struct Bodies {
    /// Memory for bodies that are being received or wait for their commit.
    pub memory: Arc<BodyMemory>,
    /// Longest wait for the next bytes of a body.
    pub timeout: Duration,
    /// Minimum average rate of a body, in bytes a second.
    pub rate: usize,
    /// Bytes of a refused body that are read and dropped at most: the size of a batch, and [`MIN_DISCARD_BYTES`] at
    /// least.
    pub discard_bytes: usize,
}

impl Bodies {
    /// Reads `body`, of at most `limit` bytes, sent by a client with these `quotas`. Its memory is counted in
    /// [`Bodies::memory`] until the permit is dropped. Dropping the future drops the body and releases its memory.
    ///
    /// # Errors
    /// When the body is too large, too slow, compressed or incomplete, or when the client's share of the memory is
    /// used up.
    pub async fn read<B: Body<Data = Bytes>>(
        &self,
        quotas: &CallerQuotas,
        headers: &HeaderMap,
        body: B,
        limit: usize,
    ) -> Result<(Bytes, BodyPermit), Problem> {
        let mut body = pin!(body);
        let result = self.read_within(quotas, headers, body.as_mut(), limit).await;
        if matches!(&result, Err(problem) if problem.code != Code::RequestTimeout) {
            self.discard(headers, body).await;
        }
        result
    }

    async fn read_within<B: Body<Data = Bytes>>(
        &self,
        quotas: &CallerQuotas,
        headers: &HeaderMap,
        mut body: Pin<&mut B>,
        limit: usize,
    ) -> Result<(Bytes, BodyPermit), Problem> {
        headers::uncompressed(headers)?;
        // hyper has checked that it is a number, and that the body has this length.
        let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
        let announced = usize::try_from(announced.unwrap_or(0)).unwrap_or(usize::MAX);
        check_size(announced, limit)?;
        let mut permit = quotas.memory(&self.memory);
        let mut pace = BodyPace::new(self.timeout, self.rate);
        let mut bytes = Vec::new();
        loop {
            // The announced bytes are here; there is no need to wait for the end marker.
            if announced > 0 && bytes.len() == announced {
                return Ok((bytes.into(), permit));
            }
            let asked = Instant::now();
            let Some(frame) = within(pace.left(), body.frame()).await else { return Err(self.too_slow()) };
            let Some(frame) = frame else { return Ok((bytes.into(), permit)) };
            let frame = frame
                .map_err(|_| Problem::new(Code::BodyInvalid, "the body could not be read to its end; send it again"))?;
            let Ok(data) = frame.into_data() else { continue };
            pace.arrived(data.len(), asked.elapsed());
            let size = bytes.len() + data.len();
            check_size(size, limit)?;
            if size > bytes.capacity() {
                reserve(&mut bytes, &mut permit, size, if announced > 0 { announced } else { limit })?;
            }
            bytes.extend_from_slice(&data);
        }
    }

    /// Reads and drops the rest of a refused body, up to [`Bodies::discard_bytes`] and `DISCARD_TIMEOUT`. A client
    /// that is still writing does not read the response, and may lose it when the connection is closed first.
    pub async fn discard<B: Body<Data = Bytes>>(&self, headers: &HeaderMap, body: B) {
        // A client that waits for `100 Continue` has sent no body yet, and reading would make it send one.
        if headers.contains_key(header::EXPECT) {
            return;
        }
        let mut body = pin!(body);
        let (deadline, mut dropped) = (Instant::now() + DISCARD_TIMEOUT, 0);
        while dropped <= self.discard_bytes {
            match timeout_at(deadline, body.frame()).await {
                Ok(Some(Ok(frame))) => dropped += frame.data_ref().map_or(0, Bytes::len),
                _ => return,
            }
        }
    }

    fn too_slow(&self) -> Problem {
        let Self { timeout: body_timeout, rate: body_rate, .. } = self;
        let detail = format!(
            "the body arrived too slowly: it may not pause for {body_timeout:?}, and needs {body_rate} bytes a second on average"
        );
        Problem::new(Code::RequestTimeout, detail)
    }
}

/// Grows `bytes` for `size` bytes and counts them. Memory grows with what arrives, not with what was announced. A body
/// ends with exactly the announced capacity, because an event's data keeps this allocation.
fn reserve(bytes: &mut Vec<u8>, permit: &mut BodyPermit, size: usize, most: usize) -> Result<(), Problem> {
    let twice = size.saturating_mul(2).min(most).max(size);
    let capacity = match permit.grow(twice.saturating_sub(permit.bytes())) {
        Ok(()) => twice,
        Err(_) => permit.grow(size.saturating_sub(permit.bytes())).map(|()| size)?,
    };
    bytes.reserve_exact(capacity - bytes.len());
    Ok(())
}

/// The output of `work`; `None` when it takes longer than `limit`. hyper returns a body that is already in its buffer
/// only at the second poll, so the timer is set after two polls.
async fn within<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    let mut work = pin!(work);
    let mut asked = false;
    let twice = poll_fn(|cx| match work.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending if std::mem::replace(&mut asked, true) => Poll::Ready(None),
        Poll::Pending => {
            cx.waker().wake_by_ref();
            Poll::Pending
        }
    });
    match twice.await {
        Some(output) => Some(output),
        None => timeout(limit, work).await.ok(),
    }
}

fn check_size(size: usize, limit: usize) -> Result<(), Problem> {
    if size > limit {
        return Err(Problem::new(Code::TooLarge, format!("the body has more than {limit} bytes; split it")));
    }
    Ok(())
}

/// 200 with JSON, ended by a newline for terminals. Not cacheable: it describes the state at this moment.
#[must_use]
pub fn json(text: impl Into<Vec<u8>>) -> Response {
    let mut text = text.into();
    text.push(b'\n');
    json_of(text.into())
}

/// The same for a text that already ends with a newline.
#[must_use]
pub fn json_of(text: Bytes) -> Response {
    let mut response = Response::new(full(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
