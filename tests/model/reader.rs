//! One subscriber, and what it is owed.

use std::{
    collections::BTreeSet,
    future::poll_fn,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use gapless::{
    event::{EventId, Filter, Selection, TopicName},
    hub::{
        Hub,
        batch::ReadLimit,
        endings::Ending,
        frame::Frame,
        subscription::{Delivery, Gap, GapReason, Start, Subscription},
    },
};
use tokio::runtime::Runtime;

use crate::{
    Begin, TOPICS,
    house::name,
    plain::{Plain, Published},
};

/// A subscriber that comes back with the last id, as an EventSource does.
pub(crate) struct Reader {
    selection: Selection,
    begin: Begin,
    limit: ReadLimit,
    subscription: Option<Subscription>,
    /// The id it would come back with.
    last_id: Option<EventId>,
    /// Positions of events that it must be given, or told to be gone.
    owed: BTreeSet<u64>,
    /// It asked for the earliest and has not caught up yet: what a topic loses before its first event is no gap.
    from_earliest: bool,
    /// The topics it was given events of, in this connection.
    begun: BTreeSet<usize>,
    /// What it must be told before anything else.
    stray: Option<GapReason>,
    /// Topics whose end this connection was told.
    ended: BTreeSet<usize>,
    /// Every end this connection was told, and whether it was a deletion.
    told: Vec<(usize, bool)>,
    /// It has read all there was, and waits to be woken.
    waits: bool,
}

impl Reader {
    pub(crate) fn new(wish: &[&str], begin: Begin, limit: ReadLimit) -> Self {
        let filters = wish.iter().map(|text| Filter::new(text).unwrap());
        Self {
            selection: Selection::new(filters).unwrap(),
            begin,
            limit,
            subscription: None,
            last_id: None,
            owed: BTreeSet::new(),
            from_earliest: false,
            begun: BTreeSet::new(),
            stray: None,
            ended: BTreeSet::new(),
            told: Vec::new(),
            waits: false,
        }
    }

    pub(crate) fn disconnect(&mut self) {
        self.subscription = None;
    }

    /// Connects, or drops the connection there is and connects again.
    pub(crate) fn connect(&mut self, hub: &Arc<Hub>, plain: &Plain) {
        self.disconnect();
        (self.stray, self.waits) = (None, false);
        self.from_earliest = self.last_id.is_none() && self.begin != Begin::Now;
        self.begun.clear();
        self.ended.clear();
        self.told.clear();
        let selection = self.selection.clone();
        let asked = plain.events.iter().filter(|event| selection.matches(&name(event.topic)));
        let (start, owed): (Start, BTreeSet<u64>) = match (self.last_id, self.begin) {
            (Some(id), _) => {
                let after = asked.map(|event| event.seq).filter(|&seq| seq > id.seq.0);
                (Start::Cursor(id.to_string()), after.collect())
            }
            (None, Begin::Now) => (Start::Now, BTreeSet::new()),
            (None, begin) => {
                let kept = asked.filter(|event| !event.gone).map(|event| event.seq);
                let start = match begin {
                    Begin::Earliest | Begin::Now => Start::Earliest,
                    Begin::Unknown => {
                        self.stray = Some(GapReason::Unknown);
                        Start::Cursor("zzzzzzzz-1".into())
                    }
                    Begin::Ahead => {
                        self.stray = Some(GapReason::Ahead);
                        Start::Cursor(format!("{}-{}", hub.epoch(), hub.head().0 + 1))
                    }
                };
                (start, kept.collect())
            }
        };
        self.owed = owed;
        let subscription = hub.subscribe(&self.selection, start, self.limit, 0);
        if subscription.nothing_left() {
            assert!(self.all_ended(plain) && self.owed.iter().all(|&seq| plain.at(seq).gone), "204 is for ever");
            return;
        }
        self.subscription = Some(subscription);
    }

    /// Takes the next delivery, waiting for the log. Answers with whether there was one.
    pub(crate) fn read(&mut self, runtime: &Runtime, plain: &Plain) -> bool {
        let Some(subscription) = &mut self.subscription else { return false };
        let next = runtime.block_on(poll_fn(|cx| match subscription.poll_next(cx) {
            Poll::Ready(delivery) => Poll::Ready(Some(delivery)),
            Poll::Pending if subscription.caught_up() => Poll::Ready(None),
            Poll::Pending => Poll::Pending,
        }));
        let Some(delivery) = next else {
            self.waiting(plain);
            return false;
        };
        self.waits = false;
        self.delivered(delivery, plain);
        true
    }

    /// Looks once.
    pub(crate) fn nudge(&mut self, runtime: &Runtime, plain: &Plain) {
        let Some(subscription) = &mut self.subscription else { return };
        let _inside = runtime.enter();
        match subscription.poll_next(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(delivery) => {
                self.waits = false;
                self.delivered(delivery, plain);
            }
            Poll::Pending if subscription.caught_up() => self.waiting(plain),
            Poll::Pending => {}
        }
    }

    /// These events, from `first` on, are in the log; `woken` are the feeds that were marked.
    pub(crate) fn published(&mut self, plain: &Plain, first: u64, woken: &[u64]) {
        let Some(subscription) = &self.subscription else { return };
        let news: Vec<&Published> = plain
            .events
            .iter()
            .rev()
            .take_while(|event| event.seq >= first)
            .filter(|event| self.asks_for(event.topic))
            .collect();
        assert!(
            news.is_empty() || !self.waits || woken.contains(&subscription.feed().id),
            "nobody wakes {:?}, which waits",
            self.selection
        );
        for event in news {
            self.owed.insert(event.seq);
        }
    }

    pub(crate) fn reopened(&mut self, topic: usize) {
        self.ended.remove(&topic);
    }

    fn asks_for(&self, topic: usize) -> bool {
        self.selection.matches(&name(topic))
    }

    /// Whether `topic` is one that may lose events without a word.
    fn is_to_begin(&self, topic: usize) -> bool {
        self.from_earliest && !self.begun.contains(&topic)
    }

    /// The log was read to its end, at some time before this.
    fn caught_up(&mut self, plain: &Plain) {
        if std::mem::take(&mut self.from_earliest) {
            let begun = &self.begun;
            self.owed.retain(|&seq| !plain.at(seq).gone || begun.contains(&plain.at(seq).topic));
        }
    }

    fn delivered(&mut self, delivery: Delivery, plain: &Plain) {
        if let Some(reason) = self.stray.take() {
            let Delivery::Gap(gap) = delivery else { panic!("{reason:?} is told first, not {delivery:?}") };
            assert_eq!((gap.topic, gap.reason), (None, reason));
            return;
        }
        match delivery {
            Delivery::Events(run) => {
                let frames = run.frames();
                assert!(!frames.is_empty() && frames.len() <= self.limit.events, "a portion");
                for frame in frames {
                    self.event(frame, plain);
                }
            }
            Delivery::Gap(gap) => self.gap(&gap, plain),
            Delivery::End(ending) => self.end(&ending, plain),
            Delivery::Finished(id) => {
                self.caught_up(plain);
                let mut names = self.selection.names().map(index);
                let finished = !self.selection.is_open_ended() && names.all(|topic| self.ended.contains(&topic));
                assert!(finished, "{:?} is not finished", self.selection);
                // A deleted name that is used again is for the next connection.
                assert!(self.owed.first().is_none_or(|&first| first > id.seq.0), "before {:?}", self.owed);
                self.last_id = Some(id);
                self.subscription = None;
            }
            Delivery::Broken => panic!("the store can be read"),
        }
    }

    fn event(&mut self, frame: &Frame, plain: &Plain) {
        let seq = frame.id.seq.0;
        assert!(self.owed.remove(&seq), "{seq} was given before, or not asked for");
        let event = plain.at(seq);
        assert_eq!(
            (frame.event.new.topic.as_str(), frame.event.new.data.as_str()),
            (TOPICS[event.topic], &*event.data)
        );
        assert_eq!(frame.event.new.name.is_removed(), event.removed, "{seq}");
        for before in self.owed.range(..seq).map(|&seq| plain.at(seq)) {
            // A gap stands at the newest event that is gone, and that one may be ahead.
            let ahead = before.topic != event.topic && plain.newest_gone(before.topic) > seq;
            let excused = before.gone && (ahead || self.is_to_begin(before.topic));
            assert!(excused, "{seq} was given, and nobody told of {before:?}");
        }
        if self.begun.insert(event.topic) {
            self.owed.retain(|&before| before > seq || plain.at(before).topic != event.topic);
        }
        self.last_id = Some(frame.id);
        self.ended.remove(&event.topic);
    }

    fn gap(&mut self, gap: &Gap, plain: &Plain) {
        assert_eq!(gap.reason, GapReason::Trimmed, "{gap:?}");
        let topic = index(gap.topic.as_ref().expect("a trimmed topic is named"));
        let through = self.subscription.as_ref().expect("it told").cursor().seq.0;
        let end = gap.resumes_at.map_or(through + 1, |id| id.seq.0);
        let lost: Vec<u64> = self.owed.range(..end).copied().filter(|&seq| plain.at(seq).topic == topic).collect();
        for &seq in &lost {
            assert!(plain.at(seq).gone, "{gap:?}, but {seq} is kept");
            self.owed.remove(&seq);
        }
        assert!(!lost.is_empty(), "{gap:?}, but nothing is missing");
        if let Some(id) = gap.resumes_at {
            assert_eq!(plain.at(id.seq.0).topic, topic, "{gap:?}");
        }
        // With it a client that drops right here is told again.
        let after = gap.after.as_deref().and_then(EventId::parse).map_or(0, |id| id.seq.0);
        let again = lost.last().is_none_or(|&newest| after < newest);
        assert!(again || self.stray_began(), "{gap:?} of {lost:?}");
    }

    /// Its cursor was no position, so a gap repeats what it was.
    fn stray_began(&self) -> bool {
        matches!(self.begin, Begin::Unknown | Begin::Ahead)
    }

    fn end(&mut self, ending: &Ending, plain: &Plain) {
        let topic = index(&ending.topic);
        let state = &plain.topics[topic];
        if ending.deleted {
            assert!(state.deleted_at.contains(&ending.last.0), "{ending:?}: {state:?}");
        } else {
            // A name that is used again goes on from where it was deleted.
            let deleted = state.last == 0 && state.deleted_at.last() == Some(&ending.last.0);
            assert!(state.closed && (deleted || state.last == ending.last.0), "{ending:?}: {state:?}");
        }
        let position = self.subscription.as_ref().expect("it told").cursor().seq.0;
        let before = self.owed.range(..=ending.last.0).map(|&seq| plain.at(seq)).find(|event| event.topic == topic);
        let ahead = plain.newest_gone(topic) > position;
        let excused = before.is_none_or(|event| event.gone && (ahead || self.is_to_begin(topic)));
        assert!(excused, "{ending:?} comes after the last event, or the gap in its place: {before:?}");
        self.ended.insert(topic);
        self.told.push((topic, ending.deleted));
        let told = self.told.iter().filter(|told| **told == (topic, ending.deleted)).count();
        let happened = if ending.deleted { state.deleted_at.len() } else { state.closings };
        assert!(told <= happened, "{ending:?} was told before");
    }

    /// It has read all there is.
    fn waiting(&mut self, plain: &Plain) {
        self.caught_up(plain);
        assert!(self.owed.is_empty(), "nothing more comes, and {:?} is owed", self.owed);
        assert_eq!(self.stray, None);
        self.waits = true;
        for topic in self.selection.names().map(index) {
            assert!(
                !plain.topics[topic].closed || self.ended.contains(&topic),
                "{} is closed, and nobody said so",
                TOPICS[topic]
            );
        }
    }

    fn all_ended(&self, plain: &Plain) -> bool {
        let ended = |topic: &TopicName| {
            let state = &plain.topics[index(topic)];
            state.closed || (!state.in_use && !state.deleted_at.is_empty())
        };
        !self.selection.is_open_ended() && self.selection.names().all(ended)
    }
}

fn index(topic: &TopicName) -> usize {
    TOPICS.iter().position(|name| *name == topic.as_str()).unwrap_or_else(|| panic!("nobody asked for {topic}"))
}
