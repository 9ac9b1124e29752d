//! The open streams of one shard, for operators: lists them, and ends those that are named.
//!
//! A shard looks at its streams in slices and yields in between, so that the fan-out waits for one slice at most. It
//! holds nothing for that but the groups of streams that it has not looked at. So a stream that is open throughout is
//! looked at exactly once; one that begins or ends meanwhile may be missed.

use std::{
    cmp::Ordering,
    collections::BinaryHeap,
    fmt,
    ops::{ControlFlow, Range},
    sync::Arc,
    time::Duration,
};

use tokio::task::yield_now;

use super::{
    encoding::Encoding,
    record::{SentCounts, StreamRecord},
    shard::StreamShard,
    streams::{FeedStreams, Member},
};
use crate::{
    access::Principal,
    event::{Filter, Selection},
    http::message::request_id::RequestId,
    hub::{epoch::HubCursor, feed::Feed, stats::Progress},
};

/// Streams and feeds that a shard looks at before it yields: some 10 µs, or 0.2 ms when all of them are for the page.
const SLICE: usize = 512;

/// Identifies a stream for the life of the process; text `s<shard>-<number>`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamId {
    /// The index of its shard.
    pub shard: usize,
    /// Its number there.
    pub number: u64,
}

/// Which streams are meant. All, unless something is set.
#[derive(Debug, Clone, Default)]
pub struct StreamFilter {
    /// Those of this holder.
    pub holder: Option<Box<str>>,
    /// A name: those that receive the topic's events. A pattern: those that ask for this very pattern.
    pub topic: Option<Filter>,
}

/// By what a list of streams is sorted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StreamSort {
    /// The beginning; oldest first.
    Since,
    /// The events not sent yet; those of which the number is not known first, then most first.
    Behind,
    /// The bytes sent; most first.
    SentBytes,
}

/// Where a stream is in a sorted list.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct StreamPlace {
    /// Ascending in the list.
    pub rank: u64,
    /// Decides between equal ranks.
    pub id: StreamId,
}

/// What a page of the list is to have.
#[derive(Debug, Clone)]
pub struct StreamQuery {
    /// Which streams are meant.
    pub filter: StreamFilter,
    /// Their order.
    pub sort: StreamSort,
    /// The place after which the page begins.
    pub after: Option<StreamPlace>,
    /// Streams of the page at most.
    pub limit: usize,
}

/// An open stream at one moment.
#[derive(Debug, Clone)]
pub struct OpenStream {
    /// Where it is in the list.
    pub place: StreamPlace,
    /// The id of its request.
    pub request: RequestId,
    /// The address of its client.
    pub client: std::net::IpAddr,
    /// Whose credential it began with.
    pub principal: Arc<Principal>,
    /// The topics and patterns that it asks for.
    pub selection: Selection,
    /// Its encoding; `None` for a run of the relay.
    pub encoding: Option<Encoding>,
    /// How far it has come.
    pub progress: Progress,
    /// For how long it has been open.
    pub age: Duration,
    /// Everything up to here was sent.
    pub reached: HubCursor,
    /// The events not sent yet; `None` when the ring has moved past them.
    pub behind: Option<u64>,
    /// What was sent.
    pub sent: SentCounts,
}

/// What one shard contributes to a page.
#[derive(Debug, Default)]
pub struct ShardPage {
    /// Open streams that are meant, on this shard.
    pub total: u64,
    /// The first of them after the given place, in order: one more than the page's limit at most.
    pub streams: Vec<OpenStream>,
}

impl StreamShard {
    /// The shard's part of a page. Ends early, with anything, once `is_abandoned`.
    pub async fn list(&self, query: &StreamQuery, is_abandoned: impl Fn() -> bool) -> ShardPage {
        let mut total = 0;
        // The last one on top, to be replaced by an earlier one.
        let mut first = BinaryHeap::<Listed>::new();
        self.walk(&query.filter, |feed, member, record| {
            total += 1;
            let rank = rank(query.sort, feed, member, record);
            let place = StreamPlace { rank, id: StreamId { shard: self.index, number: record.number() } };
            let is_full = first.len() > query.limit;
            let is_first = !is_full || first.peek().is_some_and(|last| place < last.0.place);
            if query.after.is_none_or(|after| after < place) && is_first {
                if is_full {
                    first.pop();
                }
                first.push(Listed(open_stream(place, feed, member, record)));
            }
            if is_abandoned() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        })
        .await;
        ShardPage { total, streams: first.into_sorted_vec().into_iter().map(|listed| listed.0).collect() }
    }

    /// Ends the stream with this number. Returns whether there is one.
    pub async fn end(&self, number: u64) -> bool {
        let mut found = false;
        self.walk(&StreamFilter::default(), |_, member, record| {
            if record.number() != number {
                return ControlFlow::Continue(());
            }
            self.count_ended(member.end());
            found = true;
            ControlFlow::Break(())
        })
        .await;
        found
    }

