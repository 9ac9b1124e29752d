//! A subscription as the body of an answer: frames while there are any, comments while there are none.

use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::Frame;

use super::{language::Language, streams::Enrolled};
use crate::{
    event::{EventId, Seq},
    http::Core,
    hub::subscription::{Delivery, Subscription},
};

/// The body of an open stream. Dropping it ends the subscription.
pub struct StreamBody {
    core: Rc<Core>,
    subscription: Subscription,
    enrolled: Enrolled,
    language: Language,
    /// The reconnect delay for this stream's client.
    retry: Duration,
    greeted: bool,
    over: bool,
    /// The last id the client was given, or came with.
    shown: Option<EventId>,
}

impl StreamBody {
    /// The stream of `subscription`, for a client that came with the cursor `shown`.
    #[must_use]
    pub fn new(
        core: Rc<Core>,
        subscription: Subscription,
        language: Language,
        retry: Duration,
        shown: Option<EventId>,
    ) -> Self {
        let enrolled = core.streams.enroll(subscription.feed_id());
        Self { core, subscription, enrolled, language, retry, greeted: false, over: false, shown }
    }

    /// The next bytes; `None` when the stream is over.
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Bytes>> {
        self.enrolled.waits(cx);
        if !std::mem::replace(&mut self.greeted, true) {
            // NDJSON has no `retry`; its keepalive makes proxies pass the head on at once all the same.
            return Poll::Ready(Some(
                self.language.retry(milliseconds(self.retry)).unwrap_or_else(|| self.language.keepalive()),
            ));
        }
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            if self.core.door.drain.is_draining() {
                return Poll::Ready(self.send_away());
            }
            let bytes = match self.subscription.poll_next(cx) {
                Poll::Pending if self.enrolled.keepalive_due() => self.with_cursor(self.language.keepalive()),
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Delivery::Events(frames)) => {
                    self.shown = frames.last().map(|frame| frame.id);
                    let bytes = self.language.events(&frames);
                    let stats = self.core.door.hub.stats();
                    stats.events_out.add(frames.len() as u64);
                    stats.bytes_out.add(bytes.len() as u64);
                    bytes
                }
                Poll::Ready(Delivery::Gap(gap)) => self.language.gap(&gap),
                Poll::Ready(Delivery::End(ending)) => {
                    let epoch = self.subscription.cursor().epoch;
                    let last = (ending.last > Seq::ZERO).then_some(EventId { epoch, seq: ending.last });
                    self.language.end(&ending, last)
                }
                Poll::Ready(Delivery::Finished(id)) => {
                    self.over = true;
                    // Without the newest id the client would come back to be told the same again, for ever.
                    let behind = self.shown.is_none_or(|shown| shown.epoch != id.epoch || shown.seq < id.seq);
                    match self.language.cursor(id).filter(|_| behind) {
                        Some(bytes) => bytes,
                        None => continue,
                    }
                }
                Poll::Ready(Delivery::Broken) => return Poll::Ready(self.send_away()),
            };
            return Poll::Ready(Some(bytes));
        }
    }

    /// The last bytes of a stream that the hub ends for a reason that will pass.
    fn send_away(&mut self) -> Option<Bytes> {
        self.over = true;
        let retry = self.language.retry(self.core.door.spread_retry(self.retry))?;
        Some(self.with_cursor(retry))
    }

    /// `bytes`, and a cursor for a client that has none yet: it would come back without one, and miss what came
    /// between. Not with the first bytes, so that a stream begins like its replay.
    fn with_cursor(&mut self, bytes: Bytes) -> Bytes {
        if self.shown.is_some() || !self.subscription.caught_up() {
            return bytes;
        }
        let cursor = self.subscription.cursor();
        self.shown = Some(cursor);
        [bytes, self.language.cursor(cursor).unwrap_or_default()].concat().into()
    }
}

impl http_body::Body for StreamBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let this = &mut *self;
        this.poll_bytes(cx).map(|bytes| {
            this.enrolled.spoke();
            bytes.map(|bytes| Ok(Frame::data(bytes)))
        })
    }
}

fn milliseconds(delay: Duration) -> u32 {
    u32::try_from(delay.as_millis()).unwrap_or(u32::MAX)
}
