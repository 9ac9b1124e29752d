//! A stream of events to one topic, such as tokens.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::{
    ClientError,
    connection::HubConnection,
    publish::{Data, NewEvent, PublishOptions, Receipt, Sender, array, publish, random_key, receipts},
};

/// Most events of a batch, and most bytes of its envelopes (a single larger one is sent alone). A hub accepts 100,000
/// events and 16 MiB by default.
const BATCH_EVENTS: usize = 4096;
const BATCH_BYTES: usize = 1 << 20;

/// A stream of events to one topic. Events that wait go out as one batch, one batch after the other, each with a key of its own: a
/// batch without an answer is sent again, so a broken connection loses and doubles nothing. An event is not delayed to fill a
/// batch.
///
/// A tokio task sends. When this is dropped it goes on until everything is sent or has failed, and nobody is told:
/// [`close`](Self::close) it.
pub struct PublishStream {
    topic: String,
    line: Arc<Line>,
}

/// What waits to be sent, and its outcome.
struct Line {
    state: Mutex<LineState>,
    changed: Notify,
}

#[derive(Default)]
struct LineState {
    waiting: VecDeque<Bytes>,
    /// Bytes of what waits.
    bytes: usize,
    /// A batch is on its way.
    is_sending: bool,
    is_closed: bool,
    failure: Option<Arc<ClientError>>,
    last: Option<Receipt>,
}

impl PublishStream {
    pub(crate) fn open(sender: Sender, topic: String, give_up_after: Duration) -> Result<Self, ClientError> {
        let line = Arc::new(Line { state: Mutex::default(), changed: Notify::new() });
        let options = PublishOptions { give_up_after, ..PublishOptions::default() };
        let batches = Batches { prefix: random_key()?, count: 0, most_bytes: BATCH_BYTES, options };
        tokio::spawn(send_all(sender, Arc::clone(&line), batches));
        Ok(Self { topic, line })
    }

    /// Adds an event. Waits while a batch's worth is in line. Cancel safe: then it is not added.
    ///
    /// # Errors
    /// When the stream is closed, has failed before, or the data cannot be written as JSON.
    pub async fn write(&self, data: impl Into<Data>) -> Result<(), ClientError> {
        self.add(&NewEvent::new(&*self.topic, data)).await
    }

    /// Adds an event with a name, as [`write`](Self::write) does.
    ///
    /// # Errors
    /// As [`write`](Self::write).
    pub async fn write_event(&self, event: impl Into<String>, data: impl Into<Data>) -> Result<(), ClientError> {
        self.add(&NewEvent::new(&*self.topic, data).event(event)).await
    }

    async fn add(&self, event: &NewEvent) -> Result<(), ClientError> {
        let envelope = event.encode()?;
        let is_full = |state: &LineState| state.waiting.len() >= BATCH_EVENTS || state.bytes >= BATCH_BYTES;
        self.line
            .when(|state| {
                state.check()?;
                if state.is_closed {
                    return Err(ClientError::Closed);
                }
                if is_full(state) {
                    return Ok(None);
                }
                state.bytes += envelope.len();
                state.waiting.push_back(envelope.clone());
                Ok(Some(()))
            })
            .await?;
        self.line.changed.notify_waiters();
        Ok(())
    }

    /// Waits until everything written is durable. The receipt is the last event's, `None` if there is none. Cancel safe.
    ///
    /// # Errors
    /// [`ClientError::Stream`] when something was not published.
    pub async fn flush(&self) -> Result<Option<Receipt>, ClientError> {
        self.line
            .when(|state| {
                state.check()?;
                let is_done = state.waiting.is_empty() && !state.is_sending;
                Ok(is_done.then(|| state.last.clone()))
            })
            .await
    }

    /// Flushes, and takes no more. The topic stays open.
    ///
    /// # Errors
    /// As [`flush`](Self::flush).
    pub async fn close(self) -> Result<Option<Receipt>, ClientError> {
        self.line.close();
        self.flush().await
    }

