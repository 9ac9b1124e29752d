//! What a stream says, in order: a greeting, events while there are any, comments while there are none, and the last
//! word. The same for every kind of connection.

use std::{
    rc::Rc,
    task::{Context, Poll},
    time::Duration,
};

use super::{language::Language, piece::Piece};
use crate::{
    event::{EventId, Seq},
    http::{
        Core,
        visitor::{Right, Seats},
    },
    hub::subscription::{Delivery, Subscription},
};

/// A subscription in a language. Dropping it ends the subscription.
pub struct Telling {
    core: Rc<Core>,
    subscription: Subscription,
    right: Right,
    _seats: Seats,
    /// How it writes.
    pub language: Language,
    /// The reconnect delay for this stream's client.
    retry: Duration,
    greeted: bool,
    over: bool,
    shown: Shown,
}

/// The last id the client was given, or came with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shown {
    Nothing,
    /// One of another store.
    Foreign,
    Here(Seq),
}

impl Telling {
    /// The stream of `subscription`, for a client that came with the cursor `shown`.
    #[must_use]
    pub fn new(
        core: Rc<Core>,
        subscription: Subscription,
        (right, seats): (Right, Seats),
        language: Language,
        retry: Duration,
        shown: Option<EventId>,
    ) -> Self {
        let epoch = subscription.cursor().epoch;
        let shown =
            shown.map_or(Shown::Nothing, |id| if id.epoch == epoch { Shown::Here(id.seq) } else { Shown::Foreign });
        Self { core, subscription, right, _seats: seats, language, retry, greeted: false, over: false, shown }
    }

    /// Where it is told.
    #[must_use]
    pub fn core(&self) -> &Rc<Core> {
        &self.core
    }

    /// What it tells of.
    #[must_use]
    pub fn subscription(&self) -> &Subscription {
        &self.subscription
    }

    /// When its client's credential is good no more, in seconds since 1970. Whoever tells it has it polled then.
    #[must_use]
    pub fn expires(&self) -> Option<u64> {
        self.right.expires()
    }

    /// The next piece; `None` when the stream is over. `silent`: it has said nothing for so long that it should.
    pub fn poll(&mut self, cx: &mut Context<'_>, silent: bool) -> Poll<Option<Piece>> {
        if !std::mem::replace(&mut self.greeted, true) {
            // NDJSON has no `retry`; its keepalive makes proxies pass the head on at once all the same.
            let retry = self.language.retry(milliseconds(self.retry));
            return Poll::Ready(Some(retry.unwrap_or_else(|| self.language.keepalive(None))));
        }
        loop {
            if self.over {
                return Poll::Ready(None);
            }
            if self.core.door.drain.is_draining() || self.has_lapsed() {
                return Poll::Ready(self.send_away());
            }
            let piece = match self.subscription.poll_next(cx) {
                Poll::Pending if silent => {
                    let cursor = self.cursor_to_show();
                    self.language.keepalive(cursor)
                }
                Poll::Pending => return Poll::Pending,
                Poll::Ready(Delivery::Events(run)) => {
                    self.shown = Shown::Here(run.last());
                    let piece = self.language.events(&run);
                    let stats = self.core.door.hub.stats();
                    stats.events_out.add(run.frames().len() as u64);
                    stats.bytes_out.add(piece.bare().len() as u64);
                    piece
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
                    let behind = !matches!(self.shown, Shown::Here(seq) if seq >= id.seq);
                    match self.language.cursor(id).filter(|_| behind) {
                        Some(piece) => piece,
                        None => continue,
                    }
                }
                Poll::Ready(Delivery::Broken) => return Poll::Ready(self.send_away()),
            };
            return Poll::Ready(Some(piece));
        }
    }

    /// The cursor of a stream that needs only be sent the ring's next runs, as long as they close no topic: whoever does
    /// says so by [`Telling::sent`].
    #[must_use]
    pub fn follows(&self) -> Option<Seq> {
        if self.over { None } else { self.subscription.follows() }
    }

    /// The client was sent what the ring had up to `position`.
    pub fn sent(&mut self, position: Seq) {
        if position > self.subscription.cursor().seq {
            self.subscription.sent(position);
            self.shown = Shown::Here(position);
        }
    }

    /// Whether the client's credential is good no more, or opens this no more. It is told to come back, with a fresh one.
    fn has_lapsed(&mut self) -> bool {
        let (door, selection) = (&self.core.door, &self.subscription.feed().selection);
        let lapsed = self.right.still_reads(&door.policies, selection).is_err();
        if lapsed {
            door.hub.stats().lapsed.add(1);
        }
        lapsed
    }

    /// The last bytes of a stream that the hub ends for a reason that will pass.
    fn send_away(&mut self) -> Option<Piece> {
        self.over = true;
        let retry = self.core.door.spread_retry(self.retry);
        let cursor = self.cursor_to_show();
        self.language.farewell(retry, cursor)
    }

    /// A cursor for a client that has none yet: it would come back without one, and miss what came between. Not with the
    /// first bytes, so that a stream begins like its replay.
    fn cursor_to_show(&mut self) -> Option<EventId> {
        if self.shown != Shown::Nothing || !self.subscription.caught_up() {
            return None;
        }
        let cursor = self.subscription.cursor();
        self.shown = Shown::Here(cursor.seq);
        Some(cursor)
    }
}

fn milliseconds(delay: Duration) -> u32 {
    u32::try_from(delay.as_millis()).unwrap_or(u32::MAX)
}
