//! A stream's body, chunk by chunk, with a place for its bytes among all bodies in memory.
//!
//! A chunk waits for its place before it is looked at; meanwhile nothing more is read, so the publisher is slowed by
//! its own connection. Places go with the events made of the bytes, and are free when those are committed.

use std::{
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http_body::Body;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::source::{Item, Source};
use crate::http::Door;

/// How a stream's body ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As the publisher meant it.
    Whole,
    /// The connection broke.
    Broken,
    /// No place was found for a chunk in time.
    NoRoom,
    /// The hub is about to stop.
    Draining,
}

type Place = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>>>>;

/// Reads a stream's body. See the room's own words.
pub(super) struct Intake<B> {
    draining: Pin<Box<dyn Future<Output = ()>>>,
    body: Pin<Box<B>>,
    source: Source,
    inflight: Arc<Semaphore>,
    /// How long a chunk may wait for its place.
    patience: Duration,
    chunk: Bytes,
    waiting: Option<(Bytes, Place)>,
    /// Places of `chunk` and of what the source holds.
    reserved: OwnedSemaphorePermit,
    /// Bytes of items that were taken and not released.
    taken: usize,
    /// Bytes taken off chunks since the last item.
    spent: usize,
    end: Option<End>,
}

impl<B: Body<Data = Bytes>> Intake<B> {
    /// Reads `body` with `source` until it ends or the hub drains.
    pub(super) fn new(door: &Door, body: B, source: Source) -> Self {
        let (drain, inflight) = (door.drain.clone(), Arc::clone(&door.inflight));
        let reserved = Arc::clone(&inflight).try_acquire_many_owned(0).expect("never closed, and 0 is always left");
        Self {
            draining: Box::pin(async move { drain.begun().await }),
            body: Box::pin(body),
            source,
            inflight,
            patience: door.limits.body_timeout,
            chunk: Bytes::new(),
            waiting: None,
            reserved,
            taken: 0,
            spent: 0,
            end: None,
        }
    }

    /// How the body ended, once all of it has been taken.
    pub(super) fn end(&self) -> Option<End> {
        self.end.filter(|_| self.chunk.is_empty())
    }

    /// Waits for bytes, or the end. Reads nothing while there are bytes left.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        while self.chunk.is_empty() && self.end.is_none() {
            if self.draining.as_mut().poll(cx).is_ready() {
                self.end = Some(End::Draining);
                break;
            }
            if let Some((_, place)) = &mut self.waiting {
                let place = ready!(place.as_mut().poll(cx));
                let (chunk, _) = self.waiting.take().expect("just seen");
                match place {
                    Some(permit) => {
                        self.reserved.merge(permit);
                        self.chunk = chunk;
                    }
                    None => self.end = Some(End::NoRoom),
                }
                continue;
            }
            match ready!(self.body.as_mut().poll_frame(cx)) {
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        self.admit(data);
                    }
                }
                Some(Err(_)) => self.end = Some(End::Broken),
                None => self.end = Some(End::Whole),
            }
        }
        Poll::Ready(())
    }

    /// The next event of what was read; `None` when more must be read first.
    pub(super) fn next(&mut self) -> Option<Item> {
        let mut rest = &*self.chunk;
        let mut item = self.source.next(&mut rest);
        let read = self.chunk.len() - rest.len();
        self.chunk.advance(read);
        self.spent += read;
        if item.is_none() && self.end == Some(End::Whole) {
            item = self.source.finish();
        }
        if item.is_some() {
            self.taken += std::mem::take(&mut self.spent);
        }
        item
    }

    /// The places of all that [`Intake::next`] has given since this was called last. Blank lines, comments and what is
    /// skipped are in memory no more, so their places go with them.
    pub(super) fn release(&mut self) -> OwnedSemaphorePermit {
        let idle = self.spent.saturating_sub(self.source.held());
        self.spent -= idle;
        let bytes = std::mem::take(&mut self.taken) + idle;
        self.reserved.split(bytes).expect("every byte of a chunk has its place")
    }

    /// Takes `data` as the next chunk if there is a place for it, else waits for one.
    fn admit(&mut self, data: Bytes) {
        let bytes = u32::try_from(data.len()).unwrap_or(u32::MAX);
        let (inflight, patience) = (Arc::clone(&self.inflight), self.patience);
        if let Ok(permit) = Arc::clone(&inflight).try_acquire_many_owned(bytes) {
            self.reserved.merge(permit);
            self.chunk = data;
        } else {
            let place = async move { timeout(patience, inflight.acquire_many_owned(bytes)).await.ok()?.ok() };
            self.waiting = Some((data, Box::pin(place)));
        }
    }
}
