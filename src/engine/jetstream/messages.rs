//! The messages of a subject in core NATS, also after its subscription has ended.

use std::time::Duration;

use super::nats::{CoreMessage, CoreSubscription, Nats};

/// Between two tries of a subscription that has ended.
const RESUBSCRIBE: Duration = Duration::from_millis(500);

/// The messages of a subject, of which some may be lost.
pub(super) struct Messages {
    nats: Nats,
    subject: String,
    subscription: Option<CoreSubscription>,
}

impl Messages {
    pub(super) fn of(nats: &Nats, subject: String) -> Self {
        Self { nats: nats.clone(), subject, subscription: None }
    }

    /// The next message. Subscribes, again when the subscription has ended.
    pub(super) async fn next(&mut self) -> CoreMessage {
        loop {
            if let Some(subscription) = &mut self.subscription
                && let Some(message) = subscription.next().await
            {
                return message;
            }
            if self.subscription.take().is_some() {
                tokio::time::sleep(RESUBSCRIBE).await;
            }
            match self.nats.subscribe(&self.subject).await {
                Ok(subscription) => self.subscription = Some(subscription),
                Err(error) => {
                    tracing::debug!(%error, subject = self.subject, "no subscription now");
                    tokio::time::sleep(RESUBSCRIBE).await;
                }
            }
        }
    }
}
