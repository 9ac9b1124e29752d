//! Publishing, for every protocol: the limits of a publish, the publisher's allowance, batching, and the
//! acknowledgments.
//!
//! A publish has two steps. [`Publisher::admit`] checks the events and charges for them; [`Publisher::publish`] appends
//! what was admitted. Between them a protocol may compute what it needs of the events, such as their idempotency key.

use std::{fmt, slice, sync::Arc};

use super::{Acknowledgment, Hub, PublishResult, batcher::Batcher};
use crate::{
    engine::{Append, AppendError, EngineFuture, ExpectedLast, IdempotencyKey, Rejected},
    event::NewEvent,
};

/// Largest number of events in one publish. An event costs some 200 bytes besides its data, so 16 MiB of the smallest
/// ones would cost ten times their size; this many cost 20 MiB.
pub const MAX_EVENTS: usize = 100_000;

/// Bounds of a publish, in bytes of data and metadata.
#[derive(Debug, Clone, Copy)]
pub struct PublishLimits {
    /// Of one event at most.
    pub event_bytes: usize,
    /// Of several events in one publish at most.
    pub batch_bytes: usize,
}

/// Whether a publisher may publish, and what it is charged: its grant, its rates, the topics that it may create.
pub trait Allowance {
    /// Why it may not.
    type Refusal;

    /// Charges for `events`, all or none.
    ///
    /// # Errors
    /// Why the publisher may not publish them now.
    fn charge(&self, events: &[NewEvent]) -> Result<(), Self::Refusal>;
}

/// Publishes the events of one thread. Share it among the tasks of a thread, one of which must run [`Publisher::run`].
pub struct Publisher {
    hub: Arc<Hub>,
    limits: PublishLimits,
    batcher: Batcher,
}

/// Events that are within the limits and were charged for.
#[derive(Debug)]
#[must_use = "admitted events are not published yet"]
pub struct Admitted {
    events: Vec<NewEvent>,
    expect: Option<ExpectedLast>,
}

/// Why events were not admitted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PublishRefused<R> {
    /// An event has too much data.
    EventTooLarge {
        /// Bytes of its data and metadata.
        bytes: usize,
        /// Bytes that are allowed.
        max: usize,
    },
    /// The events together have too much data.
    BatchTooLarge {
        /// Bytes of their data and metadata.
        bytes: usize,
        /// Bytes that are allowed.
        max: usize,
    },
    /// There are more than [`MAX_EVENTS`], or than the engine takes at once.
    TooMany {
        /// Events that are allowed.
        max: usize,
    },
    /// A condition is about the last event of one topic, and the events have several.
    SeveralTopics,
    /// The [`Allowance`] refused them.
    NotAllowed(R),
}

/// The acknowledgments of a publish, one for each event, in order. One of a single event takes no allocation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Acknowledgments {
    /// Of one event, which was batched with others.
    One(Acknowledgment),
    /// Of a commit of its own.
    Batch(Vec<Acknowledgment>),
}

impl Publisher {
    /// A publisher to `hub`.
    #[must_use]
    pub fn new(hub: Arc<Hub>, limits: PublishLimits) -> Self {
        Self { hub, limits, batcher: Batcher::default() }
    }

    /// The hub that it publishes to.
    #[must_use]
    pub fn hub(&self) -> &Arc<Hub> {
        &self.hub
    }

    /// The bounds of a publish.
    #[must_use]
    pub fn limits(&self) -> PublishLimits {
        self.limits
    }

    /// Submits the events of this thread to the engine, and passes on its answers. Never returns.
    pub async fn run(&self) {
        self.batcher.run(&self.hub).await;
    }

    /// Checks the limits, then charges for the events. With `expect` they are only appended if their topic's last event
    /// is that one.
    ///
    /// # Errors
    /// What to change, or why the publisher may not publish them. Nothing is charged for, except before
    /// [`PublishRefused::SeveralTopics`]: a publisher learns first that it may not publish at all.
    pub fn admit<A: Allowance>(
        &self,
        events: Vec<NewEvent>,
        expect: Option<ExpectedLast>,
        allowance: &A,
    ) -> Result<Admitted, PublishRefused<A::Refusal>> {
        self.check_size(&events)?;
        allowance.charge(&events).map_err(PublishRefused::NotAllowed)?;
        let several = || events.windows(2).any(|pair| pair[0].topic != pair[1].topic);
        if expect.is_some() && several() {
            return Err(PublishRefused::SeveralTopics);
        }
        Ok(Admitted { events, expect })
    }

