//! A subscriber, and what it must be told.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    task::{Context, Poll},
};

use gapless::{
    event::{EventId, Filter, Selection, TopicName, position::Cursor},
    hub::{
        batch::ReadLimit,
        feed::Feed,
        subscription::{Delivery, Gap, GapReason, Start, Subscription},
    },
};

use crate::{
    ledger::{Durable, Ledger},
    world::Process,
};

/// A subscriber that reconnects with its last id, as an EventSource does.
#[expect(clippy::struct_excessive_bools, reason = "they are independent")]
pub(crate) struct Reader {
    name: String,
    selection: Selection,
    from_earliest: bool,
    limit: ReadLimit,
    ledger: Arc<Ledger>,
    subscription: Option<Subscription>,
    last_id: Option<EventId>,
    /// It must be told of the events after this position.
    base: u64,
    delivered: BTreeSet<u64>,
    /// For each topic, the end of the newest gap.
    told: BTreeMap<TopicName, u64>,
    /// Events that it need not be told of: see [`Reader::forgive`].
    forgiven: BTreeSet<u64>,
    /// It started at the oldest event and has not caught up yet: what retention took before a topic's first event is no gap.
    is_beginning: bool,
    /// Topics of which this connection has delivered an event.
    started: BTreeSet<TopicName>,
    /// There may be something to poll for.
    due: bool,
    /// All of its topics have ended.
    finished: bool,
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

impl Reader {
    pub(crate) fn new(
        name: &str,
        filters: &[&str],
        from_earliest: bool,
        limit: ReadLimit,
        ledger: &Arc<Ledger>,
    ) -> Self {
        let filters = filters.iter().map(|text| Filter::new(text).unwrap());
        Self {
            name: name.into(),
            selection: Selection::new(filters).unwrap(),
            from_earliest,
            limit,
            ledger: Arc::clone(ledger),
            subscription: None,
            last_id: None,
            base: 0,
            delivered: BTreeSet::new(),
            told: BTreeMap::new(),
            forgiven: BTreeSet::new(),
            is_beginning: false,
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
        let start = match self.last_id {
            Some(id) => Start::Cursor(Cursor::new(&id.to_string())),
            None if self.from_earliest => Start::Earliest,
            None => Start::Now,
        };
        self.is_beginning = start == Start::Earliest;
        let (is_new, acknowledged) = (start == Start::Now, self.ledger.acknowledged());
        let Ok(subscription) = process.hub.subscribe(&self.selection, start, self.limit, shard).await else {
            return false;
        };
        process.joined(subscription.feed());
        if is_new {
            self.base = subscription.cursor().seq.0;
            assert!(self.base <= self.ledger.head(), "{} begins after {}", self.name, self.base);
            // A process that has ended does not have the next one's events.
            let is_late = acknowledged <= self.base || !process.is_alive();
            assert!(is_late, "{} begins after {}, and {acknowledged} was acknowledged before", self.name, self.base);
            // A client has its cursor from the head of the response.
            self.last_id = Some(subscription.cursor());
        }
        self.ledger.note(&format!("{} connects after {:?}", self.name, self.last_id.map(|id| id.seq.0)));
        self.finished = subscription.is_exhausted();
        self.subscription = (!self.finished).then_some(subscription);
        self.due = true;
        true
    }

    /// Whether it is to connect again.
    pub(crate) fn is_disconnected(&self) -> bool {
        self.subscription.is_none() && !self.finished
    }

    pub(crate) fn disconnect(&mut self) {
        if std::mem::take(&mut self.is_beginning) {
            let through = self.last_id.map_or(0, |id| id.seq.0);
            self.forgive(|event, started| event.seq <= through && !started.contains(&event.topic));
        }
        // A client that resumes before the end of a gap is told of it, again or for the first time.
        let cursor = self.last_id.map_or(0, |id| id.seq.0);
        self.forgiven.retain(|seq| *seq <= cursor);
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
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Polled {
        let Some(subscription) = self.subscription.as_mut().filter(|_| self.due) else { return Polled::Nothing };
        let removed = self.ledger.all_removed();
        let delivery = match subscription.poll_next(cx) {
            Poll::Ready(delivery) => delivery,
            Poll::Pending if subscription.caught_up() => {
                self.due = false;
                let position = subscription.cursor().seq.0;
                self.caught_up(position);
                return Polled::CaughtUp;
            }
            Poll::Pending => return Polled::Nothing,
        };
        match delivery {
            Delivery::Events(batch) => {
                assert!(batch.frames().len() <= self.limit.events, "within the limit");
                for frame in batch.frames() {
                    self.ledger.check(&frame.event, &removed);
                    self.event(frame.id, &frame.event.new.topic);
                }
            }
            Delivery::Gap(gap) => self.gap(&gap),
            Delivery::End(ending) => {
                self.ledger.note(&format!("{} is told the end of {}", self.name, ending.topic));
            }
            Delivery::Finished(id) => {
                self.caught_up(id.seq.0);
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
        let seq = id.seq.0;
        self.ledger.note(&format!("{} is given {seq}", self.name));
        assert!(self.selection.matches(topic), "{seq} is not selected");
        assert!(seq > self.base, "{seq} is before the cursor");
        let newest = self.delivered.last().copied().unwrap_or_default();
        assert!(seq > newest, "{} is given {seq} after {newest}", self.name);
        if self.is_beginning && !self.started.contains(topic) {
            self.forgive(|event, _| event.seq < seq && event.topic == *topic);
        }
        for missed in self.owed(seq - 1) {
            assert_ne!(missed.topic, *topic, "{} is given {seq}, and was neither given {missed:?} nor told", self.name);
            // The gap may be told later: its place is that of its newest event.
            assert!(self.ledger.may_be_gone(&missed), "{} is given {seq} and not {missed:?}", self.name);
        }
        self.delivered.insert(seq);
        self.started.insert(topic.clone());
        self.last_id = Some(id);
    }

    fn gap(&mut self, gap: &Gap) {
        let resumes_at = gap.resumes_at.map(|id| id.seq.0); // the epoch differs from run to run
        self.ledger.note(&format!("{} is told that {:?} resumes at {resumes_at:?}", self.name, gap.topic));
        assert_eq!(gap.reason, GapReason::Trimmed, "{gap:?}");
        let topic = gap.topic.clone().expect("a trimmed topic is named");
        let through = self.subscription.as_ref().expect("it delivered").cursor().seq.0;
        let through = gap.resumes_at.map_or(through, |id| id.seq.0 - 1);
        let lost: Vec<Durable> = self.owed(through).into_iter().filter(|event| event.topic == topic).collect();
        if lost.is_empty() {
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

    /// It has read everything up to `position`.
    fn caught_up(&mut self, position: u64) {
        if std::mem::take(&mut self.is_beginning) {
            self.forgive(|event, started| event.seq <= position && !started.contains(&event.topic));
        }
        let owed = self.owed(position);
        assert!(owed.is_empty(), "{} has caught up to {position} without {owed:?}", self.name);
    }

    /// Whether nothing is left to tell it.
    pub(crate) fn is_complete(&self) -> bool {
        self.finished || (self.subscription.is_some() && !self.is_beginning && self.owed(u64::MAX).is_empty())
    }

    /// What a reader from the oldest event is not told: events that retention took before the topic's first event.
    fn forgive(&mut self, is_excused: impl Fn(&Durable, &BTreeSet<TopicName>) -> bool) {
        let owed = self.owed(u64::MAX);
        let excused = owed.iter().filter(|event| is_excused(event, &self.started) && self.ledger.may_be_gone(event));
        self.forgiven.extend(excused.map(|event| event.seq));
    }

    /// Events up to `through` that it was neither given nor told of.
    fn owed(&self, through: u64) -> Vec<Durable> {
        self.ledger.between(self.base, through, |event| {
            self.selection.matches(&event.topic)
                && !self.delivered.contains(&event.seq)
                && !self.forgiven.contains(&event.seq)
                && self.told.get(&event.topic).is_none_or(|told| *told < event.seq)
        })
    }
}
