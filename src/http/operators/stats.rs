//! `GET /admin/stats`: the figures as JSON; with `Accept: text/event-stream` once a second.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, header};
use http_body::{Body, Frame};
use tokio::time::{Interval, MissedTickBehavior, interval};

use super::snapshot::Snapshot;
use crate::{
    event::sse,
    http::{AppState, Response, accept, auth::Authorization, body, made, problem::Problem, stream::encoding::SSE_TYPE},
};

/// What looking at the figures is called in a refusal.
pub(super) const LOOK: &str = "look at the hub's figures";

/// Time between two looks at the figures.
const PERIOD: Duration = Duration::from_secs(1);

/// Reconnect delay of a watcher, in milliseconds.
const RETRY_MS: u32 = 3000;

/// Answers with the figures.
///
/// # Errors
/// When they are not open to whoever asks.
pub fn handle(app: &Arc<AppState>, authorization: Authorization, headers: &HeaderMap) -> Result<Response, Problem> {
    authorization.operate(LOOK)?;
    if !accept::names(headers, "text/event-stream") {
        return Ok(body::json(Snapshot::new(app).to_json()));
    }
    let mut response = Response::new(made(StatsStream::new(Arc::clone(app), authorization)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SSE_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The figures as a stream of events. Made when they are asked for: a watcher that does not read costs nothing.
struct StatsStream {
    app: Arc<AppState>,
    authorization: Authorization,
    ticks: Interval,
    draining: Pin<Box<dyn Future<Output = ()>>>,
    greeted: bool,
}

impl StatsStream {
    fn new(app: Arc<AppState>, authorization: Authorization) -> Self {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let drain = app.drain.clone();
        Self { app, authorization, ticks, draining: Box::pin(async move { drain.begun().await }), greeted: false }
    }
}

impl Body for StatsStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let bytes = if !std::mem::replace(&mut this.greeted, true) {
            sse::retry_line(RETRY_MS)
        } else if this.draining.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        } else {
            std::task::ready!(this.ticks.poll_tick(cx));
            if this.authorization.renew(&this.app.policies).and_then(|()| this.authorization.operate(LOOK)).is_err() {
                return Poll::Ready(None);
            }
            format!("data: {}\n\n", Snapshot::new(&this.app).to_json()).into_bytes()
        };
        Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
    }
}
