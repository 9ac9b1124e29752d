//! A cursor over one log: read it until its end, then follow the ring; when the ring has moved past, read it again.
//!
//! Slow reading, a reconnect, a late join and a hole are the same path. There is no queue a subscription could
//! overflow: what it holds is at most one page of the log.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

mod catch_up;

use catch_up::Begun;

use super::{
    Hub,
    batch::{FrameBatch, ReadLimit},
    broker::FeedHandle,
    endings::{Ending, Endings},
    feed::{Feed, Next},
    pages::{CachedPage, PageKey, PageRead},
    stats::Gauge,
};
use crate::{
    engine::{self, ReadError},
    event::{EventId, Millis, Selection, Seq, TopicName},
};

/// Characters of a client's cursor that a gap repeats; a longer one is junk and need not come back whole.
const CURSOR_ECHO: usize = 64;

/// Where a subscription begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Start {
    /// With what is published from now on.
    Now,
    /// With the oldest kept event.
    Earliest,
    /// With the first event that has this stamp or a later one.
    Since(Millis),
    /// With what is kept after this position: as with the oldest kept event, what a topic lost before the stream reached its
    /// first event is no gap.
    Kept(Seq),
    /// After the event with this id, as the client sent it: any text at all.
    Cursor(String),
}

/// What a subscription has for its stream next.
#[derive(Debug, Clone)]
pub enum Delivery {
    /// The next events.
    Events(Arc<FrameBatch>),
    /// Events after the cursor are gone.
    Gap(Gap),
    /// A topic takes no more events.
    End(Ending),
    /// Every topic asked for has ended: so does the stream, and this is the id the client should come back with.
    Finished(EventId),
    /// The store cannot be read now: the stream ends, and the client comes back with its cursor.
    Broken,
}

/// Events after a cursor that are gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    /// The topic that lost them; `None` when it is all of them.
    pub topic: Option<TopicName>,
    /// The cursor, as it came or as the stream had reached it.
    pub after: Option<String>,
    /// The next kept event.
    pub resumes_at: Option<EventId>,
    /// Why.
    pub reason: GapReason,
}

/// Why events are gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GapReason {
    /// Retention let them go, or the topic was deleted.
    Trimmed,
    /// The disk lost them.
    Lost,
    /// The cursor is of another store, or no id at all.
    Unknown,
    /// The cursor is past the newest event.
    Ahead,
}

/// One stream's cursor.
pub struct Subscription {
    hub: Arc<Hub>,
    seat: FeedHandle,
    limit: ReadLimit,
    /// Everything of the selection up to here was delivered, or told to be gone.
    position: Seq,
    /// The cursor to name in a gap.
    after: Option<Box<str>>,
    /// What the first page has to be told as, before anything else.
    stray: Option<GapReason>,
    place: ReadPosition,
    /// How many events had been taken back when the log was last asked.
    removals: u64,
    /// For a stream that began with the oldest kept events and has not caught up: the topics that it has begun with.
    /// What a topic lost before that is no gap.
    begun: Option<Box<Begun>>,
    endings: Endings,
    ready: VecDeque<Delivery>,
    gauge: GaugeGuard,
}

enum ReadPosition {
    /// In the log, waiting for a page.
    Log(Box<PageKey>, Pin<Box<dyn Future<Output = Result<PageRead, ReadError>>>>),
    /// In the log, at a page that another has just read.
    Kept(Box<CachedPage>),
    /// In the ring. `behind`: what is next may be old enough for retention to have let it go meanwhile, so look.
    Ring { behind: bool },
    /// Nothing more will come.
    Over,
}

/// Which gauge a subscription stands under.
struct GaugeGuard {
    hub: Arc<Hub>,
    which: fn(&super::stats::Stats) -> &Gauge,
}

