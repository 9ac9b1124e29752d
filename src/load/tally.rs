//! What each stream is owed, and what went wrong.
//!
//! Events are numbered by their **source**: what one publisher sends to one topic. A source's events are acknowledged and
//! heard in order, so each stream needs one number for each source it hears: which event is next.

use std::{collections::VecDeque, fmt};

use hdrhistogram::Histogram;

/// Bits of an event's number that count within its source; the ones above say which source.
const COUNT_BITS: u32 = 40;

/// What must not happen to a stream. All zero, or the server under load has no figures worth a look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryFaults {
    /// Events that a stream did not hear.
    pub lost: u64,
    /// Events that a stream heard twice.
    pub doubled: u64,
    /// Events that a stream heard after later ones, or with an id that is not above the one before.
    pub reordered: u64,
    /// Events of others: what was not asked for.
    pub stray: u64,
    /// Gaps and ends that were told where nothing was trimmed or closed.
    pub told: u64,
}

impl DeliveryFaults {
    /// Whether nothing went wrong.
    #[must_use]
    pub fn none(&self) -> bool {
        *self == Self::default()
    }
}

/// As a sentence has it: what is not zero, and the three that everyone asks for.
impl fmt::Display for DeliveryFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, doubled, reordered, stray, told } = self;
        write!(f, "{lost} lost, {doubled} doubled, {reordered} reordered")?;
        if stray + told > 0 {
            write!(f, ", {stray} of others, {told} gaps or ends told")?;
        }
        Ok(())
    }
}

/// One publisher's events of one topic.
#[derive(Debug, Default)]
struct TopicSource {
    publisher: usize,
    /// Events sent.
    sent: u64,
    /// Those that are on their way: the first of them is `sent - pending.len()`.
    pending: VecDeque<PendingEvent>,
    /// Streams that hear it and are there.
    audience: u32,
}

#[derive(Debug)]
struct PendingEvent {
    /// Nanoseconds since the load began, when it was handed in or due.
    at: u64,
    /// Streams that are to hear it.
    owed: u32,
    acknowledged: bool,
}

/// Which sources a stream hears, and where its numbers stand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hears {
    first: usize,
    count: usize,
    /// In [`LoadTally::next`].
    at: usize,
}

/// What is known of one stream.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// Whether it is there and reads, so that events are owed to it.
    pub(super) there: bool,
    /// Events it had missed when it came, and has not heard since: these are not timed.
    pub(super) behind: u64,
    /// Events that were skipped, and may yet come too late.
    skipped: u64,
}

/// The books of a load.
#[derive(Debug)]
pub(super) struct LoadTally {
    sources: Vec<TopicSource>,
    next: Vec<u64>,
    in_flight: Vec<u32>,
    /// Deliveries to streams that are there, still to come.
    pub(super) due: u64,
    pub(super) unacknowledged: u64,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) faults: DeliveryFaults,
    pub(super) latency: Histogram<u64>,
    pub(super) acks: Histogram<u64>,
}

impl LoadTally {
    /// Books of `sources` sources, each of the publisher that `publisher` says.
    pub(super) fn new(sources: usize, publishers: usize, publisher: impl Fn(usize) -> usize) -> Self {
        assert!(sources < 1 << (u64::BITS - COUNT_BITS), "a source has a number of 24 bits");
        let source = |index| TopicSource { publisher: publisher(index), ..TopicSource::default() };
        Self {
            sources: (0..sources).map(source).collect(),
            next: Vec::new(),
            in_flight: vec![0; publishers],
            due: 0,
            unacknowledged: 0,
            published: 0,
            delivered: 0,
            faults: DeliveryFaults::default(),
            latency: histogram(),
            acks: histogram(),
        }
    }

    /// Counts from zero for a new run. What is owed stays owed.
    pub(super) fn begin(&mut self) {
        (self.published, self.delivered, self.faults) = (0, 0, DeliveryFaults::default());
        self.latency.reset();
        self.acks.reset();
    }

    /// Events that `publisher` has on their way.
    pub(super) fn in_flight(&self, publisher: usize) -> u32 {
        self.in_flight[publisher]
    }

    /// A new stream of `count` sources that hears what is sent from now on, or all from the beginning.
    pub(super) fn stream(&mut self, first: usize, count: usize, all: bool) -> Hears {
        let at = self.next.len();
        let next = self.sources[first..first + count].iter().map(|source| if all { 0 } else { source.sent });
        self.next.extend(next);
        Hears { first, count, at }
    }

