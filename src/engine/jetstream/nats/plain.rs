//! Publish, request and subscribe without JetStream, for hubs among themselves. Delivered at most once.

use std::time::Duration;

use async_nats::Subscriber;
use bytes::Bytes;
use tokio_stream::StreamExt;

use super::{client::Nats, error::NatsError};

/// To hand a message to the connection; it waits only while 2048 others do, as those of a paused server.
const HAND_OVER: Duration = Duration::from_secs(2);

/// A received message.
#[derive(Clone, Debug)]
pub(in crate::engine) struct CoreMessage {
    pub(in crate::engine) subject: String,
    pub(in crate::engine) payload: Bytes,
    /// Where an answer is awaited.
    pub(in crate::engine) reply: Option<String>,
}

/// Messages of a subject, also after reconnects. Dropped messages are not told. Unsubscribes when dropped.
pub(in crate::engine) struct CoreSubscription(Subscriber);

impl CoreSubscription {
    /// The next message; `None` when the client has ended. Cancel safe.
    pub(in crate::engine) async fn next(&mut self) -> Option<CoreMessage> {
        let message = self.0.next().await?;
        let reply = message.reply.map(async_nats::Subject::into_string);
        Some(CoreMessage { subject: message.subject.into_string(), payload: message.payload, reply })
    }
}

impl Nats {
    /// Hands a message to the connection. Without one it is sent after the next reconnect.
    pub(in crate::engine) async fn publish(&self, subject: &str, payload: Bytes) -> Result<(), NatsError> {
        let sent = self.client().publish(subject.to_owned(), payload);
        match tokio::time::timeout(HAND_OVER, sent).await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(NatsError::Setup(error.to_string())),
            Err(_) => Err(NatsError::NoAnswer("the connection takes no messages".into())),
        }
    }

    /// A request and its first answer. [`NatsError::NoAnswer`] also when nobody has subscribed.
    pub(in crate::engine) async fn request(
        &self,
        subject: &str,
        payload: Bytes,
        wait: Duration,
    ) -> Result<Bytes, NatsError> {
        Ok(self.ask(subject.to_owned(), None, payload, wait).await?.payload)
    }

    /// Subscribes. The subscription holds 16,384 messages and drops further ones.
    pub(in crate::engine) async fn subscribe(&self, subject: &str) -> Result<CoreSubscription, NatsError> {
        Ok(CoreSubscription(self.subscriber(subject).await?))
    }

    pub(super) async fn subscriber(&self, subject: &str) -> Result<Subscriber, NatsError> {
        match tokio::time::timeout(HAND_OVER, self.client().subscribe(subject.to_owned())).await {
            Ok(Ok(subscriber)) => Ok(subscriber),
            Ok(Err(error)) => Err(NatsError::Setup(error.to_string())),
            Err(_) => Err(NatsError::NoAnswer("the connection takes no messages".into())),
        }
    }
}
