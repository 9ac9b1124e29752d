//! `gapless check`: the configuration as `gapless serve` would use it, and what a hub would find wrong with it here.

use std::{io::Write, time::Duration};

use super::{CliError, output};
use crate::{config::Effective, event::Millis};

/// Prints the configuration in force as a TOML file; what is not a default says where it comes from. When the log's clock is
/// `ahead`, with its newest stamp and by how much, a comment at the end says so.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(effective: &Effective, ahead: Option<(Millis, Duration)>) -> Result<(), CliError> {
    let mut out = output::stdout();
    let ahead = ahead.map(|(stamp, ahead)| {
        let ahead = humantime::format_duration(ahead);
        format!(
            "\n# clock: events in this store are stamped up to {stamp}, {ahead} ahead of this machine's clock.\n\
             # That clock was ahead once, or is behind now. Ages, 'since' and Idempotency-Keys go by the log's own clock.\n"
        )
    });
    write!(out, "{effective}{}", ahead.unwrap_or_default()).and_then(|()| out.flush()).map_err(CliError::output)
}
