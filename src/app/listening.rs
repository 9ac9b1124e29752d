//! The listening addresses, of the configuration or of the sockets that were inherited, and the number of connections.

use super::AppError;
use crate::{
    config::{Config, listen::Listen},
    http::{
        auth::admin_listener::AdminListener,
        net::listen::{Address, BoundAddresses},
    },
    lifecycle::{
        descriptors::{self, ConnectionLimits},
        inherited::InheritedListener,
    },
};

/// Every address of the hub: bound, but not listening yet.
pub(super) struct Addresses {
    pub(super) public: BoundAddresses,
    pub(super) operators: BoundAddresses,
}

/// The sockets that the service manager has opened.
#[derive(Debug, Default)]
pub(super) struct InheritedSockets {
    pub(super) public: Vec<InheritedListener>,
    pub(super) operators: Vec<InheritedListener>,
}

/// Binds the public addresses, unless public sockets are inherited, and in the same way those of operators. This is the
/// first step of the start, so that a hub whose address is in use changes nothing on disk.
pub(super) fn bind(config: &Config, inherited: InheritedSockets) -> Result<Addresses, AppError> {
    let bind = |list: &[Listen], inherited: Vec<InheritedListener>, cores, flag| {
        let list = if inherited.is_empty() { list } else { &[] };
        let list: Vec<Address> = list.iter().map(|listen| address(listen, config.hub.unix_mode)).collect();
        BoundAddresses::new(&list, inherited, cores).map_err(|error| AppError::Listen { error, flag })
    };
    Ok(Addresses {
        public: bind(&config.hub.listen, inherited.public, config.hub.shards, PUBLIC)?,
        // Few connections are expected there, so all are on one core.
        operators: bind(&config.admin.listen, inherited.operators, 1, OPERATORS)?,
    })
}

/// The flag that sets the public addresses.
pub(super) const PUBLIC: &str = "--listen";
/// The flag that sets the admin addresses.
pub(super) const OPERATORS: &str = "--admin-listen";

fn address(listen: &Listen, mode: u32) -> Address {
    match listen {
        Listen::Address(address) => Address::Tcp(*address),
        Listen::Localhost(port) => Address::Localhost(*port),
        Listen::Unix(path) => Address::Unix(path.clone(), mode),
    }
}

/// Whether the admin routes have listeners of their own, and whether those need a credential: local-only ones do not.
pub(super) fn operators(config: &Config) -> AdminListener {
    let list = &config.admin.listen;
    if list.is_empty() {
        AdminListener::Shared
    } else if list.iter().all(Listen::is_local) {
        AdminListener::SeparateUnauthenticated
    } else {
        AdminListener::Separate
    }
}

/// Sockets that one core listens on for `list`.
fn sockets(list: &[Listen]) -> usize {
    list.iter().map(|listen| if matches!(listen, Listen::Localhost(_)) { 2 } else { 1 }).sum()
}

/// The number of connections that fit below the limit on open files, which is raised as far as allowed.
pub(super) fn connection_limits(config: &Config) -> Result<ConnectionLimits, AppError> {
    let wanted = config.http.connections;
    let listeners = sockets(&config.hub.listen) * config.hub.shards + sockets(&config.admin.listen);
    let limits = descriptors::for_hub(wanted, config.hub.shards, listeners)?;
    if limits.connections < wanted {
        tracing::warn!(
            connections.fit = limits.connections,
            connections.wanted = wanted,
            "fewer connections are served than configured; raise the limit on open files (ulimit -n)"
        );
    }
    Ok(limits)
}
