//! HTTP/1.1 requests to a hub, with or without TLS.
//!
//! | module | idea |
//! |---|---|
//! | this file | the hub, and requests |
//! | `args` | the arguments that name it |
//! | `address` | parses a hub's URL |
//! | `connector` | connections, by [`crate::client`] |
//! | `trust` | the trusted roots, and messages for errors of verification |
//! | `credential` | the token, and its sources |

use std::{io, time::Duration};

use hyper::{
    Method, Request, Response,
    body::{Body, Incoming},
    client::conn::http1,
    header::{self, HeaderMap, HeaderValue},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::timeout,
};

use super::CliError;
use crate::client;

mod address;
mod args;
mod connector;
mod credential;
mod trust;

use self::{address::HubAddress, credential::ClientCredential};
pub(super) use self::{
    args::HubArgs,
    connector::{HubConnector, Untrusted, explained},
};

/// Timeout of a connection, including proxy and TLS. The system's own timeout is minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// Opens connections. Tests implement it with a scripted hub.
pub(super) trait Dial {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// Opens a connection.
    async fn dial(&self) -> io::Result<Self::Io>;
}

/// Connections to the hub at `url` that go through no proxy, and the path below which it is, without a final slash. With TLS
/// the system's roots are trusted.
pub(super) fn unproxied(url: &str) -> Result<(client::Connector, String), CliError> {
    let HubAddress { server, base } = HubAddress::parse(url)?;
    let tls = server.tls.then(|| trust::config(None)).transpose()?;
    let connector = client::Connector::new(server, None, tls).map_err(|_| CliError::Url {
        url: url.into(),
        problem: "a certificate cannot be for that host; it must be a DNS name or an IP address",
    })?;
    Ok((connector, base.trim_end_matches('/').into()))
}

/// A hub, and how to send requests to it.
#[derive(Debug)]
pub(super) struct HubClient<D> {
    url: String,
    /// For the `Host` header.
    authority: String,
    /// The URL's path, without a final slash: behind a proxy a hub may be below a path.
    base: String,
    credential: ClientCredential,
    /// For a forwarding proxy: the prefix of each request target, and the `Proxy-Authorization`.
    forward: Option<(String, Option<HeaderValue>)>,
    dial: D,
}

impl HubClient<HubConnector> {
    /// The hub of `args`. Does not connect yet.
    pub(super) fn from_args(args: &HubArgs) -> Result<Self, CliError> {
        let hub_address = HubAddress::parse(&args.url)?;
        let credential = ClientCredential::find(args, std::env::var_os(credential::VARIABLE))?;
        if credential.is_some() && !args.insecure_token && hub_address.server.is_exposed() {
            return Err(CliError::InTheClear { url: args.url.clone() });
        }
        let connector = HubConnector::new(&hub_address, args.ca.as_deref())?;
        let forward = connector.proxy().and_then(|proxy| proxy.forward(&hub_address.server.authority));
        let hub = Self::new(&args.url, &hub_address.server.authority, &hub_address.base, connector).with(credential);
        Ok(Self { forward, ..hub })
    }

    /// As [`from_args`](Self::from_args), but an error unless the hub is reached directly over TCP without TLS.
    pub(super) fn from_args_plain_tcp(args: &HubArgs) -> Result<Self, CliError> {
        let hub_address = HubAddress::parse(&args.url)?;
        if hub_address.server.tls {
            return Err(CliError::NoTls);
        }
        let hub = Self::from_args(args)?;
        match (&hub_address.server.socket, hub.dial.proxy()) {
            (None, None) => Ok(hub),
            _ => Err(CliError::NoDetour),
        }
    }

    /// Its address as `host:port`, its authority, and its base path without a final slash.
    pub(super) fn endpoint(&self) -> (&str, &str, &str) {
        (self.dial.address(), &self.authority, &self.base)
    }
}

impl<D: Dial> HubClient<D> {
    /// A hub whose connections `dial` opens.
    pub(super) fn new(url: &str, authority: &str, base: &str, dial: D) -> Self {
        let base = base.trim_end_matches('/').into();
        let (url, authority) = (url.into(), authority.into());
        Self { url, authority, base, credential: ClientCredential::none(), forward: None, dial }
    }

    /// Sends `credential` with each request.
    pub(super) fn with(self, credential: ClientCredential) -> Self {
        Self { credential, ..self }
    }

    /// The credential that is sent with each request.
    pub(super) fn credential(&self) -> &ClientCredential {
        &self.credential
    }

