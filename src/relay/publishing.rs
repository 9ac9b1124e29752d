//! A run's events on their way into the log: one commit at a time, and what comes meanwhile is the next one.

use std::{convert::Infallible, future::Future, pin::Pin, rc::Rc, time::Duration};

use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    engine::{AppendError, IdempotencyKey},
    event::NewEvent,
    hub::publisher::{Acknowledgments, Allowance, PublishRefused, Publisher},
};

/// Bytes and events that wait for the commit before at most; beyond that the provider is not read. A commit takes some
/// milliseconds, in which a provider sends a few kilobytes.
const PENDING_BYTES: usize = 1 << 20;
const PENDING_EVENTS: usize = 4096;

/// Events of one commit that every engine takes.
const MIN_EVENTS: usize = 4;

/// How long a commit is repeated while the store cannot take it: its queue is full, the disk is full, or does not
/// respond. Meanwhile the provider waits.
const RETRY_FOR: Duration = Duration::from_mins(1);
const RETRY_EVERY: Duration = Duration::from_millis(100);

/// The events of one run that are not durable yet.
pub(super) struct RunPublishing {
    publisher: Rc<Publisher>,
    /// Events of one commit at most.
    most: usize,
    pending: Vec<NewEvent>,
    bytes: usize,
    /// When the oldest of `pending` came.
    since: Option<Instant>,
    committing: Option<Committing>,
}

/// A commit that has begun.
type Committing = Pin<Box<dyn Future<Output = Committed>>>;

/// A finished commit.
pub(super) struct Committed {
    /// Its acknowledgments, one for each event.
    pub result: Result<Acknowledgments, AppendError>,
    /// From the arrival of its oldest event until it was durable.
    pub took: Duration,
}

/// A run is charged as a run, not by its events.
struct RunAllowance;

impl Allowance for RunAllowance {
    type Refusal = Infallible;

    fn charge(&self, _: &[NewEvent]) -> Result<(), Infallible> {
        Ok(())
    }
}

impl RunPublishing {
    pub(super) fn new(publisher: Rc<Publisher>) -> Self {
        let most = publisher.hub().max_batch().max(MIN_EVENTS);
        Self { publisher, most, pending: Vec::new(), bytes: 0, since: None, committing: None }
    }

    /// Adds an event to the next commit.
    pub(super) fn push(&mut self, event: NewEvent) {
        self.bytes += event.data.len();
        self.since.get_or_insert_with(Instant::now);
        self.pending.push(event);
    }

    /// Whether the provider must wait.
    pub(super) fn is_full(&self) -> bool {
        self.bytes >= PENDING_BYTES || self.pending.len() >= PENDING_EVENTS
    }

    /// Whether a commit is under way.
    pub(super) fn is_committing(&self) -> bool {
        self.committing.is_some()
    }

    /// Begins the next commit, unless one is under way or there is nothing to commit.
    pub(super) fn commit(&mut self) {
        self.commit_part(None);
    }

    /// The same for the last commit, with a key that makes it the only one of its kind. What does not fit into one commit goes
    /// before, without the key: returns whether this commit is the last.
    pub(super) fn commit_last(&mut self, key: Option<IdempotencyKey>) -> bool {
        self.commit_part(key);
        self.pending.is_empty()
    }

    fn commit_part(&mut self, key: Option<IdempotencyKey>) {
        if self.committing.is_some() || self.pending.is_empty() {
            return;
        }
        let since = self.since.take().unwrap_or_else(Instant::now);
        self.bytes = 0;
        let mut events = std::mem::take(&mut self.pending);
        if events.len() > self.most {
            // The last two stay together: they are an ending and its entry in the journal.
            let rest = events.split_off(self.most.min(events.len() - 2));
            self.bytes = rest.iter().map(|event| event.data.len()).sum();
            (self.pending, self.since) = (rest, Some(since));
        }
        let key = key.filter(|_| self.pending.is_empty());
        let publisher = Rc::clone(&self.publisher);
        self.committing = Some(Box::pin(async move {
            let result = publish(&publisher, events, key).await;
            Committed { result, took: since.elapsed() }
        }));
    }

    /// The commit that is under way. Pending for ever when there is none. Cancel safe.
    pub(super) async fn committed(&mut self) -> Committed {
        match &mut self.committing {
            Some(committing) => {
                let committed = committing.await;
                self.committing = None;
                committed
            }
            None => std::future::pending().await,
        }
    }
}

/// Appends the events in one commit, with a `key` only once. Repeats it for a while when the store cannot take it now, and with
/// a key also when it is not known whether it has. On a log that hubs share, it waits as long for an answer.
///
/// # Errors
/// Why they are not durable.
pub(super) async fn publish(
    publisher: &Publisher,
    events: Vec<NewEvent>,
    key: Option<IdempotencyKey>,
) -> Result<Acknowledgments, AppendError> {
    let deadline = Instant::now() + RETRY_FOR;
    loop {
        let admitted = publisher.admit(events.clone(), None, &RunAllowance).map_err(|refused| match refused {
            PublishRefused::NotAllowed(never) => match never {},
            refused => AppendError::Unavailable { reason: refused.to_string().into() },
        })?;
        let committed = if publisher.hub().members().hub.is_some() {
            let unanswered = |_| Err(AppendError::Unavailable { reason: "it has had no answer for a minute".into() });
            timeout_at(deadline, publisher.publish_patiently(admitted, key)).await.unwrap_or_else(unanswered)
        } else {
            publisher.publish(admitted, key).await
        };
        let is_passing = match &committed {
            Err(AppendError::Busy | AppendError::Full | AppendError::NotNow { .. } | AppendError::KeysFull { .. }) => {
                true
            }
            Err(AppendError::Unavailable { .. }) => key.is_some(),
            _ => false,
        };
        if !is_passing || Instant::now() >= deadline {
            return committed;
        }
        sleep(RETRY_EVERY).await;
    }
}
