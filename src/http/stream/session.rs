//! What a stream says, in order: a greeting, events while there are any, keepalives while there are none, and the last
//! word. The same for every kind of connection.
//!
//! A client that came without a usable cursor must never be without one once its head has arrived, or it would come back
//! at "now" and miss what came between, untold. So the greeting gives it one, where its stream starts. A gap has no id, so
//! that whoever drops right there is told again; when nothing follows it, a cursor does, so that it is told once.

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use super::{
    chunk::Chunk,
    encoding::{Encoding, Keepalive},
    parts::BatchParts,
};
use crate::{
    event::{EventId, Seq},
    http::{
        ShardState,
        auth::{Authorization, StreamPermits},
    },
    hub::subscription::{Delivery, Subscription},
};

/// A subscription in a language. Dropping it ends the subscription.
pub struct StreamSession {
    shard: Rc<ShardState>,
    subscription: Subscription,
    authorization: Authorization,
    _seats: StreamPermits,
    /// How it writes.
    pub encoding: Encoding,
    options: StreamOptions,
    greeted: bool,
    over: bool,
    /// Of a run that is too large to be sent as a whole, and its last position.
    parts: Option<Box<(BatchParts, Seq)>>,
    /// The newest position of this store that the client has as its cursor.
    shown: Option<Seq>,
    /// Whether a client that came back with that cursor would be told something again that is not an event.
    unsettled: bool,
}

/// What a client's request decides about its stream beside the events.
#[derive(Debug, Clone, Copy)]
pub struct StreamOptions {
    /// The reconnect delay for its client.
    pub retry: Duration,
    /// What it sends when it is silent.
    pub keepalive: Keepalive,
    /// The cursor that the client came with, or is given with the first bytes.
    pub cursor: Cursor,
}

/// Where a client is without the stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cursor {
    /// It came with one of this store.
    Brought(Seq),
    /// It came with one that is of no use here: a gap says so, and only what follows gives it one.
    Useless,
    /// It came with none: it is given this one, where the stream starts.
    Given(Seq),
}

impl StreamSession {
    /// The stream of `subscription`.
    #[must_use]
    pub fn new(
        shard: Rc<ShardState>,
        subscription: Subscription,
        (authorization, permits): (Authorization, StreamPermits),
        encoding: Encoding,
        options: StreamOptions,
    ) -> Self {
        let shown = match options.cursor {
            Cursor::Brought(seq) | Cursor::Given(seq) => Some(seq),
            Cursor::Useless => None,
        };
        Self {
            shard,
            subscription,
            authorization,
            _seats: permits,
            encoding,
            options,
            greeted: false,
            over: false,
            parts: None,
            shown,
            unsettled: !matches!(options.cursor, Cursor::Brought(_)),
        }
    }

    /// Where it is told.
    #[must_use]
    pub fn shard(&self) -> &Rc<ShardState> {
        &self.shard
    }

