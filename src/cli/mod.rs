//! The commands: `gapless` is the hub and its companions in one binary.
//!
//! Clients here speak the public protocol and nothing else.
//!
//! | room | idea |
//! |---|---|
//! | this file | the command line |
//! | [`check`] | what the configuration says, before it is used |
//! | [`publish`] | `gapless publish`: one event, or a stream of lines |
//! | [`tail`] | `gapless tail`: an EventSource in a terminal |
//! | [`remove`] | `gapless remove`: takes one event back |
//! | [`token`] | `gapless token`: a token, or what one opens |
//! | [`mod@bench`] | `gapless bench`: a hub under load |
//! | `client` | one request to a hub over one connection |
//! | `problem` | a refusal in plain words |
//! | `delay` | how long to wait before another try |
//! | `output` | stdout and stderr, whose readers may go away |

use clap::{Parser, Subcommand};

use crate::config::Flags;

pub mod bench;
pub mod check;
mod client;
mod delay;
mod error;
mod output;
mod problem;
pub mod publish;
pub mod remove;
#[cfg(test)]
mod scripted;
pub mod tail;
pub mod token;

pub use self::{error::CliError, output::complain};

impl Cli {
    /// The command line of this process; ends it with the reason when it is none, or with what was asked for.
    #[must_use]
    pub fn of_process() -> Self {
        Self::try_parse().unwrap_or_else(|error| {
            // Words of the command line stand in the reason, and may have come from anywhere.
            let strange = std::env::args_os()
                .any(|word| word.as_encoded_bytes().iter().any(|byte| !(b' '..=b'~').contains(byte)));
            if strange && error.use_stderr() {
                output::complain(error.render());
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
    /// What to do; to serve when nothing is said.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// The configuration of `serve`, when no command is named.
    #[command(flatten)]
    pub flags: Flags,
}

const AFTER_HELP: &str = "\
TIME is 2s, 10m, 7d or seconds; SIZE is 64KiB, 1GB or bytes. Every option is also an environment
variable (--stream-retry is GAPLESS_STREAM_RETRY) and a key of the file (retry under [stream]); a
flag beats the environment, which beats the file. `gapless` alone is `gapless serve`.

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
    /// Take one event back: its data is overwritten, and its readers are told
    Remove(remove::RemoveArgs),
    /// Load a hub, and check what its streams hear
    Bench(bench::BenchArgs),
    /// Make a token, or say what one opens
    Token(token::TokenArgs),
    /// Check a configuration and print it as it would be used
    #[command(max_term_width = 140)]
    Check(Flags),
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn help_is_as_wide_as_a_terminal_and_takes_a_line_an_option() {
        for command in Cli::command().get_subcommands() {
            let name = command.get_name();
            let words = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            let broken: Vec<&str> = words.lines().filter(|line| line.chars().count() > 100).collect();
            assert!(broken.is_empty(), "{name}: {broken:?}");
            // One explained value is enough for clap to spread the whole help of a command.
            let spread = command.get_arguments().find(|argument| {
                argument.get_long_help().is_some()
                    || argument.get_possible_values().iter().any(|value| value.get_help().is_some())
            });
            assert!(spread.is_none(), "{name}: {spread:?}");
        }
    }

    #[test]
    fn nothing_said_is_serve_with_its_flags() {
        let cli = Cli::try_parse_from(["gapless", "--listen", "127.0.0.1:0"]).expect("flags of serve");
        assert!(cli.command.is_none());
        Cli::try_parse_from(["gapless", "--listen", "127.0.0.1:0", "tail", "t"]).expect_err("flags of another command");
    }
}
