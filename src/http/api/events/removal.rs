//! `DELETE /events/<id>?topic=T`: removes one event.

use std::time::Duration;

use http::{StatusCode, Uri};
use tokio::time::timeout;

use super::event_address::EventAddress;
use crate::{
    http::{
        api::topic_guard::TopicGuards,
        auth::Authorization,
        message::problem::Problem,
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
pub async fn handle(
    hub: &Hub,
    guards: &TopicGuards,
    authorization: &Authorization,
    uri: &Uri,
) -> Result<Response, Problem> {
    authorization.require_admin(ACTION)?;
    let address = EventAddress::of(uri)?;
    guards.before_removal(&address.topic).await?;
    if !hub.remove(address.topic.clone(), address.id).await? {
        return Err(address.unknown());
    }
    let _ = timeout(IN_FLIGHT_TIMEOUT, hub.fan_out_barrier()).await;
    let mut response = Response::new(full(bytes::Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
