//! The command line. `gapless` contains the hub and its client commands in one binary.
//!
//! The client commands use only the public protocol.
//!
//! | module | idea |
//! |---|---|
//! | this file | the command line |
//! | [`check`] | `gapless check`: prints the effective configuration, or what is damaged in a store |
//! | [`health`] | `gapless health`: whether the hub of this machine is alive, or ready |
//! | [`jetstream`] | `gapless jetstream`: makes the stream of the engine jetstream |
//! | [`export`] | `gapless export`: events as a file of lines |
//! | [`import`] | `gapless import`: takes in an export, or a store of one machine |
//! | [`mod@backup`] | `gapless backup`: copies a hub's log while it goes on |
//! | [`verify`] | `gapless verify`: reads all of a backup |
//! | [`restore`] | `gapless restore`: makes a store of a backup |
//! | [`publish`] | `gapless publish`: one event, or a stream of lines |
//! | [`tail`] | `gapless tail`: an EventSource in a terminal |
//! | [`top`] | `gapless top`: a hub at a glance |
//! | [`remove`] | `gapless remove`: removes one event |
//! | [`token`] | `gapless token`: creates or explains a token |
//! | [`mod@bench`] | `gapless bench`: a hub under load |
//! | [`completions`] | `gapless completions`: completion in a shell |
//! | [`man`] | `gapless man`: manual pages |
//! | `client` | HTTP requests to a hub |
//! | `problem` | a hub's error response as a message |
//! | `patient` | a request that is sent again until it has an answer |
//! | `delay` | the delay before a retry |
//! | `output` | stdout and stderr |
//! | `stop` | the signals that ask a command to end |
//! | [`progress`] | the progress of a long operation on a terminal |
//! | `text` | untrusted text in messages and on a terminal |

use clap::{CommandFactory, Parser, Subcommand};

use crate::config::Flags;

pub mod backup;
pub mod bench;
pub mod check;
mod client;
pub mod completions;
mod delay;
mod error;
pub mod export;
pub mod health;
pub mod import;
pub mod jetstream;
pub mod man;
mod output;
mod patient;
mod problem;
pub mod progress;
pub mod publish;
pub mod remove;
pub mod restore;
#[cfg(test)]
mod scripted;
mod stop;
pub mod tail;
mod text;
pub mod token;
pub mod top;
pub mod verify;

pub use self::{error::CliError, output::print_error};

impl Cli {
    /// The definition of the command line, for what is made of it.
    #[must_use]
    pub fn definition() -> clap::Command {
        Self::command()
    }

    /// Parses the command line of this process. Exits with a message if it is invalid, or after `--help` and
    /// `--version`.
    #[must_use]
    pub fn of_process() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            // The message repeats arguments, which may contain control characters.
            let unprintable = std::env::args_os()
                .any(|word| word.as_encoded_bytes().iter().any(|byte| !(b' '..=b'~').contains(byte)));
            if unprintable && error.use_stderr() {
                output::print_error(error.render());
                std::process::exit(error.exit_code());
            }
            error.exit()
        })
    }
}

/// The command line.
#[derive(Debug, Parser)]
#[command(
    name = "gapless",
    version,
    about = "An event-broadcast hub with durable replay: every event is on disk before anyone sees it.",
    after_help = AFTER_HELP,
    args_conflicts_with_subcommands = true,
    disable_help_subcommand = true,
    max_term_width = 140
)]
pub struct Cli {
    /// The command; `serve` by default.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The configuration of `serve`, when no command is named.
    #[command(flatten)]
    pub flags: Flags,
}

const AFTER_HELP: &str = "\
TIME is 2s, 10m, 7d or seconds; SIZE is 64KiB, 1GB or bytes. Every option is also an environment
variable (--stream-retry is GAPLESS_STREAM_RETRY) and a key of the file (retry under [stream]); a
flag overrides the environment, which overrides the file. `gapless` alone is `gapless serve`.

Try it:
  gapless                                 the hub, on http://127.0.0.1:8080
  gapless tail notices                    in another terminal
  gapless publish notices 'Backup done'   in a third";

/// A command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the hub
    #[command(after_help = AFTER_HELP, max_term_width = 140)]
    Serve(Flags),
    /// Publish an event, or each line of stdin as one
    Publish(publish::PublishArgs),
    /// Follow topics, reconnecting without loss
    Tail(tail::TailArgs),
    /// Watch a hub: traffic, the busiest topics, and what needs attention
    Top(top::TopArgs),
    /// Remove one event: overwrite its data and notify its readers
    Remove(remove::RemoveArgs),
    /// Put load on a hub and check what its streams receive
    Bench(bench::BenchArgs),
    /// Create a token, or explain what one permits
    Token(token::TokenArgs),
    /// Check a configuration and print it as it would be used, or check a store
    Check(check::CheckArgs),
    /// Ask the hub of this machine whether it is alive, or ready
    Health(health::HealthArgs),
    /// Copy a hub's log into a directory or an archive, while the hub goes on
    Backup(backup::BackupArgs),
    /// Read all of a backup, and tell what is damaged
    Verify(verify::VerifyArgs),
    /// Make a store of a backup
    Restore(restore::RestoreArgs),
    /// Write events of a hub to a file, one a line
    Export(export::ExportArgs),
    /// Make the stream of the engine jetstream, or renew its epoch
    #[command(name = "jetstream")]
    JetStream(jetstream::JetStreamArgs),
    /// Take in an export, or the store of one machine
    Import(import::ImportArgs),
    /// Print a script that completes commands and options in a shell
    Completions(completions::CompletionsArgs),
    /// Print a manual page, or write all of them
    Man(man::ManArgs),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_valid() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_fits_a_terminal_and_has_a_line_for_each_option() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let broken: Vec<&str> = help.lines().filter(|line| line.chars().count() > 100).collect();
            assert!(broken.is_empty(), "{name}: {broken:?}");
            // A single value or argument with long help makes clap print the whole help in the long form.
            let long = command.get_arguments().find(|argument| {
                argument.get_long_help().is_some()
                    || argument.get_possible_values().iter().any(|value| value.get_help().is_some())
            });
            assert!(long.is_none(), "{name}: {long:?}");
        }
    }

    #[test]
    fn without_a_command_it_serves_with_the_flags_of_serve() {
        let cli = Cli::try_parse_from(["gapless", "--listen", "127.0.0.1:0"]).expect("flags of serve");
        assert!(cli.command.is_none());
        Cli::try_parse_from(["gapless", "--listen", "127.0.0.1:0", "tail", "t"]).expect_err("flags of another command");
    }
}
