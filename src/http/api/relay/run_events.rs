//! The events of one run among those of its topic: other publishers may write there, too.

use serde::Deserialize;

use crate::{
    event::{
        Event,
        record::{RUN_ENDED, RUN_STARTED, RUN_STOPPING},
    },
    relay::{
        ending::{RunEnded, RunStarted},
        format::RunEvent,
    },
};

/// What an event of the topic is to the run.
pub enum TopicEvent {
    /// Of another publisher.
    Foreign,
    /// A removed event of the run.
    Removed,
    /// `run.started`.
    Started(RunStarted),
    /// A frame.
    Frame,
    /// `run.stopping`.
    Stopping(StoppingNotice),
    /// `run.ended`.
    Ended(RunEnded),
}

/// The data of `run.stopping`.
#[derive(Debug, Deserialize)]
pub struct StoppingNotice {
    by: Option<String>,
}

impl TopicEvent {
    /// Reads an event.
    #[must_use]
    pub fn of(event: &Event) -> Self {
        let new = &event.new;
        if !new.of_run {
            return Self::Foreign;
        }
        if new.name.is_removed() {
            return Self::Removed;
        }
        let data = new.data.as_str();
        let read = match new.name.as_str() {
            RUN_STARTED => serde_json::from_str(data).map(Self::Started),
            RUN_STOPPING => serde_json::from_str(data).map(Self::Stopping),
            RUN_ENDED => serde_json::from_str(data).map(Self::Ended),
            _ => return Self::Frame,
        };
        // The hub wrote it.
        read.unwrap_or(Self::Removed)
    }

    /// The event for an encoder; `None` when it is not one of the run.
    #[must_use]
    pub fn of_run<'e>(&'e self, event: &'e Event) -> Option<RunEvent<'e>> {
        Some(match self {
            Self::Foreign | Self::Removed => return None,
            Self::Started(started) => RunEvent::Started(started),
            Self::Frame => RunEvent::Frame { name: event.new.name.as_str(), data: event.new.data.as_str() },
            Self::Stopping(notice) => RunEvent::Stopping { by: notice.by.as_deref() },
            Self::Ended(ended) => RunEvent::Ended(ended),
        })
    }
}
