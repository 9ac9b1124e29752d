//! What a request of Mercure needs beside itself.

use super::state::MercureShard;
use crate::http::{
    api::{events::state::EventsState, request_log::RequestScope},
    auth::authenticator::Authenticator,
};

/// What a request needs.
#[derive(Clone, Copy)]
pub struct MercureContext<'a> {
    /// The protocol's state.
    pub mercure: &'a MercureShard,
    /// The core's streams.
    pub events: &'a EventsState,
    /// Finds out who a request is of.
    pub authenticator: &'a Authenticator,
    /// The request that is answered.
    pub scope: &'a RequestScope,
}
