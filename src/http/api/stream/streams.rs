//! A shard's open streams, grouped by the feed they follow. A commit wakes the shard once, and
//! [`fan_out`](super::fan_out) visits the streams of the feeds it changed. One tick a second serves the keepalives of
//! all streams and closes the stalled ones, so no stream has a timer of its own.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use slab::Slab;

use super::{direct_connection::DirectConnection, record::StreamRecord};
use crate::{
    http::{
        auth::authorization,
        net::{cutter::Cutter, tracked_socket::TICK},
    },
    hub::feed::Feed,
};

/// Ticks that a client has for taking the end of a stream that an operator ends. The first may follow at once, so it is
/// 2 to 3 s: enough to send a page to a client that reads slowly.
const TICKS_TO_CUT: u8 = 3;

/// The open streams of one shard.
#[derive(Debug, Default)]
pub struct Streams {
    groups: RefCell<HashMap<u64, Rc<FeedStreams>>>,
    /// Ticks so far: the clock of keepalives and stalls.
    now: Cell<u32>,
    /// The policy generation that the streams were last woken for.
    policy: Cell<u64>,
    /// Streams that have begun so far.
    next_number: Cell<u64>,
}

/// The streams of one feed.
#[derive(Debug)]
pub struct FeedStreams {
    /// The feed that they follow.
    pub feed: Arc<Feed>,
    /// The feed's count of lifecycle changes when the streams were last woken for one.
    pub(super) turns: Cell<u64>,
    pub(super) members: RefCell<Slab<Member>>,
}

/// The shard's record of one stream. The fan-out visits every record of a feed, so they are small and contiguous.
#[derive(Debug)]
pub struct Member {
    waker: Option<Waker>,
    pub(super) wake_mode: WakeMode,
    /// Whether nothing was sent for a keepalive interval.
    pub(super) keepalive_due: bool,
    /// Ticks after which a stream that an operator ends is cut, if its client has not taken the end; 0 for never.
    ticks_to_cut: u8,
    /// The tick of the last send.
    pub(super) last_sent: u32,
    /// When the client's credential expires, in Unix seconds; `u64::MAX` for never.
    expires: u64,
    /// What is known of the stream; `None` for a long poll.
    pub(super) record: Option<Rc<StreamRecord>>,
    pub(super) sender: StreamSender,
}

/// What sends a stream.
#[derive(Debug)]
pub enum StreamSender {
    /// hyper, which polls a body.
    Hyper(Option<Cutter>),
    /// Its task and the fan-out, on a connection that was taken over from hyper.
    Direct(DirectConnection),
}

/// What the fan-out does for a stream when its feed has new frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeMode {
    /// Wake its task.
    Wake,
    /// Send the ring's next batch after the connection's cursor.
    Send,
    /// Nothing: its task is active or has been woken, and reads the ring itself.
    Busy,
}

/// A stream's registration in its shard. Dropping it removes the stream.
#[derive(Debug)]
pub struct StreamHandle {
    streams: Rc<Streams>,
    pub(super) group: Rc<FeedStreams>,
    pub(super) key: usize,
}

impl Streams {
    /// Adds a stream that follows `feed` and is woken for new frames. `expires` is in Unix seconds. One without a record
    /// is not among the open streams that operators see: a long poll, which ends by itself. `cutter` ends a response that
    /// hyper sends.
    #[must_use]
    pub fn register(
        self: &Rc<Self>,
        feed: &Arc<Feed>,
        expires: Option<u64>,
        record: Option<Rc<StreamRecord>>,
        cutter: Option<Cutter>,
    ) -> StreamHandle {
        let new = || {
            let (turns, members) = (Cell::new(feed.turns()), RefCell::default());
            Rc::new(FeedStreams { feed: Arc::clone(feed), turns, members })
        };
        let group = Rc::clone(self.groups.borrow_mut().entry(feed.id).or_insert_with(new));
        let key = group.members.borrow_mut().insert(Member {
            waker: None,
            wake_mode: WakeMode::Wake,
            keepalive_due: false,
            ticks_to_cut: 0,
            last_sent: self.now.get(),
            expires: expires.unwrap_or(u64::MAX),
            record,
            sender: StreamSender::Hyper(cutter),
        });
        StreamHandle { streams: Rc::clone(self), group, key }
    }

    /// The number of the shard's next stream.
    pub fn next_number(&self) -> u64 {
        self.next_number.replace(self.next_number.get() + 1)
    }

    /// The streams of each feed.
    #[must_use]
    pub(super) fn groups(&self) -> Vec<Rc<FeedStreams>> {
        self.groups.borrow().values().cloned().collect()
    }

