//! Whose run it is, when hubs share a log: the journal's order decides. A run that could be asked for at two hubs at once is
//! entered into the journal before its provider is asked, and each hub decides in the same way when it comes to that entry.

use std::time::Duration;

use tokio::time::timeout;

use super::{
    journal,
    publishing::{Committed, RunPublishing},
    run::{Claim, Run},
    signals::StartFailure,
};

/// Longest wait for the journal to come to an entry that is durable. It takes milliseconds.
const CLAIM_TIMEOUT: Duration = Duration::from_secs(10);

/// Claims a run. When this returns an error, the run must not begin.
///
/// # Errors
/// Whose it is, or why that cannot be found out.
pub(super) async fn claim(run: &Run, publishing: &mut RunPublishing) -> Result<(), Claim> {
    let not_recorded = |reason: String| Claim::Refused(StartFailure::NotRecorded(reason));
    publishing.push(journal::asked(run));
    publishing.commit();
    let Committed { result, .. } = publishing.committed().await;
    result.map_err(|error| not_recorded(error.to_string()))?;
    match timeout(CLAIM_TIMEOUT, run.claimed()).await {
        Ok(Claim::Won) => Ok(()),
        Ok(claim) => Err(claim),
        Err(_) => Err(not_recorded("this hub is behind the log".into())),
    }
}
