//! What publishers and readers share: the hubs' addresses, the clock, and the ledger of everything that was sent.

use std::{
    cell::{Cell, Ref, RefCell},
    collections::HashMap,
    net::SocketAddr,
    time::{Duration, Instant},
};

use fastrand::Rng;
use gapless::event::{EventId, TopicName};

use crate::history::{Fate, Micros, Number, Publish, SentEvent, TopicFacts, TopicIndex};

/// Topics of each kind that are made at the start.
const SHARED: usize = 16;
const CONDITIONAL: usize = 4;
const SHORT: usize = 2;
const BRIEF: usize = 2;

/// Events that a short topic keeps.
pub(crate) const SHORT_KEEPS: usize = 40;

/// How long a brief topic keeps an event. It is published to so seldom that it is often empty.
pub(crate) const BRIEF_KEEPS: &str = "2s";

/// Longest data in bytes. Most events are much shorter.
const DATA_BYTES: usize = 4096;

/// Everything that all tasks of one round use. One thread.
pub(crate) struct World {
    hubs: Vec<SocketAddr>,
    /// First segment of all topics: rounds on the same hubs do not meet.
    pub(crate) prefix: String,
    began: Instant,
    ledger: RefCell<Ledger>,
    /// Topics that every publisher may use.
    pub(crate) shared: Vec<TopicIndex>,
    /// Topics that mostly conditional publishes go to.
    pub(crate) conditional: Vec<TopicIndex>,
    /// Topics of which retention keeps [`SHORT_KEEPS`] events.
    pub(crate) short: Vec<TopicIndex>,
    /// Topics whose events are kept for [`BRIEF_KEEPS`], until all publishers have ended.
    pub(crate) brief: Vec<TopicIndex>,
    /// A reader that has nothing to read for so long, after the end of all publishing, is late.
    late: Duration,
    /// Publishers begin new publishes.
    pub(crate) publishing: Cell<bool>,
    /// The last event of each topic in use, once all publishers have ended.
    markers: RefCell<HashMap<TopicIndex, Number>>,
    /// When these were announced.
    ended: Cell<Option<Instant>>,
    /// Topics that the owners of topics are about to use.
    pub(crate) coming: RefCell<Vec<String>>,
}

/// Every topic, event and publish of a round. Bounded by its length.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    pub(crate) topics: Vec<TopicFacts>,
    by_name: HashMap<String, TopicIndex>,
    pub(crate) sent: Vec<SentEvent>,
    pub(crate) publishes: Vec<Publish>,
    /// By number: what readers compare with, some 700 bytes each.
    data: Vec<Box<str>>,
    /// Answers that the protocol does not have.
    pub(crate) odd: Vec<String>,
}

impl World {
    pub(crate) fn new(hubs: &[SocketAddr], prefix: &str, late: Duration) -> Self {
        let mut ledger = Ledger::default();
        let mut topics = |kind: &str, count, fate| {
            let names = (0..count).map(|n| format!("{prefix}/{kind}/{n}"));
            names.map(|name| ledger.topic(&name, fate)).collect::<Vec<_>>()
        };
        let (shared, conditional) = (topics("s", SHARED, Fate::Kept), topics("c", CONDITIONAL, Fate::Kept));
        let (short, brief) = (topics("r", SHORT, Fate::Trimmed(SHORT_KEEPS)), topics("b", BRIEF, Fate::Trimmed(1)));
        Self {
            hubs: hubs.into(),
            prefix: prefix.into(),
            began: Instant::now(),
            ledger: RefCell::new(ledger),
            shared,
            conditional,
            short,
            brief,
            late,
            publishing: Cell::new(true),
            markers: RefCell::default(),
            ended: Cell::default(),
            coming: RefCell::default(),
        }
    }

    pub(crate) fn now(&self) -> Micros {
        u64::try_from(self.began.elapsed().as_micros()).expect("less than 500,000 years")
    }

    /// A hub, by chance.
    pub(crate) fn any_hub(&self, random: &mut Rng) -> (usize, SocketAddr) {
        let at = random.usize(..self.hubs.len());
        (at, self.hubs[at])
    }

    pub(crate) fn hubs(&self) -> impl Iterator<Item = (usize, SocketAddr)> {
        self.hubs.iter().copied().enumerate()
    }

