//! A shard's open streams, by the feed they follow. A commit wakes the shard once, and [`fan_out`](super::fan_out) walks
//! the streams it concerns; one tick a second serves every stream's keepalive and finds the stalled ones. No stream has a
//! timer of its own.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use slab::Slab;

use super::direct::DirectConnection;
use crate::{http::auth::authorization, hub::feed::Feed};

/// How often [`Streams::tick`] is called.
pub const TICK: Duration = Duration::from_secs(1);

/// The open streams of one shard.
#[derive(Debug, Default)]
pub struct Streams {
    groups: RefCell<HashMap<u64, Rc<FeedStreams>>>,
    /// Ticks so far: the only clock that streams are told by.
    now: Cell<u32>,
    /// The policy that streams were last woken for.
    policy: Cell<u64>,
}

/// The streams of one feed.
#[derive(Debug)]
pub struct FeedStreams {
    /// What they follow.
    pub feed: Arc<Feed>,
    /// The feed's turns that they were woken for.
    pub(super) turns: Cell<u64>,
    pub(super) members: RefCell<Slab<Member>>,
}

/// What the shard knows of a stream: the fan-out walks these, so they are small and lie side by side.
#[derive(Debug)]
pub struct Member {
    waker: Option<Waker>,
    pub(super) wake_mode: WakeMode,
    /// Whether it has been silent for long enough to say so.
    pub(super) silent: bool,
    /// When it last sent something.
    pub(super) spoke: u32,
    /// When its client's credential ends, in seconds since 1970.
    expires: u64,
    /// Its socket, for one that needs no hyper.
    pub(super) line: Option<DirectConnection>,
}

/// What a stream needs when there is news.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WakeMode {
    /// To be woken.
    Wake,
    /// To be sent the ring's next run after its line's cursor.
    Send,
    /// Nothing: it is on its way and looks at the ring by itself.
    Busy,
}

/// A stream's place among its shard's streams; leaves when it is dropped.
#[derive(Debug)]
pub struct StreamHandle {
    streams: Rc<Streams>,
    pub(super) group: Rc<FeedStreams>,
    pub(super) key: usize,
}

impl Streams {
    /// Adds a stream that follows `feed` and is to be woken for news.
    #[must_use]
    pub fn enroll(self: &Rc<Self>, feed: &Arc<Feed>, expires: Option<u64>) -> StreamHandle {
        self.add(feed, expires, None)
    }

    /// Adds a stream that follows `feed` on a line of its own.
    #[must_use]
    pub(super) fn enroll_line(
        self: &Rc<Self>,
        feed: &Arc<Feed>,
        expires: Option<u64>,
        line: DirectConnection,
    ) -> StreamHandle {
        self.add(feed, expires, Some(line))
    }

    fn add(self: &Rc<Self>, feed: &Arc<Feed>, expires: Option<u64>, line: Option<DirectConnection>) -> StreamHandle {
        let new = || {
            let (turns, members) = (Cell::new(feed.turns()), RefCell::default());
            Rc::new(FeedStreams { feed: Arc::clone(feed), turns, members })
        };
        let group = Rc::clone(self.groups.borrow_mut().entry(feed.id).or_insert_with(new));
        let spoke = self.now.get();
        let expires = expires.unwrap_or(u64::MAX);
        let member = Member { waker: None, wake_mode: WakeMode::Wake, silent: false, spoke, expires, line };
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

    /// Counts a tick. Nudges the streams that have been silent for `keepalive`, those whose client's credential has ended, and
    /// all when the policy's `generation` is another; ends those whose client has not read for longer than `stall`: answers
    /// with how many.
    pub fn tick(&self, keepalive: Duration, stall: Duration, generation: u64) -> u64 {
        let (clock, reloaded) = (authorization::now(), self.policy.replace(generation) != generation);
        let now = self.now.get().wrapping_add(1);
        self.now.set(now);
        let mut cut = 0;
        self.each(|member| {
            if TICK * now.wrapping_sub(member.spoke) >= keepalive {
                member.silent = true;
                member.wake();
            }
            if reloaded || member.expires <= clock || member.line.as_ref().is_some_and(DirectConnection::is_half_closed)
            {
                member.wake();
            }
            if let Some(line) = &mut member.line
                && line.stalled_since(now).is_some_and(|ticks| TICK * ticks > stall)
                && line.cut()
            {
                cut += 1;
                member.wake();
            }
        });
        cut
    }

    /// Wakes every stream: the drain has begun.
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

    /// Whom to wake for this stream. Answers with whether it should say that it is there. Call it at every poll.
    pub(super) fn polled(&mut self, cx: &Context<'_>) -> bool {
        if !self.waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            self.waker = Some(cx.waker().clone());
        }
        self.silent
    }

    /// It has sent something.
    pub(super) fn spoke(&mut self, now: u32) {
        (self.spoke, self.silent) = (now, false);
    }
}

impl StreamHandle {
    /// Whom to wake for this stream. Answers with whether it should say that it is there. Call it at every poll.
    pub fn polled(&self, cx: &Context<'_>) -> bool {
        self.group.members.borrow_mut()[self.key].polled(cx)
    }

    /// The stream has sent something.
    pub fn spoke(&self) {
        self.group.members.borrow_mut()[self.key].spoke(self.now());
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
