//! The arguments of `gapless token`.

use std::{path::PathBuf, time::Duration};

use crate::{
    access::{Grant, RelayGrant},
    cli::CliError,
    config::{
        Flags,
        kinds::{DurationText, ValueKind},
        names::Token,
    },
    event::Filter,
};

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
    pub(super) publish: Vec<Filter>,
    /// Topic or pattern that may be subscribed to; repeatable
    #[arg(long, value_name = "TOPICS", value_parser = Filter::new)]
    pub(super) subscribe: Vec<Filter>,
    /// Provider, or provider/model, that may be used by the relay; repeatable
    #[arg(long, value_name = "MODELS", value_parser = RelayGrant::new)]
    pub(super) relay: Vec<RelayGrant>,
    /// Permit the operators' endpoints, changing and deleting topics, and removing events
    #[arg(long)]
    pub(super) admin: bool,
    /// Time until it expires, at most a year [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = ttl)]
    pub(super) ttl: Option<Duration>,
    /// Holder (sub), for limits, stats and the revoked list
    #[arg(long, value_name = "NAME", conflicts_with = "fixed")]
    pub(super) subject: Option<String>,
    /// Issuer to sign for [default: the first with a key that can sign]
    #[arg(long, value_name = "ISS", conflicts_with = "fixed")]
    pub(super) issuer: Option<String>,
    /// Private key of the issuer, PEM, when the configuration has only its public key
    #[arg(long, value_name = "FILE", conflicts_with = "fixed")]
    pub(super) key_file: Option<PathBuf>,
    /// Create a random token and its entry for the configuration
    #[arg(long = "static", requires = "name", conflicts_with = "ttl")]
    pub(super) fixed: bool,
    /// Name of the static token
    #[arg(long, value_name = "NAME", requires = "fixed", value_parser = name)]
    pub(super) name: Option<String>,
    /// Token to explain; - reads it from stdin, which keeps it out of the shell's history
    #[arg(long, value_name = "TOKEN", allow_hyphen_values = true,
        conflicts_with_all = ["publish", "subscribe", "relay", "admin", "ttl", "subject", "issuer", "key_file", "fixed"])]
    pub(super) explain: Option<String>,
    /// Topic or pattern to check; repeatable
    #[arg(long, value_name = "TOPICS", value_parser = Filter::new, requires = "explain")]
    pub(super) topic: Vec<Filter>,
    /// Action to check for the topics [default: either]
    #[arg(long, value_enum, requires = "explain")]
    pub(super) to: Option<TopicAction>,
    #[command(flatten)]
    pub(super) flags: ConfigFlags,
}

/// The configuration flags of `gapless token`, whose own `--relay` is a grant: the hub's is `--relay-dialects` here.
#[derive(Debug)]
pub(super) struct ConfigFlags(pub(super) Flags);

/// The action to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum TopicAction {
    // No documentation, because clap would then print the long form of the whole help.
    Publish,
    Subscribe,
}

/// The default lifetime of a token.
pub(super) const TTL: Duration = Duration::from_hours(1);
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
        &self.flags.0
    }

    pub(super) fn grant(&self) -> Result<Grant, CliError> {
        let Self { publish, subscribe, relay, admin, .. } = self;
        let grant =
            Grant { publish: publish.clone(), subscribe: subscribe.clone(), relay: relay.clone(), admin: *admin };
        if grant == Grant::default() {
            return Err(CliError::TokenCommand(
                "say what it permits: --publish, --subscribe, --relay or --admin".into(),
            ));
        }
        Ok(grant)
    }
}

impl clap::Args for ConfigFlags {
    fn augment_args(command: clap::Command) -> clap::Command {
        Flags::augment_args(command).mut_arg("relay.dialects", |arg| arg.long("relay-dialects"))
    }

    fn augment_args_for_update(command: clap::Command) -> clap::Command {
        Self::augment_args(command)
    }
}

impl clap::FromArgMatches for ConfigFlags {
    fn from_arg_matches(matches: &clap::ArgMatches) -> Result<Self, clap::Error> {
        Flags::from_arg_matches(matches).map(Self)
    }

    fn update_from_arg_matches(&mut self, matches: &clap::ArgMatches) -> Result<(), clap::Error> {
        self.0.update_from_arg_matches(matches)
    }
}

/// Checks the name of a static token as the configuration does.
fn name(text: &str) -> Result<String, String> {
    Token::parse(text).map_err(|problems| problems.join("; "))
}
