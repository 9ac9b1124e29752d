//! One request to a hub over one connection: HTTP/1.1, plain or over TLS.
//!
//! | room | idea |
//! |---|---|
//! | this file | the hub as a command sees it, and a request |
//! | `place` | a URL as something to connect to |
//! | `line` | a connection: TCP or a socket in the file system, in the clear or over TLS |
//! | `proxy` | who stands between, as the environment has it |
//! | `trust` | whose certificates are taken, and why one was not |
//! | `credential` | a token, and where it comes from |

use std::{io, path::PathBuf, time::Duration};

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

mod credential;
mod line;
mod place;
mod proxy;
mod trust;

use self::{
    credential::{ClientCredential, Secret},
    place::HubAddress,
};
pub(super) use line::{Connector, Untrusted};

/// Time to connect in, with TLS and all. The system's own is minutes.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How connections are made, so that tests can script the other end.
pub(super) trait Dial {
    type Io: AsyncRead + AsyncWrite + Unpin + Send + 'static;

    /// A new connection.
    async fn dial(&self) -> io::Result<Self::Io>;
}

/// A hub as its clients see it.
#[derive(Debug)]
pub(super) struct HubClient<D> {
    url: String,
    /// For the `Host` header.
    authority: String,
    /// The URL's path, without a final slash: a hub may live below one, behind a proxy.
    base: String,
    credential: ClientCredential,
    /// What a proxy that reads the requests wants: what each target begins with, and whose they are.
    forward: Option<(String, Option<HeaderValue>)>,
    dial: D,
}

/// Where the hub is and how to get in, for every command that speaks to one.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "The hub")]
pub(super) struct HubArgs {
    /// The hub's URL: http://, https://, or unix:/ and the path of its socket
    #[arg(long, env = "GAPLESS_URL", default_value = "http://127.0.0.1:8080")]
    pub(super) url: String,
    /// Read the token from a file, anew for each connection, so that it may be replaced
    #[arg(long, value_name = "FILE", conflicts_with = "token")]
    token_file: Option<PathBuf>,
    /// Present this token. Everyone on this machine can read a command line: rather use --token-file, or GAPLESS_TOKEN
    // Not clap's `env`: a file named by a flag is to beat the variable, and its value is nobody's to print.
    #[arg(long, allow_hyphen_values = true)]
    token: Option<Secret>,
    /// Send the token in the clear, over http:// to another machine
    #[arg(long)]
    insecure_token: bool,
    /// Trust the certificates in this PEM file, too, beside those that this machine trusts
    #[arg(long, value_name = "FILE", env = "GAPLESS_CA")]
    ca: Option<PathBuf>,
}

impl HubClient<Connector> {
    /// The hub that `args` name. Nothing is sent yet.
    pub(super) fn reach(args: &HubArgs) -> Result<Self, CliError> {
        let place = HubAddress::parse(&args.url)?;
        let credential = ClientCredential::find(args, std::env::var_os(credential::VARIABLE))?;
        if credential.is_some() && !args.insecure_token && place.shows_all() {
            return Err(CliError::InTheClear { url: args.url.clone() });
        }
        let line = Connector::new(&place, args.ca.as_deref())?;
        let forward = line.proxy().and_then(|proxy| proxy.forwards(&place.authority));
        let hub = Self::new(&args.url, &place.authority, &place.base, line).with(credential);
        Ok(Self { forward, ..hub })
    }

    /// The same, for who speaks TCP and nothing else.
    pub(super) fn reach_plainly(args: &HubArgs) -> Result<Self, CliError> {
        let place = HubAddress::parse(&args.url)?;
        if place.tls {
            return Err(CliError::NoTls);
        }
        let hub = Self::reach(args)?;
        match (&place.socket, hub.dial.proxy()) {
            (None, None) => Ok(hub),
            _ => Err(CliError::NoDetour),
        }
    }

    /// Where it is, as `host:port`; its authority; and what its paths begin with, without a final slash.
    pub(super) fn place(&self) -> (&str, &str, &str) {
        (self.dial.address(), &self.authority, &self.base)
    }
}

