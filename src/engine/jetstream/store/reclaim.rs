//! Freeing the space of events below the marks, and deleting the messages of removed events. Repeating any of it is
//! harmless, and so is its being carried out by a hub that leads no more: marks only rise, and are stored before.

use std::sync::Arc;

use super::shared::{StoreCore, not_now};
use crate::{
    engine::log::store::{StoreError, TopicKey, TopicSettings, TopicSnapshot},
    event::{Seq, TopicName},
};

/// Topics of one round. A purge takes 4 to 14 ms, 1 ms each at 32 at once.
const TOPICS_AT_ONCE: usize = 512;

/// Requests under way at once.
const REQUESTS: usize = 16;

/// Deleted messages of one round.
const DELETIONS: usize = 256;

/// The position up to which a topic's events are gone, by its stored settings and state.
pub(super) fn durable_mark(settings: &TopicSettings, state: &TopicSnapshot) -> Seq {
    let ends = settings.deleted_through.max(settings.emptied_through).unwrap_or_default();
    state.mark.max(ends)
}

impl StoreCore {
    /// One round of both.
    pub(super) async fn reclaim(self: Arc<Self>) -> Result<(), StoreError> {
        if !self.chain.leads() {
            return Ok(());
        }
        let topics: Vec<((TopicName, TopicKey), Seq)> = {
            let mut garbage = self.garbage.lock();
            std::iter::from_fn(|| garbage.pop_first()).take(TOPICS_AT_ONCE).collect()
        };
        let purges = topics.into_iter().map(|((topic, key), mark)| {
            let core = Arc::clone(&self);
            async move {
                let result = core.purge(&topic, key, mark).await;
                if result.is_err() {
                    let mut garbage = core.garbage.lock();
                    let known = garbage.entry((topic, key)).or_default();
                    *known = mark.max(*known);
                }
                result
            }
        });
        let freed = some_at_once(purges).await;
        let due = self.removed.lock().due(DELETIONS);
        let deletions = due.into_iter().map(|(key, seq)| {
            let core = Arc::clone(&self);
            async move {
                core.nats.delete(seq.0).await.map_err(|error| not_now(&error))?;
                core.removed.lock().erased(key, seq);
                Ok(())
            }
        });
        freed.and(some_at_once(deletions).await)
    }

    /// Purges a topic's events and tombstones up to its mark.
    async fn purge(&self, topic: &TopicName, key: TopicKey, mark: Seq) -> Result<(), StoreError> {
        let purge = async |subject: String, below: u64| {
            self.nats.purge(&subject, below).await.map(drop).map_err(|error| not_now(&error))
        };
        purge(self.subjects.event(topic), mark.0 + 1).await?;
        let places = self.removed.lock().positions(key, mark);
        for seq in places {
            purge(self.subjects.tombstone(topic, seq), self.chain.last() + 1).await?;
            self.removed.lock().forget(key, seq);
        }
        Ok(())
    }
}

/// Runs all of these, some at once; returns the first error.
async fn some_at_once<F>(futures: impl Iterator<Item = F>) -> Result<(), StoreError>
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let (mut tasks, mut result) = (tokio::task::JoinSet::new(), Ok(()));
    let mut ended = |joined: Option<Result<Result<(), StoreError>, tokio::task::JoinError>>| {
        let one = joined
            .map_or(Ok(()), |joined| joined.unwrap_or_else(|_| Err(StoreError::NotNow("the engine has ended".into()))));
        result = std::mem::replace(&mut result, Ok(())).and(one);
    };
    for future in futures {
        if tasks.len() >= REQUESTS {
            ended(tasks.join_next().await);
        }
        tasks.spawn(future);
    }
    while !tasks.is_empty() {
        ended(tasks.join_next().await);
    }
    result
}
