//! `gapless restore`: makes a store of a backup.

use std::path::PathBuf;

use super::CliError;
use crate::backup::directory::BackupDirectory;

/// The arguments of `gapless restore`.
#[derive(Debug, clap::Args)]
#[command(
    max_term_width = 140,
    after_help = "\
The directory must hold no store. Until the restore is complete it holds none: one that was cut
short is started again with the same arguments.

Ids that the lost hub may have given out after the backup are not given out again. Clients that
were further than the backup are told so (a gap `ahead`), the others that events are lost.

  gapless restore --from /backup/gapless --data /var/lib/gapless
  gapless restore --from /backup/gapless --at 2026-11-27T06-22-44.000Z-yrtxnomj-4711 --data DIR
  gapless restore --from gapless.tar.zst --data DIR"
)]
pub struct RestoreArgs {
    /// A directory of backups, or an archive
    #[arg(long, value_name = "DIR|FILE.tar.zst")]
    pub from: PathBuf,
    /// The directory of the new store, which is made if it is missing
    #[arg(long, value_name = "DIR")]
    pub data: PathBuf,
    /// The backup, by its name or its newest id, as `gapless verify` lists them [default: the newest]
    #[arg(long, value_name = "NAME|ID")]
    pub at: Option<String>,
}

impl RestoreArgs {
    /// Checks that the store would not be made among backups.
    ///
    /// # Errors
    /// When it would.
    pub fn check(&self) -> Result<(), CliError> {
        match BackupDirectory::around(&self.data) {
            Some(backups) => Err(CliError::RestoreIntoBackups { data: self.data.clone(), backups }),
            None => Ok(()),
        }
    }
}

/// Prints what was restored.
///
/// # Errors
/// When stdout cannot be written.
pub fn print(report: impl std::fmt::Display) -> Result<(), CliError> {
    super::output::print(&mut super::output::stdout(), report.to_string().as_bytes())
}
