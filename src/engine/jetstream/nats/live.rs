//! Stored messages, as the server republishes them: core NATS, at most once.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_nats::Subscriber;
use parking_lot::Mutex;
use tokio::{sync::Notify, task::JoinHandle, time::timeout};
use tokio_stream::StreamExt;

use super::{client::Nats, error::NatsError, message::Stored};

/// First token of republished subjects.
pub(super) const LIVE: &str = "live";

/// Payloads, headers and subjects that wait to be taken, in bytes: some seconds of 20,000 events of 256 bytes. What does
/// not fit is dropped, and read from the stream instead.
const WAITING: usize = 64 << 20;

/// For the client to hand on an error that the server told before its last answer.
const DENIAL: Duration = Duration::from_millis(20);

/// The size of a message besides its payload: headers, subject, and what the client allocates for them, in bytes.
const OVERHEAD: usize = 1_024;

/// What a subscription to stored messages brings.
#[derive(Debug)]
pub(in crate::engine) enum LiveItem {
    Stored(Stored),
    /// Messages may be missing here: the connection was lost, or the reader has fallen behind. So may they be without
    /// it: the server drops silently. Positions tell.
    Lagged,
}

/// Stored messages in the order of storing, from the subscription on, also after reconnects. Unsubscribes when dropped.
pub(in crate::engine) struct Live {
    buffer: Arc<Buffer>,
    pump: JoinHandle<()>,
}

struct Buffer {
    waiting: Mutex<WaitingItems>,
    arrived: Notify,
}

#[derive(Default)]
struct WaitingItems {
    items: VecDeque<LiveItem>,
    bytes: usize,
    closed: bool,
}

impl Nats {
    /// Subscribes to every message of the stream as it is stored. To be called within a tokio runtime. The server of the
    /// connection knows the subscription then; the stream's leader may, if it is another, some milliseconds later.
    pub(in crate::engine) async fn live(&self) -> Result<Live, NatsError> {
        let subject = format!("{LIVE}.{}.>", self.prefix());
        let mut denials = self.denials();
        let subscriber = self.subscriber(&subject).await?;
        self.round_trip().await?;
        if let Ok(told) = timeout(DENIAL, denials.of(&subject)).await {
            return Err(NatsError::Denied(told));
        }
        let buffer = Arc::new(Buffer { waiting: Mutex::default(), arrived: Notify::new() });
        let pump = tokio::spawn(pump(self.clone(), subscriber, Arc::clone(&buffer)));
        Ok(Live { buffer, pump })
    }
}

impl Live {
    /// The next item; `None` when the client has ended. Cancel safe.
    pub(in crate::engine) async fn next(&mut self) -> Option<LiveItem> {
        loop {
            if let Some(item) = self.try_next() {
                return Some(item);
            }
            if self.buffer.waiting.lock().closed {
                return None;
            }
            // One reader: a notice that comes before this wait is kept for it.
            self.buffer.arrived.notified().await;
        }
    }

    /// The next item, if it is here.
    pub(in crate::engine) fn try_next(&mut self) -> Option<LiveItem> {
        let mut waiting = self.buffer.waiting.lock();
        let item = waiting.items.pop_front()?;
        waiting.bytes -= size(&item);
        Some(item)
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        self.pump.abort();
    }
}

/// Takes messages from the client at once, whose own bound is a number of messages and not of bytes.
async fn pump(nats: Nats, mut subscriber: Subscriber, buffer: Arc<Buffer>) {
    let mut breaks = nats.breaks();
    while let Some(message) = subscriber.next().await {
        let now = nats.breaks();
        if std::mem::replace(&mut breaks, now) != now {
            buffer.push(LiveItem::Lagged);
        }
        match Stored::from_copy(message.headers, message.payload) {
            Ok(stored) => buffer.push(LiveItem::Stored(stored)),
            // Somebody else publishes below our prefix.
            Err(error) => {
                tracing::warn!(subject = %message.subject, %error, "a message that no stream has republished");
            }
        }
    }
    buffer.waiting.lock().closed = true;
    buffer.arrived.notify_one();
}

impl Buffer {
    fn push(&self, item: LiveItem) {
        let mut waiting = self.waiting.lock();
        let bytes = size(&item);
        if waiting.bytes + bytes > WAITING {
            if !matches!(waiting.items.back(), Some(LiveItem::Lagged)) {
                waiting.items.push_back(LiveItem::Lagged);
            }
        } else {
            waiting.bytes += bytes;
            waiting.items.push_back(item);
        }
        drop(waiting);
        self.arrived.notify_one();
    }
}

fn size(item: &LiveItem) -> usize {
    match item {
        LiveItem::Stored(stored) => stored.payload.len() + stored.subject.len() + OVERHEAD,
        LiveItem::Lagged => 0,
    }
}
