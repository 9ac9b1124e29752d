//! Where the configuration lets the hub listen, and for how many connections there is room.

use super::AppError;
use crate::{
    config::{Config, listen::Listen},
    http::{
        listen::{Address, BoundAddresses},
        peer::AdminListener,
    },
    lifecycle::descriptors::{self, ConnectionLimits},
};

/// Every address of the hub: taken, and not listening yet.
pub(super) struct Addresses {
    pub(super) public: BoundAddresses,
    pub(super) operators: BoundAddresses,
}

/// Takes every address. Nothing else was done before, so that a hub whose address is another's leaves no trace.
pub(super) fn bind(config: &Config) -> Result<Addresses, AppError> {
    let take = |list: &[Listen], cores, flag| {
        let list: Vec<Address> = list.iter().map(|listen| address(listen, config.hub.unix_mode)).collect();
        BoundAddresses::new(&list, cores).map_err(|error| AppError::Listen { error, flag })
    };
    Ok(Addresses {
        public: take(&config.hub.listen, config.hub.shards, PUBLIC)?,
        // Few come there, so one core has them all.
        operators: take(&config.admin.listen, 1, OPERATORS)?,
    })
}

/// What chooses another address.
pub(super) const PUBLIC: &str = "--listen";
/// The same of the operators' own.
pub(super) const OPERATORS: &str = "--admin-listen";

fn address(listen: &Listen, mode: u32) -> Address {
    match listen {
        Listen::Address(address) => Address::Tcp(*address),
        Listen::Localhost(port) => Address::Localhost(*port),
        Listen::Unix(path) => Address::Unix(path.clone(), mode),
    }
}

/// Where operators look, and whether they need a credential there: not where only this machine comes.
pub(super) fn operators(config: &Config) -> AdminListener {
    let list = &config.admin.listen;
    if list.is_empty() {
        AdminListener::AmongAll
    } else if list.iter().all(Listen::is_local) {
        AdminListener::ApartFree
    } else {
        AdminListener::Apart
    }
}

/// Sockets that one core listens on for these.
fn sockets(list: &[Listen]) -> usize {
    list.iter().map(|listen| if matches!(listen, Listen::Localhost(_)) { 2 } else { 1 }).sum()
}

/// Room for connections below the limit on open files, which is raised as far as it may be.
pub(super) fn room(config: &Config) -> Result<ConnectionLimits, AppError> {
    let wanted = config.http.connections;
    let listeners = sockets(&config.hub.listen) * config.hub.shards + sockets(&config.admin.listen);
    let room = descriptors::for_hub(wanted, config.hub.shards, listeners)?;
    if room.connections < wanted {
        tracing::warn!(
            connections.fit = room.connections,
            connections.wanted = wanted,
            "fewer connections are served than configured; raise the limit on open files (ulimit -n)"
        );
    }
    Ok(room)
}
