//! Takes the addresses of inherited sockets into the configuration, in place of `listen` and `admin.listen`.

use super::listening::InheritedSockets;
use crate::{
    config::{Config, ConfigErrors, Effective, listen::Listen},
    lifecycle::inherited::{InheritedListener, InheritedSocket, SocketRole},
};

/// The configuration with the addresses of `sockets`, and the sockets by listener. A listener has either configured
/// addresses or inherited sockets. `effective` tells whether addresses are configured.
///
/// # Errors
/// When other addresses are configured than those of the sockets, or when an address would be open to other machines
/// without a credential.
pub(super) fn adopt(
    config: &Config,
    effective: &Effective,
    sockets: Vec<InheritedSocket>,
) -> Result<(Config, InheritedSockets), ConfigErrors> {
    let (mut config, mut by_listener, mut errors) =
        (config.clone(), InheritedSockets::default(), ConfigErrors::default());
    for InheritedSocket { role, listener } in sockets {
        match role {
            SocketRole::Public => by_listener.public.push(listener),
            SocketRole::Admin => by_listener.operators.push(listener),
        }
    }
    for (key, inherited, list) in [
        ("listen", &by_listener.public, &mut config.hub.listen),
        ("admin.listen", &by_listener.operators, &mut config.admin.listen),
    ] {
        if inherited.is_empty() {
            continue;
        }
        let addresses: Vec<Listen> = inherited.iter().map(address).collect();
        if effective.is_set(key) && !agree(list, &addresses) {
            let problem = format_args!(
                "{} is configured, but the service manager has opened {}; leave {key} out, or make the socket unit's \
                 ListenStream= lines agree with it",
                text(list),
                text(&addresses)
            );
            errors.push(key, problem);
        }
        *list = addresses;
    }
    for (key, inherited, list) in [
        ("listen", &by_listener.public, &config.hub.listen),
        ("admin.listen", &by_listener.operators, &config.admin.listen),
    ] {
        for problem in list.iter().filter(|_| !inherited.is_empty()).filter_map(|address| config.exposed(address)) {
            errors.push(key, problem);
        }
    }
    if errors.all().is_empty() { Ok((config, by_listener)) } else { Err(errors) }
}

fn address(listener: &InheritedListener) -> Listen {
    match listener {
        InheritedListener::Tcp(_, address) => Listen::Address(*address),
        InheritedListener::Unix(_, path) => Listen::Unix(path.clone()),
    }
}

/// Whether both are the same addresses, in any order.
fn agree(configured: &[Listen], inherited: &[Listen]) -> bool {
    let same = |configured: &Listen, inherited: &Listen| match (configured, inherited) {
        (Listen::Localhost(port), Listen::Address(address)) => address.ip().is_loopback() && address.port() == *port,
        (configured, inherited) => configured == inherited,
    };
    configured.iter().all(|one| inherited.iter().any(|other| same(one, other)))
        && inherited.iter().all(|other| configured.iter().any(|one| same(one, other)))
}

fn text(list: &[Listen]) -> String {
    list.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use clap::{Args, Command, FromArgMatches};

    use super::*;
    use crate::config::{Flags, load};

    fn adopted(flags: &[&str], addresses: &[&str], role: SocketRole) -> Result<Config, String> {
        let command = Flags::augment_args(Command::new("gapless"));
        let matches = command.get_matches_from([&["gapless"], flags].concat());
        let (config, effective) = load(&Flags::from_arg_matches(&matches).expect("flags")).expect("sound");
        let socket = |address: &&str| InheritedSocket {
            role,
            listener: InheritedListener::Tcp(
                TcpListener::bind("127.0.0.1:0").expect("a port"),
                address.parse().expect("an address"),
            ),
        };
        let sockets = addresses.iter().map(socket).collect();
        adopt(&config, &effective, sockets).map(|(config, _)| config).map_err(|errors| errors.to_string())
    }

    #[test]
    fn inherited_addresses_take_the_place_of_the_default() {
        let config = adopted(&[], &["127.0.0.1:9", "[::1]:9"], SocketRole::Public).expect("ours");
        assert_eq!(text(&config.hub.listen), "127.0.0.1:9, [::1]:9");
        let config = adopted(&["--listen=127.0.0.1:7"], &["127.0.0.1:9"], SocketRole::Admin).expect("ours");
        assert_eq!(
            (text(&config.hub.listen), text(&config.admin.listen)),
            ("127.0.0.1:7".into(), "127.0.0.1:9".into())
        );
    }

    #[test]
    fn addresses_that_are_configured_must_agree() {
        for listen in ["--listen=127.0.0.1:9,[::1]:9", "--listen=localhost:9"] {
            adopted(&[listen], &["[::1]:9", "127.0.0.1:9"], SocketRole::Public).expect(listen);
        }
        for listen in ["--listen=127.0.0.1:8", "--listen=127.0.0.1:9,127.0.0.1:8", "--listen=unix:/run/hub.sock"] {
            let error = adopted(&[listen], &["127.0.0.1:9"], SocketRole::Public).expect_err(listen);
            assert!(error.contains("has opened 127.0.0.1:9; leave listen out"), "{error}");
        }
    }

    #[test]
    fn an_inherited_address_needs_credentials_as_a_configured_one_does() {
        for role in [SocketRole::Public, SocketRole::Admin] {
            let error = adopted(&[], &["0.0.0.0:9"], role).expect_err("exposed");
            assert!(error.contains("0.0.0.0:9 is reachable from other machines"), "{error}");
            adopted(&["--open"], &["0.0.0.0:9"], role).expect("allowed");
        }
    }
}
