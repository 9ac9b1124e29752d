//! Reads a stream: what a fork has from its sources, then its own events. Each part is a subscription of its own, so that
//! pages, the ring, gaps and ends are those of every reader.

use std::{
    collections::VecDeque,
    future::{Future, poll_fn},
    ops::ControlFlow,
    pin::Pin,
    rc::Rc,
    sync::Arc,
    task::{Context, Poll, ready},
};

use super::{
    offset::Offset,
    refusal::StreamRefusal,
    state::{DurableStreams, FoundStream, StreamSnapshot},
};
use crate::{
    engine::{ReadError, ReadLimit},
    event::{Event, EventId, Selection, Seq, TopicName, position::Cursor},
    http::{
        api::stream::shard::StreamShard,
        message::problem::{Code, Problem},
    },
    hub::{
        Hub,
        batch::FrameBatch,
        frame::Frame,
        subscription::{Delivery, Gap, Start, Subscription},
    },
};

/// Longest line of forks, each one of the one before: a read looks at each source.
pub const MAX_DEPTH: usize = 32;

/// Events that are read in one step to find the last bytes before a position.
const BACKWARD_PAGE: ReadLimit = ReadLimit { events: 4, bytes: 1 << 20 };

/// A part of a stream: the events of one topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChainPart {
    topic: TopicName,
    /// Its last position; `None` for the stream's own events, which have no end yet.
    through: Option<Seq>,
}

/// A reader of a stream.
pub struct ChainReader {
    shard: Rc<StreamShard>,
    runs: VecDeque<ChainPart>,
    /// Where the next run begins; `None` at the oldest event that is kept.
    after: Option<EventId>,
    state: ReaderState,
}

enum ReaderState {
    /// The next run is to be opened.
    Between,
    Opening(Pin<Box<dyn Future<Output = Result<Subscription, ReadError>>>>),
    Reading(Box<Subscription>),
    Over,
}

/// Events that were read together, in order: a batch, or the beginning of one. At least one.
#[derive(Debug, Clone)]
pub struct ChainEvents {
    batch: Arc<FrameBatch>,
    count: usize,
}

impl From<Arc<FrameBatch>> for ChainEvents {
    fn from(batch: Arc<FrameBatch>) -> Self {
        Self { count: batch.frames().len(), batch }
    }
}

impl ChainEvents {
    /// The events.
    #[must_use]
    pub fn frames(&self) -> &[Arc<Frame>] {
        &self.batch.frames()[..self.count]
    }

    /// Keeps the first `count` events.
    pub fn truncate(&mut self, count: usize) {
        self.count = self.count.min(count);
    }

    /// The batch, if these are all of its events.
    #[must_use]
    pub fn whole_batch(&self) -> Option<&FrameBatch> {
        (self.count == self.batch.frames().len()).then_some(&*self.batch)
    }
}

/// What a reader reads next.
#[derive(Debug, Clone)]
pub enum ChainItem {
    /// Events, in order.
    Events(ChainEvents),
    /// Events after the position are gone.
    Gap(Gap),
    /// The stream takes no more events, and all were read.
    Ended,
    /// The log cannot be read now.
    Unreadable,
}

/// The parts of a stream, in the order of its events.
///
/// # Errors
/// When it has more sources than a fork may have, which no fork is made with.
pub fn runs(streams: &DurableStreams, view: &StreamSnapshot) -> Result<VecDeque<ChainPart>, StreamRefusal> {
    let mut runs = VecDeque::from([ChainPart { topic: view.topic.clone(), through: None }]);
    let (mut fork, mut through) = (view.definition.fork.clone(), None);
    while let Some(of) = fork {
        if runs.len() > MAX_DEPTH {
            return Err(Problem::new(Code::StoreUnavailable, "the sources of the fork cannot be found").into());
        }
        through = Some(through.map_or(of.through(), |through: Seq| through.min(of.through())));
        let Ok(topic) = TopicName::stored(&of.source) else { break };
        fork = match streams.find_kept(&topic) {
            FoundStream::Open(source) | FoundStream::Deleted(source) => source.definition.fork,
            FoundStream::Missing => None,
        };
        runs.push_front(ChainPart { topic, through });
    }
    Ok(runs)
}

impl ChainReader {
    /// A reader that begins after this position; with `None` at the oldest event that is kept.
    #[must_use]
    pub fn new(shard: &Rc<StreamShard>, mut runs: VecDeque<ChainPart>, after: Option<EventId>) -> Self {
        while let (Some(ChainPart { through: Some(through), .. }), Some(after)) = (runs.front(), after)
            && *through <= after.seq
            && after.epoch == shard.hub.epoch()
        {
            runs.pop_front();
        }
        Self { shard: Rc::clone(shard), runs, after, state: ReaderState::Between }
    }

    /// Opens the first part, if it is not open yet. Dropping the future abandons that.
    ///
    /// # Errors
    /// When the log cannot be read now.
    pub async fn open_first(&mut self) -> Result<&Subscription, ReadError> {
        if matches!(self.state, ReaderState::Between) {
            self.open();
        }
        if let ReaderState::Opening(opening) = &mut self.state {
            let subscription = opening.as_mut().await?;
            self.state = ReaderState::Reading(Box::new(subscription));
        }
        self.subscription().ok_or_else(|| ReadError { reason: "the stream has no part to read".into() })
    }

    /// The subscription that is read now. It changes at the end of each part.
    #[must_use]
    pub fn subscription(&self) -> Option<&Subscription> {
        match &self.state {
            ReaderState::Reading(subscription) => Some(subscription),
            ReaderState::Between | ReaderState::Opening(_) | ReaderState::Over => None,
        }
    }

