//! Which listener of the configuration is asked, and how.

use std::{
    fs, io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
};

use rustls::pki_types::{CertificateDer, pem::PemObject};

use crate::{
    cli::{CliError, client},
    client::{Connector, ServerAddress, exchange::ExchangeError, pinned},
    config::{Config, listen::Listen},
};

/// Where the hub is asked.
#[derive(Debug)]
pub(super) struct HealthPlace {
    /// For messages.
    url: String,
    pub(super) connector: Connector,
    /// The path that `/healthz` is below, without a final slash.
    pub(super) base: String,
    pub(super) asked: HealthQuestion,
    /// Where the same listener is asked without TLS, when its certificate turns out to be another one than tls.cert.
    pub(super) without_tls: Option<Connector>,
}

/// What can be asked there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum HealthQuestion {
    /// Everything.
    Whole,
    /// Only whether the hub answers at all: its certificate is not known here, so a request without TLS is sent, which it
    /// refuses.
    Liveness,
}

impl HealthPlace {
    /// The hub at `url`, verified as by the other commands.
    pub(super) fn of_url(url: &str) -> Result<Self, CliError> {
        let (connector, base) = client::unproxied(url)?;
        Ok(Self { url: url.into(), connector, base, asked: HealthQuestion::Whole, without_tls: None })
    }

    /// The hub that `config` describes: at the first listener without TLS, where there is one, else at the first one.
    pub(super) fn of_config(config: &Config) -> Result<Self, CliError> {
        let admin_uses_tls = config.speaks_tls() && !config.admin.listen.iter().all(Listen::is_local);
        let public = config.hub.listen.iter().map(|listen| (listen, config.speaks_tls()));
        let admin = config.admin.listen.iter().map(|listen| (listen, admin_uses_tls));
        let known = |(listen, tls)| Some((server(listen)?, tls && !matches!(listen, Listen::Unix(_))));
        let places: Vec<(ServerAddress, bool)> = public.chain(admin).filter_map(known).collect();
        let place = places.iter().find(|(_, tls)| !tls).or(places.first());
        let Some((server, tls)) = place.cloned() else {
            let text = "the hub listens at port 0, which can be any port; name its address with --url";
            return Err(CliError::Nothing(text.into()));
        };
        let certificate = config.tls.cert.as_ref().filter(|_| tls);
        let (url, asked) = match (&server.socket, tls) {
            (Some(path), _) => (format!("unix:{}", path.display()), HealthQuestion::Whole),
            (None, false) => (format!("http://{}", server.address), HealthQuestion::Whole),
            (None, true) if certificate.is_some() => (format!("https://{}", server.address), HealthQuestion::Whole),
            (None, true) => (format!("http://{}", server.address), HealthQuestion::Liveness),
        };
        let pinned = certificate.map(|path| {
            let unusable = |problem: String| CliError::Nothing(format!("tls.cert: {}: {problem}", path.display()));
            let text = fs::read(path).map_err(|error| unusable(error.to_string()))?;
            let certificate = CertificateDer::from_pem_slice(&text);
            certificate.map(pinned::config).map_err(|error| unusable(error.to_string()))
        });
        let pinned = pinned.transpose()?;
        let connect = |pinned| Connector::new(server.clone(), None, pinned).expect("an IP address or localhost");
        let without_tls = pinned.is_some().then(|| connect(None));
        Ok(Self { url, connector: connect(pinned), base: String::new(), asked, without_tls })
    }

    /// The error of a hub that gave no answer.
    pub(super) fn unreachable(&self, error: ExchangeError) -> CliError {
        let reason = match error {
            ExchangeError::Connect(reason) => client::explained(reason, &self.connector.server().host),
            other => io::Error::other(other.to_string()),
        };
        CliError::Unreachable { url: self.url.clone(), reason }
    }

    /// The error of a question that cannot be asked there.
    pub(super) fn cannot_ask_ready(&self) -> CliError {
        let url = &self.url;
        CliError::Nothing(format!(
            "the hub at {url} answers, but its certificate is not known here, so it cannot be asked whether it is ready; add a \
             listener without TLS, as a unix:PATH in listen"
        ))
    }
}

/// The address at which this machine reaches a listener; `None` when its port is not known.
fn server(listen: &Listen) -> Option<ServerAddress> {
    let address = match listen {
        Listen::Unix(path) => return Some(ServerAddress::unix(path.clone())),
        Listen::Localhost(port) => SocketAddr::new(Ipv4Addr::LOCALHOST.into(), *port),
        Listen::Address(address) => *address,
    };
    let ip: IpAddr = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    let address = SocketAddr::new(ip, address.port());
    let text = address.to_string();
    (address.port() != 0).then(|| ServerAddress {
        tls: false,
        host: ip.to_string(),
        address: text.clone(),
        authority: text,
        socket: None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_on_all_addresses_is_asked_on_the_loopback() {
        for (listen, want) in [
            ("0.0.0.0:8080", Some("127.0.0.1:8080")),
            ("[::]:8080", Some("[::1]:8080")),
            ("192.0.2.1:8080", Some("192.0.2.1:8080")),
            ("127.0.0.1:0", None),
        ] {
            let place = server(&Listen::Address(listen.parse().expect("an address")));
            assert_eq!(place.map(|server| server.address).as_deref(), want, "{listen}");
        }
        let unix = server(&Listen::Unix("/run/hub.sock".into())).expect("a path");
        assert_eq!((unix.socket, &*unix.host), (Some("/run/hub.sock".into()), "localhost"));
    }
}