    pub(crate) fn ledger(&self) -> Ref<'_, Ledger> {
        self.ledger.borrow()
    }

    /// The index of a topic, which is made if this is its first mention.
    pub(crate) fn topic(&self, name: &str) -> TopicIndex {
        self.ledger.borrow_mut().topic(name, Fate::Kept)
    }

    pub(crate) fn name(&self, topic: TopicIndex) -> String {
        self.ledger.borrow().topics[topic].name.clone()
    }

    /// A client is about to ask for its deletion.
    pub(crate) fn deletes(&self, topic: TopicIndex) {
        self.ledger.borrow_mut().topics[topic].fate = Fate::Deleted;
    }

    /// A request to close it was acknowledged.
    pub(crate) fn closed(&self, topic: TopicIndex) {
        let now = self.now();
        self.ledger.borrow_mut().topics[topic].closed_at.get_or_insert(now);
    }

    /// A new event, with a number that no other has.
    pub(crate) fn event(&self, topic: TopicIndex, close: bool) -> Number {
        let mut ledger = self.ledger.borrow_mut();
        let number = ledger.sent.len();
        ledger.sent.push(SentEvent { topic, close });
        ledger.data.push(payload(number).into());
        number
    }

    /// Begins a publish; returns its index, for the methods below.
    pub(crate) fn begin(&self, publish: Publish) -> usize {
        let mut ledger = self.ledger.borrow_mut();
        ledger.publishes.push(Publish { began: self.now(), ..publish });
        ledger.publishes.len() - 1
    }

    /// A publish has a receipt, with these ids.
    pub(crate) fn acknowledged(&self, publish: usize, ids: Vec<EventId>) {
        let now = self.now();
        let publish = &mut self.ledger.borrow_mut().publishes[publish];
        publish.acknowledged.get_or_insert(now);
        publish.receipts.push(ids);
    }

    /// An attempt did not tell the outcome.
    pub(crate) fn unknown(&self, publish: usize) {
        self.ledger.borrow_mut().publishes[publish].unknown = true;
    }

    /// A condition was refused: the topic's last id was another.
    pub(crate) fn refused(&self, publish: usize, last: Option<EventId>) {
        self.ledger.borrow_mut().publishes[publish].refusals.push(last);
    }

    /// Notes what an attempt met, for people.
    pub(crate) fn attempt(&self, publish: usize, met: &str) {
        /// Later attempts of one publish are mostly the same.
        const NOTED: usize = 20;
        let now = self.now();
        let attempts = &mut self.ledger.borrow_mut().publishes[publish].attempts;
        if attempts.len() < NOTED {
            attempts.push(format!("{now} µs: {met}"));
        }
    }

    /// An answer that the protocol does not have.
    pub(crate) fn odd(&self, answer: String) {
        self.ledger.borrow_mut().odd.push(answer);
    }

    /// Announces the last event of each topic in use: readers end there.
    pub(crate) fn end(&self, markers: HashMap<TopicIndex, Number>) {
        *self.markers.borrow_mut() = markers;
        self.ended.set(Some(Instant::now()));
    }

    /// The last events; empty until all publishers have ended.
    pub(crate) fn markers(&self) -> Ref<'_, HashMap<TopicIndex, Number>> {
        self.markers.borrow()
    }

    pub(crate) fn is_over(&self) -> bool {
        !self.markers.borrow().is_empty()
    }

    /// Whether a reader that has nothing for so long is late.
    pub(crate) fn is_late(&self, silent: Duration) -> bool {
        self.ended.get().is_some_and(|ended| silent.min(ended.elapsed()) > self.late)
    }

    /// Waits, but not beyond the end of the round.
    pub(crate) async fn rest(&self, time: Duration) {
        let until = Instant::now() + time;
        while !self.is_over() {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            tokio::time::sleep(left.min(Duration::from_millis(200))).await;
        }
    }
}

impl Ledger {
    fn topic(&mut self, name: &str, fate: Fate) -> TopicIndex {
        if let Some(topic) = self.by_name.get(name) {
            return *topic;
        }
        TopicName::new(name).expect("a topic's name");
        self.topics.push(TopicFacts { name: name.into(), fate, closed_at: None });
        self.by_name.insert(name.into(), self.topics.len() - 1);
        self.topics.len() - 1
    }

    pub(crate) fn index(&self, name: &str) -> Option<TopicIndex> {
        self.by_name.get(name).copied()
    }

    /// The number of the event with these data, if it was sent, and to `topic` where that is known.
    pub(crate) fn number(&self, topic: Option<&str>, data: &str) -> Option<Number> {
        let number: Number = data.get(..NUMBER_DIGITS)?.parse().ok()?;
        let event = self.sent.get(number)?;
        let right = topic.is_none_or(|topic| self.topics[event.topic].name == topic);
        (right && *data == *self.data[number]).then_some(number)
    }

    /// The data of an event.
    pub(crate) fn data(&self, number: Number) -> &str {
        &self.data[number]
    }
}

const NUMBER_DIGITS: usize = 9;

/// The data of an event, which begins with its number.
fn payload(number: Number) -> String {
    let mut random = Rng::with_seed(number as u64);
    let length = DATA_BYTES >> random.u32(..12);
    let filler = if random.u8(..4) == 0 { " a line\n" } else { " filler" };
    format!("{number:0NUMBER_DIGITS$}{}.", filler.repeat(length / filler.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_tell_their_number_and_no_changed_byte_passes() {
        let world = World::new(&[], "t", Duration::ZERO);
        let numbers: Vec<Number> = (0..100).map(|_| world.event(0, false)).collect();
        for number in numbers {
            let data = payload(number);
            assert_eq!(world.ledger().number(Some("t/s/0"), &data), Some(number));
            assert_eq!(world.ledger().number(None, &data), Some(number));
            assert_eq!(world.ledger().number(Some("t/s/1"), &data), None, "of another topic");
            assert_eq!(world.ledger().number(None, &data.replace('.', ",")), None);
        }
        assert_eq!(world.ledger().number(None, &payload(100)), None, "nobody sent it");
    }
}
