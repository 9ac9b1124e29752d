//! `GET /admin/stats`: the statistics as JSON; with `Accept: text/event-stream` every second.

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

use super::{snapshot::Snapshot, state::OperatorsState};
use crate::{
    event::sse,
    http::{
        api::{body, stream::encoding::SSE_TYPE},
        auth::Authorization,
        message::{accept, problem::Problem},
        net::response::{Response, generated},
    },
};

/// The action's name in a refusal.
pub(super) const READ_STATS: &str = "read the hub's statistics";

/// Time between two events.
const PERIOD: Duration = Duration::from_secs(1);

/// Reconnect delay of the client, in milliseconds.
const RETRY_MS: u32 = 3000;

/// The response with the statistics.
///
/// # Errors
/// When the caller lacks the grant `admin`.
pub async fn handle(
    operators: &Arc<OperatorsState>,
    authorization: Authorization,
    headers: &HeaderMap,
) -> Result<Response, Problem> {
    authorization.require_admin(READ_STATS)?;
    if !accept::names(headers, "text/event-stream") {
        return Ok(body::json(Snapshot::new(operators).await.to_json()));
    }
    let mut response = Response::new(generated(StatsStream::new(Arc::clone(operators), authorization)));
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(SSE_TYPE));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// The statistics as an event stream. Each event is generated when it is polled, so a client that does not read costs
/// nothing.
struct StatsStream {
    /// The event that is being generated.
    next: Option<Pin<Box<dyn Future<Output = String>>>>,
    operators: Arc<OperatorsState>,
    authorization: Authorization,
    ticks: Interval,
    draining: Pin<Box<dyn Future<Output = ()>>>,
    retry_sent: bool,
}

impl StatsStream {
    fn new(operators: Arc<OperatorsState>, authorization: Authorization) -> Self {
        let mut ticks = interval(PERIOD);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let drain = operators.net.drain.clone();
        Self {
            next: None,
            operators,
            authorization,
            ticks,
            draining: Box::pin(async move { drain.begun().await }),
            retry_sent: false,
        }
    }
}

impl Body for StatsStream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        let bytes = if !std::mem::replace(&mut this.retry_sent, true) {
            sse::retry_line(RETRY_MS)
        } else if this.draining.as_mut().poll(cx).is_ready() {
            return Poll::Ready(None);
        } else {
            if this.next.is_none() {
                std::task::ready!(this.ticks.poll_tick(cx));
                let operators = Arc::clone(&this.operators);
                this.next = Some(Box::pin(async move { Snapshot::new(&operators).await.to_json() }));
            }
            let snapshot = this.next.as_mut().map(|next| next.as_mut().poll(cx));
            let Some(Poll::Ready(snapshot)) = snapshot else { return Poll::Pending };
            this.next = None;
            if this
                .authorization
                .renew(&this.operators.auth.policies)
                .and_then(|()| this.authorization.require_admin(READ_STATS))
                .is_err()
            {
                return Poll::Ready(None);
            }
            format!("data: {snapshot}\n\n").into_bytes()
        };
        Poll::Ready(Some(Ok(Frame::data(bytes.into()))))
    }
}
