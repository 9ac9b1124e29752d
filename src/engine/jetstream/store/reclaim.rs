//! Freeing the space of events below the marks, and deleting the messages of removed events. Repeating any of it is
//! harmless, and so is its being carried out by a hub that leads no more: marks only rise, and are stored before. That is true
//! of one stream: a hub that was cut off has to look first whether it is still the same one.

use std::{sync::Arc, time::Duration};

use super::shared::{StoreCore, not_now};
use crate::{
    engine::log::store::{StoreError, TopicKey, TopicSettings, TopicSnapshot},
    event::{Seq, TopicName},
};

/// Topics of one round. A purge takes 4 to 14 ms, 1 ms each at 32 at once.
const TOPICS_AT_ONCE: usize = 512;

/// Requests under way at once.
const REQUESTS: usize = 16;

/// A hub looks at the stream each 5 s ([`continuity`](super::super::continuity)), unless it is cut off.
const VERIFIED: Duration = Duration::from_secs(15);

/// Deleted messages of one round.
const DELETIONS: usize = 256;

/// The position up to which a topic's events are gone, by its stored settings and state.
pub(super) fn durable_mark(settings: &TopicSettings, state: &TopicSnapshot) -> Seq {
    let ends = settings.deleted_through.max(settings.emptied_through).unwrap_or_default();
    state.mark.max(ends)
}

impl StoreCore {
    /// One round of both. What fails, and what was not begun because of that, is done by a later round.
    pub(super) async fn reclaim(self: Arc<Self>) -> Result<(), StoreError> {
        if !self.chain.leads() {
            return Ok(());
        }
        if !self.was_verified_within(VERIFIED) {
            return Err(StoreError::NotNow("it is not known whether the stream is still the same one".into()));
        }
        let core = &self;
        // Taken one by one, so that those that are not begun stay.
        let topics = std::iter::from_fn(|| core.garbage.lock().pop_first()).take(TOPICS_AT_ONCE);
        let purges = topics.map(|((topic, key), mark)| {
            let core = Arc::clone(core);
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
        let freed = some_at_once(purges, self.closed()).await;
        let due = self.removed.lock().due(DELETIONS);
        let deletions = due.into_iter().map(|(key, seq)| {
            let core = Arc::clone(core);
            async move {
                core.nats.delete(seq.0).await.map_err(|error| not_now(&error))?;
                core.removed.lock().erased(key, seq);
                Ok(())
            }
        });
        freed.and(some_at_once(deletions, self.closed()).await)
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

/// Runs these, some at once. After the first error, which it returns, it begins no more of them and waits for those under way.
/// Once `closed` resolves, it waits for none.
async fn some_at_once<F>(
    mut futures: impl Iterator<Item = F>,
    closed: impl Future<Output = ()>,
) -> Result<(), StoreError>
where
    F: Future<Output = Result<(), StoreError>> + Send + 'static,
{
    let (mut tasks, mut result) = (tokio::task::JoinSet::new(), Ok(()));
    let mut closed = std::pin::pin!(closed);
    loop {
        while result.is_ok()
            && tasks.len() < REQUESTS
            && let Some(future) = futures.next()
        {
            tasks.spawn(future);
        }
        let joined = tokio::select! {
            () = &mut closed => return result,
            joined = tasks.join_next() => joined,
        };
        let Some(joined) = joined else { return result };
        result = result.and(joined.unwrap_or_else(|_| Err(StoreError::NotNow("the engine has ended".into()))));
    }
}

#[cfg(test)]
mod tests {
    use std::{
        future::{Ready, pending, ready},
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use tokio::time::timeout;

    use super::*;

    /// Ten times as many as run at once, counted as they are begun. Each returns what `of` returns for its number.
    fn counted(
        begun: &Arc<AtomicUsize>,
        of: impl Fn(usize) -> Result<(), StoreError>,
    ) -> impl Iterator<Item = Ready<Result<(), StoreError>>> {
        (0..10 * REQUESTS).map(move |number| {
            begun.fetch_add(1, Ordering::Relaxed);
            ready(of(number))
        })
    }

    #[tokio::test]
    async fn after_the_first_error_nothing_more_is_begun() {
        let begun = Arc::new(AtomicUsize::new(0));
        let fails = |number| if number == 0 { Err(StoreError::NotNow("no leader".into())) } else { Ok(()) };
        let result = some_at_once(counted(&begun, fails), pending()).await;
        assert!(matches!(result, Err(StoreError::NotNow(_))), "{result:?}");
        assert!(begun.load(Ordering::Relaxed) < 10 * REQUESTS, "those that are not begun stay garbage");
        begun.store(0, Ordering::Relaxed);
        some_at_once(counted(&begun, |_| Ok(())), pending()).await.expect("none fails");
        assert_eq!(begun.load(Ordering::Relaxed), 10 * REQUESTS);
    }

    #[tokio::test(start_paused = true)]
    async fn a_store_that_is_closing_waits_for_no_answer() {
        let silent = (0..3).map(|_| pending::<Result<(), StoreError>>());
        let ended = timeout(Duration::from_secs(1), some_at_once(silent, ready(()))).await;
        assert!(matches!(ended, Ok(Ok(()))), "{ended:?}");
    }
}
