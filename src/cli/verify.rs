//! `gapless verify`: reads all of a backup.

use std::{fmt::Display, path::PathBuf};

use serde::Serialize;

use super::{CliError, output};

/// The arguments of `gapless verify`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Reads every byte: each file is compared with its checksum, each event with its own, and each
backup's parts with its list. It changes nothing and needs no hub.

Exit codes: 0 sound, 1 damaged, 3 not all of it could be read.

  gapless verify /backup/gapless
  gapless verify gapless.tar.zst --json")]
pub struct VerifyArgs {
    /// A directory of backups, or an archive
    #[arg(value_name = "DIR|FILE.tar.zst")]
    pub path: PathBuf,
    /// Print the result as JSON
    #[arg(long)]
    pub json: bool,
}

impl VerifyArgs {
    /// Prints the result.
    ///
    /// # Errors
    /// When stdout cannot be written.
    pub fn print(&self, report: &(impl Display + Serialize)) -> Result<(), CliError> {
        let text = if self.json {
            serde_json::to_string(report).expect("it has no maps with other keys than text") + "\n"
        } else {
            report.to_string()
        };
        output::print(&mut output::stdout(), text.as_bytes())
    }
}
