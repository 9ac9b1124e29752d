//! The hub of a command: [`gapless_client`]'s requests, by the arguments of the command line.
//!
//! | module | idea |
//! |---|---|
//! | this file | the hub of the arguments |
//! | `args` | the arguments that name it |
//! | `connector` | messages for errors of TLS |
//! | `trust` | the messages for errors of verification |
//! | `credential` | the token of the arguments |
//! | `error` | the client's errors as those of the commands |

pub(super) use gapless_client::requests::{Dial, HubClient, connector::HubConnector};
use gapless_client::requests::{address::HubAddress, roots};

use super::CliError;
use crate::client;

mod args;
mod connector;
mod credential;
mod error;
mod trust;

pub(super) use self::{args::HubArgs, connector::explained};

/// Connections to the hub at `url` that go through no proxy, and the path below which it is, without a final slash. With TLS
/// the system's roots are trusted.
pub(super) fn unproxied(url: &str) -> Result<(client::Connector, String), CliError> {
    let HubAddress { server, base } = HubAddress::parse(url)?;
    let tls = server.tls.then(|| roots::config(None)).transpose()?;
    let connector = client::Connector::new(server, None, tls).map_err(|_| CliError::Url {
        url: url.into(),
        problem: "a certificate cannot be for that host; it must be a DNS name or an IP address",
    })?;
    Ok((connector, base.trim_end_matches('/').into()))
}

impl HubArgs {
    /// The hub. Does not connect yet.
    pub(super) fn client(&self) -> Result<HubClient, CliError> {
        let credential = credential::find(self, std::env::var_os(credential::VARIABLE))?;
        let address = HubAddress::parse(&self.url)?;
        let connector = HubConnector::new(&address, self.ca.as_deref())?;
        Ok(HubClient::of(&self.url, &address, connector, credential, self.insecure_token)?)
    }

    /// As [`client`](Self::client), but an error unless the hub is reached directly over TCP without TLS.
    pub(super) fn plain_tcp_client(&self) -> Result<HubClient, CliError> {
        let address = HubAddress::parse(&self.url)?;
        if address.server.tls {
            return Err(CliError::NoTls);
        }
        let hub = self.client()?;
        match (&address.server.socket, hub.proxy()) {
            (None, None) => Ok(hub),
            _ => Err(CliError::NoDetour),
        }
    }
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;
    use gapless_client::requests::credential::Credential;

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
    pub(in crate::cli) fn credential(line: &[&str]) -> Credential {
        super::credential::find(&args(line), None).expect("a token")
    }

    #[test]
    fn a_token_is_not_sent_unencrypted_to_another_machine_unless_allowed() {
        let reach = |line: &[&str]| args(line).client().map(drop);
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
