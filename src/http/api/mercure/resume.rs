//! Where a stream begins: what the cursor of a client means.

use super::{
    publisher_ids::{NotFound, PublisherIds},
    subscriptions::change_id::ChangeId,
    update_form::EARLIEST,
};
use crate::{
    event::{EventId, Selection, position::Cursor},
    http::{
        api::{events::start::StreamStart, mercure_log::update_id::UPDATE_IDS},
        message::problem::{Code, Problem},
    },
    hub::{Hub, subscription::Start},
};

/// Where a stream begins, and what its response says of the client's cursor.
#[derive(Debug, PartialEq, Eq)]
pub struct Resumption {
    /// Where it begins.
    pub begin: StreamStart,
    /// The value of the headers that answer a cursor; `None` without a cursor.
    pub answer: Option<String>,
}

/// What `cursor` means to a stream of `selection`. One that is unknown begins with a gap, and with all that is kept.
///
/// # Errors
/// When it cannot be found out now.
pub async fn resume(
    cursor: Option<&str>,
    hub: &Hub,
    ids: &PublisherIds,
    selection: &Selection,
) -> Result<Resumption, Problem> {
    let Some(text) = cursor else {
        return Ok(Resumption { begin: StreamStart::At(Start::Now), answer: None });
    };
    if text == EARLIEST {
        return Ok(Resumption { begin: StreamStart::At(Start::Earliest), answer: Some(EARLIEST.into()) });
    }
    let not_now = || Problem::new(Code::StoreUnavailable, "the id to continue after cannot be looked up now; retry");
    let (of_log, _) = ChangeId::split(text);
    let id = match (UPDATE_IDS.parse)(of_log) {
        Some(id) => {
            let present = hub.present_id(id).await.map_err(|_| not_now())?;
            // Of another log it may be a name that a publisher has chosen, as 'book-7'.
            if present.epoch == hub.epoch() || text.starts_with('#') { Some(present) } else { None }
        }
        None => None,
    };
    let id: Option<EventId> = match id {
        Some(id) => Some(id),
        None => match ids.find(hub, text, selection).await {
            Ok(id) => Some(id),
            Err(NotFound::Unknown) => None,
            Err(NotFound::NotNow) => return Err(not_now()),
        },
    };
    let head = hub.head();
    let known = id.is_some_and(|id| id.epoch == head.epoch && id.seq <= head.seq);
    let begin = StreamStart::At(Start::Cursor(Cursor::with_id(text, id)));
    Ok(Resumption { begin, answer: Some(if known { text.into() } else { EARLIEST.into() }) })
}
