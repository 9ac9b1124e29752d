//! What a visitor uses up: of its address, and of its token's holder.

use std::sync::Arc;

use crate::{
    event::{NewEvent, TopicName},
    http::{
        problem::Problem,
        quota::{Account, Exceeded, OpenPermit},
    },
    hub::Hub,
};

/// The accounts that a visitor's doings are charged to.
#[derive(Debug, Clone)]
pub struct CallerQuotas {
    /// Of the client's address.
    pub address: Arc<Account>,
    /// Of the token's holder, if a token came.
    pub holder: Option<Arc<Account>>,
    /// Whose share of what outlives accounts it uses: see [`quota::owner`](crate::http::quota::owner).
    pub owner: u64,
}

/// A stream's place in the accounts, given back when it ends.
#[derive(Debug)]
pub struct StreamPermits {
    _address: OpenPermit,
    _holder: Option<OpenPermit>,
}

impl CallerQuotas {
    /// Opens a stream.
    ///
    /// # Errors
    /// When the address or the holder has as many as it may.
    pub fn stream(&self) -> Result<StreamPermits, Problem> {
        let address = self.address.stream()?;
        let holder = self.holder.as_ref().map(Account::stream).transpose()?;
        Ok(StreamPermits { _address: address, _holder: holder })
    }

    /// Publishes these events.
    ///
    /// # Errors
    /// When the address or the holder must wait. Their events and bytes were not charged.
    pub fn publish(&self, hub: &Hub, events: &[NewEvent]) -> Result<(), Exceeded> {
        self.make_topics(hub, events)?;
        let bytes = events.iter().map(|event| event.data.len() as u64).sum();
        let count = u32::try_from(events.len()).unwrap_or(u32::MAX);
        match &self.holder {
            Some(holder) => self.address.publish_for(holder, count, bytes),
            None => self.address.publish(count, bytes),
        }
    }

    /// Closes a topic that may not be there yet.
    ///
    /// # Errors
    /// When the holder must wait until it may make another one.
    pub fn close(&self, hub: &Hub, topic: &TopicName) -> Result<(), Exceeded> {
        match self.holder.as_ref().filter(|holder| holder.may_run_out_of_topics() && hub.topic(topic).is_none()) {
            Some(holder) => holder.topic(),
            None => Ok(()),
        }
    }

    /// A topic is made by the first event that goes there.
    fn make_topics(&self, hub: &Hub, events: &[NewEvent]) -> Result<(), Exceeded> {
        let Some(holder) = self.holder.as_ref().filter(|holder| holder.may_run_out_of_topics()) else { return Ok(()) };
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

impl From<Exceeded> for Problem {
    fn from(exceeded: Exceeded) -> Self {
        Self::rate_limited(exceeded.wait, exceeded.to_string())
    }
}