    /// Whether nothing is left to read before the next append.
    #[must_use]
    pub fn caught_up(&self) -> bool {
        self.runs.len() == 1 && self.subscription().is_some_and(Subscription::caught_up)
    }

    /// The next item. Pending at the end of the stream, or while a page is read; at the end the caller polls again when the
    /// feed of [`ChainReader::subscription`] has changed.
    pub fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<ChainItem> {
        loop {
            let through = self.runs.front().and_then(|run| run.through);
            match &mut self.state {
                ReaderState::Over => return Poll::Pending,
                ReaderState::Between => self.open(),
                ReaderState::Opening(opening) => match ready!(opening.as_mut().poll(cx)) {
                    Ok(subscription) => self.state = ReaderState::Reading(Box::new(subscription)),
                    Err(error) => {
                        tracing::warn!(error = %error, "a stream cannot be read");
                        self.state = ReaderState::Over;
                        return Poll::Ready(ChainItem::Unreadable);
                    }
                },
                ReaderState::Reading(subscription) => match (subscription.poll_next(cx), through) {
                    (Poll::Pending, Some(_)) if subscription.caught_up() => self.next_run(),
                    (Poll::Pending, _) => return Poll::Pending,
                    (Poll::Ready(Delivery::Events(batch)), Some(through)) => {
                        let is_over = batch.last() >= through;
                        let kept = batch.frames().partition_point(|frame| frame.id.seq <= through);
                        if is_over {
                            self.next_run();
                        }
                        if kept > 0 {
                            let mut events = ChainEvents::from(batch);
                            events.truncate(kept);
                            return Poll::Ready(ChainItem::Events(events));
                        }
                    }
                    (Poll::Ready(Delivery::Events(batch)), None) => {
                        return Poll::Ready(ChainItem::Events(batch.into()));
                    }
                    (Poll::Ready(Delivery::Gap(gap)), _) => return Poll::Ready(ChainItem::Gap(gap)),
                    (Poll::Ready(Delivery::End(_)), _) => {}
                    (Poll::Ready(Delivery::Finished(_)), Some(_)) => self.next_run(),
                    (Poll::Ready(Delivery::Finished(_)), None) => {
                        self.state = ReaderState::Over;
                        return Poll::Ready(ChainItem::Ended);
                    }
                    (Poll::Ready(Delivery::Unreadable), _) => {
                        self.state = ReaderState::Over;
                        return Poll::Ready(ChainItem::Unreadable);
                    }
                },
            }
        }
    }

    fn open(&mut self) {
        let Some(run) = self.runs.front() else {
            self.state = ReaderState::Over;
            return;
        };
        let start = match self.after {
            None => Start::Earliest,
            Some(id) => Start::Cursor(Cursor::with_id(&Offset(id).to_string(), Some(id))),
        };
        let (selection, shard) = (Selection::from(run.topic.clone()), Rc::clone(&self.shard));
        self.state = ReaderState::Opening(Box::pin(async move {
            shard.hub.subscribe(&selection, start, shard.limit, shard.index).await
        }));
    }

    fn next_run(&mut self) {
        if let Some(ChainPart { through: Some(seq), .. }) = self.runs.pop_front() {
            self.after = Some(EventId { epoch: self.shard.hub.epoch(), seq });
        }
        self.state = ReaderState::Between;
    }
}

/// The last bytes of a stream up to a position, at most `most`. Dropping the future ends the reading.
///
/// # Errors
/// When the log cannot be read now.
pub async fn bytes_before(
    hub: &Hub,
    mut runs: VecDeque<ChainPart>,
    mut position: Seq,
    most: usize,
) -> Result<Vec<u8>, ReadError> {
    let mut bytes = Vec::new();
    while let Some(ChainPart { topic, through }) = runs.pop_back() {
        position = through.map_or(position, |through| through.min(position));
        let (selection, mut before) = (Selection::from(topic), position.next());
        loop {
            let page = hub.older(&selection, before, BACKWARD_PAGE).await?;
            for frame in page.frames.iter().rev().filter(|frame| !frame.event.new.name.is_removed()) {
                let data = frame.event.new.data.bytes();
                let last = &data[data.len() - data.len().min(most - bytes.len())..];
                bytes.splice(..0, last.iter().copied());
                if bytes.len() == most {
                    return Ok(bytes);
                }
            }
            match page.previous {
                Some(previous) => before = previous.seq,
                None => break,
            }
        }
    }
    Ok(bytes)
}

/// Passes the events of a stream after a position to `each`, until that breaks or there are no more.
///
/// # Errors
/// When events are gone, or the log cannot be read now.
pub async fn each_event(
    streams: &DurableStreams,
    shard: &Rc<StreamShard>,
    view: &StreamSnapshot,
    after: Seq,
    mut each: impl FnMut(&Event) -> ControlFlow<()>,
) -> Result<(), StreamRefusal> {
    let after = (after > Seq::ZERO).then_some(EventId { seq: after, ..view.tail });
    let mut reader = ChainReader::new(shard, runs(streams, view)?, after);
    loop {
        let item = poll_fn(|cx| match reader.poll_next(cx) {
            Poll::Pending if reader.caught_up() => Poll::Ready(None),
            polled => polled.map(Some),
        });
        match item.await {
            None | Some(ChainItem::Ended) => return Ok(()),
            Some(ChainItem::Events(events)) => {
                for frame in events.frames().iter().filter(|frame| !frame.event.new.name.is_removed()) {
                    if each(&frame.event).is_break() {
                        return Ok(());
                    }
                }
            }
            Some(ChainItem::Gap(_)) => {
                return Err(Problem::new(Code::OffsetGone, "the events after this offset are no longer kept").into());
            }
            Some(ChainItem::Unreadable) => {
                return Err(Problem::new(Code::StoreUnavailable, "the stream cannot be read now; retry").into());
            }
        }
    }
}
