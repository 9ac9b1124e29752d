//! The expected and received events of each stream; faults and latencies.
//!
//! Events are numbered by **source**: the events of one publisher to one topic. A source's events are acknowledged and
//! received in order, so a stream needs one number for each of its sources: the next event.

use std::{collections::VecDeque, fmt};

use hdrhistogram::Histogram;

/// Low bits of an event's number: its index within the source. The bits above are the index of the source.
const COUNT_BITS: u32 = 40;

/// Violations of the delivery guarantees, counted. If any of them is not zero, the other figures of the run are void.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DeliveryFaults {
    /// Events that a stream did not receive.
    pub lost: u64,
    /// Events that a stream received twice.
    pub duplicated: u64,
    /// Events that a stream received after later ones, or with an id that is not above the previous one.
    pub reordered: u64,
    /// Events that were not published to the stream's topics by this generator.
    pub stray: u64,
    /// Reported gaps and ends although nothing was trimmed or closed.
    pub told: u64,
}

impl DeliveryFaults {
    /// Whether there are no faults.
    #[must_use]
    pub fn none(&self) -> bool {
        *self == Self::default()
    }
}

/// The first three counts always; the others only when they are not zero.
impl fmt::Display for DeliveryFaults {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lost, duplicated, reordered, stray, told } = self;
        write!(f, "{lost} lost, {duplicated} duplicated, {reordered} reordered")?;
        if stray + told > 0 {
            write!(f, ", {stray} unexpected events, {told} unexpected gaps or ends")?;
        }
        Ok(())
    }
}

/// The events of one publisher to one topic.
#[derive(Debug, Default)]
struct TopicSource {
    publisher: usize,
    /// Events sent.
    sent: u64,
    /// The events in flight; the index of the first is `sent - pending.len()`.
    pending: VecDeque<PendingEvent>,
    /// Connected, reading streams of the topic.
    readers: u32,
}

#[derive(Debug)]
struct PendingEvent {
    /// When it was sent or due, in nanoseconds since the load was created.
    at: u64,
    /// Streams that have yet to receive it.
    awaited: u32,
    acknowledged: bool,
}

/// The sources that a stream receives, and the range of its entries in [`LoadTally::next`].
#[derive(Debug, Clone, Copy)]
pub(super) struct StreamSources {
    first: usize,
    count: usize,
    /// The first entry in [`LoadTally::next`].
    at: usize,
}

/// The state of one stream.
#[derive(Debug, Default)]
pub(super) struct StreamProgress {
    /// Whether it is connected and reads, so that events are expected to reach it.
    pub(super) is_reading: bool,
    /// Events that it missed before it (re)connected and has not received yet; their latency is not recorded.
    pub(super) behind: u64,
    /// Events that were skipped, and may still arrive out of order.
    skipped: u64,
}

/// The expected and received events of all streams.
#[derive(Debug)]
pub(super) struct LoadTally {
    sources: Vec<TopicSource>,
    /// The next event of each stream and source; a stream's entries are contiguous.
    next: Vec<u64>,
    /// Events in flight, by publisher.
    in_flight: Vec<u32>,
    /// Deliveries expected by streams that read.
    pub(super) outstanding: u64,
    pub(super) unacknowledged: u64,
    pub(super) published: u64,
    pub(super) delivered: u64,
    pub(super) faults: DeliveryFaults,
    pub(super) latency: Histogram<u64>,
    pub(super) acks: Histogram<u64>,
}

impl LoadTally {
    /// A tally of `sources` sources; `publisher` maps a source to its publisher.
    pub(super) fn new(sources: usize, publishers: usize, publisher: impl Fn(usize) -> usize) -> Self {
        assert!(sources < 1 << (u64::BITS - COUNT_BITS), "a source has a number of 24 bits");
        let source = |index| TopicSource { publisher: publisher(index), ..TopicSource::default() };
        Self {
            sources: (0..sources).map(source).collect(),
            next: Vec::new(),
            in_flight: vec![0; publishers],
            outstanding: 0,
            unacknowledged: 0,
            published: 0,
            delivered: 0,
            faults: DeliveryFaults::default(),
            latency: histogram(),
            acks: histogram(),
        }
    }

    /// Resets the counts for a new run. Expected deliveries stay.
    pub(super) fn reset(&mut self) {
        (self.published, self.delivered, self.faults) = (0, 0, DeliveryFaults::default());
        self.latency.reset();
        self.acks.reset();
    }

    /// Events in flight of `publisher`.
    pub(super) fn in_flight(&self, publisher: usize) -> u32 {
        self.in_flight[publisher]
    }

    /// Adds a stream of `count` sources that receives what is sent from now on, or, with `all`, everything from the
    /// beginning.
    pub(super) fn stream(&mut self, first: usize, count: usize, all: bool) -> StreamSources {
        let at = self.next.len();
        let next = self.sources[first..first + count].iter().map(|source| if all { 0 } else { source.sent });
        self.next.extend(next);
        StreamSources { first, count, at }
    }

