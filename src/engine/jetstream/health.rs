//! When jobs are refused: without a leader, and without a connection.
//!
//! A change of the leader takes some seconds, and jobs wait for it. After that they are refused, so that publishers know
//! sooner, and try elsewhere.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::link::Link;
use crate::engine::AppendError;

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
        let refusal = match trouble {
            Some((_, reason)) => Some(not_now(&reason)),
            None => (silence > REFUSING).then(|| reason(&link)),
        };
        link.shared().queue.pause(refusal);
    }
}

/// Why a job would not be executed now.
pub(super) fn refusal(link: &Link) -> Option<AppendError> {
    if !link.nats.is_connected() || silence(link) > NOT_READY {
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
    not_now(if link.nats.is_connected() {
        "no hub can write the log now: the NATS servers do not accept a leader"
    } else {
        "there is no connection to a NATS server"
    })
}

fn not_now(reason: &str) -> AppendError {
    AppendError::NotNow { reason: reason.into() }
}
