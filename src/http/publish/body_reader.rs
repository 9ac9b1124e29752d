//! A stream's body, chunk by chunk, with a place for its bytes among all bodies in memory.
//!
//! A chunk waits for its place before it is looked at; meanwhile nothing more is read, so the publisher is slowed by
//! its own connection. Places go with the events made of the bytes, and are free when those are committed.
//!
//! A stream may pause between its events for as long as it likes. An event that has begun holds memory, so it has a [`BodyPace`].

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http_body::Body;
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use super::event_reader::{EventReader, ParsedItem};
use crate::http::{AppState, auth::CallerQuotas, body_memory::BodyPermit, pace::BodyPace, problem::Problem};

/// Pause before a place is asked for again: a few flushes, each of which frees some.
const PAUSE: Duration = Duration::from_millis(20);

/// How a stream's body ended.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum BodyEnd {
    /// As the publisher meant it.
    Whole,
    /// The connection broke.
    Broken,
    /// No place was found for a chunk in time, for this reason.
    NoRoom(Problem),
    /// An event was begun and came too slowly.
    TooSlow,
    /// The hub is about to stop.
    Draining,
}

/// Reads a stream's body. See the room's own words.
pub(super) struct BodyReader<B> {
    draining: Pin<Box<dyn Future<Output = ()>>>,
    body: Pin<Box<B>>,
    event_reader: EventReader,
    /// How long a chunk may wait for its place.
    patience: Duration,
    chunk: Bytes,
    waiting: Option<UnadmittedChunk>,
    /// Of `chunk` and of what the source holds.
    place: BodyPermit,
    /// Of the event that has begun.
    pace: BodyPace,
    /// Since when more of that event is waited for.
    unfinished: Option<Instant>,
    alarm: Option<Pin<Box<Sleep>>>,
    /// Bytes of items that were taken and not released.
    taken: usize,
    /// Bytes taken off chunks since the last item.
    spent: usize,
    end: Option<BodyEnd>,
}

/// A chunk without a place.
struct UnadmittedChunk {
    chunk: Bytes,
    since: Instant,
    pause: Pin<Box<Sleep>>,
}

impl<B: Body<Data = Bytes>> BodyReader<B> {
    /// Reads `body` with `event_reader` until it ends or the hub drains. Its memory is of whoever has these `quotas`.
    pub(super) fn new(app: &AppState, quotas: &CallerQuotas, body: B, event_reader: EventReader) -> Self {
        let (drain, limits) = (app.drain.clone(), &app.limits);
        Self {
            draining: Box::pin(async move { drain.begun().await }),
            body: Box::pin(body),
            event_reader,
            patience: limits.body_timeout,
            chunk: Bytes::new(),
            waiting: None,
            place: app.body_memory.place(quotas),
            pace: BodyPace::new(limits.body_timeout, limits.body_rate),
            unfinished: None,
            alarm: None,
            taken: 0,
            spent: 0,
            end: None,
        }
    }

    /// How the body ended, once all of it has been taken.
    pub(super) fn end(&self) -> Option<&BodyEnd> {
        self.end.as_ref().filter(|_| self.chunk.is_empty())
    }

    /// Waits for bytes, or the end. Reads nothing while there are bytes left.
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

    /// Whether the event that has begun came too slowly. Called when more of the body must be waited for.
    fn is_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        if self.event_reader.held() == 0 {
            self.pace.reset();
            return false;
        }
        let since = self.unfinished.is_none().then(Instant::now);
        if let Some(now) = since {
            self.unfinished = Some(now);
            let due = now + self.pace.left();
            match &mut self.alarm {
                Some(alarm) => alarm.as_mut().reset(due),
                none => *none = Some(Box::pin(sleep_until(due))),
            }
        }
        self.alarm.as_mut().is_some_and(|alarm| alarm.as_mut().poll(cx).is_ready())
    }

    /// The next event of what was read; `None` when more must be read first.
    pub(super) fn next(&mut self) -> Option<ParsedItem> {
        let mut rest = &*self.chunk;
        let mut item = self.event_reader.next(&mut rest);
        let read = self.chunk.len() - rest.len();
        self.chunk.advance(read);
        self.spent += read;
        if item.is_none() && matches!(self.end, Some(BodyEnd::Whole)) {
            item = self.event_reader.finish();
        }
        if item.is_some() {
            self.taken += std::mem::take(&mut self.spent);
            self.pace.reset();
        }
        item
    }

    /// The place of all that [`BodyReader::next`] has given since this was called last. Blank lines, comments and what is
    /// skipped are in memory no more, so their bytes go with them.
    pub(super) fn release(&mut self) -> BodyPermit {
        let idle = self.spent.saturating_sub(self.event_reader.held());
        self.spent -= idle;
        let bytes = std::mem::take(&mut self.taken) + idle;
        self.place.split(bytes)
    }

    /// Takes `chunk` as the next one if there is a place for it, else waits for one.
    fn admit(&mut self, chunk: Bytes, since: Instant) {
        match self.place.grow(chunk.len()) {
            Ok(()) => self.chunk = chunk,
            Err(problem) if since.elapsed() >= self.patience => self.end = Some(BodyEnd::NoRoom(problem)),
            Err(_) => self.waiting = Some(UnadmittedChunk { chunk, since, pause: Box::pin(sleep(PAUSE)) }),
        }
    }
}
