//! What a caller may publish, and what it is charged for: the same for every protocol.

use crate::{
    event::NewEvent,
    http::{
        auth::Caller,
        message::problem::{Code, Problem},
    },
    hub::{
        Hub,
        publisher::{Allowance, PublishRefused},
    },
};

/// What a caller may publish: its grant, and the accounts that it is charged to.
pub struct CallerAllowance<'a> {
    /// The caller.
    pub caller: &'a Caller,
    /// The hub that is published to.
    pub hub: &'a Hub,
}

impl Allowance for CallerAllowance<'_> {
    type Refusal = Problem;

    fn charge(&self, events: &[NewEvent]) -> Result<(), Problem> {
        let mut previous = None;
        for event in events {
            // The events of a batch often go to one topic.
            if previous != Some(&event.topic) {
                self.caller.authorization.publish(&event.topic)?;
            }
            previous = Some(&event.topic);
        }
        Ok(self.caller.quotas.publish(self.hub, events)?)
    }
}

impl From<PublishRefused<Self>> for Problem {
    fn from(refused: PublishRefused<Self>) -> Self {
        match refused {
            PublishRefused::EventTooLarge { .. }
            | PublishRefused::BatchTooLarge { .. }
            | PublishRefused::TooMany { .. } => Self::new(Code::TooLarge, refused.to_string()),
            PublishRefused::SeveralTopics => {
                Self::new(Code::HeaderInvalid, "If-Match needs a batch of one topic; publish each topic by itself")
            }
            PublishRefused::NotAllowed(problem) => problem,
        }
    }
}
