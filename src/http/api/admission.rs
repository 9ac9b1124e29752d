//! Admission: whether a new request is processed at the moment.

use crate::{
    http::{
        message::problem::{Code, Problem},
        net::peer::OverCapacity,
    },
    lifecycle::Drain,
};

/// Refuses a request with these extensions when the hub drains or its connection is over the limit.
///
/// # Errors
/// [`Code::Draining`] or [`Code::OverCapacity`]; both are transient.
pub fn admit(drain: &Drain, request: &http::Extensions) -> Result<(), Problem> {
    refusal(drain, request)
        .map_or(Ok(()), |reason| Err(Problem::new(reason, "the request was not processed; retry in a moment")))
}

/// Why a new request is refused at the moment; `None` when it is not.
#[must_use]
pub fn refusal(drain: &Drain, request: &http::Extensions) -> Option<Code> {
    if drain.is_draining() {
        Some(Code::Draining)
    } else if request.get::<OverCapacity>().is_some() {
        Some(Code::OverCapacity)
    } else {
        None
    }
}
