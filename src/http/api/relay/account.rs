//! The account that a run is charged to.

use crate::{
    http::{auth::Caller, message::problem::Problem},
    quota::RunPermit,
    relay::run::RunAccount,
};

impl RunAccount for RunPermit {
    fn charge(&self, tokens: u64) {
        self.charge_tokens(tokens);
    }
}

/// The account of a caller's new run.
///
/// # Errors
/// When the caller has reached a limit.
pub(super) fn of(caller: &Caller) -> Result<Box<dyn RunAccount>, Problem> {
    Ok(Box::new(caller.quotas.run()?))
}
