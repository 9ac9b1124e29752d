//! A response body on an HTTP/2 stream, which can stall by its flow-control window while its connection does not.
//!
//! hyper polls a body again as soon as the last frame has left the stream's buffer. So a body that is not polled again
//! belongs to a client that does not take it, and its stall handle reports that to the core's tick.

use std::{
    pin::Pin,
    rc::Rc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use crate::http::net::{
    response::{Aborted, Body},
    tracked_socket::StallHandle,
};

/// Bytes of one frame, and of the stream's buffer. Progress is measured in these steps, so that a client that reads
/// large events slowly does not count as stalled.
pub(super) const STEP: usize = 16 << 10;

/// Sends a body in steps of [`STEP`] bytes.
pub(super) struct StallTrackedBody {
    body: Body,
    /// The rest of the last frame of `body`.
    rest: Bytes,
    stall: Rc<StallHandle>,
}

impl StallTrackedBody {
    pub(super) fn new(body: Body, stall: Rc<StallHandle>) -> Self {
        Self { body, rest: Bytes::new(), stall }
    }
}

impl http_body::Body for StallTrackedBody {
    type Data = Bytes;
    type Error = Aborted;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Aborted>>> {
        self.stall.mark_progress();
        if self.rest.is_empty() {
            match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
                Some(Ok(frame)) => self.rest = frame.into_data().unwrap_or_default(),
                Some(Err(aborted)) => return Poll::Ready(Some(Err(aborted))),
                None => return Poll::Ready(None),
            }
        }
        let most = self.rest.len().min(STEP);
        let step = self.rest.split_to(most);
        self.stall.mark_blocked(cx);
        Poll::Ready(Some(Ok(Frame::data(step))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.len() as u64;
        self.body.size_hint().exact().map_or_else(SizeHint::default, |left| SizeHint::with_exact(left + rest))
    }
}
