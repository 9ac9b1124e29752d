//! Proof of where the log ends.
//!
//! What a replica or a stream's leader says of the end may be old. A hub that leads and has just written something knows it:
//! nobody else can have written since its record.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{oneshot, watch},
    time::{Instant, sleep_until, timeout},
};

use super::{link::Link, messages::Messages, nats::NatsError, shared_proof::Proof};
use crate::engine::{AppendError, log::queue::Job};

/// For the answer of the leading hub: a write, and the way there and back.
const ANSWER: Duration = Duration::from_secs(2);

/// Before the first question: a hub to which the clients of another one come is behind by some 100 ms at most.
const FEED: Duration = Duration::from_millis(100);

/// Between two questions.
const AGAIN: Duration = Duration::from_millis(200);

/// How long the end of the log is asked for. The requests that wait for it are answered within 10 s.
const PATIENCE: Duration = Duration::from_secs(8);

/// A leading hub without anything to write shows once in so long that it could.
pub(super) const IDLE: Duration = Duration::from_secs(5);

/// The answer of the leading hub.
#[derive(Debug, Serialize, Deserialize)]
struct Proved {
    /// The newest position, records included, when something was written after the question.
    end: u64,
}

/// Answers other hubs while this one leads.
pub(super) async fn answer(link: Arc<Link>) {
    let mut questions = Messages::of(&link.nats, subject(&link, link.hub.as_str()));
    loop {
        let Some(reply) = questions.next().await.reply else { continue };
        if !link.shared().leads() {
            continue;
        }
        let link = Arc::clone(&link);
        tokio::spawn(async move {
            // Without an answer the other hub asks again.
            if let Ok(Ok(end)) = timeout(ANSWER, prove(&link)).await {
                let text = serde_json::to_vec(&Proved { end }).expect("it has no maps");
                drop(link.nats.publish(&reply, text.into()).await);
            }
        });
    }
}

/// Waits until this hub has read the log up to `position`, or the log is proved to end before it.
///
/// # Errors
/// When neither happens in time.
pub(super) async fn reach(link: Arc<Link>, position: u64) -> Result<(), String> {
    let (link, shared) = (&link, link.shared());
    wait(position, link.applied.subscribe(), || shared.head().0, || shared.leads(), || end(link)).await
}

/// The same, of a hub that has shown its readers everything up to `head`.
async fn wait<F: Future<Output = Proof>>(
    position: u64,
    mut applied: watch::Receiver<u64>,
    head: impl Fn() -> u64,
    leads: impl Fn() -> bool,
    end: impl Fn() -> F,
) -> Result<(), String> {
    let until = Instant::now() + PATIENCE;
    let (mut pause, mut is_stored, mut led_past) = (FEED, false, false);
    loop {
        tokio::select! {
            biased;
            () = reached(position, &mut applied, &head) => return Ok(()),
            () = sleep_until(until.min(Instant::now() + pause)) => {}
        }
        pause = AGAIN;
        if Instant::now() >= until {
            return Err("this hub is behind the log, or nobody can say where it ends".into());
        }
        // It is in the log: a hub that follows can only wait for its feed.
        if is_stored && !leads() {
            continue;
        }
        let proof = tokio::select! {
            biased;
            () = reached(position, &mut applied, &head) => return Ok(()),
            () = sleep_until(until) => continue,
            proof = end() => proof,
        };
        match proof {
            Ok(end) if end < position => return Ok(()),
            // So it is when the hub that leads has written it before it wrote its proof.
            Ok(_) if led_past && leads() => return Ok(()),
            Ok(_) => (is_stored, led_past) = (true, leads()),
            Err(_) => {}
        }
    }
}

/// Resolves when this hub has read the log up to `position`. While it leads, that is noticed only when this is polled first.
async fn reached(position: u64, applied: &mut watch::Receiver<u64>, head: &impl Fn() -> u64) {
    // Applied, and not read: it is the position of a record, which no reader was given.
    while head() < position && *applied.borrow_and_update() < position {
        if applied.changed().await.is_err() {
            return std::future::pending().await;
        }
    }
}

/// The end of the log, proved after this was called.
async fn end(link: &Arc<Link>) -> Proof {
    let asking = Arc::clone(link);
    let ask = move || {
        let link = Arc::clone(&asking);
        async move { ask(&link).await }
    };
    link.peers().proofs.asked.next(&link.runtime, ask).await
}

/// The end of the log, proved after this was called, or why it cannot be proved soon.
pub(super) async fn end_soon(link: &Arc<Link>) -> Proof {
    let late = |_| Err(NatsError::NoAnswer("the hub that leads has not proved where the log ends".into()));
    timeout(ANSWER, end(link)).await.unwrap_or_else(late)
}

/// Asks the hub that leads, which may be this one.
async fn ask(link: &Arc<Link>) -> Proof {
    if link.shared().leads() {
        return prove(link).await;
    }
    let leader = link.view.leader().ok_or_else(|| NatsError::NoAnswer("no hub leads".into()))?;
    let answer = link.nats.request(&subject(link, &leader.hub), Bytes::new(), ANSWER).await?;
    let proved: Proved = serde_json::from_slice(&answer).map_err(|error| NatsError::Malformed(error.to_string()))?;
    Ok(proved.end)
}

/// Writes something, as the hub that leads. Returns the newest position then.
pub(super) async fn prove(link: &Arc<Link>) -> Proof {
    let writing = Arc::clone(link);
    let write = move || {
        let link = Arc::clone(&writing);
        async move {
            let written = write(&link).await;
            written.map(|()| link.shared().store.last()).map_err(|error| NatsError::NoAnswer(error.to_string()))
        }
    };
    link.peers().proofs.written.next(&link.runtime, write).await
}

