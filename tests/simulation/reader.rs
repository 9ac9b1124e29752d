//! A subscriber, and what it must be told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    task::{Context, Poll},
};

use gapless::{
    engine::LocateBy,
    event::{EventId, Filter, Millis, Selection, Seq, TopicName, position::Cursor},
    hub::{
        batch::ReadLimit,
        feed::Feed,
        subscription::{Delivery, Gap, GapReason, GapStart, Start, Subscription},
    },
};

use crate::{
    ledger::{Durable, Ledger, log_of, log_range, seq_of},
    world::Process,
};

/// Where a reader begins that has no id yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Begin {
    Now,
    Earliest,
    /// At the newest so many events.
    Newest(u64),
    /// At the time stamp of the durable event at this position, or of the first one after it.
    Since(u64),
}

/// A subscriber that reconnects with its last id, as an EventSource does.
#[expect(clippy::struct_excessive_bools, reason = "they are independent")]
pub(crate) struct Reader {
    name: String,
    selection: Selection,
    begin: Begin,
    limit: ReadLimit,
    ledger: Arc<Ledger>,
    subscription: Option<Subscription>,
    last_id: Option<EventId>,
    /// The log that it follows, as far as it was told.
    log: u64,
    /// It must be told of the events of its log after this position.
    base: u64,
    delivered: BTreeSet<u64>,
    /// For each topic, the end of the newest gap.
    told: BTreeMap<TopicName, u64>,
    /// Events that it need not be told of: see [`Reader::forgive`].
    forgiven: BTreeSet<u64>,
    /// It started at the oldest event and has not caught up yet: what retention took before a topic's first event is no gap.
    is_beginning: bool,
    /// It started at a time and has not caught up yet: after a restart the hub may report a gap where there was none.
    is_since: bool,
    /// The connection came with a cursor or has delivered an event, so a gap of an unknown cursor names it.
    has_cursor: bool,
    /// The event that a gap has announced.
    announced: Option<u64>,
    /// Topics of which this connection has delivered an event.
    started: BTreeSet<TopicName>,
    /// There may be something to poll for.
    due: bool,
    /// All of its topics have ended.
    finished: bool,
}

pub(crate) fn selection(filters: &[&str]) -> Selection {
    Selection::new(filters.iter().map(|text| Filter::new(text).unwrap())).unwrap()
}

/// What a poll has found.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Polled {
    Delivery,
    /// There is nothing more, and this is new.
    CaughtUp,
    /// The log cannot be read; the connection has ended.
    Unreadable,
    /// It waits.
    Nothing,
}

/// Looks a start up, and checks what is found. `None`: the log cannot be read now.
pub(crate) async fn locate(process: &Process, ledger: &Ledger, selection: &Selection, by: LocateBy) -> Option<EventId> {
    let before = ledger.known();
    let found = process.hub.locate(selection.clone(), by).await.ok()?;
    // A process that has ended knows nothing of the next one's events.
    if process.is_alive() {
        let at = ledger.position(found);
        match by {
            LocateBy::Newest(count) => ledger.check_newest(selection, count, at, &before),
            LocateBy::Since(stamp) => ledger.check_since(selection, stamp, at, &before),
        }
    }
    Some(found)
}

impl Reader {
    pub(crate) fn new(name: &str, filters: &[&str], begin: Begin, limit: ReadLimit, ledger: &Arc<Ledger>) -> Self {
        Self {
            name: name.into(),
            selection: selection(filters),
            begin,
            limit,
            ledger: Arc::clone(ledger),
            subscription: None,
            last_id: None,
            log: 0,
            base: 0,
            delivered: BTreeSet::new(),
            told: BTreeMap::new(),
            forgiven: BTreeSet::new(),
            is_beginning: false,
            is_since: false,
            has_cursor: false,
            announced: None,
            started: BTreeSet::new(),
            due: false,
            finished: false,
        }
    }

