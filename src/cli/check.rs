//! `gapless check`: the configuration as `gapless serve` would use it.

use std::io::Write;

use super::{CliError, output};
use crate::config::Effective;

/// Prints the configuration in force as a TOML file; what is not a default says where it comes from.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(effective: &Effective) -> Result<(), CliError> {
    let mut out = output::stdout();
    write!(out, "{effective}").and_then(|()| out.flush()).map_err(CliError::output)
}