    /// Ends all streams of a holder. Returns how many are ended now.
    pub async fn end_all(&self, holder: &str) -> u64 {
        let mut ended = 0;
        let filter = StreamFilter { holder: Some(holder.into()), topic: None };
        self.walk(&filter, |_, member, _| {
            let news = member.end();
            self.count_ended(news);
            ended += u64::from(news);
            ControlFlow::Continue(())
        })
        .await;
        ended
    }

    fn count_ended(&self, news: bool) {
        self.hub.stats().ended_by_operator.add(u64::from(news));
    }

    /// Calls `visit` for each open stream that is meant, until it breaks. Yields after each [`SLICE`].
    async fn walk(
        &self,
        filter: &StreamFilter,
        mut visit: impl FnMut(&Feed, &mut Member, &StreamRecord) -> ControlFlow<()>,
    ) {
        let mut left = SLICE;
        for group in self.streams.groups() {
            left -= 1;
            let is_meant = filter.topic.as_ref().is_none_or(|topic| selects(&group.feed.selection, topic));
            let mut rest = is_meant.then_some(0);
            while rest.is_some() || left == 0 {
                if left == 0 {
                    yield_now().await;
                    left = SLICE;
                }
                let Some(from) = rest else { break };
                let ControlFlow::Continue(end) = look(&group, from..from + left, filter, &mut visit) else { return };
                left -= end - from;
                rest = (end < group.members.borrow().capacity()).then_some(end);
            }
        }
    }
}

/// Calls `visit` for each stream in these slots that is meant. Returns the slot after the last one, or breaks.
fn look(
    group: &FeedStreams,
    slots: Range<usize>,
    filter: &StreamFilter,
    visit: &mut impl FnMut(&Feed, &mut Member, &StreamRecord) -> ControlFlow<()>,
) -> ControlFlow<(), usize> {
    let mut members = group.members.borrow_mut();
    let end = members.capacity().min(slots.end);
    for key in slots.start..end {
        if let Some(member) = members.get_mut(key)
            && let Some(record) = member.record.clone()
            && filter.holder.as_deref().is_none_or(|holder| record.holder() == Some(holder))
        {
            visit(&group.feed, member, &record)?;
        }
    }
    ControlFlow::Continue(end.max(slots.start))
}

/// Whether streams of this selection are meant by `topic`.
fn selects(selection: &Selection, topic: &Filter) -> bool {
    match topic {
        Filter::Topic(name) => selection.matches(name),
        Filter::Pattern(_) => selection.filters().binary_search(topic).is_ok(),
    }
}

fn rank(sort: StreamSort, feed: &Feed, member: &Member, record: &StreamRecord) -> u64 {
    match sort {
        StreamSort::Since => record.since(),
        StreamSort::Behind => behind(feed, reached(member, record)).map_or(0, |events| u64::MAX - events),
        StreamSort::SentBytes => u64::MAX - sent(member, record).bytes,
    }
}

fn open_stream(place: StreamPlace, feed: &Feed, member: &Member, record: &StreamRecord) -> OpenStream {
    let reached = reached(member, record);
    OpenStream {
        place,
        request: record.request().clone(),
        client: record.client(),
        principal: Arc::clone(record.principal()),
        selection: feed.selection.clone(),
        encoding: record.encoding(),
        progress: record.progress(),
        age: record.age(),
        reached,
        behind: behind(feed, reached),
        sent: sent(member, record),
    }
}

/// The position up to which everything was sent, by the task or by the fan-out since.
fn reached(member: &Member, record: &StreamRecord) -> HubCursor {
    let (reached, sent) = (record.reached(), member.connection().map(|connection| connection.cursor));
    let later = |sent: &HubCursor| sent.epoch == reached.epoch && sent.seq > reached.seq;
    sent.filter(later).unwrap_or(reached)
}

fn sent(member: &Member, record: &StreamRecord) -> SentCounts {
    let mut sent = record.counts();
    if let Some(connection) = member.connection() {
        sent += connection.sent;
    }
    sent
}

fn behind(feed: &Feed, reached: HubCursor) -> Option<u64> {
    feed.events_after(reached).map(|events| events as u64)
}

/// A stream of a page, ordered by its place.
struct Listed(OpenStream);

impl Ord for Listed {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.place.cmp(&other.0.place)
    }
}

impl PartialOrd for Listed {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Listed {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Listed {}

impl StreamSort {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Since, Self::Behind, Self::SentBytes];

    /// Its name in a query.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Since => "since",
            Self::Behind => "behind",
            Self::SentBytes => "sent_bytes",
        }
    }
}

impl StreamId {
    /// Parses the text of an id.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (shard, number) = text.strip_prefix('s')?.split_once('-')?;
        let is_number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        (is_number(shard) && is_number(number))
            .then(|| Some(Self { shard: shard.parse().ok()?, number: number.parse().ok()? }))?
    }
}

impl fmt::Display for StreamId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s{}-{}", self.shard, self.number)
    }
}

#[cfg(test)]
mod tests;
