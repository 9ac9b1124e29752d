//! `gapless token`: creates or explains a token.
//!
//! It does not contact a hub: it uses the same code and configuration as the hub.
//!
//! | module | idea |
//! |---|---|
//! | this file | the arguments, and creating a token |
//! | `explain` | describes a token |
//! | `nearest` | why a grant does or does not cover a topic |

use std::{
    io::{self, Read, Write},
    path::PathBuf,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use super::{CliError, output};
use crate::{
    access::{
        AccessSettings, Grant, MAX_CREDENTIAL_BYTES,
        mint::{self, Mint},
    },
    config::{
        Flags,
        kinds::{DurationText, ValueKind},
        names::Token,
    },
    event::Filter,
};

mod explain;
mod nearest;
#[cfg(test)]
mod tests;

use explain::TopicAction;

/// The arguments of `gapless token`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
A token is signed with the key of a configured issuer: the first that has a secret or a private key,
or the one that --issuer names. --static creates a random token; the hub's configuration gets only
its hash. --explain exits with 0 when a token is valid and permits everything that is asked.

  gapless token --publish 'jobs/*' --subscribe 'jobs/**' --ttl 1h --config hub.toml
  gapless token --static --name ci --publish 'builds/**'
  pbpaste | gapless token --explain - --topic jobs/42 --to publish --config hub.toml",
    max_term_width = 140
)]
pub struct TokenArgs {
    /// Topic or pattern that may be published to; repeatable
    #[arg(long, value_name = "TOPICS", value_parser = Filter::new)]
    publish: Vec<Filter>,
    /// Topic or pattern that may be subscribed to; repeatable
    #[arg(long, value_name = "TOPICS", value_parser = Filter::new)]
    subscribe: Vec<Filter>,
    /// Permit the operators' endpoints, changing and deleting topics, and removing events
    #[arg(long)]
    admin: bool,
    /// Time until it expires, at most a year [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    ttl: Option<Duration>,
    /// Holder (sub), for limits, stats and the revoked list
    #[arg(long, value_name = "NAME", conflicts_with = "fixed")]
    subject: Option<String>,
    /// Issuer to sign for [default: the first with a key that can sign]
    #[arg(long, value_name = "ISS", conflicts_with = "fixed")]
    issuer: Option<String>,
    /// Private key of the issuer, PEM, when the configuration has only its public key
    #[arg(long, value_name = "FILE", conflicts_with = "fixed")]
    key_file: Option<PathBuf>,
    /// Create a random token and its entry for the configuration
    #[arg(long = "static", requires = "name", conflicts_with = "ttl")]
    fixed: bool,
    /// Name of the static token
    #[arg(long, value_name = "NAME", requires = "fixed", value_parser = name)]
    name: Option<String>,
    /// Token to explain; - reads it from stdin, which keeps it out of the shell's history
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true,
        conflicts_with_all = ["publish", "subscribe", "admin", "ttl", "subject", "issuer", "key_file", "fixed"])]
    explain: Option<String>,
    /// Topic or pattern to check; repeatable
    #[arg(long, value_name = "TOPICS", value_parser = Filter::new, requires = "explain")]
    topic: Vec<Filter>,
    /// Action to check for the topics [default: either]
    #[arg(long, value_enum, requires = "explain")]
    to: Option<TopicAction>,
    #[command(flatten)]
    flags: Flags,
}

/// The default lifetime of a token.
const TTL: Duration = Duration::from_hours(1);
/// The longest lifetime: a token can be revoked only by the list, and signing keys should be changed more often than
/// that.
const MAX_TTL: Duration = Duration::from_hours(366 * 24);

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = DurationText::parse(text).map_err(|problems| problems.join("; "))?;
    if ttl < Duration::from_secs(1) || ttl > MAX_TTL {
        return Err("is out of range; choose from 1s to 366d".into());
    }
    Ok(ttl)
}

impl TokenArgs {
    /// The configuration flags.
    #[must_use]
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    fn grant(&self) -> Result<Grant, CliError> {
        let Self { publish, subscribe, admin, .. } = self;
        let grant = Grant { publish: publish.clone(), subscribe: subscribe.clone(), admin: *admin };
        if grant == Grant::default() {
            return Err(CliError::TokenCommand("say what it permits: --publish, --subscribe or --admin".into()));
        }
        Ok(grant)
    }
}

/// Creates or explains a token, and prints the result.
///
/// # Errors
/// When there is no key to sign with; when the explained token is not valid or does not permit everything that was
/// asked.
pub fn run(args: &TokenArgs, settings: AccessSettings) -> Result<(), CliError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut out = output::stdout();
    if let Some(token) = &args.explain {
        let token = if token == "-" { read_token(io::stdin())? } else { token.clone() };
        return explain::explain(&token, args, settings, now, &mut out);
    }
    let text = if let Some(name) = &args.name {
        entry(name, &args.grant()?)
    } else {
        let mint =
            Mint::new(&settings, args.issuer.as_deref(), args.key_file.as_deref()).map_err(CliError::TokenCommand)?;
        mint.token(&args.grant()?, args.subject.as_deref(), now, args.ttl.unwrap_or(TTL).as_secs())
    };
    writeln!(out, "{text}").and_then(|()| out.flush()).map_err(CliError::output)
}

/// Checks the name of a static token as the configuration does.
fn name(text: &str) -> Result<String, String> {
    Token::parse(text).map_err(|problems| problems.join("; "))
}

/// A new static token, and its entry for the configuration.
fn entry(name: &str, grant: &Grant) -> String {
    let (token, hash) = mint::static_token();
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut lines = format!(
        "{token}\n\n# The line above is the token: keep it secret. This is its entry in the hub's configuration:\n[[access.tokens]]\nname = {}\nsha256 = \"{hash}\"",
        quoted(name)
    );
    for (key, filters) in [("publish", &grant.publish), ("subscribe", &grant.subscribe)] {
        if !filters.is_empty() {
            let texts: Vec<String> = filters.iter().map(|filter| quoted(filter.as_str())).collect();
            lines = format!("{lines}\n{key} = [{}]", texts.join(", "));
        }
    }
    if grant.admin { lines + "\nadmin = true" } else { lines }
}

/// Reads a token from a pipe, without the line break that `echo` adds.
fn read_token(input: impl Read) -> Result<String, CliError> {
    let mut text = String::new();
    // More than the longest token and a line break, so that a longer token is refused as too long.
    input.take(MAX_CREDENTIAL_BYTES as u64 + 3).read_to_string(&mut text).map_err(CliError::Input)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}
