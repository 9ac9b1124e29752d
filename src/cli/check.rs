//! `gapless check`: prints the configuration as `gapless serve` would use it.

use std::{io::Write, time::Duration};

use super::{CliError, output};
use crate::{
    config::Effective,
    event::{Millis, duration},
};

/// Prints the effective configuration as a TOML file; a value that is not the default has its source in a comment.
/// Comments at the end report when the store's newest stamp is `ahead` of this machine's clock (the stamp, the
/// difference), and when the clock has `leapt` forward (the stamp of the last leap, the sum of all leaps).
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
        let ahead = duration::spell(ahead);
        format!(
            "\n# clock: events in this store are stamped up to {stamp}, {ahead} ahead of this machine's clock.\n\
             # The clock was ahead earlier, or is behind now. Ages, 'since' and Idempotency-Keys use the log's own clock.\n"
        )
    });
    let leapt = leapt.map(|(at, gained)| {
        let gained = duration::spell(gained);
        format!(
            "\n# clock: this machine's clock has leapt forward by {gained} in total, last at {at} of the log's clock.\n\
             # Ages, 'since' and Idempotency-Keys do not include that time.\n"
        )
    });
    write!(out, "{effective}{}{}", ahead.unwrap_or_default(), leapt.unwrap_or_default())
        .and_then(|()| out.flush())
        .map_err(CliError::output)
}
