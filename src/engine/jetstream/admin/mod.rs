//! What an operator does with a cluster and its stream: making the stream, checking it, a new epoch after a restore.
//!
//! Nothing here loosens a setting, deletes a message or purges: what would is refused with what to do.
//!
//! | module | idea |
//! |---|---|
//! | `init` | makes the stream and its epoch, or brings a stream to what a hub needs |
//! | `differences` | a stream's configuration beside the one that a hub needs |
//! | `epoch` | the record of the epoch; a new one by compare-and-set |
//! | `check` | all that the promise rests on, as findings |
//! | `replicas` | the newest messages of all replicas beside each other |
//! | `monitor` | a server's `/varz`: what only its monitoring port tells |
//! | `finding`, `report` | what was found, why it matters, what to do |
//! | `permissions` | the least permissions of a hub |

mod check;
mod differences;
mod epoch;
mod finding;
mod init;
mod monitor;
mod permissions;
mod replicas;
mod report;
#[cfg(test)]
mod tests;

pub use check::{CheckWishes, check};
pub use epoch::{EpochView, epoch, renew_epoch};
pub use finding::{StreamFinding, StreamFindingKind, StreamFindingRank};
pub use init::{InitReport, InitWishes, init};
pub use monitor::MonitorPage;
pub use permissions::hub_permissions;
pub use report::{CheckedServer, StreamFacts, StreamReport, StreamVerdict};

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::nats::{NatsError, WriteError};

/// Why an operation on the stream was not done.
#[derive(Debug, thiserror::Error)]
pub enum AdminError {
    /// No server, no leader or no answer. What was asked for may have been done; repeating it is safe.
    #[error("{0}; check nats.servers and that a majority of the servers runs, and try again")]
    NoAnswer(String),
    /// The servers refuse the login.
    #[error("{0}; correct the credentials in [nats]")]
    Login(String),
    /// The login lacks a permission.
    #[error("{0}; use a login that may manage the stream, which a hub's may not")]
    Denied(String),
    /// The stream does not exist.
    #[error("there is no stream {0}; `gapless jetstream init` makes it")]
    NoStream(String),
    /// It would loosen or delete something, or cannot be done. Says what to do instead.
    #[error("{0}")]
    Refused(String),
}

impl AdminError {
    fn of(error: &NatsError, stream: &str) -> Self {
        let text = error.to_string();
        match error {
            NatsError::NoAnswer(_) | NatsError::Silent => Self::NoAnswer(text),
            NatsError::Login(_) => Self::Login(text),
            NatsError::Denied(_) => Self::Denied(text),
            NatsError::NoStream => Self::NoStream(stream.into()),
            _ => Self::Refused(text),
        }
    }
}

/// Whether a write may succeed when it is repeated with what the stream has now.
fn is_passing(error: &WriteError) -> bool {
    matches!(error, WriteError::WrongLast | WriteError::NotNow(_) | WriteError::Unknown(_))
}

/// Between two attempts.
const PAUSE: Duration = Duration::from_millis(500);

/// Repeats an operation that gets no answer, until `deadline`.
async fn patiently<T, F>(deadline: Instant, mut attempt: impl FnMut() -> F) -> Result<T, NatsError>
where
    F: Future<Output = Result<T, NatsError>>,
{
    loop {
        match attempt().await {
            Err(NatsError::NoAnswer(_)) if Instant::now() < deadline => sleep(PAUSE).await,
            result => return result,
        }
    }
}