    /// What it tells of.
    #[must_use]
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// When its client's credential is good no more, in seconds since 1970. Whoever tells it has it polled then.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.authorization.expires()
    }

    /// The next piece; `None` when the stream is over. `silent`: it has said nothing for so long that it should.
    pub fn poll(&mut self, cx: &mut Context<'_>, silent: bool) -> Poll<Option<Chunk>> {
        if !self.greeted {
            return Poll::Ready(Some(self.greet()));
        }
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            // What has begun is sent to its end: nothing else may stand within an event.
            if let Some(chunk) = self.next_part() {
                return Poll::Ready(Some(chunk));
            }
            if self.shard.app.drain.is_draining() || self.has_lapsed() {
                return Poll::Ready(self.send_away());
            }
            let chunk = match self.subscription.poll_next(cx) {
                Poll::Pending => match self.cursor_to_show() {
                    Some(cursor) => self.encoding.cursor(cursor),
                    None if silent => self.encoding.keepalive(self.options.keepalive),
                    None => return Poll::Pending,
                },
                Poll::Ready(Delivery::Events(run)) => {
                    self.shard.app.hub.stats().events_out.add(run.frames().len() as u64);
                    let Some(framed) = self.encoding.framed(&run) else {
                        let last = run.last();
                        self.parts = Some(Box::new((BatchParts::new(run, self.encoding), last)));
                        continue;
                    };
                    let chunk = Chunk::shared(framed);
                    self.show(run.last());
                    self.count(&chunk);
                    chunk
                }
                Poll::Ready(Delivery::Gap(gap)) => {
                    self.unsettled = true;
                    self.encoding.gap(&gap)
                }
                Poll::Ready(Delivery::End(ending)) => {
                    let epoch = self.subscription.cursor().epoch;
                    let last = (ending.last > Seq::ZERO).then_some(EventId { epoch, seq: ending.last });
                    self.encoding.end(&ending, last)
                }
                Poll::Ready(Delivery::Finished(id)) => {
                    self.over = true;
                    // Without the newest id the client would come back to be told the same again, for ever.
                    if self.shown >= Some(id.seq) {
                        continue;
                    }
                    self.encoding.cursor(id)
                }
                Poll::Ready(Delivery::Broken) => return Poll::Ready(self.send_away()),
            };
            return Poll::Ready(Some(chunk));
        }
    }

    /// What comes next of a run that is sent in parts.
    fn next_part(&mut self) -> Option<Chunk> {
        let (parts, last) = &mut **self.parts.as_mut()?;
        let (chunk, last) = (parts.next(), *last);
        if let Some(chunk) = &chunk {
            self.count(chunk);
        } else {
            self.parts = None;
            self.show(last);
        }
        chunk
    }

    fn count(&self, chunk: &Chunk) {
        self.shard.app.hub.stats().bytes_out.add(chunk.bare().len() as u64);
    }

    /// The first piece.
    pub fn greet(&mut self) -> Chunk {
        self.greeted = true;
        let epoch = self.subscription.cursor().epoch;
        let cursor = match self.options.cursor {
            Cursor::Given(seq) => Some(EventId { epoch, seq }),
            Cursor::Brought(_) | Cursor::Useless => None,
        };
        self.encoding.greeting(milliseconds(self.options.retry), cursor)
    }

    /// The cursor of a stream that needs only be sent the ring's next runs, as long as they close no topic: whoever does
    /// says so by [`StreamSession::sent`].
    #[must_use]
    pub fn follows(&self) -> Option<Seq> {
        if self.over || self.parts.is_some() { None } else { self.subscription.follows() }
    }

    /// The client was sent what the ring had up to `position`.
    pub fn sent(&mut self, position: Seq) {
        if position > self.subscription.cursor().seq {
            self.subscription.sent(position);
            self.show(position);
        }
    }

    /// Whether the client's credential is good no more, or opens this no more. It is told to come back, with a fresh one.
    fn has_lapsed(&mut self) -> bool {
        let (app, selection) = (&self.shard.app, &self.subscription.feed().selection);
        let lapsed = self.authorization.still_reads(&app.policies, selection).is_err();
        if lapsed {
            app.hub.stats().lapsed.add(1);
        }
        lapsed
    }

    /// The last bytes of a stream that the hub ends for a reason that will pass.
    fn send_away(&mut self) -> Option<Chunk> {
        self.over = true;
        let retry = self.shard.app.spread_retry(self.options.retry);
        let cursor = self.cursor_to_show();
        self.encoding.farewell(retry, cursor)
    }

    /// The client has an id that stands after all it was told.
    fn show(&mut self, position: Seq) {
        (self.shown, self.unsettled) = (Some(position), false);
    }

    /// A cursor for a client that would be told the same again if it came back with the one it has: nothing that it was told
    /// since had an id.
    fn cursor_to_show(&mut self) -> Option<EventId> {
        if !self.unsettled || !self.subscription.caught_up() {
            return None;
        }
        let (cursor, before) = (self.subscription.cursor(), self.shown);
        if self.shard.app.hub.awaits_reuse(&self.subscription.feed().selection).is_some_and(|mark| cursor.seq >= mark) {
            // It waits for a name to be used again. With this cursor it would come back to be sent away for good.
            self.unsettled = false;
            return None;
        }
        self.show(cursor.seq);
        (before < Some(cursor.seq)).then_some(cursor)
    }
}

fn milliseconds(delay: Duration) -> u32 {
    u32::try_from(delay.as_millis()).unwrap_or(u32::MAX)
}