impl<D: Dial> HubClient<D> {
    /// A hub that connections are made to by `dial`.
    pub(super) fn new(url: &str, authority: &str, base: &str, dial: D) -> Self {
        let base = base.trim_end_matches('/').into();
        let (url, authority) = (url.into(), authority.into());
        Self { url, authority, base, credential: ClientCredential::none(), forward: None, dial }
    }

    /// The same, which is shown `credential` with each request.
    pub(super) fn with(self, credential: ClientCredential) -> Self {
        Self { credential, ..self }
    }

    /// What it is shown.
    pub(super) fn credential(&self) -> &ClientCredential {
        &self.credential
    }

    /// Sends a request for `target`, a path and query below the hub's URL, and answers with the head of the response.
    /// Dropping the response, or this future, closes the connection.
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

    /// A request for `target`, as it is written.
    pub(super) fn request<B>(
        &self,
        method: Method,
        target: &str,
        headers: HeaderMap,
        body: B,
    ) -> Result<Request<B>, CliError> {
        let mut request = Request::new(body);
        let (before, shown) = self.forward.as_ref().map_or(("", None), |(before, shown)| (before, shown.as_ref()));
        *request.method_mut() = method;
        *request.uri_mut() =
            format!("{before}{}{target}", self.base).parse().expect("a checked path and an encoded query");
        *request.headers_mut() = headers;
        let host = HeaderValue::from_str(&self.authority).expect("a URI's authority");
        request.headers_mut().insert(header::HOST, host);
        request.headers_mut().insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        if let Some(shown) = shown {
            request.headers_mut().insert(header::PROXY_AUTHORIZATION, shown.clone());
        }
        if let Some(authorization) = self.credential.show()? {
            request.headers_mut().insert(header::AUTHORIZATION, authorization);
        }
        Ok(request)
    }

    /// A new connection, for requests one after the other. Dropping what it gives closes it.
    pub(super) async fn connect<B: Sent>(&self) -> Result<http1::SendRequest<B>, CliError> {
        let failed = |reason| CliError::from_dial(reason, &self.url);
        let io = timeout(CONNECT_TIMEOUT, self.dial.dial()).await.map_err(|late| failed(late.into()))?;
        let io = TokioIo::new(io.map_err(failed)?);
        let (sender, connection) = http1::handshake(io).await.map_err(|error| CliError::broken(&error))?;
        // Its errors come out of the request and the response's body too.
        tokio::spawn(connection);
        Ok(sender)
    }
}

/// A request's body.
pub(super) trait Sent:
    Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send> + Send + 'static
{
}

impl<B> Sent for B where B: Body<Error: Into<Box<dyn std::error::Error + Send + Sync>>, Data: Send> + Send + 'static {}

const USER_AGENT: &str = concat!("gapless/", env!("CARGO_PKG_VERSION"));

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Debug, Parser)]
    pub(in crate::cli) struct TestArgs {
        #[command(flatten)]
        pub(in crate::cli) hub: HubArgs,
    }

    /// The arguments of a command line.
    pub(in crate::cli) fn args(line: &[&str]) -> HubArgs {
        TestArgs::try_parse_from(["gapless"].iter().chain(line)).expect("a command line").hub
    }

    /// The credential of a command line.
    pub(in crate::cli) fn credential(line: &[&str]) -> ClientCredential {
        ClientCredential::find(&args(line), None).expect("a token")
    }

    #[test]
    fn a_token_is_not_sent_in_the_clear_to_another_machine_unless_told_to() {
        let reach = |line: &[&str]| HubClient::reach(&args(line)).map(drop);
        let clear = "http://hub.example";
        let told = reach(&["--url", clear, "--token", "secret"]).expect_err("in the clear").to_string();
        assert!(told.contains("https://") && told.contains("--insecure-token"), "{told}");
        assert!(!told.contains("secret"), "{told}");
        reach(&["--url", clear, "--token", "secret", "--insecure-token"]).expect("told to");
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
            let told = TestArgs::try_parse_from(["gapless"].iter().chain(line)).expect_err("wrong").to_string();
            assert!(!told.contains("secret") && !told.contains("cret"), "{told}");
        }
        let shown = format!("{:?}", args(&["--token", "-secret"]));
        assert!(!shown.contains("secret"), "{shown}");
    }
}
