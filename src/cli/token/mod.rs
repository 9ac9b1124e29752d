//! `gapless token`: make a token, or say what one opens.
//!
//! Nothing here talks to a hub: a token is made and judged by the same code and configuration as there.
//!
//! | room | idea |
//! |---|---|
//! | this file | what is asked for, and making it |
//! | `explain` | a token in words |
//! | `nearest` | why a grant does or does not open a topic |

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

/// What to make or explain.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "\
A token is signed with the key of an issuer of the configuration: the first that has a secret or a
private key, or the one that --issuer names. --static makes a token that is no JWT; the hub is given
its hash alone. --explain says with exit code 0 that a token is good and opens all that is asked.

  gapless token --publish 'jobs/*' --subscribe 'jobs/**' --ttl 1h --config hub.toml
  gapless token --static --name ci --publish 'builds/**'
  pbpaste | gapless token --explain - --topic jobs/42 --to publish --config hub.toml",
    max_term_width = 140
)]
pub struct TokenArgs {
    /// Topic or pattern that may be published to; as often as needed
    #[arg(long, value_name = "TOPICS", value_parser = Filter::new)]
    publish: Vec<Filter>,
    /// Topic or pattern that may be subscribed to; as often as needed
    #[arg(long, value_name = "TOPICS", value_parser = Filter::new)]
    subscribe: Vec<Filter>,
    /// Open the operators' endpoints, changing and deleting topics, and taking events back
    #[arg(long)]
    admin: bool,
    /// Time it is good for, at most a year [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    ttl: Option<Duration>,
    /// Whose it is (sub), for limits, stats and the revoked list
    #[arg(long, value_name = "NAME", conflicts_with = "fixed")]
    subject: Option<String>,
    /// Issuer to sign for [default: the first that can]
    #[arg(long, value_name = "ISS", conflicts_with = "fixed")]
    issuer: Option<String>,
    /// Private key of the issuer, PEM, when the configuration has its public key
    #[arg(long, value_name = "FILE", conflicts_with = "fixed")]
    key_file: Option<PathBuf>,
    /// Make a random token and its entry for the configuration
    #[arg(long = "static", requires = "name", conflicts_with = "ttl")]
    fixed: bool,
    /// Name of the static token
    #[arg(long, value_name = "NAME", requires = "fixed", value_parser = name)]
    name: Option<String>,
    /// Token to explain; - reads it from stdin, so that no shell remembers it
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true,
        conflicts_with_all = ["publish", "subscribe", "admin", "ttl", "subject", "issuer", "key_file", "fixed"])]
    explain: Option<String>,
    /// Topic or pattern to explain it for; as often as needed
    #[arg(long, value_name = "TOPICS", value_parser = Filter::new, requires = "explain")]
    topic: Vec<Filter>,
    /// What is asked of the topics [default: either will do]
    #[arg(long, value_enum, requires = "explain")]
    to: Option<TopicAction>,
    #[command(flatten)]
    flags: Flags,
}

/// How long a token is good for when nothing is said.
const TTL: Duration = Duration::from_hours(1);
/// And at most: a token cannot be taken back but by a list, and its key should not grow older, either.
const MAX_TTL: Duration = Duration::from_hours(366 * 24);

fn ttl(text: &str) -> Result<Duration, String> {
    let ttl = DurationText::parse(text).map_err(|problems| problems.join("; "))?;
    if ttl < Duration::from_secs(1) || ttl > MAX_TTL {
        return Err("is out of range; choose from 1s to 366d".into());
    }
    Ok(ttl)
}

impl TokenArgs {
    /// What the command line says about the configuration.
    #[must_use]
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    fn grant(&self) -> Result<Grant, CliError> {
        let Self { publish, subscribe, admin, .. } = self;
        let grant = Grant { publish: publish.clone(), subscribe: subscribe.clone(), admin: *admin };
        if grant == Grant::default() {
            return Err(CliError::TokenCommand("say what it opens: --publish, --subscribe or --admin".into()));
        }
        Ok(grant)
    }
}

/// Makes or explains a token and prints what came of it.
///
/// # Errors
/// When there is nothing to sign with; when a token that was to be explained is not good or does not open all that was asked.
pub fn run(args: &TokenArgs, settings: AccessSettings) -> Result<(), CliError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs();
    let mut out = output::stdout();
    if let Some(token) = &args.explain {
        let token = if token == "-" { from(io::stdin())? } else { token.clone() };
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

/// A static token's name, as the configuration takes it.
fn name(text: &str) -> Result<String, String> {
    Token::parse(text).map_err(|problems| problems.join("; "))
}

/// A fresh static token, and what to write into the configuration.
fn entry(name: &str, grant: &Grant) -> String {
    let (token, hash) = mint::static_token();
    let quoted = |text: &str| toml::Value::from(text).to_string();
    let mut lines = format!(
        "{token}\n\n# Whoever has the line above is let in; the hub knows only its hash:\n[[access.tokens]]\nname = {}\nsha256 = \"{hash}\"",
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

/// A token from a pipe, without the line break that `echo` adds.
fn from(input: impl Read) -> Result<String, CliError> {
    let mut text = String::new();
    // One more than is ever looked at, so that a longer one is told as such.
    input.take(MAX_CREDENTIAL_BYTES as u64 + 3).read_to_string(&mut text).map_err(CliError::Input)?;
    text.truncate(text.trim_end_matches(['\r', '\n']).len());
    Ok(text)
}