/// Nobody waits for it longer than [`PATIENCE`].
async fn write(link: &Link) -> Result<(), AppendError> {
    let (reply, answer) = oneshot::channel();
    link.shared().queue.push(Job::Prove(reply)).map_err(|(error, _)| error)?;
    let failed = |reason: &str| Err(AppendError::NotNow { reason: reason.into() });
    match timeout(PATIENCE, answer).await {
        Ok(Ok(written)) => written,
        Ok(Err(_)) => failed("this hub leads no more"),
        Err(_) => failed("the write takes too long"),
    }
}

fn subject(link: &Link, hub: &str) -> String {
    format!("hub.{}.prove.{hub}", link.prefix)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use tokio::{runtime::Handle, task::JoinHandle, time::sleep};

    use super::{super::shared_proof::SharedProof, *};

    /// What a proof takes.
    const WRITE: Duration = Duration::from_millis(30);

    /// In it every task that can go on does; it is shorter than [`WRITE`].
    const MOMENT: Duration = Duration::from_millis(1);

    /// A hub that reads a log, and counts its proofs.
    #[derive(Clone)]
    struct Hub {
        applied: watch::Sender<u64>,
        proofs: SharedProof,
        begun: Arc<AtomicU64>,
        /// How long a proof takes.
        write: Duration,
        /// What each of them tells.
        end: u64,
        leads: bool,
    }

    impl Hub {
        /// It has read nothing yet.
        fn of_log(end: u64) -> Self {
            let (proofs, begun) = (SharedProof::default(), Arc::default());
            Self { applied: watch::Sender::new(0), proofs, begun, write: WRITE, end, leads: false }
        }

        async fn end(self) -> Proof {
            let Self { proofs, begun, write, end, .. } = self;
            let prove = move || {
                begun.fetch_add(1, Ordering::Relaxed);
                async move {
                    sleep(write).await;
                    Proof::Ok(end)
                }
            };
            proofs.next(&Handle::current(), prove).await
        }

        fn reach(&self, position: u64) -> JoinHandle<Result<(), String>> {
            let hub = self.clone();
            tokio::spawn(async move {
                let applied = hub.applied.subscribe();
                wait(position, applied, || 0, || hub.leads, || hub.clone().end()).await
            })
        }

        fn proofs(&self) -> u64 {
            self.begun.load(Ordering::Relaxed)
        }

        /// Reads up to `position`, one more each `step`.
        async fn reads(&self, position: u64, step: Duration) {
            for seq in 1..=position {
                sleep(step).await;
                self.applied.send_replace(seq);
            }
        }
    }

    async fn all_reach(askers: Vec<JoinHandle<Result<(), String>>>) {
        for asker in askers {
            assert_eq!(asker.await.expect("no panic"), Ok(()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_while_a_proof_is_under_way_shares_the_next_one() {
        let (proofs, begun) = (SharedProof::default(), Arc::new(AtomicU64::new(0)));
        let ask = || {
            let (proofs, begun) = (proofs.clone(), Arc::clone(&begun));
            let prove = move || {
                let number = begun.fetch_add(1, Ordering::Relaxed) + 1;
                async move {
                    sleep(WRITE).await;
                    Proof::Ok(number)
                }
            };
            tokio::spawn(async move { proofs.next(&Handle::current(), prove).await })
        };
        let first = ask();
        sleep(MOMENT).await;
        let gone = ask();
        let later: Vec<_> = (0..1000).map(|_| ask()).collect();
        sleep(MOMENT).await;
        gone.abort();
        assert_eq!(first.await.expect("no panic"), Ok(1));
        for asker in later {
            assert_eq!(asker.await.expect("no panic"), Ok(2), "it began after the question");
        }
        assert_eq!(begun.load(Ordering::Relaxed), 2);
        let asker = ask();
        sleep(MOMENT).await;
        asker.abort();
        assert_eq!(ask().await.expect("no panic"), Ok(4), "the one that nobody waits for any more began before");
    }

    #[tokio::test(start_paused = true)]
    async fn cursors_that_a_hub_is_about_to_read_cost_no_proof() {
        let hub = Hub::of_log(50);
        let askers: Vec<_> = (0..5000).map(|_| hub.reach(50)).collect();
        hub.reads(50, Duration::from_millis(1)).await;
        all_reach(askers).await;
        assert_eq!(hub.proofs(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn cursors_that_a_hub_reads_late_cost_one_proof_for_all_who_ask_at_once() {
        let hub = Hub::of_log(50);
        let askers: Vec<_> = (0..1000).map(|_| hub.reach(50)).collect();
        hub.reads(50, Duration::from_millis(20)).await;
        all_reach(askers).await;
        assert!((1..=2).contains(&hub.proofs()), "{}", hub.proofs());
        // And those that nobody has given out.
        let askers: Vec<_> = (0..1000).map(|_| hub.reach(99_999_999)).collect();
        all_reach(askers).await;
        assert!((2..=4).contains(&hub.proofs()), "{}", hub.proofs());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_of_the_feed_ends_a_question_and_so_does_the_time() {
        let hub = Hub { write: Duration::from_hours(1), ..Hub::of_log(50) };
        let (soon, never) = (hub.reach(50), hub.reach(51));
        sleep(2 * AGAIN).await;
        assert!(!soon.is_finished() && hub.proofs() == 1, "it asks");
        hub.applied.send_replace(50);
        assert_eq!(soon.await.expect("no panic"), Ok(()));
        assert!(never.await.expect("no panic").is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_hub_that_leads_knows_by_a_second_proof_that_a_position_is_of_a_record() {
        let hub = Hub { leads: true, ..Hub::of_log(50) };
        assert_eq!(hub.reach(50).await.expect("no panic"), Ok(()));
        assert_eq!(hub.proofs(), 2);
    }
}