    /// Appends admitted events, all in one commit or none. Resolves when they are durable and in the rings of the live
    /// streams. A repeated `key` appends nothing and returns the first acknowledgments. Dropping the future does not
    /// cancel an append that has begun.
    ///
    /// # Errors
    /// Why nothing was appended.
    pub async fn publish(
        &self,
        Admitted { mut events, expect }: Admitted,
        key: Option<IdempotencyKey>,
    ) -> Result<Acknowledgments, AppendError> {
        if events.len() == 1
            && expect.is_none()
            && key.is_none()
            && let Some(event) = events.pop()
        {
            return self.batcher.publish(event).await.map(Acknowledgments::One);
        }
        self.batcher.append(Append { events, expect, key }).await.map(Acknowledgments::Batch)
    }

    /// The same for a caller that can wait, without batching: see
    /// [`Log::append_patiently`](crate::engine::Log::append_patiently).
    ///
    /// # Errors
    /// Why nothing was appended.
    pub async fn publish_patiently(
        &self,
        Admitted { events, expect }: Admitted,
        key: Option<IdempotencyKey>,
    ) -> Result<Acknowledgments, AppendError> {
        self.hub.publish_patiently(Append { events, expect, key }).await.map(Acknowledgments::Batch)
    }

    /// Appends each of `events`, which its publisher has charged for one by one, for a stream that makes batches of its
    /// own: see [`Hub::publish_each`].
    ///
    /// # Errors
    /// When the engine's queue is full; the events are returned, for a retry.
    pub fn publish_each(
        &self,
        events: Vec<NewEvent>,
    ) -> Result<EngineFuture<Vec<PublishResult>, AppendError>, Rejected> {
        self.hub.publish_each(events)
    }

    fn check_size<R>(&self, events: &[NewEvent]) -> Result<(), PublishRefused<R>> {
        let PublishLimits { event_bytes, batch_bytes } = self.limits;
        let mut total = 0;
        for event in events {
            let bytes = event.payload_bytes();
            if bytes > event_bytes {
                return Err(PublishRefused::EventTooLarge { bytes, max: event_bytes });
            }
            total += bytes;
        }
        if events.len() > 1 && total > batch_bytes {
            return Err(PublishRefused::BatchTooLarge { bytes: total, max: batch_bytes });
        }
        let max = self.hub.max_batch().min(MAX_EVENTS);
        if events.len() > max { Err(PublishRefused::TooMany { max }) } else { Ok(()) }
    }
}

impl Admitted {
    /// The events.
    #[must_use]
    pub fn events(&self) -> &[NewEvent] {
        &self.events
    }

    /// The condition.
    #[must_use]
    pub fn expect(&self) -> Option<ExpectedLast> {
        self.expect
    }
}

impl Acknowledgments {
    /// All of them.
    #[must_use]
    pub fn as_slice(&self) -> &[Acknowledgment] {
        match self {
            Self::One(one) => slice::from_ref(one),
            Self::Batch(all) => all,
        }
    }
}

