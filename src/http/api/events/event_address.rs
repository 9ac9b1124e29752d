//! Which event a request for `/events/<id>?topic=T` names.

use http::Uri;
use percent_encoding::percent_decode_str;

use crate::{
    event::{EventId, TopicName},
    http::{
        api::keys,
        message::{
            problem::{Code, Problem},
            query::Query,
        },
    },
};

/// The topic and the id of an event.
pub(super) struct EventAddress {
    pub(super) topic: TopicName,
    pub(super) id: EventId,
}

impl EventAddress {
    /// The event that the path and the query name.
    ///
    /// # Errors
    /// What is missing or wrong.
    pub(super) fn of(uri: &Uri) -> Result<Self, Problem> {
        let text = percent_decode_str(uri.path().rsplit('/').next().unwrap_or_default()).decode_utf8_lossy();
        let id = EventId::parse(&text).ok_or_else(|| {
            Problem::new(
                Code::IdInvalid,
                "the last segment of the path must be an event's id, as in a receipt: <epoch>-<number>",
            )
        })?;
        let query = Query::new(uri.query());
        keys::EVENT.check(&query)?;
        let topic = query.one("topic")?.map(TopicName::new).transpose()?;
        let topic = topic.ok_or_else(|| {
            Problem::new(Code::TopicInvalid, "name the event's topic with ?topic=T; a pattern is not allowed")
        })?;
        Ok(Self { topic, id })
    }

    /// The problem that its topic does not keep it.
    pub(super) fn unknown(&self) -> Problem {
        let Self { topic, id } = self;
        let detail =
            format!("topic {topic} has no event {id}: it never had it, or retention or a deletion has removed it");
        Problem::new(Code::EventUnknown, detail)
    }
}
