//! `gapless completions`: a script that makes a shell complete commands and options.

use clap::Command;
use clap_complete::{Shell, generate};

use super::{CliError, output};

/// The shell.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Prints a script for the shell to stdout. Put it where the shell looks for it:

  gapless completions bash > ~/.local/share/bash-completion/completions/gapless
  gapless completions zsh > ~/.zfunc/_gapless          with fpath+=~/.zfunc before compinit
  gapless completions fish > ~/.config/fish/completions/gapless.fish
  gapless completions powershell >> $PROFILE
  gapless completions elvish >> ~/.config/elvish/rc.elv")]
pub struct CompletionsArgs {
    /// Shell to make the script for
    #[arg(value_name = "SHELL")]
    shell: Shell,
}

/// Prints the script for the command line `root`.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(args: &CompletionsArgs, mut root: Command) -> Result<(), CliError> {
    let mut script = Vec::new();
    generate(args.shell, &mut root, "gapless", &mut script);
    output::print(&mut output::stdout(), &script)
}
