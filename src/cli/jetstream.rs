//! `gapless jetstream`: the stream that is the log of the engine jetstream.

use std::fmt::Display;

use super::{CliError, output};
use crate::{
    config::{
        Flags,
        kinds::{Size, ValueKind as _},
    },
    event::Epoch,
};

/// The arguments of `gapless jetstream`.
#[derive(Debug, clap::Args)]
#[command(
    max_term_width = 140,
    after_help = "\
  gapless jetstream init --nats nats://a:4222,nats://b:4222 --dry-run
  gapless jetstream init --permissions
  gapless jetstream epoch --nats nats://a:4222
  gapless check --engine jetstream --nats nats://a:4222       all that the promise rests on

docs/JETSTREAM.md has a start from zero on three machines."
)]
pub struct JetStreamArgs {
    /// What to do.
    #[command(subcommand)]
    pub command: JetStreamCommand,
}

/// What to do with the stream.
#[derive(Debug, clap::Subcommand)]
pub enum JetStreamCommand {
    /// Make the stream and its records, or bring them to what a hub needs
    #[command(max_term_width = 140)]
    Init(InitArgs),
    /// Print the epoch of the stream's ids, or renew it after a restore
    #[command(max_term_width = 140)]
    Epoch(EpochArgs),
}

/// The arguments of `gapless jetstream init`.
#[derive(Debug, clap::Args)]
pub struct InitArgs {
    /// Copies of the log [default: 3, or as many as there are]
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u8).range(1..=5))]
    pub replicas: Option<u8>,
    /// Bound of the stream on each server's disk [default: the servers']
    #[arg(long, value_name = "SIZE", value_parser = size)]
    pub max_bytes: Option<u64>,
    /// Only tell what would be done
    #[arg(long)]
    pub dry_run: bool,
    /// Print the least permissions of a hub's user, and do nothing else
    #[arg(long, conflicts_with_all = ["replicas", "max_bytes", "dry_run"])]
    pub permissions: bool,
    /// The configuration.
    #[command(flatten)]
    pub flags: Flags,
}

/// The arguments of `gapless jetstream epoch`.
#[derive(Debug, clap::Args)]
pub struct EpochArgs {
    /// Replace the epoch: clients that return receive a gap `unknown`
    #[arg(long)]
    pub renew: bool,
    /// With --renew: the present epoch, to confirm
    #[arg(long, value_name = "EPOCH", requires = "renew", value_parser = epoch)]
    pub confirm: Option<Epoch>,
    /// The configuration.
    #[command(flatten)]
    pub flags: Flags,
}

fn size(text: &str) -> Result<u64, String> {
    Size::<u64>::parse(text).map_err(|problems| problems.concat())
}

fn epoch(text: &str) -> Result<Epoch, String> {
    Epoch::new(text).ok_or_else(|| "is not an epoch: 4 to 16 characters of 0-9 and a-z".into())
}

/// Prints the result of a command.
///
/// # Errors
/// When stdout cannot be written.
pub fn print(text: impl Display) -> Result<(), CliError> {
    output::print(&mut output::stdout(), text.to_string().as_bytes())
}
