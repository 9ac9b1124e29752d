//! `gapless check`: the configuration as `gapless serve` would use it, and what a hub would find wrong with it here.

use std::{io::Write, time::Duration};

use super::{CliError, output};
use crate::{config::Effective, event::Millis};

/// Prints the configuration in force as a TOML file; what is not a default says where it comes from. Comments at the end say
/// that the log's clock is `ahead`, up to which stamp and by how much, and that the machine's has `leapt`, when last and how
/// far.
///
/// # Errors
/// When stdout cannot be written.
pub fn run(
    effective: &Effective,
    ahead: Option<(Millis, Duration)>,
    leapt: Option<(Millis, Duration)>,
) -> Result<(), CliError> {
    let mut out = output::stdout();
    let ahead = ahead.map(|(stamp, ahead)| {
        let ahead = humantime::format_duration(ahead);
        format!(
            "\n# clock: events in this store are stamped up to {stamp}, {ahead} ahead of this machine's clock.\n\
             # That clock was ahead once, or is behind now. Ages, 'since' and Idempotency-Keys go by the log's own clock.\n"
        )
    });
    let leapt = leapt.map(|(at, gained)| {
        let gained = humantime::format_duration(Duration::from_secs(gained.as_secs()));
        format!(
            "\n# clock: this machine's clock leapt ahead by {gained} in all, last when the log showed {at}.\n\
             # Ages, 'since' and Idempotency-Keys do not count that.\n"
        )
    });
    write!(out, "{effective}{}{}", ahead.unwrap_or_default(), leapt.unwrap_or_default())
        .and_then(|()| out.flush())
        .map_err(CliError::output)
}
