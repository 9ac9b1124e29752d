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

use super::direct_connection::DirectConnection;
use crate::{
    http::{auth::authorization, net::tracked_socket::TICK},
    hub::feed::Feed,
};

/// The open streams of one shard.
#[derive(Debug, Default)]
pub struct Streams {
    groups: RefCell<HashMap<u64, Rc<FeedStreams>>>,
    /// Ticks so far: the clock of keepalives and stalls.
    now: Cell<u32>,
    /// The policy generation that the streams were last woken for.
    policy: Cell<u64>,
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
    /// The tick of the last send.
    pub(super) last_sent: u32,
    /// When the client's credential expires, in Unix seconds; `u64::MAX` for never.
    expires: u64,
    /// The connection of a stream that was taken over from hyper.
    pub(super) connection: Option<DirectConnection>,
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
    /// Adds a stream that follows `feed` and is woken for new frames. `expires` is in Unix seconds.
    #[must_use]
    pub fn register(self: &Rc<Self>, feed: &Arc<Feed>, expires: Option<u64>) -> StreamHandle {
        self.add(feed, expires, None)
    }

    /// Adds a stream that follows `feed` on a connection that was taken over from hyper.
    #[must_use]
    pub(super) fn register_direct(
        self: &Rc<Self>,
        feed: &Arc<Feed>,
        expires: Option<u64>,
        connection: DirectConnection,
    ) -> StreamHandle {
        self.add(feed, expires, Some(connection))
    }

    fn add(
        self: &Rc<Self>,
        feed: &Arc<Feed>,
        expires: Option<u64>,
        connection: Option<DirectConnection>,
    ) -> StreamHandle {
        let new = || {
            let (turns, members) = (Cell::new(feed.turns()), RefCell::default());
            Rc::new(FeedStreams { feed: Arc::clone(feed), turns, members })
        };
        let group = Rc::clone(self.groups.borrow_mut().entry(feed.id).or_insert_with(new));
        let last_sent = self.now.get();
        let expires = expires.unwrap_or(u64::MAX);
        let member =
            Member { waker: None, wake_mode: WakeMode::Wake, keepalive_due: false, last_sent, expires, connection };
        let key = group.members.borrow_mut().insert(member);
        StreamHandle { streams: Rc::clone(self), group, key }
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
            if reloaded
                || member.expires <= clock
                || member.connection.as_ref().is_some_and(DirectConnection::is_half_closed)
            {
                member.wake();
            }
            if let Some(connection) = &mut member.connection
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
