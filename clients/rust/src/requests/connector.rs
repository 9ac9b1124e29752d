//! Connections to a hub.

use std::{io, path::Path};

use super::{address::HubAddress, dial::Dial, roots};
use crate::{
    ClientError,
    transport::{
        Connector,
        byte_stream::ByteStream,
        connector::InvalidHost,
        proxy::{InvalidProxy, Proxy, ProxyVariables},
    },
};

/// Opens connections to one hub, through the proxy of the environment.
#[derive(Debug)]
pub struct HubConnector(Connector);

impl HubConnector {
    /// Connections to `hub_address`, with TLS for https. `ca` is a file of certificates to trust in addition to the
    /// system's. Reads the certificates from disk.
    ///
    /// # Errors
    /// When the certificates or the proxy's variable cannot be used, or no certificate can be for that host.
    pub fn new(hub_address: &HubAddress, ca: Option<&Path>) -> Result<Self, ClientError> {
        let server = hub_address.server.clone();
        let tls = server.tls.then(|| roots::config(ca)).transpose()?;
        let proxy = Proxy::from_environment(&server, ProxyVariables::OfScheme)
            .map_err(|InvalidProxy { name, problem }| ClientError::Proxy { name, problem })?;
        Connector::new(server, proxy, tls).map(Self).map_err(|InvalidHost| ClientError::Url {
            url: format!("https://{}", hub_address.server.authority),
            problem: "a certificate cannot be for that host; it must be a DNS name or an IP address",
        })
    }

    /// The address, as `host:port`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.0.server().address
    }

    /// The proxy to connect through.
    #[must_use]
    pub fn proxy(&self) -> Option<&Proxy> {
        self.0.proxy()
    }
}

impl Dial for HubConnector {
    type Io = Box<dyn ByteStream>;

    async fn dial(&self) -> io::Result<Box<dyn ByteStream>> {
        self.0.connect().await
    }
}
