//! A shard's open streams. A commit wakes the shard once, and the shard wakes the streams it concerns; one tick a
//! second serves every stream's keepalive. No stream has a timer or a task of its own.

use std::{
    cell::{Cell, RefCell},
    collections::HashMap,
    rc::Rc,
    task::{Context, Waker},
    time::Duration,
};

use slab::Slab;

use crate::hub::shard::Shard;

/// How often [`Streams::tick`] is called.
pub const TICK: Duration = Duration::from_secs(1);

/// The open streams of one shard, by the feed they follow.
#[derive(Debug, Default)]
pub struct Streams {
    by_feed: RefCell<HashMap<u64, Slab<Rc<Pulse>>>>,
}

/// What the shard knows of a stream.
#[derive(Debug, Default)]
pub struct Pulse {
    waker: RefCell<Option<Waker>>,
    quiet_ticks: Cell<u32>,
    keepalive_due: Cell<bool>,
}

/// A stream's place among its shard's streams; leaves when it is dropped.
#[derive(Debug)]
pub struct Enrolled {
    streams: Rc<Streams>,
    feed: u64,
    key: usize,
    pulse: Rc<Pulse>,
}

impl Streams {
    /// Adds a stream that follows `feed`.
    #[must_use]
    pub fn enroll(self: &Rc<Self>, feed: u64) -> Enrolled {
        let pulse = Rc::new(Pulse::default());
        let key = self.by_feed.borrow_mut().entry(feed).or_default().insert(Rc::clone(&pulse));
        Enrolled { streams: Rc::clone(self), feed, key, pulse }
    }

    /// Wakes the streams of every feed with news, for as long as the process lives.
    pub async fn follow(&self, shard: &Shard, index: usize) {
        loop {
            shard.changed().await;
            for feed in shard.take(index) {
                if let Some(pulses) = self.by_feed.borrow().get(&feed.id) {
                    pulses.iter().for_each(|(_, pulse)| pulse.wake());
                }
            }
        }
    }

    /// Counts a tick of silence for every stream, and nudges those that have been silent for `limit`.
    pub fn tick(&self, limit: Duration) {
        self.each(|pulse| {
            pulse.quiet_ticks.set(pulse.quiet_ticks.get() + 1);
            if TICK * pulse.quiet_ticks.get() >= limit {
                pulse.keepalive_due.set(true);
                pulse.wake();
            }
        });
    }

    /// Wakes every stream: the drain has begun.
    pub fn wake_all(&self) {
        self.each(Pulse::wake);
    }

    fn each(&self, act: impl Fn(&Pulse)) {
        self.by_feed.borrow().values().for_each(|pulses| pulses.iter().for_each(|(_, pulse)| act(pulse)));
    }
}

impl Pulse {
    fn wake(&self) {
        if let Some(waker) = &*self.waker.borrow() {
            waker.wake_by_ref();
        }
    }
}

impl Enrolled {
    /// Whom to wake for this stream. Call it at the start of every poll.
    pub fn waits(&self, cx: &Context<'_>) {
        let mut waker = self.pulse.waker.borrow_mut();
        if !waker.as_ref().is_some_and(|waker| waker.will_wake(cx.waker())) {
            *waker = Some(cx.waker().clone());
        }
    }

    /// The stream has sent something.
    pub fn spoke(&self) {
        self.pulse.quiet_ticks.set(0);
        self.pulse.keepalive_due.set(false);
    }

    /// Whether the stream has been silent for long enough to say so.
    #[must_use]
    pub fn keepalive_due(&self) -> bool {
        self.pulse.keepalive_due.get()
    }
}

impl Drop for Enrolled {
    fn drop(&mut self) {
        let mut feeds = self.streams.by_feed.borrow_mut();
        let pulses = feeds.get_mut(&self.feed).expect("enrolled");
        pulses.remove(self.key);
        if pulses.is_empty() {
            feeds.remove(&self.feed);
        }
    }
}
