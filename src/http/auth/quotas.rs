//! The accounts that a caller's usage is charged to: its address's, and its token holder's.

use std::sync::Arc;

use crate::{
    event::{NewEvent, TopicName},
    http::message::problem::Problem,
    hub::Hub,
    quota::{
        Account, Exceeded, StreamPermit,
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

    /// Charges a publish of these events.
    ///
    /// # Errors
    /// When the address or the holder must wait. Events and bytes are not charged then.
    pub fn publish(&self, hub: &Hub, events: &[NewEvent]) -> Result<(), Exceeded> {
        self.charge_topics(hub, events)?;
        let bytes = events.iter().map(|event| event.data.len() as u64).sum();
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
