//! `GET` with `live=sse`: a stream as it comes. The same response serves the clients of the protocol and a plain EventSource.

use std::{
    convert::Infallible,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use http_body::Frame as BodyFrame;
use serde::Serialize;

use super::{
    chain::{self, ChainItem, ChainReader},
    content_type::DataFormat,
    context::StreamContext,
    headers,
    lead::{CharacterLead, LEAD_BYTES, LeadReading},
    offset::{Offset, ReadOffset},
    pair_cache,
    refusal::StreamRefusal,
    sse_encoder::{ReaderPosition, SseEncoder},
    state::{DurableStreams, StreamSnapshot},
};
use crate::{
    engine::ReadError,
    event::{Epoch, EventId, Selection, Seq, sse},
    http::{
        api::stream::{
            record::{SentCounts, StreamOutcome, StreamRecord},
            session::spread_retry,
            shard::StreamShard,
            streams::StreamHandle,
        },
        auth::{Authorization, Caller, StreamPermits},
        message::json_text,
        net::{
            cutter::Cutter,
            response::{Response, full, generated},
        },
    },
    hub::{
        frame::Frame,
        subscription::{Gap, GapStart, Subscription},
    },
};

/// A request for a stream as it comes.
pub struct SseRequest {
    /// The stream.
    pub view: StreamSnapshot,
    /// Where to begin.
    pub offset: ReadOffset,
    /// The value of `streamCursor`.
    pub cursor: u64,
    /// Whether an EventSource comes back.
    pub is_reconnect: bool,
}

/// The response.
///
/// # Errors
/// Why the stream cannot be read now.
pub async fn response(
    context: &StreamContext<'_>,
    caller: Caller,
    permits: StreamPermits,
    request: SseRequest,
) -> Result<Response, StreamRefusal> {
    let SseRequest { view, offset, cursor, is_reconnect } = request;
    let shard = &context.events.stream;
    let after = match offset {
        ReadOffset::Start => None,
        ReadOffset::Now => Some(view.tail),
        ReadOffset::After(seq) => Some(EventId { seq, ..view.tail }),
        // The log tells by a gap that it does not know the position.
        ReadOffset::Foreign(seq) => Some(EventId { epoch: unknown_epoch(view.tail), seq }),
    };
    if is_reconnect
        && view.closed
        && after.is_some_and(|after| after.epoch == view.tail.epoch && after.seq >= view.tail.seq)
    {
        // Nothing follows: this stops an EventSource.
        let mut response = Response::new(full(""));
        *response.status_mut() = StatusCode::NO_CONTENT;
        return Ok(response);
    }
    let runs = chain::runs(context.streams, &view)?;
    let mut reader = ChainReader::new(shard, runs, after);
    let subscription = reader.open_first().await?;
    let number = shard.streams.next_number();
    let record = StreamRecord::new(context.scope, number, &caller.authorization, None, subscription);
    let retry = shard.hub.retry_for(std::iter::once(&view.topic));
    let format = view.format();
    let body = SseBody {
        streams: Arc::clone(context.streams),
        shard: Rc::clone(shard),
        selection: Selection::from(view.topic.clone()),
        position: after
            .filter(|after| after.epoch == view.tail.epoch)
            .unwrap_or(EventId { seq: Seq::ZERO, ..view.tail }),
        view,
        reader,
        encoder: SseEncoder::new(format, cursor),
        authorization: caller.authorization,
        _permits: permits,
        handle: None,
        cutter: Cutter::of(context.scope.watch.as_ref()),
        record,
        retry,
        lead: CharacterLead::new(after.is_none()),
        greeted: false,
        told_end: false,
        over: false,
    };
    let mut response = Response::new(generated(body));
    let head = response.headers_mut();
    head.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    head.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache, no-transform"));
    // Without this nginx buffers events until its buffer is full.
    head.insert("x-accel-buffering", HeaderValue::from_static("no"));
    if format == DataFormat::Bytes {
        head.insert(headers::SSE_DATA_ENCODING, HeaderValue::from_static("base64"));
    }
    Ok(response)
}

/// The data of a gap: events after an offset are gone.
#[derive(Serialize)]
struct GapBody {
    reason: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    after: Option<String>,
    /// From where the events are kept.
    #[serde(rename = "streamNextOffset", skip_serializing_if = "Option::is_none")]
    next_offset: Option<String>,
}

/// An epoch that is not this one.
fn unknown_epoch(present: EventId) -> Epoch {
    let other = Epoch::from_random(0);
    if other == present.epoch { Epoch::from_random(1) } else { other }
}

/// The body. Dropping it ends the subscription.
struct SseBody {
    streams: Arc<DurableStreams>,
    shard: Rc<StreamShard>,
    selection: Selection,
    view: StreamSnapshot,
    reader: ChainReader,
    encoder: SseEncoder,
    /// The position after what was sent.
    position: EventId,
    authorization: Authorization,
    _permits: StreamPermits,
    /// The registration of the part that is read, by the id of its feed.
    handle: Option<(u64, StreamHandle)>,
    cutter: Option<Cutter>,
    record: Rc<StreamRecord>,
    retry: Duration,
    lead: CharacterLead,
    greeted: bool,
    /// The client knows that it has everything.
    told_end: bool,
    over: bool,
}

impl SseBody {
    fn poll_bytes(&mut self, cx: &mut Context<'_>) -> Poll<Option<Vec<u8>>> {
        if self.over {
            return Poll::Ready(None);
        }
        let mut out = Vec::new();
        if !self.greeted {
            self.greeted = true;
            out = sse::retry_line(u32::try_from(self.retry.as_millis()).unwrap_or(u32::MAX));
        }
        let keepalive_due = self.register(cx);
        if let Some(outcome) = self.ending() {
            out.extend_from_slice(&self.end(outcome));
            return Poll::Ready(Some(out));
        }
        let polled = self.poll_item(cx);
        // Another part may have begun.
        self.register(cx);
        if let Some(subscription) = self.reader.subscription() {
            self.record.set_progress(subscription.progress());
            self.record.set_reached(subscription.reached());
        }
        match &polled {
            Poll::Ready(ChainItem::Events(events)) => self.events(&mut out, events.frames()),
            Poll::Ready(ChainItem::Gap(gap)) => self.gap(&mut out, gap),
            Poll::Ready(ChainItem::Ended) => self.ended(&mut out),
            Poll::Ready(ChainItem::Unreadable) => out.extend_from_slice(&self.end(StreamOutcome::StoreUnreadable)),
            Poll::Pending if !self.lead.is_reading() && self.reader.caught_up() && !self.told_end => {
                self.tell_end(&mut out);
            }
            Poll::Pending if keepalive_due && out.is_empty() => {
                // An open stream is in use.
                self.streams.registry.touch(&self.view.topic);
                out.extend_from_slice(sse::KEEPALIVE);
            }
            Poll::Pending => {}
        }
        match (out.is_empty(), polled.is_ready()) {
            (false, _) => Poll::Ready(Some(out)),
            // What was read has nothing for this reader.
            (true, true) if !self.over => {
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            (true, true) => Poll::Ready(None),
            (true, false) => Poll::Pending,
        }
    }

    fn poll_item(&mut self, cx: &mut Context<'_>) -> Poll<ChainItem> {
        let Self { lead, reader, encoder, streams, view, position, .. } = self;
        lead.poll_next(cx, reader, encoder, || -> LeadReading {
            let (runs, streams, through) = (chain::runs(streams, view), Arc::clone(streams), position.seq);
            Box::pin(async move {
                let runs = runs.map_err(|refusal| ReadError { reason: refusal.problem.to_string().into() })?;
                chain::bytes_before(&streams.hub, runs, through, LEAD_BYTES).await
            })
        })
    }

    /// Registers the task with the feed of the part that is read. Returns whether a keepalive is due.
    fn register(&mut self, cx: &Context<'_>) -> bool {
        let Some(feed) = self.reader.subscription().map(Subscription::feed) else { return false };
        if self.handle.as_ref().is_none_or(|(id, _)| *id != feed.id) {
            let (expires, record) = (self.authorization.expires(), Some(Rc::clone(&self.record)));
            let handle = self.shard.streams.register(feed, expires, record, self.cutter.clone());
            self.handle = Some((feed.id, handle));
        }
        self.handle.as_ref().is_some_and(|(_, handle)| handle.register_waker(cx))
    }

    /// Why the stream must end now.
    fn ending(&mut self) -> Option<StreamOutcome> {
        if self.shard.drain.is_draining() {
            return Some(StreamOutcome::Draining);
        }
        if self.record.is_end_requested() {
            return Some(StreamOutcome::EndedByOperator);
        }
        if self.authorization.renew_subscription(&self.shard.policies, &self.selection).is_err() {
            self.shard.hub.stats().lapsed.add(1);
            return Some(StreamOutcome::CredentialEnded);
        }
        None
    }

    /// The last bytes of a stream that a client continues elsewhere.
    fn end(&mut self, outcome: StreamOutcome) -> Vec<u8> {
        self.over = true;
        self.record.ends(outcome);
        sse::retry_line(spread_retry(self.retry))
    }

    fn events(&mut self, out: &mut Vec<u8>, frames: &[Arc<Frame>]) {
        self.streams.registry.touch(&self.view.topic);
        self.look();
        let before = out.len();
        for frame in frames {
            self.position = frame.id;
            let at_end = frame.id.seq >= self.view.tail.seq;
            let position = self.reader_position(at_end);
            if frame.event.new.name.is_removed() {
                self.encoder.control(out, position);
            } else {
                pair_cache::write(out, &mut self.encoder, frame, position);
            }
            self.told_end = at_end;
            if position.closed {
                self.over = true;
                self.record.ends(StreamOutcome::TopicsClosed);
                break;
            }
        }
        let sent = SentCounts { events: frames.len() as u64, bytes: (out.len() - before) as u64 };
        self.shard.hub.stats().events_out.add(sent.events);
        self.shard.hub.stats().bytes_out.add(sent.bytes);
        self.record.add(sent);
    }

    fn gap(&mut self, out: &mut Vec<u8>, gap: &Gap) {
        let offset = |id: EventId| Offset(id).to_string();
        let notice = GapBody {
            reason: gap.reason.as_str(),
            after: gap.after.as_ref().map(|after| match after {
                GapStart::Sent(text) => text.clone(),
                GapStart::Reached(id) => offset(*id),
            }),
            next_offset: gap.resumes_at.map(|id| offset(EventId { seq: Seq(id.seq.0.saturating_sub(1)), ..id })),
        };
        sse::encode_notice(out, "hub.gap", &json_text::text(&notice));
        self.told_end = false;
    }

    fn ended(&mut self, out: &mut Vec<u8>) {
        self.over = true;
        self.record.ends(StreamOutcome::TopicsClosed);
        // Of a deleted stream nothing is told: the client comes back, and is told by 404.
        if self.look() {
            self.position.seq = self.position.seq.max(self.view.tail.seq);
            self.encoder.control(out, self.reader_position(true));
        }
    }

    /// Everything was read. The position stays that of the last event: the topic may have one already that readers are about
    /// to be sent.
    fn tell_end(&mut self, out: &mut Vec<u8>) {
        self.told_end = true;
        let offset = Offset(self.position);
        self.encoder.control(out, ReaderPosition { offset, up_to_date: true, closed: false });
    }

    /// Looks up the end of the stream; false when it is gone.
    fn look(&mut self) -> bool {
        self.streams.renew(&mut self.view)
    }

    fn reader_position(&self, at_end: bool) -> ReaderPosition {
        ReaderPosition { offset: Offset(self.position), up_to_date: at_end, closed: at_end && self.view.closed }
    }
}

impl http_body::Body for SseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<BodyFrame<Bytes>, Infallible>>> {
        self.poll_bytes(cx).map(|bytes| {
            if let Some((_, handle)) = &self.handle {
                handle.mark_sent();
            }
            bytes.map(|bytes| Ok(BodyFrame::data(bytes.into())))
        })
    }
}

impl Drop for SseBody {
    fn drop(&mut self) {
        self.record.log(&self.selection, self.authorization.holder());
    }
}