    /// The stream is connected and reads: it is expected to receive what it has not received.
    pub(super) fn attach(&mut self, sources: StreamSources, progress: &mut StreamProgress) {
        progress.is_reading = true;
        for (source, next) in self.sources[sources.first..][..sources.count].iter_mut().zip(&self.next[sources.at..]) {
            source.readers += 1;
            progress.behind += source.sent - next;
            for pending in source.pending_from(*next) {
                pending.awaited += 1;
            }
        }
        self.outstanding += progress.behind;
    }

    /// The stream is disconnected or does not read: nothing is expected until it is attached again.
    pub(super) fn detach(&mut self, sources: StreamSources, progress: &mut StreamProgress) {
        progress.is_reading = false;
        progress.behind = 0;
        for index in 0..sources.count {
            let next = self.next[sources.at + index];
            let source = &mut self.sources[sources.first + index];
            source.readers -= 1;
            self.outstanding -= source.sent - next;
            for pending in source.pending_from(next) {
                pending.awaited -= 1;
            }
            self.retire(sources.first + index);
        }
    }

    /// An event of `source` is sent; returns its number.
    pub(super) fn sent(&mut self, source: usize, at: u64) -> u64 {
        let index = source;
        let source = &mut self.sources[index];
        let n = source.sent;
        source.sent += 1;
        source.pending.push_back(PendingEvent { at, awaited: source.readers, acknowledged: false });
        self.outstanding += u64::from(source.readers);
        self.unacknowledged += 1;
        self.in_flight[source.publisher] += 1;
        (index as u64) << COUNT_BITS | n
    }

    /// Event `number` is acknowledged at `now`, in nanoseconds.
    pub(super) fn acknowledged(&mut self, number: u64, now: u64) {
        let (source, n) = split(number);
        if let Some(pending) = self.sources[source].pending(n) {
            pending.acknowledged = true;
            self.acks.saturating_record(now.saturating_sub(pending.at));
        }
        self.unacknowledged -= 1;
        self.published += 1;
        self.retire(source);
    }

    /// A stream has received event `number` at `now`, in nanoseconds.
    pub(super) fn received(&mut self, sources: StreamSources, progress: &mut StreamProgress, number: u64, now: u64) {
        let (index, n) = split(number);
        let Some(offset) = index.checked_sub(sources.first).filter(|offset| *offset < sources.count) else {
            self.faults.stray += 1;
            return;
        };
        let next = &mut self.next[sources.at + offset];
        let source = &mut self.sources[index];
        if n >= source.sent {
            self.faults.stray += 1;
            return;
        }
        self.delivered += 1;
        if n < *next {
            if progress.skipped > 0 {
                (progress.skipped, self.faults.lost) = (progress.skipped - 1, self.faults.lost - 1);
                self.faults.reordered += 1;
            } else {
                self.faults.duplicated += 1;
            }
            return;
        }
        let skipped = n - *next;
        if skipped > 0 {
            self.faults.lost += skipped;
            progress.skipped += skipped;
            let first = source.sent - source.pending.len() as u64;
            for missed in (*next).max(first)..n {
                let missed = usize::try_from(missed - first).expect("an index in memory");
                source.pending[missed].awaited -= 1;
            }
        }
        *next = n + 1;
        self.outstanding -= skipped + 1;
        let timed = progress.behind == 0;
        progress.behind = progress.behind.saturating_sub(skipped + 1);
        if let Some(pending) = source.pending(n) {
            pending.awaited -= 1;
            if timed {
                self.latency.saturating_record(now.saturating_sub(pending.at));
            }
            if pending.awaited == 0 || skipped > 0 {
                self.retire(index);
            }
        }
    }

    /// Counts what a stream has not received as lost.
    pub(super) fn count_lost(&mut self, sources: StreamSources, progress: &mut StreamProgress) {
        for index in sources.first..sources.first + sources.count {
            let (sent, next) = (self.sources[index].sent, &mut self.next[sources.at + index - sources.first]);
            let lost = sent - *next;
            for pending in self.sources[index].pending_from(*next) {
                pending.awaited -= 1;
            }
            *next = sent;
            self.outstanding -= lost;
            self.faults.lost += lost;
            self.retire(index);
        }
        progress.behind = 0;
    }

    /// Drops the oldest events that are acknowledged and received by all streams.
    fn retire(&mut self, source: usize) {
        let source = &mut self.sources[source];
        while source.pending.front().is_some_and(|first| first.awaited == 0 && first.acknowledged) {
            source.pending.pop_front();
            self.in_flight[source.publisher] -= 1;
        }
    }
}

impl TopicSource {
    /// The event with index `n`, if it is in flight.
    fn pending(&mut self, n: u64) -> Option<&mut PendingEvent> {
        let first = self.sent - self.pending.len() as u64;
        self.pending.get_mut(usize::try_from(n.checked_sub(first)?).ok()?)
    }

