//! `gapless import`: takes in an export, or moves a store of one machine into the stream of the engine jetstream.
//!
//! | module | idea |
//! |---|---|
//! | this file | the arguments, and what is meant by them |
//! | `to_hub` | publishes an export to a hub that runs |
//! | `batch` | the events of an export as batches |
//! | `ids` | the file with the old and the new ids |

mod batch;
mod ids;
mod to_hub;

use std::path::{Path, PathBuf};

use super::client::HubArgs;
use crate::config::Flags;

pub use to_hub::to_hub;

/// The arguments of `gapless import`.
#[derive(Debug, clap::Args)]
#[command(
    max_term_width = 140,
    after_help = "\
An export, which `gapless export` has made:

  gapless import --from jobs.ndjson --data NEW    makes a store: the events keep their ids and times
  gapless import --from jobs.ndjson               publishes to the hub of --url: new ids and times

The directory of --data must hold no store. Start a hub with it afterwards: clients go on with the
ids that they have, and are told what the export did not have.

A hub that runs gives out new ids; --ids is the file that tells the new id of each old one. An
import that was cut short goes on after the last event in it. Within ten minutes (the hub's
publish.idempotency_window) nothing is there twice; later the batch that was under way may be.

A store of one machine, for the engine jetstream:

  gapless jetstream init --nats nats://a:4222
  gapless import --from /var/lib/gapless --nats nats://a:4222
  gapless import --from /var/lib/gapless --scratch /big/disk --nats nats://a:4222 --nats-old-ids 90d

The stream is one that `gapless jetstream init` has just made. No hub may use the store or the
stream meanwhile. The store is not changed: it is copied to the scratch directory first. An import
that has stopped goes on when it is started again, and stores nothing twice. Until it is complete,
no hub uses the stream. The ids that clients have stay valid for nats.old_ids: a client that
returns with one gets what it missed.

docs/OPERATIONS.md, \"Export and import\", and docs/JETSTREAM.md, \"Moving from one machine\", have all
steps."
)]
pub struct ImportArgs {
    /// An export; or the store's directory, for the engine jetstream
    #[arg(long, value_name = "FILE|DIR")]
    pub from: PathBuf,
    /// The file with the old and the new ids [default: that of --from with .ids added]
    #[arg(long, value_name = "FILE")]
    pub ids: Option<PathBuf>,
    /// Directory for a copy of the store [default: the system's temporary directory]
    #[arg(long, value_name = "DIR")]
    pub scratch: Option<PathBuf>,
    #[command(flatten)]
    hub: HubArgs,
    /// The configuration.
    #[command(flatten)]
    pub flags: Flags,
}

/// What is imported, and into what.
#[derive(Debug)]
pub enum ImportTarget<'a> {
    /// A store into the stream of the engine jetstream.
    Stream,
    /// An export into a new store.
    Store(&'a Path),
    /// An export into a hub that runs.
    Hub,
}

impl ImportArgs {
    /// What the arguments mean.
    #[must_use]
    pub fn target(&self) -> ImportTarget<'_> {
        match self.flags.data() {
            _ if self.from.is_dir() => ImportTarget::Stream,
            Some(data) => ImportTarget::Store(Path::new(data)),
            None => ImportTarget::Hub,
        }
    }

    /// The file with the old and the new ids.
    fn ids(&self) -> PathBuf {
        self.ids.clone().unwrap_or_else(|| {
            let mut path = self.from.clone().into_os_string();
            path.push(".ids");
            path.into()
        })
    }
}