impl Hub {
    /// A subscription for a stream on `shard`.
    #[must_use]
    pub fn subscribe(
        self: &Arc<Self>,
        selection: &Selection,
        start: Start,
        limit: ReadLimit,
        shard: usize,
    ) -> Subscription {
        let seat = self.broker.join(selection, shard);
        let resumed = matches!(start, Start::Cursor(_));
        let from_kept = matches!(start, Start::Kept(_));
        let (from, after, stray) = self.place_of(start, seat.from);
        let position = match from {
            engine::ReadFrom::After(seq) => seq,
            engine::ReadFrom::Earliest | engine::ReadFrom::Since(_) => Seq::ZERO,
        };
        if resumed {
            self.stats.resumed.add(1);
        }
        let endings = Endings::new(&self.engine, &seat.feed, resumed.then_some(position));
        let live = position >= seat.feed.newest() && from == engine::ReadFrom::After(position);
        let mut subscription = Subscription {
            gauge: GaugeGuard::new(self, if live { |stats| &stats.live } else { |stats| &stats.replaying }),
            hub: Arc::clone(self),
            seat,
            limit,
            position,
            after,
            stray,
            place: ReadPosition::Ring { behind: false },
            removals: 0,
            begun: (from_kept || from == engine::ReadFrom::Earliest).then(Box::default),
            endings,
            ready: VecDeque::new(),
        };
        if !live {
            subscription.catch_up(from);
        }
        subscription
    }

    /// Turns a start into a place in the log, the cursor a gap would name, and what is wrong with the cursor.
    fn place_of(&self, start: Start, now: Seq) -> (engine::ReadFrom, Option<Box<str>>, Option<GapReason>) {
        let text = match start {
            Start::Now => return (engine::ReadFrom::After(now), None, None),
            Start::Earliest => return (engine::ReadFrom::Earliest, None, None),
            Start::Since(time) => return (engine::ReadFrom::Since(time), None, None),
            Start::Kept(position) => return (engine::ReadFrom::After(position), None, None),
            Start::Cursor(text) => text,
        };
        let (from, stray) = match EventId::parse(&text) {
            Some(id) if id.epoch != self.epoch() => (engine::ReadFrom::Earliest, Some(GapReason::Unknown)),
            None => (engine::ReadFrom::Earliest, Some(GapReason::Unknown)),
            Some(id) if id.seq > self.head() => (engine::ReadFrom::Earliest, Some(GapReason::Ahead)),
            Some(id) => (engine::ReadFrom::After(id.seq), None),
        };
        (from, Some(text.chars().take(CURSOR_ECHO).collect()), stray)
    }
}

