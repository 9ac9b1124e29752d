//! Reads the body of a publish stream chunk by chunk, with a permit from the memory for request bodies.
//!
//! A chunk waits for its permit before it is parsed; meanwhile nothing more is read, so the connection's flow control
//! slows the publisher down. The permit goes with the events that are made of the bytes, and is released when they are
//! committed.
//!
//! A stream may pause between its events for any time. An event that has begun holds memory, so it must keep a
//! [`BodyPace`].

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http_body::Body;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::{
    http::{
        api::{
            pace::BodyPace,
            publish::{
                decode::event_reader::{EventReader, ParsedItem},
                state::PublishState,
            },
        },
        auth::CallerQuotas,
        message::problem::Problem,
    },
    quota::memory::BodyPermit,
};

/// Pause before memory is requested again: the time of a few flushes, each of which releases some.
const PAUSE: Duration = Duration::from_millis(20);

/// How a stream's body ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum BodyEnd {
    /// The publisher ended it.
    Whole,
    /// The connection broke.
    Broken,
    /// There was no memory for a chunk within the timeout; the problem names the limit.
    NoRoom(Problem),
    /// An event that had begun came too slowly.
    TooSlow,
    /// The hub is about to stop.
    Draining,
}

/// Reads the body of a publish stream. See the module's documentation.
pub(super) struct BodyReader<B> {
    draining: Pin<Box<dyn Future<Output = ()>>>,
    body: Pin<Box<B>>,
    event_reader: EventReader,
    /// How long a chunk may wait for memory.
    timeout: Duration,
    chunk: Bytes,
    waiting: Option<UnadmittedChunk>,
    /// The memory of `chunk`, of the unfinished event, and of the items that were not released.
    permit: BodyPermit,
    /// The pace of the event that has begun.
    pace: BodyPace,
    /// Since when the reader waits for more of that event.
    unfinished: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    /// Bytes of the items that were returned and not released.
    taken: usize,
    /// Bytes consumed from chunks since the last item.
    consumed: usize,
    end: Option<BodyEnd>,
}

/// A chunk that waits for memory.
struct UnadmittedChunk {
    chunk: Bytes,
    since: Instant,
    pause: Pin<Box<Sleep>>,
}

impl<B: Body<Data = Bytes>> BodyReader<B> {
    /// Reads `body` with `event_reader` until it ends or the hub drains. Its memory counts against `quotas`.
    pub(super) fn new(state: &PublishState, quotas: &CallerQuotas, body: B, event_reader: EventReader) -> Self {
        let (drain, bodies) = (state.drain.clone(), &state.bodies);
        Self {
            draining: Box::pin(async move { drain.begun().await }),
            body: Box::pin(body),
            event_reader,
            timeout: bodies.timeout,
            chunk: Bytes::new(),
            waiting: None,
            permit: quotas.memory(&bodies.memory),
            pace: BodyPace::new(bodies.timeout, bodies.rate),
            unfinished: None,
            timer: None,
            taken: 0,
            consumed: 0,
            end: None,
        }
    }

    /// How the body ended, once all of it has been consumed.
    pub(super) fn end(&self) -> Option<&BodyEnd> {
        self.end.as_ref().filter(|_| self.chunk.is_empty())
    }

    /// Waits for bytes, or the end. Reads nothing while a chunk is not consumed.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.chunk.is_empty() && self.end.is_none() {
            if self.draining.as_mut().poll(cx).is_ready() {
                self.end = Some(BodyEnd::Draining);
                break;
            }
            if let Some(waiting) = &mut self.waiting {
                ready!(waiting.pause.as_mut().poll(cx));
                let UnadmittedChunk { chunk, since, .. } = self.waiting.take().expect("just seen");
                self.admit(chunk, since);
                continue;
            }
            match self.body.as_mut().poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => {
                    let Ok(data) = frame.into_data() else { continue };
                    let waited = self.unfinished.take().map_or(Duration::ZERO, |since| since.elapsed());
                    self.pace.arrived(data.len(), waited);
                    self.admit(data, Instant::now());
                }
                Poll::Ready(Some(Err(_))) => self.end = Some(BodyEnd::Broken),
                Poll::Ready(None) => self.end = Some(BodyEnd::Whole),
                Poll::Pending if self.is_too_slow(cx) => self.end = Some(BodyEnd::TooSlow),
                Poll::Pending => return Poll::Pending,
            }
        }
        Poll::Ready(())
    }

    /// Whether the event that has begun came too slowly. To be called when the body is pending.
    fn is_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        if self.event_reader.held() == 0 {
            self.pace.reset();
            return false;
        }
        let since = self.unfinished.is_none().then(Instant::now);
        if let Some(now) = since {
            self.unfinished = Some(now);
            let due = now + self.pace.left();
            match &mut self.timer {
                Some(timer) => timer.as_mut().reset(due),
                none => *none = Some(Box::pin(sleep_until(due))),
            }
        }
        self.timer.as_mut().is_some_and(|timer| timer.as_mut().poll(cx).is_ready())
    }

    /// The next event, or the problem in its place; `None` when more must be read first.
    pub(super) fn next(&mut self) -> Option<ParsedItem> {
        let mut rest = &*self.chunk;
        let mut item = self.event_reader.next(&mut rest);
        let read = self.chunk.len() - rest.len();
        self.chunk.advance(read);
        self.consumed += read;
        if item.is_none() && matches!(self.end, Some(BodyEnd::Whole)) {
            item = self.event_reader.finish();
        }
        if item.is_some() {
            self.taken += std::mem::take(&mut self.consumed);
            self.pace.reset();
        }
        item
    }

    /// The permit for all items that [`BodyReader::next`] has returned since the last call. It includes the bytes of
    /// blank lines, comments and skipped lines, which are no longer in memory.
    pub(super) fn release(&mut self) -> BodyPermit {
        let idle = self.consumed.saturating_sub(self.event_reader.held());
        self.consumed -= idle;
        let bytes = std::mem::take(&mut self.taken) + idle;
        self.permit.split(bytes)
    }

    /// Makes `chunk` the next one if there is memory for it, else lets it wait.
    fn admit(&mut self, chunk: Bytes, since: Instant) {
        match self.permit.grow(chunk.len()) {
            Ok(()) => self.chunk = chunk,
            Err(refused) if since.elapsed() >= self.timeout => self.end = Some(BodyEnd::NoRoom(refused.into())),
            Err(_) => self.waiting = Some(UnadmittedChunk { chunk, since, pause: Box::pin(sleep(PAUSE)) }),
        }
    }
}
