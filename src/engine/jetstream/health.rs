//! When jobs are refused: without a leader, and without a connection.
//!
//! A change of the leader takes some seconds, and jobs wait for it. After that they are refused, so that publishers know
//! sooner, and try elsewhere.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::link::Link;
use crate::engine::{AppendError, EngineFuture};

/// Between two looks.
const EVERY: Duration = Duration::from_millis(250);

/// A hub without a leader or a connection is not ready after this: a change of the leader takes 2.5 to 4 s.
const NOT_READY: Duration = Duration::from_secs(4);

/// And when the hub that leads cannot write for so long.
const TROUBLE: Duration = Duration::from_secs(2);

/// And accepts no more jobs after this: an election of NATS takes up to 10 s.
const REFUSING: Duration = Duration::from_secs(10);

/// Accepts jobs, or refuses them, as long as the engine lives.
pub(super) async fn watch(link: Arc<Link>) {
    let mut connected = Instant::now();
    loop {
        tokio::time::sleep(EVERY).await;
        if link.nats.is_connected() {
            connected = Instant::now();
        }
        let silence = connected.elapsed().max(silence(&link));
        let trouble = link.view.trouble().filter(|(lasted, _)| !link.shared().leads() && *lasted > REFUSING);
        let shared = link.shared();
        // What waits behind a write of a hub that leads is not under way, and may be refused, too.
        let stuck = shared.leads() && shared.store.waited() > REFUSING;
        let refusal = match trouble {
            Some((_, reason)) => Some(not_now(&reason)),
            None if stuck => Some(not_now("the NATS servers do not answer a write")),
            None => (silence > REFUSING || link.is_outdated()).then(|| reason(&link)),
        };
        let tell = || {
            link.refusing.send_if_modified(|known| {
                let changes = known.is_some() != refusal.is_some();
                known.clone_from(&refusal);
                changes
            });
        };
        // No job that is accepted is told of an earlier refusal, and none that can be refused is told that its outcome is not
        // known.
        if refusal.is_none() {
            tell();
        }
        shared.queue.pause(refusal.clone());
        if let Some(error) = &refusal {
            if stuck {
                shared.queue.refuse_waiting(error);
            } else if !shared.leads() {
                link.peers().refuse_waiting(error);
            }
            tell();
        }
    }
}

/// The answer of a job; when jobs are refused before it comes, that it is not known.
pub(super) async fn answered<T>(link: Arc<Link>, answer: EngineFuture<T, AppendError>) -> Result<T, AppendError> {
    let mut refusing = link.refusing.subscribe();
    tokio::select! {
        biased;
        answer = answer => answer,
        Ok(reason) = refusing.wait_for(Option::is_some) => {
            let reason = reason.as_ref().map_or_else(String::new, ToString::to_string);
            Err(AppendError::Unavailable { reason: format!("it has had no answer, and {reason}").into() })
        }
    }
}

/// Why a job would not be executed now.
pub(super) fn refusal(link: &Link) -> Option<AppendError> {
    if link.is_outdated() || !link.nats.is_connected() || silence(link) > NOT_READY {
        return Some(reason(link));
    }
    let trouble = link.view.trouble().filter(|_| !link.shared().leads());
    trouble.filter(|(lasted, _)| *lasted > TROUBLE).map(|(_, reason)| not_now(&reason))
}

/// How long nobody has led, to the knowledge of this hub.
fn silence(link: &Link) -> Duration {
    if link.shared().leads() { Duration::ZERO } else { link.view.silence().unwrap_or_default() }
}

fn reason(link: &Link) -> AppendError {
    not_now(if let Some(reason) = link.outdated.get() {
        reason
    } else if link.nats.is_connected() {
        if link.is_full() {
            return AppendError::Full;
        }
        "no hub can write the log now: the NATS servers do not accept a leader"
    } else {
        "there is no connection to a NATS server"
    })
}

fn not_now(reason: &str) -> AppendError {
    AppendError::NotNow { reason: reason.into() }
}