impl<R: fmt::Display> fmt::Display for PublishRefused<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::EventTooLarge { bytes, max } => {
                write!(f, "the event has {bytes} bytes of data; at most {max} are allowed")
            }
            Self::BatchTooLarge { bytes, max } => {
                write!(f, "the events have {bytes} bytes of data together; at most {max} are allowed")
            }
            Self::TooMany { max } => {
                write!(f, "the batch has too many events; at most {max} events are allowed; split it")
            }
            Self::SeveralTopics => f.write_str("a condition needs events of one topic; publish each topic by itself"),
            Self::NotAllowed(refusal) => refusal.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;
    use crate::{
        engine::{
            log::{LogConfig, LogEngine},
            memory::MemoryStore,
        },
        event::{Metadata, TopicName},
        hub::{HubConfig, broker::Broker},
    };

    const LIMITS: PublishLimits = PublishLimits { event_bytes: 10, batch_bytes: 25 };

    /// Allows this many more events, in topics below `mine`.
    struct Share(Cell<usize>);

    impl Allowance for Share {
        type Refusal = &'static str;

        fn charge(&self, events: &[NewEvent]) -> Result<(), &'static str> {
            if events.iter().any(|event| !event.topic.as_str().starts_with("mine/")) {
                return Err("not yours");
            }
            let left = self.0.get().checked_sub(events.len()).ok_or("no more now")?;
            self.0.set(left);
            Ok(())
        }
    }

    fn publisher() -> (Publisher, MemoryStore) {
        let (config, store) = (HubConfig::fixture(), MemoryStore::new());
        let broker = Broker::new(1, &config);
        let engine = LogEngine::open(store.clone(), LogConfig::fixture(), Arc::clone(&broker) as _);
        (Publisher::new(Hub::new(engine, broker, config), LIMITS), store)
    }

    fn event(topic: &str, data: &str) -> NewEvent {
        NewEvent::new(TopicName::new(topic).expect("valid"), data)
    }

    async fn try_publish(
        publisher: &Publisher,
        admitted: Admitted,
        key: Option<IdempotencyKey>,
    ) -> Result<Acknowledgments, AppendError> {
        tokio::select! {
            () = publisher.run() => unreachable!("it never ends"),
            result = publisher.publish(admitted, key) => result,
        }
    }

    /// The positions of the published events.
    async fn publish(publisher: &Publisher, admitted: Admitted, key: Option<IdempotencyKey>) -> Vec<u64> {
        let all = try_publish(publisher, admitted, key).await.expect("published");
        all.as_slice().iter().map(|one| one.receipt.seq.0).collect()
    }

    #[tokio::test]
    async fn one_event_a_batch_and_a_retry_are_acknowledged_in_order() {
        let ((publisher, store), share) = (publisher(), Share(Cell::new(10)));
        let one = publisher.admit(vec![event("mine/a", "1")], None, &share).expect("admitted");
        let one = publish(&publisher, one, None).await;
        let batch = || vec![event("mine/a", "2"), event("mine/b", "3")];
        let key = Some(IdempotencyKey { key: [1; 16], fingerprint: [2; 16], owner: 1 });
        let first = publisher.admit(batch(), None, &share).expect("admitted");
        let (first, writes) = (publish(&publisher, first, key).await, store.faults().writes());
        assert!(one[0] < first[0] && first[0] < first[1], "{one:?} {first:?}");
        let again = publisher.admit(batch(), None, &share).expect("admitted");
        assert_eq!((publish(&publisher, again, key).await, store.faults().writes()), (first, writes));
        assert_eq!(share.0.get(), 5);
    }

    #[tokio::test]
    async fn what_is_too_large_or_not_allowed_is_not_admitted_and_charged_nothing() {
        let ((publisher, store), share) = (publisher(), Share(Cell::new(3)));
        let (full, over) = ("x".repeat(10), "x".repeat(11));
        let refused = |events: Vec<NewEvent>| publisher.admit(events, None, &share).expect_err("refused");
        let of = |count, data: &str| vec![event("mine/a", data); count];
        assert_eq!(refused(of(1, &over)), PublishRefused::EventTooLarge { bytes: 11, max: 10 });
        let metadata = Metadata::new(1, b"three").expect("short");
        let with_metadata = NewEvent { metadata: Some(metadata), ..event("mine/a", "12345") };
        assert_eq!(refused(vec![with_metadata]), PublishRefused::EventTooLarge { bytes: 11, max: 10 });
        assert_eq!(refused(of(3, &full)), PublishRefused::BatchTooLarge { bytes: 30, max: 25 });
        assert_eq!(refused(of(MAX_EVENTS + 1, "")), PublishRefused::TooMany { max: MAX_EVENTS });
        assert_eq!(refused(vec![event("other", "x")]), PublishRefused::NotAllowed("not yours"));
        assert_eq!(refused(of(4, "x")), PublishRefused::NotAllowed("no more now"));
        assert_eq!((share.0.get(), store.faults().writes()), (3, 0));
        let two_topics = vec![event("mine/a", "x"), event("mine/b", "x")];
        let conditional = publisher.admit(two_topics, Some(ExpectedLast::Empty), &share);
        assert_eq!(conditional.expect_err("refused"), PublishRefused::SeveralTopics);
    }

    #[tokio::test]
    async fn a_condition_that_is_not_met_appends_nothing() {
        let ((publisher, _), share) = (publisher(), Share(Cell::new(10)));
        let empty = || publisher.admit(vec![event("mine/a", "1")], Some(ExpectedLast::Empty), &share);
        assert_eq!(publish(&publisher, empty().expect("admitted"), None).await.len(), 1);
        let second = try_publish(&publisher, empty().expect("admitted"), None).await;
        assert!(matches!(second, Err(AppendError::Precondition { .. })), "{second:?}");
    }
}
