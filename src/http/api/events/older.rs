//! One page of the events before an id, for clients that read backwards.

use super::{
    page::{self, PAGE_BYTES, Page, PageEdge, PageFormat},
    state::EventsState,
};
use crate::{
    event::{EventId, Selection},
    http::{
        auth::Caller,
        message::problem::{Code, Problem},
        net::response::Response,
    },
    hub::older::OlderPage,
};

/// The response with the page `older`, which was read as the page before `before`: the newest of its events that fit.
///
/// # Errors
/// When the log of `before` is gone, when there is no memory for the page, or when the caller's authorization has ended.
pub fn response(
    events: &EventsState,
    selection: &Selection,
    before: EventId,
    older: OlderPage,
    Caller { mut authorization, quotas }: Caller,
    format: &PageFormat,
) -> Result<Response, Problem> {
    authorization.renew_subscription(&events.stream.policies, selection)?;
    let OlderPage { frames, gaps, mut previous, next, removals } = older;
    check_epoch(before, next)?;
    let mut permit = quotas.memory(&events.pages);
    let mut frames = events.stream.hub.without_removed(frames, removals).ok_or_else(page::store_unreadable)?;
    let (mut first, mut bytes, mut encoded) = (frames.len(), 0, Vec::new());
    while first > 0 && bytes < PAGE_BYTES {
        encoded.clear();
        frames[first - 1].write(format.event, &mut encoded);
        if permit.grow(encoded.len()).is_err() {
            break;
        }
        (first, bytes) = (first - 1, bytes + encoded.len());
    }
    if first > 0 {
        // A gap before the first frame of the page is in the next older one.
        let first = frames.get(first).ok_or_else(page::out_of_memory)?;
        previous = Some(first.id);
    }
    frames.drain(..first);
    let stats = events.stream.hub.stats();
    let mut kept = Vec::new();
    for (_, gap) in gaps.into_iter().filter(|(index, _)| first == 0 || *index > first) {
        permit.grow((format.gap_bytes)(&gap)).map_err(|_| page::out_of_memory())?;
        stats.gaps_lost.add(1);
        kept.push(gap);
    }
    stats.events_out.add(frames.len() as u64);
    stats.bytes_out.add(bytes as u64);
    let edge = PageEdge::Older { previous };
    Ok((format.response)(Page { frames, next, gaps: kept, edge, permit }))
}

/// A page of another log is not before this id: a client would show it before events of a log that is gone.
///
/// # Errors
/// When the epochs differ.
pub fn check_epoch(before: EventId, now: EventId) -> Result<(), Problem> {
    if before.epoch == now.epoch {
        return Ok(());
    }
    let detail =
        format!("'before' is an id of another epoch, whose events this hub does not have; its own is {}", now.epoch);
    Err(Problem::new(Code::QueryInvalid, detail))
}
