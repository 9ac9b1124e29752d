//! A subscriber, and the deliveries it must receive.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use gapless::{
    event::{EventId, Filter, Selection, TopicName, position::Cursor},
    hub::{
        Hub,
        batch::ReadLimit,
        endings::Ending,
        frame::Frame,
        subscription::{Delivery, Gap, GapReason, GapStart, Start, Subscription},
    },
};
use tokio::runtime::Runtime;

use crate::{
    Begin, TOPICS,
    harness::name,
    model::{Model, Published},
};

/// A subscriber that reconnects with its last id, as an EventSource does.
pub(crate) struct Reader {
    selection: Selection,
    begin: Begin,
    limit: ReadLimit,
    subscription: Option<Subscription>,
    /// The id it would reconnect with.
    last_id: Option<EventId>,
    /// Positions of events that it must receive, or get a gap for.
    expected: BTreeSet<u64>,
    /// It started at the earliest event and has not caught up yet: trimming before a topic's first event is no gap.
    from_earliest: bool,
    /// Topics of which it received events in this connection.
    started: BTreeSet<usize>,
    /// The gap that it must receive before anything else.
    first_gap: Option<GapReason>,
    /// Topics whose end it received in this connection.
    ended: BTreeSet<usize>,
    /// Every end that it received in this connection, and whether it was a deletion.
    endings: Vec<(usize, bool)>,
    /// It has read all there was, and idle to be woken.
    idle: bool,
}

impl Reader {
    pub(crate) fn new(filters: &[&str], begin: Begin, limit: ReadLimit) -> Self {
        let filters = filters.iter().map(|text| Filter::new(text).unwrap());
        Self {
            selection: Selection::new(filters).unwrap(),
            begin,
            limit,
            subscription: None,
            last_id: None,
            expected: BTreeSet::new(),
            from_earliest: false,
            started: BTreeSet::new(),
            first_gap: None,
            ended: BTreeSet::new(),
            endings: Vec::new(),
            idle: false,
        }
    }

    pub(crate) fn disconnect(&mut self) {
        self.subscription = None;
    }

    /// Connects, or drops the connection there is and connects again.
    pub(crate) fn connect(&mut self, hub: &Arc<Hub>, runtime: &Runtime, model: &Model) {
        self.disconnect();
        (self.first_gap, self.idle) = (None, false);
        self.from_earliest = self.last_id.is_none() && self.begin != Begin::Now;
        self.started.clear();
        self.ended.clear();
        self.endings.clear();
        let selection = self.selection.clone();
        let asked = model.events.iter().filter(|event| selection.matches(&name(event.topic)));
        let (start, expected): (Start, BTreeSet<u64>) = match (self.last_id, self.begin) {
            (Some(id), _) => {
                let after = asked.map(|event| event.seq).filter(|&seq| seq > id.seq.0);
                (Start::Cursor(Cursor::new(&id.to_string())), after.collect())
            }
            (None, Begin::Now) => (Start::Now, BTreeSet::new()),
            (None, begin) => {
                let kept = asked.filter(|event| !event.gone).map(|event| event.seq);
                let start = match begin {
                    Begin::Earliest | Begin::Now => Start::Earliest,
                    Begin::Unknown => {
                        self.first_gap = Some(GapReason::Unknown);
                        Start::Cursor(Cursor::new("zzzzzzzz-1"))
                    }
                    Begin::Ahead => {
                        self.first_gap = Some(GapReason::Ahead);
                        Start::Cursor(Cursor::new(&format!("{}-{}", hub.epoch(), hub.head().seq.0 + 1)))
                    }
                };
                (start, kept.collect())
            }
        };
        self.expected = expected;
        let subscription = runtime.block_on(hub.subscribe(&self.selection, start, self.limit, 0)).unwrap();
        if subscription.is_exhausted() {
            assert!(self.all_ended(model) && self.expected.iter().all(|&seq| model.at(seq).gone), "204 is final");
            return;
        }
        self.subscription = Some(subscription);
    }

