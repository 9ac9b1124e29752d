//! The accounts that a caller's usage is charged to: its address's, and its token holder's.

use std::sync::Arc;

use crate::{
    event::{NewEvent, TopicName},
    http::message::problem::Problem,
    hub::Hub,
    quota::{
        Account, Exceeded, RunPermit, StreamPermit,
        memory::{BodyMemory, BodyPermit},
    },
};

/// The accounts of a caller.
#[derive(Debug, Clone)]
pub struct CallerQuotas {
    /// The account of the client's address.
    pub address: Arc<Account>,
    /// The account of the token's holder, if there is a token.
    pub holder: Option<Arc<Account>>,
    /// The key of its share in storage that outlives accounts: see [`quota::owner`](crate::quota::owner).
    pub owner: u64,
}

/// The permits of an open stream, returned when dropped.
#[derive(Debug)]
pub struct StreamPermits {
    _address: StreamPermit,
    _holder: Option<StreamPermit>,
}

impl CallerQuotas {
    /// A permit of 0 bytes of `memory`, charged to the caller.
    #[must_use]
    pub fn memory(&self, memory: &Arc<BodyMemory>) -> BodyPermit {
        memory.permit(&self.address, self.holder.as_ref())
    }

    /// Takes the permits of a stream.
    ///
    /// # Errors
    /// When the address or the holder has as many as it may.
    pub fn stream(&self) -> Result<StreamPermits, Problem> {
        let address = self.address.stream()?;
        let holder = self.holder.as_ref().map(Account::stream).transpose()?;
        Ok(StreamPermits { _address: address, _holder: holder })
    }

    /// Takes the permit of a run of the relay: of the holder, else of the address. It is the run's until its end, and its
    /// tokens are charged by it.
    ///
    /// # Errors
    /// When the caller has as many runs as it may, has begun as many in the last minute, or has used up its tokens.
    pub fn run(&self) -> Result<RunPermit, Problem> {
        Ok(self.holder.as_ref().unwrap_or(&self.address).run()?)
    }

    /// Charges a publish of these events.
    ///
    /// # Errors
    /// When the address or the holder must wait. Events and bytes are not charged then.
    pub fn publish(&self, hub: &Hub, events: &[NewEvent]) -> Result<(), Exceeded> {
        self.charge_topics(hub, events)?;
        let bytes = events.iter().map(|event| event.payload_bytes() as u64).sum();
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        match &self.holder {
            Some(holder) => self.address.publish_for(holder, count, bytes),
            None => self.address.publish(count, bytes),
        }
    }

    /// Charges the creation of `topic`, which is about to be closed, if it does not exist.
    ///
    /// # Errors
    /// When the holder must wait before it may create another topic.
    pub fn close(&self, hub: &Hub, topic: &TopicName) -> Result<(), Exceeded> {
        match self.holder.as_ref().filter(|holder| holder.limits_topics() && hub.topic(topic).is_none()) {
            Some(holder) => holder.topic(),
            None => Ok(()),
        }
    }

    /// Charges the topics that these events create.
    fn charge_topics(&self, hub: &Hub, events: &[NewEvent]) -> Result<(), Exceeded> {
        let Some(holder) = self.holder.as_ref().filter(|holder| holder.limits_topics()) else { return Ok(()) };
        let mut before = None;
        for event in events.iter().filter(|event| hub.topic(&event.topic).is_none()) {
            if before != Some(&event.topic) {
                holder.topic()?;
            }
            before = Some(&event.topic);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::quota::{QuotaConfig, QuotaLimits, Quotas};

    #[tokio::test(start_paused = true)]
    async fn a_run_is_the_holders_else_the_addresss() {
        let limits = |runs| QuotaLimits { runs: Some(runs), ..QuotaLimits::default() };
        let quotas = Quotas::new(&QuotaConfig { address: limits(1), holder: limits(2) });
        let address = quotas.address([192, 0, 2, 1].into());
        let anonymous = CallerQuotas { address: Arc::clone(&address), holder: None, owner: 1 };
        let ann = CallerQuotas { address, holder: Some(quotas.holder("ann")), owner: 2 };
        let _of_ann = [ann.run().expect("one"), ann.run().expect("two")];
        let _of_address = anonymous.run().expect("the address has none yet");
        for (refused, limit) in [(ann.run(), 2), (anonymous.run(), 1)] {
            let problem = refused.expect_err("a limit is met");
            let text = format!("{problem:?}");
            assert!(text.contains(&format!("you have {limit} run")), "{text}");
        }
    }
}