    /// The stream is there: what it has not heard is owed to it.
    pub(super) fn came(&mut self, hears: Hears, standing: &mut Standing) {
        standing.there = true;
        for (source, next) in self.sources[hears.first..][..hears.count].iter_mut().zip(&self.next[hears.at..]) {
            source.audience += 1;
            standing.behind += source.sent - next;
            for pending in source.unheard(*next) {
                pending.owed += 1;
            }
        }
        self.due += standing.behind;
    }

    /// The stream is not there, or does not read: nothing is owed to it until it has come again.
    pub(super) fn left(&mut self, hears: Hears, standing: &mut Standing) {
        standing.there = false;
        standing.behind = 0;
        for index in 0..hears.count {
            let next = self.next[hears.at + index];
            let source = &mut self.sources[hears.first + index];
            source.audience -= 1;
            self.due -= source.sent - next;
            for pending in source.unheard(next) {
                pending.owed -= 1;
            }
            self.settle(hears.first + index);
        }
    }

    /// An event of `source` is handed in; answers with its number.
    pub(super) fn sent(&mut self, source: usize, at: u64) -> u64 {
        let index = source;
        let source = &mut self.sources[index];
        let n = source.sent;
        source.sent += 1;
        source.pending.push_back(PendingEvent { at, owed: source.audience, acknowledged: false });
        self.due += u64::from(source.audience);
        self.unacknowledged += 1;
        self.in_flight[source.publisher] += 1;
        (index as u64) << COUNT_BITS | n
    }

    /// The event `number` is acknowledged, at `now` ns.
    pub(super) fn acknowledged(&mut self, number: u64, now: u64) {
        let (source, n) = split(number);
        if let Some(pending) = self.sources[source].pending(n) {
            pending.acknowledged = true;
            self.acks.saturating_record(now.saturating_sub(pending.at));
        }
        self.unacknowledged -= 1;
        self.published += 1;
        self.settle(source);
    }

    /// A stream has heard the event `number`, at `now` ns.
    pub(super) fn heard(&mut self, hears: Hears, standing: &mut Standing, number: u64, now: u64) {
        let (index, n) = split(number);
        let Some(place) = index.checked_sub(hears.first).filter(|place| *place < hears.count) else {
            self.faults.stray += 1;
            return;
        };
        let next = &mut self.next[hears.at + place];
        let source = &mut self.sources[index];
        if n >= source.sent {
            self.faults.stray += 1;
            return;
        }
        self.delivered += 1;
        if n < *next {
            if standing.skipped > 0 {
                (standing.skipped, self.faults.lost) = (standing.skipped - 1, self.faults.lost - 1);
                self.faults.reordered += 1;
            } else {
                self.faults.doubled += 1;
            }
            return;
        }
        let skipped = n - *next;
        if skipped > 0 {
            self.faults.lost += skipped;
            standing.skipped += skipped;
            let first = source.sent - source.pending.len() as u64;
            for missed in (*next).max(first)..n {
                let missed = usize::try_from(missed - first).expect("a place in memory");
                source.pending[missed].owed -= 1;
            }
        }
        *next = n + 1;
        self.due -= skipped + 1;
        let timed = standing.behind == 0;
        standing.behind = standing.behind.saturating_sub(skipped + 1);
        if let Some(pending) = source.pending(n) {
            pending.owed -= 1;
            if timed {
                self.latency.saturating_record(now.saturating_sub(pending.at));
            }
            if pending.owed == 0 || skipped > 0 {
                self.settle(index);
            }
        }
    }

    /// Gives up on what a stream has not heard: it is lost.
    pub(super) fn give_up(&mut self, hears: Hears, standing: &mut Standing) {
        for index in hears.first..hears.first + hears.count {
            let (sent, next) = (self.sources[index].sent, &mut self.next[hears.at + index - hears.first]);
            let lost = sent - *next;
            for pending in self.sources[index].unheard(*next) {
                pending.owed -= 1;
            }
            *next = sent;
            self.due -= lost;
            self.faults.lost += lost;
            self.settle(index);
        }
        standing.behind = 0;
    }

    /// Lets go of the oldest events that are acknowledged and heard by all.
    fn settle(&mut self, source: usize) {
        let source = &mut self.sources[source];
        while source.pending.front().is_some_and(|first| first.owed == 0 && first.acknowledged) {
            source.pending.pop_front();
            self.in_flight[source.publisher] -= 1;
        }
    }
}

impl TopicSource {
    /// The event `n`, if it is on its way.
    fn pending(&mut self, n: u64) -> Option<&mut PendingEvent> {
        let first = self.sent - self.pending.len() as u64;
        self.pending.get_mut(usize::try_from(n.checked_sub(first)?).ok()?)
    }

    /// Those on their way, from the event `next` on.
    fn unheard(&mut self, next: u64) -> impl Iterator<Item = &mut PendingEvent> {
        let first = self.sent - self.pending.len() as u64;
        let skip = usize::try_from(next.saturating_sub(first)).expect("a place in memory");
        self.pending.iter_mut().skip(skip)
    }
}