    /// Takes the next delivery, waiting for reads of the log. Returns whether there was one.
    pub(crate) fn read(&mut self, runtime: &Runtime, model: &Model) -> bool {
        let Some(subscription) = &mut self.subscription else { return false };
        let next = runtime.block_on(poll_fn(|cx| match subscription.poll_next(cx) {
            Poll::Ready(delivery) => Poll::Ready(Some(delivery)),
            Poll::Pending if subscription.caught_up() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }));
        let Some(delivery) = next else {
            self.waiting(model);
            return false;
        };
        self.idle = false;
        self.delivered(delivery, model);
        true
    }

    /// Polls once.
    pub(crate) fn poll(&mut self, runtime: &Runtime, model: &Model) {
        let Some(subscription) = &mut self.subscription else { return };
        let _inside = runtime.enter();
        match subscription.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(delivery) => {
                self.idle = false;
                self.delivered(delivery, model);
            }
            Poll::Pending if subscription.caught_up() => self.waiting(model),
            Poll::Pending => {}
        }
    }

    /// Events from `first` on were published; `woken` are the feeds marked dirty.
    pub(crate) fn published(&mut self, model: &Model, first: u64, woken: &[u64]) {
        let Some(subscription) = &self.subscription else { return };
        let news: Vec<&Published> = model
            .events
            .iter()
            .rev()
            .take_while(|event| event.seq >= first)
            .filter(|event| self.is_selected(event.topic))
            .collect();
        assert!(
            news.is_empty() || !self.idle || woken.contains(&subscription.feed().id),
            "idle {:?} was not woken",
            self.selection
        );
        for event in news {
            self.expected.insert(event.seq);
        }
    }

    pub(crate) fn reopened(&mut self, topic: usize) {
        self.ended.remove(&topic);
    }

    fn is_selected(&self, topic: usize) -> bool {
        self.selection.matches(&name(topic))
    }

    /// Whether events of `topic` may be trimmed without a gap.
    fn may_skip_trimmed(&self, topic: usize) -> bool {
        self.from_earliest && !self.started.contains(&topic)
    }

    /// The log was read to its end at some time before now.
    fn caught_up(&mut self, model: &Model) {
        if std::mem::take(&mut self.from_earliest) {
            let started = &self.started;
            self.expected.retain(|&seq| !model.at(seq).gone || started.contains(&model.at(seq).topic));
        }
    }

    fn delivered(&mut self, delivery: Delivery, model: &Model) {
        if let Some(reason) = self.first_gap.take() {
            let Delivery::Gap(gap) = delivery else { panic!("{reason:?} comes first, not {delivery:?}") };
            assert_eq!((gap.topic, gap.reason), (None, reason));
            return;
        }
        match delivery {
            Delivery::Events(run) => {
                let frames = run.frames();
                assert!(!frames.is_empty() && frames.len() <= self.limit.events, "within the limit");
                for frame in frames {
                    self.event(frame, model);
                }
            }
            Delivery::Gap(gap) => self.gap(&gap, model),
            Delivery::End(ending) => self.end(&ending, model),
            Delivery::Finished(id) => {
                self.caught_up(model);
                let mut names = self.selection.names().map(index);
                let finished = !self.selection.is_open_ended() && names.all(|topic| self.ended.contains(&topic));
                assert!(finished, "{:?} is not finished", self.selection);
                // Events of a deleted name that is used again are for the next connection.
                assert!(self.expected.first().is_none_or(|&first| first > id.seq.0), "before {:?}", self.expected);
                self.last_id = Some(id);
                self.subscription = None;
            }
            Delivery::Unreadable => panic!("the store can be read"),
        }
    }

    fn event(&mut self, frame: &Frame, model: &Model) {
        let seq = frame.id.seq.0;
        assert!(self.expected.remove(&seq), "{seq} was delivered before, or not selected");
        let event = model.at(seq);
        assert_eq!(
            (frame.event.new.topic.as_str(), &*frame.event.new.data.text()),
            (TOPICS[event.topic], &*event.data)
        );
        assert_eq!(frame.event.new.name.is_removed(), event.removed, "{seq}");
        for before in self.expected.range(..seq).map(|&seq| model.at(seq)) {
            // A gap's position is that of its newest missing event, which may be ahead.
            let ahead = before.topic != event.topic && model.newest_gone(before.topic) > seq;
            let excused = before.gone && (ahead || self.may_skip_trimmed(before.topic));
            assert!(excused, "{seq} was delivered, and no gap for {before:?}");
        }
        if self.started.insert(event.topic) {
            self.expected.retain(|&before| before > seq || model.at(before).topic != event.topic);
        }
        self.last_id = Some(frame.id);
        self.ended.remove(&event.topic);
    }

    fn gap(&mut self, gap: &Gap, model: &Model) {
        assert_eq!(gap.reason, GapReason::Trimmed, "{gap:?}");
        let topic = index(gap.topic.as_ref().expect("a trimmed topic is named"));
        let through = self.subscription.as_ref().expect("it delivered").cursor().seq.0;
        let end = gap.resumes_at.map_or(through + 1, |id| id.seq.0);
        let lost: Vec<u64> = self.expected.range(..end).copied().filter(|&seq| model.at(seq).topic == topic).collect();
        for &seq in &lost {
            assert!(model.at(seq).gone, "{gap:?}, but {seq} is kept");
            self.expected.remove(&seq);
        }
        assert!(!lost.is_empty(), "{gap:?}, but nothing is missing");
        if let Some(id) = gap.resumes_at {
            assert_eq!(model.at(id.seq.0).topic, topic, "{gap:?}");
        }
        // A client that disconnects here and resumes with `after` gets the gap again.
        let after = match &gap.after {
            Some(GapStart::Sent(text)) => EventId::parse(text).map_or(0, |id| id.seq.0),
            Some(GapStart::Reached(id)) => id.seq.0,
            None => 0,
        };
        let again = lost.last().is_none_or(|&newest| after < newest);
        assert!(again || self.started_without_position(), "{gap:?} of {lost:?}");
    }

    /// Its cursor was not a position in this log, so the gap repeats the cursor as it was given.
    fn started_without_position(&self) -> bool {
        matches!(self.begin, Begin::Unknown | Begin::Ahead)
    }

    fn end(&mut self, ending: &Ending, model: &Model) {
        let topic = index(&ending.topic);
        let state = &model.topics[topic];
        if ending.deleted {
            assert!(state.deleted_at.contains(&ending.last.0), "{ending:?}: {state:?}");
        } else {
            // A name that is used again continues from where it was deleted.
            let deleted = state.last == 0 && state.deleted_at.last() == Some(&ending.last.0);
            assert!(state.closed && (deleted || state.last == ending.last.0), "{ending:?}: {state:?}");
        }
        let position = self.subscription.as_ref().expect("it delivered").cursor().seq.0;
        let before = self.expected.range(..=ending.last.0).map(|&seq| model.at(seq)).find(|event| event.topic == topic);
        let ahead = model.newest_gone(topic) > position;
        let excused = before.is_none_or(|event| event.gone && (ahead || self.may_skip_trimmed(topic)));
        assert!(excused, "{ending:?} comes after the last event, or the gap in its place: {before:?}");
        self.ended.insert(topic);
        self.endings.push((topic, ending.deleted));
        let delivered = self.endings.iter().filter(|end| **end == (topic, ending.deleted)).count();
        let happened = if ending.deleted { state.deleted_at.len() } else { state.closings };
        assert!(delivered <= happened, "{ending:?} was delivered before");
    }

    /// It has read everything there is.
    fn waiting(&mut self, model: &Model) {
        self.caught_up(model);
        assert!(self.expected.is_empty(), "no more deliveries, but {:?} are expected", self.expected);
        assert_eq!(self.first_gap, None);
        self.idle = true;
        for topic in self.selection.names().map(index) {
            assert!(
                !model.topics[topic].closed || self.ended.contains(&topic),
                "{} is closed, but no end was delivered",
                TOPICS[topic]
            );
        }
    }

    fn all_ended(&self, model: &Model) -> bool {
        let ended = |topic: &TopicName| {
            let state = &model.topics[index(topic)];
            state.closed || (!state.in_use && !state.deleted_at.is_empty())
        };
        !self.selection.is_open_ended() && self.selection.names().all(ended)
    }
}

fn index(topic: &TopicName) -> usize {
    TOPICS.iter().position(|name| *name == topic.as_str()).unwrap_or_else(|| panic!("{topic} is not selected"))
}
