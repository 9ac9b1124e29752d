//! `DELETE /events/<id>?topic=T`: taking one event back.

use std::time::Duration;

use http::{StatusCode, Uri};
use percent_encoding::percent_decode_str;
use tokio::time::timeout;

use crate::{
    event::{EventId, TopicName},
    http::{
        AppState, Response,
        auth::Authorization,
        full, keys,
        problem::{Code, Problem},
        query::Query,
    },
};

/// What it is called in a refusal.
const REMOVE: &str = "take an event back";

/// How long to wait for the cores to have sent what they were sending: it takes them milliseconds.
const PASSING: Duration = Duration::from_secs(1);

/// Answers 204 when the event is taken back, also when it was before.
///
/// # Errors
/// Says what to change, or that there is no such event.
pub async fn handle(app: &AppState, authorization: &Authorization, uri: &Uri) -> Result<Response, Problem> {
    authorization.operate(REMOVE)?;
    let text = percent_decode_str(uri.path().rsplit('/').next().unwrap_or_default()).decode_utf8_lossy();
    let id = EventId::parse(&text).ok_or_else(|| {
        Problem::new(
            Code::IdInvalid,
            "the last part of the path must be an event's id, as in a receipt: <epoch>-<number>",
        )
    })?;
    let query = Query::new(uri.query());
    keys::EVENT.check(&query)?;
    let topic = query.one("topic")?.map(TopicName::new).transpose()?;
    let topic = topic.ok_or_else(|| {
        Problem::new(Code::TopicInvalid, "say which topic the event is of: ?topic=T; a pattern is none")
    })?;
    let found = id.epoch == app.hub.epoch() && app.hub.remove(topic.clone(), id.seq).await?;
    if !found {
        let detail =
            format!("topic {topic} keeps no event {id}: it never had it, or retention or a deletion has let it go");
        return Err(Problem::new(Code::EventUnknown, detail));
    }
    let _ = timeout(PASSING, app.hub.passed()).await;
    let mut response = Response::new(full(bytes::Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    Ok(response)
}