    /// The streams of a feed.
    #[must_use]
    pub fn group(&self, feed: &Feed) -> Option<Rc<FeedStreams>> {
        self.groups.borrow().get(&feed.id).cloned()
    }

    /// Ticks so far.
    #[must_use]
    pub(super) fn now(&self) -> u32 {
        self.now.get()
    }

    /// Counts a tick, one every [`TICK`]. Wakes the streams that have sent nothing for `keepalive`, those whose
    /// client's credential has expired or whose client has closed its direction, and all of them when the policy's
    /// `generation` has changed. Closes those whose client has not read for longer than `stall`, and returns how many
    /// that were.
    pub fn tick(&self, keepalive: Duration, stall: Duration, generation: u64) -> u64 {
        let (clock, reloaded) = (authorization::now(), self.policy.replace(generation) != generation);
        let now = self.now.get().wrapping_add(1);
        self.now.set(now);
        let mut closed = 0;
        self.each(|member| {
            if TICK * now.wrapping_sub(member.last_sent) >= keepalive {
                member.keepalive_due = true;
                member.wake();
            }
            if reloaded || member.expires <= clock || member.connection().is_some_and(DirectConnection::is_half_closed)
            {
                member.wake();
            }
            if member.ticks_to_cut > 0 {
                member.ticks_to_cut -= 1;
                if member.ticks_to_cut == 0 {
                    member.cut();
                }
            }
            if let StreamSender::Direct(connection) = &mut member.sender
                && connection.stalled_since(now).is_some_and(|ticks| TICK * ticks > stall)
                && connection.close_stalled()
            {
                closed += 1;
                member.wake();
            }
        });
        closed
    }

    /// Wakes every stream, because the drain has begun.
    pub fn wake_all(&self) {
        self.each(|member| member.wake());
    }

    fn each(&self, mut act: impl FnMut(&mut Member)) {
        for group in self.groups.borrow().values() {
            group.members.borrow_mut().iter_mut().for_each(|(_, member)| act(member));
        }
    }
}

impl Member {
    /// Makes the task end the stream, as a drain does. Returns whether that is news.
    pub(super) fn end(&mut self) -> bool {
        let news = self.record.as_ref().is_some_and(|record| record.request_end());
        if news {
            self.ticks_to_cut = TICKS_TO_CUT;
            self.wake();
        }
        news
    }

    /// Ends the stream without waiting for its client any longer.
    fn cut(&mut self) {
        match &mut self.sender {
            StreamSender::Direct(connection) => drop(connection.close_stalled()),
            StreamSender::Hyper(cutter) => cutter.iter().for_each(Cutter::cut),
        }
        self.wake();
    }

    /// The connection, if it was taken over.
    pub(super) fn connection(&self) -> Option<&DirectConnection> {
        match &self.sender {
            StreamSender::Direct(connection) => Some(connection),
            StreamSender::Hyper(_) => None,
        }
    }

    pub(super) fn wake(&self) {
        if let Some(waker) = &self.waker {
            waker.wake_by_ref();
        }
    }

    /// Stores the task's waker and returns whether a keepalive is due. To be called at every poll.
    pub(super) fn register_waker(&mut self, cx: &Context<'_>) -> bool {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        self.keepalive_due
    }

    /// Records that the stream has sent something.
    pub(super) fn mark_sent(&mut self, now: u32) {
        (self.last_sent, self.keepalive_due) = (now, false);
    }
}

impl StreamHandle {
    /// Stores the task's waker and returns whether a keepalive is due. To be called at every poll.
    pub fn register_waker(&self, cx: &Context<'_>) -> bool {
        self.group.members.borrow_mut()[self.key].register_waker(cx)
    }

    /// Records that the stream has sent something.
    pub fn mark_sent(&self) {
        self.group.members.borrow_mut()[self.key].mark_sent(self.now());
    }

    /// From now on the stream is sent on a connection that was taken over from hyper.
    pub(super) fn connect(&self, connection: DirectConnection) {
        let member = &mut self.group.members.borrow_mut()[self.key];
        member.sender = StreamSender::Direct(connection);
        member.mark_sent(self.now());
    }

    pub(super) fn now(&self) -> u32 {
        self.streams.now()
    }
}

impl Drop for StreamHandle {
    fn drop(&mut self) {
        let mut members = self.group.members.borrow_mut();
        drop(members.remove(self.key));
        if members.is_empty() {
            self.streams.groups.borrow_mut().remove(&self.group.feed.id);
        } else if members.len() < members.capacity() / 4 {
            members.shrink_to_fit();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_shards_part_of_a_stream_takes_152_bytes() {
        assert!(size_of::<Member>() <= 152, "{}", size_of::<Member>());
    }
}
