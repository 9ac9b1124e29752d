//! `gapless import`: moves a store of one machine into the stream of the engine jetstream.

use std::path::PathBuf;

use crate::config::Flags;

/// The arguments of `gapless import`.
#[derive(Debug, clap::Args)]
#[command(
    max_term_width = 140,
    after_help = "\
The stream is one that `gapless jetstream init` has just made. No hub may use the store or the
stream meanwhile. The store is not changed: it is copied to the scratch directory first.

An import that has stopped goes on when it is started again, and stores nothing twice. Until it is
complete, no hub uses the stream.

The ids that clients have stay valid for nats.old_ids: a client that returns with one gets what it
missed.

  gapless jetstream init --nats nats://a:4222
  gapless import --from /var/lib/gapless --nats nats://a:4222
  gapless import --from /var/lib/gapless --scratch /big/disk --nats nats://a:4222 --nats-old-ids 90d

docs/JETSTREAM.md, \"Moving from one machine\", has all steps."
)]
pub struct ImportArgs {
    /// The store's directory
    #[arg(long, value_name = "DIR")]
    pub from: PathBuf,
    /// Directory for a copy of the store [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    /// The configuration.
    #[command(flatten)]
    pub flags: Flags,
}