    /// Connects, or drops the connection there is and connects again. `false`: the log cannot be read now.
    pub(crate) async fn connect(&mut self, process: &Process, shard: usize) -> bool {
        self.disconnect();
        if self.finished {
            return true;
        }
        let acknowledged = self.ledger.acknowledged();
        let Some(start) = self.start(process).await else { return false };
        if let Some(cursor) = self.last_position() {
            let below = self.owed(cursor).into_iter().filter(|event| self.ledger.is_below_found_again(event));
            let below: Vec<u64> = below.map(|event| event.position).collect();
            self.forgiven.extend(below);
        }
        let is_new = start == Start::Now;
        self.is_beginning = matches!(start, Start::Earliest | Start::Kept(_));
        self.is_since = matches!(start, Start::Since(_));
        self.has_cursor = matches!(start, Start::Cursor(_));
        let Ok(subscription) = process.hub.subscribe(&self.selection, start.clone(), self.limit, shard).await else {
            return false;
        };
        process.joined(subscription.feed());
        let cursor = subscription.cursor();
        let at = self.ledger.position(cursor);
        if is_new {
            assert!(at <= self.ledger.head(), "{} begins after {at}", self.name);
            // A process that has ended does not have the next one's events.
            let is_late = acknowledged <= at || !process.is_alive();
            assert!(is_late, "{} begins after {at}, and {acknowledged} was acknowledged before", self.name);
            // A client has its cursor from the head of the response.
            (self.last_id, self.base) = (Some(cursor), at);
        }
        // An id of a log that the broker has not heard of yet is unknown to it.
        let log = self.last_id.map_or(log_of(at), |id| log_of(self.ledger.position(id)));
        self.log = log.min(log_of(at));
        if let Start::Since(stamp) = start {
            self.log = log_of(at);
            let early = self.ledger.between(self.base, u64::MAX, |event| event.time < stamp);
            self.forgiven.extend(early.iter().map(|event| event.position));
        }
        self.ledger.note(&format!("{} connects after {:?}", self.name, self.last_position()));
        self.finished = subscription.is_exhausted();
        self.subscription = (!self.finished).then_some(subscription);
        self.due = true;
        true
    }

    /// Where to begin or to continue. `None`: the log cannot be read now.
    async fn start(&mut self, process: &Process) -> Option<Start> {
        if let Some(id) = self.last_id {
            return Some(Start::Cursor(Cursor::new(&id.to_string())));
        }
        let (by, start) = match self.begin {
            Begin::Now => return Some(Start::Now),
            Begin::Earliest => return Some(Start::Earliest),
            Begin::Newest(count) => (LocateBy::Newest(count), None),
            Begin::Since(position) => {
                let of_log = log_range(self.ledger.log());
                let first =
                    self.ledger.between(position.max(*of_log.start()), *of_log.end(), |_| true).into_iter().next();
                let stamp = first.map_or(Millis(0), |event| event.time);
                (LocateBy::Since(stamp), Some(Start::Since(stamp)))
            }
        };
        let found = locate(process, &self.ledger, &self.selection, by).await?;
        let at = self.ledger.position(found);
        self.ledger.note(&format!("{} finds {at} by {by:?}", self.name));
        (self.last_id, self.base) = (Some(found), at);
        Some(start.unwrap_or(Start::Kept(found)))
    }

    /// The position of its last id.
    fn last_position(&self) -> Option<u64> {
        self.last_id.map(|id| self.ledger.position(id))
    }

    /// Whether it is to connect again.
    pub(crate) fn is_disconnected(&self) -> bool {
        self.subscription.is_none() && !self.finished
    }

    pub(crate) fn disconnect(&mut self) {
        let cursor = self.last_position().unwrap_or_default();
        if std::mem::take(&mut self.is_beginning) {
            self.forgive(|event, started| event.position <= cursor && !started.contains(&event.topic));
        }
        self.announced = None;
        // A client that resumes before the end of a gap is told of it, again or for the first time.
        self.log = self.last_id.map_or(self.log, |_| log_of(cursor));
        self.forgiven.retain(|position| *position <= cursor);
        self.told.values_mut().for_each(|told| *told = cursor.min(*told));
        self.started.clear();
        self.subscription = None;
    }

