//! `DELETE /events/<id>?topic=T`: removes one event.

use std::time::Duration;

use http::{StatusCode, Uri};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use crate::{
    event::{EventId, TopicName},
    http::{
        api::keys,
        auth::Authorization,
        message::{
            problem::{Code, Problem},
            query::Query,
        },
        net::response::{Response, full},
    },
    hub::Hub,
};

/// The name of the action in the problem for a missing grant.
const ACTION: &str = "remove an event";

/// How long to wait until every shard has finished the sends that it had begun; they take milliseconds.
const IN_FLIGHT_TIMEOUT: Duration = Duration::from_secs(1);

/// Answers 204 when the event is removed, also when it was removed before.
///
/// # Errors
/// A problem that says what to change, or that there is no such event.
pub async fn handle(hub: &Hub, authorization: &Authorization, uri: &Uri) -> Result<Response, Problem> {
    authorization.require_admin(ACTION)?;
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
    let found = hub.remove(topic.clone(), id).await?;
    if !found {
        let detail =
            format!("topic {topic} has no event {id}: it never had it, or retention or a deletion has removed it");
        return Err(Problem::new(Code::EventUnknown, detail));
    }
    let _ = timeout(IN_FLIGHT_TIMEOUT, hub.fan_out_barrier()).await;
    let mut response = Response::new(full(bytes::Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
