//! `gapless check`: prints the configuration as `gapless serve` would use it, or what is in a store and what is damaged,
//! or what is wrong with a stream of NATS.

use std::{
    fmt::Display,
    path::{Path, PathBuf},
    time::Duration,
};

use serde::Serialize;

use super::{CliError, output, print_error};
use crate::{
    config::{Effective, Flags},
    event::{Millis, byte_size, duration},
};

/// The value of a `--store` without one. No argument can contain it.
const CONFIGURED: &str = "\0";

/// What to check.
#[derive(Debug, PartialEq, Eq)]
pub enum CheckTarget {
    /// The configuration.
    Configuration,
    /// The store of the configuration.
    ConfiguredStore,
    /// The store in this directory, whatever is configured.
    Store(PathBuf),
}

/// The arguments of `gapless check`.
#[derive(Debug, clap::Args)]
#[command(
    max_term_width = 140,
    after_help = "\
Without --store it prints the configuration as a file, with the origin of each value. With the
engine jetstream it checks the NATS servers and the stream instead, unless --offline is given: all
that the hub's promise rests on, why it matters, and what to do.

--store checks the store in DIR, or in the configured directory: it reads every event, compares it
with its checksum, and tells what is damaged, what that means, and what to do. It changes nothing
there. No hub may have the store open. Parts of it are copied one at a time, up to the size of a
segment, because reading them in place would change them.

Exit codes of --store: 0 sound, 1 damaged, 3 not all of it could be checked, 75 a hub is using it.
Of a stream: 0 sound, 1 something is wrong, 3 not all of it could be checked.

  gapless check --config gapless.toml
  gapless check --store /var/lib/gapless
  gapless check --store /backup/gapless --scratch /big/disk --json
  gapless check --engine jetstream --nats nats://a:4222 --nats-monitor http://a:8222"
)]
pub struct CheckArgs {
    /// Check the store in DIR instead [default: the configured directory]
    #[arg(long, value_name = "DIR", num_args = 0..=1, default_missing_value = CONFIGURED)]
    store: Option<PathBuf>,
    /// Directory for the copies [default: the system's temporary directory]
    #[arg(long, value_name = "DIR", requires = "store")]
    scratch: Option<PathBuf>,
    /// Print what was found in the store or the stream as JSON
    #[arg(long)]
    json: bool,
    /// Check the configuration only, also with the engine jetstream
    #[arg(long, conflicts_with_all = ["store", "json"])]
    offline: bool,
    #[command(flatten)]
    flags: Flags,
}

impl CheckArgs {
    /// The configuration flags.
    #[must_use]
    pub fn flags(&self) -> &Flags {
        &self.flags
    }

    /// What to check.
    #[must_use]
    pub fn target(&self) -> CheckTarget {
        match &self.store {
            None => CheckTarget::Configuration,
            Some(dir) if dir.as_os_str() == CONFIGURED => CheckTarget::ConfiguredStore,
            Some(dir) => CheckTarget::Store(dir.clone()),
        }
    }

    /// Whether only the configuration is to be checked.
    #[must_use]
    pub fn offline(&self) -> bool {
        self.offline
    }

    /// Whether the result is to be printed as JSON, which the configuration is not.
    #[must_use]
    pub fn json(&self) -> bool {
        self.json
    }

    /// The directory for copies.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.scratch.clone().unwrap_or_else(std::env::temp_dir)
    }

    /// Prints the report of a check of a store or a stream.
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

/// Tells a user at a terminal where a check makes copies, and how many bytes they take at most.
pub fn announce_copies(scratch: &Path, bytes: u64) {
    if output::stderr().is_terminal() {
        print_error(format_args!(
            "one part of the store at a time is copied to {}, at most {}",
            scratch.display(),
            byte_size::spell(bytes)
        ));
    }
}

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
    let text = format!("{effective}{}{}", ahead.unwrap_or_default(), leapt.unwrap_or_default());
    output::print(&mut output::stdout(), text.as_bytes())
}
