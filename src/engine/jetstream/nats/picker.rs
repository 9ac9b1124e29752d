//! The choice of a server.

use std::time::Duration;

use async_nats::{ReconnectToServer, Server, ServerAddr};
use parking_lot::Mutex;

use super::error::NatsError;

/// The wait before a server that has failed is tried again; doubles up to 32 times. A cluster that starts needs some
/// seconds, and a hub more or less costs its servers nothing.
const AGAIN: Duration = Duration::from_millis(50);

/// Chooses the server that has failed least and is not the last one. Our own choice, because the client's may return to
/// the server that it has just left.
pub(super) struct Picker(Mutex<Choices>);

#[derive(Default)]
struct Choices {
    last: Option<ServerAddr>,
    /// Servers tried for the first login, in which the client counts no failures.
    tried: Vec<ServerAddr>,
    logged_in: bool,
}

impl Picker {
    pub(super) fn new() -> Self {
        Self(Mutex::default())
    }

    /// From now on the client counts failures itself.
    pub(super) fn logged_in(&self) {
        let mut choices = self.0.lock();
        choices.logged_in = true;
        choices.tried = Vec::new();
    }

    pub(super) fn pick(&self, pool: Vec<Server>) -> Option<ReconnectToServer> {
        let mut choices = self.0.lock();
        let rank = |server: &Server| {
            let before = choices.tried.contains(&server.addr);
            let is_last = choices.last.as_ref() == Some(&server.addr);
            (before, server.failed_attempts, is_last, server.is_discovered, fastrand::u32(..))
        };
        let chosen = pool
            .into_iter()
            .map(|server| (rank(&server), server))
            .min_by_key(|(rank, _)| *rank)
            .map(|(_, server)| server)?;
        let factor = match chosen.failed_attempts {
            0 => 0,
            failed => 1 << failed.min(5),
        };
        if !choices.logged_in {
            choices.tried.push(chosen.addr.clone());
        }
        choices.last = Some(chosen.addr.clone());
        Some(ReconnectToServer { addr: chosen.addr, delay: Some(AGAIN * factor) })
    }
}

/// # Errors
/// When one is no address of a server, or carries a user.
pub(super) fn addresses(servers: &[String]) -> Result<Vec<ServerAddr>, NatsError> {
    servers.iter().map(|text| address(text)).collect()
}

fn address(text: &str) -> Result<ServerAddr, NatsError> {
    if text.contains('@') {
        return Err(NatsError::Setup("the address of a NATS server has no user: credentials are settings".into()));
    }
    let unusable = |reason: &str| NatsError::Setup(format!("{text:?} is no address of a NATS server: {reason}"));
    let address: ServerAddr = text.parse().map_err(|error: std::io::Error| unusable(&error.to_string()))?;
    match (address.scheme(), address.host()) {
        (_, "") => Err(unusable("it has no host")),
        ("nats" | "tls", _) => Ok(address),
        _ => Err(unusable("the scheme is nats or tls")),
    }
}
