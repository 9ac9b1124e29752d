//! What statistics, metrics and health are made of.

use std::{sync::Arc, time::Instant};

use super::{history::History, rates::Rates};
use crate::{
    http::{api::stream::mailbox::StreamMailboxes, auth::authenticator::AuthState, net::state::NetState},
    hub::Hub,
    otlp::stats::OtlpStats,
    quota::memory::BodyMemory,
    relay::Relay,
};

/// What the handlers for operators share, on all cores.
pub struct OperatorsState {
    /// The hub's counters and state.
    pub hub: Arc<Hub>,
    /// The usage of addresses and holders; the policy that an open stream is authorized by again.
    pub auth: Arc<AuthState>,
    /// The relay; `None` when no provider is configured.
    pub relay: Option<Arc<Relay>>,
    /// The connections, and the drain.
    pub net: Arc<NetState>,
    /// The memory of request bodies.
    pub body_memory: Arc<BodyMemory>,
    /// Where the cores are asked about their open streams.
    pub streams: StreamMailboxes,
    /// Rates of the counters.
    pub rates: Rates,
    /// The figures of the last minutes.
    pub history: History,
    /// When the process began to serve.
    pub started: Instant,
    /// Log lines dropped so far because stderr was not read in time.
    pub log_dropped: fn() -> u64,
    /// What is counted of the export by OTLP; `None` without one.
    pub otlp: Option<Arc<OtlpStats>>,
}