fn split(number: u64) -> (usize, u64) {
    let source = usize::try_from(number >> COUNT_BITS).expect("24 bits");
    (source, number & ((1 << COUNT_BITS) - 1))
}

/// Three digits that count, up to 17 minutes; longer ones count as that.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(1_000_000_000_000, 3).expect("bounds that fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One source, heard by two streams.
    fn two() -> (LoadTally, [(Hears, Standing); 2]) {
        let mut tally = LoadTally::new(1, 1, |_| 0);
        let streams = [(); 2].map(|()| {
            let (hears, mut standing) = (tally.stream(0, 1, false), Standing::default());
            tally.came(hears, &mut standing);
            (hears, standing)
        });
        (tally, streams)
    }

    fn hear(tally: &mut LoadTally, stream: &mut (Hears, Standing), numbers: &[u64]) {
        for number in numbers {
            tally.heard(stream.0, &mut stream.1, *number, 5);
        }
    }

    #[test]
    fn an_event_is_on_its_way_until_all_have_heard_it_and_it_is_acknowledged() {
        let (mut tally, [mut a, mut b]) = two();
        let first = tally.sent(0, 1);
        let second = tally.sent(0, 1);
        assert_eq!((tally.due, tally.in_flight(0)), (4, 2));
        hear(&mut tally, &mut a, &[first, second]);
        hear(&mut tally, &mut b, &[first]);
        assert_eq!((tally.due, tally.in_flight(0)), (1, 2), "nobody has acknowledged it");
        tally.acknowledged(first, 4);
        assert_eq!((tally.in_flight(0), tally.unacknowledged), (1, 1));
        tally.acknowledged(second, 4);
        hear(&mut tally, &mut b, &[second]);
        assert_eq!((tally.due, tally.in_flight(0), tally.delivered, tally.latency.len()), (0, 0, 4, 4));
        assert_eq!((tally.acks.len(), tally.acks.max()), (2, 3), "from when it was handed in");
        assert!(tally.faults.none());
    }

    #[test]
    fn what_is_lost_doubled_late_or_foreign_is_told_apart() {
        let (mut tally, [mut a, mut b]) = two();
        let all: Vec<u64> = (0..4).map(|_| tally.sent(0, 1)).collect();
        hear(&mut tally, &mut a, &[all[0], all[2], all[3]]);
        assert_eq!(tally.faults, DeliveryFaults { lost: 1, ..DeliveryFaults::default() });
        hear(&mut tally, &mut a, &[all[1]]);
        assert_eq!(tally.faults, DeliveryFaults { reordered: 1, ..DeliveryFaults::default() }, "it was only late");
        hear(&mut tally, &mut b, &[all[0], all[0], 1 << COUNT_BITS, 99]);
        assert_eq!(tally.faults, DeliveryFaults { reordered: 1, doubled: 1, stray: 2, ..DeliveryFaults::default() });
        tally.give_up(b.0, &mut b.1);
        assert_eq!((tally.faults.lost, tally.due), (3, 0));
        for number in all {
            tally.acknowledged(number, 4);
        }
        assert_eq!(tally.in_flight(0), 0);
    }

    #[test]
    fn nothing_is_owed_to_who_is_away_and_all_of_it_to_who_comes_back() {
        let (mut tally, [mut a, mut b]) = two();
        let first = tally.sent(0, 1);
        tally.left(b.0, &mut b.1);
        assert_eq!(tally.due, 1);
        let second = tally.sent(0, 1);
        hear(&mut tally, &mut a, &[first, second]);
        tally.acknowledged(first, 4);
        assert_eq!((tally.due, tally.in_flight(0)), (0, 1), "the second one is not acknowledged");
        tally.came(b.0, &mut b.1);
        assert_eq!((tally.due, b.1.behind), (2, 2));
        hear(&mut tally, &mut b, &[first, second]);
        assert_eq!((tally.due, b.1.behind, tally.latency.len()), (0, 0, 2), "catching up is not timed");
        tally.acknowledged(second, 4);
        assert_eq!(tally.in_flight(0), 0);
        assert!(tally.faults.none());
    }

    #[test]
    fn who_begins_with_the_oldest_is_owed_everything() {
        let mut tally = LoadTally::new(2, 1, |_| 0);
        let numbers = [tally.sent(0, 1), tally.sent(1, 1)];
        let mut late = (tally.stream(0, 2, true), Standing::default());
        tally.came(late.0, &mut late.1);
        assert_eq!(tally.due, 2);
        hear(&mut tally, &mut late, &numbers);
        assert!(tally.due == 0 && tally.faults.none());
    }
}