    /// The shard reports these feeds dirty.
    pub(crate) fn wake(&mut self, dirty: &[Arc<Feed>]) {
        let Some(subscription) = &self.subscription else { return };
        self.due |= dirty.iter().any(|feed| Arc::ptr_eq(feed, subscription.feed()));
    }

    /// Takes the next delivery.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>, process: &Process) -> Polled {
        let Some(subscription) = self.subscription.as_mut().filter(|_| self.due) else { return Polled::Nothing };
        let removed = self.ledger.all_removed();
        // A process that has crashed knows nothing of the next one's removals.
        let removed = if process.is_alive() { removed } else { BTreeSet::new() };
        let delivery = match subscription.poll_next(cx) {
            Poll::Ready(delivery) => delivery,
            Poll::Pending if subscription.caught_up() => {
                self.due = false;
                let position = self.ledger.position(subscription.cursor());
                self.caught_up(position);
                return Polled::CaughtUp;
            }
            Poll::Pending => return Polled::Nothing,
        };
        match delivery {
            Delivery::Events(batch) => {
                assert!(batch.frames().len() <= self.limit.events, "within the limit");
                for frame in batch.frames() {
                    self.ledger.check(self.ledger.position(frame.id), &frame.event, &removed);
                    self.event(frame.id, &frame.event.new.topic);
                }
            }
            Delivery::Gap(gap) => self.gap(&gap),
            Delivery::End(ending) => {
                self.ledger.note(&format!("{} is told the end of {}", self.name, ending.topic));
            }
            Delivery::Finished(id) => {
                self.caught_up(self.ledger.position(id));
                (self.finished, self.subscription) = (true, None);
            }
            Delivery::Unreadable => {
                self.subscription = None;
                return Polled::Unreadable;
            }
        }
        Polled::Delivery
    }

    fn event(&mut self, id: EventId, topic: &TopicName) {
        let at = self.ledger.position(id);
        self.ledger.note(&format!("{} is given {at}", self.name));
        assert!(self.selection.matches(topic), "{at} is not selected");
        assert_eq!(log_of(at), self.log, "{} is given {at} of another log", self.name);
        assert!(at > self.base, "{at} is before the cursor");
        let newest = self.delivered.last().copied().unwrap_or_default();
        assert!(at > newest, "{} is given {at} after {newest}", self.name);
        let announced = self.announced.take().unwrap_or(at);
        assert_eq!(at, announced, "{} was told that {announced} is next", self.name);
        if self.is_beginning && !self.started.contains(topic) {
            self.forgive(|event, _| event.position < at && event.topic == *topic);
        }
        self.forgive_deleted(at);
        for missed in self.owed(at - 1) {
            assert_ne!(missed.topic, *topic, "{} is given {at}, and was neither given {missed:?} nor told", self.name);
            // The gap may be told later: its place is that of its newest event.
            assert!(self.ledger.may_be_gone(&missed), "{} is given {at} and not {missed:?}", self.name);
        }
        self.delivered.insert(at);
        self.started.insert(topic.clone());
        (self.last_id, self.has_cursor) = (Some(id), true);
    }

    fn gap(&mut self, gap: &Gap) {
        let resumes_at = gap.resumes_at.map(|id| self.ledger.position(id));
        self.ledger.note(&format!("{} is told that {:?} resumes at {resumes_at:?}", self.name, gap.topic));
        let cursor = self.subscription.as_ref().expect("it delivered").cursor();
        if gap.reason == GapReason::Unknown {
            return self.replaced(gap, log_of(self.ledger.position(cursor)), resumes_at);
        }
        assert_eq!(gap.reason, GapReason::Trimmed, "{gap:?}");
        let topic = gap.topic.clone().expect("a trimmed topic is named");
        let through = resumes_at.map_or_else(|| self.ledger.position(cursor), |at| at - 1);
        assert_eq!(log_of(through), self.log, "{} is told {gap:?} of another log", self.name);
        let lost: Vec<Durable> = self.owed(through).into_iter().filter(|event| event.topic == topic).collect();
        if lost.is_empty() && !self.is_since {
            // What was published and trimmed while a page was read is told up to the page's head, although all of it may
            // be after that: see "Known limits" of ARCHITECTURE.
            let later = self.owed(u64::MAX).into_iter().filter(|event| event.topic == topic);
            let is_gone = gap.resumes_at.is_none() && later.into_iter().any(|event| self.ledger.may_be_gone(&event));
            assert!(is_gone, "{} is told {gap:?}, and has missed nothing", self.name);
        }
        for event in &lost {
            assert!(self.ledger.may_be_gone(event), "{} is told {gap:?}, and {event:?} is retained", self.name);
        }
        let told = self.told.entry(topic).or_default();
        *told = through.max(*told);
    }

    /// Its log was replaced by another one, of which it is told everything.
    fn replaced(&mut self, gap: &Gap, log: u64, resumes_at: Option<u64>) {
        assert_eq!(gap.topic, None, "{gap:?}");
        assert!(log > self.log, "{} is told that its cursor is unknown, and it is of log {log}", self.name);
        let after = gap.after.as_ref().map(|after| match after {
            GapStart::Sent(text) => EventId::parse(text).expect("an id"),
            GapStart::Reached(id) => *id,
        });
        let is_event = |last: &u64| self.has_cursor && log_of(*last) == self.log && seq_of(*last) > Seq::ZERO;
        if let Some(last) = self.last_position().filter(is_event) {
            let after = after.map(|id| self.ledger.position(id));
            assert!(after >= Some(last), "{} is told of a gap after {after:?}, and was given {last}", self.name);
        }
        (self.log, self.base) = (log, *log_range(log).start());
        (self.is_beginning, self.is_since, self.announced) = (true, false, resumes_at);
        self.started.clear();
    }

    /// It has read everything up to `position`.
    fn caught_up(&mut self, position: u64) {
        self.forgive_deleted(position);
        self.is_since = false;
        if std::mem::take(&mut self.is_beginning) {
            self.forgive(|event, started| event.position <= position && !started.contains(&event.topic));
        }
        assert_eq!(log_of(position), self.log, "{} has caught up to {position} of another log", self.name);
        let owed = self.owed(position);
        assert!(owed.is_empty(), "{} has caught up to {position} without {owed:?}", self.name);
    }

    /// Whether nothing is left to tell it.
    pub(crate) fn is_complete(&self) -> bool {
        let follows = self.subscription.is_some() && self.log == self.ledger.log();
        self.finished || (follows && !self.is_beginning && self.owed(u64::MAX).is_empty())
    }

    /// What a reader from the oldest event is not told: events that retention took before the topic's first event.
    fn forgive(&mut self, is_excused: impl Fn(&Durable, &BTreeSet<TopicName>) -> bool) {
        let owed = self.owed(u64::MAX);
        let excused = owed.iter().filter(|event| is_excused(event, &self.started) && self.ledger.may_be_gone(event));
        self.forgiven.extend(excused.map(|event| event.position));
    }

    /// What a reader from a time is not told once its space is reclaimed: the time of a deleted event is not known then.
    fn forgive_deleted(&mut self, through: u64) {
        if self.is_since {
            let deleted = self.owed(through).into_iter().filter(|event| self.ledger.is_deleted(event));
            let deleted: Vec<u64> = deleted.map(|event| event.position).collect();
            self.forgiven.extend(deleted);
        }
    }

    /// Events of its log up to `through` that it was neither given nor told of.
    fn owed(&self, through: u64) -> Vec<Durable> {
        let of_log = log_range(self.log);
        let (after, through) = (self.base.max(*of_log.start()), through.min(*of_log.end()));
        self.ledger.between(after, through, |event| {
            self.selection.matches(&event.topic)
                && !self.delivered.contains(&event.position)
                && !self.forgiven.contains(&event.position)
                && self.told.get(&event.topic).is_none_or(|told| *told < event.position)
        })
    }
}