    /// The events in flight from index `next` on.
    fn pending_from(&mut self, next: u64) -> impl Iterator<Item = &mut PendingEvent> {
        let first = self.sent - self.pending.len() as u64;
        let skip = usize::try_from(next.saturating_sub(first)).expect("an index in memory");
        self.pending.iter_mut().skip(skip)
    }
}

fn split(number: u64) -> (usize, u64) {
    let source = usize::try_from(number >> COUNT_BITS).expect("24 bits");
    (source, number & ((1 << COUNT_BITS) - 1))
}

/// A histogram with three significant digits, up to 1000 s; longer times count as 1000 s.
fn histogram() -> Histogram<u64> {
    Histogram::new_with_max(1_000_000_000_000, 3).expect("bounds that fit")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A tally with one source, and two streams that receive it.
    fn two() -> (LoadTally, [(StreamSources, StreamProgress); 2]) {
        let mut tally = LoadTally::new(1, 1, |_| 0);
        let streams = [(); 2].map(|()| {
            let (sources, mut progress) = (tally.stream(0, 1, false), StreamProgress::default());
            tally.attach(sources, &mut progress);
            (sources, progress)
        });
        (tally, streams)
    }

    fn receive(tally: &mut LoadTally, stream: &mut (StreamSources, StreamProgress), numbers: &[u64]) {
        for number in numbers {
            tally.received(stream.0, &mut stream.1, *number, 5);
        }
    }

    #[test]
    fn an_event_is_in_flight_until_all_streams_have_received_it_and_it_is_acknowledged() {
        let (mut tally, [mut a, mut b]) = two();
        let first = tally.sent(0, 1);
        let second = tally.sent(0, 1);
        assert_eq!((tally.outstanding, tally.in_flight(0)), (4, 2));
        receive(&mut tally, &mut a, &[first, second]);
        receive(&mut tally, &mut b, &[first]);
        assert_eq!((tally.outstanding, tally.in_flight(0)), (1, 2), "not acknowledged yet");
        tally.acknowledged(first, 4);
        assert_eq!((tally.in_flight(0), tally.unacknowledged), (1, 1));
        tally.acknowledged(second, 4);
        receive(&mut tally, &mut b, &[second]);
        assert_eq!((tally.outstanding, tally.in_flight(0), tally.delivered, tally.latency.len()), (0, 0, 4, 4));
        assert_eq!((tally.acks.len(), tally.acks.max()), (2, 3), "from when it was sent");
        assert!(tally.faults.none());
    }

    #[test]
    fn lost_doubled_late_and_foreign_events_are_distinguished() {
        let (mut tally, [mut a, mut b]) = two();
        let all: Vec<u64> = (0..4).map(|_| tally.sent(0, 1)).collect();
        receive(&mut tally, &mut a, &[all[0], all[2], all[3]]);
        assert_eq!(tally.faults, DeliveryFaults { lost: 1, ..DeliveryFaults::default() });
        receive(&mut tally, &mut a, &[all[1]]);
        assert_eq!(tally.faults, DeliveryFaults { reordered: 1, ..DeliveryFaults::default() }, "it was only late");
        receive(&mut tally, &mut b, &[all[0], all[0], 1 << COUNT_BITS, 99]);
        assert_eq!(tally.faults, DeliveryFaults { reordered: 1, duplicated: 1, stray: 2, ..DeliveryFaults::default() });
        tally.count_lost(b.0, &mut b.1);
        assert_eq!((tally.faults.lost, tally.outstanding), (3, 0));
        for number in all {
            tally.acknowledged(number, 4);
        }
        assert_eq!(tally.in_flight(0), 0);
    }

    #[test]
    fn nothing_is_expected_by_a_disconnected_stream_and_everything_once_it_reconnects() {
        let (mut tally, [mut a, mut b]) = two();
        let first = tally.sent(0, 1);
        tally.detach(b.0, &mut b.1);
        assert_eq!(tally.outstanding, 1);
        let second = tally.sent(0, 1);
        receive(&mut tally, &mut a, &[first, second]);
        tally.acknowledged(first, 4);
        assert_eq!((tally.outstanding, tally.in_flight(0)), (0, 1), "the second one is not acknowledged");
        tally.attach(b.0, &mut b.1);
        assert_eq!((tally.outstanding, b.1.behind), (2, 2));
        receive(&mut tally, &mut b, &[first, second]);
        assert_eq!((tally.outstanding, b.1.behind, tally.latency.len()), (0, 0, 2), "catching up is not timed");
        tally.acknowledged(second, 4);
        assert_eq!(tally.in_flight(0), 0);
        assert!(tally.faults.none());
    }

    #[test]
    fn a_stream_from_the_oldest_event_expects_everything() {
        let mut tally = LoadTally::new(2, 1, |_| 0);
        let numbers = [tally.sent(0, 1), tally.sent(1, 1)];
        let mut late = (tally.stream(0, 2, true), StreamProgress::default());
        tally.attach(late.0, &mut late.1);
        assert_eq!(tally.outstanding, 2);
        receive(&mut tally, &mut late, &numbers);
        assert!(tally.outstanding == 0 && tally.faults.none());
    }
}