impl Subscription {
    /// The next delivery. Pending only at the live edge or while the log is read; then the caller is woken by the
    /// log, or by its shard when [`Subscription::feed`] has news.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Delivery> {
        loop {
            if let Some(delivery) = self.ready.pop_front() {
                return Poll::Ready(self.current(delivery));
            }
            if self.stray.is_none()
                && let Some(ending) = self.endings.due(&self.hub.engine, &self.seat.feed, self.position)
            {
                return Poll::Ready(Delivery::End(ending));
            }
            match &mut self.place {
                ReadPosition::Over => return Poll::Pending,
                ReadPosition::Kept(kept) => {
                    let kept = CachedPage::clone(kept);
                    self.take_kept(kept);
                }
                ReadPosition::Log(key, page) => match ready!(page.as_mut().poll(cx)) {
                    Ok(PageRead::Kept(kept)) => self.take_kept(kept),
                    Ok(PageRead::Page(page)) => {
                        let key = **key;
                        self.take(key, page);
                    }
                    Err(error) => {
                        tracing::warn!(error = %error, cursor.seq = self.position.0, "a stream's log page cannot be read");
                        self.place = ReadPosition::Over;
                        return Poll::Ready(Delivery::Broken);
                    }
                },
                ReadPosition::Ring { .. } if self.endings.all_ended() => {
                    self.place = ReadPosition::Over;
                    return Poll::Ready(Delivery::Finished(self.cursor()));
                }
                ReadPosition::Ring { behind } => match self.seat.after(self.position, self.limit) {
                    Next::Nothing if *behind => self.follow(),
                    Next::Nothing => return Poll::Pending,
                    Next::Run(run) if *behind && !self.hub.keeps(&run) => {
                        self.read(engine::ReadFrom::After(self.position));
                    }
                    Next::Run(run) => {
                        if *behind {
                            self.hub.stats.replayed.add(run.frames().len() as u64);
                        }
                        self.deliver(run);
                    }
                    Next::Moved => {
                        self.gauge.change(|stats| &stats.lagged);
                        self.read(engine::ReadFrom::After(self.position));
                    }
                },
            }
        }
    }

    /// Whether there is nothing to deliver before the next commit.
    #[must_use]
    pub fn caught_up(&self) -> bool {
        self.ready.is_empty() && matches!(self.place, ReadPosition::Ring { .. })
    }

    /// The cursor of a stream for which nothing but the ring's next run can come next: whoever sends it that run says so
    /// by [`Subscription::sent`], and need not poll.
    #[must_use]
    pub fn follows(&self) -> Option<Seq> {
        (self.caught_up() && self.stray.is_none() && self.endings.quiet(&self.seat.feed)).then_some(self.position)
    }

    /// The stream has sent what the ring has up to `position`. Closing events must be polled for.
    pub fn sent(&mut self, position: Seq) {
        if position > self.position {
            self.position = position;
            self.after = None;
        }
    }

    /// Whether nothing could ever come: every topic has ended, and all of it is behind the cursor.
    /// Says so at once for a fresh subscription, before anything is read.
    #[must_use]
    pub fn nothing_left(&self) -> bool {
        self.stray.is_none() && self.endings.nothing_after(self.position)
    }

    /// Everything up to this id was delivered, or told to be gone: a cursor that always works.
    #[must_use]
    pub fn cursor(&self) -> EventId {
        EventId { epoch: self.hub.epoch(), seq: self.position }
    }

    /// The position that its client came back with; `None` when it came with no cursor, or with one of no use here. Only
    /// before anything was delivered.
    #[must_use]
    pub fn resumed(&self) -> Option<Seq> {
        (self.stray.is_none() && self.after.is_some()).then_some(self.position)
    }

    /// The feed whose news wake this subscription.
    #[must_use]
    pub fn feed(&self) -> &Arc<Feed> {
        &self.seat.feed
    }

    /// A delivery as it is to be given now: of what waited here, some may have been taken back.
    fn current(&mut self, delivery: Delivery) -> Delivery {
        let Delivery::Events(run) = delivery else { return delivery };
        let Some(run) = self.hub.broker.removals().current(run) else {
            self.ready.clear();
            self.place = ReadPosition::Over;
            return Delivery::Broken;
        };
        Delivery::Events(run)
    }

    fn deliver(&mut self, run: Arc<FrameBatch>) {
        self.position = run.last();
        self.after = None;
        self.endings.passed(run.frames());
        self.ready.push_back(Delivery::Events(run));
    }

    fn tell(&mut self, topic: Option<TopicName>, resumes_at: Option<Seq>, reason: GapReason) {
        let stats = &self.hub.stats;
        match reason {
            GapReason::Trimmed => stats.gaps_trimmed.add(1),
            GapReason::Lost => stats.gaps_lost.add(1),
            GapReason::Unknown => stats.gaps_unknown.add(1),
            GapReason::Ahead => stats.gaps_ahead.add(1),
        }
        let after = self
            .after
            .as_deref()
            .map(str::to_owned)
            .or_else(|| (self.position > Seq::ZERO).then(|| self.cursor().to_string()));
        let resumes_at = resumes_at.map(|seq| EventId { epoch: self.hub.epoch(), seq });
        self.ready.push_back(Delivery::Gap(Gap { topic, after, resumes_at, reason }));
    }
}

impl GaugeGuard {
    fn new(hub: &Arc<Hub>, which: fn(&super::stats::Stats) -> &Gauge) -> Self {
        which(&hub.stats).add(1);
        Self { hub: Arc::clone(hub), which }
    }

    fn change(&mut self, which: fn(&super::stats::Stats) -> &Gauge) {
        (self.which)(&self.hub.stats).add(-1);
        self.which = which;
        which(&self.hub.stats).add(1);
    }
}

impl Drop for GaugeGuard {
    fn drop(&mut self) {
        (self.which)(&self.hub.stats).add(-1);
    }
}
