//! Lines of a stream on their way into the log, and their receipts in the lines' order.
//!
//! Many lines wait for the disk at the same time, so that they share its flushes; none waits for the receipt of the
//! one before it.

use std::{
    collections::VecDeque,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use tokio::{
    sync::OwnedSemaphorePermit,
    time::{Instant, Sleep, sleep},
};

use super::{
    receipt::{Receipts, refusal},
    source::Item,
};
use crate::{
    engine::{Append, AppendError, Receipt},
    event::NewEvent,
    http::problem::Problem,
    hub::Hub,
};

/// Lines of one stream waiting at most: at 5 ms a flush, 200 000 events a second.
const MAX_LINES: usize = 1024;

/// Bytes of data of one stream waiting at most: at 5 ms a flush, 800 MB a second. One event is always let in.
const MAX_BYTES: usize = 4 << 20;

/// Pause before a full engine is asked again: a few flushes.
const PAUSE: Duration = Duration::from_millis(20);

type Publishing = Pin<Box<dyn Future<Output = Result<Vec<Receipt>, AppendError>>>>;

pub(super) struct Pipeline {
    hub: Arc<Hub>,
    patience: Duration,
    places: VecDeque<Place>,
    bytes: usize,
    stalled: Option<Stalled>,
}

/// A line's place in the answer.
enum Place {
    /// What to say there is known.
    Known(String),
    /// Waits for its commit.
    Due { publishing: Publishing, bytes: usize, _reserved: OwnedSemaphorePermit },
}

/// A line that the engine had no room for. Nothing is tried after it before it got in, so that the order is kept.
struct Stalled {
    event: NewEvent,
    reserved: OwnedSemaphorePermit,
    since: Instant,
    pause: Pin<Box<Sleep>>,
}

impl Pipeline {
    /// Publishes to `hub`; a line waits at most `patience` for a full engine before it is refused.
    pub(super) fn new(hub: Arc<Hub>, patience: Duration) -> Self {
        Self { hub, patience, places: VecDeque::new(), bytes: 0, stalled: None }
    }

    /// Whether another line may be pushed now.
    pub(super) fn has_room(&self) -> bool {
        self.stalled.is_none() && self.places.len() < MAX_LINES && self.bytes < MAX_BYTES
    }

    /// Whether no line waits.
    pub(super) fn is_empty(&self) -> bool {
        self.stalled.is_none() && self.places.is_empty()
    }

    /// Puts a line into the engine's queue, or what is wrong with it into its place.
    pub(super) fn push(&mut self, item: Item, reserved: OwnedSemaphorePermit, cx: &mut Context<'_>) {
        match item {
            Ok(event) => self.submit(event, reserved, Instant::now(), cx),
            Err(problem) => self.refuse(&problem),
        }
    }

    /// Puts a refusal into the next place.
    pub(super) fn refuse(&mut self, problem: &Problem) {
        self.hub.stats().refused(problem.code.as_str());
        self.places.push_back(Place::Known(refusal(problem)));
    }

    /// The receipts that are due, one a line; empty when the first is still waited for.
    pub(super) fn receipts(&mut self, cx: &mut Context<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        self.retry_stalled(cx);
        while let Some(place) = self.places.front_mut() {
            let line = match place {
                Place::Known(line) => std::mem::take(line),
                Place::Due { publishing, bytes, .. } => {
                    let Poll::Ready(result) = publishing.as_mut().poll(cx) else { break };
                    self.bytes -= *bytes;
                    settle(&self.hub, result)
                }
            };
            self.places.pop_front();
            out.extend_from_slice(line.as_bytes());
            out.push(b'\n');
        }
        out
    }

    fn submit(&mut self, event: NewEvent, reserved: OwnedSemaphorePermit, since: Instant, cx: &mut Context<'_>) {
        let hub = self.hub.clone();
        let append = Append { events: vec![event.clone()], expect: None, key: None };
        let mut publishing: Publishing = Box::pin(async move { hub.publish(append).await });
        let bytes = event.data.len();
        // The first poll puts it into the engine's queue; a full one says so at once.
        match publishing.as_mut().poll(cx) {
            Poll::Ready(Err(AppendError::Busy)) if since.elapsed() < self.patience => {
                self.stalled = Some(Stalled { event, reserved, since, pause: Box::pin(sleep(PAUSE)) });
            }
            Poll::Ready(result) => self.places.push_back(Place::Known(settle(&self.hub, result))),
            Poll::Pending => {
                self.bytes += bytes;
                self.places.push_back(Place::Due { publishing, bytes, _reserved: reserved });
            }
        }
    }

    fn retry_stalled(&mut self, cx: &mut Context<'_>) {
        while let Some(mut stalled) = self.stalled.take() {
            if stalled.pause.as_mut().poll(cx).is_pending() {
                self.stalled = Some(stalled);
                return;
            }
            self.submit(stalled.event, stalled.reserved, stalled.since, cx);
        }
    }
}

/// A finished line's receipt, or its refusal, counted.
fn settle(hub: &Hub, result: Result<Vec<Receipt>, AppendError>) -> String {
    match result {
        Ok(receipts) => Receipts { epoch: hub.epoch(), receipts }.one(),
        Err(error) => {
            let problem = Problem::from(error);
            hub.stats().refused(problem.code.as_str());
            refusal(&problem)
        }
    }
}
