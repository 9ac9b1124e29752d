//! The state machine of one stream: a greeting, events while there are any, keepalives while there are none, and an
//! end. It is the same for every kind of connection.
//!
//! A client without a cursor of its own must have one as soon as it has the response head. Otherwise it would reconnect
//! at "now" and silently miss the events in between. So the greeting carries the cursor at which the stream starts. A
//! gap notice has no id: a client that disconnects right after it receives it again. When no event follows the gap, the
//! stream sends a cursor, so that the client receives the gap only once.

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    chunk::Chunk,
    encoding::{Encoding, Keepalive},
    ephemeral::EphemeralEvents,
    parts::BatchParts,
    record::{SentCounts, StreamOutcome, StreamRecord},
    shard::StreamShard,
};
use crate::{
    event::{EventId, Seq},
    http::auth::{Authorization, StreamPermits},
    hub::{
        epoch::HubCursor,
        subscription::{Delivery, GapReason, Subscription},
    },
};

/// A subscription, its encoding, and what its client already has. Dropping it ends the subscription.
pub struct StreamSession {
    shard: Rc<StreamShard>,
    subscription: Subscription,
    authorization: Authorization,
    _permits: StreamPermits,
    /// How events and notices are written.
    pub encoding: Encoding,
    /// The reconnect delay that the client is given, in milliseconds.
    retry: u32,
    keepalive: Keepalive,
    greeting: Greeting,
    over: bool,
    /// What most streams do not have: a pointer of 8 bytes in each of them.
    rare: Option<Box<RareParts>>,
    /// The newest id that the client has received; `None` while it has none of the subscription's epoch.
    client_cursor: Option<Seq>,
    /// Whether a client that reconnects with that cursor would receive a notice again.
    repeats_notice: bool,
    record: Rc<StreamRecord>,
}

/// What most streams do not have.
#[derive(Default)]
struct RareParts {
    /// The unsent rest of a batch that is sent in parts, and the batch's last position.
    parts: Option<(BatchParts, Seq)>,
    /// Events that are not in the log.
    ephemeral: Option<Box<dyn EphemeralEvents>>,
}

/// What a request decides about its stream besides the selection of events.
#[derive(Debug, Clone, Copy)]
pub struct StreamOptions {
    /// The reconnect delay that the client is given.
    pub retry: Duration,
    /// What is sent after a keepalive interval without events.
    pub keepalive: Keepalive,
    /// The cursor that the request carried, or that the greeting assigns.
    pub cursor: InitialCursor,
}

/// The client's cursor when its stream begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InitialCursor {
    /// The request carried a cursor of the subscription's epoch.
    Resumed(Seq),
    /// The request carried a cursor that this store does not know. The stream begins with a gap notice; the first id
    /// after it is the client's new cursor.
    Unusable,
    /// The request carried none. The greeting assigns this one of the subscription's epoch, at which the stream starts.
    Assigned(Seq),
}

/// What of the greeting is still to be sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Greeting {
    /// The reconnect delay, and the client's cursor, which the request did not carry.
    Assigning,
    /// The reconnect delay.
    Plain,
    /// Nothing.
    Sent,
}

impl StreamSession {
    /// A stream of `subscription`. The permits are held until the session is dropped.
    #[must_use]
    pub fn new(
        shard: Rc<StreamShard>,
        subscription: Subscription,
        (authorization, permits): (Authorization, StreamPermits),
        encoding: Encoding,
        options: StreamOptions,
        record: Rc<StreamRecord>,
    ) -> Self {
        let (client_cursor, greeting) = match options.cursor {
            InitialCursor::Resumed(seq) => (Some(seq), Greeting::Plain),
            InitialCursor::Assigned(seq) => (Some(seq), Greeting::Assigning),
            InitialCursor::Unusable => (None, Greeting::Plain),
        };
        Self {
            shard,
            subscription,
            authorization,
            _permits: permits,
            encoding,
            retry: milliseconds(options.retry),
            keepalive: options.keepalive,
            greeting,
            over: false,
            rare: None,
            client_cursor,
            repeats_notice: !matches!(options.cursor, InitialCursor::Resumed(_)),
            record,
        }
    }

    /// The same stream, which sends these events, too.
    #[must_use]
    pub fn with_ephemeral(mut self, ephemeral: Option<Box<dyn EphemeralEvents>>) -> Self {
        if ephemeral.is_some() {
            self.rare.get_or_insert_default().ephemeral = ephemeral;
        }
        self
    }

    /// The shard that serves the stream.
    #[must_use]
    pub fn shard(&self) -> &Rc<StreamShard> {
        &self.shard
    }