    /// Sends a request for `target`, a path and query below the hub's URL, on a new connection. Returns when the head
    /// of the response has arrived. Dropping the response, or this future, closes the connection.
    pub(super) async fn send<B: Sent>(
        &self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: B,
    ) -> Result<Response<Incoming>, CliError> {
        let request = self.request(method, target, headers, body)?;
        let mut sender = self.connect().await?;
        sender.send_request(request).await.map_err(|error| CliError::broken(&error))
    }

    /// Builds a request for `target`.
    pub(super) fn request<B>(
        &self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: B,
    ) -> Result<Request<B>, CliError> {
        let mut request = Request::new(body);
        let (prefix, proxy_authorization) =
            self.forward.as_ref().map_or(("", None), |(prefix, value)| (prefix, value.as_ref()));
        *request.method_mut() = method;
        *request.uri_mut() =
            format!("{prefix}{}{target}", self.base).parse().expect("a checked path and an encoded query");
        *request.headers_mut() = headers;
        let host = HeaderValue::from_str(&self.authority).expect("a URI's authority");
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(client::USER_AGENT));
        if let Some(value) = proxy_authorization {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, value.clone());
        }
        if let Some(authorization) = self.credential.authorization()? {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    /// Opens a connection for sequential requests. Dropping the sender closes it.
    pub(super) async fn connect<B: Sent>(&self) -> Result<http1::SendRequest<B>, CliError> {
        let failed = |reason| dial_error(reason, &self.url);
        let io = timeout(CONNECT_TIMEOUT, self.dial.dial()).await.map_err(|late| failed(late.into()))?;
        let io = TokioIo::new(io.map_err(failed)?);
        let (sender, connection) = http1::handshake(io).await.map_err(|error| CliError::broken(&error))?;
        // Its errors are also reported by the request and the response's body.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// The error of a failed connection to the hub at `url`.
fn dial_error(reason: io::Error, url: &str) -> CliError {
    match Untrusted::of(&reason) {
        Some(problem) => CliError::Untrusted { url: url.into(), problem: problem.to_string() },
        None => CliError::Unreachable { url: url.into(), reason },
    }
}

/// A request's body.
pub(super) trait Sent:
    Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send> + Send + 'static
{
}

impl<B> Sent for B where B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send> + Send + 'static {}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    pub(in crate::cli) struct TestArgs {
        #[command(flatten)]
        pub(in crate::cli) hub: HubArgs,
    }

    /// Parses the hub's arguments.
    pub(in crate::cli) fn args(line: &[&str]) -> HubArgs {
        TestArgs::try_parse_from(["gapless"].iter().chain(line)).expect("a command line").hub
    }

    /// The credential of these arguments.
    pub(in crate::cli) fn credential(line: &[&str]) -> ClientCredential {
        ClientCredential::find(&args(line), None).expect("a token")
    }

    #[test]
    fn a_token_is_not_sent_unencrypted_to_another_machine_unless_allowed() {
        let reach = |line: &[&str]| HubClient::from_args(&args(line)).map(drop);
        let clear = "http://hub.example";
        let message = reach(&["--url", clear, "--token", "secret"]).expect_err("unencrypted").to_string();
        assert!(message.contains("https://") && message.contains("--insecure-token"), "{message}");
        assert!(!message.contains("secret"), "{message}");
        reach(&["--url", clear, "--token", "secret", "--insecure-token"]).expect("allowed");
        reach(&["--url", clear]).expect("no token");
        for here in ["http://127.0.0.1:1", "http://[::1]:1", "http://localhost", "http://hub.localhost"] {
            reach(&["--url", here, "--token", "secret"]).expect(here);
        }
        for elsewhere in ["http://127.0.0.1.evil.example", "http://localhost.evil.example", "http://10.0.0.1"] {
            reach(&["--url", elsewhere, "--token", "secret"]).expect_err(elsewhere);
        }
    }

    #[test]
    fn a_token_is_in_no_message_about_the_command_line() {
        for line in [
            &["--token", "-secret", "--wrong"][..],
            &["--token", "--secret", "--token-file", "f"],
            &["--token=se cret", "--url"],
            &["--token", "secret", "--help"],
        ] {
            let message = TestArgs::try_parse_from(["gapless"].iter().chain(line)).expect_err("wrong").to_string();
            assert!(!message.contains("secret") && !message.contains("cret"), "{message}");
        }
        let debug = format!("{:?}", args(&["--token", "-secret"]));
        assert!(!debug.contains("secret"), "{debug}");
    }
}
