//! What the relay takes of an account: runs at once, runs begun a minute, tokens a day.

use std::sync::{Arc, atomic::Ordering::Relaxed};

use super::{
    account::{Account, release},
    bucket::Rate,
    exceeded::{Exceeded, Limit},
};

/// A permit for a run of the relay, by which its tokens are charged. Dropping it returns it; what was charged stays.
#[derive(Debug)]
#[must_use = "dropping it returns the permit"]
pub struct RunPermit(Arc<Account>);

impl Account {
    /// Takes a permit for a run of the relay.
    ///
    /// # Errors
    /// When this account has as many runs as it may, has begun as many in the last minute, or owes tokens. Nothing is
    /// charged then.
    pub fn run(self: &Arc<Self>) -> Result<RunPermit, Exceeded> {
        let limit = self.allowed(|limits| limits.runs);
        self.acquire(&self.runs, limit, Limit::HolderRuns)?;
        // From here on an error returns it.
        let permit = RunPermit(Arc::clone(self));
        let rate = self.allowed(|limits| limits.runs_per_minute).map(Rate::a_minute);
        let tokens = self.allowed(|limits| limits.tokens_per_day).map(Rate::a_day);
        if rate.is_some() || tokens.is_some() {
            let now = self.state.now();
            let mut buckets = self.buckets.lock();
            if let Some(tokens) = tokens {
                self.check_rate(buckets.tokens, 1, tokens, Limit::HolderTokensPerDay, now)?;
            }
            if let Some(rate) = rate {
                self.check_rate(buckets.runs, 1, rate, Limit::HolderRunsPerMinute, now)?;
                buckets.runs.take(1, rate, now);
            }
        }
        Ok(permit)
    }

    /// Runs that have a permit.
    #[must_use]
    pub fn runs(&self) -> u64 {
        self.runs.load(Relaxed)
    }
}

impl RunPermit {
    /// Charges tokens that the run has used, also beyond the limit: how many is known only afterwards. Later runs are
    /// refused until they are paid back. Each call adds to the earlier ones.
    pub fn charge_tokens(&self, tokens: u64) {
        let Some(limit) = self.0.allowed(|limits| limits.tokens_per_day) else { return };
        let (rate, now) = (Rate::a_day(limit), self.0.state.now());
        self.0.buckets.lock().tokens.take(tokens, rate, now);
    }
}

impl Drop for RunPermit {
    fn drop(&mut self) {
        release(&self.0.runs);
    }
}
