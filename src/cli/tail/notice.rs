//! The hub's own events as messages: gaps, ends and removals.

use serde::Deserialize;

/// The data of `hub.gap`.
#[derive(Deserialize)]
pub(super) struct GapData {
    topic: Option<String>,
    after: Option<String>,
    resumes_at: Option<String>,
    reason: String,
}

/// The data of `hub.end`.
#[derive(Deserialize)]
pub(super) struct EndData {
    pub(super) topic: String,
    reason: String,
}

/// The data of `hub.removed`: a removed event.
#[derive(Deserialize)]
pub(super) struct RemovalData {
    topic: String,
    pub(super) id: String,
}

impl GapData {
    /// The message for `data`, which is the message itself if it is not as expected.
    pub(super) fn message(data: &str) -> String {
        serde_json::from_str::<Self>(data).map_or_else(|_| data.into(), |gap| gap.describe())
    }

    fn describe(&self) -> String {
        let of = self.topic.as_ref().map(|topic| format!(" of {topic}")).unwrap_or_default();
        let after = self.after.as_ref().map(|after| format!(" after {after}")).unwrap_or_default();
        let on = match &self.resumes_at {
            Some(id) => format!("continuing from {id}"),
            None => "no older event is kept".into(),
        };
        match &*self.reason {
            "unknown" => format!("warning: gap: the hub does not know the position{after}; {on}"),
            "ahead" => {
                format!(
                    "warning: gap: the position{} is beyond the hub's newest event; {on}",
                    after.trim_start_matches(" after")
                )
            }
            reason => format!("warning: gap: events{of}{after} are gone ({reason}); {on}"),
        }
    }
}

impl EndData {
    pub(super) fn describe(&self) -> String {
        format!("{} was {}", self.topic, self.reason)
    }
}

impl RemovalData {
    pub(super) fn describe(&self) -> String {
        format!("{} of {} was removed", self.id, self.topic)
    }
}