    /// Closes the stream, and the topic with this as its last event.
    ///
    /// # Errors
    /// As [`write`](Self::write) and [`flush`](Self::flush).
    pub async fn finish(self, event: Option<&str>, data: impl Into<Data>) -> Result<Option<Receipt>, ClientError> {
        let mut last = NewEvent::new(&*self.topic, data).close();
        if let Some(name) = event {
            last = last.event(name);
        }
        self.add(&last).await?;
        self.close().await
    }
}

impl Drop for PublishStream {
    fn drop(&mut self) {
        self.line.close();
    }
}

impl Line {
    fn close(&self) {
        self.state.lock().is_closed = true;
        self.changed.notify_waiters();
    }

    /// Waits until `take` returns something.
    async fn when<T>(
        &self,
        mut take: impl FnMut(&mut LineState) -> Result<Option<T>, ClientError>,
    ) -> Result<T, ClientError> {
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            // Before the look at the state, so that no change is missed.
            changed.as_mut().enable();
            let taken = take(&mut self.state.lock())?;
            if let Some(taken) = taken {
                return Ok(taken);
            }
            changed.await;
        }
    }
}

impl LineState {
    fn check(&self) -> Result<(), ClientError> {
        self.failure.as_ref().map_or(Ok(()), |failure| Err(ClientError::Stream(Arc::clone(failure))))
    }
}

/// How what waits becomes batches.
struct Batches {
    /// Of all keys.
    prefix: String,
    count: u64,
    /// Most bytes of the next batch: fewer when the hub has refused some as too large.
    most_bytes: usize,
    options: PublishOptions,
}

impl Batches {
    /// Takes the next batch out of the line; empty if nothing waits.
    fn take(&self, state: &mut LineState) -> Vec<Bytes> {
        let (mut batch, mut size) = (Vec::new(), 0);
        while let Some(envelope) = state.waiting.front()
            && (batch.is_empty() || (batch.len() < BATCH_EVENTS && size + envelope.len() <= self.most_bytes))
        {
            size += envelope.len();
            batch.extend(state.waiting.pop_front());
        }
        state.bytes -= size;
        batch
    }

    /// Publishes a batch. One that is too large for this hub was not published, and goes out in halves.
    async fn publish(
        &mut self,
        connection: &mut HubConnection<'_, crate::requests::connector::HubConnector>,
        batch: Vec<Bytes>,
    ) -> Result<Option<Receipt>, ClientError> {
        let (mut parts, mut last) = (vec![batch], None);
        while let Some(part) = parts.pop() {
            self.count += 1;
            let body = array(part.iter());
            let size = body.len();
            let options =
                PublishOptions { key: Some(format!("{}-{}", self.prefix, self.count)), ..self.options.clone() };
            match publish(connection, body, &options, receipts).await {
                Ok(receipts) => last = receipts.into_iter().next_back().or(last),
                Err(ClientError::Refused(problem)) if problem.status() == Some(413) && part.len() > 1 => {
                    self.most_bytes = self.most_bytes.min(size / 2);
                    let (first, second) = part.split_at(part.len() / 2);
                    parts.extend([second.to_vec(), first.to_vec()]);
                }
                Err(error) => return Err(error),
            }
        }
        Ok(last)
    }
}

async fn send_all(sender: Sender, line: Arc<Line>, mut batches: Batches) {
    let mut connection = HubConnection::new(&sender.client);
    loop {
        let next = line
            .when(|state| {
                let batch = batches.take(state);
                state.is_sending = !batch.is_empty();
                Ok((state.is_sending || state.is_closed).then_some(batch))
            })
            .await;
        // What waited has made room.
        line.changed.notify_waiters();
        let batch = next.unwrap_or_default();
        if batch.is_empty() {
            return;
        }
        let outcome = batches.publish(&mut connection, batch).await;
        let mut state = line.state.lock();
        state.is_sending = !state.waiting.is_empty();
        match outcome {
            Ok(last) => state.last = last.or(state.last.take()),
            Err(error) => {
                state.failure = Some(Arc::new(error));
                (state.bytes, state.is_sending) = (0, false);
                state.waiting.clear();
            }
        }
        drop(state);
        line.changed.notify_waiters();
    }
}