    /// The subscription that the stream sends.
    #[must_use]
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// What is known of the stream.
    #[must_use]
    pub fn record(&self) -> &Rc<StreamRecord> {
        &self.record
    }

    /// When the client's credential expires, in Unix seconds. The driver of the session must poll it then.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.authorization.expires()
    }

    /// The next bytes to send; `None` when the stream is over. `keepalive_due`: nothing was sent for a keepalive
    /// interval.
    pub fn poll(&mut self, cx: &mut Context<'_>, keepalive_due: bool) -> Poll<Option<Chunk>> {
        let polled = self.poll_chunk(cx, keepalive_due);
        self.record.set_progress(self.subscription.progress());
        if polled.is_pending() {
            // Nothing is queued between the subscription's position and what was returned.
            self.record.set_reached(self.subscription.reached());
        }
        polled
    }

    fn poll_chunk(&mut self, cx: &mut Context<'_>, keepalive_due: bool) -> Poll<Option<Chunk>> {
        if self.greeting != Greeting::Sent {
            return Poll::Ready(Some(self.greet()));
        }
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            // An event that has begun is sent to its end: nothing else may come between its parts.
            if let Some(chunk) = self.next_part() {
                return Poll::Ready(Some(chunk));
            }
            if self.shard.drain.is_draining() {
                return Poll::Ready(self.end_with_reconnect(StreamOutcome::Draining));
            }
            if self.record.is_end_requested() {
                return Poll::Ready(self.end_with_reconnect(StreamOutcome::EndedByOperator));
            }
            if self.has_lapsed() {
                return Poll::Ready(self.end_with_reconnect(StreamOutcome::CredentialEnded));
            }
            let chunk = match self.poll_subscription(cx) {
                Poll::Pending => {
                    if let Some(chunk) = self.poll_ephemeral(cx) {
                        return Poll::Ready(Some(chunk));
                    }
                    match self.cursor_to_send() {
                        Some(cursor) => self.encoding.cursor(cursor),
                        None if keepalive_due => self.encoding.keepalive(self.keepalive),
                        None => return Poll::Pending,
                    }
                }
                Poll::Ready(Delivery::Events(batch)) => {
                    self.count_events(batch.frames().len() as u64);
                    let Some(framed) = self.encoding.framed(&batch) else {
                        let last = batch.last();
                        let parts = BatchParts::new(batch, self.encoding);
                        self.rare.get_or_insert_default().parts = Some((parts, last));
                        continue;
                    };
                    let chunk = Chunk::shared(framed);
                    self.set_client_cursor(batch.last());
                    self.count(&chunk);
                    chunk
                }
                Poll::Ready(Delivery::Gap(gap)) => {
                    self.repeats_notice = true;
                    if gap.reason == GapReason::Unknown {
                        self.client_cursor = None;
                    }
                    self.encoding.gap(&gap)
                }
                Poll::Ready(Delivery::End(ending)) => {
                    let epoch = self.subscription.cursor().epoch;
                    let last = (ending.last > Seq::ZERO).then_some(EventId { epoch, seq: ending.last });
                    self.encoding.end(&ending, last)
                }
                Poll::Ready(Delivery::Finished(id)) => {
                    self.over = true;
                    self.record.ends(StreamOutcome::TopicsClosed);
                    // Without the newest id the client would reconnect and receive the same notices, endlessly.
                    if self.client_cursor >= Some(id.seq) {
                        continue;
                    }
                    self.encoding.cursor(id)
                }
                Poll::Ready(Delivery::Unreadable) => {
                    return Poll::Ready(self.end_with_reconnect(StreamOutcome::StoreUnreadable));
                }
            };
            return Poll::Ready(Some(chunk));
        }
    }

    /// The next part of a batch that is sent in parts.
    fn next_part(&mut self) -> Option<Chunk> {
        let rare = self.rare.as_mut()?;
        let (parts, last) = rare.parts.as_mut()?;
        let (chunk, last) = (parts.next(), *last);
        if let Some(chunk) = &chunk {
            self.count(chunk);
        } else {
            rare.parts = None;
            if rare.ephemeral.is_none() {
                self.rare = None;
            }
            self.set_client_cursor(last);
        }
        chunk
    }

    fn count(&mut self, chunk: &Chunk) {
        let bytes = chunk.bare().len() as u64;
        self.shard.hub.stats().bytes_out.add(bytes);
        self.record.add(SentCounts { events: 0, bytes });
    }

    fn count_events(&mut self, events: u64) {
        self.shard.hub.stats().events_out.add(events);
        self.record.add(SentCounts { events, bytes: 0 });
    }

    /// Polls the subscription, inside a span of the stream while it reads the log, because then it may write lines.
    fn poll_subscription(&mut self, cx: &mut Context<'_>) -> Poll<Delivery> {
        let Self { record, subscription, .. } = self;
        let reads = !subscription.caught_up();
        let _entered = reads.then(|| record.span(&subscription.feed().selection).entered());
        subscription.poll_next(cx)
    }

    /// The next ephemeral events, while the client has been sent all of the log.
    fn poll_ephemeral(&mut self, cx: &mut Context<'_>) -> Option<Chunk> {
        if !self.subscription.caught_up() {
            return None;
        }
        let cursor = self.subscription.cursor();
        let ephemeral = self.rare.as_mut()?.ephemeral.as_mut()?;
        let Poll::Ready(chunk) = ephemeral.poll_chunk(cx, cursor) else { return None };
        self.set_client_cursor(cursor.seq);
        self.count(&chunk);
        Some(chunk)
    }

    /// The first bytes of the stream. To be called once, instead of the first [`StreamSession::poll`].
    pub fn greet(&mut self) -> Chunk {
        let assigns = std::mem::replace(&mut self.greeting, Greeting::Sent) == Greeting::Assigning;
        // Before the first poll the subscription is still of the epoch that it began with.
        let cursor = self.client_cursor.filter(|_| assigns);
        let cursor = cursor.map(|seq| EventId { seq, ..self.subscription.cursor() });
        self.encoding.greeting(self.retry, cursor)
    }

    /// The cursor after which the caller may send the ring's next batches itself, as long as they close no topic;
    /// `None` while the session must be polled. The caller reports what it has sent with [`StreamSession::sent`].
    #[must_use]
    pub fn follows(&self) -> Option<HubCursor> {
        let in_parts = self.rare.as_ref().is_some_and(|rare| rare.parts.is_some());
        if self.over || in_parts { None } else { self.subscription.ring_cursor() }
    }

    /// Records that the client was sent the ring's events up to `cursor`.
    pub fn sent(&mut self, cursor: HubCursor) {
        if self.subscription.sent(cursor) {
            self.set_client_cursor(cursor.seq);
        }
    }

    /// Whether the client's credential has expired, was revoked, or no longer grants these topics.
    fn has_lapsed(&mut self) -> bool {
        let (shard, selection) = (&self.shard, &self.subscription.feed().selection);
        let lapsed = self.authorization.renew_subscription(&shard.policies, selection).is_err();
        if lapsed {
            shard.hub.stats().lapsed.add(1);
        }
        lapsed
    }

    /// Ends the stream for a transient reason; the last bytes tell the client when to reconnect.
    fn end_with_reconnect(&mut self, outcome: StreamOutcome) -> Option<Chunk> {
        self.over = true;
        self.record.ends(outcome);
        let retry = spread_retry(Duration::from_millis(self.retry.into()));
        let cursor = self.cursor_to_send();
        self.encoding.reconnect(retry, cursor)
    }

    /// Records that the client has an id newer than every notice it was sent.
    fn set_client_cursor(&mut self, position: Seq) {
        (self.client_cursor, self.repeats_notice) = (Some(position), false);
        self.record.set_reached(HubCursor { seq: position, ..self.subscription.reached() });
    }

    /// A cursor for a client that would receive a notice again if it reconnected with the one it has, because nothing
    /// that it was sent since had an id.
    fn cursor_to_send(&mut self) -> Option<EventId> {
        if !self.repeats_notice || !self.subscription.caught_up() {
            return None;
        }
        let (cursor, before) = (self.subscription.cursor(), self.client_cursor);
        if self.subscription.awaits_reuse().is_some_and(|mark| cursor.seq >= mark) {
            // The client waits for the name of a deleted topic to be used again. With this cursor a reconnect would be
            // answered with 204, and an EventSource would stop for good.
            self.repeats_notice = false;
            return None;
        }
        self.set_client_cursor(cursor.seq);
        (before < Some(cursor.seq)).then_some(cursor)
    }
}

impl Drop for StreamSession {
    fn drop(&mut self) {
        self.record.log(&self.subscription.feed().selection, self.authorization.holder());
    }
}

/// A random reconnect delay from `retry` to three times `retry`, in milliseconds, so that clients that are disconnected
/// together reconnect at different times.
#[must_use]
pub fn spread_retry(retry: Duration) -> u32 {
    let base = u32::try_from(retry.as_millis()).unwrap_or(u32::MAX / 4).clamp(100, u32::MAX / 4);
    fastrand::u32(base..=base * 3)
}

fn milliseconds(delay: Duration) -> u32 {
    u32::try_from(delay.as_millis()).unwrap_or(u32::MAX)
}
