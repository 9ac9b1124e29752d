//! A whole body in memory, within its bounds: of its size, of its [pace](BodyPace), and of its share of the [body_memory](super::body_memory).
//! And a whole answer.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::Poll,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::Body;
use http_body_util::BodyExt;
use tokio::time::{Duration, Instant, timeout, timeout_at};

use super::{
    AppState, Limits, Response,
    auth::CallerQuotas,
    body_memory::BodyPermit,
    full, headers,
    pace::BodyPace,
    problem::{Code, Problem},
};

/// How long the rest of a refused body is read: enough for a batch at 64 Mbit/s, and no hold on the connection.
const LINGER: Duration = Duration::from_secs(2);

/// Reads `body`, of at most `limit` bytes, sent by whoever has these `quotas`; its memory is counted in [`AppState::body_memory`] until the
/// place is dropped.
///
/// # Errors
/// When it is too large, too slow, or one too many at the moment.
pub async fn read<B: Body<Data = Bytes>>(
    app: &AppState,
    quotas: &CallerQuotas,
    headers: &HeaderMap,
    body: B,
    limit: usize,
) -> Result<(Bytes, BodyPermit), Problem> {
    let mut body = pin!(body);
    let result = read_within(app, quotas, headers, body.as_mut(), limit).await;
    if matches!(&result, Err(problem) if problem.code != Code::RequestTimeout) {
        discard(app, headers, body).await;
    }
    result
}

async fn read_within<B: Body<Data = Bytes>>(
    app: &AppState,
    quotas: &CallerQuotas,
    headers: &HeaderMap,
    mut body: Pin<&mut B>,
    limit: usize,
) -> Result<(Bytes, BodyPermit), Problem> {
    headers::uncompressed(headers)?;
    // hyper has checked that it is a number, and that it agrees with what comes.
    let announced = headers.get(header::CONTENT_LENGTH).and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    let announced = usize::try_from(announced.unwrap_or(0)).unwrap_or(usize::MAX);
    check_size(announced, limit)?;
    let mut place = app.body_memory.place(quotas);
    let mut speed = BodyPace::new(app.limits.body_timeout, app.limits.body_rate);
    let mut bytes = Vec::new();
    loop {
        // The end of what was announced need not be waited for.
        if announced > 0 && bytes.len() == announced {
            return Ok((bytes.into(), place));
        }
        let asked = Instant::now();
        let Some(frame) = soon(speed.left(), body.frame()).await else { return Err(too_slow(app)) };
        let Some(frame) = frame else { return Ok((bytes.into(), place)) };
        let frame = frame.map_err(|_| Problem::new(Code::BodyInvalid, "the body broke off; send it again"))?;
        let Ok(data) = frame.into_data() else { continue };
        speed.arrived(data.len(), asked.elapsed());
        let size = bytes.len() + data.len();
        check_size(size, limit)?;
        if size > bytes.capacity() {
            make_room(&mut bytes, &mut place, size, if announced > 0 { announced } else { limit })?;
        }
        bytes.extend_from_slice(&data);
    }
}

/// Makes `bytes` large enough for `size` bytes, and counts them. They grow with what arrives: an announced size is no reason to
/// hold as much. It ends exactly as large as what was announced, because an event's data is this allocation.
fn make_room(bytes: &mut Vec<u8>, place: &mut BodyPermit, size: usize, most: usize) -> Result<(), Problem> {
    let twice = size.saturating_mul(2).min(most).max(size);
    let capacity = match place.grow(twice.saturating_sub(place.bytes())) {
        Ok(()) => twice,
        Err(_) => place.grow(size.saturating_sub(place.bytes())).map(|()| size)?,
    };
    bytes.reserve_exact(capacity - bytes.len());
    Ok(())
}

fn too_slow(app: &AppState) -> Problem {
    let Limits { body_timeout, body_rate, .. } = &app.limits;
    let detail = format!(
        "the body came too slowly: without a silence of {body_timeout:?}, it needs {body_rate} bytes a second on average"
    );
    Problem::new(Code::RequestTimeout, detail)
}

/// What `work` comes to, unless it takes longer than `limit`. hyper gives a body that is already there only when it has
/// been asked once, so a timer is set for what was asked twice.
async fn soon<T>(limit: Duration, work: impl Future<Output = T>) -> Option<T> {
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

/// Reads what is left of a refused body without keeping it: at most a batch's size, and two seconds. A client that is
/// still writing reads no answer, and one that is hung up on in mid-write may never see it.
pub async fn discard<B: Body<Data = Bytes>>(app: &AppState, headers: &HeaderMap, body: B) {
    // A client that waits for `100 Continue` has written nothing yet, and asking for more would make it.
    if headers.contains_key(header::EXPECT) {
        return;
    }
    let mut body = pin!(body);
    let (deadline, mut dropped) = (Instant::now() + LINGER, 0);
    while dropped <= app.limits.batch_bytes {
        match timeout_at(deadline, body.frame()).await {
            Ok(Some(Ok(frame))) => dropped += frame.data_ref().map_or(0, Bytes::len),
            _ => return,
        }
    }
}

/// 200 with JSON. Never cached: what it says is true only now. The line is ended, because terminals show it.
#[must_use]
pub fn json(text: impl Into<Vec<u8>>) -> Response {
    let mut text = text.into();
    text.push(b'\n');
    json_of(text.into())
}

/// 200 with a JSON text that ends its line.
#[must_use]
pub fn json_of(text: Bytes) -> Response {
    let mut response = Response::new(full(text));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}
